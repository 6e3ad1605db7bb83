"""The oracle of the nest analysis itself: against reference tables, and against counts worked out by hand."""

from pathlib import Path

import enumerator
import numpy as np
import pandas as pd
import pytest
from enumerator import DRAINS, FILLS, FIRST, READS, TILE, UPDATES, C, G, I, K, N, O, P, Q, R, S, W, count

DATA = Path(__file__).parents[2] / "data" / "accelerator"
BLOCKS = (("dram_temporal", 0, 2), ("glb_temporal", 0, 1), ("glb_spatial", 1, 1), ("rf_temporal", 0, 0))
SHARED, ALONE = np.ones((3, 3), int), np.zeros((3, 3), int)
# Column of the brute-force table -> (fan-out shares, level, tensor, count); level 0 rf, 1 glb, 2 dram.
COLUMNS = {
    f"{name}.{column}": (sharing, level, v, what)
    for v, name in ((W, "W"), (I, "I"))
    for column, sharing, level, what in (
        ("glb.fill", SHARED, 1, FILLS), ("dram.read", SHARED, 2, READS), ("rf.fill", SHARED, 0, FILLS),
        ("glb.read_multicast", SHARED, 1, READS), ("glb.read_unicast", ALONE, 1, READS),
        ("rf.read", SHARED, 0, READS),
    )
} | {
    f"O.{column}": (sharing, level, O, what)
    for column, sharing, level, what in (
        ("dram.read", SHARED, 2, READS), ("glb.fill", SHARED, 1, FILLS), ("glb.read", SHARED, 1, READS),
        ("rf.fill", SHARED, 0, FILLS), ("rf.drain", SHARED, 0, DRAINS), ("glb.update_reduced", SHARED, 1, UPDATES),
        ("glb.update_nored", ALONE, 1, UPDATES), ("dram.update", SHARED, 2, UPDATES),
        ("glb.drain", SHARED, 1, DRAINS), ("rf.update", SHARED, 0, UPDATES),
    )
} | {
    f"{name}.{column}": (SHARED, level, v, TILE)
    for v, name in enumerate("WIO")
    for level, column in enumerate(("tile_rf", "tile_glb", "tensor"))
}  # fmt: skip


def table_case(row):
    """Layer, loops and tiles of a row of the reference tables: DRAM, global buffer, fan-out, register file."""
    loops, starts = [], []
    for column, kind, level in BLOCKS:
        starts.append(len(loops))
        if isinstance(row[column], str):
            loops += [("NGKCPQRS".index(text[0]), int(text[1:]), kind, level) for text in row[column].split()]
    sizes = [int(row.get(dim, 1)) for dim in "NGKCPQRS"]
    stride, dilation = int(row["stride"]), int(row.get("dilation", 1))
    extent = [(sizes[P + x] - 1) * stride + (sizes[R + x] - 1) * dilation + 1 for x in (0, 1)]
    layer = [*sizes, stride, stride, dilation, dilation, 0, 0, *extent]
    return layer, loops, [[starts[3]] * 3, [starts[1]] * 3, [0] * 3]


def check_brute_force(table):
    for _, row in table.iterrows():
        case = table_case(row)
        found = {id(share): count(*case, share, row.set_mode, row.policy) for share in (SHARED, ALONE)}
        counted = {name: int(found[id(share)][at]) for name, (share, *at) in COLUMNS.items() for at in [tuple(at)]}
        assert counted == {name: int(row[name]) for name in COLUMNS}, row.case_id


def test_reproduces_the_brute_force_table():
    # 17 is prime to the 4 conventions that follow each other, so all of them come up.
    table = pd.read_csv(DATA / "bruteforce_nest.csv.gz").iloc[::17]
    assert len(table.groupby(["set_mode", "policy"])) == 4
    check_brute_force(table)


@pytest.mark.slow
def test_reproduces_the_whole_brute_force_table():
    check_brute_force(pd.read_csv(DATA / "bruteforce_nest.csv.gz"))


def test_weights_and_outputs_are_timeloops_when_sums_return_to_every_member():
    # Timeloop prints reads, fills, updates per instance. It returns partial sums to all members of a reducing group.
    table = pd.read_csv(DATA / "timeloop_model.csv.gz")
    table = table[table.network == "tiny"].iloc[::5]
    returned = 0
    for _, row in table.iterrows():
        case = table_case(row)
        if np.prod([bound for _, bound, _, _ in case[1]]) > 1000:
            continue
        found = count(*case, SHARED, "bbox", "delta", to_all=True)
        for level, memory in enumerate(("RF", "GLB", "DRAM")):
            for v, name in ((W, "W"), (O, "O")):
                instances = row[f"{memory}.{name}.inst"]
                printed = [row[f"{memory}.{name}.{what}"] * instances for what in ("fills", "reads", "updates")]
                assert found[level, v, [FILLS, READS, UPDATES]].tolist() == printed, (row.case_id, memory, name)
        returned += int((found[0, O] != count(*case, SHARED, "bbox", "delta")[0, O]).any())
    assert returned > 0  # some rows tell the two rules apart


def layer(pad=0, stride=1, dilation=1, **sizes):
    """A layer row; the input is just as high and wide as the windows reach."""
    row = [sizes.get(dim, 1) for dim in "NGKCPQRS"]
    extent = [(row[P + x] - 1) * stride + (row[R + x] - 1) * dilation + 1 - 2 * pad * (x == 0) for x in (0, 1)]
    return [*row, stride, stride, dilation, dilation, pad, 0, *extent]


def test_partial_sums_by_hand():
    # for c in 0..2, for k in 0..2 above a register file of one word: outputs come in the order 0, 1, 0, 1.
    loops = [(C, 2, 0, 1), (K, 2, 0, 1)]
    got = count(layer(K=2, C=2), loops, [[2] * 3, [0] * 3], ALONE[:2])
    assert got[0, O].tolist() == [2, 2, 4, 4, 1, 0]  # the second visits start from the sum, and read it
    assert got[1, O].tolist() == [0, 2, 4, 0, 2, 1]
    assert got[0, W].tolist() == [4, 4, 0, 0, 1, 0]
    assert got[0, I].tolist() == [2, 4, 0, 0, 1, 0]  # input c stays through k


def test_a_member_in_the_padding_starts_from_zero_and_reads_nothing():
    # C = 3 over c = 2 t + s, s over two PEs: the second has no MAC at t = 1, the first continues the running sum.
    loops = [(C, 2, 0, 1), (K, 2, 0, 1), (C, 2, 1, 1)]
    for share, updates in ((SHARED[:2], 4), (ALONE[:2], 8)):
        got = count(layer(K=2, C=3), loops, [[3] * 3, [0] * 3], share)
        # 6 MACs; 2 of them (k = 0, 1 at t = 1 in the first PE) add to a sum. UPDATES - zero starts (6) would be 0.
        assert got[0, O].tolist() == [2, 2, 6, 8, 1, 0]
        assert got[1, O].tolist() == [0, updates - 2, updates, 0, 2, updates // 4]  # the last tile is k = 1
        assert got[0, W, FILLS] == 6
        assert got[1, W, READS] == 6


def test_sums_that_return_to_all_members_are_one_read():
    loops = [(C, 2, 0, 1), (K, 2, 0, 1), (C, 2, 1, 1)]
    got = count(layer(K=2, C=4), loops, [[3] * 3, [0] * 3], SHARED[:2], to_all=True)
    assert got[0, O].tolist() == [4, 4, 8, 8, 1, 0]
    assert got[1, O, READS] == 2


@pytest.mark.parametrize(("policy", "pad", "fills", "reads"), [
    ("delta", 0, 3 + 1 + 1 + 1, 12), ("refill", 0, 4 * 3, 12),
    ("delta", 1, 2 + 1 + 1 + 0, 10), ("refill", 1, 2 + 3 + 3 + 2, 10),  # the rows -1 and 4 are nowhere
])  # fmt: skip
def test_sliding_windows_by_hand(policy, pad, fills, reads):
    got = count(layer(P=4, R=3, pad=pad), [(P, 4, 0, 1), (R, 3, 0, 0)], [[1] * 3, [0] * 3], ALONE[:2], policy=policy)
    assert got[0, I].tolist() == [fills, reads, 0, 0, 3, 0]
    assert got[1, I, FIRST] == 3 - pad
    assert got[0, W, READS] == got[0, O, UPDATES] == 12  # a MAC with padding still multiplies
    assert got[0, O, READS] == 8


def test_shared_diagonals_by_hand():
    # PE (p, r) needs row p + r: rows 0, 1, 1, 2.
    loops = [(P, 2, 1, 1), (R, 2, 2, 1)]
    for share, reads in ((ALONE, 4), (SHARED, 3)):
        assert count(layer(P=2, R=2), loops, [[2] * 3, [0] * 3], share[:2])[1, I, READS] == reads
    # The same in two fan-outs, the inner of which shares: {0, 1} and {1, 2}.
    loops = [(P, 2, 1, 2), (R, 2, 2, 1)]
    for outer, inner, reads in ((0, 0, 4), (0, 1, 4), (1, 0, 4), (1, 1, 3)):
        share = [[0] * 3, [inner] * 3, [outer] * 3]
        got = count(layer(P=2, R=2), loops, [[2] * 3, [-1] * 3, [0] * 3], share)
        assert got[2, I, READS] == reads
        assert got[1].tolist() == np.zeros((3, 6)).tolist()
    # A buffer between them: it holds 2 rows, and so both fetch row 1.
    share[1] = [0] * 3
    got = count(layer(P=2, R=2), loops, [[2] * 3, [1] * 3, [0] * 3], share)
    assert got[1, I].tolist() == [4, 4, 0, 0, 2, 4]
    assert got[2, I, [READS, FIRST]].tolist() == [3, 3]


def test_forwarding_by_hand():
    # PEs p = 0, 1 hold row p + r; when r moves on, the first gets its row from the second.
    loops = [(R, 3, 0, 1), (P, 2, 1, 1)]
    for share, reads in ((1, 2 + 2 + 2), (2, 2 + 1 + 1)):
        got = count(layer(P=2, R=3), loops, [[2] * 3, [0] * 3], SHARED[:2] * share)
        assert got[1, I, [READS, FIRST]].tolist() == [reads, 2]
        assert got[0, I, FILLS] == 6


def test_macs_below_a_level_share_by_hand():
    # Four MACs at one register file: K over X, C over Y.
    loops = [(P, 3, 0, 0), (K, 2, 1, 0), (C, 2, 2, 0)]
    for share, inputs, updates in ((ALONE, 12, 12), (SHARED, 6, 6), (SHARED * 2, 6, 6)):
        got = count(layer(P=3, K=2, C=2), loops, [[0] * 3, [0] * 3], share[:2])
        assert got[0, :, READS].tolist() == [12, inputs, updates - 6]  # first updates of the 6 outputs read nothing
        assert got[0, O, [UPDATES, DRAINS]].tolist() == [updates, 6]


@pytest.mark.parametrize(("sizes", "exact", "box", "zigzag"), [
    ({"P": 2, "stride": 3}, 2, 4, 2),
    ({"R": 2, "dilation": 2}, 2, 3, 3),
    ({"P": 2, "R": 3, "stride": 2}, 5, 5, 5),
])  # fmt: skip
def test_footprints_by_hand(sizes, exact, box, zigzag):
    for sets, words in (("exact", exact), ("bbox", box), ("zigzag", zigzag)):
        loops = [(P, sizes.get("P", 1), 0, 1), (R, sizes.get("R", 1), 0, 1)]
        assert count(layer(**sizes), loops, [[0] * 3, [0] * 3], ALONE[:2], sets)[0, I, TILE] == words


def test_random_cases_cover_what_they_promise():
    rng = np.random.default_rng(0)
    seen = dict.fromkeys(("two fan-outs", "below level 0", "uneven", "bypass", "imperfect", "pad", "4 levels"), 0)
    for _ in range(200):
        case = enumerator.random_case(rng)
        spatial = {int(level) for _, bound, kind, level in case.loops if kind and bound > 1}
        padded = [np.prod(case.loops[case.loops[:, 0] == dim, 1]) for dim in (N, G, K, C, P, Q, R, S)]
        seen["two fan-outs"] += len(spatial) == 2
        seen["below level 0"] += 0 in spatial
        seen["uneven"] += any(len({start for start in row if start >= 0}) > 1 for row in case.tiles.tolist())
        seen["bypass"] += bool((case.tiles < 0).any())
        seen["imperfect"] += padded != case.layer[:8].tolist()
        seen["pad"] += bool(case.layer[12:14].any())
        seen["4 levels"] += len(case.tiles) == 4
    assert min(seen.values()) >= 10, seen
