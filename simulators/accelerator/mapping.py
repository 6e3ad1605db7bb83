"""Mappings: in which order a layer's loops run, which run in parallel, and which tile each memory level holds.

A mapping is one list of loops, outer to inner, with a boundary for each level and tensor: the loops from the
boundary inwards span the tile that the level holds. Common boundaries make an *even* mapping (Timeloop's),
boundaries of their own per tensor an *uneven* one (ZigZag's); a tensor may bypass a level.
"""

from __future__ import annotations

import json
import operator
import os
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from archgym.errors import UnknownNameError, UsageError

from .mapping_printout import printout
from .shapes import DIMS, TENSORS

Ints = npt.NDArray[np.int64]
KINDS: Final = ("temporal", "X", "Y")
BYPASS: Final = -1
_LARGEST = 2**31 - 1  # of one bound


@dataclass(frozen=True, slots=True)
class Loop:
    """One loop of a nest.

    Args:
        dim: N, G, K, C, P, Q, R or S; a dimension may be split over several loops, the outer has the larger stride.
        bound: iterations, >= 1.
        kind: "temporal", or "X" or "Y": in parallel along this axis of a fan-out.
        level: index of a memory level, 0 = next to the multipliers. Temporal: whose block the loop stands in.
            Spatial: the level above the fan-out (fan-out l lies between level l and level l - 1 or the multipliers).

    Raises:
        UsageError: a value is out of range; the message begins with the field.
    """

    dim: str
    bound: int
    kind: str = "temporal"
    level: int = 0

    def __post_init__(self) -> None:
        for field, value, known in (("dim", self.dim, DIMS), ("kind", self.kind, KINDS)):
            if value not in known:
                raise UsageError(f"{field}: expected one of {' '.join(known)}, got {value!r}")
        object.__setattr__(self, "bound", _integer("bound", self.bound, 1, _LARGEST))
        object.__setattr__(self, "level", _integer("level", self.level, 0, _LARGEST))

    def __str__(self) -> str:
        return f"{self.dim}{self.bound}" + ("" if self.kind == "temporal" else f"@{self.kind}")


@dataclass(frozen=True, slots=True)
class Mapping:
    """A mapping of one layer shape to a hardware's levels.

    Args:
        level_names: innermost (next to the multipliers) to outermost, all different.
        loops: outer to inner.
        tiles: per level, innermost first, three numbers for W, I, O: how many loops are outside the tile that the
            level holds, or -1: it holds none of the tensor.

    Raises:
        UsageError: a value is no such thing or out of range; the message begins with the field's path. Whether
            the loops make a legal nest for a layer is for `check` to say.
    """

    level_names: tuple[str, ...]
    loops: tuple[Loop, ...]
    tiles: tuple[tuple[int, ...], ...]

    def __post_init__(self) -> None:
        names = tuple(self.level_names)
        _check_names(names)
        object.__setattr__(self, "level_names", names)
        object.__setattr__(self, "loops", tuple(self.loops))
        for index, loop in enumerate(self.loops):
            if not isinstance(loop, Loop):
                raise UsageError(f"loops[{index}]: expected a Loop, got {loop!r}")
            if loop.level >= len(names):
                raise UsageError(f"loops[{index}].level: expected one of {len(names)} levels, got index {loop.level}")
        if len(self.tiles) != len(names) or any(len(row) != len(TENSORS) for row in self.tiles):
            raise UsageError(f"tiles: expected W, I, O for each of {len(names)} levels, got {self.tiles!r}")
        tiles = [
            tuple(
                _integer(f"tiles.{name}.{v}", start, BYPASS, len(self.loops))
                for v, start in zip(TENSORS, row, strict=True)
            )
            for name, row in zip(names, self.tiles, strict=True)
        ]
        object.__setattr__(self, "tiles", tuple(tiles))

    def arrays(self) -> tuple[Ints, Ints]:
        """What the nest analysis reads: loops (n, 4) of dim, bound, kind, level as indices, and tiles (L, 3)."""
        loops = [(DIMS.index(loop.dim), loop.bound, KINDS.index(loop.kind), loop.level) for loop in self.loops]
        return np.array(loops, np.int64).reshape(-1, 4), np.array(self.tiles, np.int64)

    @classmethod
    def from_arrays(cls, loops: Ints, tiles: Ints, level_names: Sequence[str] | None = None) -> Mapping:
        """Inverse of `arrays`; without names the levels are L0, L1, ...

        Raises:
            UsageError: an index or bound is out of range.
        """
        named = []
        for index, (dim, bound, kind, level) in enumerate(loops.tolist()):
            if not (0 <= dim < len(DIMS) and 0 <= kind < len(KINDS)):
                raise UsageError(f"loops[{index}]: expected dim 0..7 and kind 0..2, got {dim} and {kind}")
            named.append(_at(f"loops[{index}]", DIMS[dim], bound, KINDS[kind], level))
        names = [f"L{level}" for level in range(len(tiles))] if level_names is None else level_names
        return cls(tuple(names), tuple(named), tuple(map(tuple, tiles.tolist())))

    def check(self, layer_row: Ints) -> None:
        """Refuse a mapping that is no legal nest for a layer; whether the tiles fit is for the evaluation to say.

        Args:
            layer_row: (16,), see `shapes.layer_row`.

        Raises:
            UsageError: the bounds of a dimension multiply to less than its size; the outermost level does not hold
                a whole tensor; a tile of a level lies inside that of a level further in; a spatial loop is inside
                a tile of a level below its fan-out or outside one above.
        """
        for dim, size in zip(DIMS, layer_row[: len(DIMS)].tolist(), strict=True):
            padded = prod(loop.bound for loop in self.loops if loop.dim == dim)
            if padded < size:
                raise UsageError(f"{dim}: expected loop bounds that multiply to at least {size}, got {padded}")
        for t, v in enumerate(TENSORS):
            starts = {level: row[t] for level, row in enumerate(self.tiles) if row[t] != BYPASS}
            outermost = starts.get(len(self.tiles) - 1, "bypass")
            if outermost != 0:
                where = f"tiles.{self.level_names[-1]}.{v}"
                raise UsageError(f"{where}: expected 0, the whole tensor in the outermost level, got {outermost}")
            inner = None
            for level, start in starts.items():
                if inner is not None and start > starts[inner]:
                    raise UsageError(
                        f"tiles.{self.level_names[level]}.{v}: expected at most {starts[inner]}, where the tile of "
                        f"{self.level_names[inner]} begins, got {start}"
                    )
                inner = level
            for index, loop in enumerate(self.loops):
                if loop.kind != "temporal":
                    self._check_side(index, v, starts)

    def _check_side(self, index: int, v: str, starts: dict[int, int]) -> None:
        loop = self.loops[index]
        for level, start in starts.items():
            if (index >= start) != (level >= loop.level):
                side = "a loop inside" if level >= loop.level else "a loop outside of"
                raise UsageError(
                    f"loops[{index}] ({loop}): expected {side} the tile of {v} in {self.level_names[level]} (from loop "
                    f"{start} on), because its fan-out lies below {self.level_names[loop.level]}"
                )

    def pretty(self, layer_row: Ints | None = None) -> str:
        """The loop nest for people; see `mapping_printout.printout`."""
        return printout(self, layer_row)

    def to_dict(self) -> dict[str, Any]:
        """JSON form: level names innermost first, loops outer to inner, loops outside each tile (null: bypassed)."""
        return {
            "levels": list(self.level_names),
            "loops": [
                {"dim": loop.dim, "bound": loop.bound, "kind": loop.kind, "level": self.level_names[loop.level]}
                for loop in self.loops
            ],
            "tiles": {
                name: {v: None if start == BYPASS else start for v, start in zip(TENSORS, row, strict=True)}
                for name, row in zip(self.level_names, self.tiles, strict=True)
            },
        }

    @classmethod
    def from_dict(cls, data: Any) -> Mapping:
        """Inverse of `to_dict`.

        Raises:
            UsageError: something is missing, unknown or out of range; the message begins with the field's path.
        """
        fields = _fields("mapping", data, ("levels", "loops", "tiles"))
        names = _list("levels", fields["levels"])
        _check_names(names)
        loops = []
        for index, entry in enumerate(_list("loops", fields["loops"])):
            where = f"loops[{index}]"
            loop = _fields(where, entry, ("dim", "bound", "kind", "level"))
            if loop["level"] not in names:
                raise UsageError(f"{where}.level: {UnknownNameError('level', str(loop['level']), names)}")
            loops.append(_at(where, loop["dim"], loop["bound"], loop["kind"], names.index(loop["level"])))
        tiles = []
        for name, row in _fields("tiles", fields["tiles"], names).items():
            starts = _fields(f"tiles.{name}", row, TENSORS)
            tiles.append(
                [
                    BYPASS
                    if start is None
                    else _integer(f"tiles.{name}.{v}", start, 0, len(loops), " or null (bypassed)")
                    for v, start in starts.items()
                ]
            )
        return cls(tuple(names), tuple(loops), tuple(map(tuple, tiles)))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write `to_dict` as JSON, a line for each loop and level.

        Raises:
            UsageError: the file cannot be written.
        """
        data = self.to_dict()
        loops = ",\n".join(f"  {json.dumps(loop)}" for loop in data["loops"])
        tiles = ",\n".join(f"  {json.dumps(name)}: {json.dumps(row)}" for name, row in data["tiles"].items())
        text = (
            f'{{\n "levels": {json.dumps(data["levels"])},\n "loops": [\n{loops}\n ],\n "tiles": {{\n{tiles}\n }}\n}}\n'
        )
        try:
            Path(path).write_text(text, encoding="utf-8")
        except OSError as error:
            raise UsageError(f"{os.fspath(path)}: expected a writable file, got: {error.strerror}") from None

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Mapping:
        """Inverse of `save`.

        Raises:
            UsageError: ``file:line:column`` where it is no JSON, else ``file: path of the field: ...``.
        """
        name = os.fspath(path)
        try:
            return cls.from_dict(json.loads(Path(path).read_text(encoding="utf-8")))
        except OSError as error:
            raise UsageError(f"{name}: expected a readable file, got: {error.strerror}") from None
        except json.JSONDecodeError as error:
            raise UsageError(f"{name}:{error.lineno}:{error.colno}: expected JSON, got: {error.msg}") from None
        except (UsageError, UnicodeDecodeError, RecursionError) as error:
            raise UsageError(f"{name}: {error}") from None


def _check_names(names: Sequence[Any]) -> None:
    for index, name in enumerate(names):
        if not isinstance(name, str) or not name or name in names[:index]:
            raise UsageError(f"levels[{index}]: expected a name that no other level has, got {name!r}")
    if not names:
        raise UsageError("levels: expected the names of one level or more, got none")


def _integer(where: str, value: Any, least: int, most: int, other: str = "") -> int:
    try:
        number = operator.index(value)
    except TypeError:
        number = least - 1
    if not least <= number <= most or isinstance(value, bool):
        raise UsageError(f"{where}: expected an integer from {least} to {most}{other}, got {value!r}")
    return number


def _at(where: str, dim: str, bound: int, kind: str, level: int) -> Loop:
    try:
        return Loop(dim, bound, kind, level)
    except UsageError as error:
        raise UsageError(f"{where}.{error}") from None


def _fields(where: str, data: Any, names: Sequence[str]) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise UsageError(f"{where}: expected an object with {', '.join(names)}, got {data!r}")
    for name in data:
        if name not in names:
            raise UsageError(f"{where}: {UnknownNameError('field', name, names)}")
    for name in names:
        if name not in data:
            raise UsageError(f"{where}: expected the field {name}, got {', '.join(data) or 'none'}")
    return {name: data[name] for name in names}


def _list(where: str, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise UsageError(f"{where}: expected a list, got {value!r}")
    return value
