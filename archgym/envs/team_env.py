"""A design problem as a game of a team: one agent for each parameter, or group of parameters, and one reward.

The formulation of Krishnan et al., "Multi-Agent Reinforcement Learning for Microprocessor Design Space Exploration"
(arXiv 2211.16385): every agent sees the same outcome of the last design, decides on its own parameters, and is paid
what the whole design is worth.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium.utils import seeding
from pettingzoo import ParallelEnv

from archgym.grouping import Groups, parameter_groups

from .episodes import Episodes

Floats = npt.NDArray[np.float64]


class TeamEnv(ParallelEnv[str, Floats, Any]):  # type: ignore[misc] # PettingZoo is untyped
    """PettingZoo's parallel form of ``DesignEnv``.

    Agents are called as PettingZoo wants them, by the letters of their group's name and a number: ``sram_kb`` is
    ``sramkb_0``. An agent's action is a level index (``Discrete``), with several parameters one for
    each (``MultiDiscrete``). It observes which agent it is (one entry each, 1 for itself), then what ``DesignEnv``
    observes; that alone is ``state()``. The reward, infos and the end of an episode are shared by all.

    Args:
        episodes: the dynamics, of one episode whose actions are whole designs.
        groups: see `archgym.grouping.parameter_groups`.

    Attributes:
        groups: agent -> names of its parameters.
        contexts: problems and their evaluators.
    """

    metadata: dict[str, Any] = {"name": "archgym_v0", "render_modes": [], "is_parallelizable": True}  # noqa: RUF012

    def __init__(self, episodes: Episodes, groups: Groups = "parameter") -> None:
        self.contexts = episodes.contexts
        self.problem = self.contexts.problems[0]
        self._episodes = episodes
        named = parameter_groups(episodes.space, groups)
        self.groups = dict(zip(_agent_names(named), named.values(), strict=True))
        self.possible_agents = list(self.groups)
        self.agents: list[str] = []
        self.render_mode = None
        names, nvec = episodes.space.names, episodes.space.nvec
        self._columns = {agent: [names.index(m) for m in members] for agent, members in self.groups.items()}
        team = len(self.possible_agents)
        low, high = np.concatenate([np.zeros(team), episodes.low]), np.concatenate([np.ones(team), episodes.high])
        self.observation_spaces = {a: gym.spaces.Box(low, high, dtype=np.float64) for a in self.possible_agents}
        self.action_spaces = {agent: _action_space(nvec[columns]) for agent, columns in self._columns.items()}
        self.state_space = gym.spaces.Box(episodes.low, episodes.high, dtype=np.float64)
        self._seen = np.zeros(len(episodes.low))
        self._generator: np.random.Generator | None = None

    def observation_space(self, agent: str) -> gym.spaces.Box:
        """What ``agent`` observes; the same object at every call."""
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> gym.Space[Any]:
        """What ``agent`` decides on; the same object at every call."""
        return self.action_spaces[agent]

    def state(self) -> Floats:
        """The common part (k,) of all observations, for a central critic."""
        return self._seen.copy()

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Floats], dict[str, dict[str, Any]]]:
        """Begin an episode; all that is random is the workload, where there are several."""
        if seed is not None or self._generator is None:
            self._generator = seeding.np_random(seed)[0]
            for i, space in enumerate(self.action_spaces.values()):
                space.seed(None if seed is None else seed + i)
        self.agents = list(self.possible_agents)
        self._seen = self._episodes.reset([self._generator])[0]
        return self._observations(), {agent: {} for agent in self.agents}

    def step(
        self, actions: dict[str, Any]
    ) -> tuple[dict[str, Floats], dict[str, float], dict[str, bool], dict[str, bool], dict[str, dict[str, Any]]]:
        """Put the agents' decisions together and evaluate the design.

        Raises:
            BudgetExhausted: the budget is spent.
        """
        design = np.empty((1, len(self._episodes.space)), np.int64)
        for agent, columns in self._columns.items():
            design[0, columns] = actions[agent]
        observation, reward, over, info = self._episodes.step(design)
        self._seen = observation[0]
        flat = {key: column[0] if column.dtype == object else column[0].item() for key, column in info.items()}
        team = self.agents
        observations = self._observations()
        self.agents = [] if over else team
        return (
            observations,
            dict.fromkeys(team, float(reward[0])),
            dict.fromkeys(team, over),
            dict.fromkeys(team, False),
            {agent: dict(flat) for agent in team},
        )

    def close(self) -> None:
        """Close the log; idempotent."""
        self.contexts.close()

    def _observations(self) -> dict[str, Floats]:
        who = np.eye(len(self.possible_agents))
        return {agent: np.concatenate([who[i], self._seen]) for i, agent in enumerate(self.possible_agents)}


def _agent_names(groups: Iterable[str]) -> list[str]:
    out: list[str] = []
    for group in groups:
        role = re.sub("[^a-z]", "", group.lower()) or "agent"
        out.append(next(name for i in itertools.count() if (name := f"{role}_{i}") not in out))
    return out


def _action_space(nvec: npt.NDArray[np.int64]) -> gym.Space[Any]:
    return gym.spaces.Discrete(int(nvec[0])) if len(nvec) == 1 else gym.spaces.MultiDiscrete(nvec)
