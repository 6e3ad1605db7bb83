"""The folder of a sweep: one study folder per study, and what is known about each without reading its rows.

``<agent>-s<seed>-<hash>/``  a study folder, named by the hash of its spec, so that the same study has the same
                             name in every sweep, and shards that ran elsewhere are merged by copying folders;
                             ``done.json`` in it says that it is complete
``failed*.jsonl``            what went wrong, one line a study and attempt, with the traceback
``plan.json``                the latest plan, complete in itself
``.lock*``                   held while a shard is being swept
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import orjson

from archgym.errors import LogError, UsageError
from archgym.log import TRIALS
from archgym.spec import StudySpec

DONE = "done.json"
PLAN = "plan.json"
STATES = ("done", "running", "interrupted", "failed", "missing")


def study_name(spec: StudySpec, digest: str) -> str:
    """The name of a study's folder: readable in front, unique by 64 bits of its hash behind."""
    without_modules = re.sub(r"[^(]*:", "", spec.agent).replace(")", "")  # dedup(my.module:Mine): dedup_Mine
    agent = re.sub(r"[^\w.+-]+", "_", without_modules)[:24]
    return f"{agent}-s{spec.seed}-{digest[:16]}"


# ---- complete studies --------------------------------------------------------------------


def mark_done(folder: Path, found: dict[str, Any]) -> None:
    """Note that a study is complete; written whole or not at all, after the last of its rows.

    Args:
        folder: of the study.
        found: rows, best (reward or None) and whatever else is worth knowing at a glance.
    """
    size = (folder / TRIALS).stat().st_size
    write_atomically(folder / DONE, orjson.dumps({"bytes": size, **found}) + b"\n")


def read_done(folder: Path) -> dict[str, Any] | None:
    """What `mark_done` noted; None if the study is not complete, or its journal has changed its size since."""
    try:
        with open(folder / DONE, "rb") as stream:
            found: dict[str, Any] = orjson.loads(stream.read())
        return found if found["bytes"] == os.stat(folder / TRIALS).st_size else None
    except (OSError, ValueError, TypeError, KeyError):
        return None


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file that exists whole or not at all, also where two processes write the same one."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(data)
        part.replace(path)
    except OSError:  # a full disk: leave nothing that nobody would ever remove
        part.unlink(missing_ok=True)
        raise


def state(folder: Path, failed: Iterable[str]) -> str:
    """One of `STATES`.

    Args:
        folder: of the study; need not exist.
        failed: names of studies that failed.
    """
    if not folder.exists():
        return "failed" if folder.name in failed else "missing"
    if read_done(folder) is not None:
        return "done"
    if _is_locked(folder / TRIALS):
        return "running"
    return "failed" if folder.name in failed else "interrupted"


# ---- failures ----------------------------------------------------------------------------


def note_failure(out: Path, shard: Shard, record: dict[str, Any]) -> None:
    """Append what went wrong with a study to the shard's list."""
    with open(out / f"failed{shard.suffix}.jsonl", "ab") as stream:
        stream.write(orjson.dumps(record) + b"\n")


def read_failures(out: Path) -> dict[str, dict[str, Any]]:
    """Study name -> the last thing that went wrong with it, over all shards; it may have been done since."""
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(out.glob("failed*.jsonl")):
        for line in path.read_bytes().splitlines():
            try:
                record = orjson.loads(line)
                found[record["study"]] = record
            except (ValueError, TypeError, KeyError):  # cut off by a kill or a full disk
                continue
    return found


# ---- shards and locks --------------------------------------------------------------------


@dataclass(frozen=True)
class Shard:
    """Part ``index`` (from 1) of ``count``: the studies that their hash assigns to it.

    By hash, so that each part is a fair sample of agents, problems and seeds, and a study stays in its part when
    the plan grows.
    """

    index: int = 1
    count: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.index <= self.count:
            raise UsageError(f"shard: expected 1/N to N/N, got {self.index}/{self.count}")

    @classmethod
    def parse(cls, text: str) -> Shard:
        """A shard from ``"2/8"``."""
        match = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text)
        if not match:
            raise UsageError(f"shard: expected I/N such as 2/8, got '{text}'")
        return cls(int(match[1]), int(match[2]))

    def holds(self, digest: str) -> bool:
        """Whether the study with this hash belongs here."""
        return self.count == 1 or int(digest[:8], 16) % self.count == self.index - 1

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    @property
    def suffix(self) -> str:
        """For file names; empty for the whole."""
        return "" if self.count == 1 else f"-{self.index}-of-{self.count}"


class SweepLock:
    """Keeps two sweeps of one shard apart, and sweeps that divide one folder differently.

    Args:
        out: the sweep's folder; created if needed.
        shard: what will be swept.

    Raises:
        LogError: the folder cannot be written, or somebody else is at work; the message names the process.
    """

    def __init__(self, out: Path, shard: Shard) -> None:
        try:
            out.mkdir(parents=True, exist_ok=True)
            self._stream = open(out / f".lock{shard.suffix}", "a+", encoding="utf-8")  # noqa: SIM115 - closed below
        except OSError as error:
            raise LogError(f"cannot write to {out}: {error.strerror or error}") from None
        try:
            if not _try_lock(self._stream):
                raise LogError(f"{out}: shard {shard} is being swept by process {_owner(self._stream)}")
            for path, other in _other_divisions(out, shard):
                if _is_locked(path):
                    raise LogError(f"{out}: shard {other} is being swept; it overlaps with shard {shard}")
        except LogError:
            self._stream.close()
            raise
        self._stream.truncate(0)
        self._stream.write(f"{os.getpid()}\n")
        self._stream.flush()

    def close(self) -> None:
        """Let others in."""
        self._stream.close()


def _other_divisions(out: Path, shard: Shard) -> Iterator[tuple[Path, str]]:
    for path in out.glob(".lock*"):
        match = re.fullmatch(r"\.lock(?:-(\d+)-of-(\d+))?", path.name)
        if match and int(match[2] or 1) != shard.count:
            yield path, f"{match[1] or 1}/{match[2] or 1}"


def _owner(stream: IO[str]) -> str:
    stream.seek(0)
    return stream.read().strip() or "?"


def _try_lock(stream: IO[Any]) -> bool:
    """False if another process holds it; True where there are no locks."""
    try:
        import fcntl
    except ImportError:  # not POSIX
        return True
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True


def _is_locked(path: Path) -> bool:
    try:
        with open(path, "rb") as stream:
            return not _try_lock(stream)
    except OSError:
        return False


def write_plan(out: Path, plan: dict[str, Any]) -> None:
    """Keep the plan beside its studies."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        write_atomically(out / PLAN, (json.dumps(plan, indent=1) + "\n").encode())
    except OSError as error:
        raise LogError(f"cannot write to {out}: {error.strerror or error}") from None
