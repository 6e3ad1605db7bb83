"""Which rows a model is judged on, that it has not learnt from."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from archgym import rng

from .inputs import Inputs

MANY = 3000  # rows from which one part tells enough
_PARTS = 5
_MOST = 5000  # rows of the one part


def folds(x: Inputs, seed: int) -> npt.NDArray[np.bool_]:
    """Parts (k, n) of the rows: five that divide them, or one of a fifth if they are many; groups stay whole.

    Args:
        x: n rows, at least 2. If all are in one group, every row is a group.
        seed: of the draw.
    """
    equal = np.column_stack([x.codes, x.features]) if x.groups is None else x.groups
    group = np.unique(equal, axis=0, return_inverse=True)[1].ravel()
    if group.max() == 0:
        group = np.arange(len(x))
    counts = np.bincount(group)
    order = rng.generator(seed, "folds").permutation(len(counts))
    if len(x) < MANY:
        k = min(_PARTS, len(counts))
        turn = np.empty(len(counts), np.int64)
        turn[order] = np.arange(len(counts)) % k
        return np.asarray(turn[group] == np.arange(k)[:, None])
    wanted = min(len(x) / _PARTS, _MOST)
    taken = order[: max(1, int(np.searchsorted(np.cumsum(counts[order]), wanted)))]
    return np.isin(group, taken)[None]
