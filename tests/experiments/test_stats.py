"""Statistics against numbers worked out by hand, SciPy, and experiments whose truth is known."""

import math

import numpy as np
import pytest
import scipy.stats
from scipy.optimize import brentq
from scipy.special import ndtr

from archgym.errors import UsageError
from archgym.experiments import gaps, intervals, stats
from archgym.experiments.fronts import ReferenceFront, costs

NAN, INF = math.nan, math.inf


# ---- curves ----------------------------------------------------------------------------


def test_a_gap_curve_follows_the_best_feasible_sample():
    rewards = np.array([NAN, 1.0, 0.5, 2.0, NAN])  # optimum 3: nothing, 2, still 2, 1, still 1 to go
    assert gaps.gap_curves(rewards, 3.0).tolist() == [INF, 2.0, 2.0, 1.0, 1.0]


def test_target_rewards_are_inverse_distances():
    # Distance is target/reward: a reward of 2 where 8 is possible is four times as far from the target.
    found = gaps.gap_curves(np.array([2.0, 8.0]), 8.0, has_targets=True)
    assert found.tolist() == [pytest.approx(math.log(4)), 0.0]


def test_nothing_is_better_than_the_optimum_but_rounding():
    assert gaps.gap_curves(np.array([1.0 + 1e-12]), 1.0).tolist() == [0.0]
    with pytest.raises(UsageError, match="better than the optimum"):
        gaps.gap_curves(np.array([1.001]), 1.0)


def test_gaps_at_budgets():
    curves = np.array([[4.0, 3.0, 2.0], [1.0, 1.0, 0.0]])
    assert gaps.at_budgets(curves, [1, 3]).tolist() == [[4.0, 2.0], [1.0, 0.0]]
    for wrong in (0, 4):
        with pytest.raises(UsageError, match=f"1 to 3 samples.*got {wrong}"):
            gaps.at_budgets(curves, [wrong])


def test_the_area_weighs_every_doubling_the_same():
    # Steps from 1 to 2, 2 to 3, 3 to 4 have the widths ln 2, ln 3/2, ln 4/3 of ln 4: here two, two and one high.
    curve = np.array([2.0, 2.0, 1.0, 0.0])
    assert gaps.area_under_curves(curve, INF) == pytest.approx((2 * math.log(3) + math.log(4 / 3)) / math.log(4))
    assert gaps.area_under_curves(np.full(7, 0.3), INF) == pytest.approx(0.3)  # a constant is its own mean
    # Nothing found until the second of two samples: only the cap is left.
    assert gaps.area_under_curves(np.array([INF, 1.0]), 5.0) == 5.0
    assert gaps.area_under_curves(np.array([INF]), 5.0) == 5.0


def test_samples_to_a_gap_and_to_feasibility():
    assert gaps.samples_to_gap(np.array([[INF, 0.5, 0.1], [2.0, 1.0, 0.9]]), 0.5).tolist() == [2.0, INF]
    assert gaps.samples_to_feasible(np.array([[NAN, NAN, 1.0], [NAN, NAN, NAN]])).tolist() == [3.0, INF]


def test_time_axes():
    # Two asks of 2 and 1 samples took the agent 3 s and 4 s: samples are handed in at 3, 3, 7 s of its time.
    suggest = gaps.suggest_seconds(np.array([2, 1]), np.array([3.0, 4.0]), 3)
    assert suggest.tolist() == [3.0, 3.0, 7.0]
    assert np.isnan(gaps.suggest_seconds(np.array([2]), np.array([3.0]), 3)).all()  # one was not timed
    times = gaps.elapsed(suggest, 10.0)
    assert times.tolist() == [13.0, 23.0, 37.0]
    curve = np.array([3.0, 2.0, 1.0])
    assert gaps.on_time_grid(curve, times, np.array([12.0, 13.0, 36.9, 99.0])).tolist() == [INF, 3.0, 2.0, 1.0]


def test_duplicates():
    assert gaps.duplicate_share(200, 150) == 0.25


# ---- aggregates and intervals ----------------------------------------------------------


def test_the_interquartile_mean_drops_a_quarter_on_each_side():
    assert stats.iqm(np.arange(1.0, 9.0)) == 4.5  # of 3, 4, 5, 6
    assert stats.iqm(np.array([0.0, 1.0, 3.0, INF])) == 2.0  # a quarter may have found nothing
    assert stats.iqm(np.array([0.0, 1.0, INF, INF])) == INF
    values = np.random.default_rng(0).lognormal(size=(5, 41))
    assert stats.iqm(values) == pytest.approx(scipy.stats.trim_mean(values, 0.25, axis=1))


def test_the_upper_decile():
    # Nine of ten do not exceed the ninth value; of 15 it takes ceil(13.5) = 14, of 5 all.
    for n, rank in ((10, 9), (15, 14), (20, 18), (5, 5)):
        assert stats.upper_decile(np.arange(1.0, n + 1)) == rank


def test_one_task_agrees_with_scipy():
    values = np.random.default_rng(3).lognormal(-1, 1, 24)
    ours = stats.iqm_interval(values[None], resamples=20_000, expand=False)
    theirs = scipy.stats.bootstrap(
        (values,), lambda v, axis: scipy.stats.trim_mean(v, 0.25, axis=axis),
        n_resamples=20_000, method="percentile", rng=np.random.default_rng(4),
    ).confidence_interval  # fmt: skip
    width = theirs.high - theirs.low  # a 2.5 % quantile of 20,000 resamples wobbles by some 1 % of the width
    assert ours.low == pytest.approx(theirs.low, abs=0.03 * width)
    assert ours.high == pytest.approx(theirs.high, abs=0.03 * width)
    assert ours.value == pytest.approx(scipy.stats.trim_mean(values, 0.25))


def test_seeds_are_resampled_within_their_task():
    # Tasks without any spread: their mixture is the same in every resample, so the interval is a point.
    table = np.repeat([[1.0], [2.0], [3.0], [4.0]], 10, axis=1)
    assert stats.iqm_interval(table) == intervals.Estimate(2.5, 2.5, 2.5)


def test_the_same_seed_gives_the_same_interval():
    table = np.random.default_rng(0).lognormal(size=(3, 8))
    assert stats.iqm_interval(table, seed=5) == stats.iqm_interval(table, seed=5)
    assert stats.iqm_interval(table, seed=5) != stats.iqm_interval(table, seed=6)


def test_expanded_tails():
    # 1 task, 5 seeds: Phi(sqrt(5/4) t) with t = -2.7764, the 2.5 % quantile of Student's distribution with 4 degrees.
    assert intervals.tail_share(1, 5) == pytest.approx(scipy.stats.norm.cdf(-2.7764451 * math.sqrt(1.25)), rel=1e-6)
    assert intervals.tail_share(6, 100_000) == pytest.approx(0.025, rel=1e-3)  # nothing to correct
    assert stats.iqm_interval(np.array([[0.5]])) == intervals.Estimate(0.5, 0.5, 0.5)


def test_infinite_gaps_stay_infinite():
    table = np.array([[0.1, 0.2, INF, INF]])
    assert stats.iqm_interval(table).high == INF
    with pytest.raises(UsageError, match="NaN"):
        stats.iqm_interval(np.array([[NAN]]))
    with pytest.raises(UsageError, match="shape"):
        stats.iqm_interval(np.array([1.0]))


def test_the_interval_of_a_median_is_between_order_statistics():
    # Conover's table: of 20 values the 6th and the 15th, since P(Bin(20, 1/2) <= 5) = 0.0207.
    assert intervals.median_interval(np.arange(1.0, 21.0)) == intervals.Estimate(10.5, 6.0, 15.0)
    assert intervals.median_interval(np.array([3.0, 1.0, 2.0])) == intervals.Estimate(2.0, 1.0, 3.0)
    assert intervals.median_interval(np.array([1.0, INF, INF, INF])).value == INF


def test_wilson_intervals_at_the_ends():
    # 0 of n: the upper bound is z^2/(n + z^2) with z = 1.959964.
    assert intervals.share_interval(0, 10).high == pytest.approx(3.841459 / 13.841459, rel=1e-6)
    assert intervals.share_interval(0, 10).low == 0.0
    assert intervals.share_interval(10, 10).low == pytest.approx(1 - 3.841459 / 13.841459, rel=1e-6)


def test_performance_profiles_count_runs():
    profile = stats.performance_profile(np.array([[0.0, 0.1], [0.2, INF]]), [0.0, 0.1, 0.5])
    assert profile.share.tolist() == [0.25, 0.5, 0.75]
    assert (profile.low <= profile.share).all()
    assert (profile.share <= profile.high).all()
    assert profile.low[0] == 0.0  # the only run at the optimum may be missing from a resample
    assert profile.high[0] == 0.5  # or come twice: half of the runs


def test_probability_of_improvement_counts_pairs():
    # 1 < 2, 1 < 3, 3 > 2, 3 = 3: two and a half of four.
    a, b = np.array([[1.0, 3.0]]), np.array([[2.0, 3.0]])
    assert stats.probability_of_improvement(a, b).value == 0.625
    # A second task in which A always wins: the mean over tasks, however different their scales.
    two = stats.probability_of_improvement(np.vstack([a, [[0.0, 0.0]]]), np.vstack([b, [[9.0, 99.0]]]))
    assert two.value == (0.625 + 1) / 2
    x, y = np.random.default_rng(0).normal(size=(2, 1, 15))
    u = scipy.stats.mannwhitneyu(y[0], x[0]).statistic  # pairs in which y is larger
    assert stats.probability_of_improvement(x, y).value == pytest.approx(u / 225)
    forth, back = stats.probability_of_improvement(x, y), stats.probability_of_improvement(y, x)
    assert forth.value + back.value == pytest.approx(1.0)
    assert forth.low < forth.value < forth.high


# ---- non-inferiority -------------------------------------------------------------------


def test_one_task_is_the_paired_t_test():
    a, b = np.random.default_rng(1).normal(0.3, 0.1, size=(2, 1, 12))
    ours = stats.non_inferiority(a, b, 0.05)
    theirs = scipy.stats.ttest_1samp((a - b)[0], 0.05, alternative="less")
    assert ours.p_value == pytest.approx(theirs.pvalue)
    assert ours.upper == pytest.approx(theirs.confidence_interval(0.95).high)


def test_tasks_of_equal_spread_add_their_degrees_of_freedom():
    # Differences -1, 0, 1 in both tasks: variance 1, s^2 = (1/3 + 1/3)/4 = 1/6, 2 * 2 degrees; the bound at margin 1.
    d = np.array([[-1.0, 0.0, 1.0]] * 2)
    test = stats.non_inferiority(d, np.zeros((2, 3)), 1.0)
    assert test.difference == 0.0
    assert test.p_value == pytest.approx(scipy.stats.t.cdf(-math.sqrt(6), 4))
    assert test.upper == pytest.approx(scipy.stats.t.ppf(0.95, 4) / math.sqrt(6))
    assert test.shown  # p = 0.035


def test_equal_agents_are_not_inferior_without_any_spread():
    same = np.full((2, 4), 0.2)
    assert stats.non_inferiority(same, same, 0.01).shown
    assert not stats.non_inferiority(same, same, 0.0).shown
    assert not stats.non_inferiority(same + 0.02, same, 0.01).shown


def test_holm_by_hand():
    # Sorted 0.01, 0.03, 0.04 times 3, 2, 1: 0.03, 0.06, and 0.04 which may not be below the one before.
    assert stats.holm([0.01, 0.04, 0.03]).tolist() == pytest.approx([0.03, 0.06, 0.06])
    assert stats.holm([0.9, 0.8]).tolist() == [1.0, 1.0]
    assert stats.holm([]).tolist() == []


def test_comparisons_with_several_are_corrected():
    rng = np.random.default_rng(2)
    a = rng.normal(0.3, 0.1, (2, 10))
    tests = stats.non_inferiority_to_all(a, {"x": a + rng.normal(0, 0.1, a.shape), "y": a + 1.0}, 0.1)
    assert tests["y"].p_adjusted == 2 * tests["y"].p_value < 1e-100  # a is better by 1 without exception
    assert tests["x"].p_adjusted == tests["x"].p_value > 0  # the larger of two is multiplied by one


@pytest.mark.parametrize(
    ("a", "b", "margin", "message"),
    [
        (np.zeros((1, 3)), np.zeros((1, 4)), 0.1, "equal tasks"),
        (np.zeros((1, 1)), np.zeros((1, 1)), 0.1, "two seeds"),
        (np.array([[0.0, INF]]), np.zeros((1, 2)), 0.1, "finite"),
        (np.zeros((1, 2)), np.zeros((1, 2)), -0.1, "margin"),
    ],
)
def test_what_cannot_be_paired_is_refused(a, b, margin, message):
    with pytest.raises(UsageError, match=message):
        stats.non_inferiority(a, b, margin)


# ---- fronts ----------------------------------------------------------------------------

E = math.e
CORNERS = np.array([[1.0, E], [E, 1.0]])  # ideal (1, 1), nadir (e, e): normalised (0, 1) and (1, 0)


def test_hypervolume_by_hand():
    reference = ReferenceFront.of(np.vstack([CORNERS, [[E, E]]]))  # the dominated point is no part of it
    assert reference.costs.tolist() == CORNERS.tolist()
    # Up to (1.1, 1.1) each corner dominates 1.1 x 0.1, both together 0.1 x 0.1 twice.
    assert reference.hypervolume(CORNERS) == pytest.approx(1.0)
    assert reference.hypervolume(CORNERS[:1]) == pytest.approx(0.11 / 0.21)
    assert reference.hypervolume(np.array([[1.0, 1.0]])) == pytest.approx(1.21 / 0.21)  # better than the front
    beyond = np.array([[E**1.2, 1.0], [NAN, NAN]])  # of the reference point; infeasible
    assert reference.hypervolume(beyond) == 0.0
    samples = np.vstack([beyond[1:], CORNERS])
    assert reference.hypervolumes(samples, [1, 2, 3]).tolist() == pytest.approx([0, 11 / 21, 1])


def test_distances_from_the_front_by_hand():
    reference = ReferenceFront.of(CORNERS)
    assert reference.igd_plus(CORNERS) == 0.0
    assert reference.igd_plus(CORNERS[:1]) == pytest.approx(0.5)  # 0 to its own corner, 1 to the other
    assert reference.adrs(CORNERS[:1]) == pytest.approx((E - 1) / 2)  # 0 and e/1 - 1
    assert reference.igd_plus(np.array([[0.5, 0.5]])) == reference.adrs(np.array([[0.5, 0.5]])) == 0.0
    assert reference.igd_plus(np.array([[NAN, 1.0]])) == reference.adrs(np.array([[NAN, 1.0]])) == INF


def test_maximised_terms_are_inverted():
    metrics = {"latency": np.array([2.0]), "throughput": np.array([4.0])}
    assert costs(metrics, [("latency", 1.0), ("throughput", -1.0)]).tolist() == [[2.0, 0.25]]


def test_a_front_that_trades_nothing_off_is_refused():
    with pytest.raises(UsageError, match="trade off"):
        ReferenceFront.of(np.array([[1.0, 1.0], [2.0, 2.0]]))
    with pytest.raises(UsageError, match="trade off"):
        ReferenceFront.of(np.array([[NAN, 1.0]]))


# ---- coverage --------------------------------------------------------------------------

MU, SIGMA = np.log([0.02, 0.05, 0.1, 0.3, 0.6, 1.2]), np.array([1.2, 0.8, 1.0, 0.6, 0.5, 0.4])


def true_iqm(mu, sigma):
    """Mean of the equal mixture of log-normal distributions between its quartiles, by their partial expectations."""

    def share(x):
        return ndtr((np.log(x) - mu) / sigma).mean()

    def below(x):
        return (np.exp(mu + sigma**2 / 2) * ndtr((np.log(x) - mu - sigma**2) / sigma)).mean()

    low, high = (brentq(lambda x, p=p: share(x) - p, 1e-9, 1e4) for p in (0.25, 0.75))
    return (below(high) - below(low)) / 0.5


def coverage(seeds, *, experiments, resamples, expand, mu=MU, sigma=SIGMA):
    rng, truth, hits = np.random.default_rng(1), true_iqm(mu, sigma), 0
    for i in range(experiments):
        table = rng.lognormal(mu[:, None], sigma[:, None], (len(mu), seeds))
        found = stats.iqm_interval(table, resamples=resamples, seed=i, expand=expand)
        hits += found.low <= truth <= found.high
    return hits / experiments


def test_the_estimand_is_what_many_seeds_converge_to():
    table = np.random.default_rng(0).lognormal(MU[:, None], SIGMA[:, None], (6, 200_000))
    assert stats.iqm(table.reshape(-1)) == pytest.approx(true_iqm(MU, SIGMA), rel=0.005)


def test_five_seeds_need_the_correction():
    # 250 experiments: the standard error is 2 %. The plain interval covers 88 %, the expanded one 93 %.
    plain = coverage(5, experiments=250, resamples=300, expand=False)
    assert plain < coverage(5, experiments=250, resamples=300, expand=True)


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [5, 10, 20])
@pytest.mark.parametrize("sigma", [SIGMA, np.ones(6)], ids=["different tasks", "sigma 1"])
def test_intervals_cover_the_truth(seeds, sigma):
    found = coverage(seeds, experiments=1000, resamples=1000, expand=True, sigma=sigma)
    print(f"{seeds} seeds: coverage {found:.3f}")
    assert 0.92 <= found <= 0.98


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [5, 10, 20])
def test_intervals_of_the_probability_of_improvement_cover_the_truth(seeds):
    rng, hits = np.random.default_rng(2), 0
    truth = ndtr(0.3 / math.sqrt(2) / SIGMA).mean()  # the difference of two logarithms is normal
    for i in range(1000):
        b = rng.lognormal(MU[:, None], SIGMA[:, None], (6, seeds))
        a = rng.lognormal(MU[:, None] - 0.3, SIGMA[:, None], (6, seeds))
        found = stats.probability_of_improvement(a, b, resamples=1000, seed=i)
        hits += found.low <= truth <= found.high
    print(f"{seeds} seeds: coverage {hits / 1000:.3f}")
    assert 920 <= hits <= 980


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [5, 10, 20])
def test_non_inferiority_errs_in_five_percent_at_the_margin(seeds):
    rng, errors = np.random.default_rng(3), 0
    for _ in range(2000):
        a, b = rng.lognormal(MU[:, None], SIGMA[:, None], (2, 6, seeds))
        errors += stats.non_inferiority(a + 0.05, b, 0.05).shown
    print(f"{seeds} seeds: error {errors / 2000:.3f}")
    assert 0.03 <= errors / 2000 <= 0.07
