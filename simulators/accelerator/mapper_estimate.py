"""A fast estimate of what `nest.evaluate` says of an even mapping: the mapper's compass.

Weights, outputs and compute cycles are counted as there. Inputs are counted as boxes that slide: padding enters as
an average, and where children of a fan-out hold pieces with gaps between them, the union is approximate. An
estimate costs a tenth of an evaluation, because all that depends on spatial factors and bypass alone is prepared
once. Nothing is reported from an estimate.

A candidate (the first ints of ``Z``): temporal bounds (L, 8), number of the order of each level's block (L,), and
one bit for each level and tensor that is kept. Its spatial factors (ints in ``U`` from ``sb``): products over both
axes (L, 8). ``A``: the layer's row. ``O``: orders, inner to outer, at (level * 8 + number) * 8.

For each tensor and each pair of levels (child, parent) that keep it in succession the traffic is linear in one
number x: for W and O the rounds of irrelevant loops that repeat it, for I the words that the parent reads.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from archgym.kernel import kernel

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

N, G, K, C, P, Q, R, S = range(8)
N_ORDERS = 8

# V: tiles (L + 1, 8) from the inside; constants; per level and tensor (48 = 16 x 3): busy cycles that are always
# there; per pair (48 x 18): coefficients of x.
_CUM, _ENERGY, _LEAK, _EXPOSED, _COMPUTE, _SPATIAL = 0, 136, 137, 138, 139, 144
_READ, _WRITE, _FIXED_READ, _FIXED_WRITE = 160, 208, 256, 304
_FIRST_READ, _FIRST_WRITE, _OUT, _IN = 352, 400, 448, 496
_PAIR, _PAIR_FIELDS = 544, 18
ESTIMATE_SCRATCH = _PAIR + 48 * _PAIR_FIELDS
# Fields of a pair: energy, cycles of parent's reads and writes and child's reads and writes per x; cycles of the first
# tile per word of one child; for I: words per (rows x columns), words with and without sharing, union lanes of P Q R S.
(_E, _PARENT_READ, _PARENT_WRITE, _CHILD_READ, _CHILD_WRITE, _FIRST, _SCALE, _ALONE, _UP, _UQ, _UR, _US, _LANES_H,
 _LANES_W, _SPREAD_E, _SPREAD_C) = range(16)  # fmt: skip
# Y: number of pairs, then per pair tensor, child, parent; from _LIMITED: 1 if a level's store is limited for a tensor;
# from _ACTIVE: number of dimensions with temporal loops and these dimensions; whether no dimension is padded.
_PAIRS, _LIMITED, _ACTIVE, _IS_PERFECT = 0, 160, 208, 217
PREPARED = 218


@kernel
def _rows(p: float, r: float, stride: float, dilation: float) -> float:
    """Rows that p outputs and r taps touch (dilated and strided at once: at most)."""
    if r == 1.0:
        return p
    if p == 1.0:
        return r
    if dilation == 1.0:
        return (p - 1.0) * stride + r if stride <= r else p * r
    return min(p * r, (p - 1.0) * stride + (r - 1.0) * dilation + 1.0)


@kernel
def _largest(p: float, r: float, axis: int, A: Ints) -> float:
    """Rows of the largest tile of p x r; padding and the far border clip it."""
    size_p, size_r, rows = float(A[P + axis]), float(A[R + axis]), float(A[14 + axis])
    stride, dilation, pad = float(A[8 + axis]), float(A[10 + axis]), float(A[12 + axis])
    p, r = min(p, size_p), min(r, size_r)
    length = _rows(p, r, stride, dilation)
    if pad == 0.0 or r < size_r:
        return min(length, rows)
    span = (p - 1.0) * stride + (r - 1.0) * dilation + 1.0
    start, best = -pad, 0.0
    tiles = int(np.ceil(size_p / p))
    for _ in range(tiles):
        here = min(start + span, rows) - max(start, 0.0)
        if here > best:
            best = here
        if best >= span:
            break
        start += p * stride
    return min(best, length)


@kernel
def _clip(p: float, r: float, whole_p: float, whole_r: float, axis: int, A: Ints) -> float:
    """Existing part of the rows of all tiles of p x r that make up whole_p x whole_r (padded bounds)."""
    size_p, size_r, rows = float(A[P + axis]), float(A[R + axis]), float(A[14 + axis])
    stride, dilation, pad = float(A[8 + axis]), float(A[10 + axis]), float(A[12 + axis])
    tiles_p, tiles_r = whole_p / p, whole_r / r
    length = _rows(p, r, stride, dilation)
    lost = 0.0
    if whole_p > size_p:  # tiles that stick out at the end
        count = np.floor(size_p / p)
        rest = size_p - count * p
        kept = count * length + (_rows(rest, r, stride, dilation) if rest > 0.0 else 0.0)
        lost += (tiles_p * length - kept) * tiles_r
    if pad > 0.0:
        beyond = (size_p - 1.0) * stride + (size_r - 1.0) * dilation + 1.0 - pad - rows
        for k in range(int(tiles_r)):
            clipped = pad - k * r * dilation
            while clipped > 0.0:
                lost += min(clipped, length)
                clipped -= p * stride
            clipped = beyond - (tiles_r - 1.0 - k) * r * dilation
            while clipped > 0.0:
                lost += min(clipped, length)
                clipped -= p * stride
    total = tiles_p * tiles_r * length
    return max(total - lost, 0.1 * total) / total


@kernel
def _slid(axis: int, A: Ints) -> float:
    """Existing part of the rows that a tile meets when it slides from border to border."""
    span = float((A[P + axis] - 1) * A[8 + axis] + (A[R + axis] - 1) * A[10 + axis] + 1)
    return min(1.0, float(A[14 + axis]) / span)


@kernel
def _fresh(span: float, whole: float, lanes: float, delta: float) -> float:
    """Rows of a group of children that none of them has to fetch when all move by delta."""
    delta = abs(delta)
    if delta >= span:
        return 0.0
    return max(span - delta, whole - lanes * delta)


@kernel
def pixels_met(axis: int, A: Ints) -> tuple[float, float]:
    """Pairs (p, r) that meet an existing row, and rows that are met."""
    pairs, rows = 0, 0
    for h in range(A[14 + axis]):
        met = 0
        for r in range(A[R + axis]):
            x = h + A[12 + axis] - r * A[10 + axis]
            if x >= 0 and x % A[8 + axis] == 0 and x // A[8 + axis] < A[P + axis]:
                met += 1
        pairs += met
        rows += 1 if met else 0
    return float(pairs), float(rows)


@kernel
def _mac_rows(axis: int, p: int, levels: int, sb: int, U: Ints, A: Ints, H: Ints, V: Floats) -> float:
    """Part of the reads of I that is left when lanes of a fan-out that share a row read it once."""
    lanes_p, lanes_r, step_p, step_r = 1.0, 1.0, 1.0, 1.0
    for l in range(p + 1):
        if H[l, 6] != 0:
            if U[sb + 8 * l + P + axis] > 1:
                lanes_p *= U[sb + 8 * l + P + axis]
                step_p = V[_CUM + 8 * l + P + axis]
            if U[sb + 8 * l + R + axis] > 1:
                lanes_r *= U[sb + 8 * l + R + axis]
                step_r = V[_CUM + 8 * l + R + axis]
    if lanes_p == 1.0 or lanes_r == 1.0:
        return 1.0
    ratio = step_p * A[8 + axis] / (step_r * A[10 + axis])
    if ratio != np.floor(ratio) or ratio >= lanes_r:
        return 1.0
    return float(((lanes_p - 1.0) * ratio + lanes_r) / (lanes_p * lanes_r))


@kernel
def prepare(levels: int, sb: int, Z: Ints, U: Ints, A: Ints, H: Ints, bits: Ints, hw_f: Floats, mac: Floats,
            V: Floats, Y: Ints, pixels: float, is_bound: bool, maximum_only: bool) -> None:  # fmt: skip
    """All that the spatial factors and the bypass of a candidate decide, into V (ESTIMATE_SCRATCH,), Y (PREPARED,).

    pixels: part of the taps that do not lie in the padding. is_bound: what is not exact must not be too much.
    maximum_only: latency without first fills, last drains and exchanges of tiles.
    """
    keep, macs, leakage, instances = Z[9 * levels], 1.0, mac[1], 1.0
    for d in range(8):
        macs *= A[d]
        V[_CUM + d] = 1.0
    for l in range(levels):  # tiles with no temporal loops at all: of dimensions that have none, and for `_mac_rows`
        for d in range(8):
            V[_CUM + 8 * l + 8 + d] = V[_CUM + 8 * l + d] * U[sb + 8 * l + d]
    V[_COMPUTE] = 1.0
    active, Y[_IS_PERFECT], top = 0, 1, _CUM + 8 * levels
    for d in range(8):
        rest = U[sb + 24 * levels + d]
        if rest * V[top + d] != A[d]:
            Y[_IS_PERFECT] = 0
        V[top + d] *= rest
        V[_COMPUTE] *= rest
        if rest > 1:
            Y[_ACTIVE + 1 + active] = d
            active += 1
    Y[_ACTIVE] = active
    for i in range(3 * levels):
        V[_FIXED_READ + i] = V[_FIXED_WRITE + i] = 0.0
    for l in range(levels - 1, -1, -1):
        V[_SPATIAL + l] = instances
        leakage += hw_f[l, 14]
        for d in range(8):
            instances *= U[sb + 8 * l + d]
    V[_LEAK] = leakage / mac[3] * 1e12
    V[_ENERGY] = macs * mac[0]
    V[_EXPOSED] = 0.0 if maximum_only else 1.0
    pairs = 0
    for v in (0, 2, 1):  # I last: it takes the longest, and what is known by then may decide already
        child = -1
        for level in range(levels):
            Y[_LIMITED + 3 * level + v] = 0
            if (keep >> (3 * level + v)) & 1 == 0:
                continue
            if H[level, 3] >= 0 or H[level, v] >= 0:
                Y[_LIMITED + 3 * level + v] = 1
            if child < 0:
                _prepare_macs(v, level, levels, sb, U, A, H, bits, hw_f, V, macs, pixels, is_bound)
            else:
                Y[1 + 3 * pairs], Y[2 + 3 * pairs], Y[3 + 3 * pairs] = v, child, level
                _prepare_pair(v, child, level, levels, sb, keep, U, A, H, bits, hw_f, V, _PAIR + _PAIR_FIELDS * pairs)
                pairs += 1
            child = level
    Y[_PAIRS] = pairs


@kernel
def _port(l: int, v: int, H: Ints, bits: Ints, hw_f: Floats, V: Floats) -> tuple[float, float]:
    """Cycles that a word keeps the ports of a level's store busy: read, written."""
    port = v if H[l, 13] else 0
    read, write = hw_f[l, 6 + port], hw_f[l, 9 + port]
    if write < 0.0:
        write = read
    return bits[v] / (V[_SPATIAL + l] * read), bits[v] / (V[_SPATIAL + l] * write)


@kernel
def _prepare_macs(v: int, p: int, levels: int, sb: int, U: Ints, A: Ints, H: Ints, bits: Ints, hw_f: Floats, V: Floats,
                  macs: float, pixels: float, is_bound: bool) -> None:  # fmt: skip
    """Words between the MACs and the innermost level p that keeps a tensor."""
    total = macs
    for l in range(p + 1):
        if H[l, 5 + v]:
            row = sb + 8 * l
            if v == 0:
                total /= U[row + N] * U[row + P] * U[row + Q]
            elif v == 1:
                total /= U[row + K]
            else:
                total /= U[row + C] * U[row + R] * U[row + S]
    if v == 1 and is_bound:
        total *= pixels
        for axis in range(2):
            lanes_p, lanes_r = 1, 1
            for l in range(p + 1):
                if H[l, 6]:
                    lanes_p *= U[sb + 8 * l + P + axis]
                    lanes_r *= U[sb + 8 * l + R + axis]
            total /= min(lanes_p, lanes_r)
    elif v == 1:
        total *= pixels * _mac_rows(0, p, levels, sb, U, A, H, V) * _mac_rows(1, p, levels, sb, U, A, H, V)
    read, write = _port(p, v, H, bits, hw_f, V)
    energy = total * hw_f[p, v]
    V[_FIXED_READ + 3 * p + v] += total * read
    if v == 2:
        energy += total * hw_f[p, 3 + v]
        V[_FIXED_WRITE + 3 * p + v] += total * write
        if p == levels - 1:  # the first addition to a word reads nothing
            words = float(A[N] * A[G] * A[K] * A[P] * A[Q])
            energy -= words * hw_f[p, v]
            V[_FIXED_READ + 3 * p + v] -= words * read
    for l in range(p + 1):
        energy += total * bits[v] * hw_f[l, 12]
    V[_ENERGY] += energy


@kernel
def _prepare_pair(v: int, c: int, p: int, levels: int, sb: int, keep: int, U: Ints, A: Ints, H: Ints, bits: Ints,
                  hw_f: Floats, V: Floats, to: int) -> None:  # fmt: skip
    """Coefficients of a pair of levels into V[to:]."""
    shared, alone, outer, lanes = 1.0, 1.0, 1.0, 1.0
    up, uq, ur, us, single = 1.0, 1.0, 1.0, 1.0, 1.0
    for l in range(c + 1, levels):
        row = sb + 8 * l
        if v == 0:
            irrelevant = float(U[row + N] * U[row + P] * U[row + Q])
            lanes *= U[row + G] * U[row + K] * U[row + C] * U[row + R] * U[row + S]
        elif v == 1:
            irrelevant = float(U[row + K])
            lanes *= U[row + N] * U[row + G] * U[row + C]
            if l <= p and H[l, 6]:
                up *= U[row + P]
                uq *= U[row + Q]
                ur *= U[row + R]
                us *= U[row + S]
            else:
                single *= U[row + P] * U[row + Q] * U[row + R] * U[row + S]
        else:
            irrelevant = float(U[row + C] * U[row + R] * U[row + S])
            lanes *= U[row + N] * U[row + G] * U[row + K] * U[row + P] * U[row + Q]
        if l > p:
            outer *= irrelevant
        elif H[l, 5 + v]:
            shared *= irrelevant
        else:
            alone *= irrelevant
    far, near = 0.0, 0.0
    for l in range(c + 1, p + 1):
        far += hw_f[l, 12] * bits[v]
        near += hw_f[l, 13] * bits[v]
    parent_read, parent_write = _port(p, v, H, bits, hw_f, V)
    child_read, child_write = _port(c, v, H, bits, hw_f, V)
    for i in range(_PAIR_FIELDS):
        V[to + i] = 0.0
    if v == 1:  # x: words that the parent reads, without lanes that share them
        V[to + _E] = hw_f[p, 1] + far - near
        V[to + _SPREAD_E] = hw_f[c, 4] + near
        V[to + _PARENT_READ] = parent_read
        V[to + _SPREAD_C] = child_write
        V[to + _SCALE] = float(A[N] * A[G] * A[C]) * outer * alone * single
        V[to + _ALONE] = shared
        V[to + _UP], V[to + _UQ], V[to + _UR], V[to + _US] = up, uq, ur, us
        V[to + _LANES_H], V[to + _LANES_W] = up * ur, uq * us
        V[to + _FIRST] = parent_read * lanes * outer * alone * single
        return
    if v == 0:
        base = float(A[G] * A[K] * A[C]) * (A[R] * A[S]) * outer * alone
        V[to + _E] = base * (hw_f[p, 0] + shared * hw_f[c, 3] + far + (shared - 1.0) * near)
        V[to + _PARENT_READ] = base * parent_read
        V[to + _CHILD_WRITE] = base * shared * child_write
        V[to + _FIRST] = parent_read * lanes * outer * alone
        return
    whole = float(A[N] * A[G] * A[K]) * (A[P] * A[Q]) * outer
    base = whole * alone
    lowest = keep & 0o4444444444444444 & ((1 << 3 * c) - 1) == 0
    started = 1.0 if lowest else 0.0  # the child reads nothing for the first addition after a start from zero
    V[to + _PARENT_WRITE] = base * parent_write
    V[to + _PARENT_READ] = base * parent_read
    V[to + _CHILD_READ] = base * shared * child_read
    V[to + _CHILD_WRITE] = whole * child_write
    V[to + _E] = (
        base * (hw_f[p, 5] + hw_f[p, 2] + shared * hw_f[c, 2] + 2.0 * far + (shared - 1.0) * near)
        + whole * (hw_f[c, 5] + near * (1.0 - alone))
        - started * hw_f[c, 2] * (base * shared - whole)
    )
    V[to + _FIRST] = parent_write * lanes * outer * alone
    V[_ENERGY] -= whole * (hw_f[p, 2] + hw_f[c, 5] + far) + started * hw_f[c, 2] * whole
    V[_FIXED_READ + 3 * p + 2] -= whole * parent_read
    V[_FIXED_WRITE + 3 * c + 2] -= whole * child_write
    if lowest:
        V[_FIXED_READ + 3 * c + 2] -= whole * child_read
        V[to + _SPREAD_C] = (base * shared - whole) * child_read


@kernel
def compress(levels: int, O: Ints, Y: Ints, CO: Ints) -> None:
    """Orders of the prepared candidate's dimensions with temporal loops alone, ended by -1, into CO."""
    mask = 0
    for i in range(Y[_ACTIVE]):
        mask |= 1 << Y[_ACTIVE + 1 + i]
    for row in range(0, 8 * levels * N_ORDERS, 8):
        n = row
        for k in range(8):
            d = O[row + k]
            if (mask >> d) & 1:
                CO[n] = d
                n += 1
        if n < row + 8:
            CO[n] = -1


@kernel
def value(energy: float, cycles: float, aim: int) -> float:
    """What a search minimises: energy x cycles, x cycles again (aim 1) or x energy again (aim 2)."""
    product = energy * cycles
    if aim == 1:
        product *= cycles
    elif aim == 2:
        product *= energy
    return product


@kernel
def estimate(levels: int, Z: Ints, A: Ints, U: Ints, sb: int, H: Ints, O: Ints, bits: Ints, hw_f: Floats,
             V: Floats, Y: Ints, aim: int, limit: float) -> tuple[float, float]:  # fmt: skip
    """Energy (pJ) and cycles of a prepared candidate, both infinite if a tile does not fit; O may be compressed.

    Both are infinite, too, where the value for the aim is certain to reach the limit before all is counted.
    """
    compute, active, perfect = V[_COMPUTE], Y[_ACTIVE], Y[_IS_PERFECT] == 1
    for l in range(levels):
        row = _CUM + 8 * l
        together = 0.0
        if l < levels - 1:
            for i in range(active):
                d = Y[_ACTIVE + 1 + i]
                V[row + 8 + d] = V[row + d] * (U[sb + 8 * l + d] * Z[8 * l + d])
        for v in range(3):
            if Y[_LIMITED + 3 * l + v] == 0:
                continue
            if v == 1:
                own = (
                    V[row + 8] * V[row + 9] * V[row + 11]
                    if perfect
                    else min(V[row + 8], float(A[N])) * min(V[row + 9], float(A[G])) * min(V[row + 11], float(A[C]))
                )
                own *= _largest(V[row + 12], V[row + 14], 0, A) * _largest(V[row + 13], V[row + 15], 1, A)
            elif perfect:
                if v == 0:
                    own = V[row + 9] * V[row + 10] * V[row + 11] * V[row + 14] * V[row + 15]
                else:
                    own = V[row + 8] * V[row + 9] * V[row + 10] * V[row + 12] * V[row + 13]
            elif v == 0:
                own = (
                    min(V[row + 9], float(A[G]))
                    * min(V[row + 10], float(A[K]))
                    * min(V[row + 11], float(A[C]))
                    * min(V[row + 14], float(A[R]))
                    * min(V[row + 15], float(A[S]))
                )
            else:
                own = (
                    min(V[row + 8], float(A[N]))
                    * min(V[row + 9], float(A[G]))
                    * min(V[row + 10], float(A[K]))
                    * min(V[row + 12], float(A[P]))
                    * min(V[row + 13], float(A[Q]))
                )
            own *= bits[v]
            if H[l, 4] and l < levels - 1:
                own *= 2.0
            together += own
            if H[l, v] >= 0 and own > H[l, v]:
                return np.inf, np.inf
        if H[l, 3] >= 0 and together > H[l, 3]:
            return np.inf, np.inf
    for i in range(3 * levels):
        V[_READ + i] = V[_FIXED_READ + i]
        V[_WRITE + i] = V[_FIXED_WRITE + i]
        V[_FIRST_READ + i] = V[_FIRST_WRITE + i] = V[_OUT + i] = V[_IN + i] = 0.0
    energy = V[_ENERGY]
    for j in range(Y[_PAIRS]):
        v, c, p = Y[1 + 3 * j], Y[2 + 3 * j], Y[3 + 3 * j]
        f, row = _PAIR + _PAIR_FIELDS * j, _CUM + 8 * c + 8
        above, below = 3 * p + v, 3 * c + v
        if v == 1:
            if value(energy + V[_LEAK] * compute, compute, aim) >= limit:
                return np.inf, np.inf
            x, spread, first = _inputs(c, levels, sb, f, Z, U, A, O, V)
            energy += x * V[f + _E] + spread * V[f + _SPREAD_E]
            V[_READ + above] += x * V[f + _PARENT_READ]
            written = spread * V[f + _SPREAD_C]
            V[_WRITE + below] += written
            V[_IN + below] = written
            V[_FIRST_READ + above] = first * V[row] * V[row + G] * V[row + C] * V[f + _FIRST]
            continue
        rounds, stays = 1.0, True
        for l in range(c + 1, levels):
            block = 8 * l
            if stays:
                order = (l * N_ORDERS + Z[8 * levels + l]) * 8
                for k in range(8):
                    d = O[order + k]
                    if d < 0:
                        break
                    bound = Z[block + d]
                    if bound == 1:
                        continue
                    relevant = (d != N and d != P and d != Q) if v == 0 else (d != C and d < R)
                    if relevant:
                        stays = False
                    elif not stays:
                        rounds *= bound
            elif v == 0:
                rounds *= Z[block] * Z[block + P] * Z[block + Q]
            else:
                rounds *= Z[block + C] * Z[block + R] * Z[block + S]
        energy += rounds * V[f + _E]
        V[_READ + above] += rounds * V[f + _PARENT_READ]
        if v == 0:
            written = rounds * V[f + _CHILD_WRITE]
            V[_WRITE + below] += written
            V[_IN + below] = written
            V[_FIRST_READ + above] = V[row + G] * V[row + K] * V[row + C] * V[row + R] * V[row + S] * V[f + _FIRST]
        else:
            V[_WRITE + above] += rounds * V[f + _PARENT_WRITE]
            read, written = rounds * V[f + _CHILD_READ], rounds * V[f + _CHILD_WRITE]
            V[_READ + below] += read - rounds * V[f + _SPREAD_C]
            V[_WRITE + below] += written
            V[_OUT + below] = read
            V[_IN + below] = written - V[f + _CHILD_WRITE]
            V[_FIRST_WRITE + above] = V[row] * V[row + G] * V[row + K] * V[row + P] * V[row + Q] * V[f + _FIRST]
    if value(energy + V[_LEAK] * compute, compute, aim) >= limit:
        return np.inf, np.inf
    slowest, overhead = compute, 0.0
    for l in range(levels):
        exposed = l < levels - 1 and H[l, 4] == 0
        if H[l, 13]:
            start, tile = 0.0, 0.0
            for v in range(3):
                i = 3 * l + v
                if hw_f[l, 9 + v] < 0.0:
                    slowest = max(slowest, V[_READ + i] + V[_WRITE + i])
                    tile = max(tile, V[_OUT + i] + V[_IN + i])
                else:
                    slowest = max(slowest, max(V[_READ + i], V[_WRITE + i]))
                    tile = max(tile, max(V[_OUT + i], V[_IN + i]))
                start = max(start, V[_FIRST_READ + i] + V[_FIRST_WRITE + i])
        else:
            i = 3 * l
            read, write = (
                V[_READ + i] + V[_READ + i + 1] + V[_READ + i + 2],
                V[_WRITE + i] + V[_WRITE + i + 1] + V[_WRITE + i + 2],
            )
            out, back = V[_OUT + i + 2], V[_IN + i] + V[_IN + i + 1] + V[_IN + i + 2]
            start, last = V[_FIRST_READ + i] + V[_FIRST_READ + i + 1], V[_FIRST_WRITE + i + 2]
            if hw_f[l, 9] < 0.0:
                slowest = max(slowest, read + write)
                start, tile = start + last, out + back
            else:
                slowest = max(slowest, max(read, write))
                start, tile = max(start, last), max(out, back)
        overhead += start + (tile if exposed else 0.0)
    cycles = slowest + overhead * V[_EXPOSED]
    return energy + V[_LEAK] * cycles, cycles


@kernel
def _inputs(
    c: int, levels: int, sb: int, f: int, Z: Ints, U: Ints, A: Ints, O: Ints, V: Floats
) -> tuple[float, float, float]:
    """Words of I that the parent reads, that the children are given, and those of the first step per channel."""
    row = _CUM + 8 * c + 8
    tp, tq, tr, ts = V[row + P], V[row + Q], V[row + R], V[row + S]
    stride_h, stride_w, dil_h, dil_w = float(A[8]), float(A[9]), float(A[10]), float(A[11])
    lanes_h, lanes_w = V[f + _LANES_H], V[f + _LANES_W]
    up, uq, ur, us = tp * V[f + _UP], tq * V[f + _UQ], tr * V[f + _UR], ts * V[f + _US]
    one_h, one_w = _rows(tp, tr, stride_h, dil_h), _rows(tq, ts, stride_w, dil_w)
    all_h, all_w = one_h, one_w
    if lanes_h > 1.0:
        all_h = min(_rows(up, ur, stride_h, dil_h), one_h * lanes_h)
    if lanes_w > 1.0:
        all_w = min(_rows(uq, us, stride_w, dil_w), one_w * lanes_w)
    unit_h, unit_w = 1.0, 1.0
    if dil_h > 1.0 and tr > 1.0 and tp == 1.0:  # taps with gaps: moves are counted in taps
        unit_h = dil_h
    if dil_w > 1.0 and ts > 1.0 and tq == 1.0:
        unit_w = dil_w
    gaps_h, gaps_w = tr < stride_h and tp > 1.0, tq > 1.0 and ts < stride_w
    gap_h, gap_w = tr if gaps_h else stride_h, ts if gaps_w else stride_w  # steps of P, Q in rows that are there
    jump_h, jump_w = 1e18 if gaps_h else dil_h, 1e18 if gaps_w else dil_w  # taps meet the gaps of the last tile
    slides_h, slides_w = False, False
    total, left, moved, reset_h, reset_w, channel = 0.0, 1.0, False, 0.0, 0.0, False
    area = all_h * all_w
    for l in range(c + 1, levels):
        block = 8 * l
        left *= Z[block + K] * Z[block + P] * Z[block + Q] * Z[block + R] * Z[block + S]
    for l in range(c + 1, levels):
        order, block = (l * N_ORDERS + Z[8 * levels + l]) * 8, 8 * l
        for k in range(8):
            d = O[order + k]
            if d < 0:
                break
            bound = Z[block + d]
            if bound == 1:
                continue
            if d == N or d == G or d == C:
                channel = True
                break
            steps = left
            left /= bound
            steps -= left
            move_h, move_w = reset_h, reset_w
            if d != K:
                step = V[_CUM + 8 * l + d] * U[sb + 8 * l + d]
                moved = True
                if d == P or d == R:
                    step *= (gap_h if d == P else jump_h) / unit_h
                    if step != np.floor(step):
                        step = 1e18
                    move_h = step - reset_h
                    reset_h += (bound - 1) * step
                else:
                    step *= (gap_w if d == Q else jump_w) / unit_w
                    if step != np.floor(step):
                        step = 1e18
                    move_w = step - reset_w
                    reset_w += (bound - 1) * step
            elif not moved:
                continue
            old_h, old_w = _fresh(one_h, all_h, lanes_h, move_h), _fresh(one_w, all_w, lanes_w, move_w)
            total += steps * (area - old_h * old_w)
            if old_h * old_w > 0.0:
                slides_h = slides_h or (move_h != 0.0 and old_h > 0.0)
                slides_w = slides_w or (move_w != 0.0 and old_w > 0.0)
        if channel:
            break
    total += area * left
    top = _CUM + 8 * levels
    if A[12] > 0 or V[top + P] > A[P]:
        total *= _slid(0, A) if slides_h and V[top + P] == A[P] else _clip(up, ur, V[top + P], V[top + R], 0, A)
    if A[13] > 0 or V[top + Q] > A[Q]:
        total *= _slid(1, A) if slides_w and V[top + Q] == A[Q] else _clip(uq, us, V[top + Q], V[top + S], 1, A)
    words = total * V[f + _SCALE]
    if A[12] + A[13] > 0:  # the first tile lies at the padded corner
        area *= (
            max(1.0, min(all_h - A[12], float(A[14]))) * max(1.0, min(all_w - A[13], float(A[15]))) / (all_h * all_w)
        )
    return words, words * V[f + _ALONE] * (one_h * one_w * lanes_h * lanes_w / (all_h * all_w)), area


@kernel
def _small_rows(p: float, r: float, axis: int, A: Ints) -> float:
    """At most as many rows as the largest tile of p x r has."""
    p, r = min(p, float(A[P + axis])), min(r, float(A[R + axis]))
    stride, dilation, pad, rows = float(A[8 + axis]), float(A[10 + axis]), float(A[12 + axis]), float(A[14 + axis])
    length = max(p, r) if dilation > 1.0 and stride > 1.0 else _rows(p, r, stride, dilation)
    return max(1.0, min(rows, length - 2.0 * pad - (dilation if dilation > 1.0 else 0.0)))


@kernel
def fill_tiles(levels: int, sb: int, Z: Ints, U: Ints, V: Floats) -> None:
    """Tiles of the candidate at 0 into V."""
    for d in range(8):
        V[_CUM + d] = 1.0
    for l in range(levels):
        for d in range(8):
            V[_CUM + 8 * l + 8 + d] = V[_CUM + 8 * l + d] * (U[sb + 8 * l + d] * Z[8 * l + d])


@kernel
def _input_bound(c: int, levels: int, sb: int, Z: Ints, U: Ints, A: Ints, O: Ints, V: Floats, f: int, exists: float,
                 ordered: bool) -> float:  # fmt: skip
    """Words of I, per lane that does not share, that the parent reads at least.

    Take the innermost loop over K that is outside of a loop that moves I. Each of its sweeps meets a set of words and
    finds at most one tile of them there. The first sweeps read, in all, every word that exists; the sets of the other
    rounds add up to that too, less the tiles found; a channel loop inside leaves nothing to be found.
    """
    if not ordered:
        return exists
    rounds, moved, channel = 1.0, False, False
    positions, first = 1.0, True
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
    row = _CUM + 8 * c + 8
    words = V[row + N] * V[row + G] * V[row + C]  # one group's tile: what it may carry over at most
    for l in range(c + 1, levels):
        words *= U[sb + 8 * l + N] * U[sb + 8 * l + G] * U[sb + 8 * l + C]
    h = _rows(V[row + P], V[row + R], float(A[8]), float(A[10]))
    w = _rows(V[row + Q], V[row + S], float(A[9]), float(A[11]))
    for l in range(c + 1, levels):
        h *= U[sb + 8 * l + P] * U[sb + 8 * l + R]
        w *= U[sb + 8 * l + Q] * U[sb + 8 * l + S]
    carried = words * h * w * positions
    return float(exists + (rounds - 1.0) * max(0.0, exists - carried))


@kernel
def bound(levels: int, sb: int, Z: Ints, U: Ints, A: Ints, H: Ints, O: Ints, hw_f: Floats, V: Floats, Y: Ints,
           exists: float, ordered: bool) -> tuple[float, float]:  # fmt: skip
    """Lower bounds of energy and cycles of a prepared candidate whose tiles are in V."""
    compute = 1.0
    for i in range(8 * levels):
        compute *= Z[i]
    for i in range(3 * levels):
        V[_READ + i] = V[_FIXED_READ + i]
        V[_WRITE + i] = V[_FIXED_WRITE + i]
        V[_OUT + i] = V[_IN + i] = V[_FIRST_READ + i] = V[_FIRST_WRITE + i] = 0.0
    energy, perfect = V[_ENERGY], True
    for d in range(8):
        perfect = perfect and V[_CUM + 8 * levels + d] == A[d]
    for j in range(Y[_PAIRS]):
        v, c, p = Y[1 + 3 * j], Y[2 + 3 * j], Y[3 + 3 * j]
        f, above, below, tile = _PAIR + _PAIR_FIELDS * j, 3 * p + v, 3 * c + v, _CUM + 8 * c + 8
        if v == 1:
            if perfect:
                words = V[tile + N] * V[tile + G] * V[tile + C] * V[f + _FIRST]
                for l in range(c + 1, levels):
                    if not (l <= p and H[l, 6]):
                        words /= U[sb + 8 * l + P] * U[sb + 8 * l + Q] * U[sb + 8 * l + R] * U[sb + 8 * l + S]
                words *= _small_rows(V[tile + P], V[tile + R], 0, A) * _small_rows(V[tile + Q], V[tile + S], 1, A)
                V[_FIRST_READ + above] = words
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
        if perfect and v == 0:
            V[_FIRST_READ + above] = V[tile + G] * V[tile + K] * V[tile + C] * V[tile + R] * V[tile + S] * V[f + _FIRST]
        elif perfect:
            V[_FIRST_WRITE + above] = V[tile] * V[tile + G] * V[tile + K] * V[tile + P] * V[tile + Q] * V[f + _FIRST]
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
        i, tile_cycles, start = 3 * l, 0.0, 0.0
        if H[l, 13]:
            for v in range(3):
                if hw_f[l, 9 + v] < 0.0:
                    slowest = max(slowest, V[_READ + i + v] + V[_WRITE + i + v])
                    tile_cycles = max(tile_cycles, V[_OUT + i + v] + V[_IN + i + v])
                else:
                    slowest = max(slowest, max(V[_READ + i + v], V[_WRITE + i + v]))
                    tile_cycles = max(tile_cycles, max(V[_OUT + i + v], V[_IN + i + v]))
                start = max(start, V[_FIRST_READ + i + v] + V[_FIRST_WRITE + i + v])
        else:
            read = V[_READ + i] + V[_READ + i + 1] + V[_READ + i + 2]
            write = V[_WRITE + i] + V[_WRITE + i + 1] + V[_WRITE + i + 2]
            out, back = V[_OUT + i + 2], V[_IN + i] + V[_IN + i + 1] + V[_IN + i + 2]
            first, last = V[_FIRST_READ + i] + V[_FIRST_READ + i + 1], V[_FIRST_WRITE + i + 2]
            if hw_f[l, 9] < 0.0:
                slowest, tile_cycles, start = max(slowest, read + write), out + back, first + last
            else:
                slowest, tile_cycles, start = max(slowest, max(read, write)), max(out, back), max(first, last)
        overhead += start + (tile_cycles if exposed else 0.0)
    cycles = (slowest + overhead * V[_EXPOSED]) * (1.0 - 1e-9)
    return (energy + V[_LEAK] * cycles) * (1.0 - 1e-9), cycles
