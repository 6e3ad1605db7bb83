"""Exact evaluation of the mapper's candidates, and the hull of those that have been evaluated.

A candidate is the first row of ``z``: temporal bounds (L, 8), the number of the order of each level's block (L,), the
kept levels of each tensor as bits; its spatial factors are the row of ``u`` that begins at ``sb``. A found mapping is a
code (L, 35): bounds of temporal, X and Y loops (3 x 8), dimensions from inner to outer (8), kept tensors (3).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from archgym.borrow import borrow
from archgym.kernel import kernel, kernel_calling

from . import hulls, nest
from .hulls import hull_insert
from .mapper_estimate import N_ORDERS
from .nest import CYCLES, ENERGY_PJ, LEVEL_PJ, SCRATCH, evaluate

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

N, G, K, C, P, Q, R, S = range(8)
CODE = 35
HULL = 48  # vertices kept for a layer

# Innermost loops of a block, inner to outer. Which tensor stays put is decided by the first loop that is not one of
# its irrelevant dimensions: W stays under P Q N, I under K, O under R S C. Halos of I are shared along the first of
# P Q R S. What comes further out changes nothing for W and O.
ORDERS = (
    (P, Q, N, R, S, K, C, G),
    (Q, P, N, S, R, K, C, G),
    (K, P, Q, R, S, N, C, G),
    (K, Q, P, S, R, N, C, G),
    (K, R, S, P, Q, C, N, G),
    (K, S, R, Q, P, C, N, G),
    (R, S, C, P, Q, K, N, G),
    (S, R, C, Q, P, K, N, G),
)
_ORDERS = np.array(ORDERS, np.int64)

# Counters of a layer; the others: `mapper_climb`, `mapper_optimal`.
EVALUATED, UNFIT, SEEN, SPATIAL, COMPLETE, N_STAT = 0, 2, 3, 4, 5, 12


class Trial(NamedTuple):
    """What an evaluation reads and writes, and the hull that it may extend."""

    layer: Ints
    hw_i: Ints
    hw_f: Floats
    mac: Floats
    bits: Ints
    mode: int
    policy: int
    maximum_only: bool
    z: Ints
    u: Ints
    o: Ints  # orders, inner to outer, at (level * 8 + number) * 8
    loops: Ints
    tiles: Ints
    compact: Ints
    scratch: Ints
    marks: Ints
    counts: Ints
    slack: Ints
    out: Floats
    seen: Ints  # hashes of what has been evaluated; a power of two of places, or one place that the caller empties
    hull_energy: Floats
    hull_cycles: Ints
    hull_id: Ints
    slot_id: Ints  # which vertex each code belongs to
    slots: Ints
    stat: Ints


@kernel
def trial(layer: Ints, hw_i: Ints, hw_f: Floats, mac: Floats, bits: Ints, mode: int, policy: int, maximum_only: bool,
          z: Ints, u: Ints, o: Ints, marks_size: int, seen_size: int, hull_energy: Floats, hull_cycles: Ints,
          hull_id: Ints, slot_id: Ints, slots: Ints, stat: Ints) -> Trial:  # fmt: skip
    """A Trial with the arrays that it needs for itself; marks_size: at least `nest.marks_size` of the layer."""
    levels = len(hw_i)
    return Trial(
        layer, hw_i, hw_f, mac, bits, mode, policy, maximum_only, z, u, o, np.zeros((24 * levels, 4), np.int64),
        np.zeros((levels, 3), np.int64), np.zeros((24 * levels, 6), np.int64), np.zeros(SCRATCH, np.int64),
        np.zeros(marks_size, np.int64), np.zeros(levels * 18, np.int64), np.zeros((levels, 6), np.int64),
        np.zeros(LEVEL_PJ + levels), np.zeros(seen_size, np.int64), hull_energy, hull_cycles, hull_id, slot_id, slots,
        stat,
    )  # fmt: skip


@kernel
def find_orders(levels: int, order_fixed: Ints, O: Ints) -> None:
    """The orders of each level with its fixed dimensions moved to the inside."""
    for l in range(levels):
        for number in range(N_ORDERS):
            at = (l * N_ORDERS + number) * 8
            n = 0
            for k in range(8):
                d = order_fixed[l, k]
                if d < 0:
                    break
                O[at + n] = d
                n += 1
            fixed = n
            for k in range(8):
                d = _ORDERS[number, k]
                free = True
                for i in range(fixed):
                    free = free and O[at + i] != d
                if free:
                    O[at + n] = d
                    n += 1


@kernel
def _build(levels: int, sb: int, Z: Ints, U: Ints, O: Ints, loops: Ints, tiles: Ints) -> int:
    """Loops and tiles of a candidate; bounds of 1 are left out. Returns the number of loops."""
    n, keep = 0, Z[9 * levels]
    for l in range(levels - 1, -1, -1):
        for v in range(3):
            tiles[l, v] = n if (keep >> (3 * l + v)) & 1 else -1
        order = (l * N_ORDERS + Z[8 * levels + l]) * 8
        for k in range(7, -1, -1):
            d = O[order + k]
            if Z[8 * l + d] > 1:
                loops[n, 0], loops[n, 1], loops[n, 2], loops[n, 3] = d, Z[8 * l + d], 0, l
                n += 1
        for axis in range(2):
            for d in range(8):
                factor = U[sb + 8 * levels * (1 + axis) + 8 * l + d]
                if factor > 1:
                    loops[n, 0], loops[n, 1], loops[n, 2], loops[n, 3] = d, factor, 1 + axis, l
                    n += 1
    return n


@kernel
def _encode(levels: int, sb: int, Z: Ints, U: Ints, O: Ints, codes: Ints) -> None:
    for l in range(levels):
        here = l * CODE
        order = (l * N_ORDERS + Z[8 * levels + l]) * 8
        for d in range(8):
            codes[here + d] = Z[8 * l + d]
            codes[here + 8 + d] = U[sb + 8 * levels + 8 * l + d]
            codes[here + 16 + d] = U[sb + 16 * levels + 8 * l + d]
            codes[here + 24 + d] = O[order + d]
        for v in range(3):
            codes[here + 32 + v] = (Z[9 * levels] >> (3 * l + v)) & 1


@kernel
def _hash(n: int, levels: int, loops: Ints, tiles: Ints) -> int:
    mark = n + 1
    for i in range(n):
        word = loops[i, 0] | loops[i, 2] << 3 | loops[i, 3] << 5 | loops[i, 1] << 10
        mark = (mark ^ word) * 0x2545F4914F6CDD1D
        mark ^= mark >> 29
    for l in range(levels):
        for v in range(3):
            mark = (mark ^ (tiles[l, v] + 2)) * 0x2545F4914F6CDD1D
            mark ^= mark >> 31
    return mark if mark != 0 else 1


@kernel
def _first_seen(mark: int, seen: Ints) -> bool:
    """Put a mark in the open-addressed table; False if it was there."""
    mask = len(seen) - 1
    i = mark & mask
    while seen[i] != 0:
        if seen[i] == mark:
            return False
        i = (i + 1) & mask
    seen[i] = mark
    return True


@kernel
def hidden(energy: float, cycles: float, hull_energy: Floats, hull_cycles: Ints, m: int) -> bool:
    """Whether a point is on or above the hull."""
    if m == 0 or cycles < hull_cycles[0]:
        return False
    for i in range(m - 1):
        d0, d1 = float(hull_cycles[i]), float(hull_cycles[i + 1])
        if cycles < d1:
            chord = hull_energy[i] + (hull_energy[i + 1] - hull_energy[i]) * ((cycles - d0) / (d1 - d0))
            return bool(energy >= chord * (1.0 + 1e-12))
    return bool(energy >= hull_energy[m - 1])


@kernel_calling(nest, hulls)
def evaluated(t: Trial, sb: int, m: int) -> int:
    """Evaluate the first candidate unless it has been, and add it to the hull of m vertices; the new m."""
    levels = len(t.hw_i)
    Z, U, O, loops, tiles = borrow(t.z, 0), borrow(t.u, 0), borrow(t.o, 0), borrow(t.loops, 4), borrow(t.tiles, 3)
    n = _build(levels, sb, Z, U, O, loops, tiles)
    if not _first_seen(_hash(n, levels, loops, tiles), t.seen):
        t.stat[SEEN] += 1
        return m
    t.stat[EVALUATED] += 1
    t.out[ENERGY_PJ] = np.inf
    if not evaluate(n, t.loops, t.tiles, t.layer, t.hw_i, t.hw_f, t.mac, t.bits, t.mode, t.policy, t.maximum_only,
                    t.compact, t.scratch, t.marks, t.counts, t.slack, t.out):  # fmt: skip
        t.stat[UNFIT] += 1
        t.out[ENERGY_PJ] = np.inf
        return m
    identity = t.stat[EVALUATED]
    m = hull_insert(t.hull_energy, t.hull_cycles, t.hull_id, m, t.out[ENERGY_PJ], int(t.out[CYCLES]), identity)
    if _index(identity, t.hull_id, m) < m:
        for slot in range(len(t.slot_id)):
            if _index(t.slot_id[slot], t.hull_id, m) == m:  # of a vertex that has gone
                t.slot_id[slot] = identity
                _encode(levels, sb, Z, U, O, borrow(t.slots[slot], 0))
                break
    return m


@kernel
def _index(identity: int, hull_id: Ints, m: int) -> int:
    """Where a vertex stands among the first m; m if it does not."""
    for i in range(m):
        if hull_id[i] == identity:
            return i
    return m


@kernel
def note_violation(levels: int, slack: Ints, violation: Ints) -> None:
    """Keep the smallest excess: its level, tensor (3: shared; 4, 5: axis) and amount."""
    level, tensor, excess = -1, -1, -1
    for l in range(levels):
        for f in range(6):
            if slack[l, f] > excess and slack[l, f] > 0:
                level, tensor, excess = l, f, slack[l, f]
    if excess > 0 and (violation[0] < 0 or excess < violation[2]):
        violation[0], violation[1], violation[2] = level, tensor, excess
