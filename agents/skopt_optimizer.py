"""scikit-optimize's ask/tell optimiser, with a Gaussian process or extra trees as surrogate.

Adapters to skopt.Optimizer 0.10 (the library behind the Bayesian optimiser of Krishnan et al., ArchGym, ISCA 2023):
expected improvement (Jones, Schonlau and Welch, J. Global Optimization 13, 1998) over a random sample of the space,
with a Gaussian process then climbed by L-BFGS.
It knows no constraints: infeasible designs get a penalty. The optimiser is built anew at each ask from a capped
history and fitted once to it, so that the cost of an ask stays bounded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from archgym.agent import Agent
from archgym.errors import UsageError
from archgym.evaluation import Evaluation
from archgym.space import Codes, DesignSpace, Level

from .dedup import Dedup
from .libraries import library, quiet
from .penalty import penalised
from .told import Told


class SkoptOptimizer(Agent):
    """Common part; subclasses say which surrogate.

    With several values (a Pareto objective) it searches their equally weighted product.
    """

    @dataclass(frozen=True)
    class Config:
        """Hyperparameters.

        Attributes:
            founders: random designs before the first model.
            acquisition: ``EI``, ``LCB``, ``PI`` or (Gaussian process) ``gp_hedge``.
            candidates: random designs among which the acquisition is maximised first.
            history: rows told to the model at most: the best half and the latest.
            fits: models fitted per ask at most: proposals of a batch beyond that are neighbours of the earlier ones.
        """

        founders: int = 10
        acquisition: str = "EI"
        candidates: int = 2000
        history: int = 150
        fits: int = 3

        def __post_init__(self) -> None:
            if min(self.founders, self.candidates, self.fits) < 1 or self.history < self.founders:
                raise UsageError(
                    "skopt: founders, candidates and fits must be at least 1 and history at least founders, got "
                    f"{self.founders}, {self.candidates}, {self.fits} and {self.history}"
                )
            if self.acquisition not in ("EI", "LCB", "PI", "gp_hedge"):
                raise UsageError(f"skopt: acquisition is EI, LCB, PI or gp_hedge, got '{self.acquisition}'")

    search_space: ClassVar[Mapping[str, tuple[Level, ...]]] = {
        "founders": (5, 10, 20),
        "acquisition": ("EI", "LCB", "PI"),
        "candidates": (500, 2000, 10000),
        "fits": (1, 3, 10),
    }
    estimator: ClassVar[str]
    anytime = True
    config: Config

    def __init__(self, space: DesignSpace, config: Any = None, **study: Any) -> None:
        super().__init__(space, config, **study)
        self._dedup = Dedup(space, self.rng)
        self._told = Told(space)
        self._free = np.flatnonzero(space.nvec > 1)
        self._skopt = library("skopt")

    def ask(self, n: int) -> Codes:
        """``n`` new designs (k, d), random ones first; fewer only when the space runs out."""
        if len(self._told) < self.config.founders or len(self._free) == 0:
            return self._dedup.draw(n, self.rng)
        rows = np.zeros((min(n, self.config.fits), len(self.space)), np.int64)
        with quiet():
            optimizer, best = self._optimizer()
            for i in range(len(rows)):
                if i:
                    optimizer.tell(rows[i - 1, self._free].tolist(), best)  # a lie, which keeps it from coming back
                rows[i, self._free] = optimizer.ask()
        return self._dedup.replace(np.resize(rows, (n, len(self.space))))

    def tell(self, evaluation: Evaluation) -> None:
        """Remember the rows, asked or not."""
        self._dedup.add(evaluation.codes)
        self._told.add(evaluation)

    def _optimizer(self) -> tuple[Any, float]:
        """skopt's optimiser, fitted to the history, and the lowest cost therein."""
        rows = self._told.capped(self.config.history)
        told = penalised(rows).tolist()
        dimensions = [self._dimension(i) for i in self._free.tolist()]
        optimizer = self._skopt.Optimizer(
            dimensions,
            base_estimator=self._estimator(dimensions),
            n_initial_points=1,  # which the rows told are
            acq_func=self.config.acquisition,
            acq_optimizer_kwargs={"n_points": self.config.candidates},
            random_state=int(self.rng.integers(2**31)),
        )
        optimizer.tell(rows.codes[:, self._free].tolist(), told)
        return optimizer, min(told)

    def _estimator(self, dimensions: list[Any]) -> Any:
        return self.estimator

    def _dimension(self, i: int) -> Any:
        levels = int(self.space.nvec[i])
        if self.space.parameters[i].ordered:
            return self._skopt.space.Integer(0, levels - 1)
        return self._skopt.space.Categorical(list(range(levels)))


class SkoptGp(SkoptOptimizer):
    """skopt.Optimizer with a Gaussian process (Matern 5/2, one length scale per parameter)."""

    estimator = "GP"

    def _estimator(self, dimensions: list[Any]) -> Any:
        # Without the library's two restarts of the search for length scales: a third of the time.
        space = library("skopt.utils").normalize_dimensions(dimensions)
        seed = int(self.rng.integers(2**31))
        return library("skopt.utils").cook_estimator("GP", space=space, random_state=seed, n_restarts_optimizer=0)


class SkoptEt(SkoptOptimizer):
    """skopt.Optimizer with extremely randomised trees (Geurts, Ernst and Wehenkel, Machine Learning 63, 2006)."""

    estimator = "ET"
