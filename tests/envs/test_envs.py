"""The Gymnasium views: checkers without a warning, hand-computed rewards, vector equals single, logs that replay.

Toy numbers (see ``toys``): EDP = 256 (1 + mode)(1 + c/4 in mode y)/b for 16 MACs, 128 at the baseline
(a=2, b=2, mode=x). a=1 with b=5 is "too thin", 8 x 5 does not fit.
"""

import json
import math
import pickle

import gymnasium as gym
import numpy as np
import pytest
import toys
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from archgym.envs.contexts import Contexts
from archgym.envs.design_env import AssignEnv, DesignEnv
from archgym.envs.design_vector_env import AssignVectorEnv, DesignVectorEnv
from archgym.envs.entry import make_env, make_episodes
from archgym.envs.registration import IDS
from archgym.errors import BudgetExhausted, LogError, UnknownNameError, UsageError
from archgym.evaluator import Evaluator
from archgym.log import read_header, read_trials
from archgym.study import load, replay
from archgym.testing import comparable

SYSTOLIC = "archgym/Systolic-v0"
WHOLE = ("one_step", "refine")  # an action is a whole design
EPISODES = (*WHOLE, "assign")
TRACKS = ("grey", "scalar")


def toy_episodes(n, episode, track, horizon, budget, **options):
    contexts = Contexts([Evaluator(toys.problem(**options), budget, track=track)])
    return make_episodes(contexts, n, episode, horizon)


def toy_env(episode="one_step", track="grey", horizon=4, budget=None, render_mode=None, **options):
    kind = AssignEnv if episode == "assign" else DesignEnv
    return kind(toy_episodes(1, episode, track, horizon, budget, **options), render_mode=render_mode)


def toy_vector(n, episode="one_step", track="grey", horizon=4, budget=None, **options):
    kind = AssignVectorEnv if episode == "assign" else DesignVectorEnv
    return kind(toy_episodes(n, episode, track, horizon, budget, **options))


def action(env, **levels):
    """The baseline with some levels changed, as an action (d,)."""
    return env.problem.space.encode([{**env.problem.baseline, **levels}])[0]


def named(env, observation):
    return dict(zip(env.observation_names, observation.tolist(), strict=True))


def assert_equal_infos(a, b, where="info"):
    """Nested dictionaries of arrays, bit for bit: keys, dtypes, values (NaN equals NaN)."""
    assert set(a) == set(b), where
    for key in a:
        if isinstance(a[key], dict):
            assert_equal_infos(a[key], b[key], f"{where}.{key}")
        elif a[key].dtype == object:
            assert b[key].dtype == object, f"{where}.{key}"
            assert len(a[key]) == len(b[key])
            for x, y in zip(a[key], b[key], strict=True):
                assert type(x) is type(y), f"{where}.{key}"
                assert np.array_equal(x, y), f"{where}.{key}"
        else:
            assert a[key].dtype == b[key].dtype, f"{where}.{key}"
            assert a[key].tobytes() == b[key].tobytes(), f"{where}.{key}"


# ---- checkers ------------------------------------------------------------------------------


@pytest.mark.parametrize("track", TRACKS)
@pytest.mark.parametrize("episode", EPISODES)
@pytest.mark.parametrize("env_id", IDS)
def test_gymnasium_check_env(env_id, episode, track):
    # Warnings are errors in this suite, so passing means passing without any.
    small = {} if env_id == "archgym/DRAM-v0" else {"workload": "alexnet"}
    env = gym.make(env_id, episode=episode, track=track, horizon=5, render_mode="ansi", **small)
    check_env(comparable(env.unwrapped))
    env.close()


@pytest.mark.parametrize("track", TRACKS)
@pytest.mark.parametrize("episode", EPISODES)
@pytest.mark.parametrize("env_id", IDS)
def test_stable_baselines_check_env(env_id, episode, track):
    sb3 = pytest.importorskip("stable_baselines3.common.env_checker")
    small = {} if env_id == "archgym/DRAM-v0" else {"workload": "alexnet"}
    sb3.check_env(gym.make(env_id, episode=episode, track=track, horizon=5, **small), warn=True)


@pytest.mark.parametrize("track", TRACKS)
@pytest.mark.parametrize("episode", WHOLE)
def test_observations_stay_inside_their_space(episode, track):
    # Every design of the toy space: feasible, beyond a limit, impossible.
    env = toy_env(episode, track, horizon=3, limits=("area<=16",))
    env.action_space.seed(0)
    observation, _ = env.reset(seed=0)
    assert observation in env.observation_space
    for code in np.concatenate([env.problem.space.unrank(range(env.problem.space.size))]):
        observation, _, terminated, _, _ = env.step(code)
        assert observation.dtype == np.float64
        assert observation in env.observation_space
        if terminated:
            env.reset()
    assert np.isfinite(env.observation_space.low).all()
    assert np.isfinite(env.observation_space.high).all()


# ---- one_step ------------------------------------------------------------------------------


def test_one_step_by_hand():
    env = toy_env()
    observation, info = env.reset(seed=1)
    workload = list(toys.network(16).features().values())
    # Nothing evaluated yet: not valid, no ratios; then the workload.
    assert observation.tolist() == [0.0, 0.0, 0.0, 0.0, 0.0, *workload]
    assert info == {}
    # a=4, b=2, x: latency 2 of 4, energy 64 of 32, area 8 of 4, speed 8 of 4; EDP 128 of 128: reward 0.
    observation, reward, terminated, truncated, info = env.step(action(env, a=4))
    assert env.observation_names[:5] == ("valid", "ln latency", "ln energy", "ln area", "ln speed")
    assert observation == pytest.approx([1.0, -math.log(2), *[math.log(2)] * 3, *workload], rel=1e-15)
    assert reward == pytest.approx(0.0, abs=1e-15)
    assert (terminated, truncated) == (True, False)
    assert info["metric.latency"] == 2.0
    assert info["feasible"] is True
    assert info["reason"] == ""
    assert info["violation.room"] == (8 - 32) / 32


def test_an_infeasible_design_gives_zeros_and_the_floor():
    env = toy_env()
    env.reset()
    observation, reward, terminated, _, info = env.step(action(env, a=1, b=5))
    assert reward == -20.0
    assert terminated
    assert observation[:5].tolist() == [0.0] * 5
    assert (info["feasible"], info["reason"]) == (False, "too thin")
    assert math.isnan(info["metric.latency"])


def test_a_design_beyond_a_limit_is_valid_but_infeasible():
    # area 8 > 5: numbers exist, so the observation shows them; the reward is the floor.
    env = toy_env(limits=("area<=5",))
    env.reset()
    observation, reward, _, _, info = env.step(action(env, a=4))
    assert reward == -20.0
    assert observation[0] == 1.0
    assert info["reason"] == "violates area<=5.0"


def test_info_is_flat_with_the_same_keys_and_types_every_step():
    for track in TRACKS:
        env = toy_env("refine", track, horizon=3)
        env.reset()
        infos = [env.step(action(env, **levels))[4] for levels in ({}, {"a": 1, "b": 5}, {"a": 8, "b": 5})]
        assert len({tuple(info) for info in infos}) == 1
        assert len({tuple(type(v) for v in info.values()) for info in infos}) == 1
        assert {type(v) for info in infos for v in info.values()} <= {bool, float, str}


def test_the_scalar_track_shows_no_metrics():
    env = toy_env(track="scalar")
    env.reset()
    n = len(toys.network(16).features())
    observation, reward, _, _, info = env.step(action(env, b=4))
    assert env.observation_names[:2] == ("feasible", "reward")
    assert observation.shape == (2 + n,)
    assert observation[:2].tolist() == [1.0, reward]
    assert reward == pytest.approx(math.log(2), rel=1e-15)  # EDP 64 of 128
    assert info == {"feasible": True}
    observation, _, _, _, info = env.step(action(env, a=1, b=5))
    assert observation[:2].tolist() == [0.0, -20.0]
    assert info == {"feasible": False}


# ---- refine --------------------------------------------------------------------------------


def test_refine_rewards_the_improvement_by_hand():
    # EDP 256/b: b=4 gives 64 (reward ln 2), the baseline again nothing, "too thin" nothing, a=2 b=5 gives 51.2:
    # ln 2.5, of which ln 2.5 - ln 2 is new. The return is the improvement over the baseline: ln 2.5.
    env = toy_env("refine", horizon=4)
    env.reset()
    steps = [env.step(action(env, **levels)) for levels in ({"a": 1, "b": 4}, {}, {"a": 1, "b": 5}, {"b": 5})]
    rewards = [step[1] for step in steps]
    assert rewards == pytest.approx([math.log(2), 0.0, 0.0, math.log(1.25)], rel=1e-14, abs=1e-15)
    assert sum(rewards) == pytest.approx(math.log(2.5), rel=1e-14)
    assert [step[2] for step in steps] == [False, False, False, True]
    assert not any(step[3] for step in steps)


def test_refine_observation_by_hand():
    env = toy_env("refine", horizon=4)
    start, _ = env.reset()
    first = named(env, start)
    # Levels as shares of the last index: a=2 is index 1 of 3, b=2 index 1 of 4, mode and c are at 0.
    design = {"a": 1 / 3, "b": 1 / 4, "mode": 0.0, "c": 0.0}
    assert all(first[f"{what} {name}"] == share for what in ("design", "best") for name, share in design.items())
    assert (first["best reward"], first["steps left"], first["valid"]) == (0.0, 1.0, 0.0)
    better = named(env, env.step(action(env, a=1, b=4))[0])
    assert (better["design a"], better["design b"], better["best a"], better["best b"]) == (0.0, 0.75, 0.0, 0.75)
    assert better["best reward"] == pytest.approx(math.log(2), rel=1e-15)
    assert better["steps left"] == 0.75
    worse = named(env, env.step(action(env, a=8, b=5))[0])  # impossible: the design moves, the best stays
    assert (worse["design a"], worse["design b"], worse["best a"], worse["best b"]) == (1.0, 1.0, 0.0, 0.75)
    assert (worse["steps left"], worse["valid"]) == (0.5, 0.0)
    again, _ = env.reset()
    assert again.tolist() == start.tolist()


def test_refine_starts_inside_a_restriction_without_the_baseline():
    env = toy_env("refine", space={"a": (4, 8)})
    observation, _ = env.reset()
    assert observation in env.observation_space
    assert named(env, observation)["design a"] == 0.0


@pytest.mark.parametrize("track", TRACKS)
def test_refine_counts_only_feasible_improvements(track):
    # b=5 would be the better design, but area 10 breaks the limit: no reward, and it does not become the best.
    env = toy_env("refine", track, limits=("area<=5",))
    env.reset()
    observation, reward, *_ = env.step(action(env, b=5))
    assert reward == 0.0
    assert named(env, observation)["best reward"] == 0.0


# ---- determinism ---------------------------------------------------------------------------


@pytest.mark.parametrize("episode", EPISODES)
def test_same_seed_same_trajectory(episode):
    def trajectory():
        env = gym.make(SYSTOLIC, workload="alexnet", episode=episode, horizon=3)
        env.action_space.seed(7)
        out = [env.reset(seed=7)[0]]
        for _ in range(12):
            observation, reward, terminated, _, _ = env.step(env.action_space.sample())
            out += [observation, np.array([reward])]
            if terminated:
                out.append(env.reset()[0])
        env.close()
        return np.concatenate(out)

    assert trajectory().tobytes() == trajectory().tobytes()


def test_the_past_does_not_change_an_outcome():
    # One design costs the same first or last: the environment has no hidden state in one_step.
    env = toy_env()
    env.reset()
    first = env.step(action(env, b=4))
    for levels in ({"a": 8}, {"a": 1, "b": 5}, {"mode": "z"}):
        env.reset()
        env.step(action(env, **levels))
    env.reset()
    again = env.step(action(env, b=4))
    assert first[0].tobytes() == again[0].tobytes()
    assert first[1] == again[1]


def test_the_action_array_may_be_reused():
    # Training loops fill one buffer; neither history nor best design may change afterwards.
    env = toy_env("refine")
    env.reset()
    buffer = action(env, b=4)
    env.step(buffer)
    buffer[:] = 0
    assert env.evaluator.history().codes.tolist() == [action(env, b=4).tolist()]


# ---- vector --------------------------------------------------------------------------------


@pytest.mark.parametrize("track", TRACKS)
@pytest.mark.parametrize("episode", EPISODES)
def test_vector_equals_sync_vector_env(episode, track):
    # The same actions through both for 40 steps (10 episodes of 4 in refine): every array bit for bit.
    n, options = 5, {"limits": ("area<=16",), "macs": (16, 49)}
    native = toy_vector(n, episode, track, **options)
    single = SyncVectorEnv([lambda: toy_env(episode, track, **options)] * n, autoreset_mode=AutoresetMode.SAME_STEP)
    assert native.metadata["autoreset_mode"] == AutoresetMode.SAME_STEP
    assert native.single_observation_space == single.single_observation_space
    assert native.single_action_space == single.single_action_space
    assert native.observation_space == single.observation_space
    assert native.action_space == single.action_space
    a, b = native.reset(seed=3), single.reset(seed=3)
    assert a[0].tobytes() == b[0].tobytes()
    assert_equal_infos(a[1], b[1])
    native.action_space.seed(11)
    for step in range(40):
        actions = native.action_space.sample()
        a, b = native.step(actions), single.step(actions)
        for name, x, y in zip(("observation", "reward", "terminated", "truncated"), a, b, strict=False):
            assert x.dtype == y.dtype, (step, name)
            assert x.shape == y.shape, (step, name)
            assert x.tobytes() == y.tobytes(), (step, name)
        assert_equal_infos(a[4], b[4])
        assert a[0] in native.observation_space
    native.close()
    single.close()


@pytest.mark.parametrize("episode", WHOLE)
def test_a_registered_vector_environment_is_native(episode):
    # One batch per step: 6 samples and one ask each.
    env = gym.make_vec(SYSTOLIC, num_envs=6, workload="alexnet", episode=episode, horizon=3)
    assert isinstance(env.unwrapped, DesignVectorEnv)
    assert env.num_envs == 6
    env.reset(seed=0)
    env.action_space.seed(0)
    for _ in range(4):
        env.step(env.action_space.sample())
    assert (env.unwrapped.evaluator.n_samples, env.unwrapped.evaluator.n_asks) == (24, 4)
    env.close()


def test_vector_returned_arrays_are_not_overwritten_by_the_next_step():
    env = toy_vector(3, "refine")
    env.reset()
    env.action_space.seed(1)
    first = env.step(env.action_space.sample())
    kept = [np.copy(first[0]), np.copy(first[1])]
    env.step(env.action_space.sample())
    assert np.array_equal(first[0], kept[0])
    assert np.array_equal(first[1], kept[1])


def test_vector_budget_is_shared():
    # 3 rows a step, 7 samples: two steps, then only one row fits.
    env = toy_vector(3, budget=7)
    env.reset()
    actions = np.repeat(action(env)[None], 3, axis=0)
    env.step(actions)
    env.step(actions)
    with pytest.raises(BudgetExhausted):
        env.step(actions)
    assert env.evaluator.n_samples == 7


def test_partial_resets_are_refused():
    env = toy_vector(2)
    with pytest.raises(UsageError, match="reset_mask"):
        env.reset(options={"reset_mask": np.array([True, False])})


# ---- budget and log ------------------------------------------------------------------------


def test_the_budget_ends_an_environment():
    env = gym.make(SYSTOLIC, workload="alexnet", budget=3)
    env.action_space.seed(0)
    for _ in range(3):
        env.reset()
        env.step(env.action_space.sample())
    env.reset()
    with pytest.raises(BudgetExhausted, match="budget of 3 samples is spent"):
        env.step(env.action_space.sample())
    env.close()


@pytest.mark.parametrize("track", TRACKS)
def test_a_plain_loop_writes_a_study_that_replays(tmp_path, track):
    env = gym.make(SYSTOLIC, workload="alexnet", objective="edp", track=track, log=str(tmp_path / "s"), budget=20)
    env.action_space.seed(1)
    asked = []
    for _ in range(12):
        env.reset()
        asked.append(env.action_space.sample().tolist())
        env.step(np.array(asked[-1]))
    env.close()
    env.close()  # idempotent
    rows = read_trials(tmp_path / "s")
    assert [row["codes"] for row in rows] == asked
    assert [row["ask"] for row in rows] == list(range(12))
    assert rows[0]["metrics"]["latency"] is not None or not rows[0]["feasible"]
    study = read_header(tmp_path / "s")["study"]
    assert (study["agent"], study["budget"], study["track"], study["batch"]) == ("external", 20, track, 1)
    assert replay(tmp_path / "s") == 12
    assert len(load(tmp_path / "s").samples) == 12
    with pytest.raises(UsageError, match="cannot be rerun"):
        replay(tmp_path / "s", agent=True)


def test_a_vector_loop_writes_a_study_that_replays(tmp_path):
    env = gym.make_vec(SYSTOLIC, num_envs=4, workload="alexnet", episode="refine", horizon=3, log=str(tmp_path / "s"))
    env.action_space.seed(1)
    env.reset()
    for _ in range(5):
        env.step(env.action_space.sample())
    env.close()
    assert [row["ask"] for row in read_trials(tmp_path / "s")] == [i // 4 for i in range(20)]
    assert replay(tmp_path / "s") == 20


def test_the_log_of_a_running_environment_is_locked(tmp_path):
    env = gym.make(SYSTOLIC, workload="alexnet", log=str(tmp_path / "s"))
    with pytest.raises(LogError, match="being written by another process"):
        gym.make(SYSTOLIC, workload="alexnet", log=str(tmp_path / "s"))
    env.close()
    gym.make(SYSTOLIC, workload="alexnet", log=str(tmp_path / "s")).close()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"episode": "onestep"}, UnknownNameError, "unknown episode 'onestep'; did you mean one_step"),
        ({"episode": "refine", "horizon": 0}, UsageError, "horizon"),
        ({"track": "gray"}, UnknownNameError, "unknown track 'gray'; did you mean grey"),
        ({"budget": 0}, UsageError, "at least 1"),
        ({"objective": "edpp"}, UnknownNameError, "unknown objective"),
        ({"workload": "alexnt"}, UnknownNameError, "did you mean alexnet"),
        ({"space": {"row": (32,)}}, UnknownNameError, "did you mean rows"),
    ],
)
def test_wrong_options_write_nothing(tmp_path, options, error, message):
    # "Nothing has been done or written" is what UsageError promises.
    for make in (gym.make, lambda *args, **kwargs: gym.make_vec(*args, num_envs=2, **kwargs)):
        with pytest.raises(error, match=message):
            make(SYSTOLIC, log=str(tmp_path / "s"), **options)
        assert not (tmp_path / "s").exists()


def test_a_workload_file_and_several_workloads(tmp_path):
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(toys.network(16).to_dict()))
    env = gym.make(SYSTOLIC, simulator="toys:Toy", workload=str(path))
    assert env.unwrapped.problem.fingerprint == toys.problem().fingerprint
    two = gym.make(SYSTOLIC, workload="alexnet+resnet18", aggregate="worst")
    assert len(two.unwrapped.problem.workloads) == 2


@pytest.mark.parametrize("levels", ["ws", ("ws",), ["ws"]], ids=["text", "tuple", "list"])
def test_a_restriction_is_written_as_in_a_problem(levels):
    # ProblemSpec takes one level as plain text; the environments pass `space` on "as in ProblemSpec".
    env = gym.make(SYSTOLIC, workload="alexnet", space={"dataflow": levels})
    assert env.unwrapped.problem.space["dataflow"].levels == ("ws",)


# ---- rendering -----------------------------------------------------------------------------


def test_render_ansi():
    env = toy_env(render_mode="ansi")
    env.reset()
    assert "no design evaluated yet" in env.render()
    env.step(action(env, a=1, b=4))
    text = env.render()
    # Design, units and outcome by name: EDP 64 of 128 is a reward of ln 2 = 0.6931.
    assert all(word in text for word in ("sample 1", "best reward 0.6931", "lanes", "latency", "4 s", "mode"))
    env.step(action(env, a=1, b=5))
    assert "too thin" in env.render()
    assert "best reward 0.6931" in env.render()


@pytest.mark.parametrize("track", TRACKS)
def test_render_rgb_array(track):
    env = toy_env(track=track, render_mode="rgb_array")
    env.reset()
    before = env.render()
    env.step(action(env, a=1, b=5))  # only an infeasible design so far: no best reward to draw
    env.render()
    env.step(action(env, b=4))
    after = env.render()
    for picture in (before, after):
        assert picture.shape == (400, 800, 3)
        assert picture.dtype == np.uint8
    assert not np.array_equal(before, after)


def test_the_scalar_track_renders_no_metrics():
    env = toy_env(track="scalar", render_mode="ansi")
    env.reset()
    env.step(action(env, b=4))
    assert "latency" not in env.render()
    env.step(action(env, a=1, b=5))
    assert "too thin" not in env.render()


def test_without_a_render_mode_nothing_is_rendered():
    env = toy_env()
    env.reset()
    assert env.render() is None


def test_an_unknown_render_mode():
    with pytest.raises(UnknownNameError, match="unknown render_mode 'human'"):
        make_env(**IDS[SYSTOLIC], render_mode="human")


# ---- specs ---------------------------------------------------------------------------------


OPTIONS = {
    "workload": "alexnet",
    "objective": "ed2p",
    "episode": "refine",
    "horizon": 3,
    "limits": ("area<=40",),
    "space": {"rows": (16, 32)},
    "sim": {"bits": 16},
    "track": "scalar",
}


@pytest.mark.parametrize(
    "copy",
    [lambda spec: EnvSpec.from_json(spec.to_json()), lambda spec: pickle.loads(pickle.dumps(spec))],
    ids=["JSON", "pickle"],
)
def test_env_spec_round_trip(copy):
    env = gym.make(SYSTOLIC, **OPTIONS)
    again = gym.make(copy(env.spec))
    assert again.unwrapped.problem.fingerprint == env.unwrapped.problem.fingerprint
    assert again.unwrapped.evaluator.track == "scalar"
    env.action_space.seed(5)
    assert env.reset(seed=0)[0].tobytes() == again.reset(seed=0)[0].tobytes()
    for _ in range(3):
        sample = env.action_space.sample()
        a, b = env.step(sample), again.step(sample)
        assert a[0].tobytes() == b[0].tobytes()
        assert a[1:4] == b[1:4]


def test_every_id_has_string_entry_points():
    # Registering imports no simulator; a change of dynamics bumps the version in the id.
    for env_id in IDS:
        spec = gym.spec(env_id)
        assert isinstance(spec.entry_point, str)
        assert isinstance(spec.vector_entry_point, str)
        assert env_id.rpartition("-v")[2].isdigit()


def test_a_step_limit_beside_the_horizon_is_refused():
    """Episodes run in lock step with a fixed length; a limit that would be ignored is an error."""
    with pytest.raises(UsageError, match="use horizon"):
        gym.make_vec("archgym/Systolic-v0", num_envs=2, workload="alexnet", max_episode_steps=3)
