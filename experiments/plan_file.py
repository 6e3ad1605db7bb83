"""Plans as TOML files.

::

    problems = ["systolic/resnet50/edp", "dram-rl-stream-edp"]
    agents = ["random", "genetic", "small-ga"]      # names, module:Class, WRAPPER(AGENT), or [agent.NAME] below
    budgets = [200, 1000]                           # or one number
    seeds = 30                                      # 0 to 29, or a list
    batch = 10                                      # optional, like track = "grey"

    [agent.small-ga]
    agent = "genetic"                               # default: NAME
    config = { population = 8 }
    grid = { mutation = [0.8, 2.0] }                # every combination is an agent: small-ga(mutation=0.8), …

    [[grid]]                                        # more studies; what it leaves out is taken from the top
    problems = [{ problem = "systolic/bert-base/edp", limits = ["area<=20"] }]

``include = ["other.toml"]`` adds the grids and the named agents of other plans. Workload files in tables are
found beside the plan. The top is itself a grid if it names problems and agents.
"""

from __future__ import annotations

import itertools
import json
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from archgym.errors import UnknownNameError, UsageError
from archgym.evaluation import TRACKS
from archgym.problem import Problem, ProblemSpec
from archgym.registry import AGENTS
from archgym.study import agent_config
from archgym.suite.problems import parse_problem
from archgym.workload import is_workload_file

from .plan import Grid, Plan, PlannedAgent
from .plan_table import Table, at

_AXES = ("problems", "agents", "budgets", "seeds")
_GRID = (*_AXES, "batch", "track", "name")
_TOP = (*_GRID, "agent", "grid", "include")
_AGENT = ("agent", "config", "grid")
_PROBLEM = tuple(f.name for f in fields(ProblemSpec))

Build = Callable[[ProblemSpec], Problem]


def load_plan(path: str | Path, build: Build = Problem) -> Plan:
    """The plan in a TOML file, or in the JSON file that a sweep keeps in its folder.

    Args:
        path: ends in ``.toml`` or ``.json``.
        build: makes the problems, to check them; one that remembers them saves making them again.

    Raises:
        UsageError: unreadable, or wrong anywhere; the message names the file and the field.
    """
    return Plan(tuple(_Reader(build).read(Path(path), ()).values()))


class _Reader:
    """One load: what has been read, so that a file that is included twice counts once."""

    def __init__(self, build: Build) -> None:
        self._build = build
        self._files: dict[Path, _Content] = {}

    def read(self, path: Path, including: tuple[Path, ...]) -> dict[str, Grid]:
        content = self._load(path, including)
        if not content.grids:
            raise UsageError(f"{path}: no studies: expected problems and agents, or tables [[grid]]")
        return content.grids

    def _load(self, path: Path, including: tuple[Path, ...]) -> _Content:
        resolved = path.resolve()
        if resolved in including:
            chain = " -> ".join(p.name for p in (*including[including.index(resolved) :], resolved))
            raise UsageError(f"{path}: includes itself: {chain}")
        if resolved in self._files:
            return self._files[resolved]
        top = Table(_parse(path), str(path), "")
        top.check_fields("field of a plan", _TOP)
        grids: dict[str, Grid] = {}
        agents: dict[str, list[PlannedAgent]] = {}
        for i, name in enumerate(top.texts("include") if top.has("include") else ()):
            with at(top.where("include", i)):
                other = self._load(path.parent / name, (*including, resolved))
            grids.update(other.grids)
            for known, found in other.agents.items():
                if agents.setdefault(known, found) != found:
                    raise UsageError(f"{top.where('include', i)}: agent '{known}' is another one in the plan before it")
        for name in top.table("agent"):
            if name in agents:
                raise UsageError(
                    f"{top.where('agent')}.{name}: an included plan defines this agent; choose another name"
                )
            agents[name] = _agents(top.below("agent", name), name)
        for place in self._grid_tables(top):
            grids[place.where()] = _grid(place, agents, self._build, path.parent)
        return self._files.setdefault(resolved, _Content(grids, agents))

    def _grid_tables(self, top: Table) -> Iterator[Table]:
        if top.has("problems") and top.has("agents"):
            yield top
        tables = top.data.get("grid", [])
        if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
            raise UsageError(f"{top.where('grid')}: expected tables [[grid]], got {tables!r}")
        defaults = {key: top for key in top.data if key in _GRID and key != "name"}
        for i, table in enumerate(tables):
            place = Table(table, top.file, f"grid[{i}]", defaults)
            place.check_fields("field of a grid", _GRID)
            yield place


@dataclass(frozen=True)
class _Content:
    grids: dict[str, Grid]  # by where they stand
    agents: dict[str, list[PlannedAgent]]


def _parse(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
        content = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except OSError as error:
        raise UsageError(f"cannot read the plan {path}: {error.strerror or error}") from None
    except ValueError as error:
        raise UsageError(f"{path}: {error}") from None
    if not isinstance(content, dict):
        raise UsageError(f"{path}: expected an object, got {type(content).__name__}")
    return content


def _agents(place: Table, name: str) -> list[PlannedAgent]:
    """The agents of one table [agent.NAME]: one, or one for each point of its grid."""
    place.check_fields("field of an agent", _AGENT)
    agent, config, axes = place.text("agent", name), place.table("config"), place.table("grid")
    for key, values in axes.items():
        if not isinstance(values, list) or not values:
            raise UsageError(f"{place.where('grid')}.{key}: expected a list of values, got {values!r}")
        if key in config:
            raise UsageError(f"{place.where('grid')}.{key}: is in config too")
    out = []
    for point in itertools.product(*axes.values()):
        chosen = dict(zip(axes, point, strict=True))
        label = ",".join(f"{key}={value}" for key, value in chosen.items())
        with at(place.where()):
            # which track is checked where the agent is used
            typed = agent_config(agent, {**config, **chosen}, "grey")
        out.append(PlannedAgent(f"{name}({label})" if label else name, agent, typed))
    return out


def _grid(place: Table, agents: Mapping[str, list[PlannedAgent]], build: Build, folder: Path) -> Grid:
    track = place.text("track", "grey")
    with at(place.where("track")):
        if track not in TRACKS:
            raise UnknownNameError("track", track, TRACKS)
    chosen: list[PlannedAgent] = []
    for i, name in enumerate(place.texts("agents")):
        with at(place.where("agents", i)):
            found = agents.get(name)
            if found is None:
                if name not in AGENTS.names() and ":" not in name and "(" not in name:
                    raise UnknownNameError("agent", name, (*AGENTS.names(), *agents))
                found = [PlannedAgent(name, name, {})]
            for one in found:
                agent_config(one.agent, one.config, track)
            chosen += found
    problems = []
    for i, entry in enumerate(place.items("problems")):
        with at(place.where("problems", i)):
            problems.append(build(_problem(entry, folder)).spec)
    return Grid(
        tuple(problems),
        tuple(chosen),
        place.counts("budgets"),
        place.seeds("seeds"),
        place.count("batch", 10),
        track,
        place.text("name", ""),
    )


def _problem(entry: Any, folder: Path) -> ProblemSpec:
    """A problem as the command line takes it, or a table of its fields."""
    if isinstance(entry, str):
        return parse_problem(entry)
    if not isinstance(entry, dict):
        raise UsageError(f"expected text such as 'systolic/resnet50/edp' or a table, got {entry!r}")
    options: dict[str, Any] = {}
    for key, value in entry.items():
        if key not in (*_PROBLEM, "problem"):
            raise UnknownNameError("field of a problem", key, (*_PROBLEM, "problem"))
        expected, kind = _KINDS.get(key, ("text", str))
        if not isinstance(value, kind):
            raise UsageError(f"{key}: expected {expected}, got {value!r}")
        options[key] = tuple(value) if isinstance(value, list) else value
    if "problem" in options:
        if clash := [key for key in ("simulator", "workloads", "objective") if key in options]:
            raise UsageError(f"{clash[0]}: 'problem' says it already")
        return parse_problem(options.pop("problem"), **options)
    if missing := [key for key in ("simulator", "workloads") if key not in options]:
        raise UsageError(f"{missing[0]}: missing; expected it, or problem = 'systolic/resnet50/edp'")
    options["workloads"] = tuple(_beside(workload, folder) for workload in options["workloads"])
    return ProblemSpec(**options).embedded()


_KINDS: dict[str, tuple[str, type | tuple[type, ...]]] = {
    "workloads": ("a list", list),
    "weights": ("a list of numbers", list),
    "sim": ("a table", dict),
    "space": ("a table", dict),
    "limits": ("text or a list of text", (list, str)),
}


def _beside(workload: Any, folder: Path) -> Any:
    is_file = isinstance(workload, str) and ("/" in workload or is_workload_file(workload))
    return str(folder / workload) if is_file else workload
