"""Tables measured with Timeloop (commit 4cf6d4c, its own nest analysis, PAT energies), recomputed by our model.

**Model table** (`reproduce_model`): one mapping a row on DRAM, global buffer (GLB) and register files (RF), words of 8
bits. Columns ``<LEVEL>.<W|I|O>.reads|fills|updates|tile|inst|energy_pj``; the first three per instance. What is
compared, under the convention ``timeloop``:

- tiles of all tensors, and reads, fills and updates of W and O, must be equal at every level.
- Inputs differ where the tool bounds halos instead of counting them. Of the 480 published rows ours equals the tool's
  in 473 (RF reads), 441 (RF fills), 382 (GLB reads) and 432 (DRAM reads = GLB fills). Where not, the tool mostly counts
  more, as it reuses no halo across loops outside the innermost and does not share partly overlapping multicasts: up to
  3.4 times ours (GLB), 2.5 times (DRAM), and 1.7 times the multiply-accumulates (RF reads; ours are as many as those).
  In 14, 19 and 3 rows (RF fills, GLB reads, DRAM reads) it counts *less* than is moved, down to a third. Enumeration
  is the judge: the columns ``bf_*`` (195 rows) must be equal. RF reads are never more than the tool's.
- Cycles of a level: the compute cycles over its slowdown, the smallest of 1 and bandwidth over words a cycle, of
  reads and of fills with updates; rounded up, and at the end the largest. That is ``max(compute,
  ceil(words / bandwidth))``, but in floating point the quotient may end just above an integer: one cycle more in 19
  rows. The tool's counts (they hold the inputs) and its order of operations go in; cycles must be equal. What a level
  hands to its parent (drains) counts neither as a read nor as energy there.
- Energies: vectors of a level's block (each of reads, fills and updates rounded up) times the energy of an access, W
  and O from our counts, I from the tool's. ``vector_access_pj`` is printed with two decimals, which may be 1 % off;
  it is taken to more digits from the memory's largest energy in the table, and must round to what is printed.

**Mapper table** (`reproduce_mapper`): the best mapping of a budgeted search for an Eyeriss-like array; PEs with a store
for each tensor, words of 16 bits. Our model counts the row's mapping on the row's hardware; its tiles must fit, and
its cycles and utilisation equal the tool's. The search described DRAM with 8 words a cycle; all rows agree with 4 each
way. Energies of an access are not in the table, so energy and EDP are not compared.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from archgym.simulator import Reproduction

from . import nest
from .mapping_text import from_mapper_text, from_table_row
from .shapes import TENSORS
from .table_rows import Floats, Ints, Row, integer, layer, number, numbers

LEVELS = ("RF", "GLB", "DRAM")
COUNTS = ("reads", "fills", "updates")
MAC_PJ = 0.25  # of 8 bits: the only value with which every total rounds to the one printed
DRAM_BLOCK = 8  # words of an access
# Where the tool bounds the inputs' halos: the largest differences of the published table.
INPUT_TOLERANCE = {"RF.I.reads": 0.4, "RF.I.fills": 0.3, "GLB.I.reads": 2.0, "GLB.I.fills": 0.6, "DRAM.I.reads": 0.6}
ENERGY_TOLERANCE = 1e-3
BRUTE_FORCE = {
    "bf_I.dram.read": (2, nest.INPUT, nest.READS),
    "bf_W.dram.read": (2, nest.WEIGHT, nest.READS),
    "bf_O.dram.update": (2, nest.OUTPUT, nest.UPDATES),
    "bf_O.dram.read": (2, nest.OUTPUT, nest.READS),
    "bf_I.glb.read_multicast": (1, nest.INPUT, nest.READS),
    "bf_W.glb.read_multicast": (1, nest.WEIGHT, nest.READS),
    "bf_I.rf.fill": (0, nest.INPUT, nest.FILLS),
    "bf_W.rf.fill": (0, nest.WEIGHT, nest.FILLS),
    "bf_O.glb.update_reduced": (1, nest.OUTPUT, nest.UPDATES),
    "bf_O.glb.read": (1, nest.OUTPUT, nest.READS),
}
# A search's row is bound by the buffer's reads of overlapping inputs, which the tool bounds: rows counted apart.
HALO_TOLERANCE = 0.15
_MAPPER_BITS = 16
_MAPPER_DRAM_WORDS = 4.0

Pairs = dict[str, tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]]


def reproduce_model(rows: Sequence[Row]) -> Reproduction:
    """Recompute a model table.

    Args:
        rows: header -> text; the key ``""`` holds file and line for messages.

    Raises:
        UsageError: a column is missing or a cell is malformed.
    """
    share = _sharing(len(LEVELS))
    counts, compute, instances = [], [], []
    for row in rows:
        loops, tiles = from_table_row(row).arrays()
        counts.append(nest.count(layer(row), loops, tiles, share, *nest.CONVENTIONS["timeloop"]))
        compute.append(_product(loops, temporal=True))
        instances.append(_product(loops, temporal=False))
    ours = np.array(counts)
    inst = np.ones((len(rows), len(LEVELS), 1))
    inst[:, 0, 0] = instances
    theirs = {name: _per_tensor(rows, name) for name in (*COUNTS, "tile", "inst", "energy_pj")}
    moved = {
        "reads": ours[..., nest.READS] / inst,
        "fills": ours[..., nest.FILLS] / inst,
        "updates": ours[..., nest.UPDATES] / inst,
    }
    columns: Pairs = {}
    for name, values in (*moved.items(), ("tile", ours[..., nest.TILE]), ("inst", np.repeat(inst, 3, axis=2))):
        columns |= _columns(name, theirs[name], values)
    fair = {name: np.where(np.arange(3) == nest.INPUT, theirs[name], moved[name]) for name in COUNTS}
    columns |= _energies(rows, fair, inst, theirs["energy_pj"])
    columns |= _cycles(rows, theirs, np.array(compute, np.float64))
    columns |= _enumerated(rows, ours)
    tolerance = {name: INPUT_TOLERANCE[name] for name in columns if name in INPUT_TOLERANCE}
    tolerance |= {name: ENERGY_TOLERANCE for name in columns if name.endswith("energy_pj")}
    return Reproduction(0, columns, tolerance)


def slowed(compute: Floats, reads: Floats, writes: Floats, bandwidth: Floats) -> Floats:
    """Timeloop's cycles (n,) of a level.

    Args:
        compute: (n,) cycles if nothing stalls.
        reads, writes: (n, 3) words of W, I, O; each go through ports of their own.
        bandwidth: (n,) words a cycle of either.
    """
    slowdown = np.ones(len(compute))
    for words in (reads, writes):
        rate = words[:, 0] / compute + words[:, 1] / compute + words[:, 2] / compute  # one by one, as the tool rounds
        slowdown = np.minimum(slowdown, np.divide(bandwidth, rate, out=np.full(len(rate), np.inf), where=rate > 0))
    return np.ceil(compute / slowdown)


def _sharing(levels: int) -> Ints:
    """hw_i of levels that are unlimited, and whose fan-outs multicast and reduce."""
    hw_i = np.zeros((levels, nest.HW_INTS), np.int64)
    hw_i[:, nest.CAPACITY : nest.SHARED_CAPACITY + 1] = nest.UNLIMITED
    hw_i[:, nest.SHARE : nest.SHARE + 3] = nest.MULTICAST
    return hw_i


def _product(loops: Ints, *, temporal: bool) -> int:
    return int(np.prod(loops[(loops[:, nest.KIND] == nest.TEMPORAL) == temporal, nest.BOUND]))


def _per_tensor(rows: Sequence[Row], name: str) -> Floats:
    """(n, levels, tensors) of a table's columns."""
    return np.stack([np.stack([numbers(rows, f"{l}.{v}.{name}") for v in TENSORS], -1) for l in LEVELS], 1)


def _columns(name: str, theirs: Floats, ours: npt.NDArray[Any]) -> Pairs:
    pairs = {}
    for l, level in enumerate(LEVELS):
        for v, tensor in enumerate(TENSORS):
            pairs[f"{level}.{tensor}.{name}"] = (theirs[:, l, v], np.asarray(ours[:, l, v], np.float64))
    return pairs


def _energies(rows: Sequence[Row], moved: dict[str, Floats], inst: Floats, theirs: Floats) -> Pairs:
    """Energy of each level and tensor, of an access, and of all."""
    blocks = (np.ones(len(rows)), numbers(rows, "glb_block"), np.full(len(rows), float(DRAM_BLOCK)))
    memories: tuple[Callable[[Row], Hashable], ...] = (
        lambda row: row["rf_words"],
        lambda row: (row["glb_kb"], row["glb_block"]),
        lambda row: None,
    )
    pairs: Pairs = {}
    energies = np.zeros_like(theirs)
    for l, level in enumerate(LEVELS):
        block = blocks[l][:, None]
        vectors = inst[:, l] * sum(np.ceil(moved[name][:, l] / block) for name in COUNTS)
        access = _access_pj([memories[l](row) for row in rows], theirs[:, l], vectors)
        energies[:, l] = vectors * access[:, None]
        pairs[f"{level}.vector_access_pj"] = (numbers(rows, f"{level}.vector_access_pj"), np.round(access, 2))
    pairs |= _columns("energy_pj", theirs, energies)
    macs = numbers(rows, "computes")
    total = np.round((energies.sum((1, 2)) + macs * MAC_PJ) * 1e-6, 2)
    pairs["energy_uj"] = (numbers(rows, "energy_uj"), total)
    return pairs


def _access_pj(memories: Sequence[Hashable], energy: Floats, vectors: Floats) -> Floats:
    """Energy of an access (n,), from the largest energy (n, 3) that the table holds of the same memory."""
    best: dict[Hashable, tuple[float, float]] = {}
    for memory, row, counted in zip(memories, energy, vectors, strict=True):
        v = int(np.argmax(row))
        if counted[v] > 0 and row[v] > best.get(memory, (0.0, 0.0))[0]:
            best[memory] = (row[v], row[v] / counted[v])
    return np.array([best.get(memory, (0.0, np.nan))[1] for memory in memories])


def _cycles(rows: Sequence[Row], theirs: dict[str, Floats], compute: Floats) -> Pairs:
    """Cycles from the tool's own counts, and the multiply-accumulates."""
    reads, writes = theirs["reads"], theirs["fills"] + theirs["updates"]
    unlimited = np.full(len(rows), np.inf)
    bandwidths = (unlimited, numbers(rows, "glb_bw_words"), numbers(rows, "dram_bw_words"))
    level = np.stack([slowed(compute, reads[:, l], writes[:, l], bandwidths[l]) for l in range(len(LEVELS))], 1)
    cycles = level.max(1)
    pairs: Pairs = {f"{name}.cycles": (numbers(rows, f"{name}.cycles"), level[:, l]) for l, name in enumerate(LEVELS)}
    pairs["ARITH.cycles"] = (numbers(rows, "ARITH.cycles"), compute)
    pairs["cycles"] = (numbers(rows, "cycles"), cycles)
    macs = np.array([np.prod(layer(row)[:8]) for row in rows], np.float64)
    pairs["computes"] = (numbers(rows, "computes"), macs)
    return pairs


def _enumerated(rows: Sequence[Row], ours: Ints) -> Pairs:
    """Our counts beside those of the enumerated nests; empty cells are not checked."""
    pairs: Pairs = {}
    for name, (level, tensor, counter) in BRUTE_FORCE.items():
        given = [i for i, row in enumerate(rows) if row.get(name, "").strip()]
        if given:
            theirs = np.array([number(rows[i], name) for i in given])
            pairs[name] = (theirs, ours[given, level, tensor, counter].astype(np.float64))
    return pairs


def reproduce_mapper(rows: Sequence[Row]) -> Reproduction:
    """Evaluate the mappings of a search's table on their hardware.

    Raises:
        UsageError: a column is missing, or a cell or mapping is malformed.
    """
    share, words, fits, compute, halo, shapes = _sharing(3), [], [], [], [], []
    for row in rows:
        shape = layer(row)
        loops, tiles = from_mapper_text(row["mapping"]).arrays()
        counts = nest.count(shape, loops, tiles, share, *nest.CONVENTIONS["timeloop"])
        words.append([[counts[l, :, nest.READS], _writes(counts[l])] for l in (1, 2)])
        fits.append(_fits(row, loops, counts))
        compute.append(_product(loops, temporal=True))
        halo.append(max(shape[nest.R], shape[nest.S]) > 1)
        shapes.append(shape)
    moved, busy = np.array(words, np.float64), np.array(compute, np.float64)
    buffer = slowed(busy, moved[:, 0, 0], moved[:, 0, 1], numbers(rows, "glb_bw"))
    memory = slowed(busy, moved[:, 1, 0], moved[:, 1, 1], np.full(len(rows), _MAPPER_DRAM_WORDS))
    cycles = np.maximum(buffer, memory)
    by_reads = moved[:, 0, 0].sum(1) > moved[:, 0, 1].sum(1)
    bound = (buffer > np.maximum(busy, memory)) & np.array(halo) & by_reads
    theirs = numbers(rows, "cycles")
    macs = np.array([np.prod(shape[:8]) for shape in shapes], np.float64)
    used = np.round(100 * macs / (cycles * numbers(rows, "npe")), 2)
    columns: Pairs = {
        "fits": (np.ones(len(rows)), np.array(fits, np.float64)),
        "cycles": (theirs[~bound], cycles[~bound]),
        "utilization": (numbers(rows, "utilization")[~bound], used[~bound]),
    }
    if bound.any():
        columns["cycles halo-bound"] = (theirs[bound], cycles[bound])
    return Reproduction(0, columns, {"cycles halo-bound": HALO_TOLERANCE})


def _writes(counts: Ints) -> Ints:
    return counts[:, nest.FILLS] + counts[:, nest.UPDATES]


def _fits(row: Row, loops: Ints, counts: Ints) -> bool:
    """Whether tiles and parallel loops fit the row's hardware."""
    pe, buffer = counts[0, :, nest.TILE], counts[1, :, nest.TILE]
    spads = [integer(row, name) for name in ("wt", "ifm", "psum")]
    across, down = (int(np.prod(loops[loops[:, nest.KIND] == kind, nest.BOUND])) for kind in (1, 2))
    width = integer(row, "meshx")
    room = integer(row, "glb_depth") * 64 // _MAPPER_BITS
    rows_there = integer(row, "npe") // width
    return bool((pe <= spads).all() and buffer.sum() <= room and across <= width and down <= rows_there)
