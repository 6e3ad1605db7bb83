"""Budget, cache, tracks and executors: the evaluator counts, whatever the caller does."""

import hashlib
import json

import numpy as np
import pytest
import toys
from hypothesis import given, settings
from hypothesis import strategies as st

from archgym import rng
from archgym.errors import BudgetExhausted, UnknownNameError, UsageError
from archgym.evaluation import Evaluation
from archgym.evaluator import Evaluator
from archgym.executor import Serial, Threads, make_executor
from archgym.log import StudyLog, read_trials
from archgym.spec import StudySpec

COLUMNS = ("codes", "metric_values", "reward", "values", "violations", "feasible", "reason", "cached")


def evaluator(budget=None, simulator="toys:Toy", **options):
    return Evaluator(toys.problem(simulator), budget, **options)


def draw(problem, n, seed=0):
    return problem.space.sample(n, rng.generator(seed, "test"))


def assert_same(a, b, but=()):
    """Two evaluations agree bit for bit."""
    assert a.metric_names == b.metric_names
    for name in COLUMNS:
        if name not in but:
            x, y = getattr(a, name), getattr(b, name)
            assert x.dtype == y.dtype, name
            assert x.shape == y.shape, name
            assert x.tobytes() == y.tobytes(), name


# ---- budget ------------------------------------------------------------------------------


def test_the_budget_counts_samples_duplicates_included():
    # 3 + 3 rows of the same design are 6 samples of 10, one unique design.
    run = evaluator(10)
    row = run.problem.space.encode([run.problem.baseline])
    for _ in range(2):
        run(np.repeat(row, 3, axis=0))
    assert (run.left, run.n_samples, run.n_unique, run.n_asks) == (4, 6, 1, 2)


def test_asking_for_too_much_evaluates_and_logs_what_fits(tmp_path):
    # 7 of 10 are spent; of 5 more only the first 3 fit. The log holds exactly 10 rows, in order.
    problem = toys.problem()
    log = StudyLog(tmp_path / "s", StudySpec(problem.spec, "external", budget=10).header(problem))
    run = Evaluator(problem, 10, log=log)
    codes = draw(problem, 12)
    run(codes[:7])
    with pytest.raises(BudgetExhausted, match=r"budget of 10 samples is spent: 5 asked, 3 evaluated") as caught:
        run(codes[7:])
    assert np.array_equal(caught.value.partial.codes, codes[7:10])
    assert_same(caught.value.partial, problem.evaluate(codes[7:10]), but=("cached",))
    assert (run.left, run.n_samples) == (0, 10)
    with pytest.raises(BudgetExhausted) as caught:
        run(codes[:1])
    assert caught.value.partial is None
    run.close()
    assert [row["codes"] for row in read_trials(tmp_path / "s")] == codes[:10].tolist()


def test_the_partial_result_obeys_the_track():
    run = evaluator(2, track="scalar")
    with pytest.raises(BudgetExhausted) as caught:
        run(draw(run.problem, 3))
    assert caught.value.partial.metric_names == ()
    assert len(caught.value.partial) == 2


def test_an_unlimited_budget():
    run = evaluator()
    run(draw(run.problem, 50))
    assert run.n_samples == 50
    assert run.left >= 10**9


def test_zero_rows_cost_nothing_and_are_no_error():
    # Nothing was asked, so nothing can be exhausted.
    for budget in (None, 5):
        run = evaluator(budget)
        result = run(np.empty((0, 4), np.int64))
        assert len(result) == 0
        assert run.n_samples == 0
        assert run.left == (2**62 if budget is None else 5)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"budget": 0}, UsageError, "at least 1 sample, got 0"),
        ({"budget": -3}, UsageError, "at least 1 sample, got -3"),
        ({"track": "gray"}, UnknownNameError, "unknown track 'gray'; did you mean grey"),
    ],
)
def test_wrong_arguments(options, error, message):
    with pytest.raises(error, match=message):
        evaluator(**options)


def test_rows_outside_the_space_cost_nothing():
    run = evaluator(5)
    with pytest.raises(UsageError, match="outside"):
        run(np.array([[0, 0, 0, 0], [9, 0, 0, 0]]))
    assert run.n_samples == 0


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.integers(1, 30), st.lists(st.integers(1, 12), max_size=8), st.booleans())
def test_accounting_holds_for_any_sequence_of_batches(budget, batches, cache):
    # Samples are exactly min(budget, asked); unique ones are counted by canonical row, first come first.
    run = evaluator(budget, cache=cache)
    codes = draw(run.problem, sum(batches), seed=budget)
    at = 0
    for n in batches:
        over = run.left < n
        try:
            run(codes[at : at + n])
            assert not over
        except BudgetExhausted:
            assert over
        at += n
    spent = min(budget, at)
    canonical = {tuple(row) for row in run.problem.space.canonical(codes[:spent]).tolist()}
    assert (run.n_samples, run.left) == (spent, budget - spent)
    assert run.n_unique == (len(canonical) if cache else spent)
    assert run.n_feasible == int(run.problem.evaluate(codes[:spent]).feasible.sum())


# ---- cache -------------------------------------------------------------------------------


def test_cached_means_seen_earlier_in_this_study_also_within_one_batch():
    # c is dead in mode x, so rows 0, 1, 3 are one design; row 4 repeats row 2.
    run = evaluator()
    at = {name: i for i, name in enumerate(run.problem.space.names)}
    base = run.problem.space.encode([run.problem.baseline])[0]
    other = base.copy()
    other[at["b"]] = 4
    dead = base.copy()
    dead[at["c"]] = 2
    first = run(np.stack([base, dead, other]))
    second = run(np.stack([dead, other]))
    assert first.cached.tolist() == [False, True, False]
    assert second.cached.tolist() == [True, True]
    assert run.n_unique == 2
    assert first.codes[1].tolist() == dead.tolist()  # as asked, not the canonical row
    assert first.metrics["latency"][0] == first.metrics["latency"][1]


def test_a_repeated_design_is_simulated_once():
    # The baseline's reference costs one simulation, three distinct designs cost three.
    toys.Counting.simulated = 0
    run = Evaluator(toys.problem("toys:Counting"))
    codes = run.problem.space.encode([{"a": 1, "b": b, "mode": "x", "c": c} for b in (1, 2, 3) for c in (0, 1, 2)])
    run(codes)
    run(codes)
    assert toys.Counting.simulated == 1 + 3


def test_without_cache_the_numbers_are_the_same_and_nothing_is_remembered():
    with_cache, without = evaluator(), evaluator(cache=False)
    codes = draw(with_cache.problem, 60)
    a, b = with_cache(codes), without(codes)
    assert_same(a, b, but=("cached",))
    assert not b.cached.any()
    assert (without.n_unique, without.n_samples) == (60, 60)
    assert len(without.history()) == 0


def test_a_log_needs_the_cache(tmp_path):
    problem = toys.problem()
    log = StudyLog(tmp_path / "s", StudySpec(problem.spec, "external").header(problem))
    with pytest.raises(UsageError, match="needs its cache"):
        Evaluator(problem, log=log, cache=False)
    log.close()


def test_history_and_best_and_front():
    run = evaluator()
    problem = run.problem
    assert run.best is None
    assert len(run.history()) == 0
    parts = [run(draw(problem, n, seed=n)) for n in (5, 1, 40)]
    past = run.history()
    assert_same(past, Evaluation.concatenate(parts))
    feasible = np.flatnonzero(past.feasible)
    best = feasible[np.argmax(past.reward[feasible])]
    assert run.best.reward[0] == past.reward[best]
    assert run.best.codes[0].tolist() == past.codes[best].tolist()
    front = run.front()  # one value: the front is the best design
    assert len(front) == 1
    assert front.values[0, 0] == past.values[feasible].min()


def test_the_front_of_two_values_by_brute_force():
    # b dominates a if it is nowhere worse and somewhere better; equal values are kept once.
    run = Evaluator(toys.problem(objective="pareto:latency,energy"))
    past = run(np.concatenate(list(run.problem.space.enumerate())))
    values = past.values[past.feasible]
    expected = {tuple(v) for v in values.tolist() if not ((values <= v).all(axis=1) & (values < v).any(axis=1)).any()}
    found = [tuple(v) for v in run.front().values.tolist()]
    assert found == sorted(expected)


def test_the_caller_may_reuse_its_array():
    # A loop that fills one buffer again and again must not rewrite the past.
    run = evaluator()
    buffer = draw(run.problem, 4)
    before = buffer.copy()
    result = run(buffer)
    buffer[:] = 0
    assert np.array_equal(run.history().codes, before)
    assert np.array_equal(result.codes, before)
    assert run.best is None or run.best.codes.tolist()[0] in before.tolist()


def test_the_caller_may_change_what_it_was_told():
    run = evaluator()
    codes = draw(run.problem, 6)
    result = run(codes)
    result.reward[:] = 99.0
    result.metric_values[:] = -1.0
    assert_same(run(codes), run.problem.evaluate(codes), but=("cached",))


# ---- tracks ------------------------------------------------------------------------------


def test_the_scalar_track_shows_codes_reward_and_feasibility_only():
    grey, scalar = evaluator(), evaluator(track="scalar")
    codes = draw(grey.problem, 40)
    full, shown = grey(codes), scalar(codes)
    assert full.metric_names
    assert full.violations.shape == (40, 1)
    assert (full.reason != 0).any()
    assert shown.metric_names == ()
    assert shown.metric_values.shape == shown.values.shape == shown.violations.shape == (40, 0)
    assert not shown.reason.any()
    assert shown.reward.tobytes() == full.reward.tobytes()
    assert np.array_equal(shown.feasible, full.feasible)
    assert len(set(shown.reward[~shown.feasible].tolist())) == 1  # one constant: no graded hint
    assert scalar.history().metric_names == full.metric_names  # for the log and the summary, not for the agent


def test_the_log_keeps_everything_on_the_scalar_track(tmp_path):
    problem = toys.problem()
    log = StudyLog(tmp_path / "s", StudySpec(problem.spec, "external", track="scalar").header(problem))
    run = Evaluator(problem, track="scalar", log=log)
    codes = draw(problem, 8)
    run(codes)
    run.close()
    full = problem.evaluate(codes)
    rows = read_trials(tmp_path / "s")
    latency = [row["metrics"]["latency"] for row in rows]
    assert latency == [None if np.isnan(v) else v for v in full.metrics["latency"].tolist()]
    assert [row["violations"] for row in rows] == full.violations.tolist()


# ---- executors ---------------------------------------------------------------------------


@pytest.mark.parametrize("simulator", ["toys:Toy", "toys:ToyOne", "toys:ToyNoise"])
@pytest.mark.parametrize("jobs", [1, 2, 3])
def test_threads_equal_serial_bit_for_bit(simulator, jobs):
    # 100 rows are split between the threads (at least 16 each); rows come back in the order of submission.
    serial = evaluator(simulator=simulator, executor=Serial(), seed=4)
    threads = evaluator(simulator=simulator, executor=Threads(jobs), seed=4)
    for n in (1, 15, 33, 100):
        codes = draw(serial.problem, n, seed=n)
        assert_same(serial(codes), threads(codes))
    threads.close()
    threads.close()  # idempotent


def test_executors_by_name():
    assert isinstance(make_executor("serial"), Serial)
    with pytest.raises(UnknownNameError, match="unknown executor 'thread'; did you mean threads"):
        make_executor("thread", 2)
    with pytest.raises(UsageError, match="at least 1, got 0"):
        make_executor("threads", 0)


def test_an_error_in_a_worker_reaches_the_caller():
    # 64 rows in two pieces; the error of either piece must not be swallowed, and nothing is counted.
    class Fails(toys.ToyOne):
        def _simulate_one(self, design, workload, seed):
            if design["b"] == 5:
                raise RuntimeError("model bug")
            return super()._simulate_one(design, workload, seed)

    problem = toys.problem()
    problem.simulator = Fails()
    run = Evaluator(problem, 100, executor=Threads(2))
    with pytest.raises(RuntimeError, match="model bug"):
        run(problem.space.unrank(range(64)))
    run.close()
    assert run.n_samples == 0


def test_a_failed_batch_leaves_no_trace():
    # The simulator fails once (or the user presses Ctrl-C); the same designs asked again are simulated, not "cached".
    class FailsOnce(toys.Toy):
        failures = 1

        def _simulate(self, designs, workload, seeds):
            if FailsOnce.failures:
                FailsOnce.failures -= 1
                raise KeyboardInterrupt
            return super()._simulate(designs, workload, seeds)

    problem = toys.problem()
    expected = problem.evaluate(problem.space.unrank(range(20)))
    problem.simulator = FailsOnce()
    run = Evaluator(problem, 40)
    with pytest.raises(KeyboardInterrupt):
        run(expected.codes[:10])
    result = run(expected.codes)
    distinct = len({tuple(row) for row in problem.space.canonical(expected.codes).tolist()})
    assert_same(result, expected, but=("cached",))
    assert int((~result.cached).sum()) == run.n_unique == distinct
    assert run.n_samples == 20


# ---- simulators with randomness ------------------------------------------------------------


def test_noise_follows_the_trial_not_the_batch():
    # Each trial has its own seed, rng.stream_seeds(seed, "sim", trial, 1); latency gets seed % 1024 extra.
    splits = [[60], [1] * 60, [7, 13, 40]]
    results = []
    for split in splits:
        run = evaluator(simulator="toys:ToyNoise", seed=5)
        codes = draw(run.problem, 60, seed=1)
        at = 0
        for n in split:
            run(codes[at : at + n])
            at += n
        results.append(run.history())
    assert_same(results[0], results[1])
    assert_same(results[0], results[2])
    quiet = toys.problem().evaluate(codes).metrics["latency"]
    extra = rng.stream_seeds(5, "sim", 0, 60) % 1024
    noisy = results[0].metrics["latency"]
    possible = ~np.isnan(noisy) & ~np.isnan(quiet)
    assert possible.sum() > 40
    assert noisy[possible] == pytest.approx(quiet[possible] + extra[possible], rel=1e-15)


def test_noise_is_drawn_again_for_a_repeated_design():
    # Only deterministic results are reused; the row still counts as seen before.
    run = evaluator(simulator="toys:ToyNoise", seed=5)
    row = run.problem.space.encode([run.problem.baseline])
    result = run(np.repeat(row, 8, axis=0))
    assert len(set(result.metrics["latency"].tolist())) > 1
    assert result.cached.tolist() == [False] + [True] * 7
    assert run.n_unique == 1


def test_another_seed_gives_other_noise():
    noise = []
    for seed in (0, 1):
        run = evaluator(simulator="toys:ToyNoise", seed=seed)
        noise.append(run(np.repeat(run.problem.space.encode([run.problem.baseline]), 4, axis=0)).metrics["latency"])
    assert noise[0].tolist() != noise[1].tolist()


# ---- evaluations and streams ---------------------------------------------------------------


def test_evaluations_slice_and_concatenate():
    run = evaluator()
    whole = run(draw(run.problem, 9))
    parts = [whole.take(slice(0, 4)), whole.take(np.arange(4, 9))]
    assert_same(Evaluation.concatenate(parts), whole)
    assert list(whole.metrics) == [m.name for m in toys.METRICS]


def test_streams_are_named_and_stable():
    # The seed of a trial is the first 8 bytes (little-endian, sign bit cleared) of the sha256 of the seed and the
    # typed keys, joined by the unit separator. Logs depend on it, so it may never change.
    for trial in (0, 1, 99):
        digest = hashlib.sha256(f"7\x1fstr:sim\x1fint:{trial}".encode()).digest()
        expected = int.from_bytes(digest[:8], "little") % 2**63
        assert rng.stream_seeds(7, "sim", trial, 1).tolist() == [expected]
    assert rng.stream_seeds(0, "sim", 0, 3).tolist() == [rng.stream_seeds(0, "sim", i, 1)[0] for i in range(3)]
    streams = [(0, "agent"), (1, "agent"), (0, "sim"), (0, "sim", 0), (0, "sim", 1), (0, "sim", "1"), (0, "sim1")]
    first = {rng.generator(*stream).integers(2**62).item() for stream in streams}
    assert len(first) == len(streams)  # also 1 and "1" are different names


def test_evaluator_reads_its_log_back_as_the_same_bits(tmp_path):
    # NaN is null; floats are written in their shortest form that reads back as the same number.
    problem = toys.problem(macs=(16, 49), limits=("area<=9",))
    log = StudyLog(tmp_path / "s", StudySpec(problem.spec, "external").header(problem))
    run = Evaluator(problem, log=log)
    run(draw(problem, 50))
    run.close()
    lines = (tmp_path / "s" / "trials.jsonl").read_text().splitlines()
    assert_same(Evaluator.recall(problem, [json.loads(line) for line in lines]), run.history())
