"""A proxy that learns once more, with designs that were simulated since."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from archgym.errors import UsageError
from archgym.evaluation import Evaluation
from archgym.problem import Problem
from archgym.proxies.lower import LowerFidelity
from archgym.proxies.model import ProxyModel
from archgym.proxies.store import load_proxy, save_proxy

from .dataset import Dataset
from .learning import Lessons, lessons
from .rows import has_metrics
from .source import Source


def learnt_lessons(folder: str | Path, dataset: Dataset, problem: Problem) -> Lessons:
    """All rows of the data set that a proxy learnt from, for `relearn`.

    Args:
        folder: of the proxy.
        dataset: what it learnt from.
        problem: that more designs are simulated for, the same simulator and designs as one source of the data set.

    Raises:
        UsageError: another space or simulator than the data set's.
    """
    model, about = load_proxy(folder)
    if Source.of(problem).id in dataset.sources:
        known = lessons(dataset, list(model.metric_names), LowerFidelity.from_dict(about["lower"]))
        if known.space.fingerprint == model.space.fingerprint:
            return known
    labels = ", ".join(source.problem.label for source in dataset.sources.values())
    raise UsageError(
        f"{dataset.folder}: expected the rows that {folder} learnt from, of {problem.spec.label}; got {labels}"
    )


def relearn(
    folder: str | Path,
    known: Lessons,
    problem: Problem,
    simulated: Evaluation,
    out: str | Path,
    on_step: Callable[[int, int], None] | None = None,
) -> None:
    """Fit a model of the same kind to what one learnt from and to designs simulated since.

    Args:
        folder: of the proxy that is there.
        known: see `learnt_lessons`; nothing is held back to score the new proxy.
        problem: that the designs were simulated for.
        simulated: the designs.
        out: folder of the new proxy.
        on_step: called with (regressions done, regressions in all).
    """
    model, about = load_proxy(folder)
    more = _joined(known, problem, simulated, LowerFidelity.from_dict(about["lower"]))
    fresh = ProxyModel(model.space, model.kind, seed=model.seed)
    fresh.fit(more.table(np.arange(len(more))), maximise=more.maximise, on_step=on_step)
    del about["sha256"]
    rows = {"train": len(more), "test": 0}
    save_proxy(out, fresh, {**about, "rows": rows, "test_designs": "", "weights": fresh.weights, "scores": {}})


def _joined(known: Lessons, problem: Problem, simulated: Evaluation, lower: LowerFidelity | None) -> Lessons:
    """The lessons, and those of the simulated designs that they do not have."""
    import pandas as pd

    source = Source.of(problem)
    codes = problem.space.canonical(simulated.codes)
    design, ours = source.designs(codes), known.frame["source"].to_numpy() == source.id
    _, first = np.unique(design, return_index=True)
    new = np.sort(first[~np.isin(design[first], known.frame["design"].to_numpy()[ours])])
    e = simulated.take(new)
    columns = {
        "source": np.full(len(new), source.id, object),
        "design": design[new],
        "agent": np.full(len(new), "verify", object),
        "valid": has_metrics(e.metric_values),
        **{f"metric.{name}": column for name, column in e.metrics.items()},
        **{f"violation.{name}": e.violations[:, i] for i, name in enumerate(problem.constraint_names)},
    }
    frame = pd.DataFrame(columns)[known.frame.columns]
    beside = {} if lower is None else lower.columns(codes[new], source.space, problem.workloads[0])
    return replace(
        known,
        frame=pd.concat([known.frame, frame], ignore_index=True),
        codes=np.concatenate([known.codes, codes[new]]),
        features=np.concatenate([known.features, np.tile(known.features[ours][:1], (len(new), 1))]),
        lower={name: np.concatenate([column, beside[name]]) for name, column in known.lower.items()},
    )
