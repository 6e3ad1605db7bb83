"""Address maps: decoding by hand, the files of DRAMSys, presets, and what is refused."""

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from archgym.errors import UnknownNameError, UsageError
from archgym.simulators.dram.mapping import FIELDS, AddressMapping, load_mapping, preset, preset_names
from archgym.simulators.dram.standards import load_standard, standard_names

CHANNEL, RANK, BANK_GROUP, BANK, ROW, COLUMN = range(6)


def bits(low: int, high: int) -> list[int]:
    return list(range(low, high + 1))


# Files that DRAMSys ships, by name: the content under CONGEN.
CONGEN: dict[str, dict[str, Any]] = {
    "am_ddr3_8x1Gbx8_dimm_p1KB_rbc": {
        "ROW_BIT": bits(16, 29), "BANK_BIT": bits(13, 15), "COLUMN_BIT": bits(3, 12), "BYTE_BIT": bits(0, 2),
    },
    "am_ddr3_8x1Gbx8_dimm_p1KB_brc": {
        "BANK_BIT": bits(27, 29), "ROW_BIT": bits(13, 26), "COLUMN_BIT": bits(3, 12), "BYTE_BIT": bits(0, 2),
    },
    "am_ranktest": {
        "RANK_BIT": bits(30, 31), "BANK_BIT": bits(27, 29), "ROW_BIT": bits(13, 26), "COLUMN_BIT": bits(3, 12),
        "BYTE_BIT": bits(0, 2),
    },
    "am_ddr4_8x4Gbx8_dimm_p1KB_brc": {
        "BANK_BIT": bits(30, 31), "BANKGROUP_BIT": bits(28, 29), "ROW_BIT": bits(13, 27), "COLUMN_BIT": bits(3, 12),
        "BYTE_BIT": bits(0, 2),
    },
    "am_hbm2_8Gb_pc_brc": {
        "RANK_BIT": [29], "BANKGROUP_BIT": bits(27, 28), "BANK_BIT": bits(25, 26), "ROW_BIT": bits(10, 24),
        "COLUMN_BIT": bits(3, 9), "BYTE_BIT": bits(0, 2),
    },
    "am_lpddr4_8Gbx16_brc": {
        "BANK_BIT": bits(27, 29), "ROW_BIT": bits(11, 26), "COLUMN_BIT": bits(1, 10), "BYTE_BIT": [0],
    },
    "am_lpddr4_512Mbx16_robaco": {
        "ROW_BIT": bits(14, 29), "BANK_BIT": bits(11, 13), "COLUMN_BIT": bits(1, 10), "BYTE_BIT": [0],
    },
    "am_lpddr4_512Mbx16_rocoba": {
        "ROW_BIT": bits(14, 29), "COLUMN_BIT": [*bits(1, 4), *bits(8, 13)], "BANK_BIT": bits(5, 7), "BYTE_BIT": [0],
    },
}  # fmt: skip


@pytest.mark.parametrize(
    ("file", "scheme", "name", "ranks"),
    [
        ("am_ddr3_8x1Gbx8_dimm_p1KB_rbc", "row-bank-column", "DDR3-1600", None),
        ("am_ddr3_8x1Gbx8_dimm_p1KB_brc", "bank-row-column", "DDR3-1600", None),
        ("am_ranktest", "bank-row-column", "DDR3-1600", 4),
        ("am_ddr4_8x4Gbx8_dimm_p1KB_brc", "bank-row-column", "DDR4-2400", None),
        ("am_hbm2_8Gb_pc_brc", "bank-row-column", "HBM2-2000", None),
        ("am_lpddr4_8Gbx16_brc", "bank-row-column", "LPDDR4-3200", None),
        ("am_lpddr4_512Mbx16_robaco", "row-bank-column", "LPDDR4-3200", None),
        ("am_lpddr4_512Mbx16_rocoba", "row-column-bank", "LPDDR4-3200", None),
    ],
)
def test_presets_equal_the_files_of_dramsys(file: str, scheme: str, name: str, ranks: int | None) -> None:
    mapping = AddressMapping.from_congen({"CONGEN": CONGEN[file]}, file)
    assert preset(scheme, load_standard(name), ranks=ranks) == mapping
    mapping.matches(load_standard(name), 1, ranks)


def test_decode_by_hand() -> None:
    mapping = preset("row-bank-column", load_standard("DDR3-1600"))
    address = (0b101 << 16) | (3 << 13) | (1000 << 3) | 7  # row, bank, column, byte of the column
    np.testing.assert_array_equal(mapping.decode([address, 0]), [[0, 0, 0, 3, 5, 1000], [0, 0, 0, 0, 0, 0]])

    # am_hbm2_8Gb_pc_brc: rank 29, bank group 28-27, bank 26-25, row 24-10, column 9-3.
    mapping = preset("bank-row-column", load_standard("HBM2-2000"))
    address = (1 << 29) | (2 << 27) | (3 << 25) | (12345 << 10) | (99 << 3)
    np.testing.assert_array_equal(mapping.decode([address]), [[0, 1, 2, 3, 12345, 99]])

    # Bits need not be contiguous or ascending: the first one listed is the least significant.
    mapping = AddressMapping(channel=(4,), rank=(3, 0), column=(5, 1, 2))
    decoded = mapping.decode(np.array([0b011001, 0b100110]))
    np.testing.assert_array_equal(decoded, [[1, 3, 0, 0, 0, 0], [0, 0, 0, 0, 0, 7]])


def test_xor_pairs_apply_in_order() -> None:
    """The second pair reads bit 1 after the first has changed it."""
    mapping = AddressMapping(bank=(0, 1), row=(2,), xor=((1, 2), (0, 1)))
    # row 1, bank 0b00: bit 1 = 0^1 = 1, bit 0 = 0^1 = 1.   row 1, bank 0b10: bit 1 = 1^1 = 0, bit 0 = 0^0 = 0.
    np.testing.assert_array_equal(mapping.decode([0b100, 0b110])[:, [BANK, ROW]], [[3, 1], [0, 1]])
    np.testing.assert_array_equal(mapping.encode(mapping.decode(np.arange(8))), np.arange(8))
    other_order = AddressMapping(bank=(0, 1), row=(2,), xor=((0, 1), (1, 2)))
    assert other_order.decode([0b100])[0, BANK] == 2


def test_addresses_beyond_the_capacity_wrap() -> None:
    standard = load_standard("DDR4-2400")
    for scheme in preset_names():
        mapping = preset(scheme, standard)
        inside = np.array([0, 64, standard.capacity - 1])
        np.testing.assert_array_equal(mapping.decode(inside + 5 * standard.capacity), mapping.decode(inside))


@pytest.mark.parametrize("name", standard_names())
@pytest.mark.parametrize("scheme", preset_names())
def test_every_preset_is_a_bijection_on_the_capacity(scheme: str, name: str) -> None:
    """As many addresses as bytes, encode inverts decode, every coordinate in range; with channels and ranks."""
    standard = load_standard(name)
    rng = np.random.default_rng(1)
    for channels, ranks in itertools.product((1, 4), (None, 2)):
        mapping = preset(scheme, standard, channels=channels, ranks=ranks)
        mapping.matches(standard, channels, ranks)
        size = channels * standard.capacity // standard.ranks * (ranks or standard.ranks)
        assert 1 << mapping.bits == size
        address = np.append(rng.integers(0, size, 500), [0, size - 1])
        decoded = mapping.decode(address)
        assert decoded.dtype == np.int64
        np.testing.assert_array_equal(mapping.encode(decoded), address // standard.column_bytes * standard.column_bytes)
        limits = [channels, ranks or standard.ranks, standard.bank_groups, standard.banks_per_group]
        limits += [standard.rows, standard.columns]
        assert (decoded.max(axis=0) < limits).all()
        assert not decoded[-2].any()  # address 0
        if not mapping.xor:
            np.testing.assert_array_equal(decoded[-1], np.array(limits) - 1)  # the last address
        # A burst stays together: its columns differ in the lowest bits only.
        burst = mapping.decode(np.arange(standard.bytes_per_burst) + 7 * standard.bytes_per_burst)
        assert len(np.unique(burst // [1, 1, 1, 1, 1, standard.burst_length], axis=0)) == 1


def bursts(name: str, scheme: str, n: int, **memory: int) -> npt.NDArray[np.int64]:
    """Coordinates of the first n bursts."""
    standard = load_standard(name)
    return preset(scheme, standard, **memory).decode(np.arange(n) * standard.bytes_per_burst)


def test_row_column_bank_spreads_consecutive_bursts() -> None:
    decoded = bursts("DDR4-2400", "row-column-bank", 2 * 4 * 4 * 2 + 1, channels=2, ranks=2)
    np.testing.assert_array_equal(decoded[:5, CHANNEL], [0, 1, 0, 1, 0])
    np.testing.assert_array_equal(decoded[::2, BANK_GROUP][:5], [0, 1, 2, 3, 0])
    np.testing.assert_array_equal(decoded[::8, BANK][:5], [0, 1, 2, 3, 0])
    np.testing.assert_array_equal(decoded[::32, RANK], [0, 1, 0])
    assert len(np.unique(decoded[:-1, :ROW], axis=0)) == 64  # every bank of every rank and channel once
    assert decoded[-1, COLUMN] == 8  # and only then the next burst of the row
    assert not decoded[:, ROW].any()


def test_row_bank_column_keeps_a_row_together() -> None:
    per_row = 1024 // 8
    decoded = bursts("DDR4-2400", "row-bank-column", 4 * per_row)
    np.testing.assert_array_equal(decoded[:per_row, COLUMN], np.arange(per_row) * 8)
    np.testing.assert_array_equal(decoded[::per_row, BANK_GROUP], [0, 1, 2, 3])  # the next row: the next bank group
    assert not decoded[:, [ROW, BANK]].any()
    # Channels change row by row, above the column.
    two = bursts("DDR4-2400", "row-bank-column", 3 * per_row, channels=2)
    np.testing.assert_array_equal(two[::per_row, CHANNEL], [0, 1, 0])


@pytest.mark.parametrize("name", ["DDR3-1600", "DDR4-2400", "DDR5-4800", "LPDDR4-3200", "HBM2-2000"])
def test_permutation_spreads_conflicting_rows_over_all_banks(name: str) -> None:
    """Rows at a stride of rows x banks hit one bank without the XOR, and with it every bank equally often."""
    standard = load_standard(name)
    stride = standard.banks * standard.columns * standard.column_bytes
    address = np.arange(2 * standard.banks) * stride
    for scheme, banks in (("row-bank-column", 1), ("row-bank-column-xor", standard.banks)):
        decoded = preset(scheme, standard, ranks=1).decode(address)
        np.testing.assert_array_equal(decoded[:, ROW], np.arange(2 * standard.banks))
        seen, counts = np.unique(decoded[:, [BANK_GROUP, BANK]], axis=0, return_counts=True)
        assert len(seen) == banks
        assert len(set(counts.tolist())) == 1
    # Within one row of all banks nothing moves: locality is that of row-bank-column.
    plain = preset("row-bank-column", standard).decode(np.arange(0, stride, standard.bytes_per_burst))
    xor = preset("row-bank-column-xor", standard).decode(np.arange(0, stride, standard.bytes_per_burst))
    np.testing.assert_array_equal(plain, xor)


def test_mop_serves_four_bursts_a_row_then_the_next_bank_group() -> None:
    decoded = bursts("DDR4-2400", "mop", 4 * 16 + 1)
    np.testing.assert_array_equal(decoded[:5, COLUMN], [0, 8, 16, 24, 0])
    np.testing.assert_array_equal(decoded[::4, BANK_GROUP][:5], [0, 1, 2, 3, 0])
    np.testing.assert_array_equal(decoded[::16, BANK], [0, 1, 2, 3, 0])
    assert decoded[-1, COLUMN] == 32  # after all 16 banks the next four bursts of the first
    two = bursts("DDR4-2400", "mop", 5, channels=2)
    np.testing.assert_array_equal(two[:, CHANNEL], [0, 1, 0, 1, 0])
    np.testing.assert_array_equal(two[:, COLUMN], [0, 0, 8, 8, 16])
    # The row's lowest bits permute the banks: row 1 starts in bank group 1.
    standard = load_standard("DDR4-2400")
    row_bytes = standard.banks * standard.columns * standard.column_bytes
    assert preset("mop", standard).decode([row_bytes])[0].tolist() == [0, 0, 1, 0, 1, 0]


def test_congen_files_with_solutions_and_xor(tmp_path: Path) -> None:
    content = CONGEN["am_ddr3_8x1Gbx8_dimm_p1KB_rbc"] | {"XOR": [{"FIRST": 13, "SECOND": 16}]}
    path = tmp_path / "map.json"
    path.write_text(json.dumps({"CONGEN": {"SOLUTION": [{"ID": 1}, {"ID": 0} | content]}}), encoding="utf-8")
    mapping = load_mapping(path)
    assert mapping.xor == ((13, 16),)
    assert mapping.decode([(1 << 16) | (2 << 13)])[0].tolist() == [0, 0, 0, 3, 1, 0]
    with pytest.raises(UsageError, match="SOLUTION: expected one with ID 0"):
        AddressMapping.from_congen({"CONGEN": {"SOLUTION": [{"ID": 1} | content]}}, "map.json")
    with pytest.raises(UsageError, match="expected SOLUTION alone, got SOLUTION, XOR"):
        AddressMapping.from_congen({"CONGEN": {"SOLUTION": [], "XOR": []}}, "map.json")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"BANK_BITS": [0]}, "unknown key in map.json: 'BANK_BITS'; did you mean BANK_BIT"),
        ({"BANK_BIT": 3}, r"map\.json: BANK_BIT: expected a list, got 3"),
        ({"BANK_BIT": [0, "1"]}, "BANK_BIT: expected a list of bit numbers, got '1'"),
        ({"BANK_BIT": [True]}, "BANK_BIT: expected a list of bit numbers, got True"),
        ({"BANK_BIT": [0, 1], "ROW_BIT": [1, 2]}, r"map\.json: address map: expected every bit once, got 1 more often"),
        ({"BANK_BIT": [0, 1], "ROW_BIT": [4, 5]}, "expected every bit up to 5, got no 2, 3"),
        ({"BANK_BIT": [1, 2]}, "expected every bit up to 2, got no 0"),
        ({"BANK_BIT": [-1, 0]}, "expected bits from 0 to 61, got -1 to 0"),
        ({"BANK_BIT": bits(0, 62)}, "expected bits from 0 to 61, got 0 to 62"),
        ({"BANK_BIT": [0, 1], "XOR": [{"FIRST": 1, "SECOND": 1}]}, "xor: expected two bits below 2, got 1 and 1"),
        ({"BANK_BIT": [0, 1], "XOR": [{"FIRST": 1, "SECOND": 2}]}, "xor: expected two bits below 2, got 1 and 2"),
        ({"XOR": [{"FIRST": 1}]}, "XOR: expected objects of FIRST and SECOND"),
        ([], r"CONGEN: expected an object of bit lists, got \[\]"),
    ],
)
def test_wrong_maps_are_refused(content: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        AddressMapping.from_congen({"CONGEN": content}, "map.json")


def test_other_files_are_refused() -> None:
    for data in ({"addressmapping": {}}, {"CONGEN": {}, "more": 1}, [], 3):
        with pytest.raises(UsageError, match=r"map\.json: expected one key CONGEN"):
            AddressMapping.from_congen(data, "map.json")


@pytest.mark.parametrize(
    ("name", "channels", "ranks", "message"),
    [
        ("DDR4-2400", 1, None, "bank_group: expected 2 bits for 4 of DDR4-2400, got 0"),
        ("DDR3-1600", 2, None, "channel: expected 1 bits for 2"),
        ("DDR3-1600", 1, 2, "rank: expected 1 bits for 2"),
        ("LPDDR4-3200", None, None, "row: expected 16 bits for 65536"),
        ("DDR3-1600", 1, 3, "rank: expected a power of two, got 3"),
    ],
)
def test_a_map_of_another_memory_is_refused(name: str, channels: int | None, ranks: int | None, message: str) -> None:
    mapping = preset("row-bank-column", load_standard("DDR3-1600"))
    with pytest.raises(UsageError, match=message):
        mapping.matches(load_standard(name), channels, ranks)


def test_presets_refuse_unknown_schemes_and_odd_counts() -> None:
    standard = load_standard("DDR4-2400")
    with pytest.raises(UnknownNameError, match="unknown address mapping 'row-bank-col'; did you mean row-bank-column"):
        preset("row-bank-col", standard)
    with pytest.raises(UsageError, match="channel: expected a power of two, got 3"):
        preset("mop", standard, channels=3)


def test_arguments_of_decode_and_encode() -> None:
    mapping = preset("row-bank-column", load_standard("DDR3-1600"))
    assert mapping.decode([]).shape == (0, len(FIELDS))
    big = np.array([2**62 + 64], np.uint64)
    assert mapping.decode(big)[0].tolist() == [0, 0, 0, 0, 0, 8]
    for wrong in ([1.5], [[1, 2]], [True], 3):
        with pytest.raises(UsageError, match="address: expected integers on 1 axes"):
            mapping.decode(wrong)
    for outside in (np.array([-1]), np.array([2**63], np.uint64)):
        with pytest.raises(UsageError, match=r"address: expected integers from 0 to 2\*\*63-1"):
            mapping.decode(outside)
    with pytest.raises(UsageError, match="bank: expected below 8, got 8"):
        mapping.encode([[0, 0, 0, 8, 0, 0]])
    with pytest.raises(UsageError, match="expected 6 columns, got 2"):
        mapping.encode([[0, 0]])
