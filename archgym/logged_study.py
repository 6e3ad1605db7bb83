"""One logged study as arrays, read from its folder alone: no simulator, workload or agent has to exist."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from archgym.errors import LogError
from archgym.log import SPEC, TIMING, TRIALS, read_header, read_trials
from archgym.problem import ProblemSpec
from archgym.space import DesignSpace
from archgym.spec import StudySpec

KEPT = ("ask", "reward", "feasible", "cached")  # columns held in memory; the others are read again when asked for


@dataclass(frozen=True, eq=False)
class LoggedProblem:
    """What the header of a study says about its problem.

    Attributes:
        label: ``simulator/workload/objective``; where several problems share it, with the start of the fingerprint.
        fingerprint: of the problem; equal ones have equal numbers.
        space: the design space.
        units: metric -> unit.
        constraints: columns of violations: physical constraints, then limits on metrics.
        objective: name, terms, limits and floor, as ``Objective.to_dict`` gives them.
        reference: metric -> value of the baseline design, for the objective's terms.
        baseline: the baseline design.
        variant: 0, or the number of the disguise of the space.
        variant_of: fingerprint of the problem without the disguise, which has the same optimum.
    """

    label: str
    fingerprint: str
    space: DesignSpace
    units: Mapping[str, str]
    constraints: tuple[str, ...]
    objective: Mapping[str, Any]
    reference: Mapping[str, float]
    baseline: Mapping[str, Any]
    variant: int
    variant_of: str

    @property
    def terms(self) -> tuple[tuple[str, float], ...]:
        """The objective's metrics and weights; a negative weight maximises."""
        return tuple((str(name), float(weight)) for name, weight in self.objective["terms"])

    @property
    def has_targets(self) -> bool:
        """Whether the reward is the predecessor's target/distance, not a logarithm."""
        return bool(self.objective["targets"])

    @property
    def columns(self) -> list[str]:
        """The columns of a table of samples."""
        return [
            *("study", "trial", "ask"),
            *(f"param.{name}" for name in self.space.names),
            *(f"metric.{name}" for name in self.units),
            *(f"violation.{name}" for name in self.constraints),
            *("reward", "feasible", "reason", "cached"),
        ]


@dataclass(frozen=True, eq=False)
class LoggedStudy:
    """One readable folder.

    Attributes:
        folder: where it lies.
        row: its row in the table of studies.
        problem: shared with the other studies of it.
        codes: (samples, d) as asked.
        kept: the columns of KEPT, (samples,) each.
    """

    folder: Path
    row: dict[str, Any]
    problem: LoggedProblem
    codes: npt.NDArray[np.int64]
    kept: dict[str, npt.NDArray[Any]]


def read_study(path: Path, name: str, problems: dict[str, LoggedProblem]) -> LoggedStudy:
    """A study, as far as it has been written.

    Args:
        path: its folder.
        name: in the table of studies.
        problems: fingerprint -> what is known already; a new one is added.

    Raises:
        LogError: damaged.
    """
    header = read_header(path)
    lines = read_trials(path) if (path / TRIALS).exists() else []  # a header alone: killed before the first row
    try:
        spec = StudySpec.from_dict(header["study"])
        problem = problems.setdefault(header["problem"]["fingerprint"], _problem(header, spec.problem))
        codes = np.array([line["codes"] for line in lines], np.int64).reshape(len(lines), len(problem.space))
        kept: dict[str, npt.NDArray[Any]] = {
            "ask": np.array([line["ask"] for line in lines], np.int64),
            "reward": np.array([line["reward"] for line in lines], np.float64),
            "feasible": np.array([line["feasible"] for line in lines], np.bool_),
            "cached": np.array([line["cached"] for line in lines], np.bool_),
        }
        problem.space.check(codes)
        _check_lengths(lines, problem)
    except (KeyError, TypeError, ValueError, AttributeError) as error:  # also UsageError: codes outside the space
        raise LogError(f"{path} is damaged: {type(error).__name__} {error}") from None
    timed = timed_asks(path)
    ranked = np.where(kept["feasible"], kept["reward"], -np.inf)
    best = int(np.argmax(ranked)) if kept["feasible"].any() else None
    row = {
        "study": name,
        "hash": header["hash"],
        "problem": problem.label,
        "fingerprint": problem.fingerprint,
        "agent": spec.agent,
        "agent_label": spec.agent_label,
        **{f"config.{key}": value for key, value in spec.config.items()},
        **{key: getattr(spec, key) for key in ("budget", "batch", "track", "seed", "parent")},
        "samples": len(lines),
        "unique": int((~kept["cached"]).sum()),
        "feasible": int(kept["feasible"].sum()),
        "best_reward": np.nan if best is None else float(kept["reward"][best]),
        "best_trial": best,
        "finished": spec.budget is not None and len(lines) >= spec.budget,
        "simulate_s": sum(e["evaluator_s"] for e in timed) if timed else np.nan,
        "suggest_s": sum(e["agent_s"] for e in timed) if timed else np.nan,
    }
    return LoggedStudy(path, row, problem, codes, kept)


def _check_lengths(lines: Sequence[Mapping[str, Any]], problem: LoggedProblem) -> None:
    names, n = problem.units.keys(), len(problem.constraints)
    for line in lines:
        if line["metrics"].keys() != names or len(line["violations"]) != n:
            raise ValueError(f"row {line['trial']} has other metrics or constraints than {SPEC}")


def _problem(header: Mapping[str, Any], spec: ProblemSpec) -> LoggedProblem:
    p = header["problem"]
    return LoggedProblem(
        spec.label,
        p["fingerprint"],
        DesignSpace.from_dict(p["space"]),
        p["metrics"],
        tuple(p["constraints"]),
        p["objective"],
        p["reference"],
        p["baseline"],
        spec.variant,
        p.get("variant_of", p["fingerprint"]),
    )


def timed_asks(folder: Path) -> list[dict[str, Any]]:
    """The timed asks of a study; lines that are torn or strange are left out, nothing depends on them."""
    out: list[dict[str, Any]] = []
    try:
        lines = (folder / TIMING).read_bytes().splitlines()
    except OSError:
        return out
    for line in lines:
        try:
            event = orjson.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict) and {"ask", "rows", "agent_s", "evaluator_s"} <= event.keys():
            out.append(event)
    return out


def study_columns(studies: Sequence[LoggedStudy], wanted: Sequence[str]) -> dict[str, npt.NDArray[Any]]:
    """The wanted columns (of those in ``LoggedProblem.columns``) of studies of one problem, one after the other."""
    problem, sizes = studies[0].problem, [len(s.codes) for s in studies]
    out: dict[str, npt.NDArray[Any]] = {
        "study": np.repeat(np.array([s.row["study"] for s in studies], object), sizes),
        "trial": np.concatenate([np.arange(n) for n in sizes]),
    }
    for name in wanted:
        if name in KEPT:
            out[name] = np.concatenate([s.kept[name] for s in studies])
    if any(name.startswith("param.") for name in wanted):
        values = problem.space.decode(np.concatenate([s.codes for s in studies]))
        out |= {f"param.{name}": values[name] for name in values if f"param.{name}" in wanted}
    metrics = [name for name in problem.units if f"metric.{name}" in wanted]
    broken = [i for i, name in enumerate(problem.constraints) if f"violation.{name}" in wanted]
    if metrics or broken or "reason" in wanted:
        out |= _reread(studies, metrics, broken, "reason" in wanted)
    return out


def _reread(
    studies: Sequence[LoggedStudy], metrics: Sequence[str], broken: Sequence[int], reasons: bool
) -> dict[str, npt.NDArray[Any]]:
    """Columns that are not held in memory; a log may have grown since it was loaded, but not otherwise changed."""
    tables, slacks, texts = [], [], []
    for s in studies:
        lines = read_trials(s.folder)[: len(s.codes)] if len(s.codes) else []
        rows = [[line["metrics"][name] for name in metrics] for line in lines]
        tables.append(np.array(rows, np.float64).reshape(len(lines), len(metrics)))
        rows = [[line["violations"][i] for i in broken] for line in lines]
        slacks.append(np.array(rows, np.float64).reshape(len(lines), len(broken)))
        texts += [line["reason"] for line in lines] if reasons else []
    table, slack = np.concatenate(tables), np.concatenate(slacks)
    out: dict[str, npt.NDArray[Any]] = {f"metric.{name}": table[:, i] for i, name in enumerate(metrics)}
    out |= {f"violation.{studies[0].problem.constraints[i]}": slack[:, k] for k, i in enumerate(broken)}
    return out | ({"reason": np.array(texts, object)} if reasons else {})
