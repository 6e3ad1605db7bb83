"""The VecEnv of stable-baselines3: equal to DummyVecEnv over single environments, in one simulation a step."""

import gymnasium as gym
import numpy as np
import pytest

from archgym.envs.actions import ActionToBox
from archgym.errors import BudgetExhausted, UsageError

pytest.importorskip("stable_baselines3")
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor

from archgym.envs.sb3_vec_env import DesignVecEnv

ID = "archgym/Systolic-v0"


def native(n, continuous=False, infos=False, **options):
    return DesignVecEnv(gym.make_vec(ID, num_envs=n, workload="alexnet", **options), continuous=continuous, infos=infos)


@pytest.mark.parametrize(
    ("continuous", "options"),
    [
        (False, {}),
        (True, {}),
        (False, {"episode": "refine", "horizon": 3}),
        (False, {"episode": "assign"}),
        (False, {"workload": "random:[alexnet,vgg16]"}),
    ],
    ids=["designs", "continuous", "refine", "assign", "random workloads"],
)
def test_equal_to_dummy_vec_env(continuous, options):
    n = 3
    options = {"workload": "alexnet", **options}

    def single():
        env = gym.make(ID, **options)
        return ActionToBox(env) if continuous else env

    ours = DesignVecEnv(gym.make_vec(ID, num_envs=n, **options), continuous=continuous)
    theirs = DummyVecEnv([single] * n)
    assert (ours.observation_space, ours.action_space) == (theirs.observation_space, theirs.action_space)
    for env in (ours, theirs):
        env.seed(5)
    assert np.array_equal(ours.reset(), theirs.reset())
    ours.action_space.seed(0)
    for _ in range(25):
        actions = np.stack([ours.action_space.sample() for _ in range(n)])
        a, b = ours.step(actions), theirs.step(actions)
        assert np.array_equal(a[0], b[0])
        assert a[1] == pytest.approx(b[1], rel=1e-6)  # DummyVecEnv keeps rewards in float32
        assert np.array_equal(a[2], b[2])
        if a[2].any():
            for mine, other in zip(a[3], b[3], strict=True):
                assert np.array_equal(mine["terminal_observation"], other["terminal_observation"])
                assert mine["TimeLimit.truncated"] == other["TimeLimit.truncated"] is False


def test_infos_on_request():
    env = native(2, infos=True)
    actions = np.stack([np.zeros(len(env.env.problem.space), int), np.ones(len(env.env.problem.space), int)])
    env.reset()
    with_infos = env.step(actions)[3]
    expected = env.env.problem.evaluate(actions)
    assert [info["metric.area"] for info in with_infos] == expected.metrics["area"].tolist()
    assert [info["feasible"] for info in with_infos] == expected.feasible.tolist()
    silent = native(2)
    silent.reset()
    assert set(silent.step(actions)[3][0]) == {"terminal_observation", "TimeLimit.truncated"}


def test_ppo_learns_on_it_and_the_budget_is_a_hard_stop():
    env = VecMonitor(native(16, budget=160))
    model = PPO("MlpPolicy", env, n_steps=4, batch_size=64, n_epochs=1, seed=0, device="cpu")
    with pytest.raises(BudgetExhausted, match="budget of 160"):
        model.learn(10_000)
    assert env.unwrapped.env.evaluator.n_samples == 160
    assert model.num_timesteps == 160  # ten steps of 16; two updates after four of these each
    assert model._n_updates == 2


def test_masks_reach_maskable_algorithms(tmp_path):
    # In the toy space a = 8 may not go with mode z: 15 of 180 designs. Without masks the environment would repair.
    contrib = pytest.importorskip("sb3_contrib")
    env = native(4, episode="assign", budget=40, simulator="toys:Toy", log=str(tmp_path / "log"), infos=True)
    repaired = []
    model = contrib.MaskablePPO("MlpPolicy", env, n_steps=len(env.env.problem.space), batch_size=8, n_epochs=1, seed=0)

    def note(local, _):
        repaired.extend(info["repaired"] for info in local["infos"])
        return True

    with pytest.raises(BudgetExhausted):
        model.learn(10_000, callback=note)
    env.close()
    codes = env.env.evaluator.history().codes
    assert len(codes) == 40
    assert env.env.problem.space.is_allowed(codes).all()
    assert len(repaired) == 160 + 4 * 3  # the last step of the eleventh episodes found the budget spent
    assert not any(repaired)


def test_what_it_does_not_do():
    with pytest.raises(UsageError, match="expected gym"):
        DesignVecEnv(gym.make_vec("CartPole-v1", num_envs=2))
    with pytest.raises(UsageError, match="one reward"):
        native(2, objective="pareto:latency,energy", vector_reward=True)
    with pytest.raises(UsageError, match="actions are whole designs"):
        native(2, continuous=True, episode="assign")
    env = native(2)
    with pytest.raises(UsageError, match="cannot be set"):
        env.set_attr("budget", 3)
    with pytest.raises(AttributeError, match="has no 'action_masks'"):
        env.env_method("action_masks")
    assert env.env_is_wrapped(gym.Wrapper) == [False, False]
