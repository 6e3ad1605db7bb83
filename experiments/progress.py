"""Progress on long work: a bar with best-so-far and time left, on a terminal only."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from archgym.evaluator import Evaluator


class StudyBar:
    """A context manager whose ``update`` follows an evaluator.

    Args:
        total: samples of the budget.
        label: what runs.
        quiet: show nothing.
    """

    def __init__(self, total: int, label: str, *, quiet: bool = False) -> None:
        console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("best {task.fields[best]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
            disable=quiet or not console.is_terminal,
        )
        self._task = self._progress.add_task(label, total=total, best="-")

    def __enter__(self) -> StudyBar:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def evaluator(self, evaluator: Evaluator) -> None:
        """Show where a study is."""
        best = "-" if evaluator.best is None else f"{float(evaluator.best.reward[0]):.4f}"
        self._progress.update(self._task, completed=evaluator.n_samples, best=best)

    def at(self, done: int, total: int, best: float | None = None) -> None:
        """Show any other progress."""
        self._progress.update(self._task, completed=done, total=total, best="-" if best is None else f"{best:.4f}")
