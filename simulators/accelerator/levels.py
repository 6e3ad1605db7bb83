"""The parts of an accelerator as values: stores, fan-outs, memory levels, multipliers.

Nothing is priced here (see ``costs``) and nothing is put together (see ``hardware``). Every constructor
checks its fields; the message starts with the field's name, so that a reader of files can put its path
in front.
"""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass, field

from archgym.errors import UnknownNameError, UsageError
from archgym.technology import dram

from .checks import check_letters, check_number, check_one_of, check_text, check_whole
from .shapes import DIMS, TENSORS

FREE = 2**62
"""A bound that never binds."""

WHOLE = 0
"""A bound that means: everything of the dimension that is left for this place, in one loop."""

SHARED = -1.0
"""Write bandwidth of a store whose one port serves reads and writes together."""

KINDS = ("dram", "sram", "regfile", "smartbuffer-sram", "smartbuffer-regfile", "register")
SHARE = {"W": ("none", "multicast", "forward"), "I": ("none", "multicast", "forward"), "O": ("none", "reduction")}
"""What a fan-out may do for a tensor; the position is the code in the arrays."""

Bounds = tuple[int, ...]
"""One whole number for each of DIMS: 1 allows no loop, FREE any, WHOLE demands all that is left."""

_REGISTERS = ("regfile", "smartbuffer-regfile", "register")


def bounds(others: int = FREE, **factors: int) -> Bounds:
    """Bounds by dimension: ``bounds(1, K=FREE, C=4)`` allows K and up to 4 of C, and nothing else.

    Raises:
        UnknownNameError: a keyword is no dimension.
    """
    for name in factors:
        if name not in DIMS:
            raise UnknownNameError("dimension", name, DIMS)
    return tuple(operator.index(factors.get(dim, others)) for dim in DIMS)


ANY = bounds()
NONE = bounds(1)


@dataclass(frozen=True, slots=True)
class Store:
    """One memory: what it holds, how large it is, how fast, and what it costs where that is not looked up.

    Attributes:
        kind: one of KINDS. A smart buffer generates its addresses; "register" is flip-flops without an
            address; "dram" is off chip.
        tensors: what it holds, letters of TENSORS; a store of several tensors is shared by them.
        width_bits: bits of one access. An element costs its share of an access: bits / width_bits times the
            energy (vectors are fractional, not rounded up).
        depth: accesses it holds, so that its capacity is depth x width_bits; None is unlimited (dram only).
        banks: equal macros that share the depth (sram and smartbuffer-sram only).
        read_bandwidth: bits a cycle; None is one access a cycle (dram: of the memory system); inf never limits.
        write_bandwidth: bits a cycle of a write port of its own; SHARED: the read port does both; None is
            SHARED for dram and sram, and as wide as reading for registers and register files.
        memory: dram: a name of ``archgym.technology.dram.memory_systems()``; "" if read_pj and
            read_bandwidth are given (width_bits = 1 makes read_pj an energy per bit).
        read_pj, write_pj: energy of one access, pJ, in place of the looked-up one.
        leakage_mw: static power of one instance, mW, in place of the looked-up one.
        area_mm2: area of one instance, mm2, in place of the looked-up one.

    Raises:
        UsageError, UnknownNameError: a field has no meaning.
    """

    kind: str
    tensors: str
    width_bits: int
    depth: int | None = None
    banks: int = 1
    read_bandwidth: float | None = None
    write_bandwidth: float | None = None
    memory: str = ""
    read_pj: float | None = None
    write_pj: float | None = None
    leakage_mw: float | None = None
    area_mm2: float | None = None

    def __post_init__(self) -> None:
        check_one_of("kind", self.kind, KINDS)
        check_letters("tensors", self.tensors, TENSORS, least=1)
        check_whole(self, "width_bits", 1)
        check_whole(self, "banks", 1)
        if self.depth is None:
            if self.kind != "dram":
                raise UsageError(f"depth: expected an integer >= 1 (only dram is unlimited), got none for {self.kind}")
        else:
            check_whole(self, "depth", 1)
            if self.depth < self.banks:
                raise UsageError(f"banks: expected at most the depth {self.depth}, got {self.banks}")
        if self.banks > 1 and self.kind not in ("sram", "smartbuffer-sram"):
            raise UsageError(f"banks: expected 1 for {self.kind} (only SRAM is banked here), got {self.banks}")
        check_number(self, "read_bandwidth", positive=True, infinite=True)
        if self.write_bandwidth != SHARED:
            check_number(self, "write_bandwidth", positive=True, infinite=True)
        for name in ("read_pj", "write_pj", "leakage_mw", "area_mm2"):
            check_number(self, name)
        check_text("memory", self.memory)
        self._check_memory()

    def _check_memory(self) -> None:
        if self.memory and self.memory not in dram.memory_systems():
            raise UsageError(f"memory: {UnknownNameError('memory system', self.memory, dram.memory_systems())}")
        if self.kind != "dram":
            if self.memory:
                raise UsageError(f"memory: expected it for dram only, got {self.memory!r} for {self.kind}")
        elif not self.memory and (self.read_pj is None or self.read_bandwidth is None):
            raise UsageError("memory: expected the name of a memory system, or read_pj and read_bandwidth, got neither")

    @property
    def capacity_bits(self) -> int:
        """Bits of one instance, -1 if unlimited."""
        return -1 if self.depth is None else self.depth * self.width_bits

    @property
    def has_one_port(self) -> bool:
        """Whether reads and writes share the read bandwidth."""
        if self.write_bandwidth is None:
            return self.kind not in _REGISTERS
        return self.write_bandwidth == SHARED


@dataclass(frozen=True, slots=True)
class FanOut:
    """What lies between a level and its children: an array of them, and what its wires can share.

    Attributes:
        x, y: children of one instance along the two axes.
        share: for W, I, O: "none" (a word goes to or comes from one child), "multicast" (one read serves
            every child that takes the word), "forward" (multicast, and a child hands what it holds to its
            neighbour at the next step); for O "reduction" (sums meet on the way).
        x_max, y_max: largest spatial factor of each dimension on the axis.
        x_min, y_min: smallest one; 1 demands nothing.
        far_pj_per_bit, near_pj_per_bit: wires to the first child and on to each further one, pJ, in place of
            those computed from the children's area.
    """

    x: int = 1
    y: int = 1
    share: tuple[str, str, str] = ("multicast", "multicast", "reduction")
    x_max: Bounds = ANY
    y_max: Bounds = ANY
    x_min: Bounds = NONE
    y_min: Bounds = NONE
    far_pj_per_bit: float | None = None
    near_pj_per_bit: float | None = None

    def __post_init__(self) -> None:
        check_whole(self, "x", 1)
        check_whole(self, "y", 1)
        object.__setattr__(self, "share", tuple(self.share))
        if len(self.share) != 3:
            raise UsageError(f"share: expected one word for each of W, I, O, got {self.share!r}")
        for tensor, what in zip(TENSORS, self.share, strict=True):
            check_one_of(f"share.{tensor}", what, SHARE[tensor])
        for axis, children in (("x", self.x), ("y", self.y)):
            highest, lowest = getattr(self, f"{axis}_max"), getattr(self, f"{axis}_min")
            if highest is not ANY:
                _check_bounds(f"{axis}_max", highest)
            if lowest is not NONE:
                _check_least(axis, lowest, highest, children)
        check_number(self, "far_pj_per_bit")
        check_number(self, "near_pj_per_bit")

    @property
    def children(self) -> int:
        """Children of one instance."""
        return self.x * self.y


@dataclass(frozen=True, slots=True)
class MemoryLevel:
    """One level: its stores, the fan-out below it, and what a mapping may do there.

    Attributes:
        name: unique in the hardware.
        stores: one store for all tensors kept here together, or one store for each of them.
        fanout: between this level and the level below (level 0: the multipliers).
        may_keep: of the tensors in the stores, those that a mapper may let bypass the level.
        double_buffered: a tile needs twice its bits, the next one arrives during the work on it.
        temporal_max: largest bound of each dimension's temporal loops in this level's block.
        innermost: dimensions whose loops come innermost in the block, from inner to outer.
    """

    name: str
    stores: tuple[Store, ...]
    fanout: FanOut = field(default_factory=FanOut)
    may_keep: str = ""
    double_buffered: bool = False
    temporal_max: Bounds = ANY
    innermost: str = ""

    def __post_init__(self) -> None:
        check_text("name", self.name, least=1)
        object.__setattr__(self, "stores", tuple(self.stores))
        if not self.stores:
            raise UsageError("stores: expected at least one, got none")
        held = "".join(store.tensors for store in self.stores)
        if len(self.stores) > 1 and len(held) > len(self.stores):
            raise UsageError(
                "stores: expected one store for all tensors or one for each (put others on a level of their "
                f"own), got {', '.join(store.tensors for store in self.stores)}"
            )
        check_letters("stores", held, TENSORS)
        check_letters("may_keep", self.may_keep, sorted(held))
        if not isinstance(self.double_buffered, bool):
            raise UsageError(f"double_buffered: expected true or false, got {self.double_buffered!r}")
        if self.temporal_max is not ANY:
            _check_bounds("temporal_max", self.temporal_max)
        check_letters("innermost", self.innermost, DIMS)

    @property
    def tensors(self) -> str:
        """The tensors that the level can hold, in the order of TENSORS."""
        return "".join(t for t in TENSORS if any(t in store.tensors for store in self.stores))

    @property
    def is_partitioned(self) -> bool:
        """Whether each tensor has a store of its own."""
        return len(self.stores) > 1

    def store(self, tensor: str) -> Store | None:
        """The store that holds ``tensor``, None if it bypasses the level."""
        return next((store for store in self.stores if tensor in store.tensors), None)


@dataclass(frozen=True, slots=True)
class Mac:
    """One multiplier and its adder.

    Attributes:
        bits: width of the operands.
        accumulator_bits: width of the adder.
        pipeline_bits: flip-flops that every multiply-accumulate writes and reads: registers between the
            stages, and those through which a systolic array hands operands and sums on.
        energy_pj: of one multiply-accumulate, pJ, in place of the looked-up one.
        leakage_mw, area_mm2: of one, in place of the looked-up ones.
    """

    bits: int = 8
    accumulator_bits: int = 32
    pipeline_bits: int = 0
    energy_pj: float | None = None
    leakage_mw: float | None = None
    area_mm2: float | None = None

    def __post_init__(self) -> None:
        check_whole(self, "bits", 1)
        check_whole(self, "accumulator_bits", 1)
        check_whole(self, "pipeline_bits", 0)
        for name in ("energy_pj", "leakage_mw", "area_mm2"):
            check_number(self, name)


def _check_bounds(name: str, values: Bounds, lowest: int = 0) -> None:
    if not isinstance(values, tuple) or len(values) != len(DIMS):
        raise UsageError(f"{name}: expected one bound for each of {''.join(DIMS)}, got {values!r}")
    for dim, value in zip(DIMS, values, strict=True):
        if type(value) is not int or not lowest <= value <= FREE:
            raise UsageError(f"{name}.{dim}: expected an integer >= {max(lowest, 1)}, got {value!r}")


def _check_least(axis: str, lowest: Bounds, highest: Bounds, children: int) -> None:
    _check_bounds(f"{axis}_min", lowest, 1)
    for dim, low, high in zip(DIMS, lowest, highest, strict=True):
        if high != WHOLE and low > high:
            raise UsageError(f"{axis}_min.{dim}: expected at most {axis}_max.{dim} = {high}, got {low}")
    if math.prod(lowest) > children:
        raise UsageError(f"{axis}_min: expected factors that fit into {children} children, got {math.prod(lowest)}")
