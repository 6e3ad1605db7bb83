"""Search on a proxy, verify on the simulator: what the designs that a proxy recommends are worth in truth."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt

from archgym import rng
from archgym.dataset.dataset import Dataset
from archgym.dataset.relearning import learnt_lessons, relearn
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
        predicted, true: Evaluations of the same k + n designs: the k that searches on the proxy think best, round by
            round, then n random ones.
        rounds: how many of the k had been simulated after each round.
        scores: "top" and "random" -> metric -> scores (see ``archgym.proxies.scores``) on the designs that exist.
        optimum: the best reward that is known, of the suite's optimum or of these designs.
        exact: whether it is the optimum of a suite problem.
    """

    problem: Problem
    predicted: Evaluation
    true: Evaluation
    rounds: tuple[int, ...]
    scores: dict[str, dict[str, dict[str, float]]]
    optimum: float
    exact: bool

    @property
    def top(self) -> int:
        """k."""
        return self.rounds[-1]

    @property
    def regret(self) -> float:
        """How much worse than the best known the design is that the proxy thinks best: f / f* - 1; infinite if it is
        infeasible, or there is none."""
        return self._regret(1)

    @property
    def verified_regret(self) -> float:
        """The same of the best of the k designs, which simulating them tells."""
        return self._regret(self.top)

    @property
    def regret_by_round(self) -> list[float]:
        """The same of the best of all designs that were simulated up to each round."""
        return [self._regret(k) for k in self.rounds]

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
    rounds: int = 1,
    dataset: Dataset | None = None,
    on_step: Callable[[int, int], None] | None = None,
) -> Verification:
    """Search on a proxy and simulate the best designs found, and random ones beside them.

    A search by expected metrics finds designs whose prediction is too good, or that just miss a limit; one by the worse
    ends of the intervals, among designs like the learnt ones only, finds what is safe (``sim.pessimistic`` of the
    simulator ``proxy``; compare B. Trabucco et al., "Conservative Objective Models", ICML 2021). Half of the designs
    come from each, the safe ones first, and no two that are predicted to be alike. Where there are several rounds the
    model learns between them what was simulated: a prediction that was too good is wrong only once.

    Args:
        folder: of the proxy.
        problem: with the objective to search for; None is the first one that its data came from.
        top: how many of the best designs found, in every round.
        random: designs.
        samples: of both searches on the proxy, in every round.
        agent: that searches.
        seed: of search and random designs.
        rounds: how often.
        dataset: what the proxy learnt from; needed for more than one round.
        on_step: called with (samples done, samples in all); learning between rounds counts as a search.

    Raises:
        UsageError: no proxy, it does not know the problem, rounds without a data set, or one that it has not learnt
            from.
    """
    if top < 1 or random < 0 or rounds < 1:
        raise UsageError(
            f"verify: expected at least 1 of the best designs, 0 random ones and 1 round; got {top}, {random}, {rounds}"
        )
    if rounds > 1 and dataset is None:
        raise UsageError("verify: several rounds learn again: expected the data set that the proxy learnt from")
    if problem is None:
        problem = ProblemSpec.from_dict(load_proxy(folder)[1]["sources"][0]["problem"])
    real = Problem(problem)
    taught = None if dataset is None else learnt_lessons(folder, dataset, real)
    drawn = real.space.canonical(real.space.sample(random, rng.generator(seed, "verify")))
    by_chance = _Guess.of(Problem(proxied(problem, folder)), drawn)
    guesses: list[_Guess] = []
    counts: list[int] = []
    codes, true = drawn[:0], real.evaluate(drawn[:0])

    def progress(part: int) -> Callable[[int, int], None]:
        """Of one of the searches and fits in between, as progress of all."""
        share, total = 1.0 / (2 * rounds - 1), rounds * samples
        return lambda done, n: None if on_step is None else on_step(round(total * share * (part + done / n)), total)

    with TemporaryDirectory() as scratch:
        for turn in range(rounds):
            fresh, guessed = _recommended(problem, folder, codes, top, samples, agent, seed, progress(2 * turn))
            guesses.append(_Guess.of(guessed, fresh))
            codes, true = np.concatenate([codes, fresh]), Evaluation.concatenate([true, real.evaluate(fresh)])
            counts.append(len(codes))
            if turn + 1 < rounds:
                assert taught is not None
                again = Path(scratch) / str(turn)
                relearn(folder, taught, real, true, again, progress(2 * turn + 1))
                folder = again
    best = _Guess.joined(guesses)
    there = real.evaluate(drawn)
    everything = Evaluation.concatenate([true, there])
    judged = {"top": best.scores(real, true), "random": by_chance.scores(real, there)}
    predicted = Evaluation.concatenate([best.evaluation, by_chance.evaluation])
    return Verification(real, predicted, everything, tuple(counts), judged, *_optimum(real, everything))


def _recommended(
    problem: ProblemSpec,
    folder: str | Path,
    known: Codes,
    top: int,
    samples: int,
    agent: str,
    seed: int,
    on_step: Callable[[int, int], None],
) -> tuple[Codes, Problem]:
    """The designs (top, d) that two searches on a proxy think best, beside those that are known; and its problem."""
    plain = proxied(problem, folder)
    guessed = Problem(plain)
    best = known
    each = -(-samples // 2)
    for begun, (spec, k) in enumerate(((proxied(problem, folder, pessimistic=True), -(-top // 2)), (plain, top))):
        study, searched = prepare(StudySpec(spec, agent, {}, each, _BATCH, "grey", seed))

        def step(evaluator: Evaluator, begun: int = begun) -> None:
            on_step(begun * each + evaluator.n_samples, 2 * each)

        found = search(study, searched, on_ask=step)
        best = np.concatenate([best, _best(found.samples, guessed, best, k + len(known) - len(best))])
    return best[len(known) :], guessed


@dataclass(frozen=True, eq=False)
class _Guess:
    """What a proxy says of designs: as an Evaluation, and the columns ``NAME``, ``low.NAME``, ``high.NAME``."""

    evaluation: Evaluation
    columns: Mapping[str, npt.NDArray[Any]]

    @classmethod
    def of(cls, guessed: Problem, codes: Codes) -> _Guess:
        columns, remarks = guessed.simulate(codes), guessed.remarks(codes)
        ends = {f"{end}.{name}": remarks[f"{end}.{name}"] for name in guessed.metric_names for end in ("low", "high")}
        return cls(guessed.score(codes, columns), {name: columns[name] for name in guessed.metric_names} | ends)

    @classmethod
    def joined(cls, parts: Sequence[_Guess]) -> _Guess:
        columns = {name: np.concatenate([p.columns[name] for p in parts]) for name in parts[0].columns}
        return cls(Evaluation.concatenate([p.evaluation for p in parts]), columns)

    def scores(self, real: Problem, true: Evaluation) -> dict[str, dict[str, float]]:
        """Metric -> scores on the designs that exist by prediction and in truth."""
        out = {}
        for name in self.evaluation.metric_names:
            usable = np.isfinite(true.metrics[name]) & np.isfinite(self.columns[name])
            if usable.any():
                parts = (self.columns[key][usable] for key in (name, f"low.{name}", f"high.{name}"))
                out[name] = scores(true.metrics[name][usable], *parts, maximise=real.metrics[name].maximise)
        return out


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
