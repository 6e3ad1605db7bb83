"""The random streams that a reinforcement learning library takes from everybody, lent to one agent.

Policies and buffers of stable-baselines3 draw from the global generators of torch and NumPy. Inside `Streams` these
are the agent's own and go on where its last block ended, so that its designs depend on its seed alone, whatever else
the process draws meanwhile.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..libraries import library, quiet


class Streams:
    """``with streams():`` runs torch on one thread in single precision and both global generators from own states.

    Threads, precision and generators are as before afterwards.

    Args:
        seed: a non-negative integer below 2**32.

    Attributes:
        torch: the library.
    """

    def __init__(self, seed: int) -> None:
        self.torch = library("torch", "rl")
        self._own = self.torch.Generator().manual_seed(seed).get_state(), np.random.RandomState(seed).get_state()

    @contextlib.contextmanager
    def __call__(self) -> Iterator[None]:
        torch = self.torch
        before, threads, precision = self._swap(self._own), torch.get_num_threads(), torch.get_default_dtype()
        torch.set_num_threads(1)
        torch.set_default_dtype(torch.float32)
        try:
            with quiet():
                yield
        finally:
            self._own = self._swap(before)
            torch.set_num_threads(threads)
            torch.set_default_dtype(precision)

    def _swap(self, states: tuple[Any, Any]) -> tuple[Any, Any]:
        """Set the states of both generators; returns those they had."""
        before = self.torch.get_rng_state(), np.random.get_state()  # noqa: NPY002 - the library draws from this one
        self.torch.set_rng_state(states[0])
        np.random.set_state(states[1])  # noqa: NPY002
        return before
