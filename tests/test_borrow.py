"""Borrowed arrays read and write the caller's memory, in the caller's type and shape."""

import numpy as np
import pytest
from numba.core.errors import NumbaError

from archgym.borrow import borrow
from archgym.kernel import kernel


@kernel
def halve_and_sum(numbers, table):
    """The sum of the table, after each of its entries and of the numbers has been halved."""
    N, T = borrow(numbers, 0), borrow(table, 3)
    total = 0.0
    for i in range(len(numbers)):
        N[i] = N[i] // 2
    for row in range(len(table)):
        for column in range(3):
            T[row, column] = T[row, column] / 2
            total += T[row, column]
    return total


@kernel
def first(numbers):
    return borrow(numbers, 0)[0]


def test_integers_and_floats_are_read_and_written_in_place():
    numbers, table = np.array([8, -3, 5]), np.arange(6.0).reshape(2, 3)
    assert halve_and_sum(numbers, table) == 7.5  # half of 0 + 1 + ... + 5
    assert numbers.tolist() == [4, -2, 2]  # Python's floor division, also below zero
    assert table.tolist() == [[0, 0.5, 1], [1.5, 2, 2.5]]


def test_each_type_keeps_its_own():
    assert isinstance(first(np.array([3, 4])), int)
    assert isinstance(first(np.array([2.5])), float)


def test_outside_of_kernels_it_is_the_array():
    array = np.zeros(3)
    assert borrow(array, 0) is array


@pytest.mark.parametrize(
    ("array", "reason"),
    [(np.zeros(4, np.float32), "int64 or float64"), (np.zeros(8)[::2], "C-contiguous"), (np.zeros((2, 3)), "columns")],
)
def test_what_cannot_be_borrowed_is_refused_at_compile_time(array, reason):
    with pytest.raises((NumbaError, AssertionError), match=reason):
        first(array)
