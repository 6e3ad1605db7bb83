"""Where simulations run. Rows come back in the order of submission, so that logs do not depend on it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from archgym.errors import UnknownNameError, UsageError
from archgym.problem import Problem
from archgym.space import Codes

EXECUTORS = ("serial", "threads")
_LEAST_SECONDS = 1e-3  # declared cost of what is handed to another thread
_PIECES = 8  # per thread


class Executor(Protocol):
    """Runs ``problem.simulate`` on rows of codes."""

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

    def simulate(
        self, problem: Problem, codes: Codes, seeds: npt.NDArray[np.int64] | None
    ) -> Mapping[str, npt.NDArray[Any]]:
        # several pieces a thread, so that a slow one does not keep the others waiting; none too small to be worth it
        least = max(1, math.ceil(_LEAST_SECONDS / problem.cost_seconds))
        pieces = 1 if self._jobs == 1 else max(1, min(_PIECES * self._jobs, len(codes) // least))
        if pieces == 1:
            return problem.simulate(codes, seeds)
        edges = [len(codes) * i // pieces for i in range(pieces + 1)]
        parts = list(
            self._pool.map(
                lambda a, b: problem.simulate(codes[a:b], None if seeds is None else seeds[a:b]),
                edges[:-1],
                edges[1:],
            )
        )
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)


def make_executor(name: str, jobs: int = 1) -> Executor:
    """The executor called ``name`` with ``jobs`` workers.

    Raises:
        UnknownNameError: no such executor.
        UsageError: several workers for the serial one, or fewer than one.
    """
    if name == "serial":
        if jobs != 1:
            raise UsageError(f"jobs {jobs}: the serial executor has one worker; use the executor 'threads'")
        return Serial()
    if name == "threads":
        return Threads(jobs)
    raise UnknownNameError("executor", name, EXECUTORS)
