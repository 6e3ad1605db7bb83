"""``surrogate(AGENT)``: a model of what has been simulated chooses which of an agent's proposals are worth a sample."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import kendalltau

from archgym import rng
from archgym.errors import UsageError
from archgym.evaluation import Evaluation, Floats
from archgym.pareto import front
from archgym.space import Codes, DesignSpace
from archgym.wrapper import Wrapper

from .improvement import Chebyshev
from .ranking import violation
from .surrogate import Belief, Surrogate
from .told import Told
from .unseen import Unseen

_KEPT = 500  # proposals that wait for another chance
_WINDOW = 20  # samples whose ranking tells whether the model is to be trusted
_INFEASIBLE = 20.0  # what a whole violation costs, in units of the reward, when rankings are compared


class SurrogateWrapper(Wrapper):
    """For agents that could use better judgement: they propose ten times as many designs as there are samples.

    A Gaussian process for each metric and constraint (`Surrogate`) keeps those with the best optimistic bound, one
    after the other as if each had turned out as expected; the others wait for another chance. It learns from every
    sample, and the agent is told of these alone. Where it has ranked the last twenty samples badly, the agent's own
    next proposals are simulated, until it ranks them better.

    Pre-selection of Y. Jin, "Surrogate-assisted evolutionary computation", Swarm and Evolutionary Computation 1, 2011.
    """

    key = "surrogate"

    @dataclass(frozen=True)
    class Own:
        """Hyperparameters.

        Attributes:
            proposals: of the agent for each sample.
            random: designs beside them for each sample, so that an agent that has settled is not all there is.
            initial: samples that are the agent's own, before there is a model.
            optimism: standard deviations by which a design may be better than expected.
            trust: Kendall correlation of predicted and true ranks below which the model has no say.
            rows: observations in a model: the best and the latest.
        """

        proposals: int = 10
        random: int = 20
        initial: int = 10
        optimism: float = 3.0
        trust: float = 0.3
        rows: int = 200

        def __post_init__(self) -> None:
            wrong = min(self.proposals, self.initial) < 1 or min(self.random, self.optimism) < 0 or self.rows < 10
            if wrong or not -1 <= self.trust <= 1:
                raise UsageError(
                    "surrogate: expected proposals and initial from 1, random and optimism from 0, rows from 10, "
                    "trust from -1 to 1"
                )

    def __init__(self, space: DesignSpace, config: Any = None, **study: Any) -> None:
        super().__init__(space, config, **study)
        self.rng = rng.generator(self.seed, "agent", self.key)  # the inner agent's stream is its own
        self._model = Surrogate(space, self.objective)
        self._told, self._sampled = Told(space), Unseen(space)
        self._waiting: Codes = np.empty((0, len(space)), np.int64)
        self._tuned = 0  # observations at the last search for hyperparameters
        self._expected: dict[Any, float] = {}  # canonical key -> predicted score, of designs that are being simulated
        self._record: deque[tuple[float, float]] = deque(maxlen=_WINDOW)  # predicted and true scores

    def ask(self, n: int) -> Codes:
        """``n`` of the inner agent's proposals (k, d), or of those that have waited; fewer when it has no more."""
        if len(self._told) < self.own.initial:
            return self.inner.ask(n)
        seen = self._told.capped(self.own.rows)
        tune = self._tuned == 0 or len(self._told) - self._tuned >= max(5, 0.1 * len(self._told))
        self._model.fit(seen, np.arange(len(seen)), iterations=8 if tune else 0)
        self._tuned = len(self._told) if tune else self._tuned
        if self.trusted:
            proposed = self.inner.ask(n * self.own.proposals)
            others = self.space.sample(n * self.own.random, self.rng)
            pool = self._sampled.fresh(np.concatenate([self._waiting, proposed, others]))
            chosen = self._choose(pool, seen, n)
            chosen = np.concatenate([chosen, proposed[: n - len(chosen)]])  # known ones, where it has no others
        else:
            chosen = self.inner.ask(n)
        scores = self._score(self._model.belief(chosen), len(chosen)) if len(chosen) else ()
        for key, score in zip(self.space.keys(self.space.canonical(chosen)).tolist(), scores, strict=True):
            self._expected[key] = float(score)
        return chosen

    def tell(self, evaluation: Evaluation) -> None:
        """Learn from the samples, compare them with what was expected, and tell the inner agent."""
        truth = np.where(evaluation.feasible, evaluation.reward, -_INFEASIBLE * violation(evaluation))
        for key, score in zip(self.space.keys(self.space.canonical(evaluation.codes)).tolist(), truth, strict=True):
            if key in self._expected:
                self._record.append((self._expected.pop(key), float(score)))
        self._told.add(evaluation)
        self._sampled.add(evaluation.codes)
        self.inner.tell(evaluation)

    @property
    def trusted(self) -> bool:
        """Whether the model has ranked the last samples better than ``trust``, or has not had the chance."""
        if len(self._record) < _WINDOW:
            return True
        predicted, true = zip(*self._record, strict=True)
        tau = float(kendalltau(predicted, true).statistic)
        return not tau < self.own.trust  # NaN: all alike, nothing is known against it

    def _choose(self, pool: Codes, seen: Evaluation, n: int) -> Codes:
        """``n`` designs of the pool, or fewer; the best of the others wait."""
        if len(pool) == 0:
            return pool
        belief = self._model.belief(pool)
        expected = self._score(belief, len(pool))
        left = np.ones(len(pool), np.bool_)
        chosen: list[int] = []
        for direction in self._directions(seen, min(n, len(pool))):
            bound = self._score(belief, len(pool), direction, self.own.optimism)
            chosen.append(int(np.argmax(np.where(left, bound, -np.inf))))
            left[chosen[-1]] = False
            if len(chosen) < n:
                belief.believe(chosen[-1])
        rest = np.flatnonzero(left)
        self._waiting = pool[rest[np.argsort(-expected[rest], kind="stable")[:_KEPT]]]
        return pool[chosen]

    def _score(self, belief: Belief, n: int, direction: Chebyshev | None = None, optimism: float = 0.0) -> Floats:
        """What is expected (n,) of designs, plus so many standard deviations, less their doubts about feasibility."""
        score = belief.log_feasible(n)
        if not belief.terms:
            return score
        if direction is not None:
            mean, sd = belief.costs()
            return np.asarray(score - direction.values(mean - optimism * sd))
        mean, sd = belief.reward()
        return np.asarray(score + mean + optimism * sd)

    def _directions(self, seen: Evaluation, n: int) -> list[Chebyshev | None]:
        """Of a trade-off the random directions to improve in, one a design."""
        if self.objective is None or not self.objective.pareto or not seen.feasible.any():
            return [None] * n
        parts = self._model.parts(seen)
        costs = np.stack([-w * parts[name] for name, w in self._model.weights.items()], axis=1)[seen.feasible]
        ideal, shown = costs.min(axis=0), costs[front(costs)]
        width = np.maximum(shown.max(axis=0) - ideal, 1e-3)
        return [Chebyshev(w, ideal, width) for w in self.rng.dirichlet(np.ones(len(ideal)), size=n)]
