"""What a sweep has to do: studies with their problems, each problem built once, and their folders."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from archgym.problem import Problem, ProblemSpec
from archgym.spec import StudySpec
from archgym.study import prepare

from .sweep_folder import Shard, study_name


class Problems:
    """Problems by their specs, each built once."""

    def __init__(self) -> None:
        self._built: list[tuple[ProblemSpec, Problem]] = []
        self._by_id: dict[int, Problem] = {}  # of specs that _built holds on to: a sweep has many studies of each

    def get(self, spec: ProblemSpec) -> Problem:
        """The problem of a spec.

        Raises:
            UsageError: anything wrong with it.
        """
        if (known := self._by_id.get(id(spec))) is not None:
            return known
        for other, problem in self._built:
            if spec in (other, problem.spec):
                return problem
        problem = Problem(spec)
        self._built.append((spec, problem))
        self._by_id |= {id(spec): problem, id(problem.spec): problem}
        return problem


@dataclass(frozen=True)
class Task:
    """A study with its working form and its place.

    Attributes:
        spec: every option converted to its type.
        problem: what it runs on, shared between tasks.
        folder: where it is logged.
    """

    spec: StudySpec
    problem: Problem
    folder: Path


def tasks(
    studies: Iterable[StudySpec], out: str | Path, shard: Shard | None = None, problems: Problems | None = None
) -> Iterator[Task]:
    """The distinct studies of a shard, in order, made one at a time.

    Raises:
        UsageError: anything wrong with one of them.
    """
    problems, shard, out = problems or Problems(), shard or Shard(), Path(out)
    seen: set[int] = set()
    for study in studies:
        spec, problem = prepare(study, problems.get(study.problem))
        digest = spec.hash(problem)
        if shard.holds(digest) and (number := int(digest[:16], 16)) not in seen:
            seen.add(number)
            yield Task(spec, problem, out / study_name(spec, digest))
