"""Replay a table measured with an original tool and compare column by column."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from archgym.reference_rows import read_table
from archgym.registry import SIMULATORS


@dataclass(frozen=True)
class ColumnCheck:
    """Agreement on one output column.

    Attributes:
        rows: rows compared.
        exact: rows that are equal.
        max_rel_error: largest |ours - theirs| / |theirs|; inf where theirs is 0 and ours is not, or one is missing.
        tolerance: what may pass; 0 demands equality.
    """

    rows: int
    exact: int
    max_rel_error: float
    tolerance: float

    @property
    def passed(self) -> bool:
        """Whether the largest error is within the tolerance."""
        return self.max_rel_error <= self.tolerance


@dataclass(frozen=True)
class Report:
    """Outcome of a validation.

    Attributes:
        simulator: its name.
        rows: rows of the table.
        skipped: rows that the model does not claim to reproduce.
        columns: output column -> agreement.
    """

    simulator: str
    rows: int
    skipped: int
    columns: Mapping[str, ColumnCheck]

    @property
    def passed(self) -> bool:
        """Every column passes, and there was at least one to check."""
        return self.rows > self.skipped and bool(self.columns) and all(c.passed for c in self.columns.values())

    def to_dict(self) -> dict[str, Any]:
        """The JSON form that ``archgym validate --json`` prints."""
        columns = {
            name: {
                "exact": c.exact,
                "max_rel_error": c.max_rel_error,
                "tolerance": c.tolerance,
                "pass": c.passed,
            }
            for name, c in self.columns.items()
        }
        return {
            "simulator": self.simulator,
            "rows": self.rows,
            "skipped": self.skipped,
            "columns": columns,
            "pass": self.passed,
        }


def validate(simulator: str, table: str | Path, *, traces: str | Path | None = None) -> Report:
    """Replay the rows of a CSV table with a simulator's compat mode.

    Args:
        table: the file, as `read_table` reads it.
        traces: folder of the memory traces that the table names.

    Raises:
        UnknownNameError: no such simulator.
        UsageError: it has no compat mode, the file is no table for it, or it reads no traces.
    """
    cls = SIMULATORS.load(simulator)
    rows = read_table(table)
    reproduction = cls().reproduce(rows, None if traces is None else Path(traces))
    checks = {
        name: compare(ours, theirs, reproduction.tolerance.get(name, 0.0))
        for name, (theirs, ours) in reproduction.columns.items()
    }
    return Report(simulator, len(rows), reproduction.skipped, checks)


def compare(ours: npt.NDArray[Any], theirs: npt.NDArray[Any], tolerance: float) -> ColumnCheck:
    """Agreement of two columns (n,)."""
    a, b = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    equal = (np.asarray(ours) == np.asarray(theirs)) | (np.isnan(a) & np.isnan(b))
    scale = np.where(b == 0, 1.0, np.abs(b))
    error = np.where(equal, 0.0, np.where((b == 0) | np.isnan(a) | np.isnan(b), np.inf, np.abs(a - b) / scale))
    return ColumnCheck(len(equal), int(equal.sum()), float(error.max(initial=0.0)), tolerance)
