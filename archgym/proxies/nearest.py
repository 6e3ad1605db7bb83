"""The nearest known design."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from .inputs import Floats, Inputs
from .reach import Reach
from .regressor import Regressor


class Nearest(Regressor):
    """The target of the nearest known design (see `Reach`). A baseline."""

    def _fit(self, x: Inputs, y: Floats) -> None:
        self._y = np.array(y)
        self._reach = Reach(self.encoding).fit(x, np.ones(len(x), np.bool_), np.empty((0, len(x)), np.bool_))

    def _predict(self, x: Inputs) -> Floats:
        return np.asarray(self._y[self._reach.nearest(x)])

    def state(self) -> dict[str, Any]:
        return {"y": self._y, "places": self._reach.places}

    def restore(self, state: Mapping[str, Any]) -> Self:
        self._y, self._reach = state["y"], Reach(self.encoding).restore(state["places"], np.inf)
        return self
