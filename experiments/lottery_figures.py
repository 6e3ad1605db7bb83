"""Pictures of a hyperparameter lottery: the spread over configurations, and what trying more of them buys."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from . import figure_style as style
from .figures import GAP, columns_of, panel_for_each
from .lottery import Lottery, expected_best

Floats = npt.NDArray[np.float64]


def spread(lotteries: Sequence[Lottery]) -> Figure:
    """One panel a problem, one violin an agent over its configurations' mean gaps; the default is a black star."""
    figure, panels = _panels(lotteries)
    for i, panel in enumerate(panels):
        for k, found in enumerate(lotteries):
            _strip(panel, found, i, k)
        panel.set_xlim(-0.6, len(lotteries) - 0.4)
        panel.set_xticks(range(len(lotteries)), [style.wrapped(x.agent, 18) for x in lotteries])
        panel.margins(y=0.12)
        panel.grid(True, axis="y", alpha=0.25, linewidth=0.4)
        style.gap_axis(panel.yaxis, scaled=True)
    panels[0].plot([], [], "*", color="black", markersize=7, label="default configuration", linestyle="none")
    panels[0].plot([], [], "o", color="0.4", markersize=2.5, label="a configuration, mean over seeds", linestyle="none")
    figure.supylabel(GAP, fontsize=8)
    style.legend_below(figure, panels[0])
    style.title(figure, _title(lotteries))
    return figure


def best_of(lotteries: Sequence[Lottery]) -> Figure:
    """Expected gap of the best of k configurations, each run once: k budgets; the dotted line is the default's mean."""
    figure, panels = _panels(lotteries)
    for i, panel in enumerate(panels):
        for k, found in enumerate(lotteries):
            finals, looks = found.finals[i], style.look(k)
            counts = np.arange(1, len(finals) + 1)
            gaps = np.array([expected_best(finals, int(n)) for n in counts])
            panel.plot(counts, gaps, color=looks.colour, linestyle=looks.line, linewidth=style.LINE, label=found.agent)
            if found.default is not None:
                mean = float(finals[found.curves.agent(found.default)].mean())
                panel.axhline(mean, color=looks.colour, linewidth=0.8, linestyle=":")
        panel.set_xscale("log", base=2)
        style.plain_log_axis(panel.xaxis, 1.0)
        panel.grid(True, alpha=0.25, linewidth=0.4)
        style.gap_axis(panel.yaxis)
        panel.set_ylim(bottom=0)
    panels[0].plot([], [], ":", color="0.4", linewidth=0.8, label="default, mean over seeds")
    for panel in panels[-columns_of(panels) :]:
        panel.set_xlabel("k configurations, a budget each")
    figure.supylabel(f"expected best {GAP}", fontsize=8)
    style.legend_below(figure, panels[0])
    style.title(figure, _title(lotteries))
    return figure


# ---- inside ----------------------------------------------------------------------------


def _panels(lotteries: Sequence[Lottery]) -> tuple[Figure, list[Axes]]:
    c = lotteries[0].curves
    figure, panels = panel_for_each(c)
    for panel, title in zip(panels, c.titles, strict=True):
        panel.set_title(style.wrapped(title, 34), fontsize=8)
    return figure, panels


def _strip(panel: Axes, found: Lottery, problem: int, k: int) -> None:
    heights, looks = style.gap_scale(found.finals[problem].mean(axis=1)), style.look(k)
    if len(heights) > 1 and np.ptp(heights) > 0:
        body = panel.violinplot([heights], [k], widths=0.85, showextrema=False)["bodies"][0]  # type: ignore[index]
        vertices = body.get_paths()[0].vertices
        vertices[:, 1] = np.clip(vertices[:, 1], heights.min(), heights.max())
        body.set(facecolor=looks.colour, alpha=0.3, linewidth=0)
    order = np.argsort(np.argsort(heights, kind="stable"), kind="stable")
    jitter = 0.3 * ((order * 7 % len(heights)) / max(1, len(heights) - 1) - 0.5)
    panel.plot(k + jitter, heights, "o", color=looks.colour, markersize=2.5, alpha=0.8, mew=0)
    if found.default is not None:
        panel.plot([k], [heights[found.curves.agent(found.default)]], "*", color="black", markersize=7, mew=0)


def _title(lotteries: Sequence[Lottery]) -> str:
    c = lotteries[0].curves
    exact = all(c.optima[p].exact for p in c.problems)
    return (
        f"{c.budget} samples, {len(c.seeds)} seeds, track {c.track}, batch {c.batch}"
        f"{'' if exact else ', gaps from best known'}"
    )
