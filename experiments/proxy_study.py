"""How well proxies predict, over the number of rows, over models, and over where the rows come from.

Every score is on held-back rows; unless asked otherwise they share no design and no outcome with any row that could be
learnt (`leak_free`).
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from threadpoolctl import threadpool_limits

from archgym import rng
from archgym.dataset.learning import Lessons, score
from archgym.dataset.splits import Split, leak_free
from archgym.errors import UsageError
from archgym.problem import Problem
from archgym.proxies.model import ProxyModel
from archgym.space import Codes

Rows = npt.NDArray[np.int64]
Step = Callable[[int, int], None]

SPLITS = ("leak-free", "random")
MIXED = "all agents"
_ELITE = 0.05  # of the held-back rows, by their true reward
_BATCH, _SINGLE = 10_000, 20  # designs in a batch, and single ones, whose time is taken


@dataclass(frozen=True)
class Curves:
    """What to vary.

    Attributes:
        rows: numbers of rows to learn from; of 3,000 or more a fifth calibrates intervals.
        models: kinds of models.
        seeds: of split, draw and model.
        test: share of the rows that is held back.
        split: ``"leak-free"``, or ``"random"`` as the predecessor's.
    """

    rows: tuple[int, ...] = (100, 500, 1560)
    models: tuple[str, ...] = ("auto", "random-forest", "additive", "nearest")
    seeds: tuple[int, ...] = (0, 1, 2)
    test: float = 0.4
    split: str = "leak-free"

    def __post_init__(self) -> None:
        if self.split not in SPLITS:
            raise UsageError(f"split: expected one of {', '.join(SPLITS)}, got '{self.split}'")
        if not self.rows or min(self.rows) < 10 or not self.seeds or not self.models:
            raise UsageError("study: expected at least 10 rows to learn from, one model and one seed")


def learning_curves(known: Lessons, plan: Curves, on_step: Step | None = None) -> pd.DataFrame:
    """Scores by model and number of rows.

    Returns:
        One row for each ``model``, ``rows``, ``seed`` and ``metric``, with its scores (``archgym.proxies.scores``).

    Raises:
        UsageError: fewer rows than the plan's smallest number.
    """
    out: list[dict[str, Any]] = []
    done, todo = 0, len(plan.seeds) * len(plan.rows) * len(plan.models)
    for seed in plan.seeds:
        split = _split(known, plan, seed)
        pool = rng.generator(seed, "curve").permutation(split.train)
        if len(pool) < min(plan.rows):
            raise UsageError(f"study: expected at least {min(plan.rows)} rows to learn from, got {len(pool)}")
        for n in plan.rows:
            for kind in plan.models:
                if n <= len(pool):
                    found = _learnt(known, kind, pool[:n], seed)
                    out += _listed({"model": kind, "rows": n, "seed": seed}, score(found, known, split.test))
                done += 1
                if on_step is not None:
                    on_step(done, todo)
    return pd.DataFrame(out)


def source_curves(known: Lessons, problem: Problem, plan: Curves, on_step: Step | None = None) -> pd.DataFrame:
    """Scores by the agent whose rows are learnt, against equally many rows of all agents in equal parts; of the plan's
    first model.

    Returns:
        One row for each ``agent``, ``rows``, ``seed``, ``region`` and ``metric``: the region is ``uniform`` (held-back
        rows of random search, if there are any, else all) or ``elite`` (the best twentieth of all held-back rows).

    Raises:
        UsageError: rows of one agent only.
    """
    by_agent = known.frame["agent"].to_numpy()
    agents = sorted(set(by_agent.tolist()))
    if len(agents) < 2:
        raise UsageError(f"study by agent: expected rows of several agents, got those of {', '.join(agents)}")
    reward = problem.objective.reward({n: known.frame[f"metric.{n}"].to_numpy(np.float64) for n in known.metrics})
    out: list[dict[str, Any]] = []
    done, todo = 0, len(plan.seeds) * len(plan.rows) * (len(agents) + 1)
    for seed in plan.seeds:
        split = _split(known, plan, seed)
        regions = _regions(split.test, by_agent, reward)
        pool = rng.generator(seed, "curve").permutation(split.train)
        each = {agent: pool[by_agent[pool] == agent] for agent in agents}
        for n in plan.rows:
            drawn = {agent: rows[:n] for agent, rows in each.items() if len(rows) >= n}
            share = -(-n // len(agents))
            drawn[MIXED] = np.concatenate([rows[:share] for rows in each.values()])[:n]
            for agent, rows in drawn.items():
                found = _learnt(known, plan.models[0], rows, seed)
                for region, test in regions.items():
                    where = {"agent": agent, "rows": n, "seed": seed, "region": region}
                    out += _listed(where, score(found, known, test))
                done += 1
                if on_step is not None:
                    on_step(done, todo)
    return pd.DataFrame(out)


def speeds(known: Lessons, problem: Problem, models: Sequence[str], rows: int) -> pd.DataFrame:
    """Microseconds a design of each model and of the simulator, one thread, in batches and one by one.

    Measured in this process, one after the other, medians of five; and of a process that is started for one design, as
    tools without a library are run (median of three).

    Raises:
        UsageError: models beside a lower fidelity, whose time would have to be counted too.
    """
    if known.lower:
        raise UsageError("study: the speed of models beside a lower fidelity is not measured; leave out one of the two")
    pool = rng.generator(0, "curve").permutation(len(known))[:rows]
    random = rng.generator(0, "speed")
    designs = problem.space.canonical(problem.space.sample(_BATCH, random))
    features = np.resize(known.features, (_BATCH, known.features.shape[1]))
    out = []
    with threadpool_limits(1):
        few = max(_SINGLE, min(_BATCH, int(2.0 / problem.cost_seconds)))
        out.append(_timed("simulator", lambda codes: problem.evaluate(codes), designs[:few]))
        process = 1e6 * _median_seconds(lambda: _in_a_process(problem), 3)
        out.append({"what": "simulator, a process each", "batch": 1, "us_batch": process, "us_single": process})
        for kind in models:
            model = _learnt(known, kind, pool, 0)

            def predict(codes: Codes, model: ProxyModel = model) -> object:
                return model.predict(codes, features[: len(codes)])

            out.append(_timed(kind, predict, designs))
    return pd.DataFrame(out)


def _split(known: Lessons, plan: Curves, seed: int) -> Split:
    if plan.split == "leak-free":
        return leak_free(known.frame, plan.test, seed=seed)
    order = rng.generator(seed, "split").permutation(len(known))
    n = round(plan.test * len(known))
    return Split(np.sort(order[n:]), np.sort(order[:n]), "")


def _learnt(known: Lessons, kind: str, rows: Rows, seed: int) -> ProxyModel:
    """A model of the metrics alone: constraints take their time, and no score is about them."""
    table = replace(known.table(rows), slacks={})
    return ProxyModel(known.space, kind, seed=seed).fit(table, maximise=known.maximise)


def _regions(test: Rows, by_agent: npt.NDArray[Any], reward: npt.NDArray[np.float64]) -> dict[str, Rows]:
    usable = test[np.isfinite(reward[test])]
    best = usable[np.argsort(-reward[usable], kind="stable")[: max(10, round(_ELITE * len(usable)))]]
    uniform = test[by_agent[test] == "random"]
    return {"uniform": uniform if len(uniform) else test, "elite": np.sort(best)}


def _listed(where: dict[str, Any], found: dict[str, dict[str, float]]) -> list[dict[str, Any]]:
    return [
        {**where, "metric": metric, "test_rows": values["rows"], **{k: v for k, v in values.items() if k != "rows"}}
        for metric, values in found.items()
    ]


def _timed(name: str, predict: Callable[[Codes], object], designs: Codes) -> dict[str, Any]:
    predict(designs[:2])  # compiled, loaded
    batch = _median_seconds(lambda: predict(designs)) / len(designs)
    single = _median_seconds(lambda: [predict(designs[i : i + 1]) for i in range(_SINGLE)]) / _SINGLE
    return {"what": name, "batch": len(designs), "us_batch": 1e6 * batch, "us_single": 1e6 * single}


def _in_a_process(problem: Problem) -> None:
    """Simulate one design, the baseline, as the working form of a problem does when it is made."""
    code = "import json, sys; from archgym.problem import *; Problem(ProblemSpec.from_dict(json.loads(sys.argv[1])))"
    subprocess.run([sys.executable, "-c", code, json.dumps(problem.spec.to_dict())], check=True)


def _median_seconds(call: Callable[[], object], n: int = 5) -> float:
    times = []
    for _ in range(n):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return float(np.median(times))
