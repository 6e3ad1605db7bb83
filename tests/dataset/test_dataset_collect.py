"""Collected data sets: parts that follow from seed and number alone, made in any order, after any kill."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import toys
from hypothesis import given
from hypothesis import strategies as st

from archgym.dataset.collect import collect, parse_mix, plan_parts
from archgym.dataset.dataset import Dataset
from archgym.errors import LogError, UnknownNameError, UsageError
from archgym.log import lock
from archgym.problem import Problem

MIX = "random:0.5,genetic:0.3,annealing:0.2"


def contents(folder):
    """Path below the folder -> bytes, of all files."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "set"
    collect(toys.problem(), folder, n=100, mix=MIX, seed=3, batch=5, size=15)
    return folder


def test_a_mixture_has_its_shares(whole):
    agents = Dataset(whole).frame(["agent"])["agent"]
    assert agents.value_counts().to_dict() == {"random": 50, "genetic": 30, "annealing": 20}


def test_parts_are_made_again_byte_for_byte(whole, tmp_path):
    folder = tmp_path / "set"
    collect(toys.problem(), folder, n=100, mix=MIX, seed=3, batch=5, size=15)
    assert without_name(contents(folder)) == without_name(contents(whole))
    lost = sorted(folder.rglob("*.parquet"))[::2]
    for part in lost:
        part.unlink()
    dataset = Dataset(folder)
    assert len(dataset.missing) == len(lost)
    assert len(dataset) < 100  # what is there can be read
    collect(toys.problem(), folder, n=100, mix=MIX, seed=3, batch=5, size=15, executor="threads", jobs=2)
    assert without_name(contents(folder)) == without_name(contents(whole))
    assert not Dataset(folder).missing


def without_name(files):
    return {name: content for name, content in files.items() if name != "README.md"}  # it names the folder


def test_another_seed_has_other_designs(whole, tmp_path):
    other = collect(toys.problem(), tmp_path / "set", n=100, mix=MIX, seed=4, batch=5, size=15)
    assert Dataset(whole).frame(["design"])["design"].tolist() != other.frame(["design"])["design"].tolist()
    seeds = Dataset(whole).frame(["study", "seed"]).drop_duplicates()
    assert seeds["seed"].is_unique  # no two runs are the same


def test_progress_begins_where_an_earlier_call_ended(whole, tmp_path):
    seen = []
    collect(toys.problem(), whole, n=100, mix=MIX, seed=3, batch=5, size=15, on_rows=lambda *a: seen.append(a))
    assert seen == [(100, 100)]
    seen.clear()
    collect(toys.problem(), tmp_path / "set", n=20, mix="random", batch=5, on_rows=lambda *a: seen.append(a))
    assert seen == [(0, 20), (5, 20), (10, 20), (15, 20), (20, 20)]


def test_a_kill_loses_one_part_at_most(tmp_path):
    # ToySlow takes 5 ms a design: 80 parts of 10 rows take 4 s, and the process is killed after some of them.
    call = "collect(toys.problem('toys:ToySlow'), 'set', n=800, mix='random', batch=5, size=10)"
    script = f"import toys\nfrom archgym.dataset.collect import collect\n{call}"
    environment = {**os.environ, "PYTHONPATH": str(Path(toys.__file__).parent)}
    process = subprocess.Popen([sys.executable, "-c", script], cwd=tmp_path, env=environment)
    folder = tmp_path / "set"
    while len(list(folder.rglob("*.parquet"))) < 3:
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.wait()
    kept = contents(folder)
    assert 3 <= len([name for name in kept if name.endswith(".parquet")]) < 80
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=environment, check=True)
    dataset = Dataset(folder)
    assert len(dataset) == 800
    assert {n: c for n, c in kept.items() if not n.endswith(".part")}.items() <= contents(folder).items()
    assert not [name for name in contents(folder) if name.endswith(".part")]


@pytest.mark.parametrize(
    ("change", "text"),
    [({"n": 99}, "n 100, not 99"), ({"seed": 1}, "seed 3, not 1"), ({"mix": "random"}, "mix"), ({"size": 20}, "size")],
    ids=["n", "seed", "mix", "size"],
)
def test_a_folder_that_holds_another_data_set_is_refused(whole, change, text):
    arguments = {"n": 100, "mix": MIX, "seed": 3, "batch": 5, "size": 15, **change}
    with pytest.raises(UsageError, match=text):
        collect(toys.problem(), whole, **arguments)


def test_another_simulator_option_is_another_data_set(whole):
    with pytest.raises(UsageError, match="sources"):
        collect(toys.problem(sim={"scale": 2.0}), whole, n=100, mix=MIX, seed=3, batch=5, size=15)


def test_two_processes_do_not_collect_into_one_folder(tmp_path):
    collect(toys.problem(), tmp_path / "set", n=20, mix="random", size=10)
    next((tmp_path / "set").rglob("*.parquet")).unlink()
    with open(tmp_path / "set" / "dataset.json", "ab") as other:  # what another process holds while it collects
        lock(other, tmp_path / "set")
        with pytest.raises(LogError, match="being written by another process"):
            collect(toys.problem(), tmp_path / "set", n=20, mix="random", size=10)
    assert len(collect(toys.problem(), tmp_path / "set", n=20, mix="random", size=10)) == 20


def test_folders_with_other_things_are_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(UsageError, match="not empty"):
        collect(toys.problem(), tmp_path, n=5, mix="random")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        ({"n": 0}, UsageError, "n of at least 1"),
        ({"batch": 0}, UsageError, "batch of at least 1"),
        ({"size": 0}, UsageError, "size of at least 1"),
        ({"mix": "randm:1"}, UnknownNameError, "random"),
        ({"mix": "random:0"}, UsageError, "positive"),
        ({"mix": "random,random"}, UsageError, "distinct"),
        ({"mix": ""}, UsageError, "AGENT:SHARE"),
        ({"mix": "exhaustive", "n": 500}, UsageError, "no more designs"),
    ],
    ids=["n", "batch", "size", "name", "share", "twice", "empty", "ends"],
)
def test_wrong_requests(tmp_path, change, error, text):
    with pytest.raises(error, match=text):
        collect(toys.problem(), tmp_path / "set", **{"n": 10, "mix": "random", **change})


@given(
    st.dictionaries(st.sampled_from(["random", "genetic", "annealing", "grid"]), st.floats(0.01, 100), min_size=1),
    st.integers(1, 5000),
    st.integers(1, 700),
)
def test_parts_add_up(weights, n, size):
    problem = PROBLEM
    shares = parse_mix(",".join(f"{agent}:{weight!r}" for agent, weight in weights.items()))
    parts = plan_parts(problem, shares, n, seed=0, batch=10, size=size)
    assert sum(part.rows for part in parts) == n
    assert all(1 <= part.rows <= size for part in parts)
    assert len({part.file for part in parts}) == len({part.spec.seed for part in parts}) == len(parts)
    for agent, share in shares.items():  # by largest remainder: never more than one row off
        assert abs(sum(p.rows for p in parts if p.spec.agent == agent) - share * n) < 1


PROBLEM = toys.problem()


def test_a_mix_may_name_agents_alone_and_classes():
    assert parse_mix("random,genetic") == {"random": 0.5, "genetic": 0.5}
    assert parse_mix("my.module:Agent:3,random:1") == {"my.module:Agent": 0.75, "random": 0.25}


def test_impossible_designs_are_rows_without_metrics(tmp_path):
    problem = Problem(toys.spec())
    frame = collect(problem, tmp_path / "set", n=300, mix="random", size=60).frame()
    e = problem.evaluate(problem.space.encode(frame[[f"param.{n}" for n in problem.space.names]].rename(
        columns=lambda name: name.removeprefix("param."))))  # fmt: skip
    assert set(frame.loc[~frame["valid"], "reason"]) == {"too thin", "violates room"}
    np.testing.assert_array_equal(frame["valid"], np.isfinite(e.metrics["latency"]))
