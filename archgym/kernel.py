"""The one decorator for compiled hot loops.

``kernel`` is ``numba.njit(cache=True, nogil=True)``: results are cached on disk,
and the interpreter lock is released so that a thread pool scales. Where no cache
folder is writable Numba raises at decoration time (numba issue 4908); then the
function is compiled without a cache instead of failing on import.

Never ``fastmath``: rows must be bit-identical between batches and machines.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba

F = TypeVar("F", bound=Callable[..., Any])


_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy"}


def kernel(function: F) -> F:
    """Compile ``function`` with Numba (nogil, disk cache where possible, IEEE arithmetic)."""
    try:
        return numba.njit(cache=True, **_OPTIONS)(function)  # type: ignore[no-any-return]
    except RuntimeError:  # "cannot cache function: no locator available"
        return numba.njit(**_OPTIONS)(function)  # type: ignore[no-any-return]


def inlined(function: F) -> F:
    """A short part of a hot loop, copied into the kernels that call it.

    A real call costs an atomic reference count per array that it passes: twice the time of the loop itself
    where the callee does little arithmetic.
    """
    return numba.njit(inline="always", **_OPTIONS)(function)  # type: ignore[no-any-return]
