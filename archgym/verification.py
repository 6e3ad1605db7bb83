"""Search on a proxy, verify on the simulator: what the designs that a proxy recommends are worth in truth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from archgym import rng
from archgym.errors import UsageError
from archgym.evaluation import Evaluation
from archgym.problem import Problem, ProblemSpec
from archgym.proxied import proxied
from archgym.proxies.scores import scores
from archgym.proxies.store import load_proxy
from archgym.spec import StudySpec
from archgym.study import prepare, search
from archgym.suite.problems import known, name_of

_BATCH = 50  # designs that the search on the proxy asks for at a time


@dataclass(frozen=True, eq=False)
class Verification:
    """Designs as a proxy predicts them and as they are.

    Attributes:
        problem: the real one.
        predicted, true: Evaluations of the same k + n designs: the k that the search on the proxy thinks best, best
            first, then n random ones.
        top: k.
        scores: "top" and "random" -> metric -> scores (see ``archgym.proxies.scores``) on the designs that exist.
        optimum: the best reward that is known, of the suite's optimum or of these designs.
        exact: whether it is the optimum of a suite problem.
    """

    problem: Problem
    predicted: Evaluation
    true: Evaluation
    top: int
    scores: dict[str, dict[str, dict[str, float]]]
    optimum: float
    exact: bool

    @property
    def regret(self) -> float:
        """How much worse than the best known the design is that the proxy thinks best: f / f* - 1; infinite if it is
        infeasible, or there is none."""
        return self._regret(1)

    @property
    def verified_regret(self) -> float:
        """The same of the best of the k designs, which simulating them tells."""
        return self._regret(self.top)

    def _regret(self, k: int) -> float:
        usable = self.true.feasible[: min(k, self.top)]
        if not usable.any():
            return float("inf")
        best = self.true.reward[: len(usable)][usable].max()
        return float(np.expm1(max(self.optimum - best, 0.0)))


def verify(
    folder: str | Path,
    problem: ProblemSpec | None = None,
    *,
    top: int = 20,
    random: int = 100,
    samples: int = 10_000,
    agent: str = "genetic",
    pessimistic: bool = True,
    seed: int = 0,
    on_step: Callable[[int, int], None] | None = None,
) -> Verification:
    """Search on a proxy and simulate the best designs found, and random ones beside them.

    Args:
        folder: of the proxy.
        problem: with the objective to search for; None is the first one that its data came from.
        top: of the best designs found.
        random: designs.
        samples: of the search on the proxy.
        agent: that searches.
        pessimistic: search by the worse ends of the intervals, among designs like the learnt ones only
            (``sim.pessimistic`` of the simulator ``proxy``).
        seed: of search and random designs.
        on_step: called with (samples done, samples in all) of the search.

    Raises:
        UsageError: no proxy, or it does not know the problem.
    """
    if top < 1 or random < 0:
        raise UsageError(f"verify: expected at least 1 of the best designs and 0 random ones, got {top} and {random}")
    if problem is None:
        problem = ProblemSpec.from_dict(load_proxy(folder)[1]["sources"][0]["problem"])
    plain = proxied(problem, folder)
    cautious = proxied(problem, folder, pessimistic=True) if pessimistic else plain
    spec, searched = prepare(StudySpec(cautious, agent, {}, samples, _BATCH, "grey", seed))
    found = search(
        spec, searched, on_ask=None if on_step is None else lambda evaluator: on_step(evaluator.n_samples, samples)
    )
    best = _best(found.samples, top)
    real, guessed = Problem(problem), Problem(plain)
    drawn = real.space.sample(random, rng.generator(seed, "verify"))
    codes = np.concatenate([real.space.canonical(found.samples.codes[best]), real.space.canonical(drawn)])
    predicted, true = guessed.evaluate(codes), real.evaluate(codes)
    optimum, exact = _optimum(real, true)
    parts = {"top": slice(0, len(best)), "random": slice(len(best), None)}
    judged = {part: _scores(guessed, codes[rows], true.take(rows)) for part, rows in parts.items()}
    return Verification(real, predicted, true, len(best), judged, optimum, exact)


def _best(samples: Evaluation, k: int) -> npt.NDArray[np.int64]:
    """Trials of the k best distinct feasible samples, best first."""
    usable = np.flatnonzero(samples.feasible & ~samples.cached)
    return usable[np.argsort(-samples.reward[usable], kind="stable")[:k]]


def _optimum(problem: Problem, true: Evaluation) -> tuple[float, bool]:
    facts = known(name_of(problem.spec))
    if facts is not None and not problem.objective.pareto:
        return float(facts["optimum"]["reward"]), True
    return float(true.reward[true.feasible].max()) if true.feasible.any() else -np.inf, False


def _scores(guessed: Problem, codes: npt.NDArray[np.int64], true: Evaluation) -> dict[str, dict[str, float]]:
    """Metric -> scores on the designs that exist by prediction and in truth."""
    columns, remarks = guessed.simulate(codes), guessed.remarks(codes)
    out = {}
    for name in guessed.metric_names:
        usable = np.isfinite(true.metrics[name]) & np.isfinite(columns[name])
        if usable.any():
            ends = (remarks[f"low.{name}"][usable], remarks[f"high.{name}"][usable])
            maximise = guessed.metrics[name].maximise
            out[name] = scores(true.metrics[name][usable], columns[name][usable], *ends, maximise=maximise)
    return out
