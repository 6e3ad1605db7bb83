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


def kernel(function: F) -> F:
    """Compile ``function`` with Numba (nogil, disk cache where possible, IEEE arithmetic)."""
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
    try:
        return numba.njit(cache=True, **options)(function)  # type: ignore[no-any-return]
    except RuntimeError:  # "cannot cache function: no locator available"
        return numba.njit(**options)(function)  # type: ignore[no-any-return]
