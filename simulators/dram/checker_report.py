"""What the legality checker found, in numbers and in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .checker_rules import ONE_BANK, SAME_BANK, Rule
from .command_trace import NAMES, Commands

REFRESH_RULE = "refresh interval"


@dataclass(frozen=True, slots=True)
class Violation:
    """One command that breaks one rule.

    Attributes:
        index: of the command in the trace. cycle, command: its cycle and name.
        rule: name of the rule.
        previous: index of the command it conflicts with, -1 if there is none.
        required: the first cycle at which this conflict would be over, -1 if waiting does not help.
        text: all of this in words.
    """

    index: int
    cycle: int
    command: str
    rule: str
    previous: int
    required: int
    text: str


@dataclass(frozen=True, slots=True)
class RefreshGap:
    """The longest time that a bank of a rank went without refresh, in cycles.

    Attributes:
        channel, rank: which. refreshes: refresh commands to the rank.
        longest: from the start of the trace, a refresh, or the end of self-refresh, to the next refresh, the next
            self-refresh or the end of the channel's commands.
        limit: (refreshes that may be postponed + 1) x tREFI.
        index: the command that ends the longest gap, -1 for the end.
    """

    channel: int
    rank: int
    refreshes: int
    longest: int
    limit: int
    index: int


@dataclass(frozen=True)
class Report:
    """What a check found.

    Attributes:
        commands: how many were checked.
        total: violations found. counts: the same by rule, rules with none left out.
        violations: the first ones in the order of the trace, at most as many as asked for.
        notes: legal but odd commands, by kind: a PRE of a closed bank, active power-down of an idle rank.
        refresh: one entry per rank that is refreshed in the trace.
        slack: (n,) cycles by which each command is later than its timing rules need (0: tight, negative: too early,
            `checker_scan.FREE`: no rule applies), or None if not asked for.
    """

    commands: int
    total: int
    counts: Mapping[str, int]
    violations: tuple[Violation, ...]
    notes: Mapping[str, int]
    refresh: tuple[RefreshGap, ...]
    slack: npt.NDArray[np.int64] | None

    @property
    def legal(self) -> bool:
        return self.total == 0


def summary(report: Report, timing: Sequence[Rule]) -> list[dict[str, Any]]:
    """One row per broken rule, the most often broken first.

    Args:
        report: of a check. timing: the timing rules of the device, for their formulas and sources.

    Returns:
        rows of rule, violations, cycles, formula, source (None and "" for state rules), first_index, first_cycle
        (None if the violation was not recorded).
    """
    by_name = {rule.name: rule for rule in timing}
    first = {violation.rule: violation for violation in reversed(report.violations)}
    rows = []
    for name, count in sorted(report.counts.items(), key=lambda item: (-item[1], item[0])):
        rule, example = by_name.get(name), first.get(name)
        rows.append(
            {
                "rule": name,
                "violations": count,
                "cycles": rule.cycles if rule else None,
                "formula": rule.formula if rule else "",
                "source": rule.source if rule else "",
                "first_index": example.index if example else None,
                "first_cycle": example.cycle if example else None,
            }
        )
    return rows


def violation(commands: Commands, index: int, rule: str, why: str, previous: int, required: int) -> Violation:
    """A `Violation` with its words; ``why`` is the rule's distance, or empty."""
    text = f"{_where(commands, index)}: {rule}{why}"
    if previous >= 0:
        text += f" after {_where(commands, previous)}"
    if required >= 0:
        text += f", legal from cycle {required}"
    cycle, name = int(commands["cycle"][index]), NAMES[commands["command"][index]]
    return Violation(index, cycle, name, rule, previous, required, text)


def late_refresh(commands: Commands, gap: RefreshGap) -> Violation:
    """The violation that a `RefreshGap` beyond its limit is; laid to the command that ends the gap."""
    index = gap.index if gap.index >= 0 else len(commands) - 1
    why = f", channel {gap.channel} rank {gap.rank}: {gap.longest} cycles without refresh, at most {gap.limit}"
    return violation(commands, index, REFRESH_RULE, why, -1, -1)


def _where(commands: Commands, index: int) -> str:
    command = commands[index]
    name = NAMES[command["command"]]
    text = f"{name} #{index} at cycle {command['cycle']} (channel {command['channel']} rank {command['rank']}"
    if name in ONE_BANK:
        text += f" group {command['bankgroup']}"
    if name in ONE_BANK or name in SAME_BANK:
        text += f" bank {command['bank']}"
    return text + ")"
