"""Categorical parameters whose levels find their own places.

Of several kinds of memory some are nearly the same and others far apart, and nothing in the space tells which. Levels
become points of a plane, correlations fall with their distance, and the points are hyperparameters like length scales
(Y. Zhang, S. Tao, W. Chen, D. W. Apley, "A Latent Variable Approach to Gaussian Process Modeling with Qualitative and
Quantitative Factors", Technometrics 62(3), 2020, who found that two dimensions are enough).
"""

from __future__ import annotations

import math
from functools import cached_property

import numpy as np
import numpy.typing as npt

from archgym.space import DesignSpace

from .gaussian_process import Floats, Lattice

_ROOT5 = math.sqrt(5.0)
_SD = 0.7  # of a coordinate, prior: two levels are some one unit apart
_RADIUS = 0.3  # of the circle on which the search for places begins


class LatentLattice(Lattice):
    """A lattice on which the levels of every categorical parameter with more than two are points of a plane.

    Hyperparameters (h,): the logarithms of the length scales of the other parameters, then two coordinates for each
    level of these.
    """

    @classmethod
    def of(cls, space: DesignSpace) -> LatentLattice:
        """The lattice of a space."""
        plain = Lattice.of(space)
        return cls(plain.distances, plain.categorical)

    @property
    def owners(self) -> npt.NDArray[np.int64]:
        return np.concatenate([self._plain, *(np.full(2 * n, i) for i, n in self._levels.items())])

    @property
    def prior(self) -> tuple[Floats, Floats]:
        mean, sd = super().prior
        places = 2 * sum(self._levels.values())
        return np.append(mean[self._plain], np.zeros(places)), np.append(sd[self._plain], np.full(places, _SD))

    @property
    def start(self) -> Floats:
        """Lengths at the prior's mean; points on a circle, as where all are one no direction leads apart."""
        turns = [2.0 * math.pi * np.arange(n) / n for n in self._levels.values()]
        circles = [_RADIUS * np.stack([np.cos(t), np.sin(t)], axis=1).ravel() for t in turns]
        return np.concatenate([super().prior[0][self._plain], *circles])

    def tables(self, hyperparameters: Floats) -> tuple[Floats, Floats]:
        n_plain = len(self._plain)
        log_lengths = np.zeros(len(self))
        log_lengths[self._plain] = hyperparameters[:n_plain]
        tables, lengths = super().tables(log_lengths)
        slopes = [lengths[self._plain]]
        at = n_plain
        for i, n in self._levels.items():
            points = hyperparameters[at : at + 2 * n].reshape(n, 2)
            at += 2 * n
            apart = points[:, None] - points[None]
            r = _ROOT5 * np.sqrt((apart**2).sum(axis=2))
            decay = np.exp(-r)
            tables[i, :n, :n] = (1.0 + r + r * r / 3.0) * decay  # Matern 5/2 of the distance
            pull = -5.0 / 3.0 * ((1.0 + r) * decay)[:, :, None] * apart  # in the first level's point; d r / d x = x / r
            part = np.zeros((n, 2, *tables.shape[1:]))
            for level in range(n):
                part[level, :, level, :n] = pull[level].T
                part[level, :, :n, level] = pull[level].T
            slopes.append(part.reshape(2 * n, *tables.shape[1:]))
        return tables, np.concatenate(slopes)

    @cached_property
    def _levels(self) -> dict[int, int]:
        """Parameter -> number of levels, of those whose levels are points."""
        counts = (self.distances > 0).any(axis=1).sum(axis=1)
        return {i: int(n) for i, n in enumerate(counts) if self.categorical[i] and n > 2}

    @cached_property
    def _plain(self) -> npt.NDArray[np.int64]:
        return np.array([i for i in range(len(self)) if i not in self._levels], np.int64)
