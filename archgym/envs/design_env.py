"""``DesignEnv``: a design problem as a Gymnasium environment."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from archgym.evaluator import Evaluator

from .episodes import RENDER_MODES, Episodes, check_episode
from .render import Panel

Floats = npt.NDArray[np.float64]


class DesignEnv(gym.Env[Floats, npt.NDArray[np.int64]]):
    """A step evaluates one whole design.

    Action: ``MultiDiscrete``, one level index per parameter. Observation: float64 Box with real bounds;
    ``observation_names`` says what each entry is: on the grey track a validity flag and the log-metrics
    relative to the baseline (clipped to +-20, 0 for an invalid design), on the scalar track feasibility
    and reward; then workload features. ``refine`` puts design, best design so far, best reward and the
    share of steps left in front. Reward: the problem's (``one_step``) or the improvement (``refine``).
    ``info``: flat, the same keys every step.

    Args:
        evaluator: owns problem, budget and log.
        episode, horizon: see ``archgym.envs.episodes``.
        render_mode: None, ``"ansi"`` or ``"rgb_array"``.
    """

    metadata: dict[str, Any] = {"render_modes": list(RENDER_MODES), "render_fps": 4}  # noqa: RUF012 - Gymnasium declares it so

    def __init__(
        self, evaluator: Evaluator, *, episode: str = "one_step", horizon: int = 20, render_mode: str | None = None
    ) -> None:
        check_episode(episode, 1, horizon, render_mode)
        self.evaluator = evaluator
        self.problem = evaluator.problem
        self.render_mode = render_mode
        self._episodes = Episodes(evaluator, episode, 1, horizon)
        self.observation_names = self._episodes.names
        self.observation_space = gym.spaces.Box(self._episodes.low, self._episodes.high, dtype=np.float64)
        self.action_space = self.problem.space.gym_space()
        self._panel = Panel(self.problem) if render_mode is not None else None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Floats, dict[str, Any]]:
        """Begin an episode; the dynamics have no randomness of their own."""
        super().reset(seed=seed)
        return self._episodes.reset()[0], {}

    def step(self, action: npt.NDArray[np.int64]) -> tuple[Floats, float, bool, bool, dict[str, Any]]:
        """Evaluate the design ``action`` (d,).

        Raises:
            BudgetExhausted: the budget is spent.
        """
        observation, reward, over, info = self._episodes.step(np.asarray(action)[None])
        if self._panel is not None and self._episodes.last is not None:
            self._panel.add(self._episodes.last)
        flat = {key: column[0] if column.dtype == object else column[0].item() for key, column in info.items()}
        return observation[0], float(reward[0]), over, False, flat

    def render(self) -> Any:
        """Text ("ansi") or an (height, width, 3) uint8 picture: best so far and the current design."""
        if self._panel is None:
            return None
        return self._panel.text() if self.render_mode == "ansi" else self._panel.picture()

    def close(self) -> None:
        """Close the log; idempotent."""
        self.evaluator.close()
