"""Reader for SCALE-Sim topology CSVs (the published tool's list of layers).

The tool drops the last field of each row and therefore needs a trailing comma; this
reader looks only at the fields it needs and so also takes files the tool cannot read.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NoReturn

from archgym.errors import UnknownNameError, UsageError, WorkloadFormatError
from archgym.workload import Layer, Network, read_workload_file

_FIELDS = {
    "conv": (
        "layer name", "ifmap height", "ifmap width", "filter height", "filter width",
        "channels", "number of filters", "stride",
    ),
    "gemm": ("layer name", "M", "N", "K"),
}  # fmt: skip
_LARGEST = 2**31 - 1


def read_topology(path: str | os.PathLike[str], kind: str = "auto") -> Network:
    """Read a convolution or GEMM topology.

    The first line is the header and is skipped, as the tool does (it may be blank, but not a
    layer). A row is ``name, ifmap height, ifmap width, filter height, filter width, channels,
    filters, stride [, N:M]`` or ``name, M, N, K [, N:M]``. Tolerated: a byte order mark,
    CRLF, spaces, blank rows and rows of commas, a missing trailing comma, any further fields,
    repeated names.

    An N:M sparsity field must be well formed (1 <= N <= M); the layer is read as dense, as the
    tool does while sparsity is off. A convolution with ``DP`` in its name is the tool's depthwise
    convention: `channels` groups of one channel with `filters` filters each.

    H, W and the stride are kept as written, but sizes that do not divide come out differently:
    the tool lets a last window hang over the edge (output rounded up), a `Layer` does not
    (rounded down). The files hold no padding, and a stride counts for both axes.

    Args:
        path: the file; its stem becomes the network's name.
        kind: "conv", "gemm" or "auto": gemm if the header's fields 2 to 4 are M, N, K; else conv
            if the header has 8 fields or more; else by the number of fields of the first layer
            (8 or more conv, 4 or 5 gemm).

    Raises:
        WorkloadFormatError: ``file:line:field: expected ..., got ...``, line and field from 1.
        UnknownNameError: another kind. UsageError: the file cannot be read.
    """
    if kind not in ("auto", *_FIELDS):
        raise UnknownNameError("topology kind", kind, ("auto", *_FIELDS))
    lines = _decode(path).split("\n")
    table = [(number, [field.strip() for field in line.split(",")]) for number, line in enumerate(lines, 1)]
    rows = [(number, row) for number, row in table[1:] if any(row)]
    header = table[0][1]
    if not rows:
        found = "only a header" if any(header) else "an empty file"
        _fail(path, len(lines), 1, "a header line and at least one layer", found)
    if len(header) >= 4 and all(field.isdecimal() for field in header[1:4]):
        _fail(path, 1, 2, "a header line before the layers", f"'{header[1]}'")
    if kind == "auto":
        kind = _detect(path, header, *rows[0])
    if kind == "conv" and len(header) > 8 and "stride" in header[8].lower():
        _fail(path, 1, 9, "one stride for both axes (SCALE-Sim topology)", f"'{header[8]}'")
    layers = tuple(_layer(path, kind, number, row) for number, row in rows)
    file = Path(path)
    return Network(file.stem, layers, f"SCALE-Sim topology {file.name}")


def _decode(path: str | os.PathLike[str]) -> str:
    try:
        return read_workload_file(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        data, start = error.object, error.start  # counted without the byte order mark
        column = data[:start].rpartition(b"\n")[2].count(b",") + 1
        _fail(path, data.count(b"\n", 0, start) + 1, column, "UTF-8 text", f"byte 0x{data[start]:02x}")


def _detect(path: str | os.PathLike[str], header: list[str], number: int, row: list[str]) -> str:
    letters = [field.upper() for field in header[1:4]]
    if sorted(letters) == ["K", "M", "N"]:
        if letters != ["M", "N", "K"]:  # the tool would read them by position, the author meant them by name
            _fail(path, 1, 2, "the columns M, N, K in this order", f"'{', '.join(header[1:4])}'")
        return "gemm"
    if sum(map(bool, header)) >= 8:
        return "conv"
    filled = max(index for index, field in enumerate(row, 1) if field)
    if filled >= 8:
        return "conv"
    if filled in (4, 5):
        return "gemm"
    _fail(path, number, filled, "8 fields (convolution) or 4 (GEMM)", f"{filled} fields")


def _layer(path: str | os.PathLike[str], kind: str, number: int, row: list[str]) -> Layer:
    names = _FIELDS[kind]
    row = row + [""] * (len(names) + 1 - len(row))
    name = row[0]
    if not name:
        _fail(path, number, 1, "a layer name", "''")
    sizes = []
    for column, (what, text) in enumerate(zip(names[1:], row[1:], strict=False), 2):
        if not re.fullmatch(r"0{0,9}[1-9][0-9]{0,9}", text) or int(text) > _LARGEST:
            _fail(path, number, column, f"{what}, an integer from 1 to {_LARGEST}", f"'{text}'")
        sizes.append(int(text))
    _check_sparsity(path, number, len(names) + 1, row[len(names)])
    if kind == "conv":
        _check_filter(path, number, sizes)
    try:
        if kind == "gemm":
            return Layer.gemm(name, *sizes)
        H, W, R, S, channels, filters, stride = sizes
        groups, channels = (channels, 1) if "DP" in name else (1, channels)
        return Layer(name, G=groups, K=filters, C=channels, H=H, W=W, R=R, S=S, stride=(stride, stride))
    except UsageError as error:  # every field is fine, their product is not
        raise WorkloadFormatError(f"{os.fspath(path)}:{number}:1: {error}") from None


def _check_filter(path: str | os.PathLike[str], number: int, sizes: list[int]) -> None:
    for column, axis, ifmap, filter_size in ((4, "height", sizes[0], sizes[2]), (5, "width", sizes[1], sizes[3])):
        if filter_size > ifmap:
            _fail(path, number, column, f"filter {axis} at most the ifmap {axis} {ifmap}", f"'{filter_size}'")


def _check_sparsity(path: str | os.PathLike[str], number: int, column: int, text: str) -> None:
    if ":" not in text or text.startswith("#"):
        return  # shipped files also keep remarks ("#dw") and other data in this place
    match = re.fullmatch(r"([0-9]{1,9}) *: *([0-9]{1,9})", text)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        _fail(path, number, column, "sparsity N:M with 1 <= N <= M", f"'{text}'")


def _fail(path: str | os.PathLike[str], line: int, column: int, expected: str, got: str) -> NoReturn:
    raise WorkloadFormatError(f"{os.fspath(path)}:{line}:{column}: expected {expected}, got {got}")
