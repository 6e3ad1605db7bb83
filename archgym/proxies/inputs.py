"""What a proxy model knows of a design and its workload, and how that becomes numbers for a regression."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from archgym.space import Codes, DesignSpace

from .gaussian_process import coordinates

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Inputs:
    """Rows to learn from or to predict.

    Attributes:
        codes: (n, d) canonical designs.
        features: (n, f) numbers that describe the workload; f is 0 where all rows have the same.
        groups: (n,) rows that are judged together, as who knows one knows the others; None is those of equal designs
            and features.
    """

    codes: Codes
    features: Floats
    groups: npt.NDArray[np.int64] | None = None

    @classmethod
    def of(cls, codes: Codes, features: Floats | None = None, groups: npt.NDArray[np.int64] | None = None) -> Inputs:
        """Designs (n, d) with features (n, f), or with none."""
        return cls(codes, np.empty((len(codes), 0)) if features is None else features, groups)

    def __len__(self) -> int:
        return len(self.codes)

    def take(self, rows: npt.NDArray[np.int64] | npt.NDArray[np.bool_] | slice) -> Inputs:
        """Some of the rows."""
        groups = None if self.groups is None else self.groups[rows]
        return Inputs(self.codes[rows], self.features[rows], groups)


class Encoding:
    """Designs as matrices; everything follows from the space.

    Args:
        space: of the designs.
    """

    def __init__(self, space: DesignSpace) -> None:
        self._places = [coordinates(p) for p in space.parameters]
        self._ordered = [p.ordered for p in space.parameters]
        self._levels: Sequence[int] = space.nvec.tolist()

    def for_trees(self, x: Inputs) -> Floats:
        """One column an ordered parameter (its place between the ends), one for each level of a categorical one with
        more than two, then the features."""
        columns: list[Floats] = []
        for i, (place, ordered, n) in enumerate(zip(self._places, self._ordered, self._levels, strict=True)):
            if ordered or n <= 2:
                columns.append(place[x.codes[:, i]][:, None])
            else:
                columns.append(np.eye(n)[x.codes[:, i]])
        return np.concatenate([*columns, tamed(x.features)], axis=1)

    def tree_weights(self, n_features: int) -> Floats:
        """What the columns of ``for_trees`` have to be multiplied by for two levels of any categorical parameter to
        be 1 apart in the sum of absolute differences."""
        weights: list[float] = []
        for ordered, n in zip(self._ordered, self._levels, strict=True):
            weights += [1.0] if ordered or n <= 2 else [0.5] * n
        return np.array(weights + [1.0] * n_features)

    def one_hot(self, x: Inputs) -> Floats:
        """One column for each level of each parameter, then the features."""
        columns = [np.eye(n)[x.codes[:, i]] for i, n in enumerate(self._levels)]
        return np.concatenate([*columns, tamed(x.features)], axis=1)

    def dense(self, x: Inputs) -> Floats:
        """Every level by itself, and the places of ordered parameters, from -1 to 1: what a network learns from."""
        places = [
            2.0 * place[x.codes[:, i]][:, None] - 1.0
            for i, (place, ordered) in enumerate(zip(self._places, self._ordered, strict=True))
            if ordered
        ]
        return np.concatenate([*places, self.one_hot(x)], axis=1)


def tamed(features: Floats) -> Floats:
    """Features span orders of magnitude: logarithms of their size, with their sign."""
    return np.sign(features) * np.log1p(np.abs(features))
