"""NSGA-II, by pymoo.

Deb, Pratap, Agarwal and Meyarivan: "A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II" (IEEE Transactions
on Evolutionary Computation 6, 2002); Blank and Deb: "pymoo" (IEEE Access 8, 2020). Simulated binary crossover and
polynomial mutation on level indices, rounded; feasible designs come before infeasible ones, and
these are ranked by the sum of their violations.
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
from .penalty import costs
from .ranking import violation
from .told import Told


class PymooNsga2(Agent):
    """pymoo.algorithms.moo.nsga2.NSGA2 on integers.

    Every design told becomes an individual, also one that was never asked for and one that replaced a repeated
    child; the population advances whenever there are enough new ones for a generation.
    """

    @dataclass(frozen=True)
    class Config:
        """Hyperparameters.

        Attributes:
            population: individuals; 0 for a twentieth of the budget, between 10 and 40.
            crossover: probability that two parents mix.
            eta: distribution index of crossover and mutation; smaller moves farther.
        """

        population: int = 0
        crossover: float = 0.9
        eta: float = 3.0

        def __post_init__(self) -> None:
            if self.population < 0 or self.population == 1 or not 0 <= self.crossover <= 1 or self.eta <= 0:
                raise UsageError(
                    "pymoo-nsga2: population must be 0 (automatic) or at least 2, crossover a probability and eta "
                    f"positive, got {self.population}, {self.crossover} and {self.eta}"
                )

    search_space: ClassVar[Mapping[str, tuple[Level, ...]]] = {
        "population": (0, 10, 20, 40, 80),
        "crossover": (0.5, 0.9, 1.0),
        "eta": (3.0, 10.0, 20.0),
    }
    config: Config

    def __init__(self, space: DesignSpace, config: Any = None, **study: Any) -> None:
        super().__init__(space, config, **study)
        library("pymoo")
        self._dedup = Dedup(space, self.rng)
        self._told = Told(space)
        self._free = np.flatnonzero(space.nvec > 1)
        self._population = self.config.population or min(max((self.budget or 800) // 20, 10), 40)
        self._waiting = np.empty((0, len(space)), np.int64)  # of a generation: proposed, not asked
        self._entered = 0  # rows told that are individuals already
        self._problem, self._algorithm = self._start()

    def ask(self, n: int) -> Codes:
        """``n`` new designs (k, d); fewer only when the space runs out."""
        parts: list[Codes] = []
        while len(self._free) and (missing := n - sum(map(len, parts))) > 0:
            if len(self._waiting) == 0:
                with quiet():
                    children = self._algorithm.ask()
                if children is None or len(children) == 0:
                    break  # mating finds nothing new
                self._waiting = np.zeros((len(children), len(self.space)), np.int64)
                self._waiting[:, self._free] = np.round(children.get("X").astype(np.float64)).astype(np.int64)
            batch, self._waiting = self._waiting[:missing], self._waiting[missing:]
            found = self._dedup.replace(batch)
            parts.append(found)
            if len(found) < len(batch):
                break
        parts.append(self._dedup.draw(n - sum(map(len, parts)), self.rng))
        return np.concatenate(parts)

    def tell(self, evaluation: Evaluation) -> None:
        """Collect individuals; a full generation replaces the worst."""
        self._dedup.add(evaluation.codes)
        self._told.add(evaluation)
        while len(self._free) and len(self._told) - self._entered >= self._population:
            rows = self._told.rows
            assert rows is not None
            chosen = slice(self._entered, self._entered + self._population)
            self._entered += self._population
            self._waiting = self._waiting[:0]  # children of parents of the past
            with quiet():
                self._algorithm.tell(infills=self._individuals(rows, chosen))

    def _individuals(self, rows: Evaluation, chosen: slice) -> Any:
        """Rows as evaluated individuals."""
        population = library("pymoo.core.population").Population.new(X=rows.codes[chosen][:, self._free])
        outcome = {"F": costs(rows, self.objective)[chosen], "G": violation(rows)[chosen, None]}
        static = library("pymoo.problems.static").StaticProblem(self._problem, **outcome)
        return library("pymoo.core.evaluator").Evaluator().eval(static, population)

    def _start(self) -> tuple[Any, Any]:
        """pymoo's problem and algorithm, ready to ask."""
        rounding = library("pymoo.operators.repair.rounding").RoundingRepair
        vary = {"eta": self.config.eta, "vtype": float}
        problem = library("pymoo.core.problem").Problem(
            n_var=len(self._free),
            n_obj=self.n_values,
            n_ieq_constr=1,
            xl=np.zeros(len(self._free)),
            xu=self.space.nvec[self._free] - 1.0,
            vtype=int,
        )
        with quiet():
            algorithm = library("pymoo.algorithms.moo.nsga2").NSGA2(
                pop_size=self._population,
                sampling=library("pymoo.operators.sampling.rnd").IntegerRandomSampling(),
                crossover=library("pymoo.operators.crossover.sbx").SBX(
                    prob=self.config.crossover, repair=rounding(), **vary
                ),
                mutation=library("pymoo.operators.mutation.pm").PM(repair=rounding(), **vary),
                eliminate_duplicates=True,
            )
            algorithm.setup(
                problem,
                termination=library("pymoo.core.termination").NoTermination(),
                seed=int(self.rng.integers(2**31)),
            )
        return problem, algorithm
