"""Repeated proposals become new designs: the nearest unseen neighbour of each.

Libraries that know nothing of finite spaces spend a third to three quarters of a small budget on designs they have
had already. A duplicate teaches nothing, its neighbour may.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from archgym.space import Codes, DesignSpace

from .unseen import Unseen

_EXPANDED = 6  # designs whose neighbours are looked at before the search for a near one turns to sampling
_SAMPLED = 64


class Dedup(Unseen):
    """An `Unseen` that replaces what it has seen.

    Args:
        space: whose canonical designs count as distinct.
        rng: breaks ties between equally near neighbours; only drawn from where something is replaced.
    """

    def __init__(self, space: DesignSpace, rng: np.random.Generator) -> None:
        super().__init__(space)
        self._rng = rng
        self._far = np.where([p.ordered for p in space.parameters], np.maximum(space.nvec - 1, 1), 1)
        self._ordered = np.array([p.ordered for p in space.parameters])

    def replace(self, codes: Codes) -> Codes:
        """One new, allowed, canonical design for each row (k, d), in the same order; they are remembered at once.

        A row that is new and allowed stays as it is (canonical); another becomes the nearest unseen one in steps of
        `DesignSpace.neighbours`, where that is not found soon the nearest of a random sample. Fewer than n rows only
        when the space runs out.
        """
        parts = []
        for row in self._space.canonical(codes):
            found = self.claim(row[None], 1)
            parts.append(found if len(found) else self._nearest(row))
        return np.concatenate(parts) if parts else np.empty((0, len(self._space)), np.int64)

    def _nearest(self, row: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Codes:
        waiting = deque([row])
        for _ in range(_EXPANDED):
            if not waiting:
                break
            around = self._space.neighbours(waiting.popleft())
            around = around[self._rng.permutation(len(around))]
            if len(found := self.claim(around, 1)):
                return found
            waiting.extend(around)
        sample = self._space.canonical(self._space.sample(_SAMPLED, self._rng))
        apart = np.where(self._ordered, np.abs(sample - row) / self._far, sample != row).sum(axis=1)
        found = self.claim(sample[np.argsort(apart, kind="stable")], 1)
        return found if len(found) else self.draw(1, self._rng)
