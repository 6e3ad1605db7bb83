"""Accelerator hardware: the arrays number by number, files and their errors, and the shipped templates."""

import copy
import csv
import json
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archgym.errors import UnknownNameError, UsageError
from archgym.simulators.accelerator.costs import child_areas, mac_cost, store_cost
from archgym.simulators.accelerator.hardware import Hardware, HardwareArrays
from archgym.simulators.accelerator.hardware_file import (
    hardware_from_dict,
    hardware_to_dict,
    load_hardware,
    save_hardware,
    template_names,
)
from archgym.simulators.accelerator.levels import (
    FREE,
    KINDS,
    SHARED,
    WHOLE,
    FanOut,
    Mac,
    MemoryLevel,
    Store,
    bounds,
)
from archgym.simulators.accelerator.shapes import DIMS
from archgym.technology import arithmetic, dram, macros, noc, registers

DATA = Path(__file__).parents[2] / "data" / "accelerator"
N, G, K, C, P, Q, R, S = range(8)

PARTITIONED = MemoryLevel(
    "spads",
    (
        Store("sram", "W", 16, 224),
        Store("regfile", "I", 32, 6),
        Store("register", "O", 24, 1, read_bandwidth=12.0),
    ),
    may_keep="I",
    double_buffered=True,
    temporal_max=bounds(1, K=16, S=WHOLE, C=FREE),
    innermost="SC",
)
BUFFER = MemoryLevel(
    "buffer",
    (Store("smartbuffer-sram", "IO", 64, 4096, banks=8, write_bandwidth=32.0),),
    FanOut(
        14,
        12,
        share=("none", "forward", "reduction"),
        x_max=bounds(1, P=FREE),
        y_max=bounds(1, R=WHOLE, K=4),
        y_min=bounds(1, R=3),
    ),
)
DRAM = MemoryLevel("dram", (Store("dram", "WIO", 64, memory="LPDDR4-3200 x32"),))
MIXED = Hardware("mixed", (PARTITIONED, BUFFER, DRAM), Mac(16, 24), (16, 8, 24), 200.0, 65)


def stated(kind: str, tensors: str, **changes: Any) -> Store:
    """A store whose prices are all stated: nothing is looked up."""
    prices = {"read_pj": 2.0, "write_pj": 3.0, "leakage_mw": 0.5, "area_mm2": 0.25, "read_bandwidth": 16.0}
    return Store(kind, tensors, 32, 8, **(prices | changes))


# --- arrays ------------------------------------------------------------------------------------------------------


def test_integers_of_the_arrays() -> None:
    """Written out by hand from the description: capacities are depth x width, keeps 2 is the mapper's choice."""
    arrays = MIXED.arrays()
    assert arrays.hw_i.tolist() == [
        [224 * 16, 6 * 32, 24, -1, 1, 1, 1, 1, 1, 1, 1, 2, 1, 1, 0, 0],
        [-1, -1, -1, 4096 * 64, 0, 0, 2, 1, 14, 12, 0, 1, 1, 0, 0, 0],
        [-1, -1, -1, -1, 0, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0],
    ]
    assert arrays.bits.tolist() == [16, 8, 24]


def test_constraints_of_the_arrays() -> None:
    arrays = MIXED.arrays()
    assert arrays.temporal_max[0].tolist() == [1, 1, 16, FREE, 1, 1, 1, 0]
    assert (arrays.temporal_max[1:] == FREE).all()
    assert arrays.spatial_max[1].tolist() == [[1, 1, 1, 1, FREE, 1, 1, 1], [1, 1, 4, 1, 1, 1, 0, 1]]
    assert arrays.spatial_min[1].tolist() == [[1] * 8, [1, 1, 1, 1, 1, 1, 3, 1]]
    assert (arrays.spatial_min[[0, 2]] == 1).all()
    assert arrays.order_fixed[0].tolist() == [S, C, -1, -1, -1, -1, -1, -1]
    assert (arrays.order_fixed[1:] == -1).all()


def test_energies_are_an_elements_share_of_an_access() -> None:
    """An 8-bit input takes 8/32 of an access of the 32-bit register file; a 24-bit sum 24/64 of the buffer's."""
    arrays = MIXED.arrays()
    weights, inputs = macros.sram_macro(224, 16, 65), macros.register_file(6, 32, 65)
    sums = registers.register(65)
    assert arrays.hw_f[0, :6] == pytest.approx(
        [
            weights.read_pj,
            inputs.read_pj / 4,
            24 * sums.read_pj,
            weights.write_pj,
            inputs.write_pj / 4,
            24 * sums.write_pj,
        ]
    )
    banked = macros.banked_sram(4096, 64, 8, 65)
    counter = macros.smart_buffer(4096, 64, "sram", 65).read_pj - macros.sram_macro(4096, 64, 65).read_pj
    assert counter > 0
    assert arrays.hw_f[1, :3] == pytest.approx(
        [0, (banked.read_pj + counter) / 8, (banked.read_pj + counter) * 24 / 64]
    )
    memory = dram.memory_system("LPDDR4-3200 x32")
    assert arrays.hw_f[2, :6] == pytest.approx([memory.pj_per_bit * bits for bits in (16, 8, 24, 16, 8, 24)])


def test_bandwidths_are_bits_per_cycle() -> None:
    """One access a cycle unless stated; SRAM has one port, registers two; 12.8 GB/s at 200 MHz are 512 bits a cycle."""
    bandwidths = MIXED.arrays().hw_f[:, 6:12]
    assert bandwidths[0].tolist() == [16, 32, 12, -1, 32, 12]
    assert bandwidths[1, [0, 3]].tolist() == [64, 32]
    assert bandwidths[2, [0, 3]].tolist() == pytest.approx([512, -1])
    free = replace(DRAM, stores=(replace(DRAM.stores[0], read_bandwidth=math.inf),))
    assert replace(MIXED, levels=(PARTITIONED, BUFFER, free)).arrays().hw_f[2, 6] == math.inf


def test_leakage_and_area_count_all_instances() -> None:
    arrays, prices = MIXED.arrays(), MIXED.level_costs()
    assert MIXED.instances == (168, 1, 1)
    assert MIXED.pes == 168
    assert arrays.hw_f[0, 14] == pytest.approx(168e-3 * sum(cost.leakage_mw for cost in prices[0].stores))
    assert arrays.hw_f[0, 15] == pytest.approx(168 * sum(cost.area_mm2 for cost in prices[0].stores))
    assert arrays.hw_f[2, 14] == pytest.approx(dram.memory_system("LPDDR4-3200 x32").background_w)
    assert arrays.hw_f[2, 15] == 0
    mac = arithmetic.multiply_accumulate(16, 24, 65)
    expected = [mac.energy_pj, 168 * mac.leakage_mw * 1e-3, 168 * mac.area_um2 * 1e-6, 200e6]
    assert arrays.mac.tolist() == pytest.approx(expected)
    assert sum(MIXED.area_mm2().values()) == pytest.approx(arrays.hw_f[:, 15].sum() + arrays.mac[2])


def test_wires_span_everything_below_the_fan_out() -> None:
    """Below the buffer: three scratchpads and a multiplier each; below the DRAM: 168 of these and the buffer."""
    arrays, prices = MIXED.arrays(), MIXED.level_costs()
    multiplier = arithmetic.multiply_accumulate(16, 24, 65).area_um2 * 1e-6
    element = prices[0].area_mm2 + multiplier
    chip = prices[1].area_mm2 + 168 * element
    areas = child_areas(MIXED.levels, tuple(price.area_mm2 for price in prices), multiplier)
    assert areas == pytest.approx([multiplier, element, chip])
    for level, (x, y, area) in enumerate([(1, 1, multiplier), (14, 12, element), (1, 1, chip)]):
        wires = noc.array_wires(x, y, area, 65)
        assert arrays.hw_f[level, 12:14].tolist() == pytest.approx([wires.far_pj_per_bit, wires.near_pj_per_bit])


def test_arrays_are_fresh_and_fit_the_kernels() -> None:
    """Contiguous, one type each, and writing into them changes no later ones (limits are cached inside)."""
    first = MIXED.arrays()
    for name in HardwareArrays.__slots__:
        array = getattr(first, name)
        assert array.flags.c_contiguous
        assert array.flags.writeable
        assert array.dtype == (np.float64 if name in ("hw_f", "mac") else np.int64)
        array[...] = 7
    assert MIXED.arrays().temporal_max[1].tolist() == [FREE] * 8
    assert MIXED.arrays().hw_i[0, 0] == 224 * 16
    assert [getattr(first, name).shape for name in HardwareArrays.__slots__] == [
        (3, 16), (3, 20), (4,), (3,), (3, 8), (3, 2, 8), (3, 2, 8), (3, 8),
    ]  # fmt: skip


def test_stated_prices_replace_every_look_up() -> None:
    """With everything stated even a width without data (48 bits) has its prices; one price stated leaves the rest."""
    chip = Hardware(
        "stated",
        (
            MemoryLevel("only", (stated("dram", "WIO"),), FanOut(4, 2, far_pj_per_bit=0.0, near_pj_per_bit=0.0)),
        ),
        Mac(48, 64, energy_pj=1.5, leakage_mw=2.0, area_mm2=0.01),
    )  # fmt: skip
    arrays = chip.arrays()
    assert arrays.hw_f[0, :6].tolist() == [0.5, 0.5, 2.0, 0.75, 0.75, 3.0]
    assert arrays.hw_f[0, 12:16].tolist() == [0, 0, 0.5e-3, 0.25]
    assert arrays.mac.tolist() == pytest.approx([1.5, 16e-3, 0.08, 1e9])
    part = replace(BUFFER.stores[0], read_pj=9.0)
    mine, looked_up = store_cost(part, MIXED.technology), store_cost(BUFFER.stores[0], MIXED.technology)
    assert (mine.read_pj, mine.write_pj, mine.area_mm2) == (9.0, looked_up.write_pj, looked_up.area_mm2)


def test_a_dram_without_a_name_has_an_energy_and_a_bandwidth() -> None:
    """8 pJ a bit both ways, no background, no area."""
    own = MemoryLevel("dram", (Store("dram", "WIO", 1, read_pj=8.0, read_bandwidth=64.0),))
    row = replace(MIXED, levels=(own,)).arrays().hw_f[0]
    assert row[:6].tolist() == [128, 64, 192, 128, 64, 192]
    assert row[[6, 9, 14, 15]].tolist() == [64, -1, 0, 0]


def test_a_pipeline_adds_its_flip_flops() -> None:
    bare, piped = (mac_cost(Mac(8, 32, bits), MIXED.technology) for bits in (0, 40))
    bit = registers.register(65)
    assert piped.energy_pj - bare.energy_pj == pytest.approx(40 * (bit.read_pj + bit.write_pj))
    assert piped.area_um2 - bare.area_um2 == pytest.approx(40 * bit.area_um2)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "dram"])
def test_more_elements_cost_area_of_their_own_level_alone(kind: str) -> None:
    """Twice the columns: twice the area of what is in them, the same buffer, longer wires to the first child."""
    spad = MemoryLevel("spad", (Store(kind, "WIO", 16, 64),))
    narrow = replace(MIXED, levels=(spad, replace(BUFFER, fanout=FanOut(4, 4)), DRAM))
    wide = replace(narrow, levels=(spad, replace(BUFFER, fanout=FanOut(8, 4)), DRAM))
    before, after = narrow.area_mm2(), wide.area_mm2()
    assert after == pytest.approx(before | {"spad": 2 * before["spad"], "mac": 2 * before["mac"]})
    assert wide.arrays().hw_f[1, 12] > narrow.arrays().hw_f[1, 12]


# --- names, sizes, text ------------------------------------------------------------------------------------------


def test_levels_by_name_and_capacity() -> None:
    assert MIXED.index("dram") == 2
    assert MIXED.level("spads") is MIXED.levels[0]
    assert [MIXED.capacity("buffer", tensor) for tensor in "WIO"] == [0, 4096 * 64, 4096 * 64]
    assert MIXED.capacity("spads", "O") == 24
    assert MIXED.capacity("dram", "W") == -1
    with pytest.raises(UnknownNameError, match="did you mean buffer"):
        MIXED.level("bufer")
    with pytest.raises(UnknownNameError, match="unknown tensor 'X'"):
        MIXED.capacity("dram", "X")


def test_the_description_adds_up() -> None:
    """Outermost first; the printed total is the sum of the parts; what a mapper may drop is in lower case."""
    text = MIXED.describe()
    assert [line.split()[0] for line in text.splitlines()[2:5]] == ["dram", "buffer", "spads"]
    assert "WiO" in text
    assert f"total: {sum(MIXED.area_mm2().values()):.4g} mm2" in text


# --- files -------------------------------------------------------------------------------------------------------

TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=8)
RATE = st.none() | st.floats(1e-3, 1e12) | st.just(math.inf)
PRICE = st.none() | st.floats(0, 1e6)
LIMITS = st.lists(st.sampled_from([1, 2, 16, FREE, WHOLE]), min_size=8, max_size=8).map(tuple)


@st.composite
def stores(draw: st.DrawFn, tensors: str, kinds: tuple[str, ...]) -> Store:
    kind = draw(st.sampled_from(kinds))
    is_banked = kind in ("sram", "smartbuffer-sram")
    return Store(
        kind,
        tensors,
        draw(st.integers(1, 512)),
        draw(st.integers(8, 4096)),
        draw(st.integers(1, 8)) if is_banked else 1,
        draw(RATE),
        draw(RATE | st.just(SHARED)),
        "DDR4-2400 x64" if kind == "dram" else "",
        *(draw(PRICE) for _ in range(4)),
    )


@st.composite
def fan_outs(draw: st.DrawFn) -> FanOut:
    words = st.sampled_from(["none", "multicast", "forward"])
    return FanOut(
        draw(st.integers(4, 300)),
        draw(st.integers(4, 300)),
        (draw(words), draw(words), draw(st.sampled_from(["none", "reduction"]))),
        draw(LIMITS.filter(lambda limits: limits[K] != 1)),
        draw(LIMITS),
        bounds(1, K=draw(st.integers(1, 2))),
        bounds(1),
        draw(PRICE),
        draw(PRICE),
    )


@st.composite
def hardwares(draw: st.DrawFn) -> Hardware:
    levels = []
    depth = draw(st.integers(1, 3))
    for i in range(depth):
        is_outermost = i == depth - 1
        held = "WIO" if is_outermost else draw(st.sampled_from(["W", "I", "O", "WI", "IO", "WIO"]))
        groups = list(held) if draw(st.booleans()) else [held]
        levels.append(
            MemoryLevel(
                f"{i}{draw(TEXT)}",
                tuple(draw(stores(group, KINDS if is_outermost else KINDS[1:])) for group in groups),
                draw(fan_outs()),
                "" if is_outermost else held[: draw(st.integers(0, len(held)))],
                draw(st.booleans()),
                draw(LIMITS),
                "".join(draw(st.lists(st.sampled_from(DIMS), unique=True, max_size=8))),
            )
        )
    return Hardware(
        "h" + draw(TEXT),
        tuple(levels),
        Mac(draw(st.integers(8, 32)), 32, draw(st.integers(0, 64)), *(draw(PRICE) for _ in range(3))),
        (draw(st.integers(1, 64)), 8, 32),
        draw(st.floats(1, 5000)),
        draw(st.sampled_from([65, 45, 16])),
        draw(st.sampled_from(["itrs-lop", "itrs-hp"])),
        draw(st.floats(0, 10)),
        draw(TEXT),
    )


@settings(max_examples=60, deadline=None)
@given(hardware=hardwares())
def test_dicts_and_files_give_back_the_same_hardware(
    hardware: Hardware, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Equality covers every field, floats bit for bit; the data is plain JSON."""
    data = hardware_to_dict(hardware)
    assert hardware_from_dict(json.loads(json.dumps(data, allow_nan=False))) == hardware
    folder = tmp_path_factory.mktemp("hardware", numbered=True)
    for name in ("h.toml", "h.json"):
        save_hardware(hardware, folder / name)
        assert load_hardware(folder / name) == hardware


def test_numpy_values_become_plain_ones() -> None:
    """Designs arrive as columns of an array; what they build is written like any other."""
    store = Store("sram", "WIO", np.int64(64), np.int64(128), np.int64(2), np.float64(32))
    chip = replace(MIXED, levels=(MemoryLevel("a", (store,), FanOut(np.int64(3))), DRAM))
    assert json.loads(json.dumps(hardware_to_dict(chip)))["levels"][0]["stores"][0]["depth"] == 128
    assert (chip.levels[0].fanout.x, bounds(np.int64(2))[0]) == (3, 2)


def change(path: str, value: Any) -> dict[str, Any]:
    """The description of MIXED with one field set, or taken away (value ...)."""
    data = copy.deepcopy(hardware_to_dict(MIXED))
    *steps, last = [int(step) if step.isdecimal() else step for step in re.findall(r"\w+", path)]
    place: Any = data
    for step in steps:
        place = place[step]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return data


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("levels[1].fanout.x", "a", "~: expected an integer >= 1, got 'a'"),
        ("levels[1].fanout.x", 0, "~: expected an integer >= 1, got 0"),
        ("levels[1].fanout.x", True, "~: expected an integer >= 1, got True"),
        ("levels[1].fanout.x", 1099511627776, "~: expected an integer <= 2147483648, got 1099511627776"),
        ("levels[1].fanout.shar", {}, "levels[1].fanout: unknown field 'shar'; did you mean share?"),
        ("levels[1].fanout.share.Z", "none", "levels[1].fanout.share: unknown field 'Z'; known: I, O, W"),
        ("levels[1].fanout.share.O", "multicast", "~: unknown value 'multicast'; known: none, reduction"),
        ("levels[1].fanout.y_max.R", "some", '~: expected an integer >= 1, "free" or "whole", got \'some\''),
        ("levels[1].fanout.y_min.R", "free", "~: expected an integer >= 1, got 'free'"),
        ("levels[1].fanout.y_min.K", 5, "~: expected at most y_max.K = 4, got 5"),
        ("levels[1].fanout.y_min", {"R": 13}, "~: expected factors that fit into 12 children, got 13"),
        (
            "levels[0].temporal_max.X",
            1,
            "levels[0].temporal_max: unknown field 'X'; known: C, G, K, N, P, Q, R, S, others",
        ),
        ("levels[0].innermost", "SS", "~: expected different letters out of NGKCPQRS, got 'SS'"),
        ("levels[0].may_keep", "WX", "~: expected different letters out of IOW, got 'WX'"),
        ("levels[1].may_keep", "W", "~: expected different letters out of IO, got 'W'"),
        ("levels[0].stores[1].kind", "regfil", "~: unknown value 'regfil'; did you mean regfile or register?"),
        (
            "levels[0].stores[1].depth",
            ...,
            "~: expected an integer >= 1 (only dram is unlimited), got none for regfile",
        ),
        ("levels[0].stores[1].width_bits", ..., "~: expected this field, got none"),
        ("levels[0].stores[1].banks", 2, "~: expected 1 for regfile (only SRAM is banked here), got 2"),
        ("levels[1].stores[0].banks", 5000, "~: expected at most the depth 4096, got 5000"),
        (
            "levels[1].stores[0].read_bandwidth",
            "fast",
            "~: expected a number > 0 (bits a cycle) or \"unlimited\", got 'fast'",
        ),
        ("levels[1].stores[0].read_bandwidth", 0, "~: expected a number > 0, got 0"),
        ("levels[1].stores[0].read_pj", -1.0, "~: expected a number >= 0, got -1.0"),
        ("levels[1].stores[0].area_mm2", math.nan, "~: expected a number >= 0, got nan"),
        (
            "levels[2].stores[0].memory",
            "HBM2 1 stak",
            "~: unknown memory system 'HBM2 1 stak'; did you mean HBM2 1 stack or HBM2 4 stacks or HBM2 2 stacks?",
        ),
        (
            "levels[2].stores[0].memory",
            "",
            "~: expected the name of a memory system, or read_pj and read_bandwidth, got neither",
        ),
        (
            "levels[2].stores[0].tensors",
            "WI",
            "levels[2].stores: expected W, I and O, always kept, at the outermost level, got 'WI'",
        ),
        (
            "levels[2].may_keep",
            "W",
            "levels[2].stores: expected W, I and O, always kept, at the outermost level, got 'WIO' with may_keep 'W'",
        ),
        ("levels[2].name", "spads", "~: expected a name of its own, got 'spads' again"),
        ("levels[0].stores", [], "~: expected at least one, got none"),
        (
            "levels[0].stores[0].tensors",
            "WI",
            "levels[0].stores: expected one store for all tensors or one for each (put others on a level of "
            "their own), got WI, I, O",
        ),
        ("levels[0].stores[0].tensors", "I", "levels[0].stores: expected different letters out of WIO, got 'IIO'"),
        ("levels[0]", "dram", "~: expected a table of fields, got 'dram'"),
        ("levels", {}, "~: expected a list of tables, got {}"),
        ("levels", [], "~: expected at least one, got none"),
        ("levels", ..., "~: expected this field, got none"),
        ("mac.bits", 1.5, "~: expected an integer >= 1, got 1.5"),
        ("word_bits", {"W": 8, "I": 8}, "~.O: expected an integer >= 1, got none"),
        ("clock_mhz", "fast", "~: expected a number >= 0, got 'fast'"),
        ("clock_mhz", 0, "~: expected a number from 0.001 to 1e+06, got 0"),
        ("node", 28, "~: expected one of 130, 90, 65, 45, 40, 32, 22, 20, 16, 14, 10, 7 (nm), got 28"),
        ("node", [], "~: expected an integer >= 1, got []"),
        ("sram_device", "itrs-lp", "~: unknown device 'itrs-lp'; did you mean itrs-lop or itrs-hp?"),
        ("name", "", "~: expected a text that is not empty, got ''"),
        ("source", "\ud800", "~: expected a text that UTF-8 can hold, got '\\ud800'"),
        ("clock", 1, "unknown field 'clock'; did you mean clock_mhz?"),
    ],
)
def test_errors_name_the_path_of_the_field(path: str, value: Any, message: str) -> None:
    """ "~" stands for the path of the field that was changed; other messages name the part that holds it."""
    message = message.replace("~", path)
    with pytest.raises(UsageError) as caught:
        hardware_from_dict(change(path, value))
    assert str(caught.value) == message
    with pytest.raises(UsageError) as caught:
        hardware_from_dict(change(path, value), "chip.toml")
    assert str(caught.value) == f"chip.toml: {message}"


def test_parts_without_data_are_named_when_priced() -> None:
    deep = MemoryLevel("deep", (Store("regfile", "W", 8, 65537),))
    with pytest.raises(UsageError, match=r"^levels\[0\]\.stores\[0\]: depth must be 1 to 65536, got 65537$"):
        replace(MIXED, levels=(deep, BUFFER, DRAM)).arrays()
    with pytest.raises(UsageError, match=r"^mac: int_mult is published for 8 to 32 bits, got 4"):
        replace(MIXED, mac=Mac(4)).arrays()


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    """Syntax errors carry line and column; other suffixes and unknown templates say what is known."""
    broken = tmp_path / "a.toml"
    broken.write_text('name = "x"\nlevels = [')
    with pytest.raises(UsageError, match=r"a\.toml: expected TOML, got: .*(line 2|end of document)"):
        load_hardware(broken)
    (tmp_path / "a.json").write_bytes(b'{"name": "\xff"}')
    with pytest.raises(UsageError, match=r"a\.json: expected JSON, got: .*utf-8"):
        load_hardware(tmp_path / "a.json")
    with pytest.raises(UsageError, match=r"b\.toml: expected a readable file"):
        load_hardware(tmp_path / "b.toml")
    with pytest.raises(UsageError, match=r"expected a file ending in \.toml or \.json, got '\.yaml'"):
        load_hardware("eyeriss.yaml")
    with pytest.raises(UnknownNameError, match="unknown hardware template 'eyeris'; did you mean eyeriss"):
        load_hardware("eyeris")
    with pytest.raises(UsageError, match="expected a place to write to"):
        save_hardware(MIXED, tmp_path / "missing" / "a.toml")


def test_a_file_names_itself_in_errors(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(change("levels[1].fanout.x", "a")))
    with pytest.raises(UsageError) as caught:
        load_hardware(path)
    assert str(caught.value) == f"{path}: levels[1].fanout.x: expected an integer >= 1, got 'a'"


# --- templates ---------------------------------------------------------------------------------------------------

Factors = dict[int, int]
Layer = tuple[int, ...]  # N, G, K, C, P, Q, R, S, stride

LAYERS: dict[str, Layer] = {
    "11x11 stride 4": (1, 1, 96, 3, 55, 55, 11, 11, 4),
    "3x3": (1, 1, 64, 64, 56, 56, 3, 3, 1),
    "1x1": (1, 1, 256, 64, 56, 56, 1, 1, 1),
    "16x16 stride 16": (1, 1, 768, 3, 14, 14, 16, 16, 16),
    "depthwise": (1, 96, 1, 1, 112, 112, 3, 3, 1),
    "fully connected": (1, 1, 1000, 4096, 1, 1, 1, 1, 1),
    "batched": (64, 1, 2048, 2048, 1, 1, 1, 1, 1),
}


def tile(
    hardware: Hardware,
    tensor: str,
    level: int,
    temporal: list[Factors],
    spatial: list[tuple[Factors, Factors]],
    stride: int,
) -> int:
    """Elements of the tile of an instance: all loops in the level's block and inside it, the input as a box."""
    size = [1] * 8
    for inner in range(level + 1):
        for factors in (temporal[inner], *spatial[inner]):
            for dim, factor in factors.items():
                size[dim] *= factor
    rows, columns = ((size[a] - 1) * stride + size[b] for a, b in ((P, R), (Q, S)))
    return {
        "W": size[G] * size[K] * size[C] * size[R] * size[S],
        "I": size[N] * size[G] * size[C] * rows * columns,
        "O": size[N] * size[G] * size[K] * size[P] * size[Q],
    }[tensor]


def broken_limits(
    hardware: Hardware, layer: Layer, temporal: list[Factors], spatial: list[tuple[Factors, Factors]]
) -> list[str]:
    """What a mapping (factors by level) breaks: coverage, constraints, fan-outs, capacities."""
    arrays, broken = hardware.arrays(), []
    for dim in range(8):
        total = math.prod(f.get(dim, 1) for fs in (temporal, *zip(*spatial, strict=True)) for f in fs)
        if total < layer[dim]:
            broken.append(f"{DIMS[dim]} covers {total} of {layer[dim]}")
    for l, level in enumerate(hardware.levels):
        broken += [
            f"{level.name}: temporal {DIMS[d]}{f}" for d, f in temporal[l].items() if f > arrays.temporal_max[l, d]
        ]
        for axis in range(2):
            factors = spatial[l][axis]
            broken += [
                f"{level.name}: spatial {DIMS[d]}{f}" for d, f in factors.items() if f > arrays.spatial_max[l, axis, d]
            ]
            if math.prod(factors.values()) > arrays.hw_i[l, 8 + axis]:
                broken.append(f"{level.name}: axis {axis} too short")
        need = {
            t: tile(hardware, t, l, temporal, spatial, layer[8]) * int(b)
            for t, b in zip("WIO", arrays.bits, strict=True)
        }
        copies = 2 if level.double_buffered and l < len(hardware.levels) - 1 else 1
        for store in level.stores:
            bits = copies * sum(need[t] for t in store.tensors)
            if 0 <= store.capacity_bits < bits:
                broken.append(f"{level.name}: {store.tensors} needs {bits} of {store.capacity_bits} bits")
    return broken


def test_the_templates_are_the_announced_ones_and_have_prices_and_sources() -> None:
    assert template_names() == ("eyeriss", "nvdla", "shidiannao", "simba", "small", "tpu")
    for name in template_names():
        chip = load_hardware(name)
        assert chip.name == name
        assert chip.source
        arrays = chip.arrays()
        assert (arrays.hw_f >= -1).all()
        assert not np.isnan(arrays.hw_f).any()
        for level in range(len(chip.levels)):  # whoever is kept costs energy to read and to write
            kept = arrays.hw_i[level, 10:13] > 0
            assert (arrays.hw_f[level, :3][kept] > 0).all()
            assert (arrays.hw_f[level, 3:6][kept] > 0).all()
            assert (arrays.hw_f[level, :6][np.tile(~kept, 2)] == 0).all()


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("name", template_names())
def test_every_template_can_run_every_kind_of_layer(name: str, layer: str) -> None:
    """One multiplier and the smallest tiles: each dimension runs at the outermost level that allows it."""
    chip = load_hardware(name)
    free = chip.arrays().temporal_max == FREE
    temporal: list[Factors] = [{} for _ in chip.levels]
    for dim in range(8):
        outermost = max(l for l in range(len(chip.levels)) if free[l, dim])
        temporal[outermost][dim] = LAYERS[layer][dim]
    assert broken_limits(chip, LAYERS[layer], temporal, [({}, {}) for _ in chip.levels]) == []


FULL: dict[str, tuple[Layer, list[Factors], list[tuple[Factors, Factors]]]] = {
    # 64 channels x 32 kernels at once; stripes of 28 outputs; the whole input and all weights in the buffer.
    "nvdla": (
        LAYERS["3x3"],
        [{}, {Q: 28, R: 3, S: 3}, {K: 2, Q: 2, P: 56}, {}],
        [({}, {}), ({K: 32}, {C: 64}), ({}, {}), ({}, {})],
    ),
    # 8 x 8 outputs of one map; inputs of 8 channels in the buffer.
    "shidiannao": (
        LAYERS["3x3"],
        [{}, {S: 3, R: 3, C: 8, Q: 7, P: 3}, {C: 8, P: 3, K: 64}],
        [({}, {}), ({Q: 8}, {P: 8}), ({}, {})],
    ),
    # 256 x 256 weights stay while a batch of 64 goes by; 2048 kernels gather in the accumulators.
    "tpu": (
        LAYERS["batched"],
        [{}, {N: 64}, {C: 8, K: 8}, {}],
        [({}, {}), ({K: 256}, {C: 256}), ({}, {}), ({}, {})],
    ),
    # 8 lanes x 8 vectors in each of 4 x 4 elements: kernels across, channels down.
    "simba": (
        LAYERS["1x1"],
        [{}, {Q: 14, P: 4, C: 2}, {}, {P: 14, Q: 4, K: 8}],
        [({}, {}), ({K: 8}, {C: 8}), ({K: 4}, {C: 4}), ({}, {})],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FULL)
def test_the_dataflow_of_a_template_can_fill_its_array(name: str) -> None:
    """The mapping that the chip is known for: within all limits, every multiplier busy."""
    layer, temporal, spatial = FULL[name]
    chip = load_hardware(name)
    assert broken_limits(chip, layer, temporal, spatial) == []
    assert math.prod(f for pair in spatial for axis in pair for f in axis.values()) == chip.pes


def test_templates_forbid_other_dataflows() -> None:
    """Weights stay in NVDLA, TPU and Simba (no loop beside them), outputs in ShiDianNao, rows in Eyeriss."""
    one = [1] * 8
    assert [load_hardware(n).arrays().temporal_max[0].tolist() for n in ("nvdla", "tpu", "simba", "shidiannao")] == [
        one
    ] * 4
    eyeriss = load_hardware("eyeriss").arrays()
    assert eyeriss.temporal_max[0].tolist() == [1, 1, FREE, FREE, 1, 1, 1, FREE]
    assert eyeriss.spatial_max[1, 0, R] == 1
    assert eyeriss.spatial_max[1, :, S].tolist() == [1, 1]
    assert load_hardware("shidiannao").arrays().order_fixed[1, :3].tolist() == [S, R, C]
    assert load_hardware("nvdla").arrays().order_fixed[1, :2].tolist() == [Q, P]


def test_figures_of_the_chips() -> None:
    """Published: Eyeriss 168 PEs, 100 KiB; TPU 92 TOPS, 34 GB/s, 64 KiB weight tile in 256 cycles; Simba 4.01 TOPS."""
    eyeriss, tpu, simba = (load_hardware(name) for name in ("eyeriss", "tpu", "simba"))
    assert eyeriss.pes == 168
    assert [eyeriss.capacity("spads", t) // 16 for t in "WIO"] == [224, 12, 24]
    assert eyeriss.capacity("buffer", "I") == 100 * 8192
    assert 2 * tpu.pes * tpu.clock_mhz * 1e6 == pytest.approx(92e12, rel=0.005)
    assert tpu.arrays().hw_f[-1, 6] * tpu.clock_mhz * 1e6 / 8 == pytest.approx(34e9)
    assert tpu.capacity("memory", "I") == 24 * 2**23
    assert tpu.capacity("accumulators", "O") == 4096 * 256 * 32
    assert 65536 * 8 / tpu.arrays().hw_f[tpu.index("fifo"), 6] == 256
    assert 2 * simba.pes * simba.clock_mhz * 1e6 == pytest.approx(4.01e12, rel=0.001)
    assert [simba.capacity("pe", t) / 8192 for t in "WIO"] == [32, 8, 3]
    nvdla = load_hardware("nvdla")
    assert nvdla.capacity("cbuf", "W") == 512 * 8192
    assert nvdla.arrays().hw_i[1, 8:10].tolist() == [32, 64]
    assert [load_hardware("shidiannao").capacity("buffers", t) / 8192 for t in "WIO"] == [128, 64, 64]


def published_mapping(row: dict[str, str]) -> tuple[Layer, list[Factors], list[tuple[Factors, Factors]], int]:
    """A row of the published table as a mapping: (layer, temporal, spatial, active PEs).

    m kernels, n images and e output rows in a pass; a PE holds p kernels of q channels; r and t sets of PEs
    take further channels and kernels. 14 columns hold e output rows, or half of them and the other half below.
    """
    v = {name: int(row[name]) for name in ("H_W", "R_S", "E_F", "C", "M", "U", "m", "n", "e", "p", "q", "r", "t")}
    groups = 2 if row["layer"] in ("conv2", "conv4", "conv5") else 1
    layer = (4, 1, v["M"] // groups, v["C"], v["E_F"], v["E_F"], v["R_S"], v["R_S"], v["U"])
    in_pass = v["p"] * v["t"]
    x, y = ({P: v["e"]}, {R: v["R_S"], C: v["r"], K: v["t"]})
    if v["e"] > 14:
        x, y = {P: -(-v["e"] // 2)}, {P: 2, R: v["R_S"]}
    elif v["e"] * v["t"] <= 14:
        x, y = {P: v["e"], K: v["t"]}, {R: v["R_S"], C: v["r"]}
    spads = {S: v["R_S"], C: v["q"], K: v["p"]}
    buffer = {Q: v["E_F"], K: v["m"] // in_pass, N: v["n"]}
    memory = {
        N: 4 // v["n"], C: -(-v["C"] // (v["q"] * v["r"])), K: -(-layer[K] // v["m"]), P: -(-v["E_F"] // v["e"]),
    }  # fmt: skip
    active = v["R_S"] * v["e"] * v["r"] * v["t"]
    return layer, [spads, buffer, memory], [({}, {}), (x, y), ({}, {})], active


def test_the_published_mapping_of_eyeriss_keeps_all_limits() -> None:
    """Chen et al. 2017, AlexNet: fits the template, gives their KiB of buffer and their active PEs."""
    chip = load_hardware("eyeriss")
    with (DATA / "eyeriss_rs_mapping.csv").open() as file:
        rows = list(csv.DictReader(file))
    with (DATA / "eyeriss_alexnet.csv").open() as file:
        measured = {row["layer"]: int(row["active_pes"]) for row in csv.DictReader(file)}
    assert [row["layer"] for row in rows] == ["conv1", "conv2", "conv3", "conv4", "conv5"]
    for row in rows:
        layer, temporal, spatial, active = published_mapping(row)
        assert broken_limits(chip, layer, temporal, spatial) == [], row["layer"]
        assert active == measured[row["layer"]]
        whole = [temporal[0], temporal[1] | {P: 1}]
        # 27 rows stand in 2 x 14 places: the tile of the mapping has one row more than the 27 that exist
        rows_held = 1 if row["layer"] == "conv2" else 0
        inputs = tile(chip, "I", 1, whole, spatial, layer[8]) - rows_held * 2 * 31
        sums = tile(chip, "O", 1, whole, spatial, layer[8]) - rows_held * 64 * 27
        assert 16 * inputs / 8192 == pytest.approx(float(row["glb_ifmap_kb"]), abs=0.06)
        assert 16 * sums / 8192 == pytest.approx(float(row["glb_psum_kb"]), abs=0.06)
