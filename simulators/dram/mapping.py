"""Address maps: which bits of a byte address choose channel, rank, bank group, bank, row and column.

A map is a list of address bits per coordinate and a list of bit pairs to XOR first: the address decoder of
DRAMSys 4, whose files load as they are. Presets build the usual ones for any standard.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from archgym.errors import UnknownNameError, UsageError

from .memspec import read_json
from .standards import Standard

FIELDS = ("channel", "rank", "bank_group", "bank", "row", "column")
"""The columns of decoded addresses; bank counts within its group."""

_CONGEN = {name: f"{name.replace('_', '').upper()}_BIT" for name in (*FIELDS, "byte")}

# Most significant part first. "burst" are the column bits within one burst, "near" those of the next four
# bursts; "column" is the rest. Bank group below bank: neighbours that differ in it wait least.
_SCHEMES = {
    "row-bank-column": "row rank bank bank_group channel column burst byte",
    "row-bank-column-xor": "row rank bank bank_group channel column burst byte",
    "bank-row-column": "rank bank bank_group row channel column burst byte",
    "row-column-bank": "row column rank bank bank_group channel burst byte",
    "mop": "row column rank bank bank_group near channel burst byte",
}
_XOR_SCHEMES = ("row-bank-column-xor", "mop")
# The map that DRAMSys ships for HBM2 has the bank group above the bank, unlike that for DDR4.
_HBM2_BANK_ROW_COLUMN = "rank bank_group bank row channel column burst byte"


@dataclass(frozen=True)
class AddressMapping:
    """Address bits of each coordinate, least significant first.

    Attributes:
        channel, rank, bank_group, bank, row, column: bit positions; none where there is only one.
        byte: of the byte within a column.
        xor: pairs (first, second), applied in this order before the rest: bit first becomes first ^ second.

    Raises:
        UsageError: a bit is used twice, missing below the highest one, or above 61; or an XOR of a bit
            with itself or with one that no coordinate has (the map would lose addresses).
    """

    channel: tuple[int, ...] = ()
    rank: tuple[int, ...] = ()
    bank_group: tuple[int, ...] = ()
    bank: tuple[int, ...] = ()
    row: tuple[int, ...] = ()
    column: tuple[int, ...] = ()
    byte: tuple[int, ...] = ()
    xor: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        for item in fields(self):
            values = getattr(self, item.name)
            object.__setattr__(self, item.name, tuple(map(tuple, values)) if item.name == "xor" else tuple(values))
        used = sorted(bit for name in (*FIELDS, "byte") for bit in getattr(self, name))
        twice = sorted({bit for bit in used if used.count(bit) > 1})
        if twice:
            raise UsageError(f"address map: expected every bit once, got {_list(twice)} more often")
        if used and not (used[0] >= 0 and used[-1] < 62):
            raise UsageError(f"address map: expected bits from 0 to 61, got {used[0]} to {used[-1]}")
        gaps = sorted(set(range(len(used) and used[-1])) - set(used))
        if gaps:
            raise UsageError(f"address map: expected every bit up to {used[-1]}, got no {_list(gaps)}")
        for first, second in self.xor:
            if first == second or not {first, second} <= set(used):
                raise UsageError(f"address map: xor: expected two bits below {len(used)}, got {first} and {second}")

    @property
    def bits(self) -> int:
        """Address bits that the map uses; 2**bits bytes are reachable."""
        return sum(len(getattr(self, name)) for name in (*FIELDS, "byte"))

    def decode(self, address: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Coordinates of byte addresses.

        Bits above the map's are ignored: an address beyond the capacity wraps around (DRAMSys warns and
        does the same).

        Args:
            address: (n,) integers, not negative.

        Returns:
            (n, 6) int64, columns as in `FIELDS`.

        Raises:
            UsageError: no integers, another shape, or a negative one.
        """
        address = _integers("address", address, 1)
        for first, second in self.xor:
            address = address ^ (((address >> second) & 1) << first)
        out = np.zeros((len(address), len(FIELDS)), np.int64)
        for i, name in enumerate(FIELDS):
            for low, width, at in _runs(getattr(self, name)):
                out[:, i] |= ((address >> low) & ((1 << width) - 1)) << at
        return out

    def encode(self, coordinates: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Inverse of `decode`: the (n,) addresses of byte 0 of (n, 6) coordinates.

        Raises:
            UsageError: no integers, another shape, or a coordinate out of range.
        """
        coordinates = _integers("coordinates", coordinates, 2)
        if coordinates.shape[1] != len(FIELDS):
            raise UsageError(f"coordinates: expected {len(FIELDS)} columns, got {coordinates.shape[1]}")
        address = np.zeros(len(coordinates), np.int64)
        for i, name in enumerate(FIELDS):
            bits, values = getattr(self, name), coordinates[:, i]
            if (values >> len(bits)).any():
                raise UsageError(f"coordinates: {name}: expected below {1 << len(bits)}, got {values.max()}")
            for low, width, at in _runs(bits):
                address |= ((values >> at) & ((1 << width) - 1)) << low
        for first, second in reversed(self.xor):
            address ^= ((address >> second) & 1) << first
        return address

    def matches(self, standard: Standard, channels: int | None = None, ranks: int | None = None) -> None:
        """Check that the map has the bits of a memory.

        Args:
            channels, ranks: instead of the standard's.

        Raises:
            UsageError: the first field with another number of bits, in the order of `FIELDS`, byte last.
        """
        for name, count in _counts(standard, channels, ranks).items():
            need, have = _log2(name, count), len(getattr(self, name))
            if need != have:
                raise UsageError(
                    f"address map: {name}: expected {need} bits for {count} of {standard.name}, got {have}"
                )

    @classmethod
    def from_congen(cls, data: Any, where: str) -> Self:
        """A map from the JSON content of a DRAMSys 4 address map (root CONGEN; of several solutions ID 0).

        Raises:
            UnknownNameError: an unknown key. UsageError: another root, no ID 0, or bits that are no list
                of integers or no map (see the class).
        """
        if not isinstance(data, Mapping) or list(data) != ["CONGEN"]:
            raise UsageError(f"{where}: expected one key CONGEN (an address map of DRAMSys 4), got {_keys(data)}")
        content = data["CONGEN"]
        if isinstance(content, Mapping) and "SOLUTION" in content:
            content = _first_solution(where, content)
        if not isinstance(content, Mapping):
            raise UsageError(f"{where}: CONGEN: expected an object of bit lists, got {content!r}")
        for key in content:
            if key not in (*_CONGEN.values(), "XOR"):
                raise UnknownNameError(f"key in {where}:", key, (*_CONGEN.values(), "XOR"))
        bits: dict[str, Any] = {name: _bits(where, key, content.get(key, [])) for name, key in _CONGEN.items()}
        bits["xor"] = tuple(_pair(where, pair) for pair in _sequence(where, "XOR", content.get("XOR", [])))
        try:
            return cls(**bits)
        except UsageError as error:
            raise UsageError(f"{where}: {error}") from None


def load_mapping(path: str | os.PathLike[str]) -> AddressMapping:
    """The address map in a ``.json`` file; see `AddressMapping.from_congen`."""
    return AddressMapping.from_congen(read_json(os.fspath(path)), os.fspath(path))


def preset_names() -> tuple[str, ...]:
    """The schemes of `preset`."""
    return tuple(_SCHEMES)


def preset(scheme: str, standard: Standard, *, channels: int = 1, ranks: int | None = None) -> AddressMapping:
    """A usual map, one bit field after the other; the name has the most significant one first.

    The column bits within one burst always lie just above the byte bits, banks just above bank groups.

    - ``row-bank-column``: a row of the bank is contiguous, the next one lies in the next bank (DRAMSys's
      ``*_rbc`` files). Channel bits above the column, rank bits above the bank.
    - ``bank-row-column``: a bank is contiguous (DRAMSys's ``*_brc`` files; for HBM2 as there with the bank
      group above the bank). Channel bits above the column, rank bits on top.
    - ``row-column-bank``: consecutive bursts go to consecutive channels, bank groups, banks, ranks.
    - ``row-bank-column-xor``: as row-bank-column, each bit of bank group and bank XORed with one of the lowest
      row bits, so that rows which would conflict spread over the banks: permutation-based page interleaving,
      Zhang, Zhu & Zhang, MICRO 2000.
    - ``mop``: four consecutive bursts of a channel stay in a row, the next four go to the next bank group,
      bank, rank, with the same XOR: minimalist open page, Kaseridis, Stuecheli & John, MICRO 2011. Channel
      bits just above the burst.

    Args:
        ranks: the standard's by default.

    Raises:
        UnknownNameError: another scheme. UsageError: channels or ranks are no power of two.
    """
    if scheme not in _SCHEMES:
        raise UnknownNameError("address mapping", scheme, _SCHEMES)
    order = _SCHEMES[scheme]
    if scheme == "bank-row-column" and standard.family == "HBM2":
        order = _HBM2_BANK_ROW_COLUMN
    sizes = {name: _log2(name, count) for name, count in _counts(standard, channels, ranks).items()}
    sizes["burst"] = _log2("burst_length", standard.burst_length)
    sizes["near"] = min(2, sizes["column"] - sizes["burst"]) if "near" in order else 0
    sizes["column"] -= sizes["burst"] + sizes["near"]
    bits: dict[str, tuple[int, ...]] = {}
    used = 0
    for part in reversed(order.split()):
        bits[part] = tuple(range(used, used + sizes[part]))
        used += sizes[part]
    bits["column"] = bits.pop("burst") + bits.pop("near", ()) + bits["column"]
    banks = bits["bank_group"] + bits["bank"]
    xor = tuple(zip(banks, bits["row"], strict=False)) if scheme in _XOR_SCHEMES else ()
    return AddressMapping(**bits, xor=xor)


def _counts(standard: Standard, channels: int | None, ranks: int | None) -> dict[str, int]:
    return {
        "channel": standard.channels if channels is None else channels,
        "rank": standard.ranks if ranks is None else ranks,
        "bank_group": standard.bank_groups,
        "bank": standard.banks_per_group,
        "row": standard.rows,
        "column": standard.columns,
        "byte": standard.column_bytes,
    }


def _log2(name: str, count: Any) -> int:
    if isinstance(count, bool) or not isinstance(count, int) or count < 1 or count & (count - 1):
        raise UsageError(f"address map: {name}: expected a power of two, got {count!r}")
    return count.bit_length() - 1


def _runs(bits: Sequence[int]) -> list[tuple[int, int, int]]:
    """(lowest bit, width, position in the coordinate) of each run of consecutive bits: few shifts instead of many."""
    runs: list[tuple[int, int, int]] = []
    for at, bit in enumerate(bits):
        if runs and bit == runs[-1][0] + runs[-1][1]:
            low, width, start = runs[-1]
            runs[-1] = (low, width + 1, start)
        else:
            runs.append((bit, 1, at))
    return runs


def _integers(what: str, values: npt.ArrayLike, axes: int) -> npt.NDArray[np.int64]:
    array = np.asarray(values)
    if array.ndim != axes or (array.dtype.kind not in "iu" and array.size):
        raise UsageError(f"{what}: expected integers on {axes} axes, got {array.dtype} of shape {array.shape}")
    array = array.astype(np.int64)
    if array.size and array.min() < 0:  # also what lay above 2**63
        raise UsageError(f"{what}: expected integers from 0 to 2**63-1, got one outside")
    return array


def _first_solution(where: str, content: Mapping[str, Any]) -> dict[str, Any]:
    if len(content) > 1:
        raise UsageError(f"{where}: CONGEN: expected SOLUTION alone, got {_keys(content)}")
    for solution in _sequence(where, "SOLUTION", content["SOLUTION"]):
        if isinstance(solution, Mapping) and solution.get("ID") == 0:
            return {key: value for key, value in solution.items() if key != "ID"}
    raise UsageError(f"{where}: SOLUTION: expected one with ID 0, got none")


def _sequence(where: str, key: str, values: Any) -> Sequence[Any]:
    if not isinstance(values, list | tuple):
        raise UsageError(f"{where}: {key}: expected a list, got {values!r}")
    return values


def _bits(where: str, key: str, values: Any) -> tuple[int, ...]:
    for value in _sequence(where, key, values):
        if isinstance(value, bool) or not isinstance(value, int):
            raise UsageError(f"{where}: {key}: expected a list of bit numbers, got {value!r}")
    return tuple(values)


def _pair(where: str, pair: Any) -> tuple[int, int]:
    if not isinstance(pair, Mapping) or sorted(pair) != ["FIRST", "SECOND"]:
        raise UsageError(f"{where}: XOR: expected objects of FIRST and SECOND, got {pair!r}")
    first, second = _bits(where, "XOR", [pair["FIRST"], pair["SECOND"]])
    return first, second


def _keys(data: Any) -> str:
    return ", ".join(map(str, data)) if isinstance(data, Mapping) else repr(data)


def _list(bits: Sequence[int]) -> str:
    return ", ".join(map(str, bits))
