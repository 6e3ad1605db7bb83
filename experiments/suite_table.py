"""The suite's problems with their facts, as a table for people and as data for programs."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from archgym.suite.difficulty import BUDGETS
from archgym.suite.entry import SuiteProblem
from archgym.suite.problems import SUITE, VERSION, stored_facts

from .tables import show

_HEADER = (
    "problem",
    "tier",
    "designs",
    "feasible",
    "optimum",
    "value",
    *(f"random @{budget}" for budget in BUDGETS),
    "within 1 %",
    "within 5 %",
    "front",
    "s/sample",
    "note",
)
_LEGEND = """\
feasible: share of the designs. random @N: median gap (f - f*)/|f*| of random search after N samples; where limits only
have to be met, the share of random searches that meet them. within: share of the feasible designs. s/sample: declared.
~ estimated from random designs; < upper end of the 95 % interval of a share of which no design was drawn.
"""


def show_suite(console: Console) -> None:
    """Print the table, and how to read it."""
    rows = [_row(entry, stored_facts(name)) for name, entry in SUITE.items()]
    show(console, f"suite, version {VERSION}", _HEADER, rows)
    console.print(_LEGEND, soft_wrap=True)


def suite_data() -> dict[str, Any]:
    """Name -> tier, version, note and facts (None: not built) of every problem."""
    return {
        name: {
            "tier": entry.tier,
            "optimum": entry.optimum,
            "satisfice": entry.satisfice,
            "since": entry.since,
            "note": entry.note,
            "facts": stored_facts(name),
        }
        for name, entry in SUITE.items()
    }


def _row(entry: SuiteProblem, found: dict[str, Any] | None) -> list[Any]:
    if found is None:
        return [entry.name, entry.tier, *[""] * (len(_HEADER) - 3), f"no facts yet; {entry.note}"]
    about = "~" if found["sampled"] else ""
    chances = found["random_success" if entry.satisfice else "random_gaps"]
    note = f"scored by success; {entry.note}" if entry.satisfice else entry.note
    return [
        entry.name,
        entry.tier,
        f"{found['designs']:,}" if found["designs"] < 1e9 else f"{found['designs']:.2g}",
        about + _share(found["feasible_share"]),
        entry.optimum,
        f"{found['optimum']['value']:.5g}",
        *(_chance(chances[str(budget)], entry.satisfice) for budget in BUDGETS),
        *(_within(found, percent) for percent in (1, 5)),
        found["front_size"],
        f"{found['cost_seconds']:.0e}",
        note.removesuffix("; "),
    ]


def _chance(value: float | None, success: bool) -> str:
    if value is None:
        return "none feasible"
    return f"{value:.0%} met" if success else f"{value:.3f}" if value < 10 else f"{value:.0f}"


def _within(found: dict[str, Any], percent: int) -> str:
    share = found[f"within_{percent}_percent"]
    if found["sampled"] and not share:
        return f"<{found['within_1_percent_upper']:.0e}" if percent == 1 else "~0"
    return ("~" if found["sampled"] else "") + _share(share)


def _share(value: float) -> str:
    return f"{value:.0%}" if value >= 0.1 else f"{value:.1%}" if value >= 0.01 else f"{value:.1e}" if value else "0"
