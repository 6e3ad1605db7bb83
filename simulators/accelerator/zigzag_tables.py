"""Tables measured with ZigZag 3.9.1: described hardware, layers with fixed uneven mappings, and what the tool reported.

A table of mappings has, beside the layer (N G K C P Q R S, stride, dilation) and ``hw_id``: ``spatial``
("D1=K:4,C:2;D2="), ``temporal_W|I|O`` (levels parted by "|", innermost first, loops "K:4" within them innermost first
too; dimensions by ZigZag's names) and ``levels_*`` naming the memories. A table of hardware has one row per memory:
``served_dimensions`` "D1+D2" (empty: one instance per unit) and ``ports`` "type:bits per cycle:operand.direction/..."
with tl to low, fl from low, th to high, fh from high, joined by ";". Operands are I1 = I, I2 = W and O.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

import numpy as np
import numpy.typing as npt

from archgym.errors import UnknownNameError, UsageError

from .zigzag import cost
from .zigzag_description import (
    DIRECTIONS,
    TENSORS,
    Loop,
    Memory,
    Port,
    ZigzagCost,
    ZigzagHardware,
    ZigzagLayer,
    ZigzagMapping,
)

Row = Mapping[str, str]
Pairs = dict[str, tuple[npt.NDArray[Any], npt.NDArray[Any]]]

# How the tables print what is no count, and the largest relative error that passes: one unit of the last digit. Idle
# port time makes first loads fractions of cycles.
_PRINTED = {
    "utilisation": (".4g", 1.1e-3),
    ".pj": (".6g", 1.1e-5),
    "energy_pj": (".4f", 1e-9),
    "total_pj": (".4f", 1e-9),
    "utilization": (".6f", 0.0),
    "load_cycles": (".17g", 1e-9),
    "latency_total2": (".17g", 1e-9),
}
_SIZES = ("N", "G", "K", "C", "P", "Q", "R", "S")
_DIMS = {"B": 0, "G": 1, "K": 2, "C": 3, "OY": 4, "OX": 5, "FY": 6, "FX": 7}
_OPERANDS = {"I1": 1, "I2": 0, "O": 2}
_CODES = {"tl": 0, "fl": 1, "th": 2, "fh": 3}
_AXES = {"D1": 0, "D2": 1}
_COUNTS = ("ideal_cycle", "ideal_temporal_cycle", "stall_cycles", "latency_total0")
_REALS = ("spatial_utilization", "onload_cycles", "offload_cycles", "latency_total2")


def read_hardware(rows: Sequence[Row]) -> dict[str, ZigzagHardware]:
    """The described hardware, by ``hw_id``.

    Raises:
        UsageError: a column is missing or a cell is not as described above.
    """
    first: dict[str, Row] = {}
    memories: dict[str, list[Memory]] = {}
    for row in rows:
        name = _cell(row, "hw_id")
        first.setdefault(name, row)
        memories.setdefault(name, []).append(_memory(row))
    return {
        name: ZigzagHardware(
            name=name,
            array=(_integer(row, "array_d1"), _integer(row, "array_d2")),
            mac_pj=_number(row, "mac_energy_pj"),
            memories=tuple(memories[name]),
        )
        for name, row in first.items()
    }


def read_layer(row: Row) -> ZigzagLayer:
    """The layer of a row; words of 8 bits, partial sums of 16."""
    sizes = tuple(_integer(row, name) for name in _SIZES)
    return ZigzagLayer(sizes, _integer(row, "stride"), _integer(row, "dilation"))


def read_mapping(row: Row, hardware: ZigzagHardware) -> ZigzagMapping:
    """The mapping of a row.

    Raises:
        UsageError: tensors order the temporal loops differently, or name other memories than the hardware has.
    """
    axes: list[tuple[Loop, ...]] = [() for _ in hardware.array]
    for part in filter(None, _cell(row, "spatial").split(";")):
        axis, _, text = part.partition("=")
        axes[_named(row, "axis", axis, _AXES)] = _loops(row, text)
    orders, cuts = [], []
    for tensor, name in enumerate(TENSORS):
        levels = [_loops(row, text) for text in _cell(row, f"temporal_{name}").split("|")]
        memories = [memory.name for memory in hardware.levels(tensor)]
        if _cell(row, f"levels_{name}").split("|") != memories:
            expected, got = "|".join(memories), row[f"levels_{name}"]
            raise UsageError(f"{row.get('', 'table')}: column 'levels_{name}': expected {expected}, got {got}")
        orders.append(tuple(loop for level in levels for loop in level))
        cuts.append(tuple(accumulate(len(level) for level in levels)))
    if len(set(orders)) != 1:
        raise UsageError(f"{row.get('', 'table')}: expected one order of temporal loops for W, I and O, got several")
    return ZigzagMapping(tuple(axes), orders[0], (cuts[0], cuts[1], cuts[2]))


def reproduce_zigzag(rows: Sequence[Row], hardware_rows: Sequence[Row]) -> tuple[Pairs, dict[str, float]]:
    """Recompute a table of mappings.

    Args:
        rows: of mappings, header -> text; the key ``""`` says where a row stands.
        hardware_rows: of the hardware that they name.

    Returns:
        Columns name -> (theirs, ours), ours with the digits that tables print: those of the whole layer under their own
        names, those per tensor and memory as ``W.glb.rd_to_low.words`` (also ``.elems``), ``W.glb.tile``,
        ``W.glb.utilisation``, ``W.glb.double_buffered`` and ``W.glb.pj``, with ``mac`` for the multiplier's tile. A
        column is as long as there are rows with such a memory. And the largest relative error that passes, if not 0.

    Raises:
        UsageError: a column is missing, a cell is malformed, or a mapping does not fit its layer and hardware.
    """
    known = read_hardware(hardware_rows)
    pairs: dict[str, tuple[list[float], list[float]]] = {}
    for row in rows:
        name = _cell(row, "hw_id")
        if name not in known:
            raise UnknownNameError(f"hardware at {row.get('', 'a row')}", name, known)
        hardware = known[name]
        ours = flatten(cost(read_layer(row), hardware, read_mapping(row, hardware)), hardware)
        theirs = _reported(row, hardware)
        for column, value in theirs.items():
            pair = pairs.setdefault(column, ([], []))
            pair[0].append(value)
            pair[1].append(_as_printed(column, ours[column]))
    columns = {name: (np.array(theirs), np.array(ours)) for name, (theirs, ours) in pairs.items()}
    tolerance = {name: error for name in columns if (error := _tolerance(name))}
    return columns, tolerance


def flatten(result: ZigzagCost, hardware: ZigzagHardware) -> dict[str, float]:
    """A cost as one flat row, with the column names of `reproduce_zigzag`."""
    row: dict[str, float] = {name: getattr(result, name) for name in (*_COUNTS, *_REALS)}
    row |= {"mac_energy_pj": result.mac_pj, "mem_energy_pj": result.memory_pj, "energy_total_pj": result.energy_pj}
    for tensor, name in enumerate(TENSORS):
        places = [f"{name}.{place}" for place in ("mac", *(memory.name for memory in hardware.levels(tensor)))]
        for place, tile, room in zip(places, result.tiles[tensor], result.double_buffered[tensor], strict=True):
            row |= {f"{place}.tile": tile, f"{place}.double_buffered": room}
        for level, place in enumerate(places[1:]):
            for direction, way in enumerate(DIRECTIONS):
                row[f"{place}.{way}.words"] = result.words[tensor][level][direction]
                row[f"{place}.{way}.elems"] = result.elements[tensor][level][direction]
            row[f"{place}.utilisation"] = result.utilisation[tensor][level]
            row[f"{place}.pj"] = result.level_pj[tensor][level]
    return row


def _reported(row: Row, hardware: ZigzagHardware) -> dict[str, float]:
    """What the tool reported, with the same names."""
    totals = ("mac_energy_pj", "mem_energy_pj", "energy_total_pj")
    reported = {name: _number(row, name) for name in (*_COUNTS, *_REALS, *totals)}
    for tensor, name in enumerate(TENSORS):
        memories = [f"{name}.{memory.name}" for memory in hardware.levels(tensor)]
        places = [f"{name}.mac", *memories]
        for column, suffix in (("tile_elems", "tile"), ("double_buffer", "double_buffered")):
            reported |= _spread(row, f"{column}_{name}", [f"{place}.{suffix}" for place in places])
        for column, suffix in (("util", "utilisation"), ("energy", "pj")):
            reported |= _spread(row, f"{column}_{name}", [f"{place}.{suffix}" for place in memories])
        for suffix in ("words", "elems"):
            targets = [f"{place}.{way}.{suffix}" for place in memories for way in DIRECTIONS]
            reported |= _spread(row, f"{suffix}_{name}", targets)
    return reported


def _spread(row: Row, column: str, names: Sequence[str]) -> dict[str, float]:
    """The numbers of a cell, parted by "|" and "/", under one name each."""
    numbers = _cell(row, column).replace("/", "|").split("|")
    if len(numbers) != len(names):
        raise UsageError(
            f"{row.get('', 'table')}: column '{column}': expected {len(names)} numbers, got '{row[column]}'"
        )
    return {name: _float(row, column, text) for name, text in zip(names, numbers, strict=True)}


def _memory(row: Row) -> Memory:
    tensors = tuple(_named(row, "operand", text, _OPERANDS) for text in _cell(row, "operands").split("+"))
    axes = frozenset(
        _named(row, "axis", text, _AXES) for text in filter(None, _cell(row, "served_dimensions").split("+"))
    )
    ports = []
    for text in _cell(row, "ports").split(";"):
        parts = text.split(":")
        if len(parts) != 3 or not parts[1].isdecimal():
            raise UsageError(
                f"{row.get('', 'table')}: column 'ports': expected type:bits:operand.direction, got '{text}'"
            )
        ways = [way.partition(".") for way in parts[2].split("/")]
        serves = tuple(
            (_named(row, "operand", operand, _OPERANDS), _named(row, "direction", way, _CODES))
            for operand, _, way in ways
        )
        ports.append(Port(int(parts[1]), serves))
    return Memory(
        name=_cell(row, "memory"),
        bits=_integer(row, "size_bits"),
        read_pj=_number(row, "read_energy_pj_per_word"),
        write_pj=_number(row, "write_energy_pj_per_word"),
        tensors=tensors,
        axes=axes,
        ports=tuple(ports),
    )


def _loops(row: Row, text: str) -> tuple[Loop, ...]:
    """Loops "K:4,C:2" in the order written."""
    loops = []
    for part in filter(None, text.split(",")):
        dim, _, bound = part.partition(":")
        if not bound.isdecimal() or int(bound) < 1:
            raise UsageError(f"{row.get('', 'table')}: expected a loop like K:4, got '{part}'")
        loops.append((_named(row, "dimension", dim, _DIMS), int(bound)))
    return tuple(loops)


def _named(row: Row, kind: str, text: str, known: Mapping[str, int]) -> int:
    if text not in known:
        raise UnknownNameError(f"{kind} at {row.get('', 'a row')}", text, known)
    return known[text]


def _cell(row: Row, name: str) -> str:
    if name not in row:
        raise UsageError(f"{row.get('', 'table')}: this is no ZigZag table, column '{name}' is missing")
    return row[name].strip()


def _integer(row: Row, name: str) -> int:
    number = _number(row, name)
    if number != int(number):
        raise UsageError(f"{row.get('', 'table')}: column '{name}': expected an integer, got '{row[name]}'")
    return int(number)


def _number(row: Row, name: str) -> float:
    return _float(row, name, _cell(row, name))


def _float(row: Row, column: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise UsageError(f"{row.get('', 'table')}: column '{column}': expected a number, got '{text}'") from None


def _as_printed(column: str, value: float) -> float:
    """A number with the digits that the tables hold."""
    style = next((style for ending, (style, _) in _PRINTED.items() if column.endswith(ending)), None)
    return value if style is None else float(format(value, style))


def _tolerance(column: str) -> float:
    return next((error for ending, (_, error) in _PRINTED.items() if column.endswith(ending)), 0.0)
