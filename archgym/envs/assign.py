"""Episodes that put a design together, one parameter a step, with exact masks.

The form of Mirhoseini et al. ("Device Placement Optimization with Reinforcement Learning", ICML 2017) and of ConfuciuX
(Kao, Jeong and Krishna, MICRO 2020): decisions in sequence, one reward at the end. It is the form for spaces with
rules, since what a level rules out is known only once it is chosen.
"""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from .contexts import Contexts
from .episodes import Episodes, Floats


class Assign(Episodes):
    """As many steps as parameters; the last one evaluates the design and is rewarded for it.

    Actions are level indices of the parameter whose turn it is. ``masks`` says which ones an allowed design can still
    be completed from; another action becomes the nearest of these (the lower of two), and ``info["repaired"]`` says
    so. Thus every design is allowed. Observations hold for every parameter the share (level + 1)/levels, 0 before its
    turn, and whose turn it is (nobody's at the end).
    """

    def __init__(self, contexts: Contexts, n: int, *, vector_reward: bool = False) -> None:
        self.horizon = len(contexts.space)
        super().__init__(contexts, n, vector_reward=vector_reward)
        self._width = int(self.space.nvec.max())
        self.action_space = gym.spaces.Discrete(self._width)

    def _state_entries(self) -> list[tuple[str, bool]]:
        knobs = self.space.names
        return [(f"{what} {k}", True) for what in ("level", "turn") for k in knobs]

    def _begin(self) -> None:
        self._codes = np.zeros((self.n, self.horizon), np.int64)

    def _state(self) -> list[Floats]:
        chosen = np.where(np.arange(self.horizon) < self._steps, (self._codes + 1) / self.space.nvec, 0.0)
        turn = np.zeros((self.n, self.horizon))
        turn[:, self._steps : self._steps + 1] = 1.0
        return [chosen, turn]

    def masks(self) -> npt.NDArray[np.bool_]:
        """Which actions (n, largest number of levels) are open to each episode; exact. All False at its end."""
        out = np.zeros((self.n, self._width), np.bool_)
        if self._steps < self.horizon:
            open_levels = self.space.masks(self._codes[:, : self._steps])
            out[:, : open_levels.shape[1]] = open_levels
        return out

    def step(self, actions: npt.NDArray[Any]) -> tuple[Floats, Floats, bool, dict[str, npt.NDArray[Any]]]:
        """Assign one parameter per episode.

        Args:
            actions: level indices (n,).

        Returns:
            observations (n, k), rewards (n,) or (n, n_rewards), whether the episodes are over, info columns (n,).

        Raises:
            BudgetExhausted: in the last step, the budget does not hold n more samples.
        """
        wanted = np.asarray(actions, np.int64).reshape(self.n)
        distance = np.where(self.masks(), np.abs(np.arange(self._width) - wanted[:, None]), self._width + 1)
        levels = np.argmin(distance, axis=1)
        self._codes[:, self._steps] = levels
        if self._steps == self.horizon - 1:
            observation, reward, over, info = self._evaluated(self._codes.copy())
        else:
            self._steps += 1
            reward = np.zeros((self.n, self.n_rewards) if self.n_rewards else self.n)
            observation, over, info = self._observe(None), False, self._empty_info()
        return observation, reward, over, info | {"repaired": levels != wanted}

    def _empty_info(self) -> dict[str, npt.NDArray[Any]]:
        """The columns of ``_info`` while there is no design yet."""
        nothing = np.full(self.n, np.nan)
        problem = self.contexts.problems[0]
        out: dict[str, npt.NDArray[Any]] = {"feasible": np.zeros(self.n, np.bool_)}
        if len(self.contexts) > 1:
            out["workload"] = np.array(self.contexts.labels, object)[self._at]
        if self._grey:
            out["reason"] = np.full(self.n, "", object)
            out |= {f"metric.{name}": nothing for name in problem.metric_names}
            out |= {f"violation.{name}": nothing for name in problem.constraint_names}
        return out
