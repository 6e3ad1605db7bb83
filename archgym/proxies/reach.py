"""How far from all that it has learnt a proxy is asked."""

from __future__ import annotations

from typing import Self

import numpy as np
import numpy.typing as npt
from sklearn.neighbors import NearestNeighbors

from .conformal import bound
from .inputs import Encoding, Floats, Inputs

_FAR = 0.99


class Reach:
    """The known designs, and how far held-back ones were from the nearest of them.

    Distances of levels add up over the parameters; two levels of a categorical one are as far apart as the ends of an
    ordered one.

    Args:
        encoding: of the space.
    """

    def __init__(self, encoding: Encoding) -> None:
        self._encoding = encoding

    def fit(self, x: Inputs, known: npt.NDArray[np.bool_], parts: npt.NDArray[np.bool_]) -> Self:
        """Learn where designs are known.

        Args:
            x: n rows.
            known: (n,) those that will have been learnt.
            parts: (k, n) held back one after the other, to see how far they are from the rest; k may be 0: then nothing
                counts as far.
        """
        apart = [self.restore(self._places(x.take(~part)), np.inf).distances(x.take(part)) for part in parts]
        limit = bound(np.concatenate(apart), _FAR) if apart else np.inf
        return self.restore(self._places(x.take(known)), limit)

    def restore(self, places: Floats, limit: float) -> Self:
        """Take over what an equal one has learnt: ``places`` and ``limit``."""
        self.places, self.limit = places, limit
        self._model = NearestNeighbors(n_neighbors=1, metric="manhattan").fit(places) if len(places) else None
        return self

    def distances(self, x: Inputs) -> Floats:
        """From each design (n,) to the nearest known one; infinite where none is known."""
        if self._model is None or len(x) == 0:
            return np.full(len(x), np.inf)
        return np.asarray(self._model.kneighbors(self._places(x))[0][:, 0])

    def nearest(self, x: Inputs) -> npt.NDArray[np.int64]:
        """Number (n,) of the nearest known design; of equally near ones the first."""
        assert self._model is not None
        return np.asarray(self._model.kneighbors(self._places(x), return_distance=False)[:, 0], np.int64)

    def beyond(self, x: Inputs) -> npt.NDArray[np.bool_]:
        """Whether designs (n,) are farther from the known ones than 99 % of the held-back ones were."""
        return np.asarray(self.distances(x) > self.limit)

    def _places(self, x: Inputs) -> Floats:
        return self._encoding.for_trees(x) * self._encoding.tree_weights(x.features.shape[1])
