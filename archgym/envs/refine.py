"""Episodes of several designs, rewarded for improvement."""

from __future__ import annotations

import numpy as np

from archgym.evaluation import Evaluation

from .contexts import Contexts
from .episodes import CLIP, Episodes, Floats


class Refine(Episodes):
    """``horizon`` designs per episode; reward_t = max(0, r_t - best so far).

    The best starts at the baseline's reward (0 by definition), so that the return is the improvement over the baseline.
    Observations hold the design, the best so far, its reward and the share of steps left.
    """

    def __init__(self, contexts: Contexts, n: int, horizon: int) -> None:
        self.horizon = horizon
        super().__init__(contexts, n)

    def _state_entries(self) -> list[tuple[str, bool]]:
        knobs = self.space.names
        shares = [*(f"design {k}" for k in knobs), *(f"best {k}" for k in knobs)]
        return [*((name, True) for name in shares), ("best reward", False), ("steps left", True)]

    def _begin(self) -> None:
        self._design = self.contexts.starts[self._at]
        self._best = self._design.copy()
        self._best_reward = np.zeros(self.n)

    def _state(self) -> list[Floats]:
        levels = np.maximum(self.space.nvec - 1, 1)
        left = np.full((self.n, 1), max(self.horizon - self._steps, 0) / self.horizon)
        best = np.minimum(self._best_reward, CLIP).reshape(-1, 1)
        return [self._design / levels, self._best / levels, best, left]

    def _rewarded(self, evaluation: Evaluation) -> Floats:
        self._design = evaluation.codes
        gain = np.where(evaluation.feasible, np.maximum(evaluation.reward - self._best_reward, 0.0), 0.0)
        better = gain > 0
        self._best = np.where(better[:, None], evaluation.codes, self._best)
        self._best_reward = np.where(better, evaluation.reward, self._best_reward)
        return gain
