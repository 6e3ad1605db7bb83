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


def test_constants_among_the_arguments_do_not_multiply_the_versions():
    """Numba alone would compile `scaled` three times here: for the constants 2 and 3 and for a variable."""

    @kernel
    def scaled(x, factor):
        return x * factor

    @kernel
    def all_three(x):
        return scaled(x, 2) + scaled(x, 3) + scaled(x, x)

    assert all_three(5) == 10 + 15 + 25
    assert len(scaled.signatures) == 1


def test_a_changed_callee_in_another_file_is_noticed(tmp_path):
    """The callee doubles first and triples later; the caller's own file never changes."""
    (tmp_path / "callee.py").write_text("from archgym.kernel import kernel\n@kernel\ndef f(x):\n    return 2 * x\n")
    (tmp_path / "caller.py").write_text(
        "import callee\nfrom callee import f\nfrom archgym.kernel import kernel_calling\n"
        "@kernel_calling(callee)\ndef g(x):\n    return f(x)\n"
    )

    def run():
        program = "import sys; sys.path.insert(0, sys.argv[1]); import caller; print(caller.g(7))"
        command = [sys.executable, "-B", "-c", program, str(tmp_path)]
        return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    assert run() == 14
    (tmp_path / "callee.py").write_text(
        "from archgym.kernel import kernel\n@kernel\ndef f(x):\n    return x * 3  # longer\n"
    )
    assert run() == 21


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
