"""The default systolic model against an oracle that walks every fold with explicit sets, and by clocking the array.

The oracle knows the rules of the model in words only (what is kept in half of an SRAM, in which order folds come)
and counts words one by one; the model has closed forms. Whatever the oracle says it keeps in a buffer is
checked against the capacity of that buffer at every step.
"""

import functools
import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archgym.simulators.systolic import array
from archgym.simulators.systolic.hardware import SystolicConfig
from archgym.simulators.systolic.simulator import Systolic
from archgym.workload import Layer, Network, load_workload, workload_names

OS, WS, IS = array.OS, array.WS, array.IS
DATAFLOWS = st.sampled_from((OS, WS, IS))


# ---- strategies ------------------------------------------------------------------------------------------


@st.composite
def axes(draw, most):
    """(extent, taps, stride, padding, dilation) of one axis with at least one window."""
    extent, padding, dilation = draw(st.integers(1, most)), draw(st.integers(0, 2)), draw(st.integers(1, 2))
    taps = draw(st.integers(1, min(3, (extent + 2 * padding - 1) // dilation + 1)))
    return extent, taps, draw(st.integers(1, 3)), padding, dilation


@st.composite
def layers(draw, most=6, filters=6):
    H, R, sh, ph, dh = draw(axes(most))
    W, S, sw, pw, dw = draw(axes(most))
    return Layer(
        "x", draw(st.integers(1, 2)), draw(st.integers(1, 2)), draw(st.integers(1, filters)), draw(st.integers(1, 3)),
        H, W, R, S, (sh, sw), (ph, pw), (dh, dw),
    )  # fmt: skip


@st.composite
def machines(draw):
    """(dataflow, rows, columns, bits of the three SRAMs): any number of bits, so that halving and flooring show."""
    bits = [draw(st.integers(0, 2 * 8 * 250)) for _ in range(2)]
    return draw(DATAFLOWS), draw(st.integers(1, 5)), draw(st.integers(1, 5)), *bits, draw(st.integers(0, 2 * 32 * 60))


def model_counts(layer, machine, *, bits=8, psum_bits=32, overlap=True):
    """The model's counts of one layer as a dict."""
    table, _ = Systolic(SystolicConfig(bits=bits, psum_bits=psum_bits))._layers(Network("n", (layer,)), merge=False)
    out = array.counts_of(np.array([machine], np.int64), table, psum_bits, overlap, False)[0, 0]
    assert (out >= 0).all()
    names = ("CYCLES", "SRAM_IFMAP_READ", "SRAM_FILTER_READ", "SRAM_OFMAP_WRITE", "SRAM_OFMAP_READ")
    names += ("DRAM_IFMAP", "DRAM_FILTER", "DRAM_OFMAP", "DRAM_PARTIAL", "SRAM_IFMAP_FILL", "SRAM_OFMAP_DRAIN")
    assert len(names) == len(out) == array.N_COUNT  # nothing is left unchecked
    return {name: int(out[getattr(array, name)]) for name in names}


# ---- the oracle ------------------------------------------------------------------------------------------


def chunks(n, size):
    return [range(i, min(i + size, n)) for i in range(0, n, size)]


def operand_matrix(layer):
    """One group's A: the input word of each output pixel (image, p, q) and tap (c, r, s), None for padding."""
    pixels = itertools.product(range(layer.N), range(layer.P), range(layer.Q))
    matrix = []
    for image, p, q in pixels:
        row = []
        for c, r, s in itertools.product(range(layer.C), range(layer.R), range(layer.S)):
            h = p * layer.stride[0] - layer.padding[0] + r * layer.dilation[0]
            w = q * layer.stride[1] - layer.padding[1] + s * layer.dilation[1]
            row.append((image, h, w, c) if 0 <= h < layer.H and 0 <= w < layer.W else None)
        matrix.append(row)
    return matrix


class Buffer:
    """Half of an SRAM: what is kept must fit, what is not kept is fetched again."""

    def __init__(self, sram_bits, word_bits):
        self.words = sram_bits // (2 * word_bits)
        self.held = set()
        self.fetched = 0

    def fits(self, words):
        return len(words) <= self.words

    def need(self, words, keep):
        self.fetched += len(words - self.held)
        self.held = self.held | words if keep else set()
        assert len(self.held) <= self.words

    def forget(self):
        self.held = set()


def walk(layer, machine, bits=8, psum_bits=32):
    """Words of one layer by walking groups, column folds, row folds."""
    dataflow, R, C, ifmap_bits, filter_bits, ofmap_bits = machine
    A = operand_matrix(layer)
    M, K, N = len(A), len(A[0]), layer.K
    touched = {word for row in A for word in row if word is not None}
    ifmap, weights = Buffer(ifmap_bits, bits), Buffer(filter_bits, bits)
    out = dict.fromkeys(("SRAM_IFMAP_READ", "SRAM_FILTER_READ", "SRAM_OFMAP_WRITE", "SRAM_OFMAP_READ"), 0)
    out |= {"DRAM_IFMAP": 0, "DRAM_FILTER": 0, "DRAM_OFMAP": 0, "DRAM_PARTIAL": 0}
    drained = set()  # results that leave the ofmap SRAM, each once
    fold_cycles = []
    for group in range(layer.G):
        ifmap.forget(), weights.forget()
        row_items, column_items = {OS: (M, N), WS: (K, N), IS: (K, M)}[dataflow]
        loaded = set()
        widest = chunks(column_items, C)[0]  # one decision for all column folds, also for a narrower last one
        if dataflow == OS:
            slice_stays = weights.fits({(k, n) for k in range(K) for n in widest})
        partials_stay = len(widest) * (M if dataflow == WS else N) <= ofmap_bits // (2 * psum_bits)
        for columns in chunks(column_items, C):
            row_folds = chunks(row_items, R)
            if dataflow == OS:
                slice_words = {(k, n) for k in range(K) for n in columns}
                weights.forget()  # another column fold, other filters
            elif dataflow == WS:
                partial = {(m, n) for m in range(M) for n in columns}
            else:
                partial = {(m, n) for m in columns for n in range(N)}
            spilled = False
            for i, rows in enumerate(row_folds):
                if dataflow == OS:
                    out["SRAM_IFMAP_READ"] += len(rows) * K  # each row streams its pixel's taps
                    out["SRAM_FILTER_READ"] += len(columns) * K
                    weights.need(slice_words, keep=slice_stays)
                    results = {(m, n) for m in rows for n in columns}
                    out["SRAM_OFMAP_WRITE"] += len(results)
                    out["DRAM_OFMAP"] += len(results)  # complete: the whole of K has passed
                    drained |= {(group, m, n) for m, n in results}
                    fold_cycles.append(K)
                    continue
                if dataflow == WS:
                    out["SRAM_IFMAP_READ"] += len(rows) * M
                    out["SRAM_FILTER_READ"] += len(rows) * len(columns)
                    weights.need({(k, n) for k in rows for n in columns}, keep=False)
                    fold_cycles.append(M)
                else:
                    out["SRAM_IFMAP_READ"] += len(rows) * len(columns)
                    out["SRAM_FILTER_READ"] += len(rows) * N
                    loaded |= {A[m][k] for m in columns for k in rows} - {None}
                    whole = {(k, n) for k in range(K) for n in range(N)}
                    needed = {(k, n) for k in rows for n in range(N)}
                    weights.need(needed, keep=weights.fits(whole))
                    fold_cycles.append(N)
                # Every fold adds to all partial sums of this column fold.
                out["SRAM_OFMAP_WRITE"] += len(partial)
                if i > 0:
                    out["SRAM_OFMAP_READ"] += len(partial)
                    if spilled:
                        out["DRAM_PARTIAL"] += len(partial)  # written after the last fold, read back in this one
                spilled = not partials_stay
            if dataflow != OS:
                out["DRAM_OFMAP"] += len(partial)  # the last fold completes them
                drained |= {(group, m, n) for m, n in partial}
                if len(row_folds) == 1:
                    assert out["DRAM_PARTIAL"] == 0
        if dataflow == IS:
            assert loaded == touched
            ifmap.fetched += len(loaded)  # every input is loaded into the array from one visit of DRAM
        else:
            for _columns in chunks(column_items, C):
                if ifmap.fits(touched):
                    ifmap.need(touched, keep=True)
                else:
                    stream_pass(layer, touched, ifmap)
    out["DRAM_IFMAP"], out["DRAM_FILTER"] = ifmap.fetched, weights.fetched
    out["SRAM_IFMAP_FILL"], out["SRAM_OFMAP_DRAIN"] = ifmap.fetched, len(drained)
    return out, fold_cycles


def stream_pass(layer, touched, ifmap):
    """All output rows of all images, once: the rows of a window stay for the next one if a window's rows fit.

    The rule is the same for os, whose folds do walk output rows, and for ws, whose folds walk taps: there a
    pass is what the column fold needs if no word is fetched for one row fold and again for the next.
    """
    reach = (layer.R - 1) * layer.dilation[0] + 1
    window = {(h, w, c) for h in range(min(layer.H, reach)) for w in range(layer.W) for c in range(layer.C)}
    used_columns = {w for _, _, w, _ in touched}
    for _image in range(layer.N):
        held = set()
        for p in range(layer.P):
            top = p * layer.stride[0] - layer.padding[0]
            rows = {top + r * layer.dilation[0] for r in range(layer.R)} & set(range(layer.H))
            ifmap.fetched += len(rows - held) * len(used_columns) * layer.C
            held |= rows
            held = {h for h in held if h >= top + layer.stride[0]} if ifmap.fits(window) else set()
            assert len(held) <= min(layer.H, reach)


def timeline(dataflow, R, C, streams, overlap):
    """Cycles of folds that stream ``streams[i]`` cycles each, from what each of their parts waits for.

    ws, is: R cycles load the held operand, then the stream enters; os: the stream enters, then R cycles
    shift the results out. The last word of a stream reaches the last column C - 1 cycles and the last row
    R - 1 cycles after it entered the first. With two sets of registers the loading of a fold runs while the
    fold before streams, and the shifting out of a fold while the fold after streams.
    """
    through = R + C - 2  # a wavefront crosses the array
    if not overlap:
        return sum(length + through + (0 if dataflow == OS else R) for length in streams)
    if dataflow == OS:
        stream_end = drained = 0
        ends = []
        for i, length in enumerate(streams):
            start = stream_end if i < 2 else max(stream_end, ends[i - 2])  # its accumulators must be empty
            stream_end = start + length
            drained = max(stream_end, drained) + R
            ends.append(drained)
        return drained - R + through  # the last results are complete when the last wave has crossed
    loaded, stream_start, stream_end = R, 0, 0
    for length in streams:
        stream_start = max(loaded, stream_end)
        stream_end = stream_start + length
        loaded = stream_start + R  # the shadow registers are free as soon as this fold runs
    return stream_end + through


# ---- tests: words ----------------------------------------------------------------------------------------


@settings(max_examples=300, deadline=None)
@given(layers(), machines())
def test_words_are_those_of_a_walk_over_the_folds(layer, machine):
    """Exact, for every dataflow, with groups, batch, padding, dilation and unequal strides."""
    counted, _ = walk(layer, machine)
    model = model_counts(layer, machine)
    assert {name: model[name] for name in counted} == counted


@settings(max_examples=100, deadline=None)
@given(layers(), machines(), st.integers(8, 32), st.integers(0, 8))
def test_words_depend_on_the_width_of_words_and_of_partial_sums(layer, machine, bits, more):
    """Half of an SRAM holds sram // 2 // bits words, and so many partial sums of their own width."""
    psum_bits = min(32, bits + more)
    counted, _ = walk(layer, machine, bits, psum_bits)
    model = model_counts(layer, machine, bits=bits, psum_bits=psum_bits)
    assert {name: model[name] for name in counted} == counted


@pytest.mark.slow
@settings(max_examples=3000, deadline=None)
@given(layers(most=9, filters=9), machines())
def test_words_are_those_of_a_walk_over_the_folds_long(layer, machine):
    counted, _ = walk(layer, machine)
    model = model_counts(layer, machine)
    assert {name: model[name] for name in counted} == counted


@pytest.mark.parametrize("dataflow", [OS, WS, IS])
def test_every_rule_switches_exactly_where_its_words_fit(dataflow):
    """One bit below two times the rule's words the operand is fetched again, at that size it is not.

    Layer: 2 images 5x4x2 (pad 1), 3x3, 4 filters: M = 40, K = 18, N = 4, on 3 x 3 PEs. Rules in words:
    os filter slice K*C = 54; is whole filter K*N = 72; ifmap 2*5*4*2 = 80; rows of a window 3*4*2 = 24;
    partial sums ws M*C = 120, is C*N = 12. What is fetched again is written out below.
    """
    layer = Layer("x", N=2, K=4, C=2, H=5, W=4, R=3, S=3, padding=(1, 1))
    big = 10**6
    RF, CF = {OS: (14, 2), WS: (6, 2), IS: (6, 14)}[dataflow]  # ceil(40/3), ceil(4/3); ceil(18/3); ceil(40/3)

    def words(name, **sizes):
        machine = (dataflow, 3, 3, sizes.get("ifmap", big), sizes.get("filter", big), sizes.get("ofmap", big))
        return model_counts(layer, machine)[name]

    if dataflow == OS:
        assert [words("DRAM_FILTER", filter=2 * 8 * 54 - less) for less in (0, 1)] == [72, RF * 72]
    elif dataflow == WS:
        assert words("DRAM_FILTER", filter=0) == 72
        assert [words("DRAM_PARTIAL", ofmap=2 * 32 * 120 - less) for less in (0, 1)] == [0, (RF - 1) * 160]
    else:
        assert [words("DRAM_FILTER", filter=2 * 8 * 72 - less) for less in (0, 1)] == [72, CF * 72]
        assert [words("DRAM_PARTIAL", ofmap=2 * 32 * 12 - less) for less in (0, 1)] == [0, (RF - 1) * 160]
        assert words("DRAM_IFMAP", ifmap=0) == 80
    if dataflow != IS:
        assert [words("DRAM_IFMAP", ifmap=2 * 8 * 80 - less) for less in (0, 1)] == [80, CF * 80]
        # Five windows of three rows touch 2 + 3 + 3 + 3 + 2 = 13 rows of 4 x 2 words, in each of two images.
        again = CF * 2 * 13 * 8
        assert [words("DRAM_IFMAP", ifmap=2 * 8 * 24 - less) for less in (0, 1)] == [CF * 80, again]


def touched_by_pixels(layer):
    """Distinct input words, by visiting every tap of every window."""
    return layer.G * len({word for row in operand_matrix(layer) for word in row if word is not None})


@pytest.mark.parametrize("name", ["googlenet", "mobilenet_v2"])
def test_touched_words_of_real_layers_by_visiting_every_pixel(name):
    """Layers of a real network, made narrow (touched positions do not depend on channels or batch)."""
    seen = set()
    for layer in load_workload(name).layers:
        geometry = (layer.H, layer.W, layer.R, layer.S, layer.stride, layer.padding, layer.dilation)
        if geometry in seen or layer.H * layer.W > 60 * 60:
            continue
        seen.add(geometry)
        narrow = Layer("x", 1, 2, 3, 1, *geometry)
        machine = (WS, 4, 4, 10**9, 10**9, 10**9)
        assert model_counts(narrow, machine)["DRAM_IFMAP"] == touched_by_pixels(narrow)
    assert len(seen) > 4


@st.composite
def chains(draw):
    """Layers of which most take exactly the words that the one before them gives, as rows, as pixels or strided."""
    out = [draw(layers(most=4, filters=4))]
    for _ in range(draw(st.integers(1, 4))):
        words = out[-1].ofmap_words
        words += draw(st.sampled_from((0, 0, 0, 1)))  # now and then one word more: no chain
        groups = draw(st.sampled_from([g for g in (1, 2) if words % g == 0]))
        channels = draw(st.sampled_from([c for c in (1, 2, 3, 4, 8) if words // groups % c == 0]))
        H, K = words // groups // channels, draw(st.integers(1, 4))
        stride, bits = (draw(st.integers(1, 2)), 1), draw(st.sampled_from((None, None, None, 5)))
        repeats = draw(st.sampled_from((1, 1, 1, 2)))
        out.append(Layer("x", G=groups, K=K, C=channels, H=H, stride=stride, bits=bits, repeats=repeats))
    return tuple(out)


@settings(max_examples=300, deadline=None)
@given(chains(), machines(), st.booleans(), st.sampled_from((8, 13, 32)))
def test_what_stays_on_chip_between_layers(chain, machine, roomy, psum_bits):
    """DRAM is skipped exactly where the sums of one layer fit half of the ofmap SRAM and the words that the next
    layer touches fit half of the ifmap SRAM; what the SRAMs do is the same."""
    if roomy:
        machine = (*machine[:3], *(8 * bits for bits in machine[3:]))
    table, _ = Systolic(SystolicConfig(psum_bits=psum_bits))._layers(Network("n", chain), merge=False)
    design = np.array([machine], np.int64)
    off, on = (array.counts_of(design, table, psum_bits, True, keep)[0] for keep in (False, True))
    expected = off.copy()
    for i, (before, after) in enumerate(itertools.pairwise(chain)):
        chained = (before.ofmap_words, before.bits, before.repeats) == (after.ifmap_words, after.bits, after.repeats)
        sums, inputs = before.ofmap_words * psum_bits, touched_by_pixels(after) * (after.bits or 8)
        if chained and 2 * sums <= machine[5] and 2 * inputs <= machine[3]:
            expected[i, array.DRAM_OFMAP] = expected[i + 1, array.DRAM_IFMAP] = 0
    assert on.tolist() == expected.tolist()
    assert (on[:, array.SRAM_IFMAP_FILL] == off[:, array.DRAM_IFMAP]).all()
    assert (on[:, array.SRAM_OFMAP_DRAIN] == off[:, array.DRAM_OFMAP]).all()


def test_both_ends_of_a_chain_decide_at_their_last_bit():
    """30 sums of 32 bits are given, 30 words of 8 bits taken: twice 960 and twice 240 bits suffice, one less does not.

    The second layer, of stride 2, touches every other one of its 15 rows of two words: 8 of them, 16 words, 128 bits.
    """
    first, second = Layer.gemm("a", M=15, N=2, K=7), Layer("b", K=3, C=2, H=15)
    strided = Layer("b", K=3, C=2, H=15, stride=(2, 1))

    def skipped(after, ifmap_bits, ofmap_bits):
        table, _ = Systolic()._layers(Network("n", (first, after)), merge=False)
        out = array.counts_of(np.array([[OS, 4, 4, ifmap_bits, 10**6, ofmap_bits]], np.int64), table, 32, True, True)[0]
        assert (out[0, array.DRAM_OFMAP] == 0) == (out[1, array.DRAM_IFMAP] == 0)
        assert out[0, array.SRAM_OFMAP_DRAIN] == 30
        assert out[0, array.DRAM_IFMAP] == 15 * 7
        assert out[1, array.DRAM_OFMAP] > 0
        return bool(out[1, array.DRAM_IFMAP] == 0)

    assert [skipped(second, 480 - less, 1920) for less in (0, 1)] == [True, False]
    assert [skipped(second, 480, 1920 - less) for less in (0, 1)] == [True, False]
    assert [skipped(strided, 256 - less, 1920) for less in (0, 1)] == [True, False]


def test_a_window_wholly_in_the_padding_needs_no_word():
    """H = 1, padding 3, stride 2, one tap: the windows are at rows -3, -1, 1, 3 and never at row 0."""
    layer = Layer("x", K=2, C=3, H=1, W=1, padding=(3, 0), stride=(2, 1))
    counts = model_counts(layer, (OS, 2, 2, 0, 0, 0))
    assert layer.P == 4
    assert counts["DRAM_IFMAP"] == 0
    assert counts["DRAM_OFMAP"] == 8


# ---- tests: cycles ---------------------------------------------------------------------------------------


@settings(max_examples=300, deadline=None)
@given(layers(), machines(), st.booleans())
def test_cycles_are_those_of_a_timeline_of_folds(layer, machine, overlap):
    """Every fold waits for its registers and its predecessor; groups are more folds of the same stream."""
    _, streams = walk(layer, machine)
    assert model_counts(layer, machine, overlap=overlap)["CYCLES"] == timeline(*machine[:3], streams, overlap)


def clock_array(dataflow, R, C, T):
    """Clock every PE of an R x C array through one fold: (cycles, products computed).

    Operands enter at the left edge (row r one cycle after row r - 1) and move one PE a cycle. os: the other
    operand enters at the top, column c one cycle after c - 1, and the PE multiplies when both are there.
    ws, is: R cycles shift the held operand in from the top, then partial sums move down.
    """
    left = [[None] * C for _ in range(R)]
    top = [[None] * C for _ in range(R)]
    products = [[[] for _ in range(C)] for _ in range(R)]
    cycle = last = 0 if dataflow == OS else R
    start = cycle
    while cycle - start < T + R + C + 2:
        t = cycle - start
        for r in range(R - 1, -1, -1):
            for c in range(C - 1, -1, -1):
                left[r][c] = left[r][c - 1] if c else (t - r if 0 <= t - r < T else None)
                top[r][c] = top[r - 1][c] if r else (t - c if 0 <= t - c < T else None)
                if left[r][c] is not None:
                    assert left[r][c] == top[r][c]  # both carry the same index of the stream: they meet
                    products[r][c].append(left[r][c])
                    last = cycle
        cycle += 1
    assert all(cell == list(range(T)) for row in products for cell in row)
    return last + 1


@pytest.mark.parametrize(("R", "C", "T"), [(1, 1, 1), (4, 4, 4), (3, 5, 7), (5, 2, 1), (2, 6, 9)])
@pytest.mark.parametrize("dataflow", [OS, WS, IS])
def test_one_fold_by_clocking_every_pe(dataflow, R, C, T):
    """One full fold of a GEMM lasts until its last product, counted in cycles (4x4x4 os: 10, not 9).

    For os the shifting out of the results (R cycles) comes after the last product and is not part of it.
    """
    M, K, N = {OS: (R, T, C), WS: (T, R, C), IS: (C, R, T)}[dataflow]
    machine = (dataflow, R, C, 10**6, 10**6, 10**6)
    for overlap in (False, True):  # a single fold has nothing to overlap with
        cycles = model_counts(Layer.gemm("x", M, N, K), machine, overlap=overlap)["CYCLES"]
        assert cycles == clock_array(dataflow, R, C, T)


# ---- tests: large numbers --------------------------------------------------------------------------------


@functools.cache
def footprint(layer):
    """(distinct input words of one group, the same with every row counted once per output row)."""
    rows = [
        {p * layer.stride[0] - layer.padding[0] + r * layer.dilation[0] for r in range(layer.R)} & set(range(layer.H))
        for p in range(layer.P)
    ]
    across = itertools.product(range(layer.Q), range(layer.S))
    columns = {q * layer.stride[1] - layer.padding[1] + s * layer.dilation[1] for q, s in across} & set(range(layer.W))
    a_row = layer.N * layer.C * len(columns)
    return len(set().union(*rows)) * a_row, sum(map(len, rows)) * a_row


def closed_forms(layer, machine, bits, psum_bits, overlap):
    """The rules again, in Python's integers, which have no limit."""
    dataflow, R, C, *sram = machine
    ifmap, weights, psums = (s // 2 // width for s, width in zip(sram, (bits, bits, psum_bits), strict=True))
    M, N, K = layer.mnk
    Sr, Sc, T = {OS: (M, N, K), WS: (K, N, M), IS: (K, M, N)}[dataflow]
    RF, CF, G = math.ceil(Sr / R), math.ceil(Sc / C), layer.G
    L = T + R + C - 2 + (0 if dataflow == OS else R)
    distinct, counted_again = footprint(layer)
    one_pass = distinct
    if min(layer.H, (layer.R - 1) * layer.dilation[0] + 1) * layer.W * layer.C > ifmap:
        one_pass = counted_again
    F = RF * CF * G
    out = {"CYCLES": (F - 1) * max(T, R) + L if overlap else F * L, "DRAM_OFMAP": M * N * G}
    out["DRAM_IFMAP"] = G * (distinct if dataflow == IS or distinct <= ifmap else CF * one_pass)
    out["DRAM_FILTER"] = G * N * K
    if dataflow == OS and K * min(C, N) > weights:
        out["DRAM_FILTER"] *= RF
    if dataflow == IS and N * K > weights:
        out["DRAM_FILTER"] *= CF
    waiting = {OS: 0, WS: M * min(C, N), IS: min(C, M) * N}[dataflow]
    out["DRAM_PARTIAL"] = G * (RF - 1) * M * N if waiting > psums else 0
    out["SRAM_IFMAP_READ"] = G * M * K * (1 if dataflow == IS else CF)
    out["SRAM_FILTER_READ"] = G * N * K * {OS: RF, WS: 1, IS: CF}[dataflow]
    out["SRAM_OFMAP_WRITE"] = G * M * N * (1 if dataflow == OS else RF)
    out["SRAM_OFMAP_READ"] = G * M * N * (0 if dataflow == OS else RF - 1)
    out["SRAM_IFMAP_FILL"], out["SRAM_OFMAP_DRAIN"] = out["DRAM_IFMAP"], G * M * N
    return out


@pytest.mark.parametrize("name", [name for name in workload_names() if load_workload(name).kind == "network"])
def test_counts_of_real_networks_in_unlimited_integers(name):
    """Batch 16 on the smallest and the largest arrays with the smallest and the largest SRAMs: no overflow."""
    for layer in dict.fromkeys(load_workload(name).with_batch(16).layers):
        for dataflow, (R, C), kib in itertools.product((OS, WS, IS), ((4, 4), (48, 12), (512, 512)), (2, 192, 8192)):
            machine = (dataflow, R, C, *[kib * 8192] * 3)
            assert model_counts(layer, machine) == closed_forms(layer, machine, 8, 32, True)


@settings(max_examples=200, deadline=None)
@given(layers(), machines(), st.booleans())
def test_both_oracles_agree(layer, machine, overlap):
    """The unlimited closed forms are themselves the walk and the timeline."""
    counted, streams = walk(layer, machine)
    counted["CYCLES"] = timeline(*machine[:3], streams, overlap)
    assert closed_forms(layer, machine, 8, 32, overlap) == counted
