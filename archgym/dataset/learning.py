"""From a data set to a proxy model: the rows that it may learn from, and how well it does on those it has not seen."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from archgym.column_names import matching
from archgym.errors import ArchGymError, UnknownNameError, UsageError
from archgym.problem import Problem
from archgym.proxies.inputs import Floats
from archgym.proxies.lower import LowerFidelity
from archgym.proxies.model import ProxyModel, Table
from archgym.proxies.scores import scores
from archgym.space import Codes, DesignSpace

from .dataset import Dataset
from .source import Source
from .splits import groups, leak_free

if TYPE_CHECKING:
    import pandas as pd

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Lessons:
    """The rows of a data set as a proxy sees them: every design of a source once.

    Attributes:
        frame: ``source``, ``design``, ``agent``, ``valid``, ``metric.*``, ``violation.*``.
        space: of the designs.
        codes: (n, d) canonical.
        features: (n, f) of the workload of each row; f is 0 with one source.
        feature_names: their names.
        metrics: names of those to learn.
        slacks: names of the constraints to learn.
        maximise: metrics of which more is better.
        lower: metric -> (n,) what a lower fidelity says of the designs; {} without one.
    """

    frame: pd.DataFrame
    space: DesignSpace
    codes: Codes
    features: Floats
    feature_names: tuple[str, ...]
    metrics: tuple[str, ...]
    slacks: tuple[str, ...]
    maximise: tuple[str, ...]
    lower: Mapping[str, Floats]

    def __len__(self) -> int:
        return len(self.frame)

    def table(self, rows: Rows) -> Table:
        """Some of the rows, to learn from."""
        part = self.frame.iloc[rows]
        return Table(
            self.codes[rows],
            {name: part[f"metric.{name}"].to_numpy(np.float64) for name in self.metrics},
            part["valid"].to_numpy(np.bool_),
            {name: part[f"violation.{name}"].to_numpy(np.float64) for name in self.slacks},
            self.features[rows],
            groups(part),
            {name: column[rows] for name, column in self.lower.items()},
        )


def lessons(dataset: Dataset, metrics: Sequence[str] | None = None, lower: LowerFidelity | None = None) -> Lessons:
    """What can be learnt from a data set.

    Args:
        dataset: of one simulator with one configuration and design space; several workloads are told apart by their
            features.
        metrics: names or patterns; None is those that the problem's objective and limits are made of, or all if the
            simulator is not at hand.
        lower: a lower fidelity, whose metrics of the same names go with every row.

    Raises:
        UsageError: no rows, several spaces or configurations, or workloads without features.
        UnknownNameError: no such metric.
    """
    sources = list(dataset.sources.values())
    _check_alike(dataset, sources)
    first = sources[0]
    names = [n for n in first.metrics if all(n in s.metrics for s in sources)]
    wanted = _of_objective(first, names) if metrics is None else matching(metrics, names)
    slacks = [n for n in first.constraints if all(n in s.constraints for s in sources) and not _is_limit(n)]
    columns = ["source", "design", "agent", "valid", "metric.*"] + [f"violation.{name}" for name in slacks]
    frame = dataset.frame(columns).drop_duplicates(["source", "design"], ignore_index=True)
    if not len(frame):
        raise UsageError(f"{dataset.folder}: expected rows to learn from, got none")
    features, feature_names = _features(frame, dataset.sources)
    codes = first.space.unrank(frame["design"].to_numpy())
    return Lessons(
        frame,
        first.space,
        codes,
        features,
        feature_names,
        tuple(wanted),
        tuple(slacks),
        tuple(n for n in wanted if first.metrics[n].maximise),
        {} if lower is None else _lower(lower, frame, codes, dataset.sources, wanted),
    )


def lower_fidelity(dataset: Dataset, name: str) -> LowerFidelity:
    """A cheaper simulator, by name, with the options of the one that a data set comes from."""
    return LowerFidelity.beside(name, Problem(next(iter(dataset.sources.values())).problem).simulator)


def fit_proxy(
    dataset: Dataset,
    *,
    kind: str = "auto",
    metrics: Sequence[str] | None = None,
    lower: str | None = None,
    test: float = 0.2,
    seed: int = 0,
    on_step: Callable[[int, int], None] | None = None,
) -> tuple[ProxyModel, dict[str, Any]]:
    """Learn a proxy from a data set, and score it on rows that are held back (leak-free).

    Args:
        dataset: see `lessons`.
        kind: of the model (``archgym.proxies.model.KINDS``).
        metrics: see `lessons`.
        lower: name of a cheaper simulator of the same designs, whose error is learnt (``archgym.proxies.lower``).
        test: share of the rows that is held back.
        seed: of the split and of the model.
        on_step: called with (regressions done, regressions in all).

    Returns:
        The model, and what a reader should know of it: sources, rows, digest of the test designs, scores on them.

    Raises:
        UsageError: nothing to learn from.
    """
    beside = None if lower is None else lower_fidelity(dataset, lower)
    known = lessons(dataset, metrics, beside)
    split = leak_free(known.frame, test, seed=seed)
    model = ProxyModel(known.space, kind, seed=seed)
    model.fit(known.table(split.train), maximise=known.maximise, on_step=on_step)
    about = {
        **_original(dataset),
        "sources": [source.to_dict() for source in dataset.sources.values()],
        "features": list(known.feature_names),
        "lower": None if beside is None else beside.to_dict(),
        "rows": {"train": len(split.train), "test": len(split.test)},
        "test_designs": split.digest,
        "weights": model.weights,
        "scores": score(model, known, split.test),
    }
    return model, about


def score(model: ProxyModel, known: Lessons, rows: Rows | None = None) -> dict[str, dict[str, float]]:
    """Metric -> scores (see ``archgym.proxies.scores``) on the possible designs among some rows; None is all.

    Raises:
        UsageError: another space or other features than the model's, or no row with the metric.
    """
    if known.space.fingerprint != model.space.fingerprint:
        theirs = ", ".join(known.space.names)
        raise UsageError(
            f"proxy: expected designs of its own space ({', '.join(model.space.names)}), got another one ({theirs})"
        )
    rows = np.arange(len(known)) if rows is None else rows
    lower = {name: column[rows] for name, column in known.lower.items()}
    found = model.predict(known.codes[rows], known.features[rows], lower)
    out = {}
    for name in model.metric_names:
        if f"metric.{name}" not in known.frame:
            raise UnknownNameError("metric", name, known.metrics)
        truth = known.frame[f"metric.{name}"].to_numpy(np.float64)[rows]
        usable = np.isfinite(truth) & np.isfinite(found.metrics[name])
        if usable.any():
            parts = (column[usable] for column in (truth, found.metrics[name], found.low[name], found.high[name]))
            out[name] = scores(*parts, maximise=name in known.maximise)
    return out


def _check_alike(dataset: Dataset, sources: Sequence[Source]) -> None:
    if not sources:
        raise UsageError(f"{dataset.folder}: expected rows to learn from, got none")
    kinds = {
        (s.simulator, s.simulator_version, repr(sorted(s.problem.sim.items())), s.space.fingerprint) for s in sources
    }
    if len(kinds) > 1:
        labels = ", ".join(f"{s.id} ({s.problem.label})" for s in sources)
        raise UsageError(
            f"{dataset.folder}: expected one simulator, configuration and design space, got {labels}; choose some"
        )
    if len(sources) > 1 and not all(s.features for s in sources):
        raise UsageError(f"{dataset.folder}: several workloads are told apart by their features, but some have none")


def _features(frame: pd.DataFrame, sources: Mapping[str, Source]) -> tuple[Floats, tuple[str, ...]]:
    """Features (n, f) that differ between the sources; none for one."""
    names = [n for n in next(iter(sources.values())).features if all(n in s.features for s in sources.values())]
    names = [n for n in names if len({s.features[n] for s in sources.values()}) > 1]
    table = np.array([[s.features[n] for n in names] for s in sources.values()]).reshape(len(sources), len(names))
    place = {key: i for i, key in enumerate(sources)}
    return table[[place[key] for key in frame["source"].tolist()]], tuple(names)


def _lower(
    lower: LowerFidelity, frame: pd.DataFrame, codes: Codes, sources: Mapping[str, Source], wanted: Sequence[str]
) -> dict[str, Floats]:
    """Metric -> (n,) what the lower fidelity says of the designs, of those metrics that it has."""
    names = [m.name for m in lower.simulator.metrics if m.name in wanted]
    out = {name: np.full(len(frame), np.nan) for name in names}
    if not names:
        raise UsageError(f"lower fidelity {lower.name}: expected one of {', '.join(wanted)}, it has none of them")
    for key, source in sources.items():
        problem, rows = Problem(source.problem), np.flatnonzero(frame["source"].to_numpy() == key)
        if len(problem.workloads) > 1:
            raise UsageError(f"lower fidelity {lower.name}: expected single workloads, got {source.workload}")
        found = lower.columns(codes[rows], source.space, problem.workloads[0])
        for name in names:
            out[name][rows] = found[name]
    return out


def _of_objective(source: Source, names: Sequence[str]) -> list[str]:
    try:
        objective = Problem(source.problem).objective
    except ArchGymError:
        return list(names)
    wanted = {t.metric for t in objective.terms} | {limit.metric for limit in objective.limits}
    return [name for name in names if name in wanted]


def _original(dataset: Dataset) -> dict[str, Any]:
    """The simulator that a proxy can stand in for, with the true metrics of its baseline; else the reason why not."""
    sources = list(dataset.sources.values())
    try:
        problems = [Problem(source.problem) for source in sources]
    except ArchGymError as error:
        return {"why": f"the simulator that was learnt from is not at hand: {error}"}
    if any(len(problem.workloads) > 1 for problem in problems):
        return {"why": "learnt from several workloads as one; a proxy stands in for a simulator on one at a time"}
    if any(source.problem.variant for source in sources):
        return {"why": "learnt from a variant of a problem, whose levels have other names"}
    if any(problem.simulator.version != s.simulator_version for problem, s in zip(problems, sources, strict=True)):
        return {"why": f"learnt from version {sources[0].simulator_version} of the simulator, which is not at hand"}
    first = problems[0]
    workloads = [
        {"name": p.workloads[0].name, "fingerprint": p.workloads[0].fingerprint, "metrics": p.baseline_metrics}
        for p in problems
    ]
    return {
        "simulator": {
            "name": first.spec.simulator,
            "sim": dict(first.spec.sim),
            "version": first.simulator.version,
            "workloads": workloads,
        }
    }


def _is_limit(name: str) -> bool:
    """Whether a constraint is a limit on a metric (``area<=20``), which follows from the metric."""
    return "<" in name or ">" in name
