"""Which parameters matter for which metric: permutation importance, drawn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from archgym.errors import UsageError
from archgym.runs import Runs

from . import figure_style as style
from .curves import optima
from .design_figures import distinct_designs, left_out, logged_problem, problem_name

Floats = npt.NDArray[np.float64]

_ROWS = 2000  # designs that the forest learns from or is tested on
_SHUFFLES = 5


def importance(runs: Runs, problem: str, *, metrics: Sequence[str] = (), seed: int = 0) -> Figure:
    """Permutation importance of every parameter for a few metrics.

    A random forest (100 trees) learns the logarithm of each metric from the level indices of the distinct feasible
    designs of all runs; on the quarter that it has not seen, one parameter after the other is shuffled five times. The
    bar is how much R^2 falls (Breiman, "Random Forests", 2001); 0 is no effect, about 1 or more means that nothing
    else matters. It describes the designs that were visited, not the whole space. Each panel's title says how good the
    forest is.

    Args:
        runs: studies.
        problem: label.
        metrics: default: the objective's terms.
        seed: of split, forest and shuffling.

    Raises:
        UsageError: fewer than 20 distinct feasible designs, or a metric that is not positive.
    """
    logged = logged_problem(runs, problem)
    names = list(dict.fromkeys(metrics or [name for name, _ in logged.terms]))
    frame, levels = distinct_designs(runs, problem, [f"metric.{name}" for name in names])
    varied = np.flatnonzero(np.ptp(levels, axis=0) > 0)
    if len(frame) < 20 or len(varied) == 0:
        raise UsageError(f"importance: expected at least 20 distinct feasible designs, got {len(frame)}")
    kept = np.random.default_rng(seed).permutation(len(frame))[:_ROWS]
    width, height = min(style.PAGE, max(style.COLUMN, 1.4 + 1.9 * len(names))), 0.9 + 0.17 * len(varied)
    figure, axes = style.new_figure(1, len(names), width=width, height=height, sharey=True)
    places = np.arange(len(varied))
    for panel, name in zip(axes[0], names, strict=True):
        column = frame[f"metric.{name}"].to_numpy()[kept]
        if not (column > 0).all():
            raise UsageError(f"importance: metric '{name}' is not positive everywhere, so it has no logarithm")
        score, drops = _permuted(levels[np.ix_(kept, varied)], np.log(column), seed)
        error = {"linewidth": 0.8, "ecolor": "black"}
        panel.barh(
            places, drops.mean(axis=1), xerr=drops.std(axis=1), color=style.COLOURS[0], height=0.7, error_kw=error
        )
        panel.axvline(0, color="black", linewidth=0.6)
        panel.set_xlabel("drop of $R^2$ when shuffled")
        panel.set_title(f"{name} ($R^2$ = {score:.2f})", fontsize=8)
        panel.grid(True, axis="x", alpha=0.25, linewidth=0.4)
    axes[0, 0].set_yticks(places, [logged.space.names[i] for i in varied])
    axes[0, 0].invert_yaxis()
    title = f"{problem_name(optima(runs).get(problem), problem)}: {len(kept)} distinct designs"
    style.title(figure, title, left_out(len(levels.T) - len(varied)))
    return figure


def _permuted(x: npt.NDArray[np.int64], y: Floats, seed: int) -> tuple[float, Floats]:
    """R^2 on designs that a forest has not seen, and how much of it each column (d, repeats) is worth."""
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.model_selection import train_test_split

    x, held, y, truth = train_test_split(x, y, random_state=seed)
    forest = RandomForestRegressor(100, random_state=seed).fit(x, y)
    rng, spread = np.random.default_rng(seed), float(((truth - truth.mean()) ** 2).mean())
    score = 1.0 - float(((forest.predict(held) - truth) ** 2).mean()) / spread if spread else 1.0
    drops = np.empty((x.shape[1], _SHUFFLES))
    for i in range(x.shape[1]):
        shuffled = np.tile(held, (_SHUFFLES, 1))  # all repeats in one call: a forest costs by the call
        shuffled[:, i] = np.concatenate([rng.permutation(held[:, i]) for _ in range(_SHUFFLES)])
        errors = (forest.predict(shuffled).reshape(_SHUFFLES, -1) - truth) ** 2
        drops[i] = score - (1.0 - errors.mean(axis=1) / spread) if spread else 0.0
    return score, drops
