"""The SCALE-Sim model against the tool's own reports and against a brute-force walk of its demand matrices."""

from __future__ import annotations

import csv
from math import ceil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from archgym.errors import UsageError
from archgym.simulators.systolic import scalesim

DATA = Path(__file__).parents[2] / "data" / "systolic"
DATAFLOWS = ("os", "ws", "is")
ROWS = {"edge_cases": 46, "gemm": 60, "networks": 128, "random_small": 98}


def table(name):
    """CALC rows of a reference table: (layers, designs, rows)."""
    with (DATA / f"{name}.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["bw_mode"] == "CALC"]
    layers, designs = [], []
    for row in rows:
        if row["input_mode"] == "gemm":
            m, n, k = (int(row[f"gemm_{letter}"]) for letter in "mnk")
            layers.append((m, k, 1, k, 1, n, 1))
        else:
            layers.append(tuple(int(row[field]) for field in scalesim.LAYER_FIELDS))
        sizes = ("array_rows", "array_cols", "ifmap_sram_kb", "filter_sram_kb", "ofmap_sram_kb")
        designs.append((DATAFLOWS.index(row["dataflow"]), *(int(row[field]) for field in sizes)))
    return np.array(layers), np.array(designs), rows


# ---- the tool's reports ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ROWS)
def test_every_reference_row(name):
    layers, designs, rows = table(name)
    assert len(rows) == ROWS[name]
    result = scalesim.report(layers, designs)
    assert not result["reason"].any()
    for column in scalesim.COLUMNS:
        if column in scalesim.INTEGER_COLUMNS:
            assert result[column].dtype == np.int64
            expected = [int(float(row[column])) for row in rows]
            np.testing.assert_array_equal(result[column], expected, err_msg=column)
        else:
            expected = [float(row[column]) for row in rows]
            np.testing.assert_allclose(result[column], expected, rtol=1e-9, atol=0, err_msg=column)


def test_rows_on_which_the_tool_raises_are_infeasible():
    layers, designs, rows = table("tool_errors")
    assert {row["error"] for row in rows} == {"ZeroDivisionError: division by zero"}
    result = scalesim.report(layers, designs)
    assert [scalesim.REASONS[code].split(":")[0] for code in result["reason"]] == [
        "two flushes in one row",
        "zero cycles",
    ]
    for column in scalesim.COLUMNS:
        empty = 0 if column in scalesim.INTEGER_COLUMNS else np.nan
        np.testing.assert_array_equal(result[column], np.full(len(rows), empty), err_msg=column)


def test_counts_is_the_report_without_the_times():
    for name in ROWS:
        layers, designs, _ = table(name)
        designs = np.concatenate([designs[::17], [[1, 4, 600, 1, 1, 1], [0, 1, 1, 1, 1, 0]]])
        layers = layers[::11]
        counted = scalesim.counts(layers, designs)
        assert counted.shape == (len(designs), len(layers), 8)
        pairs = np.tile(layers, (len(designs), 1)), np.repeat(designs, len(layers), axis=0)
        result = scalesim.report(*pairs)
        for place, column in enumerate(scalesim.COUNTS):
            np.testing.assert_array_equal(counted[..., place].ravel(), result[column], err_msg=column)


# ---- small cases worked out by hand ------------------------------------------------------------------------


def row(layer, design):
    """One row of the report as plain numbers."""
    result = scalesim.report(np.array([layer]), np.array([design]))
    return {column: values[0].item() for column, values in result.items()}


def test_two_by_two_product_by_hand():
    # 2x2 times 2x2 on a 2x2 array, os: one fold. Operands enter skewed, so the last element meets the farthest
    # cell after T + R + C - 2 = 2 + 2 + 2 - 2 = 4 rows 0..3, and the tool reports the index of the last: 3.
    # 8 MACs on 4 cells in "3" cycles are 100 * 8 / 12 %. Every operand is read once (4 words); the ofmap is
    # written 4 times, and the tool adds R + C = 4 for the fold.
    # Each read buffer holds hundredths of 10 words: 4 words round up to one, fetched in 10 / 10 = 1 cycle, at -1.
    # The write buffer never fills; 4 words drain after the end in rows of C = 2: cycles 3 and 4.
    got = row((2, 2, 1, 2, 1, 2, 1), (0, 2, 2, 1, 1, 1))
    assert got["total_cycles"] == 3
    assert got["overall_util_pct"] == pytest.approx(200 / 3)
    assert (got["mapping_eff_pct"], got["compute_util_pct"]) == (100, 50)
    assert (got["sram_ifmap_reads"], got["sram_filter_reads"], got["sram_ofmap_writes"]) == (4, 4, 8)
    assert (got["dram_ifmap_start"], got["dram_ifmap_stop"], got["dram_ifmap_reads"]) == (-1, -1, 4)
    assert (got["dram_ofmap_start"], got["dram_ofmap_stop"], got["dram_ofmap_writes"]) == (3, 4, 4)
    assert got["total_cycles_incl_prefetch"] == 4 - (-1)


def test_flush_by_hand():
    # One PE, os, a 1 x 600 row times a 600 x 2 matrix: the ifmap row is read twice, one word per cycle. The set
    # holds 50 hundredths of floor(1024 / 100) = 10 words = 500, fewer than the 600 of a pass, so a word is always
    # dropped before it comes again: all 1200 requests miss, and requests 500 and 1000 flush.
    # Folds take T + R + C - 2 = 600 rows without a gap: request e is in row e - 1, the last flush in row 999, and
    # the reads end a cycle later. The first 500 words come before row 0 at 10 per cycle, from cycle -50 on.
    got = row((1, 600, 1, 600, 1, 2, 1), (0, 1, 1, 1, 2, 1))
    assert (got["dram_ifmap_start"], got["dram_ifmap_stop"], got["dram_ifmap_reads"]) == (-50, 1000, 1200)
    assert got["total_cycles"] == 2 * 600 - 1


def test_ragged_last_window_by_hand():
    # 5 wide, filter 2, stride 2: ceil((5 - 2 + 2) / 2) = 3 windows per axis, the third hangs over the edge.
    # 9 windows x 4 taps are counted as SRAM reads, but only the 25 words of the ifmap ever reach DRAM.
    got = row((5, 5, 2, 2, 1, 1, 2), (0, 4, 4, 1, 1, 1))
    assert got["sram_ifmap_reads"] == 36
    assert got["dram_ifmap_reads"] == 25


def test_write_buffer_counts_a_partial_row_as_full():
    # D = 512 words drain in bursts of 512 / 8 = 64 rows. The first is due at word 513, whose row holds 1 word and
    # stays behind; in the second burst it is not the last row, so it counts as 8: 7 words too many.
    got = row((64, 1, 1, 1, 1, 32, 1), (0, 8, 8, 1, 1, 1))
    assert got["dram_ofmap_writes"] == 64 * 32 + 7


@pytest.mark.parametrize("sram", [(0, 1, 1), (1, 0, 1), (1, 1, 0)])
def test_no_sram_is_infeasible(sram):
    assert scalesim.REASONS[row((4, 4, 2, 2, 1, 1, 1), (0, 2, 2, *sram))["reason"]].startswith("SRAM below 100")


# ---- brute force: walk the demand matrices row by row, port by port ------------------------------------------


def demands(layer, df, R, C):
    """Rows of (ifmap, filter, ofmap) ports with addresses, None where a port asks for nothing; and the folds."""
    H, W, fh, fw, ch, N, s = layer
    OH, OW = ceil((H - fh + s) / s), ceil((W - fw + s) / s)
    M, K = OH * OW, fh * fw * ch

    def A(i, j):
        (r, c), (a, rest) = divmod(i, OW), divmod(j, fw * ch)
        b, k = divmod(rest, ch)
        return ((r * s + a) * W + c * s + b) * ch + k if r * s + a < H and c * s + b < W else None

    def B(k, n):
        return n * K + k

    Sr, Sc, T = {"os": (M, N, K), "ws": (K, N, M), "is": (K, M, N)}[df]
    RF, CF = ceil(Sr / R), ceil(Sc / C)
    L = T + R + C - 2 + (R if df != "os" else 0)
    rows, folds = [], []
    for fc in range(CF):
        for fr in range(RF):
            used_r, used_c = min(R, Sr - fr * R), min(C, Sc - fc * C)
            folds.append((used_r, used_c))
            for l in range(L):
                ifmap, filt, ofmap = [], [], []
                if df == "os":
                    ifmap = [A(fr * R + c, l - c) for c in range(used_r) if 0 <= l - c < T]
                    filt = [B(l - c, fc * C + c) for c in range(used_c) if 0 <= l - c < T]
                    ofmap = [R - 1 - (l - c - T + 1) for c in range(used_c)]
                    ofmap = [r for r in ofmap if 0 <= r < used_r]
                else:
                    k = fr * R + R - 1 - l
                    held = [fc * C + c for c in range(used_c)] if 0 <= R - 1 - l < used_r else []
                    streamed = [(l - c - R, fr * R + c) for c in range(used_r) if 0 <= l - c - R < T]
                    if df == "ws":
                        filt, ifmap = [B(k, n) for n in held], [A(t, j) for t, j in streamed]
                    else:
                        ifmap, filt = [A(i, k) for i in held], [B(j, t) for t, j in streamed]
                    ofmap = [c for c in range(used_c) if 0 <= l - c - (2 * R - 1) < T]
                rows.append(([x for x in ifmap if x is not None], filt, len(ofmap)))
    return rows, folds, (M, N, K, Sr, Sc, T, L)


def read_buffer(rows, n, cap):
    """(start, stop, reads) of the estimating read buffer: hundredths of n words, emptied at cap words."""
    held, reads, flushes = set(), 0, []
    first = next(t for t, row in enumerate(rows) if row)
    for t, row in enumerate(rows):
        for address in row:
            if address not in held:
                held.add(address)
                reads += 1
                if len(held) == cap:
                    held = set()
                    flushes.append(t)
    if len(set(flushes)) < len(flushes):
        raise ZeroDivisionError
    if not flushes:
        return -ceil(ceil(reads / n) * n / 10), -1, reads
    return first - ceil(cap / 10), flushes[-1] + 1, reads


def write_buffer(rows, words, b):
    """(start, stop, writes) of the write buffer, and the cycles that it stalled."""
    active = ceil(words / 2)
    burst = ceil((words - active) / b)
    free, partial, queue, busy_until, stamps, writes, stall = words, 0, [], 0, [], 0, 0

    def drain(cycle):
        nonlocal free, writes, busy_until
        taken = queue[:burst]
        del queue[:burst]
        amount = len(taken) * b - (b - taken[-1])
        free, writes, busy_until = free + amount, writes + amount, cycle + len(taken) - 1
        stamps.extend(range(cycle, cycle + len(taken)))

    now = 0
    for t, valid in enumerate(rows):
        now = t + stall
        for _ in range(valid):
            free, partial = free - 1, partial + 1
            if partial == b:
                queue.append(b)
                partial = 0
            if now < busy_until:
                if free <= 0:
                    stall, now = stall + busy_until - now, busy_until
            elif free < active:
                if partial:
                    queue.append(partial)
                partial = 0
                drain(now)
    if partial:
        queue.append(partial)
    while queue:
        drain(now)
        now = busy_until + 1
    return min(stamps), max(stamps), writes, stall


def brute_force(layer, df, R, C, sizes):
    """All 30 columns, or ZeroDivisionError."""
    n_ifmap, cap_ifmap, n_filter, cap_filter, words = sizes
    rows, folds, (M, N, K, Sr, _, T, L) = demands(layer, df, R, C)
    ifmap, filt, ofmap = ([row[i] for row in rows] for i in range(3))
    RF, F = ceil(Sr / R), len(folds)
    CF = F // RF
    total = len(rows) - 1
    assert total == F * L - 1
    sram = {
        "os": (CF * M * K, RF * N * K, M * N + F * (R + C)),
        "ws": (CF * M * K, N * K, RF * M * N),
        "is": (M * K, CF * N * K, RF * M * N),
    }[df]
    span = T + R + C - 2 if df == "os" else T + 2 * R + 2 * C - 3
    result = {
        "total_cycles": total,
        "stall_cycles": 0,
        "overall_util_pct": 100 * M * N * K / (R * C * total),
        "mapping_eff_pct": sum(100 * r * c / (R * C) for r, c in folds) / F,
        "compute_util_pct": sum(100 * r * c * T / (R * C * span) for r, c in folds) / F,
    }
    *written, stall = write_buffer(ofmap, words, C)
    assert stall == 0
    dram = (read_buffer(ifmap, n_ifmap, cap_ifmap), read_buffer(filt, n_filter, cap_filter), written)
    for i, operand in enumerate(("ifmap", "filter", "ofmap")):
        kind = "writes" if operand == "ofmap" else "reads"
        late = 0 if operand == "ofmap" else 1
        busy = [t + late for t, row in enumerate((ifmap, filt, ofmap)[i]) if row]
        result[f"sram_{operand}_start"], result[f"sram_{operand}_stop"] = busy[0], busy[-1]
        result[f"sram_{operand}_{kind}"] = sram[i]
        result[f"avg_{operand}_sram_bw"] = sram[i] / total
        start, stop, count = dram[i]
        result[f"dram_{operand}_start"], result[f"dram_{operand}_stop"] = start, stop
        result[f"dram_{operand}_{kind}"] = count
        result[f"avg_{operand}_dram_bw"] = count / (stop - start + 1)
    result["total_cycles_incl_prefetch"] = written[1] - min(dram[0][0], dram[1][0])
    assert set(result) == set(scalesim.COLUMNS)
    return result


def evaluate(layer, df, R, C, sizes):
    """The kernel with buffers of any size: (integer columns, reason)."""
    layer = np.array(layer)
    space = scalesim._scan_words(layer[None])
    bits, stamps = np.zeros(space, np.uint64), np.zeros(space + 1, np.int64)
    out = np.empty(30, np.int64)
    reason = scalesim._evaluate(layer, DATAFLOWS.index(df), R, C, sizes, True, bits, stamps, out)
    return out, reason


def compare(layer, df, R, C, sizes):
    """Kernel against brute force; True if there was a flush or a drain to get right."""
    got, reason = evaluate(layer, df, R, C, sizes)
    try:
        expected = brute_force(layer, df, R, C, sizes)
    except ZeroDivisionError:
        assert reason in (scalesim.ZERO_CYCLES, scalesim.TWO_FLUSHES)
        assert not got.any()
        return False
    assert reason == 0
    names = sorted(scalesim.INTEGER_COLUMNS)
    found = {name: int(got[scalesim.COLUMNS.index(name)]) for name in names}
    assert found == {name: expected[name] for name in names}, (layer, df, R, C, sizes)
    return expected["dram_ifmap_stop"] >= 0


def work(layer, df, R, C):
    """Requests that the brute force walks, about."""
    H, W, fh, fw, ch, N, s = layer
    M, K = (ceil((H - fh + s) / s)) * ceil((W - fw + s) / s), fh * fw * ch
    Sr, Sc, T = {"os": (M, N, K), "ws": (K, N, M), "is": (K, M, N)}[df]
    return ceil(Sr / R) * ceil(Sc / C) * (T + 2 * R + C) * (R + C)


@st.composite
def layers(draw, side=10, channels=6):
    H, W = draw(st.integers(1, side)), draw(st.integers(1, side))
    fh, fw = draw(st.integers(1, min(H, 5))), draw(st.integers(1, min(W, 5)))
    return (H, W, fh, fw, draw(st.integers(1, channels)), draw(st.integers(1, 10)), draw(st.integers(1, 4)))


@st.composite
def buffers(draw):
    """Buffers far smaller than the smallest SRAM, so that they flush and drain."""
    ifmap, filt = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    return (
        ifmap,
        ifmap * draw(st.integers(1, 40)),
        filt,
        filt * draw(st.integers(1, 40)),
        draw(st.integers(2, 60)),
    )


arrays = st.integers(1, 8)


@settings(max_examples=250, deadline=None)
@given(layers(), st.sampled_from(DATAFLOWS), arrays, arrays, buffers())
@example((1, 1, 1, 1, 1, 2, 1), "os", 1, 4, (1, 1, 1, 1, 2))  # the last burst leaves nothing to drain
def test_tiny_buffers_against_brute_force(layer, df, R, C, sizes):
    assume(work(layer, df, R, C) < 40_000)
    compare(layer, df, R, C, sizes)


@settings(max_examples=60, deadline=None)
@given(layers(channels=12), st.sampled_from(DATAFLOWS), arrays, arrays, st.tuples(*[st.integers(1, 2)] * 3))
def test_report_against_brute_force(layer, df, R, C, sram):
    assume(work(layer, df, R, C) < 100_000)
    design = (DATAFLOWS.index(df), R, C, *sram)
    got = row(layer, design)
    sizes = [x for kib in sram[:2] for x in (1024 * kib // 100, 1024 * kib // 100 * 50)]
    try:
        expected = brute_force(layer, df, R, C, (*sizes, 1024 * sram[2]))
    except ZeroDivisionError:
        assert got["reason"] != 0
        return
    assert got.pop("reason") == 0
    assert got == pytest.approx(expected, rel=1e-9, abs=0)


@settings(max_examples=60, deadline=None)
@given(layers(), st.sampled_from(DATAFLOWS), arrays, arrays, buffers(), st.integers(0, 2**32))
def test_a_scan_leaves_nothing_behind(layer, df, R, C, sizes, seed):
    """Scratch memory that another layer used gives the same numbers as fresh memory."""
    other = np.array([12, 12, 3, 3, 4, 5, 1])
    space = max(scalesim._scan_words(other[None]), scalesim._scan_words(np.array([layer])))
    bits, stamps = np.zeros(space, np.uint64), np.zeros(space + 1, np.int64)
    out = np.empty(30, np.int64)
    scalesim._evaluate(other, seed % 3, 5, 4, (3, 90, 3, 90, 50), True, bits, stamps, out)
    reason = scalesim._evaluate(np.array(layer), DATAFLOWS.index(df), R, C, sizes, True, bits, stamps, out)
    fresh, fresh_reason = evaluate(layer, df, R, C, sizes)
    assert reason == fresh_reason
    np.testing.assert_array_equal(out, fresh)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_many_overlapping_convolutions_against_brute_force(seed):
    """Overlapping windows beyond the cap, where the model has no closed form; thousands of flushes."""
    rng = np.random.default_rng(seed)
    flushed = 0
    while flushed < 400:
        H, W = (int(x) for x in rng.integers(3, 14, 2))
        fh, fw = int(rng.integers(1, min(H, 5) + 1)), int(rng.integers(1, min(W, 5) + 1))
        s = int(rng.integers(1, 4))
        layer = (H, W, fh, fw, int(rng.integers(1, 20)), int(rng.integers(1, 12)), s)
        df, R, C = DATAFLOWS[rng.integers(3)], int(rng.integers(1, 17)), int(rng.integers(1, 17))
        if (fh <= s and fw <= s) or work(layer, df, R, C) > 150_000:
            continue
        words = H * W * layer[4]
        n = int(rng.integers(1, 5))
        cap = n * max(1, int(words * rng.random() ** 2 / n))
        flushed += compare(layer, df, R, C, (n, cap, n, cap, int(rng.integers(2, 100))))


# ---- wrong arguments ---------------------------------------------------------------------------------------

LAYER, DESIGN = [8, 8, 3, 3, 4, 5, 1], [0, 4, 4, 1, 1, 1]


@pytest.mark.parametrize(
    ("layers", "designs", "message"),
    [
        ([LAYER], DESIGN, r"designs: expected an array of shape \(n, 6\)"),
        ([LAYER[:6]], [DESIGN], r"layers: expected an array of shape \(n, 7\) .* got shape \(1, 6\)"),
        ([LAYER, LAYER], [DESIGN], "one design per layer, got 2 layers and 1 designs"),
        ([[8, 8, 9, 3, 4, 5, 1]], [DESIGN], "a filter no larger than the ifmap, got .* in row 0"),
        ([LAYER, [8, 8, 3, 3, 0, 5, 1]], [DESIGN, DESIGN], "positive .* in row 1"),
        ([LAYER], [[3, 4, 4, 1, 1, 1]], "dataflow 0"),
        ([LAYER], [[0, 0, 4, 1, 1, 1]], "positive rows and cols"),
        ([LAYER], [[0, 4, 4, -1, 1, 1]], "SRAM sizes"),
        ([[2**20, 2**20, 1, 1, 2**20, 2**20, 1]], [DESIGN], "fit 64 bits"),
    ],
)
def test_wrong_arguments(layers, designs, message):
    with pytest.raises(UsageError, match=message):
        scalesim.report(np.array(layers), np.array(designs))


def test_wrong_types():
    with pytest.raises(UsageError, match="expected dtype int64, got float64"):
        scalesim.report(np.array([LAYER], float), np.array([DESIGN]))
    with pytest.raises(UsageError, match="got list"):
        scalesim.report([LAYER], np.array([DESIGN]))


def test_no_rows():
    result = scalesim.report(np.empty((0, 7), np.int64), np.empty((0, 6), np.int64))
    assert list(result) == [*scalesim.COLUMNS, "reason"]
    assert all(len(values) == 0 for values in result.values())
