"""DRAM command traces: one record per command on the bus, as an array and as CSV.

The format only: what a legal order of commands is stands elsewhere. A command's code is its index in
`NAMES`. ``cycle`` is the clock cycle in which the command starts (its first cycle, where it takes several).
"""

from __future__ import annotations

import csv
import gzip
import io
import os
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from archgym.errors import UnknownNameError, UsageError

NAMES = (
    "NOP", "RD", "WR", "RDA", "WRA", "ACT", "PRE", "PREA", "REFA", "REFB", "REFSB", "PRESB",
    "PDEA", "PDXA", "PDEP", "PDXP", "SREFEN", "SREFEX",
)  # fmt: skip
"""Commands by code. A: with auto-precharge (RDA, WRA) or of all banks (PREA, REFA); B: of one bank; SB: of the same
bank in every bank group; PDE/PDX: power-down entry and exit, A with open banks, P precharged; SREF: self-refresh."""

CODE = {name: code for code, name in enumerate(NAMES)}
_ALIASES = {"REF": "REFA", "REFab": "REFA", "REFpb": "REFB", "REFsb": "REFSB", "PREab": "PREA"}

COMMAND_DTYPE = np.dtype(
    [
        ("cycle", np.int64),
        ("command", np.int8),
        ("channel", np.int16),
        ("rank", np.int16),
        ("bankgroup", np.int16),
        ("bank", np.int16),
        ("row", np.int64),
        ("column", np.int32),
        ("request", np.int64),
    ]
)
"""``bankgroup`` counts within the rank, ``bank`` within its group; ``row`` -1 is a row that is not given;
``request`` is the request served, -1 for none. Fields that a command does not use have no meaning."""

Commands = npt.NDArray[np.void]

_COLUMNS = ("cycle", "cmd", "channel", "rank", "bankgroup", "bank", "row", "column", "request")
_FIELDS = {"cmd": "command"}  # CSV column -> field, where they differ
_DEFAULT = {"request": -1}  # of an optional column; 0 otherwise


def read_commands(path: str | os.PathLike[str]) -> Commands:
    """Read a command trace: CSV, gzipped if the name ends in ``.gz``.

    The header names the columns: ``cycle`` and ``cmd`` are required; ``channel, rank, bankgroup, bank, row, column``
    default to 0 and ``request`` to -1, in a missing column as in an empty cell. Known other spellings: REF, REFab,
    REFpb, REFsb, PREab. Blank lines are skipped.

    Returns:
        (n,) array of `COMMAND_DTYPE`, in the order of the file.

    Raises:
        UsageError: no file, no header, or a bad line: ``file:line: expected ..., got ...``, lines from 1.
        UnknownNameError: a column or a command that does not exist.
    """
    name = os.fspath(path)
    lines = csv.reader(io.StringIO(_read_text(path), newline=""))
    header = [cell.strip() for cell in next(lines, [])]
    _check_header(name, header)
    rows: list[tuple[int, ...]] = []
    kinds = [_FIELDS.get(column, column) for column in _COLUMNS]
    limits = [(np.iinfo(COMMAND_DTYPE[kind]).min, np.iinfo(COMMAND_DTYPE[kind]).max) for kind in kinds]
    default = [_DEFAULT.get(column, 0) for column in _COLUMNS]
    places = [_COLUMNS.index(column) for column in header]
    for cells in lines:
        if not any(cell.strip() for cell in cells):
            continue
        where = f"{name}:{lines.line_num}"
        if len(cells) != len(header):
            raise UsageError(f"{where}: expected {len(header)} fields, got {len(cells)}")
        row = list(default)
        for place, cell in zip(places, cells, strict=True):
            row[place] = _value(where, place, cell.strip(), limits[place], default[place])
        rows.append(tuple(row))
    return np.array(rows, COMMAND_DTYPE)


def write_commands(commands: Commands, path: str | os.PathLike[str]) -> None:
    """Write ``commands`` ((n,) of `COMMAND_DTYPE`) as CSV with every column, gzipped if the name ends in ``.gz``.

    `read_commands` is the inverse. Equal arrays give equal files (no time stamp in the gzip header).

    Raises:
        UsageError: another dtype, or a code outside `NAMES`.
    """
    check_dtype(commands)
    codes = commands["command"].tolist()
    if any(not 0 <= code < len(NAMES) for code in codes):
        raise UsageError(f"command trace: expected command codes 0 to {len(NAMES) - 1}, got {min(codes)}..{max(codes)}")
    columns = [commands[_FIELDS.get(column, column)].tolist() for column in _COLUMNS]
    columns[_COLUMNS.index("cmd")] = [NAMES[code] for code in codes]
    lines = [",".join(_COLUMNS), *(",".join(map(str, row)) for row in zip(*columns, strict=True))]
    data = ("\n".join(lines) + "\n").encode()
    Path(path).write_bytes(gzip.compress(data, mtime=0) if os.fspath(path).endswith(".gz") else data)


def check_dtype(commands: Commands) -> None:
    """Raise a UsageError unless ``commands`` is a one-dimensional array of `COMMAND_DTYPE`."""
    if not isinstance(commands, np.ndarray) or commands.dtype != COMMAND_DTYPE or commands.ndim != 1:
        got = f"{commands.dtype} of shape {commands.shape}" if isinstance(commands, np.ndarray) else type(commands)
        raise UsageError(f"command trace: expected a (n,) array of COMMAND_DTYPE, got {got}")


def _read_text(path: str | os.PathLike[str]) -> str:
    try:
        data = Path(path).read_bytes()
        return (gzip.decompress(data) if os.fspath(path).endswith(".gz") else data).decode("utf-8-sig")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise UsageError(f"{os.fspath(path)}: expected a readable CSV file, got: {error}") from None


def _check_header(name: str, header: list[str]) -> None:
    for column in header:
        if column not in _COLUMNS:
            raise UnknownNameError(f"column at {name}:1", column, _COLUMNS)
    for column in ("cycle", "cmd"):
        if header.count(column) != 1:
            raise UsageError(f"{name}:1: expected one column '{column}', got {', '.join(header) or 'an empty file'}")
    if len(set(header)) != len(header):
        raise UsageError(f"{name}:1: expected every column once, got {', '.join(header)}")


def _value(where: str, place: int, text: str, limits: tuple[int, int], default: int) -> int:
    column = _COLUMNS[place]
    if column == "cmd":
        code = CODE.get(_ALIASES.get(text, text))
        if code is None:
            raise UnknownNameError(f"command at {where}", text, (*NAMES, *_ALIASES))
        return code
    if not text and column != "cycle":
        return default
    low = 0 if column == "cycle" else limits[0]
    try:
        number = int(text)
    except ValueError:
        number = low - 1
    if not low <= number <= limits[1]:
        raise UsageError(f"{where}: expected {column}, an integer from {low} to {limits[1]}, got '{text}'")
    return number
