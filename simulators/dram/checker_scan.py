"""The passes over a command trace: the checker's kernels.

`find_bad_input`, then three that know nothing of each other: `check_timing` keeps the cycle of the last command of
each kind for every bank, bank group and rank, `check_states` what banks and ranks are in, `check_data` the bursts.
A violation changes no state beyond what the command itself says, so that a defect is reported once where possible.

Arguments that all share: ``commands`` (n,) records of `COMMAND_DTYPE`; ``device`` (N_DEVICE,) parameters;
``table`` (18, N_COMMAND) what each command is; ``rows`` (limit, 4), written: command, rule, previous command (-1
none), first cycle without that violation (-1 none); ``counts`` (rules,), added to: the state rules' ids come after
those of all timing rules. The results are the numbers of violations.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from archgym.kernel import inlined, kernel

from .command_trace import CODE, NAMES

Ints = npt.NDArray[np.int64]

N = len(NAMES)
BANK, GROUP, RANK, OTHER, WINDOW = range(5)  # scopes of timing rules; columns of the table: scope, previous, cycles
ONE_BANK, SAME_BANK, WHOLE_RANK = range(3)  # what a command addresses

# Entries of the device's parameters.
(
    CHANNELS,
    RANKS,
    GROUPS,
    BANKS,
    ROWS,
    COLUMNS,
    READ_LATENCY,
    WRITE_LATENCY,
    BURST,
    DATA_PER_RANK,
    READ_TO_PRE,
    WRITE_TO_PRE,
    ACT_TO_PRE,
    PRE_TO_ACT,
) = range(14)
N_DEVICE = 14

# Columns of the command table: cycles on the bus (0: no such command), bus, what it addresses, whether it counts as
# an activation, cycles after a precharge, id of its bus rule.
(SLOT, BUS, ADDRESS, ACTIVATES, AFTER_PRE, BUS_RULE) = range(6)
N_COMMAND = 6

STATE_RULES = (
    "no such command",
    "activation of an open bank",
    "column command on a closed bank",
    "column command on another row",
    "precharge during auto-precharge",
    "open bank",
    "auto-precharge unfinished",
    "command in power-down",
    "command in self-refresh",
    "exit without entry",
    "data bus",
)
(
    NO_COMMAND,
    ALREADY_OPEN,
    CLOSED,
    OTHER_ROW,
    PRE_IN_AUTO,
    OPEN_BANK,
    AUTO_UNFINISHED,
    IN_POWER_DOWN,
    IN_SELF_REFRESH,
    NO_ENTRY,
    DATA_BUS,
) = range(11)

NOTES = ("precharge of a closed bank", "active power-down with all banks closed")
(CLOSED_PRE, IDLE_ACTIVE_POWER_DOWN) = range(2)

# What is wrong with an input that cannot be checked at all.
INPUT_ERRORS = ("", "cycle", "command", "channel", "rank", "bankgroup", "bank", "row", "column")

NEVER = -(1 << 62)
FREE = 1 << 62  # slack of a command that no rule holds back
_CLOSED_ROW, _UNKNOWN_ROW = -1, -2
_UP, _DOWN_ACTIVE, _DOWN_PRECHARGED, _SELF_REFRESH = range(4)
_BURSTS = 16  # remembered per data bus: more than fit between the earliest and the latest burst in flight

_NOP, _RD, _WR, _RDA, _WRA, _ACT = (CODE[name] for name in ("NOP", "RD", "WR", "RDA", "WRA", "ACT"))
_PRE, _PREA, _REFA, _REFB, _REFSB, _PRESB = (CODE[n] for n in ("PRE", "PREA", "REFA", "REFB", "REFSB", "PRESB"))
_PDEA, _PDXA, _PDEP, _PDXP = (CODE[name] for name in ("PDEA", "PDXA", "PDEP", "PDXP"))
_SREFEN, _SREFEX = CODE["SREFEN"], CODE["SREFEX"]

# Columns of a bank's state: open row; ACT, index of it; automatic precharge, index of its cause; last refresh.
_ROW, _OPENED, _OPENED_BY, _AUTO, _AUTO_BY, _REFRESHED = range(6)


@inlined
def _report(rows: Ints, counts: Ints, total: int, index: int, rule: int, previous: int, required: int) -> int:
    if total < rows.shape[0]:
        rows[total, 0] = index
        rows[total, 1] = rule
        rows[total, 2] = previous
        rows[total, 3] = required
    counts[rule] += 1
    return total + 1


@inlined
def _banks_of(command: Any, address: int, rank: int, groups: int, banks: int) -> tuple[int, int, int]:
    """(first, step, number) of the banks that a command addresses; ``rank`` counts over all channels."""
    if address == ONE_BANK:
        return (rank * groups + command.bankgroup) * banks + command.bank, 1, 1
    if address == SAME_BANK:
        return rank * groups * banks + command.bank, banks, groups
    return rank * groups * banks, 1, groups * banks


@kernel
def find_bad_input(commands: Any, device: Ints, table: Ints) -> tuple[int, int]:
    """(index into `INPUT_ERRORS`, index of the command) of the first record that cannot be checked, or (0, 0)."""
    now = np.zeros(device[CHANNELS], np.int64)
    for i in range(commands.shape[0]):
        command = commands[i]
        code = np.int64(command.command)
        if not 0 <= code < N:
            return 2, i
        if not 0 <= command.channel < device[CHANNELS]:
            return 3, i
        if command.cycle < now[command.channel]:
            return 1, i
        now[command.channel] = command.cycle
        if code == _NOP:
            continue
        if not 0 <= command.rank < device[RANKS]:
            return 4, i
        address = table[code, ADDRESS]
        if address == ONE_BANK and not 0 <= command.bankgroup < device[GROUPS]:
            return 5, i
        if address != WHOLE_RANK and not 0 <= command.bank < device[BANKS]:
            return 6, i
        column_command = _RD <= code <= _WRA
        if (column_command or code == _ACT) and not -1 <= command.row < device[ROWS]:
            return 7, i
        if column_command and not 0 <= command.column < device[COLUMNS]:
            return 8, i
    return 0, 0


@kernel
def check_timing(
    commands: Any, device: Ints, table: Ints, start: Ints, timing: Ints, rows: Ints, counts: Ints, slack: Ints
) -> int:
    """Every command against the timing rules, its command bus included.

    Args:
        start, timing: the rules of command c are ``timing[start[c]:start[c+1]]``, rows (scope, previous, cycles).
        slack: (n,) written: cycles by which a command is later than these rules need; or empty.
    """
    n_ranks = device[CHANNELS] * device[RANKS]
    n_groups = n_ranks * device[GROUPS]
    n_banks = n_groups * device[BANKS]
    total = 0
    # Last events as (cycle, index). Units: all banks, then bank groups, then ranks.
    last = np.full((n_banks + n_groups + n_ranks, N, 2), NEVER)
    window = np.full((n_ranks, 4, 2), NEVER)  # the last four activations, a ring
    oldest = np.zeros(n_ranks, np.int64)
    bus = np.full((device[CHANNELS], 2, 3), NEVER)  # and the command

    for i in range(commands.shape[0]):
        command = commands[i]
        t, code = np.int64(command.cycle), np.int64(command.command)
        latest = NEVER  # first cycle that satisfies every rule
        if table[code, SLOT] > 0:
            channel, address, lane = np.int64(command.channel), table[code, ADDRESS], table[code, BUS]
            rank = channel * device[RANKS] + command.rank
            first, step, n_addressed = _banks_of(command, address, rank, device[GROUPS], device[BANKS])
            rank_unit = n_banks + n_groups + rank
            group_unit = n_banks + rank * device[GROUPS] + (command.bankgroup if address == ONE_BANK else 0)

            for k in range(start[code], start[code + 1]):
                scope, previous, cycles = timing[k, 0], timing[k, 1], timing[k, 2]
                if scope == WINDOW:
                    seen, by = window[rank, oldest[rank], 0], window[rank, oldest[rank], 1]
                    latest = max(latest, seen + cycles)
                    if seen + cycles > t:
                        total = _report(rows, counts, total, i, k, by, seen + cycles)
                    continue
                unit, stride, units = rank_unit, 1, 1
                if scope == BANK:
                    unit, stride, units = first, step, n_addressed
                elif scope == GROUP:
                    unit = group_unit
                elif scope == OTHER:
                    unit, units = rank_unit - command.rank, device[RANKS]
                for u in range(unit, unit + units * stride, stride):
                    seen = last[u, previous, 0]
                    if scope == OTHER and u == rank_unit:
                        continue
                    latest = max(latest, seen + cycles)
                    if seen + cycles > t:
                        total = _report(rows, counts, total, i, k, last[u, previous, 1], seen + cycles)
            if bus[channel, lane, 1] >= 0:
                before = bus[channel, lane, 2]
                free = bus[channel, lane, 0] + table[before, SLOT]
                latest = max(latest, free)
                if free > t:
                    total = _report(rows, counts, total, i, table[before, BUS_RULE], bus[channel, lane, 1], free)

            if address != WHOLE_RANK:
                for bank in range(first, first + n_addressed * step, step):
                    last[bank, code, 0] = t
                    last[bank, code, 1] = i
            if address == ONE_BANK:
                last[group_unit, code, 0] = t
                last[group_unit, code, 1] = i
            last[rank_unit, code, 0] = t
            last[rank_unit, code, 1] = i
            bus[channel, lane, 0] = t
            bus[channel, lane, 1] = i
            bus[channel, lane, 2] = code
            if table[code, ACTIVATES]:
                window[rank, oldest[rank], 0] = t
                window[rank, oldest[rank], 1] = i
                oldest[rank] = (oldest[rank] + 1) % 4
        if slack.shape[0]:
            slack[i] = t - latest if latest > NEVER // 2 else FREE
    return total


@kernel
def check_states(commands: Any, device: Ints, table: Ints, rows: Ints, counts: Ints, notes: Ints, gaps: Ints) -> int:
    """Every command against what its banks and its rank are in.

    Args:
        notes: (2,) added to, by `NOTES`.
        gaps: (ranks, 3) written: longest refresh interval, index of the command that ends it (-1: the end of the
            trace), refreshes.
    """
    n_ranks, banks_per_rank = device[CHANNELS] * device[RANKS], device[GROUPS] * device[BANKS]
    states, total = counts.shape[0] - len(STATE_RULES), 0
    banks = np.full((n_ranks * banks_per_rank, 6), NEVER)
    banks[:, _ROW] = _CLOSED_ROW
    banks[:, _REFRESHED] = commands[0].cycle if commands.shape[0] else 0
    power = np.zeros((n_ranks, 2), np.int64)  # mode, index of the entry
    now = np.zeros(device[CHANNELS], np.int64)

    for i in range(commands.shape[0]):
        command = commands[i]
        t, code = np.int64(command.cycle), np.int64(command.command)
        now[command.channel] = t
        if code == _NOP:
            continue
        if table[code, SLOT] == 0:
            total = _report(rows, counts, total, i, states + NO_COMMAND, -1, -1)
            continue
        rank = np.int64(command.channel) * device[RANKS] + command.rank
        first, step, n_addressed = _banks_of(command, table[code, ADDRESS], rank, device[GROUPS], device[BANKS])
        end = first + n_addressed * step

        # Nothing but the right exit in power-down and self-refresh.
        mode, since = power[rank, 0], power[rank, 1]
        if code in (_PDXA, _PDXP, _SREFEX):
            wanted = _DOWN_ACTIVE if code == _PDXA else _DOWN_PRECHARGED if code == _PDXP else _SELF_REFRESH
            if mode != wanted:
                total = _report(rows, counts, total, i, states + NO_ENTRY, since if mode != _UP else -1, -1)
            power[rank, 0] = _UP
        elif mode != _UP:
            rule = states + (IN_SELF_REFRESH if mode == _SELF_REFRESH else IN_POWER_DOWN)
            total = _report(rows, counts, total, i, rule, since, -1)

        if _RD <= code <= _WRA:
            row = banks[first, _ROW]
            if row == _CLOSED_ROW:
                total = _report(rows, counts, total, i, states + CLOSED, max(banks[first, _AUTO_BY], -1), -1)
            elif row >= 0 and command.row >= 0 and row != command.row:
                total = _report(rows, counts, total, i, states + OTHER_ROW, banks[first, _OPENED_BY], -1)
            if row != _CLOSED_ROW and code in (_RDA, _WRA):
                # The device precharges by itself: as if PRE were sent as soon as PRE's own rules allow.
                recovered = t + (device[READ_TO_PRE] if code == _RDA else device[WRITE_TO_PRE])
                banks[first, _AUTO] = max(recovered, banks[first, _OPENED] + device[ACT_TO_PRE])
                banks[first, _AUTO_BY] = i
                banks[first, _ROW] = _CLOSED_ROW
        elif code in (_PRE, _PREA, _PRESB):
            if code == _PRE and banks[first, _ROW] == _CLOSED_ROW:
                done = banks[first, _AUTO] + device[PRE_TO_ACT]
                if done > t:
                    rule = states + PRE_IN_AUTO
                    total = _report(rows, counts, total, i, rule, banks[first, _AUTO_BY], done)
                else:
                    notes[CLOSED_PRE] += 1
            banks[first:end:step, _ROW] = _CLOSED_ROW
        else:
            open_banks, after_pre = 0, table[code, AFTER_PRE]
            for bank in range(first, end, step):
                if banks[bank, _ROW] != _CLOSED_ROW:
                    open_banks += 1
                    if after_pre > 0 or code == _PDEP:
                        rule = states + (ALREADY_OPEN if code == _ACT else OPEN_BANK)
                        total = _report(rows, counts, total, i, rule, banks[bank, _OPENED_BY], -1)
                elif after_pre > 0 and banks[bank, _AUTO] + after_pre > t:
                    rule, ready = states + AUTO_UNFINISHED, banks[bank, _AUTO] + after_pre
                    total = _report(rows, counts, total, i, rule, banks[bank, _AUTO_BY], ready)
            if code == _ACT:
                banks[first, _ROW] = command.row if command.row >= 0 else _UNKNOWN_ROW
                banks[first, _OPENED] = t
                banks[first, _OPENED_BY] = i
                banks[first, _AUTO] = NEVER
                banks[first, _AUTO_BY] = NEVER
            elif code in (_PDEA, _PDEP, _SREFEN):
                asleep = _DOWN_ACTIVE if code == _PDEA else _DOWN_PRECHARGED if code == _PDEP else _SELF_REFRESH
                power[rank, 0] = asleep
                power[rank, 1] = i
                if code == _PDEA and open_banks == 0:
                    notes[IDLE_ACTIVE_POWER_DOWN] += 1

        refreshes = code in (_REFA, _REFB, _REFSB)
        if refreshes or code in (_SREFEN, _SREFEX):
            for bank in range(first, end, step):
                gap = t - banks[bank, _REFRESHED]
                if code != _SREFEX and gap > gaps[rank, 0]:  # in self-refresh the device refreshes itself
                    gaps[rank, 0] = gap
                    gaps[rank, 1] = i
                banks[bank, _REFRESHED] = t
            gaps[rank, 2] += 1 if refreshes else 0

    for bank in range(banks.shape[0]):
        rank = bank // banks_per_rank
        gap = now[rank // device[RANKS]] - banks[bank, _REFRESHED]
        if gap > gaps[rank, 0] and power[rank, 0] != _SELF_REFRESH:
            gaps[rank, 0] = gap
            gaps[rank, 1] = -1
    return total


@kernel
def check_data(commands: Any, device: Ints, rows: Ints, counts: Ints) -> int:
    """Bursts on the data bus of a channel (HBM2: of a pseudo-channel) never overlap."""
    n_ranks = device[CHANNELS] * device[RANKS]
    rule, total = counts.shape[0] - len(STATE_RULES) + DATA_BUS, 0
    bursts = np.full((n_ranks, _BURSTS, 2), NEVER)  # a ring of (first cycle, index); lane: the channel's first rank
    seen = np.zeros(n_ranks, np.int64)
    for i in range(commands.shape[0]):
        command = commands[i]
        code = np.int64(command.command)
        if not _RD <= code <= _WRA:
            continue
        latency = device[READ_LATENCY] if code in (_RD, _RDA) else device[WRITE_LATENCY]
        lane = np.int64(command.channel) * device[RANKS] + (command.rank if device[DATA_PER_RANK] else 0)
        begin = command.cycle + latency
        for j in range(_BURSTS):
            if abs(bursts[lane, j, 0] - begin) < device[BURST]:
                free = bursts[lane, j, 0] + device[BURST] - latency
                total = _report(rows, counts, total, i, rule, bursts[lane, j, 1], free)
        place = seen[lane] % _BURSTS
        bursts[lane, place, 0] = begin
        bursts[lane, place, 1] = i
        seen[lane] += 1
    return total
