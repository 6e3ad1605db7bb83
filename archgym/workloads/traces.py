"""Generated memory traces: seeded functions of their parameters, and the ``gen-...`` workloads made with them.

Arguments that mean the same in every generator:

    n            requests.
    gap          idle cycles between two requests; 0 is one request every cycle. Generators with random
                 arrivals take it as the mean (no two requests of one generator share a cycle).
    write_share  probability that a request (in `bursty`: a burst) writes.
    footprint    bytes, from address 0, that the trace stays within; a multiple of 64.
    clock_mhz    what the cycles count.
    seed         of everything random; the streams are those of `archgym.rng`.
    name         of the trace.

Addresses are multiples of 64, the size of each request. A wrong argument is a UsageError.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from archgym import rng
from archgym.errors import UsageError
from archgym.trace import LINE_BYTES, TRACE_CLOCK_MHZ, Bools, Ints, Trace

GIB = 2**30
_ROW = 8192  # bytes of an open row across a usual 64-bit DIMM of x8 chips


def stream(
    n: int = 10_000, *, gap: int = 0, write_share: float = 0.0, footprint: int = GIB,
    clock_mhz: float = TRACE_CLOCK_MHZ, seed: int = 0, name: str = "stream",
) -> Trace:  # fmt: skip
    """One line after the other, and from the beginning again after the last: a scan, or DMA."""
    _check(n, gap, write_share, footprint)
    address = np.arange(n) * LINE_BYTES % footprint
    return Trace(name, address, _writes(seed, "stream", n, write_share), _evenly(n, gap), clock_mhz)


def random_access(
    n: int = 10_000, *, gap: float = 0, write_share: float = 0.5, footprint: int = GIB,
    clock_mhz: float = TRACE_CLOCK_MHZ, seed: int = 0, name: str = "random-access",
) -> Trace:  # fmt: skip
    """Independent uniform lines at random times: hash tables, graph updates; hardly an open row is hit."""
    _check(n, gap, write_share, footprint)
    address = rng.generator(seed, "trace", "random_access").integers(0, footprint // LINE_BYTES, n) * LINE_BYTES
    writes, cycle = _writes(seed, "random_access", n, write_share), _arrivals(seed, "random_access", n, gap)
    return Trace(name, address, writes, cycle, clock_mhz)


def strided(
    n: int = 10_000, *, stride: int = _ROW, write_every: int = 0, gap: int = 0, footprint: int = GIB,
    clock_mhz: float = TRACE_CLOCK_MHZ, name: str = "strided",
) -> Trace:  # fmt: skip
    """A row-major matrix walked column by column: ``stride`` bytes a row, one line further at the end of a column.

    Args:
        stride: a multiple of 64 that divides the footprint.
        write_every: request k, 2k, ... (counted from 1) writes; 0 is never.
    """
    _check(n, gap, 0.0, footprint)
    good = stride >= LINE_BYTES and stride % LINE_BYTES == 0 and footprint % stride == 0
    _require(good, "stride", f"a multiple of 64 that divides the footprint {footprint}", stride)
    _require(write_every >= 0, "write_every", "an integer >= 0", write_every)
    rows = footprint // stride
    i = np.arange(n)
    address = i % rows * stride + i // rows * LINE_BYTES % stride
    is_write = (i + 1) % write_every == 0 if write_every else np.zeros(n, np.bool_)
    return Trace(name, address, is_write, _evenly(n, gap), clock_mhz)


def pointer_chase(
    n: int = 10_000, *, gap: int = 60, write_share: float = 0.0, footprint: int = 2**26,
    clock_mhz: float = TRACE_CLOCK_MHZ, seed: int = 0, name: str = "pointer-chase",
) -> Trace:  # fmt: skip
    """A linked list: every line of the footprint once, in random order, then the same round again.

    Each read gives the next address. A trace knows no dependence: ``gap`` stands for latency and thinking time.
    """
    _check(n, gap, write_share, footprint)
    lines = footprint // LINE_BYTES
    path = rng.generator(seed, "trace", "pointer_chase").choice(lines, min(n, lines), replace=False)
    address = path[np.arange(n) % len(path)] * LINE_BYTES
    return Trace(name, address, _writes(seed, "pointer_chase", n, write_share), _evenly(n, gap), clock_mhz)


def zipf_rows(
    n: int = 10_000, *, rows: int = 64, row_bytes: int = _ROW, exponent: float = 1.0, gap: float = 0,
    write_share: float = 0.25, footprint: int = GIB, clock_mhz: float = TRACE_CLOCK_MHZ, seed: int = 0,
    name: str = "zipf-rows",
) -> Trace:  # fmt: skip
    """Few hot rows, the k-th with weight k ** -exponent (Zipf), a uniform line in each: a skewed key-value store.

    Args:
        rows: hot rows, at distinct random places of the footprint.
        row_bytes: a multiple of 64.
        exponent: >= 0; 0 makes all rows equally hot.
    """
    _check(n, gap, write_share, footprint)
    _require(row_bytes >= LINE_BYTES and row_bytes % LINE_BYTES == 0, "row_bytes", "a multiple of 64", row_bytes)
    _require(1 <= rows <= footprint // row_bytes, "rows", f"1 to {footprint // row_bytes} (footprint)", rows)
    _require(0 <= exponent <= 16, "exponent", "0 to 16", exponent)
    random = rng.generator(seed, "trace", "zipf_rows")
    places = random.choice(footprint // row_bytes, rows, replace=False)
    weights = np.cumsum([math.pow(k, -exponent) for k in range(1, rows + 1)])
    drawn = np.searchsorted(weights, random.random(n) * weights[-1], side="right")
    line = random.integers(0, row_bytes // LINE_BYTES, n)
    address = places[np.minimum(drawn, rows - 1)] * row_bytes + line * LINE_BYTES
    writes, cycle = _writes(seed, "zipf_rows", n, write_share), _arrivals(seed, "zipf_rows", n, gap)
    return Trace(name, address, writes, cycle, clock_mhz)


def mixed(
    n: int = 10_000, *, strides: Sequence[int] = (64, 64, 256, 4096), random_share: float = 0.2, gap: float = 3,
    write_share: float = 0.3, footprint: int = GIB, clock_mhz: float = TRACE_CLOCK_MHZ, seed: int = 0,
    name: str = "mixed",
) -> Trace:  # fmt: skip
    """A program that walks several arrays, each with its own stride in its own part of the footprint, and misses.

    Args:
        strides: of the arrays, multiples of 64; each request continues one of them at random.
        random_share: probability that a request is a uniform line instead.
    """
    _check(n, gap, write_share, footprint)
    part = footprint // max(1, len(strides)) // LINE_BYTES * LINE_BYTES
    good = all(s >= LINE_BYTES and s % LINE_BYTES == 0 and s <= part for s in strides)
    _require(good and len(strides) > 0, "strides", f"multiples of {LINE_BYTES} up to {part} (footprint)", strides)
    _require(0 <= random_share <= 1, "random_share", "0 to 1", random_share)
    random = rng.generator(seed, "trace", "mixed")
    array = random.integers(0, len(strides), n)
    address = random.integers(0, footprint // LINE_BYTES, n) * LINE_BYTES
    walks = random.random(n) >= random_share
    for k, stride in enumerate(strides):
        chosen = walks & (array == k)
        address[chosen] = k * part + np.arange(np.count_nonzero(chosen)) * stride % part
    return Trace(name, address, _writes(seed, "mixed", n, write_share), _arrivals(seed, "mixed", n, gap), clock_mhz)


def bursty(
    n: int = 10_000, *, burst: int = 64, idle: int = 256, gap: int = 0, write_share: float = 0.3, footprint: int = GIB,
    clock_mhz: float = TRACE_CLOCK_MHZ, seed: int = 0, name: str = "bursty",
) -> Trace:  # fmt: skip
    """On and off: bursts of consecutive lines, all read or all written, then silence (an accelerator's tile loads).

    Args:
        burst: mean requests of a burst, uniform in 1 .. 2 burst - 1; each begins at a random line.
        idle: mean extra idle cycles after a burst, uniform in 0 .. 2 idle; ``gap`` holds inside bursts too.
    """
    _check(n, gap, write_share, footprint)
    _require(burst >= 1, "burst", "an integer >= 1", burst)
    _require(idle >= 0, "idle", "an integer >= 0", idle)
    random = rng.generator(seed, "trace", "bursty")
    lines = footprint // LINE_BYTES
    ends = np.cumsum(random.integers(1, 2 * burst, n))
    base, silence = random.integers(0, lines, n), np.cumsum(random.integers(0, 2 * idle + 1, n))
    i = np.arange(n)
    which = np.searchsorted(ends, i, side="right")
    into = i - np.concatenate([[0], ends])[which]
    cycle = _evenly(n, gap) + np.concatenate([[0], silence])[which]
    writes = _writes(seed, "bursty", n, write_share)[which]
    return Trace(name, (base[which] + into) % lines * LINE_BYTES, writes, cycle, clock_mhz)


def copy(
    n: int = 10_000, *, gap: int = 0, footprint: int = GIB, clock_mhz: float = TRACE_CLOCK_MHZ, name: str = "copy"
) -> Trace:
    """``a[i] = b[i]``: read b, write a, line by line (the copy kernel of McCalpin's STREAM)."""
    return _array_kernel(n, 2, gap, footprint, clock_mhz, name)


def triad(
    n: int = 10_000, *, gap: int = 0, footprint: int = GIB, clock_mhz: float = TRACE_CLOCK_MHZ, name: str = "triad"
) -> Trace:
    """``a[i] = b[i] + s c[i]``: read b, read c, write a, line by line (the triad kernel of McCalpin's STREAM)."""
    return _array_kernel(n, 3, gap, footprint, clock_mhz, name)


def interleave(traces: Sequence[Trace], *, region: int, name: str = "interleaved") -> Trace:
    """Several requesters on one memory, merged by cycle; of requests in one cycle the first trace's come first.

    Args:
        traces: with cycles of one clock; the k-th becomes source k and moves up by k * region bytes.
        region: bytes, a multiple of 64; what reaches further than this overlaps the next.
    """
    _require(len(traces) >= 1, "traces", "at least one", len(traces))
    _require(region >= 0 and region % LINE_BYTES == 0, "region", f"a multiple of {LINE_BYTES}", region)
    clocks = {trace.clock_mhz for trace in traces}
    _require(len(clocks) == 1 and None not in clocks, "traces", "cycles of one clock", sorted(map(str, clocks)))
    cycle = np.concatenate([trace.cycle for trace in traces if trace.cycle is not None])
    order = np.argsort(cycle, kind="stable")
    return Trace(
        name,
        np.concatenate([trace.address + k * region for k, trace in enumerate(traces)])[order],
        np.concatenate([trace.is_write for trace in traces])[order],
        cycle[order],
        traces[0].clock_mhz,
        size=np.concatenate([trace.size for trace in traces])[order],
        source=np.repeat(np.arange(len(traces)), [len(trace) for trace in traces])[order],
    )


def gen_random_rw50() -> Trace:
    """Uniform lines of 1 GiB, half of them written, one every cycle."""
    return random_access(write_share=0.5, name="gen-random-rw50")


def gen_mixed() -> Trace:
    """Four arrays and 20 % uniform lines, 30 % writes, a request every 4 cycles on average."""
    return mixed(name="gen-mixed")


def gen_hotrow() -> Trace:
    """64 hot rows of 8 KiB, a quarter of the requests writes, a request every 2 cycles on average."""
    return zipf_rows(gap=1, name="gen-hotrow")


def gen_strided() -> Trace:
    """Stride of 8 KiB, every fourth request a write, one every 2 cycles."""
    return strided(write_every=4, gap=1, name="gen-strided")


def gen_copy() -> Trace:
    """Copy of one array to another, one request every cycle."""
    return copy(name="gen-copy")


def gen_triad() -> Trace:
    """Triad on three arrays, one request every cycle."""
    return triad(name="gen-triad")


def gen_sparse() -> Trace:
    """Uniform reads, a request every 60 cycles on average: latency counts, bandwidth does not."""
    return random_access(write_share=0.0, gap=59, seed=1, name="gen-sparse")


def gen_bursty() -> Trace:
    """Bursts of 64 lines on average, 30 % of them written, with 256 idle cycles on average between them."""
    return bursty(name="gen-bursty")


def gen_chase() -> Trace:
    """Dependent reads through 64 MiB in random order, one every 61 cycles."""
    return pointer_chase(name="gen-chase")


def gen_sources() -> Trace:
    """Four sources 256 MiB apart, each for about 32 000 cycles: a scan, random updates, bursts, a pointer chase."""
    part = GIB // 4
    parts = (
        stream(4000, gap=7, footprint=part),
        random_access(2500, gap=12, footprint=part),
        bursty(3000, burst=32, idle=310, footprint=part),
        pointer_chase(500, gap=63),
    )
    return interleave(parts, region=part, name="gen-sources")


def _array_kernel(n: int, arrays: int, gap: int, footprint: int, clock_mhz: float, name: str) -> Trace:
    """Round the arrays line by line; the last is written."""
    # Each starts one row further than an equal share: allocations rarely line up, aligned ones would share a bank.
    share = footprint // arrays // LINE_BYTES * LINE_BYTES
    length = share - (arrays - 1) * _ROW
    _check(n, gap, 0.0, footprint)
    _require(length >= LINE_BYTES, "footprint", f"more than {arrays * (arrays - 1) * _ROW} bytes", footprint)
    element, array = np.divmod(np.arange(n), arrays)
    address = array * (share + _ROW) + element * LINE_BYTES % length
    return Trace(name, address, array == arrays - 1, _evenly(n, gap), clock_mhz)


def _evenly(n: int, gap: int) -> Ints:
    return np.arange(n) * (1 + gap)


def _arrivals(seed: int, key: str, n: int, gap: float) -> Ints:
    """n different cycles out of n (1 + gap), ascending: a Poisson process of which the number of arrivals is known.

    Only integers are drawn: exponential gaps would need a logarithm, whose last bit differs between machines.
    """
    cycles = n + round(n * gap)
    return np.sort(rng.generator(seed, "trace", key, "arrivals").choice(cycles, n, replace=False, shuffle=False))


def _writes(seed: int, key: str, n: int, share: float) -> Bools:
    return rng.generator(seed, "trace", key, "writes").random(n) < share


def _check(n: int, gap: float, write_share: float, footprint: int) -> None:
    _require(n >= 1, "n", "an integer >= 1", n)
    _require(0 <= gap < math.inf, "gap", "cycles >= 0", gap)
    _require(0 <= write_share <= 1, "write_share", "0 to 1", write_share)
    _require(footprint >= 64 and footprint % 64 == 0, "footprint", "bytes, a multiple of 64", footprint)


def _require(good: bool, what: str, expected: str, got: Any) -> None:
    if not good:
        raise UsageError(f"{what}: expected {expected}, got {got}")
