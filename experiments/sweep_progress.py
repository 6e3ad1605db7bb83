"""Progress on a sweep: a bar with time left and failures, and who leads."""

from __future__ import annotations

import bisect
from collections.abc import Iterable
from pathlib import Path

from rich.console import Console, RenderableType
from rich.progress import Progress, ProgressColumn
from rich.text import Text

from archgym.spec import StudySpec
from archgym.suite.problems import name_of

from .progress import Bar, columns
from .sweep import StudyResult

_SHOWN = 3


class Leaders:
    """Agents by their median best reward, for each problem, budget and track, as results come in."""

    def __init__(self) -> None:
        self._bests: dict[str, dict[str, list[float]]] = {}

    def add(self, result: StudyResult) -> None:
        """Take in one result; a study without a feasible sample counts as the worst."""
        if result.error:
            return
        agents = self._bests.setdefault(_key(result.spec), {})
        best = float("-inf") if result.best is None else result.best
        bisect.insort(agents.setdefault(result.spec.agent_label, []), best)

    def line(self, spec: StudySpec) -> str:
        """The leaders on the problem of a spec: ``"boom-iccad22-pareto @200 grey: genetic 2.31 (12), …"``."""
        return self._line(_key(spec))

    def lines(self) -> list[str]:
        """One line for each problem, budget and track."""
        return [self._line(key) for key in self._bests]

    def _line(self, key: str) -> str:
        medians = {agent: (_median(bests), len(bests)) for agent, bests in self._bests.get(key, {}).items()}
        ranked = sorted(medians.items(), key=lambda item: -item[1][0])[:_SHOWN]
        return f"{key}: " + ", ".join(f"{agent} {median:.4g} ({n})" for agent, (median, n) in ranked)


def _key(spec: StudySpec) -> str:
    return f"{name_of(spec.problem)} @{spec.budget} {spec.track}"


def _median(ascending: list[float]) -> float:
    middle = len(ascending) // 2
    return ascending[middle] if len(ascending) % 2 else (ascending[middle - 1] + ascending[middle]) / 2


class _BarAndLeaders(Progress):
    """A bar with one line below it, made only when the display is refreshed."""

    latest: StudySpec | None = None

    def __init__(self, *columns: ProgressColumn, console: Console, disable: bool) -> None:
        self.leaders = Leaders()  # before the base class, which renders at once
        super().__init__(*columns, console=console, disable=disable)

    def get_renderables(self) -> Iterable[RenderableType]:
        yield from super().get_renderables()
        if self.latest is not None:
            yield Text(self.leaders.line(self.latest), no_wrap=True, overflow="ellipsis")


class SweepBar(Bar):
    """A context manager whose ``add`` follows a sweep, on a terminal only.

    Args:
        total: studies, as far as it is known.
        label: what runs.
        quiet: show nothing.
    """

    def __init__(self, total: int, label: str, *, quiet: bool = False) -> None:
        console = Console(stderr=True)
        shown = _BarAndLeaders(
            *columns("failed {task.fields[failed]}"), console=console, disable=quiet or not console.is_terminal
        )
        super().__init__(shown)
        self.leaders, self._shown = shown.leaders, shown
        self._task = shown.add_task(label, total=total, failed=0)
        self._failed: set[Path] = set()

    def add(self, result: StudyResult) -> None:
        """Take in what became of one study."""
        self.leaders.add(result)
        self._shown.latest = result.spec
        (self._failed.add if result.error else self._failed.discard)(result.folder)
        self._progress.update(self._task, advance=result.state != "retry", failed=len(self._failed))
