"""The tables that ship with the suite hold what the simulator returns, bit for bit."""

import numpy as np
import pytest

from archgym import rng
from archgym.problem import Problem, ProblemSpec
from archgym.suite.problems import PROBLEMS
from archgym.table_file import load_table, table_names

NAMES = [name for name in table_names() if name != "boom-iccad22"]  # whose simulator nobody has: see test_suite_boom


def compare(name, n):
    table = load_table(name)
    (results,) = table.workloads
    levels = {p.name: p.levels for p in table.space.parameters}
    problem = Problem(ProblemSpec(table.simulator, (results.name,), "latency", sim=dict(table.config), space=levels))
    served = Problem(ProblemSpec("tabular", (results.name,), "latency", sim={"table": name}))
    assert served.space.names == problem.space.names
    codes = problem.space.sample(n, rng.generator(0, f"compare {name}"))
    ours, theirs = problem.simulate(codes), served.simulate(codes)
    assert ours.keys() == theirs.keys()
    for column in ours:
        assert np.array_equal(ours[column], theirs[column], equal_nan=True), column


def test_every_table_serves_a_problem():
    used = {spec.sim["table"] for spec in PROBLEMS.values() if spec.simulator == "tabular"}
    assert used == set(table_names())


@pytest.mark.parametrize("name", NAMES)
def test_a_few_random_designs(name):
    compare(name, 20)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_thousand_random_designs(name):
    compare(name, 1000)
