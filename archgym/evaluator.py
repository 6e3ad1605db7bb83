"""The evaluator owns budget, cache, log and timing, so that no agent has to cooperate."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from archgym import rng
from archgym.errors import BudgetExhausted, ReplayMismatch, UnknownNameError, UsageError
from archgym.evaluation import TRACKS, Evaluation
from archgym.executor import Executor, Serial
from archgym.log import StudyLog
from archgym.pareto import front
from archgym.problem import Problem
from archgym.space import Codes


class Evaluator:
    """Evaluates designs under a budget of samples.

    A sample is one row handed in, duplicate or not. Simulations of a canonical design seen before
    come from the cache (deterministic simulators only). With a log that already holds rows the
    evaluator answers from it, and demands that the agent asks for the same designs again.

    Args:
        problem: what is evaluated.
        budget: samples; None is unlimited.
        track: ``"grey"`` shows metrics and violations, ``"scalar"`` only reward and feasibility.
        cache: remember every sample: repeated designs are simulated once, ``history`` exists. False is for
            endless loops over fast simulators: nothing is remembered and ``n_unique`` counts samples.
        log: where every sample is written.
        executor: where simulations run.
        recorded: rows of a log to answer from, and to hold the agent to; default: what ``log`` already holds.
        seed: of the study; simulators that are not deterministic get one stream per trial.

    Attributes:
        n_samples: rows evaluated so far.
        n_unique: distinct canonical designs among them.
        n_feasible: feasible rows among them.
        best: Evaluation of the best feasible row so far (length 1), or None.
        on_ask: called with the evaluator after every batch (progress).

    Raises:
        UsageError: a budget below 1.
    """

    def __init__(
        self,
        problem: Problem,
        budget: int | None = None,
        *,
        track: str = "grey",
        cache: bool = True,
        log: StudyLog | None = None,
        executor: Executor | None = None,
        recorded: Sequence[Mapping[str, Any]] | None = None,
        seed: int = 0,
    ) -> None:
        if budget is not None and budget < 1:
            raise UsageError(f"budget: expected at least 1 sample, got {budget}")
        if track not in TRACKS:
            raise UnknownNameError("track", track, TRACKS)
        if log is not None and not cache:
            raise UsageError("a logged study needs its cache: 'cached' is part of the log")
        self.problem = problem
        self.budget = budget
        self.track = track
        self.log = log
        self.on_ask: Callable[[Evaluator], None] | None = None
        self.n_samples = self.n_unique = self.n_feasible = self.n_asks = 0
        self.best: Evaluation | None = None
        self._executor = executor or Serial()
        self._seed = seed
        self._remember = cache
        self._reuse = problem.simulator.deterministic
        self._seen: dict[Any, int] = {}  # canonical key -> row of the store
        self._store = _Store()
        self._asked: list[tuple[Codes, npt.NDArray[np.int64], npt.NDArray[np.bool_]]] = []
        self._recorded = list(recorded if recorded is not None else log.recorded if log is not None else ())
        self._returned_at = time.perf_counter()
        if budget is not None and len(self._recorded) > budget:
            raise UsageError(f"the log holds {len(self._recorded)} rows, more than the budget of {budget}")

    @property
    def left(self) -> int:
        """Samples left; a large number when the budget is unlimited."""
        return 2**62 if self.budget is None else self.budget - self.n_samples

    @property
    def n_recorded(self) -> int:
        """Rows that the log held when it was opened."""
        return len(self._recorded)

    def __call__(self, codes: Codes) -> Evaluation:
        """Evaluate and log the rows (n, d).

        Returns:
            The Evaluation of all rows, reduced to codes, reward and feasibility on the scalar track.

        Raises:
            BudgetExhausted: more rows than ``left``; the first ``left`` are evaluated, logged and
                carried as ``partial``.
            UsageError: codes that are no designs of the space.
            ReplayMismatch: the log being resumed holds other designs at these trials.
        """
        started = time.perf_counter()
        codes = self.problem.space.check(codes)
        if len(codes) == 0:
            return self.problem.evaluate(codes)
        fits = codes[: self.left].copy()  # the caller may reuse its array
        evaluation = self._evaluate(fits) if len(fits) else None
        now = time.perf_counter()
        if self.log is not None and self.n_samples > len(self._recorded):
            self.log.timing(
                ask=self.n_asks - 1,
                rows=len(fits),
                agent_seconds=started - self._returned_at,
                evaluator_seconds=now - started,
            )
        self._returned_at = now
        if evaluation is not None and self.on_ask is not None:
            self.on_ask(self)
        shown = evaluation.scalar() if evaluation is not None and self.track == "scalar" else evaluation
        if len(fits) < len(codes) or shown is None:
            raise BudgetExhausted(
                f"the budget of {self.budget} samples is spent: {len(codes)} asked, {len(fits)} evaluated", shown
            )
        return shown

    @property
    def asks(self) -> npt.NDArray[np.int64]:
        """The number of the ask (n_samples,) that each sample belongs to (with ``cache`` only)."""
        return np.repeat(np.arange(len(self._asked)), [len(codes) for codes, _, _ in self._asked])

    def history(self) -> Evaluation:
        """Every sample so far, in order, with all columns (with ``cache`` only)."""
        if not self._asked:
            return self.problem.evaluate(np.empty((0, len(self.problem.space)), np.int64))
        codes, rows, cached = (np.concatenate(part) for part in zip(*self._asked, strict=True))
        return self._store.gather(rows, codes, cached)

    def front(self) -> Evaluation:
        """The non-dominated feasible samples so far, each canonical design once."""
        past = self.history()
        return past.take(front(np.where(past.feasible[:, None], past.values, np.nan)))

    def close(self) -> None:
        """Close the log and the executor; idempotent."""
        self._executor.close()
        if self.log is not None:
            self.log.close()

    # ---- inside ------------------------------------------------------------------------

    def _evaluate(self, codes: Codes) -> Evaluation:
        first = self.n_samples
        evaluation = (
            self._remembered(codes, first) if self._remember else self._outcome(codes, range(len(codes)), first)
        )
        self._write(evaluation, first)
        self.n_samples += len(codes)
        self.n_asks += 1
        self.n_unique = len(self._seen) if self._remember else self.n_samples
        self.n_feasible += int(evaluation.feasible.sum())
        self._note_best(evaluation)
        return evaluation

    def _remembered(self, codes: Codes, first: int) -> Evaluation:
        keys = self.problem.space.keys(self.problem.space.canonical(codes)).tolist()
        rows = np.empty(len(codes), np.int64)
        cached = np.empty(len(codes), np.bool_)
        fresh: list[int] = []
        new: dict[Any, int] = {}
        for i, key in enumerate(keys):
            row = self._seen.get(key, new.get(key))
            cached[i] = row is not None
            if row is None or not self._reuse:
                row = len(self._store) + len(fresh)
                new.setdefault(key, row)
                fresh.append(i)
            rows[i] = row
        if fresh:
            self._store.add(self._outcome(codes, fresh, first))
        for key, row in new.items():  # only now: a simulation that failed leaves no trace
            self._seen.setdefault(key, row)
        self._asked.append((codes, rows, cached))
        return self._store.gather(rows, codes, cached)

    def _outcome(self, codes: Codes, fresh: Sequence[int], first: int) -> Evaluation:
        """Evaluations of the rows ``fresh``, from the log as far as it reaches, else simulated."""
        old = [i for i in fresh if first + i < len(self._recorded)]
        new = [i for i in fresh if first + i >= len(self._recorded)]
        parts = []
        if old:
            parts.append(self._recall(codes[old], [self._recorded[first + i] for i in old]))
        if new:
            part = codes if len(new) == len(codes) else codes[new]
            seeds = None
            if not self.problem.simulator.deterministic:
                seeds = np.concatenate([rng.stream_seeds(self._seed, "sim", first + i, 1) for i in new])
            columns = self._executor.simulate(self.problem, part, seeds)
            parts.append(self.problem.score(part, columns))
        return parts[0] if len(parts) == 1 else Evaluation.concatenate(parts)

    def _recall(self, codes: Codes, lines: Sequence[Mapping[str, Any]]) -> Evaluation:
        for line, row in zip(lines, codes.tolist(), strict=True):
            _same_design(line, row)
        return replace(self.recall(self.problem, lines), cached=np.zeros(len(lines), np.bool_))

    @staticmethod
    def recall(problem: Problem, lines: Sequence[Mapping[str, Any]]) -> Evaluation:
        """Rows of a log as an Evaluation: the same bits as when they were simulated."""
        known = {text: code for code, text in enumerate(problem.simulator.reasons)}
        names = problem.metric_names
        return Evaluation(
            np.array([line["codes"] for line in lines], np.int64),
            names,
            _floats([[line["metrics"][name] for name in names] for line in lines]),
            _floats([[line["reward"]] for line in lines])[:, 0],
            _floats([line["values"] for line in lines]),
            _floats([line["violations"] for line in lines]),
            np.array([line["feasible"] for line in lines], np.bool_),
            np.array([known.get(line["reason"], 0) for line in lines], np.int64),
            np.array([line["cached"] for line in lines], np.bool_),
        )

    def _write(self, evaluation: Evaluation, first: int) -> None:
        skip = min(max(len(self._recorded) - first, 0), len(evaluation))
        for i in range(skip):  # repeated designs are not recalled above, so compare them here
            _same_design(self._recorded[first + i], evaluation.codes[i].tolist())
        if self.log is not None and skip < len(evaluation):
            rest = evaluation.take(slice(skip, None)) if skip else evaluation
            self.log.append(rest, self.problem.reasons(rest), trial=first + skip, ask=self.n_asks)

    def _note_best(self, evaluation: Evaluation) -> None:
        reward = np.where(evaluation.feasible, evaluation.reward, -np.inf)
        i = int(np.argmax(reward))
        if evaluation.feasible[i] and (self.best is None or reward[i] > self.best.reward[0]):
            self.best = evaluation.take(slice(i, i + 1))


def _same_design(line: Mapping[str, Any], asked: list[int]) -> None:
    if line["codes"] != asked:
        raise ReplayMismatch(
            f"row {line['trial']}: the log holds design {line['codes']}, the agent now asks for {asked}; "
            "a different run needs a folder of its own",
            line["trial"],
        )


def _floats(rows: list[list[float | None]]) -> npt.NDArray[np.float64]:
    table = [[np.nan if v is None else v for v in row] for row in rows]
    return np.array(table, np.float64).reshape(len(rows), len(rows[0]))


class _Store:
    """Outcomes of distinct designs in growing tables, gathered by row number."""

    def __init__(self) -> None:
        self._n = 0
        self._table: Evaluation | None = None

    def __len__(self) -> int:
        return self._n

    def add(self, part: Evaluation) -> None:
        """Append rows; capacity doubles, so that n rows cost O(n)."""
        need = self._n + len(part)
        if self._table is None:
            self._table = part
        elif need > len(self._table):
            spare = np.zeros(max(need, 2 * len(self._table)) - len(self._table), np.int64)
            self._table = Evaluation.concatenate([self._table, self._table.take(spare)])
        table = self._table
        for name in ("codes", "metric_values", "reward", "values", "violations", "feasible", "reason"):
            getattr(table, name)[self._n : need] = getattr(part, name)
        self._n = need

    def gather(self, rows: npt.NDArray[np.int64], codes: Codes, cached: npt.NDArray[np.bool_]) -> Evaluation:
        """The outcomes at ``rows``, under the codes as asked and their own ``cached`` flags."""
        assert self._table is not None
        t = self._table
        return Evaluation(
            codes,
            t.metric_names,
            t.metric_values[rows],
            t.reward[rows],
            t.values[rows],
            t.violations[rows],
            t.feasible[rows],
            t.reason[rows],
            cached,
        )
