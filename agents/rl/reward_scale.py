"""Rewards on a scale that gradients can live with.

Rewards of design problems are logarithms of ratios: their spread differs by orders of magnitude between problems, and
infeasible designs have none. Policies learn from how far a design is above the usual one, in units of the usual spread.
"""

from __future__ import annotations

import numpy as np

from archgym.evaluation import Evaluation, Floats

_WINDOW = 1000  # latest feasible rewards that say what is usual
_CLIP = 3.0  # interquartile ranges


class RewardScale:
    """Scaled rewards: (reward - median) / interquartile range of the latest feasible designs, clipped to +-3.

    Infeasible designs come below all that, from -3.5 to -4, the lower the more they break limits (by
    `ranking.violation`).
    """

    def __init__(self) -> None:
        self._latest: Floats = np.empty(0)

    def add(self, evaluation: Evaluation) -> None:
        """Let designs just evaluated count in what is usual."""
        self._latest = np.concatenate([self._latest, evaluation.reward[evaluation.feasible]])[-_WINDOW:]

    def scaled(self, reward: Floats, violations: Floats) -> Floats:
        """Rewards (n,) of any designs on the scale of today, in [-4, 3].

        Args:
            reward: (n,).
            violations: (n,) by `ranking.violation`; 0 is feasible, infinity gives the lowest reward there is.
        """
        if len(self._latest):
            low, median, high = np.quantile(self._latest, (0.25, 0.5, 0.75))
        else:
            low = median = high = 0.0
        spread = high - low if high > low else 1.0
        scaled = np.clip((reward - median) / spread, -_CLIP, _CLIP)
        return np.where(violations == 0, scaled, -_CLIP - 1.0 + 1.0 / (1.0 + violations))
