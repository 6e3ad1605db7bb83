"""Splits of a data set for learning: no test row is one that the model has seen under another name.

A random split of an enumerated product space is interpolation: designs that behave identically, and different designs
with the same outcome, fall on both sides. So rows are grouped by canonical design and by identical metrics, and a group
goes to one side as a whole (`leak_free`, `folds`). Splits by agent, workload or held-back level ask how a model
generalises: there the test side is given, and the training side loses every row that it shares a group with.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from archgym import rng
from archgym.errors import UnknownNameError, UsageError

if TYPE_CHECKING:
    import pandas as pd

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Split:
    """Positions of rows in the frame that was split, ascending; together not always all of them.

    Attributes:
        train, test: (k,) int64.
        digest: sha256 of the designs of the test side, for a model's card.
    """

    train: Rows
    test: Rows
    digest: str


def groups(frame: pd.DataFrame, metrics: Sequence[str] | None = None) -> Rows:
    """Number of the group (n,) of each row: rows of one canonical design, or with identical metrics, share it.

    Sharing is transitive. Rows of different sources share a group where their designs are equal; rows without any
    metric (impossible designs) are grouped by design alone.

    Args:
        frame: with ``design`` and ``metric.*``.
        metrics: the columns whose equality counts; None is all.

    Raises:
        UsageError: a column is missing.
    """
    names = [c for c in frame.columns if str(c).startswith("metric.")] if metrics is None else list(metrics)
    for name in ("design", *names):
        if name not in frame.columns:
            known = ", ".join(map(str, frame.columns))
            raise UsageError(f"split: expected a frame with the column '{name}', got {known}")
    n = len(frame)
    if n == 0:
        return np.empty(0, np.int64)
    designs = _numbered(frame["design"].to_numpy())
    outcomes = np.arange(n) + designs.max() + 1  # alone, until it has metrics
    if names:
        values = np.ascontiguousarray(frame[names].to_numpy(np.float64)) + 0.0  # -0.0 is 0.0
        valid = np.isfinite(values).any(axis=1)
        values[np.isnan(values)] = np.nan  # one spelling
        rows = values[valid].view(np.dtype((np.void, values.dtype.itemsize * values.shape[1]))).ravel()
        outcomes[valid] = outcomes.max() + 1 + _numbered(rows)
    nodes = int(outcomes.max()) + 1
    edges = coo_array((np.ones(n, np.bool_), (designs, outcomes)), shape=(nodes, nodes))
    _, which = connected_components(edges, directed=False)
    return _numbered(which[designs])


def leak_free(frame: pd.DataFrame, test: float = 0.2, *, seed: int = 0, metrics: Sequence[str] | None = None) -> Split:
    """A random split into training and test rows that keeps every group on one side.

    Args:
        frame: with ``design`` and ``metric.*``.
        test: share of the rows; the test side has at least so many, and at most one group more.
        seed: of the draw.
        metrics: see `groups`.

    Raises:
        UsageError: a share outside ]0, 1[, or fewer than two groups.
    """
    if not 0 < test < 1:
        raise UsageError(f"split: expected a share of test rows between 0 and 1, got {test}")
    which = groups(frame, metrics)
    order, counts = _shuffled(which, seed)
    if len(order) < 2:
        raise UsageError(
            f"split: expected rows with at least 2 distinct outcomes, got {len(frame)} rows with {len(order)}"
        )
    reached = np.cumsum(counts[order])
    n_test = min(int(np.searchsorted(reached, test * len(frame))) + 1, len(order) - 1)
    return _split(frame, np.isin(which, order[:n_test]))


def folds(frame: pd.DataFrame, k: int = 5, *, seed: int = 0, metrics: Sequence[str] | None = None) -> Iterator[Split]:
    """k splits with test sides that divide the rows between them, in whole groups.

    Raises:
        UsageError: fewer groups than folds, or k below 2.
    """
    which = groups(frame, metrics)
    order, counts = _shuffled(which, seed)
    if k < 2 or len(order) < k:
        raise UsageError(f"folds: expected from 2 to {len(order)} (the groups of equal rows), got {k}")
    sizes, fold = [0] * k, np.empty(len(order), np.int64)
    for group in order[np.argsort(-counts[order], kind="stable")].tolist():  # largest first into the emptiest
        fold[group] = min(range(k), key=sizes.__getitem__)
        sizes[fold[group]] += int(counts[group])
    return (_split(frame, fold[which] == i) for i in range(k))


def held_back(frame: pd.DataFrame, column: str, values: Any, *, metrics: Sequence[str] | None = None) -> Split:
    """Test on the rows with these values of a column (an agent, a workload, a level), train on the others.

    A training row is left out if it shares a design of the same source, or all metrics, with a test row.

    Args:
        frame: with ``design``, ``source``, ``metric.*`` and the column.
        column: ``agent``, ``workload``, ``param.NAME``, …
        values: one value, or a list.
        metrics: see `groups`.

    Raises:
        UnknownNameError: no such column.
        UsageError: nothing on one of the sides.
    """
    if column not in frame.columns:
        raise UnknownNameError("column", column, map(str, frame.columns))
    wanted = list(values) if isinstance(values, list | tuple | set | np.ndarray) else [values]
    is_test = frame[column].isin(wanted).to_numpy()
    if is_test.all() or not is_test.any():
        known = ", ".join(map(str, frame[column].unique()[:20]))
        raise UsageError(
            f"split: expected values of '{column}' that some rows have and others have not, got {wanted}; "
            f"it has {known}"
        )
    alike = frame.assign(design=frame["source"].astype(str) + " " + frame["design"].astype(str))
    which = groups(alike, metrics)
    clean = ~np.isin(which, which[is_test])
    if not clean.any():
        raise UsageError(f"split: every row without {wanted} equals one with it; nothing is left to learn from")
    return _split(frame, is_test, clean)


def _split(frame: pd.DataFrame, is_test: npt.NDArray[np.bool_], train: npt.NDArray[np.bool_] | None = None) -> Split:
    test = np.flatnonzero(is_test)
    designs = sorted({str(design) for design in frame["design"].to_numpy()[test].tolist()})
    digest = hashlib.sha256("\n".join(designs).encode()).hexdigest()
    return Split(np.flatnonzero(~is_test if train is None else train), test, digest)


def _shuffled(which: Rows, seed: int) -> tuple[Rows, Rows]:
    """The groups in random order, and how many rows each has."""
    counts = np.bincount(which)
    return rng.generator(seed, "split").permutation(len(counts)), counts


def _numbered(values: npt.NDArray[Any]) -> Rows:
    """0, 1, … (n,) for the distinct values, in order of appearance, so that no number depends on how they sort."""
    _, first, which = np.unique(values, return_index=True, return_inverse=True)
    places = np.empty(len(first), np.int64)
    places[np.argsort(first)] = np.arange(len(first))
    return places[which.ravel()]
