"""Data sets from logs: every design once, nothing lost, nothing mixed that means different things."""

import json
import warnings

import gymnasium as gym
import numpy as np
import pytest
import toys

import archgym
from archgym.dataset.build import build
from archgym.errors import LogError, UnknownNameError, UsageError
from archgym.evaluator import Evaluator
from archgym.log import StudyLog
from archgym.problem import Problem
from archgym.spec import StudySpec

AGENTS = ("random", "genetic")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two agents, two seeds, two objectives over one simulator and workload: one source."""
    folder = tmp_path_factory.mktemp("runs")
    for agent in AGENTS:
        for seed in range(2):
            for objective in ("edp", "latency"):
                name = f"{agent}-{objective}-{seed}"
                archgym.run(toys.spec(objective=objective), agent, budget=25, seed=seed, out=folder / name)
    return folder


def logged(runs):
    """study -> rows of its journal."""
    return {path.name: toys.read_rows(path) for path in sorted(runs.iterdir())}


def canonical(codes):
    """Of a toy's design: c is dead unless mode is y."""
    return tuple(codes[:3]) + ((codes[3],) if codes[2] == 1 else (0,))


def test_every_design_is_there_once_with_the_numbers_of_its_first_row(runs, tmp_path):
    dataset = build([runs], tmp_path / "set")
    assert len(dataset.sources) == 1  # the objective is no part of a measurement
    first = {}
    for agent in sorted(AGENTS):
        for study, rows in logged(runs).items():
            for row in rows if study.startswith(agent) else ():
                first.setdefault(canonical(row["codes"]), (study, row))
    frame = dataset.frame()
    codes = [tuple(row) for row in dataset.codes(frame).tolist()]
    assert sorted(map(canonical, codes)) == sorted(first)
    for i, row in frame.iterrows():
        study, line = first[canonical(codes[i])]
        assert (row["study"], row["trial"], list(codes[i])) == (study, line["trial"], line["codes"])
        assert row["reward"] == line["reward"]
        assert row["reason"] == line["reason"]
        assert row["agent"] == study.partition("-")[0]
        assert row["problem"].endswith(study.split("-")[1])
        values = [row[f"metric.{name}"] for name in line["metrics"]]
        np.testing.assert_array_equal(values, [np.nan if v is None else v for v in line["metrics"].values()])
    text = (dataset.folder / "README.md").read_text()
    assert f"{len(first):,} evaluated designs. From 200 samples in 8 logged studies" in text
    assert "| `energy` | J |" in text


def test_duplicates_can_stay(runs, tmp_path):
    rows = [(study.partition("-")[0], canonical(r["codes"])) for study, lines in logged(runs).items() for r in lines]
    assert len(build([runs], tmp_path / "keep", duplicates="keep")) == len(rows) == 200
    per_agent = build([runs], tmp_path / "agent", duplicates="agent")
    assert len(per_agent) == len(set(rows))
    assert per_agent.frame(["agent", "design"]).duplicated().sum() == 0
    with pytest.raises(UnknownNameError, match="drop"):
        build([runs], tmp_path / "drops", duplicates="drops")


def test_designs_that_a_simulator_merges_are_one(tmp_path):
    # ToyMerge: only a * b matters, so (a=1, b=4) and (a=2, b=2) and (a=4, b=1) are one design.
    problem = Problem(toys.spec("toys:ToyMerge"))
    codes = problem.space.sample(150, np.random.default_rng(0))  # agents ask for representatives alone
    spec = StudySpec(problem.spec, agent="external", budget=None)
    evaluator = Evaluator(problem, log=StudyLog(tmp_path / "run", spec.header(problem)))
    evaluator(codes)
    evaluator.close()
    distinct = len(np.unique(problem.space.canonical(codes), axis=0))
    assert len(build([tmp_path / "run"], tmp_path / "set")) == distinct < len(np.unique(codes, axis=0))


def test_of_noisy_simulators_every_row_stays(tmp_path):
    for seed in range(2):
        archgym.run(toys.spec("toys:ToyNoise"), "random", budget=60, seed=seed, out=tmp_path / "runs" / str(seed))
    dataset = build([tmp_path / "runs"], tmp_path / "set")
    assert len(dataset) == 120
    assert dataset.frame(["design"])["design"].duplicated().any()


def test_a_copy_of_a_study_says_nothing_new(runs, tmp_path):
    first = build([runs], tmp_path / "one", duplicates="keep")
    again = build([runs, runs / "random-edp-0"], tmp_path / "two", duplicates="keep")
    assert len(first) == len(again) == 200


def test_logs_of_plain_research_scripts_count(tmp_path):
    env = gym.make("archgym/Systolic-v0", workload="alexnet", objective="edp", log=str(tmp_path / "log"), budget=8)
    env.reset(seed=0)
    env.action_space.seed(0)
    for _ in range(8):
        env.reset()
        env.step(env.action_space.sample())
    env.close()
    frame = build([tmp_path / "log"], tmp_path / "set").frame()
    assert frame["agent"].unique().tolist() == ["external"]
    assert frame["trial"].tolist() == list(range(8))


def test_building_again_changes_nothing_and_other_rows_are_refused(runs, tmp_path):
    out = tmp_path / "set"
    build([runs], out)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    build([runs], out)
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before
    with pytest.raises(UsageError, match="holds another data set"):
        build([runs / "random-edp-0"], out)
    with pytest.raises(UsageError, match="holds another data set"):
        build([runs], out, duplicates="keep")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "mine.txt").write_text("")
    with pytest.raises(UsageError, match="not empty"):
        build([runs], tmp_path / "notes")
    with pytest.raises(UsageError, match="expected a study folder"):
        build([tmp_path / "nowhere"], tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_the_same_rows_are_the_same_bytes(runs, tmp_path):
    one, two = build([runs], tmp_path / "one"), build([runs], tmp_path / "two")
    parts = [path.relative_to(one.folder) for path in sorted(one.folder.rglob("*.parquet"))]
    assert len(parts) == 2
    assert all((one.folder / part).read_bytes() == (two.folder / part).read_bytes() for part in parts)


def test_an_interrupted_build_leaves_nothing(runs, tmp_path):
    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build([runs], tmp_path / "set", on_study=stop)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_study_is_left_out_and_named(runs, tmp_path):
    import shutil

    shutil.copytree(runs, tmp_path / "runs")
    broken = tmp_path / "runs" / "random-edp-1" / "trials.jsonl"
    broken.write_text("nonsense\n" + broken.read_text())
    dataset = build([tmp_path / "runs"], tmp_path / "set", duplicates="keep")
    assert len(dataset) == 175
    assert "random-edp-1" in (dataset.folder / "README.md").read_text()


def test_logs_of_a_simulator_that_is_gone_or_changed_can_still_be_read(tmp_path):
    archgym.run(toys.spec(), "random", budget=60, out=tmp_path / "run")
    spec = tmp_path / "run" / "spec.json"
    header = json.loads(spec.read_text())
    header["study"]["problem"]["simulator"] = "lost:Toy"
    spec.write_text(json.dumps(header))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        dataset = build([tmp_path / "run"], tmp_path / "set")
    rows = toys.read_rows(tmp_path / "run")
    assert len(dataset) == len({canonical(row["codes"]) for row in rows})
    assert dataset.made["unknown"] == ["lost:Toy/w16/edp"]
    assert dataset.source.features == {}
    assert "lost:Toy" in (dataset.folder / "README.md").read_text()


def test_two_versions_of_a_simulator_are_two_sources(tmp_path):
    for i, name in enumerate(("toys:Toy", "toys:ToyNewer")):
        archgym.run(toys.spec(name), "random", budget=20, out=tmp_path / "runs" / str(i))
    dataset = build([tmp_path / "runs"], tmp_path / "set")
    assert sorted(s.simulator_version for s in dataset.sources.values()) == ["1", "2"]


def test_simulators_with_other_columns_share_a_table(tmp_path):
    archgym.run(toys.spec(), "random", budget=10, out=tmp_path / "runs" / "toy")
    archgym.run("systolic/alexnet/edp", "random", budget=10, out=tmp_path / "runs" / "systolic")
    frame = build([tmp_path / "runs"], tmp_path / "set").frame()
    toy = frame["simulator"] == "toys:Toy"
    assert toy.sum() > 0
    assert (~toy).sum() == 10
    assert frame.loc[toy, "param.rows"].isna().all()
    assert frame.loc[~toy, "param.rows"].notna().all()
    assert frame.loc[~toy, "param.a"].isna().all()


def test_a_full_disk_is_an_error_and_leaves_nothing(runs, tmp_path, monkeypatch):
    import pyarrow.parquet as pq

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq.ParquetWriter, "write_table", full)
    with pytest.raises(LogError, match="No space left"):
        build([runs], tmp_path / "set")
    assert not (tmp_path / "set").exists()
