"""Kernels of the default systolic-array model: closed forms, O(1) per design and layer.

A layer is ``groups`` independent matrix products (M x K) (K x N), with the batch folded into M. The
array of R x C processing elements holds one operand still: outputs (os), weights (ws) or inputs (is).

    dataflow   rows hold  columns hold  streamed length T   cycles of one fold L
    os         M          N             K                   T + R + C - 2
    ws         K          N             M                   T + 2R + C - 2
    is         K          M             N                   T + 2R + C - 2

as SCALE-Sim 3.0.0 counts them. RF x CF folds cover the operand, column folds outermost. Word counts are
exact integers; what is approximated is *when* a word must be fetched again (see ``_dram_words``). All
rows are independent and bit-identical whatever the batch.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from archgym.kernel import inlined, kernel

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

OS, WS, IS = 0, 1, 2

# Columns of the layer table (int64).
(REPEATS, GROUPS, M, K, N, IFMAP_WORDS, PASS_WORDS, HALO_WORDS, WORD_BITS, CHAINED) = range(10)
N_LAYER = 10

# Columns of the counts of one layer (int64), all groups, one repeat. Words; the ofmap SRAM's and the
# partials are psum_bits wide. FILL and DRAIN are the SRAM's side of what moves from and to elsewhere.
(
    CYCLES,
    SRAM_IFMAP_READ,
    SRAM_FILTER_READ,
    SRAM_OFMAP_WRITE,
    SRAM_OFMAP_READ,
    DRAM_IFMAP,
    DRAM_FILTER,
    DRAM_OFMAP,
    DRAM_PARTIAL,
    SRAM_IFMAP_FILL,
    SRAM_OFMAP_DRAIN,
) = range(11)
N_COUNT = 11

# Columns of a design (int64).
(DATAFLOW, ROWS, COLS, IFMAP_BITS, FILTER_BITS, OFMAP_BITS) = range(6)

# Columns of a design's constants (float64): SI units, per word where words are counted.
(
    IFMAP_READ_J,
    IFMAP_WRITE_J,
    FILTER_READ_J,
    FILTER_WRITE_J,
    OFMAP_READ_J,
    OFMAP_WRITE_J,
    LEAKAGE_W,
    PE_CYCLE_J,
    MAC_J,
    WIRE_ROW_J,
    WIRE_COLUMN_J,
    DRAM_BIT_J,
    DRAM_BACKGROUND_W,
    DRAM_BYTES_PER_S,
) = range(14)
N_CONSTANT = 14

# Columns of the totals (float64).
TOTALS = (
    "latency",
    "cycles",
    "energy_mac",
    "energy_register",
    "energy_sram",
    "energy_wire",
    "energy_dram",
    "energy_background",
    "energy_leakage",
    "peak_power",
    "layer_utilisation",
    "dram_bits",
    "sram_bits",
    "compute_bound",
    "macs",
)
(
    T_LATENCY,
    T_CYCLES,
    T_MAC,
    T_REGISTER,
    T_SRAM,
    T_WIRE,
    T_DRAM,
    T_BACKGROUND,
    T_LEAKAGE,
    T_PEAK,
    T_UTILISATION,
    T_DRAM_BITS,
    T_SRAM_BITS,
    T_COMPUTE,
    T_MACS,
) = range(15)


@inlined
def _ceil(a: int, b: int) -> int:
    return (a + b - 1) // b


@inlined
def _dram_words(
    design: Ints, layers: Ints, j: int, row_folds: int, column_folds: int, psum_bits: int, out: Ints
) -> None:
    """DRAM words of one group. Half of each SRAM is usable: the other half is being filled (double buffering).

    One decision per operand and layer: what the widest column slice needs either fits or is fetched again
    for every fold that needs it. M is not tiled, so partial sums that just do not fit cost (RF - 1) M N twice.
    """
    dataflow = design[DATAFLOW]
    bits = layers[j, WORD_BITS]
    filter_half, ifmap_half, ofmap_half = design[FILTER_BITS] >> 1, design[IFMAP_BITS] >> 1, design[OFMAP_BITS] >> 1
    m, k, n, columns = layers[j, M], layers[j, K], layers[j, N], design[COLS]

    out[j, DRAM_FILTER] = n * k
    if dataflow == OS and k * min(columns, n) * bits > filter_half:  # a column slice is used by every row fold
        out[j, DRAM_FILTER] = row_folds * n * k
    elif dataflow == IS and n * k * bits > filter_half:  # the whole filter streams past every column fold
        out[j, DRAM_FILTER] = column_folds * n * k

    out[j, DRAM_IFMAP] = layers[j, IFMAP_WORDS]
    if dataflow != IS and layers[j, IFMAP_WORDS] * bits > ifmap_half:  # every column fold is another pass
        halo_kept = layers[j, HALO_WORDS] * bits <= ifmap_half
        out[j, DRAM_IFMAP] = column_folds * (layers[j, IFMAP_WORDS] if halo_kept else layers[j, PASS_WORDS])

    out[j, DRAM_OFMAP] = m * n
    out[j, DRAM_PARTIAL] = 0
    if dataflow != OS:  # partial sums of one column slice wait for the next row fold
        partial = m * min(columns, n) if dataflow == WS else min(columns, m) * n
        if partial * psum_bits > ofmap_half:
            out[j, DRAM_PARTIAL] = (row_folds - 1) * m * n  # written once and read back once each


@inlined
def _layer_counts(design: Ints, layers: Ints, j: int, psum_bits: int, fold_overlap: bool, out: Ints) -> None:
    """Cycles and word counts of one layer (all groups, one repeat)."""
    dataflow, rows, columns = design[DATAFLOW], design[ROWS], design[COLS]
    m, k, n, groups = layers[j, M], layers[j, K], layers[j, N], layers[j, GROUPS]
    if dataflow == OS:
        held_rows, held_columns, streamed, skew = m, n, k, rows + columns - 2
    elif dataflow == WS:
        held_rows, held_columns, streamed, skew = k, n, m, 2 * rows + columns - 2
    else:
        held_rows, held_columns, streamed, skew = k, m, n, 2 * rows + columns - 2
    row_folds, column_folds = _ceil(held_rows, rows), _ceil(held_columns, columns)
    folds = groups * row_folds * column_folds
    if fold_overlap:  # the next weights load, and the last outputs drain, R rows behind the stream
        out[j, CYCLES] = (folds - 1) * max(streamed, rows) + streamed + skew
    else:
        out[j, CYCLES] = folds * (streamed + skew)

    _dram_words(design, layers, j, row_folds, column_folds, psum_bits, out)
    out[j, SRAM_IFMAP_READ] = m * k if dataflow == IS else column_folds * m * k
    out[j, SRAM_FILTER_READ] = n * k
    out[j, SRAM_OFMAP_WRITE] = m * n
    out[j, SRAM_OFMAP_READ] = 0
    if dataflow == OS:
        out[j, SRAM_FILTER_READ] = row_folds * n * k
    else:
        if dataflow == IS:
            out[j, SRAM_FILTER_READ] = column_folds * n * k
        out[j, SRAM_OFMAP_WRITE] = row_folds * m * n
        out[j, SRAM_OFMAP_READ] = (row_folds - 1) * m * n  # accumulation reads what it adds to
    out[j, SRAM_IFMAP_FILL] = out[j, DRAM_IFMAP]
    out[j, SRAM_OFMAP_DRAIN] = out[j, DRAM_OFMAP]
    for i in range(SRAM_IFMAP_READ, N_COUNT):
        out[j, i] *= groups


@kernel
def _keep_on_chip(design: Ints, layers: Ints, psum_bits: int, counts: Ints) -> None:
    """Skip the transfers between a layer and its successor where both ends fit in half of their SRAMs."""
    for i in range(1, layers.shape[0]):
        layer, previous = layers[i], layers[i - 1]
        ifmap = layer[GROUPS] * layer[IFMAP_WORDS] * layer[WORD_BITS]
        ofmap = previous[GROUPS] * previous[M] * previous[N] * psum_bits
        if layer[CHAINED] == 1 and ifmap <= design[IFMAP_BITS] // 2 and ofmap <= design[OFMAP_BITS] // 2:
            counts[i - 1, DRAM_OFMAP] = 0  # the words still leave the one SRAM and fill the other
            counts[i, DRAM_IFMAP] = 0


@kernel
def _totals(
    design: Ints,
    constants: Floats,
    layers: Ints,
    counts: Ints,
    psum_bits: int,
    clock_hz: float,
    dram_limits: bool,
    out: Floats,
) -> None:
    """Time and energy of a network from the counts of its layers; explicit sums keep rows independent."""
    pes = design[ROWS] * design[COLS]
    for j in range(out.shape[0]):
        out[j] = 0.0
    executions = 0
    for i in range(layers.shape[0]):
        layer, c = layers[i], counts[i]
        bits, repeats = layer[WORD_BITS], float(layer[REPEATS])
        macs = layer[GROUPS] * layer[M] * layer[K] * layer[N]
        dram_bits = (c[DRAM_IFMAP] + c[DRAM_FILTER] + c[DRAM_OFMAP]) * bits + 2 * c[DRAM_PARTIAL] * psum_bits
        compute_s = c[CYCLES] / clock_hz
        memory_s = dram_bits / 8.0 / constants[DRAM_BYTES_PER_S]
        latency = max(compute_s, memory_s) if dram_limits else compute_s

        ofmap_in = c[SRAM_OFMAP_WRITE] + c[DRAM_PARTIAL]
        ofmap_out = c[SRAM_OFMAP_READ] + c[SRAM_OFMAP_DRAIN] + c[DRAM_PARTIAL]
        mac = macs * constants[MAC_J]
        register = float(c[CYCLES]) * pes * constants[PE_CYCLE_J]
        sram = c[SRAM_IFMAP_READ] * constants[IFMAP_READ_J] + c[SRAM_IFMAP_FILL] * constants[IFMAP_WRITE_J]
        sram += c[SRAM_FILTER_READ] * constants[FILTER_READ_J] + c[DRAM_FILTER] * constants[FILTER_WRITE_J]
        sram += ofmap_in * constants[OFMAP_WRITE_J] + ofmap_out * constants[OFMAP_READ_J]
        outputs = float(c[SRAM_OFMAP_WRITE]) * psum_bits  # accumulation adds beside the SRAM: one crossing
        ifmap_bits = float(c[SRAM_IFMAP_READ]) * bits
        filter_bits = float(c[SRAM_FILTER_READ]) * bits
        if design[DATAFLOW] == IS:  # inputs are loaded down the columns, weights stream along the rows
            along_rows, along_columns = filter_bits, ifmap_bits + outputs
        else:
            along_rows, along_columns = ifmap_bits, filter_bits + outputs
        wire = along_rows * constants[WIRE_ROW_J] + along_columns * constants[WIRE_COLUMN_J]
        dram = dram_bits * constants[DRAM_BIT_J]
        background = constants[DRAM_BACKGROUND_W] * latency
        leakage = constants[LEAKAGE_W] * latency
        energy = mac + register + sram + wire + dram + background + leakage

        out[T_LATENCY] += repeats * latency
        out[T_CYCLES] += repeats * c[CYCLES]
        out[T_MAC] += repeats * mac
        out[T_REGISTER] += repeats * register
        out[T_SRAM] += repeats * sram
        out[T_WIRE] += repeats * wire
        out[T_DRAM] += repeats * dram
        out[T_BACKGROUND] += repeats * background
        out[T_LEAKAGE] += repeats * leakage
        out[T_PEAK] = max(out[T_PEAK], energy / latency)
        out[T_UTILISATION] += repeats * (macs / (float(c[CYCLES]) * pes))
        out[T_DRAM_BITS] += repeats * dram_bits
        words = c[SRAM_IFMAP_READ] + c[SRAM_IFMAP_FILL] + c[SRAM_FILTER_READ] + c[DRAM_FILTER]
        out[T_SRAM_BITS] += repeats * (words * bits + (ofmap_in + ofmap_out) * psum_bits)
        out[T_MACS] += repeats * macs
        if compute_s >= latency:
            out[T_COMPUTE] += repeats * latency
        executions += layer[REPEATS]
    out[T_UTILISATION] /= executions
    out[T_COMPUTE] /= out[T_LATENCY]


@kernel
def counts_of(designs: Ints, layers: Ints, psum_bits: int, fold_overlap: bool, keep_on_chip: bool) -> Ints:
    """Counts (d, l, N_COUNT) int64 of designs (d, 6) on layers (l, N_LAYER)."""
    out = np.empty((designs.shape[0], layers.shape[0], N_COUNT), np.int64)
    for i in range(designs.shape[0]):
        design, counts = designs[i], out[i]
        for j in range(layers.shape[0]):
            _layer_counts(design, layers, j, psum_bits, fold_overlap, counts)
        if keep_on_chip:
            _keep_on_chip(design, layers, psum_bits, counts)
    return out


@kernel
def totals_of(
    designs: Ints, constants: Floats, layers: Ints, counts: Ints, psum_bits: int, clock_hz: float, dram_limits: bool
) -> Floats:
    """Totals (d, 15) float64 from counts (d, l, N_COUNT) that another model produced."""
    out = np.empty((designs.shape[0], 15))
    for i in range(designs.shape[0]):
        _totals(designs[i], constants[i], layers, counts[i], psum_bits, clock_hz, dram_limits, out[i])
    return out


@kernel
def simulate(
    designs: Ints,
    constants: Floats,
    layers: Ints,
    psum_bits: int,
    clock_hz: float,
    fold_overlap: bool,
    keep_on_chip: bool,
) -> Floats:
    """Totals (d, 15) float64 of designs (d, 6) with constants (d, 14) on layers (l, N_LAYER)."""
    out = np.empty((designs.shape[0], 15))
    counts = np.empty((layers.shape[0], N_COUNT), np.int64)
    for i in range(designs.shape[0]):
        design = designs[i]
        for j in range(layers.shape[0]):
            _layer_counts(design, layers, j, psum_bits, fold_overlap, counts)
        if keep_on_chip:
            _keep_on_chip(design, layers, psum_bits, counts)
        _totals(design, constants[i], layers, counts, psum_bits, clock_hz, True, out[i])
    return out
