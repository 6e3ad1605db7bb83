"""The mapper's oracle: every mapping of the stated space, but those that provably cannot matter.

The space is that of `mapping_search`. Left out, and counted by rule:

- ``capacity``: part of the temporal factors is chosen and a tile is too large already; more factors only add to it.
- ``tiling_bound``, ``order_bound``: a lower bound of (energy, cycles) is on or above the hull of what has been
  evaluated, and so is everything it bounds, because a hull's upper side is closed upwards.

The bound counts W and O exactly, with the order that suits each tensor best or with the order in hand. Of I it counts
every word that exists once, and again for each round of K outside a loop that moves I, less what the last tile can
leave to the first one of the next round. First fills count as nothing. Orders that do the same are taken once.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from archgym.borrow import borrow
from archgym.kernel import kernel, kernel_calling

from . import hulls, mapper_climb, mapper_estimate, mapper_spatial, mapper_trial, nest
from .mapper_climb import ESTIMATED, same_orders
from .mapper_estimate import (
    _CUM,
    _LIMITED,
    ESTIMATE_SCRATCH,
    N_ORDERS,
    PREPARED,
    _small_rows,
    bound,
    pixels_met,
    prepare,
)
from .mapper_spatial import ROW_END, WORK, spatial_choices
from .mapper_trial import COMPLETE, SPATIAL, evaluated, find_orders, hidden, trial

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

N, G, K, C, P, Q, R, S = range(8)
CAPACITY_RULE, TILING_RULE, ORDER_RULE, SPACE = 8, 9, 10, 11  # statistics after those of `mapper`
_FACTORS = 4096  # ways to split one dimension over the levels


@kernel
def _splits(levels: int, whole: int, most: Ints, d: int, table: Ints, base: int) -> int:
    """All ways to write ``whole`` as a product over the levels, into table[base:]; their number (at most _FACTORS)."""
    n = 0
    at = np.ones(16, np.int64)
    left = np.ones(17, np.int64)  # what is left for levels below l + 1
    l = levels - 1
    left[levels] = whole
    at[l] = 0
    while l < levels:
        at[l] += 1
        if at[l] > left[l + 1]:
            l += 1
            continue
        if left[l + 1] % at[l] or at[l] > most[8 * l + d]:
            continue
        left[l] = left[l + 1] // at[l]
        if l > 0:
            l -= 1
            at[l] = 0
            continue
        if left[0] == 1 and n < _FACTORS:
            for k in range(levels):
                table[base + n * levels + k] = at[k]
            n += 1
    return n


@kernel
def _room(levels: int, Z: Ints, U: Ints, sb: int, A: Ints, H: Ints, bits: Ints, V: Floats, Y: Ints) -> bool:
    """Tiles into V; False if one is certainly too large."""
    for l in range(levels):
        row, together = _CUM + 8 * l, 0.0
        for d in range(8):
            V[row + 8 + d] = V[row + d] * (U[sb + 8 * l + d] * Z[8 * l + d])
        for v in range(3):
            if Y[_LIMITED + 3 * l + v] == 0:
                continue
            own = float(bits[v])
            for d in range(8):
                if d < P or v != 1:
                    relevant = (d != N and d != P and d != Q) if v == 0 else (d != K if v == 1 else (d != C and d < R))
                    if relevant:
                        own *= min(V[row + 8 + d], float(A[d]))
            if v == 1:
                own *= _small_rows(V[row + 12], V[row + 14], 0, A) * _small_rows(V[row + 13], V[row + 15], 1, A)
            if H[l, 4] and l < levels - 1:
                own *= 2.0
            together += own
            if H[l, v] >= 0 and own > H[l, v]:
                return False
        if H[l, 3] >= 0 and together > H[l, 3]:
            return False
    return True


@kernel_calling(nest, hulls, mapper_trial, mapper_climb, mapper_estimate, mapper_spatial)
def map_optimal(layer: Ints, hw_i: Ints, hw_f: Floats, mac: Floats, bits: Ints, most: Ints, spatial_max: Ints,
                spatial_min: Ints, order_fixed: Ints, limit: int, mode: int, policy: int, maximum_only: bool,
                marks_size: int, beam: int, seeds: int, energy: Floats, cycles: Ints, hull_id: Ints, slot_id: Ints,
                slots: Ints, stat: Ints) -> int:  # fmt: skip
    """The hull of a layer's whole space; its number of vertices, -1: the space is larger than ``limit``.

    Args:
        layer: (16,). Others as in `mapper.search_layer`.
        beam: room for spatial choices.
        energy, cycles, hull_id: (HULL + 1,), slot_id (HULL + 2,), slots (HULL + 2, L * CODE), stat
            (N_STAT,): results; the first ``seeds`` vertices are those of the heuristic, so that the bounds
            bite from the start, and stat counts on from there.
    """
    levels = len(hw_i)
    width = 24 * levels + ROW_END
    o = np.zeros(levels * N_ORDERS * 8, np.int64)
    find_orders(levels, order_fixed, o)
    u, z = np.zeros((2 * beam + 2) * width, np.int64), np.zeros(9 * levels + 2, np.int64)
    v, ranks, y = np.zeros(ESTIMATE_SCRATCH), np.zeros(beam), np.zeros(PREPARED, np.int64)
    work, table = np.zeros(WORK, np.int64), np.zeros(8 * _FACTORS * levels, np.int64)
    t = trial(layer, hw_i, hw_f, mac, bits, mode, policy, maximum_only, z, u, o, marks_size, 1, energy, cycles, hull_id,
              slot_id, slots, stat)  # fmt: skip
    Z, U, O, A, H, Y, T = (
        borrow(z, 0),
        borrow(u, 0),
        borrow(o, 0),
        borrow(layer, 0),
        borrow(hw_i, 16),
        borrow(y, 0),
        borrow(table, 0),
    )
    B, M = borrow(bits, 0), borrow(most, 0)
    V, F, E = borrow(v, 0), borrow(hw_f, 20), borrow(mac, 0)
    pairs_h, rows_h = pixels_met(0, A)
    pairs_w, rows_w = pixels_met(1, A)
    pixels = pairs_h * pairs_w / float(A[P] * A[Q] * A[R] * A[S])
    exists = float(A[N] * A[G] * A[C]) * rows_h * rows_w
    n = spatial_choices(levels, A, H, borrow(spatial_max, 0), borrow(spatial_min, 0), beam, U,
                        borrow(ranks, 0), borrow(work, 0))  # fmt: skip
    stat[SPATIAL] = n
    if n == beam:
        return -1
    always, choices, chosen = 0, 0, np.zeros(48, np.int64)
    for l in range(levels):
        for tensor in range(3):
            if hw_i[l, 10 + tensor] == 1:
                always |= 1 << (3 * l + tensor)
            elif hw_i[l, 10 + tensor] == 2:
                chosen[choices] = 3 * l + tensor
                choices += 1
    total, index, splits = 0.0, np.zeros(9, np.int64), np.zeros(8, np.int64)
    for i in range(n):
        ways = float(1 << choices)
        ways *= float(N_ORDERS) ** (levels - 1)
        for d in range(8):
            ways *= _splits(levels, U[i * width + 24 * levels + d], M, d, T, d * _FACTORS * levels)
        total += ways
    stat[SPACE] = int(min(total, 9e18))
    if total > limit:
        return -1
    m = seeds
    for i in range(n):
        sb = i * width
        for d in range(8):
            splits[d] = _splits(levels, U[sb + 24 * levels + d], M, d, T, d * _FACTORS * levels)
        for kept in range(1 << choices):
            for k in range(8 * levels):
                Z[k] = 1
            for l in range(levels):
                Z[8 * levels + l] = 0
            Z[9 * levels] = always
            for k in range(choices):
                if (kept >> k) & 1:
                    Z[9 * levels] |= 1 << chosen[k]
            prepare(levels, sb, Z, U, A, H, B, F, E, V, Y, pixels, True, maximum_only)
            d = 0
            index[0] = -1
            while d >= 0:
                index[d] += 1
                if index[d] >= splits[d]:
                    for l in range(levels):
                        Z[8 * l + d] = 1
                    d -= 1
                    continue
                for l in range(levels):
                    Z[8 * l + d] = T[(d * _FACTORS + index[d]) * levels + l]
                if splits[d] > 1 and not _room(levels, Z, U, sb, A, H, B, V, Y):
                    stat[CAPACITY_RULE] += 1
                    continue
                if d < 7:
                    d += 1
                    index[d] = -1
                    continue
                _room(levels, Z, U, sb, A, H, B, V, Y)
                stat[ESTIMATED] += 1
                e, c = bound(levels, sb, Z, U, A, H, O, F, V, Y, exists, False)
                if hidden(e, c, energy, cycles, m):
                    stat[TILING_RULE] += 1
                    continue
                l = 1
                Z[8 * levels] = 0
                for k in range(1, levels):
                    Z[8 * levels + k] = -1
                while l >= 1:  # all combinations of orders that differ
                    if l == levels:
                        stat[ESTIMATED] += 1
                        e, c = bound(levels, sb, Z, U, A, H, O, F, V, Y, exists, True)
                        if hidden(e, c, energy, cycles, m):
                            stat[ORDER_RULE] += 1
                        else:
                            t.seen[0] = 0
                            m = evaluated(t, sb, m)
                        l -= 1
                        continue
                    Z[8 * levels + l] += 1
                    if Z[8 * levels + l] == N_ORDERS:
                        Z[8 * levels + l] = -1
                        l -= 1
                        continue
                    if not same_orders(l, Z[8 * levels + l], 8 * l, Z, O):
                        l += 1
    stat[COMPLETE] = 1
    return m
