"""A plan: problems, agents, budgets and seeds whose product is a set of studies.

Plans are written as TOML (`plan_file.load_plan`); this is their checked form. Nothing here simulates.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from archgym.problem import ProblemSpec
from archgym.spec import StudySpec


@dataclass(frozen=True)
class PlannedAgent:
    """An agent with some hyperparameters, under the name that the plan gives it.

    Attributes:
        name: for people, such as ``"small-ga"``.
        agent: registered name, or ``"module:Class"``.
        config: overrides of its hyperparameters.
    """

    name: str
    agent: str
    config: Mapping[str, Any]


@dataclass(frozen=True)
class Grid:
    """Every agent on every problem under every budget with every seed.

    Attributes:
        problems, agents, budgets, seeds: the axes.
        batch, track: of all studies, see StudySpec.
        name: for people; may be empty.
    """

    problems: tuple[ProblemSpec, ...]
    agents: tuple[PlannedAgent, ...]
    budgets: tuple[int, ...]
    seeds: Sequence[int]
    batch: int = 10
    track: str = "grey"
    name: str = ""

    def __len__(self) -> int:
        return len(self.problems) * len(self.agents) * len(self.budgets) * len(self.seeds)

    @property
    def samples(self) -> int:
        """Samples of all studies together."""
        return len(self.problems) * len(self.agents) * len(self.seeds) * sum(self.budgets)

    def __iter__(self) -> Iterator[StudySpec]:
        """The studies, seeds outermost.

        At any moment every agent has then met every problem under nearly the same seeds, so that a look at
        a running sweep, or at one that was cut short, is a fair comparison; more seeds only sharpen it.
        """
        for seed in self.seeds:  # may be many, so not part of the product, which lists its axes first
            for budget, problem, a in itertools.product(self.budgets, self.problems, self.agents):
                yield StudySpec(problem, a.agent, a.config, budget, self.batch, self.track, seed)


@dataclass(frozen=True)
class Plan:
    """Grids of studies, one after the other.

    Attributes:
        grids: at least one, none of them empty.
    """

    grids: tuple[Grid, ...]

    def __len__(self) -> int:
        """Studies before repetitions between the grids are dropped; known without listing them."""
        return sum(len(grid) for grid in self.grids)

    def __iter__(self) -> Iterator[StudySpec]:
        """The studies, made one at a time; a study that stands in two grids comes twice."""
        return itertools.chain.from_iterable(self.grids)

    @property
    def samples(self) -> int:
        """Samples of all studies together."""
        return sum(grid.samples for grid in self.grids)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data in the form of a plan file: contents of workload files and included plans are part of it."""
        distinct: list[PlannedAgent] = []
        for a in itertools.chain.from_iterable(grid.agents for grid in self.grids):
            if a not in distinct:
                distinct.append(a)
        names = [a.name for a in distinct]  # two plans may give different agents one name
        unique = [name if name not in names[:i] else f"{name}#{i}" for i, name in enumerate(names)]
        return {
            "agent": {n: {"agent": a.agent, "config": dict(a.config)} for n, a in zip(unique, distinct, strict=True)},
            "grid": [_grid_as_dict(grid, [unique[distinct.index(a)] for a in grid.agents]) for grid in self.grids],
        }


def _grid_as_dict(grid: Grid, agents: list[str]) -> dict[str, Any]:
    seeds = grid.seeds
    counted = isinstance(seeds, range) and seeds.start == 0 and seeds.step == 1
    return {
        "name": grid.name,
        "problems": [problem.to_dict() for problem in grid.problems],
        "agents": agents,
        "budgets": list(grid.budgets),
        "seeds": len(seeds) if counted else list(seeds),
        "batch": grid.batch,
        "track": grid.track,
    }
