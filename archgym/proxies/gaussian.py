"""A Gaussian process as a proxy: the most accurate model of few designs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from archgym import rng

from .gaussian_process import GaussianProcess
from .inputs import Floats, Inputs
from .latent import LatentLattice
from .regressor import Regressor

_TUNED_ON = 400  # rows for the search of hyperparameters, whose cost grows with the cube
_MOST = 2000  # rows
_STEPS = 60
# A proxy is right on average: what a few rows do not explain is better taken for noise of some 5 % of the spread than
# followed, as a search that trusts its best rows does.
_NOISE = (math.log(5e-2), 1.5)


class Gaussian(Regressor):
    """Additive plus product kernel over levels (see ``gaussian_process`` and ``latent``); of many rows a random part is
    used."""

    def _fit(self, x: Inputs, y: Floats) -> None:
        order = rng.generator(self.seed, "gaussian").permutation(len(x))
        few, most = np.sort(order[:_TUNED_ON]), np.sort(order[:_MOST])
        tuned = GaussianProcess(LatentLattice.of(self.space), noise=_NOISE).fit(x.codes[few], y[few], iterations=_STEPS)
        self.restore({"codes": x.codes[most], "y": y[most], "parameters": tuned.parameters})

    def _predict(self, x: Inputs) -> Floats:
        return self._process.mean(x.codes)

    def state(self) -> dict[str, Any]:
        return dict(self._state)

    def restore(self, state: Mapping[str, Any]) -> Self:
        self._state = state
        process = GaussianProcess(LatentLattice.of(self.space), np.asarray(state["parameters"]))
        self._process = process.fit(state["codes"], state["y"], iterations=0)
        return self
