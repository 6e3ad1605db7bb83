"""Search of even mappings of a layer: spatial factors, tile sizes, loop orders, bypass.

Steps climb, by estimates and move by move, to local optima of energy x cycles, then on to those of energy x cycles^2
and energy^2 x cycles: even steps from nothing, odd ones from the best so far refitted to other spatial factors; later
steps climb more often and try pairs of moves. An optimum is evaluated exactly unless its estimate lies well above the
hull of what has been. The sequence does not depend on the budget, which only ends it.

A candidate is a row of ``Z``: temporal bounds (L, 8), the number of the order of each level's block (L,), the kept
levels of each tensor as bits, and the row of ``U`` with its spatial factors. A found mapping is a code (L, 35):
bounds of temporal, X and Y loops (3 x 8), dimensions from inner to outer (8), kept tensors (3).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from archgym.borrow import borrow
from archgym.kernel import kernel, kernel_calling

from . import hulls, mapper_estimate, mapper_spatial, nest
from .hulls import hull_insert
from .mapper_estimate import (
    ESTIMATE_SCRATCH,
    N_ORDERS,
    PREPARED,
    bound,
    compress,
    estimate,
    fill_tiles,
    pixels_met,
    prepare,
)
from .mapper_spatial import COMPUTE_LEFT, ROW_END, WORK, spatial_choices
from .nest import CYCLES, ENERGY_PJ, LEVEL_PJ, SCRATCH, evaluate

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bytes = npt.NDArray[np.uint8]

N, G, K, C, P, Q, R, S = range(8)
CODE = 35
HULL = 48  # vertices kept for a layer
# The search. A small layer may gain from lanes that idle, a large one does not: fewer spatial choices for it.
BEAM, FEW, LARGE = 256, 32, 4096  # spatial choices; of a layer of at least so many cycles
SLOWER = 4  # times the fewest compute cycles that a spatial choice of a large layer may take
STEPS, CLIMBS, REFITS = 24, 3, 12  # climbs from nothing and from the best so far in the first of the steps
DESCENTS, TWO_MOVES, PAIRS = 1, 4, 2000  # first steps with steepest descent; first with pairs of moves, and how many
AGAIN = 0.3  # what a further choice of the same dimensions falls behind by
NEAR = 0.92  # part of an estimate that must lie below the hull for an evaluation

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

# Counters of a layer.
EVALUATED, ESTIMATED, UNFIT, SEEN, SPATIAL, COMPLETE, N_STAT = 0, 1, 2, 3, 4, 5, 12  # the rest: `mapper_optimal`
# Violation: bits or children too many, level, tensor (3: shared store) or 4 + axis.


@kernel
def _orders(levels: int, order_fixed: Ints, O: Ints) -> None:
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
def _build(levels: int, at: int, sb: int, Z: Ints, U: Ints, O: Ints, loops: Ints, tiles: Ints) -> int:
    """Loops and tiles of a candidate; bounds of 1 are left out. Returns the number of loops."""
    n, keep = 0, Z[at + 9 * levels]
    for l in range(levels - 1, -1, -1):
        for v in range(3):
            tiles[l, v] = n if (keep >> (3 * l + v)) & 1 else -1
        order = (l * N_ORDERS + Z[at + 8 * levels + l]) * 8
        for k in range(7, -1, -1):
            d = O[order + k]
            if Z[at + 8 * l + d] > 1:
                loops[n, 0], loops[n, 1], loops[n, 2], loops[n, 3] = d, Z[at + 8 * l + d], 0, l
                n += 1
        for axis in range(2):
            for d in range(8):
                factor = U[sb + 8 * levels * (1 + axis) + 8 * l + d]
                if factor > 1:
                    loops[n, 0], loops[n, 1], loops[n, 2], loops[n, 3] = d, factor, 1 + axis, l
                    n += 1
    return n


@kernel
def _encode(levels: int, at: int, sb: int, Z: Ints, U: Ints, O: Ints, to: int, codes: Ints) -> None:
    for l in range(levels):
        here = to + l * CODE
        order = (l * N_ORDERS + Z[at + 8 * levels + l]) * 8
        for d in range(8):
            codes[here + d] = Z[at + 8 * l + d]
            codes[here + 8 + d] = U[sb + 8 * levels + 8 * l + d]
            codes[here + 16 + d] = U[sb + 16 * levels + 8 * l + d]
            codes[here + 24 + d] = O[order + d]
        for v in range(3):
            codes[here + 32 + v] = (Z[at + 9 * levels] >> (3 * l + v)) & 1


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


# ---- temporal factors ------------------------------------------------------------------------------------------


@kernel
def _primes(levels: int, sb: int, U: Ints, primes: Ints) -> None:
    """Distinct primes of what is left of each dimension: primes[16 * d] of them from primes[16 * d + 1] on."""
    for d in range(8):
        m, rest, q = 0, U[sb + 24 * levels + d], 2
        while rest > 1:
            if q * q > rest:
                q = rest
            if rest % q == 0:
                primes[16 * d + 1 + m] = q
                m += 1
                while rest % q == 0:
                    rest //= q
            q += 1
        primes[16 * d] = m


@kernel
def _start(levels: int, at: int, sb: int, Z: Ints, U: Ints, most: Ints) -> bool:
    """All temporal loops as far out as they may stand. False: there is no place."""
    for d in range(8):
        left = U[sb + 24 * levels + d]
        for l in range(levels - 1, -1, -1):
            limit = most[8 * l + d]
            factor = left
            if left > limit:
                factor = limit
                while left % factor:
                    factor -= 1
            Z[at + 8 * l + d] = factor
            left //= factor
        if left > 1:
            return False
    return True


@kernel
def _value(pair: tuple[float, float], aim: int) -> float:
    value = pair[0] * pair[1]
    if aim == 1:
        value *= pair[1]
    elif aim == 2:
        value *= pair[0]
    return value


@kernel
def same_orders(l: int, number: int, block: int, Z: Ints, O: Ints) -> bool:
    """Whether an earlier order runs the loops of this block in the same sequence."""
    for other in range(number):
        i, k, same, a, b = 0, 0, True, (l * N_ORDERS + number) * 8, (l * N_ORDERS + other) * 8
        while same:
            while i < 8 and O[a + i] >= 0 and Z[block + O[a + i]] == 1:
                i += 1
            while k < 8 and O[b + k] >= 0 and Z[block + O[b + k]] == 1:
                k += 1
            if i == 8 or k == 8 or O[a + i] < 0:
                break
            same = O[a + i] == O[b + k]
            i += 1
            k += 1
        if same:
            return True
    return False


# Dimensions in the order in which a climb tries them: which of them gets scarce capacity first.
_TURNS = np.array(
    ((K, C, P, Q, R, S, N, G), (Q, P, N, K, C, S, R, G), (C, S, R, K, Q, P, N, G), (R, S, Q, P, C, K, G, N)), np.int64
)


@kernel_calling(mapper_estimate)
def _climb(levels: int, at: int, sb: int, Z: Ints, U: Ints, A: Ints, H: Ints, O: Ints, bits: Ints, hw_f: Floats,
           V: Floats, Y: Ints, most: Ints, primes: Ints, aim: int, turn: int, stat: Ints) -> float:  # fmt: skip
    """Improve a candidate's estimated objective move by move until none helps; the objective."""
    best = _value(estimate(levels, at, Z, A, U, sb, H, O, bits, hw_f, V, Y), aim)
    count = 1
    again = True
    while again:
        again = False
        for place in range(8):
            d = _TURNS[turn, place]
            for k in range(primes[16 * d] + 1):
                q = primes[16 * d + 1 + k]
                for a in range(levels - 1, -1, -1):
                    for b in range(levels):
                        source, target = at + 8 * a + d, at + 8 * b + d
                        if k == primes[16 * d]:  # all of it, where that is not the same
                            q = Z[source]
                            composite = q > 1
                            for i in range(k):
                                composite = composite and primes[16 * d + 1 + i] != q
                            if not composite:
                                break
                        if a == b or Z[source] % q or Z[target] * q > most[8 * b + d]:
                            continue
                        Z[source] //= q
                        Z[target] *= q
                        value = _value(estimate(levels, at, Z, A, U, sb, H, O, bits, hw_f, V, Y), aim)
                        count += 1
                        if value < best * (1.0 - 1e-9):
                            best = value
                            again = True
                        else:
                            Z[source] *= q
                            Z[target] //= q
        for l in range(1, levels):
            active = 0
            for d in range(8):
                active += 1 if Z[at + 8 * l + d] > 1 else 0
            if active < 2:
                continue
            place = at + 8 * levels + l
            for number in range(N_ORDERS):
                old = Z[place]
                if number == old or same_orders(l, number, at + 8 * l, Z, O):
                    continue
                Z[place] = number
                value = _value(estimate(levels, at, Z, A, U, sb, H, O, bits, hw_f, V, Y), aim)
                count += 1
                if value < best * (1.0 - 1e-9):
                    best = value
                    again = True
                else:
                    Z[place] = old
    stat[ESTIMATED] += count
    return best


@kernel
def _move(levels: int, at: int, number: int, Z: Ints, most: Ints, primes: Ints, undo: Ints, slot: int) -> bool:
    """Make move ``number`` of a candidate if it is one, with what takes it back in undo[4 * slot:]."""
    moves = 8 * 4 * levels * levels
    if number < moves:
        d = number % 8
        number //= 8
        k = number % 4
        number //= 4
        a, b = number % levels, number // levels
        source, target = at + 8 * a + d, at + 8 * b + d
        if a == b or Z[source] == 1:
            return False
        if k == 3:  # all of it
            q = Z[source]
            for i in range(primes[16 * d]):
                if primes[16 * d + 1 + i] == q:
                    return False
        elif k >= primes[16 * d]:
            return False
        else:
            q = primes[16 * d + 1 + k]
        if Z[source] % q or Z[target] * q > most[8 * b + d]:
            return False
        undo[4 * slot], undo[4 * slot + 1], undo[4 * slot + 2], undo[4 * slot + 3] = (
            source,
            Z[source],
            target,
            Z[target],
        )
        Z[source] //= q
        Z[target] *= q
        return True
    number -= moves
    place = at + 8 * levels + 1 + number // N_ORDERS
    if Z[place] == number % N_ORDERS:
        return False
    undo[4 * slot], undo[4 * slot + 1], undo[4 * slot + 2], undo[4 * slot + 3] = place, Z[place], place, Z[place]
    Z[place] = number % N_ORDERS
    return True


@kernel
def _back(Z: Ints, undo: Ints, slot: int) -> None:
    Z[undo[4 * slot]] = undo[4 * slot + 1]
    Z[undo[4 * slot + 2]] = undo[4 * slot + 3]


@kernel_calling(mapper_estimate)
def _descend(levels: int, at: int, sb: int, Z: Ints, U: Ints, A: Ints, H: Ints, O: Ints, bits: Ints, hw_f: Floats,
             V: Floats, Y: Ints, most: Ints, primes: Ints, aim: int, undo: Ints, stat: Ints) -> float:  # fmt: skip
    """Make the best single move until none helps; the objective."""
    moves, count = 8 * 4 * levels * levels + N_ORDERS * (levels - 1), 1
    best = _value(estimate(levels, at, Z, A, U, sb, H, O, bits, hw_f, V, Y), aim)
    while True:
        chosen, lowest = -1, best * (1.0 - 1e-9)
        for number in range(moves):
            if not _move(levels, at, number, Z, most, primes, undo, 0):
                continue
            orders = number - 8 * 4 * levels * levels
            if orders >= 0 and same_orders(
                1 + orders // N_ORDERS, orders % N_ORDERS, at + 8 * (1 + orders // N_ORDERS), Z, O
            ):
                _back(Z, undo, 0)
                continue
            value = _value(estimate(levels, at, Z, A, U, sb, H, O, bits, hw_f, V, Y), aim)
            count += 1
            if value < lowest:
                chosen, lowest = number, value
            _back(Z, undo, 0)
        if chosen < 0:
            break
        _move(levels, at, chosen, Z, most, primes, undo, 0)
        best = lowest
    stat[ESTIMATED] += count
    return best


@kernel_calling(mapper_estimate)
def _two_moves(levels: int, at: int, sb: int, Z: Ints, U: Ints, A: Ints, H: Ints, O: Ints, bits: Ints, hw_f: Floats,
               V: Floats, Y: Ints, most: Ints, primes: Ints, aim: int, best: float, left: int, undo: Ints,
               stat: Ints) -> float:  # fmt: skip
    """The first pair of moves that helps where no single one does; at most ``left`` are tried."""
    moves = 8 * 4 * levels * levels + N_ORDERS * (levels - 1)
    count = 0
    for first in range(moves):
        if not _move(levels, at, first, Z, most, primes, undo, 0):
            continue
        for second in range(first + 1, moves):
            if not _move(levels, at, second, Z, most, primes, undo, 1):
                continue
            value = _value(estimate(levels, at, Z, A, U, sb, H, O, bits, hw_f, V, Y), aim)
            count += 1
            if value < best * (1.0 - 1e-9):
                stat[ESTIMATED] += count
                return value
            _back(Z, undo, 1)
        _back(Z, undo, 0)
        if count > left:
            break
    stat[ESTIMATED] += count
    return best


# ---- evaluation ----


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


@kernel_calling(nest, hulls, mapper_estimate, mapper_spatial)
def _try(levels: int, at: int, sb: int, z: Ints, u: Ints, o: Ints, layer: Ints, hw_i: Ints, hw_f: Floats, mac: Floats,
         bits: Ints, mode: int, policy: int, maximum_only: bool, loops: Ints, tiles: Ints, compact: Ints,
         scratch: Ints, marks: Ints, counts: Ints, slack: Ints, out: Floats, seen: Ints, hull_energy: Floats,
         hull_cycles: Ints, hull_id: Ints, m: int, slot_id: Ints, slots: Ints, stat: Ints) -> int:  # fmt: skip
    """Evaluate a candidate unless it has been, and add it to the hull of m vertices; the new m."""
    Z, U, O = borrow(z, 0), borrow(u, 0), borrow(o, 0)
    n = _build(levels, at, sb, Z, U, O, borrow(loops, 4), borrow(tiles, 3))
    if not _first_seen(_hash(n, levels, borrow(loops, 4), borrow(tiles, 3)), seen):
        stat[SEEN] += 1
        return m
    stat[EVALUATED] += 1
    out[ENERGY_PJ] = np.inf
    if not evaluate(n, loops, tiles, layer, hw_i, hw_f, mac, bits, mode, policy, maximum_only, compact, scratch, marks,
                    counts, slack, out):  # fmt: skip
        stat[UNFIT] += 1
        out[ENERGY_PJ] = np.inf
        return m
    identity = stat[EVALUATED]
    m = hull_insert(hull_energy, hull_cycles, hull_id, m, out[ENERGY_PJ], int(out[CYCLES]), identity)
    for i in range(m):
        if hull_id[i] == identity:
            for slot in range(len(slot_id)):
                free = True
                for k in range(m):
                    free = free and hull_id[k] != slot_id[slot]
                if free:
                    slot_id[slot] = identity
                    _encode(levels, at, sb, Z, U, O, 0, borrow(slots[slot], 0))
                    break
            break
    return m


@kernel
def _diversify(levels: int, n: int, order: int, penalty: float, U: Ints, rank: Floats, W: Ints) -> None:
    """Sort the ranked rows anew: each further one that spreads the same dimensions over lanes falls behind."""
    width = 24 * levels + ROW_END
    for k in range(64):
        W[k] = 0
    for j in range(n):
        row, mark = W[order + j] * width, 0
        for i in range(8 * levels):
            mark = (mark * 2 + (1 if U[row + i] > 1 else 0)) % 67
        mark %= 64
        rank[j] *= 1.0 + penalty * W[mark]
        W[mark] += 1
    for j in range(1, n):
        k = j
        while k > 0 and rank[k - 1] > rank[k]:
            rank[k - 1], rank[k] = rank[k], rank[k - 1]
            W[order + k - 1], W[order + k] = W[order + k], W[order + k - 1]
            k -= 1


@kernel
def _refit(levels: int, other: int, sb: int, Z: Ints, U: Ints, most: Ints) -> None:
    """The candidate at 0 gets, as far as they divide what is left to place, the factors and the orders of another."""
    for d in range(8):
        left = U[sb + 24 * levels + d]
        for l in range(levels):
            a, b = Z[other + 8 * l + d], left
            while b:
                a, b = b, a % b
            Z[8 * l + d] = a
            left //= a
        for l in range(levels - 1, -1, -1):
            if left > 1 and Z[8 * l + d] * left <= most[8 * l + d]:
                Z[8 * l + d] *= left
                left = 1
        if left > 1:  # limits in the way: as far out as they allow
            left = U[sb + 24 * levels + d]
            for l in range(levels - 1, -1, -1):
                factor = min(left, most[8 * l + d])
                while left % factor:
                    factor -= 1
                Z[8 * l + d] = factor
                left //= factor
    for l in range(levels):
        Z[8 * levels + l] = Z[other + 8 * levels + l]


@kernel
def _note_violation(levels: int, slack: Ints, violation: Ints) -> None:
    """Keep the smallest excess: its level, tensor (3: shared; 4, 5: axis) and amount."""
    level, tensor, excess = -1, -1, -1
    for l in range(levels):
        for f in range(6):
            if slack[l, f] > excess and slack[l, f] > 0:
                level, tensor, excess = l, f, slack[l, f]
    if excess > 0 and (violation[0] < 0 or excess < violation[2]):
        violation[0], violation[1], violation[2] = level, tensor, excess


@kernel_calling(nest, hulls, mapper_estimate, mapper_spatial)
def search_layer(layer: Ints, hw_i: Ints, hw_f: Floats, mac: Floats, bits: Ints, most: Ints, spatial_max: Ints,
                 spatial_min: Ints, order_fixed: Ints, budget: int, mode: int, policy: int, maximum_only: bool,
                 marks_size: int, hull_energy: Floats, hull_cycles: Ints, codes: Ints, stat: Ints,
                 violation: Ints) -> int:  # fmt: skip
    """The heuristic for one layer; vertices of its hull, 0 if nothing fits.

    Args:
        layer: (16,).
        hw_i ... bits: the hardware's arrays. most (L * 8,), spatial_max (L * 16,): without "all that is left".
        spatial_min (L * 16,), order_fixed (L, 8).
        budget: mappings looked at, estimated or evaluated.
        marks_size: at least `nest.marks_size` of the layer.
        hull_energy, hull_cycles: (HULL + 1,), codes (HULL + 1, L * CODE), stat (N_STAT,) of zeros, violation (3,) of
            -1: results.
    """
    levels = len(hw_i)
    o, co = np.zeros(levels * N_ORDERS * 8, np.int64), np.zeros(levels * N_ORDERS * 8, np.int64)
    y = np.zeros(PREPARED, np.int64)
    _orders(levels, order_fixed, o)
    u = np.empty((2 * BEAM + 2) * (24 * levels + ROW_END), np.int64)
    z = np.zeros(4 * (9 * levels + 2), np.int64)
    V, rank = np.zeros(ESTIMATE_SCRATCH), np.zeros(BEAM)
    work, primes = np.zeros(WORK + 2 * BEAM, np.int64), np.zeros(128, np.int64)
    loops, tiles = np.zeros((24 * levels, 4), np.int64), np.zeros((levels, 3), np.int64)
    compact, scratch = np.zeros((24 * levels, 6), np.int64), np.zeros(SCRATCH, np.int64)
    marks, counts = np.zeros(marks_size, np.int64), np.zeros(levels * 18, np.int64)
    slack, out = np.zeros((levels, 6), np.int64), np.zeros(LEVEL_PJ + levels)
    size = 64
    while size < 4 * budget:
        size *= 2
    seen, slot_id = np.zeros(size, np.int64), np.zeros(HULL + 2, np.int64)
    hull_id, slots = np.zeros(HULL + 1, np.int64), np.zeros((HULL + 2, levels * CODE), np.int64)
    Z, U, O, A, H, W = borrow(z, 0), borrow(u, 0), borrow(o, 0), borrow(layer, 0), borrow(hw_i, 16), borrow(work, 0)
    CO, Y, M, PR, B, ST = (
        borrow(co, 0),
        borrow(y, 0),
        borrow(most, 0),
        borrow(primes, 0),
        borrow(bits, 0),
        borrow(stat, 0),
    )
    width, order, again, record = 24 * levels + ROW_END, WORK, WORK + BEAM, 9 * levels + 2
    steps = 1.0
    for d in range(8):
        steps *= A[d]
    for l in range(levels):
        steps /= H[l, 8] * H[l, 9]
    beam = BEAM if steps < LARGE else FEW
    n = spatial_choices(levels, A, H, borrow(spatial_max, 0), borrow(spatial_min, 0), beam, U, rank, work)
    stat[SPATIAL] = n
    m, all_kept, least_kept = 0, 0, 0
    for l in range(levels):
        for v in range(3):
            if hw_i[l, 10 + v] != 0:
                all_kept |= 1 << (3 * l + v)
            if hw_i[l, 10 + v] == 1:
                least_kept |= 1 << (3 * l + v)
    pairs_h, rows_h = pixels_met(0, A)
    pairs_w, rows_w = pixels_met(1, A)
    pixels = pairs_h * pairs_w / float(A[P] * A[Q] * A[R] * A[S])
    exists = float(A[N] * A[G] * A[C]) * rows_h * rows_w
    found, quickest = 0, 1 << 62
    for i in range(n):
        quickest = min(quickest, U[i * width + 24 * levels + COMPUTE_LEFT])
    for i in range(n):
        if U[i * width + 24 * levels + COMPUTE_LEFT] > max(SLOWER * quickest, LARGE):
            continue
        if not _start(levels, 0, i * width, Z, U, M):
            continue
        Z[9 * levels] = all_kept
        prepare(levels, 0, i * width, Z, U, A, H, B, hw_f, mac, V, Y, pixels, False, maximum_only)
        fill_tiles(levels, i * width, Z, U, V)
        e, c = bound(levels, i * width, Z, U, A, H, O, hw_f, V, Y, exists, False)
        value = e * c
        k = found
        while k > 0 and rank[k - 1] > value:
            rank[k], W[order + k] = rank[k - 1], W[order + k - 1]
            k -= 1
        rank[k], W[order + k] = value, i
        found += 1
    _diversify(levels, found, order, AGAIN, U, rank, W)
    best, best_i = np.inf, -1
    for step in range(STEPS):
        if stat[EVALUATED] + stat[ESTIMATED] >= budget:
            break
        # Even steps climb from nothing, odd ones from the best so far, refitted to other spatial factors.
        turn, refitted = step // 2 % 4, step % 2 == 1
        if refitted:
            if best_i < 0:
                break
            for j in range(found):
                sb = W[order + j] * width
                _refit(levels, record, sb, Z, U, M)
                Z[9 * levels] = Z[record + 9 * levels]
                prepare(levels, 0, sb, Z, U, A, H, B, hw_f, mac, V, Y, pixels, False, maximum_only)
                rank[j] = _value(estimate(levels, 0, Z, A, U, sb, H, O, B, hw_f, V, Y), 0)
                stat[ESTIMATED] += 1
                W[again + j] = W[order + j]
                k = j
                while k > 0 and rank[k - 1] > rank[k]:
                    rank[k - 1], rank[k] = rank[k], rank[k - 1]
                    W[again + k - 1], W[again + k] = W[again + k], W[again + k - 1]
                    k -= 1
        width_now = min(found, (REFITS if refitted else CLIMBS) << step // 4)
        for j in range(width_now):
            if stat[EVALUATED] + stat[ESTIMATED] >= budget:
                break
            if refitted and rank[j] == np.inf:
                break
            i = W[again + j if refitted else order + (j if step < 4 else j * found // width_now)]
            sb = i * width
            _primes(levels, sb, U, PR)
            _start(levels, 0, sb, Z, U, M)
            for l in range(levels):
                Z[8 * levels + l] = 0
            Z[9 * levels] = all_kept
            if refitted:
                _refit(levels, record, sb, Z, U, M)
                Z[9 * levels] = Z[record + 9 * levels]
            prepare(levels, 0, sb, Z, U, A, H, B, hw_f, mac, V, Y, pixels, False, maximum_only)
            compress(levels, O, Y, CO)
            if not refitted and estimate(levels, 0, Z, A, U, sb, H, CO, B, hw_f, V, Y)[0] == np.inf:
                Z[9 * levels] = least_kept
                prepare(levels, 0, sb, Z, U, A, H, B, hw_f, mac, V, Y, pixels, False, maximum_only)
                if estimate(levels, 0, Z, A, U, sb, H, CO, B, hw_f, V, Y)[0] == np.inf:
                    if m == 0:
                        m = _try(levels, 0, sb, z, u, o, layer, hw_i, hw_f, mac, bits, mode, policy, maximum_only,
                                 loops, tiles, compact, scratch, marks, counts, slack, out, seen, hull_energy,
                                 hull_cycles, hull_id, m, slot_id, slots, stat)  # fmt: skip
                        _note_violation(levels, slack, violation)
                    continue
            for aim in range(3):
                if aim == 0 and not refitted and step < DESCENTS:
                    _descend(levels, 0, sb, Z, U, A, H, CO, B, hw_f, V, Y, M, PR, aim, W, ST)
                value = _climb(levels, 0, sb, Z, U, A, H, CO, B, hw_f, V, Y, M, PR, aim, turn, ST)
                while aim == 0 and step >= TWO_MOVES and value < best * 1.02:
                    better = _two_moves(levels, 0, sb, Z, U, A, H, CO, B, hw_f, V, Y, M, PR, aim, value, PAIRS, W,
                                        ST)  # fmt: skip
                    if better >= value:
                        break
                    value = _climb(levels, 0, sb, Z, U, A, H, CO, B, hw_f, V, Y, M, PR, aim, turn, ST)
                if aim == 0 and value < best * 1.1:
                    for bit in range(3 * levels):  # a tensor that may bypass a level: does it pay?
                        if hw_i[bit // 3, 10 + bit % 3] != 2:
                            continue
                        for k in range(record):
                            Z[2 * record + k] = Z[k]
                        Z[9 * levels] ^= 1 << bit
                        prepare(levels, 0, sb, Z, U, A, H, B, hw_f, mac, V, Y, pixels, False, maximum_only)
                        better = _climb(levels, 0, sb, Z, U, A, H, CO, B, hw_f, V, Y, M, PR, aim, turn, ST)
                        if better < value:
                            value = better
                            continue
                        for k in range(record):
                            Z[k] = Z[2 * record + k]
                        prepare(levels, 0, sb, Z, U, A, H, B, hw_f, mac, V, Y, pixels, False, maximum_only)
                e, c = estimate(levels, 0, Z, A, U, sb, H, CO, B, hw_f, V, Y)
                if not hidden(e * NEAR, c * NEAR, hull_energy, hull_cycles, m):
                    m = _try(levels, 0, sb, z, u, o, layer, hw_i, hw_f, mac, bits, mode, policy, maximum_only, loops,
                             tiles, compact, scratch, marks, counts, slack, out, seen, hull_energy, hull_cycles,
                             hull_id, m, slot_id, slots, stat)  # fmt: skip
                if aim == 0:
                    if value < best:
                        best, best_i = value, i
                        for k in range(record):
                            Z[record + k] = Z[k]
                    if value > 1.2 * best:
                        break
    for k in range(m):
        for slot in range(len(slot_id)):
            if slot_id[slot] == hull_id[k]:
                codes[k, :] = slots[slot]
                break
    return m
