"""Scaled rewards, by hand."""

import numpy as np
import pytest

from archgym.agents.ranking import violation
from archgym.agents.rl.reward_scale import RewardScale
from archgym.evaluation import Evaluation


def evaluation(reward, feasible=None, violations=None):
    n = len(reward)
    feasible = np.ones(n, bool) if feasible is None else np.array(feasible)
    violations = np.empty((n, 0)) if violations is None else np.array(violations, float)
    zero = np.zeros(n, np.int64)
    return Evaluation(zero[:, None], (), np.empty((n, 0)), np.array(reward, float), np.empty((n, 0)), violations,
                      feasible, zero, np.zeros(n, bool))  # fmt: skip


def scaled(scale, new):
    """Rewards of designs that have just been added."""
    scale.add(new)
    return scale.scaled(new.reward, violation(new))


def test_the_median_is_zero_and_the_interquartile_range_one():
    # Of 1, 2, 3, 4, 5 the quartiles are 2, 3, 4: a range of 2.
    assert scaled(RewardScale(), evaluation([5, 1, 3, 4, 2])) == pytest.approx([1, -1, 0, 0.5, -0.5])


def test_scale_remembers():
    scale = RewardScale()
    scale.add(evaluation([1, 2, 3, 4]))
    assert scaled(scale, evaluation([5])) == pytest.approx([1])  # quartiles of all five: 2, 3, 4


def test_outliers_are_clipped_and_infeasible_designs_come_below():
    # Quartiles of 0, 1, 2, 3, 1000: 1, 2, 3; (1000 - 2)/2 is clipped to 3. Violation 1 + 3: -3 - 4/5; 1 + 0: -3 - 1/2.
    new = evaluation([0, 1, 2, 3, 1000, -50, -50], [True] * 5 + [False] * 2, [[-1]] * 5 + [[3], [-1]])
    assert scaled(RewardScale(), new) == pytest.approx([-1, -0.5, 0, 0.5, 3, -3.8, -3.5])


def test_without_spread_or_feasible_designs_numbers_stay_finite():
    scale = RewardScale()
    assert scaled(scale, evaluation([-50.0], [False])) == pytest.approx([-3.5])
    assert scaled(scale, evaluation([2.0, 2.0])) == pytest.approx([0, 0])
