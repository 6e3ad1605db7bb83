"""Where simulations run. Rows come back in the order of submission, so that logs do not depend on it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from archgym.errors import UnknownNameError, UsageError
from archgym.problem import Problem
from archgym.processes import ProcessPool, check_importable
from archgym.registry import SIMULATORS
from archgym.space import Codes

EXECUTORS = ("serial", "threads", "processes")
_LEAST_SECONDS = 1e-3  # declared cost of what is handed to another thread or process
_PIECES = 8  # per worker


class Executor(Protocol):
    """Runs ``problem.simulate`` on rows of codes."""

    def check(self, problem: Problem) -> None:
        """Refuse a problem that cannot be simulated here, before anything is written.

        Raises:
            UsageError: its simulator cannot be imported where the simulations would run.
        """
        ...

    def simulate(
        self, problem: Problem, codes: Codes, seeds: npt.NDArray[np.int64] | None
    ) -> Mapping[str, npt.NDArray[Any]]:
        """The columns of ``Problem.simulate``, row i for row i of ``codes``."""
        ...

    def close(self) -> None:
        """Release workers; idempotent."""
        ...


class Serial:
    """In this thread."""

    def check(self, problem: Problem) -> None:
        pass

    def simulate(
        self, problem: Problem, codes: Codes, seeds: npt.NDArray[np.int64] | None
    ) -> Mapping[str, npt.NDArray[Any]]:
        return problem.simulate(codes, seeds)

    def close(self) -> None:
        pass


class Threads:
    """In a thread pool: kernels release the interpreter lock, so compiled simulators scale.

    Args:
        jobs: number of threads.
    """

    def __init__(self, jobs: int) -> None:
        if jobs < 1:
            raise UsageError(f"jobs: expected at least 1, got {jobs}")
        self._jobs = jobs
        self._pool = ThreadPoolExecutor(jobs, thread_name_prefix="archgym")

    def check(self, problem: Problem) -> None:
        pass

    def simulate(
        self, problem: Problem, codes: Codes, seeds: npt.NDArray[np.int64] | None
    ) -> Mapping[str, npt.NDArray[Any]]:
        pieces = _pieces(len(codes), self._jobs, problem.cost_seconds)
        if len(pieces) == 1:
            return problem.simulate(codes, seeds)
        return _joined(
            list(self._pool.map(lambda p: problem.simulate(codes[p], None if seeds is None else seeds[p]), pieces))
        )

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)


class Processes:
    """In worker processes, for simulators that hold the interpreter lock, leak, or crash.

    Each worker builds the problem from its spec once. Kernels are compiled in this process beforehand (building a
    Problem simulates its baseline), so that the workers find them in Numba's cache on disk.

    Args:
        jobs: number of processes.
    """

    def __init__(self, jobs: int) -> None:
        self._jobs = jobs
        self._pool = ProcessPool(jobs)

    @property
    def pids(self) -> tuple[int, ...]:
        """Process ids of the workers that have been started."""
        return self._pool.pids

    def check(self, problem: Problem) -> None:
        check_importable(SIMULATORS, problem.spec.simulator)

    def simulate(
        self, problem: Problem, codes: Codes, seeds: npt.NDArray[np.int64] | None
    ) -> Mapping[str, npt.NDArray[Any]]:
        """As `Executor.simulate`.

        Raises:
            UsageError: the workers cannot import the simulator.
            WorkerError: a worker died; none of these rows has a result.
        """
        futures = [
            self._pool.submit(f"{__name__}:simulate", problem, codes[p], None if seeds is None else seeds[p])
            for p in _pieces(len(codes), self._jobs, problem.cost_seconds)
        ]
        try:
            return _joined([future.result() for future in futures])
        except Exception:
            for future in futures:
                future.cancel()
            wait(futures)  # nothing of this call goes on behind the caller's back
            raise

    def close(self) -> None:
        self._pool.close()


def simulate(problem: Problem, codes: Codes, seeds: npt.NDArray[np.int64] | None) -> Mapping[str, npt.NDArray[Any]]:
    """What a worker process is asked to do."""
    return problem.simulate(codes, seeds)


def _pieces(rows: int, jobs: int, cost_seconds: float) -> list[slice]:
    """Several pieces a worker, so that a slow one does not keep the others waiting; none too small to be worth it."""
    least = max(1, math.ceil(_LEAST_SECONDS / cost_seconds))
    pieces = 1 if jobs == 1 else max(1, min(_PIECES * jobs, rows // least))
    return [slice(rows * i // pieces, rows * (i + 1) // pieces) for i in range(pieces)]


def _joined(parts: list[Mapping[str, npt.NDArray[Any]]]) -> Mapping[str, npt.NDArray[Any]]:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def make_executor(name: str, jobs: int = 1) -> Executor:
    """The executor called ``name`` with ``jobs`` workers.

    Raises:
        UnknownNameError: no such executor.
        UsageError: several workers for the serial one, or fewer than one.
    """
    if name == "serial":
        if jobs != 1:
            raise UsageError(
                f"jobs {jobs}: the serial executor has one worker; use the executor 'threads' or 'processes'"
            )
        return Serial()
    if name == "threads":
        return Threads(jobs)
    if name == "processes":
        return Processes(jobs)
    raise UnknownNameError("executor", name, EXECUTORS)
