"""Reading DRAM standards from JSON in the memspec format of DRAMSys 4: which keys each family has, and checks."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from archgym.errors import UnknownNameError, UsageError


@dataclass(frozen=True)
class Family:
    """Keys that a memspec of one family has, separated by spaces.

    Attributes:
        timing: always there.
        power_down: for power-down and self-refresh; without them there is none.
        optional: of refresh modes that only some files describe, and keys that no model here reads.
        older: keys of the format before DRAMSys 4, by which it is recognised.
        bank_groups: the family has them.
        dimm: devices may stand side by side.
        currents: always there if there is a mempowerspec; "" where none is read.
        currents_optional: of power-down and self-refresh.
        no_energy: why there are no currents.
    """

    timing: str
    power_down: str = ""
    optional: str = ""
    older: str = ""
    bank_groups: bool = False
    dimm: bool = True
    currents: str = ""
    currents_optional: str = ""
    no_energy: str = "the memspec has no mempowerspec"


_DDR_POWER_DOWN = "CKE CKESR XP XS XSDLL ACTPDEN PRPDEN REFPDEN"
FAMILIES = {
    "DDR3": Family(
        "AL CCD FAW RAS RC RCD REFI RFC RL RP RRD RTP RTRS WL WR WTR",
        _DDR_POWER_DOWN,
        "CL DQSCK XPDLL",
        currents="idd0 idd2n idd3n idd4r idd4w idd5 vdd",
        currents_optional="idd2p0 idd2p1 idd3p0 idd3p1 idd6",
    ),
    "DDR4": Family(
        "AL CCD_L CCD_S FAW RAS RC RCD REFM REFI RFC RL RPRE RP RRD_L RRD_S RTP RTRS WL WPRE WR WTR_L WTR_S",
        _DDR_POWER_DOWN,
        "CL DQSCK XPDLL RFC2 RFC4",
        bank_groups=True,
        currents="idd0 idd02 idd2n idd3n idd4r idd4w idd5 vdd vdd2",
        currents_optional="idd2p0 idd2p1 idd3p0 idd3p1 idd6 idd62",
    ),
    "DDR5": Family(
        "CCD_L CCD_L_WR CCD_S CCD_S_WR FAW PPD RAS RC RCD REFI RFC RL RP RRD_L RRD_S RTP RTRS WL WPRE WR WTR_L WTR_S",
        optional="REFISB REFSBRD RFCSB XP XS",
        bank_groups=True,
        no_energy="the published DDR5 presets hold no currents",
    ),
    "LPDDR4": Family(
        "CCD DQS2DQ DQSCK DQSS FAW PPD RAS RCAB RCD RCPB REFI REFIPB RFCAB RFCPB RL RPAB RPPB RPST RRD RTP RTRS "
        "WL WPRE WR WTR",
        "CKE CMDCKE ESCKE SR XP XSR",
        older="AL CCDMW CKESR REFIAB XS",
        dimm=False,
        no_energy="DRAMSys 4 has no energy model of LPDDR4, and the memspec's currents trace to no data sheet",
    ),
    "HBM2": Family(
        "CCDL CCDS DQSCK FAW PL RAS RC RCDRD RCDWR REFI REFISB RFC RFCSB RL RP RRDL RRDS RREFD RTP RTW WL WR WTRL WTRS",
        "CKE XP XS",
        bank_groups=True,
        dimm=False,
        no_energy="no currents of HBM2 that trace to a data sheet are published",
    ),
}


def read_json(path: str) -> Any:
    """The content of a JSON file.

    Raises:
        UsageError: it cannot be read or parsed; the message has line and column.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: expected a readable file, got: {error.strerror}") from None
    except json.JSONDecodeError as error:
        raise UsageError(f"{path}:{error.lineno}:{error.colno}: expected JSON, got: {error.msg}") from None
    except (ValueError, RecursionError) as error:  # no UTF-8, endless nesting
        raise UsageError(f"{path}: expected JSON, got: {error}") from None


def memspec_fields(data: Any, where: str) -> dict[str, Any]:
    """The fields of a `Standard` (all but its name) from the content of a memspec; see `standards.from_memspec`."""
    _check_keys(where, data, ("memspec",))
    spec = _section(where, data, "memspec")
    sections = ("memarchitecturespec", "memoryId", "memoryType", "memtimingspec")
    _check_keys(where, spec, sections, ("mempowerspec", "source"))
    kind = spec["memoryType"]
    if not isinstance(kind, str) or kind not in FAMILIES:
        raise UsageError(f"{where}: memoryType: expected one of {', '.join(FAMILIES)}, got {kind!r}")
    family = FAMILIES[kind]
    memory_id, source = spec["memoryId"], spec.get("source", f"DRAMSys 4 memspec {where}")
    for key, text in (("memoryId", memory_id), ("source", source)):
        if not isinstance(text, str):
            raise UsageError(f"{where}: {key}: expected text, got {text!r}")
    timing, clock = _timing(where, _section(where, spec, "memtimingspec"), kind, family)
    power = _power(where, spec, family)
    fields = _architecture(where, _section(where, spec, "memarchitecturespec"), family)
    no_energy = "" if power else family.no_energy
    return fields | {
        "family": kind,
        "memory_id": memory_id,
        "clock_mhz": clock,
        "timing": timing,
        "power": power,
        "no_energy": no_energy,
        "source": source,
    }


def _architecture(where: str, spec: Mapping[str, Any], family: Family) -> dict[str, int]:
    names = {"burst_length": "burstLength", "data_rate": "dataRate", "width": "width"}
    names |= {field: f"nbrOf{field.capitalize()}" for field in ("ranks", "banks", "rows", "columns")}
    if family.bank_groups:
        names["bank_groups"] = "nbrOfBankGroups"
    optional = {"channels": "nbrOfChannels"} | ({"devices": "nbrOfDevicesOnDIMM"} if family.dimm else {})
    _check_keys(f"{where}: memarchitecturespec", spec, names.values(), optional.values())
    defaults = {"bank_groups": 1, "devices": 1, "channels": 1}
    known = names | optional
    return defaults | {field: _cycles(where, key, spec[key], 1) for field, key in known.items() if key in spec}


def _timing(where: str, spec: Mapping[str, Any], kind: str, family: Family) -> tuple[dict[str, int], float]:
    if "tCK" in spec:
        raise UsageError(f"{where}: expected a memspec of DRAMSys 4 (clkMhz, cycles), got one of DRAMSys 5 (tCK)")
    old = [key for key in family.older.split() if key in spec]
    if old:
        raise UsageError(f"{where}: expected the {kind} memspec of DRAMSys 4, got an older format ({', '.join(old)})")
    optional = f"{family.power_down} {family.optional}".split()
    _check_keys(f"{where}: memtimingspec", spec, [*family.timing.split(), "clkMhz"], optional)
    timing = {key: _cycles(where, key, value, 0) for key, value in spec.items() if key != "clkMhz"}
    if kind == "DDR4":
        _set_refresh_mode(where, timing)
    for interval, length in (("REFI", "RFC"), ("REFI", "RFCAB"), ("REFIPB", "RFCPB"), ("REFISB", "RFCSB")):
        if interval in timing and length in timing and timing[interval] <= timing[length]:
            raise UsageError(f"{where}: {interval}: expected more than {length}={timing[length]}")
    return timing, _positive(where, "clkMhz", spec["clkMhz"])


def _set_refresh_mode(where: str, timing: dict[str, int]) -> None:
    """DDR4 refreshes in one, two or four steps (REFM): shorter ones, more often."""
    mode = timing.pop("REFM")
    lengths = {1: timing["RFC"], 2: timing.pop("RFC2", None), 4: timing.pop("RFC4", None)}
    length = lengths.get(mode)
    if length is None:
        modes = ", ".join(str(mode) for mode, length in lengths.items() if length is not None)
        raise UsageError(f"{where}: REFM: expected one of {modes} (2 needs RFC2, 4 needs RFC4), got {mode}")
    timing["RFC"], timing["REFI"] = length, timing["REFI"] // mode


def _power(where: str, spec: Mapping[str, Any], family: Family) -> dict[str, float] | None:
    if not family.currents or "mempowerspec" not in spec:
        return None
    section = _section(where, spec, "mempowerspec")
    _check_keys(f"{where}: mempowerspec", section, family.currents.split(), family.currents_optional.split())
    return {key: _positive(where, key, value) for key, value in section.items()}


def _section(where: str, data: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    section = data[key]
    if not isinstance(section, Mapping):
        raise UsageError(f"{where}: {key}: expected an object of keys, got {section!r}")
    return section


def _check_keys(where: str, section: Any, required: Iterable[str], optional: Iterable[str] = ()) -> None:
    if not isinstance(section, Mapping):
        raise UsageError(f"{where}: expected an object of keys, got {section!r}")
    required = list(required)
    known = [*required, *optional]
    for key in section:
        if key not in known:
            raise UnknownNameError(f"key in {where}:", key, known)
    missing = [key for key in required if key not in section]
    if missing:
        raise UsageError(f"{where}: expected the keys {', '.join(missing)}, got none of that name")


def _cycles(where: str, key: str, value: Any, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value < 2**31:
        raise UsageError(f"{where}: {key}: expected an integer from {least} to 2**31-1, got {value!r}")
    return value


def _positive(where: str, key: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e6:
        raise UsageError(f"{where}: {key}: expected a number above 0 and below 1e6, got {value!r}")
    return float(value)
