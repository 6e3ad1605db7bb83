"""Figures of proxies: error over the number of rows, by model and by where the rows come from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes

from .figure_style import LINE, PAGE, legend_below, look, new_figure, plain_log_axis, save_picture, title


def draw_curves(path: Path, table: pd.DataFrame, heading: str) -> None:
    """MAPE over rows, a panel a metric, a line a model: median over seeds, and their range.

    Args:
        path: of the PNG.
        table: of ``proxy_study.learning_curves``.
        heading: over all panels.
    """
    metrics = list(dict.fromkeys(table["metric"]))
    figure, axes = new_figure(1, len(metrics), width=PAGE, height=2.6)
    for ax, metric in zip(axes.flat, metrics, strict=True):
        _panel(ax, table[table["metric"] == metric], "model", metric)
    title(figure, heading)
    legend_below(figure, axes.flat[0])
    save_picture(figure, path, 200)


def draw_sources(path: Path, table: pd.DataFrame, heading: str) -> None:
    """MAPE over rows, a column of panels a metric, a row a region, a line an agent; see `draw_curves`."""
    metrics, regions = (list(dict.fromkeys(table[c])) for c in ("metric", "region"))
    figure, axes = new_figure(len(regions), len(metrics), width=PAGE, height=2.3 * len(regions))
    for row, region in zip(axes, regions, strict=True):
        for ax, metric in zip(row, metrics, strict=True):
            part = table[(table["metric"] == metric) & (table["region"] == region)]
            _panel(ax, part, "agent", f"{metric}, {region} designs")
    title(figure, heading)
    legend_below(figure, axes.flat[0])
    save_picture(figure, path, 200)


def _panel(ax: Axes, table: pd.DataFrame, by: str, heading: str) -> None:
    names: Sequence[str] = list(dict.fromkeys(table[by]))
    for i, name in enumerate(names):
        grouped = table[table[by] == name].groupby("rows")["mape"]
        middle, low, high = 100 * grouped.median(), 100 * grouped.min(), 100 * grouped.max()
        style = look(i)
        ax.plot(middle.index, middle, color=style.colour, ls=style.line, marker=style.marker, ms=3, lw=LINE, label=name)
        ax.fill_between(middle.index, low, high, color=style.colour, alpha=0.15, lw=0)
    plain_log_axis(ax.xaxis, 1.5)
    plain_log_axis(ax.yaxis, 1.5)
    ax.set_xlabel("rows learnt")
    ax.set_ylabel("MAPE [%]")
    ax.set_title(heading, fontsize=8.0)
