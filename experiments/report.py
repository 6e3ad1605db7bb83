"""What a finished study shows: tables, pictures and their places, or the same as JSON."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from archgym.pareto import front
from archgym.problem import Problem
from archgym.spec import StudySpec
from archgym.study import Summary

from .tables import best_trials, designs_table

_SHOWN = 5
_FRONT_SHOWN = 20


def default_folder(spec: StudySpec, problem: Problem) -> Path:
    """``results/<problem>/<agent>-s<seed>-<hash>``, distinct for every spec."""
    label = re.sub(r"[^\w.+-]+", "_", problem.spec.label)
    agent = re.sub(r"[^\w.+-]+", "_", spec.agent)
    return Path("results") / label / f"{agent}-s{spec.seed}-{spec.hash(problem)[:8]}"


def write_pictures(summary: Summary, folder: Path) -> list[Path]:
    """``convergence.png`` and, where two metrics trade off, ``pareto.png``."""
    from .plots import convergence, pareto  # matplotlib takes a while to import

    pictures = [convergence(summary, folder / "convergence.png"), pareto(summary, folder / "pareto.png")]
    return [picture for picture in pictures if picture is not None]


def front_trials(summary: Summary) -> list[int]:
    """Trials on the front of the objective's terms (of latency and energy for EDP), sorted by the first."""
    terms = summary.problem.objective.terms
    if len(terms) < 2:
        return []
    metrics = summary.samples.metrics
    columns = [np.copysign(1.0, t.weight) * metrics[t.metric] for t in terms]
    values = np.where(summary.samples.feasible[:, None], np.stack(columns, axis=1), np.nan)
    return [int(i) for i in front(values)]


def print_study(console: Console, summary: Summary, folder: Path, pictures: list[Path]) -> None:
    """Tables of the best designs and the front, then where everything lies."""
    samples = summary.samples
    console.print(
        f"{summary.problem.spec.label}  {summary.spec.agent}  seed {summary.spec.seed}:  {len(samples)} samples, "
        f"{summary.n_unique} distinct, {int(samples.feasible.sum())} feasible",
        soft_wrap=True,
    )
    if summary.best is None:
        console.print("no feasible design found; loosen the limits or raise the budget")
    else:
        best = best_trials(summary, _SHOWN)
        gain = float(np.exp(samples.reward[best[0]]))
        designs_table(console, f"best designs (the first is {gain:.4g} x better than the baseline)", summary, best)
        trials = front_trials(summary)
        if trials:
            step = max(1, -(-len(trials) // _FRONT_SHOWN))
            names = ", ".join(t.metric for t in summary.problem.objective.terms)
            more = f", every {step}. shown" if step > 1 else ""
            title = f"Pareto front in {names} ({len(trials)} designs{more})"
            designs_table(console, title, summary, trials[::step])
    console.print(f"log       {folder / 'trials.jsonl'}", soft_wrap=True)
    for picture in pictures:
        console.print(f"picture   {picture}", soft_wrap=True)
    console.print(f"check it  archgym replay {folder}", soft_wrap=True)


def study_json(summary: Summary, folder: Path, pictures: list[Path]) -> dict[str, Any]:
    """The same as plain JSON data."""
    return {
        "problem": summary.problem.spec.label,
        "agent": summary.spec.agent,
        "seed": summary.spec.seed,
        "samples": len(summary.samples),
        "unique": summary.n_unique,
        "feasible": int(summary.samples.feasible.sum()),
        "best": summary.best,
        "front": [
            {"trial": i, "design": summary.problem.space.design(summary.samples.codes[i])}
            for i in front_trials(summary)
        ],
        "folder": str(folder),
        "pictures": [str(picture) for picture in pictures],
    }
