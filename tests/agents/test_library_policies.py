"""Policies of stable-baselines3: what they promise beside the contract of every agent and of every adapter."""

import contextlib
import random
import subprocess
import sys

import numpy as np
import pytest
import toys
from small_models import POLICIES

from archgym import rng
from archgym.agents.policy_search import Outcome
from archgym.agents.rl.library_policy import from_cube
from archgym.agents.rl.ppo import Ppo
from archgym.agents.rl.streams import Streams
from archgym.errors import UsageError
from archgym.evaluator import Evaluator
from archgym.registry import AGENTS
from archgym.space import DesignSpace, Parameter, Rule
from archgym.spec import StudySpec
from archgym.study import make_agent, replay, run

NAMES = tuple(POLICIES)


def make(name, problem, budget=40, batch=8, seed=0, **config):
    inner = name.rpartition("(")[2].rstrip(")")
    spec = StudySpec(problem.spec, name, POLICIES[inner] | config, budget, batch, "scalar", seed)
    return make_agent(spec, problem)


def search(agent, problem, budget=40):
    evaluator = Evaluator(problem, budget, track="scalar")
    agent.run(evaluator)
    return evaluator


@pytest.fixture(scope="module")
def hills():
    return toys.problem("toys:Hills", objective="latency")


def weights(agent):
    return {name: value.clone() for name, value in agent._model.policy.state_dict().items()}


def same(one, other):
    return one.keys() == other.keys() and all(bool((one[name] == other[name]).all()) for name in one)


# ---- random streams ------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_designs_depend_on_the_seed_alone_and_nobody_notices(name, hills):
    import torch

    def designs(seed, meddle):
        agent, asked = make(name, hills, seed=seed), []
        for step in range(4):
            if meddle:
                torch.manual_seed(step)
                np.random.seed(step)  # noqa: NPY002
                random.seed(step)
            before = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()  # noqa: NPY002
            threads = torch.get_num_threads()
            codes = agent.ask(8)
            agent.tell(hills.evaluate(codes).scalar())
            after = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()  # noqa: NPY002
            assert torch.equal(before[0], after[0])
            assert (before[1:], threads) == (after[1:], torch.get_num_threads())
            asked.append(codes)
        return np.concatenate(asked)

    first = designs(1, meddle=False)
    assert np.array_equal(first, designs(1, meddle=True))
    assert not np.array_equal(first, designs(2, meddle=False))


def test_streams_go_on_where_they_ended():
    # The numbers of one block of six are those of two blocks of three, and an exception changes nothing of that.
    import torch

    def draw(n):
        return torch.rand(n).tolist(), np.random.random(n).tolist()  # noqa: NPY002

    whole, parts = Streams(5), Streams(5)
    with whole():
        expected = draw(3), draw(3)
    with parts():
        first = draw(3)
    draw(7)
    with contextlib.suppress(ZeroDivisionError), parts():
        second = draw(3)
        raise ZeroDivisionError
    assert (first, second) == expected
    assert draw(3) != draw(3)


def test_streams_lend_precision_and_threads_as_well():
    # A policy made of doubles could not be fed with the library's single precision buffers.
    import torch

    threads, precision = torch.get_num_threads(), torch.get_default_dtype()
    try:
        torch.set_num_threads(2)
        torch.set_default_dtype(torch.float64)
        with Streams(5)():
            assert (torch.get_num_threads(), torch.get_default_dtype()) == (1, torch.float32)
        assert (torch.get_num_threads(), torch.get_default_dtype()) == (2, torch.float64)
    finally:
        torch.set_num_threads(threads)
        torch.set_default_dtype(precision)


# ---- points of a cube as designs -----------------------------------------------------------


def test_three_levels_of_a_parameter_are_in_reach_of_rounded_actions():
    # ArchGym's ten memory-controller parameters: its mapper reaches min(3, n) levels of n, so 3^8 * 2^2 = 26,244 of
    # 442,368 designs; of four levels it misses the second, of eight it has the first, the fifth and the last.
    space = DesignSpace([Parameter.integers(f"p{i}", 0, n - 1) for i, n in enumerate((4, 3, 3, 8, 2, 2, 4, 4, 3, 8))])
    rounded = np.stack(np.meshgrid(*[(-0.9, 0.3, 1.7)] * 10, indexing="ij"), axis=-1).reshape(-1, 10)
    reached = np.unique(from_cube(space, rounded, "rounded"), axis=0)
    assert len(reached) == 26_244
    assert np.unique(reached[:, 0]).tolist() == [0, 2, 3]
    assert np.unique(reached[:, 3]).tolist() == [0, 4, 7]
    cells = np.linspace(-1.2, 1.2, 50)[:, None].repeat(10, axis=1)
    assert np.unique(from_cube(space, cells, "cells")[:, 3]).tolist() == list(range(8))


@pytest.mark.parametrize(("name", "actions"), [("ppo", "cells"), ("ppo", "rounded"), ("sac", "rounded")])
def test_other_actions_keep_their_promises(name, actions, hills):
    plain = {"actions": actions, "distinct": False}
    first, again = (search(make(name, hills, 60, **plain), hills, 60).history().codes for _ in range(2))
    assert np.array_equal(first, again)
    levels = [np.unique(column).tolist() for column in first.T]  # of six a parameter
    if actions == "rounded":
        assert all(set(column) <= {0, 3, 5} for column in levels)
    else:
        assert set.union(*map(set, levels)) == set(range(6))


def test_a_gaussian_policy_finds_the_hills_as_well(hills):
    # As above: the best of 600 random designs has latency 4 or more.
    agent = make("ppo", hills, 600, 10, actions="cells", rollout=20, width=32, epochs=4, entropy=0.0, entropy_floor=0.0)
    assert search(agent, hills, 600).best.metrics["latency"][0] <= 3


def test_unknown_actions_are_refused(hills):
    for name, actions in (("ppo", "round"), ("sac", "levels"), ("maskable-ppo", "cells")):
        with pytest.raises(UsageError, match="actions"):
            make(name, hills, actions=actions)


# ---- learning ------------------------------------------------------------------------------


@pytest.mark.parametrize("distinct", [pytest.param(True, marks=pytest.mark.slow), False])  # slow: draws many again
def test_ppo_solves_a_separable_problem_that_random_search_does_not(distinct, hills):
    # 1.7 million designs, 600 samples: the optimum has latency 1, the best of 600 random designs 4 or more in the
    # median of five seeds. Not distinct, no neighbour of a known design helps: it is the policy that finds it.
    random_search, ppo = AGENTS.load("random"), AGENTS.load("ppo")
    luck = [search(random_search(hills.space, seed=seed), hills, 600).best.metrics["latency"][0] for seed in range(5)]
    assert np.median(luck) >= 4
    agent = ppo(hills.space, ppo.Config(distinct=distinct), seed=1, budget=600, batch=10)
    assert search(agent, hills, 600).best.metrics["latency"][0] == 1


@pytest.mark.parametrize("name", ["ppo", "maskable-ppo"])
def test_two_hundred_samples_are_enough_for_updates(name, hills):
    # Rollouts of 200 // 30 = 6 designs, at least 16: 200 // 16 = 12 updates of two epochs and no design told twice.
    agent = make(name, hills, 200, 10, rollout=0, distinct=False)
    before = weights(agent)
    search(agent, hills, 200)
    assert agent._model._n_updates == 12 * 2
    assert not same(before, weights(agent))


def test_the_rollout_follows_the_budget(hills):
    # A thirtieth of it from 16 to 256; where it is not known it is taken for 2000.
    rollouts = [Ppo(hills.space, budget=budget)._rollout for budget in (10, 480, 1500, 100_000, None)]
    assert rollouts == [16, 16, 50, 256, 66]


def test_exploration_fades_with_the_budget(hills):
    # After half of the budget the weight of the entropy is halfway from 0.4 to 0.2, after all of it at its floor.
    agent = make("ppo", hills, 32, 8, entropy=0.4, entropy_floor=0.2)
    seen = []
    for _ in range(4):
        agent.tell(hills.evaluate(agent.ask(8)).scalar())
        seen.append(agent._model.ent_coef)
    assert seen == pytest.approx([0.35, 0.3, 0.25, 0.2])


def test_on_policy_ignores_what_it_never_asked_for_and_sac_learns_it(hills):
    strangers = hills.evaluate(hills.space.sample(50, rng.generator(1, "strangers"))).scalar()
    for name in NAMES:
        agent = make(name, hills)
        before = weights(agent)
        agent.tell(strangers)
        assert same(before, weights(agent)) == (name != "sac")


def test_what_is_told_is_matched_to_what_was_asked(hills):
    # 2 * 8 designs asked before any is told, one of them twice told, in reverse order and with strangers in between:
    # the rollout of 16 is full with the last of them, and holds their rewards.
    agent = make("ppo", hills, rollout=16, distinct=False)
    told = hills.evaluate(np.concatenate([agent.ask(8), agent.ask(8)])[::-1]).scalar()
    strangers = hills.evaluate(hills.space.sample(9, rng.generator(1, "strangers"))).scalar()
    for part in (told.take(slice(0, 9)), strangers, told.take(slice(8, 15))):
        agent.tell(part)
    assert agent._model._n_updates == 0
    agent.tell(told.take(slice(15, 16)))
    assert agent._model._n_updates == 2
    buffer = agent._model.rollout_buffer
    assert np.array_equal(buffer.actions.astype(int), told.codes)


def test_maskable_ppo_is_rewarded_for_the_last_decision(hills):
    # Every decision of an episode has the same return, the scaled reward of its design.
    agent = make("maskable-ppo", hills, rollout=8)
    codes = agent.ask(8)
    agent.tell(hills.evaluate(codes).scalar())
    returns, actions = (
        agent._model.rollout_buffer.returns.reshape(8, 8), agent._model.rollout_buffer.actions.reshape(8, 8)
    )  # fmt: skip
    assert np.array_equal(actions.astype(int), codes)
    reward = agent._scale.scaled(hills.evaluate(codes).reward, np.zeros(8))
    assert returns == pytest.approx(np.repeat(reward[:, None], 8, axis=1), abs=1e-5)


# ---- rules and repetition ------------------------------------------------------------------

# Each of four parameters of four levels must be above the one before it by one at most: 4 levels first, then up to 4.
STAIRS = DesignSpace(
    [Parameter.integers(f"s{i}", 0, 3) for i in range(4)],
    [Rule.where([Parameter.integers(f"s{i}", 0, 3), Parameter.integers(f"s{i + 1}", 0, 3)], lambda a, b: b <= a + 1)
     for i in range(3)],
)  # fmt: skip


def test_maskable_ppo_never_draws_what_the_rules_forbid():
    agent = AGENTS.load("maskable-ppo")(STAIRS, seed=1)
    drawn = np.array([draw.codes for draw in agent._draws(300)])
    assert STAIRS.is_allowed(drawn).all()
    assert len(np.unique(drawn, axis=0)) > 50  # and not always the same either


@pytest.mark.parametrize("distinct", [True, False])
def test_ppo_learns_from_forbidden_designs_and_asks_for_others(distinct):
    # Of 256 designs 121 are allowed: about every second draw is forbidden, costs nothing and gets the lowest reward.
    cls = AGENTS.load("ppo")
    agent = cls(STAIRS, cls.Config(rollout=64, distinct=distinct), seed=1)
    asked = np.concatenate([agent.ask(10) for _ in range(3)])
    assert len(asked) == 30
    assert STAIRS.is_allowed(asked).all()
    assert len(agent._collected) > 10
    assert not STAIRS.is_allowed(np.array([draw.codes for draw, _ in agent._collected])).any()
    assert agent._rewards([outcome for _, outcome in agent._collected]).tolist() == [-4.0] * len(agent._collected)


def test_a_known_design_enters_the_rollout_again_and_costs_nothing():
    # Four designs, all known: an ask finds nothing new but draws on, and what it draws fills rollouts.
    problem = toys.problem(space={"a": (2,), "b": (1, 2), "mode": ("x", "z"), "c": (0,)})
    agent = make("ppo", problem)
    evaluator = search(agent, problem, 40)
    assert evaluator.n_samples == evaluator.n_unique == 4
    assert agent._model._n_updates >= 2


def test_duplicates_cost_samples_where_they_are_allowed():
    problem = toys.problem(space={"a": (2,), "b": (1, 2), "mode": ("x", "z"), "c": (0,)})
    evaluator = search(make("ppo", problem, distinct=False), problem, 40)
    assert (evaluator.n_samples, evaluator.n_unique) == (40, 4)


@pytest.mark.parametrize("name", NAMES)
def test_inside_wrappers(name, hills):
    for around in ("dedup({})", "dedup(penalty({}))"):
        evaluator = search(make(around.format(name), hills, distinct=False), hills, 40)
        assert evaluator.n_samples == evaluator.n_unique == 40


# ---- files ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_a_saved_policy_goes_on(name, hills, tmp_path):
    trained = make(name, hills)
    search(trained, hills)
    trained.save(tmp_path / "policy.zip")
    other = make(name, hills, seed=7, policy=str(tmp_path / "policy.zip"))
    assert same(weights(trained), weights(other))
    assert not same(weights(trained), weights(make(name, hills, seed=7)))
    if name == "sac":  # which learns the weight of its entropy, no part of a network
        assert trained._model.log_ent_coef.item() == other._model.log_ent_coef.item() != 0.0
    assert search(other, hills).n_samples == 40


def test_equal_rewards_teach_nothing(hills):
    # Designs that are all infeasible: their advantages are rounding errors, which the library would normalise.
    agent = make("ppo", hills, rollout=50, entropy=0.0, entropy_floor=0.0, distinct=False, epochs=4)
    before = [part.clone() for part in agent._model.policy.action_net.parameters()]
    for _ in range(3):
        draws = agent._draws(50)
        for draw in draws:
            agent._learn(draw, Outcome(-50.0, 1.0))
        agent._updated()
    after = list(agent._model.policy.action_net.parameters())
    assert agent._model._n_updates == 3 * 4
    assert all(np.allclose(a.detach(), b.detach(), atol=1e-6) for a, b in zip(before, after, strict=True))


def test_a_study_from_a_saved_policy_replays(hills, tmp_path):
    make("ppo", hills).save(tmp_path / "policy.zip")
    config = POLICIES["ppo"] | {"policy": str(tmp_path / "policy.zip")}
    run(hills.spec, "ppo", config=config, budget=20, batch=5, out=tmp_path / "study")
    assert replay(tmp_path / "study", agent=True) == 20


def test_a_policy_of_something_else_is_refused(hills, tmp_path):
    path = tmp_path / "policy.zip"
    make("ppo", hills).save(path)
    for name, problem, config in (
        ("maskable-ppo", hills, {}),
        ("ppo", hills, {"width": 9}),
        ("ppo", hills, {"actions": "cells"}),
        ("ppo", toys.problem("toys:Hills", objective="latency", space={"p0": (0, 1)}), {}),
    ):
        with pytest.raises(UsageError, match="expected one of"):
            make(name, problem, policy=str(path), **config)
    path.write_text("no zip")
    for wrong in (path, tmp_path / "nowhere.zip"):
        with pytest.raises(UsageError, match="expected a file written by an agent's save"):
            make("ppo", hills, policy=str(wrong))


def test_modules_load_no_library():
    script = """
import sys
import archgym.agents.rl.ppo, archgym.agents.rl.maskable_ppo, archgym.agents.rl.sac
print([m for m in ("torch", "stable_baselines3", "sb3_contrib") if m in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
