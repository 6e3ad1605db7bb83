"""Cells of reference tables, and the layer that a row describes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from archgym.errors import UsageError

from .shapes import N_SHAPE

Row = Mapping[str, str]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

SIZES = ("N", "K", "C", "P", "Q", "R", "S")  # every table has these; G and dilation are 1 where it does not


def place(row: Row) -> str:
    """File and line of a row, for messages."""
    return row.get("", "table")


def cell(row: Row, name: str) -> str:
    """The text of a cell; UsageError if the table lacks the column."""
    if name not in row:
        raise UsageError(f"{place(row)}: column '{name}' is missing; expected it in this kind of table")
    return row[name].strip()


def number(row: Row, name: str) -> float:
    """The number in a cell; UsageError if it is none."""
    text = cell(row, name)
    try:
        return float(text)
    except ValueError:
        raise UsageError(f"{place(row)}: column '{name}': expected a number, got '{text}'") from None


def integer(row: Row, name: str, least: int = 1) -> int:
    """The whole number in a cell; UsageError if it is none or below ``least``."""
    value = number(row, name)
    if not (value >= least and value == np.floor(value)) or value > 2**53:
        raise UsageError(f"{place(row)}: column '{name}': expected an integer >= {least}, got '{row[name]}'")
    return int(value)


def numbers(rows: Sequence[Row], name: str) -> Floats:
    """A column as (n,) float64."""
    return np.array([number(row, name) for row in rows], np.float64)


def layer(row: Row) -> Ints:
    """The layer of a row as (16,), see `shapes.layer_row`: no padding, and every input row that is touched exists."""
    n, *rest = (integer(row, name) for name in SIZES)
    sizes = [n, integer(row, "G") if "G" in row else 1, *rest]
    stride, dilation = integer(row, "stride"), integer(row, "dilation") if "dilation" in row else 1
    extent = [(sizes[out] - 1) * stride + (sizes[tap] - 1) * dilation + 1 for out, tap in ((4, 6), (5, 7))]
    shape = np.array([*sizes, stride, stride, dilation, dilation, 0, 0, *extent], np.int64)
    assert len(shape) == N_SHAPE
    return shape
