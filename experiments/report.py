"""What a finished study shows: tables, pictures and their places, or the same as JSON."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

from rich.console import Console

from archgym.problem import Problem
from archgym.spec import StudySpec
from archgym.study import Summary
from archgym.suite.problems import PROBLEMS, known, name_of

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

    try:
        pictures = [convergence(summary, folder / "convergence.png"), pareto(summary, folder / "pareto.png")]
    except PermissionError:  # a finished study may lie in a read-only folder
        pictures = [path for path in (folder / "convergence.png", folder / "pareto.png") if path.exists()]
    return [picture for picture in pictures if picture is not None]


def front_trials(summary: Summary) -> list[int]:
    """Trials on the front of the objective's terms; none if there is only one term."""
    return summary.front.tolist() if len(summary.problem.objective.terms) > 1 else []


def known_optimum(summary: Summary) -> float | None:
    """The exact best reward, if this is a problem of the suite that has been enumerated."""
    for name in PROBLEMS:
        found = known(name)
        if found is not None and found["fingerprint"] == summary.problem.variant_of:
            return float(found["optimum"]["reward"])
    return None


def print_study(console: Console, summary: Summary, folder: Path, pictures: list[Path]) -> None:
    """Tables of the best designs and the front, then where everything lies."""
    samples = summary.samples
    console.print(
        f"{name_of(summary.problem.spec)}  {summary.spec.agent}  seed {summary.spec.seed}  track "
        f"{summary.spec.track}:  {len(samples)} samples, "
        f"{summary.n_unique} distinct, {int(samples.feasible.sum())} feasible",
        soft_wrap=True,
    )
    if len(samples) == 0:
        console.print("the agent asked for nothing")
    elif summary.best is None:
        console.print("no feasible design found; loosen the limits or raise the budget")
    else:
        best = best_trials(summary, _SHOWN)
        designs_table(console, f"best designs{_gain(summary)}", summary, best)
        trials = front_trials(summary)
        if trials:
            step = max(1, -(-len(trials) // _FRONT_SHOWN))
            names = ", ".join(t.metric for t in summary.problem.objective.terms)
            more = f", one in {step} shown" if step > 1 else ""
            title = f"Pareto front in {names} (designs: {len(trials)}{more})"
            designs_table(console, title, summary, trials[::step])
    console.print(f"log       {folder / 'trials.jsonl'}", soft_wrap=True)
    for picture in pictures:
        console.print(f"picture   {picture}", soft_wrap=True)
    console.print(f"check it  archgym replay {folder}", soft_wrap=True)


def _gain(summary: Summary) -> str:
    """How the best compares with the baseline, and with the exact optimum where it is known."""
    assert summary.best is not None
    reward = summary.best["reward"]
    if summary.problem.objective.targets:
        return ""  # the predecessor's reward is no logarithm
    text = f" (the first is {math.exp(reward):.4g} x better than the baseline"
    optimum = known_optimum(summary)
    if optimum is not None:
        text += f", {math.expm1(optimum - reward):.2%} from the exact optimum"
    return text + ")"


def study_json(summary: Summary, folder: Path, pictures: list[Path]) -> dict[str, Any]:
    """The same as plain JSON data."""
    terms = summary.problem.objective.terms
    return {
        "problem": summary.problem.spec.label,
        "agent": summary.spec.agent,
        "seed": summary.spec.seed,
        "samples": len(summary.samples),
        "unique": summary.n_unique,
        "feasible": int(summary.samples.feasible.sum()),
        "best": summary.best,
        "known_optimum": known_optimum(summary),
        "front": [
            {
                "trial": i,
                "design": summary.problem.space.design(summary.samples.codes[i]),
                "metrics": {t.metric: float(summary.samples.metrics[t.metric][i]) for t in terms},
            }
            for i in front_trials(summary)
        ],
        "folder": str(folder),
        "pictures": [str(picture) for picture in pictures],
    }
