"""Local search: every step of a place before it gives up, patterns, kicks."""

import numpy as np
import pytest
import toys

from archgym.agents.local_search import LocalSearch
from archgym.errors import UsageError
from archgym.evaluator import Evaluator
from archgym.study import run

OPTIMUM = np.array(toys.Hills.optimum)


@pytest.fixture(scope="module")
def hills():
    return toys.problem("toys:Hills", objective="latency")


def rows(codes):
    return {tuple(row) for row in codes.tolist()}


def standing_at(problem, code, **config):
    """An agent whose only founder is spent, told a design."""
    agent = LocalSearch(problem.space, LocalSearch.Config(founders=1, **config))
    agent.ask(1)
    agent.tell(problem.evaluate(np.array([code])))
    return agent


def test_all_steps_from_the_best_design_are_tried_once(hills):
    # Two of the optimum's eight levels are at an end (0 and 5): 6 * 2 + 2 steps.
    agent = standing_at(hills, OPTIMUM)
    steps = agent.ask(14)
    assert rows(steps) == rows(hills.space.neighbours(OPTIMUM))
    assert len(steps) == 14


def test_after_the_last_step_it_kicks_ever_more_strongly(hills):
    # No step from the optimum is better, so the next design is two parameters away (kick=2, one level each). From
    # there known steps lead straight back, for free; the next kick changes three.
    agent = standing_at(hills, OPTIMUM, kick=2, far=0.0)
    agent.tell(hills.evaluate(agent.ask(14)))
    for distance in (2, 3):
        kicked = agent.ask(1)
        assert np.abs(kicked - OPTIMUM).sum() == distance
        agent.tell(hills.evaluate(kicked))


def test_after_too_many_failures_it_starts_anew(hills):
    # One failure suffices: the design after the failed kick is random, far from the optimum (about 15 levels).
    agent = standing_at(hills, OPTIMUM, kick=2, far=0.0, failures=1)
    agent.tell(hills.evaluate(agent.ask(14)))
    agent.tell(hills.evaluate(agent.ask(1)))
    assert np.abs(agent.ask(1) - OPTIMUM).sum() > 5


def test_improvements_of_one_batch_are_combined_and_followed(hills):
    # From this corner each of the parameters has one better step, told together. The valley is separable, so their
    # combination is better than each; and the best single step is followed by a second one in its direction.
    corner = np.array([0, 5, 0, 5, 0, 5, 0, 5])
    agent = standing_at(hills, corner)
    steps = agent.ask(8)
    assert len(steps) == 8  # one step each: all levels are at an end
    told = hills.evaluate(steps)
    agent.tell(told)
    together, onward = agent.ask(2)
    assert np.array_equal(together, steps.max(axis=0) * (corner == 0) + steps.min(axis=0) * (corner == 5))
    best = steps[np.argmax(told.reward)]
    assert np.array_equal(onward, 2 * best - corner)


@pytest.mark.parametrize(("batch", "seed"), [(1, 0), (10, 0), (10, 1), (50, 0)])
def test_it_reaches_the_bottom_of_the_valley(hills, batch, seed):
    # At most 8 parameters x 5 levels x 15 steps around each place = 600 samples on the way down from anywhere.
    agent = LocalSearch(hills.space, seed=seed, batch=batch)
    evaluator = Evaluator(hills, 650)
    agent.run(evaluator)
    assert evaluator.best.metrics["latency"][0] == 1.0
    assert evaluator.n_unique == evaluator.n_samples == 650


def test_known_designs_are_walked_over_for_free(hills):
    # Told a path of single steps down to the optimum in one warm start, it asks around the optimum.
    path = [np.array([0, 1, 3, 0, 5, 2, 4, 1])]
    path += [np.array([a, 1, 3, 0, 5, 2, 4, 1]) for a in range(1, 5)]
    agent = LocalSearch(hills.space, LocalSearch.Config(founders=1))
    agent.ask(1)
    agent.tell(hills.evaluate(np.array(path[1:][::-1])))
    agent.tell(hills.evaluate(np.array(path[:1])))
    assert rows(agent.ask(13)) == rows(hills.space.neighbours(OPTIMUM)) - rows(np.array(path))


def test_a_space_with_nothing_but_one_level_each_ends():
    problem = toys.problem(space={"a": (2,), "b": (3,), "mode": ("x",), "c": (0,)})
    agent = LocalSearch(problem.space)
    first = agent.ask(4)
    agent.tell(problem.evaluate(first))
    assert (len(first), len(agent.ask(4))) == (1, 0)


def test_violations_lead_to_the_one_feasible_design_on_the_grey_track():
    # Only a=1, b=1, mode x keeps area <= 1.5, and area falls with every step there: 5 of 6 studies find it in 30
    # samples of 95 designs; blind ones (scalar) do with probability 30/95 each.
    found = {"grey": 0, "scalar": 0}
    for track in found:
        for seed in range(6):
            result = run(toys.spec(limits=("area<=1.5",)), "local-search", budget=30, batch=3, seed=seed, track=track,
                         config={"founders": 4})  # fmt: skip
            found[track] += bool(result.samples.feasible.any())
    assert found["grey"] >= 5
    assert found["scalar"] < found["grey"]


@pytest.mark.parametrize("config", [{"founders": 0}, {"kick": 0}, {"failures": 0}, {"far": 1.5}])
def test_wrong_hyperparameters(config):
    with pytest.raises(UsageError, match="local-search: expected"):
        LocalSearch.Config(**config)
