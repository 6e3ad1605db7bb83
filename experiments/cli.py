"""The ``archgym`` command.

Exit status: 0 done, 1 a check or a study failed, 2 usage (one line: expected, got, nearest), 130 interrupted
(with the command that resumes).
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from archgym.errors import ArchGymError, ReplayMismatch, UsageError, WorkerError
from archgym.log import read_header
from archgym.proxied import proxied
from archgym.spec import StudySpec
from archgym.study import continue_study, gather_prior, load, prepare, replay, search

from . import (
    comparison_commands,
    dataset_commands,
    inspect_commands,
    lottery_commands,
    proxy_commands,
    suite_commands,
    sweep_commands,
    table_commands,
    train_commands,
)
from .options import (
    AggregateOption,
    ExecutorOption,
    Interrupted,
    JsonOption,
    LimitOption,
    ProblemArgument,
    SetOption,
    TrackOption,
    WorkersOption,
    WorkloadOption,
    print_json,
    problem_spec,
    split_settings,
)
from .progress import StudyBar
from .report import default_folder, print_study, study_json, write_pictures
from .tables import make_console

app = typer.Typer(
    name="archgym",
    help="Design hardware with search: simulators, agents, exact budgets, logs that replay.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("list")(inspect_commands.list_names)
app.command("show")(inspect_commands.show)
app.command("eval")(inspect_commands.evaluate)
app.command("validate")(inspect_commands.validate_table)
app.command("train")(train_commands.train_policy)
app.command("sweep")(sweep_commands.sweep_plan)
app.command("compare")(comparison_commands.compare_agents)
app.command("lottery")(lottery_commands.lottery_of_agents)
app.command("report")(comparison_commands.report)
app.add_typer(dataset_commands.app, name="dataset")
app.add_typer(proxy_commands.app, name="proxy")
app.add_typer(suite_commands.app, name="suite")
app.add_typer(table_commands.app, name="table")


@app.callback(invoke_without_command=True)
def about(
    show_version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    """Design hardware with search: simulators, agents, exact budgets, logs that replay."""
    if show_version:
        typer.echo(f"archgym {version('archgym')}")
        raise typer.Exit


@app.command("run")
def run_study(
    problem: ProblemArgument,
    agent: Annotated[str, typer.Option(help="Registered agent, module:Class, or WRAPPER(AGENT).")] = "genetic",
    budget: Annotated[int, typer.Option(help="Samples; duplicates count.")] = 1000,
    batch: Annotated[int, typer.Option(help="Designs asked per step; part of the spec.")] = 10,
    seed: Annotated[int, typer.Option(help="Seed of every random stream.")] = 0,
    track: TrackOption = "grey",
    workload: WorkloadOption = None,
    settings: SetOption = None,
    limits: LimitOption = None,
    aggregate: AggregateOption = "geomean",
    executor: ExecutorOption = "serial",
    jobs: WorkersOption = 1,
    out: Annotated[Path | None, typer.Option(help="Folder of the log; default under results/.")] = None,
    prior: Annotated[
        list[Path] | None,
        typer.Option(help="Folder of a study of the same design space to begin with, or to guess by (repeatable)."),
    ] = None,
    proxy: Annotated[
        Path | None, typer.Option(help="Folder of a proxy model that predicts what the simulator would return.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Insist that the folder holds a study to go on with.")
    ] = False,
    continue_as: Annotated[
        Path | None,
        typer.Option("--continue-as", help="Go on from --out in this new folder, its rows as a warm start."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Search a problem with an agent; log, tables and pictures go to one folder.

    The same command again resumes an interrupted study, or shows a finished one.
    """
    described = problem_spec(problem, workload, settings, limits, aggregate, with_agent=True)
    spec, ready = prepare(
        StudySpec(
            described if proxy is None else proxied(described, proxy),
            agent,
            split_settings(settings)["agent"],
            budget,
            batch,
            track,
            seed,
        )
    )
    spec, known = gather_prior(spec, ready, prior or (), out)
    folder = out or default_folder(spec, ready)
    if resume and not (folder / "spec.json").exists():
        raise UsageError(f"--resume: {folder} holds no study; leave it out to start one")
    with StudyBar(budget, f"{ready.spec.label}  {agent}", quiet=as_json) as bar:
        try:
            if continue_as is not None:
                folder, source = continue_as, folder
                if read_header(source).get("hash") != spec.hash(ready):
                    raise UsageError(f"--continue-as: {source} holds another study than this command describes")
                summary = continue_study(source, folder, executor=executor, jobs=jobs, on_ask=bar.evaluator)
            else:
                summary = search(
                    spec, ready, prior=known, out=folder, executor=executor, jobs=jobs, on_ask=bar.evaluator
                )
        except KeyboardInterrupt:
            done = len(load(folder).samples) if (folder / "spec.json").exists() else 0
            command = shlex.join(["archgym", *_without_resume(sys.argv[1:], folder, out), "--resume"])
            raise Interrupted(f"interrupted after {done} of {budget} samples; go on with: {command}") from None
    pictures = write_pictures(summary, folder)
    if as_json:
        print_json(study_json(summary, folder, pictures))
    else:
        print_study(make_console(), summary, folder, pictures)


@app.command("replay")
def replay_study(
    folder: Annotated[Path, typer.Argument(help="Study folder.")],
    agent: Annotated[bool, typer.Option("--agent", help="Also rerun the agent and demand the same designs.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Simulate every logged row again and compare everything that was logged."""
    with StudyBar(1, f"replay {folder}", quiet=as_json) as bar:
        rows = replay(folder, agent=agent, on_rows=bar.at)
    if as_json:
        print_json({"folder": str(folder), "rows": rows, "pass": True})
    else:
        typer.echo(f"{folder}: {rows} rows agree" + (", and the agent asks for them again" if agent else ""))


def _without_resume(arguments: Sequence[str], folder: Path, out: Path | None) -> list[str]:
    kept = [a for a in arguments if a != "--resume"]
    return kept if out is not None else [*kept, "--out", str(folder)]


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of the console script: runs a command and turns errors into one line and a status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        status = app(args=given or ["--help"], standalone_mode=False)
    except (ReplayMismatch, WorkerError) as error:
        _fail(str(error), 1)
    except ArchGymError as error:
        _fail(str(error), 2)
    except typer.TyperException as error:
        _fail(error.format_message(), 2)
    except Interrupted as error:
        _fail(str(error), 130)
    except (KeyboardInterrupt, typer.Abort):
        _fail("interrupted", 130)
    except BrokenPipeError:  # the reader went away, as in `archgym list | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    sys.exit(status if isinstance(status, int) else 0)


def _fail(message: str, status: int) -> NoReturn:
    print(f"archgym: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(status)
