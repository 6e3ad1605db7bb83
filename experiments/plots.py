"""Pictures of a study: how the search converged, and what trade-offs it found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from archgym.pareto import front
from archgym.study import Summary
from archgym.suite.problems import name_of

from .figure_style import plain_log_axis


def convergence(summary: Summary, path: Path) -> Path:
    """Rewards of all samples and the best so far, over samples; written as PNG."""
    figure = Figure(figsize=(7, 4), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    samples = summary.samples
    trials = np.arange(1, len(samples) + 1)
    ok = samples.feasible
    axes.plot(trials[ok], samples.reward[ok], ".", color="0.65", markersize=3, label="feasible sample")
    best = summary.best_so_far
    axes.plot(trials, best, drawstyle="steps-post", color="C0", label="best so far")
    if ok.any():  # show where the search happens, not the worst outlier
        low = float(np.percentile(samples.reward[ok], 5))
        high = float(np.nanmax(best))
        margin = 0.05 * max(high - low, 1e-3)
        axes.set_ylim(low - margin, high + margin)
        axes.plot([], [], " ", label="(the lowest 5 % of samples lie below the axes)")
    if not ok.all():
        axes.plot([], [], " ", label=f"{1 - ok.mean():.0%} of samples infeasible, not shown")
    axes.set_xlim(0, max(len(samples), 1) + 1)
    targets = bool(summary.problem.objective.targets)
    if not targets:
        axes.axhline(0.0, color="0.3", linewidth=0.8, linestyle=":")
    label = "reward  (target / distance)" if targets else "reward  (0 = baseline)"
    axes.set(xlabel="samples", ylabel=label, title=name_of(summary.problem.spec))
    axes.set_title(f"{summary.spec.agent}, seed {summary.spec.seed}", loc="right", fontsize=9)
    axes.legend(loc="lower right", fontsize=8)
    figure.savefig(path)
    return path


def pareto(summary: Summary, path: Path) -> Path | None:
    """All feasible samples and their front in two metrics, log-log; None if there are no two metrics to show.

    The metrics are the objective's first two terms, or its only term against area or energy.
    """
    names = _two_metrics(summary)
    ok = np.flatnonzero(summary.samples.feasible)
    if names is None or len(ok) == 0:
        return None
    metrics, declared = summary.samples.metrics, summary.problem.metrics
    x, y = (metrics[name][ok] for name in names)
    sign = [-1.0 if declared[name].maximise else 1.0 for name in names]
    best = front(np.stack([sign[0] * x, sign[1] * y], axis=1))
    figure = Figure(figsize=(6, 4.5), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    points = axes.scatter(x, y, c=summary.samples.reward[ok], s=8, cmap="viridis", linewidths=0)
    axes.step(x[best], y[best], "o-", where="post", color="C3", markersize=4, linewidth=1, label="front in these two")
    top = int(np.argmax(summary.samples.reward[ok]))
    axes.plot(x[top], y[top], "*", color="black", markersize=9, label="best reward")
    for limit in summary.problem.objective.limits:
        if limit.metric in names:
            line = axes.axvline if limit.metric == names[0] else axes.axhline
            line(limit.value, color="0.3", linestyle="--", linewidth=0.8, label=str(limit))
    figure.colorbar(points, label="reward")
    labels = [f"{name} [{declared[name].unit}]" if declared[name].unit else name for name in names]
    axes.set(xlabel=labels[0], ylabel=labels[1], title=name_of(summary.problem.spec))
    for axis, values in ((axes.xaxis, x), (axes.yaxis, y)):
        plain_log_axis(axis, float(np.log10(values.max() / values.min())), prefixes=True)
    axes.grid(True, which="both", alpha=0.2)
    axes.legend(fontsize=8)
    figure.savefig(path)
    return path


def _two_metrics(summary: Summary) -> tuple[str, str] | None:
    terms = [t.metric for t in summary.problem.objective.terms]
    others = [n for n in ("area", "energy", "latency") if n in summary.problem.metric_names and n not in terms]
    names = [*terms, *others]
    known = summary.problem.metrics
    names = [name for name in names if known[name].positive]
    return (names[0], names[1]) if len(names) > 1 else None
