"""``archgym suite``: named problems and their exact optima."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from archgym.errors import UsageError
from archgym.executor import make_executor
from archgym.problem import Problem
from archgym.suite.entry import SuiteProblem, earned_tier
from archgym.suite.facts import facts, to_text
from archgym.suite.problems import SUITE, VERSION
from archgym.suite.tabulate import build_table
from archgym.table_file import check_table_path, write_table

from .options import (
    ExecutorOption,
    JsonOption,
    LimitOption,
    ProblemArgument,
    SetOption,
    WorkersOption,
    WorkloadOption,
    print_json,
    problem_spec,
    split_settings,
)
from .progress import StudyBar
from .suite_table import show_suite, suite_data
from .tables import make_console

app = typer.Typer(help="Named problems and their exact optima.")


@app.command("list")
def list_problems(as_json: JsonOption = False) -> None:
    """The suite's problems with what is known about them."""
    if as_json:
        print_json(suite_data())
        return
    show_suite(make_console())


@app.command("build")
def build_problem(
    problem: ProblemArgument,
    workload: WorkloadOption = None,
    settings: SetOption = None,
    limits: LimitOption = None,
    executor: ExecutorOption = "serial",
    jobs: WorkersOption = 1,
    out: Annotated[Path | None, typer.Option(help="JSON file to write; default: print it.")] = None,
) -> None:
    """Find a problem's facts: optimum, front, share of near-optimal designs, what random search does.

    A problem of the suite whose optimum cannot be enumerated is searched as its entry says; any other is enumerated.
    """
    spec = problem_spec(problem, workload, settings, limits)
    ready, workers = Problem(spec), make_executor(executor, jobs)
    entry = SUITE.get(problem) or SuiteProblem(problem, spec, "unrated")
    with StudyBar(ready.space.size, f"facts of {problem}") as bar:
        try:
            result = facts(entry, VERSION, executor=workers, on_chunk=bar.at)
        finally:
            workers.close()
    text = to_text(result)
    if out is None:
        typer.echo(text, nl=False)
        return
    part = out.with_suffix(out.suffix + ".part")
    part.write_text(text, encoding="utf-8")
    part.replace(out)
    typer.echo(
        f"{problem}: {entry.optimum} optimum {result['optimum']['value']:.6g}, {result['feasible_share']:.3%} "
        f"feasible, {result['within_1_percent']:.3%} of them within 1 %; its facts make it "
        f"{earned_tier(entry, result)}; written to {out}"
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
    executor: ExecutorOption = "serial",
    jobs: WorkersOption = 1,
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
