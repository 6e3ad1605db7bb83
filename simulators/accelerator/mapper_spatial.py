"""Spatial choices of the mapper: which dimensions run in parallel on which axis of which fan-out.

A choice is a row of ``U``: factors by level as the product over both axes (L, 8), along X (L, 8) and along Y (L, 8);
what is left of each dimension (8,); the compute cycles left; a mark of the products, which decide the cost.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from archgym.kernel import kernel

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

N, G, K, C, P, Q, R, S = range(8)
COMPUTE_LEFT, MARK, ROW_END = 8, 9, 10  # behind the 24 L factors, after what is left
_COUNT, _PLACE, _PRODUCT = 512, 520, 528  # of `work`, behind 64 divisors for each dimension
WORK = 544


@kernel
def _divisors(n: int, limit: int, least: int, out: Ints, at: int) -> int:
    """Divisors of n from ``least`` to ``limit`` into out[at:], largest first, so that a beam fills with the best."""
    m, f = at, 1
    while f * f <= n:
        if n % f == 0:
            if least <= f <= limit:
                out[m] = f
                m += 1
            other = n // f
            if other != f and least <= other <= limit:
                out[m] = other
                m += 1
        f += 1
    for i in range(at + 1, m):
        for k in range(i, at, -1):
            if out[k - 1] >= out[k]:
                break
            out[k - 1], out[k] = out[k], out[k - 1]
    return m - at


@kernel
def _sharing(levels: int, row: int, U: Ints, A: Ints, H: Ints) -> float:
    """Words that the lanes take from outside in a cycle for one multiplication: low where fan-outs share much."""
    total = 0.0
    for l in range(levels):
        at = row + 8 * l
        n, g, k, c = U[at], U[at + G], U[at + K], U[at + C]
        p, q, r, s = U[at + P], U[at + Q], U[at + R], U[at + S]
        lanes = float(n * g * k * c * p * q * r * s)
        if lanes == 1.0:
            continue
        w = g * k * c * r * s if H[l, 5] else lanes
        i = n * g * c * min(p * r, (p - 1) * A[8] + r) * min(q * s, (q - 1) * A[9] + s) if H[l, 6] else lanes
        o = n * g * k * p * q if H[l, 7] else lanes
        total += (w + i + 2.0 * o) / lanes
    return total


@kernel
def _keep_spatial(levels: int, row: int, U: Ints, n: int, beam: int, rank: Floats, A: Ints, H: Ints, base: int) -> int:
    """Add the row at ``row`` to the table of n rows at ``base`` if it is new and good enough."""
    width = 24 * levels + ROW_END
    compute = 1
    for d in range(8):
        compute *= U[row + 24 * levels + d]
    value = compute * (1.0 + 0.05 * _sharing(levels, row, U, A, H))
    place = n
    if n == beam:
        place = 0
        for i in range(1, n):
            if rank[i] > rank[place]:
                place = i
        if rank[place] <= value:
            return n
    mark = 0
    for i in range(8 * levels):
        mark = mark * 1000003 + U[row + i]
    U[row + 24 * levels + COMPUTE_LEFT] = compute
    U[row + 24 * levels + MARK] = mark
    for i in range(n):
        other = base + i * width
        if U[other + 24 * levels + MARK] == mark:
            same = True
            for k in range(8 * levels):
                if U[other + k] != U[row + k]:
                    same = False
                    break
            if same:
                return n
    to = base + place * width
    for k in range(width):
        U[to + k] = U[row + k]
    rank[place] = value
    return n + 1 if place == n else n


@kernel
def spatial_choices(levels: int, A: Ints, H: Ints, spatial_max: Ints, spatial_min: Ints, beam: int, U: Ints,
             rank: Floats, work: Ints) -> int:  # fmt: skip
    """Spatial choices into the rows of U, best first; their number.

    Axis by axis, a beam of the choices with the fewest compute cycles left. On an axis a dimension
    takes a divisor of what is left of it; one dimension of N G K C P Q may take, instead, the factor that fills the
    room left by the others: ceil(left / ceil(left / room)).

    spatial_max, spatial_min: flat. U: 2 * beam + 2 rows. work: (WORK,).
    """
    width = 24 * levels + ROW_END
    n, here, there, spare = 1, 0, beam * width, 2 * beam * width
    for i in range(24 * levels):
        U[i] = 1
    for d in range(8):
        U[24 * levels + d] = A[d]
    U[24 * levels + COMPUTE_LEFT] = U[24 * levels + MARK] = 0
    for l in range(levels):
        for axis in range(2):
            limit, bounds = H[l, 8 + axis], (2 * l + axis) * 8
            demanded = False
            for d in range(8):
                demanded = demanded or spatial_min[bounds + d] > 1
            if limit <= 1 and not demanded:
                continue
            m = 0
            for i in range(n):
                m = _expand(levels, here + i * width, l, axis, limit, bounds, A, H, spatial_max, spatial_min, beam,
                            U, rank, work, m, there, spare)  # fmt: skip
            here, there, n = there, here, m
    # Best first, in place at 0.
    if here != 0:
        for i in range(n * width):
            U[i] = U[here + i]
    for i in range(n):
        compute = U[i * width + 24 * levels + COMPUTE_LEFT]
        if compute == 0:
            compute = 1
            for d in range(8):
                compute *= U[i * width + 24 * levels + d]
            U[i * width + 24 * levels + COMPUTE_LEFT] = compute
        rank[i] = compute * (1.0 + 0.05 * _sharing(levels, i * width, U, A, H))
    for i in range(1, n):
        for k in range(i, 0, -1):
            if rank[k - 1] <= rank[k]:
                break
            rank[k - 1], rank[k] = rank[k], rank[k - 1]
            for j in range(width):
                a, b = (k - 1) * width + j, k * width + j
                U[a], U[b] = U[b], U[a]
    return n


@kernel
def _expand(levels: int, row: int, l: int, axis: int, limit: int, bounds: int, A: Ints, H: Ints, spatial_max: Ints,
            spatial_min: Ints, beam: int, U: Ints, rank: Floats, work: Ints, m: int, there: int,
            spare: int) -> int:  # fmt: skip
    """All choices on one axis of a fan-out that continue the row at ``row``."""
    rest = row + 24 * levels
    count, place, product = _COUNT, _PLACE, _PRODUCT
    for d in range(8):
        most = spatial_max[bounds + d]
        most = limit if most <= 0 else min(limit, most)
        least = min(spatial_min[bounds + d], U[rest + d])
        if most == 1 and least == 1:
            work[64 * d] = 1
            work[count + d] = 1
        else:
            work[count + d] = _divisors(U[rest + d], most, least, work, 64 * d)
    compute, worst = 1.0, _worst(m, rank)
    for d in range(8):
        compute *= U[rest + d]
    d = 0
    work[place] = -1
    work[product] = 1
    while d >= 0:
        work[place + d] += 1
        if work[place + d] >= work[count + d]:
            d -= 1
            continue
        if work[product + d] * work[64 * d + work[place + d]] > limit:
            continue
        work[product + d + 1] = work[product + d] * work[64 * d + work[place + d]]
        if d < 7:
            d += 1
            work[place + d] = -1
            continue
        used = work[product + 8]
        free = limit // used
        for e in range(6):
            left = U[rest + e]
            if (
                free < 2
                or left == 1
                or work[64 * e + work[place + e]] > 1
                or (m == beam and compute > worst * used * free)
            ):
                continue
            most = spatial_max[bounds + e]
            room = free if most <= 0 else min(free, most)
            if room > 1:
                fill = -(-left // -(-left // room))
                if left % fill:
                    _extend(levels, row, l, axis, U, work, spare, e, fill)
                    m = _keep_spatial(levels, spare, U, m, beam, rank, A, H, there)
                    worst = _worst(m, rank)
        if m < beam or compute <= worst * used:
            _extend(levels, row, l, axis, U, work, spare, -1, 1)
            m = _keep_spatial(levels, spare, U, m, beam, rank, A, H, there)
            if m == beam:
                worst = _worst(m, rank)
    return m


@kernel
def _worst(m: int, rank: Floats) -> float:
    worst = 0.0
    for i in range(m):
        worst = max(worst, rank[i])
    return worst


@kernel
def _extend(levels: int, row: int, l: int, axis: int, U: Ints, work: Ints, spare: int, special: int, fill: int) -> None:
    """The row at ``row`` with the factors in hand, into the spare row."""
    for i in range(24 * levels + 8):
        U[spare + i] = U[row + i]
    for d in range(8):
        factor = work[64 * d + work[_PLACE + d]]
        if d == special:
            factor = fill
        U[spare + 8 * l + d] *= factor
        U[spare + 8 * levels * (1 + axis) + 8 * l + d] = factor
        U[spare + 24 * levels + d] = -(-U[spare + 24 * levels + d] // factor)
