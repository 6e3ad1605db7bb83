"""NSGA-II: fronts and crowding by hand, and that it finds fronts."""

import numpy as np
import pytest
import toys

from archgym import rng
from archgym.agents.nsga2 import Nsga2, crowding, fronts
from archgym.errors import UsageError
from archgym.evaluator import Evaluator

PARETO = "pareto:latency,energy,speed"


def test_fronts_by_hand():
    # (1, 3) and (3, 1) dominate (3, 3), which dominates (4, 4); equal designs share a front.
    costs = np.array([[4.0, 4], [1, 3], [3, 3], [3, 1], [3, 3]])
    assert fronts(costs, np.zeros(5)).tolist() == [2, 0, 1, 0, 1]


def test_infeasible_designs_come_after_all_feasible_ones_in_the_order_of_their_violation():
    # Whatever their costs: (0, 0) would dominate everything.
    costs = np.array([[0.0, 0], [5, 5], [0, 0], [6, 6], [0, 0]])
    found = fronts(costs, np.array([1.5, 0, 1.2, 0, 1.5]))
    assert found[1] == 0
    assert found[3] == 1
    assert found[2] > 1
    assert found[0] == found[4] > found[2]
    assert np.argsort(fronts(costs, np.array([3.0, 2, 1, 4, 5])), kind="stable").tolist() == [2, 1, 0, 3, 4]


def test_crowding_by_hand():
    # Front 0 holds 0, 1, 2, 3 at costs (0, 10), (1, 5), (4, 4), (10, 0): ends are infinite, the others have the sum of
    # (next - previous) / span in either cost: 4/10 + 6/10 and 9/10 + 5/10. A front of two has ends only.
    costs = np.array([[0.0, 10], [1, 5], [4, 4], [10, 0], [20, 20], [30, 15]])
    found = crowding(costs, np.array([0, 0, 0, 0, 1, 1]))
    assert found.tolist() == [np.inf, pytest.approx(1.0), pytest.approx(1.4), np.inf, np.inf, np.inf]


def test_crowding_of_equal_costs_is_no_division_by_zero():
    found = crowding(np.ones((4, 2)), np.zeros(4, np.int64))
    assert np.isinf(found).sum() == 2  # the first and the last, in both costs
    assert not np.isnan(found).any()


def search(problem, budget, batch=10, seed=0, **config):
    agent = Nsga2(problem.space, Nsga2.Config(**config), seed=seed, budget=budget, batch=batch,
                  n_values=problem.objective.n_values, n_constraints=len(problem.constraint_names),
                  objective=problem.objective)  # fmt: skip
    evaluator = Evaluator(problem, budget)
    agent.run(evaluator)
    return evaluator


def test_it_finds_more_of_the_front_than_chance():
    # Latency against energy, the optimum of one being the worst of the other: the true front among 95 designs is
    # enumerated; 45 random ones hold 45/95 of it, the search more, for every seed.
    problem = toys.problem(objective="pareto:latency,energy")
    every = Evaluator(problem, 200)
    every(np.concatenate(list(problem.space.enumerate())))
    true = {tuple(row) for row in every.front().values.tolist()}
    for seed in range(5):
        found = search(problem, 45, batch=5, seed=seed, founders=10, population=10).history().values
        assert len(true & {tuple(row) for row in found.tolist()}) > len(true) * 45 / 95


def test_a_maximised_metric_is_pursued_upwards():
    # Speed (maximised, so its value is negated) against energy: the fastest design of all must be found, a * b = 32.
    problem = toys.problem(objective="pareto:energy,speed")
    best = {search(problem, 50, batch=5, seed=s, founders=10).front().metrics["speed"].max() for s in range(5)}
    assert best == {32.0}


@pytest.mark.parametrize("seed", range(3))
def test_with_a_single_value_it_is_a_genetic_algorithm(seed):
    problem = toys.problem("toys:Hills", objective="latency")
    evaluator = search(problem, 1500, seed=seed)
    assert evaluator.best.metrics["latency"][0] == 1.0
    assert evaluator.n_unique == 1500


def test_children_come_from_the_survivors():
    # Two survivors (half of four, with a single value) at opposite corners, crossover without mutation: a child has
    # every level from one of them, and none from the forty designs that did not survive (levels 1 to 4).
    problem = toys.problem("toys:Hills", objective="latency")
    corners = np.array([[0] * 8, [5] * 8])
    others = 1 + problem.space.sample(40, rng.generator(0, "test")) % 4
    agent = Nsga2(problem.space, Nsga2.Config(founders=1, population=4, crossover=1.0, mutation=1e-9))
    agent.ask(1)
    told = problem.evaluate(np.concatenate([others, corners]))
    told.reward[-2:] = 100.0
    agent.tell(told)
    mixed = [set(row) == {0, 5} for row in agent.ask(20).tolist()]
    assert np.mean(mixed) > 0.5  # two parents are the same one half of the time; that child is mutated


@pytest.mark.parametrize("config", [{"population": 0}, {"founders": 0}, {"mutation": 0.0}, {"step": 2.0}])
def test_wrong_hyperparameters(config):
    with pytest.raises(UsageError, match="nsga2: "):
        Nsga2.Config(**config)
