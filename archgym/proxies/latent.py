"""Levels that find their own places.

Of several kinds of memory some are nearly the same and others far apart, and nothing in the space tells which. Levels
of a categorical parameter become points of a plane, correlations fall with their distance, and the points are
hyperparameters like length scales (Y. Zhang, S. Tao, W. Chen, D. W. Apley, "A Latent Variable Approach to Gaussian
Process Modeling with Qualitative and Quantitative Factors", Technometrics 62(3), 2020, who found that two dimensions
are enough). From one buffer to two may be a world and from 64 to 128 nothing: what lies between the levels of an
ordered parameter is stretched or shrunk, piece by piece (J. Snoek, K. Swersky, R. Zemel, R. P. Adams, "Input Warping
for Bayesian Optimization of Non-Stationary Functions", ICML 2014, whose curve has two numbers instead).
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from archgym.kernel import kernel_calling
from archgym.space import Codes, DesignSpace

from . import gaussian_process
from .gaussian_process import Floats, Lattice, correlate

_ROOT5 = math.sqrt(5.0)
_SD = 0.7  # of a coordinate, prior: two levels are some one unit apart
_RADIUS = 0.3  # of the circle on which the search for places begins
_STRETCH_SD = 0.25  # of the logarithm of a stretch, prior
_PIECES = 8  # of an ordered parameter, at most


class LatentLattice(Lattice):
    """A lattice on which the levels of every parameter with more than two have places of their own.

    Hyperparameters (h,): the logarithms of the length scales of parameters that are ordered or have two levels, two
    coordinates for each level of the others, and the logarithms of the stretches of ordered ones, beginning with the
    first levels.
    """

    @classmethod
    def of(cls, space: DesignSpace) -> LatentLattice:
        """The lattice of a space."""
        plain = Lattice.of(space)
        return cls(plain.distances, plain.categorical)

    @property
    def prior(self) -> tuple[Floats, Floats]:
        mean, sd = super().prior
        _, places, stretches = self._counts
        rest = np.repeat([_SD, _STRETCH_SD], [places, stretches])
        return np.append(mean[self._plain], np.zeros(len(rest))), np.append(sd[self._plain], rest)

    @property
    def start(self) -> Floats:
        """The prior's mean, but points on a circle, as where all are one no direction leads apart."""
        turns = [2.0 * math.pi * np.arange(n) / n for n in self._points.values()]
        circles = [_RADIUS * np.stack([np.cos(t), np.sin(t)], axis=1).ravel() for t in turns]
        return np.concatenate([super().prior[0][self._plain], *circles, np.zeros(self._counts[2])])

    def tables(self, hyperparameters: Floats) -> tuple[Floats, Floats]:
        n_lengths, n_places, _ = self._counts
        lengths, places, stretches = np.split(hyperparameters, [n_lengths, n_lengths + n_places])
        log_lengths = np.zeros(len(self))
        log_lengths[self._plain] = lengths
        apart, shares = self._stretched(np.exp(stretches))
        tables, by_length = Lattice(apart, self.categorical).tables(log_lengths)
        slopes = [by_length[self._plain]]
        at = 0
        for i, n in self._points.items():
            points = places[at : at + 2 * n].reshape(n, 2)
            at += 2 * n
            tables[i, :n, :n], part = _plane(points)
            slopes.append(_padded(part, tables.shape[1:]))
        # Twice a distance and half a length are the same: a piece has the share of the length's slope that it has of
        # the distance.
        slopes += [-by_length[i] * share for i, share in shares.items()]
        return tables, np.concatenate(slopes)

    def gradient(self, codes: Codes, tables: Floats, slopes: Floats, product: float, additive: float, w: Floats) -> Any:
        """As of a plain lattice, but first in the entries of the tables: of hyperparameters there are many more."""
        entries, tail = _in_tables(codes, tables, product, additive, w)
        return np.append(np.einsum("hab,hab->h", slopes, entries[self._owners]), tail)

    def _stretched(self, stretches: Floats) -> tuple[Floats, dict[int, Floats]]:
        """Distances (d, L, L) with pieces stretched, and of each ordered parameter the share (pieces, L, L) that a
        piece has in them."""
        apart, shares, at = self.distances.copy(), {}, 0
        for i, pieces in self._pieces.items():
            found = stretches[at : at + len(pieces), None, None] * pieces
            at += len(pieces)
            apart[i] = found.sum(axis=0)
            shares[i] = found / np.where(apart[i] > 0, apart[i], 1.0)
        return apart, shares

    @cached_property
    def _levels(self) -> npt.NDArray[np.int64]:
        """Number of levels (d,), 0 of a parameter with a single one."""
        return np.asarray((self.distances > 0).any(axis=1).sum(axis=1))

    @cached_property
    def _points(self) -> dict[int, int]:
        """Parameter -> number of levels, of those whose levels are points."""
        return {i: int(n) for i, n in enumerate(self._levels) if self.categorical[i] and n > 2}

    @cached_property
    def _pieces(self) -> dict[int, Floats]:
        """Ordered parameter -> what each of its pieces has (pieces, L, L) of the distance of two levels."""
        found = {}
        for i, n in enumerate(self._levels):
            if not self.categorical[i] and n > 2:
                between = np.diag(self.distances[i], 1)[: n - 1]  # of neighbours
                pieces = np.arange(n - 1) * min(n - 1, _PIECES) // (n - 1)
                ends = np.cumsum(np.eye(pieces[-1] + 1)[pieces] * between[:, None], axis=0)
                ends = np.vstack([np.zeros(pieces[-1] + 1), ends])
                found[i] = _padded(np.abs(ends[:, None] - ends[None]).transpose(2, 0, 1), self.distances.shape[1:])
        return found

    @cached_property
    def _owners(self) -> npt.NDArray[np.int64]:
        """Which parameter each hyperparameter (h,) belongs to."""
        places = [np.full(2 * n, i) for i, n in self._points.items()]
        return np.concatenate([self._plain, *places, *(np.full(len(share), i) for i, share in self._pieces.items())])

    @cached_property
    def _plain(self) -> npt.NDArray[np.int64]:
        """Parameters that have a length scale."""
        return np.array([i for i in range(len(self)) if i not in self._points], np.int64)

    @cached_property
    def _counts(self) -> tuple[int, int, int]:
        """How many hyperparameters are lengths, coordinates and stretches."""
        return len(self._plain), 2 * sum(self._points.values()), sum(map(len, self._pieces.values()))


@kernel_calling(gaussian_process)
def _in_tables(a: Any, tables: Any, product: float, additive: float, weights: Any) -> Any:
    """Derivatives (d, L, L) of the weighted sum of all covariances in the entries of the tables, and (2,) in log s and
    log c; an entry stands for both orders of its levels."""
    n, d = a.shape
    whole, total, columns = np.empty(n), np.empty(n), np.ascontiguousarray(a.T)
    inverse = 1.0 / np.maximum(tables, 1e-300)
    out, tail, share = np.zeros(tables.shape), np.zeros(2), additive / d
    for i in range(n):
        correlate(tables, a, i, columns, i, whole, total)
        for j in range(i):
            whole[j] *= 2.0 * weights[i, j] * product
            tail[0] += whole[j]
            tail[1] += 2.0 * weights[i, j] * share * total[j]
            total[j] = 2.0 * weights[i, j] * share
        for k in range(d):
            part, undone, levels = out[k, a[i, k]], inverse[k, a[i, k]], columns[k]
            for j in range(i):
                part[levels[j]] += whole[j] * undone[levels[j]] + total[j]
        tail[0] += weights[i, i] * product
        tail[1] += weights[i, i] * additive
    return out, 2.0 * tail


def _plane(points: Floats) -> tuple[Floats, Floats]:
    """Correlations (n, n) of points (n, 2), and their derivatives (2 n, n, n) in each coordinate."""
    n = len(points)
    apart = points[:, None] - points[None]
    r = _ROOT5 * np.sqrt((apart**2).sum(axis=2))
    decay = np.exp(-r)
    pull = -5.0 / 3.0 * ((1.0 + r) * decay)[:, :, None] * apart  # in the first level's point; d r / d x = x / r
    slopes = np.zeros((n, 2, n, n))
    for level in range(n):
        slopes[level, :, level, :] = pull[level].T
        slopes[level, :, :, level] = pull[level].T
    return (1.0 + r + r * r / 3.0) * decay, slopes.reshape(2 * n, n, n)  # Matern 5/2 of the distance


def _padded(tables: Floats, shape: tuple[int, ...]) -> Floats:
    """Tables (k, n, n) as (k, L, L), with zeros where a parameter has no levels."""
    out = np.zeros((len(tables), *shape))
    out[:, : tables.shape[1], : tables.shape[2]] = tables
    return out
