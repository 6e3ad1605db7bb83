"""Every exception archgym raises on purpose, in one tree.

Wrong usage is an exception from here; an infeasible design is data
(``feasible=False`` with a reason), never an exception. Messages say what was
expected, what came, and what to do.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any


class ArchGymError(Exception):
    """Root of the tree: catch this to catch everything archgym raises on purpose."""


class UsageError(ArchGymError, ValueError):
    """An argument, name, level or option is wrong; nothing has been done or written."""


class UnknownNameError(UsageError):
    """A name is not known; the message carries the nearest known ones.

    Args:
        kind: what is named ("simulator", "workload", "parameter").
        name: what came.
        known: the names that exist.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        known = sorted(set(known))
        near = difflib.get_close_matches(str(name), known, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(known[:20]) or 'none'}"
        super().__init__(f"unknown {kind} '{name}'; {hint}")


class WorkloadFormatError(UsageError):
    """A workload file does not parse; the message names file, line and column."""


class MissingExtraError(ArchGymError, ImportError):
    """An optional library is not installed; the message names the extra that brings it."""

    def __init__(self, library: str, extra: str) -> None:
        super().__init__(f"{library} is not installed; run: pip install 'archgym[{extra}]'")


class BudgetExhausted(ArchGymError):
    """More samples were asked for than the budget holds.

    Attributes:
        partial: the Evaluation of the rows that still fitted (already logged), or None if none did.
    """

    def __init__(self, message: str, partial: Any = None) -> None:
        super().__init__(message)
        self.partial = partial


class LogError(ArchGymError):
    """A study folder is damaged, belongs to another spec, or is in use."""


class WorkerError(ArchGymError):
    """A worker process died (killed, out of memory, crashed); what is logged is kept and can be resumed."""


class ReplayMismatch(ArchGymError):
    """A rerun disagrees with the log; the message names the first bad row.

    Attributes:
        trial: index of the first row that disagrees.
    """

    def __init__(self, message: str, trial: int) -> None:
        super().__init__(message)
        self.trial = trial
