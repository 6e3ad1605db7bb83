"""Designs a second of each proxy on one core, reported and never asserted, beside the library that grew its trees:
``pytest tests/benchmarks/test_speed_proxy.py --benchmark-only -n 0``.
"""

import time

import numpy as np
import pytest
from sklearn.ensemble import RandomForestRegressor
from threadpoolctl import threadpool_limits

from archgym.problem import Problem, ProblemSpec
from archgym.proxies.auto import MODELS
from archgym.proxies.inputs import Encoding, Inputs

ROWS, BATCH, SINGLE = 1560, 20_000, 50


@pytest.fixture(scope="module")
def lesson():
    problem = Problem(ProblemSpec("tabular", ("cloud-1",), "edp", sim={"table": "dram-rl-cloud-1"}))
    codes = problem.space.canonical(problem.space.sample(ROWS + BATCH, np.random.default_rng(0)))
    return problem, Inputs.of(codes), np.log(problem.evaluate(codes).metrics["latency"])


@pytest.mark.parametrize(
    "kind", ["additive", "boosting", "extra-trees", "gaussian", "lightgbm", "mlp", "random-forest"]
)
def test_prediction(kind, lesson, benchmark):
    problem, x, y = lesson
    model = MODELS[kind](problem.space).fit(x.take(slice(ROWS)), y[:ROWS])
    new = x.take(slice(ROWS, None))
    model.predict(new.take(slice(2)))
    with threadpool_limits(1):
        benchmark(model.predict, new)
    start = time.perf_counter()
    for i in range(SINGLE):
        model.predict(new.take(slice(i, i + 1)))
    benchmark.extra_info["designs a second, in a batch"] = BATCH / benchmark.stats.stats.median
    benchmark.extra_info["designs a second, one by one"] = SINGLE / (time.perf_counter() - start)


def test_a_forest_beside_its_library(lesson, benchmark):
    problem, x, y = lesson
    columns = Encoding(problem.space).for_trees(x)
    theirs = RandomForestRegressor(100, random_state=0).fit(columns[:ROWS], y[:ROWS])
    ours = MODELS["random-forest"](problem.space).fit(x.take(slice(ROWS)), y[:ROWS])
    new = x.take(slice(ROWS, None))
    found = benchmark(ours.predict, new)
    times = []
    for _ in range(3):
        start = time.perf_counter()
        wanted = theirs.predict(columns[ROWS:])
        times.append(time.perf_counter() - start)
    np.testing.assert_allclose(found, wanted, rtol=1e-6)
    benchmark.extra_info["times scikit-learn, in a batch"] = float(np.median(times)) / benchmark.stats.stats.median
