"""Steps on a lattice, written out."""

import numpy as np
import pytest

from archgym import rng
from archgym.agents.founders import founders
from archgym.agents.neighbourhood import Neighbourhood
from archgym.proxies.gaussian_process import Lattice
from archgym.space import DesignSpace, Parameter, Rule

A, B, C = Parameter.integers("a", 0, 5), Parameter.categorical("b", ("x", "y", "z")), Parameter("c", (1,))
SPACE = DesignSpace([A, B, C])


def rows(codes):
    return sorted(map(tuple, codes.tolist()))


def test_one_parameter_moves():
    found = Neighbourhood(SPACE).steps(np.array([[1, 2, 0]]))
    # a: 1 -+ 1, + 2, + 4 (-1 and -3 are outside); b: to x and y; c has one level
    assert rows(found) == [(0, 2, 0), (1, 0, 0), (1, 1, 0), (2, 2, 0), (3, 2, 0), (5, 2, 0)]


def test_two_parameters_move_by_one():
    found = Neighbourhood(SPACE).exchanges(np.array([[0, 1, 0]]))
    assert rows(found) == [(1, 0, 0), (1, 2, 0)]  # nothing goes below 0, and c cannot move


def test_of_several_designs_and_of_none():
    moves = Neighbourhood(SPACE)
    both = np.array([[1, 2, 0], [0, 1, 0]])
    assert rows(moves.steps(both)) == rows(np.concatenate([moves.steps(both[:1]), moves.steps(both[1:])]))
    assert moves.steps(both[:0]).shape == moves.exchanges(both[:0]).shape == (0, 3)


@pytest.mark.parametrize("seed", range(5))
def test_founders_try_every_level_evenly(seed):
    """Ten designs: the middle one, then nine in which each of six levels comes once or twice, each of three thrice."""
    plan = founders(SPACE, Lattice.of(SPACE), 10, rng.generator(seed, "t"))
    assert plan[0].tolist() == [2, 1, 0]
    assert set(np.bincount(plan[1:, 0], minlength=6).tolist()) <= {1, 2}
    assert np.bincount(plan[1:, 1], minlength=3).tolist() == [3, 3, 3]


def test_founders_obey_the_rules():
    space = DesignSpace([A, B, C], [Rule.where([A, B], lambda a, b: a < 2 or b == "x")])
    plan = founders(space, Lattice.of(space), 12, rng.generator(0, "t"))
    assert len(plan) == 12
    assert space.is_allowed(plan).all()


def test_one_founder_is_the_middle():
    assert founders(SPACE, Lattice.of(SPACE), 1, rng.generator(0, "t")).tolist() == [[2, 1, 0]]
