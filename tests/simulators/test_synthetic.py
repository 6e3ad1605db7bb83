"""Landscapes: the stated optimum is the optimum, steps cost what the text says, sizes are counted by hand."""

import itertools

import numpy as np
import pytest

from archgym.errors import UnknownNameError, UsageError
from archgym.landscape import FAMILIES, Landscape, Programs
from archgym.problem import Problem, ProblemSpec
from archgym.registry import SIMULATORS
from archgym.suite.problems import stored_facts
from archgym.testing import check_simulator
from archgym.workload import load_workload, workload_from_dict


def small(family, parameters=5, levels=3, degree=2, seed=1):
    return Landscape("small", family, parameters, levels, degree, seed)


def everything(landscape):
    problem = Problem(ProblemSpec("synthetic", (landscape.to_dict(),), "cost"))
    return problem, problem.evaluate(problem.space.unrank(range(problem.space.size)))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("parameters", "levels", "degree", "seed"), [(5, 3, 2, 1), (2, 2, 1, 9), (4, 5, 3, 2)])
def test_contract(family, parameters, levels, degree, seed):
    simulator = SIMULATORS.load("synthetic")()
    check_simulator(simulator, small(family, parameters, levels, degree, seed), n=50)


@pytest.mark.parametrize("family", ["ridge", "trap"])
@pytest.mark.parametrize("seed", range(5))
def test_the_hidden_design_is_the_only_optimum(family, seed):
    _, e = everything(small(family, seed=seed))
    assert (e.metrics["cost"] == 1).sum() == 1
    assert e.metrics["cost"].min() == 1


def test_a_ridge_by_hand():
    # One step of the first parameter away from t: one wall of 100 and 1 on the way; all together: only the way.
    problem, e = everything(small("ridge", 3, 4))
    (best,) = problem.space.check(e.codes[e.metrics["cost"] == 1])
    step = -1 if best[0] > 0 else 1
    aside = best + np.array([step, 0, 0])
    assert problem.evaluate(aside[None]).metrics["cost"].tolist() == [1 + 100 + 1]
    shift = next(s for s in (-1, 1) if ((best + s >= 0) & (best + s < 4)).all())
    assert problem.evaluate((best + shift)[None]).metrics["cost"].tolist() == [1 + 3]


def test_every_step_towards_the_optimum_of_a_trap_costs():
    problem, e = everything(small("trap", 6, 3, 3))
    (best,) = problem.space.check(e.codes[e.metrics["cost"] == 1])
    wrong = (best + 1) % 3
    costs = []
    for right in range(4):  # of the first block; the other is complete
        codes = best.copy()
        codes[right:3] = wrong[right:3]
        costs.append(float(problem.evaluate(codes[None]).metrics["cost"][0]))
    assert costs == [2, 3, 4, 1]


def test_nk_is_a_sum_over_cyclic_neighbourhoods():
    # A parameter touches the terms of itself and of the `degree` parameters before it: changes of parameters further
    # apart than that add up exactly.
    problem, e = everything(small("nk", 6, 2, 1))
    cost = {tuple(c): v for c, v in zip(e.codes.tolist(), e.metrics["cost"].tolist(), strict=True)}
    flips = 0
    for codes in itertools.product(range(2), repeat=6):
        a, b = list(codes), list(codes)
        a[0], b[3] = 1 - a[0], 1 - b[3]
        both = [*a[:3], b[3], *a[4:]]
        assert cost[tuple(a)] + cost[tuple(b)] == cost[codes] + cost[tuple(both)]
        b = list(codes)
        b[1] = 1 - b[1]
        both = [a[0], b[1], *a[2:]]
        flips += cost[tuple(a)] + cost[tuple(b)] != cost[codes] + cost[tuple(both)]
    assert flips > 0  # but neighbours interact


def test_a_knapsack_s_optimum_is_pressed_against_its_capacity():
    problem, e = everything(small("knapsack", 6, 4))
    assert 0 < e.feasible.mean() < 0.5
    cost = e.metrics["cost"]
    best = e.codes[np.nanargmin(cost)]
    limit = problem.simulate(best[None])["capacity.limit"][0]
    assert problem.simulate(best[None])["capacity"][0] <= 0
    for i in range(6):  # one level more of anything that would be better does not fit
        if best[i] < 3:
            more = best.copy()
            more[i] += 1
            again = problem.evaluate(more[None])
            assert not again.feasible[0] or again.metrics["cost"][0] >= np.nanmin(cost)
    assert limit > 0


@pytest.mark.parametrize(("name", "value"), [("ridge", 1), ("trap", 1)])
def test_enumeration_finds_the_constructed_optimum(name, value):
    found = stored_facts(f"synthetic-{name}")
    assert (found["optimum"]["value"], found["optimum"]["ties"]) == (value, 1)


@pytest.mark.parametrize("name", ["syn-ridge", "syn-trap", "syn-nk", "syn-knapsack", "boom-programs"])
def test_workloads_survive_json(name):
    workload = load_workload(name)
    again = workload_from_dict(workload.to_dict())
    assert again == workload
    assert again.fingerprint == workload.fingerprint
    assert all(np.isfinite(list(workload.features().values())))


def test_the_fingerprint_covers_everything_but_the_name():
    base = small("nk")
    assert base.fingerprint == Landscape("other", "nk", 5, 3, 2, 1).fingerprint
    others = [small("ridge"), small("nk", 6), small("nk", 5, 4), small("nk", degree=1), small("nk", seed=2)]
    assert len({base.fingerprint, *(w.fingerprint for w in others)}) == 6


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"family": "rigde"}, UnknownNameError, "did you mean ridge"),
        ({"parameters": 1}, UsageError, "at least 2 parameters"),
        ({"levels": True}, UsageError, "expected integers"),
        ({"degree": 5}, UsageError, "degree from 1 to 4"),
        ({"sede": 1}, UnknownNameError, "did you mean seed"),
        ({"name": 3}, UsageError, "with a name"),
    ],
)
def test_wrong_landscapes_are_refused(change, error, message):
    with pytest.raises(error, match=message):
        workload_from_dict({**small("nk").to_dict(), **change})
    with pytest.raises(UsageError, match="family"):
        workload_from_dict({"kind": "landscape", "name": "x"})


def test_programs_are_their_name():
    assert Programs("a", "source").fingerprint == Programs("a").fingerprint != Programs("b").fingerprint
