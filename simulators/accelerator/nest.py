"""Nest analysis: how often each memory moves each tensor's words under an explicit mapping, in closed form.

A mapping is one list of loops, outer to inner, and for every memory level and tensor the number of loops outside
the tile that the level holds. Counts are those of a step-by-step execution that keeps the set of words of every
buffer (Parashar et al., "Timeloop", ISPASS 2019, analyses nests in this way; the exact counting of I's halos is ours):

- The loop bounds of a dimension multiply to at least its size. If to more (imperfect), the padded nest runs in
  full, but only words that exist are held, moved or multiplied. Padding rows and columns do not exist.
- An instance of a level fetches what its new tile holds and the last one did not (delta), or all of a tile that
  changed (refill). The parent reads the union over the children of a fan-out that shares, else the sum.
- Weights and outputs: tiles at different indices are disjoint, so a word moves once for every round of the
  irrelevant loops outside the innermost relevant one.
- Inputs: a tile is (n, g, c) x rows x columns. A step increments one temporal loop and resets those inside it.
  If n, g or c changes, all is new. Else rows move by a constant and columns by a constant, and the new words of a
  group of children number ``U_h U_w - Z_h Z_w``: U are the rows (columns) that any child holds, Z those of U that
  are old to every child holding them. Both are patterns that move rigidly with the outer loops, so that summing
  over all steps needs only the steps where padding clips the pattern, or where it hangs over the last output. With
  refill and padding, or imperfect filter loops, the axis is enumerated instead: slower, same counts.

Conventions (set, policy): ``exact`` counts touched words and delta; ``timeloop`` the bounding interval of each axis
and delta, and gives a returned partial sum to every member of a group that reduces (others: to one member);
``zigzag-3.9`` refill, without the gaps of the stride but with those of the dilation.

Arrays (all int64 unless said): layer (16,): sizes of N G K C P Q R S, then stride, dilation, padding (vertical,
horizontal), existing rows and columns of I. loops (n, 4): dim, bound, kind (0 temporal, 1 and 2 spatial X and Y),
level (temporal: whose block; spatial: the level above the fan-out). tiles (L, 3): loops outside the tile, -1 =
bypassed. counts (L, 3, 6), see the names below; totals over all instances, except TILE.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from archgym.borrow import borrow
from archgym.errors import UnknownNameError, UsageError
from archgym.kernel import kernel

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

DIMS = "NGKCPQRS"
TENSORS = "WIO"
N, G, K, C, P, Q, R, S = range(8)
WEIGHT, INPUT, OUTPUT = range(3)
STRIDE, DILATION, PADDING, EXTENT, LAYER_FIELDS = 8, 10, 12, 14, 16  # + axis (0 rows, 1 columns)

# Columns of a loop, and of the compact list of loops with bounds above 1 (which adds the last two).
DIM, BOUND, KIND, LEVEL, STEP = range(5)
LOOP_FIELDS, COMPACT_FIELDS = 4, 6
TEMPORAL, SPATIAL_X, SPATIAL_Y = range(3)

# counts[level, tensor]: words from the parent (O: partial sums returned), to children or MACs, from children or
# MACs, to the parent; largest tile of one instance; what this level delivers for the first tiles of its children
# (O: what it receives with the last).
FILLS, READS, UPDATES, DRAINS, TILE, FIRST, N_COUNT = range(7)

EXACT, BOX, STRIDE_GAPS_ONLY = range(3)  # set modes
DELTA, REFILL, TO_ALL = range(3)  # policies; to all: delta, and a returned sum goes to every member of a group
CONVENTIONS = {"exact": (EXACT, DELTA), "timeloop": (BOX, TO_ALL), "zigzag-3.9": (STRIDE_GAPS_ONLY, REFILL)}

# Columns of the hardware's arrays (see .hardware).
CAPACITY, SHARED_CAPACITY, DOUBLE_BUFFERED, SHARE, FANOUT, KEEP, PARTITIONED, HW_INTS = 0, 3, 4, 5, 8, 10, 13, 16
READ_PJ, WRITE_PJ, READ_BANDWIDTH, WRITE_BANDWIDTH, FAR_PJ, NEAR_PJ, LEAKAGE_W, AREA, HW_FLOATS = (
    0, 3, 6, 9, 12, 13, 14, 15, 20,
)  # fmt: skip
MAC_PJ, MAC_LEAKAGE_W, MAC_AREA, CLOCK_HZ = range(4)
NO_SHARE, MULTICAST, FORWARD = range(3)

# Results of `evaluate`; LEVEL_PJ + l is the energy of level l.
ENERGY_PJ, CYCLES, COMPUTE, LIMIT, MACS_PJ, WIRES_PJ, LEAKAGE_PJ, PES_USED, OVERHEAD, LEVEL_PJ = range(10)
# Columns of slack[level]: bits of W, I, O and of the shared store, children along X and Y; above 0 = does not fit.
SLACK_SHARED, SLACK_X, N_SLACK = 3, 4, 6

MAX_LEVELS = 16
OVERSIZE = 4  # how many times its size the bounds of a dimension may multiply to
UNLIMITED = -1
# Parts of the scratch X: index loops and union loops (step, bound, is_r) of the axis in hand; the product of each
# dimension and whether all are perfect; loops of each axis (position, bound, kind, level, is_r, step); compact
# position of each loop; the loops that padding clips; extents of each dimension inside each compact position;
# loops over r and p of an axis in hand, and its union loops.
_INDEX, _UNION, _WHOLE, _PERFECT, _AXIS, _PLACE, _FEW, _INSIDE = 0, 96, 192, 200, 208, 608, 736, 800
_AXIS_FIELDS, _AXIS_SIZE = 6, 200  # of each axis: number of loops, is perfect; then at most MAX_AXIS_LOOPS loops
_SAVED = 800 + 8 * 65
SCRATCH = _SAVED + 64 + 96
MAX_AXIS_LOOPS = 30
MAX_LOOPS, PLACES = 64, 127  # with a bound above 1; of any bound

_RELEVANT = (  # bit d: dimension d is relevant
    1 << G | 1 << K | 1 << C | 1 << R | 1 << S,
    1 << N | 1 << G | 1 << C | 1 << P | 1 << Q | 1 << R | 1 << S,
    1 << N | 1 << G | 1 << K | 1 << P | 1 << Q,
)
_RELEVANT_W, _RELEVANT_I, _RELEVANT_O = _RELEVANT


@kernel
def _relevant(v: int, dim: int) -> bool:
    mask = _RELEVANT_W if v == 0 else (_RELEVANT_I if v == 1 else _RELEVANT_O)
    return (mask >> dim) & 1 == 1


@kernel
def _compact(loops: Ints, n: int, B: Ints, D: Ints, X: Ints) -> int:
    """Loops with a bound above 1 into B, with their step in their dimension, and the tables of X."""
    kept = 0
    for i in range(n):
        X[_PLACE + i] = kept
        if loops[i, BOUND] > 1:
            B[kept, DIM] = loops[i, DIM]
            B[kept, BOUND] = loops[i, BOUND]
            B[kept, KIND] = loops[i, KIND]
            B[kept, LEVEL] = loops[i, LEVEL]
            kept += 1
    X[_PLACE + n] = kept
    for d in range(8):
        X[_INSIDE + 8 * kept + d] = 1
    for i in range(kept - 1, -1, -1):
        row = _INSIDE + 8 * i
        for d in range(8):
            X[row + d] = X[row + 8 + d]
        d = B[i, DIM]
        B[i, STEP] = X[row + d]
        X[row + d] = X[row + d] * B[i, BOUND]
    perfect = 1
    for d in range(8):
        X[_WHOLE + d] = X[_INSIDE + d]
        if X[_INSIDE + d] != D[d]:
            perfect = 0
    X[_PERFECT] = perfect
    for axis in range(2):
        at = _AXIS + axis * _AXIS_SIZE
        number, entry = 0, at + 2
        for i in range(kept):
            d = B[i, DIM]
            if d == P + axis or d == R + axis:
                X[entry], X[entry + 1], X[entry + 2], X[entry + 3] = i, B[i, BOUND], B[i, KIND], B[i, LEVEL]
                X[entry + 4], X[entry + 5] = 1 if d == R + axis else 0, B[i, STEP]
                entry += _AXIS_FIELDS
                number += 1
        X[at] = number
        X[at + 1] = 1 if X[_INSIDE + P + axis] == D[P + axis] and X[_INSIDE + R + axis] == D[R + axis] else 0
    return kept


@kernel
def _shared(B: Ints, i: int, H: Ints, v: int) -> int:
    return H[B[i, LEVEL], SHARE + v]


@kernel
def _below(start: int, length: int, X: Ints, n: int) -> int:
    """Sum over the n index loops of the part of [start + index, +length) that lies below 0; start < 0."""
    reach, few, combinations = -start, 0, 1
    for k in range(n):  # only small indices stay below, so most loops stand at 0
        step = X[_INDEX + 3 * k]
        if step < reach and X[_INDEX + 3 * k + 1] > 1:
            bound = min(X[_INDEX + 3 * k + 1], (reach - 1) // step + 1)
            X[_FEW + 2 * few], X[_FEW + 2 * few + 1] = step, bound
            few += 1
            combinations *= bound
    if few == 0:
        return min(length, reach)
    total = 0
    if few == 1:
        for i in range(combinations):
            total += min(length, reach - i * X[_FEW])
        return total
    for c in range(combinations):
        rest, here = c, reach
        for k in range(few):
            bound = X[_FEW + 2 * k + 1]
            here -= (rest % bound) * X[_FEW + 2 * k]
            rest //= bound
        if here > 0:
            total += min(length, here)
    return total


@kernel
def _clipped(start: int, length: int, rows: int, X: Ints, n: int) -> int:
    """Sum over the n index loops of the words of [start + index, +length) inside [0, rows)."""
    if length <= 0:
        return 0
    count, reach = 1, 0
    for k in range(n):
        count *= X[_INDEX + 3 * k + 1]
        reach += (X[_INDEX + 3 * k + 1] - 1) * X[_INDEX + 3 * k]
    total = count * length
    if start < 0:
        total -= _below(start, length, X, n)
    beyond = rows - (start + reach + length)  # the mirror image: the far end seen from the far border
    if beyond < 0:
        total -= _below(beyond, length, X, n)
    return total


@kernel
def _pattern(
    steps: int, tile_p: int, tile_r: int, step_p: int, step_r: int, delta: int, forward: bool, X: Ints, M: Ints
) -> int:
    """Mark in M the rows that the children of a group hold (1), and those of them new to a holder (2); its length.

    X[_UNION:] holds the ``steps`` loops (step, bound) over which the children lie; the tile is the rows
    p step_p + r step_r.
    """
    span = (tile_p - 1) * step_p + (tile_r - 1) * step_r + 1
    length = span
    for k in range(steps):
        length += (X[_UNION + 3 * k + 1] - 1) * X[_UNION + 3 * k]
    for x in range(length):
        M[x] = 0
    tile = length  # behind the pattern: one child's tile
    for x in range(span):
        M[tile + x] = 0
    for p in range(tile_p):
        for r in range(tile_r):
            M[tile + p * step_p + r * step_r] = 1
    children = 1
    for k in range(steps):
        children *= X[_UNION + 3 * k + 1]
    for child in range(children):
        rest, offset = child, 0
        for k in range(steps):
            offset += (rest % X[_UNION + 3 * k + 1]) * X[_UNION + 3 * k]
            rest //= X[_UNION + 3 * k + 1]
        for x in range(span):
            if M[tile + x]:
                before = x + delta
                held = delta == 0 or (0 <= before < span and M[tile + before] == 1)
                M[offset + x] |= 1 if held else 3
    if forward and delta != 0:  # new is what nobody in the group held
        for x in range(length):
            if M[x]:
                M[x] = 1 if 0 <= x + delta < length and M[x + delta] else 3
    return length


@kernel
def _runs(start: int, length: int, rows: int, wanted: int, X: Ints, n: int, M: Ints) -> int:
    """`_clipped` of the rows of a pattern that are marked (wanted 3: all of them; 1: only the old)."""
    total, x = 0, 0
    while x < length:
        if M[x] == 0 or (wanted == 1 and M[x] != 1):
            x += 1
            continue
        first = x
        while x < length and M[x] != 0 and (wanted != 1 or M[x] == 1):
            x += 1
        total += _clipped(start + first, x - first, rows, X, n)
    return total


@kernel
def _combinations(at: int, n: int, X: Ints) -> int:
    """How many index combinations n loops at X[at:] have."""
    total = 1
    for k in range(n):
        total *= X[at + 3 * k + 1]
    return total


@kernel
def _position(index: int, p: int, r: int, at: int, n: int, X: Ints) -> tuple[int, int]:
    """Output and tap at one combination, by number, of the n loops at X[at:]."""
    for k in range(n):
        digit = index % X[at + 3 * k + 1]
        index //= X[at + 3 * k + 1]
        if X[at + 3 * k + 2] == 0:
            p += digit * X[at + 3 * k]
        else:
            r += digit * X[at + 3 * k]
    return p, r


@kernel
def _enumerated(axis: int, delta_p: int, delta_r: int, base_p: int, base_r: int, tile_p: int, tile_r: int, n: int,
                steps: int, mode: int, policy: int, forward: bool, D: Ints, X: Ints,
                M: Ints) -> tuple[int, int]:  # fmt: skip
    """U and Z of an axis summed over its index loops, by building every set: for imperfect rows or columns."""
    size_p, size_r, rows = D[P + axis], D[R + axis], D[EXTENT + axis]
    step_p, step_r, pad = D[STRIDE + axis], D[DILATION + axis], D[PADDING + axis]
    combinations, children = _combinations(_INDEX, n, X), _combinations(_UNION, steps, X)
    whole, old = 0, 0
    for c in range(combinations):
        p, r = _position(c, base_p, base_r, _INDEX, n, X)
        for x in range(3 * rows):
            M[x] = 0
        for child in range(children):
            q, s = _position(child, p, r, _UNION, steps, X)
            for x in range(rows, 3 * rows):
                M[x] = 0
            _mark(q, s, tile_p, tile_r, size_p, size_r, step_p, step_r, pad, rows, mode, M, rows)
            _mark(
                q - delta_p, s - delta_r, tile_p, tile_r, size_p, size_r, step_p, step_r, pad, rows, mode, M, 2 * rows
            )
            same = delta_p == 0 and delta_r == 0
            if not same:
                same = True
                for x in range(rows):
                    if M[rows + x] != M[2 * rows + x]:
                        same = False
                        break
            for x in range(rows):
                if M[rows + x]:
                    held = same if policy == REFILL else (same or M[2 * rows + x] == 1)
                    M[x] |= 1 if held else 3
                if M[2 * rows + x]:
                    M[x] |= 4  # somebody held it before
        for x in range(rows):
            if M[x] & 1:
                whole += 1
                if forward:
                    old += 1 if M[x] & 4 else 0
                else:
                    old += 1 if M[x] & 2 == 0 else 0
    return whole, old


@kernel
def _intervals(axis: int, delta_p: int, delta_r: int, base_p: int, base_r: int, tile_p: int, tile_r: int, n: int,
               steps: int, policy: int, forward: bool, D: Ints, X: Ints, M: Ints) -> tuple[int, int]:  # fmt: skip
    """`_enumerated` for tiles without gaps: ends of intervals instead of sets."""
    size_p, size_r, rows = D[P + axis], D[R + axis], D[EXTENT + axis]
    step_p, step_r, pad = D[STRIDE + axis], D[DILATION + axis], D[PADDING + axis]
    combinations, children = _combinations(_INDEX, n, X), _combinations(_UNION, steps, X)
    fresh, held = rows + 1, 2 * rows + 2  # behind the rows that anybody holds: +1 at a start, -1 at an end
    whole, old = 0, 0
    for c in range(combinations):
        p, r = _position(c, base_p, base_r, _INDEX, n, X)
        for x in range(3 * rows + 3):
            M[x] = 0
        for child in range(children):
            q, s = _position(child, p, r, _UNION, steps, X)
            low = max(0, q * step_p + s * step_r - pad)
            high = (min(q + tile_p, size_p) - 1) * step_p + (min(s + tile_r, size_r) - 1) * step_r - pad + 1
            high = min(rows, high) if q < size_p and s < size_r else low
            q -= delta_p
            s -= delta_r
            low_old = max(0, q * step_p + s * step_r - pad)
            high_old = (min(q + tile_p, size_p) - 1) * step_p + (min(s + tile_r, size_r) - 1) * step_r - pad + 1
            high_old = min(rows, high_old) if q < size_p and s < size_r else low_old
            if high_old > low_old:
                M[held + low_old] += 1
                M[held + high_old] -= 1
            if high <= low:
                continue
            M[low] += 1
            M[high] -= 1
            if policy == REFILL:
                if low != low_old or high != high_old:
                    M[fresh + low] += 1
                    M[fresh + high] -= 1
                continue
            if high_old <= low_old:
                low_old, high_old = high, high
            if low < min(high, low_old):
                M[fresh + low] += 1
                M[fresh + min(high, low_old)] -= 1
            if max(low, high_old) < high:
                M[fresh + max(low, high_old)] += 1
                M[fresh + high] -= 1
        holders, finders, keepers = 0, 0, 0
        for x in range(rows):
            holders += M[x]
            finders += M[fresh + x]
            keepers += M[held + x]
            if holders > 0:
                whole += 1
                old += 1 if (forward and keepers > 0) or (not forward and finders == 0) else 0
    return whole, old


@kernel
def _mark(p: int, r: int, tile_p: int, tile_r: int, size_p: int, size_r: int, step_p: int, step_r: int, pad: int,
          rows: int, mode: int, M: Ints, at: int) -> None:  # fmt: skip
    """The existing rows of one tile, as ones in M[at : at + rows]; the ends of an interval may lie in the padding."""
    last_p, last_r = min(p + tile_p, size_p) - 1, min(r + tile_r, size_r) - 1
    if last_p < p or last_r < r:
        return
    if mode == BOX:
        for h in range(max(0, p * step_p + r * step_r - pad), min(rows, last_p * step_p + last_r * step_r - pad + 1)):
            M[at + h] = 1
        return
    gap = 1 if mode == STRIDE_GAPS_ONLY else step_r
    for i in range(p, last_p + 1):
        for h in range(i * step_p + r * step_r - pad, i * step_p + last_r * step_r - pad + 1, gap):
            if 0 <= h < rows:
                M[at + h] = 1


@kernel
def _axis(axis: int, j: int, last: int, above: int, inner: int, shared: bool, D: Ints, H: Ints, X: Ints, M: Ints,
          mode: int, policy: int) -> tuple[int, int]:  # fmt: skip
    """U and Z of the rows (axis 0) or columns (1) of I, summed over the steps of one kind.

    j: the temporal loop that increments; -1: nothing is old, the steps are those of the temporal loops up to
    ``last``, with all inner ones at 0. ``above`` and ``inner`` are the boundaries of parent and child; not
    ``shared``: every child counts for itself.
    """
    size_r, pad = D[R + axis], D[PADDING + axis]
    tile_p, tile_r = X[_INSIDE + 8 * inner + P + axis], X[_INSIDE + 8 * inner + R + axis]
    base_p, base_r, delta_p, delta_r, n, steps, forward = 0, 0, 0, 0, 0, 0, 2
    at = _AXIS + axis * _AXIS_SIZE
    perfect = X[at + 1] == 1
    for k in range(X[at]):
        entry = at + 2 + k * _AXIS_FIELDS
        i, bound, is_r, step = X[entry], X[entry + 1], X[entry + 4], X[entry + 5]
        if i >= inner:
            break
        if X[entry + 2] == TEMPORAL:
            if i < j or (j < 0 and i <= last):
                X[_INDEX + 3 * n], X[_INDEX + 3 * n + 1], X[_INDEX + 3 * n + 2] = step, bound, is_r
                n += 1
            elif i == j:
                if bound > 2:
                    X[_INDEX + 3 * n], X[_INDEX + 3 * n + 1], X[_INDEX + 3 * n + 2] = step, bound - 1, is_r
                    n += 1
                if is_r:
                    base_r += step
                    delta_r += step
                else:
                    base_p += step
                    delta_p += step
            elif j >= 0 and is_r:
                delta_r -= (bound - 1) * step
            elif j >= 0:
                delta_p -= (bound - 1) * step
        else:
            share = H[X[entry + 3], SHARE + INPUT] if shared and i >= above else NO_SHARE
            if share == NO_SHARE:
                X[_INDEX + 3 * n], X[_INDEX + 3 * n + 1], X[_INDEX + 3 * n + 2] = step, bound, is_r
                n += 1
            else:
                X[_UNION + 3 * steps], X[_UNION + 3 * steps + 1], X[_UNION + 3 * steps + 2] = step, bound, is_r
                steps += 1
                forward = min(forward, share)
    is_forward = forward == FORWARD and steps > 0
    is_pointwise = size_r == 1 and pad == 0 and mode != BOX and X[_WHOLE + R + axis] == 1
    if perfect or is_pointwise:
        if not (policy == REFILL and pad > 0):
            return _rigid(axis, delta_p, delta_r, base_p, base_r, tile_p, tile_r, n, steps, is_pointwise, is_forward,
                          j < 0, D, X, M, mode, policy)  # fmt: skip
    elif policy != REFILL and X[_WHOLE + R + axis] == size_r:
        return _overhanging(axis, delta_p, delta_r, base_p, base_r, tile_p, tile_r, n, steps, is_forward, j < 0, D, X,
                            M, mode, policy)  # fmt: skip
    whole, old = _by_steps(axis, delta_p, delta_r, base_p, base_r, tile_p, tile_r, n, steps, mode, policy, is_forward,
                           D, X, M)  # fmt: skip
    return whole, (old if j >= 0 else 0)


@kernel
def _by_steps(axis: int, delta_p: int, delta_r: int, base_p: int, base_r: int, tile_p: int, tile_r: int, n: int,
              steps: int, mode: int, policy: int, forward: bool, D: Ints, X: Ints,
              M: Ints) -> tuple[int, int]:  # fmt: skip
    """U and Z by going through all index loops."""
    step_p, step_r = D[STRIDE + axis], D[DILATION + axis]
    no_gaps = (step_r == 1 or tile_r == 1) and (tile_p == 1 or step_p <= tile_r)  # however short the last tile is
    if mode == BOX or (no_gaps and (step_p == 1 or X[_WHOLE + R + axis] == D[R + axis])):
        return _intervals(axis, delta_p, delta_r, base_p, base_r, tile_p, tile_r, n, steps, policy, forward, D, X, M)
    return _enumerated(axis, delta_p, delta_r, base_p, base_r, tile_p, tile_r, n, steps, mode, policy, forward, D, X, M)


@kernel
def _overhanging(axis: int, delta_p: int, delta_r: int, base_p: int, base_r: int, tile_p: int, tile_r: int, n: int,
                 steps: int, forward: bool, all_new: bool, D: Ints, X: Ints, M: Ints, mode: int,
                 policy: int) -> tuple[int, int]:  # fmt: skip
    """U and Z where the bounds over p multiply to more than there are outputs.

    As long as new and old tiles of a group exist in full they move rigidly: the positions p <= most are a sum of
    boxes of loops (digit by digit, as one compares numbers). The few positions where a tile hangs over are gone
    through.
    """
    reach = tile_p
    for k in range(steps):
        if X[_UNION + 3 * k + 2] == 0:
            reach += (X[_UNION + 3 * k + 1] - 1) * X[_UNION + 3 * k]
    most = D[P + axis] - reach - max(0, -delta_p) - base_p
    taps, outputs, lower, combinations = 0, 0, 0, 1  # saved: loops over r first, then those over p, outer to inner
    for k in range(n):
        if X[_INDEX + 3 * k + 2]:
            X[_SAVED + 2 * taps], X[_SAVED + 2 * taps + 1] = X[_INDEX + 3 * k], X[_INDEX + 3 * k + 1]
            taps += 1
    for k in range(n):
        if X[_INDEX + 3 * k + 2] == 0:
            at = _SAVED + 2 * (taps + outputs)
            X[at], X[at + 1] = X[_INDEX + 3 * k], X[_INDEX + 3 * k + 1]
            lower += (X[at + 1] - 1) * X[at]
            combinations *= X[at + 1]
            outputs += 1
    for k in range(3 * steps):
        X[_SAVED + 64 + k] = X[_UNION + k]
    whole, old, rest, prefix, k = 0, 0, most, 0, 0
    while rest >= 0:
        number, bound = 0, 0
        if k < outputs:
            at = _SAVED + 2 * (taps + k)
            lower -= (X[at + 1] - 1) * X[at]
            bound = 0 if rest < lower else min(X[at + 1], (rest - lower) // X[at] + 1)
            if bound == 0:
                k += 1
                continue
            number = outputs - k
        _restore(taps, taps + outputs - number, number, bound, steps, X)
        here, kept = _rigid(axis, delta_p, delta_r, base_p + prefix, base_r, tile_p, tile_r, taps + number, steps,
                            False, forward, all_new, D, X, M, mode, policy)  # fmt: skip
        whole += here
        old += kept
        if k >= outputs or bound == X[_SAVED + 2 * (taps + k) + 1]:
            break
        prefix += bound * X[_SAVED + 2 * (taps + k)]
        rest -= bound * X[_SAVED + 2 * (taps + k)]
        k += 1
    for c in range(combinations):
        left, p = c, 0
        for k in range(outputs):
            at = _SAVED + 2 * (taps + k)
            p += (left % X[at + 1]) * X[at]
            left //= X[at + 1]
        if p > most and base_p + p < D[P + axis]:
            _restore(taps, 0, 0, 0, steps, X)
            here, kept = _by_steps(axis, delta_p, delta_r, base_p + p, base_r, tile_p, tile_r, taps, steps, mode,
                                   policy, forward, D, X, M)  # fmt: skip
            whole += here
            old += 0 if all_new else kept
    return whole, old


@kernel
def _restore(taps: int, first: int, number: int, bound: int, steps: int, X: Ints) -> None:
    """Saved loops over r, and ``number`` of those over p from ``first`` on, the outermost with another bound."""
    for k in range(taps + number):
        at = _SAVED + 2 * (k if k < taps else first + k - taps)
        X[_INDEX + 3 * k], X[_INDEX + 3 * k + 1] = X[at], X[at + 1]
        X[_INDEX + 3 * k + 2] = 1 if k < taps else 0
    if number:
        X[_INDEX + 3 * taps + 1] = bound
    for k in range(3 * steps):
        X[_UNION + k] = X[_SAVED + 64 + k]


@kernel
def _rigid(axis: int, delta_p: int, delta_r: int, base_p: int, base_r: int, tile_p: int, tile_r: int, n: int,
           steps: int, is_pointwise: bool, is_forward: bool, all_new: bool, D: Ints, X: Ints, M: Ints, mode: int,
           policy: int) -> tuple[int, int]:  # fmt: skip
    """U and Z of patterns that move as they are, and are clipped by padding alone."""
    size_p, rows = D[P + axis], D[EXTENT + axis]
    step_p, step_r, pad = D[STRIDE + axis], D[DILATION + axis], D[PADDING + axis]
    if is_pointwise:  # rows step_p apart, one for each p: number them by p, and those from size_p on do not exist
        step_p = 1
        rows = size_p
    # From loops over p and r to loops over rows.
    for k in range(n):
        X[_INDEX + 3 * k] *= step_r if X[_INDEX + 3 * k + 2] else step_p
    for k in range(steps):
        X[_UNION + 3 * k] *= step_r if X[_UNION + 3 * k + 2] else step_p
    delta = delta_p * step_p + delta_r * step_r
    start = base_p * step_p + base_r * step_r - pad
    span = (tile_p - 1) * step_p + (tile_r - 1) * step_r + 1
    fill_r, fill_step = tile_r, step_r
    if mode == STRIDE_GAPS_ONLY:  # without the gaps of the dilation
        fill_r, fill_step = (tile_r - 1) * step_r + 1, 1
    solid = mode == BOX or _solid(tile_p, step_p, fill_r, fill_step)
    if policy == REFILL and delta != 0 and not is_forward:
        delta = span + 1 << 20  # everything is new: far beyond any pattern
    if solid:
        _sort(X, _UNION, steps)
        length, merged = span, True
        fresh = min(abs(delta), span)
        for k in range(steps):
            step, bound = X[_UNION + 3 * k], X[_UNION + 3 * k + 1]
            merged = merged and step <= length
            length += (bound - 1) * step
        if merged and steps and delta != 0 and not is_forward and fresh < span:
            reach = fresh
            for k in range(steps):
                merged = merged and X[_UNION + 3 * k] <= reach
                reach += (X[_UNION + 3 * k + 1] - 1) * X[_UNION + 3 * k]
        if merged:
            whole = _clipped(start, length, rows, X, n)
            if all_new:
                return whole, 0
            if delta == 0:
                return whole, whole
            kept = (length if is_forward else span) - abs(delta)
            if kept <= 0:
                return whole, 0
            at = 0 if delta > 0 else length - kept
            return whole, _clipped(start + at, kept, rows, X, n)
    if not solid and not is_forward and (fill_step == 1 or fill_r == 1):
        reach = fill_r
        for k in range(steps):
            if X[_UNION + 3 * k + 2]:
                reach += (X[_UNION + 3 * k + 1] - 1) * X[_UNION + 3 * k]
        if reach <= step_p:
            return _comb(start, fill_r, step_p, tile_p, delta, rows, all_new, n, steps, X)
    if mode == BOX:  # every row of the tile's interval
        length = _pattern(steps, 1, span, 1, 1, delta, is_forward, X, M)
    else:
        length = _pattern(steps, tile_p, fill_r, step_p, fill_step, delta, is_forward, X, M)
    whole = _runs(start, length, rows, 3, X, n, M)
    return whole, (0 if all_new else _runs(start, length, rows, 1, X, n, M))


@kernel
def _comb(start: int, tooth: int, step: int, teeth: int, delta: int, rows: int, all_new: bool, n: int, steps: int,
          X: Ints) -> tuple[int, int]:  # fmt: skip
    """U and Z of tiles of separate teeth, where no row has two holders: children and teeth count like index loops.

    Old rows are [i step + u, u < tooth] with a partner at distance delta = a step + b: tooth i + a, shifted by b,
    and tooth i + a + 1, shifted by b - step.
    """
    for k in range(steps):
        for f in range(3):
            X[_INDEX + 3 * (n + k) + f] = X[_UNION + 3 * k + f]
    n += steps
    last = _INDEX + 3 * n
    X[last], X[last + 1] = step, teeth
    whole = _clipped(start, tooth, rows, X, n + 1)
    if all_new:
        return whole, 0
    if delta == 0:
        return whole, whole
    old = 0
    a = delta // step
    b = delta - a * step
    for pair in range(2):
        distance, shift = a + pair, b - pair * step
        length, count = tooth - abs(shift), teeth - abs(distance)
        if length > 0 and count > 0:
            X[last + 1] = count
            old += _clipped(start + max(0, -distance) * step + max(0, -shift), length, rows, X, n + 1)
    return whole, old


@kernel
def _solid(tile_p: int, step_p: int, tile_r: int, step_r: int) -> bool:
    """Whether {p step_p + r step_r} has no gaps (sufficient)."""
    if step_r == 1 or tile_r == 1:
        return tile_p == 1 or step_p <= tile_r
    return step_p == 1 and step_r <= tile_p


@kernel
def _sort(X: Ints, at: int, n: int) -> None:
    """Loops (step, bound, kind) by step, ascending."""
    for i in range(1, n):
        for k in range(i, 0, -1):
            if X[at + 3 * k - 3] <= X[at + 3 * k]:
                break
            for f in range(3):
                X[at + 3 * k - 3 + f], X[at + 3 * k + f] = X[at + 3 * k + f], X[at + 3 * k - 3 + f]


@kernel
def _reached(dim: int, temporal: int, spatial: int, alone: bool, v: int, B: Ints, nc: int, D: Ints, H: Ints) -> int:
    """Index combinations of some loops of a dimension at which, with all others at 0, the index exists.

    Some: the temporal ones before position ``temporal``, the spatial ones before ``spatial``, and (alone) those
    behind it in fan-outs that do not share.
    """
    product = 1
    for i in range(nc):
        if B[i, DIM] == dim and _runs_there(i, temporal, spatial, alone, v, B, H):
            product *= B[i, BOUND]
    left, total = D[dim] - 1, 0
    for i in range(nc):
        if B[i, DIM] != dim:
            continue
        digit = left // B[i, STEP]
        if not _runs_there(i, temporal, spatial, alone, v, B, H):
            if digit >= 1:  # it stands at 0, so all that is inside exists
                return total + product
            continue
        if digit >= B[i, BOUND]:
            return total + product
        product //= B[i, BOUND]
        total += digit * product
        left -= digit * B[i, STEP]
    return total + 1


@kernel
def _runs_there(i: int, temporal: int, spatial: int, alone: bool, v: int, B: Ints, H: Ints) -> bool:
    if B[i, KIND] == TEMPORAL:
        return i < temporal
    return i < spatial or (alone and _shared(B, i, H, v) == NO_SHARE)


@kernel
def _started(above: int, inner: int, to_all: bool, B: Ints, nc: int, D: Ints, H: Ints) -> int:
    """Of imperfect nests: words of O times visits to the lowest level that start from zero and get an addition.

    In all rounds but the first one member of each group (or every one) is given the running sum.
    """
    temporal = 0
    for i in range(inner):
        if B[i, KIND] == TEMPORAL and _relevant(OUTPUT, B[i, DIM]):
            temporal = i
    visits, given, first = 1, 1, 1
    for d in (C, R, S):
        visits *= _reached(d, temporal, inner, False, OUTPUT, B, nc, D, H)
        given *= _reached(d, temporal, inner if to_all else above, False, OUTPUT, B, nc, D, H)
        first *= _reached(d, 0, inner if to_all else above, False, OUTPUT, B, nc, D, H)
    return _words(OUTPUT, 0, D) * (visits - (given - first))


@kernel
def _clipped_tile(dim: int, inner: int, at_end: bool, B: Ints, nc: int, D: Ints) -> int:
    """Existing indices of a dimension in all first (or last) tiles: temporal loops stand still, spatial ones run."""
    tile, start, lanes = 1, 0, 1
    for i in range(nc):
        if B[i, DIM] != dim:
            continue
        if i >= inner:
            tile *= B[i, BOUND]
        elif B[i, KIND] != TEMPORAL:
            lanes *= B[i, BOUND]
        elif at_end:
            start += (B[i, BOUND] - 1) * B[i, STEP]
    total = 0
    for lane in range(lanes):
        rest, here = lane, start
        for i in range(nc - 1, -1, -1):
            if B[i, DIM] == dim and i < inner and B[i, KIND] != TEMPORAL:
                here += (rest % B[i, BOUND]) * B[i, STEP]
                rest //= B[i, BOUND]
        total += max(0, min(tile, D[dim] - here))
    return total


@kernel
def _words(v: int, at: int, D: Ints) -> int:
    """Product of the relevant dimensions of D[at:]."""
    if v == WEIGHT:
        return D[at + G] * D[at + K] * D[at + C] * D[at + R] * D[at + S]
    return D[at + N] * D[at + G] * D[at + K] * D[at + P] * D[at + Q]


@kernel
def _count_disjoint(v: int, c: int, p: int, inner: int, above: int, B: Ints, nc: int, D: Ints, H: Ints, X: Ints,
                    Y: Ints, policy: int) -> None:  # fmt: skip
    """Weights or outputs between child c and parent p.

    rounds: of the irrelevant temporal loops outside the innermost relevant one. outer, shared, alone: irrelevant
    children above the parent, in fan-outs that share, in fan-outs that do not. lanes: relevant children.
    """
    rounds, outer, shared, alone, lanes, is_outside = 1, 1, 1, 1, 1, False
    for i in range(inner - 1, -1, -1):
        relevant, bound = _relevant(v, B[i, DIM]), B[i, BOUND]
        if B[i, KIND] == TEMPORAL:
            if relevant:
                is_outside = True
            elif is_outside:
                rounds *= bound
        elif relevant:
            lanes *= bound
        elif i < above:
            outer *= bound
        elif _shared(B, i, H, v) != NO_SHARE:
            shared *= bound
        else:
            alone *= bound
    words = _words(v, 0, D)
    everyone = words * rounds * outer * alone
    if X[_PERFECT]:
        first = _words(v, _INSIDE + 8 * inner, X) * lanes
    else:
        first = 1
        for d in range(8):
            if _relevant(v, d):
                first *= _clipped_tile(d, inner, v == OUTPUT, B, nc, D)
    Y[(p * 3 + v) * N_COUNT + FIRST] = first * outer * alone
    if v == WEIGHT:
        Y[(c * 3 + v) * N_COUNT + FILLS] = everyone * shared
        Y[(p * 3 + v) * N_COUNT + READS] = everyone
    else:
        given = shared * alone if policy == TO_ALL else 1
        Y[(c * 3 + v) * N_COUNT + FILLS] = words * outer * (rounds - 1) * given
        Y[(c * 3 + v) * N_COUNT + DRAINS] = everyone * shared
        Y[(p * 3 + v) * N_COUNT + UPDATES] = everyone
        Y[(p * 3 + v) * N_COUNT + READS] = everyone - words * outer


@kernel
def _count_inputs(c: int, p: int, inner: int, above: int, B: Ints, nc: int, D: Ints, H: Ints, X: Ints, M: Ints, Y: Ints,
                  mode: int, policy: int) -> None:  # fmt: skip
    """Inputs between child c and parent p."""
    channel, rounds, lanes_all, lanes_read, lanes_channel, moves, neighbours, forwards = (
        -1,
        1,
        1,
        1,
        1,
        False,
        False,
        True,
    )
    for i in range(inner):
        d = B[i, DIM]
        if B[i, KIND] == TEMPORAL:
            if d in (N, G, C):
                channel = i
        elif d == K:
            lanes_all *= B[i, BOUND]
            if i < above or _shared(B, i, H, INPUT) == NO_SHARE:
                lanes_read *= B[i, BOUND]
        elif d < P:
            lanes_channel *= B[i, BOUND]
        elif i >= above and _shared(B, i, H, INPUT) != NO_SHARE:
            moves = True  # children hold overlapping rows or columns
        if B[i, KIND] != TEMPORAL and i >= above and _shared(B, i, H, INPUT) != NO_SHARE:
            neighbours = True
            forwards = forwards and _shared(B, i, H, INPUT) == FORWARD
    for i in range(channel + 1):
        if B[i, KIND] == TEMPORAL and B[i, DIM] == K:
            rounds *= B[i, BOUND]
    fills, reads, first = 0, 0, 0
    reading = DELTA if neighbours and forwards else policy  # what a neighbour hands over is not read again
    moves = moves or reading != policy
    rows, _ = _axis(0, -1, channel, above, inner, True, D, H, X, M, mode, reading)
    columns, _ = _axis(1, -1, channel, above, inner, True, D, H, X, M, mode, reading)
    reads += rounds * rows * columns
    if moves:
        rows, _ = _axis(0, -1, channel, above, inner, False, D, H, X, M, mode, policy)
        columns, _ = _axis(1, -1, channel, above, inner, False, D, H, X, M, mode, policy)
        fills += rounds * rows * columns
    for j in range(channel + 1, inner):
        if B[j, KIND] != TEMPORAL:
            continue
        times = rounds * (B[j, BOUND] - 1) if B[j, DIM] == K else rounds
        if B[j, DIM] == K:
            rounds *= B[j, BOUND]
            moving = False  # a reset of nothing moves nothing
            for i in range(j + 1, inner):
                moving = moving or (B[i, KIND] == TEMPORAL and B[i, DIM] != K)
            if not moving:
                continue
        rows, old_rows = _axis(0, j, 0, above, inner, True, D, H, X, M, mode, reading)
        columns, old_columns = _axis(1, j, 0, above, inner, True, D, H, X, M, mode, reading)
        reads += times * (rows * columns - old_rows * old_columns)
        if moves:
            rows, old_rows = _axis(0, j, 0, above, inner, False, D, H, X, M, mode, policy)
            columns, old_columns = _axis(1, j, 0, above, inner, False, D, H, X, M, mode, policy)
            fills += times * (rows * columns - old_rows * old_columns)
    if not moves:
        fills = reads
    rows, _ = _axis(0, -1, -1, above, inner, True, D, H, X, M, mode, reading)
    columns, _ = _axis(1, -1, -1, above, inner, True, D, H, X, M, mode, reading)
    first = rows * columns
    if X[_PERFECT]:
        inside = _INSIDE + 8 * inner
        first *= X[inside + N] * X[inside + G] * X[inside + C] * lanes_channel
    else:
        for d in (N, G, C):
            first *= _clipped_tile(d, inner, False, B, nc, D)
    channels = D[N] * D[G] * D[C]
    Y[(c * 3 + INPUT) * N_COUNT + FILLS] = channels * fills * lanes_all
    Y[(p * 3 + INPUT) * N_COUNT + READS] = channels * reads * lanes_read
    Y[(p * 3 + INPUT) * N_COUNT + FIRST] = first * lanes_read


@kernel
def _largest_axis(axis: int, inner: int, D: Ints, X: Ints, M: Ints, mode: int) -> int:
    """Rows (columns) of the largest tile: the first of full size, or the best of all positions."""
    size_p, size_r, rows = D[P + axis], D[R + axis], D[EXTENT + axis]
    step_p, step_r, pad = D[STRIDE + axis], D[DILATION + axis], D[PADDING + axis]
    tile_p, tile_r, n = X[_INSIDE + 8 * inner + P + axis], X[_INSIDE + 8 * inner + R + axis], 0
    at = _AXIS + axis * _AXIS_SIZE
    if size_r == 1 and pad == 0 and mode != BOX and X[_WHOLE + R + axis] == 1:
        return min(tile_p, size_p)
    perfect = X[at + 1] == 1
    span = (tile_p - 1) * step_p + (tile_r - 1) * step_r + 1
    fill_r = (tile_r - 1) * step_r + 1 if mode == STRIDE_GAPS_ONLY else tile_r
    fill_step = 1 if mode == STRIDE_GAPS_ONLY else step_r
    solid = mode == BOX or _solid(tile_p, step_p, fill_r, fill_step)
    if perfect and solid and inner == 0:
        return max(0, min(span - pad, rows))
    full = span
    if not solid:
        full, length = 0, _pattern(0, tile_p, fill_r, step_p, fill_step, 0, False, X, M)
        for x in range(length):
            full += M[x]
    if perfect and pad == 0:
        return min(full, rows)
    while n < X[at] and X[at + 2 + n * _AXIS_FIELDS] < inner:
        entry = at + 2 + n * _AXIS_FIELDS
        X[_INDEX + 3 * n], X[_INDEX + 3 * n + 1], X[_INDEX + 3 * n + 2] = X[entry + 5], X[entry + 1], X[entry + 4]
        n += 1
    best = 0
    for c in range(_combinations(_INDEX, n, X)):
        p, r = _position(c, 0, 0, _INDEX, n, X)
        if perfect and solid:
            start = p * step_p + r * step_r - pad
            here = min(start + span, rows) - max(start, 0)
        else:
            for x in range(rows):
                M[x] = 0
            _mark(p, r, tile_p, tile_r, size_p, size_r, step_p, step_r, pad, rows, mode, M, 0)
            here = 0
            for x in range(rows):
                here += M[x]
        best = max(best, here)
        if best >= full:
            break
    return best


@kernel
def _tile(v: int, inner: int, D: Ints, X: Ints, M: Ints, mode: int) -> int:
    """Words of the largest tile of one instance."""
    at, total = _INSIDE + 8 * inner, 1
    for d in range(8):
        if _relevant(v, d) and not (v == INPUT and d >= P):
            total *= min(X[at + d], D[d])
    if v == INPUT:
        total *= _largest_axis(0, inner, D, X, M, mode) * _largest_axis(1, inner, D, X, M, mode)
    return total


@kernel
def _count_macs(
    v: int, p: int, above: int, B: Ints, nc: int, D: Ints, H: Ints, X: Ints, M: Ints, Y: Ints, mode: int
) -> None:
    """What the MACs read from, or add into, the innermost level p that keeps a tensor."""
    total = 1
    for d in range(8):
        if v == INPUT and d >= P:
            continue
        if _relevant(v, d) or X[_WHOLE + d] == D[d]:
            total *= D[d]
        else:
            total *= _reached(d, nc, above, True, v, B, nc, D, H)
    for i in range(above, nc):
        d = B[i, DIM]
        if B[i, KIND] != TEMPORAL and not _relevant(v, d) and X[_WHOLE + d] == D[d] and _shared(B, i, H, v) != NO_SHARE:
            total //= B[i, BOUND]
    if v == INPUT:
        rows, _ = _axis(0, -1, nc, above, nc, True, D, H, X, M, EXACT, DELTA)
        columns, _ = _axis(1, -1, nc, above, nc, True, D, H, X, M, EXACT, DELTA)
        total *= rows * columns
    at = (p * 3 + v) * N_COUNT
    if v == OUTPUT:
        Y[at + UPDATES] = total
    else:
        Y[at + READS] = total


@kernel
def _count(n_loops: int, levels: int, loops: Ints, tiles: Ints, D: Ints, H: Ints, B: Ints, X: Ints, M: Ints, Y: Ints,
           mode: int, policy: int) -> int:  # fmt: skip
    """All counters of one mapping into Y, the counts flattened; returns the number of compact loops."""
    nc = _compact(loops, n_loops, B, D, X)
    for i in range(levels * 3 * N_COUNT):
        Y[i] = 0
    for v in range(3):
        child, inner = -1, nc
        for level in range(levels):
            if tiles[level, v] < 0:
                continue
            above = X[_PLACE + tiles[level, v]]
            Y[(level * 3 + v) * N_COUNT + TILE] = _tile(v, above, D, X, M, mode)
            if child < 0:
                _count_macs(v, level, above, B, nc, D, H, X, M, Y, mode)
            elif v == INPUT:
                _count_inputs(child, level, inner, above, B, nc, D, H, X, M, Y, mode, policy)
            else:
                _count_disjoint(v, child, level, inner, above, B, nc, D, H, X, Y, policy)
            if v == OUTPUT and child < 0:
                lowest, started = level, _words(v, 0, D)  # without a parent
            elif v == OUTPUT and child == lowest:
                at = (lowest * 3 + v) * N_COUNT
                started = Y[at + DRAINS] - Y[at + FILLS]
                if not X[_PERFECT]:
                    started = _started(above, inner, policy == TO_ALL, B, nc, D, H)
            child, inner = level, above
        if v == OUTPUT:  # the first addition to a word that starts from zero reads nothing
            at = (lowest * 3 + v) * N_COUNT
            Y[at + READS] = Y[at + UPDATES] - started
    return nc


@kernel
def _slacks(levels: int, nc: int, B: Ints, H: Ints, bits: Ints, Y: Ints, tiles: Ints, slack: Ints) -> bool:
    """Bits that do not fit, and children that are not there, into slack (levels, 6); whether all is well."""
    fits = True
    for level in range(levels):
        copies = 2 if H[level, DOUBLE_BUFFERED] and level < levels - 1 else 1
        needed = 0
        for v in range(3):
            own = Y[(level * 3 + v) * N_COUNT + TILE] * bits[v] * copies if tiles[level, v] >= 0 else 0
            needed += own
            limited = own > 0 and H[level, CAPACITY + v] != UNLIMITED
            slack[level, v] = own - H[level, CAPACITY + v] if limited else 0
        limited = needed > 0 and H[level, SHARED_CAPACITY] != UNLIMITED
        slack[level, SLACK_SHARED] = needed - H[level, SHARED_CAPACITY] if limited else 0
        slack[level, SLACK_X] = -H[level, FANOUT]
        slack[level, SLACK_X + 1] = -H[level, FANOUT + 1]
        used_x, used_y = 1, 1
        for i in range(nc):
            if B[i, LEVEL] == level and B[i, KIND] == SPATIAL_X:
                used_x *= B[i, BOUND]
            elif B[i, LEVEL] == level and B[i, KIND] == SPATIAL_Y:
                used_y *= B[i, BOUND]
        slack[level, SLACK_X] += used_x
        slack[level, SLACK_X + 1] += used_y
        for f in range(N_SLACK):
            fits = fits and slack[level, f] <= 0
    return fits


@kernel
def _busy(read: float, write: float, read_bits: float, write_bits: float) -> float:
    """Cycles that the ports of one store are busy; bandwidths in bits a cycle, a negative one: one port for both."""
    if write < 0:
        return np.ceil((read_bits + write_bits) / read)
    return max(np.ceil(read_bits / read), np.ceil(write_bits / write))


@kernel
def _price(levels: int, nc: int, B: Ints, tiles: Ints, D: Ints, hw_i: Ints, hw_f: Floats, mac: Floats, bits: Ints,
           X: Ints, Y: Ints, maximum_only: bool, out: Floats) -> None:  # fmt: skip
    """Energy and cycles of counted words into out.

    A level's ports are busy with all its reads and writes (this may limit), with its part of the first and last
    tiles (never hidden), and, where it is not double-buffered, with exchanging tiles (not hidden either).
    maximum_only: as Timeloop, which hides all that and reads nothing to send it up.
    """
    compute, macs, instances = 1, 1, 1
    for d in range(8):
        macs *= D[d]
    for level in range(levels):
        X[_INDEX + level] = 1
    for i in range(nc):
        if B[i, KIND] == TEMPORAL:
            compute *= B[i, BOUND]
        else:
            X[_INDEX + B[i, LEVEL]] *= B[i, BOUND]
    slowest, limit, overhead, energy, leakage = float(compute), -1, 0.0, 0.0, mac[MAC_LEAKAGE_W]
    for level in range(levels - 1, -1, -1):
        partitioned, exposed = hw_i[level, PARTITIONED], level < levels - 1 and not hw_i[level, DOUBLE_BUFFERED]
        reads, writes, first_reads, first_writes, tile_reads, tile_writes = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        busy, first, tile, here = 0.0, 0.0, 0.0, 0.0
        for v in range(3):
            at = (level * 3 + v) * N_COUNT
            width = bits[v] / instances
            read, write = Y[at + READS], Y[at + FILLS] + Y[at + UPDATES]
            if not maximum_only:  # Timeloop charges nothing for reading what leaves
                read += Y[at + DRAINS]
            here += read * hw_f[level, READ_PJ + v] + write * hw_f[level, WRITE_PJ + v]
            reads += read * width
            writes += write * width
            if v == OUTPUT:
                first_writes += Y[at + FIRST] * width
            else:
                first_reads += Y[at + FIRST] * width
            if exposed:
                tile_reads += Y[at + DRAINS] * width
                tile_writes += Y[at + FILLS] * width
            if partitioned or v == OUTPUT:
                port = v if partitioned else 0
                in_rate, out_rate = hw_f[level, WRITE_BANDWIDTH + port], hw_f[level, READ_BANDWIDTH + port]
                busy = max(busy, _busy(out_rate, in_rate, reads, writes))
                first = max(first, _busy(out_rate, in_rate, first_reads, first_writes))
                if exposed:
                    tile = max(tile, _busy(out_rate, in_rate, tile_reads, tile_writes))
                reads, writes, first_reads, first_writes, tile_reads, tile_writes = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        if busy > slowest:
            slowest, limit = busy, level
        overhead += first + tile
        out[LEVEL_PJ + level] = here
        energy += here
        leakage += hw_f[level, LEAKAGE_W]
        instances *= X[_INDEX + level]
    wires = 0.0
    for v in range(3):
        parent = -1
        for level in range(levels - 1, -1, -1):
            if tiles[level, v] < 0:
                continue
            if parent >= 0:
                wires += _wires(v, parent, level, hw_f, bits, Y)
            parent = level
        wires += _wires(v, parent, -1, hw_f, bits, Y)
    if maximum_only:
        overhead = 0.0
    cycles = slowest + overhead
    out[CYCLES], out[COMPUTE], out[LIMIT], out[OVERHEAD], out[PES_USED] = cycles, compute, limit, overhead, instances
    out[MACS_PJ] = macs * mac[MAC_PJ]
    out[WIRES_PJ] = wires
    out[LEAKAGE_PJ] = leakage * (cycles / mac[CLOCK_HZ]) * 1e12
    out[ENERGY_PJ] = energy + out[MACS_PJ] + wires + out[LEAKAGE_PJ]


@kernel
def _wires(v: int, parent: int, child: int, hw_f: Floats, bits: Ints, Y: Ints) -> float:
    """Energy of a tensor's words across the fan-outs from a level to the next that keeps it (-1: the MACs)."""
    at = (parent * 3 + v) * N_COUNT
    unique = Y[at + UPDATES] + Y[at + READS] if v == OUTPUT else Y[at + READS]
    if child < 0:
        if v == OUTPUT:  # a running sum goes out and comes back only across a fan-out
            unique = Y[at + UPDATES]
        delivered = unique
    else:
        below = (child * 3 + v) * N_COUNT
        delivered = Y[below + DRAINS] + Y[below + FILLS] if v == OUTPUT else Y[below + FILLS]
    total = 0.0
    for level in range(child + 1, parent + 1):
        total += unique * hw_f[level, FAR_PJ] + max(0, delivered - unique) * hw_f[level, NEAR_PJ]
    return total * bits[v]


@kernel
def evaluate(n: int, loops: Ints, tiles: Ints, layer: Ints, hw_i: Ints, hw_f: Floats, mac: Floats, bits: Ints,
             mode: int, policy: int, maximum_only: bool, compact: Ints, scratch: Ints, marks: Ints, counts: Ints,
             slack: Ints, out: Floats) -> bool:  # fmt: skip
    """Count and price one mapping; returns whether it fits.

    Args:
        n: loops of ``loops`` (m >= n, 4).
        tiles, layer, hw_i, hw_f, mac, bits: see the module's text and `.hardware`.
        maximum_only: Timeloop's rules, see `_price`.
        compact (m, 6), scratch (SCRATCH,), marks (`marks_size` of the layer,): working memory.
        counts (L * 18,), slack (L, 6), out (LEVEL_PJ + L,): results.
    """
    levels = len(tiles)
    B, X, Y, D = borrow(compact, 6), borrow(scratch, 0), borrow(counts, 0), borrow(layer, 0)
    H, T, F = borrow(hw_i, 16), borrow(tiles, 3), borrow(hw_f, 20)
    nc = _count(n, levels, borrow(loops, 4), T, D, H, B, X, borrow(marks, 0), Y, mode, policy)
    fits = _slacks(levels, nc, B, H, borrow(bits, 0), Y, T, borrow(slack, 6))
    _price(levels, nc, B, T, D, H, F, borrow(mac, 0), borrow(bits, 0), X, Y, maximum_only, borrow(out, 0))
    return fits


@kernel
def _problem(n: int, levels: int, loops: Ints, tiles: Ints, D: Ints, X: Ints) -> int:
    """What makes a mapping meaningless or too large for the kernels' memory; an index into _PROBLEMS."""
    kept, rows, columns, steps = 0, 0, 0, 1.0
    for d in range(8):
        X[d] = 1
    for i in range(n):
        dim, bound = loops[i, DIM], loops[i, BOUND]
        if bound == 1:
            continue
        if not (0 <= dim < 8 and bound > 1 and 0 <= loops[i, KIND] <= 2 and 0 <= loops[i, LEVEL] < levels):
            return 1
        kept += 1
        if dim in (P, R):
            rows += 1
        elif dim in (Q, S):
            columns += 1
        steps *= bound
        if bound > OVERSIZE * D[dim] // X[dim]:
            return 3
        X[dim] *= bound
    if kept > MAX_LOOPS or max(rows, columns) > MAX_AXIS_LOOPS:
        return 2
    for d in range(8):
        if X[d] < D[d]:
            return 3
    if steps >= 9.2e18:
        return 4
    for level in range(levels):
        for v in range(3):
            if not -1 <= tiles[level, v] <= n or (level == levels - 1 and tiles[level, v] < 0):
                return 5
    return 0


@kernel
def _count_batch(lengths: Ints, loops: Ints, tiles: Ints, layer: Ints, hw_i: Ints, compact: Ints, scratch: Ints,
                 marks: Ints, mode: int, policy: int, counts: Ints) -> tuple[int, int]:  # fmt: skip
    for i in range(len(loops)):
        problem = _problem(lengths[i], tiles.shape[1], borrow(loops[i], 4), borrow(tiles[i], 3), borrow(layer, 0),
                           borrow(scratch, 0))  # fmt: skip
        if problem:
            return problem, i
        _count(lengths[i], tiles.shape[1], borrow(loops[i], 4), borrow(tiles[i], 3), borrow(layer, 0),
               borrow(hw_i, 16), borrow(compact, 6), borrow(scratch, 0), borrow(marks, 0), borrow(counts[i], 0),
               mode, policy)  # fmt: skip
    return 0, 0


@kernel
def _evaluate_batch(lengths: Ints, loops: Ints, tiles: Ints, layers: Ints, hw_i: Ints, hw_f: Floats, mac: Floats,
                    bits: Ints, mode: int, policy: int, maximum_only: bool, compact: Ints, scratch: Ints, marks: Ints,
                    counts: Ints, slack: Ints, out: Floats,
                    fits: npt.NDArray[np.bool_]) -> tuple[int, int]:  # fmt: skip
    for i in range(len(loops)):
        layer = layers[i if len(layers) > 1 else 0]
        problem = _problem(lengths[i], tiles.shape[1], borrow(loops[i], 4), borrow(tiles[i], 3), borrow(layer, 0),
                           borrow(scratch, 0))  # fmt: skip
        if problem:
            return problem, i
        fits[i] = evaluate(lengths[i], loops[i], tiles[i], layer, hw_i, hw_f, mac, bits, mode, policy, maximum_only,
                           compact, scratch, marks, counts[i], slack[i], out[i])  # fmt: skip
    return 0, 0


def is_relevant(v: int, dim: int) -> bool:
    """Whether a tensor's words differ along a dimension."""
    return bool(_RELEVANT[v] >> dim & 1)


def convention(name: str) -> tuple[int, int]:
    """Set mode and policy of a convention.

    Raises:
        UnknownNameError: no such convention.
    """
    if name not in CONVENTIONS:
        raise UnknownNameError("counting convention", name, CONVENTIONS)
    return CONVENTIONS[name]


def marks_size(layer: Ints) -> int:
    """Length of the kernels' row marks for a layer (16,), padded at most OVERSIZE times."""
    outputs, taps = OVERSIZE * layer[P : P + 2], OVERSIZE * layer[R : R + 2]
    span = int(((outputs - 1) * layer[STRIDE:DILATION] + (taps - 1) * layer[DILATION:PADDING] + 1).max())
    return 3 * max(span, int(layer[EXTENT]) + 1, int(layer[EXTENT + 1]) + 1) + 16


def count(layer: Ints, loops: Ints, tiles: Ints, hw_i: Ints, mode: int = EXACT, policy: int = DELTA) -> Ints:
    """Counters of mappings of one layer, without hardware limits.

    Args:
        layer: (16,).
        loops: (n, 4), or (m, n, 4) for m mappings (pad with bound 1).
        tiles: (L, 3), or (m, L, 3).
        hw_i: (L, 16); only the share flags are read.

    Returns:
        (L, 3, 6) or (m, L, 3, 6) int64, see the module's text.

    Raises:
        UsageError: as `evaluate_batch`.
    """
    single = loops.ndim == 2
    layer, hw_i = np.ascontiguousarray(layer, np.int64), np.ascontiguousarray(hw_i, np.int64)
    loops = np.ascontiguousarray(loops[None] if single else loops, np.int64)
    tiles = np.ascontiguousarray(tiles[None] if single else tiles, np.int64)
    m, n, levels = len(loops), loops.shape[1], tiles.shape[1]
    _check_arrays(layer[None], np.ones(3, np.int64), levels, n)
    counts = np.zeros((m, levels * 3 * N_COUNT), np.int64)
    problem = _count_batch(
        np.full(m, n, np.int64), loops, tiles, layer, hw_i, np.zeros((max(n, 1), 6), np.int64),
        np.zeros(SCRATCH, np.int64), np.zeros(marks_size(layer), np.int64), mode, policy, counts,
    )  # fmt: skip
    _raise(*problem)
    out = counts.reshape(m, levels, 3, N_COUNT)
    return out[0] if single else out


def evaluate_batch(
    layers: Ints,
    loops: Ints,
    tiles: Ints,
    hw_i: Ints,
    hw_f: Floats,
    mac: Floats,
    bits: Ints,
    name: str = "exact",
) -> dict[str, npt.NDArray[Any]]:
    """Count and price m mappings.

    Args:
        layers: (16,) for all mappings, or (m, 16).
        loops: (m, n, 4), padded with bound 1; tiles: (m, L, 3).
        hw_i, hw_f, mac, bits: the hardware's arrays.
        name: of a convention.

    Returns:
        ``counts`` (m, L, 3, 6), ``slack`` (m, L, 6), ``fits`` (m,), ``out`` (m, LEVEL_PJ + L).

    Raises:
        UnknownNameError: no such convention.
        UsageError: a mapping that is none, or more loops, levels or words than the kernels have room for.
    """
    mode, policy = convention(name)
    layers = np.ascontiguousarray(np.atleast_2d(layers), np.int64)
    hw_i, bits = np.ascontiguousarray(hw_i, np.int64), np.ascontiguousarray(bits, np.int64)
    loops = np.ascontiguousarray(loops, np.int64)
    tiles = np.ascontiguousarray(tiles, np.int64)
    m, n, levels = len(loops), loops.shape[1], tiles.shape[1]
    _check_arrays(layers, bits, levels, n)
    counts = np.zeros((m, levels * 3 * N_COUNT), np.int64)
    slack = np.zeros((m, levels, N_SLACK), np.int64)
    out = np.zeros((m, LEVEL_PJ + levels))
    fits = np.zeros(m, np.bool_)
    marks = max(marks_size(layer) for layer in layers)
    problem = _evaluate_batch(
        np.full(m, n, np.int64), loops, tiles, layers, hw_i, hw_f, mac, bits, mode, policy, name == "timeloop",
        np.zeros((max(n, 1), 6), np.int64), np.zeros(SCRATCH, np.int64), np.zeros(marks, np.int64),
        counts, slack, out, fits,
    )  # fmt: skip
    _raise(*problem)
    return {"counts": counts.reshape(m, levels, 3, N_COUNT), "slack": slack, "fits": fits, "out": out}


def _check_arrays(layers: Ints, bits: Ints, levels: int, places: int) -> None:
    """What can be told before the kernel runs: its working memory is of fixed size, its integers of 64 bits."""
    if levels > MAX_LEVELS:
        raise UsageError(f"expected at most {MAX_LEVELS} memory levels, got {levels}")
    if places > PLACES:
        raise UsageError(f"expected at most {PLACES} loops in a nest, got {places}")
    for layer in layers.tolist():
        sizes = layer[:8]
        inputs = sizes[N] * sizes[G] * sizes[C] * layer[EXTENT] * layer[EXTENT + 1]
        weights = math.prod(sizes[G : C + 1]) * sizes[R] * sizes[S]
        words = max(inputs, weights, math.prod(sizes[N : K + 1]) * sizes[P] * sizes[Q])
        if math.prod(sizes) >= _MOST or words * 6 * int(max(bits.tolist())) >= _MOST:
            raise UsageError(f"expected fewer than 2**63 MACs in a layer, and bits to hold its tensors; got {sizes}")


def _raise(problem: int, index: int) -> None:
    if problem:
        raise UsageError(f"mapping {index}: {_PROBLEMS[problem]}")


_MOST = 1 << 63
_PROBLEMS = (
    "",
    "expected loops of dimensions 0..7 and kinds 0..2, at levels of the hardware, with bounds of at least 1",
    f"expected at most {MAX_LOOPS} loops with a bound above 1, {MAX_AXIS_LOOPS} over P and R and as many over Q and S",
    f"expected bounds that multiply to at least a dimension's size, and to at most {OVERSIZE} times as much",
    "expected fewer than 9.2e18 MACs in the padded nest",
    "expected tiles that start between 0 and the number of loops (-1: bypassed), and all tensors at the last level",
)
