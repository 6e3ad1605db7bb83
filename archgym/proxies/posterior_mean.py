"""The posterior mean of a Gaussian process on a lattice, arranged for many designs.

The additive part of the kernel sums over the data once and for all: what is left is a number for each level. Of the
product, a design's correlations with all combinations of a few parameters' levels are multiplied out first, and each
observation then takes one look-up for these parameters together.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from archgym.kernel import kernel
from archgym.space import Codes

from .joint import Joint

Floats = npt.NDArray[np.float64]

_MOST = 128  # combinations of levels that are multiplied out


class PosteriorMean:
    """Weighted sum of the covariances with observations.

    Args:
        codes: (n, d) of the observations, n and d at least 1.
        weights: (n,).
        tables: (d, L, L) correlations of levels.
        product, additive: variances of the two parts of the kernel (see ``gaussian_process``).
    """

    def __init__(self, codes: Codes, weights: Floats, tables: Floats, product: float, additive: float) -> None:
        d, n_levels = tables.shape[:2]
        self._tables, self._levels = np.ascontiguousarray(tables), codes.max(axis=0) + 1
        self._joint = Joint.of(self._levels.tolist(), _MOST)
        self._places, self._weights = self._joint.places(codes), product * weights
        heights = np.stack([np.bincount(column, weights, minlength=n_levels) for column in codes.T])
        self._effects = additive / d * np.einsum("kab,kb->ka", tables, heights)

    def __call__(self, codes: Codes) -> Floats:
        """The sum (m,) for designs (m, d): the same bits in every batch."""
        found = _sums(
            np.ascontiguousarray(codes, np.int64),
            self._tables,
            self._effects,
            self._levels,
            self._joint.first,
            self._joint.sizes.max(),
            self._places,
            self._weights,
        )
        return np.asarray(found)


@kernel
def _sums(codes: Any, tables: Any, effects: Any, levels: Any, first: Any, most: int, places: Any, weights: Any) -> Any:
    """Effects of the levels of designs (m, d), plus sums over observations of weights times products (m,)."""
    groups, n = places.shape
    joint, whole, out = np.empty((groups, most)), np.empty(n), np.zeros(len(codes))
    for i in range(len(codes)):
        for k in range(codes.shape[1]):
            out[i] += effects[k, codes[i, k]]
        for q in range(groups):
            row, filled = joint[q], 1
            row[0] = 1.0
            for k in range(first[q], first[q + 1]):
                table = tables[k, codes[i, k]]
                for level in range(levels[k] - 1, -1, -1):  # from the back: the first block is still needed
                    for e in range(filled):
                        row[level * filled + e] = row[e] * table[level]
                filled *= levels[k]
        whole[:] = weights
        for q in range(0, groups - 1, 2):  # two groups at a time: fewer passes over the data
            row, place, row2, place2 = joint[q], places[q], joint[q + 1], places[q + 1]
            for j in range(n):
                whole[j] *= row[place[j]] * row2[place2[j]]
        if groups % 2:
            row, place = joint[groups - 1], places[groups - 1]
            for j in range(n):
                whole[j] *= row[place[j]]
        a, b, c, d = 0.0, 0.0, 0.0, 0.0  # four sums that do not wait for each other
        for j in range(0, n - 3, 4):
            a += whole[j]
            b += whole[j + 1]
            c += whole[j + 2]
            d += whole[j + 3]
        for j in range(n - n % 4, n):
            a += whole[j]
        out[i] += (a + b) + (c + d)
    return out
