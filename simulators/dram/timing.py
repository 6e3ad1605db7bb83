"""Timing rules as tables for the kernel: which command must wait how long for which earlier one.

The rules are data, ``constraints.csv``: for a family of standards, what comes next, what came before, in
which scope, and a formula over the memspec's timings; every row names its source. Formulas are sums and
maxima of names and numbers. ``BL`` is the burst length, rows of scope "define" add names.
"""

from __future__ import annotations

import ast
import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
import numpy.typing as npt

from archgym.errors import UsageError

from .command_trace import NAMES
from .controller import N_COMMAND, N_TABLE, NO_RULE
from .standards import Standard

Ints = npt.NDArray[np.int64]

SCOPES = ("define", "bank", "group", "rank", "other", "channel", "faw", "round")

_CODE = {name: code for code, name in enumerate(NAMES)}

# Cycles on the command bus, where not 1.
_LENGTHS: dict[str, dict[str, int]] = {
    "LPDDR4": dict.fromkeys(("ACT", "RD", "RDA", "WR", "WRA"), 4)
    | dict.fromkeys(("PRE", "PREA", "REFA", "REFB", "SREFEN", "SREFEX"), 2),
    "HBM2": {"ACT": 2},
    "DDR5": dict.fromkeys(("ACT", "RD", "RDA", "WR", "WRA"), 2),
}


@dataclass(frozen=True)
class Rule:
    """One row of ``constraints.csv``, resolved for a standard.

    Attributes:
        following, previous: names of commands.
        scope: "bank", "group", "rank", "other" (ranks of the channel), "channel", "faw" (four-activate
            window), "round" (from the last unit refresh of a round).
        cycles: least distance.
        formula, source: as in the file.
    """

    following: str
    previous: str
    scope: str
    cycles: int
    formula: str
    source: str


@dataclass(frozen=True)
class Tables:
    """What ``controller.run`` takes: ``rules`` (N_TABLE, N_COMMAND) int64, its T; ``refresh_round`` a knob, 0: none."""

    rules: Ints
    refresh_round: int


def rules(standard: Standard) -> tuple[Rule, ...]:
    """The rules of a standard, in cycles.

    Rules of commands that need timings the memspec lacks (power-down, same-bank refresh) are left out.
    """
    lengths = _LENGTHS.get(standard.family, {})
    names = dict(standard.timing) | {"BL": standard.burst_length}
    out = []
    for row in _rows():
        if row["family"] != standard.family:
            continue
        try:
            cycles = _value(row["cycles"], names)
        except KeyError:
            continue
        if row["scope"] == "define":
            names[row["next"]] = cycles
            continue
        for following in row["next"].split():
            for previous in row["previous"].split():
                # DDR5's timings count from the last cycle of a two-cycle command (JESD79-5, table 30)
                shift = lengths.get(previous, 1) - lengths.get(following, 1) if standard.family == "DDR5" else 0
                out.append(Rule(following, previous, row["scope"], cycles + shift, row["cycles"], row["source"]))
    return tuple(out)


def tables(standard: Standard) -> Tables:
    """The rules of a standard as a dense table; scopes stand in the order of the kernel's rows."""
    by_scope = {s: np.full((N_COMMAND, N_COMMAND), NO_RULE, np.int64) for s in ("bank", "group", "rank", "other")}
    window: dict[tuple[str, str], int] = {}
    refresh_round = 0
    for rule in rules(standard):
        if rule.scope == "faw":
            window[rule.previous, rule.following] = rule.cycles
        elif rule.scope == "round":
            refresh_round = rule.cycles
        else:
            for scope in ("rank", "other") if rule.scope == "channel" else (rule.scope,):
                table = by_scope[scope]
                at = _CODE[rule.previous], _CODE[rule.following]
                table[at] = max(table[at], rule.cycles)
    length = np.ones(N_COMMAND, np.int64)
    for name, cycles in _LENGTHS.get(standard.family, {}).items():
        length[_CODE[name]] = cycles
    push, gap = _window(window)
    dense = np.concatenate([*by_scope.values(), length[None], push[None], gap[None]])
    assert dense.shape == (N_TABLE, N_COMMAND)
    return Tables(dense, refresh_round)


def _window(distance: Mapping[tuple[str, str], int]) -> tuple[Ints, Ints]:
    """Distances between activations and refreshes as push[previous] + gap[following], which they all are."""
    push, gap = np.full(N_COMMAND, NO_RULE, np.int64), np.full(N_COMMAND, NO_RULE, np.int64)
    for (previous, following), cycles in distance.items():
        if previous == "ACT":
            push[_CODE[previous]] = 0
            gap[_CODE[following]] = cycles
    for (previous, following), cycles in distance.items():
        if previous != "ACT":
            push[_CODE[previous]] = cycles - gap[_CODE[following]]
    for (previous, following), cycles in distance.items():
        assert push[_CODE[previous]] + gap[_CODE[following]] == cycles, (previous, following)
    return push, gap


@cache
def _rows() -> tuple[dict[str, str], ...]:
    text = files("archgym.simulators.dram").joinpath("constraints.csv").read_text(encoding="utf-8")
    rows = tuple(csv.DictReader(text.splitlines()))
    for row in rows:
        assert row["scope"] in SCOPES, row
    return rows


def _value(formula: str, names: Mapping[str, int]) -> int:
    """A sum or maximum of names and numbers."""
    return _evaluate(ast.parse(formula, mode="eval").body, names)


def _evaluate(node: ast.expr, names: Mapping[str, int]) -> int:
    match node:
        case ast.Name(id=name):
            return names[name]
        case ast.Constant(value=int(number)):
            return number
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _evaluate(left, names) + _evaluate(right, names)
        case ast.BinOp(left=left, op=ast.Sub(), right=right):
            return _evaluate(left, names) - _evaluate(right, names)
        case ast.BinOp(left=left, op=ast.Div(), right=right):
            return _evaluate(left, names) // _evaluate(right, names)
        case ast.Call(func=ast.Name(id="max"), args=arguments):
            return max(_evaluate(argument, names) for argument in arguments)
    raise UsageError(f"timing formula: expected names, numbers, +, -, / and max, got '{ast.unparse(node)}'")
