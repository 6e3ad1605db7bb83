"""What ZigZag's cost model is told and answers: an array with memories, a layer, an uneven mapping, and their cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import gcd, prod

from archgym.errors import UsageError

W, I, O = range(3)
TENSORS = ("W", "I", "O")
RD_TO_LOW, WR_FROM_LOW, RD_TO_HIGH, WR_FROM_HIGH = range(4)
DIRECTIONS = ("rd_to_low", "wr_from_low", "rd_to_high", "wr_from_high")
PARTIAL_SUMS = (RD_TO_LOW, WR_FROM_HIGH)  # directions in which outputs travel only to be added to

_N, _G, _K, _C, _P, _Q, _R, _S = range(8)
RELEVANT = (frozenset({_G, _K, _C, _R, _S}), frozenset({_N, _G, _C}), frozenset({_N, _G, _K, _P, _Q}))
SLIDING = frozenset({_P, _Q, _R, _S})  # partly relevant to the inputs: neither reuse nor new data alone
# Irrelevant to W, I, O: iterating over them reuses the tile as it is.
FREE = tuple(frozenset(range(8)) - RELEVANT[v] - (SLIDING if v == I else frozenset()) for v in (W, I, O))

Loop = tuple[int, int]  # (dimension 0..7 = N G K C P Q R S, bound)


@dataclass(frozen=True, slots=True)
class Port:
    """A physical port.

    Attributes:
        bits: transferred per cycle; also the width of a word.
        serves: (tensor, direction) that share it.
    """

    bits: int
    serves: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Memory:
    """A memory and its place above the array.

    Attributes:
        name: as in tables.
        bits: capacity of one instance.
        read_pj, write_pj: energy of one word.
        tensors: whose data it holds.
        axes: array axes that one instance serves; there is one instance per position on the others.
        ports: each (tensor, direction) in use is served by exactly one.
    """

    name: str
    bits: int
    read_pj: float
    write_pj: float
    tensors: tuple[int, ...]
    axes: frozenset[int]
    ports: tuple[Port, ...]


@dataclass(frozen=True, slots=True)
class ZigzagHardware:
    """A multiplier array with memories.

    Attributes:
        name: as in tables.
        array: units along each axis.
        mac_pj: energy of one multiply-accumulate.
        memories: each tensor's from innermost to outermost.

    Raises:
        UsageError: a direction that a memory needs has no port or several.
    """

    name: str
    array: tuple[int, ...]
    mac_pj: float
    memories: tuple[Memory, ...]

    def __post_init__(self) -> None:
        names = [memory.name for memory in self.memories]
        if len(set(names)) < len(names):
            raise UsageError(f"{self.name}: expected memories with names of their own, got {', '.join(names)}")
        missing = [name for tensor, name in enumerate(TENSORS) if not self.levels(tensor)]
        if missing:
            raise UsageError(f"{self.name}: expected a memory for each of W, I and O, got none for {missing[0]}")
        for memory in self.memories:
            for tensor in memory.tensors:
                needed = {RD_TO_LOW, WR_FROM_LOW} if tensor == O else {RD_TO_LOW}
                if memory != self.levels(tensor)[-1]:
                    needed |= {RD_TO_HIGH, WR_FROM_HIGH} if tensor == O else {WR_FROM_HIGH}
                served = [way for port in memory.ports for t, way in port.serves if t == tensor]
                for way in needed:
                    if served.count(way) != 1:
                        raise UsageError(
                            f"{self.name}, memory {memory.name}: expected one port for {TENSORS[tensor]} "
                            f"{DIRECTIONS[way]}, got {served.count(way)}"
                        )

    def levels(self, tensor: int) -> tuple[Memory, ...]:
        """The memories that hold a tensor, innermost first."""
        return tuple(memory for memory in self.memories if tensor in memory.tensors)


@dataclass(frozen=True, slots=True)
class ZigzagLayer:
    """A layer without padding.

    Attributes:
        sizes: N, G, K, C, P, Q, R, S; K and C per group.
        stride, dilation: of both axes.
        bits: word of W, I, partial sum, final output.
    """

    sizes: tuple[int, ...]
    stride: int = 1
    dilation: int = 1
    bits: tuple[int, int, int, int] = (8, 8, 16, 8)


def footprint(layer: ZigzagLayer, tensor: int, size: Sequence[int]) -> int:
    """Elements of a tensor in a tile of the given sizes (N, G, K, C, P, Q, R, S)."""
    elements = prod(size[dim] for dim in RELEVANT[tensor])
    if tensor == I:
        for out, tap in ((_P, _R), (_Q, _S)):
            whole = _positions(layer, layer.sizes[out], layer.sizes[tap])
            elements *= min(whole, _positions(layer, size[out], size[tap]))
    return elements


def _positions(layer: ZigzagLayer, out: int, tap: int) -> int:
    """Rows that `out` output rows and `tap` filter rows touch, as ZigZag counts them."""
    step = gcd(layer.stride, layer.dilation)
    return out * tap - max(0, tap - layer.stride // step) * (out - layer.dilation // step)


@dataclass(frozen=True, slots=True)
class ZigzagMapping:
    """Loops whose bounds multiply to the layer's sizes.

    Attributes:
        spatial: loops on each axis of the array.
        temporal: innermost first, the same order for all tensors.
        cuts: per tensor and level, how many of the temporal loops its tile spans; the last is all of them.
    """

    spatial: tuple[tuple[Loop, ...], ...]
    temporal: tuple[Loop, ...]
    cuts: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]

    def check(self, layer: ZigzagLayer, hardware: ZigzagHardware) -> None:
        """Refuse a mapping that is not one of this layer on this hardware.

        Raises:
            UsageError: the loops do not multiply to the layer, overflow the array, or the cuts do not fit the memories.
        """
        size = [1] * 8
        for axis, loops in enumerate(self.spatial):
            if axis >= len(hardware.array) or prod(bound for _, bound in loops) > hardware.array[axis]:
                raise UsageError(
                    f"spatial loops {loops} on axis {axis} do not fit the array {hardware.array}; lower them"
                )
        for dim, bound in (*(loop for loops in self.spatial for loop in loops), *self.temporal):
            size[dim] *= bound
        if tuple(size) != tuple(layer.sizes):
            raise UsageError(f"expected loops that multiply to the layer {tuple(layer.sizes)}, got {tuple(size)}")
        for tensor, cuts in enumerate(self.cuts):
            levels, whole = hardware.levels(tensor), len(self.temporal)
            if len(cuts) != len(levels) or list(cuts) != sorted(cuts) or cuts[0] < 0 or cuts[-1] != whole:
                raise UsageError(f"expected {len(levels)} cuts of {TENSORS[tensor]} growing to {whole}, got {cuts}")


@dataclass(frozen=True, slots=True)
class ZigzagCost:
    """What ZigZag reports. Outer index of nested tuples: tensor W, I, O; next: level, innermost first.

    Attributes:
        elements, words: per level (rd_to_low, wr_from_low, rd_to_high, wr_from_high), all instances.
        tiles: elements in one instance, the multiplier's first.
        utilisation: share of the memory's capacity that all of its tensors take together.
        double_buffered: whether there is room for a second tile; the multiplier's first.
        level_pj: energy per level.
        mac_pj, memory_pj, energy_pj: pJ.
        ideal_cycle, ideal_temporal_cycle: with all units busy; with the mapping's.
        spatial_utilization: ratio of the two.
        stall_cycles, onload_cycles, offload_cycles: cycles on top, see the module.
        latency_total0, latency_total2: with stalls; with loading and unloading too.
    """

    elements: tuple[tuple[tuple[int, ...], ...], ...]
    words: tuple[tuple[tuple[int, ...], ...], ...]
    tiles: tuple[tuple[int, ...], ...]
    utilisation: tuple[tuple[float, ...], ...]
    double_buffered: tuple[tuple[bool, ...], ...]
    level_pj: tuple[tuple[float, ...], ...]
    mac_pj: float
    memory_pj: float
    energy_pj: float
    ideal_cycle: int
    ideal_temporal_cycle: int
    spatial_utilization: float
    stall_cycles: int
    onload_cycles: float
    offload_cycles: float
    latency_total0: int
    latency_total2: float
