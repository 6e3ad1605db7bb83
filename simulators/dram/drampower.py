"""Energy as DRAMPower 4 counts it: a channel's commands, replayed through that tool's bookkeeping.

DRAMSys 4.0 hands each command to DRAMPower (tukl-msd/DRAMPower, commit 1ddc48a, CommandAnalysis and
MemoryPowerModel), which keeps a single state for all ranks of a channel. Its deviations from what devices do, all
reproduced here:

1.  The state is charged once per rank, as if every rank were in it: one that sleeps puts all to sleep, one that
    wakes wakes all.
2.  A PREA closes the banks of all ranks. A refresh does so without counting a precharge, and counts as active time
    even while another rank has been active all along.
3.  Active power-down counts the time since the banks were last opened as active. DRAMSys enters it with all banks
    closed (its manager forgets RDA and WRA), when that time has been counted before. Its end restores the banks that
    were open at its start.
4.  Every power-down has the slow exit. Self-refresh begins with a refresh, which is charged even if it had to end
    sooner.
5.  The time that power is averaged over is the sum of what was counted, up to the effect of the last command.

For a single rank that never powers down all of this agrees with the counters of the run.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from archgym.kernel import kernel

from .command_trace import CODE, Commands
from .energy import Activity
from .standards import Standard

Ints = npt.NDArray[np.int64]

NOP, RD, WR, RDA, WRA, ACT, PRE, PREA, REFA = (
    CODE[name] for name in ("NOP", "RD", "WR", "RDA", "WRA", "ACT", "PRE", "PREA", "REFA")
)  # fmt: skip
PDEA, PDXA, PDEP, PDXP, SREFEN, SREFEX = (
    CODE[name] for name in ("PDEA", "PDXA", "PDEP", "PDXP", "SREFEN", "SREFEX")
)  # fmt: skip

# Cycles that the bookkeeping needs.
(
    READ_CLOSE, WRITE_CLOSE, ROW_ACTIVE, REFRESH_OPEN, PRECHARGE, READ_DONE, WRITE_DONE, ACTIVATE_DONE, N_CYCLES,
) = range(9)  # fmt: skip

# Fields of an Activity, in its order.
(
    ACTIVATES, PRECHARGES, READS, WRITES, REFRESHES, ACTIVE, PRECHARGED, ACTIVE_DOWN, PRECHARGED_DOWN, SELF_REFRESH,
    ENTRY_ACTIVE, ENTRY_PRECHARGED, EXIT_ACTIVE, EXIT_PRECHARGED, N_ACTIVITY,
) = range(15)  # fmt: skip


def replay(standard: Standard, commands: Commands, ranks: int) -> Activity:
    """What DRAMPower believes one channel did.

    Args:
        standard: DDR3 or DDR4.
        commands: (n,) all commands of one channel, in order.
        ranks: of the channel.

    Returns:
        Cycles are of the common state: ``energy`` charges them once per rank, with the slow exit.
    """
    if not len(commands):
        return Activity(*[0] * N_ACTIVITY)
    cycles = _cycles(standard)
    group = commands["rank"].astype(np.int64) * standard.bank_groups + commands["bankgroup"]
    bank = group * standard.banks_per_group + commands["bank"]
    banks = ranks * standard.banks
    events = np.empty((2 * len(commands), 3), np.int64)
    cycle, command = (np.ascontiguousarray(commands[name], np.int64) for name in ("cycle", "command"))
    n = _split(cycle, command, bank, cycles, np.zeros(banks, np.int64), events)
    events = events[:n]
    # in order of time; of several at once PRE comes first
    events = events[np.argsort(2 * events[:, 0] + (events[:, 1] != PRE), kind="stable")]
    counts = np.zeros(N_ACTIVITY, np.int64)
    _count(np.ascontiguousarray(events), cycles, np.zeros((2, banks), np.int64), counts)
    return Activity(*counts.tolist())


def _cycles(standard: Standard) -> Ints:
    t, burst = standard.timing, standard.burst_cycles
    out = np.zeros(N_CYCLES, np.int64)
    out[READ_CLOSE] = t.get("AL", 0) + (max(4, t["RTP"]) if standard.family == "DDR3" else t["RTP"])
    out[WRITE_CLOSE] = t["WL"] + burst + t["WR"]
    out[ROW_ACTIVE], out[REFRESH_OPEN], out[PRECHARGE] = t["RAS"], t["RFC"] - t["RP"], t["RP"]
    out[READ_DONE] = t["RL"] + t.get("DQSCK", 0) + 1 + burst
    out[WRITE_DONE], out[ACTIVATE_DONE] = out[WRITE_CLOSE], t["RCD"]
    return out


@kernel
def _split(cycle: Ints, command: Ints, bank: Ints, T: Ints, opened: Ints, out: Ints) -> int:
    """Write (cycle, command, bank) of each command, auto-precharge as a PRE of its own; returns how many."""
    n = 0
    for i in range(len(cycle)):
        what, b = command[i], bank[i]
        if what == ACT:
            opened[b] = cycle[i]
        elif what in (RDA, WRA):
            after = T[READ_CLOSE] if what == RDA else T[WRITE_CLOSE]
            out[n, 0], out[n, 1], out[n, 2] = max(cycle[i] + after, opened[b] + T[ROW_ACTIVE]), PRE, b
            n += 1
            what = RD if what == RDA else WR
        out[n, 0], out[n, 1], out[n, 2] = cycle[i], what, b
        n += 1
    return n


@kernel
def _self_refreshed(cycles: int, T: Ints, N: Ints) -> tuple[int, int]:
    """Account for a self-refresh of some length; returns what is left of its first refresh: active, precharged."""
    active = min(cycles, T[REFRESH_OPEN])
    precharged = min(max(0, cycles - T[REFRESH_OPEN]), T[PRECHARGE])
    N[ENTRY_ACTIVE] += active
    N[ENTRY_PRECHARGED] += precharged
    N[SELF_REFRESH] += max(0, cycles - T[REFRESH_OPEN] - T[PRECHARGE])
    return T[REFRESH_OPEN] - active, T[PRECHARGE] - precharged


@kernel
def _count(events: Ints, T: Ints, is_open: Ints, N: Ints) -> None:
    """Count what sorted events (n, 3) amount to. Rows of ``is_open``: of each bank, now and at power-down."""
    banks = is_open.shape[1]
    n_open = 0
    state = NOP  # or the command that entered a low-power state
    opened_at, closed_at = 0, 0  # closed_at: may lie ahead, during a refresh
    down_at, asleep_at = 0, 0
    for i in range(len(events)):
        now, what, bank = events[i, 0], events[i, 1], events[i, 2]
        if what == RD:
            N[READS] += 1
        elif what == WR:
            N[WRITES] += 1
        elif what == ACT and is_open[0, bank] == 0:
            N[ACTIVATES] += 1
            if n_open == 0:
                opened_at = now
                N[PRECHARGED] += max(0, now - closed_at)
            is_open[0, bank] = 1
            n_open += 1
        elif (what == PRE and is_open[0, bank] == 1) or (what == PREA and n_open > 0):
            closed = 1 if what == PRE else n_open
            N[PRECHARGES] += closed
            n_open -= closed
            if n_open == 0:
                N[ACTIVE] += now - opened_at
                closed_at = now
            if what == PRE:
                is_open[0, bank] = 0
            else:
                for b in range(banks):
                    is_open[0, b] = 0
        elif what == REFA:
            N[REFRESHES] += 1
            N[PRECHARGED] += max(0, now - closed_at)
            N[ACTIVE] += T[REFRESH_OPEN]
            opened_at = now
            closed_at = now + T[REFRESH_OPEN]
            n_open = 0
            for b in range(banks):
                is_open[0, b] = 0
        elif what == PDEA:
            N[ACTIVE] += now - opened_at
            for b in range(banks):
                is_open[1, b] = is_open[0, b]
            state, down_at = PDEA, now
        elif what == PDEP:
            N[PRECHARGED] += max(0, now - closed_at)
            state, down_at = PDEP, now
        elif what == SREFEN:
            N[PRECHARGED] += max(0, now - closed_at)
            state, asleep_at = SREFEN, now
        elif what == PDXA:
            if state == PDEA:
                N[ACTIVE_DOWN] += now - down_at
            state, opened_at = NOP, now
            n_open = 0
            for b in range(banks):
                is_open[0, b] = is_open[1, b]
                n_open += is_open[1, b]
        elif what == PDXP:
            if state == PDEP:
                N[PRECHARGED_DOWN] += now - down_at
            state, closed_at = NOP, now
        elif what == SREFEX:
            active, precharged = _self_refreshed(now - asleep_at, T, N)
            N[EXIT_ACTIVE] += active
            N[EXIT_PRECHARGED] += precharged
            state, closed_at = NOP, now + active + precharged
    last = events[-1, 1]
    done = T[READ_DONE] if last == RD else T[WRITE_DONE] if last == WR else T[ACTIVATE_DONE] if last == ACT else 0
    if last in (PRE, PREA):
        done = T[PRECHARGE]
    end = events[-1, 0] + done - 1
    if state == PDEA:
        N[ACTIVE_DOWN] += max(0, end - down_at)
    elif state == PDEP:
        N[PRECHARGED_DOWN] += max(0, end - down_at)
    elif state == SREFEN:
        _self_refreshed(max(0, end - asleep_at), T, N)
    elif n_open > 0:
        N[ACTIVE] += max(0, end - opened_at)
    else:
        N[PRECHARGED] += max(0, end - closed_at)
