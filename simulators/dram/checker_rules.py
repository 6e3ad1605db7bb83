"""The timing rules of the DRAM standards, as the legality checker reads them.

The tables are ``checker_timing.csv`` (which command waits how long for which) and ``checker_commands.csv`` (what a
command occupies). They are transcribed from the JEDEC standards, for DDR5 with Ramulator 2.1 (MIT licence), apart
from those the controller schedules by: the checker is only worth something if the two can disagree.
"""

from __future__ import annotations

import ast
import csv
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from archgym.errors import UnknownNameError, UsageError

Memspec = Mapping[str, Any] | str | os.PathLike[str]

SCOPES = ("bank", "group", "rank", "other", "window", "bus")
"""Where the previous command was: in the same bank, bank group or rank; in another rank of the channel; the fourth
last activation of the rank; on the same command bus of the channel."""

ONE_BANK = ("RD", "WR", "RDA", "WRA", "ACT", "PRE", "REFB")
"""Commands to one bank."""

SAME_BANK = ("REFSB", "PRESB")
"""Commands to one bank in every bank group; all others address the whole rank."""

# Names that a memory specification may leave out or spell otherwise, and what stands for them.
_FALLBACK = {
    "AL": "0",
    "PL": "0",
    "RC": "RAS + RP",
    "RFC": "RFC1",
    "REFI": "REFI1",
    "CCD_S_WR": "CCD_S",
    "CKESR": "CKE",
}

_POSTPONED = {"DDR5": 4}  # JESD79-5; 8 in JESD79-3F, JESD79-4, JESD209-4 and JESD235


@dataclass(frozen=True, slots=True)
class Rule:
    """One timing rule: ``next`` may start no sooner than ``cycles`` after the start of ``previous``.

    Attributes:
        standard: memory type.
        next, previous: commands; ``next`` is "*" (any) in bus rules; ``previous`` of a window rule is what counts as
            an activation, joined by "/".
        scope: one of `SCOPES`.
        formula: of the distance, in the names of the memory specification.
        offset: added to the formula's value: cycles of ``previous`` less cycles of ``next``, where the standard counts
            from last cycle to last cycle.
        cycles: the distance between the first cycles, clock cycles.
        source: standard or tool that says so; "unverified" if none could be named.
    """

    standard: str
    next: str
    previous: str
    scope: str
    formula: str
    offset: int
    cycles: int
    source: str

    @property
    def name(self) -> str:
        return f"{self.previous}->{self.next} {self.scope}"


@dataclass(frozen=True, slots=True)
class Slot:
    """What a command occupies: ``cycles`` on the command bus ``bus``."""

    cycles: int
    bus: str


@dataclass(frozen=True)
class Device:
    """A memory specification, read: organisation of a channel and timings in clock cycles.

    Attributes:
        standard: memory type, a key of the tables.
        ranks: per channel (HBM2: pseudo-channels). groups: bank groups per rank. banks: per bank group.
        rows, columns: per bank. burst_length: transfers of a burst.
        timings: name -> clock cycles, names as `timing_name` writes them.
        slots: command -> what it occupies; the commands the standard has.
        postponed: refreshes that may be postponed.
    """

    standard: str
    ranks: int
    groups: int
    banks: int
    rows: int
    columns: int
    burst_length: int
    timings: Mapping[str, int]
    slots: Mapping[str, Slot]
    postponed: int

    def cycles(self, formula: str) -> int:
        """The value of ``formula``. Raises KeyError with the timing that the specification lacks."""
        return _evaluate(ast.parse(formula, mode="eval").body, self)


def rules(memspec: Memspec) -> list[Rule]:
    """Every timing rule that binds a device, resolved to clock cycles.

    Left out: rules of no effect (a distance below one cycle) and rules whose formula names a timing that the
    specification lacks, which `unresolved` lists.

    Args:
        memspec: see `read_memspec`.
    """
    return rules_of(read_memspec(memspec))


def rules_of(device: Device) -> list[Rule]:
    """`rules` of a memory specification that is already read."""
    return [rule for rule, _ in _resolve(device) if rule.cycles > 0]


def unresolved(device: Device) -> list[tuple[Rule, str]]:
    """(rule with cycles 0, name of the timing that ``device`` lacks) of every rule that cannot be resolved."""
    return [(rule, lacks) for rule, lacks in _resolve(device) if lacks]


def read_memspec(memspec: Memspec) -> Device:
    """Read a memory specification in the JSON format of DRAMSys (``memspec`` with architecture and timings).

    Names of timings are compared without underscores, upper or lower case and the suffix ``_slr`` (DDR5).

    Args:
        memspec: the parsed JSON, or the path of the file.

    Raises:
        UsageError: no such file, no JSON, a missing or impossible entry. UnknownNameError: an unknown memory type.
    """
    tree = memspec if isinstance(memspec, Mapping) else _load(memspec)
    tree = _section(tree, "memspec") if "memspec" in tree else tree
    shape = _section(tree, "memarchitecturespec")
    standard = tree.get("memoryType")
    slots = _slots()
    if standard not in slots:
        raise UnknownNameError("memory type", str(standard), slots)
    groups = _count(shape, "nbrOfBankGroups", 1)
    banks = _count(shape, "nbrOfBanks")
    if banks % groups:
        raise UsageError(f"memory specification: expected nbrOfBanks a multiple of {groups} bank groups, got {banks}")
    if _count(shape, "dataRate", 2) != 2:
        raise UsageError(f"memory specification: expected dataRate 2, got {shape['dataRate']}")
    entries = _section(tree, "memtimingspec")
    timings = {timing_name(key): _timing(entries, key) for key in entries if key != "clkMhz"}
    return Device(
        str(standard),
        _count(shape, "nbrOfRanks", 1),
        groups,
        banks // groups,
        _count(shape, "nbrOfRows"),
        _count(shape, "nbrOfColumns"),
        _count(shape, "burstLength"),
        timings,
        slots[str(standard)],
        _POSTPONED.get(str(standard), 8),
    )


def timing_name(name: str) -> str:
    """A timing's name in one spelling: CCD_L, CCDL and CCD_L_slr are CCDL."""
    return name.upper().removesuffix("_SLR").replace("_", "")


def _resolve(device: Device) -> Iterator[tuple[Rule, str]]:
    """Every rule of the device's standard and "", or the timing that it lacks (then with cycles 0)."""
    for row in _table("checker_timing.csv"):
        if device.standard not in row["standards"].split():
            continue
        window = row["scope"] == "window"
        previous = ["/".join(row["previous"].split())] if window else row["previous"].split()
        for after in row["next"].split():
            for before in previous:
                offset = 0 if window or row["measure"] == "first" else _length(device, before) - _length(device, after)
                lacks = ""
                try:
                    cycles = device.cycles(row["formula"]) + offset
                except KeyError as error:
                    cycles, lacks = 0, str(error.args[0])
                yield (
                    Rule(device.standard, after, before, row["scope"], row["formula"], offset, cycles, row["source"]),
                    lacks,
                )
    for row in _table("checker_commands.csv"):
        if device.standard in row["standards"].split():
            for command in row["commands"].split():
                cycles = int(row["cycles"])
                yield Rule(device.standard, "*", command, "bus", row["cycles"], 0, cycles, row["source"]), ""


def _length(device: Device, command: str) -> int:
    return device.slots[command].cycles


def _evaluate(node: ast.expr, device: Device) -> int:
    """The integer that a formula's tree means: names, numbers, + - * /, max. Divisions must be exact."""
    match node:
        case ast.Constant(value=int(number)):
            return number
        case ast.Name(id="BL"):
            return device.burst_length
        case ast.Name(id=name):
            known = device.timings.get(timing_name(name))
            if known is not None:
                return known
            if name not in _FALLBACK:
                raise KeyError(name)
            return device.cycles(_FALLBACK[name])
        case ast.Call(func=ast.Name(id="max"), args=args):
            return max(_evaluate(arg, device) for arg in args)
        case ast.BinOp(left=left, op=op, right=right):
            a, b = _evaluate(left, device), _evaluate(right, device)
            match op:
                case ast.Add():
                    return a + b
                case ast.Sub():
                    return a - b
                case ast.Mult():
                    return a * b
                case ast.Div() if a % b == 0:
                    return a // b
    raise UsageError(f"timing table: cannot compute '{ast.unparse(node)}' in whole cycles")


@cache
def _table(name: str) -> tuple[Mapping[str, str], ...]:
    text = files(__package__).joinpath(name).read_text(encoding="utf-8")
    return tuple(csv.DictReader(line for line in text.splitlines() if not line.startswith("#")))


@cache
def _slots() -> Mapping[str, Mapping[str, Slot]]:
    out: dict[str, dict[str, Slot]] = {}
    for row in _table("checker_commands.csv"):
        for standard in row["standards"].split():
            for command in row["commands"].split():
                out.setdefault(standard, {})[command] = Slot(int(row["cycles"]), row["bus"])
    return out


def _load(path: str | os.PathLike[str]) -> Mapping[str, Any]:
    try:
        tree = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{os.fspath(path)}: expected a memory specification in JSON, got: {error}") from None
    if not isinstance(tree, Mapping):
        raise UsageError(f"{os.fspath(path)}: expected a JSON object, got {type(tree).__name__}")
    return tree


def _section(tree: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    if not isinstance(tree.get(key), Mapping):
        raise UsageError(f"memory specification: expected an object '{key}', got {type(tree.get(key)).__name__}")
    return tree[key]  # type: ignore[no-any-return]


def _count(tree: Mapping[str, Any], key: str, default: int | None = None) -> int:
    number = tree.get(key, default)
    if type(number) is not int or number < 1:
        raise UsageError(f"memory specification: expected {key}, an integer of at least 1, got {number!r}")
    return number


def _timing(tree: Mapping[str, Any], key: str) -> int:
    number = tree[key]
    if type(number) is not int or not 0 <= number < 2**31:
        raise UsageError(f"memory specification: expected timing {key} in whole clock cycles, got {number!r}")
    return number
