"""Mappings from text: blocks of an even mapping, a nest with boundaries, and the notations of reference tables.

Loops are written ``<dimension><bound>``, outer to inner and separated by spaces: ``"K2 P3"``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping as MappingABC
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from archgym.errors import UnknownNameError, UsageError

from .mapping import BYPASS, KINDS, Loop, Mapping
from .shapes import TENSORS

TABLE_COLUMNS: Final = ("dram_temporal", "glb_temporal", "glb_spatial", "rf_temporal")
# Memories of the mapper's table from the outside; each spad holds one tensor, and together they are level 0.
_MAPPER_LEVELS = ("DRAM", "GlobalBuffer", "InputRegFile", "WeightRegFile", "PsumRegFile")
_SPAD_OF = {"I": "InputRegFile", "W": "WeightRegFile", "O": "PsumRegFile"}
_TERM = re.compile(r"([NGKCPQRS])([1-9][0-9]{0,9})(?:@([^:]+)(?::(.+))?)?")


@dataclass(frozen=True, slots=True)
class Block:
    """What one level adds to an even mapping.

    Args:
        level: its name.
        temporal: loops over the tiles that the next inner level holds, as text.
        x, y: loops in parallel over the fan-out below the level.
        bypass: letters of the tensors that the level does not hold, such as ``"W"``.
    """

    level: str
    temporal: str = ""
    x: str = ""
    y: str = ""
    bypass: str = ""


def even(blocks: Sequence[Block]) -> Mapping:
    """An even mapping from the blocks of its levels, outermost first.

    Order of the loops: temporal, X, Y of the outermost level, then of the next. The tile of a level spans its
    block and all further in.

    Raises:
        UsageError: a text is not made of loops such as ``K2``; the message begins with ``<level>.<field>``.
    """
    loops: list[Loop] = []
    tiles = []
    for level, block in zip(reversed(range(len(blocks))), blocks, strict=True):
        if not set(block.bypass) <= set(TENSORS):
            raise UsageError(f"{block.level}.bypass: expected letters out of W, I, O, got {block.bypass!r}")
        tiles.append(tuple(BYPASS if v in block.bypass else len(loops) for v in TENSORS))
        for field, text, kind in zip(("temporal", "x", "y"), (block.temporal, block.x, block.y), KINDS, strict=True):
            for dim, bound, axis, _ in _terms(f"{block.level}.{field}", text):
                if axis:
                    raise UsageError(f"{block.level}.{field}: expected loops such as K2, got {dim}{bound}@{axis}")
                loops.append(Loop(dim, bound, kind, level))
    return Mapping(tuple(block.level for block in reversed(blocks)), tuple(loops), tuple(reversed(tiles)))


def uneven(level_names: Sequence[str], nest: str, tiles: MappingABC[str, MappingABC[str, int]]) -> Mapping:
    """A mapping with boundaries of its own for each tensor.

    Args:
        level_names: innermost first.
        nest: loops outer to inner, such as ``"C4 K2@X:GLB P3"``; ``@X:GLB``: along X of the fan-out below GLB.
        tiles: tensor -> level name -> number of loops outside the tile; levels left out are bypassed.

    A temporal loop counts to the innermost level that has it in a tile.

    Raises:
        UsageError: a loop or a number is malformed; UnknownNameError: a tensor or level is unknown.
    """
    names = list(level_names)
    for v, starts in tiles.items():
        for kind, name, known in (("tensor", v, TENSORS), *(("level", name, names) for name in starts)):
            if name not in known:
                raise UnknownNameError(kind, name, known)
    rows = [tuple(tiles.get(v, {}).get(name, BYPASS) for v in TENSORS) for name in names]
    loops = []
    for index, (dim, bound, axis, above) in enumerate(_terms("nest", nest)):
        if axis and above not in names:
            raise UnknownNameError("level", str(above), names)
        spanning = (level for level, row in enumerate(rows) if any(0 <= start <= index for start in row))
        level = names.index(above) if above else next(spanning, len(names) - 1)
        loops.append(Loop(dim, bound, axis or "temporal", level))
    return Mapping(tuple(names), tuple(loops), tuple(rows))


def from_table_row(row: MappingABC[str, Any]) -> Mapping:
    """The mapping of a row of a brute-force or timeloop-model table (columns `TABLE_COLUMNS`).

    Levels RF, GLB, DRAM, each with all tensors; one fan-out, below GLB, on one axis (X). Cells may be empty
    (text, None or NaN).

    Raises:
        UsageError: a column is missing, or a cell is not made of loops.
    """
    texts = []
    for column in TABLE_COLUMNS:
        if column not in row:
            raise UsageError(f"expected the columns {', '.join(TABLE_COLUMNS)}, got no {column}")
        texts.append(row[column] if isinstance(row[column], str) else "")
    dram, glb, spatial, rf = texts
    return even([Block("DRAM", dram), Block("GLB", glb, x=spatial), Block("RF", rf)])


def from_mapper_text(text: str) -> Mapping:
    """The mapping in a timeloop-mapper table: ``DRAM: Q7 C4|GlobalBuffer: K4 K3@Y C3@X|InputRegFile: |...``.

    Levels PE, GlobalBuffer, DRAM. The three spads of a PE hold one tensor each and are nested for the tool:
    a (temporal) loop of WeightRegFile is inside the tiles of inputs and weights and outside that of the outputs.
    Together they are our level PE with boundaries per tensor. Weights bypass the global buffer.

    Raises:
        UsageError: other levels, another order of them, or a malformed loop.
    """
    blocks = [part.partition(":") for part in text.split("|")]
    names = tuple(name.strip() for name, _, _ in blocks)
    if names != _MAPPER_LEVELS:
        raise UsageError(f"expected the levels {', '.join(_MAPPER_LEVELS)} in this order, got {', '.join(names)}")
    loops: list[Loop] = []
    starts = {}
    for level, (name, (_, _, nest)) in zip((2, 1, 0, 0, 0), zip(names, blocks, strict=True), strict=True):
        starts[name] = len(loops)
        terms = _terms(name, nest)
        if level != 1 and any(axis for _, _, axis, _ in terms):
            raise UsageError(
                f"{name}: expected temporal loops (the fan-out is below GlobalBuffer), got {nest.strip()!r}"
            )
        # Whatever the order in the text, a level's temporal loops run over what its parallel ones share out.
        loops += sorted((Loop(dim, bound, axis or "temporal", level) for dim, bound, axis, _ in terms), key=_spatial)
    pe = tuple(starts[_SPAD_OF[v]] for v in TENSORS)
    buffer = starts["GlobalBuffer"]
    return Mapping(("PE", "GlobalBuffer", "DRAM"), tuple(loops), (pe, (BYPASS, buffer, buffer), (0, 0, 0)))


def _spatial(loop: Loop) -> bool:
    return loop.kind != "temporal"


def _terms(where: str, text: str) -> list[tuple[str, int, str | None, str | None]]:
    """(dimension, bound, axis, level name) of each loop; the last two None where they are not written."""
    terms = []
    for term in text.split():
        match = _TERM.fullmatch(term)
        if not match or match[3] not in (None, *KINDS[1:]):
            raise UsageError(f"{where}: expected loops such as K2 (in parallel K2@X), got {term!r}")
        terms.append((match[1], int(match[2]), match[3], match[4]))
    return terms
