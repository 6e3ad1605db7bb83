"""``archgym suite``: named problems and their exact optima."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from archgym.errors import UsageError
from archgym.executor import make_executor
from archgym.problem import Problem
from archgym.suite.build import build
from archgym.suite.difficulty import BUDGETS, difficulty
from archgym.suite.problems import PROBLEMS, known
from archgym.suite.tabulate import build_table
from archgym.table import LARGEST
from archgym.table_file import check_table_path, write_table

from .options import (
    JsonOption,
    LimitOption,
    ProblemArgument,
    SetOption,
    WorkloadOption,
    print_json,
    problem_spec,
    split_settings,
)
from .progress import StudyBar
from .tables import make_console, show

app = typer.Typer(help="Named problems and their exact optima.")


@app.command("list")
def list_problems(as_json: JsonOption = False) -> None:
    """The suite's problems with what is known about them."""
    if as_json:
        print_json({name: known(name) for name in PROBLEMS})
        return
    rows = []
    for name in PROBLEMS:
        found = known(name)
        if found is None:
            rows.append([name, "", "", "", "", "not built yet"])
        else:
            share = [f"{found[f'within_{p}_percent']:.2e}" for p in (1, 5)]
            gaps = found.get("random_gaps", {})
            median = [f"{gaps[str(budget)]:.2%}" if str(budget) in gaps else "" for budget in BUDGETS]
            best = f"{found['optimum']['reward']:.6f}"
            rows.append([name, found["designs"], found["feasible"], *share, *median, best])
    columns = [f"random gap @{budget}" for budget in BUDGETS]
    header = ["problem", "designs", "feasible", "within 1 %", "within 5 %", *columns, "best reward"]
    show(make_console(), "suite", header, rows)


@app.command("build")
def build_problem(
    problem: ProblemArgument,
    workload: WorkloadOption = None,
    settings: SetOption = None,
    limits: LimitOption = None,
    executor: Annotated[str, typer.Option(help="serial, threads or processes.")] = "serial",
    jobs: Annotated[int, typer.Option(help="Workers of the executor.")] = 1,
    out: Annotated[Path | None, typer.Option(help="JSON file to write; default: print it.")] = None,
) -> None:
    """Enumerate a problem: optimum, front, share of near-optimal designs, median gap of random search."""
    ready = Problem(problem_spec(problem, workload, settings, limits))
    workers = make_executor(executor, jobs)
    with StudyBar(ready.space.size, f"enumerate {problem}") as bar:
        try:
            result = build(ready, executor=workers, on_chunk=bar.at)
        finally:
            workers.close()
    if ready.space.size <= LARGEST:
        result["random_gaps"] = {str(budget): gap for budget, gap in difficulty(ready).random_gaps}
    text = json.dumps(result, indent=1) + "\n"
    if out is None:
        typer.echo(text, nl=False)
        return
    part = out.with_suffix(out.suffix + ".part")
    part.write_text(text, encoding="utf-8")
    part.replace(out)
    typer.echo(
        f"{problem}: {result['feasible']} of {result['distinct']} designs feasible, best reward "
        f"{result['optimum']['reward']:.6f}, {result['within_1_percent']:.3%} within 1 %, "
        f"{result['within_5_percent']:.3%} within 5 %, front of {len(result['front'])}; written to {out}"
    )


@app.command("table")
def tabulate(
    simulator: Annotated[str, typer.Argument(help="Registered simulator, or module:Class.")],
    workload: Annotated[list[str], typer.Option("--workload", help="Workload or its file (repeatable).")],
    out: Annotated[Path, typer.Option(help="File to write; ends in .table.")],
    settings: SetOption = None,
    baseline: Annotated[
        list[str] | None,
        typer.Option(metavar="PARAMETER=LEVEL", help="Where the space lacks a level of the baseline (repeatable)."),
    ] = None,
    executor: Annotated[str, typer.Option(help="serial, threads or processes.")] = "serial",
    jobs: Annotated[int, typer.Option(help="Workers of the executor.")] = 1,
) -> None:
    """Simulate every design once; searches then run on the file: tabular/WORKLOAD/OBJECTIVE --set sim.table=FILE."""
    parts = split_settings(settings)
    if parts["agent"]:
        raise UsageError(f"--set agent.{next(iter(parts['agent']))}: there is no agent in this command")
    if wrong := [text for text in baseline or () if "=" not in text]:
        raise UsageError(f"--baseline: expected PARAMETER=LEVEL, got '{wrong[0]}'")
    levels = dict(text.split("=", 1) for text in baseline or ())
    check_table_path(out)  # before the work, not after it
    workers = make_executor(executor, jobs)
    with StudyBar(1, f"enumerate {simulator}") as bar:
        try:
            table = build_table(
                simulator,
                workload,
                config=parts["sim"],
                space=parts["space"],
                baseline=levels,
                executor=workers,
                on_chunk=bar.at,
            )
        finally:
            workers.close()
    write_table(table, out)
    for r in table.workloads:
        distinct = f"{len(r.representatives)} distinct, {len(next(iter(r.columns.values())))} outcomes"
        typer.echo(f"{r.name}: {table.space.size} designs, {distinct}")
    typer.echo(f"written to {out}: {out.stat().st_size} bytes, fingerprint {table.fingerprint}")
