"""``DesignVectorEnv``: many design environments that share one batched simulation per step."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from archgym.errors import UsageError

from .assign import Assign
from .episodes import Episodes

Floats = npt.NDArray[np.float64]


class DesignVectorEnv(VectorEnv[Floats, npt.NDArray[np.int64], npt.NDArray[Any]]):
    """Copies of ``DesignEnv`` in lock step; one call of the simulator per step (and workload).

    Autoreset is same-step: when episodes end, the returned observation is the next episode's first, and
    ``info`` holds ``final_obs`` and ``final_info``. Equal to ``SyncVectorEnv`` of ``DesignEnv`` in that mode,
    bit for bit, except that all copies share one budget and one log.

    Args:
        episodes: the dynamics, of ``num_envs`` episodes.

    Attributes:
        evaluator, problem: of the (first) workload; all are in ``contexts``.
    """

    metadata: dict[str, Any] = {"autoreset_mode": AutoresetMode.SAME_STEP, "render_modes": []}  # noqa: RUF012

    def __init__(self, episodes: Episodes) -> None:
        self.contexts = episodes.contexts
        self.evaluator = self.contexts.evaluators[0]
        self.problem = self.contexts.problems[0]
        self.num_envs = episodes.n
        self._episodes = episodes
        self._generators: list[np.random.Generator] = []
        self.observation_names = episodes.names
        self.single_observation_space = gym.spaces.Box(episodes.low, episodes.high, dtype=np.float64)
        self.single_action_space = episodes.action_space
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        if episodes.reward_space is not None:
            self.reward_space = episodes.reward_space

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Floats, dict[str, Any]]:
        """Begin all episodes; environment i has the random stream of ``seed + i``.

        Raises:
            UsageError: ``reset_mask``, which belongs to environments without autoreset.
        """
        if options and "reset_mask" in options:
            raise UsageError("reset_mask: episodes run in lock step and reset themselves (same-step autoreset)")
        super().reset(seed=seed[0] if isinstance(seed, list) else seed)
        seeds = seed if isinstance(seed, list) else [None if seed is None else seed + i for i in range(self.num_envs)]
        new = not self._generators
        for i, own in enumerate(seeds):
            if new:
                self._generators.append(seeding.np_random(own)[0])
            elif own is not None:
                self._generators[i] = seeding.np_random(own)[0]
        return self._episodes.reset(self._generators), {}

    def step(
        self, actions: npt.NDArray[np.int64]
    ) -> tuple[Floats, npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any], dict[str, Any]]:
        """Take one action per environment: designs (num_envs, d), or with ``episode="assign"`` levels (num_envs,)."""
        observation, reward, over, columns = self._episodes.step(actions)
        info = self._with_masks(columns)
        if over:
            final = np.empty(self.num_envs, object)
            final[:] = list(observation)
            info = self._with_masks({"final_obs": final, "final_info": info})
            observation = self.reset()[0]
        return observation, reward, np.full(self.num_envs, over), np.zeros(self.num_envs, np.bool_), info

    def _with_masks(self, columns: dict[str, Any]) -> dict[str, Any]:
        out: dict[str, Any] = {}
        for key, column in columns.items():
            out[key] = column
            out[f"_{key}"] = np.ones(self.num_envs, np.bool_)
        return out

    def close_extras(self, **kwargs: Any) -> None:
        """Close the log."""
        self.contexts.close()


class AssignVectorEnv(DesignVectorEnv):
    """``episode="assign"``: one parameter a step in every environment.

    Args:
        episodes: the dynamics, of ``num_envs`` episodes.
    """

    _episodes: Assign

    def action_masks(self) -> npt.NDArray[np.bool_]:
        """The open actions (num_envs, largest number of levels); exact."""
        return self._episodes.masks()
