"""The systolic-array model of SCALE-Sim 3.0.0 in its bandwidth-estimating mode (``CALC``), exactly.

SCALE-Sim (PyPI ``scalesim`` 3.0.0, MIT licence) walks every cycle of an R x C array of processing elements
and every word that enters or leaves it. This module is an independent implementation of the same model that
does arithmetic instead of walking: integers are equal, bit for bit, to the ones in the tool's COMPUTE,
BANDWIDTH and DETAILED_ACCESS reports, averages to rounding. One layer costs O(1) to O(column folds); only a
convolution with overlapping windows that does not fit half the ifmap SRAM is scanned, 64 words at a time.

Model. A layer is the product of A (M x K, unfolded ifmap), B (K x N, filters) and O (M x N). A dataflow maps
one operand pair onto the array in folds that never overlap; a fold takes L cycles:

    os: Sr x Sc = M x N, T = K, L = T + R + C - 2      ws: K x N, T = M;  is: K x M, T = N, L = T + 2R + C - 2

Words are one byte. Behaviours of the tool that are reproduced on purpose:

* total cycles is the index of the last row, one less than the number of rows; the array fills and drains
  between folds; CALC never stalls.
* output sizes are rounded up: the last window may hang over the edge (even lie outside); its missing taps are
  counted as MACs and SRAM reads, but are no requests to memory.
* os counts R + C extra ofmap SRAM writes in every fold; ws and is write every partial sum, and read none back.
* compute utilisation of ws and is divides by a fold that is C - 1 cycles too long.
* a read buffer is a set of at most 50 hundredths of the SRAM that is emptied when full (neither FIFO nor
  double buffer); it is first filled at 10 words/cycle; before the first flush its size is rounded up to
  hundredths.
* the write buffer drains C words per cycle; a partly filled DRAM row that is not the last of its burst counts
  as full, so DRAM writes can be over-counted by C - 1.
* where the tool divides by zero the row is infeasible (``REASONS``).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from archgym.errors import UsageError
from archgym.kernel import kernel

Integers = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]

OS, WS, IS = 0, 1, 2

COLUMNS: tuple[str, ...] = (
    "total_cycles_incl_prefetch",
    "total_cycles",
    "stall_cycles",
    "overall_util_pct",
    "mapping_eff_pct",
    "compute_util_pct",
    "avg_ifmap_sram_bw",
    "avg_filter_sram_bw",
    "avg_ofmap_sram_bw",
    "avg_ifmap_dram_bw",
    "avg_filter_dram_bw",
    "avg_ofmap_dram_bw",
    "sram_ifmap_start",
    "sram_ifmap_stop",
    "sram_ifmap_reads",
    "sram_filter_start",
    "sram_filter_stop",
    "sram_filter_reads",
    "sram_ofmap_start",
    "sram_ofmap_stop",
    "sram_ofmap_writes",
    "dram_ifmap_start",
    "dram_ifmap_stop",
    "dram_ifmap_reads",
    "dram_filter_start",
    "dram_filter_stop",
    "dram_filter_reads",
    "dram_ofmap_start",
    "dram_ofmap_stop",
    "dram_ofmap_writes",
)
"""The 30 columns of a report: cycles, words, words per cycle, percentages (0 to 100)."""

INTEGER_COLUMNS: frozenset[str] = frozenset(COLUMNS[:3] + COLUMNS[12:])
"""Columns that hold int64; the others hold float64."""

REASONS: tuple[str, ...] = (
    "",
    "zero cycles: one fold of one cycle (os, 1x1 array, M = N = K = 1), SCALE-Sim 3.0.0 divides by zero",
    "two flushes in one row: more requests in one cycle than half the SRAM holds, SCALE-Sim 3.0.0 divides by zero",
    "SRAM below 100 bytes: every operand needs at least 1 KiB, SCALE-Sim 3.0.0 has no hundredth to fill",
)
"""Why a row is infeasible, by reason code; 0 is feasible."""

COUNTS: tuple[str, ...] = (
    "total_cycles",
    "sram_ifmap_reads",
    "sram_filter_reads",
    "sram_ofmap_writes",
    "dram_ifmap_reads",
    "dram_filter_reads",
    "dram_ofmap_writes",
    "reason",
)
"""Last axis of ``counts``."""

ZERO_CYCLES, TWO_FLUSHES, TINY_SRAM = 1, 2, 3
NOTHING, NEVER = -(2**62), 2**62
REPEATS = -1
NOW, NEXT, HELD, EPOCH = 2, 3, 4, 5  # places in the state of a scan; 0 and 1 count flushes
LAYER_FIELDS = ("ifmap_h", "ifmap_w", "filt_h", "filt_w", "channels", "num_filters", "stride")
DESIGN_FIELDS = ("dataflow", "rows", "cols", "ifmap KiB", "filter KiB", "ofmap KiB")
_COUNT_PLACES = np.array([COLUMNS.index(name) for name in COUNTS[:-1]])
_LARGEST = 2.0**62
# Typed constants: Numba would compile a callee once more for every literal 0 or False that it is given.
_ZERO: Any = np.int64(0)
_PEEK: Any = np.bool_(False)
_PUT: Any = np.bool_(True)


# ---- where the n-th request of a stream lies ---------------------------------------------------------------


@kernel
def _pairs(n: int) -> int:
    """Pairs of non-negative integers whose sum is at most n."""
    return (n + 1) * (n + 2) // 2 if n >= 0 else 0


@kernel
def _skewed(n: int, depth: int, width: int) -> int:
    """Requests in steps 0..n of ``width`` ports that each ask for ``depth`` words, port c from step c on."""
    return _pairs(n) - _pairs(n - depth) - _pairs(n - width) + _pairs(n - depth - width)


@kernel
def _skewed_step(e: int, depth: int, width: int) -> int:
    """Step of the e-th request (from 1) of the stream of ``_skewed``."""
    small, large = min(depth, width), max(depth, width)
    ramp = small * (small - 1) // 2
    if e <= ramp:
        low, high = 0, small - 2
    elif e <= ramp + small * (large - small + 1):
        return small - 1 + (e - ramp - 1) // small
    else:
        low, high = large, small + large - 2
    while low < high:
        middle = (low + high) // 2
        if _skewed(middle, depth, width) >= e:
            high = middle
        else:
            low = middle + 1
    return low


@kernel
def _skewed_row(e: int, S: int, ports: int, depth: int, L: int) -> int:
    """Row of the e-th request of folds of ``ports`` of S streams of ``depth`` words, a fold every L rows."""
    fold = (e - 1) // (ports * depth)
    width = min(ports, S - fold * ports)
    return fold * L + _skewed_step(e - fold * ports * depth, depth, width)


@kernel
def _stationary_row(e: int, S: int, R: int, C: int, K: int, L: int) -> int:
    """Row of the e-th request of the operand held in the array (K x S words in R x C folds, last row first)."""
    column = (e - 1) // (K * C)
    width = min(C, S - column * C)
    rest = e - 1 - column * K * C
    fold = rest // (R * width)
    used = min(R, K - fold * R)
    return (column * (-(-K // R)) + fold) * L + R - used + (rest - fold * R * width) // width


# ---- geometry of the ifmap: g = (H, W, fh, fw, ch, s, OH, OW) ----------------------------------------------


@kernel
def _geometry(layer: Integers) -> tuple[int, ...]:
    """(H, W, fh, fw, ch, s, OH, OW): output sizes are rounded up (SCALE-Sim 3.0.0, topology_utils)."""
    H, W, fh, fw, ch, s = layer[0], layer[1], layer[2], layer[3], layer[4], layer[6]
    return (H, W, fh, fw, ch, s, (H - fh + s - 1) // s + 1, (W - fw + s - 1) // s + 1)


@kernel
def _on_axis(outputs: int, taps: int, size: int, s: int, of: int) -> int:
    """(output, tap) pairs inside an axis, of its first ``outputs`` outputs and ``taps`` taps.

    Only the last of the ``of`` outputs can hang over the edge.
    """
    last = min(taps, max(0, size - (of - 1) * s))
    return min(outputs, of - 1) * taps + (last if outputs >= of else 0)


@kernel
def _valid(g: tuple[int, ...], pixels: int, taps: int) -> int:
    """Taps inside the ifmap among the first ``taps`` columns of the first ``pixels`` rows of A."""
    H, W, fh, fw, ch, s, OH, OW = g
    q, r = pixels // OW, pixels % OW
    a, rest = taps // (fw * ch), taps % (fw * ch)
    b, k = rest // ch, rest % ch
    above, at = _on_axis(q, a, H, s, OH), 0
    beside = _on_axis(OW, fw, W, s, OW) * ch
    count = above * beside
    if rest:
        at = _on_axis(q, a + 1, H, s, OH) - above
        left = _on_axis(OW, b, W, s, OW)
        count += at * (left * ch + (_on_axis(OW, b + 1, W, s, OW) - left) * k)
    if r:
        here = _on_axis(q + 1, a, H, s, OH) - above
        count += here * _on_axis(r, fw, W, s, OW) * ch
        if rest and _on_axis(q + 1, a + 1, H, s, OH) - here - above - at:
            left = _on_axis(r, b, W, s, OW)
            count += left * ch + (_on_axis(r, b + 1, W, s, OW) - left) * k
    return count


@kernel
def _distinct(g: tuple[int, ...]) -> int:
    """Distinct ifmap words that some window covers."""
    H, W, fh, fw, ch, s, OH, OW = g
    high = H if fh >= s else _on_axis(OH, fh, H, s, OH)
    wide = W if fw >= s else _on_axis(OW, fw, W, s, OW)
    return high * wide * ch


@kernel
def _taps_before(g: tuple[int, ...], pixel: int, taps: int) -> int:
    """Taps inside the ifmap among the first ``taps`` of one row of A."""
    H, W, fh, fw, ch, s, OH, OW = g
    high = min(fh, max(0, H - pixel // OW * s))
    wide = min(fw, max(0, W - pixel % OW * s)) * ch
    a = taps // (fw * ch)
    return high * wide if a >= high else a * wide + min(wide, taps - a * fw * ch)


@kernel
def _pixels_before(g: tuple[int, ...], tap: int, pixels: int) -> int:
    """Taps inside the ifmap among the first ``pixels`` of one column of A."""
    H, W, fh, fw, ch, s, OH, OW = g
    a, b = tap // (fw * ch), tap % (fw * ch) // ch
    high, wide = min(OH, (H - a + s - 1) // s), min(OW, (W - b + s - 1) // s)
    r = pixels // OW
    return high * wide if r >= high else r * wide + min(wide, pixels - r * OW)


@kernel
def _ragged_before(df: int, g: tuple[int, ...], R: int, C: int, fold: int, n: int) -> int:
    """Valid ifmap requests of one pass in the folds before ``fold`` and the first n steps of it."""
    fw_ch, M = g[3] * g[4], g[6] * g[7]
    K = g[2] * fw_ch
    if df == IS:
        RF = -(-K // R)
        first, fr = fold // RF * C, fold % RF
        last, top = min(M, first + C), min(K, fr * R + R)
        count = _valid(g, first, K)
        for pixels, sign in ((last, 1), (first, -1)):
            for taps, part in ((fr * R, 1), (top, 1), (top - n, -1)):
                count += sign * part * _valid(g, pixels, taps)
        return count
    count = _valid(g, fold * R, K) if df == OS else _valid(g, M, fold * R)
    for c in range(min(R, (M if df == OS else K) - fold * R, n)):
        if df == OS:
            count += _taps_before(g, fold * R + c, min(K, n - c))
        else:
            count += _pixels_before(g, fold * R + c, min(M, n - c))
    return count


@kernel
def _ragged_row(e: int, df: int, g: tuple[int, ...], R: int, C: int, L: int) -> int:
    """Row of the e-th valid ifmap request of one pass of a layer whose windows hang over the edge."""
    M, K = g[6] * g[7], g[2] * g[3] * g[4]
    RF = -(-(M if df == OS else K) // R)
    low, high = 0, (RF * (-(-M // C)) if df == IS else RF) - 1
    while low < high:  # last fold with fewer than e requests before it
        middle = (low + high + 1) // 2
        if _ragged_before(df, g, R, C, middle, _ZERO) < e:
            low = middle
        else:
            high = middle - 1
    fold = low
    used = min(R, (M if df == OS else K) - (fold % RF) * R)
    low, high = 1, used if df == IS else (K if df == OS else M) + used - 1
    while low < high:  # fewest steps that hold e requests
        middle = (low + high) // 2
        if _ragged_before(df, g, R, C, fold, middle) >= e:
            high = middle
        else:
            low = middle + 1
    offset = 0 if df == OS else R if df == WS else R - used
    return fold * L + offset + low - 1


@kernel
def _ifmap_row(e: int, df: int, g: tuple[int, ...], R: int, C: int, L: int, V: int) -> int:
    """Row of the e-th valid ifmap request; V of them are in one pass (os, ws: one pass per column fold)."""
    M, K = g[6] * g[7], g[2] * g[3] * g[4]
    turn = (e - 1) // V
    e -= turn * V
    if V < M * K:
        row = _ragged_row(e, df, g, R, C, L)
    elif df == OS:
        row = _skewed_row(e, M, R, K, L)
    elif df == WS:
        row = R + _skewed_row(e, K, R, M, L)
    else:
        row = _stationary_row(e, M, R, C, K, L)
    return turn * (-(-(M if df == OS else K) // R)) * L + row


@kernel
def _filter_row(e: int, column: int, df: int, R: int, C: int, M: int, N: int, K: int, L: int) -> int:
    """Row of the e-th filter request (os: of the folds of one column of folds, else of the layer)."""
    if df == WS:
        return _stationary_row(e, N, R, C, K, L)
    if df == OS:
        width = min(C, N - column * C)
        turn = (e - 1) // (K * width)
        return (column * (-(-M // R)) + turn) * L + _skewed_step(e - turn * K * width, K, width)
    turn = (e - 1) // (N * K)
    return turn * (-(-K // R)) * L + R + _skewed_row(e - turn * N * K, K, R, N, L)


@kernel
def _ofmap_row(e: int, df: int, R: int, C: int, M: int, N: int, K: int, L: int) -> int:
    """Row of the e-th ofmap write of the layer."""
    Sr, Sc = (M if df == OS else K), (M if df == IS else N)
    T = K if df == OS else M if df == WS else N
    RF = -(-Sr // R)
    per_column = (Sr if df == OS else RF * T) * C
    column = (e - 1) // per_column
    width = min(C, Sc - column * C)
    e -= column * per_column
    depth = R if df == OS else T
    fold = (e - 1) // (depth * width)
    e -= fold * depth * width
    offset = 2 * R - 1
    if df == OS:
        depth = min(R, Sr - fold * R)
        offset = T - 1 + R - depth
    return (column * RF + fold) * L + offset + _skewed_step(e, depth, width)


# ---- read buffers: a set that is emptied when it holds cap words -------------------------------------------


@kernel
def _repeat(q: int, cap: int, u: int, p: int) -> tuple[int, int, int, int]:
    """p passes over the same u distinct words with q other words held: (reads, held, flushes, last flush).

    The last flush is the number (from 1) of the request that filled the set, 0 if none did.
    (SCALE-Sim 3.0.0, read_buffer_estimate_bw)
    """
    if u >= cap:  # every request misses: its word was dropped since its last use
        filled = (q + p * u) // cap
        return p * u, (q + p * u) % cap, filled, filled * cap - q
    if q + u < cap:
        return u, q + u, 0, 0
    x = cap - q
    if p == 1:
        return u, u - x, 1, x
    return u + x, u, 1, x  # the second pass reads again the x words that the flush dropped


@kernel
def _filter_reads(
    df: int, R: int, C: int, M: int, N: int, K: int, L: int, cap: int, timed: bool
) -> tuple[int, int, int, int]:
    """(DRAM reads, flushes, row of the last flush if ``timed``, reason) of the filter buffer."""
    if N * K < cap:
        return N * K, 0, 0, 0
    RF, q, reads, flushes = -(-M // R), _ZERO, 0, 0
    last, where = _ZERO, _ZERO
    crowded = (min(R, K) if df == IS else min(C, N)) > cap
    blocks = -(-N // C) if df == OS else 1
    for block in range(blocks):
        u, p = N * K, 1
        if df == OS:
            u, p = K * min(C, N - block * C), RF
        elif df == IS:
            p = -(-M // C)
        held = q
        more, q, filled, at = _repeat(held, cap, u, p)
        reads += more
        flushes += filled
        if filled:
            last, where = at, block
        if crowded and filled > 1:
            before = -1
            for n in range(filled):
                row = _filter_row((n + 1) * cap - held, block, df, R, C, M, N, K, L)
                if row == before:
                    return 0, 0, 0, TWO_FLUSHES
                before = row
    row = _filter_row(last, where, df, R, C, M, N, K, L) if timed and flushes else 0
    return reads, flushes, row, 0


@kernel
def _never_hits(df: int, g: tuple[int, ...], R: int, C: int, V: int, cap: int) -> bool:
    """True only where no ifmap word is asked for again within cap requests of the stream.

    Disjoint windows: a word comes once per pass, V requests apart. ws: the same word comes again ch or more
    columns of A later, so ch // R folds of R columns or more, at most OW + fw pixels earlier in the column; a
    step has at most min(R, M) requests. Less the taps outside the ifmap, and the columns that the last fold lacks.
    """
    H, W, fh, fw, ch, s, OH, OW = g
    if (fh <= s or OH == 1) and (fw <= s or OW == 1):
        return True
    M, K = OH * OW, fh * fw * ch
    edge = 0 if V == M * K else OH + OW
    lost = (OW + fw + 1) * min(R, M) + R * edge + (-K) % R * M
    return df == WS and R * (M - edge) * (ch // R) - lost >= cap


@kernel
def _ifmap_reads(
    df: int,
    g: tuple[int, ...],
    R: int,
    C: int,
    N: int,
    L: int,
    cap: int,
    timed: bool,
    bits: Words,
    stamps: Integers,
) -> tuple[int, int, int, int]:
    """(DRAM reads, flushes, row of the last flush if ``timed``, reason) of the ifmap buffer."""
    M, K = g[6] * g[7], g[2] * g[3] * g[4]
    U, V = _distinct(g), _valid(g, M, K)
    if U < cap:
        return U, 0, 0, 0
    passes = 1 if df == IS else -(-N // C)
    if not _never_hits(df, g, R, C, V, cap):
        return _scan(df, g, R, C, L, passes, V, cap, bits, stamps)
    reads, _, flushes, last = _repeat(_ZERO, cap, V, passes)
    if min(C if df == IS else R, M if df != WS else K) > cap:
        before = -1
        for n in range(flushes):
            row = _ifmap_row((n + 1) * cap, df, g, R, C, L, V)
            if row == before:
                return 0, 0, 0, TWO_FLUSHES
            before = row
    return reads, flushes, (_ifmap_row(last, df, g, R, C, L, V) if timed else 0), 0


# ---- overlapping windows beyond the cap: scan the requests, 64 words at a time ------------------------------


@kernel
def _ones(v: Any) -> Any:
    """Bits set (compiles to one instruction)."""
    v = v - ((v >> np.uint64(1)) & np.uint64(0x5555555555555555))
    v = (v & np.uint64(0x3333333333333333)) + ((v >> np.uint64(2)) & np.uint64(0x3333333333333333))
    v = (v + (v >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return np.int64((v * np.uint64(0x0101010101010101)) >> np.uint64(56))


@kernel
def _fresh(bits: Words, stamps: Integers, epoch: int, start: int, stop: int, put: bool) -> int:
    """Words start..stop-1 that are not in the set of this epoch; with ``put`` they are put into it."""
    full = np.uint64(0xFFFFFFFFFFFFFFFF)
    first, last = start >> 6, (stop - 1) >> 6
    new = 0
    for w in range(first, last + 1):
        mask = full
        if w == first:
            mask = mask << np.uint64(start & 63)
        if w == last:
            mask = mask & (full >> np.uint64(63 - ((stop - 1) & 63)))
        held = bits[w] if stamps[w] == epoch else np.uint64(0)
        new += _ones(mask & ~held)
        if put:
            bits[w] = held | mask
            stamps[w] = epoch
    return new


@kernel
def _line(df: int, g: tuple[int, ...], item: int) -> tuple[int, int, int]:
    """(word of request 0, requests up to the last line, requests per line inside the ifmap) of a port.

    A port walks along lines of the ifmap: os and is one row of A (taps), ws one column of A (pixels). Words are
    numbered so that those of a line are consecutive: os and is [row][column][channel], ws
    [channel][row][column mod s][column div s].
    """
    H, W, fh, fw, ch, s, OH, OW = g
    if df == WS:
        a, b, k = item // (fw * ch), item % (fw * ch) // ch, item % ch
        word = ((k * H + a) * s + b % s) * ((W + s - 1) // s) + b // s
        return word, min(OH, (H - a + s - 1) // s) * OW, min(OW, (W - b + s - 1) // s)
    r, c = item // OW, item % OW
    return (r * W + c) * s * ch, max(0, min(fh, H - r * s)) * fw * ch, max(0, min(fw, W - c * s)) * ch


@kernel
def _run(ports: Integers, c: int, t: int, length: int, jump: int) -> None:
    """Move port c to the run that holds its request t: it asks there for the words shift + t, or for NOTHING.

    ports: for every port (word, limit, wide) of ``_line``, then (shift, first, end) of the run.
    """
    limit, wide = ports[c, 1], ports[c, 2]
    if t == ports[c, 5] and wide == length and t < limit and ports[c, 3] != NOTHING:  # the next line
        ports[c, 3] += jump
        ports[c, 4] = t
        ports[c, 5] = t + length
        return
    line = t // length
    start = line * length
    if t >= limit:
        ports[c, 3], ports[c, 4], ports[c, 5] = NOTHING, limit, NEVER
    elif t - start >= wide:
        ports[c, 3], ports[c, 4], ports[c, 5] = NOTHING, start + wide, start + length
    else:
        ports[c, 3], ports[c, 4], ports[c, 5] = ports[c, 0] + line * jump, start, start + wide


@kernel
def _ask(
    df: int,
    fold: tuple[int, ...],
    start: int,
    stop: int,
    ports: Integers,
    bits: Words,
    stamps: Integers,
    epoch: int,
    put: bool,
) -> int:
    """``_fresh`` for steps start..stop-1 of all ports of a fold; without ``put`` an upper bound of it."""
    count, depth, top, length, jump = fold
    first, last = 0, count
    if df != IS:
        first, last = max(0, start - depth + 1), min(count, stop)
    new = 0
    for c in range(first, last):
        t, upto = top - stop, top - start
        if df != IS:
            t, upto = max(0, start - c), min(depth, stop - c)
        while t < upto:
            if t < ports[c, 4] or t >= ports[c, 5]:
                _run(ports, c, t, length, jump)
            shift, until = ports[c, 3], min(upto, ports[c, 5])
            if shift != NOTHING:
                new += _fresh(bits, stamps, epoch, shift + t, shift + until, put)
            t = until
    return new


@kernel
def _fill(
    df: int,
    fold: tuple[int, ...],
    n: int,
    start: int,
    room: int,
    ports: Integers,
    bits: Words,
    stamps: Integers,
    epoch: int,
) -> tuple[int, int]:
    """Step n word by word from a port on, until ``room`` new words came: (new words, port of the last one)."""
    count, depth, top, length, jump = fold
    first, last = start, count
    if df != IS:
        first, last = max(start, n - depth + 1), min(count, n + 1)
    new = 0
    for c in range(first, last):
        t = top - 1 - n if df == IS else n - c
        if t < ports[c, 4] or t >= ports[c, 5]:
            _run(ports, c, t, length, jump)
        if ports[c, 3] != NOTHING:
            word = ports[c, 3] + t
            w, bit = word >> 6, np.uint64(1) << np.uint64(word & 63)
            held = bits[w] if stamps[w] == epoch else np.uint64(0)
            if held & bit == np.uint64(0):
                bits[w] = held | bit
                stamps[w] = epoch
                new += 1
                if new == room:
                    return new, c
    return new, count


@kernel
def _cover(g: tuple[int, ...], start: int, stop: int, bits: Words, stamps: Integers, epoch: int, put: bool) -> int:
    """``_fresh`` for all taps of rows start..stop-1 of A (os, is; no gaps between windows), or an upper bound."""
    H, W, fh, fw, ch, s, OH, OW = g
    first, last = start // OW, (stop - 1) // OW
    new, left, right = 0, W, 0
    for r in range(first, last + 1):
        x0 = start % OW * s if r == first else 0
        x1 = min(W, (stop - 1) % OW * s + fw) if r == last else W
        a = max(0, fh - s) if left <= x0 and x1 <= right else 0  # lines shared with the row before
        left, right = x0, x1
        line, end = r * s + a, min(H, r * s + fh)
        lines = end - line if x1 - x0 == W else 1  # whole lines are one range
        while line < end:
            low, high = (line * W + x0) * ch, ((line + lines - 1) * W + x1) * ch
            new += _fresh(bits, stamps, epoch, low, high, put)
            line += lines
    return new


@kernel
def _skip(
    df: int,
    g: tuple[int, ...],
    width: int,
    block: int,
    blocks: int,
    room: int,
    bits: Words,
    stamps: Integers,
    epoch: int,
) -> tuple[int, int]:
    """Take whole blocks of ``width`` rows of A that bring at most ``room`` new words: (blocks, new words)."""
    M, fh, fw, ch, s = g[6] * g[7], g[2], g[3], g[4], g[5]
    if df == WS or fh < s or fw < s:
        return 0, 0
    many = min(blocks - block, room // (width * s * s * ch) + 1)
    while many > 0:
        start, stop = block * width, min(M, (block + many) * width)
        if _cover(g, start, stop, bits, stamps, epoch, _PEEK) <= room:
            return many, _cover(g, start, stop, bits, stamps, epoch, _PUT)
        many //= 2
    return 0, 0


@kernel
def _fold(
    df: int,
    g: tuple[int, ...],
    R: int,
    C: int,
    L: int,
    cap: int,
    index: int,
    state: Integers,
    places: Integers,
    ports: Integers,
    bits: Words,
    stamps: Integers,
) -> int:
    """One fold of ``_scan``: 0, or TWO_FLUSHES, or REPEATS."""
    M, K = g[6] * g[7], g[2] * g[3] * g[4]
    depth, first, top = M if df == WS else K, index * R, 0
    if df == IS:
        RF = -(-K // R)
        first, top = index // RF * C, min(K, (index % RF) * R + R)
        count, steps = min(C, M - first), top - (index % RF) * R
        offset = index * L + R - steps
    else:
        count = min(R, (K if df == WS else M) - first)
        steps = depth + count - 1
        offset = index * L + (0 if df == OS else R)
    if df != IS or top <= R:
        for c in range(count):
            ports[c, 0], ports[c, 1], ports[c, 2] = _line(df, g, first + c)
            ports[c, 3], ports[c, 4], ports[c, 5] = NOTHING, -1, -1
    W, fw, ch, s, OW = g[1], g[3], g[4], g[5], g[7]
    length, jump = (OW, s * s * ((W + s - 1) // s) - OW) if df == WS else (fw * ch, (W - fw) * ch)
    shape = (count, depth, top, length, jump)
    now, then, q, epoch = state[NOW], 1 - state[NOW], state[HELD], state[EPOCH]
    n, port, new = _ZERO, _ZERO, count
    while n < steps:
        if port == 0:
            upto = min(steps, n + (cap - 1 - q) // count)
            guess = min(steps - n, (cap - 1 - q) // (2 * new + 1))
            if upto - n < 8 and guess >= 4:  # misses are rare: look whether more steps fit
                upto = n + min(guess, 64)
                if q + _ask(df, shape, n, upto, ports, bits, stamps, epoch, _PEEK) >= cap:
                    new = 2 * new + 1
                    continue
            if upto - n >= 3 or upto == steps:
                gained = _ask(df, shape, n, upto, ports, bits, stamps, epoch, _PUT)
                new = gained // (upto - n)
                q += gained
                n = upto
                continue
        new, port = _fill(df, shape, n, port, cap - q, ports, bits, stamps, epoch)
        q += new
        if q == cap:
            found = state[now]
            if found > 0 and places[now, found - 1] // max(R, C) == offset + n:
                return TWO_FLUSHES
            place = (offset + n) * max(R, C) + port
            places[now, found] = place
            state[now] = found + 1
            q = 0
            epoch += 1
            while state[NEXT] < state[then] and places[then, state[NEXT]] < place:
                state[NEXT] += 1
            if state[NEXT] < state[then] and places[then, state[NEXT]] == place:
                state[EPOCH] = epoch
                return REPEATS
            port += 1
        if port >= count:
            n += 1
            port = 0
    state[HELD], state[EPOCH] = q, epoch
    return 0


@kernel
def _scan(
    df: int,
    g: tuple[int, ...],
    R: int,
    C: int,
    L: int,
    passes: int,
    V: int,
    cap: int,
    bits: Words,
    stamps: Integers,
) -> tuple[int, int, int, int]:
    """(DRAM reads, flushes, row of the last flush, reason) of an ifmap stream with reuse.

    What the set holds depends only on the place of the last flush: everything asked for since. So the order
    of requests matters only where the set fills up, and requests that cannot fill it are taken together. And
    every pass asks for the same words: from a flush at the place of a flush in the pass before on, all passes
    are like the pass before.
    """
    M, K = g[6] * g[7], g[2] * g[3] * g[4]
    RF = -(-(M if df == OS else K) // R)
    per_block = RF if df == IS else 1  # a block: the folds of one row range of A (os, is) or a fold (ws)
    blocks, width = (-(-M // C), C) if df == IS else (RF, R)
    places = np.empty((2, V // cap + 2), np.int64)  # of the flushes in the pass before and in this one
    ports = np.empty((max(R, C), 8), np.int64)
    state = np.zeros(6, np.int64)
    state[EPOCH] = stamps[-1] + 1  # the last place is a counter that outlives the scan
    flushes, held_before, outcome = 0, 0, 0
    for turn in range(passes):
        now, then = turn % 2, 1 - turn % 2
        state[now], state[NEXT], state[NOW] = 0, 0, now
        block = _ZERO
        while block < blocks:
            room = cap - 1 - state[HELD]
            many, new = _skip(df, g, width, block, blocks, room, bits, stamps, state[EPOCH])
            state[HELD] += new
            for fold in range(block * per_block, (block + (many == 0)) * per_block):
                outcome = _fold(df, g, R, C, L, cap, fold, state, places, ports, bits, stamps)
                if outcome:
                    stamps[-1] = state[EPOCH]
                    if outcome == TWO_FLUSHES:
                        return 0, 0, 0, TWO_FLUSHES
                    after = state[then] - 1 - state[NEXT]
                    flushes += state[now] + after + (passes - 1 - turn) * (state[now] + after)
                    row = (passes - 1) * RF * L + places[then, state[then] - 1] // max(R, C)
                    return flushes * cap + held_before, flushes, row, 0
            block += max(1, many)
        held_before = state[HELD]
        flushes += state[now]
    stamps[-1] = state[EPOCH]
    row = (passes - 1) * RF * L + places[now, state[now] - 1] // max(R, C)
    return flushes * cap + held_before, flushes, row, 0


# ---- write buffer ------------------------------------------------------------------------------------------


@kernel
def _ofmap_writes(
    df: int, R: int, C: int, M: int, N: int, K: int, L: int, end: int, words: int, timed: bool
) -> tuple[int, int, int]:
    """(DRAM writes, first cycle, last cycle if ``timed``) of a write buffer; ``end`` is the last row.

    Half of the buffer's ``words`` (D words) drains, in bursts of m DRAM rows of C words, whenever D + 1 words
    are held. The array writes at most C words per row, so a burst always ends before the next is due and time
    plays no part: the bursts are a function of the number of words written. (SCALE-Sim 3.0.0, write_buffer)
    """
    D = words - (words + 1) // 2
    m = -(-D // C)
    total = M * N if df == OS else -(-K // R) * M * N
    writes = total
    if total <= D:
        return writes, end, end - 1 - (-total // C)
    if D % C:  # a burst takes all D + 1 words, with the partly filled row
        final, rest = total // (D + 1) * (D + 1), total % (D + 1)
        left = -(-rest // C)
    elif m > 1:  # m full rows go, the odd word stays: it heads the next burst and counts as a full row there
        bursts = (total - 1) // D
        final = bursts * D + 1
        left = 1 - (-(total - final) // C)
        if bursts > 1 or total > final:
            writes += C - 1
    else:  # one row: a full one and the odd word go in turn
        final, rest = total // (D + 1) * (D + 1), total % (D + 1)
        left = 1 + (1 if 0 < rest < D else 0)
        if rest == D:
            final += D
    if not timed:
        return writes, 0, 0
    start = _ofmap_row(D + 1, df, R, C, M, N, K, L)
    stop = _ofmap_row(final, df, R, C, M, N, K, L) + m - 1
    return writes, start, max(stop, end + left - 1) if left else stop


# ---- one layer on one design -------------------------------------------------------------------------------


@kernel
def _evaluate(
    layer: Integers,
    df: int,
    R: int,
    C: int,
    sizes: tuple[int, ...],
    timed: bool,
    bits: Words,
    stamps: Integers,
    out: Integers,
) -> int:
    """Fill ``out`` with the integer columns of one layer, at their places in ``COLUMNS``; returns the reason.

    sizes: (hundredth, cap) of the ifmap buffer, (hundredth, cap) of the filter buffer, words of the ofmap one.
    Without ``timed`` the columns that say when (start, stop, total_cycles_incl_prefetch) mean nothing.
    """
    g = _geometry(layer)
    M, K, N = g[6] * g[7], g[2] * g[3] * g[4], layer[5]
    Sr, Sc, T = (M, N, K) if df == OS else (K, N, M) if df == WS else (K, M, N)
    RF, CF = -(-Sr // R), -(-Sc // C)
    F, L = RF * CF, T + R + C - 2 + (0 if df == OS else R)
    cycles = F * L - 1  # SCALE-Sim 3.0.0, COMPUTE_REPORT: index of the last row
    out[:] = 0
    if min(sizes[1], sizes[3], sizes[4]) < 1:
        return TINY_SRAM
    if cycles == 0:
        return ZERO_CYCLES

    V = _valid(g, M, K)
    used, last_used, last_wide = min(R, Sr), Sr - (RF - 1) * R, Sc - (CF - 1) * C
    base = (F - 1) * L
    out[1] = cycles
    # SCALE-Sim 3.0.0, DETAILED_ACCESS_REPORT: reads are stamped a row late, the latency of a hit
    if timed:
        out[13] = _ifmap_row(V * (1 if df == IS else CF), df, g, R, C, L, V) + 1
    if df == OS:
        out[12], out[14] = 1, CF * M * K
        out[15], out[16], out[17] = 1, base + T + last_wide - 1, RF * N * K
        out[18], out[19], out[20] = T - 1 + R - used, base + T + R + last_wide - 3, M * N + F * (R + C)
    else:
        streamed, held = R + 1, R - used + 1
        out[18], out[19], out[20] = 2 * R - 1, base + 2 * R + T + last_wide - 3, RF * M * N
        if df == WS:
            out[12], out[14] = streamed, CF * M * K
            out[15], out[16], out[17] = held, base + R, N * K
        else:
            out[12], out[14] = held, M * K
            out[15], out[16], out[17] = streamed, base + R + T + last_used - 1, CF * N * K

    ifmap, flushes, row, reason = _ifmap_reads(df, g, R, C, N, L, sizes[1], timed, bits, stamps)
    if reason == 0:
        out[21], out[22] = _read_window(ifmap, flushes, row, out[12] - 1, sizes[0], sizes[1])
        out[23] = ifmap
        words, flushes, row, reason = _filter_reads(df, R, C, M, N, K, L, sizes[3], timed)
        out[24], out[25] = _read_window(words, flushes, row, out[15] - 1, sizes[2], sizes[3])
        out[26] = words
    if reason:
        out[:] = 0
        return reason
    out[29], out[27], out[28] = _ofmap_writes(df, R, C, M, N, K, L, cycles, sizes[4], timed)
    out[0] = out[28] - min(out[21], out[24])
    return 0


@kernel
def _read_window(reads: int, flushes: int, row: int, first: int, hundredth: int, cap: int) -> tuple[int, int]:
    """First and last cycle of the DRAM reads of one operand; 10 words/cycle before cycle 0.

    (SCALE-Sim 3.0.0, read_buffer_estimate_bw)
    """
    if flushes == 0:
        return -(-(-(-reads // hundredth) * hundredth) // 10) * -1, -1
    return first - -(-cap // 10), row + 1


@kernel
def _sizes(design: Integers) -> tuple[int, ...]:
    """``sizes`` of ``_evaluate``: half of a read buffer is 50 hundredths of it."""
    ifmap, weights = 1024 * design[3] // 100, 1024 * design[4] // 100
    return (ifmap, 50 * ifmap, weights, 50 * weights, 1024 * design[5])


@kernel
def _scan_words(layers: Integers) -> int:
    """64-bit words that hold one bit for each ifmap word of the largest layer, in either order."""
    most = 0
    for i in range(layers.shape[0]):
        H, W, ch, s = layers[i, 0], layers[i, 1], layers[i, 4], layers[i, 6]
        if layers[i, 2] > s or layers[i, 3] > s:
            most = max(most, H * ch * (W + s - 1) // s * s)
    return most // 64 + 2


@kernel
def _table(layers: Integers, designs: Integers, places: Integers, every: bool, timed: bool) -> Integers:
    """(pairs, places + 1): columns of ``COLUMNS`` at ``places`` and the reason, of layer i on design i or, with
    ``every``, of every layer on every design (designs outside)."""
    n, kept = len(layers), len(places)
    pairs = len(designs) * n if every else n
    table = np.empty((pairs, kept + 1), np.int64)
    space = _scan_words(layers)
    bits, stamps = np.zeros(space, np.uint64), np.zeros(space + 1, np.int64)
    out = np.empty(30, np.int64)
    for i in range(pairs):
        layer, design = layers[i % n], designs[i // n if every else i]
        df, R, C = design[0], design[1], design[2]
        table[i, kept] = _evaluate(layer, df, R, C, _sizes(design), timed, bits, stamps, out)
        for place in range(kept):
            table[i, place] = out[places[place]]
    return table


# ---- the report --------------------------------------------------------------------------------------------


def _check(name: str, value: object, fields: tuple[str, ...]) -> None:
    if not isinstance(value, np.ndarray) or value.ndim != 2 or value.shape[1] != len(fields):
        came = f"shape {value.shape}" if isinstance(value, np.ndarray) else type(value).__name__
        raise UsageError(f"{name}: expected an array of shape (n, {len(fields)}) ({', '.join(fields)}), got {came}")
    if value.dtype != np.int64:
        raise UsageError(f"{name}: expected dtype int64, got {value.dtype}; pass {name}.astype(np.int64)")


def _check_rows(name: str, array: Integers, wrong: Any, expected: str) -> None:
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise UsageError(f"{name}: expected {expected}, got {array[row].tolist()} in row {row}")


def _validate(layers: Integers, designs: Integers) -> None:
    _check("layers", layers, LAYER_FIELDS)
    _check("designs", designs, DESIGN_FIELDS)
    if len(layers) != len(designs):
        raise UsageError(f"expected one design per layer, got {len(layers)} layers and {len(designs)} designs")
    _check_rows("layers", layers, (layers < 1).any(axis=1), f"positive {', '.join(LAYER_FIELDS)}")
    too_large = (layers[:, 2] > layers[:, 0]) | (layers[:, 3] > layers[:, 1])
    _check_rows("layers", layers, too_large, "a filter no larger than the ifmap")
    df = designs[:, 0]
    _check_rows("designs", designs, (df < OS) | (df > IS), "dataflow 0 (os), 1 (ws) or 2 (is)")
    _check_rows("designs", designs, (designs[:, 1:3] < 1).any(axis=1), "positive rows and cols")
    _check_rows("designs", designs, (designs[:, 3:] < 0).any(axis=1), "SRAM sizes of 0 KiB or more")
    H, W, fh, fw, ch, N, s = layers.astype(np.float64).T
    work = (H / s + 1) * (W / s + 1) * fh * fw * ch * N  # bounds every count but the fold overhead
    array = designs[:, 1].astype(np.float64) * designs[:, 2]
    _check_rows("layers", layers, 100 * work * array + H * W * ch * 64 > _LARGEST, "sizes whose counts fit 64 bits")


def counts(layers: Integers, designs: Integers) -> Integers:
    """Every layer on every design, without the columns that say when. Values are not checked, see ``report``.

    Args:
        layers: (l, 7) int64: ifmap_h, ifmap_w, filt_h, filt_w, channels, num_filters, stride.
        designs: (d, 6) int64: dataflow (0 os, 1 ws, 2 is), rows, cols, SRAM of ifmap, filter and ofmap in KiB.

    Returns:
        (d, l, 8) int64, the last axis as in ``COUNTS``: cycles, SRAM and DRAM accesses in words (= bytes), and
        the reason code of ``REASONS``; an infeasible pair holds 0 in the other seven.
    """
    table = _table(np.ascontiguousarray(layers), np.ascontiguousarray(designs), _COUNT_PLACES, True, False)
    return table.reshape(len(designs), len(layers), len(COUNTS))


def report(layers: Integers, designs: Integers) -> dict[str, npt.NDArray[Any]]:
    """The full SCALE-Sim 3.0.0 report of n pairs of a layer and a design.

    Args:
        layers: (n, 7) int64: ifmap_h, ifmap_w, filt_h, filt_w, channels, num_filters, stride. A product M x N x K
            is (M, K, 1, K, 1, N, 1). No padding is added.
        designs: (n, 6) int64: dataflow (0 os, 1 ws, 2 is), rows, cols, SRAM of ifmap, filter and ofmap in KiB.

    Returns:
        {column: (n,) array} for ``COLUMNS`` (cycles, words, words per cycle, percentages) and "reason": (n,) int64
        codes of ``REASONS``. Rows with a reason hold 0 in integer columns and nan in the others.

    Raises:
        UsageError: a shape, dtype or size is wrong.
    """
    _validate(layers, designs)
    places = np.arange(len(COLUMNS))
    table = _table(np.ascontiguousarray(layers), np.ascontiguousarray(designs), places, False, True)
    reason = table[:, -1].copy()
    result: dict[str, npt.NDArray[Any]] = {
        name: table[:, i].copy() if name in INTEGER_COLUMNS else np.full(len(table), np.nan)
        for i, name in enumerate(COLUMNS)
    }
    result["reason"] = reason
    fine = reason == 0
    values = _averages({name: result[name][fine] for name in INTEGER_COLUMNS}, layers[fine], designs[fine])
    for name, value in values.items():
        result[name][fine] = value
    return result


def _averages(
    counted: dict[str, npt.NDArray[Any]], layers: Integers, designs: Integers
) -> dict[str, npt.NDArray[np.float64]]:
    """The nine float columns of feasible rows (SCALE-Sim 3.0.0, COMPUTE_REPORT and BANDWIDTH_REPORT)."""
    H, W, fh, fw, ch, N, s = layers.T
    df, R, C = designs[:, 0], designs[:, 1], designs[:, 2]
    M, K = ((H - fh + s - 1) // s + 1) * ((W - fw + s - 1) // s + 1), fh * fw * ch
    Sr, Sc, T = np.where(df == OS, M, K), np.where(df == IS, M, N), np.choose(df, (K, M, N))
    slots = R * C * -(-Sr // R) * -(-Sc // C)
    depth = T + np.where(df == OS, R + C - 2, 2 * R + 2 * C - 3)
    result = {
        "overall_util_pct": 100.0 * M * N * K / (R * C * counted["total_cycles"]),
        "mapping_eff_pct": 100.0 * Sr * Sc / slots,
        "compute_util_pct": 100.0 * Sr * Sc * T / (slots.astype(np.float64) * depth),
    }
    for operand, kind in (("ifmap", "reads"), ("filter", "reads"), ("ofmap", "writes")):
        result[f"avg_{operand}_sram_bw"] = counted[f"sram_{operand}_{kind}"] / counted["total_cycles"]
        cycles = counted[f"dram_{operand}_stop"] - counted[f"dram_{operand}_start"] + 1
        result[f"avg_{operand}_dram_bw"] = counted[f"dram_{operand}_{kind}"] / cycles
    return result
