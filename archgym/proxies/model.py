"""A proxy cost model: learnt metrics, validity and constraints of designs, with what it knows of its own error."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from scipy.special import expit
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import threadpool_limits

from archgym.errors import UnknownNameError, UsageError
from archgym.space import Codes, DesignSpace

from .auto import MODELS, Auto
from .conformal import Conformal
from .folds import MANY, folds
from .forest import Forest
from .inputs import Encoding, Floats, Inputs
from .leaf_masks import LatticeForest
from .reach import Reach
from .regressor import Regressor

Bools = npt.NDArray[np.bool_]

KINDS: Mapping[str, type[Regressor]] = {"auto": Auto, **MODELS}
_FEW = 5  # rows of a kind below which a classifier has nothing to learn


@dataclass(frozen=True, eq=False)
class Table:
    """Evaluated designs to learn from.

    Attributes:
        codes: (n, d) canonical.
        metrics: name -> (n,); NaN where the design is impossible.
        valid: (n,) whether it is possible.
        slacks: constraint -> (n,) relative violation.
        features: (n, f) of the workloads; None where all rows have the same.
        groups: (n,) rows that may not be parted (see ``archgym.dataset.splits.groups``).
        lower: metric -> (n,) what a lower fidelity says, positive where it says something: metrics that are positive
            too are then learnt as its error.
    """

    codes: Codes
    metrics: Mapping[str, Floats]
    valid: Bools
    slacks: Mapping[str, Floats] = field(default_factory=dict)
    features: Floats | None = None
    groups: npt.NDArray[np.int64] | None = None
    lower: Mapping[str, Floats] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a proxy says of designs.

    Attributes:
        metrics: name -> (n,) expected; NaN where nothing is known of it.
        low, high: name -> (n,) ends of the 90 % interval.
        slacks: constraint -> (n,) expected relative violation.
        p_valid: (n,) probability that the design is possible.
    """

    metrics: Mapping[str, Floats]
    low: Mapping[str, Floats]
    high: Mapping[str, Floats]
    slacks: Mapping[str, Floats]
    p_valid: Floats


class ProxyModel:
    """One regression a metric (on its logarithm, if it is positive) and a constraint, and a classifier of validity.

    Of many rows a fifth is held back to calibrate intervals (split conformal prediction) and the distance from the
    known. Of fewer than 3,000 the models learn all, and intervals come from models that have learnt four fifths
    (cross-conformal).

    Args:
        space: of the designs.
        kind: of the regressions: one of KINDS.
        seed: of everything random.

    Raises:
        UnknownNameError: no such kind.
    """

    def __init__(self, space: DesignSpace, kind: str = "auto", *, seed: int = 0) -> None:
        if kind not in KINDS:
            raise UnknownNameError("proxy model", kind, KINDS)
        self.space, self.kind, self.seed = space, kind, seed
        self._encoding = Encoding(space)

    def fit(
        self, table: Table, *, maximise: Sequence[str] = (), on_step: Callable[[int, int], None] | None = None
    ) -> Self:
        """Learn.

        Args:
            table: the rows.
            maximise: metrics of which more is better: their elite are the largest predictions.
            on_step: called with (regressions done, regressions in all).

        Raises:
            UsageError: no rows, or no metrics.
        """
        if len(table.codes) == 0 or not table.metrics:
            raise UsageError(
                f"proxy: expected rows with metrics to learn from, got {len(table.codes)} rows and "
                f"{len(table.metrics)} metrics"
            )
        x = Inputs.of(table.codes, table.features, table.groups)
        parts = folds(x, self.seed) if len(x) > 1 else np.empty((0, 1), np.bool_)
        known = ~parts[0] if len(x) >= MANY else np.ones(len(x), np.bool_)
        self.metric_names, self.slack_names = tuple(table.metrics), tuple(table.slacks)
        with threadpool_limits(1):
            self._validity = self._classifier(x, table.valid)
        self._reach = Reach(self._encoding).fit(x, known, parts)
        self._outputs: dict[str, _Output] = {}
        todo = [*table.metrics.items(), *table.slacks.items()]
        for i, (name, column) in enumerate(todo):
            usable = np.isfinite(column) & (table.valid if name in table.metrics else True)
            output = _Output(name in table.metrics and bool((column[usable] > 0).all()), name in maximise)
            if output.log and name in table.lower:
                output.residual = True
                usable &= table.lower[name] > 0
            offset = output.offset(table.lower.get(name), len(column))
            regressor = KINDS[self.kind](self.space, seed=self.seed)
            self._outputs[name] = output.fit(regressor, x.take(usable), column[usable], offset[usable], known[usable])
            if on_step is not None:
                on_step(i + 1, len(todo))
        return self

    def predict(
        self, codes: Codes, features: Floats | None = None, lower: Mapping[str, Floats] | None = None
    ) -> Prediction:
        """Predict canonical designs (n, d): the same bits in every batch.

        Args:
            codes: of the designs.
            features: (n, f) of their workloads.
            lower: metric -> (n,) of the lower fidelity, for those in ``residual_names``.
        """
        x, beside = Inputs.of(codes, features), lower or {}
        if missing := [name for name in self.residual_names if name not in beside]:
            raise UsageError(f"proxy: expected what the lower fidelity says of {', '.join(missing)}")
        found = {name: o.predict(x, o.offset(beside.get(name), len(x))) for name, o in self._outputs.items()}
        return Prediction(
            {name: found[name][0] for name in self.metric_names},
            {name: found[name][1] for name in self.metric_names},
            {name: found[name][2] for name in self.metric_names},
            {name: found[name][0] for name in self.slack_names},
            self._p_valid(x),
        )

    def knows(self, codes: Codes, features: Floats | None = None) -> Bools:
        """Whether it has learnt from the very designs (n, d)."""
        x = Inputs.of(codes, features)
        return np.asarray(self._reach.distances(x) == 0.0)

    def ood(self, codes: Codes, features: Floats | None = None) -> Bools:
        """Whether designs (n, d) are farther from all that was learnt than 99 % of the held-back ones were."""
        return self._reach.beyond(Inputs.of(codes, features))

    @property
    def residual_names(self) -> list[str]:
        """Metrics that were learnt as the error of a lower fidelity."""
        return [name for name, output in self._outputs.items() if output.residual]

    @property
    def weights(self) -> dict[str, dict[str, float]]:
        """Metric or constraint -> the models that `auto` combined, with their shares; {} for other kinds."""
        return {
            name: dict(output.regressor.weights)
            for name, output in self._outputs.items()
            if isinstance(output.regressor, Auto)
        }

    def _p_valid(self, x: Inputs) -> Floats:
        if len(x) == 0:
            return np.empty(0)
        if isinstance(self._validity, float):
            return np.full(len(x), self._validity)
        return np.asarray(expit(self._validity.predict(x)))

    def _classifier(self, x: Inputs, valid: Bools) -> LatticeForest | float:
        """A model of validity, or the share of valid rows where one kind is too rare to learn."""
        if min(int(valid.sum()), int((~valid).sum())) < _FEW:
            return float(valid.mean())
        model = HistGradientBoostingClassifier(max_iter=200, random_state=self.seed, early_stopping=False)
        return self._on_space(Forest.of_boosting(model.fit(self._encoding.for_trees(x), valid)))

    def _on_space(self, forest: Forest) -> LatticeForest:
        return LatticeForest(forest, self.space, self._encoding.for_trees)

    # ---- exchange ----------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """All that was learnt: numbers, texts and arrays."""
        return {
            "metrics": list(self.metric_names),
            "slacks": list(self.slack_names),
            "validity": self._validity if isinstance(self._validity, float) else self._validity.forest.state(),
            "reach": {"places": self._reach.places, "limit": self._reach.limit},
            "outputs": {name: output.state() for name, output in self._outputs.items()},
        }

    def restore(self, state: Mapping[str, Any]) -> Self:
        """Take over what an equal model learnt."""
        self.metric_names, self.slack_names = tuple(state["metrics"]), tuple(state["slacks"])
        known = state["validity"]
        self._validity = known if isinstance(known, float) else self._on_space(Forest.restored(known))
        self._reach = Reach(self._encoding).restore(**state["reach"])
        self._outputs = {
            name: _Output.restored(found, KINDS[self.kind](self.space, seed=self.seed))
            for name, found in state["outputs"].items()
        }
        return self


class _Output:
    """One predicted number.

    Args:
        log: whether it is predicted by its logarithm.
        maximise: whether the best are the largest.

    Attributes:
        residual: whether a lower fidelity's logarithm is to be added to what was learnt.
    """

    regressor: Regressor | None = None
    constant: float = np.nan  # without a regressor: the only value that was seen, or NaN if none was

    def __init__(self, log: bool, maximise: bool, residual: bool = False) -> None:
        self.log, self.maximise, self.residual = log, maximise, residual

    def offset(self, lower: Floats | None, n: int) -> Floats:
        """What has to be added (n,) to what is learnt."""
        if not self.residual:
            return np.zeros(n)
        assert lower is not None
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.log(lower)

    def fit(self, regressor: Regressor, x: Inputs, y: Floats, offset: Floats, known: Bools) -> Self:
        """Learn from the known ones of rows (n,) that have the number, and find intervals from the others; if all are
        known, from each by a model that has not seen it."""
        actual = np.log(y) if self.log else y
        targets = actual - offset
        held = np.ones(len(x), np.bool_) if known.all() else ~known
        if len(np.unique(targets[known])) < 2:
            self.constant = float(targets[known][0]) if known.any() else np.nan
            guessed = self._raw(x)
        elif known.all():
            self.regressor = regressor
            guessed = regressor.cross_fit(x, targets)
        else:
            self.regressor = regressor.fit(x.take(known), targets[known])
            guessed = np.full(len(x), np.nan)
            guessed[held] = regressor.predict(x.take(held))
        held &= np.isfinite(guessed)
        self.interval = Conformal.of_residuals(guessed[held] + offset[held], actual[held], maximise=self.maximise)
        return self

    def predict(self, x: Inputs, offset: Floats) -> tuple[Floats, Floats, Floats]:
        """Expected value (n,) of each row, and the ends of its interval."""
        middle = self._raw(x) + offset
        width = self.interval.widths(middle)
        if self.log:
            return np.exp(middle), np.exp(middle - width), np.exp(middle + width)
        return middle, middle - width, middle + width

    def _raw(self, x: Inputs) -> Floats:
        return np.full(len(x), self.constant) if self.regressor is None else self.regressor.predict(x)

    def state(self) -> dict[str, Any]:
        learnt = None if self.regressor is None else self.regressor.state()
        scalars = {"log": self.log, "maximise": self.maximise, "residual": self.residual, "constant": self.constant}
        return {**scalars, "interval": self.interval.state(), "regressor": learnt}

    @classmethod
    def restored(cls, state: Mapping[str, Any], regressor: Regressor) -> _Output:
        """The output that ``state`` described."""
        out = cls(state["log"], state["maximise"], state["residual"])
        out.constant, out.interval = state["constant"], Conformal(**state["interval"])
        out.regressor = None if state["regressor"] is None else regressor.restore(state["regressor"])
        return out
