"""Tables measured with SCALE-Sim 3.0.0, one layer a row, recomputed by the compat model.

Config columns: ``input_mode`` (conv or gemm), ``ifmap_h ifmap_w filt_h filt_w channels num_filters
stride`` or ``gemm_m gemm_n gemm_k``, ``dataflow``, ``array_rows array_cols``, ``ifmap_sram_kb
filter_sram_kb ofmap_sram_kb``, ``bw_mode`` (CALC rows are checked, USER rows skipped). Output columns
are those of the tool's three reports; what a table lacks is not checked. A table with a column
``error`` holds configurations on which the tool raises: there we must say infeasible.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from archgym.errors import UnknownNameError, UsageError
from archgym.simulator import Reproduction

from . import scalesim

FLOAT_TOLERANCE = 1e-9  # the tool averages per-fold floats in order; closed forms differ in the last digits
_DATAFLOWS = {"os": 0, "ws": 1, "is": 2}
_CONV = ("ifmap_h", "ifmap_w", "filt_h", "filt_w", "channels", "num_filters", "stride")
_GEMM = ("gemm_m", "gemm_n", "gemm_k")
_DESIGN = ("array_rows", "array_cols", "ifmap_sram_kb", "filter_sram_kb", "ofmap_sram_kb")


def reproduce(rows: Sequence[Mapping[str, str]]) -> Reproduction:
    """Recompute the CALC rows of a table.

    Raises:
        UsageError: a config column is missing or holds something else than expected; names the line.
    """
    checked = [row for row in rows if _choice(row, "bw_mode", ("CALC", "USER")) == "CALC"]
    skipped = len(rows) - len(checked)
    if not checked:
        return Reproduction(skipped, {}, {})
    layers = np.array([_layer(row) for row in checked], np.int64)
    designs = np.array([_design(row) for row in checked], np.int64)
    ours = scalesim.report(layers, designs)
    columns: dict[str, tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]] = {}
    if "error" in checked[0]:
        raised = np.array([bool(row["error"]) for row in checked])
        columns["error"] = (raised, ours["reason"] != 0)
    for name in scalesim.COLUMNS:
        if name in checked[0]:
            theirs = np.array([_number(row, name) for row in checked], np.float64)
            columns[name] = (theirs, np.where(ours["reason"] == 0, ours[name], np.nan))
    tolerance = {name: FLOAT_TOLERANCE for name in scalesim.COLUMNS if name not in scalesim.INTEGER_COLUMNS}
    return Reproduction(skipped, columns, tolerance)


def _layer(row: Mapping[str, str]) -> list[int]:
    if _choice(row, "input_mode", ("conv", "gemm")) == "conv":
        return [_integer(row, name) for name in _CONV]
    m, n, k = (_integer(row, name) for name in _GEMM)
    return [m, k, 1, k, 1, n, 1]  # the tool's own view of a GEMM: one row of K per output row, N filters


def _design(row: Mapping[str, str]) -> list[int]:
    dataflow = _DATAFLOWS[_choice(row, "dataflow", tuple(_DATAFLOWS))]
    return [dataflow, *(_integer(row, name) for name in _DESIGN)]


def _cell(row: Mapping[str, str], name: str) -> str:
    if name not in row:
        raise UsageError(f"{row.get('', 'table')}: this is no SCALE-Sim reference table, column '{name}' is missing")
    return row[name].strip()


def _choice(row: Mapping[str, str], name: str, known: tuple[str, ...]) -> str:
    text = _cell(row, name)
    if text not in known:
        raise UnknownNameError(f"value of column {name} at {row.get('', 'a row')}", text, known)
    return text


def _integer(row: Mapping[str, str], name: str) -> int:
    number = _number(row, name)
    if number != int(number):
        raise UsageError(f"{row.get('', 'table')}: column '{name}': expected an integer, got '{row[name]}'")
    return int(number)


def _number(row: Mapping[str, str], name: str) -> float:
    text = _cell(row, name)
    try:
        return float(text)
    except ValueError:
        raise UsageError(f"{row.get('', 'table')}: column '{name}': expected a number, got '{text}'") from None
