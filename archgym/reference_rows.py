"""Tables measured with an original tool, as rows of text."""

from __future__ import annotations

import csv
import gzip
import zlib
from pathlib import Path

from archgym.errors import UsageError


def read_table(path: str | Path) -> list[dict[str, str]]:
    """The rows of a CSV file with a header, as text; each also holds ``""``: where it came from.

    Args:
        path: gzipped if it ends in ``.gz``.

    Raises:
        UsageError: missing, empty, or a row of another length; names file and line.
    """
    try:
        opened = gzip.open if str(path).endswith(".gz") else open
        with opened(path, "rt", newline="", encoding="utf-8-sig") as stream:
            lines = list(csv.reader(stream))
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {path}: {error}") from None
    if len(lines) < 2:
        raise UsageError(f"{path}: expected a header and at least one row")
    header, rows = lines[0], []
    for number, line in enumerate(lines[1:], start=2):
        if not any(field.strip() for field in line):
            continue
        if len(line) != len(header):
            raise UsageError(f"{path}:{number}: expected {len(header)} fields as in the header, got {len(line)}")
        rows.append({**dict(zip(header, line, strict=True)), "": f"{path}:{number}"})
    return rows
