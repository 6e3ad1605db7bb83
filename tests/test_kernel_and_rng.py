"""The compile decorator and the named random streams."""

import subprocess
import sys

import numba
import numpy as np
import pytest

from archgym import rng
from archgym.kernel import kernel


def test_kernels_release_the_lock_and_keep_ieee_arithmetic():
    @kernel
    def third(x):
        return x / 3.0

    assert third(1.0) == 1.0 / 3.0
    assert third.targetoptions["nogil"] is True
    assert not third.targetoptions.get("fastmath")


def test_without_a_writable_cache_folder_functions_still_compile(monkeypatch):
    """Numba raises RuntimeError at decoration time then (numba issue 4908); importing a simulator must not fail."""
    real = numba.njit

    def no_locator(**options):
        if options.get("cache"):
            raise RuntimeError("cannot cache function 'f': no locator available for file 'x'")
        return real(**options)

    monkeypatch.setattr(numba, "njit", no_locator)

    @kernel
    def double(x):
        return 2 * x

    assert double(21) == 42


def test_streams_depend_on_seed_and_every_key_and_on_nothing_else():
    def draw(*arguments):
        return rng.generator(*arguments).integers(0, 2**62, 4).tolist()

    assert draw(1, "agent") == draw(1, "agent")
    others = [draw(2, "agent"), draw(1, "sim"), draw(1, "agent", 0), draw(1, "agent", "0"), draw(1, "a", "gent")]
    assert len({tuple(d) for d in [draw(1, "agent"), *others]}) == 6


def test_streams_are_the_same_in_another_process():
    """Python's hash() is salted per process; sha256 is not."""
    program = "from archgym import rng; print(rng.generator(7, 'agent').integers(0, 2**62))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert int(done.stdout) == rng.generator(7, "agent").integers(0, 2**62)


@pytest.mark.parametrize("split", [0, 3, 10])
def test_trial_seeds_do_not_depend_on_how_a_batch_is_cut(split):
    whole = rng.stream_seeds(5, "sim", 0, 10)
    parts = [rng.stream_seeds(5, "sim", 0, split), rng.stream_seeds(5, "sim", split, 10 - split)]
    assert np.array_equal(whole, np.concatenate(parts))
    assert (whole >= 0).all()
