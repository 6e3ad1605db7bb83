"""Sobol points as designs: evenness that chance does not have."""

import numpy as np
import toys

from archgym.agents.sobol import Sobol
from archgym.space import DesignSpace, Parameter, Rule


def square(n):
    return DesignSpace([Parameter.integers("a", 0, n - 1), Parameter.integers("b", 0, n - 1)])


def test_16_points_have_every_one_of_16_levels_once():
    # The first 2**m points of a scrambled Sobol sequence in the plane are a (0, m, 2)-net: one point in every interval
    # of 1/16 along either axis. Of chance that can be expected once in 16**16/16! = 880,000 per axis.
    for seed in range(5):
        codes = Sobol(square(16), seed=seed).ask(16)
        assert np.array_equal(np.sort(codes, axis=0), np.repeat(np.arange(16)[:, None], 2, axis=1))


def test_64_points_fill_an_8_by_8_grid_and_then_there_is_nothing_left():
    # Again the net: one point in each cell of 1/8 x 1/8.
    agent = Sobol(square(8), seed=3)
    codes = np.concatenate([agent.ask(7) for _ in range(9)] + [agent.ask(7)])
    assert len({tuple(row) for row in codes.tolist()}) == len(codes) == 64
    assert len(agent.ask(5)) == 0


def test_points_do_not_depend_on_how_many_are_asked_at_a_time():
    one, other = Sobol(toys.HILLS, seed=5), Sobol(toys.HILLS, seed=5)
    assert np.array_equal(np.concatenate([one.ask(3) for _ in range(50)]), other.ask(150))


def test_another_seed_scrambles_otherwise():
    first, second = (Sobol(toys.HILLS, seed=seed).ask(30) for seed in (0, 1))
    assert not np.array_equal(first, second)


def test_rules_divide_a_range_among_the_levels_they_leave():
    # a = 7 leaves b only its levels 0 and 1. The levels of a come evenly (8 times each in 64), and so do those two;
    # points without this care would be thrown away for three quarters of a = 7.
    a, b = Parameter.integers("a", 0, 7), Parameter.integers("b", 0, 7)
    c = Parameter.integers("c", 0, 63)
    space = DesignSpace([a, b, c], [Rule.where([a, b], lambda a, b: a < 7 or b < 2)])
    codes = Sobol(space, seed=1).ask(64)
    assert space.is_allowed(codes).all()
    assert np.bincount(codes[:, 0]).tolist() == [8] * 8
    assert np.bincount(codes[codes[:, 0] == 7, 1]).tolist() == [4, 4]


def test_told_designs_are_passed_over_also_where_they_were_lined_up_already():
    problem = toys.problem("toys:Hills", objective="latency")
    ahead = Sobol(problem.space, seed=2).ask(40)
    agent = Sobol(problem.space, seed=2)
    first = agent.ask(5)
    agent.tell(problem.evaluate(ahead[5:12]))
    codes = agent.ask(28)
    assert np.array_equal(np.concatenate([first, codes]), np.delete(ahead, range(5, 12), axis=0))
