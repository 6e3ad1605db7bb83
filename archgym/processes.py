"""A pool of worker processes that compute on problems.

A worker is a fresh interpreter (spawned, never forked: Numba and BLAS do not survive a fork) and talks to its
parent through a pair of pipes. A `Problem` crosses the border as the JSON of its spec, once per worker; arguments
and results are plain data and arrays. The main script is not imported again, so that scripts need no
``if __name__ == "__main__"``.

Workers hold nothing that may not be lost: they are ended by killing them, and end by themselves as soon as their
parent is gone, however it went. Ctrl-C in a terminal reaches the parent only.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
import traceback
import weakref
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import IO, Any

from archgym.errors import ArchGymError, UsageError, WorkerError
from archgym.problem import Problem, ProblemSpec
from archgym.registry import AGENTS, SIMULATORS, WRAPPERS, Registry, import_target

_LIBRARIES = ("OMP", "OPENBLAS", "MKL", "VECLIB", "NUMEXPR", "NUMBA")
_ONE_THREAD = {f"{library}_{'MAXIMUM' if library == 'VECLIB' else 'NUM'}_THREADS": "1" for library in _LIBRARIES}
_KEPT = 64  # problems that a worker keeps
_REGISTRIES = (SIMULATORS, AGENTS, WRAPPERS)  # a worker gets what has been added to them


class ProcessPool:
    """Worker processes, started when they are first needed; one that died is replaced at the next task.

    Args:
        jobs: number of workers.

    Raises:
        UsageError: fewer than one.
    """

    def __init__(self, jobs: int) -> None:
        if jobs < 1:
            raise UsageError(f"jobs: expected at least 1, got {jobs}")
        # one thread waits for each busy worker: results arrive without polling, on every operating system
        self._threads = ThreadPoolExecutor(jobs, thread_name_prefix="archgym-worker")
        self._idle: queue.LifoQueue[_Worker] = queue.LifoQueue()
        self._workers: set[_Worker] = set()
        self._lock = threading.Lock()
        self._closed = False
        self._packed: weakref.WeakKeyDictionary[Problem, tuple[str, str]] = weakref.WeakKeyDictionary()

    def submit(self, function: str, problem: Problem, *arguments: Any) -> Future[Any]:
        """Run ``"module:function"`` as ``function(problem, *arguments)`` in some worker.

        The future raises what the function raised, or WorkerError if the worker died over it.

        Raises:
            UsageError: the simulator is defined where no other process can import it.
        """
        if problem not in self._packed:
            check_importable(SIMULATORS, problem.spec.simulator)
            text = json.dumps(problem.spec.to_dict(), sort_keys=True)
            self._packed[problem] = (hashlib.sha256(text.encode()).hexdigest(), text)
        return self._threads.submit(self._run, function, *self._packed[problem], arguments)

    def _run(self, function: str, key: str, text: str, arguments: tuple[Any, ...]) -> Any:
        worker = self._take()
        try:
            result = worker.call(function, key, text, arguments)
        except WorkerError:
            self._drop(worker)
            raise
        except BaseException:  # raised by the function: the worker is as good as before
            self._idle.put(worker)
            raise
        self._idle.put(worker)
        return result

    def _take(self) -> _Worker:
        with contextlib.suppress(queue.Empty):
            return self._idle.get_nowait()
        with self._lock:  # so that none is started behind the back of close()
            if self._closed:
                raise WorkerError("the worker processes have been closed")
            worker = _Worker()
            self._workers.add(worker)
            return worker

    def _drop(self, worker: _Worker) -> None:
        with self._lock:
            self._workers.discard(worker)
        worker.close()

    @property
    def pids(self) -> tuple[int, ...]:
        """Process ids of the workers that have been started."""
        with self._lock:
            return tuple(sorted(worker.process.pid for worker in self._workers))

    def close(self) -> None:
        """End all workers, busy ones too; idempotent."""
        with self._lock:
            self._closed = True
            for worker in self._workers:
                worker.process.kill()
        self._threads.shutdown(wait=True, cancel_futures=True)
        for worker in self._workers:
            worker.close()
        self._workers.clear()


def check_importable(registry: Registry, name: str, instead: str = "the executor 'serial' or 'threads'") -> None:
    """Refuse a component that only this process has.

    Args:
        registry, name: of the component.
        instead: what to use instead of worker processes, for the message.

    Raises:
        UsageError: it is defined in ``__main__`` or inside a function.
    """
    for target in registry.targets(name):
        module = target.partition(":")[0]
        if module == "__main__" or "<locals>" in target:
            where = "__main__ (a notebook or script)" if module == "__main__" else "a function"
            raise UsageError(
                f"{registry.kind} {name} is defined in {where}, where worker processes cannot import it; move it to a "
                f"module, or use {instead}"
            )


class _Worker:
    """The parent's end of one worker process."""

    def __init__(self) -> None:
        start = f"import sys; sys.path[:] = {sys.path!r}; from archgym.processes import serve; serve()"
        apart: dict[str, Any] = {"start_new_session": True}  # else a Ctrl-C in the terminal kills it in mid sentence
        if sys.platform == "win32":
            apart = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
        self.process = subprocess.Popen(
            [sys.executable, "-c", start],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **_ONE_THREAD},
            **apart,
        )

    def call(self, function: str, key: str, text: str, arguments: tuple[Any, ...]) -> Any:
        """What ``function`` returns or raises there."""
        added = tuple(registry.added for registry in _REGISTRIES)
        kind, value = self._exchange((function, key, None, added, arguments))
        if kind == "problem?":
            kind, value = self._exchange((function, key, text, added, arguments))
        if kind == "error":
            raise value
        return value

    def _exchange(self, message: Any) -> tuple[str, Any]:
        stdin, stdout = self.process.stdin, self.process.stdout
        assert stdin is not None
        assert stdout is not None
        data = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
        try:
            _send(stdin, data)
            data = _receive(stdout)
        except (EOFError, OSError):
            raise WorkerError(f"a worker process {self._end()}") from None
        answer: tuple[str, Any] = pickle.loads(data)
        return answer

    def _end(self) -> str:
        try:
            status = self.process.wait(timeout=10)  # its pipes are closed, so it is about to end
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = self.process.wait()
        if status >= 0:
            return f"ended with status {status}; what it said stands above"
        name = signal.Signals(-status).name
        return f"was killed ({name}{'; out of memory?' if name == 'SIGKILL' else ''})"

    def close(self) -> None:
        """End the process and close its pipes."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(OSError):  # unsent bytes for a process that is gone
                if pipe is not None:
                    pipe.close()


def _send(stream: IO[bytes], data: bytes) -> None:
    stream.write(len(data).to_bytes(8, "little"))
    stream.write(data)
    stream.flush()


def _receive(stream: IO[bytes]) -> bytes:
    """One message; EOFError if the other side has gone away before its end."""
    head = stream.read(8)
    data = stream.read(int.from_bytes(head, "little")) if len(head) == 8 else b""
    if len(head) < 8 or len(data) < int.from_bytes(head, "little"):
        raise EOFError
    return data


# ---- the worker's side -------------------------------------------------------------------


def serve() -> None:
    """The main loop of a worker: answers what comes in through standard input until the parent is gone."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what simulators print must not end up between the answers
    tasks: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(sys.stdin.buffer, tasks.put), daemon=True).start()
    problems: OrderedDict[str, Problem] = OrderedDict()
    while True:
        try:
            answer = pickle.dumps(_answer(problems, *pickle.loads(tasks.get())), pickle.HIGHEST_PROTOCOL)
        except Exception as error:  # whatever happens, there is exactly one answer to each task
            answer = pickle.dumps(("error", _portable(error)), pickle.HIGHEST_PROTOCOL)
        try:
            _send(answers, answer)
        except OSError:  # nobody is there any more
            os._exit(1)


def _read(stream: IO[bytes], put: Callable[[bytes], None]) -> None:
    """Always reading, so that the end of the parent is noticed at once, whatever is being computed."""
    while True:
        try:
            put(_receive(stream))
        except (EOFError, OSError):
            os._exit(1)


def _answer(
    problems: OrderedDict[str, Problem],
    function: str,
    key: str,
    text: str | None,
    added: tuple[dict[str, str], ...],
    arguments: tuple[Any, ...],
) -> tuple[str, Any]:
    for registry, components in zip(_REGISTRIES, added, strict=True):
        for name, target in components.items():
            registry.register(name, target)
    if key not in problems:
        if text is None:
            return "problem?", None
        problems[key] = _build(text)
        if len(problems) > _KEPT:
            problems.popitem(last=False)
    problems.move_to_end(key)
    return "result", import_target(function)(problems[key], *arguments)


def _build(text: str) -> Problem:
    try:
        return Problem(ProblemSpec.from_dict(json.loads(text)))
    except UsageError as error:
        raise UsageError(f"a worker process cannot build it: {error}; try the executor 'serial' or 'threads'") from None


def _portable(error: Exception) -> Exception:
    """An error that survives the way to the parent, with the worker's traceback as a note."""
    note = "in a worker process:\n" + "".join(traceback.format_exception(error)).rstrip()
    try:
        copy = pickle.loads(pickle.dumps(error))
        same = type(copy) is type(error) and str(copy) == str(error)
    except Exception:
        same = False
    if not same:
        known = UsageError if isinstance(error, UsageError) else ArchGymError
        error = known(str(error) if isinstance(error, ArchGymError) else f"{type(error).__name__}: {error}")
    error.__traceback__ = error.__context__ = error.__cause__ = None
    error.add_note(note)
    return error
