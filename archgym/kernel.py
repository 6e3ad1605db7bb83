"""The one decorator for compiled hot loops.

``kernel`` is ``numba.njit(cache=True, nogil=True)``: results are cached on disk,
and the interpreter lock is released so that a thread pool scales. Where no cache
folder is writable Numba raises at decoration time (numba issue 4908); then the
function is compiled without a cache instead of failing on import.

Never ``fastmath``: rows must be bit-identical between batches and machines.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from types import ModuleType
from typing import Any, TypeVar

import numba
from numba.core import types

F = TypeVar("F", bound=Callable[..., Any])


_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy"}


def kernel(function: F) -> F:
    """Compile ``function`` with Numba (nogil, disk cache where possible, IEEE arithmetic)."""
    return _compiled(function, ())  # type: ignore[no-any-return]


def kernel_calling(*modules: ModuleType) -> Callable[[F], F]:
    """`kernel` for a function that calls kernels of other modules.

    Numba's disk cache looks at the file of the function alone and would keep machine code with the callees of
    yesterday; here a change of the named modules' files counts too.
    """

    def decorate(function: F) -> F:
        return _compiled(function, modules)  # type: ignore[no-any-return]

    return decorate


def _compiled(function: Any, modules: tuple[ModuleType, ...]) -> Any:
    if numba.config.DISABLE_JIT:  # type: ignore[attr-defined]
        return function
    try:
        dispatcher = numba.njit(cache=True, **_OPTIONS)(function)
    except RuntimeError:  # "cannot cache function: no locator available"
        return _one_version(numba.njit(**_OPTIONS)(function))
    if modules:
        files = [os.stat(str(module.__file__)) for module in modules]
        cache_file = dispatcher._cache._cache_file
        cache_file._source_stamp = (cache_file._source_stamp, *((f.st_mtime, f.st_size) for f in files))
    return _one_version(dispatcher)


def _one_version(dispatcher: Any) -> Any:
    """Let the kernels that call this one share a version of it.

    Numba compiles a function again for every combination of constants among its arguments, and each of its
    callees in turn: several times the work of compiling it once for numbers.
    """
    template = dispatcher.get_call_template

    def get_call_template(args: Any, kws: Any) -> Any:
        plain = types.unliteral
        return template(tuple(map(plain, args)), {name: plain(value) for name, value in kws.items()})  # type: ignore[no-untyped-call]

    dispatcher.get_call_template = get_call_template
    return dispatcher


def inlined(function: F) -> F:
    """A short part of a hot loop, copied into the kernels that call it.

    A real call costs an atomic reference count per array that it passes: twice the time of the loop itself
    where the callee does little arithmetic.
    """
    return numba.njit(inline="always", **_OPTIONS)(function)  # type: ignore[no-any-return]
