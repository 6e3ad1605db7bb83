"""REINFORCE on a factorised policy: one softmax per parameter, moved towards the best of each rollout.

Williams: "Simple statistical gradient-following algorithms for connectionist reinforcement learning" (Machine Learning
8, 1992). The advantage is a matter of rank alone: the best of a rollout share +1, all of it -1 (truncation selection,
as in Ollivier et al., "Information-Geometric Optimization Algorithms", JMLR 18, 2017). A part of every choice stays
even, so that the policy never stops exploring.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from archgym.errors import UsageError
from archgym.evaluation import Floats
from archgym.space import Codes, DesignSpace, Level

from .on_policy import OnPolicy


class Reinforce(OnPolicy):
    """Policy gradient without a network, for spaces whose parameters hardly depend on each other.

    Attributes:
        logits: (d, most levels) float64 of the softmaxes; -inf for levels that a parameter lacks.
    """

    @dataclass(frozen=True)
    class Config:
        """Hyperparameters.

        Attributes:
            rollout: draws between two updates; 0 for a thirtieth of the budget, 16 to 256.
            elite: share of a rollout that the policy moves towards.
            learning_rate: what the gradient of the logits is multiplied with, at first.
            decay: share of the learning rate that it has lost by the end of the budget.
            explore: share of every choice that is drawn evenly.
            distinct: False for the plain algorithm, which spends samples on designs that are known.
        """

        rollout: int = 0
        elite: float = 0.12
        learning_rate: float = 6.0
        decay: float = 0.7
        explore: float = 0.1
        distinct: bool = True

        def __post_init__(self) -> None:
            if self.rollout < 0 or self.rollout == 1 or self.learning_rate <= 0:
                raise UsageError(
                    "reinforce: expected a rollout of 0 (automatic) or at least 2 and a positive learning rate, got "
                    f"{self.rollout} and {self.learning_rate}"
                )
            if not (0 < self.elite < 1 and 0 <= self.decay < 1 and 0 < self.explore < 1):
                raise UsageError(
                    "reinforce: expected elite and explore in (0, 1) and decay in [0, 1), got "
                    f"{self.elite}, {self.explore} and {self.decay}"
                )

    search_space: ClassVar[Mapping[str, tuple[Level, ...]]] = {
        "rollout": (0, 16, 32, 64),
        "elite": (0.08, 0.12, 0.25),
        "learning_rate": (2.0, 4.0, 6.0, 8.0),
        "decay": (0.0, 0.7),
        "explore": (0.05, 0.1, 0.2),
    }
    config: Config

    def __init__(self, space: DesignSpace, config: Any = None, **study: Any) -> None:
        config = self.Config() if config is None else config
        super().__init__(space, config, rollout=config.rollout, distinct=config.distinct, **study)
        exists = np.arange(int(space.nvec.max())) < space.nvec[:, None]
        self._even: Floats = exists / space.nvec[:, None]
        self.logits: Floats = np.where(exists, 0.0, -np.inf)

    def _draw(self, n: int) -> tuple[Codes, Floats]:
        below = np.cumsum(self._odds(self._softmax()), axis=1)
        draws = self.rng.random((n, len(self.space), 1)) * below[:, -1:]
        codes: Codes = np.minimum((draws >= below).sum(axis=2), self.space.nvec - 1)
        return codes, np.empty((n, 0))

    def _improve(self, codes: Codes, drawn: Floats, places: Floats) -> None:
        """A step along the sum of advantage times gradient of log(odds)."""
        c, m = self.config, len(codes)
        k = max(1, round(c.elite * m))
        _, group, size = np.unique(places, return_inverse=True, return_counts=True)
        ties = size[group]  # designs that are equally good share what their places are worth
        first = places - (ties - 1) / 2
        advantage = np.clip(k - first, 0, ties) / ties / k - 1.0 / m
        softmax, columns = self._softmax(), np.arange(len(self.space))
        # d log((1 - e) p_a + e/n) / d logit_b = s ([a = b] - p_b), where s is the softmax's share of the odds of a
        share = (1.0 - c.explore) * softmax / np.maximum(self._odds(softmax), 1e-300)
        weights = advantage[:, None] * share[columns, codes]  # (m, d)
        step = -weights.sum(axis=0)[:, None] * softmax
        for row, weight in zip(codes, weights, strict=True):
            step[columns, row] += weight
        self.logits += c.learning_rate * (1.0 - c.decay * self.progress) * step

    def _softmax(self) -> Floats:
        heights = (self.logits - self.logits.max(axis=1, keepdims=True)).tolist()
        raised = np.array([[math.exp(height) for height in row] for row in heights])  # the same on every CPU
        out: Floats = raised / raised.sum(axis=1, keepdims=True)
        return out

    def _odds(self, softmax: Floats) -> Floats:
        """What levels are drawn with (d, most levels)."""
        return (1.0 - self.config.explore) * softmax + self.config.explore * self._even
