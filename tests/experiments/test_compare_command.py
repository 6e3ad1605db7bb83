"""``archgym compare`` and ``archgym report``: their numbers against plain pandas over the raw logs."""

import json
import shutil
import subprocess
import sys
from importlib import resources
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import toys
from written_studies import write_study

import archgym
from archgym.agent import Agent
from archgym.errors import UnknownNameError
from archgym.experiments import planned_runs
from archgym.experiments.budgets import budgets_to_run
from archgym.experiments.cli import main
from archgym.experiments.comparison import compare
from archgym.experiments.sweep_tasks import Problems
from archgym.study import run
from archgym.suite.problems import PROBLEMS as PROBLEMS_OF_THE_SUITE
from archgym.suite.problems import SUITE, tier

PROBLEMS = ("toys:Toy/alexnet/edp", "dram-ddr4-gen-strided-edp")
AGENTS = ("random", "genetic", "grid")
SHORT, LONG, SEEDS, BATCH = 12, 24, 4, 6
COMMAND = ("compare", *PROBLEMS, "--agents", ",".join(AGENTS), "--budgets", f"{SHORT},{LONG}")
COMMAND += ("--seeds", SEEDS, "--batch", BATCH)


class Torn(Agent):
    """Fails with seed 1."""

    def ask(self, n):
        if self.seed == 1:
            raise RuntimeError("seed 1 is no good")
        return self.space.sample(n, self.rng)

    def tell(self, evaluation):
        pass


def status_of(*arguments):
    with pytest.raises(SystemExit) as caught:
        main([str(a) for a in arguments])
    return caught.value.code


def call(capsys, *arguments):
    status = status_of(*arguments)
    out, err = capsys.readouterr()
    return status, out, err


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The studies and the report of COMMAND; tests do not write to it."""
    path = tmp_path_factory.mktemp("compare") / "out"
    assert status_of(*COMMAND, "--out", path) == 0
    return path


@pytest.fixture
def copy(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(folder, "copy"))


@pytest.fixture
def no_pictures(monkeypatch):
    """Most of a report's time is drawing."""
    monkeypatch.setattr("archgym.experiments.comparison_report.save_picture", lambda figure, path, dpi: path.touch())


def raw(folder):
    """One row a study from its files: problem, agent, budget, seed, rewards of its samples."""
    rows = []
    for path in folder.glob("*/trials.jsonl"):
        study = json.loads((path.parent / "spec.json").read_text())["study"]
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        rewards = [line["reward"] if line["feasible"] else -np.inf for line in lines]
        problem = study["problem"]["simulator"].replace("toys:Toy", PROBLEMS[0]).replace("tabular", PROBLEMS[1])
        rows.append((problem, study["agent"], study["budget"], study["seed"], rewards))
    return pd.DataFrame(rows, columns=["problem", "agent", "budget", "seed", "rewards"])


def test_only_the_longest_studies_run_but_of_agents_that_plan(folder):
    found = raw(folder).groupby(["agent", "budget"]).size().to_dict()
    each = len(PROBLEMS) * SEEDS
    assert found == {("random", LONG): each, ("genetic", LONG): each, ("grid", LONG): each, ("grid", SHORT): each}


def test_the_report_says_what_the_logs_say(folder):
    """Medians by problem and interquartile means by agent: of the best reward in the logs, from scratch."""
    frame = raw(folder)
    optimum = frame.groupby("problem")["rewards"].agg(lambda runs: max(max(r) for r in runs)).to_dict()
    stored = json.loads((resources.files("archgym.suite") / f"{PROBLEMS[1]}.json").read_text())
    optimum[PROBLEMS[1]] = stored["optimum"]["reward"]  # enumerated; nothing is known of the toy but these runs
    report = json.loads((folder / "report" / "report.json").read_text())
    by_problem = {(row["problem"], row["agent"]): row for row in report["by_problem"]}
    by_agent = {row["agent"]: row for row in report["by_agent"]}
    assert len(by_problem) == len(PROBLEMS) * len(AGENTS)
    for budget in (SHORT, LONG):
        own = frame[(frame["budget"] == budget) | ((frame["agent"] != "grid") & (frame["budget"] == LONG))]
        best = own["rewards"].map(lambda rewards, n=budget: max(rewards[:n]))
        gaps = own.assign(gap=own["problem"].map(optimum) - best)
        for (problem, agent), part in gaps.groupby(["problem", "agent"]):
            row = by_problem[problem, agent]
            assert row[f"gap@{budget}"] == pytest.approx(part["gap"].median(), abs=1e-9)
            assert row["optimum"] == ("exact" if problem == PROBLEMS[1] else "best known")
            assert row["seeds"] == SEEDS
        for agent, part in gaps.groupby("agent"):
            middle = np.sort(part["gap"])[2:-2]  # of eight runs
            assert by_agent[agent][f"gap@{budget}"] == pytest.approx(middle.mean(), abs=1e-9)


@pytest.mark.parametrize("agent", ["random", "genetic", "exhaustive"])
def test_what_is_read_off_is_what_a_shorter_study_logs(tmp_path, agent):
    """The very bytes: a study of 12 samples is the beginning of one of 24."""
    rows = {}
    for budget in (SHORT, LONG):
        run(PROBLEMS[0], agent, budget=budget, batch=BATCH, seed=3, out=tmp_path / str(budget))
        rows[budget] = (tmp_path / str(budget) / "trials.jsonl").read_text().splitlines()
    assert rows[LONG][:SHORT] == rows[SHORT]


def test_budgets_to_run():
    assert budgets_to_run("genetic", [50, 1000, 200], 10) == (1000,)
    assert budgets_to_run("grid", [50, 1000, 200], 10) == (50, 200, 1000)
    # After 55 samples in batches of 10 the last ask is one of 5 designs, which a longer study never makes.
    assert budgets_to_run("genetic", [55, 200], 10) == (55, 200)
    assert budgets_to_run(f"{__name__}:Torn", [50, 200], 10) == (50, 200)  # it does not say
    with pytest.raises(UnknownNameError, match="did you mean genetic"):
        budgets_to_run("genetics", [50], 10)


def test_the_text_names_its_conditions_and_links_its_pictures(folder):
    report = folder / "report"
    text = (report / "report.md").read_text()
    tables = [line for line in text.splitlines() if line.startswith("**")]
    assert len(tables) == 2
    for line in tables:
        assert f"track grey, batch {BATCH}, {LONG} samples, {SEEDS} seeds" in line
        assert "gap ln(f/f_opt) to exact optima or the best known of these runs" in line or "runs or exact" in line
    pictures = json.loads((report / "report.json").read_text())["pictures"]
    assert pictures == ["profiles.png", "heat-map.png", "time.png", "curves.png", "violins.png"]
    assert all(f"]({name})" in text for name in pictures)
    assert {p.name for p in report.iterdir()} == {*pictures, "report.md", "report.json"}
    assert sum(p.stat().st_size for p in report.iterdir()) < 1e6
    assert f"`archgym {' '.join(map(str, COMMAND[:6]))}" in text
    assert "grid also ran under the smaller budgets" in text


def test_the_same_command_again_runs_nothing_and_writes_the_same(folder, copy, capsys):
    files = {p.name: p.read_bytes() for p in (folder / "report").iterdir()}
    before = {p: p.stat().st_mtime_ns for p in copy.glob("*/trials.jsonl")}
    status, out, err = call(capsys, *COMMAND, "--out", copy)
    assert (status, err) == (0, "")
    assert {p: p.stat().st_mtime_ns for p in copy.glob("*/trials.jsonl")} == before
    again = {p.name: p.read_bytes() for p in (copy / "report").iterdir()}
    for name in ("report.md", "report.json"):
        assert again.pop(name) == files.pop(name).replace(str(folder).encode(), str(copy).encode())
    assert again == files
    assert "median gap over seeds [95 %]" in out
    assert "interquartile mean gap over 2 problems" in out


def test_sweep_goes_on_with_it_and_report_tells_the_rest(copy, capsys, no_pictures):
    """What was lost is run again by the plan in the folder, and the report's numbers are the same."""
    numbers = json.loads((copy / "report" / "report.json").read_text())
    for path in sorted(copy.glob("g*"))[:3]:
        shutil.rmtree(path)
    status, out, _ = call(capsys, "sweep", copy)
    assert status == 0
    assert "3 studies done" in out
    status, out, _ = call(capsys, "report", copy, "--json")
    found = json.loads(out)
    assert status == 0
    measured = ("ms_per_ask", "simulate_ms")
    for table in ("by_problem", "by_agent"):
        for row, old in zip(found[table], numbers[table], strict=True):
            assert {k: v for k, v in row.items() if k not in measured} == {
                k: v for k, v in old.items() if k not in measured
            }
    assert found["conditions"] == numbers["conditions"]


def test_agents_can_be_shown_under_other_names(copy, capsys, no_pictures):
    numbers = json.loads((copy / "report" / "report.json").read_text())
    status, out, _ = call(capsys, "report", copy, "--name", "luck=ran*", "--against", "luck", "--json")
    found = json.loads(out)
    assert status == 0
    assert found["notes"] == ["luck: random."]
    gaps = {row["agent"]: row[f"gap@{LONG}"] for row in numbers["by_agent"]}
    renamed = {row["agent"]: row[f"gap@{LONG}"] for row in found["by_agent"]}
    assert renamed == {"luck" if agent == "random" else agent: gap for agent, gap in gaps.items()}
    status, _, err = call(capsys, "report", copy, "--name", "luck=x*")
    assert status == 2
    assert "agent like" in err
    status, _, err = call(capsys, "report", copy, "--name", "luck")
    assert status == 2
    assert "NAME=PATTERN" in err


def test_one_name_for_agents_that_share_no_problem(tmp_path):
    # As with policies, each trained for its own problems: both are the agent with a policy.
    for i, agent in enumerate(("genetic", "random")):
        write_study(tmp_path / agent, [1.0, 2.0 + i], agent=agent)
    runs = archgym.load(tmp_path).renamed({"genetic": "mine", "random": "mine"})
    assert runs.studies["agent_label"].tolist() == ["mine", "mine"]
    assert runs.studies["agent"].tolist() == ["genetic", "random"]
    assert runs.select(runs.studies).studies["agent_label"].tolist() == ["mine", "mine"]


def test_more_seeds_join_those_that_are_there(copy, capsys, no_pictures):
    before = {p.name for p in copy.glob("*-s*")}
    status, out, _ = call(capsys, *COMMAND[:-4], "--seeds", SEEDS + 1, "--batch", BATCH, "--out", copy, "--json")
    assert status == 0
    assert json.loads(out)["seeds"] == [0, 1, 2, 3, 4]
    new = {p.name for p in copy.glob("*-s*")} - before
    assert len(new) == len(PROBLEMS) * (len(AGENTS) + 1)
    # and with fewer the others in the folder are left aside
    _, out, _ = call(capsys, *COMMAND[:-4], "--seeds", 2, "--batch", BATCH, "--out", copy, "--json")
    assert json.loads(out)["seeds"] == [0, 1]


def test_a_study_that_is_not_complete_takes_its_seed_with_it(copy, capsys, no_pictures):
    victim = next(p for p in sorted(copy.glob("genetic-s2-*")) if "toys" in (p / "spec.json").read_text())
    lines = (victim / "trials.jsonl").read_text().splitlines(keepends=True)
    (victim / "trials.jsonl").write_text("".join(lines[:7]))
    status, out, _ = call(capsys, "report", copy, "--json")
    found = json.loads(out)
    assert status == 0
    assert found["seeds"] == [0, 1, 3]
    assert found["notes"] == ["Left out: 1 of 4 seeds (2); 1 studies are not complete."]
    assert found["notes"][0] in (copy / "report" / "report.md").read_text()


def test_a_failed_study_is_status_1_and_the_rest_is_reported(tmp_path, monkeypatch, capsys, no_pictures):
    monkeypatch.chdir(tmp_path)
    command = (
        "compare",
        PROBLEMS[0],
        "--agents",
        f"random,{__name__}:Torn",
        "--budgets",
        6,
        "--batch",
        6,
        "--seeds",
        3,
    )
    status, out, _ = call(capsys, *command, "--out", "out")
    assert status == 1
    assert "RuntimeError: seed 1 is no good" in out
    assert "Left out: 1 of 3 seeds (1)" in out
    assert json.loads(Path("out/report/report.json").read_text())["seeds"] == [0, 2]
    # with nothing whole there is nothing to report: one line that says how to go on
    status, out, err = call(capsys, "report", "out", "--agents", "random")
    assert status == 0
    for path in Path("out").glob("random-*/done.json"):
        path.unlink()
        (path.parent / "trials.jsonl").write_text("")
    status, _, err = call(capsys, "report", "out", "--agents", "random")
    assert status == 2
    assert "go on with: archgym sweep out" in err
    assert err.count("\n") == 1


def test_ctrl_c_is_status_130_with_the_command_that_goes_on(tmp_path, monkeypatch, capsys):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(planned_runs, "sweep", interrupted)
    status, out, err = call(capsys, *COMMAND, "--jobs", 2)
    (folder,) = Path("results").iterdir()
    assert (status, out) == (130, "")
    assert err.endswith(f"go on with: archgym {' '.join(map(str, COMMAND))} --out {folder} --jobs 2\n")
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    assert len(json.loads((folder / "plan.json").read_text())["grid"]) == 2  # `archgym sweep` could go on, too


def test_the_margin(folder, tmp_path, capsys, no_pictures):
    status, out, _ = call(
        capsys, "report", folder, "--against", "random", "--margin", 9, "--out", tmp_path / "r", "--json"
    )
    assert status == 0
    found = json.loads(out)
    assert found["against"] == "random"
    tests = [(t["budget"], t["agent"], t["shown"]) for t in found["non_inferiority"]]
    assert tests == [(budget, name, True) for budget in found["budgets"] for name in ("genetic", "grid")]
    means = {r["agent"]: r for r in found["by_agent"]}
    assert means["random"]["better"] == 0.5
    text = (tmp_path / "r" / "report.md").read_text()
    assert "is random worse than the others by less than 9 in gap?" in text
    status, out, _ = call(capsys, "report", folder, "--against", "random", "--margin", 0, "--out", tmp_path / "r")
    assert "not shown" in out  # nobody is better than himself by chance alone: random is no better than genetic


def test_report_of_mixed_studies_asks_which(tmp_path, capsys, no_pictures):
    for agent in ("random", "genetic"):
        for batch in (1, 2):
            write_study(tmp_path / f"{agent}{batch}", [1.0, 2.0], agent=agent, batch=batch)
    status, _, err = call(capsys, "report", tmp_path)
    assert status == 2
    assert "one batch, got" in err
    status, out, _ = call(capsys, "report", tmp_path, "--batch", 2, "--json")
    assert (status, json.loads(out)["batch"]) == (0, 2)
    status, _, err = call(capsys, "report", tmp_path, "--batch", 3)
    assert (status, "expected one of" in err) == (2, True)


def test_report_says_who_planned_for_more(tmp_path, capsys, no_pictures):
    """A grid that was planned for 20 samples is no grid of 10; nothing else in the folder tells."""
    for agent in ("grid", "random"):
        write_study(tmp_path / agent, [1.0, 2.0, 3.0], agent=agent)
    _, out, _ = call(capsys, "report", tmp_path, "--budgets", "1,3", "--json")
    assert json.loads(out)["conditions"].endswith("grid planned for 3")


def test_a_problem_in_which_nothing_is_feasible_is_left_out(tmp_path, capsys, no_pictures):
    for agent in ("genetic", "random"):
        write_study(tmp_path / agent, [1.0, 2.0], agent=agent)
        write_study(tmp_path / f"{agent}-no", [None, None], agent=agent, problem=toys.spec(objective="latency"))
    status, out, _ = call(capsys, "report", tmp_path, "--json")
    found = json.loads(out)
    assert status == 0
    (note,) = found["notes"]
    assert note.endswith("/latency, in which no run found anything feasible.")
    assert {row["problem"].rpartition("/")[2] for row in found["by_problem"]} == {"edp"}


def test_limits_to_meet_are_reported_as_success(tmp_path, capsys):
    command = ("compare", "dram-rl-gen-hotrow-budgets", "--agents", "random,genetic", "--budgets", "10,20")
    status, out, _ = call(capsys, *command, "--seeds", 2, "--margin", 0.1, "--out", tmp_path, "--json")
    found = json.loads(out)
    assert status == 0
    assert found["by_problem"] == found["non_inferiority"] == []
    assert [row["agent"] for row in found["by_success"]] == ["genetic", "random"]
    assert all(0 <= row["success@20"] <= 1 for row in found["by_success"])
    assert found["pictures"] == ["success.png"]
    text = (tmp_path / "report" / "report.md").read_text()
    assert "limits met@20" in text
    assert "(success.png)" in text


def test_a_tier_is_all_its_problems():
    specs = planned_runs.chosen_problems(["easy", "dram-ddr4-gen-strided-edp"], Problems())
    assert len(specs) == len([name for name in PROBLEMS_OF_THE_SUITE if tier(name) == "easy"])
    assert PROBLEMS_OF_THE_SUITE["dram-ddr4-gen-strided-edp"] in specs  # once, though it was named again


def test_gaps_are_from_the_suites_best_known_until_a_run_is_better(tmp_path, monkeypatch):
    """Facts that are not exact: an optimum of reward 5 in the store, runs that reach 4, then 6."""
    write_study(tmp_path / "a", [1.0, 4.0])
    (problem,) = archgym.load(tmp_path).problems.values()
    facts = {"fingerprint": problem.fingerprint, "optimum_kind": "best known", "optimum": {"reward": 5.0}}
    monkeypatch.setattr("archgym.experiments.curves.SUITE", {"here": SUITE["dram-ddr4-gen-strided-edp"]})
    monkeypatch.setattr("archgym.experiments.curves.stored_facts", lambda name: {**facts, "median_gap": 3.5})
    found = compare(archgym.load(tmp_path))
    assert found.curves.gaps.tolist() == [[[[4, 1]]]]
    assert found.curves.caps.tolist() == [3.5]
    assert found.conditions.endswith("gap ln(f/f_opt) to the suite's best known")
    write_study(tmp_path / "b", [6.0, 4.0], seed=1)
    assert compare(archgym.load(tmp_path)).curves.gaps.tolist() == [[[[5, 2], [0, 0]]]]


BAD = [
    (("compare", "dram-ddr4-gen-strided-edb", "--agents", "random"), "did you mean dram-ddr4-gen-strided-edp"),
    (("compare", PROBLEMS[0], "--agents", "random,genetics"), "did you mean genetic"),
    (("compare", PROBLEMS[0], "--agents", "random,,genetic"), "names with commas"),
    (("compare", PROBLEMS[0], "--agents", "random", "--budgets", "50,two"), "whole numbers from 1"),
    (("compare", PROBLEMS[0], "--agents", "random", "--budgets", "0"), "whole numbers from 1"),
    (("compare", PROBLEMS[0], "--agents", "random", "--seeds", "0"), "--seeds: expected at least 1"),
    (("compare", PROBLEMS[0], "--agents", "random", "--jobs", "0"), "--jobs: expected at least 1"),
    (("compare", PROBLEMS[0], "--agents", "random", "--track", "gray"), "did you mean grey"),
    (("compare", PROBLEMS[0], "--agents", "random", "--against", "genetic"), "agent of --against"),
    (("compare", PROBLEMS[0], "--agents", "random", "--margin", "-1"), "--margin: expected a gap of at least 0"),
    (("compare", PROBLEMS[0], "--agents", "random", "--margin", "0.1", "--seeds", "1"), "two seeds"),
    (("compare", PROBLEMS[0]), "--agents"),
    (("report", "nowhere"), "expected a study folder"),
]


@pytest.mark.parametrize(("arguments", "hint"), BAD, ids=[" ".join(a[2:]) or a[1] for a, _ in BAD])
def test_bad_input_is_one_line_with_a_hint(capsys, tmp_path, monkeypatch, arguments, hint):
    monkeypatch.chdir(tmp_path)
    status, out, err = call(capsys, *arguments)
    assert (status, out) == (2, "")
    assert err.startswith("archgym: ")
    assert err.count("\n") == 1
    assert hint in err
    assert list(tmp_path.iterdir()) == []


def test_report_of_unknown_agents(folder, tmp_path, capsys, no_pictures):
    status, _, err = call(capsys, "report", folder, "--agents", "genetics", "--out", tmp_path / "r")
    assert (status, "did you mean genetic" in err) == (2, True)
    status, out, _ = call(capsys, "report", folder, "--agents", "grid, random", "--out", tmp_path / "r", "--json")
    assert {row["agent"] for row in json.loads(out)["by_agent"]} == {"grid", "random"}


def test_a_folder_that_cannot_be_made(folder, tmp_path, capsys):
    (tmp_path / "file").touch()
    status, _, err = call(capsys, "report", folder, "--out", tmp_path / "file" / "r")
    assert (status, "cannot write the report" in err, err.count("\n")) == (2, True, 1)


def test_listing_does_not_wait_for_matplotlib():
    code = "import sys, archgym.experiments.cli; print('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_every_agent_can_be_held_against_every_other(copy, capsys, no_pictures):
    status, out, _ = call(capsys, "report", copy, "--against", "random", "--pairs", "--json")
    found = json.loads(out)
    assert status == 0
    pairs = {(row["agent"], row["other"]): row for row in found["pairs"]}
    agents = [row["agent"] for row in found["by_agent"]]
    assert set(pairs) == {(a, b) for a in agents for b in agents if a != b}
    for row in found["by_agent"]:  # the column of the table against random is one column of the matrix
        if row["agent"] != "random":
            cells = pairs[row["agent"], "random"]
            assert all(row[key] == cells[key] for key in cells if key not in ("agent", "other"))
            assert cells["better_area"] + pairs["random", row["agent"]]["better_area"] == pytest.approx(1)
    assert f"| {agents[0]} | - | " in (copy / "report" / "report.md").read_text()
    assert "--pairs" in found["command"]


def test_a_report_of_some_of_the_studies(copy, capsys, no_pictures):
    status, out, _ = call(capsys, "report", copy, "--where", "seed < 2 and agent == 'random'", "--json")
    found = json.loads(out)
    assert status == 0
    assert found["seeds"] == [0, 1]
    assert [row["agent"] for row in found["by_agent"]] == ["random"]
    assert "--where 'seed < 2 and agent == '" in found["command"]
    for query, text in (
        ("seed <", "expected a condition on study, hash"),
        ("sed < 2", "sed"),
        ("seed > 99", "no study"),
    ):
        status, _, err = call(capsys, "report", copy, "--where", query)
        assert status == 2
        assert "--where" in err
        assert text in err
        assert err.count("\n") == 1
