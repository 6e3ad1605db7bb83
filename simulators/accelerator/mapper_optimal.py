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

from . import hulls, mapper, mapper_estimate, nest
from .mapper import COMPLETE, ESTIMATED, SPATIAL, _orders, _spatial, _try
from .mapper_estimate import (
    _CHILD_READ,
    _CHILD_WRITE,
    _CUM,
    _E,
    _ENERGY,
    _EXPOSED,
    _FIXED_READ,
    _FIXED_WRITE,
    _IN,
    _LEAK,
    _LIMITED,
    _OUT,
    _PAIR,
    _PAIR_FIELDS,
    _PAIRS,
    _PARENT_READ,
    _PARENT_WRITE,
    _READ,
    _SCALE,
    _SPREAD_C,
    _SPREAD_E,
    _WRITE,
    ESTIMATE_SCRATCH,
    N_ORDERS,
    PREPARED,
    _rows,
    pixels_met,
    prepare,
)
from .nest import LEVEL_PJ, SCRATCH

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
def _small_rows(p: float, r: float, axis: int, A: Ints) -> float:
    """At most as many rows as the largest tile of p x r has."""
    p, r = min(p, float(A[P + axis])), min(r, float(A[R + axis]))
    stride, dilation, pad, rows = float(A[8 + axis]), float(A[10 + axis]), float(A[12 + axis]), float(A[14 + axis])
    if dilation > 1.0 and stride > 1.0:
        length = max(p, r)
    else:
        length = _rows(p, r, stride, dilation)
    return max(1.0, min(rows, length - 2.0 * pad - (dilation if dilation > 1.0 else 0.0)))


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


@kernel
def _input_bound(c: int, levels: int, sb: int, Z: Ints, U: Ints, A: Ints, O: Ints, V: Floats, f: int, exists: float,
                 ordered: bool) -> float:  # fmt: skip
    """Words of I, per lane that does not share, that the parent reads at least."""
    if not ordered:
        return exists
    rounds, moved, channel = 1.0, False, False
    inside, positions = 1.0, 1.0
    first = True
    outer_positions = 1.0
    for l in range(c + 1, levels):
        order = (l * N_ORDERS + Z[8 * levels + l]) * 8
        for k in range(8):
            d = O[order + k]
            bound = Z[8 * l + d]
            if bound == 1:
                continue
            if d == K:
                if moved:
                    rounds *= bound
                    if first:
                        first = False
                        inside = positions
                        positions = 1.0
                continue
            moved = True
            positions *= bound
            if first and (d == N or d == G or d == C):
                channel = True
    if rounds == 1.0:
        return exists
    if channel:
        return rounds * exists
    outer_positions = positions
    row = _CUM + 8 * c + 8
    words = V[row + N] * V[row + G] * V[row + C]  # one group's tile: what it may carry over at most
    for l in range(c + 1, levels):
        words *= U[sb + 8 * l + N] * U[sb + 8 * l + G] * U[sb + 8 * l + C]
    h = _rows(V[row + P], V[row + R], float(A[8]), float(A[10]))
    w = _rows(V[row + Q], V[row + S], float(A[9]), float(A[11]))
    for l in range(c + 1, levels):
        h *= U[sb + 8 * l + P] * U[sb + 8 * l + R]
        w *= U[sb + 8 * l + Q] * U[sb + 8 * l + S]
    carried = words * h * w * outer_positions
    return exists + (rounds - 1.0) * max(0.0, exists - carried)


@kernel
def _bound(levels: int, sb: int, Z: Ints, U: Ints, A: Ints, H: Ints, O: Ints, hw_f: Floats, V: Floats, Y: Ints,
           exists: float, ordered: bool) -> tuple[float, float]:  # fmt: skip
    """Lower bounds of energy and cycles of a prepared candidate whose tiles are in V."""
    compute = 1.0
    for i in range(8 * levels):
        compute *= Z[i]
    for i in range(3 * levels):
        V[_READ + i] = V[_FIXED_READ + i]
        V[_WRITE + i] = V[_FIXED_WRITE + i]
        V[_OUT + i] = V[_IN + i] = 0.0
    energy = V[_ENERGY]
    for j in range(Y[_PAIRS]):
        v, c, p = Y[1 + 3 * j], Y[2 + 3 * j], Y[3 + 3 * j]
        f, above, below = _PAIR + _PAIR_FIELDS * j, 3 * p + v, 3 * c + v
        if v == 1:
            lanes = V[f + _SCALE] / float(A[N] * A[G] * A[C])
            for l in range(c + 1, levels):
                row = sb + 8 * l
                if not (l <= p and H[l, 6]):
                    lanes /= U[row + P] * U[row + Q] * U[row + R] * U[row + S]
            x = lanes * _input_bound(c, levels, sb, Z, U, A, O, V, f, exists, ordered)
            energy += x * (V[f + _E] + V[f + _SPREAD_E])
            V[_READ + above] += x * V[f + _PARENT_READ]
            V[_WRITE + below] += x * V[f + _SPREAD_C]
            V[_IN + below] = x * V[f + _SPREAD_C]
            continue
        rounds, stays, settled = 1.0, True, False
        for l in range(c + 1, levels):
            block = 8 * l
            if v == 0:
                irrelevant = Z[block] * Z[block + P] * Z[block + Q]
                moving = Z[block + G] * Z[block + K] * Z[block + C] * Z[block + R] * Z[block + S] > 1
            else:
                irrelevant = Z[block + C] * Z[block + R] * Z[block + S]
                moving = Z[block] * Z[block + G] * Z[block + K] * Z[block + P] * Z[block + Q] > 1
            if settled:
                rounds *= irrelevant
            elif not ordered:
                settled = moving
            else:
                order = (l * N_ORDERS + Z[8 * levels + l]) * 8
                for k in range(8):
                    d = O[order + k]
                    bound = Z[block + d]
                    if bound == 1:
                        continue
                    relevant = (d != N and d != P and d != Q) if v == 0 else (d != C and d < R)
                    if relevant:
                        stays = False
                    elif not stays:
                        rounds *= bound
                settled = not stays
        energy += rounds * V[f + _E]
        V[_READ + above] += rounds * V[f + _PARENT_READ]
        written = rounds * V[f + _CHILD_WRITE]
        if v == 0:
            V[_WRITE + below] += written
            V[_IN + below] = written
        else:
            read = rounds * V[f + _CHILD_READ]
            V[_WRITE + above] += rounds * V[f + _PARENT_WRITE]
            V[_READ + below] += read - rounds * V[f + _SPREAD_C]
            V[_WRITE + below] += written
            V[_OUT + below] = read
            V[_IN + below] = written - V[f + _CHILD_WRITE]
    slowest, overhead = compute, 0.0
    for l in range(levels):
        exposed = l < levels - 1 and H[l, 4] == 0
        i, tile = 3 * l, 0.0
        if H[l, 13]:
            for v in range(3):
                if hw_f[l, 9 + v] < 0.0:
                    slowest = max(slowest, V[_READ + i + v] + V[_WRITE + i + v])
                    tile = max(tile, V[_OUT + i + v] + V[_IN + i + v])
                else:
                    slowest = max(slowest, max(V[_READ + i + v], V[_WRITE + i + v]))
                    tile = max(tile, max(V[_OUT + i + v], V[_IN + i + v]))
        else:
            read = V[_READ + i] + V[_READ + i + 1] + V[_READ + i + 2]
            write = V[_WRITE + i] + V[_WRITE + i + 1] + V[_WRITE + i + 2]
            out, back = V[_OUT + i + 2], V[_IN + i] + V[_IN + i + 1] + V[_IN + i + 2]
            if hw_f[l, 9] < 0.0:
                slowest, tile = max(slowest, read + write), out + back
            else:
                slowest, tile = max(slowest, max(read, write)), max(out, back)
        overhead += tile if exposed else 0.0
    cycles = (slowest + overhead * V[_EXPOSED]) * (1.0 - 1e-9)
    return (energy + V[_LEAK] * cycles) * (1.0 - 1e-9), cycles


@kernel
def _hidden(energy: float, cycles: float, hull_energy: Floats, hull_cycles: Ints, m: int) -> bool:
    """Whether a point is on or above the hull."""
    if m == 0 or cycles < hull_cycles[0]:
        return False
    for i in range(m - 1):
        d0, d1 = float(hull_cycles[i]), float(hull_cycles[i + 1])
        if cycles < d1:
            chord = hull_energy[i] + (hull_energy[i + 1] - hull_energy[i]) * ((cycles - d0) / (d1 - d0))
            return energy >= chord * (1.0 + 1e-12)
    return energy >= hull_energy[m - 1]


@kernel
def _same_orders(l: int, number: int, levels: int, Z: Ints, O: Ints) -> bool:
    """Whether an earlier order runs the loops of this block in the same sequence."""
    for other in range(number):
        i, k, same = 0, 0, True
        while same:
            while i < 8 and Z[8 * l + O[(l * N_ORDERS + number) * 8 + i]] == 1:
                i += 1
            while k < 8 and Z[8 * l + O[(l * N_ORDERS + other) * 8 + k]] == 1:
                k += 1
            if i == 8 or k == 8:
                break
            same = O[(l * N_ORDERS + number) * 8 + i] == O[(l * N_ORDERS + other) * 8 + k]
            i += 1
            k += 1
        if same:
            return True
    return False


@kernel_calling(nest, hulls, mapper, mapper_estimate)
def map_optimal(layer: Ints, hw_i: Ints, hw_f: Floats, mac: Floats, bits: Ints, most: Ints, spatial_max: Ints,
                spatial_min: Ints, order_fixed: Ints, limit: int, mode: int, policy: int, maximum_only: bool,
                marks_size: int, beam: int, seeds: int, energy: Floats, cycles: Ints, hull_id: Ints, slot_id: Ints,
                slots: Ints, stat: Ints) -> int:  # fmt: skip
    """The hull of a layer's whole space; its number of vertices, -1: the space is larger than ``limit``.

    Args:
        layer: (16,). Others as in `mapper.map_layers`.
        beam: room for spatial choices.
        energy, cycles, hull_id: (HULL + 1,), slot_id (HULL + 2,), slots (HULL + 2, L * CODE), stat
            (N_STAT,): results; the first ``seeds`` vertices are those of the heuristic, so that the bounds
            bite from the start, and stat counts on from there.
    """
    levels = len(hw_i)
    width = 24 * levels + 10
    o = np.zeros(levels * N_ORDERS * 8, np.int64)
    _orders(levels, order_fixed, o)
    u, z = np.zeros((2 * beam + 2) * width, np.int64), np.zeros(9 * levels + 2, np.int64)
    V, rank, y = np.zeros(ESTIMATE_SCRATCH), np.zeros(beam), np.zeros(PREPARED, np.int64)
    work, table = np.zeros(600, np.int64), np.zeros(8 * _FACTORS * levels, np.int64)
    loops, tiles = np.zeros((24 * levels, 4), np.int64), np.zeros((levels, 3), np.int64)
    compact, scratch = np.zeros((24 * levels, 6), np.int64), np.zeros(SCRATCH, np.int64)
    marks, counts = np.zeros(marks_size, np.int64), np.zeros(levels * 18, np.int64)
    slack, out = np.zeros((levels, 6), np.int64), np.zeros(LEVEL_PJ + levels)
    seen = np.zeros(1, np.int64)
    Z, U, O, A, H, Y, T = borrow(z, 0), borrow(u, 0), borrow(o, 0), borrow(layer, 0), borrow(hw_i, 16), borrow(y, 0), borrow(table, 0)
    B, M = borrow(bits, 0), borrow(most, 0)
    pairs_h, rows_h = pixels_met(0, A)
    pairs_w, rows_w = pixels_met(1, A)
    pixels = pairs_h * pairs_w / float(A[P] * A[Q] * A[R] * A[S])
    exists = float(A[N] * A[G] * A[C]) * rows_h * rows_w
    n = _spatial(levels, A, H, borrow(spatial_max, 0), borrow(spatial_min, 0), beam, True, U, rank, work)
    stat[SPATIAL] = n
    if n == beam:
        return -1
    always, choices, chosen = 0, 0, np.zeros(48, np.int64)
    for l in range(levels):
        for v in range(3):
            if hw_i[l, 10 + v] == 1:
                always |= 1 << (3 * l + v)
            elif hw_i[l, 10 + v] == 2:
                chosen[choices] = 3 * l + v
                choices += 1
    total, index, splits = 0.0, np.zeros(9, np.int64), np.zeros(8, np.int64)
    for i in range(n):
        ways = float(1 << choices)
        for l in range(1, levels):
            ways *= N_ORDERS
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
            prepare(levels, 0, sb, Z, U, A, H, B, hw_f, mac, V, Y, pixels, True, maximum_only)
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
                e, c = _bound(levels, sb, Z, U, A, H, O, hw_f, V, Y, exists, False)
                if _hidden(e, c, energy, cycles, m):
                    stat[TILING_RULE] += 1
                    continue
                l = 1
                Z[8 * levels] = 0
                for k in range(1, levels):
                    Z[8 * levels + k] = -1
                while l >= 1:  # all combinations of orders that differ
                    if l == levels:
                        stat[ESTIMATED] += 1
                        e, c = _bound(levels, sb, Z, U, A, H, O, hw_f, V, Y, exists, True)
                        if _hidden(e, c, energy, cycles, m):
                            stat[ORDER_RULE] += 1
                        else:
                            seen[0] = 0
                            m = _try(levels, 0, sb, z, u, o, layer, hw_i, hw_f, mac, bits, mode, policy, maximum_only,
                                     loops, tiles, compact, scratch, marks, counts, slack, out, seen, energy, cycles,
                                     hull_id, m, slot_id, slots, stat)  # fmt: skip
                        l -= 1
                        continue
                    Z[8 * levels + l] += 1
                    if Z[8 * levels + l] == N_ORDERS:
                        Z[8 * levels + l] = -1
                        l -= 1
                        continue
                    if not _same_orders(l, Z[8 * levels + l], levels, Z, O):
                        l += 1
    stat[COMPLETE] = 1
    return m
