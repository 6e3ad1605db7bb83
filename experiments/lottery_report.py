"""The report of a hyperparameter lottery: tables, pictures and JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console

from archgym.runs import Runs

from . import lottery_figures as pictures
from . import tables
from .comparison_report import Written, print_place, save
from .curves import optima
from .lottery import Lottery, lottery
from .sweep_folder import PLAN

GLOSSARY = """\
Gap: `ln(f/f_opt)` at the end of a run, cut off at the median feasible design; 0 is the optimum, 0.05 is 5 % worse.
Where the optimum is "best known", it is the best of these very runs. A configuration's result is its mean gap over
the seeds. The default's quantile: the share of the other configurations that are better; 0 is the best of them.
Best of k: what the best of k configurations, each run once, reaches in the mean; it costs k budgets. The
configuration's share: its part of the variance of one run, the rest being the seed's, with its 95 % interval.
"""


def is_lottery(folder: Path) -> bool:
    """Whether the latest plan in a folder is one of ``archgym lottery``."""
    try:
        plan = json.loads((folder / PLAN).read_text(encoding="utf-8"))
        return all(grid["name"] == "lottery" for grid in plan["grid"])
    except (OSError, ValueError, KeyError, TypeError):
        return False


def write_lottery(runs: Runs, folder: Path, command: str, notes: Sequence[str] = ()) -> Written:
    """Write tables and pictures of all agents of the runs.

    Args:
        runs: studies of one track, batch and budget.
        folder: made if needed.
        command: that makes this report.
        notes: one line each, shown above the tables.

    Raises:
        UsageError: studies that cannot be compared.
        LogError: the folder cannot be written.
    """
    known = optima(runs)  # of all agents: nobody is measured against himself alone
    agents = list(dict.fromkeys(runs.studies["agent"]))
    found = [lottery(runs, agent, known_optima=known, unfinished="extend") for agent in agents]
    frame = pd.concat([_with_agent(one) for one in found], ignore_index=True)
    shown = shown_tables(found, frame)
    drawn = {"lottery": pictures.spread(found), "best-of-k": pictures.best_of(found)}
    text = "\n\n".join(
        [
            f"# Hyperparameter lottery: {', '.join(agents)}",
            f"Made by `{command}` (archgym {version('archgym')}).",
            *notes,
            *(tables.markdown(title, columns) for title, columns in shown),
            *(f"![{name.replace('-', ' ')}]({name}.png)" for name in drawn),
            GLOSSARY,
        ]
    )
    data = {
        "command": command,
        "archgym": version("archgym"),
        "notes": list(notes),
        "conditions": conditions(found[0]),
        "rows": tables.records(frame),
        "configurations": [row for one in found for row in _configurations(one)],
    }
    return save(folder, text, data, drawn, notes)


def print_lottery(console: Console, written: Written) -> None:
    """The tables, and where the report lies."""
    for title, columns in _tables(pd.DataFrame(written.data["rows"]), written.data["conditions"]):
        console.print(title, style="bold", soft_wrap=True)
        tables.columns_table(console, "", columns)
    print_place(console, written)


def shown_tables(found: Sequence[Lottery], frame: pd.DataFrame) -> list[tuple[str, dict[str, list[str]]]]:
    """Titles and tables as text: the distribution over configurations, the best of k, and the variance."""
    return _tables(frame, conditions(found[0]))


def conditions(found: Lottery) -> str:
    """One line that belongs to every table."""
    c = found.curves
    source = " or ".join(dict.fromkeys("exact optima" if c.optima[p].exact else "the best known" for p in c.problems))
    return f"track {c.track}, batch {c.batch}, {c.budget} samples, {len(c.seeds)} seeds, gap ln(f/f_opt) to {source}"


def _tables(frame: pd.DataFrame, given: str) -> list[tuple[str, dict[str, list[str]]]]:
    who = {"problem": list(frame["problem"]), "agent": list(frame["agent"])}
    if not (frame["optimum"] == "exact").all():
        who["optimum"] = list(frame["optimum"])
    spread = {**who, "configurations": [str(n) for n in frame["configurations"]]}
    for name in ("default", "best", "q10", "median", "q90", "worst"):
        spread[name] = [_gap(v) for v in frame[name]]
    spread["default's quantile"] = ["-" if _missing(v) else f"{v:.2f}" for v in frame["default_quantile"]]
    best = dict(who)
    for name in (n for n in frame.columns if n.startswith("best_of_")):
        best[f"k = {name.removeprefix('best_of_')}"] = [_gap(v) for v in frame[name]]
    out = [
        (f"mean gap over seeds of each configuration ({given})", spread),
        (f"expected gap of the best of k configurations ({given})", best),
    ]
    if "config_share" in frame:
        shares = (frame["config_share"], frame["config_share.low"], frame["config_share.high"])
        cells = [
            "-" if _missing(v) else f"{100 * v:.0f} % [{100 * low:.0f} %, {100 * high:.0f} %]"
            for v, low, high in zip(*shares, strict=True)
        ]
        parts = {**who, "configuration's share": cells}
        parts["sd of configurations"] = [_gap(v) for v in frame["sd_config"]]
        parts["sd of seeds"] = [_gap(v) for v in frame["sd_seed"]]
        out.append((f"variance of one run's gap: configuration or seed [95 %] ({given})", parts))
    return out


def _with_agent(found: Lottery) -> pd.DataFrame:
    frame = found.frame()
    frame.insert(2, "agent", found.agent)
    return frame


def _configurations(found: Lottery) -> list[dict[str, Any]]:
    """One row a problem and configuration: its mean gap."""
    c, means = found.curves, found.finals.mean(axis=2)
    return [
        {"problem": title, "agent": found.agent, "configuration": label, "mean_gap": _plain(means[i, k])}
        for i, title in enumerate(c.titles)
        for k, label in enumerate(c.agents)
    ]


def _plain(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _missing(value: Any) -> bool:
    return value is None or math.isnan(value)


def _gap(value: Any) -> str:
    return "-" if _missing(value) else "0" if value == 0 else f"{value:.3f}"
