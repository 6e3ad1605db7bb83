"""Pictures of the designs that searches found; each returns a matplotlib Figure that the caller saves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from archgym.errors import UsageError
from archgym.logged_study import LoggedProblem
from archgym.pareto import front
from archgym.runs import Runs

from . import figure_style as style
from .curves import Optimum, optima

Floats = npt.NDArray[np.float64]

_CLOUD = 20_000  # dominated points drawn at most
_LINES = 300  # of parallel coordinates


def pareto(runs: Runs, problem: str, *, metrics: Sequence[str] = ()) -> Figure:
    """What each agent found, all seeds together: its front in two metrics over the cloud of all feasible samples.

    Args:
        runs: studies.
        problem: label.
        metrics: two of them; default: the objective's first two terms.

    Raises:
        UsageError: not two metrics, or nothing feasible.
    """
    logged = logged_problem(runs, problem)
    names = list(metrics) or [name for name, _ in logged.terms][:2]
    if len(names) != 2:
        raise UsageError(
            f"pareto: expected two metrics (the objective has {names}), such as metrics=('energy', 'area')"
        )
    frame = _feasible(runs, problem, [f"metric.{name}" for name in names])
    x, y = (frame[f"metric.{name}"].to_numpy() for name in names)
    signs = [-1.0 if dict(logged.terms).get(name, 1.0) < 0 else 1.0 for name in names]
    figure, axes = style.new_figure(height=2.3)
    panel: Axes = axes[0, 0]
    step = max(1, len(x) // _CLOUD)
    panel.plot(x[::step], y[::step], ".", color="0.8", markersize=2, mew=0, rasterized=True)
    panel.plot([], [], ".", color="0.8", markersize=6, mew=0, label="feasible samples")
    fronts: list[npt.NDArray[np.int64]] = []
    known = optima(runs).get(problem)
    if known is not None and known.known is not None and [n for n, _ in logged.terms] == names:
        points = np.array([[p[name] for name in names] for p in known.known["front"]])
        panel.plot(*points.T, "-", color="black", linewidth=0.8, label="exact front")
    agents = sorted(frame["agent_label"].unique())
    for k, agent in enumerate(agents):
        own = np.flatnonzero(frame["agent_label"] == agent)
        best = own[front(np.stack([signs[0] * x[own], signs[1] * y[own]], axis=1))]
        looks = style.look(k)
        fronts.append(best)
        panel.plot(
            x[best],
            y[best],
            looks.marker,
            color=looks.colour,
            markersize=7 - 1.5 * (k % 3),  # equal designs stay visible under each other
            fillstyle="none",
            markeredgewidth=1,
            label=agent,
        )
    shown = np.concatenate(fronts)
    for axis, values, name, sign in ((panel.xaxis, x, names[0], signs[0]), (panel.yaxis, y, names[1], signs[1])):
        _around_front(axis, values, values[shown], sign)
        axis.set_label_text(style.with_unit(name, logged.units[name]))
    style.legend_below(figure, panel)
    style.title(figure, f"{problem_name(known, problem)}: fronts over all seeds")
    return figure


def parallel_coordinates(runs: Runs, problem: str, *, best: int = 20) -> Figure:
    """The levels of the best distinct designs of all runs, in colour by their gap, over a sample of the others."""
    logged = logged_problem(runs, problem)
    frame, levels = distinct_designs(runs, problem)
    order = np.argsort(-frame["reward"].to_numpy(), kind="stable")
    top, rest = order[:best], order[best :: max(1, (len(order) - best) // _LINES)]
    varied = np.flatnonzero(np.ptp(levels, axis=0) > 0)
    parameters = [logged.space.parameters[i] for i in varied]
    heights = levels[:, varied] / np.array([len(p.levels) - 1 for p in parameters])
    width = min(style.PAGE, max(style.COLUMN, 0.62 * len(parameters) + 1.2))
    figure, axes = style.new_figure(width=width, height=3.0)
    panel: Axes = axes[0, 0]
    across = np.arange(len(parameters))
    panel.plot(across, heights[rest].T, color="0.88", linewidth=0.4, zorder=1)
    rewards = frame["reward"].to_numpy()[top]
    known = optima(runs)[problem]
    below = known.reward - rewards
    scale = ScalarMappable(
        Normalize(float(below.min()), max(float(below.max()), float(below.min()) + 1e-12)), "viridis"
    )
    for rank, row in reversed(list(enumerate(top))):
        line = heights[row] + 0.05 * (rank / max(1, len(top) - 1) - 0.5)  # equal levels stay countable
        panel.plot(across, line, color=scale.to_rgba(below[rank]), linewidth=0.9, zorder=2)
    for i, p in enumerate(parameters):
        _level_labels(panel, i, p.levels, int((width - 1.3) / len(parameters) / 0.047))
    panel.set_xticks(across, [style.with_unit(p.name, p.unit) for p in parameters], rotation=35, ha="right")
    panel.set_yticks([])
    panel.set_ylim(-0.06, 1.06)
    panel.set_xlim(-0.15, len(parameters) - 0.2)
    panel.spines[:].set_visible(False)
    for place in across:
        panel.axvline(float(place), color="0.3", linewidth=0.5, zorder=0)
    label = "reward below the best" if logged.has_targets else r"gap $\ln(f/f_\mathrm{opt})$"
    bar = figure.colorbar(scale, ax=panel, fraction=0.04, pad=0.01)
    bar.set_label(label, size=8)
    bar.ax.tick_params(labelsize=7)
    title = f"{problem_name(known, problem)}: the best {len(top)} of {len(order)} distinct feasible designs"
    style.title(figure, title, left_out(len(levels.T) - len(varied)))
    return figure


def best_designs(runs: Runs, problem: str) -> Figure:
    """The best design of every agent as a table; levels that differ from the first column's are bold.

    Columns: the exact optimum where it is known, then the agents; rows: gap and the objective's terms, then the
    parameters.
    """
    logged = logged_problem(runs, problem)
    known = optima(runs)[problem]
    terms = [name for name, _ in logged.terms]
    frame = _feasible(runs, problem, ["param.*", *(f"metric.{t}" for t in terms)])
    columns: dict[str, dict[str, Any]] = {}
    if known.known is not None:
        best = known.known["optimum"]
        columns["optimum"] = {"reward": best["reward"], **best["design"], **{t: best["metrics"][t] for t in terms}}
    for agent, part in frame.groupby("agent_label"):
        row: Any = part.iloc[int(part["reward"].argmax())]
        columns[str(agent)] = {"reward": row["reward"], **{p: row[f"param.{p}"] for p in logged.space.names}}
        columns[str(agent)] |= {t: row[f"metric.{t}"] for t in terms}
    heads = ["", *(style.wrapped(name, 16) for name in columns)]
    rows = [[_measure(logged), *(_measured(logged, known, c["reward"]) for c in columns.values())]]
    rows += [[style.with_unit(t, logged.units[t]), *(f"{c[t]:.4g}" for c in columns.values())] for t in terms]
    for p in logged.space.parameters:
        rows.append([style.with_unit(p.name, p.unit), *(str(c[p.name]) for c in columns.values())])
    tall = max(head.count("\n") for head in heads) + 1
    width = min(style.PAGE, max(style.COLUMN, 1.3 + 1.05 * len(columns)))
    figure, axes = style.new_figure(width=width, height=0.35 + 0.15 * tall + 0.18 * len(rows))
    panel: Axes = axes[0, 0]
    panel.set_axis_off()
    table = panel.table([heads, *rows], loc="center", cellLoc="right", edges="horizontal", bbox=Bbox.unit())
    table.auto_set_font_size(False)
    lines = len(rows) + tall
    for (i, k), cell in table.get_celld().items():
        cell.set(linewidth=0.4, edgecolor="0.75")
        cell.set_height((tall if i == 0 else 1) / lines)
        text = cell.get_text()
        text.set_fontsize(7)
        if k == 0:
            text.set_horizontalalignment("left")
        elif i > len(terms) + 1 and text.get_text() != rows[i - 1][1]:
            text.set_fontweight("bold")
    table.auto_set_column_width(list(range(len(heads))))
    style.title(figure, f"{problem_name(known, problem)}: best designs over all seeds")
    return figure


# ---- inside ----------------------------------------------------------------------------


def _around_front(axis: Axis, values: Floats, front_values: Floats, sign: float) -> None:
    """A log axis from just before the front to three times its width behind it, where the cloud goes on."""
    low, high = float(np.log(front_values.min())), float(np.log(front_values.max()))
    behind = max(2.0 * (high - low), 0.7)
    low, high = (low, high + behind) if sign > 0 else (low - behind, high)
    low, high = max(low, float(np.log(values.min()))), min(high, float(np.log(values.max())))
    margin = max(0.06 * (high - low), 0.01)  # markers are whole
    style.plain_log_axis(axis, (high - low) / np.log(10), prefixes=True)
    axis._set_lim(np.exp(low - margin), np.exp(high + margin), auto=False)  # type: ignore[attr-defined]


def logged_problem(runs: Runs, label: str) -> LoggedProblem:
    """A problem of the runs; UsageError if it is none of theirs."""
    if label not in runs.problems:
        raise UsageError(f"problem: expected one of {', '.join(runs.problems)}; got '{label}'")
    return runs.problems[label]


def problem_name(known: Optimum | None, label: str) -> str:
    """Its name in the suite, else its label."""
    return known.suite if known is not None and known.suite else label


def _feasible(runs: Runs, problem: str, columns: Sequence[str]) -> pd.DataFrame:
    """Feasible samples of one problem with these columns, reward and ``agent_label``."""
    studies = runs.studies
    studies = studies[studies["problem"] == problem]
    frame = runs.trials([*columns, "reward", "feasible"], studies)
    frame["agent_label"] = frame["study"].map(studies.set_index("study")["agent_label"])
    frame = frame[frame["feasible"]].reset_index(drop=True)
    if frame.empty:
        raise UsageError(f"{problem}: no run found anything feasible, there is nothing to draw")
    return frame


def distinct_designs(
    runs: Runs, problem: str, columns: Sequence[str] = ()
) -> tuple[pd.DataFrame, npt.NDArray[np.int64]]:
    """Feasible designs of all studies, each combination of levels once, and their level indices (n, d)."""
    frame = _feasible(runs, problem, ["param.*", *columns])
    names = [f"param.{name}" for name in runs.problems[problem].space.names]
    frame = frame.drop_duplicates(names).reset_index(drop=True)
    parameters = runs.problems[problem].space.parameters
    indices = [
        frame[name].map({level: i for i, level in enumerate(p.levels)}).to_numpy(np.int64)
        for name, p in zip(names, parameters, strict=True)
    ]
    return frame, np.stack(indices, axis=1)


def left_out(n: int) -> str:
    """A second line of a title, where parameters had one level in every design."""
    return f"({n} parameters that never varied are not shown)" if n else ""


def _level_labels(panel: Axes, i: int, levels: Sequence[Any], letters: int) -> None:
    """Names of the levels beside an axis, cut after so many letters: all if there are few, else the ends."""
    shown = range(len(levels)) if len(levels) <= 5 else (0, len(levels) - 1)
    for k in shown:
        height = k / max(1, len(levels) - 1)
        text = str(levels[k])
        text = text if len(text) <= letters else f"{text[: letters - 1]}…"
        box = {"facecolor": "white", "alpha": 0.7, "pad": 0.4, "linewidth": 0}
        panel.text(i + 0.04, height, text, fontsize=5.5, va="center", ha="left", zorder=3, bbox=box)


def _measure(logged: LoggedProblem) -> str:
    return "reward" if logged.has_targets else r"gap $\ln(f/f_\mathrm{opt})$"


def _measured(logged: LoggedProblem, known: Optimum, reward: float) -> str:
    if logged.has_targets:
        return f"{reward:.4g}"
    gap = known.reward - reward
    return "0" if abs(gap) < 5e-5 else f"{gap:.4f}"
