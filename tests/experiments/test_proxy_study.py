"""Studies of proxies: what is learnt and tested, and the pages that come of it."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from archgym.dataset.collect import collect
from archgym.dataset.learning import lessons
from archgym.dataset.splits import groups
from archgym.errors import UsageError
from archgym.experiments import proxy_study
from archgym.experiments.cli import main
from archgym.experiments.proxy_study import MIXED, Curves, learning_curves, source_curves, speeds
from archgym.problem import Problem, ProblemSpec


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    problem = Problem(ProblemSpec("tabular", ("cloud-1",), "edp", sim={"table": "dram-rl-cloud-1"}))
    return collect(problem, tmp_path_factory.mktemp("data") / "set", n=900, mix="random:0.5,genetic:0.5", batch=50)


PLAN = Curves(rows=(60, 240), models=("lightgbm", "additive"), seeds=(0, 1), test=0.4)


def test_errors_fall_with_the_rows_that_are_learnt(data):
    steps = []
    table = learning_curves(lessons(data), PLAN, lambda done, todo: steps.append((done, todo)))
    assert steps == [(i + 1, 8) for i in range(8)]
    assert len(table) == 2 * 2 * 2 * 2  # rows, models, seeds, metrics
    means = table.groupby(["metric", "model", "rows"])["mape"].mean()
    for metric in ("latency", "energy"):
        assert means[metric, "lightgbm", 240] < 0.7 * means[metric, "lightgbm", 60]
        assert means[metric, "lightgbm", 240] < means[metric, "additive", 240]
    again = learning_curves(lessons(data), PLAN)
    pd.testing.assert_frame_equal(table, again)


def test_nothing_that_is_tested_was_learnt(data, monkeypatch):
    known, seen = lessons(data), []
    learnt, judged = proxy_study._learnt, proxy_study.score
    monkeypatch.setattr(
        proxy_study, "_learnt", lambda k, kind, rows, seed: seen.append(rows) or learnt(k, kind, rows, seed)
    )
    monkeypatch.setattr(proxy_study, "score", lambda m, k, rows: seen.append(rows) or judged(m, k, rows))
    source_curves(known, Problem(data.source.problem), Curves((60,), ("additive",), (0,)))
    which, agents = groups(known.frame), known.frame["agent"].to_numpy()
    fits, tests = seen[::3], seen[1::3] + seen[2::3]
    assert [set(agents[rows]) for rows in fits] == [{"genetic"}, {"random"}, {"genetic", "random"}]
    assert [len(rows) for rows in fits] == [60, 60, 60]
    for rows in fits:
        assert not set(which[rows]) & set(which[np.concatenate(tests)])


def test_where_rows_come_from_decides_what_is_known(data):
    """Rows of random search say most about random designs, those of a genetic search about the best ones."""
    plan = Curves((150,), ("lightgbm",), (0, 1))
    table = source_curves(lessons(data), Problem(data.source.problem), plan)
    means = table.groupby(["metric", "region", "agent"])["mape"].mean()["latency"]
    assert means["uniform", "random"] < means["uniform", "genetic"]
    assert means["elite", "genetic"] < means["elite", "random"]
    assert set(table["agent"]) == {"random", "genetic", MIXED}


def test_speeds_are_taken_of_models_and_simulator(data):
    table = speeds(lessons(data), Problem(data.source.problem), ["additive"], 60)
    assert table["what"].tolist() == ["simulator", "simulator, a process each", "additive"]
    assert (table[["us_batch", "us_single"]] > 0).all(axis=None)
    assert table["us_single"][1] > table["us_single"][0]
    beside = replace(lessons(data), lower={"latency": np.ones(len(lessons(data)))})
    with pytest.raises(UsageError, match="speed of models beside a lower fidelity is not measured"):
        speeds(beside, Problem(data.source.problem), ["additive"], 60)


def test_the_command_writes_a_page(data, tmp_path, capsys):
    arguments = [
        "proxy",
        "study",
        str(data.folder),
        "--out",
        str(tmp_path / "page"),
        "--rows",
        "60,120",
        "--seeds",
        "1",
    ]
    with pytest.raises(SystemExit) as stop:
        main([*arguments, "--models", "additive,lightgbm", "--by-agent", "--speed"])
    assert stop.value.code == 0
    page = (tmp_path / "page" / "README.md").read_text()
    for part in ("**By model**", "**By whose rows were learnt**", "times the simulator, batch", "| latency | 60 |"):
        assert part in page
    for name in ("curves", "sources"):
        with Image.open(tmp_path / "page" / f"{name}.png") as picture:
            assert picture.size[0] == 1400
        assert len(pd.read_csv(tmp_path / "page" / f"{name}.csv")) > 0
    capsys.readouterr()
    for option, value, message in (
        ("--rows", "sixty", "expected whole numbers such as 100,500, got 'sixty'"),
        ("--rows", "100000", "expected at least 100000 rows to learn from, got"),
        ("--split", "none", "expected one of leak-free, random, got 'none'"),
    ):
        with pytest.raises(SystemExit) as stop:
            main([*arguments, option, value])
        assert stop.value.code == 2
        assert message in capsys.readouterr().err


def test_one_agent_is_no_comparison(tmp_path):
    problem = Problem(ProblemSpec("tabular", ("cloud-1",), "edp", sim={"table": "dram-rl-cloud-1"}))
    alone = collect(problem, tmp_path / "set", n=100, mix="random", batch=50)
    with pytest.raises(UsageError, match="expected rows of several agents, got those of random"):
        source_curves(lessons(alone), problem, Curves((20,)))
