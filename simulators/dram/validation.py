"""Tables measured with DRAMSys 4.0, one run a row, recomputed in compat mode.

Config columns: ``system`` (DDR3, DDR4, LPDDR4 or HBM2 as in `SYSTEMS`, with ``_rbc`` or ``_brc`` for the address map
that DRAMSys ships), ``trace``, the twelve keys of its controller file (`KNOBS`), ``n_requests``, ``burst_bytes`` and
``complete`` (0: the tool ended before the trace did; such rows are skipped). Optional: ``map`` and ``memspec``, names
of JSON files in the traces' folder, and ``clk_mhz``, the trace player's clock (the memory's by default).

Output columns are what the tool prints, of the first channel; with ``_1`` of the second. Times have to be equal to the
picosecond, bandwidths in the two decimals that are printed. An empty cell is not checked, nor is a column that the
table lacks. Rows that answer different questions are counted apart: total time by memory, command multiplexer and
power-down, energy and power by power-down.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from archgym.errors import UnknownNameError, UsageError
from archgym.simulator import Reproduction

from .command_trace import CODE
from .drampower import replay
from .energy import energy
from .mapping import AddressMapping, load_mapping, preset
from .memory import Memory, Policy, Requests, Run, data_cycles, prepare, run
from .reference_files import ReferenceFiles
from .standards import Standard, load_standard

SYSTEMS = {
    "ddr3_1600": "DDR3-1600",
    "ddr4_1866": "DDR4-1866",
    "ddr4_2400": "DDR4-2400",
    "lpddr4_3200": "LPDDR4-3200",
    "hbm2": "HBM2-2000",
}
SCHEMES = {"rbc": "row-bank-column", "brc": "bank-row-column"}
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
OUTPUTS = ("total_time_ns", "bw_gbps", "bw_util_pct", "bw_noidle_gbps", "max_bw_gbps", "energy_pj", "power_mw")
TOLERANCE = {"energy_pj": 1e-3, "power_mw": 2e-3}  # of the rest: none

Row = Mapping[str, str]
