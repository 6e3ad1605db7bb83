"""Run the plan behind a command, and read back what is complete of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from archgym.errors import UsageError
from archgym.problem import ProblemSpec
from archgym.runs import Runs, load
from archgym.suite.entry import TIERS
from archgym.suite.problems import PROBLEMS, parse_problem, tier

from .options import Interrupted
from .plan import Plan
from .sweep import Outcome, sweep
from .sweep_folder import PLAN, read_done, write_plan
from .sweep_progress import SweepBar
from .sweep_tasks import Problems, tasks


def run_plan(plan: Plan, out: Path, *, jobs: int, problems: Problems, again: str, quiet: bool) -> tuple[Outcome, Runs]:
    """Run what is missing of a plan, and load the studies that it names; others in the folder are left aside.

    Args:
        plan: what to run; kept in the folder, so that ``archgym sweep`` can go on with it, too.
        out: folder.
        jobs: studies at a time.
        problems: built already.
        again: the command that goes on after an interruption.
        quiet: show no progress.

    Raises:
        Interrupted: by Ctrl-C; every study stays resumable.
        UsageError: no study could be run at all.
    """
    write_plan(out, plan.to_dict())
    with SweepBar(len(plan), f"sweep {out}", quiet=quiet) as bar:
        try:
            outcome = sweep(plan, out, jobs=jobs, problems=problems, on_done=bar.add)
        except KeyboardInterrupt:
            raise Interrupted(f"interrupted; every study is resumable, go on with: {again}") from None
    names = {task.folder.name for task in tasks(plan, out, problems=problems)}
    runs = load(out)
    return outcome, runs.select([name for name in runs.studies["study"] if name in names])


def whole_seeds(runs: Runs) -> tuple[Runs, list[str]]:
    """The studies of those seeds with which every agent has completed every problem.

    A study is complete if its budget is spent, or if its sweep has marked it: an agent may have nothing left to ask.

    Returns:
        These studies, and a line for people if any had to be left out.

    Raises:
        UsageError: there is no such seed.
    """
    frame = runs.studies
    marked = np.array([read_done(runs.folder / name) is not None for name in frame["study"]], np.bool_)
    complete = frame[frame["finished"] | marked]
    kind = ["problem", "agent_label", "track", "batch", "budget"]
    wanted = len(frame.drop_duplicates(kind))
    found = complete.drop_duplicates([*kind, "seed"]).groupby("seed").size()
    kept = complete[complete["seed"].isin(found.index[found == wanted])]
    torn = len(frame) - len(complete)
    if kept.empty:
        sweep_of_it = (runs.folder / PLAN).exists()
        how = f"go on with: archgym sweep {runs.folder}" if sweep_of_it else "finish them, or leave their agents out"
        raise UsageError(
            f"{runs.folder}: no seed is complete for every agent on every problem ({torn} of {len(frame)} studies are "
            f"not); {how}"
        )
    if len(kept) == len(frame):
        return runs, []
    left = sorted(set(frame["seed"]) - set(kept["seed"]))
    shown = ", ".join(str(seed) for seed in left[:5]) + (", …" if len(left) > 5 else "")
    reason = f"{torn} studies are not complete" if torn else "not every agent has them"
    return runs.select(kept), [f"Left out: {len(left)} of {len(set(frame['seed']))} seeds ({shown}); {reason}."]


def with_optimum(runs: Runs) -> tuple[Runs, list[str]]:
    """The studies of problems in which a gap can be measured, and a line for people about each other problem.

    Outside the suite's enumerated problems, gaps are from the best design that any run found: there has to be one.
    """
    from .curves import optima  # pandas takes a while to import

    known, frame = optima(runs), runs.studies
    lost = sorted(set(frame["problem"]) - set(known))
    notes = [f"Left out: {problem}, in which no run found anything feasible." for problem in lost]
    return (runs.select(frame[frame["problem"].isin(known)]) if 0 < len(lost) < len(runs.problems) else runs), notes


def chosen_problems(names: Sequence[str], problems: Problems) -> tuple[ProblemSpec, ...]:
    """The problems that a command names, each once; the name of a tier of the suite stands for all problems in it.

    Raises:
        UsageError: anything wrong with one of them.
    """
    specs: list[ProblemSpec] = []
    for text in by_name(names):
        spec = problems.get(parse_problem(text)).spec
        if spec not in specs:
            specs.append(spec)
    return tuple(specs)


def by_name(names: Sequence[str]) -> list[str]:
    """Problems as on the command line, a tier replaced by its problems."""
    return [each for name in names for each in _of_tier(name) or [name]]


def _of_tier(name: str) -> list[str]:
    return [problem for problem in PROBLEMS if tier(problem) == name] if name in TIERS else []


def words(option: str, text: str) -> list[str]:
    """``"random,genetic"`` as a list without repetitions.

    Raises:
        UsageError: nothing between two commas.
    """
    found = [word.strip() for word in text.split(",")]
    if not all(found):
        raise UsageError(f"{option}: expected names with commas between them, got '{text}'")
    return list(dict.fromkeys(found))


def counts(option: str, text: str) -> tuple[int, ...]:
    """``"50,200"`` as ascending numbers.

    Raises:
        UsageError: something that is no whole number from 1.
    """
    for word in (found := words(option, text)):
        if not (word.isascii() and word.isdigit() and int(word) > 0):
            raise UsageError(f"{option}: expected whole numbers from 1 with commas between them, got '{text}'")
    return tuple(sorted({int(word) for word in found}))


def check_at_least_one(**numbers: int) -> None:
    """UsageError for the first option that is below 1."""
    for name, number in numbers.items():
        if number < 1:
            raise UsageError(f"--{name}: expected at least 1, got {number}")


def default_out(kind: str, plan: Plan) -> Path:
    """``results/KIND-<hash>``: the same for every number of seeds, so that more of them join those that are there."""
    content = plan.to_dict()
    for grid in content["grid"]:
        del grid["seeds"]
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    return Path("results") / f"{kind}-{digest[:8]}"
