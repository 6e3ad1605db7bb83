"""Pareto fronts of minimised values (moocore does the work)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def front(values: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Row numbers (k,) of the non-dominated points of ``values`` (n, m), all minimised.

    Of equal points only the first is kept; rows with a NaN or an infinity are never part. The
    result is sorted by the first value, ties by the next.
    """
    import moocore

    usable = np.flatnonzero(np.isfinite(values).all(axis=1))
    if len(usable) == 0:
        return usable
    points = np.ascontiguousarray(values[usable], np.float64)
    if points.shape[1] == 1:
        return usable[[int(np.argmin(points[:, 0]))]]
    kept = usable[np.asarray(moocore.is_nondominated(points, keep_weakly=False))]
    order: npt.NDArray[Any] = np.lexsort(values[kept].T[::-1])
    return np.asarray(kept[order], np.int64)
