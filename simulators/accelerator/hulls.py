"""Lower convex hulls of (energy, cycles), and the mapping of each layer that makes a whole network best.

A mapper leaves a finite set S_i of mappings for each layer i, each with an energy e and cycles d. A network runs
layer i r_i times, so that with one mapping each

    E = sum_i r_i e_i        D = sum_i r_i d_i        objective f = E^a D^b with a, b >= 0, not both 0

(latency a, b = 0, 1; energy 1, 0; EDP 1, 1; ED2P 1, 2). The best network is not made of the layers' own best
mappings: a layer with little energy should be run faster than its own EDP asks for if others burn most of it.

**Only hull vertices matter, and the result is exact over all of S_i, not only over the hulls.** Let
T = {sum_i r_i s_i : s_i in S_i} be all networks, and V the vertices of the convex set conv(T) + quadrant, where the
quadrant is all (x, y) >= 0.

1. Each t in T is t = c + q with c a convex combination of V and q >= 0, because T is finite: a polyhedron without
   lines is the hull of its vertices plus its recession cone, here the quadrant.
2. f does not fall when E or D grows, so f(t) >= f(c).
3. f is quasi-concave for E, D >= 0: a log E + b log D is concave, exp is increasing, and where E^a or
   D^b is 0 f is at its least value. Hence f(c) >= min of f over V. So min f over T = min f over V.
4. A vertex of V is the only minimiser in T of E + lambda D for some lambda > 0. The sum splits by layer, so that
   each s_i is the only minimiser of e + lambda d in S_i: a vertex of its own layer's lower hull.

The converse fails (most sums of hull vertices are no vertices of V), and nothing here holds for an objective that
is not quasi-concave, such as max(E / E0, D / D0), nor for a limit on E or D, whose best point may lie inside.
Different mappings for the r_i runs of one layer gain nothing: conv(S + ... + S) = r conv(S).

V is walked by lowering lambda from infinity: every layer starts at its fewest cycles, and the edges of all hulls
are taken by falling slope -dE/dD (the edges of a Minkowski sum of convex polygons are theirs, merged by slope;
de Berg et al., Computational Geometry, 3rd ed., 2008, section 13.3). Repeats stretch an edge and keep its slope.
There are sum_i (m_i - 1) edges, so 1 + that many networks are looked at, whatever the number of objectives.

Rounding: `lower_hull` and `hull_insert` decide with an exact predicate. `sweep` compares slopes and objectives in
float64: two networks that differ by some 1e-15 may be taken for equal; cycles are exact.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from archgym.errors import UsageError
from archgym.kernel import inlined, kernel

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

OBJECTIVES: Mapping[str, tuple[float, float]] = MappingProxyType(
    {"latency": (0.0, 1.0), "energy": (1.0, 0.0), "edp": (1.0, 1.0), "ed2p": (1.0, 2.0)}
)
CAPACITY = 64  # a usual number of vertices for a streamed hull
_LARGEST_WEIGHT = 8.0  # E, D < 1e19: E^8 D^8 stays finite in float64
_INT64_MAX = 2**63 - 1


# ---- which side of a chord -----------------------------------------------------------------------------------


@kernel
def _exactly_below(e0: float, d0: int, e1: float, d1: int, e2: float, d2: int) -> bool:
    """`_below` in exact arithmetic: the sign of e0 (d2 - d1) + e2 (d1 - d0) - e1 (d2 - d0).

    Sums and products of float64 as sums of non-overlapping float64: T. J. Dekker, Numer. Math. 18 (1971);
    J. R. Shewchuk, Discrete Comput. Geom. 18 (1997), Grow-Expansion. The largest part has the sign of the sum.
    """
    parts = np.zeros(12)
    n = 0
    for term in range(3):
        if term == 0:
            e, d = e0, d2 - d1
        elif term == 1:
            e, d = e2, d1 - d0
        else:
            e, d = -e1, d2 - d0
        shifted = 134217729.0 * e  # 2^27 + 1: e = e_high + e_low of 26 bits each
        e_high = shifted - (shifted - e)
        e_low = e - e_high
        for half in range(2):  # d = 2^32 (d >> 32) + rest, both exact in float64
            x = float(d >> 32) * 4294967296.0 if half == 0 else float(d & 0xFFFFFFFF)
            shifted = 134217729.0 * x
            x_high = shifted - (shifted - x)
            x_low = x - x_high
            product = e * x
            error = e_low * x_low - (((product - e_high * x_high) - e_low * x_high) - e_high * x_low)
            for part in (error, product):
                total = part
                for k in range(n):
                    old = parts[k]
                    new = total + old
                    back = new - total
                    parts[k] = (total - (new - back)) + (old - back)
                    total = new
                parts[n] = total
                n += 1
    for k in range(n - 1, -1, -1):
        if parts[k] != 0.0:
            return bool(parts[k] > 0.0)
    return False


@kernel
def _below(e0: float, d0: int, e1: float, d1: int, e2: float, d2: int) -> bool:
    """Whether (e1, d1) lies strictly below the chord from (e0, d0) to (e2, d2), where d0 < d1 < d2."""
    left = (e1 - e0) * float(d2 - d1)
    right = (e2 - e1) * float(d1 - d0)
    # Each product carries three roundings and the difference one: less than 5 * 2^-53 = 5.6e-16 of the two.
    if abs(right - left) > 1e-15 * (abs(left) + abs(right)):
        return right > left
    return _exactly_below(e0, d0, e1, d1, e2, d2)


# ---- the hull of one layer -----------------------------------------------------------------------------------


@kernel
def lower_hull(energy: FloatArray, cycles: IntArray, out_index: IntArray) -> int:
    """Vertices of the lower convex hull of points (energy, cycles), from fewest cycles to least energy.

    These are the points that alone minimise energy + lambda * cycles for some lambda > 0. Points on an edge
    between two vertices are left out, of equal points the lowest index stays; so the answer is unique.

    Args:
        energy: (n,), 0 or 1e-200 ... 1e200; NaN or infinite means no point.
        cycles: (n,), 0 ... 2^62.
        out_index: (n,) room for indices into the points; the first m are written: cycles ascend, energy
            descends.

    Returns:
        m, the number of vertices; 0 if there is no point.
    """
    order = np.argsort(cycles)
    m = 0
    for i in order:
        e, d = energy[i], cycles[i]
        if not abs(e) < np.inf:
            continue
        if m > 0:
            top = out_index[m - 1]
            if cycles[top] == d and (e < energy[top] or (e == energy[top] and i < top)):
                m -= 1  # what that point pushed off the hull, this lower one pushes off too
            elif e >= energy[top]:
                continue
        while m > 1:
            a, b = out_index[m - 2], out_index[m - 1]
            if _below(energy[a], cycles[a], energy[b], cycles[b], e, d):
                break
            m -= 1
        out_index[m] = i
        m += 1
    return m


@kernel
def hull_insert(
    hull_energy: FloatArray, hull_cycles: IntArray, hull_id: IntArray, m: int, energy: float, cycles: int, identity: int
) -> int:
    """Add one point to a hull that is kept while points stream by; start with m = 0.

    The hull is that of `lower_hull` over all points so far (identities as its indices) in any order of arrival:
    a point that is dominated, inside, or on an edge changes nothing, of equal points the lowest identity stays.

    More than ``capacity`` vertices are not kept: of those between the ends the one goes that is missed least,
    with the smallest g = (energy of the chord between its neighbours at its cycles) / (its energy) - 1, at
    equality the one of fewer cycles. The minimum of energy + lambda * cycles then rises by at most the factor
    1 + g, for every lambda >= 0. A hull that never reached ``capacity`` is exact.

    Args:
        hull_energy, hull_cycles, hull_id: (capacity + 1,), capacity >= 2; the first m are the hull, fewest
            cycles first. Changed in place; what stands behind m means nothing.
        m: vertices so far.
        energy: of the point; NaN or infinite means no point. Ranges as in `lower_hull`.
        cycles: of the point.
        identity: of the point.

    Returns:
        The new m.
    """
    if not abs(energy) < np.inf:
        return m
    low, right = 0, m
    while low < right:  # first vertex with at least as many cycles
        middle = (low + right) // 2
        if hull_cycles[middle] < cycles:
            low = middle + 1
        else:
            right = middle
    left = right - 1
    if left >= 0 and hull_energy[left] <= energy:
        return m
    if right < m and hull_cycles[right] == cycles:
        if hull_energy[right] == energy and identity < hull_id[right]:
            hull_id[right] = identity
        if hull_energy[right] <= energy:
            return m
    elif left >= 0 and right < m:
        e0, d0, e2, d2 = hull_energy[left], hull_cycles[left], hull_energy[right], hull_cycles[right]
        if not _below(e0, d0, energy, cycles, e2, d2):
            return m

    while left > 0:
        e0, d0, e1, d1 = hull_energy[left - 1], hull_cycles[left - 1], hull_energy[left], hull_cycles[left]
        if _below(e0, d0, e1, d1, energy, cycles):
            break
        left -= 1
    while right < m and hull_energy[right] >= energy:  # dominated
        right += 1
    while right + 1 < m:
        e1, d1, e2, d2 = hull_energy[right], hull_cycles[right], hull_energy[right + 1], hull_cycles[right + 1]
        if _below(energy, cycles, e1, d1, e2, d2):
            break
        right += 1

    place = left + 1  # vertices left + 1 ... right - 1 give way to the point
    if right == place:
        for k in range(m, place, -1):
            hull_energy[k], hull_cycles[k], hull_id[k] = hull_energy[k - 1], hull_cycles[k - 1], hull_id[k - 1]
    hull_energy[place], hull_cycles[place], hull_id[place] = energy, cycles, identity
    if right > place + 1:
        _close_gap(hull_energy, hull_cycles, hull_id, m, place + 1, right)
    m += place + 1 - right
    if m == len(hull_energy):
        lost = _least_missed(hull_energy, hull_cycles, m)
        _close_gap(hull_energy, hull_cycles, hull_id, m, lost, lost + 1)
        m -= 1
    return m


@inlined
def _close_gap(
    hull_energy: FloatArray, hull_cycles: IntArray, hull_id: IntArray, m: int, start: int, stop: int
) -> None:
    """Move vertices stop ... m - 1 to ``start``."""
    for k in range(stop, m):
        to = start + k - stop
        hull_energy[to], hull_cycles[to], hull_id[to] = hull_energy[k], hull_cycles[k], hull_id[k]


@inlined
def _least_missed(hull_energy: FloatArray, hull_cycles: IntArray, m: int) -> int:
    """The vertex that a full hull gives up: see `hull_insert`."""
    best, least = 1, np.inf
    for k in range(1, m - 1):
        e0, e1, e2 = hull_energy[k - 1], hull_energy[k], hull_energy[k + 1]
        share = float(hull_cycles[k] - hull_cycles[k - 1]) / float(hull_cycles[k + 1] - hull_cycles[k - 1])
        gap = (e0 - e1 - (e0 - e2) * share) / e1
        if gap < least:
            best, least = k, gap
    return best


# ---- the network ---------------------------------------------------------------------------------------------


@inlined
def _power(x: float, weight: float) -> float:
    """x ** weight; without the library call, and so without its rounding, for the usual weights."""
    if weight == 0.0:
        return 1.0
    if weight == 1.0:
        return x
    if weight == 2.0:
        return x * x
    return float(x**weight)


@inlined
def _add(total: float, rest: float, x: float) -> tuple[float, float]:
    """total + rest + x with the rounding error of the sum kept in the rest (Knuth's two-sum)."""
    new = total + x
    back = new - total
    return new, rest + ((total - (new - back)) + (x - back))


@kernel
def sweep(
    energy: FloatArray,
    cycles: IntArray,
    sizes: IntArray,
    repeats: IntArray,
    weights: FloatArray,
    choice: IntArray,
    best_energy: FloatArray,
    best_cycles: IntArray,
) -> int:
    """The best network for each of k objectives, in one walk over the hulls of n layers (see the module).

    Of networks with equal objective the one with fewest cycles is taken; edges of equal slope are taken in the
    order of the layers.

    Args:
        energy, cycles: (n, capacity), a hull per row as from `lower_hull`: fewest cycles first.
        sizes: (n,) vertices in each row.
        repeats: (n,) runs of each layer, >= 1. The sum of repeats * cycles must stay below 2^63.
        weights: (k, 2) exponents of energy and delay, >= 0, not both 0.
        choice: (k, n), written: the vertex of each layer, a column of ``energy``.
        best_energy, best_cycles: (k,), written: totals over layers and repeats.

    Returns:
        The number of networks looked at, 1 + edges; 0, and nothing is written, if a layer has no vertex.
    """
    layers, objectives = len(sizes), len(weights)
    edges = 0
    for i in range(layers):
        if sizes[i] < 1:
            return 0
        edges += sizes[i] - 1
    position, taken = np.zeros(layers, np.int64), np.empty(edges, np.int64)
    slope = np.full(layers, -1.0)  # of the next edge of each hull, -1 at its end
    best, best_step = np.full(objectives, np.inf), np.zeros(objectives, np.int64)

    total, rest, delay = 0.0, 0.0, 0  # energy = total + rest, which does not drift over the walk
    for i in range(layers):
        total, rest = _add(total, rest, repeats[i] * energy[i, 0])
        delay += repeats[i] * cycles[i, 0]
        if sizes[i] > 1:
            slope[i] = (energy[i, 0] - energy[i, 1]) / float(cycles[i, 1] - cycles[i, 0])

    for step in range(edges + 1):
        for k in range(objectives):
            value = _power(total + rest, weights[k, 0]) * _power(float(delay), weights[k, 1])
            if value < best[k]:
                best[k], best_step[k] = value, step
        if step == edges:
            break
        i, steepest = 0, -1.0  # a scan: at the 10 to 100 layers there are, as fast as a heap
        for other in range(layers):
            if slope[other] > steepest:
                i, steepest = other, slope[other]
        j = position[i]
        total, rest = _add(total, rest, -repeats[i] * energy[i, j])
        total, rest = _add(total, rest, repeats[i] * energy[i, j + 1])
        delay += repeats[i] * (cycles[i, j + 1] - cycles[i, j])
        taken[step] = i
        position[i] = j + 1
        if j + 2 < sizes[i]:
            slope[i] = (energy[i, j + 1] - energy[i, j + 2]) / float(cycles[i, j + 2] - cycles[i, j + 1])
        else:
            slope[i] = -1.0

    for k in range(objectives):
        choice[k, :] = 0
        for step in range(best_step[k]):
            choice[k, taken[step]] += 1
        best_energy[k], best_cycles[k] = 0.0, 0
        for i in range(layers):
            best_energy[k] += repeats[i] * energy[i, choice[k, i]]
            best_cycles[k] += repeats[i] * cycles[i, choice[k, i]]
    return edges + 1


@dataclass(frozen=True, slots=True)
class NetworkOptimum:
    """One mapping per layer, and what the network then costs.

    Args:
        choice: per layer, the index into the points that were given for it.
        energy: sum of repeats * energy, in the unit of the points.
        cycles: sum of repeats * cycles.
    """

    choice: tuple[int, ...]
    energy: float
    cycles: int


def network_optimum(
    points: Sequence[tuple[FloatArray, IntArray]], repeats: Sequence[int] | IntArray, weights: tuple[float, float]
) -> NetworkOptimum:
    """The network of least E^a D^b, (a, b) = weights: `network_optima` for one objective (see `OBJECTIVES`)."""
    return network_optima(points, repeats, (weights,))[0]


def network_optima(
    points: Sequence[tuple[FloatArray, IntArray]],
    repeats: Sequence[int] | IntArray,
    weights: Sequence[tuple[float, float]],
) -> tuple[NetworkOptimum, ...]:
    """The network of least E^a D^b for each (a, b) of ``weights``, exact over all points (see the module).

    Args:
        points: per layer (energy (m,), cycles (m,)) of the mappings to choose from: hull vertices or any others,
            in any order; m may differ. Energies that are NaN or infinite are passed over.
        repeats: runs of each layer, >= 1.
        weights: exponents of energy and delay per objective, 0 ... 8, not both 0.

    Returns:
        One optimum per objective; the choice indexes the given points. Ties: fewest cycles, then lowest index.

    Raises:
        UsageError: no layer, a layer without a point, lengths that differ, or a number out of range.
    """
    runs, exponents = _checked_runs(points, repeats), _checked_weights(weights)
    hulls = [_checked_hull(index, *pair) for index, pair in enumerate(points)]
    slowest = sum(int(run) * int(hull[2][-1]) for run, hull in zip(runs, hulls, strict=True))
    if slowest > _INT64_MAX:
        raise UsageError(f"cycles: expected a network below 2**63 cycles, got {slowest}; use fewer repeats")
    sizes = np.array([len(hull[0]) for hull in hulls], np.int64)
    energy, cycles = np.zeros((len(hulls), sizes.max())), np.zeros((len(hulls), sizes.max()), np.int64)
    for row, (_, e, d) in enumerate(hulls):
        energy[row, : len(e)], cycles[row, : len(d)] = e, d
    choice = np.empty((len(exponents), len(hulls)), np.int64)
    best_energy, best_cycles = np.empty(len(exponents)), np.empty(len(exponents), np.int64)
    sweep(energy, cycles, sizes, runs, exponents, choice, best_energy, best_cycles)
    return tuple(
        NetworkOptimum(tuple(int(hulls[i][0][j]) for i, j in enumerate(choice[k])), float(e), int(d))
        for k, (e, d) in enumerate(zip(best_energy, best_cycles, strict=True))
    )


def _checked_hull(index: int, energy: FloatArray, cycles: IntArray) -> tuple[IntArray, FloatArray, IntArray]:
    """Indices, energy and cycles of a layer's hull vertices."""
    e, d = np.ascontiguousarray(energy, np.float64), np.ascontiguousarray(cycles)
    if e.ndim != 1 or e.shape != d.shape or d.dtype.kind not in "iu":
        raise UsageError(
            f"points[{index}]: expected (energy (m,), integer cycles (m,)), got {e.shape} and {d.dtype} {d.shape}"
        )
    if (e < 0).any() or (d < 0).any() or (d > 2**62).any():
        raise UsageError(f"points[{index}]: expected energy >= 0 and cycles of 0 ... 2**62, got others")
    d = d.astype(np.int64)
    vertices = np.empty(len(e), np.int64)
    vertices = vertices[: lower_hull(e, d, vertices)]
    if not len(vertices):
        raise UsageError(f"points[{index}]: expected at least one finite point, got none; has the layer a mapping?")
    return vertices, e[vertices], d[vertices]


def _checked_runs(points: Sequence[object], repeats: Sequence[int] | IntArray) -> IntArray:
    runs = np.asarray(repeats)
    if not len(points) or runs.shape != (len(points),):
        raise UsageError(f"repeats: expected one per layer and a layer, got {runs.shape} for {len(points)} layers")
    if runs.dtype.kind not in "iu" or (runs < 1).any():
        raise UsageError(f"repeats: expected integers >= 1, got {list(repeats)}")
    return np.ascontiguousarray(runs, np.int64)


def _checked_weights(weights: Sequence[tuple[float, float]]) -> FloatArray:
    for pair in weights:
        if len(pair) != 2 or not all(0 <= weight <= _LARGEST_WEIGHT for weight in pair) or not math.fsum(pair):
            raise UsageError(
                f"weights: expected (energy, delay) of 0 ... {_LARGEST_WEIGHT:g} each, not both 0, got {pair}"
            )
    return np.array(weights, np.float64).reshape(-1, 2)
