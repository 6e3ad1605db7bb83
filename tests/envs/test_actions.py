"""Action wrappers: every level is reached, designs are numbered, and other environments are refused."""

import gymnasium as gym
import numpy as np
import pytest
import toys

from archgym.envs.actions import ActionToBox, ActionToDiscrete
from archgym.envs.contexts import Contexts
from archgym.envs.design_env import DesignEnv
from archgym.envs.episodes import Episodes
from archgym.errors import UsageError
from archgym.evaluator import Evaluator

ID = "archgym/Systolic-v0"


def toy_env(**options):
    return DesignEnv(Episodes(Contexts([Evaluator(toys.problem(**options))]), 1))


def asked(env):
    return env.unwrapped.evaluator.history().codes[-1].tolist()


def test_box_reaches_every_level_by_an_equal_share():
    # 4, 5, 3 and 3 levels: 60 points in the middle of 60 equal cells of an axis fall 15, 12, 20 and 20 to each level.
    env = ActionToBox(toy_env())
    env.reset()
    grid = (np.arange(60) + 0.5) / 60 * 2 - 1
    counts = []
    for i, n in enumerate((4, 5, 3, 3)):
        points = np.zeros((60, 4))
        points[:, i] = grid
        counts.append(np.bincount([env.action(p)[i] for p in points], minlength=n).tolist())
    assert counts == [[15] * 4, [12] * 5, [20] * 3, [20] * 3]


def test_box_ends_belong_to_the_first_and_last_level():
    env = ActionToBox(toy_env())
    assert env.action(np.full(4, -1.0, np.float32)).tolist() == [0, 0, 0, 0]
    assert env.action(np.full(4, 1.0, np.float32)).tolist() == [3, 4, 2, 2]


def test_discrete_numbers_every_design_once():
    env = ActionToDiscrete(toy_env())
    assert env.action_space.n == 4 * 5 * 3 * 3
    rows = {tuple(env.action(i).tolist()) for i in range(env.action_space.n)}
    assert len(rows) == 180
    assert env.action(1).tolist() == [0, 0, 0, 1]  # the last parameter is the fastest
    env.reset()
    env.step(np.int64(179))
    assert asked(env) == [3, 4, 2, 2]


def test_discrete_refuses_more_than_a_million():
    with pytest.raises(UsageError, match=r"expected at most 1,000,000 designs, got 2\d,\d{3},\d{3}"):
        ActionToDiscrete(gym.make(ID, workload="alexnet"))


@pytest.mark.parametrize("wrapper", [ActionToBox, ActionToDiscrete])
@pytest.mark.parametrize(
    "make", [lambda: gym.make("CartPole-v1"), lambda: gym.make(ID, workload="alexnet", episode="assign")],
    ids=["another environment", "assign"],
)  # fmt: skip
def test_only_whole_designs(wrapper, make):
    with pytest.raises(UsageError, match="actions are whole designs"):
        wrapper(make())


def test_wrapped_environments_can_be_made_again_from_their_spec():
    env = ActionToBox(gym.make(ID, workload="alexnet"))
    again = gym.make(env.spec)
    assert isinstance(again, ActionToBox)
    assert again.action_space == env.action_space


@pytest.mark.parametrize("wrapper", [ActionToBox, ActionToDiscrete])
def test_wrapped_environments_pass_the_checker_of_stable_baselines(wrapper):
    sb3 = pytest.importorskip("stable_baselines3.common.env_checker")
    sb3.check_env(wrapper(toy_env()), warn=True)
