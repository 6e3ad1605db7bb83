"""``archgym table``: enumerated problems as files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from archgym.problem import Problem
from archgym.suite.export import check_export_path, export

from .options import AggregateOption, LimitOption, ProblemArgument, SetOption, WorkloadOption, problem_spec
from .progress import StudyBar

app = typer.Typer(help="Enumerated problems as files.")


@app.callback()
def about() -> None:
    """Enumerated problems as files."""


@app.command("export")
def export_table(
    problem: ProblemArgument,
    out: Annotated[
        Path | None, typer.Option(help="File to write: .csv, .csv.gz or .parquet; default PROBLEM.parquet.")
    ] = None,
    workload: WorkloadOption = None,
    settings: SetOption = None,
    limits: LimitOption = None,
    aggregate: AggregateOption = "geomean",
) -> None:
    """Write every distinct design of a small problem with its metrics."""
    ready = Problem(problem_spec(problem, workload, settings, limits, aggregate))
    path = check_export_path(out or Path(re.sub(r"[^\w.~+-]+", "_", problem) + ".parquet"))
    with StudyBar(ready.space.size, f"export {problem}") as bar:
        rows = export(ready, path, on_chunk=bar.at)
    typer.echo(f"{problem}: {rows} designs written to {path}, {path.stat().st_size} bytes")
