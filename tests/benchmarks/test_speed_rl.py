"""Speed of environments under stable-baselines3, reported and never asserted: as ``test_speed.py``."""

import functools
import multiprocessing

import gymnasium as gym
import pytest

from archgym.envs.sb3_vec_env import DesignVecEnv

sb3 = pytest.importorskip("stable_baselines3")
vec_env = pytest.importorskip("stable_baselines3.common.vec_env")

ENVS, STEPS = 64, 16
PRELOADED = ["stable_baselines3.common.vec_env.subproc_vec_env", "archgym.envs.entry"]  # shared by all processes
PROBLEM = {"id": "archgym/Systolic-v0", "workload": "resnet50"}


def native():
    return DesignVecEnv(gym.make_vec(PROBLEM["id"], num_envs=ENVS, workload=PROBLEM["workload"]))


def processes():
    make = functools.partial(gym.make, PROBLEM["id"], workload=PROBLEM["workload"])
    multiprocessing.set_forkserver_preload(PRELOADED)
    return vec_env.SubprocVecEnv([make] * ENVS, start_method="forkserver")


@pytest.mark.parametrize("make", [native, processes], ids=["native", "SubprocVecEnv"])
def test_rollouts(benchmark, make):
    """Designs per second while PPO collects rollouts in 64 environments (no update)."""
    env = make()
    model = sb3.PPO("MlpPolicy", env, n_steps=STEPS, batch_size=64, seed=0, device="cpu")
    _, callback = model._setup_learn(10**9, None)

    def collect():
        model.collect_rollouts(env, callback, model.rollout_buffer, n_rollout_steps=STEPS)

    collect()
    benchmark.pedantic(collect, rounds=7)
    benchmark.extra_info["designs/s"] = ENVS * STEPS / benchmark.stats["median"]
    env.close()


@pytest.mark.parametrize("make", [native, processes], ids=["native", "SubprocVecEnv"])
def test_learning(benchmark, make):
    """Designs per second of PPO as a whole: rollouts in 64 environments and ten epochs of updates."""
    env = make()
    model = sb3.PPO("MlpPolicy", env, n_steps=STEPS, batch_size=64, seed=0, device="cpu")
    model.learn(ENVS * STEPS)
    benchmark.pedantic(model.learn, (ENVS * STEPS,), rounds=5)
    benchmark.extra_info["designs/s"] = ENVS * STEPS / benchmark.stats["median"]
    env.close()
