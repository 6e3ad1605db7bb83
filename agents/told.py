"""What an agent has been told: every distinct design once, in the order it came."""

from __future__ import annotations

from typing import Any

import numpy as np

from archgym.evaluation import Evaluation
from archgym.space import DesignSpace

from .ranking import violation


class Told:
    """A growing Evaluation of distinct canonical designs, for agents that model the whole history.

    Args:
        space: whose canonical designs count as distinct; of a repeated design the first outcome is kept.

    Attributes:
        rows: all of them with canonical codes, or None before the first.
    """

    def __init__(self, space: DesignSpace) -> None:
        self.rows: Evaluation | None = None
        self._space = space
        self._keys: set[Any] = set()

    def __len__(self) -> int:
        return 0 if self.rows is None else len(self.rows)

    def add(self, evaluation: Evaluation) -> Evaluation:
        """Remember new designs; returns those rows of ``evaluation`` that were new, with canonical codes."""
        codes = self._space.canonical(evaluation.codes)
        new = []
        for i, key in enumerate(self._space.keys(codes).tolist()):
            if key not in self._keys:
                self._keys.add(key)
                new.append(i)
        fresh = evaluation.take(np.array(new, np.int64))
        fresh.codes[:] = codes[new]  # take has copied
        if new:
            self.rows = fresh if self.rows is None else Evaluation.concatenate([self.rows, fresh])
        return fresh

    def capped(self, n: int) -> Evaluation:
        """At most ``n`` rows in order: the best half of them and the latest, so that a model's cost stays bounded."""
        assert self.rows is not None
        rows = self.rows
        if len(rows) <= n:
            return rows
        kept = np.zeros(len(rows), np.bool_)
        kept[np.lexsort((-rows.reward, violation(rows)))[: n - n // 2]] = True
        late = np.flatnonzero(~kept)
        kept[late[len(late) - n // 2 :]] = True
        return rows.take(np.flatnonzero(kept))
