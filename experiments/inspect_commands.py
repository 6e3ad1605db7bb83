"""Commands that look without searching: list, show, eval, validate."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from archgym import config as configs
from archgym.agent import Agent
from archgym.envs.registration import IDS
from archgym.errors import UnknownNameError, UsageError
from archgym.influence import affordable, influence
from archgym.objective import NAMED
from archgym.problem import Problem
from archgym.registry import AGENTS, SIMULATORS, WRAPPERS, import_target
from archgym.suite.problems import PROBLEMS
from archgym.validation import validate
from archgym.variant import split_variant
from archgym.workload import Network, is_workload_file, load_workload, workload_names

from .options import (
    AggregateOption,
    JsonOption,
    LimitOption,
    ProblemArgument,
    SetOption,
    WorkloadOption,
    print_json,
    problem_spec,
)
from .suite_table import show_suite
from .tables import columns_table, make_console, number, space_table
from .tables import show as show_table


def _catalogue() -> dict[str, list[str]]:
    return {
        "simulators": list(SIMULATORS.names()),
        "workloads": list(workload_names()),
        "objectives": [*NAMED, "any metric", "pareto:METRIC,METRIC,…", "archgym-target:METRIC=TARGET,…"],
        "agents": [*AGENTS.names(), *(f"{name}(AGENT)" for name in WRAPPERS.names())],
        "problems": list(PROBLEMS),
        "environments": list(IDS),
    }


def list_names(
    kind: Annotated[
        str | None, typer.Argument(help="simulators, workloads, objectives, agents, problems, environments.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List what there is."""
    catalogue = _catalogue()
    if kind is not None and kind not in catalogue:
        raise UnknownNameError("kind of component", kind, catalogue)
    chosen = {kind: catalogue[kind]} if kind is not None else catalogue
    if as_json:
        print_json(chosen)
        return
    if kind == "problems":
        show_suite(make_console())
        return
    for name, members in chosen.items():
        typer.echo(f"{name}: {', '.join(members)}")


def show(
    what: Annotated[str, typer.Argument(help="A simulator, workload (or its file), agent, or problem.")],
    settings: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Describe a simulator, a workload, an agent, or a problem and in how many designs each of its knobs matters."""
    console = make_console()
    is_target = ":" in what and "/" not in what  # an importable module:Class
    is_problem = split_variant(what)[0] in PROBLEMS or ("/" in what and not is_workload_file(what))
    if settings and not is_problem:
        raise UsageError(f"--set: expected a problem such as dram/stream/edp to describe with it, got '{what}'")
    is_agent = what in (*AGENTS.names(), *WRAPPERS.names()) or what.endswith(")")
    if is_agent or (is_target and _is_agent(what)):
        _show_agent(console, what, as_json)
    elif what in SIMULATORS.names() or is_target:
        _show_problem(console, Problem(_any_problem(what)), as_json)
    elif is_problem:
        _show_problem(console, Problem(problem_spec(what, settings=settings)), as_json, influential=True)
    elif what in workload_names() or is_workload_file(what):
        _show_workload(console, what, as_json)
    else:
        names = [*SIMULATORS.names(), *AGENTS.names(), *workload_names(), *PROBLEMS]
        raise UnknownNameError("simulator, agent, workload or problem", what, names)


def _is_agent(target: str) -> bool:
    found = import_target(target)
    return isinstance(found, type) and issubclass(found, Agent)


def _any_problem(simulator: str) -> Any:
    from archgym.problem import ProblemSpec

    instance = SIMULATORS.load(simulator)()  # tabular declares nothing before it has a table
    name = next(n for n in workload_names() if load_workload(n).kind in instance.accepts)
    return ProblemSpec(simulator, (name,), instance.metrics[0].name)


def _show_agent(console: Console, name: str, as_json: bool) -> None:
    cls = AGENTS.load(name)
    defaults = configs.flat(configs.to_json(cls.Config()))
    if as_json:
        print_json({"agent": name, "needs": cls.needs, "config": defaults, "search_space": cls.search_space})
        return
    summary = (cls.__doc__ or "").strip().partition("\n")[0]
    console.print(f"{name}: {summary}  (needs the {cls.needs} track)")
    rows = [[key, value, str(cls.search_space.get(key, ""))] for key, value in defaults.items()]
    if rows:
        show_table(console, f"--set agent.KEY=VALUE of {name}", ["key", "default", "tuning values"], rows)


def _show_problem(console: Console, problem: Problem, as_json: bool, influential: bool = False) -> None:
    defaults = configs.to_json(problem.simulator.config)
    n = affordable(problem) if influential else 0
    matters = influence(problem, n) if influential else None
    if as_json:
        print_json(
            {
                "problem": problem.spec.label,
                "space": problem.space.to_dict(),
                "size": str(problem.space.size),
                "metrics": [dataclasses.asdict(m) for m in problem.metrics.values()],
                "constraints": list(problem.constraint_names),
                "config": defaults,
                "baseline": problem.baseline,
                **({"matters_in": matters, "matters_in_designs": n} if influential else {}),
            }
        )
        return
    space_table(console, problem, matters, n)
    names = ", ".join(w.name for w in problem.workloads)
    console.print(f"The column 'at the baseline' is for {names}.", soft_wrap=True)
    shown = [[name, m.unit, problem.baseline_metrics[name], m.doc] for name, m in problem.metrics.items()]
    show_table(console, "metrics", ["metric", "unit", "at the baseline", "meaning"], shown)
    limits = [[c.name, c.unit, c.doc] for c in problem.simulator.constraints]
    if limits:
        show_table(console, "physical constraints", ["constraint", "unit of slack", "meaning"], limits)
    options = [[key, str(value)] for key, value in defaults.items()]
    show_table(console, "--set sim.KEY=VALUE", ["key", "value"], options)


def _show_workload(console: Console, name: str, as_json: bool) -> None:
    workload = load_workload(name)
    if as_json:
        print_json(workload.to_dict())  # what --workload FILE.json reads
        return
    if not isinstance(workload, Network):
        title = f"{workload.kind} '{workload.name}'"
        show_table(console, title, ["feature", "value"], [[key, value] for key, value in workload.features().items()])
        return
    console.print(f"{workload.name}: {number(workload.macs)} MACs, {number(workload.weights)} weights", soft_wrap=True)
    if workload.source:
        console.print(workload.source, soft_wrap=True)
    fields = ("name", "N", "G", "K", "C", "H", "W", "R", "S")
    rows = [
        [
            *(getattr(layer, f) for f in fields),
            layer.P,
            layer.Q,
            f"{layer.stride[0]}x{layer.stride[1]}",
            f"{layer.padding[0]}x{layer.padding[1]}",
            layer.repeats,
            layer.macs,
        ]
        for layer in workload.layers
    ]
    show_table(console, "layers", [*fields, "P", "Q", "stride", "padding", "repeats", "MACs"], rows)


def evaluate(
    problem: ProblemArgument,
    more: Annotated[list[str] | None, typer.Argument(metavar="[PARAMETER=LEVEL]...", help="Further --design.")] = None,
    design: Annotated[
        list[str] | None,
        typer.Option("--design", metavar="PARAMETER=LEVEL", help="Levels of one design; the rest is the baseline."),
    ] = None,
    layers: Annotated[
        bool, typer.Option("--layers", help="Also print its parts: layers of a network, sources of a trace.")
    ] = False,
    workload: WorkloadOption = None,
    settings: SetOption = None,
    limits: LimitOption = None,
    aggregate: AggregateOption = "geomean",
    as_json: JsonOption = False,
) -> None:
    """Evaluate one design: metrics, slacks, reward."""
    ready = Problem(problem_spec(problem, workload, settings, limits, aggregate))
    chosen: dict[str, Any] = dict(ready.baseline)
    given = [text for setting in (*(design or ()), *(more or ())) for text in setting.split(",")]
    for text in given:
        name, equals, level = text.partition("=")
        if not equals:
            raise UsageError(f"--design: expected PARAMETER=LEVEL, got '{text}'")
        parameter = ready.space[name]
        chosen[name] = parameter.levels[parameter.index(level)]
    codes = ready.space.encode([chosen])
    evaluation = ready.evaluate(codes)
    slacks = dict(zip(ready.constraint_names, evaluation.violations[0].tolist(), strict=True))
    tables = {w.name: ready.simulator.breakdown(ready.lift(codes), w) for w in ready.workloads} if layers else {}
    outcome = {
        "design": chosen,
        "feasible": bool(evaluation.feasible[0]),
        "reason": ready.explain(evaluation, 0),
        "reward": float(evaluation.reward[0]),
        "metrics": {name: float(column[0]) for name, column in evaluation.metrics.items()},
        "violations": slacks,
    }
    if as_json:
        print_json({**outcome, "layers": tables} if layers else outcome)
        return
    console = make_console()
    console.print(" ".join(f"{k}={v}" for k, v in chosen.items()), soft_wrap=True)
    units = ready.metrics
    rows = [[name, value, units[name].unit, units[name].doc] for name, value in outcome["metrics"].items()]  # type: ignore[attr-defined]
    names = ", ".join(w.name for w in ready.workloads)
    of_what = f" ({ready.spec.aggregate} over {names}, each metric on its own)" if len(ready.workloads) > 1 else ""
    show_table(console, f"metrics{of_what}", ["metric", "value", "unit", "meaning"], rows)
    shown = [[name, value, "ok" if value <= 0 else "VIOLATED"] for name, value in slacks.items()]
    if shown:
        show_table(console, "constraints: (value - limit) / |limit|", ["constraint", "relative violation", ""], shown)
    for name, table in tables.items():
        columns_table(console, f"parts of {name}", table)
    verdict = f"reward {outcome['reward']:.6g}" if outcome["feasible"] else f"infeasible: {outcome['reason']}"
    console.print(verdict, soft_wrap=True)


def validate_table(
    simulator: Annotated[str, typer.Argument(help="Registered simulator.")],
    table: Annotated[Path | None, typer.Argument(help="CSV measured with the original tool (.csv or .csv.gz).")] = None,
    traces: Annotated[
        Path | None, typer.Option("--traces", metavar="DIR", help="Folder of the memory traces that the table names.")
    ] = None,
    commands: Annotated[
        Path | None,
        typer.Option("--commands", metavar="FILE", help="Instead: check that a trace of commands is legal."),
    ] = None,
    device: Annotated[
        str | None, typer.Option("--device", help="Of --commands: a standard such as DDR4-2400, or a memspec file.")
    ] = None,
    as_json: JsonOption = False,
) -> int:
    """Recompute a table measured with the original tool and compare column by column; or check commands."""
    if (table is None) == (commands is None):
        raise UsageError("validate: expected either a table or --commands FILE")
    if (commands is None) != (device is None) or (commands is not None and traces is not None):
        raise UsageError("validate: --commands and --device go together, --traces goes with a table")
    if commands is not None and device is not None:
        return _check_commands(simulator, commands, device, as_json)
    assert table is not None
    report = validate(simulator, table, traces=traces)
    if as_json:
        print_json(report.to_dict())
        return 0 if report.passed else 1
    console = make_console()
    checked = report.rows - report.skipped
    rows = [
        [name, c.rows, c.exact, f"{c.max_rel_error:.2e}", c.tolerance, "PASS" if c.passed else "FAIL"]
        for name, c in report.columns.items()
    ]
    header = ["column", "rows", "exact", "largest relative error", "tolerance", ""]
    show_table(
        console, f"{simulator} against {table.name}: {checked} rows checked, {report.skipped} skipped", header, rows
    )
    console.print("PASS" if report.passed else ("FAIL" if checked else "FAIL: no row of this table could be checked"))
    return 0 if report.passed else 1


def _check_commands(simulator: str, path: Path, device: str, as_json: bool) -> int:
    check = SIMULATORS.load(simulator)().check_commands(path, device)
    passed = check.violations == 0
    if as_json:
        print_json({**dataclasses.asdict(check), "pass": passed})
        return 0 if passed else 1
    console = make_console()
    if check.rules:
        rows = [[str(value) for value in row.values()] for row in check.rules]
        show_table(console, f"rules of {device} that {path.name} breaks", list(check.rules[0]), rows)
    verdict = "PASS" if passed else "FAIL"
    console.print(f"{verdict}: {number(check.commands)} commands, {number(check.violations)} violations")
    return 0 if passed else 1
