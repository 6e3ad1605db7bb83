"""``archgym sweep``: run, divide, resume and look at a plan of studies."""

from __future__ import annotations

import shlex
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer

from archgym.errors import UsageError

from .options import Interrupted, JobsOption, JsonOption, print_json
from .plan import Plan
from .plan_file import load_plan
from .sweep import Outcome, sweep
from .sweep_folder import PLAN, STATES, Shard, read_failures, state, write_plan
from .sweep_progress import SweepBar
from .sweep_tasks import Problems, tasks
from .tables import make_console, show

_MANY = 10**6  # studies beyond which a plan is more likely a slip than a wish
_SHOWN = 5


def sweep_plan(
    plan: Annotated[Path, typer.Argument(metavar="PLAN", help="Plan (.toml), or the folder of a sweep to go on with.")],
    jobs: JobsOption = 1,
    out: Annotated[Path | None, typer.Option(help="Folder of the studies; default results/sweeps/PLAN.")] = None,
    limit: Annotated[int | None, typer.Option(help="Run at most so many studies.")] = None,
    shard: Annotated[str, typer.Option(metavar="I/N", help="Only part I of N, for several machines.")] = "1/1",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be run.")] = False,
    status: Annotated[bool, typer.Option("--status", help="Say what has been run.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help=f"Allow more than {_MANY} studies.")] = False,
    as_json: JsonOption = False,
) -> int:
    """Run every study of a plan; the same command again goes on with what is missing.

    Exit status 1 if a study failed; the others are run all the same.
    """
    part = Shard.parse(shard)
    for name, value in (("--jobs", jobs), ("--limit", limit)):
        if value is not None and value < 1:
            raise UsageError(f"{name}: expected at least 1, got {value}")
    folder = out or (plan if plan.is_dir() else Path("results") / "sweeps" / plan.stem)
    problems = Problems()
    planned = load_plan(_file(plan), problems.get)
    if len(planned) > _MANY and not yes and not dry_run:
        raise UsageError(f"{plan}: {len(planned)} studies are more than {_MANY}; if you mean it, say --yes")
    if dry_run:
        _show_plan(planned, folder, part, problems, as_json)
        return 0
    if status:
        return _show_status(planned, folder, part, problems, as_json)
    write_plan(folder, planned.to_dict())
    with SweepBar(-(-len(planned) // part.count), f"sweep {folder}", quiet=as_json) as bar:
        try:
            outcome = sweep(planned, folder, jobs=jobs, shard=part, limit=limit, problems=problems, on_done=bar.add)
        except KeyboardInterrupt:
            command = shlex.join(["archgym", *sys.argv[1:]])
            raise Interrupted(f"interrupted; every study is resumable, go on with: {command}") from None
    _show_outcome(outcome, bar, as_json)
    return 1 if outcome.failed else 0


def _file(plan: Path) -> Path:
    if not plan.is_dir():
        return plan
    if not (plan / PLAN).exists():
        raise UsageError(f"{plan} is no folder of a sweep: it holds no {PLAN}")
    return plan / PLAN


def _show_plan(planned: Plan, folder: Path, part: Shard, problems: Problems, as_json: bool) -> None:
    first = [
        {"folder": str(task.folder), "problem": task.spec.problem.label, "agent": task.spec.agent_label}
        | {"budget": task.spec.budget, "seed": task.spec.seed}
        for task in islice(tasks(planned, folder, part, problems), _SHOWN)
    ]
    # what the simulators declare; repeated designs cost nothing, and agents take time of their own
    seconds = sum(
        grid.samples / len(grid.problems) * problems.get(problem).cost_seconds
        for grid in planned.grids
        for problem in grid.problems
    )
    facts = {
        "studies": len(planned),
        "samples": planned.samples,
        "simulation_seconds": seconds,
        "shard": str(part),
        "out": str(folder),
        "first": first,
    }
    if as_json:
        print_json(facts)
        return
    typer.echo(
        f"{len(planned)} studies, {planned.samples} samples, about {_duration(seconds)} of simulation on one core"
        + (f"; shard {part} is {1 / part.count:.1%} of it" if part.count > 1 else "")
    )
    show(make_console(), "first studies", list(first[0]) if first else [], [list(row.values()) for row in first])


def _show_status(planned: Plan, folder: Path, part: Shard, problems: Problems, as_json: bool) -> int:
    failures = read_failures(folder)
    counts: Counter[str] = Counter()
    failed: list[dict[str, Any]] = []
    for task in tasks(planned, folder, part, problems):
        found = state(task.folder, failures)
        counts[found] += 1
        if found == "failed":
            failed.append({"folder": str(task.folder), "error": failures[task.folder.name]["error"]})
    if as_json:
        print_json({"out": str(folder), "shard": str(part), **{s: counts[s] for s in STATES}, "failures": failed})
    else:
        typer.echo(f"{folder}: " + ", ".join(f"{counts[name]} {name}" for name in STATES))
        print_failures(failed, folder)
    return 0


def _show_outcome(outcome: Outcome, bar: SweepBar, as_json: bool) -> None:
    failed = [{"folder": str(result.folder), "error": result.error} for result in outcome.failed]
    if as_json:
        facts = {"out": str(outcome.out), "done": outcome.done, "skipped": outcome.skipped, "failed": len(failed)}
        print_json({**facts, "limited": outcome.limited, "seconds": outcome.seconds, "failures": failed})
        return
    typer.echo(
        f"{outcome.out}: {outcome.done} studies done in {_duration(outcome.seconds)}, {outcome.skipped} were complete, "
        f"{len(failed)} failed" + ("; stopped at --limit, there are more" if outcome.limited else "")
    )
    for line in bar.leaders.lines()[:_SHOWN]:
        typer.echo(f"median best reward: {line}")
    print_failures(failed, outcome.out)


def print_failures(failed: Sequence[Mapping[str, Any]], folder: Path) -> None:
    """The first failures of a sweep, and where to read more; nothing if there are none.

    Args:
        failed: ``folder`` and ``error`` of each.
        folder: of the sweep.
    """
    for failure in failed[:_SHOWN]:
        typer.echo(f"failed: {failure['folder']}: {' '.join(failure['error'].split())}")
    if failed:
        rest = f"{len(failed) - _SHOWN} more; " if len(failed) > _SHOWN else ""
        typer.echo(f"{rest}tracebacks: {folder}/failed*.jsonl; the same command tries them again")


def _duration(seconds: float) -> str:
    minutes, hours = seconds / 60, seconds / 3600
    return f"{hours:.1f} h" if hours >= 1 else f"{minutes:.1f} min" if minutes >= 1 else f"{seconds:.1f} s"
