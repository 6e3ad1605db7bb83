"""What an environment shows a person: the best reward so far and the current design."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from archgym.evaluation import Evaluation
from archgym.problem import Problem


class Panel:
    """Collects what was evaluated and renders it as text or as a picture.

    Args:
        problem: what the next design will belong to: names and units of parameters and metrics.
    """

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._rewards: list[float] = []
        self._best: list[float] = []
        self._current: Evaluation | None = None

    def add(self, evaluation: Evaluation, problem: Problem) -> None:
        """Note one evaluated design (an Evaluation of length 1) and the problem it belongs to."""
        reward, feasible = float(evaluation.reward[0]), bool(evaluation.feasible[0])
        best = self._best[-1] if self._best else float("nan")
        self._rewards.append(reward if feasible else float("nan"))
        self._best.append(reward if feasible and not best >= reward else best)
        self._current, self._problem = evaluation, problem

    def text(self) -> str:
        """The current design, its outcome and the best reward so far, as lines of text."""
        if self._current is None:
            return f"{self._problem.spec.label}: no design evaluated yet\n"
        lines = [f"{self._problem.spec.label}   sample {len(self._rewards)}   best reward {self._best[-1]:.4f}"]
        lines += [f"  {name:<16} {value}" for name, value in self._design()]
        lines += [f"  {name:<16} {value}" for name, value in self._outcome()]
        return "\n".join(lines) + "\n"

    def _design(self) -> list[tuple[str, str]]:
        assert self._current is not None
        design = self._problem.space.design(self._current.codes[0])
        return [(p.name, f"{design[p.name]} {p.unit}".rstrip()) for p in self._problem.space.parameters]

    def _outcome(self) -> list[tuple[str, str]]:
        current = self._current
        assert current is not None
        if not current.feasible[0]:
            return [("infeasible", self._problem.explain(current, 0) if current.metric_names else "")]
        names = [t.metric for t in self._problem.objective.terms if t.metric in current.metric_names]
        units = self._problem.metrics
        shown = [(name, f"{current.metrics[name][0]:.4g} {units[name].unit}".rstrip()) for name in names]
        return [("reward", f"{current.reward[0]:.4f}"), *shown]

    def picture(self) -> npt.NDArray[np.uint8]:
        """An (400, 800, 3) uint8 picture: rewards and best so far on the left, the design on the right."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        figure = Figure(figsize=(8, 4), dpi=100, layout="constrained")
        canvas: Any = FigureCanvasAgg(figure)
        curve, table = figure.subplots(1, 2, width_ratios=(3, 2))
        trials = np.arange(1, len(self._rewards) + 1)
        curve.plot(trials, self._rewards, ".", color="0.6", markersize=4, label="sample")
        curve.plot(trials, self._best, drawstyle="steps-post", color="C0", label="best so far")
        curve.set(xlabel="sample", ylabel="reward", title=self._problem.spec.label)
        curve.legend(loc="lower right")
        table.axis("off")
        rows = [*self._design(), *self._outcome()] if self._current is not None else [("no design yet", "")]
        for i, (name, value) in enumerate(rows):
            y = 1.0 - (i + 1) / (len(rows) + 1)
            table.text(0.0, y, name, fontsize=9, va="center", transform=table.transAxes)
            table.text(0.45, y, value, fontsize=9, va="center", family="monospace", transform=table.transAxes)
        canvas.draw()
        rgba = np.asarray(canvas.buffer_rgba())
        return np.ascontiguousarray(rgba[:, :, :3], np.uint8)
