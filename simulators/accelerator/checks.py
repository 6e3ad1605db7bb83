"""Checks of fields: one line each, field name first, then what was expected and what came.

The name comes first so that a reader of files can put the path of the part in front of it. Every check
raises UsageError.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable
from typing import Any

from archgym.errors import UnknownNameError, UsageError

LARGEST = 2**31
"""Largest whole number in a description: products of two stay within int64."""


def check_whole(owner: Any, name: str, lowest: int) -> None:
    """Check the field ``name``: a whole number from ``lowest`` to LARGEST; NumPy's become Python's."""
    value = getattr(owner, name)
    if type(value) is not int:
        try:
            if isinstance(value, bool):
                raise TypeError
            object.__setattr__(owner, name, operator.index(value))
        except TypeError:
            raise UsageError(f"{name}: expected an integer >= {lowest}, got {value!r}") from None
    if getattr(owner, name) < lowest:
        raise UsageError(f"{name}: expected an integer >= {lowest}, got {value!r}")
    if getattr(owner, name) > LARGEST:
        raise UsageError(f"{name}: expected an integer <= {LARGEST}, got {value!r}")


def check_number(owner: Any, name: str, *, positive: bool = False, infinite: bool = False) -> None:
    """Check the field ``name``: None or a number >= 0 (> 0, possibly infinite); NumPy's become Python's."""
    value = getattr(owner, name)
    if value is None:
        return
    expected = f"{name}: expected a {'number > 0' if positive else 'number >= 0'}"
    if type(value) is not float:
        if isinstance(value, (bool, str)):
            raise UsageError(f"{expected}, got {value!r}")
        try:
            object.__setattr__(owner, name, float(value))
        except (TypeError, ValueError, OverflowError):
            raise UsageError(f"{expected}, got {value!r}") from None
    number = getattr(owner, name)
    if not number >= 0 or (positive and number == 0) or (number == math.inf and not infinite):
        raise UsageError(f"{expected}, got {value!r}")


def check_text(name: str, value: Any, least: int = 0) -> None:
    """Check a text of at least ``least`` characters; UsageError that starts with ``name`` otherwise."""
    if not isinstance(value, str) or len(value) < least:
        raise UsageError(f"{name}: expected a text{' that is not empty' if least else ''}, got {value!r}")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise UsageError(f"{name}: expected a text that UTF-8 can hold, got {value!r}") from None


def check_one_of(name: str, value: Any, known: Iterable[str]) -> None:
    """Check a word; the message has the nearest known ones."""
    if value not in known:
        raise UsageError(f"{name}: {UnknownNameError('value', str(value), known)}")


def check_letters(name: str, value: Any, known: Iterable[str], least: int = 0) -> None:
    """Check a text of different letters out of ``known``."""
    known = tuple(known)
    if not isinstance(value, str) or len(set(value)) < max(len(value), least) or not set(value) <= set(known):
        among = "".join(known) or "nothing"
        raise UsageError(f"{name}: expected different letters out of {among}, got {value!r}")
