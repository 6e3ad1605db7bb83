"""Reading and writing memory traces as text, compressed with gzip or not."""

from __future__ import annotations

import gzip
import os
import re
from pathlib import Path
from typing import Any, NoReturn

from archgym.errors import UsageError, WorkloadFormatError
from archgym.trace import LINE_BYTES, TRACE_CLOCK_MHZ, RequestError, Trace
from archgym.workload import read_workload_file

# One match is one line; possessive quantifiers keep the search linear. Numbers are cut at 30 digits, far beyond
# what a column holds, so that int() stays cheap.
_NUMBER = r"([0-9]{1,30}+)"
_HEX = r"0[xX][0-9a-fA-F]{1,30}+"
_GAP = r"(?:[ \t]*+[,:][ \t]*+|[ \t]++)"
_STL = re.compile(
    rf"^[ \t]*+{_NUMBER}(?:[ \t]*+:[ \t]*+|[ \t]++)((?i:read|write))[ \t]++({_HEX})(?:[ \t]++\S++)?+[ \t]*+$", re.M
)
_TEXT = re.compile(
    rf"^[ \t]*+{_NUMBER}{_GAP}((?i:read|write|[rw])|[01]){_GAP}({_HEX}|[0-9]{{1,30}}+)"
    rf"(?:{_GAP}{_NUMBER}(?:{_GAP}{_NUMBER})?+)?+[ \t]*+$",
    re.M,
)
_FORMS = {
    _STL: "'CYCLE: read|write 0xADDRESS'",
    _TEXT: "'CYCLE,read|write,ADDRESS[,SIZE[,SOURCE]]'",
}
_FILLED = re.compile(r"^[ \t]*[^\s#].*$", re.M)  # neither blank nor a comment
_COLUMNS = ("cycle", "rw", "address", "size", "source")


def read_trace(
    path: str | os.PathLike[str],
    *,
    clock_mhz: float | None = None,
    size: int = LINE_BYTES,
    name: str | None = None,
) -> Trace:
    """Read a trace, one request a line, in the order of the lines.

    ``.stl`` (the form of the DRAMSys trace player): ``CYCLE: read|write 0xADDRESS``; the colon may be
    missing, a further column (data) is ignored. Anything else: ``CYCLE,RW,ADDRESS[,SIZE[,SOURCE]]``,
    separated by commas, colons or white space; RW is r, w, read, write, 0 or 1 (a write); ADDRESS is hex
    with 0x, or decimal; a first line that begins with a letter is a header. In both: upper and lower
    case are one, blank lines and lines that begin with # are ignored, gzip is recognised by its first bytes.

    Args:
        path: the file.
        clock_mhz: what the cycles count, MHz; None is 800 (`TRACE_CLOCK_MHZ`): the clock at which ArchGym's
            DRAM environment plays its traces. The files do not say it.
        size: bytes of each request that has no SIZE.
        name: of the trace; None is the file's name without its suffixes.

    Raises:
        WorkloadFormatError: ``file:line: expected ..., got ...``; also an empty trace.
        UsageError: the file cannot be read, or a wrong ``clock_mhz`` or ``size``.
    """
    return parse_trace(read_workload_file(path), os.fspath(path), clock_mhz=clock_mhz, size=size, name=name)


def parse_trace(
    content: bytes, path: str, *, clock_mhz: float | None = None, size: int = LINE_BYTES, name: str | None = None
) -> Trace:
    """`read_trace` of bytes with line ends ``\\n`` that came from ``path`` (for its suffix, and for messages)."""
    if type(size) is not int or size < 1:
        raise UsageError(f"size: expected bytes of a request, an integer >= 1, got {size!r}")
    text = content.decode("utf-8-sig", errors="replace")  # what is not UTF-8 can only be a comment or a bad line
    stem, suffix = _stem_and_suffix(path)
    pattern = _STL if suffix == ".stl" else _TEXT
    start = _header_end(path, text) if pattern is _TEXT else 0
    rows = pattern.findall(text, start)
    filled = _FILLED.findall(text, start)
    if len(rows) != len(filled):
        number, line = next(pair for pair in _numbered(text, start) if not pattern.fullmatch(pair[1]))
        _fail(path, number, _FORMS[pattern], f"'{line.strip()[:60]}'")
    if not rows:
        _fail(path, text.count("\n") + 1, "at least one request", "the end of the file")
    columns: dict[str, Any] = {
        "address": [int(row[2], 16) if row[2][1:2] in ("x", "X") else int(row[2]) for row in rows],
        "is_write": [row[1][0] in "wW1" for row in rows],
        "cycle": [int(row[0]) for row in rows],
        "size": _optional(rows, 3, size),
        "source": _optional(rows, 4, 0),
    }
    try:
        return Trace(
            stem if name is None else name, clock_mhz=TRACE_CLOCK_MHZ if clock_mhz is None else clock_mhz, **columns
        )
    except RequestError as error:
        number, _ = _numbered(text, start)[error.index]
        _fail(path, number, f"{error.field} to be {error.expected}", repr(error.got))


def looks_like_trace(content: bytes) -> bool:
    """Whether a ``.csv`` is a trace, no list of layers: the header names an address, or the first row is a request."""
    filled = _FILLED.findall(content[:65536].decode("utf-8-sig", errors="replace"))
    header = _header_fields(filled[0]) if filled else []
    if header and header[1:4] == ["m", "n", "k"]:  # a layer may be called "0"
        return False
    first = filled[1:2] if header else filled[:1]
    return "address" in header or any(_TEXT.fullmatch(line) for line in first)


def write_trace(trace: Trace, path: str | os.PathLike[str]) -> None:
    """Write a trace with cycles, so that `read_trace` gives it back.

    Neither form holds the clock: read with the same ``clock_mhz``. ``.stl`` also lacks the size, which has
    to be the same for all requests (pass it to `read_trace`), and the source, which has to be 0. The same
    trace gives the same bytes, with ``.gz`` too.

    Args:
        trace: what to write.
        path: ends in ``.stl``, ``.csv``, ``.txt`` or ``.trace``, optionally followed by ``.gz``.

    Raises:
        UsageError: another suffix, a trace the form cannot hold, or the file cannot be written.
    """
    _, suffix = _stem_and_suffix(path)
    if trace.cycle is None:
        raise UsageError(f"trace '{trace.name}': expected cycles, got times in ns; write Trace.to_dict() as .json")
    columns = zip(trace.cycle.tolist(), trace.is_write.tolist(), trace.address.tolist(), strict=True)
    if suffix == ".stl":
        if trace.source.any() or (trace.size != trace.size[0]).any():
            raise UsageError(f"trace '{trace.name}': .stl has no column for size and source; write .csv")
        lines = [f"{cycle}:\t{'write' if write else 'read'}\t0x{address:x}" for cycle, write, address in columns]
    elif suffix in (".csv", ".txt", ".trace"):
        rest = zip(columns, trace.size.tolist(), trace.source.tolist(), strict=True)
        lines = [",".join(_COLUMNS)]
        lines += [f"{cycle},{'rw'[write]},0x{address:x},{s},{source}" for (cycle, write, address), s, source in rest]
    else:
        raise UsageError(f"trace file '{os.fspath(path)}': expected .stl, .csv, .txt or .trace, then .gz or nothing")
    content = "".join(f"{line}\n" for line in lines).encode("ascii")
    try:
        Path(path).write_bytes(gzip.compress(content, mtime=0) if str(path).lower().endswith(".gz") else content)
    except OSError as error:
        raise UsageError(f"trace file '{os.fspath(path)}': expected a writable path, got: {error.strerror}") from None


def _optional(rows: list[tuple[str, ...]], column: int, default: int) -> list[int] | int:
    """A column of integers where rows have it, one number if none has."""
    texts = [row[column] for row in rows] if column < len(rows[0]) else []
    return [int(text) if text else default for text in texts] if any(texts) else default


def _stem_and_suffix(path: str | os.PathLike[str]) -> tuple[str, str]:
    """File name without its suffixes, and the suffix below ``.gz`` in lower case."""
    file = Path(path)
    inner = Path(file.stem) if file.suffix.lower() == ".gz" else file
    return inner.stem, inner.suffix.lower()


def _header_fields(line: str) -> list[str]:
    """The names of a header, in lower case; none if the line begins with anything but a letter."""
    fields = [field.strip().lower() for field in (line.split(",") if "," in line else line.split())]
    return fields if fields[0][:1].isalpha() else []


def _header_end(path: str, text: str) -> int:
    first = _FILLED.search(text)
    header = _header_fields(first[0]) if first else []
    for position, field in enumerate(header):
        if field in _COLUMNS and _COLUMNS.index(field) != position:
            number = text.count("\n", 0, first.start() if first else 0) + 1
            _fail(path, number, f"'{field}' as column {_COLUMNS.index(field) + 1}", f"it as column {position + 1}")
    return first.end() if first and header else 0


def _numbered(text: str, start: int) -> list[tuple[int, str]]:
    """Line numbers (from 1) and texts of the lines from ``start`` on that are neither blank nor comments."""
    lines = enumerate(text[start:].split("\n"), text.count("\n", 0, start) + 1)
    return [(number, line) for number, line in lines if _FILLED.fullmatch(line)]


def _fail(path: str, line: int, expected: str, got: str) -> NoReturn:
    raise WorkloadFormatError(f"{path}:{line}: expected {expected}, got {got}")
