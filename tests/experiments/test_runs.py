"""Study folders read as tables: every column, every kind of damage, and nothing that needs a simulator."""

import json
import math

import numpy as np
import pandas as pd
import pytest
import toys
from written_studies import write_study

import archgym
from archgym.errors import LogError, UnknownNameError, UsageError
from archgym.runs import Runs, load
from archgym.spec import StudySpec
from archgym.study import run


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """A real run: 24 samples with infeasible rows among them."""
    folder = tmp_path_factory.mktemp("searched") / "s"
    summary = run(StudySpec(toys.spec(), "random", budget=24, batch=7, seed=4), out=folder)
    assert 0 < summary.samples.feasible.sum() < 24
    return folder, summary


def test_the_table_of_a_real_run_is_the_one_of_its_summary(searched):
    folder, summary = searched
    trials = load(folder).trials()
    expected = summary.frame()
    pd.testing.assert_frame_equal(trials[expected.columns], expected, check_exact=True)
    assert trials["study"].unique().tolist() == ["s"]
    assert trials["ask"].tolist() == [0] * 7 + [1] * 7 + [2] * 7 + [3] * 3
    assert set(trials.loc[trials["feasible"], "reason"]) == {""}
    assert set(trials.loc[~trials["feasible"], "reason"]) == {"too thin", "violates room"}


def test_the_row_of_a_real_run(searched):
    folder, summary = searched
    (row,) = load(folder).studies.to_dict("records")
    header = json.loads((folder / "spec.json").read_text())
    assert row["hash"] == header["hash"]
    assert row["fingerprint"] == summary.problem.fingerprint
    assert row["problem"] == summary.problem.spec.label
    assert (row["agent"], row["agent_label"], row["seed"], row["budget"], row["batch"]) == (
        "random",
        "random",
        4,
        24,
        7,
    )
    assert (row["track"], row["samples"], row["unique"]) == ("grey", 24, summary.n_unique)
    assert row["feasible"] == summary.samples.feasible.sum()
    assert (row["best_reward"], row["best_trial"]) == (summary.best["reward"], summary.best["trial"])
    assert row["finished"]
    timed = [json.loads(line) for line in (folder / "timing.jsonl").read_text().splitlines()][1:]
    assert row["simulate_s"] == pytest.approx(sum(line["evaluator_s"] for line in timed))
    assert row["suggest_s"] == pytest.approx(sum(line["agent_s"] for line in timed))


def test_what_a_header_says_about_the_problem(searched):
    folder, summary = searched
    (problem,) = load(folder).problems.values()
    assert problem.space.fingerprint == summary.problem.space.fingerprint
    assert problem.units["area"] == "mm2"
    assert problem.terms == (("energy", 1.0), ("latency", 1.0))
    assert not problem.has_targets
    assert problem.baseline == summary.problem.baseline


def test_many_studies_and_hyperparameters(tmp_path):
    write_study(tmp_path / "a" / "x", [1.0, 3.0, None, 2.0], agent="genetic", config={"population": 8}, cached=(1,))
    write_study(tmp_path / "b", [None, None], agent="genetic", budget=5, seed=1)
    runs = archgym.load(tmp_path)
    assert isinstance(runs, Runs)
    frame = runs.studies.set_index("study")
    assert list(frame.index) == ["a/x", "b"]
    assert frame["agent_label"].tolist() == ["genetic (population=8)", "genetic"]
    assert frame["config.population"].tolist() == [8, pytest.approx(math.nan, nan_ok=True)]
    assert frame.loc["a/x", ["samples", "unique", "feasible", "best_reward", "best_trial"]].tolist() == [
        4,
        3,
        3,
        3.0,
        1,
    ]
    assert frame["finished"].tolist() == [True, False]
    assert math.isnan(frame.loc["b", "best_reward"])
    assert frame.loc["b", "best_trial"] is pd.NA
    assert math.isnan(frame.loc["b", "suggest_s"])  # no timing.jsonl
    assert runs.rewards()["a/x"].tolist() == [1.0, 3.0, pytest.approx(math.nan, nan_ok=True), 2.0]


def test_columns_are_filtered_and_read_late(tmp_path):
    folder = write_study(tmp_path / "s", [1.0, 2.0], metrics=[{"area": 3.0}, {"area": 4.0}])
    runs = load(tmp_path)
    assert list(runs.trials(["metric.area"])) == ["study", "trial", "metric.area"]
    assert runs.trials(["metric.area"])["metric.area"].tolist() == [3.0, 4.0]
    levels = ["param.a", "param.b", "param.mode", "param.c"]
    assert list(runs.trials(["param.*", "reward"])) == ["study", "trial", *levels, "reward"]
    with pytest.raises(UnknownNameError, match=r"did you mean metric\.area"):
        runs.trials(["metric.aera"])
    (folder / "trials.jsonl").unlink()  # what is held in memory is not read again
    assert runs.trials(["param.a", "reward", "feasible"])["reward"].tolist() == [1.0, 2.0]
    with pytest.raises(LogError):
        runs.trials(["metric.area"])


def test_studies_are_selected_by_name_frame_and_query(tmp_path):
    for seed in range(3):
        write_study(tmp_path / f"s{seed}", [float(seed)], seed=seed)
    runs = load(tmp_path)
    assert runs.trials(["reward"], ["s2", "s0"])["reward"].tolist() == [2.0, 0.0]  # in the order that is asked
    assert runs.trials(["reward"], runs.studies[runs.studies["seed"] > 0])["study"].tolist() == ["s1", "s2"]
    assert runs.select("seed == 1").studies["study"].tolist() == ["s1"]
    assert len(runs.select([])) == 0
    assert len(runs.select([]).trials()) == 0
    with pytest.raises(UnknownNameError, match="did you mean s"):
        runs.select(["s7"])


def test_problems_with_different_columns_are_joined(tmp_path):
    other = archgym.ProblemSpec("toys:Hills", (toys.network(16).to_dict(),), "latency")
    write_study(tmp_path / "a", [1.0])
    write_study(tmp_path / "b", [2.0, 3.0], problem=other)
    write_study(tmp_path / "c", [4.0])
    trials = load(tmp_path).trials()
    assert trials["study"].tolist() == ["a", "b", "b", "c"]  # the order of the studies, not of the problems
    assert trials["reward"].tolist() == [1.0, 2.0, 3.0, 4.0]
    assert trials["param.p0"].isna().tolist() == [True, False, False, True]
    assert trials["param.mode"].isna().tolist() == [False, True, True, False]
    assert trials["metric.area"].isna().tolist() == [False, True, True, False]
    assert list(trials)[:2] == ["study", "trial"]


def test_one_label_with_two_meanings_is_told_apart(tmp_path):
    write_study(tmp_path / "a", [1.0])
    write_study(tmp_path / "b", [1.0], problem=toys.spec(limits=("area<=9",)))
    write_study(tmp_path / "c", [1.0])
    runs = load(tmp_path)
    a, b, c = runs.studies["problem"]
    assert a == c != b
    assert set(runs.problems) == {a, b}
    assert all("edp #" in label for label in (a, b))
    assert runs.problems[b].constraints == ("room", "area<=9.0")


def test_no_simulator_workload_or_agent_has_to_exist(tmp_path):
    folder = write_study(tmp_path / "s", [1.0])
    header = json.loads((folder / "spec.json").read_text())
    header["study"]["agent"] = "gone.agents:Lost"
    header["study"]["problem"] |= {"simulator": "gone.simulators:Lost", "workloads": ["nowhere"]}
    (folder / "spec.json").write_text(json.dumps(header))
    runs = load(folder)
    assert runs.studies["problem"].tolist() == ["gone.simulators:Lost/nowhere/edp"]
    assert runs.trials()["param.mode"].tolist() == ["x"]


# ---- unfinished and damaged ------------------------------------------------------------


def test_a_study_that_is_being_written(tmp_path):
    folder = write_study(tmp_path / "s", [1.0, 2.0], budget=9, timing=[(2, 0.5, 0.25)])
    whole = (folder / "trials.jsonl").read_bytes()
    (folder / "trials.jsonl").write_bytes(whole + b'{"trial":2,"as')
    with (folder / "timing.jsonl").open("a") as stream:
        stream.write('{"event": "ask", "ask"')
    runs = load(tmp_path)
    assert runs.damaged == ()
    assert runs.studies[["samples", "suggest_s"]].to_numpy().tolist() == [[2, 0.5]]
    assert runs.timing().to_numpy().tolist() == [["s", 0, 2, 0.5, 0.25]]
    third = json.loads(whole.splitlines()[1]) | {"trial": 2}
    (folder / "trials.jsonl").write_bytes(whole + json.dumps(third).encode() + b"\n")
    assert len(runs.trials()) == 2  # the tables of one Runs agree, whatever is written meanwhile
    assert load(tmp_path).studies["samples"].tolist() == [3]


def test_a_header_alone_is_a_study_without_samples(tmp_path):
    (write_study(tmp_path / "s", [1.0]) / "trials.jsonl").unlink()
    runs = load(tmp_path)
    assert runs.studies[["samples", "feasible"]].to_numpy().tolist() == [[0, 0]]
    assert len(runs.trials()) == 0


def second_row(folder, change):
    lines = (folder / "trials.jsonl").read_text().splitlines()
    row = json.loads(lines[1])
    change(row)
    lines[1] = json.dumps(row)
    (folder / "trials.jsonl").write_text("\n".join(lines) + "\n")


DAMAGE = {
    "a line that is no JSON": lambda f: (f / "trials.jsonl").write_text("{}\nnonsense\n"),
    "a row missing": lambda f: second_row(f, lambda row: row.update(trial=5)),
    "a level that does not exist": lambda f: second_row(f, lambda row: row.update(codes=[99, 0, 0, 0])),
    "a parameter missing": lambda f: second_row(f, lambda row: row.update(codes=[0, 0, 0])),
    "a metric missing": lambda f: second_row(f, lambda row: row["metrics"].pop("area")),
    "a constraint missing": lambda f: second_row(f, lambda row: row.update(violations=[])),
    "a reward that is text": lambda f: second_row(f, lambda row: row.update(reward="high")),
    "a header that is no JSON": lambda f: (f / "spec.json").write_text("{"),
    "a header without a problem": lambda f: (f / "spec.json").write_text("{}"),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_study_is_named_and_skipped(tmp_path, damage):
    write_study(tmp_path / "good", [1.0, 2.0])
    damage(write_study(tmp_path / "bad", [1.0, 2.0]))
    with pytest.warns(UserWarning, match="study bad skipped"):
        runs = load(tmp_path)
    assert [name for name, _ in runs.damaged] == ["bad"]
    assert runs.studies["study"].tolist() == ["good"]
    assert len(runs.trials()) == 2


def test_a_folder_without_studies(tmp_path):
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(UsageError, match="found none"):
            load(folder)


def test_an_unlimited_study_of_somebody_elses_loop(tmp_path):
    folder = write_study(tmp_path / "s", [1.0], agent="external")
    header = json.loads((folder / "spec.json").read_text())
    header["study"]["budget"] = None
    (folder / "spec.json").write_text(json.dumps(header))
    frame = load(tmp_path).studies
    assert frame["budget"].isna().all()
    assert not frame["finished"].any()


@pytest.mark.slow
def test_a_hundred_thousand_trials(tmp_path):
    for seed in range(500):
        write_study(tmp_path / f"s{seed:03}", np.linspace(-1, 1, 200).tolist(), seed=seed)
    runs = load(tmp_path)
    assert len(runs.studies) == 500
    assert runs.studies["best_trial"].tolist() == [199] * 500
    assert runs.trials().shape == (100_000, 3 + 4 + 5 + 1 + 4)
