"""``archgym table export``: every distinct design once, with the numbers of the simulator, bit for bit."""

import json

import numpy as np
import pandas as pd
import pytest

from archgym.errors import UsageError
from archgym.experiments.cli import main
from archgym.problem import Problem
from archgym.suite.export import export
from archgym.suite.problems import PROBLEMS, SUITE

NAME = "systolic-alexnet-edp-1k"


def call(capsys, *arguments):
    with pytest.raises(SystemExit) as caught:
        main([str(a) for a in arguments])
    out, err = capsys.readouterr()
    return caught.value.code, out, err


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".parquet"])
def test_a_file_holds_the_whole_problem(suffix, tmp_path):
    problem, path = Problem(PROBLEMS[NAME]), tmp_path / f"all{suffix}"
    passed = []
    assert export(problem, path, on_chunk=lambda done, total: passed.append((done, total))) == 1296
    assert passed == [(1296, 1296)]
    assert [f.name for f in tmp_path.iterdir()] == [path.name]
    frame = pd.read_parquet(path) if suffix == ".parquet" else pd.read_csv(path)
    codes = problem.space.encode(
        [{n: row[f"param.{n}"] for n in problem.space.names} for row in frame.to_dict("records")]
    )
    assert len(np.unique(problem.space.keys(codes))) == len(frame) == problem.space.size
    e = problem.evaluate(codes)
    for name, column in e.metrics.items():
        assert np.array_equal(frame[f"metric.{name}"].to_numpy(float), column, equal_nan=True), name
    for i, name in enumerate(problem.constraint_names):
        assert np.array_equal(frame[f"violation.{name}"].to_numpy(float), e.violations[:, i]), name
    assert (frame["reward"] == e.reward).all()
    assert (frame["feasible"] == e.feasible).all()
    assert (frame["reason"] == e.reason).all()


def test_several_chunks_make_one_file(tmp_path, monkeypatch):
    monkeypatch.setattr("archgym.suite.export._CHUNK", 500)
    problem = Problem(PROBLEMS[NAME])
    for name in ("a.csv", "a.csv.gz", "a.parquet"):
        export(problem, tmp_path / name)
    a, b = pd.read_csv(tmp_path / "a.csv"), pd.read_csv(tmp_path / "a.csv.gz")
    assert len(a) == 1296
    assert a.equals(b)
    assert len(pd.read_parquet(tmp_path / "a.parquet")) == 1296


def test_what_cannot_be_exported(tmp_path):
    with pytest.raises(UsageError, match=r"ends in \.csv"):
        export(Problem(PROBLEMS[NAME]), tmp_path / "all.txt")
    with pytest.raises(UsageError, match="existing folder"):
        export(Problem(PROBLEMS[NAME]), tmp_path / "no" / "all.csv")
    with pytest.raises(UsageError, match="too many to export, expected at most 5,000,000; restrict"):
        export(Problem("systolic/alexnet/edp"), tmp_path / "all.csv")
    assert list(tmp_path.iterdir()) == []


def test_the_commands(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, out, _ = call(capsys, "table", "export", f"{NAME}~2")
    assert (status, "1296 designs" in out) == (0, True)
    assert len(pd.read_parquet(f"{NAME}~2.parquet")) == 1296
    assert call(capsys, "table", "export", "systolic/alexnet/edp", "--out", "a.csv")[0] == 2


def test_the_list_of_problems(capsys):
    status, out, _ = call(capsys, "list", "problems")
    assert status == 0
    for name, entry in SUITE.items():
        (line,) = [line for line in out.splitlines() if line.split()[:1] == [name]]
        assert entry.tier in line
        assert entry.tier == "unrated" or entry.optimum in line
    assert "dummy data, not evidence about BOOM" in out
    assert out == call(capsys, "suite", "list")[1]
    answer = json.loads(call(capsys, "suite", "list", "--json")[1])
    assert set(answer) == set(SUITE)
    assert answer[NAME]["facts"]["designs"] == 1296
    assert list(SUITE) == json.loads(call(capsys, "list", "problems", "--json")[1])["problems"]


def test_facts_of_any_problem_by_command(capsys, tmp_path):
    out = tmp_path / "facts.json"
    assert call(capsys, "suite", "build", NAME, "--out", out)[0] == 0
    assert json.loads(out.read_text()) == json.loads(json.dumps(answer_of(capsys)))


def answer_of(capsys):
    return json.loads(call(capsys, "suite", "list", "--json")[1])[NAME]["facts"]
