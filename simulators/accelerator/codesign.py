"""Hardware and mapping searched together: the knobs of `.knobs` and the loop nest of one layer (`.mapping_space`).

The problem of DiGamma (Kao, Pellauer, Parashar & Krishna, DATE 2022): a good mapping of one hardware does not fit
the next, so that most designs are infeasible and the slacks say by how much.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from archgym.errors import UsageError
from archgym.metrics import Constraint, Metric
from archgym.simulator import Seeds, Simulator
from archgym.space import Codes, Columns, DesignSpace, Level, Parameter
from archgym.workload import Layer, Network, Workload

from . import nest, totals
from .hardware import HardwareArrays
from .knobs import BASELINE, LEVELS, SPACE, SPADS, Surroundings, design_of, hardware, surroundings
from .mapping_simulator import chosen_layer, columns_and_slacks, greedy, loop_nest
from .mapping_space import MappingSpace
from .shapes import TENSORS, layer_row

Ints = npt.NDArray[np.int64]

_KNOBS = len(SPACE.parameters)

# Level and column of the slacks for each constraint; column of hw_i that limits a column of the slacks.
_LIMITED = ((0, 0), (0, 1), (0, 2), (1, nest.SLACK_SHARED), (1, nest.SLACK_X), (1, nest.SLACK_X + 1))
_LIMIT_AT = (nest.CAPACITY, nest.CAPACITY + 1, nest.CAPACITY + 2, nest.SHARED_CAPACITY, nest.FANOUT, nest.FANOUT + 1)


@dataclass(frozen=True)
class CoDesignConfig(Surroundings):
    """What is fixed while hardware and mapping are searched.

    Attributes:
        layer: name of the layer; "" is the one with the most MACs in one run.
        batch: inferences per pass.
        space: "full", or "allowed": without the designs that are known not to fit before anything is counted
            (factors beyond the array, tiles beyond a scratchpad).
        Others: see `Surroundings`.
    """

    layer: str = ""
    batch: int = 1
    space: Literal["full", "allowed"] = "full"

    def __post_init__(self) -> None:
        if self.batch < 1:
            raise UsageError(f"simulator codesign: batch must be at least 1, got {self.batch}")
        surroundings(self)


class CoDesign(Simulator):
    """Row-stationary hardware and the loop nest of one layer on it, both in the design."""

    Config: ClassVar[type[CoDesignConfig]] = CoDesignConfig
    accepts: ClassVar[tuple[str, ...]] = ("network",)
    version: ClassVar[str] = "1"
    cost_seconds: ClassVar[float] = 1e-3
    objectives: ClassVar[Mapping[str, str]] = totals.OBJECTIVE_NAMES
    metrics: ClassVar[tuple[Metric, ...]] = tuple(m for m in totals.metrics(LEVELS) if m.name != "mappings")
    constraints: ClassVar[tuple[Constraint, ...]] = (
        *(Constraint(f"spads.{v}", "bit", f"tiles of {v} must fit their scratchpad") for v in "WIO"),
        Constraint("buffer", "bit", "tiles must fit the buffer"),
        *(Constraint(f"buffer.{axis}", "", "elements used along the axis") for axis in "xy"),
    )
    config: CoDesignConfig

    def __init__(self, config: CoDesignConfig | None = None) -> None:
        super().__init__(config)
        self._around = surroundings(self.config)

    def design_space(self, workload: Workload) -> DesignSpace:
        """Knobs of the hardware, then factors and orders of the layer's loops."""
        return _spaces(self._around, self._row(workload), self.config.space == "allowed")[1]

    def baseline(self, workload: Workload) -> dict[str, Level]:
        """Eyeriss with a greedy mapping: each slot takes every factor that still fits."""
        row = self._row(workload)
        design = _greedy(self._around, row)
        mapped = {p.name: p.levels[design[p.name]] for p in _spaces(self._around, row)[0].parameters}
        return {**BASELINE, **mapped}

    def canonical(self, codes: Codes, workload: Workload) -> Codes:
        """One representative (n, d) of all designs with the same hardware and loop nest."""
        return _spaces(self._around, self._row(workload))[0].canonical(codes, _KNOBS)

    def layer(self, workload: Workload) -> Layer:
        """The layer that is mapped; UnknownNameError if the workload has none of that name."""
        assert isinstance(workload, Network)
        return chosen_layer(workload.with_batch(self.config.batch), self.config.layer)

    def _row(self, workload: Workload) -> tuple[int, ...]:
        return tuple(layer_row(self.layer(workload)).tolist())

    def _simulate(self, designs: Columns, workload: Workload, seeds: Seeds | None) -> Columns:
        key = self._row(workload)
        row = np.array(key, np.int64)
        loops, tiles = _spaces(self._around, key)[0].nests(designs)
        m = len(loops)
        arrays = [hardware(design_of(designs, i), self._around).arrays() for i in range(m)]
        arrays = arrays or [hardware(BASELINE, self._around).arrays()]
        parts = [_evaluate(row, loops[i : i + 1], tiles[i : i + 1], arrays[i]) for i in range(m)]
        parts = parts or [_evaluate(row, loops, tiles, arrays[0])]
        found = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        limits = [(*place, constraint) for place, constraint in zip(_LIMITED, self.constraints, strict=True)]
        columns = columns_and_slacks(found, row, arrays, LEVELS, self.config.batch, limits)
        for level, at, constraint in limits:
            columns[f"{constraint.name}.limit"] = np.array([a.hw_i[level, _LIMIT_AT[at]] for a in arrays[:m]], float)
        return columns

    def breakdown(self, codes: Codes, workload: Workload) -> dict[str, list[Any]]:
        """The loop nest of one design (1, d), line by line."""
        key = self._row(workload)
        design = self.design_space(workload).design(codes[0])
        return {"nest": loop_nest(_spaces(self._around, key)[0], design, LEVELS).pretty(np.array(key)).splitlines()}


def _evaluate(row: Ints, loops: Ints, tiles: Ints, arrays: HardwareArrays) -> dict[str, npt.NDArray[Any]]:
    return nest.evaluate_batch(row, loops, tiles, arrays.hw_i, arrays.hw_f, arrays.mac, arrays.bits)


@lru_cache(maxsize=64)
def _spaces(around: Surroundings, key: tuple[int, ...], filtered: bool = False) -> tuple[MappingSpace, DesignSpace]:
    """Meaning of the mapping's parameters, and the whole space; fan-outs are as wide as any design's."""
    row, arrays = np.array(key, np.int64), hardware(BASELINE, around).arrays()
    pes, mesh = (np.array(SPACE[name].levels, np.int64) for name in ("pes", "mesh_x"))
    arrays.hw_i[1, nest.FANOUT] = mesh.max()
    arrays.hw_i[1, nest.FANOUT + 1] = pes.max() // mesh.min()
    space = MappingSpace(row, arrays, LEVELS)
    if not filtered:
        return space, DesignSpace([*SPACE.parameters, *space.parameters])
    knobs: dict[tuple[int, int], tuple[tuple[Parameter, ...], Ints]] = {
        (1, nest.SLACK_X): ((SPACE["mesh_x"],), mesh),
        (1, nest.SLACK_X + 1): ((SPACE["pes"], SPACE["mesh_x"]), pes[:, None] // mesh),
    }
    for name, tensor in SPADS.items():
        v = TENSORS.index(tensor)
        depth, block = SPACE[f"{name}_depth"], SPACE[f"{name}_block"]
        words = np.array(depth.levels, np.int64)[:, None] * np.array(block.levels, np.int64)
        knobs[0, v] = ((depth, block), words * int(arrays.bits[v]))
    return space, DesignSpace([*SPACE.parameters, *space.parameters], space.rules(row, arrays, knobs))


@lru_cache(maxsize=64)
def _greedy(around: Surroundings, row: tuple[int, ...]) -> dict[str, int]:
    return greedy(_spaces(around, row)[0], np.array(row, np.int64), hardware(BASELINE, around).arrays())
