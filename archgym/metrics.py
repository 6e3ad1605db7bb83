"""What a simulator promises to return: metrics with units, physical constraints with limits."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Metric:
    """One number per design.

    Attributes:
        name: column name; lower case.
        unit: SI where there is one ("s", "J", "mm2"), "" for a ratio, "cycles" for counts.
        doc: one sentence for people.
        positive: strictly positive wherever it is defined, so that its logarithm may be optimised.
        maximise: whether more is better.
        additive: whether running several workloads one after the other adds it up.
    """

    name: str
    unit: str = ""
    doc: str = ""
    positive: bool = True
    maximise: bool = False
    additive: bool = False


@dataclass(frozen=True, slots=True)
class Constraint:
    """A physical constraint: the simulator returns its signed slack, satisfied where <= 0.

    Attributes:
        name: column of the slack (value - limit).
        unit: of the slack.
        doc: one sentence for people.
        limit: the fixed limit that the slack is measured against; None if it differs between
            designs, then the simulator also returns the column ``<name>.limit``.
    """

    name: str
    unit: str = ""
    doc: str = ""
    limit: float | None = None
