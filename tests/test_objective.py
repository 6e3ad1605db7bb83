"""Objectives by hand: rewards, values, violations, and what happens to rows without proper numbers.

Every reference is 1.0 for each metric (see ``toys.objective``) unless a test says otherwise, so the
reward of a product objective is minus the logarithm of the product.
"""

import math

import numpy as np
import pytest
from toys import METRICS, objective

from archgym.errors import UnknownNameError, UsageError
from archgym.objective import TARGET_CAP, Limit, Objective

E = math.e


def columns(**given):
    """Metric columns; those not given are 1.0 everywhere."""
    n = len(next(iter(given.values())))
    return {m.name: np.array(given.get(m.name, [1.0] * n), np.float64) for m in METRICS}


# ---- rewards -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "latency", "energy", "expected"),
    [
        ("latency", 2.0, 9.0, -math.log(2)),  # -1 * ln 2, energy does not count
        ("energy", 9.0, 0.25, math.log(4)),  # -ln(1/4)
        ("edp", 2.0, 4.0, -math.log(8)),  # -(ln 2 + ln 4)
        ("ed2p", 2.0, 4.0, -math.log(16)),  # -(ln 4 + 2 ln 2)
        ("pareto:latency,energy", 2.0, 4.0, -math.log(8)),  # equally weighted product
    ],
)
def test_reward_by_hand(text, latency, energy, expected):
    (reward,) = objective(text).reward(columns(latency=[latency], energy=[energy]))
    assert reward == pytest.approx(expected, rel=1e-15)


def test_reward_is_zero_at_the_reference_and_relative_to_it():
    # At the baseline's own metrics every logarithm is ln(x/x) = 0; half the EDP gives ln 2.
    scored = objective("edp", {"latency": 3.0, "energy": 7.0})
    rewards = scored.reward(columns(latency=[3.0, 1.5], energy=[7.0, 7.0]))
    assert rewards[0] == 0.0
    assert rewards[1] == pytest.approx(math.log(2), rel=1e-15)


def test_a_maximised_metric_raises_the_reward():
    # speed is declared maximise: twice the speed gives +ln 2.
    assert objective("speed").reward(columns(speed=[2.0])) == pytest.approx(math.log(2))


def test_the_floor_is_the_lowest_reward():
    # ln(e^19) = 19 is above the floor of 20, ln(e^21) = 21 is not.
    rewards = objective("latency").reward(columns(latency=[E**19, E**21, 1e300]))
    assert rewards[0] == pytest.approx(-19.0)
    assert rewards[1:].tolist() == [-20.0, -20.0]


BROKEN = [math.nan, 0.0, -1.0, math.inf, -math.inf]


@pytest.mark.parametrize("text", ["latency", "edp", "ed2p", "pareto:latency,energy", "speed"])
def test_rows_without_a_positive_finite_number_get_the_floor(text):
    # DESIGN: the reward is finite for every row; a design without a number is as bad as any.
    broken = columns(latency=[*BROKEN, 1.0], energy=[1.0] * 6, speed=[*BROKEN, 1.0])
    rewards = objective(text).reward(broken)
    assert rewards.tolist() == [-20.0] * 5 + [0.0]


def test_zero_in_a_maximised_and_infinity_in_a_minimised_term_do_not_cancel():
    # -ln(0) = +inf for one term and -ln(inf) = -inf for the other must not meet as inf - inf = NaN.
    rewards = objective("edp").reward(columns(latency=[0.0, math.inf], energy=[math.inf, 0.0]))
    assert rewards.tolist() == [-20.0, -20.0]


def test_rewards_are_row_independent():
    # Row i of a batch equals the row alone, bit for bit, whatever stands beside it.
    rng = np.random.default_rng(0)
    table = columns(latency=rng.uniform(1e-9, 1e9, 301), energy=rng.uniform(1e-9, 1e9, 301))
    scored = objective("ed2p")
    whole, values = scored.reward(table), scored.values(table)
    for i in range(0, 301, 7):
        row = {name: column[i : i + 1] for name, column in table.items()}
        assert scored.reward(row).tobytes() == whole[i : i + 1].tobytes()
        assert scored.values(row).tobytes() == values[i : i + 1].tobytes()


def test_no_rows_are_fine():
    empty = columns(latency=[])
    for text in ("edp", "pareto:latency,speed", "archgym-target:latency=1"):
        scored = objective(text, limits=("area<=2",))
        assert scored.reward(empty).shape == (0,)
        assert scored.values(empty).shape == (0, scored.n_values)
        assert scored.violations(empty).shape == (0, 1)


# ---- values ------------------------------------------------------------------------------


def test_values_are_products_in_the_metrics_own_units():
    # EDP = 4 * 2, ED2P = 4 * 2 * 2; exactly, because the factors are powers of two.
    row = columns(latency=[2.0], energy=[4.0], speed=[8.0])
    assert objective("edp").values(row).tolist() == [[8.0]]
    assert objective("ed2p").values(row).tolist() == [[16.0]]
    assert objective("speed").values(row).tolist() == [[1 / 8]]  # maximised: inverted in a product


def test_values_do_not_depend_on_the_reference():
    row = columns(latency=[2.0], energy=[4.0])
    assert objective("edp", {"latency": 5.0, "energy": 6.0}).values(row).tolist() == [[8.0]]


def test_pareto_values_are_one_minimised_column_a_term():
    # In the order of the text; a maximised metric is negated.
    scored = objective("pareto:latency, speed,area")
    assert scored.n_values == 3
    row = columns(latency=[2.0], speed=[8.0], area=[3.0])
    assert scored.values(row).tolist() == [[2.0, -8.0, 3.0]]
    assert objective("edp").n_values == 1


def test_nan_stays_nan_in_values():
    assert np.isnan(objective("edp").values(columns(latency=[math.nan]))).all()


# ---- limits ------------------------------------------------------------------------------


def test_violations_are_relative_and_signed():
    # (value - limit)/|limit|: 30 against 20 is +0.5, 10 is -0.5; for >= the sign turns round.
    scored = objective("edp", limits=("area<=20", "speed>=20", "spare>=-4"))
    rows = columns(area=[30.0, 10.0, 20.0], speed=[30.0, 10.0, 20.0], spare=[-6.0, -2.0, -4.0])
    assert scored.violations(rows).tolist() == [[0.5, -0.5, 0.5], [-0.5, 0.5, -0.5], [0.0, 0.0, 0.0]]


def test_no_limits_no_columns():
    assert objective("edp").violations(columns(latency=[1.0, 2.0])).shape == (2, 0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("area<=20", Limit("area", "<=", 20.0)),
        (" area >= 1e-3 ", Limit("area", ">=", 0.001)),
        ("dram_bytes@bert-base<=1e9", Limit("dram_bytes@bert-base", "<=", 1e9)),
        ("t<=-5", Limit("t", "<=", -5.0)),
    ],
)
def test_limit_parses_and_prints_losslessly(text, expected):
    assert Limit.parse(text) == expected
    assert Limit.parse(str(expected)) == expected


@pytest.mark.parametrize("text", ["area", "area<20", "area==20", "area<=", "<=20", "area<=20 mm2", "area<=big", ""])
def test_malformed_limits_say_what_is_expected(text):
    with pytest.raises(UsageError, match="expected METRIC<=NUMBER or METRIC>=NUMBER"):
        Limit.parse(text)


@pytest.mark.parametrize("text", ["area<=0", "area<=nan", "area>=inf", "area<=-0.0"])
def test_limits_must_be_finite_and_not_zero(text):
    with pytest.raises(UsageError, match="must be finite and not 0"):
        Limit.parse(text)


# ---- the predecessor's reward ------------------------------------------------------------


def test_target_reward_by_hand():
    # target/|target - x|: 4/|4 - 6| = 2, 4/|4 - 2| = 2, 4/|4 - 20| = 1/4.
    scored = objective("archgym-target:latency=4")
    assert scored.reward(columns(latency=[6.0, 2.0, 20.0])).tolist() == [2.0, 2.0, 0.25]
    assert scored.floor == 0.0
    assert scored.values(columns(latency=[6.0])).tolist() == [[-2.0]]  # minimised


def test_target_reward_of_several_metrics_is_their_product():
    # latency: 4/|4 - 6| = 2; energy: 3/|3 - 4| = 3; together 6.
    scored = objective("archgym-target:latency=4,energy=3")
    assert scored.reward(columns(latency=[6.0], energy=[4.0])).tolist() == [6.0]


def test_target_reward_is_capped_and_finite():
    # Exactly on target the quotient is infinite; the cap is 1e6. NaN gives the floor, infinity 4/inf = 0.
    scored = objective("archgym-target:latency=4")
    rewards = scored.reward(columns(latency=[4.0, math.nan, math.inf, 0.0]))
    assert rewards.tolist() == [TARGET_CAP, 0.0, 0.0, 1.0]
    both = objective("archgym-target:latency=4,energy=4").reward(columns(latency=[4.0], energy=[4.0]))
    assert both.tolist() == [TARGET_CAP]


def test_a_large_target_hit_exactly_is_the_cap_without_a_warning():
    # 1e9 cycles on target: 1e9/1e-300 overflows on the way to the cap; the suite turns warnings into errors.
    scored = objective("archgym-target:latency=1e9")
    assert scored.reward(columns(latency=[1e9])).tolist() == [TARGET_CAP]


def test_targets_take_spaces_after_commas_like_pareto_does():
    scored = objective("archgym-target:latency=4, energy=3")
    assert scored.reward(columns(latency=[6.0], energy=[4.0])).tolist() == [6.0]


def test_relative_targets_are_shares_of_the_baseline():
    # Baseline: latency 4, energy 10. Targets 3 and 8: 3/|3 - 6| = 1, 8/|8 - 12| = 2 and 3/|3 - 1| * 8/|8 - 4| = 3;
    # the baseline itself has 0.75/0.25 * 0.8/0.2 = 12.
    scored = objective("archgym-target:latency=0.75x,energy=0.8x", {"latency": 4.0, "energy": 10.0})
    assert scored.relative == ("latency", "energy")
    rewards = scored.reward(columns(latency=[6.0, 1.0, 4.0], energy=[12.0, 4.0, 10.0]))
    assert rewards == pytest.approx([2.0, 3.0, 12.0], rel=1e-14)


def test_relative_and_absolute_targets_stand_side_by_side():
    # latency: 5/|5 - 4| = 5 whatever the baseline has; area: half of 8, 4/|4 - 6| = 2. On target both are capped.
    scored = objective("archgym-target:latency=5, area=0.5x", {"latency": 100.0, "area": 8.0})
    assert scored.relative == ("area",)
    assert scored.reward(columns(latency=[4.0, 5.0], area=[6.0, 4.0])).tolist() == [10.0, TARGET_CAP]
    assert scored.values(columns(latency=[4.0], area=[6.0])).tolist() == [[-10.0]]  # minimised


def test_relative_targets_need_a_reference_and_change_the_content():
    scored = Objective.parse("archgym-target:latency=0.8x", METRICS)
    with pytest.raises(UsageError, match="with_reference"):
        scored.reward(columns(latency=[1.0]))
    absolute = Objective.parse("archgym-target:latency=0.8", METRICS)
    assert absolute.reward(columns(latency=[1.0])) == pytest.approx([4.0])  # 0.8/0.2, without any reference
    assert "relative" not in absolute.to_dict()  # logs of absolute targets hash as before
    assert {**scored.to_dict(), "name": ""} != {**absolute.to_dict(), "name": ""}


@pytest.mark.parametrize("text", ["latency=x", "latency=0x", "latency=nanx", "latency=0.8xx", "latency=0.8 y"])
def test_malformed_relative_targets(text):
    with pytest.raises(UsageError, match="NUMBERx"):
        Objective.parse(f"archgym-target:{text}", METRICS)


@pytest.mark.parametrize("value", ["nan", "inf", "0"])
def test_targets_must_be_finite_and_not_zero(value):
    # With these every design has the same reward (0/|0 - x| = 0, NaN becomes the floor): nothing to search.
    with pytest.raises(UsageError):
        Objective.parse(f"archgym-target:latency={value}", METRICS)


# ---- parsing -----------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["edpp", "latancy", "pareto", "pareto:", "archgym-target", "archgym-target:", ""])
def test_unknown_objectives(text):
    with pytest.raises(UnknownNameError, match="unknown objective"):
        Objective.parse(text, METRICS)


def test_unknown_names_suggest_the_nearest():
    with pytest.raises(UnknownNameError, match="unknown objective 'latancy'; did you mean latency"):
        Objective.parse("latancy", METRICS)
    with pytest.raises(UnknownNameError, match="unknown metric 'enrgy'; did you mean energy"):
        Objective.parse("pareto:latency,enrgy", METRICS)
    with pytest.raises(UnknownNameError, match="unknown metric 'aera'; did you mean area"):
        Objective.parse("edp", METRICS, ["aera<=20"])
    with pytest.raises(UnknownNameError, match="unknown metric 'sped'; did you mean speed"):
        Objective.parse("archgym-target:sped=1", METRICS)


def test_named_objectives_need_their_metrics():
    with pytest.raises(UnknownNameError, match="unknown metric 'energy'"):
        Objective.parse("edp", [m for m in METRICS if m.name != "energy"])


@pytest.mark.parametrize("text", ["pareto:latency", "pareto:latency,latency"])
def test_a_pareto_objective_needs_two_metrics(text):
    with pytest.raises(UsageError, match="at least two different metrics"):
        Objective.parse(text, METRICS)


def test_a_metric_that_may_be_zero_is_refused():
    with pytest.raises(UsageError, match="'spare' can be zero or negative"):
        Objective.parse("spare", METRICS)
    Objective.parse("edp", METRICS, ["spare>=4"])  # a limit on it is fine


@pytest.mark.parametrize("text", ["archgym-target:latency", "archgym-target:latency=fast"])
def test_malformed_targets(text):
    with pytest.raises(UsageError, match="expected METRIC=NUMBER"):
        Objective.parse(text, METRICS)


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
def test_the_reference_must_be_positive_and_finite(value):
    with pytest.raises(UsageError, match="baseline's latency is"):
        objective("edp", {"latency": value, "energy": 1.0})


def test_a_reward_needs_a_reference():
    with pytest.raises(UsageError, match="with_reference"):
        Objective.parse("edp", METRICS).reward(columns(latency=[1.0]))


def test_content_covers_what_changes_a_reward():
    seen = [
        objective(text, limits=limits).to_dict()
        for text, limits in [
            ("edp", ()),
            ("ed2p", ()),
            ("edp", ("area<=20",)),
            ("edp", ("area<=21",)),
            ("edp", ("area>=20",)),
            ("archgym-target:latency=1", ()),
            ("archgym-target:latency=2", ()),
        ]
    ]
    assert all(a != b for i, a in enumerate(seen) for b in seen[:i])
