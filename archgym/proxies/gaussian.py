"""A Gaussian process as a proxy: the most accurate model of few designs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from archgym import rng

from .gaussian_process import GaussianProcess, restored_mean
from .inputs import Floats, Inputs
from .latent import LatentLattice
from .regressor import Regressor

# The search for hyperparameters: steps on so many rows. A step's cost grows with the cube of the rows, and few of them
# show where to go.
_SEARCH = ((400, 40), (800, 20))
_MOST = 2000  # rows
# A proxy is right on average: what a few rows do not explain is better taken for noise of some 5 % of the spread than
# followed, as a search that trusts its best rows does.
_NOISE = (math.log(5e-2), 1.5)


class Gaussian(Regressor):
    """Additive plus product kernel over levels (see ``gaussian_process`` and ``latent``); of many rows a random part is
    used."""

    def _fit(self, x: Inputs, y: Floats) -> None:
        # A design that is there twice would prove that there is no noise at all, for any other designs.
        codes, which = np.unique(x.codes, axis=0, return_inverse=True)
        y = np.bincount(which, y) / np.bincount(which)
        order = rng.generator(self.seed, "gaussian").permutation(len(codes))
        lattice, parameters = LatentLattice.of(self.space), None
        for rows, steps in _SEARCH:
            some = np.sort(order[:rows])
            process = GaussianProcess(lattice, parameters, noise=_NOISE).fit(codes[some], y[some], iterations=steps)
            parameters = process.parameters
        most = np.sort(order[:_MOST])
        self.restore(GaussianProcess(lattice, parameters).fit(codes[most], y[most], iterations=0).state())

    def _predict(self, x: Inputs) -> Floats:
        return self._mean(x.codes)

    def state(self) -> dict[str, Any]:
        return dict(self._state)

    def restore(self, state: Mapping[str, Any]) -> Self:
        self._state = state
        self._mean = restored_mean(LatentLattice.of(self.space), state)
        return self
