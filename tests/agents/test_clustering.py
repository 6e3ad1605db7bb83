"""Groups of parameters: read from text, and found in logged designs where they were planted."""

import numpy as np
import pytest
import toys

from archgym import rng
from archgym.agents.marl.clustering import association, correlated_groups
from archgym.errors import UsageError
from archgym.grouping import groups_text, parameter_groups
from archgym.space import DesignSpace, Parameter

SPACE = DesignSpace(
    [
        Parameter.integers("a", 0, 3),
        Parameter.categorical("b", ("x", "y", "z")),
        Parameter.integers("c", 0, 4),
        Parameter.integers("d", 0, 3),
        Parameter.integers("e", 0, 3),
        Parameter.boolean("f"),
    ]
)


# ---- text ----------------------------------------------------------------------------------


def test_text_of_groups_is_read_back():
    groups = (("a", "c"), ("b",), ("mode",))
    assert tuple(parameter_groups(toys.problem().space, groups_text(groups)).values()) == groups


def test_association_by_hand():
    # Equal columns of two levels, n = 4: phi^2 = 1, minus 1/3 for bias; both sides 2 - 1/3: V^2 = (2/3)/(2/3) = 1.
    # Independent ones: phi^2 = 0, below what chance gives. A constant column goes with nothing.
    codes = np.array([[0, 0, 0, 0], [0, 0, 1, 0], [1, 1, 0, 0], [1, 1, 1, 0]])
    expected = np.eye(4)
    expected[0, 1] = expected[1, 0] = 1.0
    assert association(codes, np.array([2, 2, 2, 1])) == pytest.approx(expected)


def test_a_permutation_of_levels_is_a_full_association():
    # b = permuted a: no order of levels is assumed.
    a = np.tile(np.arange(4), 25)
    codes = np.stack([a, np.array([2, 0, 3, 1])[a]], axis=1)
    assert association(codes, np.array([4, 4]))[0, 1] == pytest.approx(1.0)


def planted(n, seed, pairs=3.0):
    """Good designs have a equal to e and c equal to d; every parameter has a random effect of its own besides."""
    draw = rng.generator(seed, "test")
    codes = SPACE.sample(n, draw)
    own = sum(draw.normal(size=levels)[column] for levels, column in zip(SPACE.nvec, codes.T, strict=True))
    a, _, c, d, e, _ = codes.T
    return codes, pairs * (a == e) + pairs * (c == d) + own


@pytest.mark.parametrize("seed", range(5))
def test_planted_pairs_are_found_and_independent_parameters_stay_alone(seed):
    codes, rewards = planted(2000, seed)
    assert correlated_groups(SPACE, codes, rewards) == (("a", "e"), ("b",), ("c", "d"), ("f",))


def test_the_result_does_not_depend_on_repetitions_or_their_place():
    codes, rewards = planted(1000, 0)
    twice = np.concatenate([codes, codes[::-1]])
    assert correlated_groups(SPACE, twice, np.concatenate([rewards, rewards[::-1]])) == correlated_groups(
        SPACE, codes, rewards
    )


def test_number_of_groups():
    codes, rewards = planted(2000, 0)
    assert len(correlated_groups(SPACE, codes, rewards, n_groups=1)) == 1
    pairs = correlated_groups(SPACE, codes, rewards, n_groups=4)
    assert pairs == (("a", "e"), ("b",), ("c", "d"), ("f",))


@pytest.mark.parametrize("seed", range(5))
def test_where_effects_only_add_up_every_parameter_stands_alone(seed):
    # Choosing the best makes a weak effect of one parameter go with a strong one of another: that stays below 0.3.
    codes, rewards = planted(2000, seed, pairs=0.0)
    assert correlated_groups(SPACE, codes, rewards) == tuple((name,) for name in SPACE.names)


def test_one_parameter_is_one_group():
    space = DesignSpace([Parameter.integers("a", 0, 99)])
    assert correlated_groups(space, np.arange(100)[:, None], np.arange(100.0)) == (("a",),)


@pytest.mark.parametrize("settings", [{"best": 0.0}, {"threshold": 1.5}, {"n_groups": 0}, {"best": 0.01}])
def test_wrong_settings_are_refused(settings):
    codes, rewards = planted(100, 0)
    with pytest.raises(UsageError, match="got"):
        correlated_groups(SPACE, codes, rewards, **settings)
