"""How figures look: column width in print, colours that the colour-blind tell apart, one scale for gaps."""

from __future__ import annotations

import io
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import (
    EngFormatter,
    FixedLocator,
    FuncFormatter,
    LogLocator,
    MaxNLocator,
    NullFormatter,
    NullLocator,
)

COLUMN, PAGE = 3.4, 7.0  # inches: one column and the full width of a two-column page
GREY = "0.45"
LINE = 1.2  # points
# M. Okabe, K. Ito, "Color Universal Design", 2008; grey in place of the yellow, which is weak on white paper.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#7F7F7F")
LINES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)), (0, (8, 2)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
HATCHES = ("", "////", "....", "xxxx", "\\\\\\\\", "++++")
_RC: Any = {
    "font.size": 8.0,
    "axes.titlesize": 8.0,
    "axes.labelsize": 8.0,
    "legend.fontsize": 7.0,
    "hatch.linewidth": 0.5,
}
_RC |= {"xtick.labelsize": 7.0, "ytick.labelsize": 7.0, "axes.linewidth": 0.6}

GAP_WIDTH = 0.01  # gaps below 1 % are drawn linearly, above logarithmically
_PALETTE = 256  # colours of a picture: a quarter of the size, and nobody sees a difference
_GAP_TICKS = (0.0, 0.01, 0.1, 1.0, 10.0, 100.0)


@dataclass(frozen=True)
class Look:
    """Colour, line, marker and hatch of one agent: told apart in colour and without."""

    colour: str
    line: Any
    marker: str
    hatch: str


def look(i: int) -> Look:
    """The look of the i-th agent; colours repeat after eight with other lines and markers."""
    turn = i // len(COLOURS)
    return Look(
        COLOURS[i % len(COLOURS)],
        LINES[(i + turn) % len(LINES)],
        MARKERS[(i + turn) % len(MARKERS)],
        HATCHES[i % len(HATCHES)],
    )


def new_figure(
    rows: int = 1, columns: int = 1, *, width: float = COLUMN, height: float = 2.4, **share: Any
) -> tuple[Figure, npt.NDArray[Any]]:
    """A figure in inches and its axes (rows, columns), not known to pyplot."""
    with rc_context(_RC):
        figure = Figure(figsize=(width, height), dpi=200, layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots(rows, columns, squeeze=False, **share)
    for each in axes.flat:
        each.spines[["top", "right"]].set_visible(False)
        each.tick_params(labelsize=_RC["xtick.labelsize"], width=0.6, length=2.5)
        each.xaxis.label.set_size(_RC["axes.labelsize"])
        each.yaxis.label.set_size(_RC["axes.labelsize"])
    return figure, axes


def gap_scale(gaps: Any) -> npt.NDArray[np.float64]:
    """Gaps as heights: linear near 0, which is the optimum and has to be visible, logarithmic above 1 %."""
    return np.asarray(np.arcsinh(np.asarray(gaps, np.float64) / GAP_WIDTH))


def gap_axis(axis: Axis, *, scaled: bool = False) -> None:
    """Ticks at 0, 0.01, 0.1, 1, …; ``scaled`` if what is drawn went through ``gap_scale`` already."""
    if scaled:
        axis.set_major_locator(FixedLocator(gap_scale(_GAP_TICKS).tolist()))
        axis.set_major_formatter(FuncFormatter(lambda v, _: f"{GAP_WIDTH * np.sinh(v):.3g}"))
    else:
        axis._set_axes_scale("function", functions=(gap_scale, lambda v: GAP_WIDTH * np.sinh(v)))  # type: ignore[attr-defined]
        axis.set_major_locator(FixedLocator(_GAP_TICKS))
        axis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:.3g}"))
    axis.set_minor_locator(NullLocator())


def plain_log_axis(axis: Axis, decades: float = 9.0, *, prefixes: bool = False) -> None:
    """A log axis without powers of ten: 1, 10, 100, or with the prefixes of units: 10m, 100m, 1.

    Over less than two ``decades`` also 2 and 5, over less than one even steps.
    """
    axis._set_axes_scale("log")  # type: ignore[attr-defined]
    within = LogLocator(subs=(1, 2, 5) if decades < 2 else (1,), numticks=8)
    axis.set_major_locator(within if decades > 0.8 else MaxNLocator(4))
    axis.set_major_formatter(EngFormatter(sep="") if prefixes else FuncFormatter(lambda v, _: f"{v:g}"))
    axis.set_minor_formatter(NullFormatter())
    if decades <= 0.8:
        axis.set_minor_locator(NullLocator())


def wrapped(label: str, width: int = 26) -> str:
    """A label in several lines."""
    return "\n".join(textwrap.wrap(label, width, break_long_words=False))


def title(figure: Figure, *lines: str) -> None:
    """A title over all panels; a line that is wider than the figure is folded."""
    letters = int(17 * figure.get_figwidth())
    figure.suptitle("\n".join(wrapped(line, letters) for line in lines if line), fontsize=_RC["axes.titlesize"])


def legend_below(figure: Figure, axes: Axes) -> None:
    """One legend for all panels, under them; the figure grows by its height."""
    handles, labels = axes.get_legend_handles_labels()
    texts = [wrapped(label, 40) for label in labels]
    widest = max((len(line) for text in texts for line in text.split("\n")), default=1)
    columns = max(1, min(len(texts), int(figure.get_figwidth() * 19 / (widest + 8))))
    rows = -(-len(texts) // columns)
    lines = max(sum(t.count("\n") + 1 for t in texts[k : k + rows]) for k in range(0, max(1, len(texts)), rows or 1))
    figure.set_figheight(figure.get_figheight() + 0.1 + 0.15 * lines)
    figure.legend(
        handles,
        texts,
        loc="outside lower center",
        ncols=columns,
        frameon=False,
        fontsize=_RC["legend.fontsize"],
        handlelength=2.6,
        columnspacing=1.2,
    )


def with_unit(name: str, unit: str) -> str:
    """A metric as an axis calls it."""
    return f"{name} [{unit}]" if unit else name


def save_picture(figure: Figure, path: Path, dpi: int) -> None:
    """Write a figure as a PNG with a palette.

    Raises:
        OSError: it cannot be written.
    """
    from PIL import Image

    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=dpi)
    picture = Image.open(drawn).convert("RGB")
    # maximum coverage: thin lines keep their colours, whose pixels are too few to count for a median cut
    small = picture.quantize(_PALETTE, Image.Quantize.MAXCOVERAGE, kmeans=1, dither=Image.Dither.NONE)
    small.save(path, format="PNG", optimize=True)
