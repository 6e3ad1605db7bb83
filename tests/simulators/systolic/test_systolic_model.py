"""The systolic simulator: layers by hand, what must hold for every design, and the compat mode as a Simulator."""

import itertools
import math
from dataclasses import replace
from fractions import Fraction
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archgym.errors import UsageError
from archgym.problem import Problem, ProblemSpec
from archgym.simulators.systolic import array, hardware, scalesim
from archgym.simulators.systolic import layers as layer_tables
from archgym.simulators.systolic.hardware import MEMORIES, SPACE, SRAM_KIB, SystolicConfig
from archgym.simulators.systolic.simulator import Systolic
from archgym.technology.arithmetic import multiply_accumulate
from archgym.technology.dram import memory_system
from archgym.technology.registers import register
from archgym.technology.sram import sram
from archgym.technology.wires import wire
from archgym.workload import Layer, Network, load_workload

TOPOLOGIES = Path(__file__).parents[2] / "data" / "topologies"
COMPAT = "scalesim-3.0.0"
OS, WS, IS = array.OS, array.WS, array.IS
PARTS = ("mac", "register", "sram", "wire", "dram", "background", "leakage")
NETWORKS = ("alexnet", "resnet18", "mobilenet_v1", "googlenet", "bert-base", "gpt2-decode")
CODES = st.tuples(*(st.integers(0, int(n) - 1) for n in SPACE.nvec))


def network(*layers):
    return Network("n", tuple(layers))


def run(workload, codes, **config):
    return Systolic(SystolicConfig(**config)).simulate(codes, workload)


def design(dataflow, rows, cols, kib, memory="LPDDR4-3200 x32"):
    sizes = kib if isinstance(kib, tuple) else (kib, kib, kib)
    srams = {f"{name}_sram": size for name, size in zip(("ifmap", "filter", "ofmap"), sizes, strict=True)}
    return {"dataflow": dataflow, "rows": rows, "cols": cols, "memory": memory, **srams}


def one(workload, *fields, **config):
    """The metrics of one design as plain numbers."""
    return {name: column[0].item() for name, column in run(workload, SPACE.encode([design(*fields)]), **config).items()}


def sweep(codes, parameter):
    """(levels, n, d): every design at every level of one parameter."""
    out = np.repeat(codes[None], len(SPACE[parameter].levels), axis=0)
    out[:, :, SPACE.names.index(parameter)] = np.arange(len(out))[:, None]
    return out


def sample(n, seed):
    return SPACE.sample(n, np.random.default_rng(seed))


@cache
def bandwidth(memory):
    return memory_system(memory).bandwidth_gbps * 1e9


@st.composite
def axes(draw, most):
    extent, padding, dilation = draw(st.integers(1, most)), draw(st.integers(0, 2)), draw(st.integers(1, 2))
    taps = draw(st.integers(1, min(5, (extent + 2 * padding - 1) // dilation + 1)))
    return extent, taps, draw(st.integers(1, 3)), padding, dilation


@st.composite
def layers(draw):
    H, R, sh, ph, dh = draw(axes(40))
    W, S, sw, pw, dw = draw(axes(40))
    return Layer(
        "x", draw(st.integers(1, 3)), draw(st.integers(1, 4)), draw(st.integers(1, 200)), draw(st.integers(1, 200)),
        H, W, R, S, (sh, sw), (ph, pw), (dh, dw), repeats=draw(st.integers(1, 3)),
    )  # fmt: skip


NETS = st.lists(layers(), min_size=1, max_size=4).map(lambda found: network(*found))


def touched(layer):
    """Distinct input words of a layer: positions of every tap of every window, axis by axis."""
    words = layer.N * layer.G * layer.C
    for axis, (size, taps, outputs) in enumerate(((layer.H, layer.R, layer.P), (layer.W, layer.S, layer.Q))):
        stride, padding, dilation = layer.stride[axis], layer.padding[axis], layer.dilation[axis]
        at = {o * stride - padding + t * dilation for o in range(outputs) for t in range(taps)}
        words *= len(at & set(range(size)))
    return words


# ---- one layer per dataflow, by hand -----------------------------------------------------------------------

# A 3x3 convolution of 10x12x32 with padding 1 and 10 filters: M = 120, K = 288, N = 10.
CONV = Layer.conv("conv", 32, 10, 12, 10, 3, padding=1)
# A product (100 x 40) (40 x 10).
GEMM = Layer.gemm("gemm", M=100, N=10, K=40)
# Two groups of a 1x1 convolution with stride 2 over 5x5x24, two images: M = 2*3*3 = 18, K = 24, N = 100.
STRIDED = Layer("strided", N=2, G=2, K=100, C=24, H=5, W=5, stride=(2, 2))


def test_output_stationary_layer_by_hand():
    """8 x 4 PEs, 2 KiB SRAMs: half of one is 1024 words.

    Row folds ceil(120/8) = 15, column folds ceil(10/4) = 3, together 45; one fold T + R + C - 2 = 288 + 10 = 298.
    A filter slice, 288*4 = 1152 words, does not fit: all 2880 filter words once per row fold.
    The ifmap, 3840 words, does not fit, nor do three of its rows, 3*12*32 = 1152: each of 10 output rows reads
    its three input rows (two at the edges): 28 rows of 384 words, once per column fold.
    """
    plain, overlapped = (one(network(CONV), "os", 8, 4, 2, fold_overlap=on) for on in (False, True))
    assert plain["cycles"] == 45 * 298
    assert overlapped["cycles"] == 44 * 288 + 298  # a fold every max(T, R) cycles
    words = 3 * 28 * 384 + 15 * 2880 + 1200
    assert overlapped["dram_bytes"] == words == 76656
    # SRAM: every column fold streams 120*288 inputs, every row fold 2880 filter words; both are filled as DRAM reads
    # them. The 1200 results are written and drained at the width of partial sums, 4 bytes; in DRAM they have one.
    assert overlapped["sram_bytes"] == 3 * 34560 + 3 * 28 * 384 + 2 * 15 * 2880 + 4 * (1200 + 1200) == 231936
    assert overlapped["macs"] == 120 * 288 * 10
    # 12.8 GB/s move the words in 6.0 us, the array at 700 MHz needs 18.5 us.
    assert overlapped["latency"] == pytest.approx(12970 / 700e6, rel=1e-15)
    assert overlapped["compute_bound"] == 1
    assert overlapped["utilisation"] == pytest.approx(345600 / (32 * 12970), rel=1e-14)
    assert overlapped["layer_utilisation"] == pytest.approx(345600 / (32 * 12970), rel=1e-14)


def test_weight_stationary_layer_by_hand():
    """8 x 4 PEs, 2 KiB SRAMs: half of one is 1024 words or 256 partial sums.

    Row folds 40/8 = 5, column folds ceil(10/4) = 3; one fold T + 2R + C - 2 = 100 + 18 = 118.
    Every filter word is held once: 400. The ifmap, 4000 words, does not fit and streams once per column fold
    (one row of 40 words is kept easily). The partial sums of a column fold, 100*4 = 400, do not fit: 4 of the
    5 row folds write and read back all 1000 of them, 4 bytes each.
    """
    plain, overlapped = (one(network(GEMM), "ws", 8, 4, 2, fold_overlap=on) for on in (False, True))
    assert plain["cycles"] == 15 * 118
    assert overlapped["cycles"] == 14 * 100 + 118 == 1518
    assert overlapped["dram_bytes"] == 3 * 4000 + 400 + 1000 + 2 * 4 * 1000 * 4 == 45400
    # SRAM: the array reads 3 * 4000 inputs and 400 weights, DRAM fills as many. The ofmap SRAM's words have 4 bytes:
    # 5 * 1000 partial sums are written, 4 * 1000 read to be added to, 4000 go out to DRAM and come in again, and
    # 1000 results leave (as one byte each in DRAM).
    ofmap = 5000 + 4000 + 2 * 4000 + 1000
    assert overlapped["sram_bytes"] == 2 * (12000 + 400) + 4 * ofmap == 96800
    # 45400 bytes at 12.8 GB/s are 3.55 us, 1518 cycles at 700 MHz are 2.17 us.
    assert overlapped["latency"] == pytest.approx(45400 / 12.8e9, rel=1e-15)
    assert overlapped["memory_bound"] == 1
    assert overlapped["utilisation"] == pytest.approx(40000 / (32 * 700e6 * 45400 / 12.8e9), rel=1e-14)
    assert overlapped["layer_utilisation"] == pytest.approx(40000 / (32 * 1518), rel=1e-14)  # stalls left out
    assert overlapped["arithmetic_intensity"] == pytest.approx(40000 / 45400, rel=1e-15)


def test_input_stationary_layer_by_hand():
    """8 x 4 PEs, 2 KiB SRAMs, two groups and two images.

    Row folds 24/8 = 3, column folds ceil(18/4) = 5, two groups: 30 folds of 100 + 18 = 118 cycles.
    Stride 2 touches 3 of 5 rows and columns: 2 images * 24 channels * 9 = 432 words a group, once.
    The filters of a group, 2400 words, do not fit: once per column fold. The partial sums of a column fold,
    4*100 = 400, do not fit: 2 of 3 row folds write and read back all 1800 of a group, 4 bytes each.
    """
    plain, overlapped = (one(network(STRIDED), "is", 8, 4, 2, fold_overlap=on) for on in (False, True))
    assert plain["cycles"] == 30 * 118
    assert overlapped["cycles"] == 29 * 100 + 118
    assert overlapped["dram_bytes"] == 2 * (432 + 5 * 2400 + 1800 + 2 * 2 * 1800 * 4) == 86064
    operands = 18 * 24 + 432 + 2 * 5 * 2400  # read into the array, filled
    ofmap = 3 * 1800 + 2 * 1800 + 2 * 2 * 1800 + 1800  # written, added to, out to DRAM and in, drained
    assert overlapped["sram_bytes"] == 2 * (operands + 4 * ofmap) == 193728
    assert overlapped["latency"] == pytest.approx(86064 / 12.8e9, rel=1e-15)
    # A batch of two from the configuration is the same two images.
    single = network(replace(STRIDED, N=1))
    batched = one(single, "is", 8, 4, 2, batch=2)
    for name in ("cycles", "dram_bytes", "latency", "peak_power", "power"):
        assert batched[name] == overlapped[name]
    assert batched["throughput"] == 2 / overlapped["latency"]
    assert batched["energy"] == pytest.approx(overlapped["energy"] / 2, rel=1e-14)


# What (6 x 20) (20 x 10) does on 8 x 8 PEs: 8-bit words, 16-bit partial sums, every operand fits.
#
#        row folds     column folds  T    L = T + skew           cycles with overlap, (folds - 1) max(T, 8) + L
#   os   ceil(6/8)=1   ceil(10/8)=2  20   20 + 8 + 8 - 2 = 34    1*20 + 34 = 54
#   ws   ceil(20/8)=3  ceil(10/8)=2   6    6 + 16 + 8 - 2 = 28   5*8 + 28 = 68
#   is   ceil(20/8)=3  ceil(6/8)=1   10   10 + 16 + 8 - 2 = 32   2*10 + 32 = 52
#
# Columns: cycles; words the array reads of the ifmap and of the filter; words written to and read from the ofmap
# SRAM (60 results: written in every row fold, read to be added to in all but the first, drained once); register
# bits of a PE; register accesses of a PE in a cycle; bits along the rows and down the columns.
#
# Registers, fold_overlap: os holds the sum twice and moves two operands, 2*16 + 2*8 = 48; ws and is hold an operand
# twice and move the other and the sum, 2*8 + 8 + 16 = 40. Accesses: os reads and writes the sum and both operands,
# 2*16 + 2*16 = 64; ws and is read the held operand and read and write what moves, 8 + 2*24 = 56.
# Wires: partial sums cross once, when written; what accumulation reads back stays beside the SRAM.
BY_HAND = {
    "os": (54, 2 * 120, 200, 60, 60, 48, 64, 240 * 8, 200 * 8 + 60 * 16),
    "ws": (68, 2 * 120, 200, 3 * 60, 2 * 60 + 60, 40, 56, 240 * 8, 200 * 8 + 180 * 16),
    "is": (52, 120, 200, 3 * 60, 2 * 60 + 60, 40, 56, 200 * 8, 120 * 8 + 180 * 16),
}


@pytest.mark.parametrize("dataflow", BY_HAND)
def test_energy_and_area_by_hand(dataflow):
    """(6 x 20) (20 x 10) on 8 x 8 PEs, three 4 KiB SRAMs, HBM2, 8-bit words and 16-bit partial sums.

    The widths (8 words of 8 bits, 8 of 16) are rows of the CACTI table: pJ, mW and mm2 below are copied from it.
    """
    cycles, ifmap, weights, ofmap_in, ofmap_out, flip_flops, accesses, along, down = BY_HAND[dataflow]
    got = one(network(Layer.gemm("x", 6, 10, 20)), dataflow, 8, 8, 4, "HBM2 1 stack", psum_bits=16)
    assert got["cycles"] == cycles
    assert got["dram_bytes"] == 120 + 200 + 60
    # The operands' SRAMs are filled once; the ofmap SRAM's words have two bytes.
    assert got["sram_bytes"] == ifmap + 120 + weights + 200 + 2 * (ofmap_in + ofmap_out)
    seconds = cycles / 700e6  # 380 bytes at 256 GB/s take 1.5 ns
    assert got["latency"] == pytest.approx(seconds, rel=1e-15)

    # Horowitz 2014, 45 nm: 8-bit multiply 0.2 pJ, 16-bit add 0.05 pJ.
    assert got["energy_mac"] == pytest.approx(1200 * 0.25e-12, rel=1e-12)
    assert got["energy_register"] == pytest.approx(cycles * 64 * accesses * 0.008999495e-12, rel=1e-12)
    # Eight words an access: read or write energy of the macro over eight.
    narrow = ((ifmap + weights) * 2.34195 + (120 + 200) * 2.34608) / 8
    wide = (ofmap_out * 4.8478 + ofmap_in * 2.13975) / 8
    assert got["energy_sram"] == pytest.approx((narrow + wide) * 1e-12, rel=1e-12)
    # A PE: multiplier 282 and adder 67 um2 (TSMC 45 nm), and its registers.
    pe_um2 = 282 + 67 + flip_flops * 5.981433
    assert got["area_pe"] == pytest.approx(64 * pe_um2 * 1e-6, rel=1e-12)
    assert got["area_sram"] == pytest.approx(2 * 0.014740504834 + 0.0142702005625, rel=1e-7)
    assert got["area"] == got["area_pe"] + got["area_sram"]
    # Keckler 2011: 310 pJ for 256 bits over 10 mm. Eight PEs along a row and along a column.
    bit_mm = 310e-12 / 2560
    assert got["energy_wire"] == pytest.approx((along + down) * bit_mm * 8 * math.sqrt(pe_um2 * 1e-6), rel=1e-12)
    assert got["energy_dram"] == pytest.approx(380 * 8 * 6.25e-12, rel=1e-12)
    assert got["energy_background"] == pytest.approx(0.5 * seconds, rel=1e-12)
    # Logic leaks by area (a 40 nm multiplier: 0.07786052 mW on 6351.338 um2), registers by bit.
    pe_mw = (282 + 67) * 0.07786052 / 6351.338 + flip_flops * 7.395312e-05
    sram_mw = 2 * (0.0584987 + 0.2622) + (0.0628611 + 0.264566)
    assert got["energy_leakage"] == pytest.approx((64 * pe_mw + sram_mw) * 1e-3 * seconds, rel=1e-12)
    energy = sum(got[f"energy_{part}"] for part in PARTS)
    assert got["power"] == got["peak_power"] == pytest.approx(energy / seconds, rel=1e-12)
    assert got["tops_per_watt"] == pytest.approx(2 * 1200 / energy * 1e-12, rel=1e-12)
    assert got["tops_per_mm2"] == pytest.approx(2 * 1200 / seconds * 1e-12 / got["area"], rel=1e-12)


@pytest.mark.parametrize(
    ("config", "os_bits", "ws_bits"),
    [
        ({}, 2 * 32 + 2 * 8, 2 * 8 + 8 + 32),  # the sum twice and two operands; the weight twice, input, sum
        ({"fold_overlap": False}, 32 + 2 * 8, 8 + 8 + 32),  # nothing twice: the same 48 bits
        ({"compat": COMPAT}, 32 + 2 * 8, 8 + 8 + 32),  # the tool's folds do not overlap
        ({"compat": COMPAT, "fold_overlap": False}, 32 + 2 * 8, 8 + 8 + 32),
        ({"psum_bits": 8}, 2 * 8 + 2 * 8, 2 * 8 + 8 + 8),  # a sum as wide as an operand: no difference
    ],
)
def test_registers_of_a_pe_by_hand(config, os_bits, ws_bits):
    """What a fold holds has a shadow copy while folds overlap: that makes output-stationary PEs the larger ones.

    Area 282 um2 of multiplier, 137 or 36 of a 32- or 8-bit adder, 5.981433 a register bit; a wire crosses PEs, so
    its length goes with the root of their area.
    """
    adder = 36 if config.get("psum_bits") == 8 else 137
    os, ws, held_inputs = (one(network(GEMM), dataflow, 16, 16, 64, **config) for dataflow in ("os", "ws", "is"))
    for got, bits in ((os, os_bits), (ws, ws_bits), (held_inputs, ws_bits)):
        assert got["area_pe"] == pytest.approx(256 * (282 + adder + bits * 5.981433) * 1e-6, rel=1e-12)
    assert (os["area_pe"] > ws["area_pe"]) == (os_bits > ws_bits)
    # Accesses of a PE in a cycle: os reads and writes all it has; ws and is only read what they hold.
    psum_bits = config.get("psum_bits", 32)
    for got, accesses in ((os, 2 * psum_bits + 4 * 8), (ws, 8 + 2 * (8 + psum_bits))):
        expected = got["cycles"] * 256 * accesses * 0.008999495e-12
        assert got["energy_register"] == pytest.approx(expected, rel=1e-12)


def expected_energies(layer, d, config):
    """Joules of one pass and mm2, from the layer's words and the cost of each kind of event in ``technology``."""
    c = config
    table, _ = Systolic(c)._layers(network(layer), merge=False)
    parts = hardware.integer_designs(SPACE.columns(SPACE.encode([d])))
    words = dict(zip(
        ("cycles", "array_if", "array_fl", "psum_in", "psum_out", "dram_if", "dram_fl", "dram_of", "spill",
         "fill_if", "drain_of"),
        array.counts_of(parts, table, c.psum_bits, c.fold_overlap, False)[0, 0].tolist(), strict=True,
    ))  # fmt: skip
    R, C, df = d["rows"], d["cols"], d["dataflow"]
    word = layer.bits or c.bits

    def macro(operand, lanes, bits):  # one access serves every row or column of the array that it feeds
        found = sram(d[f"{operand}_sram"] * 1024, lanes * bits, c.node, c.sram_device, c.leakage_scale)
        return found, found.read_pj / lanes, found.write_pj / lanes

    ifmap, if_read, if_write = macro("ifmap", C if df == "is" else R, c.bits)
    weights, fl_read, fl_write = macro("filter", R if df == "is" else C, c.bits)
    ofmap, of_read, of_write = macro("ofmap", C, c.psum_bits)
    spent = {"sram": words["array_if"] * if_read + words["fill_if"] * if_write}
    spent["sram"] += words["array_fl"] * fl_read + words["dram_fl"] * fl_write
    # Partial sums arrive from the array and come back from DRAM; they leave to be added to, to spill, as results.
    spent["sram"] += (words["psum_in"] + words["spill"]) * of_write
    spent["sram"] += (words["psum_out"] + words["drain_of"] + words["spill"]) * of_read
    ofmap_words = words["psum_in"] + words["psum_out"] + words["drain_of"] + 2 * words["spill"]
    operand_words = words["array_if"] + words["fill_if"] + words["array_fl"] + words["dram_fl"]
    sram_bytes = (operand_words * word + ofmap_words * c.psum_bits) / 8

    mac = multiply_accumulate(c.bits, c.psum_bits, c.node, c.leakage_scale)
    bit = register(c.node, c.leakage_scale)
    sets = 2 if c.fold_overlap else 1  # what a fold holds has a second register where folds overlap
    if df == "os":  # the sum stays, two operands pass
        flip_flops = sets * c.psum_bits + c.bits + c.bits
        clocked = (c.psum_bits + c.bits + c.bits) * (bit.read_pj + bit.write_pj)
    else:  # an operand stays and is only read, the other and the sum pass
        flip_flops = sets * c.bits + c.bits + c.psum_bits
        clocked = c.bits * bit.read_pj + (c.bits + c.psum_bits) * (bit.read_pj + bit.write_pj)
    pe_mm2 = (mac.area_um2 + flip_flops * bit.area_um2) * 1e-6
    spent["mac"] = layer.macs * mac.energy_pj
    spent["register"] = words["cycles"] * R * C * clocked
    # What streams crosses the C PEs of a row; what is loaded and what comes out crosses the R PEs of a column.
    row_words, column_words = ("array_fl", "array_if") if df == "is" else ("array_if", "array_fl")
    along, down = words[row_words] * word, words[column_words] * word + words["psum_in"] * c.psum_bits
    spent["wire"] = (along * C + down * R) * math.sqrt(pe_mm2) * wire(c.node).pj_per_bit_mm

    memory = memory_system(d["memory"], row_hit_share=c.row_hit_share, hbm2_background_w=c.hbm2_background_w)
    bits = (words["dram_if"] + words["dram_fl"] + words["dram_of"]) * word + 2 * words["spill"] * c.psum_bits
    seconds = max(words["cycles"] / (c.clock_mhz * 1e6), bits / 8 / (memory.bandwidth_gbps * 1e9))
    spent["dram"] = bits * memory.pj_per_bit
    spent["background"] = memory.background_w * seconds * 1e12
    leak_mw = R * C * (mac.leakage_mw + flip_flops * bit.leakage_mw)
    spent["leakage"] = (leak_mw + ifmap.leakage_mw + weights.leakage_mw + ofmap.leakage_mw) * 1e9 * seconds
    areas = {"area_pe": R * C * pe_mm2, "area_sram": ifmap.area_mm2 + weights.area_mm2 + ofmap.area_mm2}
    other = areas | {"latency": seconds, "sram_bytes": sram_bytes, "dram_bytes": bits / 8}
    return {f"energy_{part}": pj * 1e-12 for part, pj in spent.items()} | other


@settings(max_examples=100, deadline=None)
@given(
    layers(),
    CODES,
    st.sampled_from((None, 7)),
    st.builds(
        SystolicConfig,
        bits=st.sampled_from((8, 11, 16)),
        psum_bits=st.sampled_from((24, 32)),
        clock_mhz=st.sampled_from((200.0, 700.0, 5000.0)),
        node=st.sampled_from((45, 16)),
        sram_device=st.sampled_from(("itrs-lop", "itrs-hp")),
        fold_overlap=st.booleans(),
        leakage_scale=st.sampled_from((0.1, 1.0)),
        row_hit_share=st.sampled_from((0.5, 0.9)),
        hbm2_background_w=st.sampled_from((0.5, 2.0)),
    ),
)
def test_energy_of_any_layer_from_its_words(layer, code, layer_bits, config):
    """Every event of every design at its price, stalls included in what costs by the second.

    The words themselves are checked against a walk over the folds in test_systolic_oracle.
    """
    layer = replace(layer, repeats=1, bits=layer_bits)
    got = {name: column[0] for name, column in Systolic(config).simulate(np.array([code]), network(layer)).items()}
    if math.isnan(got["latency"]):
        return
    for name, expected in expected_energies(layer, SPACE.design(np.array(code)), config).items():
        assert got[name] == pytest.approx(expected, rel=1e-12, abs=1e-30), name


def test_word_width_of_a_layer():
    """An 8-bit layer on a 16-bit array moves half of the bytes; a wider one than the array is an error."""
    wide, narrow = (one(network(replace(GEMM, bits=bits)), "ws", 8, 8, 64, bits=16) for bits in (16, 8))
    assert (wide["dram_bytes"], narrow["dram_bytes"]) == (2 * 5400, 5400)
    assert wide["cycles"] == narrow["cycles"]
    both = one(network(replace(GEMM, bits=16), replace(GEMM, bits=8)), "ws", 8, 8, 64, bits=16)
    assert both["dram_bytes"] == 3 * 5400  # alike but for their words: not the same layer
    with pytest.raises(UsageError, match="16-bit"):
        one(network(replace(GEMM, bits=16)), "ws", 8, 8, 64)


def test_a_layer_that_repeats_is_the_layer_written_several_times():
    """Sums over executions; the peak is one of them; equal layers that merge count like apart."""
    fields = ("ws", 8, 8, 2)
    once, repeated = one(network(GEMM), *fields), one(network(replace(GEMM, repeats=3)), *fields)
    written = one(network(GEMM, GEMM, GEMM), *fields)
    mixed = one(network(GEMM, CONV, replace(GEMM, repeats=2)), *fields)
    other = one(network(CONV), *fields)
    assert written == repeated
    for name in ("cycles", "latency", "energy", "dram_bytes", "sram_bytes", "macs"):
        assert repeated[name] == pytest.approx(3 * once[name], rel=1e-14)
        assert mixed[name] == pytest.approx(3 * once[name] + other[name], rel=1e-14)
    for name in ("peak_power", "power", "layer_utilisation", "utilisation"):
        assert repeated[name] == pytest.approx(once[name], rel=1e-14)
    assert mixed["layer_utilisation"] == pytest.approx((3 * once["layer_utilisation"] + other["layer_utilisation"]) / 4)
    assert mixed["peak_power"] == pytest.approx(max(once["peak_power"], other["peak_power"]), rel=1e-14)


def test_keep_on_chip_skips_what_one_layer_hands_to_the_next():
    """First output 100*10, second input the same 1000 words.

    In the ofmap SRAM a word has the width of a partial sum: 4000 bytes fit in half of 8 KiB, 4096, not in half of
    4 KiB. In the ifmap SRAM and in DRAM it has one byte: 1000 fit in half of 2 KiB.
    """
    second = Layer.gemm("second", M=100, N=20, K=10)
    fields = ("ws", 8, 8, 64)

    def saved(*chain, fields=fields, **config):
        off, on = (one(network(*chain), *fields, keep_on_chip=keep, **config) for keep in (False, True))
        return off["dram_bytes"] - on["dram_bytes"]

    assert saved(GEMM, second) == 2 * 1000  # written and read
    assert saved(GEMM, second, fields=("ws", 8, 8, (2, 64, 8))) == 2 * 1000
    assert saved(GEMM, second, fields=("ws", 8, 8, (2, 64, 4))) == 0
    assert saved(GEMM, second, fields=("ws", 8, 8, (2, 64, 4)), psum_bits=17) == 0  # 2125 bytes in a half of 2048
    assert saved(GEMM, second, fields=("ws", 8, 8, (2, 64, 4)), psum_bits=16) == 2 * 1000  # 2000 bytes
    assert saved(GEMM, second, fields=("ws", 8, 8, (2, 64, 2)), psum_bits=8) == 2 * 1000  # 1000 bytes
    assert saved(GEMM, replace(second, C=11)) == 0  # 1100 words are not what came out
    assert saved(GEMM, replace(second, repeats=2)) == 0
    assert saved(replace(GEMM, repeats=2), replace(second, repeats=2)) == 4 * 1000
    assert saved(GEMM, second, second) == 2 * 1000  # 2000 words out, 1000 in
    # 16-bit words: the input has 2000 bytes, the sums still 4000; what does not move are 2 bytes a word.
    assert saved(GEMM, second, fields=("ws", 8, 8, (2, 64, 64)), bits=16) == 0
    assert saved(GEMM, second, fields=("ws", 8, 8, (4, 64, 4)), bits=16) == 0
    assert saved(GEMM, second, fields=("ws", 8, 8, (4, 64, 8)), bits=16) == 2 * 2000
    # A layer of narrower words hands over sums as wide as any.
    narrow = [replace(layer, bits=4) for layer in (GEMM, second)]
    assert saved(*narrow, fields=("ws", 8, 8, (2, 64, 8))) == 2 * 500
    assert saved(*narrow, fields=("ws", 8, 8, (2, 64, 4))) == 0
    assert saved(GEMM) == 0


@pytest.mark.parametrize("dataflow", ["os", "ws", "is"])
def test_keep_on_chip_leaves_the_srams_alone(dataflow):
    """The 1000 words still leave the one SRAM and fill the other: energy and bytes of the SRAMs are the same.

    DRAM moves 2 * 1000 bytes less, at 6.25 pJ a bit (HBM2), and nothing else changes: at 256 GB/s neither layer
    waits for memory.
    """
    second = Layer.gemm("second", M=100, N=20, K=10)
    fields = (dataflow, 8, 8, 64, "HBM2 1 stack")
    off, on = (one(network(GEMM, second), *fields, keep_on_chip=keep) for keep in (False, True))
    assert off["compute_bound"] == on["compute_bound"] == 1
    changed = {"dram_bytes", "energy_dram", "energy", "power", "peak_power", "arithmetic_intensity", "tops_per_watt"}
    assert {name for name in off if off[name] != on[name]} == changed
    assert on["energy_sram"] == off["energy_sram"] > 0
    assert on["sram_bytes"] == off["sram_bytes"] > 0
    assert off["dram_bytes"] - on["dram_bytes"] == 2000
    assert off["energy_dram"] - on["energy_dram"] == pytest.approx(2000 * 8 * 6.25e-12, rel=1e-12)


# ---- what holds for every design and every layer -----------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(NETS, CODES, st.sampled_from(("ifmap_sram", "filter_sram", "ofmap_sram")), st.booleans())
def test_more_sram_never_costs_traffic_or_time(net, code, parameter, keep):
    check_sram(run(net, sweep(np.array([code]), parameter).reshape(-1, 7), keep_on_chip=keep), len(SRAM_KIB))


@pytest.mark.parametrize("name", NETWORKS)
def test_more_sram_never_costs_traffic_or_time_in_networks(name):
    for parameter in ("ifmap_sram", "filter_sram", "ofmap_sram"):
        for keep in (False, True):
            codes = sweep(sample(200, 1), parameter)
            check_sram(run(load_workload(name), codes.reshape(-1, 7), keep_on_chip=keep), len(codes))


def check_sram(columns, levels):
    """Every reuse rule only asks whether something fits, so no level may do worse than a smaller one."""
    for name in ("dram_bytes", "latency"):
        column = columns[name].reshape(levels, -1)
        possible = np.isfinite(column[:-1]) & np.isfinite(column[1:])
        assert (column[1:][possible] <= column[:-1][possible]).all()
    infeasible = np.isnan(columns["latency"]).reshape(levels, -1)
    assert not (infeasible[1:] & ~infeasible[:-1]).any()  # and what is possible stays possible


@settings(max_examples=40, deadline=None)
@given(NETS, CODES)
def test_more_bandwidth_never_costs_time(net, code):
    check_bandwidth(net, np.array([code]))


@pytest.mark.parametrize("name", NETWORKS)
def test_more_bandwidth_never_costs_time_in_networks(name):
    check_bandwidth(load_workload(name), sample(200, 2))


def check_bandwidth(net, codes):
    """Memory systems in order of bandwidth: same traffic, same cycles, no more time, no less compute-bound."""
    swept = sweep(codes, "memory")[np.argsort([bandwidth(memory) for memory in MEMORIES], kind="stable")]
    columns = run(net, swept.reshape(-1, 7))
    ok = np.isfinite(columns["latency"]).reshape(len(swept), -1)[0]
    latency, share, cycles, traffic = (
        columns[name].reshape(len(swept), -1)[:, ok] for name in ("latency", "compute_bound", "cycles", "dram_bytes")
    )
    assert (np.diff(latency, axis=0) <= 0).all()
    assert (np.diff(share, axis=0) >= -1e-12).all()
    assert (cycles == cycles[0]).all()
    assert (traffic == traffic[0]).all()


@settings(max_examples=60, deadline=None)
@given(NETS, CODES, st.floats(1e6, 1e13), st.floats(1, 1e3))
def test_more_bandwidth_never_costs_time_in_the_kernel(net, code, bytes_per_s, factor):
    """Any two bandwidths, not only those of the memory systems."""
    sim = Systolic()
    columns = SPACE.columns(np.array([code]))
    parts = hardware.integer_designs(columns)
    constants, _ = hardware.design_constants(columns, parts, sim.config)
    table, _ = sim._layers(net)
    latency = []
    for bandwidth_b_s in (bytes_per_s, bytes_per_s * factor):
        constants[:, array.DRAM_BYTES_PER_S] = bandwidth_b_s
        latency.append(array.simulate(parts, constants, table, 32, 700e6, True, False)[0, array.T_LATENCY])
    assert latency[1] <= latency[0]


def check_bounds(net, codes, **config):
    """Lower bounds that no schedule can beat, and identities between metrics."""
    c = SystolicConfig(**config)
    columns = run(net, codes, **config)
    ok = np.isfinite(columns["latency"])
    columns = {name: column[ok] for name, column in columns.items()}
    values = SPACE.decode(codes[ok])
    pes = values["rows"] * values["cols"]
    batched = net.with_batch(c.batch)
    # Every weight, every touched input and every output crosses the pins once.
    bits = sum(la.repeats * (la.weights + touched(la) + la.ofmap_words) * (la.bits or c.bits) for la in batched.layers)
    assert (columns["dram_bytes"] >= bits / 8).all()
    assert (columns["macs"] == batched.macs).all()
    # A PE does at most one product a cycle; a memory moves at most its bandwidth.
    assert (columns["cycles"] >= -(-batched.macs // pes)).all()
    seconds = np.array([bandwidth(memory) for memory in values["memory"]])
    roofline = np.maximum(batched.macs / (pes * c.clock_mhz * 1e6), columns["dram_bytes"] / seconds)
    assert (columns["latency"] >= roofline * (1 - 1e-12)).all()
    assert (columns["latency"] >= columns["cycles"] / (c.clock_mhz * 1e6) * (1 - 1e-12)).all()
    assert (columns["utilisation"] <= 1).all()
    assert (columns["layer_utilisation"] <= 1).all()
    assert (columns["compute_bound"] + columns["memory_bound"] == pytest.approx(1, abs=1e-15)) | (not ok.any())
    assert ((columns["compute_bound"] >= 0) & (columns["compute_bound"] <= 1)).all()
    # Parts add up to the whole, bit for bit.
    energy = np.zeros(int(ok.sum()))
    for part in PARTS:
        assert (columns[f"energy_{part}"] > 0).all()
        energy = energy + columns[f"energy_{part}"]
    assert np.array_equal(energy, columns["energy"])
    assert np.array_equal(columns["area_pe"] + columns["area_sram"], columns["area"])
    # Names that are functions of others.
    n = c.batch
    close = {
        "throughput": n / columns["latency"],
        "power": energy * n / columns["latency"],
        "arithmetic_intensity": columns["macs"] / columns["dram_bytes"],
        "utilisation": columns["macs"] / (pes * c.clock_mhz * 1e6 * columns["latency"]),
        "tops_per_watt": 2e-12 * columns["macs"] / (energy * n),
        "tops_per_mm2": 2e-12 * columns["macs"] / columns["latency"] / columns["area"],
        "energy_mac": columns["macs"] * 0.3e-12 / n,  # 8-bit multiply 0.2 pJ, 32-bit add 0.1 pJ
    }
    for name, expected in close.items():
        np.testing.assert_allclose(columns[name], expected, rtol=1e-12)
    assert (columns["peak_power"] >= columns["power"] * (1 - 1e-12)).all()


@settings(max_examples=60, deadline=None)
@given(NETS, st.lists(CODES, min_size=1, max_size=20), st.integers(1, 4), st.booleans())
def test_bounds_and_identities(net, codes, batch, overlap):
    check_bounds(net, np.array(codes), batch=batch, fold_overlap=overlap)


@pytest.mark.parametrize("name", NETWORKS)
def test_bounds_and_identities_in_networks(name):
    for batch in (1, 7):
        check_bounds(load_workload(name), sample(2000, 3), batch=batch)


def check_options(net, codes):
    """Overlapping folds takes away waiting; keeping words on chip takes away transfers. Nothing else moves."""
    plain, overlapped = (run(net, codes, fold_overlap=on) for on in (False, True))
    ok = np.isfinite(plain["latency"])
    for name in ("cycles", "latency"):
        assert (overlapped[name][ok] <= plain[name][ok]).all()
    assert np.array_equal(overlapped["dram_bytes"][ok], plain["dram_bytes"][ok])
    kept = run(net, codes, keep_on_chip=True)
    for name in ("dram_bytes", "latency"):
        assert (kept[name][ok] <= overlapped[name][ok] * (1 + 1e-14)).all()  # layers are added in another order
    for name in ("energy_mac", "energy_register", "energy_sram", "energy_wire", "sram_bytes"):  # only DRAM's go away
        np.testing.assert_allclose(kept[name], overlapped[name], rtol=1e-12)
    assert np.array_equal(kept["cycles"], overlapped["cycles"])
    assert np.array_equal(kept["area"], overlapped["area"], equal_nan=True)


@settings(max_examples=40, deadline=None)
@given(NETS, st.lists(CODES, min_size=1, max_size=20))
def test_options_only_help(net, codes):
    check_options(net, np.array(codes))


@pytest.mark.parametrize("name", NETWORKS)
def test_options_only_help_in_networks(name):
    check_options(load_workload(name), sample(1000, 4))


@settings(max_examples=100, deadline=None)
@given(layers(), CODES, st.integers(2, 8), st.booleans())
def test_a_batch_shares_weights_and_folds(layer, code, n, overlap):
    """b images cost at most b times the cycles and filter words of one; ws reads each filter word once for all."""
    parts = hardware.integer_designs(SPACE.columns(np.array([code])))
    counts = []
    for batch in (1, n):
        table, _ = Systolic(SystolicConfig(batch=batch))._layers(network(layer), merge=False)
        counts.append(array.counts_of(parts, table, 32, overlap, False)[0, 0])
    single, batched = counts
    assert batched[array.CYCLES] <= n * single[array.CYCLES]
    assert batched[array.DRAM_FILTER] <= n * single[array.DRAM_FILTER]
    assert batched[array.DRAM_OFMAP] == n * single[array.DRAM_OFMAP]
    assert batched[array.DRAM_IFMAP] >= n * single[array.DRAM_IFMAP]  # nothing of one image serves another
    if parts[0, array.DATAFLOW] == WS:
        assert batched[array.DRAM_FILTER] == single[array.DRAM_FILTER] == layer.weights


def test_a_batch_that_fits_never_costs_throughput_or_energy():
    """ResNet-18 on 16 x 16 PEs, 8 MiB SRAMs: all rules still fit at batch 4, so weights are shared for free."""
    net = load_workload("resnet18")
    for dataflow in ("os", "ws", "is"):
        got = [one(net, dataflow, 16, 16, 8192, batch=n) for n in (1, 2, 4)]
        for few, many in itertools.pairwise(got):
            assert many["throughput"] >= few["throughput"]
            assert many["energy"] <= few["energy"]
            assert many["dram_bytes"] < 2 * few["dram_bytes"]


def test_dynamic_operands_are_not_shared_by_a_batch():
    """Every sample of an attention layer brings its own second operand: batch b is b times the groups."""
    layer = Layer.gemm("scores", 16, 16, 8, groups=3, dynamic=True)
    once, four = (one(network(layer), "ws", 8, 8, 64, batch=n) for n in (1, 4))
    assert four["dram_bytes"] == 4 * once["dram_bytes"]
    assert once["cycles"] == (3 * 1 * 2 - 1) * 16 + 16 + 22  # 3 groups, K 8 in one fold, N 16 in two
    assert four["cycles"] == (12 * 1 * 2 - 1) * 16 + 16 + 22


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(NETWORKS), st.integers(1, 40), st.integers(0, 2**32 - 1), st.sampled_from(("", COMPAT)))
def test_rows_do_not_depend_on_their_batch(name, n, seed, compat):
    """simulate(X)[i] is simulate(X[i:i+1])[0] bit for bit, in any split and any order."""
    if compat:
        name, n = "alexnet", min(n, 6)
    rng = np.random.default_rng(seed)
    codes = SPACE.sample(n, rng)
    whole = run(load_workload(name), codes, compat=compat)
    order = rng.permutation(n)
    cuts = np.sort(rng.integers(0, n + 1, 3))
    for rows in (*np.split(order, cuts), *(order[i : i + 1] for i in range(min(n, 3)))):
        part = run(load_workload(name), codes[rows], compat=compat)
        for column in whole:
            assert part[column].dtype == whole[column].dtype
            assert part[column].tobytes() == whole[column][rows].tobytes()


def test_no_rows():
    columns = run(network(GEMM), np.empty((0, 7), np.int64))
    assert all(len(column) == 0 for column in columns.values())


# ---- feasibility -------------------------------------------------------------------------------------------


def tiles(dataflow, rows, cols, bits, psum_bits):
    """Bits of the smallest tile of ifmap, filter, ofmap: the operand held in the array, or one vector of a stream.

    Operands have ``bits``, whatever the ofmap SRAM holds has ``psum_bits``.
    """
    held = rows * cols * bits
    return {
        # one input per row, one weight per column, all sums
        "os": (rows * bits, cols * bits, rows * cols * psum_bits),
        "ws": (rows * bits, held, cols * psum_bits),  # one input per row, one partial sum per column
        "is": (held, rows * bits, cols * psum_bits),
    }[dataflow]


@pytest.mark.parametrize(("bits", "psum_bits", "compat"), [(8, 32, ""), (12, 17, ""), (32, 32, ""), (8, 32, COMPAT)])
def test_feasible_exactly_where_two_tiles_fit_every_sram(bits, psum_bits, compat):
    """Both modes; the slack is exact, metrics are missing exactly where a slack is positive."""
    codes = sample(300 if compat else 3000, 5)
    columns = run(network(GEMM, STRIDED if not compat else GEMM), codes, bits=bits, psum_bits=psum_bits, compat=compat)
    metrics = [metric.name for metric in Systolic.metrics]
    seen = set()
    for i, code in enumerate(codes):
        d = SPACE.design(code)
        possible = True
        for operand, tile in zip(
            ("ifmap", "filter", "ofmap"), tiles(d["dataflow"], d["rows"], d["cols"], bits, psum_bits), strict=True
        ):
            capacity = d[f"{operand}_sram"] * 1024
            slack = Fraction(2 * tile, 8) - capacity
            assert columns[f"{operand}_sram_tiles"][i] == float(slack)
            assert columns[f"{operand}_sram_tiles.limit"][i] == capacity
            possible &= slack <= 0
            seen.add((operand, slack <= 0))
        for name in metrics:
            value = columns[name][i]
            if possible:
                assert value >= 0
                assert math.isfinite(value)
            elif columns[name].dtype == np.int64:
                assert value == 0
            else:
                assert math.isnan(value)
    assert len(seen) >= 5  # both sides of the limits have been visited
    assert columns["cycles"].dtype == columns["macs"].dtype == np.int64


@pytest.mark.parametrize("compat", ["", COMPAT])
def test_the_output_tile_of_each_dataflow_by_hand(compat):
    """16 x 16 PEs: os holds 256 sums, twice 1024 bytes fill 2 KiB; 24 x 16 need 3 KiB. ws and is drain 16, 128 bytes.

    With 8-bit sums the 24 x 16 of them fit.
    """
    codes = SPACE.encode([design(d, rows, 16, (64, 64, 2)) for d in ("os", "ws", "is") for rows in (16, 24)])
    columns = run(network(GEMM), codes, compat=compat)
    assert columns["ofmap_sram_tiles"].tolist() == [0, 1024, 128 - 2048, 128 - 2048, 128 - 2048, 128 - 2048]
    assert np.isnan(columns["latency"]).tolist() == [False, True, False, False, False, False]
    assert run(network(GEMM), codes, psum_bits=8, compat=compat)["ofmap_sram_tiles"].tolist()[1] == 768 - 2048


def test_infeasible_designs_in_a_problem():
    """256 x 256 inputs held in the array: two tiles are 128 KiB, the SRAM has 64. The reason is the slack."""
    problem = Problem.parse("systolic/alexnet/latency")
    codes = SPACE.encode([design("is", 256, 256, (64, 1024, 1024)), design("is", 256, 256, (128, 1024, 1024))])
    got = problem.evaluate(codes)
    assert got.feasible.tolist() == [False, True]
    assert np.isnan(got.metric_values[0]).all()
    assert np.isfinite(got.metric_values[1]).all()
    assert got.reward[0] < got.reward[1]
    assert problem.explain(got, 0) == "violates ifmap_sram_tiles"
    slack = got.violations[0, problem.constraint_names.index("ifmap_sram_tiles")]
    assert slack == (128 - 64) / 64  # relative to the SRAM


@pytest.mark.parametrize("name", ["UNet_2d.csv", "gpt2-prefill", "vgg16"])
def test_the_largest_networks_on_the_smallest_and_largest_machines(name):
    """2.6 TMAC x 64 images x 32-bit words with every operand fetched again and again: counts stay positive."""
    net = load_workload(TOPOLOGIES / name if name.endswith("csv") else name)
    designs = [design(d, s, s, k) for d in ("os", "ws", "is") for s, k in ((4, 2), (4, 8192), (512, 8192))]
    columns = run(net, SPACE.encode(designs), bits=32, psum_bits=32, batch=64, fold_overlap=False)
    assert (columns["macs"] == 64 * net.macs).all()
    for metric in Systolic.metrics:
        ok = np.isfinite(columns[metric.name])
        assert ok.all()
        assert (columns[metric.name] >= 0).all()
        assert metric.name in ("memory_bound", "compute_bound") or (columns[metric.name] > 0).all()
    table, _ = Systolic(SystolicConfig(bits=32, batch=64))._layers(net)
    parts = hardware.integer_designs(SPACE.columns(SPACE.encode(designs)))
    assert (array.counts_of(parts, table, 32, False, False) >= 0).all()


@pytest.mark.parametrize("overlap", [False, True])
def test_no_layer_that_is_accepted_overflows(overlap):
    """Layers of 2**40 to 2**62 MACs, all in the named dimensions, 32-bit words: refused, or positive numbers.

    Folds of one MAC cost up to T + 2R + C cycles, and a layer may move a word of every operand per MAC.
    """
    sides, config = (4, 512), {"bits": 32, "fold_overlap": overlap}
    machines = SPACE.encode([design(d, side, side, 8192) for d in ("os", "ws", "is") for side in sides])
    for shape in ("K", "C", "G", "N", "GC", "CK", "NKC"):
        refused = 0
        for exponent in range(40, 63):
            layer = Layer("x", **dict.fromkeys(shape, 2 ** (exponent // len(shape)) - 1))
            try:
                columns = run(network(layer), machines, **config)
            except UsageError:
                assert max(layer.macs, most_cycles(layer)) >= 2**53
                refused += 1
                continue
            assert not refused  # a larger layer is not accepted where a smaller one was refused
            assert max(layer.macs, most_cycles(layer)) < 2**53
            assert (columns["macs"] == layer.macs).all()
            for name in ("cycles", "macs", "dram_bytes", "sram_bytes", *(f"energy_{part}" for part in PARTS)):
                assert (columns[name] > 0).all(), (shape, exponent, name)
            # Every MAC takes part of a cycle of some PE, and no fold is longer than T + 2R + C.
            pes = np.tile([side**2 for side in sides], 3)
            assert (columns["cycles"] >= layer.macs / pes * (1 - 1e-15)).all()
            words = layer.weights + touched_gemm(layer) + layer.ofmap_words
            assert (columns["dram_bytes"] >= 4 * words * (1 - 1e-15)).all()
        assert refused


def touched_gemm(layer):
    """Input words of a layer of one pixel and one tap."""
    assert (layer.H, layer.W, layer.R, layer.S) == (1, 1, 1, 1)
    return layer.N * layer.G * layer.C


def most_cycles(layer):
    """More cycles than any design needs: at least 4 x 4 PEs, and a fold adds less than 3 * 512 cycles."""
    m, n, k = layer.mnk
    orders = [(m, n, k), (k, n, m), (k, m, n)]
    return layer.G * layer.repeats * max(-(-a // 4) * -(-b // 4) * (t + 3 * 512) for a, b, t in orders)


@pytest.mark.parametrize("shape", ["K", "C", "G", "N"])
def test_a_layer_just_below_the_limit_is_counted_exactly(shape):
    """2**42 - 1 MACs in one dimension: the int64 counts are Python's integers, for either kind of fold.

    That is accepted in every dimension: 2**42 groups of one MAC, 1 + 3 * 512 cycles each, are below 2**53.
    """
    most = 2**42 - 1
    table, _ = Systolic(SystolicConfig(bits=32))._layers(network(Layer("x", **{shape: most})), merge=False)
    M, N, K, G = (most if shape == letter else 1 for letter in ("N", "K", "C", "G"))  # K filters are N columns
    for df, side, overlap in itertools.product((OS, WS, IS), (4, 512), (False, True)):
        parts = np.array([[df, side, side, *[2**16] * 3]], np.int64)
        got = array.counts_of(parts, table, 32, overlap, False)[0, 0].tolist()
        rows, columns, T = {OS: (M, N, K), WS: (K, N, M), IS: (K, M, N)}[df]
        folds = G * -(-rows // side) * -(-columns // side)
        L = T + (2 if df == OS else 3) * side - 2
        assert got[array.CYCLES] == ((folds - 1) * max(T, side) + L if overlap else folds * L)
        assert 0 <= min(got)
        assert got[array.DRAM_OFMAP] == got[array.SRAM_OFMAP_DRAIN] == G * M * N
        assert got[array.SRAM_OFMAP_WRITE] == G * M * N * (1 if df == OS else -(-K // side))


@pytest.mark.parametrize("config", [{}, {"compat": COMPAT}], ids=["default", "compat"])
def test_the_limit_of_macs_in_both_modes(config):
    """What may need 2**53 cycles is refused, one repeat, group or layer less is accepted.

    2**24 inputs of one output: ws on 4 x 4 PEs takes 2**22 row folds of at most 1 + 3 * 512 cycles.
    """
    codes = SPACE.encode([design("os", 32, 32, 64)])
    each = 2**22 * (1 + 3 * 512)
    most = (2**53 - 1) // each
    for n, fits in ((most, True), (most + 1, False)):
        repeated, grouped = (Layer("x", C=2**24, **{field: n}) for field in ("repeats", "G"))
        two = (Layer("x", C=2**24, repeats=n - 1), Layer("y", C=2**24 - 3))  # as many folds, another shape
        for layers_ in ((repeated,), (grouped,), two):
            if fits:
                assert run(network(*layers_), codes, **config)["macs"] == sum(x.macs * x.repeats for x in layers_)
            else:
                with pytest.raises(UsageError, match=r"beyond exact counting \(2\^53\)"):
                    run(network(*layers_), codes, **config)
    if not config:
        with pytest.raises(UsageError, match=r"2\^53"):
            run(network(Layer("x", C=2**24)), codes, batch=2**30)


def test_touched_positions_in_closed_form_at_any_size():
    """2**40 windows of one axis, stride 2, three taps one padded: every position but the last padding is touched."""
    wide = Layer("x", H=2**41, R=3, stride=(2, 1), padding=(1, 0))
    table, _ = Systolic()._layers(network(wide))
    assert table[0, array.IFMAP_WORDS] == 2**41
    assert table[0, array.PASS_WORDS] == 3 * 2**40 - 1  # the first window's first tap is padding


# ---- options and baseline ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "option",
    [{"clock_mhz": value} for value in (math.nan, math.inf, -math.inf, 0.0, -700.0)]
    + [{"leakage_scale": value} for value in (math.nan, math.inf, -math.inf, -0.1)]
    + [{"hbm2_background_w": value} for value in (math.nan, math.inf, -1.0)]
    + [{"batch": 0}, {"psum_bits": 7}, {"clock_mhz": 1e-300}],
    ids=str,
)
def test_options_without_a_meaning_are_refused(option):
    """When the configuration is made, and when a problem is."""
    with pytest.raises(UsageError, match="simulator systolic"):
        SystolicConfig(**option)
    with pytest.raises(UsageError):
        Problem.parse("systolic/alexnet/latency", sim=option)


def test_leakage_can_be_switched_off():
    """A scale of zero is a meaning: nothing leaks, nothing else changes."""
    off, on = (one(network(GEMM), "os", 8, 8, 64, leakage_scale=scale) for scale in (0.0, 1.0))
    assert off["energy_leakage"] == 0 < on["energy_leakage"]
    same = ("latency", "area", "energy_mac", "energy_register", "energy_sram", "energy_wire", "energy_dram")
    assert {name: off[name] for name in same} == {name: on[name] for name in same}


@pytest.mark.parametrize("config", [{}, {"compat": COMPAT}], ids=["default", "compat"])
def test_baseline(config):
    """32 x 32 os, 640 KiB, one DDR4 channel: possible in both modes, its tiles (8 KiB of sums, twice 4) fit."""
    problem = Problem.parse("systolic/resnet18/latency", sim=config)
    srams = {"ifmap_sram": 256, "filter_sram": 256, "ofmap_sram": 128}
    assert problem.baseline == {"rows": 32, "cols": 32, "dataflow": "os", **srams, "memory": "DDR4-2400 x64"}
    got = problem.evaluate(problem.space.encode([problem.baseline]))
    assert got.feasible.all()
    # Two tiles: 32 operands twice, 64 bytes, and 1024 sums of 4 bytes twice.
    columns = run(network(GEMM), SPACE.encode([problem.baseline]), **config)
    slacks = [columns[f"{operand}_sram_tiles"][0] for operand in ("ifmap", "filter", "ofmap")]
    assert slacks == [64 - 256 * 1024, 64 - 256 * 1024, 8192 - 128 * 1024]


# ---- breakdown ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("name", ["mobilenet_v1", "bert-base"])
def test_breakdown_adds_up(name, keep):
    """Rows times repeats are the totals, and every row obeys its own roofline."""
    net, sim = load_workload(name), Systolic(SystolicConfig(keep_on_chip=keep, batch=2))
    for fields in (("ws", 32, 32, 64), ("os", 16, 64, 256), ("is", 8, 8, 16)):
        codes = SPACE.encode([design(*fields)])
        totals = {key: column[0] for key, column in sim.simulate(codes, net).items()}
        rows = sim.breakdown(codes, net)
        assert rows["layer"] == [layer.name for layer in net.layers]
        assert len({len(column) for column in rows.values()}) == 1
        by = {key: np.array(column) for key, column in rows.items()}
        for key, total in (("macs", "macs"), ("cycles", "cycles"), ("latency_s", "latency"), ("energy_j", "energy")):
            assert (by[key] * by["repeats"]).sum() == pytest.approx(totals[total], rel=1e-12)
        assert (by["dram_bytes"] * by["repeats"]).sum() == pytest.approx(totals["dram_bytes"], rel=1e-12)
        share = (by["latency_s"] * by["repeats"])[by["bound"] == "memory"].sum() / totals["latency"]
        assert share == pytest.approx(totals["memory_bound"], abs=1e-12)
        mean = (by["utilisation"] * by["repeats"]).sum() / by["repeats"].sum()
        assert mean == pytest.approx(totals["layer_utilisation"], rel=1e-12)


def test_compat_breakdown_adds_up():
    """A row is the report of one group; repeats count the groups too."""
    net, sim = load_workload("mobilenet_v1"), Systolic(SystolicConfig(compat=COMPAT))
    codes = SPACE.encode([sim.baseline(net)])
    rows = sim.breakdown(codes, net)
    cycles = sum(c * n for c, n in zip(rows["total_cycles"], rows["repeats"], strict=True))
    assert cycles == sim.simulate(codes, net)["cycles"][0]


# ---- against the tool's model ------------------------------------------------------------------------------


def tool_counts(layer, dataflow, rows, cols):
    """The tool's counts with SRAMs of a GiB, in which every operand fits."""
    row = np.array([[layer.H, layer.W, layer.R, layer.S, layer.C, layer.K, layer.stride[0]]], np.int64)
    out = scalesim.counts(row, np.array([[dataflow, rows, cols, *[2**20] * 3]], np.int64))[0, 0]
    return dict(zip(scalesim.COUNTS, out.tolist(), strict=True))


def default_counts(layer, dataflow, rows, cols):
    table, _ = Systolic()._layers(network(layer), merge=False)
    parts = np.array([[dataflow, rows, cols, *[2**33] * 3]], np.int64)
    return array.counts_of(parts, table, 32, False, False)[0, 0]


def check_against_tool(layer, dataflow, rows, cols):
    """Where nothing of the list of differences applies, only these remain: the last cycle's index is not a count
    of cycles; os counts R + C extra writes per fold; partial sums of ws and is go to DRAM in every row fold."""
    tool, ours = tool_counts(layer, dataflow, rows, cols), default_counts(layer, dataflow, rows, cols)
    assert tool["reason"] == 0
    M, N, K = layer.mnk
    held_rows, held_columns = {OS: (M, N), WS: (K, N), IS: (K, M)}[dataflow]
    row_folds, folds = -(-held_rows // rows), -(-held_rows // rows) * -(-held_columns // cols)
    assert ours[array.CYCLES] == tool["total_cycles"] + 1
    assert ours[array.SRAM_IFMAP_READ] == tool["sram_ifmap_reads"]
    assert ours[array.SRAM_FILTER_READ] == tool["sram_filter_reads"]
    extra = folds * (rows + cols) if dataflow == OS else 0
    assert ours[array.SRAM_OFMAP_WRITE] == tool["sram_ofmap_writes"] - extra
    assert ours[array.DRAM_IFMAP] == tool["dram_ifmap_reads"] == touched(layer)
    assert ours[array.DRAM_FILTER] == tool["dram_filter_reads"] == N * K
    assert ours[array.DRAM_PARTIAL] == 0
    again = 1 if dataflow == OS else row_folds
    assert ours[array.DRAM_OFMAP] * again == tool["dram_ofmap_writes"]


@st.composite
def tool_layers(draw):
    """No padding, groups, batch or dilation, one stride for both axes, and windows that end at the edge."""
    stride, R, S = draw(st.integers(1, 4)), draw(st.integers(1, 5)), draw(st.integers(1, 5))
    H, W = R + stride * draw(st.integers(0, 12)), S + stride * draw(st.integers(0, 12))
    K, C = draw(st.integers(1, 50)), draw(st.integers(1, 30))
    return Layer("x", K=K, C=C, H=H, W=W, R=R, S=S, stride=(stride, stride))


@settings(max_examples=200, deadline=None)
@given(tool_layers(), st.sampled_from((OS, WS, IS)), st.integers(1, 40), st.integers(2, 40))
def test_with_large_srams_and_no_overlap_it_is_the_tool(layer, dataflow, rows, cols):
    check_against_tool(layer, dataflow, rows, cols)  # two columns at least: on 1 x 1 PEs the tool may divide by 0


@pytest.mark.parametrize("name", ["alexnet.csv", "Resnet50.csv", "mobilenet.csv", "NCF.csv"])
def test_with_large_srams_and_no_overlap_it_is_the_tool_on_its_topologies(name):
    """The tool's own topologies (no padding); layers whose last window hangs over the edge are left out."""
    checked = 0
    for layer in dict.fromkeys(replace(layer, name="x") for layer in load_workload(TOPOLOGIES / name).layers):
        if (layer.H - layer.R) % layer.stride[0] == 0 == (layer.W - layer.S) % layer.stride[1] and layer.G == 1:
            for dataflow, (rows, cols) in itertools.product((OS, WS, IS), ((16, 16), (12, 14), (128, 32))):
                check_against_tool(layer, dataflow, rows, cols)
            checked += 1
    assert checked >= 4


def compat_rows(net):
    """(tool row, how often) of each layer: padding enlarges the ifmap, groups are layers of their own."""
    return [
        ([la.H + 2 * la.padding[0], la.W + 2 * la.padding[1], la.R, la.S, la.C, la.K, la.stride[0]], la.repeats * la.G)
        for la in net.layers
    ]


@pytest.mark.parametrize("name", ["alexnet", "mobilenet_v1", "bert-base"])
def test_compat_mode_adds_up_the_tools_reports(name):
    """Metrics are sums over layers of the tool's own columns; one byte a word; memory never limits."""
    problem = Problem.parse(f"systolic/{name}/latency", sim={"compat": COMPAT})
    net = problem.workloads[0]
    designs = [
        design("os", 32, 32, 64), design("ws", 32, 16, 256), design("is", 16, 64, (128, 64, 64)), problem.baseline,
    ]  # fmt: skip
    got = problem.evaluate(problem.space.encode(designs))
    assert got.feasible.all()
    at = got.metrics
    rows, times = zip(*compat_rows(net), strict=True)
    for i, d in enumerate(designs):
        machine = [("os", "ws", "is").index(d["dataflow"]), d["rows"], d["cols"]]
        machine += [d[f"{operand}_sram"] for operand in ("ifmap", "filter", "ofmap")]
        report = scalesim.report(np.array(rows, np.int64), np.array([machine] * len(rows), np.int64))
        total = {column: int((values * times).sum()) for column, values in report.items() if values.dtype == np.int64}
        assert at["cycles"][i] == total["total_cycles"]
        dram = total["dram_ifmap_reads"] + total["dram_filter_reads"] + total["dram_ofmap_writes"]
        assert at["dram_bytes"][i] == dram
        operands = total["sram_ifmap_reads"] + total["sram_filter_reads"]
        operands += total["dram_ifmap_reads"] + total["dram_filter_reads"]
        ofmap = total["sram_ofmap_writes"] + total["dram_ofmap_writes"]  # written and drained, 32 bits a word
        assert at["sram_bytes"][i] == operands + 4 * ofmap
        assert at["latency"][i] == pytest.approx(total["total_cycles"] / 700e6, rel=1e-14)
        # The tool's utilisation counts hanging windows as products and is a percentage.
        macs = report["overall_util_pct"] / 100 * d["rows"] * d["cols"] * report["total_cycles"] * times
        assert at["macs"][i] == pytest.approx(macs.sum(), rel=1e-12)
        mean = (report["overall_util_pct"] * times).sum() / 100 / sum(times)
        assert at["layer_utilisation"][i] == pytest.approx(mean, rel=1e-12)
    assert (at["compute_bound"] == 1).all()
    assert (at["memory_bound"] == 0).all()
    # The tool's folds do not overlap: its PEs have no second register for what they hold.
    areas = {on: run(net, SPACE.encode(designs), fold_overlap=on)["area_pe"] for on in (False, True)}
    assert np.array_equal(at["area_pe"], areas[False])
    assert (at["area_pe"] < areas[True]).all()


@pytest.mark.parametrize(
    "change",
    [{"N": 2}, {"dilation": (2, 1)}, {"dilation": (2, 2)}, {"stride": (2, 1)}, {"bits": 16}],
    ids=["batch", "dilation", "dilations", "strides", "bits"],
)
def test_compat_mode_refuses_what_the_tool_cannot_express(change):
    """In any layer of the network, when the problem is made; the layer is named."""
    wrong = network(Layer.gemm("fine", 8, 8, 8), replace(CONV, **change))
    with pytest.raises(UsageError, match="layer 'conv'"):
        Problem(ProblemSpec("systolic", (wrong.to_dict(),), "latency", sim={"compat": COMPAT}))
    Problem(ProblemSpec("systolic", (network(CONV).to_dict(),), "latency", sim={"compat": COMPAT}))


@pytest.mark.parametrize("option", [{"batch": 2}, {"bits": 16}, {"keep_on_chip": True}])
def test_compat_mode_refuses_options_of_the_default_model(option):
    with pytest.raises(UsageError, match=COMPAT):
        Problem.parse("systolic/alexnet/latency", sim={"compat": COMPAT, **option})


def evaluate_with_smaller_srams(monkeypatch, sizes):
    """A 512 x 512 design of which the tool sees SRAMs of ``sizes`` KiB, and an untouched one.

    No SRAM of the space is small enough for the tool to fail (half of 2 KiB holds more than one row of 512 requests),
    so it is handed smaller ones.
    """
    # 2 MiB hold two tiles of 512 x 512 sums.
    layer = Layer.gemm("x", 600, 600, 600)  # a full row of the array asks for 512 new words
    problem = Problem(ProblemSpec("systolic", (network(layer).to_dict(),), "latency", sim={"compat": COMPAT}))
    codes = problem.space.encode([design("os", 512, 512, (64, 64, 2048)), design("os", 4, 4, 64)])
    assert problem.evaluate(codes).feasible.all()

    def shrunk(parts):
        out = parts.copy()
        out[:, array.IFMAP_BITS :] = [[*sizes] if rows == 512 else [64, 64, 64] for rows in parts[:, array.ROWS]]
        return out

    monkeypatch.setattr(layer_tables, "tool_designs", shrunk)
    return problem, problem.evaluate(codes)


@pytest.mark.parametrize(
    ("sizes", "reason"), [((0, 1, 1), scalesim.TINY_SRAM), ((1, 1, 1), scalesim.TWO_FLUSHES)], ids=["tiny", "flushes"]
)
def test_designs_on_which_the_tool_fails_are_infeasible_with_its_reason(monkeypatch, sizes, reason):
    """0 KiB cannot be divided into hundredths; half of 1 KiB (500 words) is filled twice by a row of 512 requests."""
    problem, got = evaluate_with_smaller_srams(monkeypatch, sizes)
    assert got.feasible.tolist() == [False, True]
    assert got.reason.tolist() == [reason, 0]
    assert np.isnan(got.metric_values[0]).all()
    assert problem.explain(got, 0) == scalesim.REASONS[reason] != ""


def test_no_design_of_the_space_breaks_the_tool():
    """The most requests in a row on the smallest SRAMs, and one product on the smallest array."""
    net = network(Layer.gemm("x", 2000, 2000, 2000), Layer.gemm("y", 1, 1, 1))
    codes = SPACE.encode([design(d, 512, 512, 2) for d in ("os", "ws", "is")] + [design("os", 4, 4, 2)])
    assert run(net, codes, compat=COMPAT)["reason"].tolist() == [0, 0, 0, 0]


# ---- MobileNetV1 with grouped instead of depthwise stages ----------------------------------------------------

# Cycles in millions, MAC utilisation over time and mean over layers in percent, of os, ws and is on 64 x 64 PEs:
# an independent evaluation of F * L (every group its own layer) on MobileNetV1-224, 'same' padding, without
# its classifier, where the 13 depthwise stages have g channels per group (after DRACO, arXiv 2006.15103).
GROUPED = {
    1: (568, ((4.80, 2.9, 26.4), (3.17, 4.4, 28.4), (6.72, 2.1, 24.9))),
    4: (620, ((1.64, 9.3, 26.9), (1.01, 14.9, 29.4), (1.95, 7.8, 25.4))),
    16: (829, ((0.85, 23.9, 31.8), (0.84, 24.2, 33.9), (1.62, 12.5, 27.3))),
    32: (1107, ((0.71, 37.9, 40.6), (0.75, 36.2, 41.6), (1.49, 18.2, 30.2))),
    64: (1547, ((0.66, 57.3, 58.1), (0.71, 53.4, 55.7), (1.52, 24.9, 34.7))),
}


@pytest.mark.parametrize("g", GROUPED)
def test_grouped_mobilenet_on_64_by_64(g):
    """Without overlap, cycles are F * L summed over groups and layers, in every dataflow to the printed digits.

    A stage with fewer than g channels (the first has 32) becomes one dense group. Utilisations agree to half of
    their last digit and the one cycle per group that the tool does not count.
    """
    stages = []
    for layer in load_workload("mobilenet_v1").layers[:-1]:
        if layer.G > 1:
            groups = max(1, layer.G // g)
            layer = Layer.conv(layer.name, layer.G, layer.H, layer.W, layer.G, 3, layer.stride, 1, groups)
        stages.append(layer)
    net = network(*stages)
    macs, expected = GROUPED[g]
    for dataflow, (cycles, over_time, over_layers) in zip(("os", "ws", "is"), expected, strict=True):
        got = one(net, dataflow, 64, 64, 8192, fold_overlap=False)
        assert round(got["cycles"] / 1e6, 2) == cycles
        assert round(got["macs"] / 1e6) == macs
        assert 100 * got["macs"] / (4096 * got["cycles"]) == pytest.approx(over_time, abs=0.06)
        assert 100 * got["layer_utilisation"] == pytest.approx(over_layers, abs=0.06)


# ---- declared moves ------------------------------------------------------------------------


def test_one_level_of_rows_for_one_of_columns():
    # Levels 5 and 2 are 16 rows and 8 columns: 14 x 12 is the wider array, 20 x 6 the taller one.
    code = np.array([5, 2, 0, 3, 3, 3, 1])
    found = hardware.exchange_sides(code)
    assert SPACE.decode(found)["rows"].tolist() == [20, 14]
    assert SPACE.decode(found)["cols"].tolist() == [6, 12]
    assert (found[:, 2:] == code[2:]).all()
    assert len(hardware.exchange_sides(np.zeros(7, np.int64))) == 0  # 4 x 4 has no smaller side
    neighbours = {tuple(row) for row in SPACE.neighbours(code).tolist()}
    assert {tuple(row) for row in found.tolist()} <= neighbours


def test_exchanges_stay_among_the_levels_of_a_restricted_space():
    # Rows 14 to 20 and columns 6 and 8: of the two exchanges only 20 x 6 is left.
    small = SPACE.restrict({"rows": (14, 16, 20), "cols": (6, 8)})
    found = small.moves(np.array([1, 1, 0, 3, 3, 3, 1]))
    assert found[:, :2].tolist() == [[2, 0]]
