"""What DRAMSys 4.0 prints at the end of a run, from a run in compat mode."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from . import controller as k
from .command_trace import CODE
from .drampower import replay
from .energy import energy
from .memory import Policy, Requests, Run, data_cycles

Ints = npt.NDArray[np.int64]

PRINTED = ("total_time_ns", "bw_gbps", "bw_util_pct", "bw_noidle_gbps", "max_bw_gbps", "energy_pj", "power_mw")


def printout(result: Run, requests: Requests, policy: Policy) -> list[dict[str, float]]:
    """The tool's figures, one mapping per channel, rounded as it prints them.

    "AVG BW" counts the bursts whose response was taken, "AVG BW\\IDLE" leaves out the time in which the channel held
    no request. Without figures are energy and power of a memory that has no currents, and the bandwidth without idle
    time of channels but the first (the run does not say when they held requests).

    Args:
        result: a finished run in compat mode with all its commands.
        requests, policy: what was run.
    """
    assert result.finished_all
    assert len(result.commands) == int(result.counters[k.N_COMMANDS])
    memory, standard = result.memory, result.memory.standard
    total = result.time_ps
    peak = 1000 / standard.tck_ps * standard.data_rate * standard.width * standard.devices
    channels = []
    for channel in range(memory.channels):
        taken, last_ps = _responses(channel, result, requests, policy)
        busy = taken * standard.burst_cycles * standard.tck_ps
        out = {
            "total_time_ns": total / 1000,
            "bw_gbps": round(busy / total * peak, 2),
            "bw_util_pct": round(busy / total * 100, 2),
            "max_bw_gbps": round(peak, 2),
        }
        if channel == 0:
            idle = int(result.counters[k.IDLE]) * result.tick_ps + max(0, total - last_ps)
            out["bw_noidle_gbps"] = round(busy / (total - idle) * peak, 2)
        if standard.power is not None:
            done = replay(standard, result.commands[result.commands["channel"] == channel], memory.ranks)
            spent = energy(standard, done, ranks=memory.ranks, slow_exit=True)
            assert spent is not None
            out["energy_pj"] = round(spent.total * 1e12, 2)
            out["power_mw"] = round(spent.total * 1e12 / (done.cycles * standard.clock_ns), 2)
        channels.append(out)
    return channels


def _responses(channel: int, result: Run, requests: Requests, policy: Policy) -> tuple[int, int]:
    """How many responses of a channel were taken, and when the last of them was, ps."""
    mine = np.flatnonzero(requests.table[:, k.Q_CHANNEL] == channel)
    if not len(mine):
        return 0, 0
    if policy.arbiter == "Simple":  # the trace player takes it, and the last one of all no more
        end = int(result.finished[mine].max())
        over = end == int(result.counters[k.TIME])
        return len(mine) - over, end * result.tick_ps
    return len(mine), _last_response(channel, result, policy)


def _last_response(channel: int, result: Run, policy: Policy) -> int:
    """When the controller passed its last response to a queueing arbiter, ps: one a cycle, when the data are there."""
    standard = result.memory.standard
    read, write = data_cycles(standard)
    commands = result.commands[result.commands["channel"] == channel]
    reads = np.isin(commands["command"], (CODE["RD"], CODE["RDA"]))
    writes = np.isin(commands["command"], (CODE["WR"], CODE["WRA"]))
    data = (commands["cycle"] + np.where(reads, read, write))[reads | writes]
    if policy.response_queue == "Reorder":
        data = data[np.argsort(commands["request"][reads | writes])]
    return int((data + np.arange(len(data) - 1, -1, -1)).max()) * standard.tck_ps
