"""``DesignVectorEnv``: many design environments that share one batched simulation per step."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from archgym.errors import UsageError
from archgym.evaluator import Evaluator

from .episodes import Episodes

Floats = npt.NDArray[np.float64]


class DesignVectorEnv(VectorEnv[Floats, npt.NDArray[np.int64], npt.NDArray[Any]]):
    """``num_envs`` copies of ``DesignEnv`` in lock step; one call of the simulator per step.

    Autoreset is same-step: when episodes end, the returned observation is the next episode's first, and
    ``info`` holds ``final_obs`` and ``final_info``. Equal to ``SyncVectorEnv`` of ``DesignEnv`` in that mode,
    bit for bit, except that all copies share one budget and one log.

    Args:
        evaluator: owns problem, budget and log.
        num_envs: rows per step.
        episode, horizon: see ``archgym.envs.episodes``.
    """

    metadata: dict[str, Any] = {"autoreset_mode": AutoresetMode.SAME_STEP, "render_modes": []}  # noqa: RUF012

    def __init__(self, evaluator: Evaluator, num_envs: int, *, episode: str = "one_step", horizon: int = 20) -> None:
        self.evaluator = evaluator
        self.problem = evaluator.problem
        self.num_envs = num_envs
        self._episodes = Episodes(evaluator, episode, num_envs, horizon)
        self.observation_names = self._episodes.names
        self.single_observation_space = gym.spaces.Box(self._episodes.low, self._episodes.high, dtype=np.float64)
        self.single_action_space = self.problem.space.gym_space()
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Floats, dict[str, Any]]:
        """Begin all episodes.

        Raises:
            UsageError: ``reset_mask``, which belongs to environments without autoreset.
        """
        if options and "reset_mask" in options:
            raise UsageError("reset_mask: episodes run in lock step and reset themselves (same-step autoreset)")
        super().reset(seed=seed[0] if isinstance(seed, list) else seed)
        return self._episodes.reset(), {}

    def step(
        self, actions: npt.NDArray[np.int64]
    ) -> tuple[Floats, npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any], dict[str, Any]]:
        """Evaluate one design per environment, ``actions`` (num_envs, d)."""
        observation, reward, over, columns = self._episodes.step(actions)
        info = self._with_masks(columns)
        if over:
            final = np.empty(self.num_envs, object)
            final[:] = list(observation)
            info = self._with_masks({"final_obs": final, "final_info": info})
            observation = self._episodes.reset()
        return observation, reward, np.full(self.num_envs, over), np.zeros(self.num_envs, np.bool_), info

    def _with_masks(self, columns: dict[str, Any]) -> dict[str, Any]:
        out: dict[str, Any] = {}
        for key, column in columns.items():
            out[key] = column
            out[f"_{key}"] = np.ones(self.num_envs, np.bool_)
        return out

    def close_extras(self, **kwargs: Any) -> None:
        """Close the log."""
        self.evaluator.close()
