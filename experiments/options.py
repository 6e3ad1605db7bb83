"""What the commands share: option types, and text turned into specs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from archgym.errors import UsageError
from archgym.problem import ProblemSpec
from archgym.suite.problems import parse_problem


class Interrupted(Exception):
    """Ctrl-C, with what to tell the user."""


ProblemArgument = Annotated[
    str, typer.Argument(metavar="PROBLEM", help="simulator/workload/objective, or the name of a suite problem.")
]
WorkloadOption = Annotated[
    list[Path] | None,
    typer.Option("--workload", help="Workload file (.csv, .json, .stl), repeatable; PROBLEM: simulator/objective."),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="agent.K=V, sim.K=V, or space.K=LEVEL,LEVEL,… (repeatable)."),
]
LimitOption = Annotated[
    list[str] | None, typer.Option("--limit", metavar="LIMIT", help="Budget on a metric, e.g. 'area<=20' (repeatable).")
]
AggregateOption = Annotated[
    str, typer.Option("--aggregate", help="Several workloads become one by geomean, sum, worst, or weighted:W,W,….")
]
ExecutorOption = Annotated[str, typer.Option(help="serial, threads or processes; the result does not depend on it.")]
WorkersOption = Annotated[int, typer.Option(help="Workers of the executor.")]
AgentsOption = Annotated[
    str, typer.Option(help="Registered agents, module:Class or WRAPPER(AGENT), with commas between them.")
]
StudiesOption = Annotated[Path | None, typer.Option(help="Folder of the studies; default under results/.")]
JobsOption = Annotated[int, typer.Option(help="Studies at a time, each in a process of its own.")]
TrackOption = Annotated[str, typer.Option(help="grey (metrics shown to the agent) or scalar.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print machine-readable JSON instead of tables.")]


def split_settings(settings: Sequence[str] | None) -> dict[str, dict[str, str]]:
    """``["agent.population=8"]`` as ``{"agent": {"population": "8"}, "sim": {}, "space": {}}``.

    Raises:
        UsageError: not of the form PART.KEY=VALUE with a known part.
    """
    out: dict[str, dict[str, str]] = {"agent": {}, "sim": {}, "space": {}}
    for text in settings or ():
        path, equals, value = text.partition("=")
        part, dot, key = path.partition(".")
        if not equals or not dot or part not in out or not key:
            raise UsageError(f"--set: expected agent.K=V, sim.K=V or space.K=LEVELS, got '{text}'")
        if key in out[part]:
            raise UsageError(f"--set: {part}.{key} is given twice")
        out[part][key] = value
    return out


def problem_spec(
    problem: str,
    workload: Sequence[Path] | None = None,
    settings: Sequence[str] | None = None,
    limits: Sequence[str] | None = None,
    aggregate: str = "geomean",
    *,
    with_agent: bool = False,
) -> ProblemSpec:
    """The problem that the command line describes; ``with_agent`` if there is an agent that --set may configure.

    Raises:
        UsageError: anything wrong with it.
    """
    parts = split_settings(settings)
    options: dict[str, Any] = {"sim": parts["sim"], "space": parts["space"], "limits": tuple(limits or ())}
    if parts["agent"] and not with_agent:
        raise UsageError(f"--set agent.{next(iter(parts['agent']))}: there is no agent in this command")
    if workload:
        options["workload"] = [str(path) for path in workload]
    how, _, weights = aggregate.partition(":")
    if how != "geomean":
        options["aggregate"] = how
    if weights:
        options["weights"] = _numbers(weights)
    return parse_problem(problem, **options)


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(word) for word in text.split(","))
    except ValueError:
        raise UsageError(f"--aggregate weighted: expected numbers such as weighted:2,1, got '{text}'") from None


def print_json(data: Any) -> None:
    """JSON on standard output; NaN as null."""
    typer.echo(json.dumps(_finite(data), indent=1))


def _finite(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _finite(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_finite(value) for value in data]
    if isinstance(data, float) and not (abs(data) < float("inf")):
        return None
    return data
