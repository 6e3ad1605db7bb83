"""One layer on fixed hardware: the mapping is the design (the problem of GAMMA, Kao & Krishna, ICCAD 2020)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from archgym.errors import UnknownNameError, UsageError
from archgym.metrics import Constraint, Metric
from archgym.simulator import Seeds, Simulator
from archgym.space import Codes, Columns, DesignSpace, Level
from archgym.workload import Layer, Network, Workload

from . import nest, totals
from .hardware import Hardware, HardwareArrays
from .hardware_file import load_hardware
from .mapping import Mapping as LoopNest
from .mapping_space import MappingSpace
from .shapes import TENSORS, layer_row

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class MappingConfig:
    """What is fixed while the mapping is searched.

    Attributes:
        hardware: a template (eyeriss, nvdla, shidiannao, simba, small, tpu) or a file of its own, ``.toml`` or
            ``.json``.
        layer: name of the layer; "" is the one with the most MACs in one run.
        batch: inferences per pass.
        space: "full", or "allowed": without the designs that are known not to fit before anything is counted
            (factors beyond a fan-out, tiles beyond a store of the innermost level).
    """

    hardware: str = "eyeriss"
    layer: str = ""
    batch: int = 1
    space: Literal["full", "allowed"] = "full"

    def __post_init__(self) -> None:
        if self.batch < 1:
            raise UsageError(f"simulator mapping: batch must be at least 1, got {self.batch}")


class MappingSearch(Simulator):
    """A layer's loop nests on fixed hardware, every one counted and priced exactly (`.nest`, `.mapping_space`).

    Factors, orders and bypasses are the design, so the space depends on the layer. Tiles that do not fit a store and
    loops that do not fit a fan-out are infeasible, with the excess in bits and children.
    """

    Config: ClassVar[type[MappingConfig]] = MappingConfig
    accepts: ClassVar[tuple[str, ...]] = ("network",)
    version: ClassVar[str] = "1"
    cost_seconds: ClassVar[float] = 2e-5
    metrics: ClassVar[tuple[Metric, ...]] = ()
    config: MappingConfig

    def __init__(self, config: MappingConfig | None = None) -> None:
        super().__init__(config)
        self.hardware = load_hardware(self.config.hardware)
        self.arrays: HardwareArrays = self.hardware.arrays()
        self.names = tuple(level.name for level in self.hardware.levels)
        self._limited = limited(self.arrays, self.names)
        metrics = totals.metrics(self.names)
        vars(self).update(
            metrics=tuple(m for m in metrics if m.name != "mappings"),
            constraints=tuple(constraint for _, _, constraint in self._limited),
        )

    def design_space(self, workload: Workload) -> DesignSpace:
        """Factors, orders and bypasses of the chosen layer on the chosen hardware."""
        return _spaces(self.hardware, self._row(workload), self.config.space == "allowed")[1]

    def baseline(self, workload: Workload) -> dict[str, Level]:
        """Greedy: from the multipliers outwards each slot takes every factor that still fits."""
        row = self._row(workload)
        design = _greedy(self.hardware, row)
        return {p.name: p.levels[design[p.name]] for p in _spaces(self.hardware, row)[1].parameters}

    def canonical(self, codes: Codes, workload: Workload) -> Codes:
        """One representative (n, d) of all designs that mean the same loop nest."""
        return _spaces(self.hardware, self._row(workload))[0].canonical(codes)

    def layer(self, workload: Workload) -> Layer:
        """The layer that is mapped.

        Raises:
            UnknownNameError: the workload has no layer of that name.
        """
        assert isinstance(workload, Network)
        return chosen_layer(workload.with_batch(self.config.batch), self.config.layer)

    def mapping(self, design: Mapping[str, Level], workload: Workload) -> LoopNest:
        """The loop nest that a design means, to print or to save."""
        return loop_nest(_spaces(self.hardware, self._row(workload))[0], design, self.names)

    def _row(self, workload: Workload) -> tuple[int, ...]:
        return tuple(layer_row(self.layer(workload)).tolist())

    def _simulate(self, designs: Columns, workload: Workload, seeds: Seeds | None) -> Columns:
        key = self._row(workload)
        row = np.array(key, np.int64)
        loops, tiles = _spaces(self.hardware, key)[0].nests(designs)
        found = nest.evaluate_batch(
            row, loops, tiles, self.arrays.hw_i, self.arrays.hw_f, self.arrays.mac, self.arrays.bits
        )
        return columns_and_slacks(found, row, [self.arrays], self.names, self.config.batch, self._limited)

    def breakdown(self, codes: Codes, workload: Workload) -> dict[str, list[Any]]:
        """The loop nest of one design (1, d), line by line."""
        row = np.array(self._row(workload), np.int64)
        text = self.mapping(self.design_space(workload).design(codes[0]), workload).pretty(row)
        return {"nest": text.splitlines()}


Limited = list[tuple[int, int, Constraint]]


def limited(arrays: HardwareArrays, names: tuple[str, ...]) -> Limited:
    """Level, column of the slacks, and constraint of everything that a mapping may exceed."""
    found: Limited = []
    for level, name in enumerate(names):
        for v, tensor in enumerate(TENSORS):
            bits = int(arrays.hw_i[level, nest.CAPACITY + v])
            if bits != nest.UNLIMITED and arrays.hw_i[level, nest.KEEP + v]:
                text = f"tiles of {tensor} must fit their store"
                found.append((level, v, Constraint(f"{name}.{tensor}", "bit", text, float(bits))))
        bits = int(arrays.hw_i[level, nest.SHARED_CAPACITY])
        if bits != nest.UNLIMITED:
            found.append((level, nest.SLACK_SHARED, Constraint(name, "bit", "tiles must fit the store", float(bits))))
        for axis in range(2):
            children = int(arrays.hw_i[level, nest.FANOUT + axis])
            if children > 1:
                what = Constraint(f"{name}.{'xy'[axis]}", "", "children used along the axis", float(children))
                found.append((level, nest.SLACK_X + axis, what))
    return found


def columns_and_slacks(
    found: dict[str, npt.NDArray[Any]],
    row: Ints,
    arrays: Sequence[HardwareArrays],
    names: tuple[str, ...],
    batch: int,
    limited: Limited,
) -> dict[str, npt.NDArray[Any]]:
    """Metrics and slacks of m evaluated mappings of one layer; one hardware for all or one each."""
    out, m = found["out"], len(found["out"])
    sizes = totals.sizes_of(arrays)
    if len(arrays) == 1:
        sizes = sizes._replace(
            mac_area=np.repeat(sizes.mac_area, m), level_area=np.repeat(sizes.level_area, m, axis=0),
            pes=np.repeat(sizes.pes, m),
        )  # fmt: skip
    columns = totals.columns_of(
        out,
        out[:, nest.COMPUTE] * out[:, nest.PES_USED],
        totals.moved_bytes(found["counts"], arrays[0].bits),
        np.where(out[:, nest.LIMIT] >= 0, out[:, nest.CYCLES], 0.0),
        int(row[:8].prod()),
        sizes,
        names,
        batch,
    )
    for column in columns.values():
        column[~found["fits"]] = 0 if column.dtype == np.int64 else np.nan
    return columns | {c.name: found["slack"][:, level, at] for level, at, c in limited}


def _without_idle(loops: Ints, tiles: Ints) -> tuple[Ints, Ints]:
    """Loops (n, 4) with a bound above 1 and tiles (L, 3) counted in them."""
    real = loops[:, nest.BOUND] > 1
    before = np.concatenate([[0], np.cumsum(real)])
    return loops[real], np.where(tiles >= 0, before[tiles], -1)


@lru_cache(maxsize=64)
def _spaces(hardware: Hardware, row: tuple[int, ...], filtered: bool = False) -> tuple[MappingSpace, DesignSpace]:
    names, layer, arrays = tuple(level.name for level in hardware.levels), np.array(row, np.int64), hardware.arrays()
    space = MappingSpace(layer, arrays, names)
    return space, DesignSpace(space.parameters, space.rules(layer, arrays) if filtered else ())


@lru_cache(maxsize=64)
def _greedy(hardware: Hardware, row: tuple[int, ...]) -> dict[str, int]:
    return greedy(_spaces(hardware, row)[0], np.array(row, np.int64), hardware.arrays())


def greedy(space: MappingSpace, row: Ints, arrays: HardwareArrays) -> dict[str, int]:
    """`MappingSpace.greedy` on a hardware."""

    def fits(design: dict[str, int]) -> bool:
        loops, tiles = space.nests({name: np.array([value]) for name, value in design.items()})
        found = nest.evaluate_batch(row, loops, tiles, arrays.hw_i, arrays.hw_f, arrays.mac, arrays.bits)
        return bool(found["fits"][0])

    return space.greedy(fits)


def chosen_layer(network: Network, name: str) -> Layer:
    """The layer called ``name``; "" is the one with the most MACs.

    Raises:
        UnknownNameError: the network has no layer of that name.
    """
    if not name:
        return max(network.layers, key=lambda layer: layer.macs)
    for layer in network.layers:
        if layer.name == name:
            return layer
    raise UnknownNameError(f"layer of {network.name}", name, [layer.name for layer in network.layers])


def loop_nest(space: MappingSpace, design: Mapping[str, Level], names: tuple[str, ...]) -> LoopNest:
    """The loop nest that the mapping's parameters of a design mean."""
    columns = {p.name: np.array([int(design[p.name])]) for p in space.parameters}
    loops, tiles = space.nests(columns)
    return LoopNest.from_arrays(*_without_idle(loops[0], tiles[0]), names)
