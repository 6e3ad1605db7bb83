"""An independent judge of DRAM command traces: which commands break which rule of the standard.

It shares nothing with the controller but the trace format: tables of its own (``checker_rules``), state machines of
its own (``checker_scan``). Three kinds of rule:

* timing: a command waits so many cycles for an earlier one (`rules` lists them all with their sources);
* state: what a bank or rank must be in (open, on this row, precharged, awake);
* derived, whatever the tables say: bursts on a data bus never overlap, and a bank that precharges by itself (RDA,
  WRA) is closed no sooner than an explicit PRE could have closed it.

Conventions. A cycle is the first of a command. HBM2: the ranks of the memory specification are pseudo-channels, with
one pair of command buses and a half of the data bus each; its single-bank refresh is REFB. Fast exit from power-down
is assumed (tXP, not tXPDLL). A command during tRFC is too early even if it does nothing, such as PRE of closed banks.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NoReturn

import numpy as np
import numpy.typing as npt

from archgym.errors import UsageError

from . import checker_scan as scan
from .checker_report import RefreshGap, Report, Violation, late_refresh, summary, violation
from .checker_rules import ONE_BANK, SAME_BANK, Memspec, Rule, read_memspec, rules, rules_of, unresolved
from .command_trace import CODE, NAMES, Commands, check_dtype

__all__ = ["Checker", "RefreshGap", "Report", "Rule", "Violation", "check", "mutate", "rules", "summary"]

_MOST_CHANNELS = 4096
_SCOPE = {"bank": scan.BANK, "group": scan.GROUP, "rank": scan.RANK, "other": scan.OTHER, "window": scan.WINDOW}
_NEEDS_IDLE = ("ACT", "REFA", "REFB", "REFSB", "SREFEN")  # need their banks closed and the precharge over


def check(
    commands: Commands, memspec: Memspec, *, limit: int = 1000, slack: bool = False, refresh: bool = False
) -> Report:
    """Hold every command of a trace against the rules of its standard; see `Checker.check`.

    Args:
        memspec: memory specification in the JSON format of DRAMSys, parsed or as a path.
    """
    return Checker(memspec).check(commands, limit=limit, slack=slack, refresh=refresh)


def mutate(commands: Commands, memspec: Memspec) -> Iterator[tuple[int, Commands]]:
    """Every trace in which one command comes one cycle too early, to test a checker with.

    Args:
        commands: see `Checker.check`.

    Yields:
        (index, trace) for each command whose slack is exactly 0: a copy in which it starts one cycle earlier, and
        its index there (two command buses may be busy in the same cycle, so that it may overtake).
    """
    slack = Checker(memspec).check(commands, limit=0, slack=True).slack
    for index in np.flatnonzero(slack == 0).tolist():
        moved = commands.copy()
        moved["cycle"][index] -= 1
        place = index
        for i in range(index - 1, -1, -1):
            if moved["channel"][i] == moved["channel"][index]:
                if moved["cycle"][i] <= moved["cycle"][index]:
                    break
                place = i
        moved[place : index + 1] = np.roll(moved[place : index + 1], 1)
        yield place, moved


class Checker:
    """The rules of one device, as dense integer tables for many traces.

    Args:
        memspec: memory specification in the JSON format of DRAMSys, parsed or as a path.

    Attributes:
        device: the specification as read. rules: its timing rules, by next command, those of the command bus last.

    Raises:
        UsageError: a specification that is none, see `checker_rules.read_memspec`.
    """

    def __init__(self, memspec: Memspec) -> None:
        self.device = read_memspec(memspec)
        timing = sorted(rules_of(self.device), key=lambda rule: CODE.get(rule.next, len(NAMES)))
        waits = [rule for rule in timing if rule.scope != "bus"]
        self.rules = timing
        self._names = [*(rule.name for rule in timing), *scan.STATE_RULES]
        self._unresolved = unresolved(self.device)
        self._start = np.searchsorted([CODE[rule.next] for rule in waits], np.arange(len(NAMES) + 1)).astype(np.int64)
        # The previous commands of a window rule are in the command table.
        self._timing = np.array([(_SCOPE[r.scope], CODE.get(r.previous, 0), r.cycles) for r in waits], np.int64)
        self._commands = self._command_table()

    def check(self, commands: Commands, *, limit: int = 1000, slack: bool = False, refresh: bool = False) -> Report:
        """Hold every command of a trace against the rules.

        A rule is broken once per command and conflicting earlier command. Ranks start awake with all banks closed,
        and nothing before the first command counts.

        Args:
            commands: (n,) of `command_trace.COMMAND_DTYPE`, cycles in order within each channel. A row of -1 is
                unknown and matches any. There are as many channels as the trace names.
            limit: violations to record; all are counted.
            slack: also return the slack of every command.
            refresh: count a refresh interval beyond the limit as a violation; otherwise it is only reported.

        Raises:
            UsageError: another dtype, cycles out of order, a rank, bank, row or column the device does not have, a
                timing that the specification lacks and that two commands of the trace need.
        """
        check_dtype(commands)
        device = self._parameters(commands)
        error, at = scan.find_bad_input(commands, device, self._commands)
        if error:
            self._refuse(commands, scan.INPUT_ERRORS[error], at)
        self._need_complete(commands)
        counts = np.zeros(len(self._names), np.int64)
        notes = np.zeros(len(scan.NOTES), np.int64)
        gaps = np.zeros((device[scan.CHANNELS] * device[scan.RANKS], 3), np.int64)
        slacks = np.empty(len(commands) if slack else 0, np.int64)
        rows = [np.empty((max(limit, 0), 4), np.int64) for _ in range(3)]
        totals = (
            scan.check_timing(commands, device, self._commands, self._start, self._timing, rows[0], counts, slacks),
            scan.check_states(commands, device, self._commands, rows[1], counts, notes, gaps),
            scan.check_data(commands, device, rows[2], counts),
        )
        found = np.concatenate([part[:total] for part, total in zip(rows, totals, strict=True)])
        found = found[np.lexsort((found[:, 1], found[:, 0]))][: max(limit, 0)]
        by_rule = {self._names[i]: int(counts[i]) for i in np.flatnonzero(counts).tolist()}
        violations = [self._violation(commands, *row) for row in found.tolist()]
        intervals = self._intervals(gaps)
        late = [gap for gap in intervals if gap.longest > gap.limit] if refresh else []
        if late:
            violations += [late_refresh(commands, gap) for gap in late]
            by_rule[violations[-1].rule] = len(late)
        return Report(
            len(commands),
            sum(totals) + len(late),
            by_rule,
            tuple(violations[: max(limit, 0)]),
            {name: int(count) for name, count in zip(scan.NOTES, notes, strict=True) if count},
            tuple(intervals),
            slacks if slack else None,
        )

    def _command_table(self) -> npt.NDArray[np.int64]:
        out = np.zeros((len(NAMES), scan.N_COMMAND), np.int64)
        for code, name in enumerate(NAMES):
            address = scan.ONE_BANK if name in ONE_BANK else scan.SAME_BANK if name in SAME_BANK else scan.WHOLE_RANK
            out[code, scan.ADDRESS] = address
        for name, slot in self.device.slots.items():
            out[CODE[name], scan.SLOT] = slot.cycles
            out[CODE[name], scan.BUS] = slot.bus == "column"
        for i, rule in enumerate(self.rules):
            if rule.scope == "bus":
                out[CODE[rule.previous], scan.BUS_RULE] = i
            elif rule.scope == "window":
                for name in rule.previous.split("/"):
                    out[CODE[name], scan.ACTIVATES] = 1
            elif rule.previous == "PRE" and rule.next in _NEEDS_IDLE:
                out[CODE[rule.next], scan.AFTER_PRE] = rule.cycles
        return out

    def _parameters(self, commands: Commands) -> npt.NDArray[np.int64]:
        device, out = self.device, np.empty(scan.N_DEVICE, np.int64)
        channels = int(commands["channel"].max(initial=0)) + 1
        if channels > _MOST_CHANNELS:
            raise UsageError(f"command trace: expected channels below {_MOST_CHANNELS}, got {channels - 1}")
        out[: scan.READ_LATENCY] = (
            channels, device.ranks, device.groups, device.banks, device.rows, device.columns,
        )  # fmt: skip
        try:
            out[scan.READ_LATENCY :] = (
                device.cycles("RL"), device.cycles("WL"), device.cycles("BL/2"), device.standard == "HBM2",
                self._bank_cycles("RD", "PRE"), self._bank_cycles("WR", "PRE"),
                self._bank_cycles("ACT", "PRE"), self._bank_cycles("PRE", "ACT"),
            )  # fmt: skip
        except KeyError as error:
            raise UsageError(f"memory specification: expected timing {error.args[0]}, it is missing") from None
        return out

    def _bank_cycles(self, previous: str, following: str) -> int:
        for rule in self.rules:
            if (rule.previous, rule.next, rule.scope) == (previous, following, "bank"):
                return rule.cycles
        raise UsageError(f"memory specification: a timing between {previous} and {following} is missing or too small")

    def _need_complete(self, commands: Commands) -> None:
        used = {NAMES[code] for code in np.unique(commands["command"]).tolist()} if self._unresolved else set()
        for rule, name in self._unresolved:
            if rule.scope == "other" and self.device.ranks == 1:
                continue
            if rule.next in used and used & set(rule.previous.split("/")):
                raise UsageError(f"memory specification: expected timing {name}, needed by {rule.name}; it is missing")

    def _intervals(self, gaps: npt.NDArray[np.int64]) -> list[RefreshGap]:
        refreshed = np.flatnonzero(gaps[:, 2]).tolist()
        if not refreshed:
            return []
        try:
            limit = (self.device.postponed + 1) * self.device.cycles("REFI")
        except KeyError:
            raise UsageError("memory specification: expected timing REFI, it is missing") from None
        return [
            RefreshGap(*divmod(i, self.device.ranks), int(gaps[i, 2]), int(gaps[i, 0]), limit, int(gaps[i, 1]))
            for i in refreshed
        ]

    def _violation(self, commands: Commands, index: int, rule: int, previous: int, required: int) -> Violation:
        timing = rule < len(self.rules)
        why = f", {self.rules[rule].formula} = {self.rules[rule].cycles} cycles" if timing else ""
        return violation(commands, index, self._names[rule], why, previous, required)

    def _refuse(self, commands: Commands, what: str, index: int) -> NoReturn:
        device = self.device
        expected = {
            "cycle": "cycles of at least 0, in order within the channel",
            "command": f"a command code from 0 to {len(NAMES) - 1}",
            "channel": "a channel of at least 0",
            "rank": f"a rank below {device.ranks}",
            "bankgroup": f"a bank group below {device.groups}",
            "bank": f"a bank of its group below {device.banks}",
            "row": f"a row below {device.rows} (-1: unknown)",
            "column": f"a column below {device.columns}",
        }[what]
        raise UsageError(f"command trace: command #{index}: expected {expected}, got {what} {commands[what][index]}")
