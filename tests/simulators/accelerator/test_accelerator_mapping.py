"""Mappings: what is legal, what survives a round trip, how a nest is written and printed; and merged layer shapes."""

import copy
import dataclasses
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from enumerator import random_case
from hypothesis import given
from hypothesis import strategies as st

from archgym.errors import UnknownNameError, UsageError
from archgym.simulators.accelerator.mapping import Loop, Mapping
from archgym.simulators.accelerator.mapping_text import Block, even, from_mapper_text, from_table_row, uneven
from archgym.simulators.accelerator.shapes import DIMS, layer_row, unique_shapes
from archgym.workload import Layer, Network

DATA = Path(__file__).parents[2] / "data" / "accelerator"
CONV = Layer("conv", K=8, C=3, H=11, W=6, R=3, S=3, stride=(2, 1), padding=(1, 0))  # P = 6, Q = 4
BLOCKS = (Block("DRAM", "P3 K2"), Block("GLB", "C3", x="K4", y="R3", bypass="W"), Block("RF", "P2 Q4 S3"))
EVEN = even(BLOCKS)
UNEVEN = uneven(
    ["RF", "GLB", "DRAM"],
    "K2 C3 P2@X:GLB Q3 R3",
    {"W": {"RF": 4, "DRAM": 0}, "I": {"RF": 3, "GLB": 1, "DRAM": 0}, "O": {"RF": 3, "GLB": 0, "DRAM": 0}},
)
UNEVEN_LAYER = Layer("small", K=2, C=3, H=4, W=3, R=3)  # P = 2, Q = 3


def seeds():
    return st.integers(0, 2**32 - 1).map(np.random.default_rng)


def row_of(table_row):
    """A layer row of a reference table: no padding, as large as the windows reach."""
    stride, dilation = int(table_row["stride"]), int(table_row.get("dilation", 1))
    sizes = [int(table_row.get(dim, 1)) for dim in DIMS]
    extent = [(sizes[4 + x] - 1) * stride + (sizes[6 + x] - 1) * dilation + 1 for x in (0, 1)]
    return np.array([*sizes, stride, stride, dilation, dilation, 0, 0, *extent])


# Shapes


def test_a_layer_row_is_the_layer_in_columns():
    assert layer_row(CONV).tolist() == [1, 1, 8, 3, 6, 4, 3, 3, 2, 1, 1, 1, 1, 0, 11, 6]
    assert layer_row(CONV).dtype == np.int64


def test_layers_of_one_shape_merge_and_those_of_other_bits_do_not():
    again = dataclasses.replace(CONV, name="again", repeats=3)
    wide = dataclasses.replace(CONV, bits=16)
    shapes = unique_shapes(Network("net", (CONV, UNEVEN_LAYER, again, wide, wide)))
    assert shapes.rows.tolist() == [layer_row(layer).tolist() for layer in (CONV, UNEVEN_LAYER, CONV)]
    assert shapes.repeats.tolist() == [1 + 3, 1, 2]
    assert shapes.row_of.tolist() == [0, 1, 0, 2, 2]


# Building


def test_blocks_become_loops_from_the_outside():
    loops, tiles = EVEN.arrays()
    assert EVEN.level_names == ("RF", "GLB", "DRAM")
    assert [str(loop) for loop in EVEN.loops] == ["P3", "K2", "C3", "K4@X", "R3@Y", "P2", "Q4", "S3"]
    assert loops[:, 3].tolist() == [2, 2, 1, 1, 1, 0, 0, 0]
    assert loops[3].tolist() == [2, 4, 1, 1]
    # The tile of a level begins at its temporal loops: RF behind 5 loops, GLB behind 2; weights bypass GLB.
    assert tiles.tolist() == [[5, 5, 5], [-1, 2, 2], [0, 0, 0]]
    EVEN.check(layer_row(CONV))


def test_an_uneven_nest_has_boundaries_per_tensor():
    assert UNEVEN.arrays()[1].tolist() == [[4, 3, 3], [-1, 1, 0], [0, 0, 0]]
    # A temporal loop belongs to the innermost level that has it in a tile: K2, C3 to GLB (O, I), Q3, R3 to RF.
    assert [loop.level for loop in UNEVEN.loops] == [1, 1, 1, 0, 0]
    assert [loop.kind for loop in UNEVEN.loops] == ["temporal", "temporal", "X", "temporal", "temporal"]
    UNEVEN.check(layer_row(UNEVEN_LAYER))


@pytest.mark.parametrize(("build", "message"), [
    (lambda: Loop("H", 2), "dim: expected one of N G K C P Q R S, got 'H'"),
    (lambda: Loop("K", 0), "bound: expected an integer from 1 to 2147483647, got 0"),
    (lambda: Loop("K", True), "bound: expected an integer from 1 to 2147483647, got True"),
    (lambda: Loop("K", 2, "Z"), "kind: expected one of temporal X Y, got 'Z'"),
    (lambda: Mapping((), (), ()), "levels: expected the names of one level or more, got none"),
    (lambda: Mapping(("A", "A"), (), ((0, 0, 0),) * 2), "levels[1]: expected a name that no other level has, got 'A'"),
    (lambda: Mapping(("A",), ("K2",), ((0, 0, 0),)), "loops[0]: expected a Loop, got 'K2'"),
    (lambda: Mapping(("A",), (Loop("K", 2, level=1),), ((0, 0, 0),)),
     "loops[0].level: expected one of 1 levels, got index 1"),
    (lambda: Mapping(("A",), (), ((0, 0),)), "tiles: expected W, I, O for each of 1 levels, got ((0, 0),)"),
    (lambda: Mapping(("A",), (Loop("K", 2),), ((0, 2, 0),)), "tiles.A.I: expected an integer from -1 to 1, got 2"),
    (lambda: Mapping.from_arrays(np.array([[8, 2, 0, 0]]), np.zeros((1, 3), int)),
     "loops[0]: expected dim 0..7 and kind 0..2, got 8 and 0"),
    (lambda: Mapping.from_arrays(np.array([[0, 0, 0, 0]]), np.zeros((1, 3), int)),
     "loops[0].bound: expected an integer from 1 to 2147483647, got 0"),
    (lambda: even([Block("DRAM", "K2 X3")]), "DRAM.temporal: expected loops such as K2 (in parallel K2@X), got 'X3'"),
    (lambda: even([Block("DRAM", x="K02")]), "DRAM.x: expected loops such as K2 (in parallel K2@X), got 'K02'"),
    (lambda: even([Block("DRAM", y="K2@X")]), "DRAM.y: expected loops such as K2, got K2@X"),
    (lambda: even([Block("DRAM", bypass="WZ")]), "DRAM.bypass: expected letters out of W, I, O, got 'WZ'"),
    (lambda: uneven(["DRAM"], "K2@X", {}), "unknown level 'None'; known: DRAM"),
    (lambda: uneven(["DRAM"], "K2", {"A": {"DRAM": 0}}), "unknown tensor 'A'; known: I, O, W"),
    (lambda: uneven(["DRAM"], "K2", {"W": {"DRAN": 0}}), "unknown level 'DRAN'; did you mean DRAM?"),
])  # fmt: skip
def test_what_is_no_mapping_is_refused_by_field(build, message):
    with pytest.raises(UsageError) as caught:
        build()
    assert str(caught.value) == message


# Legality


def moved(mapping, name, v, start):
    """The mapping with another boundary for one level and tensor."""
    tiles = [list(row) for row in mapping.tiles]
    tiles[mapping.level_names.index(name)]["WIO".index(v)] = start
    return dataclasses.replace(mapping, tiles=tuple(map(tuple, tiles)))


@pytest.mark.parametrize(("mapping", "message"), [
    (even([Block("DRAM", "K2 K3 P6 Q4 C3 R3 S3")]), "K: expected loop bounds that multiply to at least 8, got 6"),
    (moved(EVEN, "DRAM", "O", 1), "tiles.DRAM.O: expected 0, the whole tensor in the outermost level, got 1"),
    (moved(EVEN, "DRAM", "I", -1), "tiles.DRAM.I: expected 0, the whole tensor in the outermost level, got bypass"),
    (moved(EVEN, "GLB", "I", 6), "tiles.GLB.I: expected at most 5, where the tile of RF begins, got 6"),
    # K4@X (loop 3) shares GLB's tile out to the register files: inside GLB's tile, outside of RF's.
    (moved(EVEN, "RF", "W", 3), "loops[3] (K4@X): expected a loop outside of the tile of W in RF (from loop 3 on), "
     "because its fan-out lies below GLB"),
    (moved(EVEN, "GLB", "O", 4), "loops[3] (K4@X): expected a loop inside the tile of O in GLB (from loop 4 on), "
     "because its fan-out lies below GLB"),
])  # fmt: skip
def test_illegal_nests_are_refused_by_name(mapping, message):
    with pytest.raises(UsageError) as caught:
        mapping.check(layer_row(CONV))
    assert str(caught.value) == message


def test_factors_may_be_larger_than_needed():
    even([Block("DRAM", "K3 K3 P4 P2 Q5 C2 C2 R3 S3")]).check(layer_row(CONV))


@given(seeds())
def test_random_cases_are_legal_until_a_spatial_loop_changes_sides(rng):
    case = random_case(rng)
    mapping = Mapping.from_arrays(case.loops, case.tiles)
    mapping.check(case.layer)
    for index, loop in enumerate(mapping.loops):
        # One level further out its fan-out lies above the level's tiles, which contain the loop.
        kept = max(case.tiles[loop.level]) >= 0
        if loop.kind != "temporal" and loop.level + 1 < len(case.tiles) and kept:
            loops = list(mapping.loops)
            loops[index] = dataclasses.replace(loop, level=loop.level + 1)
            with pytest.raises(UsageError, match=rf"loops\[{index}\] .*: expected a loop outside of the tile"):
                dataclasses.replace(mapping, loops=tuple(loops)).check(case.layer)


# Round trips


@given(seeds())
def test_arrays_and_json_lose_nothing(rng):
    case = random_case(rng)
    mapping = Mapping.from_arrays(case.loops, case.tiles, ["RF", "GLB", "L2", "DRAM"][-len(case.tiles) :])
    loops, tiles = mapping.arrays()
    assert (loops.dtype, loops.shape, tiles.dtype) == (np.int64, (len(case.loops), 4), np.int64)
    assert np.array_equal(loops, case.loops)
    assert np.array_equal(tiles, case.tiles)
    again = Mapping.from_dict(json.loads(json.dumps(mapping.to_dict())))
    assert again == mapping
    assert hash(again) == hash(mapping)


@pytest.mark.parametrize("mapping", [EVEN, UNEVEN, even([Block("DRAM")])], ids=["even", "uneven", "no loops"])
def test_files_lose_nothing_and_have_a_line_a_loop(mapping, tmp_path):
    mapping.save(tmp_path / "mapping.json")
    assert Mapping.load(tmp_path / "mapping.json") == mapping
    text = (tmp_path / "mapping.json").read_text()
    assert sum('"dim"' in line for line in text.splitlines()) == len(mapping.loops)
    assert json.loads(text) == mapping.to_dict()


@pytest.mark.parametrize(("path", "value", "message"), [
    (("loops", 3, "dim"), "X", "loops[3].dim: expected one of N G K C P Q R S, got 'X'"),
    (("loops", 3, "bound"), "4", "loops[3].bound: expected an integer from 1 to 2147483647, got '4'"),
    (("loops", 3, "bound"), 0.5, "loops[3].bound: expected an integer from 1 to 2147483647, got 0.5"),
    (("loops", 3, "kind"), "Z", "loops[3].kind: expected one of temporal X Y, got 'Z'"),
    (("loops", 3, "level"), "GLBB", "loops[3].level: unknown level 'GLBB'; did you mean GLB?"),
    (("loops", 3, "extra"), 1, "loops[3]: unknown field 'extra'; known: bound, dim, kind, level"),
    (("loops", 3), "K4", "loops[3]: expected an object with dim, bound, kind, level, got 'K4'"),
    (("loops",), {}, "loops: expected a list, got {}"),
    (("levels",), "RF", "levels: expected a list, got 'RF'"),
    (("levels", 1), "RF", "levels[1]: expected a name that no other level has, got 'RF'"),
    (("levels", 1), ["GLB"], "levels[1]: expected a name that no other level has, got ['GLB']"),
    (("tiles", "GLB", "I"), 9, "tiles.GLB.I: expected an integer from 0 to 8 or null (bypassed), got 9"),
    (("tiles", "GLB", "I"), -1, "tiles.GLB.I: expected an integer from 0 to 8 or null (bypassed), got -1"),
    (("tiles", "GLB", "I"), True, "tiles.GLB.I: expected an integer from 0 to 8 or null (bypassed), got True"),
    (("tiles", "GLB"), [0, 0, 0], "tiles.GLB: expected an object with W, I, O, got [0, 0, 0]"),
    (("tiles", "L3"), {}, "tiles: unknown field 'L3'; known: DRAM, GLB, RF"),
    (("name",), "mine", "mapping: unknown field 'name'; known: levels, loops, tiles"),
])  # fmt: skip
def test_a_damaged_file_is_refused_with_the_path_of_the_field(path, value, message, tmp_path):
    data = copy.deepcopy(EVEN.to_dict())
    part = data
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = value
    file = tmp_path / "mapping.json"
    file.write_text(json.dumps(data))
    with pytest.raises(UsageError) as caught:
        Mapping.load(file)
    assert str(caught.value) == f"{file}: {message}"


def test_a_missing_field_and_other_files_are_refused(tmp_path):
    file = tmp_path / "mapping.json"
    for text, message in (
        ("{", ":1:2: expected JSON, got: Expecting property name enclosed in double quotes"),
        ("[]", ": mapping: expected an object with levels, loops, tiles, got []"),
        ('{"levels": ["A"], "loops": []}', ": mapping: expected the field tiles, got levels, loops"),
        (None, ": expected a readable file, got: No such file or directory"),
    ):
        file.unlink(missing_ok=True) if text is None else file.write_text(text)
        with pytest.raises(UsageError) as caught:
            Mapping.load(file)
        assert str(caught.value) == f"{file}{message}"
    with pytest.raises(UsageError, match=r"nowhere.*: expected a writable file, got: No such file or directory"):
        EVEN.save(tmp_path / "nowhere" / "mapping.json")


# Notations of the reference tables


def test_the_brute_force_tables_mappings_are_legal_and_whole():
    table = pd.read_csv(DATA / "bruteforce_nest.csv.gz")
    for _, row in table.iloc[::16].iterrows():
        mapping = from_table_row(row)
        mapping.check(row_of(row))
        parallel = [loop.bound for loop in mapping.loops if loop.kind == "X"]
        assert np.prod([loop.bound for loop in mapping.loops]) == row.macs  # perfect factors
        assert np.prod(parallel) == row.pes


def test_a_table_row_by_hand():
    row = {"dram_temporal": float("nan"), "glb_temporal": "C2 K2", "glb_spatial": "P2 C3", "rf_temporal": "P3"}
    mapping = from_table_row(row)
    assert mapping == even([Block("DRAM"), Block("GLB", "C2 K2", x="P2 C3"), Block("RF", "P3")])
    assert mapping.tiles == ((4, 4, 4), (0, 0, 0), (0, 0, 0))
    with pytest.raises(UsageError, match=r"expected the columns dram_temporal, .*, got no rf_temporal"):
        from_table_row({key: row[key] for key in row if key != "rf_temporal"})


def test_the_mappers_spads_are_one_level_with_three_boundaries():
    text = "DRAM: Q7|GlobalBuffer: K4 K3@Y C3@X|InputRegFile: S2|WeightRegFile: C12 R3|PsumRegFile: K2"
    mapping = from_mapper_text(text)
    # Loops:     0: Q7 | 1: K4, 2: K3, 3: C3 | 4: S2 | 5: C12, 6: R3 | 7: K2
    assert mapping.level_names == ("PE", "GlobalBuffer", "DRAM")
    assert mapping.tiles == ((5, 4, 7), (-1, 1, 1), (0, 0, 0))
    assert [loop.level for loop in mapping.loops] == [2, 1, 1, 1, 0, 0, 0, 0]
    assert [loop.kind for loop in mapping.loops[2:5]] == ["Y", "X", "temporal"]
    layer = Layer("conv", K=24, C=36, H=3, W=8, R=3, S=2)
    mapping.check(layer_row(layer))
    # Parallel loops written first mean the same: their factors are the inner ones.
    assert from_mapper_text(text.replace("K4 K3@Y C3@X", "K3@Y C3@X K4")) == mapping


def test_the_mappers_table_fits_its_spads():
    # The tool has checked capacity: psum, wt and ifm words of a PE hold our tiles of level 0.
    for _, row in pd.read_csv(DATA / "timeloop_mapper.csv.gz").iterrows():
        mapping, layer = from_mapper_text(row.mapping), row_of(row)
        mapping.check(layer)
        assert np.prod([loop.bound for loop in mapping.loops if loop.kind == "temporal"]) <= row.cycles
        span = {
            (v, dim): np.prod([loop.bound for loop in mapping.loops[start:] if loop.dim == dim])
            for v, start in zip("WIO", mapping.tiles[0], strict=True)
            for dim in DIMS
        }
        assert np.prod([span["W", dim] for dim in "KCRS"]) <= row.wt
        assert np.prod([span["O", dim] for dim in "NKPQ"]) <= row.psum


@pytest.mark.parametrize(("text", "message"), [
    ("DRAM: |GlobalBuffer: ", "expected the levels DRAM, .* in this order, got DRAM, GlobalBuffer"),
    ("DRAM: |GlobalBuffer: |WeightRegFile: |InputRegFile: |PsumRegFile: ", "in this order, got DRAM, GlobalBuffer, W"),
    ("DRAM: |GlobalBuffer: |InputRegFile: |WeightRegFile: K2@X|PsumRegFile: ",
     r"WeightRegFile: expected temporal loops \(the fan-out is below GlobalBuffer\), got 'K2@X'"),
    ("DRAM: k2|GlobalBuffer: |InputRegFile: |WeightRegFile: |PsumRegFile: ", "DRAM: expected loops such as K2 .*'k2'"),
])  # fmt: skip
def test_other_texts_are_refused(text, message):
    with pytest.raises(UsageError, match=message):
        from_mapper_text(text)


# Printing


def test_an_even_nest_reads_like_code():
    # Tiles of GLB: I of C3 P2 R3 Q4 S3: 2 outputs of stride 2 under 3 taps touch 5 rows (one less at the padded
    # edge), 6 columns; O of K4 P2 Q4. Of RF: one tap in R, so 2 rows. W: K8 C3 R3 S3 = 216; 1 word x S3 in RF.
    assert EVEN.pretty(layer_row(CONV)) == "\n".join((
        "DRAM: W 216, I 198, O 192",
        "for p in 0..3",
        "  for k in 0..2",
        "    GLB: I 90, O 32",
        "    for c in 0..3",
        "      parallel-for k in 0..4 (X)",
        "        parallel-for r in 0..3 (Y)",
        "          RF: W 3, I 12, O 8",
        "          for p in 0..2",
        "            for q in 0..4",
        "              for s in 0..3",
        "                mac (5184)",  # 8 * 3 * 6 * 4 * 3 * 3
    ))  # fmt: skip


def test_boundaries_of_single_tensors_are_marked_where_they_are():
    assert UNEVEN.pretty(layer_row(UNEVEN_LAYER)).splitlines() == [
        "DRAM: W 18, I 36, O 12",
        "(GLB: O 12)",  # K2 P2 Q3
        "for k in 0..2",
        "  (GLB: I 36)",  # C3, 4 rows, 3 columns
        "  for c in 0..3",
        "    parallel-for p in 0..2 (X)",
        "      (RF: I 9, O 3)",
        "      for q in 0..3",
        "        (RF: W 3)",
        "        for r in 0..3",
        "          mac (108)",
    ]


def test_without_a_layer_there_are_names_only_and_loops_of_one_are_left_out():
    mapping = even([Block("DRAM", "K2 C1"), Block("L1", bypass="WIO"), Block("RF", "P1", bypass="W")])
    assert mapping.pretty() == "DRAM: W, I, O\nfor k in 0..2\n  RF: I, O\n  mac\nL1 holds nothing"


def test_a_padded_nest_says_so_and_clips_its_tiles():
    # K = 5 in tiles of 4 (two of them: 8 iterations): the largest tile has 4, the tensor 5 words.
    mapping = even([Block("DRAM", "K2"), Block("RF", "K4")])
    assert mapping.pretty(layer_row(Layer.gemm("gemm", M=1, N=5, K=1))).splitlines() == [
        "DRAM: W 5, I 1, O 5",
        "for k in 0..2",
        "  RF: W 4, I 1, O 4",
        "  for k in 0..4",
        "    mac (5 of 8 iterations)",
    ]


def test_known_names_are_suggested_by_the_right_exception():
    with pytest.raises(UnknownNameError):
        uneven(["DRAM"], "K2@X:DRAN", {})
