"""Choosing columns of a table by name or pattern."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from archgym.errors import UnknownNameError


def matching(wanted: Sequence[str] | str | None, names: Sequence[str]) -> list[str]:
    """The names that are wanted, in their own order.

    Args:
        wanted: names, or patterns such as ``"metric.*"``; None is all.
        names: those that exist.

    Raises:
        UnknownNameError: a name or pattern that fits none.
    """
    if wanted is None:
        return list(names)
    patterns = (wanted,) if isinstance(wanted, str) else tuple(wanted)
    for pattern in patterns:
        if names and not any(name == pattern or fnmatchcase(name, pattern) for name in names):
            raise UnknownNameError("column", pattern, names)
    return [n for n in names if any(n == p or fnmatchcase(n, p) for p in patterns)]
