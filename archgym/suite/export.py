"""A small problem as a file for other tools: every design with its metrics."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archgym.errors import UsageError
from archgym.problem import Problem
from archgym.table import LARGEST

if TYPE_CHECKING:
    import pandas as pd

SUFFIXES = (".csv", ".csv.gz", ".parquet")
_CHUNK = 32768


def check_export_path(path: str | os.PathLike[str]) -> Path:
    """``path``, if an export may be written there.

    Raises:
        UsageError: another suffix, or its folder does not exist.
    """
    checked = Path(path)
    if not checked.name.endswith(SUFFIXES) or not checked.parent.is_dir():
        raise UsageError(
            f"export: expected a file in an existing folder that ends in {', '.join(SUFFIXES)}, got '{path}'"
        )
    return checked


def export(
    problem: Problem, path: str | os.PathLike[str], *, on_chunk: Callable[[int, int], None] | None = None
) -> int:
    """Write every distinct canonical design: levels, metrics, violations, ``feasible``, ``reason`` and ``reward``.

    Args:
        problem: deterministic, of at most `LARGEST` raw designs.
        path: ends in ``.csv``, ``.csv.gz`` or ``.parquet``; it appears complete or not at all.
        on_chunk: called with (raw designs passed, raw designs in all).

    Returns:
        The number of designs. Columns are ``param.NAME``, ``metric.NAME``, ``violation.NAME`` and the three others;
        an infeasible design has no metrics. Numbers are written so that reading restores their bits.

    Raises:
        UsageError: a path that cannot be, too many designs, or a simulator that is not deterministic.
    """
    checked = check_export_path(path)
    if problem.space.size > LARGEST:
        raise UsageError(
            f"{problem.spec.label}: {problem.space.size:.3g} designs are too many to export, expected at most "
            f"{LARGEST:,}; restrict the space"
        )
    if not problem.simulator.deterministic:
        raise UsageError(f"{problem.spec.label}: its simulator is not deterministic, so no table can stand for it")
    part = checked.with_name(f"{checked.name}.part")
    rows = (_parquet if checked.suffix == ".parquet" else _csv)(_frames(problem, on_chunk), part, checked)
    part.replace(checked)
    return rows


def _frames(problem: Problem, on_chunk: Callable[[int, int], None] | None) -> Iterator[pd.DataFrame]:
    import pandas as pd

    names, size, done = problem.constraint_names, problem.space.size, 0
    for codes in problem.space.enumerate(_CHUNK):
        e = problem.evaluate(codes)
        columns: dict[str, Any] = {f"param.{name}": values for name, values in problem.space.decode(codes).items()}
        columns |= {f"metric.{name}": values for name, values in e.metrics.items()}
        columns |= {f"violation.{name}": e.violations[:, i] for i, name in enumerate(names)}
        yield pd.DataFrame({**columns, "feasible": e.feasible, "reason": e.reason, "reward": e.reward})
        done = min(done + _CHUNK, size)
        if on_chunk is not None:
            on_chunk(done, size)


def _csv(frames: Iterator[pd.DataFrame], part: Path, path: Path) -> int:
    rows = 0
    packed: Any = {"method": "gzip", "mtime": 0} if path.suffix == ".gz" else None
    for frame in frames:
        frame.to_csv(part, mode="a" if rows else "w", header=not rows, index=False, compression=packed)
        rows += len(frame)
    return rows


def _parquet(frames: Iterator[pd.DataFrame], part: Path, path: Path) -> int:
    import pyarrow
    import pyarrow.parquet

    rows, writer = 0, None
    try:
        for frame in frames:
            table = pyarrow.Table.from_pandas(frame, preserve_index=False)
            writer = writer or pyarrow.parquet.ParquetWriter(part, table.schema, compression="zstd")
            writer.write_table(table)
            rows += len(frame)
    finally:
        if writer is not None:
            writer.close()
    return rows
