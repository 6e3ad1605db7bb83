"""The report of a comparison: ``report.md`` with its pictures for people, ``report.json`` for programs."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from rich.console import Console

from archgym.errors import LogError

from . import figures, tables
from .comparison import Comparison
from .curves import Curves
from .figure_style import save_picture

COSTS = (1e-3, 1.0, 60.0)  # seconds of an evaluation, at which samples are also judged by time
_PANELS = 12  # problems in one picture
_DPI = 130  # sharp enough on a screen

GLOSSARY = """\
Gap: `ln(f/f_opt)` of the best feasible design so far; 0 is the optimum, 0.05 is 5 % worse, 0.69 twice as bad, "none"
if nothing feasible has been found, or in so many runs that their mean or quantile is infinite. "Exact" optima were
found by enumeration; where the optimum is "best known", gaps are from the best of these very runs (or from the best
known of the suite, if that is better) and flatter everybody. "Within 1 %": share of the runs that end there. "Samples
to feasible": median. "Limits met": share of the runs that have met every limit by one of so many samples; problems in
which nothing else is asked are scored by this share and by the median of the samples until then, and have no gaps.
"Time": the same samples as if one evaluation took so long and ran alone, and the agent its measured time.
"Duplicates": share of the samples that repeat a design of the same run. "ms/ask": time of the agent, measured while
other studies may have run beside it. Intervals are 95 %: of medians between order statistics, of interquartile means
by a bootstrap within problems, of shares after Wilson. "Area": mean gap over the logarithm of the number of samples, up
to that of the median feasible design; it is what a whole search was worth, not only its end. "Samples to 1 %": median
of the samples until a design is within 1 % of the optimum, "none" if most runs never get there. "P(better than X)":
probability that a run ends with a smaller gap than one of X on the same problem; ties count half.
"""


@dataclass(frozen=True)
class Written:
    """A report on disk.

    Attributes:
        folder: where it lies.
        data: content of ``report.json``.
        pictures: names of the pictures, in the order of the text.
        notes: what was left out, one line each.
    """

    folder: Path
    data: dict[str, Any]
    pictures: tuple[str, ...]
    notes: tuple[str, ...]


def write_comparison(
    found: Comparison,
    folder: Path,
    command: str,
    notes: Sequence[str] = (),
    margin: float | None = None,
    *,
    pairs: bool = False,
) -> Written:
    """Write tables and pictures.

    Args:
        found: what to report.
        folder: made if needed; what lies there from an earlier report is replaced.
        command: that makes this report.
        notes: one line each, shown above the tables.
        margin: gap; None leaves out the test that ``found.against`` is not worse than the others by more.
        pairs: also every agent against every other.

    Raises:
        LogError: the folder cannot be written.
    """
    *by_problem, by_agent = (tables.markdown(title, columns) for title, columns in found.shown())
    c = found.curves
    graded = c.part(~c.satisfice)
    overall = {"profiles": figures.profiles(c), "heat-map": figures.heat_map(c)} if len(graded.problems) > 1 else {}
    if len(graded.problems) and np.isfinite(graded.suggest).all():
        overall["time"] = figures.anytime(graded, evaluation_seconds=COSTS)
    single = {f"curves{n}": figures.anytime_panels(page) for n, page in _pages(graded)}
    single |= {f"violins{n}": figures.violins(page) for n, page in _pages(graded)}
    single |= {f"success{n}": figures.success_panels(page) for n, page in _pages(c.part(c.satisfice))}
    tests = [] if margin is None else non_inferiority_table(found, margin)
    each = tables.records(found.pairs()) if pairs else []
    title = f"{', '.join(c.agents)} on {len(c.problems)} problems" if len(c.problems) > 1 else c.titles[0]
    text = "\n\n".join(
        [
            f"# {title}",
            f"Made by `{command}` (archgym {version('archgym')}).",
            *notes,
            "## All problems together",
            by_agent,
            *([tables.markdown(_test_title(found, margin), _columns(tests))] if tests else []),
            *_links(overall),
            *([_pairs_text(each, c.agents)] if pairs else []),
            "## Problem by problem",
            *by_problem,
            *_links(single),
            *([_own_studies(found)] if found.of_their_own else []),
            GLOSSARY,
        ]
    )
    data = {"command": command, "archgym": version("archgym"), "notes": list(notes), **found.to_dict()}
    data |= {"non_inferiority": tests} if margin is not None else {}
    data |= {"pairs": each} if pairs else {}
    return save(folder, text, data, overall | single, notes)


def _pairs_text(rows: Sequence[Mapping[str, Any]], agents: Sequence[str]) -> str:
    """The matrix of agents against agents."""
    cells = {(r["agent"], r["other"]): _interval(r, "better_area") for r in rows}
    columns = {"agent": list(agents)}
    columns |= {f"than {other}": [cells.get((agent, other), "-") for agent in agents] for other in agents}
    return tables.markdown("P(the agent of the row has a smaller area than that of the column) [95 %]", columns)


def _interval(row: Mapping[str, Any], name: str) -> str:
    return f"{row[name]:.3f} [{row[f'{name}.low']:.3f}, {row[f'{name}.high']:.3f}]"


def save(
    folder: Path, text: str, data: dict[str, Any], pictures: dict[str, Figure], notes: Sequence[str] = ()
) -> Written:
    """Write ``report.md``, ``report.json`` and the pictures (name without ending -> figure).

    Raises:
        LogError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in json.loads(_read(folder / "report.json")).get("pictures", []):
            (folder / Path(name).name).unlink(missing_ok=True)  # of an earlier report on more problems
        for name, figure in pictures.items():
            save_picture(figure, folder / f"{name}.png", _DPI)
        names = tuple(f"{name}.png" for name in pictures)
        data = {**data, "pictures": list(names)}
        (folder / "report.json").write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
        (folder / "report.md").write_text(text.rstrip() + "\n", encoding="utf-8")
    except OSError as error:
        raise LogError(f"cannot write the report to {folder}: {error.strerror or error}") from None
    return Written(folder, data, names, tuple(notes))


def print_comparison(console: Console, found: Comparison, written: Written) -> None:
    """The tables, the test if there is one, and where the report lies."""
    found.print(console)
    if tests := written.data.get("non_inferiority"):
        console.print(_test_title(found, tests[0]["margin"]), style="bold", soft_wrap=True)
        tables.columns_table(console, "", _columns(tests))
    print_place(console, written)


def print_place(console: Console, written: Written) -> None:
    """What was left out, and where the report lies."""
    for note in written.notes:
        console.print(note, soft_wrap=True)
    console.print(f"report    {written.folder / 'report.md'}", soft_wrap=True)
    for name in written.pictures:
        console.print(f"picture   {written.folder / name}", soft_wrap=True)


def non_inferiority_table(found: Comparison, margin: float) -> list[dict[str, Any]]:
    """One row for each budget and other agent: whether ``found.against`` is worse than it by less than the margin.

    None where all problems are scored by success: there is no gap to test.
    """
    if found.curves.satisfice.all():
        return []
    return [
        {"budget": budget, "agent": name, **dataclasses.asdict(test), "shown": bool(test.shown)}
        for budget in found.budgets
        for name, test in found.non_inferiority(found.against, margin, budget=budget).items()
    ]


def _own_studies(found: Comparison) -> str:
    return (
        f"Curves show the studies of {found.curves.budget} samples. {' and '.join(found.of_their_own)} also ran "
        "under the smaller budgets, and the tables take the gaps there from those studies."
    )


def _test_title(found: Comparison, margin: float | None) -> str:
    return (
        f"is {found.against} worse than the others by less than {margin:g} in gap? paired by seeds, 95 %, "
        f"Holm-corrected over the agents ({found.conditions})"
    )


def _columns(tests: Sequence[dict[str, Any]]) -> dict[str, list[str]]:
    return {
        "at": [str(t["budget"]) for t in tests],
        "than": [t["agent"] for t in tests],
        "mean difference": [f"{t['difference']:.3f}" for t in tests],
        "upper bound": [f"{t['upper']:.3f}" for t in tests],
        "p": [f"{t['p_adjusted']:.2g}" for t in tests],
        "not worse": ["shown" if t["shown"] else "not shown" for t in tests],
    }


def _links(pictures: dict[str, Figure]) -> list[str]:
    return [f"![{name.replace('-', ' ')}]({name}.png)" for name in pictures]


def _read(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8")
        return text if isinstance(json.loads(text), dict) else "{}"
    except (OSError, ValueError):
        return "{}"


def _pages(c: Curves) -> Iterator[tuple[str, Curves]]:
    """Problems in groups that fit a picture, and what to add to its name; nothing for no problem."""
    starts = range(0, len(c.problems), _PANELS)
    for i in starts:
        yield f"-{i // _PANELS + 1}" if len(starts) > 1 else "", c.part(range(i, min(i + _PANELS, len(c.problems))))
