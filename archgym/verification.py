"""Search on a proxy, verify on the simulator: what the designs that a proxy recommends are worth in truth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from archgym import rng
from archgym.errors import UsageError
from archgym.evaluation import Evaluation
from archgym.evaluator import Evaluator
from archgym.problem import Problem, ProblemSpec
from archgym.proxied import proxied
from archgym.proxies.scores import scores
from archgym.proxies.store import load_proxy
from archgym.space import Codes
from archgym.spec import StudySpec
from archgym.study import prepare, search
from archgym.suite.problems import known, name_of

_BATCH = 50  # designs that a search on the proxy asks for at a time
_ALIKE = 2e-3  # difference of all logarithms of metrics below which two predictions are one
_DEPTH = 50  # designs looked at for each one that is simulated


@dataclass(frozen=True, eq=False)
class Verification:
    """Designs as a proxy predicts them and as they are.

    Attributes:
        problem: the real one.
        predicted, true: Evaluations of the same k + n designs: the k that searches on the proxy think best, then n
            random ones.
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
    seed: int = 0,
    on_step: Callable[[int, int], None] | None = None,
) -> Verification:
    """Search on a proxy and simulate the best designs found, and random ones beside them.

    A search by expected metrics finds designs whose prediction is too good, or that just miss a limit; one by the worse
    ends of the intervals, among designs like the learnt ones only, finds what is safe (``sim.pessimistic`` of the
    simulator ``proxy``; compare B. Trabucco et al., "Conservative Objective Models", ICML 2021). Half of the designs
    come from each, the safe ones first, and no two that are predicted to be alike.

    Args:
        folder: of the proxy.
        problem: with the objective to search for; None is the first one that its data came from.
        top: how many of the best designs found.
        random: designs.
        samples: of both searches on the proxy.
        agent: that searches.
        seed: of search and random designs.
        on_step: called with (samples done, samples in all).

    Raises:
        UsageError: no proxy, or it does not know the problem.
    """
    if top < 1 or random < 0:
        raise UsageError(f"verify: expected at least 1 of the best designs and 0 random ones, got {top} and {random}")
    if problem is None:
        problem = ProblemSpec.from_dict(load_proxy(folder)[1]["sources"][0]["problem"])
    plain = proxied(problem, folder)
    real, guessed = Problem(problem), Problem(plain)
    best = np.empty((0, len(real.space)), np.int64)
    each = -(-samples // 2)
    for begun, (spec, k) in enumerate(((proxied(problem, folder, pessimistic=True), -(-top // 2)), (plain, top))):
        study, searched = prepare(StudySpec(spec, agent, {}, each, _BATCH, "grey", seed))

        def step(evaluator: Evaluator, begun: int = begun) -> None:
            if on_step is not None:
                on_step(begun * each + evaluator.n_samples, 2 * each)

        found = search(study, searched, on_ask=step)
        best = np.concatenate([best, _best(found.samples, guessed, best, k - len(best))])
    drawn = real.space.sample(random, rng.generator(seed, "verify"))
    codes = np.concatenate([best, real.space.canonical(drawn)])
    predicted, true = guessed.evaluate(codes), real.evaluate(codes)
    optimum, exact = _optimum(real, true)
    parts = {"top": slice(0, len(best)), "random": slice(len(best), None)}
    judged = {part: _scores(guessed, codes[rows], true.take(rows)) for part, rows in parts.items()}
    return Verification(real, predicted, true, len(best), judged, optimum, exact)


def _best(samples: Evaluation, guessed: Problem, chosen: Codes, k: int) -> Codes:
    """The k best feasible samples that are not chosen yet, best first; none that is predicted to be like another or a
    chosen one, as long as there are others."""
    usable = np.flatnonzero(samples.feasible & ~samples.cached)
    order = usable[np.argsort(-samples.reward[usable], kind="stable")[: _DEPTH * k]]
    codes = guessed.space.canonical(samples.codes[order])
    codes = codes[~np.isin(guessed.space.keys(codes), guessed.space.keys(chosen))]
    with np.errstate(divide="ignore", invalid="ignore"):
        metrics = np.log(guessed.evaluate(np.concatenate([chosen, codes])).metric_values)
    different = list(range(len(chosen)))
    alike: list[int] = []
    for i in range(len(chosen), len(metrics)):
        apart = np.abs(metrics[different] - metrics[i]).max(axis=1, initial=0.0)
        (alike if (apart < _ALIKE).any() else different).append(i)
    return codes[np.array([*different[len(chosen) :], *alike], np.int64)[:k] - len(chosen)]


def _optimum(problem: Problem, true: Evaluation) -> tuple[float, bool]:
    facts = known(name_of(problem.spec))
    if facts is not None and not problem.objective.pareto:
        return float(facts["optimum"]["reward"]), True
    return float(true.reward[true.feasible].max()) if true.feasible.any() else -np.inf, False


def _scores(guessed: Problem, codes: Codes, true: Evaluation) -> dict[str, dict[str, float]]:
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
