"""Run many studies: each whole in one worker process, side by side, resumable at any moment."""

from __future__ import annotations

import itertools
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from archgym.errors import ArchGymError
from archgym.problem import Problem
from archgym.processes import ProcessPool, check_importable
from archgym.registry import AGENTS, SIMULATORS
from archgym.spec import StudySpec
from archgym.study import search

from .sweep_folder import Shard, SweepLock, mark_done, note_failure, read_done
from .sweep_tasks import Problems, Task, tasks

_AHEAD = 2  # tasks handed out per worker, so that none waits for the next


@dataclass(frozen=True)
class StudyResult:
    """What became of one study of a sweep.

    Attributes:
        spec: what was run.
        folder: where it is logged.
        state: ``"done"``, ``"skipped"`` (it was complete already), ``"retry"`` (it failed, and will be tried once
            more) or ``"failed"``.
        rows: samples.
        best: reward of the best feasible sample; None if there is none.
        error: what went wrong, in one line.
        traceback: where.
    """

    spec: StudySpec
    folder: Path
    state: str
    rows: int = 0
    best: float | None = None
    error: str = ""
    traceback: str = ""


@dataclass(frozen=True)
class Outcome:
    """The counts of a sweep.

    Attributes:
        out: its folder.
        done: studies completed by this call.
        skipped: studies that were complete before.
        failed: those that could not be completed.
        limited: whether it stopped at its limit, with more to do.
        seconds: how long it took.
    """

    out: Path
    done: int
    skipped: int
    failed: tuple[StudyResult, ...]
    limited: bool
    seconds: float


def sweep(
    studies: Iterable[StudySpec],
    out: str | Path,
    *,
    jobs: int = 1,
    shard: Shard | None = None,
    limit: int | None = None,
    problems: Problems | None = None,
    on_done: Callable[[StudyResult], None] | None = None,
) -> Outcome:
    """Run studies that are not complete yet, and go on with those that are not finished.

    A study that fails is recorded in the folder and tried once more at the end; the others go on.

    Args:
        studies: read one at a time; repetitions are run once.
        out: folder; holds one study folder each, named by the hash of its spec.
        jobs: worker processes; 1 runs in this process. The logs do not depend on it.
        shard: run only this part of the studies.
        limit: run at most so many.
        problems: problems that have been built already.
        on_done: called in this process after each study, also for those that were complete or failed.

    Returns:
        The Outcome. On KeyboardInterrupt the workers end at once and every study stays resumable.

    Raises:
        UsageError: anything wrong with a study; those before it have been run.
        LogError: the folder cannot be written, or another process is sweeping it.
    """
    started, shard, out = time.monotonic(), shard or Shard(), Path(out)
    counts: Counter[str] = Counter()
    failed: list[StudyResult] = []

    def take_in(result: StudyResult) -> None:
        counts[result.state] += 1
        if result.state == "failed":
            failed.append(result)
        if result.error:
            _record(out, shard, result)
        if on_done is not None:
            on_done(result)

    workers = _Here() if jobs == 1 else _Pool(jobs)
    lock = SweepLock(out, shard)
    try:
        todo = _unfinished(tasks(studies, out, shard, problems), take_in)
        again: list[Task] = []
        for task, future in _run_all(workers, itertools.islice(todo, limit)):
            result = _result(task, future)
            if result.state == "failed":
                again.append(task)
                result = replace(result, state="retry")
            take_in(result)
        for task, future in _run_all(workers, iter(again)):
            take_in(_result(task, future))
        limited = limit is not None and next(todo, None) is not None
    finally:
        workers.close()
        lock.close()
    return Outcome(out, counts["done"], counts["skipped"], tuple(failed), limited, time.monotonic() - started)


def _unfinished(every: Iterator[Task], take_in: Callable[[StudyResult], None]) -> Iterator[Task]:
    for task in every:
        found = read_done(task.folder)
        if found is None:
            yield task
        else:
            take_in(StudyResult(task.spec, task.folder, "skipped", found.get("rows", 0), found.get("best")))


def _run_all(workers: _Here | _Pool, todo: Iterator[Task]) -> Iterator[tuple[Task, Future[dict[str, Any]]]]:
    """Tasks with their finished futures, as they finish; never more under way than keep the workers busy."""
    under_way: dict[Future[dict[str, Any]], Task] = {}
    more = True
    while more or under_way:
        while more and len(under_way) < workers.capacity:
            task = next(todo, None)
            if task is None:
                more = False
            else:
                under_way[workers.submit(task)] = task
        for future in wait(under_way, return_when=FIRST_COMPLETED).done if under_way else ():
            yield under_way.pop(future), future


def _result(task: Task, future: Future[dict[str, Any]]) -> StudyResult:
    error = future.exception()
    if error is None:
        found = future.result()
        return StudyResult(task.spec, task.folder, "done", found["rows"], found["best"])
    if not isinstance(error, Exception):  # KeyboardInterrupt
        raise error
    notes = getattr(error, "__notes__", [])  # of a worker, with its own traceback
    where = "\n".join(notes) or "".join(traceback.format_exception(error))
    kind = "" if isinstance(error, ArchGymError) else f"{type(error).__name__}: "
    return StudyResult(task.spec, task.folder, "failed", error=f"{kind}{error}", traceback=where)


def _record(out: Path, shard: Shard, result: StudyResult) -> None:
    with suppress(OSError):  # a full disk: the outcome still has it
        note_failure(
            out,
            shard,
            {
                "study": result.folder.name,
                "label": f"{result.spec.problem.label} {result.spec.agent} seed {result.spec.seed}",
                "error": result.error,
                "traceback": result.traceback,
                "unix_time": round(time.time(), 3),
            },
        )


# ---- where studies run -------------------------------------------------------------------


class _Here:
    """One at a time in this process."""

    capacity = 1

    def submit(self, task: Task) -> Future[dict[str, Any]]:
        future: Future[dict[str, Any]] = Future()
        try:
            future.set_result(run_study(task.problem, task.spec, str(task.folder)))
        except Exception as error:
            future.set_exception(error)
        return future

    def close(self) -> None:
        pass


class _Pool:
    """In worker processes."""

    def __init__(self, jobs: int) -> None:
        self._pool = ProcessPool(jobs)
        self.capacity = _AHEAD * jobs

    def submit(self, task: Task) -> Future[dict[str, Any]]:
        check_importable(SIMULATORS, task.spec.problem.simulator, "one job")
        check_importable(AGENTS, task.spec.agent, "one job")
        data = {key: value for key, value in task.spec.to_dict().items() if key != "problem"}
        return self._pool.submit(f"{__name__}:run_study_from", task.problem, data, str(task.folder))

    def close(self) -> None:
        self._pool.close()


def run_study_from(problem: Problem, data: dict[str, Any], folder: str) -> dict[str, Any]:
    """`run_study` in a worker process: the spec's problem is already there."""
    return run_study(problem, StudySpec(problem.spec, **data), folder)


def run_study(problem: Problem, spec: StudySpec, folder: str) -> dict[str, Any]:
    """Run or resume one study and mark it complete.

    Returns:
        What its mark says: rows, unique, feasible, best.
    """
    summary = search(spec, problem, out=folder)
    best = summary.best
    found = {
        "rows": len(summary.samples),
        "unique": summary.n_unique,
        "feasible": int(summary.samples.feasible.sum()),
        "best": None if best is None else best["reward"],
    }
    mark_done(Path(folder), found)
    return found
