"""Named random streams: the same seed and keys give the same bits, everywhere, in any order of use.

Every stochastic part of a study draws from its own stream, so that adding draws to one
part never shifts another, and serial, threaded and distributed runs agree.
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt


def _entropy(seed: int, keys: tuple[str | int, ...]) -> int:
    # sha256 over an unambiguous rendering; Python's hash() is salted per process.
    text = "\x1f".join([str(int(seed)), *(f"{type(k).__name__}:{k}" for k in keys)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest(), "little")


def generator(seed: int, *keys: str | int) -> np.random.Generator:
    """The random generator of the stream named ``keys`` under ``seed``.

    Args:
        seed: the study's seed, any integer.
        keys: the stream's name, e.g. ``"agent"`` or ``"sim", trial``.
    """
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(_entropy(seed, keys))))


def stream_seeds(seed: int, key: str, first: int, n: int) -> npt.NDArray[np.int64]:
    """Non-negative int64 seeds (n,) of trials ``first .. first+n-1`` of one stream."""
    return np.array([_entropy(seed, (key, trial)) & (2**63 - 1) for trial in range(first, first + n)], np.int64)
