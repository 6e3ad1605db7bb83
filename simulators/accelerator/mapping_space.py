"""Mappings of one layer as designs: which factors, orders and bypasses a search may choose on a given hardware.

Every prime factor of every dimension belongs to one slot: the temporal block of a level, or an axis of a fan-out.
Slots are served from the multipliers outwards: parameter ``K2.buffer.x`` = 3 lets axis X of the buffer's fan-out take
three factors 2 of K, or what is left of them; the outermost slot takes the rest. Orders are chosen dimension by
dimension, from inside: ``order2.buffer`` says which of the dimensions not placed yet comes next. ``keep.W.buffer``
exists where the hardware leaves the choice. All factors divide: each design computes the layer exactly.

Designs that mean the same mapping (a slot that asks for more than is left, orders of loops with bound 1) are merged.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from archgym.errors import UsageError
from archgym.space import Codes, Columns, Parameter, Rule

from . import nest
from .hardware import HardwareArrays
from .levels import FREE
from .shapes import DIMS, TENSORS

Ints = npt.NDArray[np.int64]
Knobs = Mapping[tuple[int, int], tuple[tuple[Parameter, ...], Ints]]

_LARGEST_RULE = 1 << 22


@dataclass(frozen=True, slots=True)
class _Slot:
    """One place for factors: ``kind`` of loop (0 temporal, 1 X, 2 Y) of a level."""

    level: int
    kind: int
    name: str


class _Part(NamedTuple):
    """A prime factor of a dimension, how often it occurs, (slot, parameter) that may take it, the slot of the rest."""

    dim: int
    prime: int
    times: int
    asked: tuple[tuple[int, str], ...]
    rest: int


class MappingSpace:
    """The parameters of all even mappings of a layer on a hardware, and their meaning.

    Args:
        row: (16,) the layer, see `shapes.layer_row`.
        arrays: the hardware; capacities are not looked at.
        names: of its levels, from the multipliers outwards.

    Attributes:
        parameters: of the design space.

    Raises:
        UsageError: the hardware's constraints leave a dimension of the layer no place.
    """

    def __init__(self, row: Ints, arrays: HardwareArrays, names: tuple[str, ...]) -> None:
        self.levels = len(names)
        self._dims = np.array([d for d in range(8) if row[d] > 1] or [nest.K], np.int64)
        self.slots = _slots(names)
        self._parts: list[_Part] = []
        self.parameters: list[Parameter] = []
        for d in range(8):
            for prime, times in _primes(int(row[d])).items():
                self._place(d, int(row[d]), prime, times, arrays)
        self._orders = [self._order(level, row, arrays, names) for level in range(1, self.levels)]
        self._keeps: list[tuple[int, int, str]] = []
        for level in range(self.levels):
            for v, tensor in enumerate(TENSORS):
                if arrays.hw_i[level, nest.KEEP + v] == 2:
                    name = f"keep.{tensor}.{names[level]}"
                    self.parameters.append(
                        Parameter.boolean(name, group="bypass", doc=f"{names[level]} holds {tensor}")
                    )
                    self._keeps.append((level, v, name))
        self._always = arrays.hw_i[:, nest.KEEP : nest.KEEP + 3] == 1

    def _place(self, d: int, size: int, prime: int, times: int, arrays: HardwareArrays) -> None:
        open_slots, limits = [], []
        for i, slot in enumerate(self.slots):
            if slot.kind == 0:
                limit = int(arrays.temporal_max[slot.level, d]) or FREE  # how much "all that is left" is, is searched
            else:
                limit = int(arrays.spatial_max[slot.level, slot.kind - 1, d]) or FREE
            if 1 < limit < size or (slot.kind and arrays.spatial_min[slot.level, slot.kind - 1, d] > 1):
                raise UsageError(
                    f"hardware: {slot.name} has a bound between 1 and all for dimension {DIMS[d]}, which the mapper "
                    "obeys but a space of mappings cannot express; expected 1 or free"
                )
            if slot.kind:
                limit = min(limit, int(arrays.hw_i[slot.level, nest.FANOUT + slot.kind - 1]))
            if limit >= prime:
                open_slots.append(i)
                limits.append(limit)
        if not open_slots:
            raise UsageError(
                f"layer: dimension {DIMS[d]} has a factor {prime} that no level and no fan-out of the hardware may take"
            )
        asked = []
        for i, limit in zip(open_slots[:-1], limits[:-1], strict=True):
            most = times
            while most > 1 and prime**most > limit:
                most -= 1
            name = f"{DIMS[d]}{prime}.{self.slots[i].name}"
            self.parameters.append(
                Parameter(name, tuple(range(most + 1)), group=DIMS[d], doc=f"factors {prime} of {DIMS[d]} there")
            )
            asked.append((i, name))
        self._parts.append(_Part(d, prime, times, tuple(asked), open_slots[-1]))

    def _order(
        self, level: int, row: Ints, arrays: HardwareArrays, names: tuple[str, ...]
    ) -> tuple[list[int], list[str]]:
        """Dimensions of a level's block, those with a fixed place first, and the parameters of the others."""
        fixed = [int(d) for d in arrays.order_fixed[level] if d >= 0 and row[d] > 1]
        here = [d for d in range(8) if row[d] > 1 and arrays.temporal_max[level, d] != 1 and d not in fixed]
        found = []
        for k in range(len(here) - 1):
            name = f"order{k + 1}.{names[level]}"
            self.parameters.append(
                Parameter(
                    name,
                    tuple(range(len(here) - k)),
                    ordered=False,
                    group=f"order.{names[level]}",
                    doc=f"which of the dimensions left comes next, from inside ({''.join(DIMS[d] for d in here)})",
                )
            )
            found.append(name)
        return fixed + here, found

    def rules(self, row: Ints, arrays: HardwareArrays, knobs: Knobs | None = None) -> list[Rule]:
        """What is known of a mapping before it is counted: factors beyond a fan-out, tiles beyond a store of level 0.

        No mapping that fits is forbidden: input tiles are taken as small as strides and padding can make them.
        Tables that would be too large are left out.

        Args:
            row, arrays: the layer and the hardware; its limits hold unless ``knobs`` has others.
            knobs: (level, column of the slacks) -> parameters of the hardware, and the limit in children or bits
                at each combination of their levels.
        """
        limits: dict[tuple[int, int], tuple[tuple[Parameter, ...], Ints]] = {}
        for level in range(self.levels):
            for axis in range(2):
                limits[level, nest.SLACK_X + axis] = ((), np.array(arrays.hw_i[level, nest.FANOUT + axis]))
        for v in range(3):
            bits = int(arrays.hw_i[0, nest.CAPACITY + v])
            bits = int(arrays.hw_i[0, nest.SHARED_CAPACITY]) if bits == nest.UNLIMITED else bits
            if bits != nest.UNLIMITED and arrays.hw_i[0, nest.KEEP + v] == 1:
                limits[0, v] = ((), np.array(bits))
        limits |= knobs or {}
        inside = {i for i, slot in enumerate(self.slots) if slot.level == 0}
        found = []
        for (level, column), (parameters, limit) in limits.items():
            if column >= nest.SLACK_X:
                kind = column - nest.SLACK_X + 1
                slots = {i for i, slot in enumerate(self.slots) if (slot.level, slot.kind) == (level, kind)}
                found.append(self._rule(slots, None, lambda factors: factors.prod(axis=1), parameters, limit))
            else:
                width = int(arrays.bits[column]) * (1 + int(arrays.hw_i[0, nest.DOUBLE_BUFFERED]))

                def bits_of(tile: Ints, v: int = column, width: int = width) -> Ints:
                    return _least_words(v, tile, row) * width

                found.append(self._rule(inside, column, bits_of, parameters, limit))
        return [rule for rule in found if rule is not None]

    def _rule(
        self,
        slots: set[int],
        v: int | None,
        needed: Callable[[Ints], Ints],
        parameters: tuple[Parameter, ...],
        limit: Ints,
    ) -> Rule | None:
        """A rule over hardware parameters and those of some slots (and a tensor's dimensions).

        Args:
            needed: of the bounds (m, 8) that the slots ask for, (m,).
        """
        asked = [
            (part, name)
            for part in self._parts
            for slot, name in part.asked
            if slot in slots and (v is None or nest.is_relevant(v, part.dim))
        ]
        levels = {p.name: len(p.levels) for p in self.parameters}
        shape = tuple(levels[name] for _, name in asked)
        if not asked or math.prod(shape) * limit.size > _LARGEST_RULE:
            return None
        wanted = np.indices(shape).reshape(len(shape), -1)
        bounds = np.ones((wanted.shape[1], 8), np.int64)
        for exponents, (part, _) in zip(wanted, asked, strict=True):
            bounds[:, part.dim] *= part.prime**exponents
        allowed = (needed(bounds) <= limit[..., None]).reshape(limit.shape + shape)
        names = (*(p.name for p in parameters), *(name for _, name in asked))
        return None if allowed.all() else Rule(names, allowed)

    def asking(self, slot: int) -> list[tuple[str, int]]:
        """The parameters by which a slot asks for factors, and the most that each may ask for."""
        found = [(name, part.times) for part in self._parts for at, name in part.asked if at == slot]
        most = {p.name: len(p.levels) - 1 for p in self.parameters}
        return [(name, min(times, most[name])) for name, times in found]

    def greedy(self, fits: Callable[[dict[str, int]], bool]) -> dict[str, int]:
        """From the multipliers outwards each slot takes every factor with which the design still fits; all is kept."""
        design = {p.name: int(p.name.startswith("keep.")) for p in self.parameters}
        for slot in range(len(self.slots)):
            for name, most in self.asking(slot):
                while design[name] < most:
                    more = {**design, name: design[name] + 1}
                    if np.array_equal(self._bounds_of(more), self._bounds_of(design)) or not fits(more):
                        break
                    design = more
        return design

    def _bounds_of(self, design: dict[str, int]) -> Ints:
        return self.factors({name: np.array([value]) for name, value in design.items()})

    def factors(self, designs: Columns) -> Ints:
        """Bounds (m, slots, 8) of designs given as columns."""
        m = _rows(designs)
        bounds = np.ones((m, len(self.slots), 8), np.int64)
        for d, prime, times, asked, rest in self._parts:
            left = np.full(m, times, np.int64)
            for slot, name in asked:
                taken = np.minimum(designs[name], left)
                bounds[:, slot, d] *= prime**taken
                left = left - taken
            bounds[:, rest, d] *= prime**left
        return bounds

    def orders(self, designs: Columns) -> list[Ints]:
        """Per level from 1 on: its dimensions from inner to outer, (m, k)."""
        m = _rows(designs)
        result = []
        for dims, names in self._orders:
            fixed = len(dims) - len(names) - 1 if names else len(dims)
            left = np.tile(np.array(dims[fixed:], np.int64), (m, 1))
            order = np.tile(np.array(dims, np.int64), (m, 1))
            for k, name in enumerate(names):
                chosen = np.asarray(designs[name], np.int64)
                order[:, fixed + k] = np.take_along_axis(left, chosen[:, None], axis=1)[:, 0]
                keep = np.arange(left.shape[1])[None] != chosen[:, None]
                left = left[keep].reshape(m, left.shape[1] - 1)
            if names:
                order[:, -1] = left[:, 0]
            result.append(order)
        return result

    def nests(self, designs: Columns) -> tuple[Ints, Ints]:
        """Loops (m, n, 4) and tiles (m, L, 3) of designs given as columns (loops of bound 1 included)."""
        m = _rows(designs)
        bounds, orders = self.factors(designs), self.orders(designs)
        kept = np.tile(self._always, (m, 1, 1))
        for level, v, name in self._keeps:
            kept[:, level, v] = designs[name] != 0
        tiles = np.full((m, self.levels, 3), -1, np.int64)
        blocks: list[Ints] = []
        length = 0
        for level in range(self.levels - 1, -1, -1):
            tiles[:, level] = np.where(kept[:, level], length, -1)
            everything = np.tile(self._dims, (m, 1))
            order = orders[level - 1][:, ::-1] if level else everything  # level 0's order changes nothing
            blocks.append(self._block(bounds, level, 0, order))
            blocks += [self._block(bounds, level, kind, everything) for kind in (1, 2)]
            length += order.shape[1] + 2 * len(self._dims)
        return np.concatenate(blocks, axis=1), tiles

    def _block(self, bounds: Ints, level: int, kind: int, order: Ints) -> Ints:
        slot = next(i for i, s in enumerate(self.slots) if (s.level, s.kind) == (level, kind))
        block = np.empty((*order.shape, 4), np.int64)
        block[..., nest.DIM] = order
        block[..., nest.BOUND] = np.take_along_axis(bounds[:, slot], order, axis=1)
        block[..., nest.KIND] = kind
        block[..., nest.LEVEL] = level
        return block

    def canonical(self, codes: Codes, at: int = 0) -> Codes:
        """Codes (m, d) whose columns from ``at`` on are this space's parameters, one representative per mapping."""
        codes = codes.copy()
        position = {p.name: at + i for i, p in enumerate(self.parameters)}
        columns = {name: codes[:, i] for name, i in position.items()}  # levels are 0, 1, 2, ...: codes are values
        bounds = self.factors(columns)
        for _, _, times, asked, _ in self._parts:
            left = np.full(len(codes), times, np.int64)
            for _, name in asked:
                taken = np.minimum(columns[name], left)
                codes[:, position[name]] = taken
                left = left - taken
        for level, (order, (dims, names)) in enumerate(zip(self.orders(columns), self._orders, strict=True), start=1):
            if not names:
                continue
            slot = next(i for i, s in enumerate(self.slots) if (s.level, s.kind) == (level, 0))
            fixed = len(dims) - len(names) - 1
            free = order[:, fixed:]
            idle = np.take_along_axis(bounds[:, slot], free, axis=1) == 1
            rank = np.where(idle, 100 + free, np.arange(free.shape[1])[None])  # bound-1 loops outermost, in order
            free = np.take_along_axis(free, np.argsort(rank, axis=1, kind="stable"), axis=1)
            for k, name in enumerate(names):
                smaller = (free[:, k + 1 :] < free[:, k : k + 1]).sum(axis=1)  # place among the dimensions left
                codes[:, position[name]] = smaller
        return codes


def _least_words(v: int, tile: Ints, row: Ints) -> Ints:
    """The fewest words that a tile (m, 8) of a tensor can have."""
    relevant = [d for d in range(8) if nest.is_relevant(v, d) and not (v == nest.INPUT and d >= nest.P)]
    words: Ints = tile[:, relevant].prod(axis=1)
    if v == nest.INPUT:
        for axis in range(2):
            p, r = tile[:, nest.P + axis], tile[:, nest.R + axis]
            size_p, size_r, extent = (int(row[at + axis]) for at in (nest.P, nest.R, nest.EXTENT))
            stride, dilation, pad = (int(row[at + axis]) for at in (nest.STRIDE, nest.DILATION, nest.PADDING))
            # The first tile that starts below the padding, if it exists and ends above that of the other side.
            past = -(-pad // (p * stride)) + 1
            last = (past * p - 1) * stride + (size_r - 1) * dilation - pad
            inside = (past * p <= size_p) & (last < extent)
            words *= np.minimum(np.maximum(np.maximum(p, r) - np.where(inside, 0, 2 * pad), 0), extent)
    return words


def _rows(designs: Columns) -> int:
    return len(next(iter(designs.values())))


def _slots(names: tuple[str, ...]) -> list[_Slot]:
    """From the multipliers outwards: fan-out Y and X of a level, then its temporal block."""
    slots = []
    for level, name in enumerate(names):
        slots += [_Slot(level, 2, f"{name}.y"), _Slot(level, 1, f"{name}.x"), _Slot(level, 0, name)]
    return slots


def _primes(n: int) -> dict[int, int]:
    """Prime factors and how often each occurs."""
    found: dict[int, int] = {}
    p = 2
    while n > 1:
        while n % p == 0:
            found[p] = found.get(p, 0) + 1
            n //= p
        p = p + 1 if p * p <= n else max(n, p + 1)
    return found
