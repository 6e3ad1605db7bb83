"""Bayesian optimisation on finite lattices: a model of every metric and constraint, proposals by small steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from archgym.agent import Agent
from archgym.errors import UsageError
from archgym.evaluation import Evaluation
from archgym.pareto import front
from archgym.space import Codes, DesignSpace, Level

from .founders import founders
from .improvement import Chebyshev, log_expected_improvement
from .neighbourhood import Neighbourhood
from .ranking import ranks
from .surrogate import Belief, Surrogate
from .told import Told
from .unseen import Unseen

Floats = npt.NDArray[np.float64]

_MUTANTS, _CROSSED, _RANDOM = 200, 60, 100  # candidates of each kind
_CENTRES = 2  # elites whose whole neighbourhood is looked at
_CLIMBERS = 4  # candidates that a round climbs on from
_TRUSTED = 3  # founders that a prior speaks for
_PROMISING, _PRIOR_ROUNDS = 100, 10  # best designs of the prior, and climbs from them: where those founders come from
_DRAWS = 48  # normal draws behind an expected improvement in a trade-off


class Bayesian(Agent):
    """Gaussian processes over logarithms of metrics, expected improvement times the probability of feasibility.

    On the grey track each metric of the objective and each constraint is modelled by itself and the objective is
    composed of the predictions; with a Pareto objective every design is chosen for another random direction of the
    trade-off. On the scalar track reward and feasibility are modelled. The acquisition function is maximised over
    designs near the best ones, mutants, crossings and random ones, from which it climbs by small steps: what
    matters most on discrete spaces (C. White et al., "BANANAS", AAAI 2021). No design is proposed twice. With a prior
    every model starts from its mean, as far as observations bear it out, and some founders are its best designs.
    """

    @dataclass(frozen=True)
    class Config:
        """Hyperparameters.

        Attributes:
            initial: designs far from each other to begin with.
            elites: best designs that candidates descend from.
            rounds: climbs of the best candidates.
            rows: observations in a model: half the best, the others the latest and a sample of the rest, so that the
                cost of an ask stays bounded.
            ahead: designs chosen at a time once there are more observations than ``rows``; later asks get what an
                earlier one left.
            refit: new observations before hyperparameters are searched again; a tenth of all if that is more.
            iterations: steps of that search.
        """

        initial: int = 10
        elites: int = 8
        rounds: int = 2
        rows: int = 200
        ahead: int = 20
        refit: int = 5
        iterations: int = 8

        def __post_init__(self) -> None:
            least = min(self.initial, self.elites, self.ahead, self.refit, self.iterations)
            if least < 1 or self.rounds < 0 or self.rows < 10:
                raise UsageError(
                    "bayesian: expected initial, elites, ahead, refit, iterations from 1, rounds from 0, rows from 10"
                )

    search_space: ClassVar[Mapping[str, tuple[Level, ...]]] = {
        "initial": (5, 10, 20),
        "elites": (4, 8, 16),
        "rounds": (0, 1, 2, 4),
        "rows": (100, 200, 300),
        "ahead": (10, 20, 40),
        "refit": (5, 10, 20),
        "iterations": (4, 8, 16),
    }
    anytime = True
    uses_prior = True
    config: Config

    def __init__(self, space: DesignSpace, config: Any = None, **study: Any) -> None:
        super().__init__(space, config, **study)
        self._unseen = Unseen(space)
        self._surrogate = Surrogate(space, self.objective)
        self._moves = Neighbourhood(space)
        self._is_pareto = self.objective is not None and self.objective.pareto
        self._draws = self.rng.standard_normal((_DRAWS, len(self._surrogate.weights)))
        self._asked = 0
        spread = self.config.initial if self.prior is None else max(self.config.initial - _TRUSTED, 1)
        self._founders = founders(space, self._surrogate.lattice, spread, self.rng)
        self._told = Told(space)
        self._waiting = self._founders[:0]  # chosen already, to be asked for next
        self._fitted = self._tuned = 0  # observations at the last fit, and at the last search for hyperparameters

    def ask(self, n: int) -> Codes:
        """``n`` new designs (k, d): founders, then proposals; fewer only when the space runs out."""
        seen = self._told.rows
        if self.prior is not None:  # not before the first ask: it takes a moment
            self._founders = np.concatenate([self._learn(self.prior), self._founders])
            self.prior = None  # learned
        start = max(self._asked, len(self._told))  # a warm start takes the founders' place
        first = self._founders[start : start + n]
        out = self._completed(first, len(first))
        if len(first) < n:
            proposed = out[:0] if seen is None else self._proposed(seen, n - len(first))
            out = np.concatenate([out, self._completed(proposed, n - len(first))])
        self._asked += len(out)
        return out

    def tell(self, evaluation: Evaluation) -> None:
        """Take in observations; a design that comes again is not counted twice."""
        self._unseen.add(evaluation.codes)
        self._told.add(evaluation)

    # ---- inside ------------------------------------------------------------------------

    def _completed(self, codes: Codes, n: int) -> Codes:
        """Those of ``codes`` that are new, and random designs up to ``n``."""
        new = self._unseen.claim(codes, n)
        return new if len(new) == n else np.concatenate([new, self._unseen.draw(n - len(new), self.rng)])

    def _learn(self, prior: Evaluation) -> Codes:
        """Take in the prior; founders (k, d) that should be good if this problem were like it."""
        known = Told(self.space)
        known.add(prior)
        assert known.rows is not None
        order = np.lexsort(ranks(known.rows).T[::-1])
        self._surrogate.believe(known.rows, self._rows(order))
        pool = self._unseen.fresh(known.rows.codes[order[:_PROMISING]])
        scores = self._surrogate.promise(pool)
        for _ in range(_PRIOR_ROUNDS if len(pool) else 0):
            more = self._unseen.fresh(self._moves.steps(pool[_top(scores[None], _CLIMBERS)]), pool)
            pool, scores = np.concatenate([pool, more]), np.concatenate([scores, self._surrogate.promise(more)])
        return _apart(pool[np.argsort(-scores, kind="stable")], _TRUSTED)

    def _proposed(self, seen: Evaluation, n: int) -> Codes:
        """``n`` proposals, or fewer, with many observations from those that wait."""
        waiting = self._unseen.fresh(self._waiting)  # others may have tried them in the meantime
        if len(waiting) < n:
            more = n if len(seen) <= self.config.rows else max(n, self.config.ahead)
            waiting = self._propose(seen, more)
        self._waiting = waiting[n:]
        return waiting[:n]

    def _propose(self, seen: Evaluation, n: int) -> Codes:
        """``n`` designs, or fewer, that are worth a sample, chosen one after the other."""
        order = np.lexsort(ranks(seen).T[::-1])
        self._fit(seen, order)
        criteria = self._criteria(seen, n)
        pool = self._unseen.fresh(self._candidates(seen, order))
        scores = self._scores(pool, criteria)
        for _ in range(self.config.rounds if len(pool) else 0):
            more = self._unseen.fresh(self._moves.steps(pool[_top(scores[:_CLIMBERS], _CLIMBERS)]), pool)
            pool, scores = np.concatenate([pool, more]), np.concatenate([scores, self._scores(more, criteria)], axis=1)
        return self._chosen(pool[_top(scores, max(4 * n, 30))], criteria, n)

    def _scores(self, pool: Codes, criteria: list[Chebyshev | float]) -> Floats:
        """Scores (len(criteria), n) of designs (n, d)."""
        belief = self._surrogate.belief(pool)
        return np.stack([self._score(belief, criterion, len(pool)) for criterion in criteria])

    def _chosen(self, pool: Codes, criteria: list[Chebyshev | float], n: int) -> Codes:
        belief = self._surrogate.belief(pool)
        rows: list[int] = []
        for k in range(min(n, len(pool))):
            score = self._score(belief, criteria[k % len(criteria)], len(pool))
            score[rows] = -np.inf
            rows.append(int(np.argmax(score)))
            if k + 1 < n:
                belief.believe(rows[-1])
        return pool[rows]

    def _fit(self, seen: Evaluation, order: npt.NDArray[np.int64]) -> None:
        if self._fitted == len(seen):
            return
        tune = self._fitted == 0 or len(seen) - self._tuned >= max(self.config.refit, 0.1 * len(seen))
        self._surrogate.fit(seen, self._rows(order), iterations=self.config.iterations if tune else 0)
        self._fitted = len(seen)
        self._tuned = len(seen) if tune else self._tuned

    def _rows(self, order: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        most = self.config.rows
        if len(order) <= most:
            return np.arange(len(order))
        best = order[: most // 2]
        others = np.setdiff1d(np.arange(len(order)), best)
        latest, rest = others[-(most // 4) :], others[: -(most // 4)]
        spread = np.linspace(0, len(rest) - 1, most - len(best) - len(latest)).astype(np.int64)
        return np.unique(np.concatenate([best, latest, rest[spread]]))

    def _criteria(self, seen: Evaluation, n: int) -> list[Chebyshev | float]:
        """What to improve on: the best reward so far (-inf while there is none), or directions of the trade-off."""
        if not self._is_pareto or not seen.feasible.any():
            return [float(self._surrogate.rewards(seen).max())]
        costs = self._costs(seen)
        ideal = costs.min(axis=0)
        shown = costs[front(costs)]
        width = np.maximum(shown.max(axis=0) - ideal, 1e-3)
        out: list[Chebyshev | float] = []
        for weights in self.rng.dirichlet(np.ones(len(ideal)), size=n):
            direction = Chebyshev(weights, ideal, width)
            out.append(replace(direction, best=float(direction.values(costs).min())))
        return out

    def _costs(self, seen: Evaluation) -> Floats:
        """Costs (k, m) of the feasible rows: logarithms, minimised."""
        parts = self._surrogate.parts(seen)
        table = np.stack([-w * parts[name] for name, w in self._surrogate.weights.items()], axis=1)
        return np.asarray(table[seen.feasible])

    def _score(self, belief: Belief, criterion: Chebyshev | float, n: int) -> Floats:
        score = belief.log_feasible(n)
        if isinstance(criterion, Chebyshev):
            return score + criterion.log_improvement(*belief.costs(), self._draws)
        if not belief.terms or criterion == -np.inf:
            return score  # first of all something feasible
        return score + log_expected_improvement(*belief.reward(), criterion)

    def _candidates(self, seen: Evaluation, order: npt.NDArray[np.int64]) -> Codes:
        """Raw designs (n, d) around the best so far and everywhere else."""
        d, rng, nvec = len(self.space), self.rng, self.space.nvec
        elites = seen.codes[self._elites(seen, order)]
        centres = elites[:_CENTRES]
        mothers = elites[rng.integers(0, len(elites), _MUTANTS)]
        changes = (rng.geometric(0.5, _MUTANTS) + 1) / d  # two parameters or more: single steps are there already
        mutated = rng.random((_MUTANTS, d)) < changes[:, None]
        mutants = np.where(mutated, rng.integers(0, nvec, size=(_MUTANTS, d)), mothers)
        a, b = (elites[rng.integers(0, len(elites), _CROSSED)] for _ in range(2))
        crossed = np.where(rng.random((_CROSSED, d)) < 0.5, a, b)
        near = [self._moves.steps(centres), self._moves.exchanges(centres)]
        return np.concatenate([*near, mutants, crossed, self.space.sample(_RANDOM, rng)])

    def _elites(self, seen: Evaluation, order: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        k = self.config.elites
        if self._is_pareto and seen.feasible.any():
            shown = np.flatnonzero(seen.feasible)[front(self._costs(seen))]
            return np.asarray(self.rng.permutation(shown)[:k])
        return order[:k]


def _apart(codes: Codes, n: int) -> Codes:
    """The first ``n``, or fewer, of ``codes`` (k, d) that differ from each other in most parameters: neighbours would
    all share the fate of the first."""
    chosen: list[int] = []
    for i in range(len(codes)):
        if len(chosen) == n:
            break
        if (2 * (codes[chosen] != codes[i]).sum(axis=1) > codes.shape[1]).all():
            chosen.append(i)
    return codes[chosen]


def _top(scores: Floats, n: int) -> npt.NDArray[np.int64]:
    """Columns of the ``n`` best by any row of scores (k, m), about as many by each."""
    each = -(-n // len(scores))
    return np.unique(np.argsort(-scores, axis=1, kind="stable")[:, :each])
