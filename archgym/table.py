"""Enumerated tables: everything one simulator returns on some workloads, for every design of a space.

A table needs no simulator. It holds a class for every raw design, so that a look-up is arithmetic and
indexing; what designs were merged (``DesignSpace.canonical`` and ``Simulator.canonical``) is kept, and
equal results of different classes are stored once. Files are in `archgym.table_file`.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from archgym.errors import UsageError
from archgym.metrics import Constraint, Metric
from archgym.space import Codes, DesignSpace, Level
from archgym.workload import Workload

LARGEST = 5_000_000  # raw designs; an index is kept for each


@dataclass(frozen=True, eq=False)
class Results:
    """What a table holds for one workload. Ranks are positions in lexicographic order (``DesignSpace.rank``).

    Attributes:
        name: of the workload, for people.
        kind: of the workload.
        fingerprint: of the workload's content; what a look-up goes by.
        baseline: the design that rewards are measured against.
        classes: (size of the space,) unsigned; the class of each raw design, in order of rank.
        representatives: (k,) int64; rank of the canonical design of each class, ascending.
        outcomes: (k,) unsigned; the row of ``columns`` that each class has.
        columns: the simulator's output columns (m,) int64 or float64; no two rows are the same bits.
    """

    name: str
    kind: str
    fingerprint: str
    baseline: Mapping[str, Level]
    classes: npt.NDArray[Any]
    representatives: npt.NDArray[np.int64]
    outcomes: npt.NDArray[Any]
    columns: Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Table:
    """The results of one simulator over one space.

    Attributes:
        simulator: its registered name or ``"module:Class"``; a record, never loaded.
        version: the simulator's version at the time.
        config: its whole Config as JSON data.
        space: the designs; of at most `LARGEST` raw ones.
        metrics, constraints, reasons, objectives, absent: as the simulator declares them (see `Simulator`).
        workloads: results by workload, with distinct names and contents.
    """

    simulator: str
    version: str
    config: Mapping[str, Any]
    space: DesignSpace
    metrics: tuple[Metric, ...]
    constraints: tuple[Constraint, ...]
    reasons: tuple[str, ...]
    objectives: Mapping[str, str]
    absent: Mapping[str, str]
    workloads: tuple[Results, ...]

    def header(self) -> dict[str, Any]:
        """Everything but the arrays, as plain JSON data."""
        return {
            "simulator": self.simulator,
            "version": self.version,
            "config": dict(self.config),
            "space": self.space.to_dict(),
            "metrics": [dataclasses.asdict(m) for m in self.metrics],
            "constraints": [dataclasses.asdict(c) for c in self.constraints],
            "reasons": list(self.reasons),
            "objectives": dict(self.objectives),
            "absent": dict(self.absent),
            "columns": {name: str(column.dtype) for name, column in self.workloads[0].columns.items()},
            "workloads": [
                {
                    "name": r.name,
                    "kind": r.kind,
                    "fingerprint": r.fingerprint,
                    "baseline": dict(r.baseline),
                    "classes": len(r.representatives),
                    "outcomes": len(next(iter(r.columns.values()))),
                }
                for r in self.workloads
            ],
        }

    @functools.cached_property
    def fingerprint(self) -> str:
        """sha256 over the content: header and every array, whatever types and compression a file uses."""
        digest = hashlib.sha256(json.dumps(self.header(), sort_keys=True).encode())
        for r in self.workloads:
            for index in (r.classes, r.representatives, r.outcomes):
                digest.update(index.astype("<i8").tobytes())
            for column in r.columns.values():
                digest.update(column.astype(column.dtype.newbyteorder("<")).tobytes())
        return digest.hexdigest()

    def results(self, workload: Workload) -> Results:
        """The results for a workload of the same content, under whatever name.

        Raises:
            UsageError: the table has none; names those it has.
        """
        for r in self.workloads:
            if r.fingerprint == workload.fingerprint:
                return r
        held = ", ".join(r.name for r in self.workloads)
        other = " (of other content)" if workload.name in [r.name for r in self.workloads] else ""
        raise UsageError(
            f"the table of {self.simulator} holds no results for workload '{workload.name}'{other}; it holds {held}"
        )

    def look_up(self, codes: Codes, workload: Workload) -> dict[str, npt.NDArray[Any]]:
        """The columns that the simulator returned for designs (n, d), bit for bit."""
        r = self.results(workload)
        rows = r.outcomes[r.classes[self.space.keys(codes)]]
        return {name: column[rows] for name, column in r.columns.items()}

    def canonical(self, codes: Codes, workload: Workload) -> Codes:
        """The canonical design (n, d) of each design, as the simulator merged them."""
        r = self.results(workload)
        return self.space.unrank(r.representatives[r.classes[self.space.keys(codes)]])


def smallest_type(n: int) -> npt.DTypeLike:
    """The narrowest unsigned type that can index ``n`` things."""
    return np.min_scalar_type(max(n - 1, 0))
