"""Search of even mappings of a layer: spatial factors, tile sizes, loop orders, bypass.

First, spatial choices enter a tournament: each climbs a little, by estimates and move by move (see `mapper_climb`),
and the best climb on to local optima of energy x cycles, then, where that is near the best so far, to those of energy
x cycles^2 and energy^2 x cycles. Then even steps climb from nothing, odd ones from the best so far refitted to other
spatial factors; later steps climb more often and try pairs of moves. An optimum is evaluated exactly unless its
estimate lies well above the hull of what has been. The sequence does not depend on the budget, which only ends it.

A candidate is a row of ``Z`` with a row of ``U``, see `mapper_trial`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from archgym.borrow import borrow
from archgym.kernel import kernel, kernel_calling

from . import hulls, mapper_climb, mapper_estimate, mapper_spatial, mapper_trial, nest
from .mapper_climb import (
    ESTIMATED,
    UNLIMITED,
    Search,
    climb,
    estimated,
    find_primes,
    ready,
    refit,
    start,
    two_moves,
)
from .mapper_estimate import ESTIMATE_SCRATCH, N_ORDERS, PREPARED, bound, estimate, fill_tiles, pixels_met
from .mapper_spatial import COMPUTE_LEFT, ROW_END, WORK, spatial_choices
from .mapper_trial import CODE, EVALUATED, HULL, SPATIAL, evaluated, find_orders, hidden, note_violation, trial

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

N, G, K, C, P, Q, R, S = range(8)
# The search. A small layer may gain from lanes that idle, a large one does not: fewer spatial choices for it.
BEAM, FEW, LARGE = 256, 32, 4096  # spatial choices; of a layer of at least so many cycles
SLOWER = 4  # times the fewest compute cycles that a spatial choice of a large layer may take
STEPS, CLIMBS, REFITS = 24, 3, 12  # climbs from nothing and from the best so far in the first of the steps
ENTRIES, ENTRANTS, QUICK, FINISHED = 3, 16, 25, 3  # first steps: choices that enter, estimates for each, best finished
TWO_MOVES, PAIRS = 4, 2000  # first step with pairs of moves, and how many
AGAIN = 0.3  # what a further choice of the same dimensions falls behind by
AIMS = 1.02  # times the best that a candidate may be that climbs on to the other aims
NEAR = 0.92  # part of an estimate that must lie below the hull for an evaluation

BEST, SPARE, FIRST = 1, 2, 3  # records: the best so far, one put aside, the first entrant


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
def _copy(Z: Ints, source: int, target: int, n: int) -> None:
    for k in range(n):
        Z[target + k] = Z[source + k]


@kernel
def _place(rank: Floats, W: Ints, at: int, j: int, value: float, row: int) -> int:
    """Insert row j into the j sorted ones at W[at:]; where it stands now."""
    while j > 0 and rank[j - 1] > value:
        rank[j], W[at + j] = rank[j - 1], W[at + j - 1]
        j -= 1
    rank[j], W[at + j] = value, row
    return j


@kernel_calling(mapper_climb, mapper_estimate)
def _from_nothing(s: Search, sb: int, all_kept: int, least_kept: int) -> bool:
    """All temporal loops outside and all tensors kept, or as few as may be; whether that fits."""
    find_primes(s, sb)
    start(s, sb)
    ready(s, sb, all_kept)
    if estimated(s, sb, 0, np.inf) < np.inf:
        return True
    ready(s, sb, least_kept)
    return estimated(s, sb, 0, np.inf) < np.inf


@kernel_calling(mapper_climb, mapper_estimate)
def _bypass(s: Search, sb: int, turn: int, value: float) -> float:
    """Keep or bypass each tensor at each level that leaves the choice, where it pays; the objective."""
    record = 9 * s.levels + 2
    for bit in range(3 * s.levels):
        if s.hardware[bit // 3, 10 + bit % 3] != 2:
            continue
        _copy(s.Z, 0, SPARE * record, record)
        ready(s, sb, s.Z[9 * s.levels] ^ (1 << bit))
        better = climb(s, sb, 0, turn, UNLIMITED, False)
        if better < value:
            value = better
            continue
        _copy(s.Z, SPARE * record, 0, record)
        ready(s, sb, s.Z[9 * s.levels])
    return value


@kernel_calling(nest, hulls, mapper_climb, mapper_estimate, mapper_spatial, mapper_trial)
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
    o, compressed = np.zeros(levels * N_ORDERS * 8, np.int64), np.zeros(levels * N_ORDERS * 8, np.int64)
    y, primes, undo = np.zeros(PREPARED, np.int64), np.zeros(128, np.int64), np.zeros(8, np.int64)
    find_orders(levels, order_fixed, o)
    u = np.empty((2 * BEAM + 2) * (24 * levels + ROW_END), np.int64)
    z = np.zeros((FIRST + BEAM) * (9 * levels + 2), np.int64)
    v, ranks = np.zeros(ESTIMATE_SCRATCH), np.zeros(2 * BEAM)
    work = np.zeros(WORK + 2 * BEAM, np.int64)
    size = 64
    while size < 4 * budget:
        size *= 2
    hull_id, slot_id = np.zeros(HULL + 1, np.int64), np.zeros(HULL + 2, np.int64)
    slots = np.zeros((HULL + 2, levels * CODE), np.int64)
    t = trial(layer, hw_i, hw_f, mac, bits, mode, policy, maximum_only, z, u, o, marks_size, size, hull_energy,
              hull_cycles, hull_id, slot_id, slots, stat)  # fmt: skip
    Z, U, A, H, W, rank = (
        borrow(z, 0),
        borrow(u, 0),
        borrow(layer, 0),
        borrow(hw_i, 16),
        borrow(work, 0),
        borrow(ranks, 0),
    )
    pairs_h, rows_h = pixels_met(0, A)
    pairs_w, rows_w = pixels_met(1, A)
    pixels = pairs_h * pairs_w / float(A[P] * A[Q] * A[R] * A[S])
    exists = float(A[N] * A[G] * A[C]) * rows_h * rows_w
    s = Search(levels, pixels, maximum_only, A, H, borrow(hw_f, 20), borrow(mac, 0), borrow(bits, 0), borrow(most, 0),
               borrow(o, 0), Z, U, borrow(v, 0), borrow(y, 0), borrow(compressed, 0), borrow(primes, 0),
               borrow(undo, 0), borrow(stat, 0))  # fmt: skip
    width, order, again, record = 24 * levels + ROW_END, WORK, WORK + BEAM, 9 * levels + 2
    steps = 1.0
    for d in range(8):
        steps *= A[d]
    for l in range(levels):
        steps /= H[l, 8] * H[l, 9]
    n = spatial_choices(levels, A, H, borrow(spatial_max, 0), borrow(spatial_min, 0), BEAM if steps < LARGE else FEW,
                        U, rank, W)  # fmt: skip
    stat[SPATIAL] = n
    m, all_kept, least_kept = 0, 0, 0
    for l in range(levels):
        for tensor in range(3):
            if hw_i[l, 10 + tensor] != 0:
                all_kept |= 1 << (3 * l + tensor)
            if hw_i[l, 10 + tensor] == 1:
                least_kept |= 1 << (3 * l + tensor)
    found, quickest = 0, 1 << 62
    for i in range(n):
        quickest = min(quickest, U[i * width + 24 * levels + COMPUTE_LEFT])
    for i in range(n):
        if U[i * width + 24 * levels + COMPUTE_LEFT] > max(SLOWER * quickest, LARGE) or not start(s, i * width):
            continue
        ready(s, i * width, all_kept)
        fill_tiles(levels, i * width, Z, U, s.V)
        e, c = bound(levels, i * width, Z, U, A, H, s.orders, s.energies, s.V, s.Y, exists, False)
        _place(rank, W, order, found, e * c, i)
        found += 1
    _diversify(levels, found, order, AGAIN, U, rank, W)
    best, best_row, entered = np.inf, -1, 0
    for step in range(STEPS):
        if step > 0 and stat[EVALUATED] + stat[ESTIMATED] >= budget:
            break
        # The first steps let choices enter and finish the best of them. Then even steps climb from nothing, odd ones
        # from the best so far, refitted to other spatial factors.
        enters, refits, turn = step < ENTRIES, step >= ENTRIES and step % 2 == 1, step // 2 % 4
        if refits and best_row < 0:
            continue
        if enters:
            for j in range(entered, min(found, entered + ENTRANTS)):
                if j > 0 and stat[EVALUATED] + stat[ESTIMATED] >= budget:
                    break
                i = W[order + j]
                sb, now = i * width, np.inf
                fits = _from_nothing(s, sb, all_kept, least_kept)
                if fits:
                    now = climb(s, sb, 0, j % 4, QUICK, False)
                e, c = estimate(levels, Z, A, U, sb, H, s.compressed, s.bits, s.energies, s.V, s.Y, 0, np.inf)
                if m == 0 or (fits and not hidden(e * NEAR, c * NEAR, hull_energy, hull_cycles, m)):
                    m = evaluated(t, sb, m)
                    if m == 0:
                        note_violation(levels, t.slack, violation)
                Z[record - 1] = 0
                k = _place(rank, W, order, j, now, i)
                for other in range(j, k, -1):
                    _copy(Z, (FIRST + other - 1) * record, (FIRST + other) * record, record)
                _copy(Z, 0, (FIRST + k) * record, record)
                entered = j + 1
        if refits:
            for j in range(found):
                sb = W[order + j] * width
                refit(s, BEST * record, sb)
                ready(s, sb, Z[BEST * record + 9 * levels])
                _place(rank, W, again, j, estimated(s, sb, 0, np.inf), W[order + j])
        candidates = entered if enters else min(found, (REFITS if refits else CLIMBS) << step // 4)
        finished = 0
        for j in range(candidates):
            if stat[EVALUATED] + stat[ESTIMATED] >= budget:
                break
            entry = FIRST + j
            if enters:
                if finished == FINISHED:
                    break
                if Z[entry * record + record - 1] == 1:
                    continue
                Z[entry * record + record - 1] = 1
            if (enters or refits) and rank[j] == np.inf:
                break
            finished += 1
            i = W[again + j if refits else order + (j if step < 8 else j * found // candidates)]
            sb = i * width
            if refits:
                find_primes(s, sb)
                refit(s, BEST * record, sb)
                ready(s, sb, Z[BEST * record + 9 * levels])
            elif enters:
                find_primes(s, sb)
                _copy(Z, entry * record, 0, record)
                ready(s, sb, Z[9 * levels])
            elif not _from_nothing(s, sb, all_kept, least_kept):
                continue
            for aim in range(3):
                now = climb(s, sb, aim, turn, UNLIMITED, aim == 0)
                while aim == 0 and step >= TWO_MOVES and now < best * 1.02:
                    better = two_moves(s, sb, aim, now, PAIRS)
                    if better >= now:
                        break
                    now = climb(s, sb, aim, turn, UNLIMITED, True)
                if aim == 0 and now < best * 1.1:
                    now = _bypass(s, sb, turn, now)
                e, c = estimate(levels, Z, A, U, sb, H, s.compressed, s.bits, s.energies, s.V, s.Y, 0, np.inf)
                if not hidden(e * NEAR, c * NEAR, hull_energy, hull_cycles, m):
                    m = evaluated(t, sb, m)
                if aim == 0:
                    if now < best:
                        best, best_row = now, i
                        _copy(Z, 0, BEST * record, record)
                    if now > AIMS * best:
                        break
    for k in range(m):
        for slot in range(len(slot_id)):
            if slot_id[slot] == hull_id[k]:
                codes[k, :] = slots[slot]
                break
    return m
