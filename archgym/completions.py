"""How many allowed designs lie behind a partial one: exact, for rules that couple a few parameters each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from archgym.errors import UsageError

_TABLE_LIMIT = 20_000_000  # entries of one joined rule table


@dataclass(frozen=True, eq=False)
class Factor:
    """A non-negative table over the canonical levels of the parameters at ``scope`` (ascending)."""

    scope: tuple[int, ...]
    table: npt.NDArray[np.float64]

    def row(self, canonical: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """The entries over the last parameter of the scope, given the earlier ones."""
        out: npt.NDArray[np.float64] = self.table[tuple(int(canonical[j]) for j in self.scope[:-1])]
        return out

    def rows(self, canonical: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """``row`` for many designs at once: (n, levels)."""
        if len(self.scope) == 1:
            return np.broadcast_to(self.table, (len(canonical), len(self.table)))
        out: npt.NDArray[np.float64] = self.table[tuple(canonical[:, j] for j in self.scope[:-1])]
        return out


def eliminate(
    factors: list[Factor],
    conditions: list[list[tuple[int, npt.NDArray[np.bool_]]]],
    nvec: npt.NDArray[np.int64],
) -> list[Factor | None]:
    """Bucket elimination, last parameter first (Dechter, Artificial Intelligence 113, 1999).

    Bucket i holds, for each canonical assignment of earlier parameters and each raw level of
    parameter i, the number of allowed completions of the later parameters that rules mention.
    That makes ``mask`` exact and ``sample`` uniform without rejection. None: unconstrained.
    """
    buckets: list[Factor | None] = [None] * len(nvec)
    for i in reversed(range(len(nvec))):
        here = [f for f in factors if i in f.scope]
        if not here:
            continue
        factors = [f for f in factors if i not in f.scope]
        scope = sorted({j for f in here for j in f.scope} | {j for j, _ in conditions[i]})
        if math.prod(int(nvec[j]) for j in scope) > _TABLE_LIMIT:
            raise UsageError(f"static rules couple too many parameters (positions {scope}); find out by simulating")
        joint = np.ones([int(nvec[j]) for j in scope])
        for f in here:
            joint = joint * _spread(f.table, f.scope, scope)
        if conditions[i]:
            active = np.ones([1] * len(scope), np.bool_)
            for j, matters in conditions[i]:
                active = active & _spread(matters, (j,), scope)
            joint = np.where(active, joint, joint[..., :1])  # a dead parameter counts as its first level
        buckets[i] = Factor(tuple(scope), joint)
        message = joint.sum(axis=-1)
        if not message.any():
            raise UsageError("the static rules allow no design at all")
        if scope[:-1]:
            factors.append(Factor(tuple(scope[:-1]), message))
    return buckets


def _spread(table: npt.NDArray[Any], scope: Sequence[int], onto: Sequence[int]) -> npt.NDArray[Any]:
    """``table`` over ``scope`` with broadcast axes inserted for the other members of ``onto``."""
    sizes = dict(zip(scope, table.shape, strict=True))
    return table.reshape([sizes.get(j, 1) for j in onto])
