"""Pictures of a comparison, ready for print; each returns a matplotlib Figure that the caller saves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from archgym.errors import UsageError
from archgym.runs import Runs

from . import figure_style as style
from .curves import Curves, curves
from .gaps import at_budgets, elapsed, on_time_grid
from .intervals import median_interval, share_interval
from .stats import iqm, iqm_interval, performance_profile

Floats = npt.NDArray[np.float64]

GAP = r"gap $\ln(f/f_\mathrm{opt})$"
_POINTS = 60  # of a curve
_RESAMPLES = 1000


def anytime(runs: Runs | Curves, *, problem: str | None = None, evaluation_seconds: Sequence[float] = ()) -> Figure:
    """Gap over samples, with 95 % bands.

    Args:
        runs: studies that can be compared (see ``curves``).
        problem: label; its median over seeds. None: the interquartile mean over all problems and seeds.
        evaluation_seconds: if given, one panel for each: the same samples over the time they would take if one
            evaluation cost so many seconds and ran alone, the measured time of the agents added (nothing for
            studies that were not timed).
    """
    c = _as_curves(runs)
    panels = max(1, len(evaluation_seconds))
    width = style.COLUMN if panels == 1 else style.PAGE
    figure, axes = style.new_figure(1, panels, width=width, height=2.2, sharey=True)
    rows = slice(None) if problem is None else [c.problem(problem)]
    for i, panel in enumerate(axes[0]):
        cost = evaluation_seconds[i] if evaluation_seconds else None
        x, gaps = _at_points(c.gaps[rows], c.suggest[rows], cost)
        for k, name in enumerate(c.agents):
            _band(panel, x, gaps[:, k], k, name)
        style.plain_log_axis(panel.xaxis)
        panel.set_xlabel("samples" if cost is None else "time [s]")
        if cost is not None:
            panel.set_title(f"one evaluation = {cost:g} s", fontsize=8)
        panel.margins(x=0.02)
        panel.grid(True, alpha=0.25, linewidth=0.4)
    style.gap_axis(axes[0, 0].yaxis)
    tops = [panel.dataLim.ymax for panel in axes[0]]  # infinite in a panel without a point
    axes[0, 0].set_ylim(0, 1.1 * max(filter(np.isfinite, tops), default=1.0))
    axes[0, 0].set_ylabel(GAP)
    style.legend_below(figure, axes[0, 0])
    of = f"IQM over {len(c.problems)} problems" if problem is None else f"{_name(c, problem)}: median"
    style.title(figure, f"{of}, {len(c.seeds)} seeds, 95 % bands", _conditions(c))
    return figure


def anytime_panels(runs: Runs | Curves) -> Figure:
    """Gap over samples, one panel a problem: the median over seeds with its 95 % band."""
    c = _as_curves(runs)
    figure, panels = panel_for_each(c)
    for i, panel in enumerate(panels):
        x, gaps = _at_points(c.gaps[i : i + 1], c.suggest[i : i + 1], None)
        for k, name in enumerate(c.agents):
            _band(panel, x, gaps[:, k], k, name)
        style.plain_log_axis(panel.xaxis)
        style.gap_axis(panel.yaxis)
        panel.set_ylim(bottom=0)
        panel.set_xlim(max(2, c.budget) ** -0.02, max(2, c.budget) ** 1.02)  # also where nothing was found for long
        panel.set_title(style.wrapped(c.titles[i], 34), fontsize=8)
        panel.grid(True, alpha=0.25, linewidth=0.4)
    for panel in panels[-columns_of(panels) :]:
        panel.set_xlabel("samples")
    figure.supylabel(GAP, fontsize=8)
    style.legend_below(figure, panels[0])
    style.title(figure, f"median, {len(c.seeds)} seeds, 95 % bands, {_conditions(c)}")
    return figure


def success_panels(runs: Runs | Curves) -> Figure:
    """Share of the runs that have met every limit, over samples, with 95 % bands; one panel a problem scored by it.

    Raises:
        UsageError: there is no such problem.
    """
    c = _as_curves(runs, graded=False)
    figure, panels = panel_for_each(c)
    points = _points(c.budget)
    for i, panel in enumerate(panels):
        for k, name in enumerate(c.agents):
            found = np.isfinite(c.gaps[i, k][:, points - 1])
            share = [share_interval(int(column.sum()), len(column)) for column in found.T]
            _line(panel, points, np.array([(e.value, e.low, e.high) for e in share]), k, name)
        style.plain_log_axis(panel.xaxis)
        panel.set(ylim=(0, 1.02), xlim=(1, max(2, c.budget) ** 1.02))
        panel.set_title(style.wrapped(c.titles[i], 34), fontsize=8)
        panel.grid(True, alpha=0.25, linewidth=0.4)
    for panel in panels[-columns_of(panels) :]:
        panel.set_xlabel("samples")
    figure.supylabel("all limits met, share of runs", fontsize=8)
    style.legend_below(figure, panels[0])
    style.title(figure, f"{len(c.seeds)} seeds, 95 % bands, {_conditions(c)}")
    return figure


def profiles(runs: Runs | Curves, *, budget: int | None = None) -> Figure:
    """Performance profiles: the share of runs with a gap up to tau, with 95 % bands."""
    c = _as_curves(runs)
    final = _final(c, budget)
    figure, axes = style.new_figure(height=2.2)
    panel: Axes = axes[0, 0]
    top = max(0.1, 1.1 * float(final[np.isfinite(final)].max(initial=0.0)))
    taus = style.GAP_WIDTH * np.sinh(np.linspace(0.0, float(style.gap_scale(top)), 150))
    for k, name in enumerate(c.agents):
        profile, looks = performance_profile(final[:, k], taus), style.look(k)
        panel.plot(taus, profile.share, color=looks.colour, linestyle=looks.line, linewidth=style.LINE, label=name)
        panel.fill_between(taus, profile.low, profile.high, color=looks.colour, alpha=0.15, linewidth=0)
    style.gap_axis(panel.xaxis)
    panel.set(xlim=(0, top), ylim=(0, 1.02), xlabel=rf"$\tau$, {GAP}", ylabel=r"share of runs $\leq\tau$")
    panel.grid(True, alpha=0.25, linewidth=0.4)
    style.legend_below(figure, panel)
    runs_of = f"{len(c.problems)} problems, {len(c.seeds)} seeds, 95 % bands"
    style.title(figure, runs_of, f"{_conditions(c)}, {budget or c.budget} samples")
    return figure


def violins(runs: Runs | Curves, *, budget: int | None = None) -> Figure:
    """Distribution of the gaps over seeds after a budget, one panel a problem; every run is a point."""
    c = _as_curves(runs)
    final = _final(c, budget)
    figure, panels = panel_for_each(c, sharey=True)
    for i, panel in enumerate(panels):
        for k, name in enumerate(c.agents):
            _violin(panel, final[i, k], k, name)
        panel.set_xticks([])
        panel.set_xlim(-0.6, len(c.agents) - 0.4)
        panel.margins(y=0.12)
        panel.set_title(style.wrapped(c.titles[i], 34), fontsize=8)
        panel.grid(True, axis="y", alpha=0.25, linewidth=0.4)
    style.gap_axis(panels[0].yaxis, scaled=True)
    figure.supylabel(GAP, fontsize=8)
    style.legend_below(figure, panels[0])
    style.title(figure, f"{budget or c.budget} samples, {len(c.seeds)} seeds, {_conditions(c)}")
    return figure


def heat_map(runs: Runs | Curves, *, budget: int | None = None) -> Figure:
    """Median gap of every agent on every problem, as numbers; the last column is the interquartile mean of all."""
    c = _as_curves(runs)
    final = _final(c, budget)
    table = np.array(
        [
            [*(median_interval(final[i, k]).value for i in range(len(c.problems))), float(iqm(final[:, k].ravel()))]
            for k in range(len(c.agents))
        ]
    )
    labels = [style.wrapped(a, 26) for a in c.agents]
    lines = sum(label.count("\n") + 1.6 for label in labels)
    width = min(style.PAGE, max(style.COLUMN, 1.7 + 0.5 * table.shape[1]))
    figure, axes = style.new_figure(width=width, height=1.6 + 0.13 * lines)
    panel: Axes = axes[0, 0]
    heights = style.gap_scale(np.where(np.isfinite(table), table, np.nan))
    top = max(float(np.nanmax(heights, initial=0.0)), float(style.gap_scale(0.1)))
    panel.imshow(heights, cmap="Blues", vmin=0.0, vmax=top, aspect="auto")
    for (k, i), value in np.ndenumerate(table):
        dark = np.isfinite(value) and heights[k, i] > 0.6 * top
        text = "none" if not np.isfinite(value) else "0" if value == 0 else f"{value:.3f}"
        panel.text(i, k, text, ha="center", va="center", fontsize=6.5, color="white" if dark else "black")
    names = [*c.titles, "all (IQM)"]
    panel.set_xticks(range(len(names)), names, rotation=35, ha="right", rotation_mode="anchor")
    panel.set_yticks(range(len(labels)), labels)
    panel.axvline(len(c.problems) - 0.5, color="white", linewidth=3)
    panel.spines[:].set_visible(False)
    panel.tick_params(length=0)
    style.title(figure, f"median {GAP}", f"{budget or c.budget} samples, {len(c.seeds)} seeds, {_conditions(c)}")
    return figure


# ---- inside ----------------------------------------------------------------------------


def _as_curves(runs: Runs | Curves, *, graded: bool = True) -> Curves:
    """The problems that are scored by gaps, or those scored by success."""
    c = runs if isinstance(runs, Curves) else curves(runs)
    part = c.part(c.satisfice != graded)
    if not part.problems:
        kind, other = ("gaps", "success: see success_panels") if graded else ("success", "gaps")
        raise UsageError(f"figure: expected problems scored by {kind}, these are scored by {other}")
    return part


def _points(samples: int) -> npt.NDArray[np.int64]:
    return np.unique(np.geomspace(1, samples, _POINTS).round().astype(np.int64))


def columns_of(panels: Sequence[object]) -> int:
    """How many panels stand in a row."""
    return min(3, len(panels))


def panel_for_each(c: Curves, *, sharey: bool = False) -> tuple[Figure, list[Axes]]:
    """A figure with one panel a problem, up to three in a row."""
    columns = columns_of(c.problems)
    rows = -(-len(c.problems) // columns)
    width = style.COLUMN if columns == 1 else style.PAGE
    figure, axes = style.new_figure(rows, columns, width=width, height=0.7 + 1.6 * rows, sharey=sharey)
    for panel in axes.flat[len(c.problems) :]:
        panel.set_axis_off()
    return figure, list(axes.flat[: len(c.problems)])


def _final(c: Curves, budget: int | None) -> Floats:
    """Gaps (problems, agents, seeds) after a budget."""
    return at_budgets(c.gaps, [budget or c.budget])[..., 0]


def _conditions(c: Curves) -> str:
    exact = all(c.optima[p].exact or c.optima[p].satisfice for p in c.problems)
    return f"track {c.track}, batch {c.batch}" + ("" if exact else ", gaps from best known")


def _name(c: Curves, problem: str) -> str:
    return c.titles[c.problem(problem)]


def _at_points(gaps: Floats, suggest: Floats, cost: float | None) -> tuple[Floats, Floats]:
    """x (points,) and gaps (problems, agents, seeds, points): samples, or seconds at a declared cost."""
    samples = gaps.shape[-1]
    points = _points(samples)
    if cost is None:
        return points.astype(np.float64), gaps[..., points - 1]
    times = elapsed(np.nan_to_num(suggest), cost)
    grid = np.geomspace(float(times[..., 0].min()), float(times[..., -1].max()), _POINTS)
    found = on_time_grid(gaps, times, grid)
    # A run is over after its last sample: beyond the first agent's end its curve stops, it does not go on flat.
    ends = times[..., -1].min(axis=(0, 2))
    return grid, np.where(grid[None, None, None] <= 1.001 * ends[None, :, None, None], found, np.nan)


def _band(panel: Axes, x: Floats, gaps: Floats, k: int, name: str) -> None:
    """One agent's curve (problems, seeds, points): median of one problem, or IQM of several, with its interval."""
    drawn = [i for i in range(len(x)) if not np.isnan(gaps[..., i]).any()]
    one = len(gaps) == 1
    found = [median_interval(gaps[0, :, i]) if one else iqm_interval(gaps[..., i], resamples=_RESAMPLES) for i in drawn]
    _line(panel, x[drawn], np.array([(e.value, e.low, e.high) for e in found]).reshape(-1, 3), k, name)


def _line(panel: Axes, x: npt.NDArray[Any], estimates: Floats, k: int, name: str) -> None:
    """One agent's curve: values (points, 3) with the ends of their intervals; left out where infinite."""
    ok = np.isfinite(estimates[:, 0])
    value, low, high = estimates[ok].T
    looks = style.look(k)
    top = np.where(np.isfinite(high), high, np.nanmax(value, initial=0.0))
    panel.fill_between(x[ok], low, top, color=looks.colour, alpha=0.15, linewidth=0)
    panel.plot(
        x[ok],
        value,
        color=looks.colour,
        linestyle=looks.line,
        linewidth=style.LINE,
        marker=looks.marker,
        markersize=3,
        markevery=(4 * k % 12, 12),
        label=name,
    )


def _violin(panel: Axes, values: Floats, k: int, name: str) -> None:
    """The runs of one agent at place k; those that found nothing feasible are counted above."""
    finite = style.gap_scale(values[np.isfinite(values)])
    looks = style.look(k)
    if len(finite) > 1 and np.ptp(finite) > 0:
        body = panel.violinplot([finite], [k], widths=0.85, showextrema=False)["bodies"][0]  # type: ignore[index]
        vertices = body.get_paths()[0].vertices
        vertices[:, 1] = np.clip(vertices[:, 1], finite.min(), finite.max())  # no density where no run can be
        body.set(facecolor=looks.colour, alpha=0.3, linewidth=0)
    jitter = 0.25 * (np.arange(len(finite)) / max(1, len(finite) - 1) - 0.5)
    panel.plot(k + jitter, finite, looks.marker, color=looks.colour, markersize=2.5, alpha=0.8, label=name, mew=0)
    middle = median_interval(values).value
    if np.isfinite(middle):
        panel.plot([k - 0.3, k + 0.3], [float(style.gap_scale(middle))] * 2, color="black", linewidth=1.2)
    if missing := int((~np.isfinite(values)).sum()):
        panel.text(k, 1.0, f"{missing} none", transform=panel.get_xaxis_transform(), ha="center", va="top", fontsize=6)
