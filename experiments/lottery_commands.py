"""``archgym lottery``: what the choice of its hyperparameters does to an agent, at equal budget."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Annotated

import typer

from archgym.errors import UsageError
from archgym.suite.problems import satisfices

from .comparison_commands import BatchOption, ProblemsArgument, check_track
from .configurations import configurations
from .options import AgentsOption, JobsOption, JsonOption, StudiesOption, TrackOption, print_json
from .plan import Grid, Plan, PlannedAgent
from .planned_runs import (
    by_name,
    check_at_least_one,
    chosen_problems,
    default_out,
    run_plan,
    whole_seeds,
    with_optimum,
    words,
)
from .sweep_commands import print_failures
from .sweep_tasks import Problems
from .tables import make_console


def lottery_of_agents(
    problems: ProblemsArgument,
    agents: AgentsOption,
    configs: Annotated[int, typer.Option(help="Configurations of each agent; its default is one of them.")] = 32,
    seeds: Annotated[int, typer.Option(help="Runs of every configuration: seeds 0, 1, …")] = 10,
    budget: Annotated[int, typer.Option(help="Samples of every run.")] = 1000,
    batch: BatchOption = 10,
    track: TrackOption = "grey",
    draw: Annotated[int, typer.Option(help="Seed of the draw of the configurations.")] = 0,
    jobs: JobsOption = 1,
    out: StudiesOption = None,
    as_json: JsonOption = False,
) -> int:
    """Run agents with configurations drawn from their search spaces; tables and pictures go to OUT/report.

    The same command again goes on with what is missing, `archgym sweep OUT` too; in the same OUT, more seeds or
    configurations join those that have been run. Exit status 1 if a study failed.
    """
    from .lottery_report import print_lottery, write_lottery  # pandas and matplotlib take a while to import

    check_at_least_one(configs=configs, seeds=seeds, budget=budget, batch=batch, jobs=jobs)
    check_track(track)
    names, built = words("--agents", agents), Problems()
    wanted = by_name(problems)
    graded = [name for name in wanted if not satisfices(name)]
    if not graded:
        raise UsageError(f"a lottery measures gaps, {wanted[0]} is scored by success: name another problem")
    plan = lottery_plan(graded, names, configs, seeds, budget, batch, track, draw, built)
    folder = out or default_out("lottery", plan)
    command = ["archgym", "lottery", *problems, "--agents", ",".join(names), "--configs", str(configs)]
    command += ["--seeds", str(seeds), "--budget", str(budget), *["--batch", str(batch)] * (batch != 10)]
    command += [*["--track", track] * (track != "grey"), *["--draw", str(draw)] * (draw != 0), "--out", str(folder)]
    again = shlex.join([*command, *["--jobs", str(jobs)] * (jobs > 1)])
    outcome, runs = run_plan(plan, folder, jobs=jobs, problems=built, again=again, quiet=as_json)
    if not as_json:
        print_failures([{"folder": str(r.folder), "error": r.error} for r in outcome.failed], folder)
    left_out = [f"Left out: {name}, which is scored by success." for name in wanted if name not in graded]
    runs, notes = whole_seeds(runs)
    runs, more = with_optimum(runs)
    found = write_lottery(runs, folder / "report", shlex.join(command), left_out + notes + more)
    print_json(found.data) if as_json else print_lottery(make_console(), found)
    return 1 if outcome.failed else 0


def lottery_plan(
    problems: Sequence[str],
    agents: Sequence[str],
    configs: int,
    seeds: int,
    budget: int,
    batch: int,
    track: str,
    draw: int,
    built: Problems,
) -> Plan:
    """Every configuration of every agent, on every problem, with every seed.

    Args:
        problems: as on the command line.
        agents: registered names, ``"module:Class"``, or ``"wrapper(agent)"``.
        configs: of each agent, the default included.
        seeds: how many.
        budget, batch, track: of all studies.
        draw: seed of the draw.
        built: takes in the problems.

    Raises:
        UsageError: anything wrong with a problem or an agent, such as one without a search space.
    """
    chosen = []
    for agent in agents:
        for config in configurations(agent, configs, seed=draw, track=track):
            label = ",".join(f"{key}={value}" for key, value in config.items())
            chosen.append(PlannedAgent(f"{agent}({label})" if label else agent, agent, config))
    specs = chosen_problems(problems, built)
    return Plan((Grid(specs, tuple(chosen), (budget,), range(seeds), batch, track, "lottery"),))
