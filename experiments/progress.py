"""Progress on long work: a bar with best-so-far and time left, on a terminal only."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from archgym.evaluator import Evaluator


def columns(note: str) -> tuple[ProgressColumn, ...]:
    """What a bar shows: label, bar, count, a note such as ``"best {task.fields[best]}"``, time gone and left."""
    return (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TextColumn(note),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )


class Bar:
    """A context manager that shows a Progress while it is entered."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()


class StudyBar(Bar):
    """A context manager whose ``evaluator`` follows a study, and ``at`` anything else.

    Args:
        total: samples of the budget.
        label: what runs.
        quiet: show nothing.
    """

    def __init__(self, total: int, label: str, *, quiet: bool = False) -> None:
        console = Console(stderr=True)
        note = "best {task.fields[best]}"
        super().__init__(Progress(*columns(note), console=console, disable=quiet or not console.is_terminal))
        self._task = self._progress.add_task(label, total=total, best="-")

    def evaluator(self, evaluator: Evaluator) -> None:
        """Show where a study is."""
        best = "-" if evaluator.best is None else f"{float(evaluator.best.reward[0]):.4f}"
        self._progress.update(self._task, completed=evaluator.n_samples, best=best)

    def at(self, done: int, total: int, best: float | None = None) -> None:
        """Show any other progress."""
        self._progress.update(self._task, completed=done, total=total, best="-" if best is None else f"{best:.4f}")
