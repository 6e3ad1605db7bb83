"""ZigZag's cost model: its table, a measured row of other hardware, and a case counted by hand."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from archgym.errors import UnknownNameError, UsageError
from archgym.simulators.accelerator.zigzag import cost
from archgym.simulators.accelerator.zigzag_description import (
    FREE,
    RD_TO_HIGH,
    WR_FROM_HIGH,
    I,
    Memory,
    O,
    Port,
    W,
    ZigzagCost,
    ZigzagHardware,
    ZigzagLayer,
    ZigzagMapping,
    footprint,
)
from archgym.simulators.accelerator.zigzag_latency import Transfer, covered, stall
from archgym.simulators.accelerator.zigzag_loops import common_levels, to_loops
from archgym.simulators.accelerator.zigzag_tables import read_hardware, read_layer, read_mapping, reproduce_zigzag
from archgym.validation import compare, read_table

DATA = Path(__file__).parents[2] / "data" / "accelerator"
N, G, K, C, P, Q, R, S = range(8)

Case = tuple[ZigzagLayer, ZigzagHardware, ZigzagMapping]


@pytest.fixture(scope="module")
def table() -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    return read_table(DATA / "zigzag_fixed_mapping.csv.gz"), read_table(DATA / "zigzag_hardware.csv")


@pytest.fixture(scope="module")
def cases(table: tuple[list[dict[str, str]], list[dict[str, str]]]) -> list[Case]:
    known = read_hardware(table[1])
    return [(read_layer(row), known[row["hw_id"]], read_mapping(row, known[row["hw_id"]])) for row in table[0]]


@pytest.fixture(scope="module")
def results(cases: list[Case]) -> list[ZigzagCost]:
    return [cost(*case) for case in cases]


def test_every_number_of_the_reference_table_is_reproduced(
    table: tuple[list[dict[str, str]], list[dict[str, str]]],
) -> None:
    columns, tolerance = reproduce_zigzag(*table)
    assert len(table[0]) == 1405
    assert len(columns) == 11 + 3 * 2 + 13 * 12  # of the layer, at the multiplier, and 13 (tensor, memory) pairs
    for name, (theirs, ours) in columns.items():
        assert compare(ours, theirs, tolerance.get(name, 0.0)).passed, name
        assert np.array_equal(theirs, ours), name  # as printed: no tolerance was needed
    assert {"W.dram.rd_to_low.words", "O.acc_O.wr_from_high.elems", "I.glb.utilisation"} <= set(columns)


# Measured with zigzag-dse 3.9.1: two fan-outs that inputs slide over (their words and elements then differ by more than
# rounding), dilation, ports of odd width, a memory over its capacity.
MORE_HARDWARE = """\
hw_id array_d1 array_d2 mac_energy_pj memory size_bits read_energy_pj_per_word write_energy_pj_per_word operands \
  served_dimensions ports
deep 8 4 0.2 rf_I 128 5.6517 8.4775 I1 - read:64:I1.tl;write:16:I1.fh
deep 8 4 0.2 rf_W 256 311.2798 466.9196 I2 - read:64:I2.tl;write:8:I2.fh
deep 8 4 0.2 rf_O 8 576.0568 576.0568 O - read:8:O.tl/O.th;write:20:O.fh/O.fl
deep 8 4 0.2 loc_IW 8192 532.0137 798.0206 I1+I2 D1 read:16:I1.tl/I2.tl;write:32:I1.fh/I2.fh
deep 8 4 0.2 loc_O 2048 283.0842 424.6264 O D1 read_write:32:O.fh/O.tl/O.fl/O.th
deep 8 4 0.2 glb 524288 499.4769 749.2153 I1+I2+O D1+D2 read:100:I1.tl/I2.tl/O.tl/O.th;write:50:I1.fh/I2.fh/O.fh/O.fl
deep 8 4 0.2 dram 100000000000 242.4956 363.7435 I1+I2+O D1+D2 \
  read_write:32:I1.fh/I1.tl/I2.fh/I2.tl/O.fh/O.tl/O.fl/O.th
"""
MEASURED = """hw_id=deep N=1 G=2 K=12 C=3 P=14 Q=12 R=1 S=3 stride=1 dilation=3 spatial=D1=FX:3,OX:2;D2=OX:3
temporal_W=G:2,OX:2|OY:7|K:3|OY:2,C:3,K:4 levels_W=rf_W|loc_IW|glb|dram
temporal_I=||G:2,OX:2,OY:7,K:3,OY:2|C:3,K:4 levels_I=rf_I|loc_IW|glb|dram
temporal_O=G:2,OX:2||OY:7|K:3,OY:2,C:3,K:4 levels_O=rf_O|loc_O|glb|dram
ideal_cycle=1134 ideal_temporal_cycle=2016.0 spatial_utilization=0.5625 stall_cycles=11353 onload_cycles=138
  offload_cycles=100
latency_total0=13369.0 latency_total2=13607.0 mac_energy_pj=7257.6 mem_energy_pj=184980195.228
  energy_total_pj=184987452.828
words_W=36288/0/0/2592|648/0/0/432|72/0/0/36|60/0/0/0
elems_W=36288/0/0/2592|1296/0/0/1296|432/0/0/216|216/0/0/0
util_W=0.0625|0.01367|0.01309|4.608e-07 tile_elems_W=1|2|6|18|216 energy_W=1.2506e+07|689490|62934.1|14549.7
  double_buffer_W=0|1|1|1|1
words_I=36288/0/0/36288|24192/0/0/12096|4032/0/0/972|1512/0/0/0
elems_I=36288/0/0/36288|48384/0/0/48384|24192/0/0/6048|6048/0/0/0
util_I=0.0625|0.01367|0.01309|4.608e-07 tile_elems_I=1|1|8|504|1512 energy_I=512720|2.25233e+07|2.74213e+06|366653
  double_buffer_I=0|1|1|1|1
words_O=72576/36288/72576/36288|6048/6048/6048/6048|2016/4032/1944/3888|6048/6048/0/0
elems_O=32256/36288/36288/8064|8064/12096/12096/8064|8064/12096/12096/8064|8064/12096/0/0
util_O=8|0.0625|0.01309|4.608e-07 tile_elems_O=1|4|8|168|4032
  energy_O=1.25424e+08|8.56047e+06|7.91171e+06|3.66653e+06 double_buffer_O=0|0|1|1|1
"""


def _more() -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """Rows of mappings (one) and of hardware."""
    header, *lines = MORE_HARDWARE.splitlines()
    texts = [["" if text == "-" else text for text in line.split()] for line in lines]
    hardware = [dict(zip(header.split(), row, strict=True)) for row in texts]
    return [dict(pair.split("=", 1) for pair in MEASURED.split())], hardware


def test_two_fan_outs_dilation_and_odd_ports_as_measured() -> None:
    columns, _ = reproduce_zigzag(*_more())
    assert len(columns) == 11 + 3 * 2 + 12 * 12  # of the layer, the multiplier, and four memories a tensor
    for name, (theirs, ours) in columns.items():
        assert np.array_equal(theirs, ours), name


def test_a_changed_number_is_seen() -> None:
    rows, hardware = _more()
    rows[0]["words_W"] = rows[0]["words_W"].replace("432", "433")
    columns, tolerance = reproduce_zigzag(rows, hardware)
    wrong = [name for name, pair in columns.items() if not compare(*pair[::-1], tolerance.get(name, 0.0)).passed]
    assert wrong == ["W.loc_IW.wr_from_high.words"]


def _by_hand(room: int = 1024) -> Case:
    """K4 C2 P3; K2 on two units with a register file each, below one memory for everything."""
    every = [(W, 0), (W, 3), (I, 0), (I, 3), (O, 0), (O, 1), (O, 2), (O, 3)]
    registers = Memory("reg", room, 1.0, 2.0, (W, I, O), frozenset(), (Port(16, tuple(every)),))
    main = Memory("main", 10**6, 10.0, 20.0, (W, I, O), frozenset({0}), (Port(32, tuple(every)),))
    hardware = ZigzagHardware("two units", (2,), 0.5, (registers, main))
    layer = ZigzagLayer((1, 1, 4, 2, 3, 1, 1, 1))
    temporal = ((C, 2), (P, 3), (K, 2))
    return layer, hardware, ZigzagMapping((((K, 2),),), temporal, ((1, 3), (1, 3), (1, 3)))


def test_a_case_counted_by_hand() -> None:
    result = cost(*_by_hand())
    # P lies right outside of the weights' tile of 2 and is irrelevant to them: it slides in, so 2 periods of 6 cycles.
    assert result.tiles == ((1, 2, 8), (1, 2, 6), (1, 1, 12))
    assert result.elements == (
        ((24, 0, 0, 8), (8, 0, 0, 0)),  # 24 multiplications; 2 elements x 2 periods x 2 units
        ((24, 0, 0, 24), (12, 0, 0, 0)),  # 2 x 6 periods x 2 units; both units use the same ones
        ((12, 24, 12, 0), (0, 12, 0, 0)),  # 12 of 24 sums start from zero; C is done inside: no partial sum leaves
    )
    assert result.words == (
        ((24, 0, 0, 4), (2, 0, 0, 0)),  # 16 bits to a register file: 1 word; 32 bits out of main for two: 1 word
        ((24, 0, 0, 12), (6, 0, 0, 0)),
        ((24, 24, 12, 0), (0, 6, 0, 0)),  # the first visit's read is not taken off
    )
    assert result.level_pj == ((24 + 4 * 2, 20), (24 + 12 * 2, 60), (24 + 24 * 2 + 12, 6 * 20))
    assert result.mac_pj == 12
    # Per register file's port: four transfers of 1 cycle in each of 12 cycles, 2 for W, 6 for I, 6 for O: 62. All
    # have whole periods, so that only the last ones, 4 + 1 + 1 + 1, find no cycle to wait for them.
    assert result.latency_total0 == 62 - 7
    assert (result.ideal_cycle, result.ideal_temporal_cycle, result.stall_cycles) == (12, 12, 43)
    assert (result.onload_cycles, result.offload_cycles) == (2, 1)  # W then I, 1 cycle each; one output word
    assert result.latency_total2 == 58


def test_room_for_a_second_tile_is_given_in_turn() -> None:
    # A second tile needs, without its outermost relevant loops, 16 bits of W, 8 of I (C2 is on top), 8 of O.
    assert cost(*_by_hand(64)).double_buffered == ((False, True, True),) * 3  # half of it is free: nobody is counted
    # 60: O leaves 60 - 32 - 8 = 20, W 4, too little for I. 52: O leaves 12, too little for W, enough for I.
    assert [room[1] for room in cost(*_by_hand(60)).double_buffered] == [True, False, True]
    assert [room[1] for room in cost(*_by_hand(52)).double_buffered] == [False, True, True]


def _transfer(cycles: int, window: int, period: int, count: int) -> Transfer:
    return Transfer(W, 0, 0, cycles, window, period, count, 0, 1)


def test_stall_of_a_port() -> None:
    assert stall([]) == 0
    assert stall([_transfer(5, 3, 6, 10)]) == 2 * 9  # 2 cycles late, but for the last time
    assert stall([_transfer(2, 6, 6, 10)]) == -4 * 9  # slack
    # Two that need 3 of 6 cycles each fill the port exactly: with whole windows nothing is late (54 - 60 < 0).
    assert stall([_transfer(3, 6, 6, 10)] * 2) == 0
    # In the same 3 cycles only one of them fits, though the port idles in the other half: 54 needed, 30 there.
    assert stall([_transfer(3, 3, 6, 10)] * 2) == 54 - 30
    # One is late by itself, and the other's slack of 2 a period is all needed by what overlaps.
    assert stall([_transfer(5, 3, 6, 10), _transfer(1, 3, 6, 10)]) == 2 * 9 + (27 + 9 - 30)


def test_covered_cycles_equal_a_laid_out_time_line() -> None:
    source = random.Random(3)
    for _ in range(500):
        period, windows = 1, []
        for _ in range(source.randint(1, 5)):
            period *= source.randint(1, 5)
            windows.append((period, source.randint(1, period)))
        source.shuffle(windows)
        line = np.zeros(period, bool)
        for length, window in windows:
            line |= np.arange(period) % length < window
        assert covered(windows) == int(line.sum()), windows


def test_covered_cycles_of_periods_too_long_to_lay_out() -> None:
    # Of the 6e11 cycles after the long window the short ones leave 7 in 10 open.
    assert covered([(10**3, 300), (10**12, 4 * 10**11)]) == 10**12 - 6 * 10**11 * 7 // 10


@pytest.mark.parametrize(
    ("stride", "dilation", "rows", "taps", "expected"),
    [
        (2, 1, 4, 1, 4),  # the gaps of a stride are not held
        (2, 1, 4, 3, 9),  # 0..8
        (1, 2, 1, 3, 5),  # those of a dilation are
        (1, 2, 4, 3, 8),  # 0..7
        (2, 2, 4, 3, 6),  # only even rows are touched
    ],
)
def test_rows_of_an_input_tile(stride: int, dilation: int, rows: int, taps: int, expected: int) -> None:
    layer = ZigzagLayer((1, 1, 1, 1, 8, 1, 5, 1), stride, dilation)
    assert footprint(layer, I, (1, 1, 1, 1, rows, 1, taps, 1)) == expected


def _bound(case: Case, result: ZigzagCost) -> int:
    """max(compute, busiest port): the words of each port of one instance."""
    _, hardware, mapping = case
    busiest = result.ideal_temporal_cycle
    for memory in hardware.memories:
        replicas = [loops for axis, loops in enumerate(mapping.spatial) if axis not in memory.axes]
        instances = int(np.prod([bound for loops in replicas for _, bound in loops] or [1]))
        level = {tensor: hardware.levels(tensor).index(memory) for tensor in memory.tensors}
        for port in memory.ports:
            words = sum(result.words[tensor][level[tensor]][way] for tensor, way in port.serves)
            busiest = max(busiest, words // instances)
    return busiest


def test_stalls_against_the_bandwidth_bound(cases: list[Case], results: list[ZigzagCost]) -> None:
    ratio = np.array([r.latency_total0 / _bound(c, r) for c, r in zip(cases, results, strict=True)])
    # The figures that the module quotes.
    assert ratio.min() == pytest.approx(0.24, abs=0.005)
    assert ratio.max() == pytest.approx(1.25, abs=0.005)
    assert np.median(ratio) == pytest.approx(0.9997, abs=5e-5)
    assert (ratio > 1).sum() == 8
    # Room for second tiles everywhere: a machine that fetches ahead, so never above the bound.
    roomy = np.array([all(all(room[1:]) for room in r.double_buffered) for r in results])
    assert roomy.sum() > 300
    assert (ratio[roomy] <= 1).all()


def test_arrays_of_loops_describe_the_same_tiles(cases: list[Case], results: list[ZigzagCost]) -> None:
    refused = []
    for (layer, hardware, mapping), result in zip(cases, results, strict=True):
        try:
            row, loops, tiles = to_loops(layer, hardware, mapping)
        except UsageError as error:
            refused.append(str(error))
            continue
        assert (row[:8] == layer.sizes).all()
        for level, memories in enumerate(common_levels(hardware)):
            for tensor in (W, I, O):
                memory = next((m for m in memories if tensor in m.tensors), None)
                start = tiles[level, tensor]
                if memory is None:
                    assert start == -1
                    continue
                size = [1] * 8
                for dim, bound, _, _ in loops[start:]:
                    size[dim] *= int(bound)
                index = hardware.levels(tensor).index(memory)
                assert footprint(layer, tensor, size) == result.tiles[tensor][index + 1]
                outside = loops[:start]
                assert (outside[outside[:, 2] > 0][:, 3] > level).all()
                assert (loops[start:][loops[start:, 2] > 0][:, 3] <= level).all()
                if level < len(tiles) - 1:  # each tile is fetched again at every change of a loop that is not free
                    turns = outside[outside[:, 2] == 0]
                    while len(turns) and turns[-1, 0] in FREE[tensor]:
                        turns = turns[:-1]
                    moves = int(np.prod(turns[:, 1]) * np.prod(outside[outside[:, 2] > 0][:, 1]))
                    way = RD_TO_HIGH if tensor == O else WR_FROM_HIGH
                    assert result.elements[tensor][index][way] == result.tiles[tensor][index + 1] * moves
    # In these a register file holds loops that a memory above a fan-out does not.
    assert len(refused) == 243
    assert all("have no place" in message for message in refused)


def test_loops_of_a_small_mapping() -> None:
    row, loops, tiles = to_loops(*_by_hand())
    assert row.tolist() == [1, 1, 4, 2, 3, 1, 1, 1, 1, 1, 1, 1, 0, 0, 3, 1]
    assert loops.tolist() == [[K, 2, 0, 1], [P, 3, 0, 1], [K, 2, 1, 1], [C, 2, 0, 0]]
    assert tiles.tolist() == [[3, 3, 3], [0, 0, 0]]


def test_what_does_not_fit_is_refused(table: tuple[list[dict[str, str]], list[dict[str, str]]]) -> None:
    layer, hardware, mapping = _by_hand()
    with pytest.raises(UsageError, match="multiply to the layer"):
        cost(ZigzagLayer((1, 1, 4, 2, 4, 1, 1, 1)), hardware, mapping)
    with pytest.raises(UsageError, match="cuts of O"):
        cost(layer, hardware, ZigzagMapping(mapping.spatial, mapping.temporal, ((1, 3), (1, 3), (1, 2))))
    with pytest.raises(UsageError, match="fit the array"):
        cost(layer, ZigzagHardware("one unit", (1,), 0.5, hardware.memories), mapping)
    partial = Port(16, ((W, 0), (W, 3), (I, 0), (I, 3), (O, 0), (O, 1), (O, 3)))
    first = Memory("reg", 64, 1.0, 1.0, (W, I, O), frozenset(), (partial,))
    with pytest.raises(UsageError, match="one port for O rd_to_high, got 0"):
        ZigzagHardware("no way up", (2,), 0.5, (first, hardware.memories[1]))
    rows, hardware_rows = table[0][:1], table[1]
    with pytest.raises(UnknownNameError, match="hw99"):
        reproduce_zigzag([{**rows[0], "hw_id": "hw99"}], hardware_rows)
    with pytest.raises(UsageError, match="expected one order of temporal loops"):
        reproduce_zigzag([{**rows[0], "temporal_W": "OX:7|OY:7,C:48,K:4|C:20,K:2"}], hardware_rows)
    with pytest.raises(UsageError, match="column 'levels_W': expected rf_W"):
        reproduce_zigzag([{**rows[0], "levels_W": "glb|dram"}], hardware_rows)
    with pytest.raises(UsageError, match="column 'words_W' is missing"):
        reproduce_zigzag([{k: v for k, v in rows[0].items() if k != "words_W"}], hardware_rows)
