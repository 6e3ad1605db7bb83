"""A table measured with MAESTRO (commit 4eb08d1), beside our model of the same dataflows: ranks, not numbers.

The tool's cost differs in kind (steps with pipelining and hops, energy in units of its own, buffers as large as the
dataflow asks for), so only the order of the rows is compared: Spearman's rank correlation of run time, energy and
traffic of the shared buffer (L2) over the rows of a network and dataflow. Rows in which the tool counted another
number of multiply-accumulates than the layer has (``counts_match`` = 0) are skipped.

Our side: a PE's store (L1), L2 and DRAM, exact counts, all on-chip stores unlimited, the directives of a dataflow as
loops; folded over the PEs there are (rounded up). Cycles are the largest of compute, L2's words sent or received over
``noc_bw`` and DRAM's words over ``offchip_bw``; energy is 1 a multiply-accumulate, 1.68 a word of L1, 18.61 of L2
(the tool's constants).

A line of the report, ``runtime rank rs resnet50``, holds the correlation beside 1, so that its error is 1 - rho; the
tolerance keeps it from losing the order altogether. Trends agree; a number of the tool is never ours.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from archgym.errors import UnknownNameError
from archgym.simulator import Reproduction

from . import nest
from .nest import C, G, K, N, P, Q, R, S
from .table_rows import Floats, Ints, Row, cell, integer, layer, number, place

DATAFLOWS = ("kcp_ws", "rs", "yxp_os", "xp_ws")
L1_PJ, L2_PJ = 1.68, 18.61
# 1 - rho that passes. Run time and energy rank loosely where layers are alike in size and the tool's pipeline or
# activity decides; traffic follows from the dataflow alone.
TOLERANCE = {"runtime": 0.5, "energy": 0.55, "traffic": 0.2}
_THEIR_TRAFFIC = ("input_l2_read", "filter_l2_read", "output_l2_read", "output_l2_write")


def reproduce_maestro(rows: Sequence[Row]) -> Reproduction:
    """Rank correlations of a table with our model.

    Args:
        rows: header -> text; the key ``""`` holds file and line for messages.

    Raises:
        UsageError, UnknownNameError: a column is missing, a cell is malformed, or a dataflow is unknown.
    """
    from scipy.stats import spearmanr  # slow to import, and nothing else here needs it

    checked = [row for row in rows if integer(row, "counts_match", 0) == 1]
    groups: dict[str, list[tuple[Floats, Floats]]] = {}
    known: dict[tuple[object, ...], Ints] = {}
    for row in checked:
        pair = (_theirs(row), _ours(row, known))
        groups.setdefault(f"{cell(row, 'dataflow')} {cell(row, 'network')}", []).append(pair)
    columns, tolerance = {}, {}
    for f, figure in enumerate(TOLERANCE):
        for group, pairs in sorted(groups.items()):
            theirs, ours = (np.array([pair[side][f] for pair in pairs]) for side in (0, 1))
            rank = spearmanr(theirs, ours).statistic if len(set(theirs)) > 1 and len(set(ours)) > 1 else np.nan
            columns[f"{figure} rank {group}"] = (np.ones(1), np.array([rank]))
            tolerance[f"{figure} rank {group}"] = TOLERANCE[figure]
    return Reproduction(len(rows) - len(checked), columns, tolerance)


def _theirs(row: Row) -> Floats:
    """Run time, energy, traffic."""
    traffic = sum(number(row, name) for name in _THEIR_TRAFFIC)
    return np.array([number(row, "runtime_cycles"), number(row, "energy_activity"), traffic])


def _ours(row: Row, known: dict[tuple[object, ...], Ints]) -> Floats:
    shape, dataflow, pes = layer(row), cell(row, "dataflow"), integer(row, "num_pes_cfg")
    if dataflow not in DATAFLOWS:
        raise UnknownNameError(f"dataflow at {place(row)}", dataflow, DATAFLOWS)
    loops, tiles = dataflow_loops(dataflow, shape, pes)
    key = (dataflow, pes, *shape.tolist())
    if key not in known:
        share = np.full((3, nest.HW_INTS), nest.MULTICAST, np.int64)
        known[key] = nest.count(shape, loops, tiles, share)
    counts = known[key]
    accesses = counts[:, :, [nest.READS, nest.FILLS, nest.UPDATES, nest.DRAINS]].sum(1)
    sent, received = counts[1, :, nest.READS].sum(), counts[1, :, nest.UPDATES].sum()
    outside = accesses[2].sum()
    compute = np.prod(loops[loops[:, nest.KIND] == nest.TEMPORAL, nest.BOUND])
    on_chip, off_chip = integer(row, "noc_bw"), integer(row, "offchip_bw")
    cycles = max(compute, -(-max(sent, received) // on_chip), -(-outside // off_chip))
    energy = np.prod(shape[:8]) + L1_PJ * accesses[0].sum() + L2_PJ * accesses[1].sum()
    return np.array([cycles, energy, sent + received], np.float64)


def dataflow_loops(dataflow: str, shape: Ints, pes: int) -> tuple[Ints, Ints]:
    """A dataflow's directives as loops (n, 4) and tiles (3, 3) over L1, L2, DRAM.

    Args:
        dataflow: kcp_ws (NVDLA-like, clusters of 64 share the input channels; depthwise layers: groups in parallel),
            rs (Eyeriss-like, clusters of R), yxp_os (ShiDianNao-like, clusters of 8 columns) or xp_ws.
        shape: (16,) layer.
        pes: PEs there are.
    """
    size = {d: int(shape[d]) for d in range(8)}
    outer: list[tuple[int, int]] = [(N, size[N])]
    inner = [(R, size[R]), (S, size[S])]
    across: list[tuple[int, int]]
    if dataflow == "kcp_ws" and size[K] == size[C] == 1:
        across = [(G, min(size[G], pes))]
        outer += [(G, _folds(size[G], across[0][1])), (P, size[P]), (Q, size[Q])]
    elif dataflow == "kcp_ws":
        across = [(K, min(size[K], max(1, pes // 64))), (C, min(size[C], 64))]
        outer += [(G, size[G]), (K, _folds(size[K], across[0][1])), (C, _folds(size[C], across[1][1]))]
        outer += [(P, size[P]), (Q, size[Q])]
    elif dataflow == "rs":
        across = [(P, min(size[P], max(1, pes // size[R]))), (R, size[R])]
        filters = min(16, size[K])
        outer += [(P, _folds(size[P], across[0][1])), (Q, size[Q]), (G, size[G]), (C, size[C])]
        outer += [(K, _folds(size[K], filters))]
        inner = [(K, filters), (S, size[S])]
    elif dataflow == "yxp_os":
        across = [(P, min(size[P], max(1, pes // 8))), (Q, min(size[Q], 8))]
        outer += [(G, size[G]), (K, size[K]), (C, size[C])]
        outer += [(P, _folds(size[P], across[0][1])), (Q, _folds(size[Q], across[1][1]))]
    else:
        across = [(Q, min(size[Q], pes))]
        outer += [(G, size[G]), (K, size[K]), (C, size[C]), (P, size[P]), (Q, _folds(size[Q], across[0][1]))]
    loops = [(d, bound, nest.TEMPORAL, 1) for d, bound in outer]
    loops += [(d, bound, kind, 1) for kind, (d, bound) in enumerate(across, start=nest.SPATIAL_X)]
    tiles = np.array([[len(loops)] * 3, [0] * 3, [0] * 3], np.int64)
    loops += [(d, bound, nest.TEMPORAL, 0) for d, bound in inner]
    return np.array(loops, np.int64), tiles


def _folds(size: int, lanes: int) -> int:
    return -(-size // lanes)
