"""Optuna's samplers behind ask and tell: what the adapters have in common.

Akiba, Sano, Yanase, Ohta and Koyama: "Optuna: A Next-generation Hyperparameter Optimization Framework" (KDD 2019,
arXiv 1907.10902). At each ask a study in memory is filled with a capped history and the sampler asked; so rows that
were never asked for are like any other, and penalties follow what is known by then.
"""

from __future__ import annotations

import contextlib
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from archgym.agent import Agent
from archgym.evaluation import Evaluation
from archgym.space import Codes, DesignSpace

from .dedup import Dedup
from .libraries import library, quiet
from .penalty import constraint_columns, costs
from .told import Told


class OptunaSampler(Agent):
    """Common part; subclasses make the sampler.

    Several values are directions of the study; feasibility, limits and physical slacks are its constraints (on the
    scalar track feasibility alone). A proposal that is known already becomes its nearest unseen neighbour, and the
    sampler learns that this one is being evaluated instead.
    """

    def __init__(self, space: DesignSpace, config: Any = None, **study: Any) -> None:
        super().__init__(space, config, **study)
        self._optuna = library("optuna")
        self._dedup = Dedup(space, self.rng)
        self._told = Told(space)
        self._free = np.flatnonzero(space.nvec > 1).tolist()
        self._distributions = {f"p{i}": self._distribution(i) for i in self._free}

    def _proposals(self, n: int) -> int:
        """How many of ``n`` designs the sampler proposes; the others are neighbours of these."""
        return n

    @abstractmethod
    def _sampler(self, seed: int) -> Any:
        """A fresh sampler."""

    def ask(self, n: int) -> Codes:
        """``n`` new designs (k, d), random ones first; fewer only when the space runs out."""
        if len(self._told) < self.config.founders or not self._free:
            return self._dedup.draw(n, self.rng)
        with quiet(), self._silent():
            rows = self._told.capped(self.config.history)
            outcomes = self._outcomes(rows)
            study = self._study(rows.codes, outcomes)
            parts = [self._propose(study, rows.codes, outcomes) for _ in range(self._proposals(n))]
        found = np.concatenate(parts)
        return np.concatenate([found, self._dedup.replace(np.resize(found, (n - len(found), len(self.space))))])

    def tell(self, evaluation: Evaluation) -> None:
        """Remember the rows, asked or not."""
        self._dedup.add(evaluation.codes)
        self._told.add(evaluation)

    def _propose(self, study: Any, codes: Codes, outcomes: Sequence[Mapping[str, Any]]) -> Codes:
        """One new design (k, d), k <= 1, left in the study as being evaluated."""
        trial = study.ask(self._distributions)
        row = np.zeros((1, len(self.space)), np.int64)
        row[0, self._free] = [trial.params[f"p{i}"] for i in self._free]
        study.tell(trial, state=self._optuna.trial.TrialState.FAIL)  # in its place:
        found = self._dedup.replace(row)
        for design in found:
            study.add_trial(self._trial(design, **self._pending(design, codes, outcomes)))
        return found

    def _pending(self, design: Any, codes: Codes, outcomes: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
        """What the study shall know of a design (d,) of the batch that has no outcome yet."""
        return {"state": self._optuna.trial.TrialState.RUNNING}

    def _outcomes(self, rows: Evaluation) -> list[Mapping[str, Any]]:
        """Values and constraints of each row, as a trial takes them."""
        numbers, limits = costs(rows, self.objective), constraint_columns(rows)
        limits = limits[:, (limits > 0).any(axis=0)]  # what always holds needs no model
        slacks = [{str(i): v for i, v in enumerate(row)} or None for row in limits.tolist()]
        return [{"values": v, "constraints": c} for v, c in zip(numbers.tolist(), slacks, strict=True)]

    def _study(self, codes: Codes, outcomes: Sequence[Mapping[str, Any]]) -> Any:
        """A study in memory that holds the rows as completed trials."""
        study = self._optuna.create_study(
            sampler=self._sampler(int(self.rng.integers(2**31))), directions=["minimize"] * len(outcomes[0]["values"])
        )
        study.add_trials([self._trial(row, **outcome) for row, outcome in zip(codes, outcomes, strict=True)])
        return study

    def _trial(self, row: Any, **outcome: Any) -> Any:
        params = {f"p{i}": int(row[i]) for i in self._free}
        return self._optuna.trial.create_trial(params=params, distributions=self._distributions, **outcome)

    def _distribution(self, i: int) -> Any:
        levels, kinds = int(self.space.nvec[i]), self._optuna.distributions
        if self.space.parameters[i].ordered:
            return kinds.IntDistribution(0, levels - 1)
        return kinds.CategoricalDistribution(tuple(range(levels)))

    @contextlib.contextmanager
    def _silent(self) -> Iterator[None]:
        """Without the library's log messages; its verbosity is global, hence restored."""
        log = self._optuna.logging
        before = log.get_verbosity()
        log.set_verbosity(log.ERROR)
        try:
            yield
        finally:
            log.set_verbosity(before)
