"""Optional libraries, imported where they are used and kept from disturbing anybody else.

They come with the extra ``archgym[search]`` unless another is named. Inside `quiet` their warnings stay inside;
`torch_alone` lends a piece of code torch's random stream and one thread, and gives both back.
"""

from __future__ import annotations

import contextlib
import importlib
import warnings
from collections.abc import Iterator
from typing import Any

from archgym.errors import MissingExtraError


def library(name: str, extra: str = "search") -> Any:
    """The module ``name`` of an optional library.

    Raises:
        MissingExtraError: it, or what it needs itself, is not installed; names the ``extra``.
    """
    try:
        with quiet():
            return importlib.import_module(name)
    except ImportError as error:
        raise MissingExtraError((error.name or name).partition(".")[0], extra) from None


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence warnings of a library: users can do nothing about them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextlib.contextmanager
def torch_alone(seed: int) -> Iterator[None]:
    """Run torch on one thread from its own seed; its global stream and number of threads are as before afterwards.

    Args:
        seed: a non-negative integer below 2**63.
    """
    torch = library("torch")
    threads = torch.get_num_threads()
    with quiet(), torch.random.fork_rng(devices=[]):
        torch.set_num_threads(1)
        torch.default_generator.manual_seed(seed)  # torch.manual_seed also queues calls for devices, more each time
        try:
            yield
        finally:
            torch.set_num_threads(threads)
