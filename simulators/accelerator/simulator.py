"""A spatial DNN accelerator with a mapper inside: hardware knobs in, time, energy, power and area of networks out.

Per design and layer a mapper (see `.mapping_search`) looks for loop nests within a budget of mappings; those it returns
are counted and priced exactly (see `.nest`); the network takes those that together are best for
``mapping_objective``. Energies, areas and bandwidths come from ``archgym.technology``.

The model. A level's ports, the MACs and the DRAM work at the same time, so a layer takes the largest of their busy
times, plus the first fill and the last drain of each level, plus the exchange of tiles wherever a store is not
double-buffered. Layers run one after the other; nothing stays on the chip between them (no layer fusion). Elements
are packed into rows of memory (fractional vectors). Not modelled: control, clock network, compression, skipping of
zeros, pooling and element-wise operations.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from archgym.errors import UsageError
from archgym.metrics import Constraint, Metric
from archgym.simulator import Reproduction, Seeds, Simulator
from archgym.space import Codes, Columns
from archgym.workload import Network, Workload

from . import totals
from .hardware import HardwareArrays
from .hulls import OBJECTIVES
from .knobs import LEVELS, SPACE, KnobSpace, Surroundings, design_of, hardware, surroundings
from .mapping_search import NetworkMapping, map_network
from .shapes import Shapes, unique_shapes


@dataclass(frozen=True)
class AcceleratorConfig(Surroundings):
    """What is fixed while the design is searched.

    Attributes:
        batch: inferences per pass; latency is of the whole batch, energy of one inference.
        budget: mappings that the mapper looks at for each layer shape, most by a fast estimate. Beside 2000, random
            designs on AlexNet and ResNet-50 get an EDP 8 to 9 % higher from 1000, in two thirds of the time, 2 to
            3 % lower from 4000 in 1.8 times and 7 to 9 % lower from 40,000 in 13 times the time.
        mapping_objective: what the network's mappings are chosen for.
        Others: see `Surroundings`.
    """

    batch: int = 1
    budget: int = 2000
    mapping_objective: Literal["edp", "latency", "energy", "ed2p"] = "edp"

    def __post_init__(self) -> None:
        if self.batch < 1 or self.budget < 1:
            raise UsageError("simulator accelerator: batch and budget must be at least 1")
        surroundings(self)


class Accelerator(KnobSpace, Simulator):
    """Row-stationary array with scratchpads, shared buffer and DRAM (see the module's text and `.knobs`)."""

    Config: ClassVar[type[AcceleratorConfig]] = AcceleratorConfig
    accepts: ClassVar[tuple[str, ...]] = ("network",)
    version: ClassVar[str] = "2"
    cost_seconds: ClassVar[float] = 5e-2
    objectives: ClassVar[Mapping[str, str]] = totals.OBJECTIVE_NAMES
    metrics: ClassVar[tuple[Metric, ...]] = totals.metrics(LEVELS)
    constraints: ClassVar[tuple[Constraint, ...]] = (
        *(Constraint(f"spads.{v}", "bit", f"the smallest tile of {v} must fit its scratchpad") for v in "WIO"),
        Constraint("buffer", "bit", "the smallest tiles of I and O must fit the buffer"),
    )
    reasons: ClassVar[tuple[str, ...]] = ("", "no mapping obeys the dataflow's constraints")
    config: AcceleratorConfig

    def _simulate(self, designs: Columns, workload: Workload, seeds: Seeds | None) -> Columns:
        assert isinstance(workload, Network)
        shapes = self.shapes(workload)
        rows = []
        n = len(designs["pes"])
        for i in range(n):
            arrays = hardware(design_of(designs, i), self._around).arrays()
            rows.append(self._one(arrays, shapes))
        return {name: np.array([row[name] for row in rows]) for name in self.output_names}

    def _one(self, arrays: HardwareArrays, shapes: Shapes) -> dict[str, float | int]:
        mapping = self.map(arrays, shapes)
        slack = totals.smallest_slack(shapes, arrays)
        row: dict[str, float | int] = {
            "spads.W": slack[0, 0],
            "spads.I": slack[0, 1],
            "spads.O": slack[0, 2],
            "buffer": slack[1, 3],
            "spads.W.limit": arrays.hw_i[0, 0],
            "spads.I.limit": arrays.hw_i[0, 1],
            "spads.O.limit": arrays.hw_i[0, 2],
            "buffer.limit": arrays.hw_i[1, 3],
            "reason": 0,
        }
        if mapping.choice:
            found = totals.network_totals(shapes, mapping, arrays, LEVELS, self.config.batch)
            return {**row, **found}
        for layer in mapping.layers:
            violation = layer.violation
            if violation is None:
                continue
            if violation.level < 0:
                row["reason"] = 1
            else:
                name = LEVELS[violation.level] + ("" if violation.place == "shared" else f".{violation.place}")
                row[name] = max(row[name], violation.excess)
        return {**row, **totals.nothing(self.metrics)}

    def map(self, arrays: HardwareArrays, shapes: Shapes) -> NetworkMapping:
        """The mappings that this simulator takes for a hardware."""
        weights = OBJECTIVES[self.config.mapping_objective]
        return map_network(shapes.rows, shapes.repeats, arrays, weights, budget=self.config.budget, level_names=LEVELS)

    def shapes(self, network: Network) -> Shapes:
        """The distinct layers of a network at this batch size.

        Raises:
            UsageError: a layer demands another word width than this simulator is set to.
        """
        totals.check_widths(network, self.config.bits)
        return unique_shapes(network.with_batch(self.config.batch))

    def breakdown(self, codes: Codes, workload: Workload) -> dict[str, list[Any]]:
        """The layers of one design (1, d): mapping, cycles, limit, utilisation, energy by level."""
        assert isinstance(workload, Network)
        arrays = hardware(SPACE.design(codes[0]), self._around).arrays()
        shapes = self.shapes(workload)
        mapping = self.map(arrays, shapes)
        if not mapping.choice:
            return {}
        names = [layer.name for layer in workload.layers]
        return totals.layer_table(names, shapes, mapping, arrays, LEVELS)

    def reproduce(self, rows: Sequence[Mapping[str, str]], traces: Path | None = None) -> Reproduction:
        """Brute-force counts and tables of Timeloop, ZigZag and MAESTRO; see ``.validation`` for the columns."""
        if traces is not None:
            raise UsageError(f"traces: expected no folder, a table of layers names no traces, got '{traces}'")
        from .validation import reproduce

        return reproduce(rows)
