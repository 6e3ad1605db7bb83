"""Tables for people: designs, fronts, layers, spaces."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from archgym.problem import Problem
from archgym.study import Summary

if TYPE_CHECKING:
    import pandas as pd

_WIDEST = 2000  # characters of a table; a narrower terminal wraps whole lines


def make_console() -> Console:
    """Standard output, with text as it is: units in brackets are no markup."""
    return _Output(markup=False, highlight=False)


class _Output(Console):
    """A console whose closed pipe is the caller's affair (rich would exit with status 1)."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def number(value: Any) -> str:
    """A value with four significant digits, integers whole."""
    if isinstance(value, bool | str) or value is None:
        return str(value)
    if isinstance(value, int) or (float(value).is_integer() and abs(value) < 1e15):
        return f"{int(value):,}".replace(",", " ") if abs(value) >= 1e4 else str(int(value))
    return f"{value:.4g}"


def show(console: Console, title: str, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print one table; columns of numbers are right-aligned, lines are never folded inside a cell."""
    table = Table(
        title=title, title_justify="left", title_style="bold", header_style="bold", pad_edge=False, box=SIMPLE_HEAD
    )
    for i, name in enumerate(header):
        numeric = all(isinstance(row[i], int | float) for row in rows)
        table.add_column(name, justify="right" if numeric else "left", no_wrap=True)
    for row in rows:
        table.add_row(*(number(v) for v in row))
    wide = Measurement.get(console, console.options.update(width=_WIDEST), table).maximum
    for segment_line in console.render_lines(table, console.options.update(width=wide), pad=False):
        text = Text("".join(segment.text for segment in segment_line).rstrip())
        console.print(text, soft_wrap=True)


def columns_table(console: Console, title: str, columns: Mapping[str, Sequence[Any]]) -> None:
    """Print a table given as columns."""
    show(console, title, list(columns), list(zip(*columns.values(), strict=True)))


def markdown(title: str, columns: Mapping[str, Sequence[Any]]) -> str:
    """A table given as columns, for a document; the title stands above it in bold."""
    header = "| " + " | ".join(columns) + " |\n|" + "---|" * len(columns)
    cells = [[str(v).replace("|", "\\|") for v in row] for row in zip(*columns.values(), strict=True)]
    return "\n".join([f"**{title}**", "", header, *("| " + " | ".join(row) + " |" for row in cells)])


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a frame as plain data for JSON; numbers that do not exist or are infinite are None."""
    return [
        {str(key): None if isinstance(v, float) and not math.isfinite(v) else v for key, v in row.items()}
        for row in frame.to_dict("records")
    ]


def key_metrics(problem: Problem) -> list[str]:
    """The metrics worth a column: the objective's terms, its limits, and area if there is one."""
    wanted = [t.metric for t in problem.objective.terms] + [limit.metric for limit in problem.objective.limits]
    wanted += [name for name in ("latency", "energy", "area") if name in problem.metric_names]
    return list(dict.fromkeys(wanted))


def designs_table(console: Console, title: str, summary: Summary, trials: Sequence[int]) -> None:
    """Print sampled designs with their outcome, one a line."""
    problem = summary.problem
    names = key_metrics(problem)
    units = {name: problem.metrics[name].unit for name in names}
    header = ["trial", "reward", *(f"{n} [{units[n]}]" if units[n] else n for n in names), *problem.space.names]
    rows = []
    for i in trials:
        design = problem.space.design(summary.samples.codes[i])
        outcome = [float(summary.samples.metrics[name][i]) for name in names]
        rows.append([i, float(summary.samples.reward[i]), *outcome, *design.values()])
    show(console, title, header, rows)


def best_trials(summary: Summary, n: int) -> list[int]:
    """Trials of the ``n`` best feasible designs, each design once."""
    samples = summary.samples
    usable = np.flatnonzero(samples.feasible & ~samples.cached)
    order = np.argsort(-samples.reward[usable], kind="stable")
    return [int(i) for i in usable[order[:n]]]


def space_table(console: Console, problem: Problem, matters: Mapping[str, float] | None = None, n: int = 0) -> None:
    """Print the parameters of a problem's space; ``matters``: in which share of ``n`` designs each has an effect."""
    rows = []
    for p in problem.space.parameters:
        levels = ", ".join(str(v) for v in p.levels)
        row = [p.name, len(p.levels), levels, p.unit, str(problem.baseline[p.name]), p.doc]
        if matters is not None:
            row.insert(5, f"{matters[p.name]:.0%}" if matters[p.name] else "never")
        rows.append(row)
    title = f"{problem.spec.label}: {problem.space.size:.4g} designs"
    header = ["parameter", "levels", "values", "unit", "baseline", "meaning"]
    if matters is not None:
        header.insert(5, "matters in")
    show(console, title, header, rows)
    if matters is not None:
        console.print(
            f"'matters in': share of {n} random designs in which another level changes a metric on this workload."
        )
