"""Workloads drawn at reset: by seed, with their own baselines and features, under one budget, in one log each."""

import gymnasium as gym
import numpy as np
import pytest
import toys

from archgym.envs.contexts import Contexts
from archgym.envs.episodes import Episodes
from archgym.errors import BudgetExhausted, UsageError
from archgym.evaluator import Evaluator
from archgym.study import replay

ID = "archgym/Systolic-v0"
NETS = ("alexnet", "resnet18", "vgg16")
RANDOM = "random:[alexnet,resnet18,vgg16]"


def drawn(env, episodes=40):
    """The workload of each episode, played with one design."""
    out = []
    for _ in range(episodes):
        env.reset()
        out.append(env.step(np.zeros(len(env.unwrapped.problem.space), int))[4]["workload"])
    return out


def test_the_seed_decides():
    first, second, other = (gym.make(ID, workload=RANDOM) for _ in range(3))
    for env, seed in ((first, 3), (second, 3), (other, 4)):
        env.reset(seed=seed)
    sequence = drawn(first)
    assert sequence == drawn(second)
    assert sequence != drawn(other)
    assert set(sequence) == set(
        NETS
    )  # 40 draws of three miss one with probability 3 (2/3)^40 < 1e-6; the seed is fixed


def test_each_workload_is_rewarded_and_described_as_in_its_own_environment():
    env = gym.make(ID, workload=RANDOM)
    alone = {name: gym.make(ID, workload=name) for name in NETS}
    for other in alone.values():
        other.reset()
    env.reset(seed=0)
    env.action_space.seed(0)
    for _ in range(20):
        action = env.action_space.sample()
        first, _ = env.reset()
        observation, reward, *_, info = env.step(action)
        its_own = alone[info.pop("workload")]
        expected_first, _ = its_own.reset()
        expected = its_own.step(action)
        assert first.tobytes() == expected_first.tobytes()
        assert observation.tobytes() == expected[0].tobytes()
        assert reward == expected[1]
        assert set(info) == set(expected[4])


def test_vector_equals_sync_vector_env():
    # Every copy has its own stream, seed + i; the workload's draw must come from there, also after autoreset.
    n = 4
    native = gym.make_vec(ID, num_envs=n, workload=RANDOM)
    single = gym.vector.SyncVectorEnv(
        [lambda: gym.make(ID, workload=RANDOM)] * n, autoreset_mode=gym.vector.AutoresetMode.SAME_STEP
    )
    assert native.reset(seed=7)[0].tobytes() == single.reset(seed=7)[0].tobytes()
    native.action_space.seed(1)
    for _ in range(15):
        actions = native.action_space.sample()
        a, b = native.step(actions), single.step(actions)
        assert a[0].tobytes() == b[0].tobytes()
        assert a[1].tobytes() == b[1].tobytes()
        # when all end together, the workload of the design just evaluated is in final_info
        assert a[4]["final_info"]["workload"].tolist() == b[4]["final_info"]["workload"].tolist()


def test_one_budget_for_all():
    contexts = Contexts([Evaluator(toys.problem(macs=(m,))) for m in (16, 49)], budget=5)
    codes = np.zeros((3, 4), np.int64)
    contexts.evaluate(np.array([1, 0, 1]), codes)
    with pytest.raises(BudgetExhausted, match="budget of 5") as caught:
        contexts.evaluate(np.array([0, 1, 1]), codes)
    assert len(caught.value.partial) == 2
    assert [e.n_samples for e in contexts.evaluators] == [2, 3]
    with pytest.raises(BudgetExhausted) as caught:
        contexts.evaluate(np.array([0]), codes[:1])
    assert caught.value.partial is None


def test_rows_come_back_in_order():
    # EDP = MACs^2 (…)/b: rewards differ by the level of b, energies by the workload (1 J a MAC in the toy at a = 1).
    contexts = Contexts([Evaluator(toys.problem(macs=(m,))) for m in (16, 49)])
    at = np.array([1, 0, 0, 1, 0])
    codes = np.array([[0, b, 0, 0] for b in (0, 1, 2, 3, 1)])
    whole = contexts.evaluate(at, codes)
    assert whole.codes.tolist() == codes.tolist()
    for i in range(5):
        alone = contexts.problems[at[i]].evaluate(codes[i : i + 1])
        assert whole.metric_values[i].tobytes() == alone.metric_values[0].tobytes()


def test_each_workload_has_a_log_that_replays(tmp_path):
    env = gym.make(ID, workload=RANDOM, log=str(tmp_path / "log"), budget=12)
    env.reset(seed=0)
    names = drawn(env, 12)
    env.close()
    folders = sorted((tmp_path / "log").iterdir())
    assert [f.name for f in folders] == [f"{i}-{name}" for i, name in enumerate(NETS)]
    assert [replay(f) for f in folders] == [names.count(name) for name in NETS]


@pytest.mark.parametrize(
    ("workload", "message"),
    [
        ("random:alexnet,vgg16", r"expected random:\[NAME,NAME,...\]"),
        ("random:[]", r"expected random:\[NAME,NAME,...\]"),
        ("random:[alexnet,,vgg16]", r"expected random:\[NAME,NAME,...\]"),
        ("random:[alexnet,alexnet]", "comes twice"),
        ("random:[alexnet,alexnt]", "did you mean alexnet"),
    ],
    ids=["no brackets", "none", "gap", "twice", "misspelt"],
)
def test_wrong_workloads(tmp_path, workload, message):
    with pytest.raises(UsageError, match=message):
        gym.make(ID, workload=workload, log=str(tmp_path / "log"))
    assert not (tmp_path / "log").exists()


def test_different_spaces_are_refused():
    narrow = toys.problem(macs=(49,), space={"a": (1, 2)})
    with pytest.raises(UsageError, match="expected the same design space"):
        Contexts([Evaluator(toys.problem()), Evaluator(narrow)])


# ---- vector rewards ------------------------------------------------------------------------


def test_vector_rewards_by_hand():
    # Against the baseline (a=2, b=2): latency 256/(16...) halves with twice b; see the toy's numbers in test_envs.
    problem = toys.problem(objective="pareto:latency,energy,speed")
    form = Episodes(Contexts([Evaluator(problem)]), 1, vector_reward=True)
    form.reset([np.random.default_rng(0)])
    codes = problem.space.encode([{**problem.baseline, "b": 4}])
    _, reward, over, info = form.step(codes)
    ratio = {
        name: float(info[f"metric.{name}"][0]) / problem.baseline_metrics[name]
        for name in ("latency", "energy", "speed")
    }
    # A minimised metric is rewarded by -ln, a maximised one (speed) by +ln of its ratio to the baseline's.
    expected = [-np.log(ratio["latency"]), -np.log(ratio["energy"]), np.log(ratio["speed"])]
    assert reward.shape == (1, 3)
    assert reward[0] == pytest.approx(expected, rel=1e-12)
    assert over
    assert form.reward_space.shape == (3,)
    too_thin = problem.space.encode([{**problem.baseline, "a": 1, "b": 5}])
    assert form.step(too_thin)[1].tolist() == [[-20.0] * 3]


def test_vector_rewards_through_gymnasium():
    # MO-Gymnasium's convention: reward_space on the environment, an array from step.
    env = gym.make(
        ID, workload="alexnet", objective="pareto:latency,energy", vector_reward=True, disable_env_checker=True
    )
    assert env.unwrapped.reward_space.shape == (2,)
    env.reset()
    env.action_space.seed(0)
    reward = env.step(env.action_space.sample())[1]
    assert reward in env.unwrapped.reward_space
    many = gym.make_vec(ID, num_envs=5, workload="alexnet", objective="pareto:latency,energy", vector_reward=True)
    many.reset()
    assert many.step(many.action_space.sample())[1].shape == (5, 2)


def test_a_vector_of_one_objective_is_the_reward():
    plain, vector = (gym.make(ID, workload="alexnet", vector_reward=v, disable_env_checker=True) for v in (False, True))
    for env in (plain, vector):
        env.reset()
    action = np.zeros(len(plain.unwrapped.problem.space), int)
    assert [plain.step(action)[1]] == vector.step(action)[1].tolist()


@pytest.mark.parametrize("options", [{"episode": "refine"}, {"track": "scalar"}])
def test_vector_rewards_where_there_are_none(options):
    with pytest.raises(UsageError, match="vector_reward"):
        gym.make(ID, workload="alexnet", objective="pareto:latency,energy", vector_reward=True, **options)
