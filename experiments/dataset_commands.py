"""``archgym dataset``: logged or collected designs as one table."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from archgym.dataset.build import DUPLICATES, build
from archgym.dataset.card import card
from archgym.dataset.collect import MIX, collect
from archgym.dataset.dataset import Dataset
from archgym.problem import Problem

from .options import (
    AggregateOption,
    ExecutorOption,
    Interrupted,
    JsonOption,
    LimitOption,
    ProblemArgument,
    SetOption,
    WorkersOption,
    WorkloadOption,
    print_json,
    problem_spec,
)
from .progress import StudyBar

app = typer.Typer(help="Logged or collected designs as one table of Parquet files.")
OutOption = Annotated[Path, typer.Option(help="Folder of the data set.")]
FolderArgument = Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a data set.")]


@app.command("build")
def build_dataset(
    runs: Annotated[list[Path], typer.Argument(metavar="RUNS…", help="Study folders, or folders that hold some.")],
    out: OutOption,
    duplicates: Annotated[
        str, typer.Option(help=f"Rows of equal designs of one source: {', '.join(DUPLICATES)} (one for each agent).")
    ] = "drop",
    as_json: JsonOption = False,
) -> None:
    """Gather the rows of logged studies, also of gym.make(log=…): every design once, with provenance and units."""
    with StudyBar(1, f"build {out}", quiet=as_json) as bar:
        dataset = build(runs, out, duplicates=duplicates, on_study=bar.at)
    _tell(dataset, as_json)
    for name, why in dataset.made["damaged"]:
        typer.echo(f"archgym: left out {name}: {why}", err=True)
    if dataset.made["unknown"]:
        problems = ", ".join(dataset.made["unknown"])
        typer.echo(
            f"archgym: without the simulator (version) that wrote them, so equal designs are found by the space alone: "
            f"{problems}",
            err=True,
        )


@app.command("collect")
def collect_dataset(
    problem: ProblemArgument,
    n: Annotated[int, typer.Option("--n", help="Rows; duplicates count.")],
    out: OutOption,
    mix: Annotated[str, typer.Option(help="Agents and their shares of the rows.")] = MIX,
    seed: Annotated[int, typer.Option(help="Seed of everything.")] = 0,
    batch: Annotated[int, typer.Option(help="Designs asked per step.")] = 50,
    part: Annotated[
        int, typer.Option(help="Rows of a part: the budget of one run, and the most that a kill loses.")
    ] = 10_000,
    workload: WorkloadOption = None,
    settings: SetOption = None,
    limits: LimitOption = None,
    aggregate: AggregateOption = "geomean",
    executor: ExecutorOption = "serial",
    jobs: WorkersOption = 1,
    as_json: JsonOption = False,
) -> None:
    """Run a mixture of agents and keep all that they evaluate; the same command again goes on with what is missing."""
    ready = Problem(problem_spec(problem, workload, settings, limits, aggregate))
    try:
        with StudyBar(n, f"collect {ready.spec.label}", quiet=as_json) as bar:
            dataset = collect(
                ready,
                out,
                n=n,
                mix=mix,
                seed=seed,
                batch=batch,
                size=part,
                executor=executor,
                jobs=jobs,
                on_rows=bar.at,
            )
    except KeyboardInterrupt:
        done = f"{len(Dataset(out))} of {n} rows are kept" if out.exists() else "nothing was begun"
        raise Interrupted(f"interrupted; {done}; go on with: {shlex.join(['archgym', *sys.argv[1:]])}") from None
    _tell(dataset, as_json)


@app.command("import")
def import_dataset(
    file: Annotated[Path, typer.Argument(metavar="CSV", help="Samples of ArchGym's DRAM environment.")],
    workload: Annotated[str, typer.Option(help="Name of the trace that was simulated; the file does not tell.")],
    out: OutOption,
    as_json: JsonOption = False,
) -> None:
    """Read what the predecessor logged of its DRAM environment, with its times (ns taken for ps) repaired."""
    from archgym.dataset.archgym_csv import import_archgym_csv

    _tell(import_archgym_csv(file, out, workload=workload), as_json)


@app.command("show")
def show_dataset(folder: FolderArgument, as_json: JsonOption = False) -> None:
    """What a data set holds: the card that also lies in its folder."""
    dataset = Dataset(folder)
    if as_json:
        _tell(dataset, as_json)
    else:
        typer.echo(card(dataset), nl=False)


def _tell(dataset: Dataset, as_json: bool) -> None:
    rows = len(dataset)
    if as_json:
        sources = {key: s.problem.label for key, s in dataset.sources.items()}
        missing = list(dataset.missing)
        print_json({"folder": str(dataset.folder), "rows": rows, "sources": sources, "missing": missing})
        return
    size = sum(path.stat().st_size for path in dataset.folder.rglob("*.parquet"))
    several = "1 source" if len(dataset.sources) == 1 else f"{len(dataset.sources)} sources"
    typer.echo(f"{dataset.folder}: {rows:,} rows of {several}, {size:,} bytes; the card is {dataset.folder}/README.md")
