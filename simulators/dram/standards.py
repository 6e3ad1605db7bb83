"""DRAM standards: what one channel is made of, its timings in clock cycles, and its currents.

Standards are data: JSON files in the memspec format of DRAMSys 4 (``standards/`` in this folder; where
every value comes from stands in ``standards/SOURCES.md``). Anyone's memspec of the same families loads too.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from archgym.errors import UnknownNameError, UsageError

from .memspec import FAMILIES, memspec_fields, read_json

_SHIPPED = {
    "DDR3-1600": "MICRON_1Gb_DDR3-1600_8bit_G.json",
    "DDR4-1866": "JEDEC_4Gb_DDR4-1866_8bit_A.json",
    "DDR4-2400": "JEDEC_4Gb_DDR4-2400_8bit_A.json",
    "DDR4-3200": "DDR4-3200AA_8Gb_8bit.json",
    "DDR5-3200": "DDR5-3200BN_16Gb_8bit.json",
    "DDR5-4800": "DDR5-4800BN_16Gb_8bit.json",
    "DDR5-5600": "DDR5-5600AN_16Gb_8bit.json",
    "DDR5-6400": "DDR5-6400AN_16Gb_8bit.json",
    "LPDDR4-3200": "JEDEC_8Gb_LPDDR4-3200_16bit.json",
    "HBM2-2000": "HBM2.json",
}


@dataclass(frozen=True)
class Standard:
    """One DRAM channel; `channels` of them make the memory.

    Attributes:
        name: "DDR4-2400", or what a file calls itself.
        family: "DDR3", "DDR4", "DDR5", "LPDDR4" or "HBM2".
        memory_id: of the memspec.
        channels, ranks: as in the memspec; HBM2's two pseudo channels are its ranks.
        bank_groups, banks: per rank; bank_groups is 1 where the family has none, banks the total.
        rows: per bank. columns: per row, each of `column_bytes`.
        width: data bits of a device. devices: side by side on the bus of a rank.
        burst_length: transfers of a burst. data_rate: transfers per clock.
        clock_mhz: of commands; of data it is data_rate times as many transfers.
        timing: cycles, under the memspec's keys. For DDR4, RFC and REFI are those of its refresh mode
            (REFM); REFM, RFC2 and RFC4 themselves are left out.
        power: currents in mA (idd...) and supplies in V (vdd, vdd2) of one device, or None.
        no_energy: why power is None, else "".
        source: where the numbers come from.

    Raises:
        UsageError: another family, a size that is no power of two (addresses are bits), or a column below a byte.
    """

    name: str
    family: str
    memory_id: str
    channels: int
    ranks: int
    bank_groups: int
    banks: int
    rows: int
    columns: int
    width: int
    devices: int
    burst_length: int
    data_rate: int
    clock_mhz: float
    timing: Mapping[str, int] = field(hash=False)
    power: Mapping[str, float] | None = field(hash=False)
    no_energy: str = ""
    source: str = ""

    def __post_init__(self) -> None:
        if self.family not in FAMILIES:
            raise UnknownNameError("DRAM family", self.family, FAMILIES)
        sizes = ("channels", "ranks", "bank_groups", "banks", "rows", "columns", "burst_length", "data_rate")
        counts = {name: getattr(self, name) for name in sizes} | {"width * devices": self.width * self.devices}
        for name, value in counts.items():
            if isinstance(value, bool) or not isinstance(value, int) or value < 1 or value & (value - 1):
                raise UsageError(f"DRAM standard '{self.name}': {name}: expected a power of two, got {value!r}")
        for name, part, whole in (
            ("bank_groups", self.bank_groups, self.banks),
            ("burst_length", self.burst_length, self.columns),
            ("data_rate", self.data_rate, self.burst_length),
        ):
            if part > whole:
                raise UsageError(f"DRAM standard '{self.name}': {name}: expected a divisor of {whole}, got {part}")
        if self.column_bytes < 1:
            bits = self.width * self.devices
            raise UsageError(f"DRAM standard '{self.name}': width * devices: expected 8 bits or more, got {bits}")

    @property
    def tck_ps(self) -> int:
        """Clock period, rounded to 1 ps as DRAMSys does (933 MHz: 1072): simulated time counts in these."""
        return round(1e6 / self.clock_mhz)

    @property
    def clock_ns(self) -> float:
        """Clock period without rounding, ns: DRAMPower's."""
        return 1000.0 / self.clock_mhz

    @property
    def burst_cycles(self) -> int:
        """Cycles that a burst occupies the data bus."""
        return self.burst_length // self.data_rate

    @property
    def column_bytes(self) -> int:
        """Bytes of one column address, over all devices of a rank."""
        return self.width * self.devices // 8

    @property
    def bytes_per_burst(self) -> int:
        """Bytes that one read or write moves."""
        return self.burst_length * self.column_bytes

    @property
    def banks_per_group(self) -> int:
        return self.banks // self.bank_groups

    @property
    def capacity(self) -> int:
        """Bytes of one channel, all ranks."""
        return self.ranks * self.banks * self.rows * self.columns * self.column_bytes

    @property
    def peak_bandwidth(self) -> float:
        """GB/s of one channel, at the rounded period (DRAMSys: "MAX BW")."""
        return 1000.0 * self.bytes_per_burst / (self.burst_cycles * self.tck_ps)

    @property
    def has_power_down(self) -> bool:
        """Whether `timing` has every key of the family for power-down and self-refresh."""
        keys = FAMILIES[self.family].power_down.split()
        return bool(keys) and all(key in self.timing for key in keys)


def standard_names() -> tuple[str, ...]:
    """The names `load_standard` knows."""
    return tuple(_SHIPPED)


def load_standard(name_or_path: str | os.PathLike[str]) -> Standard:
    """The shipped standard of that name, or the memspec in a ``.json`` file (named after the file).

    Raises:
        UnknownNameError: neither a known name nor a path that ends in ``.json``.
        UsageError: the file cannot be read, or see `from_memspec`.
    """
    text = os.fspath(name_or_path)
    shipped = _SHIPPED.get(text)
    return from_memspec(load_memspec(text), shipped or text, name=text if shipped else Path(text).stem)


def load_memspec(name_or_path: str | os.PathLike[str]) -> Any:
    """The JSON content behind `load_standard`, unread.

    Raises:
        UnknownNameError: neither a known name nor a path that ends in ``.json``.
        UsageError: the file cannot be read.
    """
    text = os.fspath(name_or_path)
    if text in _SHIPPED:
        file = files("archgym.simulators.dram").joinpath("standards", _SHIPPED[text])
        return json.loads(file.read_text(encoding="utf-8"))
    if not text.lower().endswith(".json"):
        raise UnknownNameError("DRAM standard", text, _SHIPPED)
    return read_json(text)


def from_memspec(data: Mapping[str, Any], where: str, name: str = "") -> Standard:
    """A standard from the JSON content of a DRAMSys 4 memspec.

    A mempowerspec of LPDDR4, HBM2 or DDR5 is not read (see `Standard.no_energy`). Timings for power-down
    may be missing (see `Standard.has_power_down`), as may those of DDR4's finer and DDR5's same-bank refresh.

    Args:
        data: ``{"memspec": {...}}``; ours may hold a "source" beside DRAMSys's keys.
        where: the file, for messages.
        name: what to call it; the memoryId by default.

    Raises:
        UnknownNameError: a key that the family does not have.
        UsageError: another family, an older or newer format, a missing key, or a value out of range.
    """
    fields = memspec_fields(data, where)
    return Standard(name=name or fields["memory_id"], **fields)
