"""Scrambled Sobol points: designs that cover the space more evenly than chance.

I. M. Sobol, USSR Computational Mathematics and Mathematical Physics 7(4), 1967; scrambled after Owen, Journal of
Complexity 14(4), 1998 (`scipy.stats.qmc.Sobol`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from archgym.agent import Agent
from archgym.evaluation import Evaluation
from archgym.space import Codes, DesignSpace

from .unseen import Unseen

_BLOCK = 64  # points at a time; a power of two keeps their balance
_BARREN = 8  # blocks in a row without a new design, after which the sequence is given up
_BITS = 30  # of the sequence, which ends after 2**30 points


class Sobol(Agent):
    """Points of the unit cube in the cells of the levels; a design that is known already is passed over.

    Where static rules forbid designs, each parameter's range is divided between the levels that can still be
    completed. In a small space, whose cells have mostly been hit, it goes on with uniform draws.
    """

    anytime = True

    def __init__(self, space: DesignSpace, config: Any = None, **study: Any) -> None:
        from scipy.stats import qmc

        super().__init__(space, config, **study)
        self._points = qmc.Sobol(len(space), bits=_BITS, seed=int(self.rng.integers(2**31)))
        self._unseen = Unseen(space)
        self._block: Codes = np.empty((0, len(space)), np.int64)
        self._barren = 0

    def ask(self, n: int) -> Codes:
        """The next ``n`` new designs (k, d); fewer only when the space runs out."""
        parts = [self._block[:n]]
        self._block = self._block[n:]
        while (missing := n - sum(map(len, parts))) > 0 and self._barren < _BARREN:
            fresh = self._unseen.claim(self._next_block(), _BLOCK)
            self._barren = 0 if len(fresh) else self._barren + 1
            parts.append(fresh[:missing])
            self._block = fresh[missing:]
        parts.append(self._unseen.draw(n - sum(map(len, parts)), self.rng))
        return np.concatenate(parts)

    def tell(self, evaluation: Evaluation) -> None:
        """Learn only which designs are known already."""
        told = self._unseen.add(evaluation.codes)
        if len(self._block):  # claimed, but not asked yet
            known = np.isin(self.space.keys(self._block), self.space.keys(told))
            self._block = self._block[~known]

    def _next_block(self) -> Codes:
        if self._points.num_generated + _BLOCK > 2**_BITS:
            self._barren = _BARREN
            return self._block[:0]
        points = self._points.random(_BLOCK)
        return self._completed(points) if self.space.allowed else self.space.from_unit(points)

    def _completed(self, points: npt.NDArray[np.float64]) -> Codes:
        """Allowed designs (n, d): the k-th of the m levels that can still be completed, k = floor(m * point)."""
        out = np.zeros((len(points), len(self.space)), np.int64)
        for row, point in zip(out, points.tolist(), strict=True):
            for i, u in enumerate(point):
                levels = np.flatnonzero(self.space.mask(row[:i]))
                row[i] = levels[min(int(u * len(levels)), len(levels) - 1)]
        return out
