"""Moves of the mapper: how a candidate with given spatial factors climbs to a local optimum of its estimate.

A candidate is a row of ``Z``: temporal bounds (L, 8), the number of the order of each level's block (L,), and the
kept levels of each tensor as bits. The one that moves stands first. Its spatial factors are the row of ``U`` that
begins at ``sb``.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from archgym.kernel import kernel, kernel_calling

from . import mapper_estimate
from .mapper_estimate import N_ORDERS, compress, estimate, prepare, value

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

N, G, K, C, P, Q, R, S = range(8)
ESTIMATED = 1  # counter of estimates in ``stat``
ENOUGH = 1.0 - 1e-9  # an improvement is more than rounding
UNLIMITED = 1 << 62

# Dimensions in the order in which a climb tries them: which of them gets scarce capacity first.
_TURNS = np.array(
    ((K, C, P, Q, R, S, N, G), (Q, P, N, K, C, S, R, G), (C, S, R, K, Q, P, N, G), (R, S, Q, P, C, K, G, N)), np.int64
)


class Search(NamedTuple):
    """What the parts of a layer's search share; arrays are borrowed."""

    levels: int
    pixels: float  # part of the taps that do not lie in the padding
    maximum_only: bool  # latency without first fills, last drains and exchanges of tiles
    layer: Ints
    hardware: Ints
    energies: Floats
    mac: Floats
    bits: Ints
    most: Ints  # limits of temporal bounds (L * 8,)
    orders: Ints  # at (level * 8 + number) * 8
    Z: Ints
    U: Ints
    V: Floats  # scratch of the estimates
    Y: Ints
    compressed: Ints  # orders of the first candidate's dimensions
    primes: Ints  # (128,) of what is left of each dimension
    undo: Ints  # (8,)
    stat: Ints


@kernel_calling(mapper_estimate)
def ready(s: Search, sb: int, keep: int) -> None:
    """Prepare the estimates of the first candidate with these spatial factors and kept tensors."""
    s.Z[9 * s.levels] = keep
    prepare(s.levels, sb, s.Z, s.U, s.layer, s.hardware, s.bits, s.energies, s.mac, s.V, s.Y, s.pixels, False,
            s.maximum_only)  # fmt: skip
    compress(s.levels, s.orders, s.Y, s.compressed)


@kernel_calling(mapper_estimate)
def estimated(s: Search, sb: int, aim: int, limit: float) -> float:
    """The first candidate's estimated objective; infinite if it does not fit or is certain to reach the limit."""
    s.stat[ESTIMATED] += 1
    energy, cycles = estimate(s.levels, s.Z, s.layer, s.U, sb, s.hardware, s.compressed, s.bits, s.energies, s.V, s.Y,
                              aim, limit)  # fmt: skip
    return value(energy, cycles, aim)


@kernel
def find_primes(s: Search, sb: int) -> None:
    """Distinct primes of what is left of each dimension: primes[16 * d] of them from primes[16 * d + 1] on."""
    for d in range(8):
        m, rest, q = 0, s.U[sb + 24 * s.levels + d], 2
        while rest > 1:
            if q * q > rest:
                q = rest
            if rest % q == 0:
                s.primes[16 * d + 1 + m] = q
                m += 1
                while rest % q == 0:
                    rest //= q
            q += 1
        s.primes[16 * d] = m


@kernel
def start(s: Search, sb: int) -> bool:
    """All temporal loops as far out as they may stand, in the first order. False: there is no place."""
    for d in range(8):
        left = s.U[sb + 24 * s.levels + d]
        for l in range(s.levels - 1, -1, -1):
            limit = s.most[8 * l + d]
            factor = left
            if left > limit:
                factor = limit
                while left % factor:
                    factor -= 1
            s.Z[8 * l + d] = factor
            left //= factor
        if left > 1:
            return False
    for l in range(s.levels):
        s.Z[8 * s.levels + l] = 0
    return True


@kernel
def refit(s: Search, other: int, sb: int) -> None:
    """The first candidate gets, as far as they divide what is left to place, the factors and orders of another."""
    Z, levels, most = s.Z, s.levels, s.most
    for d in range(8):
        left = s.U[sb + 24 * levels + d]
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
            left = s.U[sb + 24 * levels + d]
            for l in range(levels - 1, -1, -1):
                factor = min(left, most[8 * l + d])
                while left % factor:
                    factor -= 1
                Z[8 * l + d] = factor
                left //= factor
    for l in range(levels):
        Z[8 * levels + l] = Z[other + 8 * levels + l]


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


@kernel
def _quotient(s: Search, d: int, k: int, place: int) -> int:
    """The k-th factor that may leave a place: a prime, or last all that stands there; 0: it is not there.

    -1: all of it is one of the primes, so that there is nothing more to try.
    """
    q, row = s.Z[place], 16 * d
    if k < s.primes[row]:
        prime = s.primes[row + 1 + k]
        return prime if q % prime == 0 else 0
    for i in range(s.primes[row]):
        if s.primes[row + 1 + i] == q:
            return -1
    return q if q > 1 else -1


@kernel_calling(mapper_estimate)
def _shift(s: Search, sb: int, d: int, aim: int, best: float, stop: int) -> float:
    """Try every move of a factor of one dimension from a level to another, keeping what improves; the objective."""
    Z = s.Z
    for k in range(s.primes[16 * d] + 1):
        for a in range(s.levels - 1, -1, -1):
            source = 8 * a + d
            q = _quotient(s, d, k, source)
            for b in range(s.levels):
                target = 8 * b + d
                if q < 1 or a == b or Z[target] * q > s.most[target]:
                    continue
                if s.stat[ESTIMATED] >= stop:
                    return best
                whole, room = Z[source], Z[target]
                Z[source] = whole // q
                Z[target] = room * q
                now = estimated(s, sb, aim, best)
                if now < best * ENOUGH:
                    best = now
                    q = _quotient(s, d, k, source)
                else:
                    Z[source] = whole
                    Z[target] = room
    return best


@kernel_calling(mapper_estimate)
def _reorder(s: Search, sb: int, aim: int, best: float) -> float:
    """Try every order of every level, keeping what improves; the objective."""
    Z, levels = s.Z, s.levels
    for l in range(1, levels):
        active = 0
        for d in range(8):
            active += 1 if Z[8 * l + d] > 1 else 0
        if active < 2:
            continue
        place = 8 * levels + l
        for number in range(N_ORDERS):
            old = Z[place]
            if number == old or same_orders(l, number, 8 * l, Z, s.compressed):
                continue
            Z[place] = number
            now = estimated(s, sb, aim, best)
            if now < best * ENOUGH:
                best = now
            else:
                Z[place] = old
    return best


@kernel_calling(mapper_estimate)
def _exchange(s: Search, sb: int, aim: int, best: float) -> float:
    """Try every exchange, keeping what improves: a full level gives up a factor to make room for another one."""
    Z, levels = s.Z, s.levels
    for a in range(levels - 1):
        for b in range(a + 1, levels):
            for down in range(8):
                inner, outer = 8 * a + down, 8 * b + down
                for i in range(s.primes[16 * down] + 1):
                    q = _quotient(s, down, i, outer)
                    if q < 1:
                        continue
                    for up in range(8):
                        low, high = 8 * a + up, 8 * b + up
                        for k in range(s.primes[16 * up] + 1):
                            r = _quotient(s, up, k, low)
                            if up == down or r < 1 or Z[outer] % q:
                                continue
                            if Z[inner] * q > s.most[inner] or Z[high] * r > s.most[high]:
                                continue
                            Z[outer] //= q
                            Z[inner] *= q
                            Z[low] //= r
                            Z[high] *= r
                            now = estimated(s, sb, aim, best)
                            if now < best * ENOUGH:
                                best = now
                            else:
                                Z[outer] *= q
                                Z[inner] //= q
                                Z[low] *= r
                                Z[high] //= r
    return best


@kernel_calling(mapper_estimate)
def climb(s: Search, sb: int, aim: int, turn: int, most: int, exchange: bool) -> float:
    """Improve the first candidate move by move until none helps or ``most`` estimates are spent; the objective."""
    best, stop = estimated(s, sb, aim, np.inf), s.stat[ESTIMATED] + most
    quiet = place = 0
    while quiet < 9 and s.stat[ESTIMATED] < stop:  # once around all places without an improvement
        before = best
        best = _shift(s, sb, _TURNS[turn, place], aim, best, stop) if place < 8 else _reorder(s, sb, aim, best)
        place = (place + 1) % 9
        quiet = quiet + 1 if best == before else 0
        if quiet == 9 and exchange:
            best = _exchange(s, sb, aim, best)
            quiet = quiet if best == before else 0
    return best


@kernel
def _move(s: Search, number: int, slot: int) -> bool:
    """Make move ``number`` of the first candidate if it is one, with what takes it back in undo[4 * slot:]."""
    Z, levels, undo = s.Z, s.levels, 4 * slot
    moves = 8 * 4 * levels * levels
    if number < moves:
        d, k = number % 8, number // 8 % 4
        a, b = number // 32 % levels, number // 32 // levels
        if a == b:
            return False
        source, target = 8 * a + d, 8 * b + d
        if k == 3:  # all of it
            k = max(3, s.primes[16 * d])
        elif k >= s.primes[16 * d]:
            return False
        q = _quotient(s, d, k, source)
        if q < 1 or Z[target] * q > s.most[target]:
            return False
        s.undo[undo], s.undo[undo + 1], s.undo[undo + 2], s.undo[undo + 3] = source, Z[source], target, Z[target]
        Z[source] //= q
        Z[target] *= q
        return True
    number -= moves
    place = 8 * levels + 1 + number // N_ORDERS
    if Z[place] == number % N_ORDERS:
        return False
    s.undo[undo], s.undo[undo + 1], s.undo[undo + 2], s.undo[undo + 3] = place, Z[place], place, Z[place]
    Z[place] = number % N_ORDERS
    return True


@kernel
def _back(s: Search, slot: int) -> None:
    s.Z[s.undo[4 * slot]] = s.undo[4 * slot + 1]
    s.Z[s.undo[4 * slot + 2]] = s.undo[4 * slot + 3]


@kernel_calling(mapper_estimate)
def two_moves(s: Search, sb: int, aim: int, best: float, most: int) -> float:
    """The first pair of moves that helps where no single one does; about ``most`` are tried."""
    moves = 8 * 4 * s.levels * s.levels + N_ORDERS * (s.levels - 1)
    stop = s.stat[ESTIMATED] + most
    for first in range(moves):
        if not _move(s, first, 0):
            continue
        for second in range(first + 1, moves):
            if not _move(s, second, 1):
                continue
            now = estimated(s, sb, aim, best)
            if now < best * ENOUGH:
                return now
            _back(s, 1)
        _back(s, 0)
        if s.stat[ESTIMATED] > stop:
            break
    return best
