"""An accelerator: levels of memory with fan-outs between them, and its form as arrays for the kernels.

Order: ``levels[0]`` stands next to the multipliers and the last level is the outermost (DRAM), in code, in
files, in messages and in every array alike. Fan-out l lies between level l and level l - 1, fan-out 0
between level 0 and the multipliers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from archgym.errors import UnknownNameError, UsageError
from archgym.technology import scaling, sram

from . import costs, description
from .checks import check_number, check_text, check_whole
from .levels import SHARE, Bounds, Mac, MemoryLevel
from .shapes import DIMS, TENSORS

_Limits = tuple[Bounds, Bounds, Bounds, Bounds, Bounds, str]
_RANGES = (
    ("clock_mhz", 1e-3, 1e6),
    ("leakage_scale", 0.0, 1e9),
    ("control_area_share", 0.0, 0.99),
    ("layout_density", 0.01, 1.0),
    ("clock_power_share", 0.0, 0.99),
)


@dataclass(frozen=True, slots=True)
class HardwareArrays:
    """A hardware as the kernels read it; L levels from the multipliers outwards, all arrays C-contiguous.

    Attributes:
        hw_i: (L, 16) int64. 0..2 capacity in bits of one instance for W, I, O where each has its own store,
            -1 unlimited or not; 3 capacity for all kept tensors together, -1 likewise; 4 double-buffered;
            5..7 sharing of fan-out l for W, I, O (0 none, 1 multicast or reduction, 2 and forwarding);
            8, 9 children along X and Y; 10..12 keeps W, I, O (1 always, 0 never, 2 the mapper chooses);
            13 each tensor has its own store; 14, 15 zero.
        hw_f: (L, 20) float64. 0..2 read and 3..5 write pJ per element of W, I, O; 6..8 read bandwidth in bits a
            cycle of one instance for W, I, O ([6] for all where they share a store; inf never limits);
            9..11 write bandwidth likewise, -1 where the read port does both; 12 pJ per bit to the first child of
            fan-out l, 13 to each further one; 14 leakage in W and 15 area in mm2 of all instances, with its part of
            control and white space; 16..19 zero.
        mac: (4,) float64: pJ per MAC, leakage in W and area in mm2 of all multipliers, clock in Hz.
        bits: (3,) int64: word bits of W, I, O.
        temporal_max: (L, 8) int64: largest bound by level and dimension; 1 none, 2**62 any, 0 all that is left.
        spatial_max: (L, 2, 8) int64: likewise for the axes X, Y of fan-out l.
        spatial_min: (L, 2, 8) int64: smallest spatial factor, 1 demands nothing.
        order_fixed: (L, 8) int64: dimensions that come innermost in the level's block, inner to outer, -1 free.
    """

    hw_i: npt.NDArray[np.int64]
    hw_f: npt.NDArray[np.float64]
    mac: npt.NDArray[np.float64]
    bits: npt.NDArray[np.int64]
    temporal_max: npt.NDArray[np.int64]
    spatial_max: npt.NDArray[np.int64]
    spatial_min: npt.NDArray[np.int64]
    order_fixed: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Hardware:
    """One accelerator.

    Attributes:
        name: shown to people.
        levels: from the multipliers outwards; the last one holds all of W, I, O and takes no choice.
        mac: the multipliers at the leaves of the fan-outs.
        word_bits: bits of an element of W, I, O; O is the partial sum, on the chip and off it.
        clock_mhz: of everything on the chip.
        node: technology node, nm; one that ``archgym.technology.scaling`` knows.
        sram_device: CACTI device type, itrs-lop (low operating power) or itrs-hp.
        leakage_scale: multiplies looked-up leakage on the chip (an assumption; 1.0 is CACTI's 350 K).
        source: where the description comes from, in words.
        control_area_share: share of the cells' area that control, network and clock take, which are no modelled
            part (0: the parts alone).
        layout_density: cells' area over core area: 1 leaves no white space. Wires grow with the core.
        clock_power_share: share of the switching power on the chip that goes to clock network and control; every
            part's energy on the chip is raised to carry it (0: the parts alone).

    Raises:
        UsageError, UnknownNameError: a field has no meaning; parts without data are found by `arrays`.
    """

    name: str
    levels: tuple[MemoryLevel, ...]
    mac: Mac = field(default_factory=Mac)
    word_bits: tuple[int, int, int] = (8, 8, 32)
    clock_mhz: float = 1000.0
    node: int = 45
    sram_device: str = "itrs-lop"
    leakage_scale: float = 1.0
    source: str = ""
    control_area_share: float = 0.0
    layout_density: float = 1.0
    clock_power_share: float = 0.0

    def __post_init__(self) -> None:
        check_text("name", self.name, least=1)
        check_text("source", self.source)
        for name, lowest, highest in _RANGES:
            value = getattr(self, name)
            if value is None:
                raise UsageError(f"{name}: expected a number, got none")
            check_number(self, name)
            if not lowest <= getattr(self, name) <= highest:
                raise UsageError(f"{name}: expected a number from {lowest:g} to {highest:g}, got {value!r}")
        check_whole(self, "node", 1)
        if self.node not in _nodes():
            known = ", ".join(map(str, _nodes()))
            raise UsageError(f"node: expected one of {known} (nm), got {self.node!r}")
        if self.sram_device not in sram.devices():
            raise UsageError(f"sram_device: {UnknownNameError('device', str(self.sram_device), sram.devices())}")
        object.__setattr__(self, "word_bits", tuple(self.word_bits))
        if len(self.word_bits) != 3 or any(type(bits) is not int or bits < 1 for bits in self.word_bits):
            raise UsageError(f"word_bits: expected an integer >= 1 for each of W, I, O, got {self.word_bits!r}")
        self._check_levels()

    def _check_levels(self) -> None:
        object.__setattr__(self, "levels", tuple(self.levels))
        if not self.levels:
            raise UsageError("levels: expected at least one, got none")
        outermost, place = self.levels[-1], f"levels[{len(self.levels) - 1}]"
        if outermost.tensors != "WIO" or outermost.may_keep:
            raise UsageError(
                f"{place}.stores: expected W, I and O, always kept, at the outermost level, "
                f"got {outermost.tensors!r}" + (f" with may_keep {outermost.may_keep!r}" if outermost.may_keep else "")
            )
        names = [level.name for level in self.levels]
        for i, name in enumerate(names):
            if name in names[:i]:
                raise UsageError(f"levels[{i}].name: expected a name of its own, got {name!r} again")

    @property
    def instances(self) -> tuple[int, ...]:
        """Instances of each level: the product of the fan-outs of the levels outside it; one of the outermost."""
        counts, total = [], 1
        for level in reversed(self.levels):
            counts.append(total)
            total *= level.fanout.children
        return tuple(reversed(counts))

    @property
    def pes(self) -> int:
        """Multipliers: the product of all fan-outs."""
        return math.prod(level.fanout.children for level in self.levels)

    def index(self, name: str) -> int:
        """The position of the level called ``name``.

        Raises:
            UnknownNameError: there is none.
        """
        names = [level.name for level in self.levels]
        if name not in names:
            raise UnknownNameError(f"level of {self.name}", name, names)
        return names.index(name)

    def level(self, name: str) -> MemoryLevel:
        """The level called ``name``; UnknownNameError if there is none."""
        return self.levels[self.index(name)]

    def capacity(self, name: str, tensor: str) -> int:
        """Bits in one instance of a level for ``tensor``: of its store, shared or not; 0 bypassed, -1 unlimited."""
        if tensor not in TENSORS:
            raise UnknownNameError("tensor", tensor, TENSORS)
        store = self.level(name).store(tensor)
        return 0 if store is None else store.capacity_bits

    @property
    def technology(self) -> costs.Technology:
        """What the prices of its parts depend on."""
        return costs.Technology(
            self.node, self.sram_device, self.leakage_scale, self.clock_mhz,
            self.control_area_share, self.layout_density, self.clock_power_share,
        )  # fmt: skip

    def level_costs(self) -> tuple[costs.LevelCost, ...]:
        """The price of one instance of each level; UsageError with the field's path where there is none."""
        technology = self.technology
        return tuple(
            costs.level_cost(level.stores, self.word_bits, technology, f"levels[{i}]")
            for i, level in enumerate(self.levels)
        )

    def arrays(self) -> HardwareArrays:
        """The arrays that the kernels read, new ones at each call.

        Raises:
            UsageError: a part has no price in this technology; the message starts with its path.
        """
        prices, technology = self.level_costs(), self.technology
        mac = costs.mac_cost(self.mac, technology)
        mac_mm2, pes = mac.area_um2 * 1e-6, self.pes
        children = costs.child_areas(self.levels, tuple(price.area_mm2 for price in prices), mac_mm2)
        integers, floats = [], []
        for level, price, child, count in zip(self.levels, prices, children, self.instances, strict=True):
            integers.append(_integers(level))
            far, near = costs.wire_cost(level.fanout, child, technology)
            totals = (count * price.leakage_mw * 1e-3, count * price.area_mm2 * technology.spread)
            floats.append(price.read_pj + price.write_pj + _bandwidths(level, price) + (far, near, *totals, 0, 0, 0, 0))
        limits = _limits(tuple(_limits_of(level) for level in self.levels))
        return HardwareArrays(
            np.array(integers, np.int64),
            np.array(floats, np.float64),
            np.array(
                [mac.energy_pj, pes * mac.leakage_mw * 1e-3, pes * mac_mm2 * technology.spread, self.clock_mhz * 1e6]
            ),
            np.array(self.word_bits, np.int64),
            *(limit.copy() for limit in limits),
        )

    def area_mm2(self) -> dict[str, float]:
        """Area by component, mm2: each level by its name, "mac", and where they take any, "control" and "space".

        In the arrays the last two are spread over the parts in proportion: the sums are equal.
        """
        prices = self.level_costs()
        parts = {
            level.name: count * price.area_mm2
            for level, price, count in zip(self.levels, prices, self.instances, strict=True)
        }
        parts["mac"] = self.pes * costs.mac_cost(self.mac, self.technology).area_um2 * 1e-6
        modelled = math.fsum(parts.values())
        cells = modelled / (1.0 - self.control_area_share)
        if self.control_area_share:
            parts["control"] = cells - modelled
        if self.layout_density < 1.0:
            parts["space"] = cells / self.layout_density - cells
        return parts

    def describe(self) -> str:
        """The hardware as text: a table of its levels with energies, bandwidths, leakage and area."""
        return description.describe(self)


@lru_cache(maxsize=1)
def _nodes() -> tuple[int, ...]:
    return tuple(sorted({*scaling.nodes(), *scaling.STANDS_FOR}, reverse=True))


@lru_cache(maxsize=65536)
def _integers(level: MemoryLevel) -> tuple[int, ...]:
    """The row of hw_i."""
    stores = [level.store(tensor) for tensor in TENSORS]
    own, together = [-1, -1, -1], -1
    if level.is_partitioned:
        own = [-1 if store is None else store.capacity_bits for store in stores]
    else:
        together = level.stores[0].capacity_bits
    fanout = level.fanout
    share = [SHARE[tensor].index(what) for tensor, what in zip(TENSORS, fanout.share, strict=True)]
    keeps = [0 if t not in level.tensors else 1 + (t in level.may_keep) for t in TENSORS]
    return (
        *own, together, int(level.double_buffered), *share, fanout.x, fanout.y, *keeps, int(level.is_partitioned), 0, 0,
    )  # fmt: skip


def _bandwidths(level: MemoryLevel, price: costs.LevelCost) -> tuple[float, ...]:
    """Columns 6 to 11 of hw_f; a tensor without a store of its own there is never limited by one."""
    reading, writing = [math.inf] * 3, [math.inf] * 3
    for store, cost in zip(level.stores, price.stores, strict=True):
        at = TENSORS.index(store.tensors) if level.is_partitioned else 0
        reading[at], writing[at] = cost.read_bandwidth, cost.write_bandwidth
    return (*reading, *writing)


def _limits_of(level: MemoryLevel) -> _Limits:
    fanout = level.fanout
    return level.temporal_max, fanout.x_max, fanout.y_max, fanout.x_min, fanout.y_min, level.innermost


@lru_cache(maxsize=4096)
def _limits(levels: tuple[_Limits, ...]) -> tuple[npt.NDArray[np.int64], ...]:
    """temporal_max, spatial_max, spatial_min and order_fixed: most variants of a hardware share them."""
    order = np.full((len(levels), len(DIMS)), -1, np.int64)
    for l, (*_, innermost) in enumerate(levels):
        order[l, : len(innermost)] = [DIMS.index(dim) for dim in innermost]
    return (
        np.array([temporal for temporal, *_ in levels], np.int64),
        np.array([(x_max, y_max) for _, x_max, y_max, *_ in levels], np.int64),
        np.array([(x_min, y_min) for *_, x_min, y_min, _ in levels], np.int64),
        order,
    )
