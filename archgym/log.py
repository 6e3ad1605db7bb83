"""Study folders: an append-only journal of every sample, readable without archgym.

``spec.json``     what was run: the study's spec, its hash, versions of what it was run with
``prior.json``    what it knew beforehand: rows of other logs (only of a study that began with some)
``trials.jsonl``  one line a sample, flushed after every ask; NaN is null; a torn last line is dropped
``timing.jsonl``  when and how long; never read back by anything that decides

All but the last are bit-identical between runs of the same spec in one environment.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import platform
import time
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO, Any

import orjson

from archgym.errors import LogError
from archgym.evaluation import Evaluation

SPEC, PRIOR, TRIALS, TIMING = "spec.json", "prior.json", "trials.jsonl", "timing.jsonl"
_PART = ".part"
# all that may be left of a study killed, or out of disk space, in its first moment
_BEGUN = (PRIOR, *(str(Path(name).with_suffix(_PART)) for name in (SPEC, PRIOR)))
_FIELDS = ("trial", "ask", "codes", "metrics", "violations", "feasible", "reason", "reward", "values", "cached")


class StudyLog:
    """One study folder, open for appending.

    Args:
        folder: created if needed.
        header: content of ``spec.json``; a folder that holds another header is refused.
        prior: content of ``prior.json``; empty for no such file.

    Attributes:
        recorded: the lines that the folder already held when it was opened (a resume), parsed.

    Raises:
        LogError: the folder belongs to another spec, is damaged, or is being written by another process.
    """

    def __init__(self, folder: str | Path, header: dict[str, Any], prior: bytes = b"") -> None:
        self.folder = Path(folder)
        text = json.dumps(header, indent=1, sort_keys=True) + "\n"
        spec = self.folder / SPEC
        if spec.exists():
            _same_header(spec, header)
        elif self.folder.exists() and not self.folder.is_dir():
            raise LogError(f"{self.folder} is a file; choose another --out")
        elif self.folder.exists() and any(path.name not in _BEGUN for path in self.folder.iterdir()):
            raise LogError(f"{self.folder} is not empty and holds no {SPEC}; choose another --out")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if not spec.exists():
                if prior:
                    _write_whole(self.folder / PRIOR, prior)
                _write_whole(spec, text.encode())  # last: where it exists the study has begun
            self._trials = open(self.folder / TRIALS, "ab")  # noqa: SIM115 - closed by close()
        except OSError as error:
            raise LogError(f"cannot write to {self.folder}: {error.strerror or error}") from None
        try:
            lock(self._trials, self.folder)
            self.recorded = list(_parse(self.folder / TRIALS, repair=True))
            self._timing = open(self.folder / TIMING, "a", encoding="utf-8")  # noqa: SIM115
        except LogError:
            self._trials.close()
            raise
        except OSError as error:
            self._trials.close()
            raise LogError(f"cannot write to {self.folder}: {error.strerror or error}") from None
        self._write_timing({"event": "open", "rows": len(self.recorded), **environment()})

    def append(self, evaluation: Evaluation, reasons: Sequence[str], *, trial: int, ask: int) -> None:
        """Write the rows of one ask, numbered from ``trial``, and flush them to the operating system.

        Raises:
            LogError: the disk is full or the folder has become unwritable; nothing before is lost.
        """
        lines = b"".join(
            orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)
            for row in rows_as_json(evaluation, reasons, trial=trial, ask=ask)
        )
        try:
            self._trials.write(lines)
            self._trials.flush()
        except OSError as error:
            raise LogError(f"cannot write to {self.folder / TRIALS}: {error.strerror or error}") from None

    def timing(self, *, ask: int, rows: int, agent_seconds: float, evaluator_seconds: float) -> None:
        """Note how long one ask took; measured, so kept apart from everything that is compared."""
        self._write_timing(
            {"event": "ask", "ask": ask, "rows": rows, "agent_s": agent_seconds, "evaluator_s": evaluator_seconds}
        )

    def _write_timing(self, row: dict[str, Any]) -> None:
        self._timing.write(json.dumps({**row, "unix_time": round(time.time(), 3)}) + "\n")

    def close(self) -> None:
        """Flush and close; idempotent.

        Raises:
            LogError: the disk is full: rows of the last ask, or of the timing, may be missing.
        """
        try:
            try:
                self._trials.close()
            finally:
                self._timing.close()
        except OSError as error:
            raise LogError(f"cannot write to {self.folder}: {error.strerror or error}") from None


def rows_as_json(evaluation: Evaluation, reasons: Sequence[str], *, trial: int, ask: int) -> Iterator[dict[str, Any]]:
    """The rows of an evaluation as plain objects, in the order of the journal's fields; NaN is written as null."""
    names = evaluation.metric_names
    columns = (
        evaluation.codes.tolist(),
        evaluation.metric_values.tolist(),
        evaluation.violations.tolist(),
        evaluation.feasible.tolist(),
        reasons,
        evaluation.reward.tolist(),
        evaluation.values.tolist(),
        evaluation.cached.tolist(),
    )
    for i, row in enumerate(zip(*columns, strict=True), start=trial):
        codes, metrics, violations, feasible, reason, reward, values, cached = row
        yield {
            "trial": i,
            "ask": ask,
            "codes": codes,
            "metrics": dict(zip(names, metrics, strict=True)),
            "violations": violations,
            "feasible": feasible,
            "reason": reason,
            "reward": reward,
            "values": values,
            "cached": cached,
        }


def read_header(folder: str | Path) -> dict[str, Any]:
    """The content of ``spec.json``.

    Raises:
        LogError: missing or damaged.
    """
    path = Path(folder) / SPEC
    try:
        header: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise LogError(f"{folder} is no study folder: it holds no {SPEC}") from None
    except (OSError, ValueError) as error:
        raise LogError(f"{path} is damaged: {error}") from None
    if not isinstance(header, dict):
        raise LogError(f"{path} is damaged: it holds no object")
    return header


def read_trials(folder: str | Path) -> list[dict[str, Any]]:
    """All complete rows of ``trials.jsonl``; a torn last line (a kill while writing) is left out.

    Raises:
        LogError: missing, or damaged anywhere but at its end.
    """
    return list(_parse(Path(folder) / TRIALS, repair=False))


def _parse(path: Path, *, repair: bool) -> Iterator[dict[str, Any]]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise LogError(f"cannot read {path}: {error.strerror or error}") from None
    end = data.rfind(b"\n") + 1
    if repair and end < len(data):
        os.truncate(path, end)
    for number, line in enumerate(data[:end].splitlines()):
        try:
            row = orjson.loads(line)
        except ValueError:
            raise LogError(f"{path}: line {number + 1} is not JSON; the file is damaged") from None
        if not isinstance(row, dict) or tuple(row) != _FIELDS or row["trial"] != number:
            raise LogError(f"{path}: line {number + 1} is not row {number} of a study; the file is damaged")
        yield row


def _same_header(spec: Path, header: dict[str, Any]) -> None:
    found = read_header(spec.parent)
    if found.get("hash") != header.get("hash"):
        theirs, ours = (_prior_of(h) for h in (found, header))
        which = ("", "") if theirs == ours else (f", prior {theirs}", f", prior {ours}")
        raise LogError(
            f"{spec.parent} holds another study ({found.get('label', 'unknown')}, hash {str(found.get('hash'))[:8]}"
            f"{which[0]}; this one is {header.get('label')}, {str(header.get('hash'))[:8]}{which[1]}); "
            "choose another --out"
        )


def _prior_of(header: dict[str, Any]) -> str:
    study = header.get("study")
    return str(study.get("prior", ""))[:8] or "none" if isinstance(study, dict) else "none"


def _write_whole(path: Path, content: bytes) -> None:
    """Write a file that exists whole or not at all."""
    part = path.with_suffix(_PART)
    part.write_bytes(content)
    part.replace(path)


def lock(stream: IO[bytes], folder: Path) -> None:
    """Keep other processes from writing to a folder until the stream, an open file in it, is closed.

    Raises:
        LogError: another one is writing.
    """
    try:
        import fcntl
    except ImportError:  # not POSIX: run one process per folder
        return
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise LogError(f"{folder} is being written by another process") from None
    except OSError:  # a file system without locks
        return


def environment() -> dict[str, Any]:
    """Versions and machine, for provenance."""
    return dict(_environment())


@functools.cache  # looking up versions takes longer than all else that opening a log does
def _environment() -> dict[str, Any]:
    out: dict[str, Any] = {"python": platform.python_version(), "machine": platform.machine()}
    for package in ("archgym", "numpy", "numba", "gymnasium"):
        with contextlib.suppress(PackageNotFoundError):
            out[package] = version(package)
    return out
