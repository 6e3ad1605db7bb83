"""Nest analysis against a step-by-step execution, against the brute-force table, and against counts by hand."""

from pathlib import Path

import enumerator
import numpy as np
import pandas as pd
import pytest
from enumerator import DRAINS, FILLS, FIRST, READS, TILE, UPDATES, C, G, I, K, N, O, P, Q, R, S, W
from test_accelerator_enumerator import ALONE, COLUMNS, SHARED, layer, table_case

from archgym.simulators.accelerator import nest

DATA = Path(__file__).parents[2] / "data" / "accelerator"
SETS = {"exact": nest.EXACT, "bbox": nest.BOX, "zigzag": nest.STRIDE_GAPS_ONLY}
# The model's policy -> the oracle's policy, and whether returned sums go to all members of a group.
POLICIES = {nest.DELTA: ("delta", False), nest.REFILL: ("refill", False), nest.TO_ALL: ("delta", True)}
RULES = [(sets, policy) for sets in SETS for policy in POLICIES]


def shares(share):
    """Hardware of which only the share flags (L, 3) matter."""
    hw_i = np.zeros((len(share), nest.HW_INTS), np.int64)
    hw_i[:, nest.SHARE : nest.SHARE + 3] = share
    return hw_i


def count(row, loops, tiles, share, sets="exact", policy=nest.DELTA):
    loops = np.array(loops, np.int64).reshape(-1, 4)
    return nest.count(np.array(row, np.int64), loops, np.array(tiles, np.int64), shares(share), SETS[sets], policy)


def check_random_cases(seed, cases, most=600):
    """Every case under one rule, in turn; a failure shows all arguments."""
    rng = np.random.default_rng(seed)
    for number in range(cases):
        case = enumerator.random_case(rng, most)
        sets, policy = RULES[number % len(RULES)]
        name, to_all = POLICIES[policy]
        expected = enumerator.count(*case, sets, name, to_all)
        assert count(*case, sets, policy).tolist() == expected.tolist(), (sets, policy, *map(np.ndarray.tolist, case))


def test_equals_the_execution_of_random_nests():
    check_random_cases(seed=1, cases=360)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10, 22))
def test_equals_the_execution_of_many_random_nests(seed):
    check_random_cases(seed, cases=540)


@pytest.mark.slow
def test_equals_the_execution_of_larger_random_nests():
    check_random_cases(seed=5, cases=1800, most=1500)


def test_reproduces_the_whole_brute_force_table():
    table = pd.read_csv(DATA / "bruteforce_nest.csv.gz")
    assert len(table) == 960
    for _, row in table.iterrows():
        case = table_case(row)
        policy = {"delta": nest.DELTA, "refill": nest.REFILL}[row.policy]
        found = {id(share): count(*case, share, row.set_mode, policy) for share in (SHARED, ALONE)}
        counted = {name: int(found[id(share)][tuple(at)]) for name, (share, *at) in COLUMNS.items()}
        assert counted == {name: int(row[name]) for name in COLUMNS}, row.case_id


def test_halos_of_a_convolution_by_hand():
    # 3x3 windows over 6x6 outputs: input 8x8. The buffer works on 2x3 outputs: 3 row tiles outside 2 column tiles.
    loops = [(P, 3, 0, 1), (Q, 2, 0, 1), (P, 2, 0, 0), (Q, 3, 0, 0), (R, 3, 0, 0), (S, 3, 0, 0)]
    got = count(layer(P=6, Q=6, R=3, S=3), loops, [[2] * 3, [0] * 3], ALONE[:2])
    # A tile is 4 x 5 pixels. Order: (row tile, column tile) = 00 01 10 11 20 21.
    # 0 -> 1 within a row tile moves 3 columns: 3 of 5 columns are new, 4 x 3 = 12 pixels; this happens 3 times.
    # 01 -> 10: rows move 2 down (2 of 4 stay), columns 3 back (2 of 5 stay): 20 - 2 x 2 = 16 new; 2 times.
    assert got[0, I, FILLS] == 20 + 3 * 12 + 2 * 16
    assert got[0, I, TILE] == 20
    assert got[0, I, READS] == 36 * 9  # one a MAC
    assert got[0, W].tolist() == [9, 36 * 9, 0, 0, 9, 0]  # fetched once, stays
    assert got[0, O].tolist() == [0, 36 * 8, 36 * 9, 36, 6, 0]  # the first of 9 additions reads nothing
    assert got[1, I, TILE] == 64
    refilled = count(layer(P=6, Q=6, R=3, S=3), loops, [[2] * 3, [0] * 3], ALONE[:2], policy=nest.REFILL)
    assert refilled[0, I, FILLS] == 6 * 20


def test_padding_by_hand():
    # 3 taps, padding 1, 5 outputs, 5 input rows; one output at a time, all taps: rows {0,1} {0,1,2} .. {3,4}.
    row = [1, 1, 1, 1, 5, 1, 3, 1, 1, 1, 1, 1, 1, 0, 5, 1]
    got = count(row, [(P, 5, 0, 1), (R, 3, 0, 0)], [[1] * 3, [0] * 3], ALONE[:2])
    # New rows: 2, then one each for outputs 1, 2, 3 (rows 2, 3, 4), none for output 4, whose third row is padding.
    assert got[0, I].tolist() == [2 + 1 + 1 + 1 + 0, 15 - 2, 0, 0, 3, 0]
    assert got[1, I].tolist() == [0, 5, 0, 0, 5, 2]
    assert got[0, W, READS] == got[0, O, UPDATES] == 15  # MACs with padding read their weight and add
    # The other way around: one tap outside. Tap 0 meets rows 0..3, tap 1 rows 0..4, tap 2 rows 1..4.
    got = count(row, [(R, 3, 0, 1), (P, 5, 0, 0)], [[1] * 3, [0] * 3], ALONE[:2])
    assert got[0, I, FILLS] == 4 + 1 + 0
    assert got[0, O, [FILLS, READS, UPDATES, DRAINS]].tolist() == [0, 10, 15, 5]  # all outputs stay


def test_a_diagonal_step_changes_nothing_by_hand():
    # p outside r, one row at a time: (p, r) = 00 01 10 11 meets rows 0 1 1 2. The step 01 -> 10 keeps its row: a rule
    # that multiplies the bounds outside the innermost relevant loop would say 4 in both policies.
    loops = [(P, 2, 0, 1), (R, 2, 0, 1)]
    for policy in (nest.DELTA, nest.REFILL):
        got = count(layer(P=2, R=2), loops, [[2] * 3, [0] * 3], ALONE[:2], policy=policy)
        assert got[0, I].tolist() == [3, 4, 0, 0, 1, 0]
        assert got[1, I, READS] == 3
    # With K inside, the row stays through k, and the step that resets k as well still keeps it.
    got = count(layer(P=2, R=2, K=2), [*loops, (K, 2, 0, 1)], [[3] * 3, [0] * 3], ALONE[:2])
    assert got[0, I, FILLS] == 3


def test_imperfect_factors_by_hand():
    # 7 output channels over 3 PEs: 3 steps, in the last of which only PE 0 has one (k = 3 t + PE): 9 slots, 7 words.
    loops = [(K, 3, 0, 1), (P, 2, 0, 1), (K, 3, 1, 1)]
    for share, reads in ((ALONE, 6 * 3), (SHARED, 6)):
        got = count(layer(K=7, P=2), loops, [[3] * 3, [0] * 3], share[:2])
        # Weights: 7 words, each stays in its PE through p.
        assert got[0, W].tolist() == [7, 14, 0, 0, 1, 0]
        assert got[1, W].tolist() == [0, 7, 0, 0, 7, 3]
        # Inputs: p alternates 3 times, 6 visits in each of 3 PEs, idle or not; 14 MACs read.
        assert got[0, I, [FILLS, READS]].tolist() == [6 * 3, 14]
        assert got[1, I, READS] == reads
        # Outputs: 14 words, each added to once and drained once; in the last step 1 word comes.
        assert got[0, O].tolist() == [0, 0, 14, 14, 1, 0]
        assert got[1, O].tolist() == [0, 0, 14, 0, 14, 1]


def test_no_loops_is_one_multiplication():
    got = count(layer(), [], [[0] * 3, [0] * 3], ALONE[:2])
    assert got[0].tolist() == [[1, 1, 0, 0, 1, 0], [1, 1, 0, 0, 1, 0], [0, 0, 1, 1, 1, 0]]
    assert got[1].tolist() == [[0, 1, 0, 0, 1, 1], [0, 1, 0, 0, 1, 1], [0, 0, 1, 0, 1, 1]]


def test_as_many_loops_as_are_allowed():
    # 61 loops of bound 2 in all dimensions but rows and columns of I, and bound-1 loops up to the limit.
    loops = [((N, G, K, C)[i % 4], 2, 0, 1) for i in range(60)]
    loops += [(K, 1, 0, 1)] * (nest.MAX_LOOPS - len(loops))
    got = count(layer(N=2**15, G=2**15, K=2**15, C=2**15), loops, [[nest.MAX_LOOPS] * 3, [0] * 3], ALONE[:2])
    assert got[0, :, READS].tolist() == [2**60, 2**60, 2**60 - 2**45]
    assert got[0, W, FILLS] == 2**60  # c, the innermost loop, is relevant, and all 15 loops over n are outside
    assert got[0, O, DRAINS] == 2**60 // 2  # the innermost c stays


@pytest.mark.parametrize("power", [40, 61, 62])
def test_counts_are_exact_up_to_the_largest_integer(power):
    # A GEMM of 2**power multiplications with one word of each tensor on chip: every count is a plain product.
    m, k = power // 3, power // 3
    n = power - m - k
    row = layer(P=2**m, K=2**n, C=2**k)
    loops = [(K, 2**n, 0, 1), (C, 2**k, 0, 1), (P, 2**m, 0, 1)]
    got = count(row, loops, [[3] * 3, [0] * 3], ALONE[:2])
    macs = 2**power
    assert got[0, W].tolist() == [2 ** (n + k), macs, 0, 0, 1, 0]
    assert got[0, I].tolist() == [macs, macs, 0, 0, 1, 0]
    assert got[0, O].tolist() == [macs - 2 ** (n + m), macs - 2 ** (n + m), macs, macs, 1, 0]


def test_a_batch_counts_every_mapping_alone():
    rng = np.random.default_rng(3)
    row = np.array(layer(P=4, Q=4, R=3, S=3, K=6, C=4, pad=1), np.int64)
    base = [
        (K, 3, 0, 1),
        (P, 2, 0, 1),
        (C, 4, 0, 1),
        (Q, 4, 0, 1),
        (P, 2, 0, 0),
        (K, 2, 0, 0),
        (R, 3, 0, 0),
        (S, 3, 0, 0),
    ]
    loops = np.array([[base[at] for at in rng.permutation(8)] for _ in range(20)], np.int64)
    tiles = np.array([[[int(rng.integers(9))] * 3, [0] * 3] for _ in range(20)], np.int64)
    hw_i = shares(ALONE[:2])
    batch = nest.count(row, loops, tiles, hw_i)
    assert batch.shape == (20, 2, 3, nest.N_COUNT)
    for i in range(20):
        assert (batch[i] == nest.count(row, loops[i], tiles[i], hw_i)).all()
    assert len({counts.tobytes() for counts in batch}) > 10
    assert FIRST == nest.FIRST  # the oracle's columns are the model's
