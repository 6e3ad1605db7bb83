"""Tables measured with other tools or by enumeration, recognised by their columns and recomputed.

| table | what is compared | our side |
|---|---|---|
| brute force | every counter of enumerated nests, equal | exact and bounding sets, delta and refill |
| Timeloop, fixed mappings | counts, cycles, energies | convention ``timeloop``, see `timeloop_tables` |
| Timeloop, a search's best | cycles and utilisation of the row's mapping | convention ``timeloop`` |
| ZigZag, fixed mappings | everything that it prints, as printed | `zigzag`; DRAM words by the nest analysis too |
| MAESTRO | ranks | exact counts of its dataflows, see `maestro_table` |

ZigZag's hardware is another table, ``zigzag_hardware.csv`` (or ``.csv.gz``), in the folder of the first. Lines
``nest.*`` are the nest analysis under ``zigzag-3.9`` where a mapping is one list of loops (`to_loops`; 1162 of the 1405
published rows): DRAM's words must be equal. They are not (line ``diagonal``) where moving to the next output row and
back to the first filter row leaves the same input rows in a buffer: the tool sends them again, the nest analysis
does not. This takes a stride above 1 and tiles of one row; 4 published rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from archgym.errors import UnknownNameError, UsageError
from archgym.reference_rows import read_table
from archgym.simulator import Reproduction

from . import nest
from .maestro_table import reproduce_maestro
from .mapping_text import TABLE_COLUMNS, from_table_row
from .shapes import TENSORS
from .table_rows import SIZES, Ints, Row, cell, integer, layer, place
from .timeloop_tables import COUNTS, LEVELS, reproduce_mapper, reproduce_model
from .zigzag_loops import to_loops
from .zigzag_tables import Pairs, read_hardware, read_layer, read_mapping, reproduce_zigzag

_SETS = {"exact": nest.EXACT, "bbox": nest.BOX}
_POLICIES = {"delta": nest.DELTA, "refill": nest.REFILL}
_RF, _GLB, _DRAM = range(3)
# Column of a brute-force table -> level, tensor, counter; those marked alone with a fan-out that shares nothing.
_COUNTERS = {
    "W.glb.fill": (_GLB, nest.WEIGHT, nest.FILLS),
    "W.dram.read": (_DRAM, nest.WEIGHT, nest.READS),
    "I.glb.fill": (_GLB, nest.INPUT, nest.FILLS),
    "I.dram.read": (_DRAM, nest.INPUT, nest.READS),
    "O.glb.fill": (_GLB, nest.OUTPUT, nest.FILLS),
    "O.dram.read": (_DRAM, nest.OUTPUT, nest.READS),
    "O.glb.drain": (_GLB, nest.OUTPUT, nest.DRAINS),
    "O.dram.update": (_DRAM, nest.OUTPUT, nest.UPDATES),
    "W.rf.fill": (_RF, nest.WEIGHT, nest.FILLS),
    "W.glb.read_multicast": (_GLB, nest.WEIGHT, nest.READS),
    "I.rf.fill": (_RF, nest.INPUT, nest.FILLS),
    "I.glb.read_multicast": (_GLB, nest.INPUT, nest.READS),
    "O.rf.fill": (_RF, nest.OUTPUT, nest.FILLS),
    "O.glb.read": (_GLB, nest.OUTPUT, nest.READS),
    "O.rf.drain": (_RF, nest.OUTPUT, nest.DRAINS),
    "O.glb.update_reduced": (_GLB, nest.OUTPUT, nest.UPDATES),
    "W.rf.read": (_RF, nest.WEIGHT, nest.READS),
    "I.rf.read": (_RF, nest.INPUT, nest.READS),
    "O.rf.update": (_RF, nest.OUTPUT, nest.UPDATES),
    **{f"{v}.tile_rf": (_RF, t, nest.TILE) for t, v in enumerate(TENSORS)},
    **{f"{v}.tile_glb": (_GLB, t, nest.TILE) for t, v in enumerate(TENSORS)},
    **{f"{v}.tensor": (_DRAM, t, nest.TILE) for t, v in enumerate(TENSORS)},
}
_ALONE = {
    "W.glb.read_unicast": (_GLB, nest.WEIGHT, nest.READS),
    "I.glb.read_unicast": (_GLB, nest.INPUT, nest.READS),
    "O.glb.update_nored": (_GLB, nest.OUTPUT, nest.UPDATES),
}
_DIAGONAL_TOLERANCE = 0.5  # of the published rows the largest is 0.33: two of three input rows are new


def reproduce(rows: Sequence[Row], folder: Path | None = None) -> Reproduction:
    """Recompute a table.

    Args:
        rows: header -> text; the key ``""`` holds file and line.
        folder: where other tables that this one needs lie; the table's own folder by default.

    Raises:
        UsageError: no known kind of table, a cell is malformed, or a table that this one needs is not there.
    """
    if not rows:
        return Reproduction(0, {}, {})
    return _KINDS[_kind(rows[0])][1](rows, folder)


def _kind(row: Row) -> str:
    """Which kind of table has this header."""
    missing = {kind: [name for name in needed if name not in row] for kind, (needed, _) in _KINDS.items()}
    known = next((kind for kind, names in missing.items() if not names), None)
    if known is not None:
        return known
    closest = min(missing, key=lambda kind: len(missing[kind]) / len(_KINDS[kind][0]))
    raise UsageError(
        f"{place(row)}: expected the columns of a table of {', '.join(_KINDS)}; got none of them, the closest is "
        f"{closest}, without its columns {', '.join(missing[closest])}"
    )


def _brute_force(rows: Sequence[Row], folder: Path | None) -> Reproduction:
    """Every counter that the table has."""
    counted: dict[bool, list[Ints]] = {True: [], False: []}
    totals = []
    for row in rows:
        rule = _named(row, "set_mode", _SETS), _named(row, "policy", _POLICIES)
        loops, tiles = from_table_row(row).arrays()
        shape = layer(row)
        for shares, found in counted.items():
            hw_i = np.full((len(tiles), nest.HW_INTS), nest.MULTICAST if shares else nest.NO_SHARE, np.int64)
            found.append(nest.count(shape, loops, tiles, hw_i, *rule))
        spatial = loops[:, nest.KIND] != nest.TEMPORAL
        bounds = loops[:, nest.BOUND]
        totals.append((np.prod(shape[:8]), np.prod(bounds[~spatial]), np.prod(bounds[spatial])))
    columns: Pairs = {}
    for counters, shares in ((_COUNTERS, True), (_ALONE, False)):
        ours = np.array(counted[shares])
        for name, (level, tensor, counter) in counters.items():
            if name in rows[0]:
                columns[name] = (_whole(rows, name), ours[:, level, tensor, counter])
    for name, total in zip(("macs", "cycles", "pes"), np.array(totals).T, strict=True):
        if name in rows[0]:
            columns[name] = (_whole(rows, name), total)
    return Reproduction(0, columns, {})


def _whole(rows: Sequence[Row], name: str) -> Ints:
    return np.array([integer(row, name, 0) for row in rows], np.int64)


def _named(row: Row, name: str, known: dict[str, int]) -> int:
    text = cell(row, name)
    if text not in known:
        raise UnknownNameError(f"value of column {name} at {place(row)}", text, known)
    return known[text]


def _zigzag(rows: Sequence[Row], folder: Path | None) -> Reproduction:
    hardware_rows = _hardware_rows(rows[0], folder)
    columns, tolerance = reproduce_zigzag(rows, hardware_rows)
    known = read_hardware(hardware_rows)
    pairs: dict[str, tuple[list[int], list[int]]] = {}
    for row in rows:
        hardware = known[row["hw_id"]]
        try:
            shape, loops, tiles = to_loops(read_layer(row), hardware, read_mapping(row, hardware))
        except UsageError:
            continue  # not one list of loops: what the nest analysis cannot say, `zigzag` has said
        share = np.full((len(tiles), nest.HW_INTS), nest.MULTICAST, np.int64)
        counts = nest.count(shape, loops, tiles, share, *nest.CONVENTIONS["zigzag-3.9"])[-1]
        returns = " diagonal" if _same_rows_again(shape, loops, tiles) else ""
        for name, tensor, counter, position in (
            ("W.dram.read", nest.WEIGHT, nest.READS, 0),
            (f"I.dram.read{returns}", nest.INPUT, nest.READS, 0),
            ("O.dram.read", nest.OUTPUT, nest.READS, 0),
            ("O.dram.update", nest.OUTPUT, nest.UPDATES, 1),
        ):
            theirs, ours = pairs.setdefault(f"nest.{name}", ([], []))
            theirs.append(int(row[f"elems_{TENSORS[tensor]}"].split("|")[-1].split("/")[position]))
            ours.append(int(counts[tensor, counter]))
    columns |= {name: (np.array(theirs), np.array(ours)) for name, (theirs, ours) in pairs.items()}
    tolerance |= {name: _DIAGONAL_TOLERANCE for name in columns if name.endswith("diagonal")}
    return Reproduction(0, columns, tolerance)


def _hardware_rows(row: Row, folder: Path | None) -> list[dict[str, str]]:
    here = folder if folder is not None else Path(place(row).rpartition(":")[0]).parent
    for name in ("zigzag_hardware.csv", "zigzag_hardware.csv.gz"):
        if (here / name).is_file():
            return read_table(here / name)
    raise UsageError(f"{place(row)}: expected the table's hardware as zigzag_hardware.csv in {here}, found none")


def _same_rows_again(shape: Ints, loops: Ints, tiles: Ints) -> bool:
    """Whether a step leaves the inputs below DRAM where they are, though it moves over output and filter rows.

    Such a step increments one loop, and the resets of those inside it take all of that back.
    """
    below = next((start for start in tiles[-2::-1, nest.INPUT].tolist() if start >= 0), 0)
    moves = []  # (dimension, bound, input rows or columns that one iteration moves by)
    inside = np.ones(8, np.int64)
    for dim, bound, kind, _ in loops[::-1].tolist():
        scale = shape[nest.DILATION + dim % 2] if dim >= nest.R else shape[nest.STRIDE + dim % 2]
        if kind == nest.TEMPORAL and bound > 1:
            moves.append((dim, bound, int(inside[dim] * scale)))
        inside[dim] *= bound
    outside = sum(1 for _, bound, kind, _ in loops[:below].tolist() if kind == nest.TEMPORAL and bound > 1)
    moves = moves[::-1][:outside]
    for j, (dim, _, step) in enumerate(moves):
        if dim < nest.P or any(inner in (nest.N, nest.G, nest.C) for inner, _, _ in moves[j + 1 :]):
            continue
        change = [0, 0]
        change[dim % 2] += step
        for inner, bound, back in moves[j + 1 :]:
            if inner >= nest.P:
                change[inner % 2] -= (bound - 1) * back
        if change == [0, 0]:
            return True
    return False


_KINDS: dict[str, tuple[tuple[str, ...], Callable[[Sequence[Row], Path | None], Reproduction]]] = {
    "enumerated nests": (
        (*SIZES, "G", "stride", "dilation", *TABLE_COLUMNS, "set_mode", "policy"),
        _brute_force,
    ),
    "Timeloop models": (
        (
            *SIZES, "stride", "rf_words", "glb_kb", "glb_block", "glb_bw_words", "dram_bw_words", *TABLE_COLUMNS,
            *(f"{l}.{v}.{name}" for l in LEVELS for v in TENSORS for name in (*COUNTS, "tile", "inst", "energy_pj")),
        ),
        lambda rows, folder: reproduce_model(rows),
    ),
    "Timeloop searches": (
        (*SIZES, "stride", "npe", "meshx", "psum", "wt", "ifm", "glb_depth", "glb_bw", "mapping", "cycles"),
        lambda rows, folder: reproduce_mapper(rows),
    ),
    "ZigZag mappings": (
        (*SIZES, "G", "stride", "dilation", "hw_id", "spatial", *(f"temporal_{v}" for v in TENSORS)),
        _zigzag,
    ),
    "MAESTRO dataflows": (
        (*SIZES, "G", "stride", "network", "dataflow", "num_pes_cfg", "noc_bw", "offchip_bw", "runtime_cycles"),
        lambda rows, folder: reproduce_maestro(rows),
    ),
}  # fmt: skip
