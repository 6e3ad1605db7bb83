"""The multi-agent form: the same numbers as the single-agent one, divided among agents."""

import builtins
import sys

import gymnasium as gym
import numpy as np
import pytest
import toys

import archgym
from archgym.envs.contexts import Contexts
from archgym.envs.design_env import DesignEnv
from archgym.envs.episodes import Episodes
from archgym.errors import BudgetExhausted, MissingExtraError, UnknownNameError, UsageError
from archgym.evaluator import Evaluator
from archgym.study import replay

pytest.importorskip("pettingzoo")


def play(env, design):
    """One step with the design's levels dealt out to the agents."""
    position = {name: i for i, name in enumerate(env.problem.space.names)}
    actions = {}
    for agent, members in env.groups.items():
        levels = np.array([design[position[m]] for m in members])
        actions[agent] = levels if len(levels) > 1 else int(levels[0])
    return env.step(actions)


@pytest.mark.parametrize("groups", ["parameter", "declared", [("c", "a")]], ids=["parameter", "declared", "own"])
def test_the_same_as_one_agent(groups):
    # Whoever decides on which parameter: the design, its reward and what is observed are those of DesignEnv.
    team = archgym.parallel_env(toys.problem(), groups=groups)
    single = DesignEnv(Episodes(Contexts([Evaluator(toys.problem())]), 1))
    rng = np.random.default_rng(0)
    for _ in range(20):
        design = rng.integers(0, team.problem.space.nvec)
        first, infos = team.reset()
        expected, _ = single.reset()
        assert infos == {agent: {} for agent in team.possible_agents}
        assert team.state().tobytes() == expected.tobytes()
        observations, rewards, over, cut, infos = play(team, design)
        expected, reward, *_ = single.step(design)
        for i, agent in enumerate(team.possible_agents):
            assert observations[agent][: len(team.possible_agents)].tolist() == np.eye(len(first))[i].tolist()
            assert observations[agent][len(first) :].tobytes() == expected.tobytes()
            assert observations[agent] in team.observation_space(agent)
        assert set(rewards.values()) == {reward}
        assert (set(over.values()), set(cut.values())) == ({True}, {False})
        assert team.state().tobytes() == expected.tobytes()
        assert team.agents == []


def test_agents_and_their_actions():
    # a and b form the group "array"; the levels are 4 and 5.
    team = archgym.parallel_env(toys.problem(), groups="declared")
    assert team.possible_agents == ["array_0", "mode_0", "c_0"]
    assert team.action_space("array_0") == gym.spaces.MultiDiscrete([4, 5])
    assert team.action_space("mode_0") == gym.spaces.Discrete(3)
    assert team.action_space("c_0") is team.action_space("c_0")


def test_names_with_other_signs_become_pettingzoo_names():
    # "a+b" and {"A B": ...} leave the letters "ab"; the second one of that name counts on.
    team = archgym.parallel_env(toys.problem(), groups={"ab": ["a"], "A-B": ["b"], "12": ["c"]})
    assert team.possible_agents == ["ab_0", "ab_1", "agent_0", "mode_0"]


def test_refine_goes_on():
    team = archgym.parallel_env(toys.problem(), episode="refine", horizon=2)
    team.reset()
    # a=1, b=4: EDP 64 against 128 at the baseline; again: no improvement, and the end.
    assert play(team, (0, 3, 0, 0))[1] == pytest.approx(dict.fromkeys(team.possible_agents, np.log(2)))
    assert team.agents == team.possible_agents
    assert set(play(team, (0, 3, 0, 0))[1].values()) == {0.0}
    assert team.agents == []


def test_budget_and_log_are_those_of_any_environment(tmp_path):
    team = archgym.parallel_env("archgym/Systolic-v0", workload="alexnet", budget=3, log=str(tmp_path / "log"))
    design = np.zeros(len(team.problem.space), int)
    for _ in range(3):
        team.reset()
        play(team, design)
    team.reset()
    with pytest.raises(BudgetExhausted):
        play(team, design)
    team.close()
    assert replay(tmp_path / "log") == 3


def test_random_workloads_by_seed():
    def drawn(seed):
        team = archgym.parallel_env("archgym/Systolic-v0", workload="random:[alexnet,vgg16]")
        team.reset(seed=seed)
        out = []
        for _ in range(12):
            team.reset()
            out.append(next(iter(play(team, np.zeros(len(team.problem.space), int))[4].values()))["workload"])
        return out

    assert drawn(1) == drawn(1)
    assert len(set(drawn(1))) == 2


@pytest.mark.parametrize(
    ("problem", "options", "error", "message"),
    [
        ("archgym/Systolic-v1", {}, UnknownNameError, "did you mean archgym/Systolic-v0"),
        ("archgym/Systolic-v0", {"episode": "assign"}, UnknownNameError, "unknown episode of a team 'assign'"),
        ("archgym/Systolic-v0", {"groups": "rows+colls", "workload": "alexnet"}, UnknownNameError, "did you mean cols"),
        (None, {"budget": 3}, UsageError, "budget can only be given with an environment id"),
    ],
    ids=["id", "episode", "groups", "options"],
)
def test_wrong_usage(problem, options, error, message):
    with pytest.raises(error, match=message):
        archgym.parallel_env(problem or toys.problem(), **options)


def test_without_pettingzoo_the_extra_is_named(monkeypatch):
    real = builtins.__import__

    def without(name, *rest, **more):
        if name.partition(".")[0] == "pettingzoo":
            raise ModuleNotFoundError("No module named 'pettingzoo'", name="pettingzoo")
        return real(name, *rest, **more)

    monkeypatch.delitem(sys.modules, "archgym.envs.team_env", raising=False)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match=r"pettingzoo is not installed; run: pip install 'archgym\[marl\]'"):
        archgym.parallel_env("archgym/Systolic-v0", workload="alexnet")
