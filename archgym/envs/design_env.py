"""``DesignEnv``: a design problem as a Gymnasium environment."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from .assign import Assign
from .episodes import Episodes
from .render import Panel

Floats = npt.NDArray[np.float64]


class DesignEnv(gym.Env[Floats, Any]):
    """One episode at a time.

    Action: ``MultiDiscrete``, one level index per parameter (``episode="assign"``: see `AssignEnv`). Observation:
    float64 Box with real bounds; ``observation_names`` says what each entry is: the state of the episode, then on the
    grey track a validity flag and the log-metrics relative to the baseline (clipped to +-20, 0 for an invalid design),
    on the scalar track feasibility and reward; then workload features. Reward: the problem's, or as the form of
    episode has it; an array where vector rewards were asked for (``reward_space``, MO-Gymnasium's convention).
    ``info``: flat, the same keys every step.

    Args:
        episodes: the dynamics, of one episode.
        render_mode: None, ``"ansi"`` or ``"rgb_array"``.

    Attributes:
        evaluator, problem: of the (first) workload; all are in ``contexts``.
    """

    metadata: dict[str, Any] = {"render_modes": ["ansi", "rgb_array"], "render_fps": 4}  # noqa: RUF012 - Gymnasium declares it so

    def __init__(self, episodes: Episodes, *, render_mode: str | None = None) -> None:
        self.contexts = episodes.contexts
        self.evaluator = self.contexts.evaluators[0]
        self.problem = self.contexts.problems[0]
        self.render_mode = render_mode
        self._episodes = episodes
        self.observation_names = episodes.names
        self.observation_space = gym.spaces.Box(episodes.low, episodes.high, dtype=np.float64)
        self.action_space = episodes.action_space
        if episodes.reward_space is not None:
            self.reward_space = episodes.reward_space
        self._panel = Panel(self.problem) if render_mode is not None else None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Floats, dict[str, Any]]:
        """Begin an episode; all that is random is the workload, where there are several."""
        super().reset(seed=seed)
        return self._episodes.reset([self.np_random])[0], {}

    def step(self, action: Any) -> tuple[Floats, Any, bool, bool, dict[str, Any]]:
        """Take one action: a design (d,), or with ``episode="assign"`` one level index.

        Raises:
            BudgetExhausted: the budget is spent.
        """
        before = self._episodes.last
        observation, reward, over, info = self._episodes.step(np.asarray(action)[None])
        last = self._episodes.last
        if self._panel is not None and last is not None and last is not before:
            self._panel.add(last, self._episodes.problem(0))
        flat = {key: column[0] if column.dtype == object else column[0].item() for key, column in info.items()}
        return observation[0], reward[0] if self._episodes.n_rewards else float(reward[0]), over, False, flat

    def render(self) -> Any:
        """Text ("ansi") or an (height, width, 3) uint8 picture: best so far and the current design."""
        if self._panel is None:
            return None
        return self._panel.text() if self.render_mode == "ansi" else self._panel.picture()

    def close(self) -> None:
        """Close the log; idempotent."""
        self.contexts.close()


class AssignEnv(DesignEnv):
    """``episode="assign"``: one parameter a step, action ``Discrete``; ``action_masks`` as sb3-contrib expects them.

    Args:
        episodes: the dynamics, of one episode.
        render_mode: None, ``"ansi"`` or ``"rgb_array"``.
    """

    _episodes: Assign

    def action_masks(self) -> npt.NDArray[np.bool_]:
        """The actions (largest number of levels,) from which an allowed design can still be completed; exact."""
        return np.asarray(self._episodes.masks()[0])
