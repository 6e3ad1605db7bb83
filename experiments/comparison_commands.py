"""``archgym compare`` and ``archgym report``: agents side by side, as tables, pictures and files."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from archgym.errors import UnknownNameError, UsageError
from archgym.evaluation import TRACKS
from archgym.runs import Runs, load
from archgym.study import agent_config

from .options import AgentsOption, JobsOption, JsonOption, StudiesOption, TrackOption, print_json
from .plan import Grid, Plan, PlannedAgent
from .planned_runs import (
    check_at_least_one,
    chosen_problems,
    counts,
    default_out,
    run_plan,
    whole_seeds,
    with_optimum,
    words,
)
from .sweep_commands import print_failures
from .sweep_tasks import Problems
from .tables import make_console

if TYPE_CHECKING:  # pandas and matplotlib take a while to import; most commands need neither
    from .comparison import Comparison

ProblemsArgument = Annotated[
    list[str],
    typer.Argument(metavar="PROBLEM…", help="simulator/workload/objective, suite problems, or a tier: headline, easy."),
]
AgainstOption = Annotated[
    str | None, typer.Option(help="Agent that the others are held against; default: the best of them.")
]
MarginOption = Annotated[
    float | None,
    typer.Option(help="Also test whether the agent of --against is worse than each other by less; 0.05 is 5 %."),
]
BatchOption = Annotated[int, typer.Option(help="Designs asked per step.")]


def compare_agents(
    problems: ProblemsArgument,
    agents: AgentsOption,
    budgets: Annotated[str, typer.Option(help="Samples after which they are judged.")] = "50,200,1000",
    seeds: Annotated[int, typer.Option(help="Runs of every agent on every problem: seeds 0, 1, …")] = 20,
    batch: BatchOption = 10,
    track: TrackOption = "grey",
    jobs: JobsOption = 1,
    out: StudiesOption = None,
    against: AgainstOption = None,
    margin: MarginOption = None,
    as_json: JsonOption = False,
) -> int:
    """Run agents on problems under equal budgets and seeds; tables and pictures go to OUT/report.

    Agents that pay no heed to their budget run once, under the largest; the others under each. The same command again
    goes on with what is missing, `archgym sweep OUT` too. Exit status 1 if a study failed.
    """
    from .comparison import compare

    check_at_least_one(seeds=seeds, batch=batch, jobs=jobs)
    names, samples = words("--agents", agents), counts("--budgets", budgets)
    if margin is not None and seeds < 2:
        raise UsageError(f"--margin: a test needs at least two seeds, got {seeds}")
    _check_options(against, margin, names)
    check_track(track)
    built = Problems()
    plan = comparison_plan(problems, names, samples, seeds, batch, track, built)
    folder = out or default_out("compare", plan)
    command = ["archgym", "compare", *problems, "--agents", ",".join(names)]
    command += ["--budgets", ",".join(str(b) for b in samples), "--seeds", str(seeds)]
    command += ["--batch", str(batch)] * (batch != 10) + ["--track", track] * (track != "grey")
    command += ["--against", against] if against is not None else []
    command += ["--margin", str(margin)] if margin is not None else []
    command += ["--out", str(folder)]
    again = shlex.join([*command, *(["--jobs", str(jobs)] if jobs > 1 else [])])
    outcome, runs = run_plan(plan, folder, jobs=jobs, problems=built, again=again, quiet=as_json)
    if not as_json:
        print_failures([{"folder": str(r.folder), "error": r.error} for r in outcome.failed], folder)
    runs, notes = _measurable(runs)
    found = compare(runs, budgets=samples, against=against, unfinished="extend")
    _tell(found, folder / "report", shlex.join(command), notes, margin, as_json)
    return 1 if outcome.failed else 0


def report(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of studies: of compare, lottery or a sweep.")],
    agents: Annotated[str | None, typer.Option(help="Only these, as `agent` or `agent (k=v)`; default: all.")] = None,
    budgets: Annotated[
        str | None, typer.Option(help="Samples after which they are judged; default: the studies' and the usual ones.")
    ] = None,
    batch: Annotated[int | None, typer.Option(help="Only the studies with this batch.")] = None,
    track: Annotated[str | None, typer.Option(help="Only the studies of this track.")] = None,
    where: Annotated[
        str | None, typer.Option(metavar="QUERY", help="Only studies that fit, as 'budget == 1000 and seed < 5'.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder to write to; default DIR/report.")] = None,
    name: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=PATTERN", help="Show agents like PATTERN, such as 'ippo (learn=*)', as NAME (repeatable)."
        ),
    ] = None,
    against: AgainstOption = None,
    margin: MarginOption = None,
    pairs: Annotated[bool, typer.Option("--pairs", help="Also hold every agent against every other.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Tables and pictures of studies that lie in a folder already; nothing is run."""
    from .comparison import compare
    from .lottery_report import is_lottery, print_lottery, write_lottery

    if track is not None:
        check_track(track)
    command = ["archgym", "report", str(folder)]
    for option, value in (("agents", agents), ("budgets", budgets), ("batch", batch), ("track", track)):
        command += [f"--{option}", str(value)] if value is not None else []
    command += ["--where", where] if where is not None else []
    command += ["--against", against] if against is not None else []
    command += ["--margin", str(margin)] if margin is not None else []
    for text in name or ():
        command += ["--name", text]
    command += ["--pairs"] if pairs else []
    runs, meant = _renamed(_fitting(_select(load(folder), batch=batch, track=track), where), name or ())
    chosen = None if agents is None else _labels(agents, runs)
    if chosen is not None:
        runs = runs.select(runs.studies[runs.studies["agent_label"].isin(chosen)])
    _check_options(against, margin, sorted(set(runs.studies["agent_label"])))
    runs, notes = _measurable(runs)
    notes = meant + notes
    place = out or folder / "report"
    if is_lottery(folder):
        found = write_lottery(runs, place, shlex.join(command), notes)
        print_json(found.data) if as_json else print_lottery(make_console(), found)
        return
    judged = None if budgets is None else counts("--budgets", budgets)
    comparison = compare(runs, agents=chosen, budgets=judged, against=against, unfinished="extend")
    _tell(comparison, place, shlex.join(command), notes, margin, as_json, pairs=pairs)


def comparison_plan(
    problems: Sequence[str],
    agents: Sequence[str],
    budgets: Sequence[int],
    seeds: int,
    batch: int,
    track: str,
    built: Problems,
) -> Plan:
    """Everybody under the largest budget, then those who plan with theirs under each smaller one.

    Args:
        problems: as on the command line.
        agents: registered names, ``"module:Class"``, or ``"wrapper(agent)"``.
        budgets: samples.
        seeds: how many.
        batch, track: of all studies.
        built: takes in the problems.

    Raises:
        UsageError: anything wrong with a problem or an agent.
    """
    from .budgets import budgets_to_run

    for name in agents:
        agent_config(name, {}, track)
    specs = chosen_problems(problems, built)
    grids = []
    for budget in sorted(set(budgets), reverse=True):
        chosen = tuple(PlannedAgent(n, n, {}) for n in agents if budget in budgets_to_run(n, budgets, batch))
        if chosen:
            grids.append(Grid(specs, chosen, (budget,), range(seeds), batch, track, "compare"))
    return Plan(tuple(grids))


def check_track(track: str) -> None:
    """UnknownNameError if there is no such track."""
    if track not in TRACKS:
        raise UnknownNameError("track", track, TRACKS)


def _check_options(against: str | None, margin: float | None, agents: Sequence[str]) -> None:
    if against is not None and against not in agents:
        raise UnknownNameError("agent of --against", against, agents)
    if margin is not None and not (math.isfinite(margin) and margin >= 0):
        raise UsageError(f"--margin: expected a gap of at least 0, such as 0.05 for 5 %, got {margin}")


def _measurable(runs: Runs) -> tuple[Runs, list[str]]:
    runs, notes = whole_seeds(runs)
    runs, more = with_optimum(runs)
    return runs, notes + more


def _select(runs: Runs, **wanted: int | str | None) -> Runs:
    frame = runs.studies
    for column, value in wanted.items():
        if value is not None:
            there = frame[column].unique().tolist()
            if value not in there:
                raise UsageError(
                    f"--{column}: expected one of {', '.join(map(str, there))} (in {runs.folder}); got {value}"
                )
            frame = frame[frame[column] == value]
    return runs.select(frame)


def _fitting(runs: Runs, query: str | None) -> Runs:
    """The studies that a query of pandas selects."""
    if query is None:
        return runs
    try:
        chosen = runs.select(query)
    except Exception as error:  # pandas raises what it likes: the text is the user's
        columns = ", ".join(runs.studies.columns)
        raise UsageError(f"--where: expected a condition on {columns}; '{query}' is none ({error})") from None
    if not len(chosen):
        raise UsageError(f"--where: no study in {runs.folder} fits '{query}'")
    return chosen


def _renamed(runs: Runs, names: Sequence[str]) -> tuple[Runs, list[str]]:
    """Runs with the names of ``NAME=PATTERN``, the first that fits, and a line that says what each stands for."""
    found: dict[str, str] = {}
    notes = []
    for text in names:
        name, equals, pattern = text.partition("=")
        if not (name and equals and pattern):
            raise UsageError(f"--name: expected NAME=PATTERN, such as 'plain=genetic (*)', got '{text}'")
        known = sorted(set(runs.studies["agent_label"]) - set(found))
        fits = [label for label in known if fnmatchcase(label, pattern)]
        if not fits:
            raise UnknownNameError("agent like", pattern, known)
        found |= dict.fromkeys(fits, name)
        notes.append(f"{name}: {'; '.join(fits)}.")
    return runs.renamed(found), notes


def _labels(text: str, runs: Runs) -> list[str]:
    """Agents of the runs, whose labels may hold commas: ``genetic (mutation=2.0, population=8),random``."""
    known = sorted(set(runs.studies["agent_label"]))
    found, rest = [], text
    while rest:
        label = max((k for k in known if rest == k or rest.startswith(f"{k},")), key=len, default=None)
        if label is None:
            raise UnknownNameError("agent", rest, known)
        found.append(label)
        rest = rest[len(label) + 1 :].lstrip()
    return list(dict.fromkeys(found))


def _tell(
    found: Comparison,
    place: Path,
    command: str,
    notes: Sequence[str],
    margin: float | None,
    as_json: bool,
    *,
    pairs: bool = False,
) -> None:
    from .comparison_report import print_comparison, write_comparison

    written = write_comparison(found, place, command, notes, margin, pairs=pairs)
    if as_json:
        print_json(written.data)
    else:
        print_comparison(make_console(), found, written)
