"""Files of enumerated tables: a ``.table`` is a zip archive of a JSON header and three Parquet members.

- ``table.json``: format number, content fingerprint, and ``Table.header()``.
- ``designs.parquet``: a row per raw design in lexicographic order, a column per workload: the class. Classes
  repeat along the axes of the space, so that differences of neighbours compress to almost nothing.
- ``classes.parquet``: a row per workload and class: rank of the canonical design, row of its outcome.
- ``outcomes.parquet``: a row per workload and distinct outcome, a column per output of the simulator. Floats
  are stored plainly, without a dictionary, which might unite numbers that differ in their bits (-0.0, NaN).

In the last two the workloads follow one another in the order of the header.
"""

from __future__ import annotations

import io
import json
import os
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from archgym.errors import UnknownNameError, UsageError
from archgym.metrics import Constraint, Metric
from archgym.space import DesignSpace
from archgym.table import Results, Table, smallest_type

FORMAT = 1
SUFFIX = ".table"
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest date a zip archive knows: the bytes do not depend on the clock
PACKAGED = resources.files("archgym.suite") / "tables"


def table_names() -> tuple[str, ...]:
    """Names of the tables that come with the package."""
    if not PACKAGED.is_dir():
        return ()
    return tuple(sorted(f.name.removesuffix(SUFFIX) for f in PACKAGED.iterdir() if f.name.endswith(SUFFIX)))


def load_table(name_or_path: str) -> Table:
    """A table that comes with the package, by name, or a file, by a path that ends in ``.table``.

    Raises:
        UnknownNameError: no path, and no table of that name; suggests the nearest.
        UsageError: the file is missing, damaged, altered, or of another format.
    """
    if name_or_path.endswith(SUFFIX):
        return read_table(name_or_path)
    if name_or_path not in table_names():
        raise UnknownNameError(
            f"table (expected a packaged one or a path that ends in {SUFFIX})", name_or_path, table_names()
        )
    return parse_table((PACKAGED / f"{name_or_path}{SUFFIX}").read_bytes(), name_or_path)


def read_table(path: str | os.PathLike[str]) -> Table:
    """The table in a file.

    Raises:
        UsageError: missing, damaged, altered, or of another format.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise UsageError(f"table '{os.fspath(path)}': expected a readable file, got: {error.strerror}") from None
    return parse_table(content, os.fspath(path))


def check_table_path(path: str | os.PathLike[str]) -> Path:
    """``path``, if a table may be written there.

    Raises:
        UsageError: another suffix, or its folder does not exist.
    """
    checked = Path(path)
    if checked.suffix != SUFFIX or not checked.parent.is_dir():
        raise UsageError(f"table file: expected a path in an existing folder that ends in {SUFFIX}, got '{path}'")
    return checked


def write_table(table: Table, path: str | os.PathLike[str]) -> None:
    """Write a table file; it appears complete or not at all.

    Raises:
        UsageError: another suffix than ``.table``, or no such folder.
    """
    checked = check_table_path(path)
    header = {"format": FORMAT, "fingerprint": table.fingerprint, **table.header()}
    members = {
        "table.json": json.dumps(header, indent=1).encode(),
        "designs.parquet": _parquet({str(i): r.classes for i, r in enumerate(table.workloads)}),
        "classes.parquet": _parquet(
            {
                "canonical": np.concatenate([r.representatives for r in table.workloads]),
                "outcome": np.concatenate([r.outcomes for r in table.workloads]),
            }
        ),
        "outcomes.parquet": _parquet(
            {name: np.concatenate([r.columns[name] for r in table.workloads]) for name in table.workloads[0].columns}
        ),
    }
    part = checked.with_name(f"{checked.name}.part")
    with zipfile.ZipFile(part, "w") as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), content)
    part.replace(checked)


def parse_table(content: bytes, where: str) -> Table:
    """The table in the bytes of a file; ``where`` names it in messages.

    Raises:
        UsageError: damaged, altered, or of another format.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            header = json.loads(archive.read("table.json"))
            if header["format"] != FORMAT:
                raise UsageError(f"expected format {FORMAT}, got {header['format']}; build it again")
            table = _table(
                header, *(_columns(archive.read(f"{m}.parquet")) for m in ("designs", "classes", "outcomes"))
            )
            if table.fingerprint != header["fingerprint"]:
                raise UsageError(
                    "the content does not have the recorded fingerprint: altered or damaged; build it again"
                )
    except (zipfile.BadZipFile, UsageError) as error:
        raise UsageError(f"table '{where}': {error}") from None
    except (LookupError, TypeError, ValueError, AttributeError, OSError, RuntimeError, zlib.error) as error:
        raise UsageError(f"table '{where}': damaged, build it again: {type(error).__name__} {error}") from None
    return table


def _table(
    header: Mapping[str, Any],
    designs: Mapping[str, npt.NDArray[Any]],
    classes: Mapping[str, npt.NDArray[Any]],
    outcomes: Mapping[str, npt.NDArray[Any]],
) -> Table:
    entries = header["workloads"]
    results = [
        Results(
            entry["name"],
            entry["kind"],
            entry["fingerprint"],
            entry["baseline"],
            designs[str(i)],
            classes["canonical"][rows],
            classes["outcome"][rows].astype(smallest_type(entry["outcomes"])),
            {name: outcomes[name][kept] for name in header["columns"]},
        )
        for i, (entry, rows, kept) in enumerate(
            zip(entries, _blocks(entries, "classes"), _blocks(entries, "outcomes"), strict=True)
        )
    ]
    return Table(
        header["simulator"],
        header["version"],
        header["config"],
        DesignSpace.from_dict(header["space"]),
        tuple(Metric(**m) for m in header["metrics"]),
        tuple(Constraint(**c) for c in header["constraints"]),
        tuple(header["reasons"]),
        header["objectives"],
        header["absent"],
        tuple(results),
    )


def _blocks(entries: list[Mapping[str, Any]], count: str) -> Iterator[slice]:
    start = 0
    for entry in entries:
        yield slice(start, start + entry[count])
        start += entry[count]


def _parquet(columns: Mapping[str, npt.NDArray[Any]]) -> bytes:
    import pyarrow
    import pyarrow.parquet

    table = pyarrow.table({name: pyarrow.array(column) for name, column in columns.items()})
    encoding = {n: "PLAIN" if c.dtype.kind == "f" else "DELTA_BINARY_PACKED" for n, c in columns.items()}
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(
        table,
        buffer,
        compression="zstd",
        compression_level=9,
        use_dictionary=False,
        column_encoding=encoding,
        write_statistics=False,
    )
    return buffer.getvalue()


def _columns(content: bytes) -> dict[str, npt.NDArray[Any]]:
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(io.BytesIO(content))
    return {name: table.column(name).to_numpy() for name in table.column_names}
