"""DRAM standards: the shipped files against their sources, and what the loader refuses."""

import copy
import hashlib
import json
import math
import pickle
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from archgym.errors import UnknownNameError, UsageError
from archgym.simulators.dram.standards import Standard, from_memspec, load_standard, standard_names

FOLDER = files("archgym.simulators.dram").joinpath("standards")
DDR5 = [name for name in standard_names() if name.startswith("DDR5")]


def memspec(file: str) -> dict[str, Any]:
    """The content of a shipped file, free to be changed."""
    data: dict[str, Any] = json.loads(FOLDER.joinpath(file).read_text(encoding="utf-8"))
    return data


def changed(file: str, section: str, **values: Any) -> dict[str, Any]:
    """The content of a shipped file with keys set, or taken away where the value is None."""
    data = memspec(file)
    for key, value in values.items():
        if value is None:
            del data["memspec"][section][key]
        else:
            data["memspec"][section][key] = value
    return data


DDR3_FILE, DDR4_FILE = "MICRON_1Gb_DDR3-1600_8bit_G.json", "JEDEC_4Gb_DDR4-2400_8bit_A.json"
LPDDR4_FILE = "JEDEC_8Gb_LPDDR4-3200_16bit.json"


@pytest.mark.parametrize(
    ("file", "blob"),
    [
        ("HBM2.json", "0f60243d61bf7a24215e97c1e95c9dfaac7642d2"),
        ("JEDEC_4Gb_DDR4-1866_8bit_A.json", "229ef8346d8358d4e100046153588399fcda5718"),
        (DDR4_FILE, "f6ad7862b0cb0f13cd37f3b5d109579697b532e8"),
        (LPDDR4_FILE, "d680c31f1898655c895925e8ed9b42375878d201"),
        (DDR3_FILE, "9d4d682c625803adcf5b04b83699677ba7d635a0"),
    ],
)
def test_dramsys_files_are_unchanged(file: str, blob: str) -> None:
    """Git's ids of the files in the published repository (commit 53f745a)."""
    content = FOLDER.joinpath(file).read_bytes()
    assert hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest() == blob


def test_every_shipped_file_is_a_standard_with_a_source() -> None:
    shipped = {item.name for item in FOLDER.iterdir() if item.name.endswith(".json")}
    sources = FOLDER.joinpath("SOURCES.md").read_text(encoding="utf-8")
    assert len(shipped) == len(standard_names())
    assert all(f"| {file} |" in sources for file in shipped)
    assert all(f"| {name} |" in sources for name in standard_names())
    for name in standard_names():
        standard = load_standard(name)
        assert standard.name == name
        assert name.startswith(f"{standard.family}-")
        assert standard.source


@pytest.mark.parametrize(
    ("name", "tck_ps", "bytes_per_burst", "capacity_gib", "peak_gbit"),
    [  # capacity: devices times their density, or HBM2's two pseudo channels of 4 Gb
        ("DDR3-1600", 1250, 64, 1, 102.4),  # 8 x 1 Gb
        ("DDR4-1866", 1072, 64, 4, 119.4),  # 8 x 4 Gb; 1/933 MHz = 1071.8 ps
        ("DDR4-2400", 833, 64, 4, 153.66),  # 1/1200 MHz = 833.3 ps
        ("DDR4-3200", 625, 64, 8, 204.8),  # 8 x 8 Gb
        ("DDR5-3200", 625, 64, 8, 102.4),  # 4 x 16 Gb
        ("DDR5-4800", 417, 64, 8, 153.48),
        ("DDR5-5600", 357, 64, 8, 179.27),
        ("DDR5-6400", 312, 64, 8, 205.13),
        ("LPDDR4-3200", 625, 32, 1, 51.2),  # 1 x 8 Gb
        ("HBM2-2000", 1000, 32, 1, 128.0),
    ],
)
def test_derived_numbers(name: str, tck_ps: int, bytes_per_burst: int, capacity_gib: int, peak_gbit: float) -> None:
    """peak_gbit: for DDR3, LPDDR4, HBM2 and the first two DDR4 what DRAMSys 4 prints as MAX BW."""
    standard = load_standard(name)
    assert standard.tck_ps == tck_ps
    assert standard.bytes_per_burst == bytes_per_burst
    assert standard.capacity == capacity_gib * 2**30
    assert round(8 * standard.peak_bandwidth, 2) == peak_gbit
    assert standard.clock_ns == 1000 / standard.clock_mhz
    assert standard.burst_cycles == {"DDR5": 8, "LPDDR4": 8, "HBM2": 2}.get(standard.family, 4)
    assert standard.banks_per_group == {"DDR3": 8, "LPDDR4": 8}.get(standard.family, 4)


def test_timings_and_currents_keep_their_keys() -> None:
    standard = load_standard("DDR3-1600")
    assert (standard.timing["RCD"], standard.timing["XSDLL"], standard.timing["REFI"]) == (10, 512, 6240)
    assert standard.power is not None
    assert (standard.power["idd5"], standard.power["vdd"]) == (170.0, 1.5)
    assert standard.no_energy == ""
    assert (standard.columns, standard.column_bytes, standard.rows) == (1024, 8, 16384)


def test_energy_and_power_down_where_the_data_allow() -> None:
    have_power = {name for name in standard_names() if load_standard(name).power}
    assert have_power == {"DDR3-1600", "DDR4-1866", "DDR4-2400", "DDR4-3200"}
    for name in standard_names():
        standard = load_standard(name)
        assert (standard.power is None) == bool(standard.no_energy)
    sleepless = {name for name in standard_names() if not load_standard(name).has_power_down}
    assert sleepless == {"DDR4-3200", *DDR5}  # their sources lack some of the timings


@pytest.mark.parametrize(("mode", "rfc", "refi"), [(1, 312, 9360), (2, 192, 4680), (4, 132, 2340)])
def test_ddr4_refresh_mode_selects_length_and_interval(mode: int, rfc: int, refi: int) -> None:
    standard = from_memspec(changed(DDR4_FILE, "memtimingspec", REFM=mode), "f.json")
    assert (standard.timing["RFC"], standard.timing["REFI"]) == (rfc, refi)
    assert not {"REFM", "RFC2", "RFC4"} & set(standard.timing)  # nobody can apply the mode twice


def test_ddr4_refresh_mode_needs_its_length() -> None:
    without = changed(DDR4_FILE, "memtimingspec", RFC2=None, RFC4=None)  # as in DRAMSys's older DDR4 files
    assert from_memspec(without, "f.json").timing["RFC"] == 312
    without["memspec"]["memtimingspec"]["REFM"] = 2
    with pytest.raises(UsageError, match=r"f\.json: REFM: expected one of 1 \(2 needs RFC2.*got 2"):
        from_memspec(without, "f.json")


# Resolved sets printed by Ramulator 2.1 for DDR4_8Gb_x8 / DDR4_3200AA and DDR5_16Gb_x8 / DDR5_4800BN.
RAMULATOR = {
    "DDR4-3200": "RL 22 RCD 22 RP 22 RAS 52 RC 74 WR 24 RTP 12 WL 16 CCD_S 4 CCD_L 8 WTR_S 4 WTR_L 12 RTRS 2 "
    "RRD_S 4 RRD_L 8 FAW 34 RFC 576 REFI 12480",
    "DDR5-4800": "RL 36 RCD 36 RP 36 RAS 77 RC 113 WR 72 RTP 18 WL 34 PPD 2 CCD_S 8 CCD_L 12 CCD_S_WR 8 CCD_L_WR 48 "
    "WTR_S 6 WTR_L 24 RTRS 2 RRD_S 8 RRD_L 12 FAW 48 RFC 710 REFI 9375",
}


@pytest.mark.parametrize("name", list(RAMULATOR))
def test_presets_equal_their_source(name: str) -> None:
    words = RAMULATOR[name].split()
    want = dict(zip(words[::2], map(int, words[1::2]), strict=True))
    timing = load_standard(name).timing
    assert {key: timing[key] for key in want} == want


@pytest.mark.parametrize("name", DDR5)
def test_ddr5_is_never_faster_than_the_data_sheet(name: str) -> None:
    """Least cycles and ns of Micron's DDR5 data sheet as gem5 quotes them; cycles as JESD79-5 rounds (0.3 % off)."""
    least = {
        "CCD_S": (8, 0), "CCD_L": (8, 5), "RRD_S": (8, 0), "RRD_L": (8, 5), "WTR_S": (4, 2.5), "WTR_L": (16, 10),
        "RTP": (12, 7.5), "WR": (0, 30), "RAS": (0, 32), "FAW": (32, 10), "PPD": (2, 0), "RFC": (0, 295),
        "RFCSB": (0, 130), "XP": (8, 7.5), "XS": (0, 295),
    }  # fmt: skip
    standard = load_standard(name)
    timing = standard.timing
    for key, (cycles, ns) in least.items():
        assert timing[key] >= max(cycles, math.ceil(0.997 * ns * standard.clock_mhz / 1000)), key
    assert timing["RC"] == timing["RAS"] + timing["RP"]
    assert timing["WL"] == timing["RL"] - 2
    assert timing["RRD_S"] <= timing["RRD_L"]
    assert timing["REFI"] * standard.clock_ns == pytest.approx(3900, rel=0.002)
    assert timing["REFISB"] * standard.clock_ns == pytest.approx(3900 / 2 / 4, rel=0.001)  # fine granularity, 4 banks
    assert (standard.width * standard.devices, standard.bank_groups) == (32, 8)


def test_memspec_from_a_file_is_named_after_it(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    data = changed(DDR3_FILE, "memarchitecturespec", nbrOfRanks=2, nbrOfChannels=None, nbrOfDevicesOnDIMM=None)
    path.write_text(json.dumps(data), encoding="utf-8")
    standard = load_standard(path)
    assert (standard.name, standard.memory_id) == ("mine", "MICRON_1Gb_DDR3-1600_8bit_G")
    assert (standard.ranks, standard.channels, standard.devices) == (2, 1, 1)
    assert standard.capacity == 2 * 2**27  # two ranks of one 1 Gb device
    assert from_memspec(data, "x").name == "MICRON_1Gb_DDR3-1600_8bit_G"


@pytest.mark.parametrize(
    ("file", "section", "values", "message"),
    [
        (DDR4_FILE, "memtimingspec", {"TRCD": 16}, r"unknown key in f\.json: memtimingspec: 'TRCD'; did you mean RCD"),
        (DDR3_FILE, "memtimingspec", {"CCD_L": 5}, "unknown key .* 'CCD_L'; did you mean CCD"),
        (DDR3_FILE, "memarchitecturespec", {"nbrOfBankGroups": 4}, "unknown key .* 'nbrOfBankGroups'"),
        (LPDDR4_FILE, "memarchitecturespec", {"nbrOfDevicesOnDIMM": 4}, "unknown key .* 'nbrOfDevicesOnDIMM'"),
        (DDR3_FILE, "mempowerspec", {"idd4": 1.0}, "unknown key .* 'idd4'; did you mean idd4w or idd4r"),
        (DDR4_FILE, "memtimingspec", {"RCD": None, "RP": None}, "memtimingspec: expected the keys RCD, RP, got none"),
        (DDR4_FILE, "mempowerspec", {"vdd2": None}, "mempowerspec: expected the keys vdd2"),
        (DDR3_FILE, "memarchitecturespec", {"nbrOfRows": None}, "memarchitecturespec: expected the keys nbrOfRows"),
        (DDR3_FILE, "memtimingspec", {"RCD": -1}, "RCD: expected an integer from 0 to .* got -1"),
        (DDR3_FILE, "memtimingspec", {"RCD": 10.0}, "RCD: expected an integer from 0 to .* got 10.0"),
        (DDR3_FILE, "memtimingspec", {"RCD": True}, "RCD: expected an integer from 0 to .* got True"),
        (DDR3_FILE, "memtimingspec", {"clkMhz": 0}, "clkMhz: expected a number above 0"),
        (DDR3_FILE, "mempowerspec", {"idd0": "70"}, "idd0: expected a number above 0"),
        (DDR3_FILE, "mempowerspec", {"idd0": math.nan}, "idd0: expected a number above 0"),
        (DDR3_FILE, "memarchitecturespec", {"nbrOfRows": 49152}, "rows: expected a power of two, got 49152"),
        (
            DDR3_FILE,
            "memarchitecturespec",
            {"width": 4, "nbrOfDevicesOnDIMM": 1},
            r"width \* devices: expected 8 bits or more, got 4",
        ),
        (DDR4_FILE, "memarchitecturespec", {"nbrOfBankGroups": 32}, "bank_groups: expected a divisor of 16, got 32"),
        (DDR3_FILE, "memtimingspec", {"REFI": 88}, "REFI: expected more than RFC=88"),
        (LPDDR4_FILE, "memtimingspec", {"REFIPB": 224}, "REFIPB: expected more than RFCPB=224"),
        (LPDDR4_FILE, "memtimingspec", {"REFI": None, "REFIAB": 6246, "CCDMW": 32}, r"older format \(CCDMW, REFIAB\)"),
        (DDR3_FILE, "memtimingspec", {"clkMhz": None, "tCK": 1.25e-9}, r"DRAMSys 4 \(clkMhz, cycles\), .*DRAMSys 5"),
    ],
)
def test_wrong_content_is_refused_by_name(file: str, section: str, values: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        from_memspec(changed(file, section, **values), "f.json")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("family", ["WIDEIO_SDR", "DDR2", "LPDDR3", 4, None])
def test_other_families_are_refused_by_name(family: object) -> None:
    data = memspec(DDR3_FILE)
    data["memspec"]["memoryType"] = family
    with pytest.raises(UsageError, match=rf"expected one of DDR3, DDR4, DDR5, LPDDR4, HBM2, got {family!r}"):
        from_memspec(data, "f.json")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], r"f\.json: expected an object of keys, got \[\]"),
        ({}, "expected the keys memspec"),
        ({"CONGEN": {}}, "unknown key .* 'CONGEN'"),
        ({"memspec": 3}, "memspec: expected an object of keys, got 3"),
        ({"memspec": {"memoryType": "DDR3"}}, "expected the keys memarchitecturespec, memoryId, memtimingspec"),
    ],
)
def test_other_json_is_refused(data: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        from_memspec(data, "f.json")


def test_without_currents_there_is_a_reason() -> None:
    data = memspec(DDR3_FILE)
    del data["memspec"]["mempowerspec"]
    standard = from_memspec(data, "f.json")
    assert standard.power is None
    assert standard.no_energy == "the memspec has no mempowerspec"


def test_names_and_files_that_do_not_exist(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="unknown DRAM standard 'DDR4-2401'; did you mean DDR4-2400"):
        load_standard("DDR4-2401")
    with pytest.raises(UsageError, match=r"none\.json: expected a readable file"):
        load_standard(tmp_path / "none.json")
    broken = tmp_path / "broken.json"
    broken.write_text('{\n "memspec": {"memoryId": "x",}}', encoding="utf-8")
    with pytest.raises(UsageError, match=r"broken\.json:2:\d+: expected JSON"):
        load_standard(broken)
    broken.write_bytes(b"\xff{}")
    with pytest.raises(UsageError, match=r"broken\.json: expected JSON"):
        load_standard(broken)


def test_a_standard_is_a_value() -> None:
    """It crosses processes, is equal to its copy, and checks again what `replace` changes."""
    standard = load_standard("HBM2-2000")
    twin: Standard = pickle.loads(pickle.dumps(standard))
    assert twin == copy.copy(standard) == standard
    assert hash(twin) == hash(standard)
    assert replace(standard, ranks=1).capacity == 2**29
    with pytest.raises(UsageError, match="'HBM2-2000': ranks: expected a power of two, got 3"):
        replace(standard, ranks=3)
    with pytest.raises(UnknownNameError, match="unknown DRAM family 'HBM3'; did you mean HBM2"):
        replace(standard, family="HBM3")
