"""Grid search: evenly spaced levels of every parameter, as many as the budget holds."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import numpy.typing as npt

from archgym.agent import Agent
from archgym.evaluation import Evaluation
from archgym.space import Codes, DesignSpace

from .unseen import Unseen


class Grid(Agent):
    """A full factorial over evenly spaced levels; without a budget, over all levels."""

    def __init__(self, space: DesignSpace, config: Any = None, **study: Any) -> None:
        super().__init__(space, config, **study)
        counts = _counts(space, self.budget)
        levels = [_evenly(int(n), k).tolist() for n, k in zip(space.nvec, counts, strict=True)]
        self._points = itertools.product(*levels)
        self._unseen = Unseen(space)

    def ask(self, n: int) -> Codes:
        """The next grid points (k, d) not known yet, k <= n; empty at the end."""
        while rows := list(itertools.islice(self._points, n)):
            fresh = self._unseen.claim(np.array(rows, np.int64), n)
            if len(fresh):
                return fresh
        return np.empty((0, len(self.space)), np.int64)

    def tell(self, evaluation: Evaluation) -> None:
        """Learn only which designs are known already."""
        self._unseen.add(evaluation.codes)


def _counts(space: DesignSpace, budget: int | None) -> list[int]:
    """Levels per parameter whose product fits the budget, growing the coarsest parameter first."""
    full = [int(n) for n in space.nvec]
    if budget is None or space.size <= budget:
        return full
    counts = [1] * len(full)
    while True:
        product = math.prod(counts)
        growable = [i for i, k in enumerate(counts) if k < full[i] and product // k * (k + 1) <= budget]
        if not growable:
            return counts
        counts[min(growable, key=lambda i: (counts[i] / full[i], i))] += 1


def _evenly(n: int, k: int) -> npt.NDArray[np.int64]:
    """``k`` of ``n`` level indices, evenly spaced from end to end; the middle one if k is 1."""
    if k == 1:
        return np.array([(n - 1) // 2], np.int64)
    return np.array([(2 * i * (n - 1) + k - 1) // (2 * (k - 1)) for i in range(k)], np.int64)
