"""Splits: no test row is known to the training side under another name."""

import hashlib

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archgym.dataset.collect import collect
from archgym.dataset.splits import folds, groups, held_back, leak_free
from archgym.errors import UnknownNameError, UsageError
from archgym.problem import Problem, ProblemSpec


def frame(designs, outcomes, **columns):
    """Rows with these designs and one metric; None is an impossible design."""
    values = [np.nan if v is None else float(v) for v in outcomes]
    return pd.DataFrame({"design": designs, "source": "s", "metric.latency": values, **columns})


rows = st.lists(st.tuples(st.integers(0, 12), st.one_of(st.none(), st.integers(0, 6))), min_size=2, max_size=60)


def linked(a, b, table):
    """By the definition: one design, or equal metrics."""
    return table[a][0] == table[b][0] or (table[a][1] is not None and table[a][1] == table[b][1])


@given(rows)
def test_groups_are_the_connected_rows(table):
    # Oracle: the transitive closure, by joining groups until nothing changes.
    which = list(range(len(table)))
    for a in range(len(table)):
        for b in range(a):
            if linked(a, b, table) and which[a] != which[b]:
                old, new = which[a], which[b]
                which = [new if w == old else w for w in which]
    found = groups(frame(*zip(*table, strict=True))).tolist()
    pairs = [(a, b) for a in range(len(table)) for b in range(a)]
    assert all((found[a] == found[b]) == (which[a] == which[b]) for a, b in pairs)
    assert sorted(set(found)) == list(range(len(set(found))))


@given(rows, st.floats(0.05, 0.95), st.integers(0, 5))
def test_no_test_row_equals_a_training_row(table, share, seed):
    data = frame(*zip(*table, strict=True))
    if groups(data).max() == 0:
        with pytest.raises(UsageError, match="at least 2 distinct"):
            leak_free(data, share, seed=seed)
        return
    split = leak_free(data, share, seed=seed)
    assert sorted([*split.train, *split.test]) == list(range(len(table)))
    assert not any(linked(a, b, table) for a in split.train for b in split.test)
    assert len(split.train)
    assert len(split.test)
    again = leak_free(data, share, seed=seed)
    assert (again.test == split.test).all()
    assert again.digest == split.digest


@given(rows, st.integers(2, 5), st.integers(0, 5))
def test_folds_divide_the_rows(table, k, seed):
    data = frame(*zip(*table, strict=True))
    if groups(data).max() + 1 < k:
        with pytest.raises(UsageError, match="folds"):
            folds(data, k, seed=seed)
        return
    found = list(folds(data, k, seed=seed))
    assert sorted(i for split in found for i in split.test) == list(range(len(table)))
    for split in found:
        assert len(split.test)
        assert sorted([*split.train, *split.test]) == list(range(len(table)))
        assert not any(linked(a, b, table) for a in split.train for b in split.test)


def test_the_test_side_has_the_share_that_was_asked():
    data = frame(range(1000), range(1000))  # every row alone: exactly
    assert len(leak_free(data, 0.2).test) == 200
    pairs = frame([i // 2 for i in range(1000)], [i // 2 for i in range(1000)])
    assert len(leak_free(pairs, 0.25).test) in (250, 251, 252)
    other = leak_free(data, 0.2, seed=1)
    assert (other.test != leak_free(data, 0.2).test).any()


def test_the_digest_names_the_designs_of_the_test_side():
    split = leak_free(frame([5, 6, 7, 8], [1, 2, 3, 4]), 0.5)
    designs = sorted(str(5 + i) for i in split.test)
    assert split.digest == hashlib.sha256("\n".join(designs).encode()).hexdigest()


def test_on_an_enumerated_memory_controller_outcomes_are_few(tmp_path):
    # A table of 442,368 raw designs whose outcomes are a few thousand: a plain random split tests on known rows.
    problem = Problem(ProblemSpec("tabular", ("stream",), "latency", sim={"table": "dram-rl-stream"}))
    data = collect(problem, tmp_path / "set", n=1500, mix="random").frame(["design", "metric.*", "source"])
    metrics = [c for c in data.columns if c.startswith("metric.")]
    plain = np.random.default_rng(0).permutation(len(data))
    known = {tuple(row) for row in data[metrics].to_numpy()[plain[300:]].tolist()}
    leaks = sum(tuple(row) in known for row in data[metrics].to_numpy()[plain[:300]].tolist())
    assert leaks > 150
    split = leak_free(data, 0.2)
    known = {tuple(row) for row in data[metrics].to_numpy()[split.train].tolist()}
    assert not any(tuple(row) in known for row in data[metrics].to_numpy()[split.test].tolist())


def test_held_back_values_are_the_test_side():
    # agent b found design 3 that a found as well, and one (9) with the outcome of a's design 1.
    data = frame([1, 2, 3, 3, 9, 5], [10, 20, 30, 30, 10, 50], agent=["a", "a", "a", "b", "b", "b"])
    split = held_back(data, "agent", "b")
    assert split.test.tolist() == [3, 4, 5]
    assert split.train.tolist() == [1]
    assert held_back(data, "agent", ["b"]).train.tolist() == [1]


def test_on_another_workload_a_design_is_another_row():
    # Design 1 on both workloads, with other outcomes: what is asked is whether a model carries over to the workload.
    data = frame([1, 2, 1, 2], [10, 20, 11, 21], workload=["w", "w", "v", "v"])
    data["source"] = data["workload"]
    split = held_back(data, "workload", "v")
    assert (split.train.tolist(), split.test.tolist()) == ([0, 1], [2, 3])
    # but a random split keeps a design on one side, whatever the workload
    assert groups(data).tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize(
    ("ask", "error", "text"),
    [
        (lambda d: leak_free(d, 0), UsageError, "between 0 and 1"),
        (lambda d: leak_free(d, 1.0), UsageError, "between 0 and 1"),
        (lambda d: leak_free(d.drop(columns="design")), UsageError, "column 'design'"),
        (lambda d: leak_free(d.iloc[:0]), UsageError, "at least 2"),
        (lambda d: folds(d, 1), UsageError, "folds"),
        (lambda d: held_back(d, "agents", "a"), UnknownNameError, "agent"),
        (lambda d: held_back(d, "agent", "c"), UsageError, "it has a, b"),
        (lambda d: held_back(d, "agent", ["a", "b"]), UsageError, "it has a, b"),
        (lambda d: held_back(d.assign(design=1), "agent", "a"), UsageError, "nothing is left"),
    ],
    ids=["nothing", "all", "no design", "empty", "one fold", "column", "value", "all values", "all equal"],
)
def test_what_cannot_be_split(ask, error, text):
    data = frame([1, 2, 3, 4], [10, 20, 30, 40], agent=["a", "a", "b", "b"])
    with pytest.raises(error, match=text):
        ask(data)


def test_minus_zero_is_zero_and_all_metrics_count():
    data = pd.DataFrame({"design": [1, 2, 3], "metric.a": [0.0, -0.0, 0.0], "metric.b": [1.0, 1.0, np.nan]})
    assert groups(data).tolist() == [0, 0, 1]
    assert groups(data, ["metric.a"]).tolist() == [0, 0, 0]
