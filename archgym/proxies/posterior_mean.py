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
        centre, scale: what the sum is added to and multiplied by.
    """

    def __init__(
        self,
        codes: Codes,
        weights: Floats,
        tables: Floats,
        product: float,
        additive: float,
        *,
        centre: float = 0.0,
        scale: float = 1.0,
    ) -> None:
        d, n_levels = tables.shape[:2]
        self._centre, self._scale = centre, scale
        self._tables, self._levels = np.ascontiguousarray(tables), codes.max(axis=0) + 1
        self._joint = Joint.of(self._levels.tolist(), _MOST)
        self._weights = product * weights
        # Groups are taken by three; one more, or two, have a single level that all designs share.
        places = np.zeros((-(-len(self._joint) // 3) * 3, len(codes)), np.min_scalar_type(self._joint.sizes.max() - 1))
        places[: len(self._joint)] = self._joint.places(codes)
        self._places = places
        heights = np.stack([np.bincount(column, weights, minlength=n_levels) for column in codes.T])
        self._effects = additive / d * np.einsum("kab,kb->ka", tables, heights)

    def __call__(self, codes: Codes) -> Floats:
        """The mean (m,) of designs (m, d): the same bits in every batch."""
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
        return np.asarray(self._centre + self._scale * found)


@kernel
def _sums(codes: Any, tables: Any, effects: Any, levels: Any, first: Any, most: int, places: Any, weights: Any) -> Any:
    """Effects of the levels of designs (m, d), plus sums over observations of weights times products (m,).

    Four designs at a time lie side by side, so that one instruction multiplies all four.
    """
    (groups, n), (m, d) = places.shape, codes.shape
    joint, whole, sums = np.ones((groups, most, 4)), np.empty((n, 4)), np.empty(4)
    out = np.empty(m)
    for i in range(0, m, 4):
        i1, i2, i3 = min(i + 1, m - 1), min(i + 2, m - 1), min(i + 3, m - 1)
        for q in range(len(first) - 1):  # correlations with all combinations of the levels of a group
            row, filled = joint[q], 1
            row[0] = 1.0
            for k in range(first[q], first[q + 1]):
                a, b = tables[k, codes[i, k]], tables[k, codes[i1, k]]
                c, e = tables[k, codes[i2, k]], tables[k, codes[i3, k]]
                for level in range(levels[k] - 1, -1, -1):  # from the back: the first block is still needed
                    ta, tb, tc, te = a[level], b[level], c[level], e[level]
                    for r in range(filled):
                        at = level * filled + r
                        row[at, 0] = row[r, 0] * ta
                        row[at, 1] = row[r, 1] * tb
                        row[at, 2] = row[r, 2] * tc
                        row[at, 3] = row[r, 3] * te
                filled *= levels[k]
        for j in range(n):
            for lane in range(4):
                whole[j, lane] = weights[j]
        for q in range(0, groups, 3):
            px, py, pz = places[q], places[q + 1], places[q + 2]
            x, y, z = joint[q], joint[q + 1], joint[q + 2]
            for j in range(n):
                jx, jy, jz = px[j], py[j], pz[j]
                for lane in range(4):
                    whole[j, lane] *= x[jx, lane] * y[jy, lane] * z[jz, lane]
        sums[:] = 0.0
        for j in range(n):
            for lane in range(4):
                sums[lane] += whole[j, lane]
        for lane in range(min(4, m - i)):
            effect = 0.0
            for k in range(d):
                effect += effects[k, codes[i + lane, k]]
            out[i + lane] = effect + sums[lane]
    return out
