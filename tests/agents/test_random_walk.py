"""A walk is connected, blind, and does not depend on batches."""

import numpy as np
import pytest
import toys

from archgym.agents.random_walk import RandomWalk
from archgym.errors import UsageError


def walk(n=60, seed=0, **config):
    return RandomWalk(toys.HILLS, RandomWalk.Config(**config), seed=seed).ask(n)


@pytest.mark.parametrize("seed", range(3))
def test_every_design_is_a_step_from_an_earlier_one(seed):
    # Not always from the last one asked: the walk may have come over a design that it had asked before.
    codes = walk(jump=0.0, seed=seed)
    for i in range(1, len(codes)):
        assert np.abs(codes[:i] - codes[i]).sum(axis=1).min() == 1


def test_two_moves_at_a_time():
    codes = walk(jump=0.0, moves=2)
    assert all(np.abs(codes[:i] - codes[i]).sum(axis=1).min() <= 2 for i in range(1, len(codes)))
    assert (np.abs(np.diff(codes, axis=0)).sum(axis=1) == 2).mean() > 0.8


def test_always_jumping_is_random_search():
    # Two independent levels of 0..5 are 35/18 apart on average: 15.6 over eight parameters, +- 0.9 with 60 designs.
    codes = walk(jump=1.0)
    assert 12 < np.abs(np.diff(codes, axis=0)).sum(axis=1).mean() < 19


def test_the_walk_does_not_depend_on_batches_or_on_what_comes_of_it():
    problem = toys.problem("toys:Hills", objective="latency")
    agent = RandomWalk(toys.HILLS)
    parts = []
    for n in (1, 7, 2, 30, 20):
        parts.append(agent.ask(n))
        agent.tell(problem.evaluate(parts[-1]))
    assert np.array_equal(np.concatenate(parts), walk())


def test_a_walk_keeps_to_the_rules_and_ends_with_the_space():
    problem = toys.problem()
    agent = RandomWalk(problem.space, RandomWalk.Config(jump=0.0))
    codes = np.concatenate([agent.ask(10) for _ in range(12)])
    assert problem.space.is_allowed(codes).all()
    assert len({tuple(row) for row in codes.tolist()}) == len(codes) == toys.N_DISTINCT


@pytest.mark.parametrize("config", [{"moves": 0}, {"jump": 1.5}])
def test_wrong_hyperparameters(config):
    with pytest.raises(UsageError, match="random-walk: expected"):
        RandomWalk.Config(**config)
