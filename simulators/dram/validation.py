"""Tables measured with DRAMSys 4.0, one run a row, recomputed in compat mode.

Config columns: ``system`` (the memory, one of `SYSTEMS`; ``_rbc`` or ``_brc`` after it is the address map that DRAMSys
ships for it), ``trace``, the twelve keys of its controller file (`KNOBS`), ``n_requests``, ``burst_bytes`` and
``complete`` (0: the tool ended before the trace did; such rows are skipped). Optional: ``map`` and ``memspec``, files
beside the traces, and ``clk_mhz``, the trace player's clock (the memory's by default).

Output columns are those of `printout`, with ``_1`` of the second channel. Times must be equal to the picosecond and
bandwidths in the two decimals that are printed. An empty cell is not checked, nor a column that the table lacks.
Rows are counted apart where the tool is another one in effect: total time by memory, command multiplexer and
power-down; energy and power by power-down.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from archgym.errors import UnknownNameError, UsageError
from archgym.simulator import Reproduction
from archgym.trace import Trace

from .mapping import AddressMapping, preset
from .memory import Memory, Policy, Requests, prepare, run
from .printout import PRINTED, printout
from .reference_files import ReferenceFiles
from .standards import Standard, load_standard

SYSTEMS = {
    "ddr3_1600": "DDR3-1600",
    "ddr4_1866": "DDR4-1866",
    "ddr4_2400": "DDR4-2400",
    "lpddr4_3200": "LPDDR4-3200",
    "hbm2": "HBM2-2000",
}
SCHEMES = {"_rbc": "row-bank-column", "_brc": "bank-row-column"}
KNOBS = {
    "PagePolicy": "page_policy",
    "Scheduler": "scheduler",
    "SchedulerBuffer": "buffer",
    "RequestBufferSize": "buffer_size",
    "CmdMux": "command_mux",
    "RespQueue": "response_queue",
    "RefreshPolicy": "refresh",
    "RefreshMaxPostponed": "max_postponed",
    "RefreshMaxPulledin": "max_pulled_in",
    "PowerDownPolicy": "power_down",
    "Arbiter": "arbiter",
    "MaxActiveTransactions": "max_active",
}
# Relative; 0 where absent. Commands whose order within an instant is the event queue's may change the energy of idle
# time; of HBM2, the start of the idle time at the end is known to a cycle.
TOLERANCE = {"energy_pj": 1e-3, "power_mw": 2e-3, "bw_noidle_gbps HBM2": 1e-3}

Row = Mapping[str, str]


def reproduce(rows: Sequence[Row], traces: Path | None = None) -> Reproduction:
    """Recompute the complete rows of a table.

    Args:
        rows: header -> text; the key ``""`` holds file and line for messages.
        traces: folder of the traces, maps and memory specifications that the rows name, see `ReferenceFiles`.

    Raises:
        UsageError: a config column is missing or holds something else than expected, a file is not found, or another
            trace than the measured one is; names the line.
    """
    files = ReferenceFiles(traces)
    checked = [row for row in rows if _integer(row, "complete", "01") == 1]
    columns: dict[str, tuple[list[float], list[float]]] = {}
    for row in checked:
        for name, ours in _figures(row, files).items():
            if row.get(name, "").strip():
                theirs_all, ours_all = columns.setdefault(_line(name, row), ([], []))
                theirs_all.append(_number(row, name))
                ours_all.append(ours)
    order = sorted(columns, key=lambda line: (PRINTED.index(_figure(line)), line))
    compared = {line: (np.array(columns[line][0]), np.array(columns[line][1])) for line in order}
    tolerance = {line: TOLERANCE.get(line, TOLERANCE.get(_figure(line), 0.0)) for line in compared}
    return Reproduction(len(rows) - len(checked), compared, tolerance)


def _figures(row: Row, files: ReferenceFiles) -> dict[str, float]:
    """Output column -> our figure; nan for all if the controllers block each other."""
    memory, trace, policy = _memory(row, files), _trace(row, files), _policy(row)
    requests = _prepared(trace, memory)
    try:
        result = run(memory, policy, requests, record=None)
    except UsageError as error:
        raise UsageError(f"{row['']}: {error}") from None
    if not result.finished_all:
        return dict.fromkeys(PRINTED, np.nan)
    channels = printout(result, requests, policy)
    suffixes = ("", *(f"_{channel}" for channel in range(1, memory.channels)))
    return {name + suffix: out[name] for suffix, out in zip(suffixes, channels, strict=True) for name in out}


def _line(name: str, row: Row) -> str:
    """The line of the report in which a figure is counted."""
    memory, asleep = row["system"].partition("_")[0], _cell(row, "PowerDownPolicy") == "Staggered"
    group = ""
    if name.startswith(("energy", "power")):
        group = " Staggered" if asleep else ""
    elif name == "total_time_ns":
        group = f" DDR3/DDR4 {_cell(row, 'CmdMux')}" if memory in ("ddr3", "ddr4") else " LPDDR4/HBM2"
        group = " Staggered" if asleep else group
    elif name == "bw_noidle_gbps" and memory == "hbm2":
        group = " HBM2"
    return name + group


def _figure(line: str) -> str:
    """The printed figure that a line counts."""
    return line.partition(" ")[0].removesuffix("_1")


def _memory(row: Row, files: ReferenceFiles) -> Memory:
    standard, scheme = _standard(row, files)
    ranks = standard.ranks
    name = row.get("map", "").strip()
    mapping: AddressMapping | None
    if name:
        mapping = files.mapping(name)
        if mapping is None:
            raise UsageError(f"{row['']}: map '{name}': expected {name}.json beside the traces, found none")
    elif scheme:
        mapping = preset(scheme, standard, channels=standard.channels, ranks=ranks)
    else:
        raise UsageError(f"{row['']}: expected a column map, or a system that ends in {' or '.join(SCHEMES)}")
    if _integer(row, "burst_bytes") != standard.bytes_per_burst:
        raise UsageError(f"{row['']}: burst_bytes: expected {standard.bytes_per_burst}, got {row['burst_bytes']}")
    try:
        return Memory(standard, mapping, standard.channels, ranks, compat=True)
    except UsageError as error:
        raise UsageError(f"{row['']}: {error}") from None


def _standard(row: Row, files: ReferenceFiles) -> tuple[Standard, str]:
    """The memory and the scheme of its address map, "" if the system's name has none."""
    system, memspec = _cell(row, "system"), row.get("memspec", "").strip()
    scheme = next((suffix for suffix in SCHEMES if system.endswith(suffix)), "")
    standard = files.standard(memspec) if memspec else None
    if standard is None:
        name = system.removesuffix(scheme)
        if name not in SYSTEMS:
            raise UnknownNameError(f"system at {row['']}", name, SYSTEMS)
        standard = load_standard(SYSTEMS[name])
    return standard, SCHEMES.get(scheme, "")


def _trace(row: Row, files: ReferenceFiles) -> Trace:
    standard, _ = _standard(row, files)
    clock = _number(row, "clk_mhz") if row.get("clk_mhz", "").strip() else standard.clock_mhz
    try:
        trace = files.trace(_cell(row, "trace"), clock)
    except UsageError as error:
        raise UsageError(f"{row['']}: {error}") from None
    if len(trace) != _integer(row, "n_requests"):
        raise UsageError(f"{row['']}: n_requests: expected {len(trace)} of '{trace.name}', got {row['n_requests']}")
    return trace


def _policy(row: Row) -> Policy:
    values = {
        field: _cell(row, column) if isinstance(getattr(Policy, field), str) else _integer(row, column)
        for column, field in KNOBS.items()
    }
    try:
        return Policy(**values)  # type: ignore[arg-type]
    except UsageError as error:
        raise UsageError(f"{row['']}: {error}") from None


@lru_cache(maxsize=32)
def _prepared(trace: Trace, memory: Memory) -> Requests:
    return prepare(trace, memory)


def _cell(row: Row, name: str) -> str:
    if name not in row:
        raise UsageError(f"{row['']}: this is no DRAMSys reference table, column '{name}' is missing")
    return row[name].strip()


def _integer(row: Row, name: str, choices: str = "") -> int:
    text = _cell(row, name)
    if not text.isdecimal() or (choices and text not in choices):
        expected = " or ".join(choices) if choices else "an integer from 0"
        raise UsageError(f"{row['']}: column '{name}': expected {expected}, got '{text}'")
    return int(text)


def _number(row: Row, name: str) -> float:
    text = _cell(row, name)
    try:
        return float(text)
    except ValueError:
        raise UsageError(f"{row['']}: column '{name}': expected a number, got '{text}'") from None
