"""Designs put together one parameter a step: masks by brute force, repaired actions, the reward at the end."""

import itertools
import math

import numpy as np
import pytest
import toys
from hypothesis import given, settings
from hypothesis import strategies as st

from archgym.envs.assign import Assign
from archgym.envs.contexts import Contexts
from archgym.envs.design_env import AssignEnv
from archgym.errors import BudgetExhausted
from archgym.evaluator import Evaluator

ALLOWED = [
    row for row in itertools.product(range(4), range(5), range(3), range(3)) if not (row[0] == 3 and row[2] == 2)
]


def episodes(n=1, budget=None, **options):
    return Assign(Contexts([Evaluator(toys.problem(**options), budget)]), n)


@pytest.fixture
def generators():
    return [np.random.default_rng(0)]


def test_the_masks_are_exact(generators):
    # By definition: an action is open exactly if some allowed design begins with the levels so far and this one.
    starts = {row[:k] for row in ALLOWED for k in range(5)}
    for row in ALLOWED:
        form = episodes()
        form.reset(generators)
        for k, level in enumerate(row):
            expected = [(*row[:k], v) in starts for v in range(5)]
            assert form.masks()[0].tolist() == expected, row[:k]
            form.step(np.array([level]))
        assert not form.masks().any()
        assert form.last.codes.tolist() == [list(row)]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 4), min_size=4, max_size=4))
def test_any_actions_end_in_an_allowed_design(levels):
    # a has 4 levels, b 5, mode 3 and c 3; a = 3 forbids mode = 2. The nearest open level, the lower one of two.
    form = episodes()
    form.reset([np.random.default_rng(0)])
    repaired = [bool(form.step(np.array([level]))[3]["repaired"][0]) for level in levels]
    a, b, c = min(levels[0], 3), levels[1], min(levels[3], 2)
    mode = min(levels[2], 1 if a == 3 else 2)
    assert form.last.codes.tolist() == [[a, b, mode, c]]
    assert repaired == [a != levels[0], False, mode != levels[2], c != levels[3]]


def test_the_reward_comes_at_the_end(generators):
    # a=1, b=4: EDP 256/4 = 64 against 128 at the baseline.
    env = AssignEnv(episodes())
    env.reset()
    steps = [env.step(level) for level in (0, 3, 0, 0)]
    assert [step[1] for step in steps] == pytest.approx([0, 0, 0, math.log(2)], rel=1e-14)
    assert [step[2] for step in steps] == [False, False, False, True]
    assert [step[4]["feasible"] for step in steps] == [False, False, False, True]
    assert all(step[4].keys() == steps[-1][4].keys() for step in steps)
    assert steps[-1][4]["metric.latency"] == 4.0


def test_observation_by_hand(generators):
    env = AssignEnv(episodes())
    first = dict(zip(env.observation_names, env.reset()[0].tolist(), strict=True))
    assert [first[f"level {k}"] for k in "ab"] == [0.0, 0.0]
    assert [first[f"turn {k}"] for k in ("a", "b", "mode", "c")] == [1.0, 0.0, 0.0, 0.0]
    second = dict(zip(env.observation_names, env.step(1)[0].tolist(), strict=True))
    assert second["level a"] == 2 / 4  # the second of four levels; 0 stays free for "not yet"
    assert [second[f"turn {k}"] for k in ("a", "b", "mode", "c")] == [0.0, 1.0, 0.0, 0.0]
    for level in (0, 0, 0):
        last = env.step(level)[0]
    shown = dict(zip(env.observation_names, last.tolist(), strict=True))
    assert [shown[f"turn {k}"] for k in ("a", "b", "mode", "c")] == [0.0] * 4
    assert shown["valid"] == 1.0


def test_a_sample_is_a_whole_design():
    # Budget 2: two episodes of four steps, and the third one's last step is refused.
    env = AssignEnv(episodes(budget=2))
    for _ in range(2):
        env.reset()
        for _ in range(4):
            env.step(0)
    env.reset()
    for _ in range(3):
        env.step(0)
    with pytest.raises(BudgetExhausted):
        env.step(0)
    assert env.evaluator.n_samples == 2
