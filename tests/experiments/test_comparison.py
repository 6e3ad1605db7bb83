"""Comparisons of studies whose rewards are written down here: every number follows from them by hand."""

import io
import json
import math

import numpy as np
import pytest
import scipy.stats
import toys
from rich.console import Console
from written_studies import write_study

import archgym
from archgym.errors import UsageError
from archgym.experiments import lottery as lots
from archgym.experiments.comparison import compare
from archgym.experiments.curves import Optimum, curves, optima
from archgym.experiments.intervals import Estimate
from archgym.problem import Problem
from archgym.suite.entry import SuiteProblem
from archgym.suite.problems import known

INF = math.inf


@pytest.fixture
def two_agents(tmp_path):
    """Best rewards after 1, 2, 4 samples; the best of all is 3. A: 1 1 2, 0 2 3, 1 1 3. B: nothing but one 1.

    A takes 0.1 s for each of its two asks and 0.4 s per run in the evaluator; it repeats a design once per run.
    """
    rewards = {
        "genetic": ([1, 0, 1, 2], [0, 2, 1, 3], [1, 1, 0, 3]),
        "random": ([None] * 4, [None, None, 1, 0], [None] * 4),
    }
    for agent, seeds in rewards.items():
        for seed, row in enumerate(seeds):
            row = [None if r is None else float(r) for r in row]
            timing = [(2, 0.1, 0.2), (2, 0.1, 0.2)] if agent == "genetic" else ()
            write_study(tmp_path / f"{agent}{seed}", row, agent=agent, seed=seed, batch=2, cached=(3,), timing=timing)
    return archgym.load(tmp_path)


def test_the_arrays(two_agents):
    c = curves(two_agents)
    assert (c.agents, c.seeds, c.budget, c.batch, c.track) == (("genetic", "random"), (0, 1, 2), 4, 2, "grey")
    assert c.gaps.shape == (1, 2, 3, 4)
    assert c.gaps[0, 0].tolist() == [[2, 2, 2, 1], [3, 1, 1, 0], [2, 2, 2, 0]]
    assert c.gaps[0, 1, 1].tolist() == [INF, INF, 2, 2]
    assert c.suggest[0, 0, 0].tolist() == pytest.approx([0.1, 0.1, 0.2, 0.2])
    assert np.isnan(c.suggest[0, 1]).all()
    assert c.caps.tolist() == [3.0]  # no median design is known: the largest finite gap
    assert list(c.optima.values()) == [Optimum(3.0, False)]


def test_one_row_a_problem_and_agent(two_agents):
    table = compare(two_agents, budgets=[1, 4]).by_problem.set_index("agent")
    a, b = table.loc["genetic"], table.loc["random"]
    assert (a["track"], a["optimum"], a["seeds"]) == ("grey", "best known", 3)
    # Three seeds: the interval is the whole range.
    assert a[["gap@1", "gap@1.low", "gap@1.high"]].tolist() == [2, 2, 3]
    assert a[["gap@4", "gap@4.low", "gap@4.high"]].tolist() == [0, 0, 1]
    assert b[["gap@4", "gap@4.low", "gap@4.high"]].tolist() == [INF, 2, INF]
    assert (a["solved"], b["solved"], a["feasible"], b["feasible"]) == (2 / 3, 0, 1, 1 / 3)
    assert (a["samples_to_feasible"], b["samples_to_feasible"]) == (1, INF)
    assert (a["samples_to_solved"], b["samples_to_solved"]) == (4, INF)  # never, 4, 4
    assert a["duplicates"] == 0.25
    assert a["ms_per_ask"] == pytest.approx(100)
    assert a["simulate_ms"] == pytest.approx(100)  # 0.4 s for 4 samples
    assert math.isnan(b["ms_per_ask"])
    # Steps of ln 2, ln 3/2, ln 4/3 over ln 4, for the seeds: 2 2 2, 3 1 1, 2 2 2; their median is 2.
    assert a["area"] == pytest.approx(2)
    assert b["area"] == pytest.approx(3)  # the cap, in the median


def test_one_row_an_agent(two_agents):
    found = compare(two_agents, budgets=[4])
    assert found.against == "genetic"
    a, b = found.by_agent.to_dict("records")
    assert a["gap@4"] == pytest.approx(1 / 3)  # of three values none is dropped
    assert b["gap@4"] == INF
    assert (a["gap90@4"], a["better"]) == (1, 0.5)
    assert b["better"] == 0.0  # 2, inf, inf are all larger than 1, 0, 0
    assert (a["better_area"], b["better_area"]) == (0.5, 0.0)  # areas of 2 against 2.8 and 3
    assert compare(two_agents, against="random").by_agent["better"].tolist() == [1.0, 0.5]


def test_tables_name_their_conditions_and_hold_no_nan(two_agents):
    found = compare(two_agents)
    assert found.budgets == (4,)
    text = found.to_markdown()
    stream = io.StringIO()
    found.print(Console(file=stream, width=300))
    for shown in (text, stream.getvalue()):
        assert (
            shown.count("track grey, batch 2, 4 samples, 3 seeds, gap ln(f/f_opt) to the best known of these runs") == 2
        )
        assert "none [2.000, none]" in shown  # nothing found in the median
    data = json.loads(found.to_json())
    assert data["track"] == "grey"
    assert data["by_problem"][1]["gap@4"] is None
    assert "NaN" not in found.to_json()
    assert "Infinity" not in found.to_json()


def test_non_inferiority_pairs_the_seeds(two_agents):
    # Differences at the end, cut off at 3: 1 - 3, 0 - 2, 0 - 3.
    (test,) = compare(two_agents).non_inferiority("genetic", 0.1).values()
    assert test.difference == pytest.approx(-7 / 3)
    assert test.p_value == pytest.approx(scipy.stats.ttest_1samp([-2, -2, -3], 0.1, alternative="less").pvalue)


def test_known_optima_are_exact(tmp_path):
    name = "dram-ddr4-gen-strided-edp"
    for agent in ("random", "genetic"):
        for seed in range(2):
            archgym.run(name, agent, budget=30, seed=seed, out=tmp_path / f"{agent}{seed}")
    runs = archgym.load(tmp_path)
    top = known(name)["optimum"]["reward"]
    found = compare(runs)
    assert found.by_problem["problem"].tolist() == [name] * 2
    assert found.by_problem["optimum"].tolist() == ["exact"] * 2
    assert "to exact optima" in found.conditions
    best = runs.studies.set_index("study")["best_reward"]
    random = found.by_problem.set_index("agent").loc["random"]
    assert random["gap@30"] == pytest.approx(top - best[["random0", "random1"]].mean())
    assert found.curves.caps.tolist() == [known(name)["median_gap"]]
    # The optimum of a subset is that of all: nobody is measured against himself alone.
    assert optima(runs)["tabular/gen-strided/edp"].reward == top


def test_hypervolume_of_pareto_objectives(tmp_path):
    # Costs (1, e) and (e, 1): each alone dominates 11/21 of what both do, see test_stats.
    e = math.e
    corners = {"genetic": [(1, e), (e, 1)], "random": [(e, 1), (e, e)]}
    for agent, points in corners.items():
        metrics = [{"energy": x, "latency": y} for x, y in points]
        spec = toys.spec(objective="pareto:energy,latency")
        write_study(tmp_path / agent, [0.0, 0.0], agent=agent, metrics=metrics, problem=spec)
    table = compare(archgym.load(tmp_path), budgets=[1, 2]).by_problem.set_index("agent")
    assert table["hypervolume@1"].tolist() == pytest.approx([11 / 21, 11 / 21])
    assert table["hypervolume@2"].tolist() == pytest.approx([1, 11 / 21])
    for end in ("low", "high"):  # of one seed
        assert table[f"hypervolume@2.{end}"].tolist() == table["hypervolume@2"].tolist()
    assert "| 0.524 [0.524, 0.524] |" in compare(archgym.load(tmp_path), budgets=[1]).to_markdown()


# ---- limits that only have to be met -------------------------------------------------------


@pytest.fixture
def limits(tmp_path, monkeypatch):
    """Three seeds, four samples. genetic meets the limits at samples 2, 3, 1, random once, at sample 4.

    Beside it a problem with gaps, where genetic ends at 0 and random 1 below the best.
    """
    met = toys.spec(objective="latency", limits="latency<=0.5")
    entry = SuiteProblem("limits", met, "headline", satisfice=True)
    facts = {"fingerprint": Problem(met).fingerprint, "optimum_kind": "exact", "optimum": {"reward": 9.0}}
    monkeypatch.setattr("archgym.experiments.curves.SUITE", {"limits": entry})
    monkeypatch.setattr("archgym.experiments.curves.stored_facts", lambda name: {**facts, "median_gap": 0.3})
    found = {"genetic": (2, 3, 1), "random": (None, 4, None)}
    for agent, firsts in found.items():
        for seed, first in enumerate(firsts):
            row = [1.0 if first and i + 1 >= first else None for i in range(4)]
            write_study(tmp_path / f"l{agent}{seed}", row, agent=agent, seed=seed, problem=met, batch=2)
            end = 3.0 if agent == "genetic" else 2.0
            write_study(tmp_path / f"g{agent}{seed}", [0.0, 1.0, 1.0, end], agent=agent, seed=seed, batch=2)
    return archgym.load(tmp_path)


def test_limits_that_only_have_to_be_met_are_scored_by_success(limits):
    found = compare(limits, budgets=[2, 4])
    assert found.by_problem["problem"].nunique() == 1
    assert found.curves.titles[found.curves.satisfice.argmax()] == "limits"
    a, b = found.by_success.to_dict("records")
    assert (a["agent"], a["problem"], a["track"], a["seeds"]) == ("genetic", "limits", "grey", 3)
    assert (a["success@2"], a["success@4"], b["success@2"], b["success@4"]) == (2 / 3, 1, 0, 1 / 3)
    assert a["success@2.low"] == pytest.approx(0.2077, abs=1e-4)  # Wilson, 2 of 3: (p + z2/2n -+ …)/(1 + z2/n)
    assert [a[f"samples_to_feasible{k}"] for k in ("", ".low", ".high")] == [2, 1, 3]
    assert [b[f"samples_to_feasible{k}"] for k in ("", ".low", ".high")] == [INF, 4, INF]
    assert not any(name.startswith(("gap", "area", "solved")) for name in a)
    one = found.by_agent.set_index("agent")
    assert one["gap@4"].tolist() == [0, 1]  # of the other problem alone: 0.3 or infinite would show
    assert one["success@4"].tolist() == [1, 1 / 3]
    assert one["better"].tolist() == [0.5, 0]
    assert one["feasible"].tolist() == [1, 4 / 6]


def test_tables_of_success(limits):
    text = compare(limits, budgets=[2, 4]).to_markdown()
    assert "interquartile mean gap over 1 problems [95 %]; all limits met, 1 problems (track grey" in text
    assert "| limits | random | 0 % [0 %, 56 %] | 33 % [6 %, 79 %] | none [4, none] |" in text
    assert "NaN" not in compare(limits).to_json()


def test_non_inferiority_takes_the_problems_with_gaps(limits):
    (test,) = compare(limits).non_inferiority("genetic", 0.1).values()
    assert test.difference == -1.0  # 0 against 1 with every seed; gaps to the limits problem's optimum are 8


def test_success_alone(limits):
    alone = limits.select("problem.str.contains('latency')")
    found = compare(alone, budgets=[2, 4])
    assert found.against == "genetic"
    assert len(found.by_problem) == 0
    assert "gap" not in found.to_markdown()
    assert not [name for name in found.by_agent if name.startswith(("gap", "better", "solved"))]
    with pytest.raises(UsageError, match="scored by success"):
        found.non_inferiority("genetic", 0.1)
    with pytest.raises(UsageError, match="lottery measures gaps, limits is scored by success"):
        lots.lottery(alone, "genetic")


def test_a_lottery_leaves_success_aside(limits):
    assert lots.lottery(limits, "genetic").frame()["problem"].nunique() == 1


def test_a_variant_has_the_optimum_of_what_it_disguises(tmp_path):
    name = "dram-ddr4-gen-strided-edp"
    archgym.run(f"{name}~3", "random", budget=20, out=tmp_path / "a")
    (found,) = optima(archgym.load(tmp_path)).values()
    assert found == Optimum(
        known(name)["optimum"]["reward"], True, f"{name}~3", known(name)["median_gap"], known(name), False
    )


# ---- what cannot be compared -----------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"track": "scalar"}, "one track, got grey, scalar"),
        ({"batch": 5}, "one batch, got 10, 5"),
        ({"budget": 3, "rewards": [1.0] * 3}, "one budget, got 2, 3"),
        ({"seed": 1}, "lacks seed"),
        ({"agent": "random"}, "2 studies with seed 0"),
        ({"budget": 2, "rewards": [1.0]}, "shorter than their budget, such as b"),
    ],
)
def test_unlike_studies_are_refused(tmp_path, changed, message):
    write_study(tmp_path / "a", [1.0, 2.0])
    write_study(tmp_path / "b", changed.pop("rewards", [1.0, 2.0]), **{"agent": "genetic", **changed})
    with pytest.raises(UsageError, match=message):
        compare(archgym.load(tmp_path))


def test_unfinished_studies_are_dropped_or_extended(tmp_path):
    for agent in ("random", "genetic"):
        for seed in range(2):
            short = agent == "random" and seed == 1
            timing = [(1, 0.5, 0.0)] if short else [(2, 0.5, 0.0)]
            rewards = [1.0] if short else [1.0, 2.0]
            write_study(tmp_path / f"{agent}{seed}", rewards, agent=agent, seed=seed, budget=2, timing=timing)
    runs = archgym.load(tmp_path)
    assert compare(runs, unfinished="drop").curves.seeds == (0,)  # of every agent: pairs stay pairs
    extended = compare(runs, unfinished="extend")
    assert extended.curves.gaps[0, 1].tolist() == [[1, 0], [1, 1]]
    assert extended.curves.suggest[0, 1, 1].tolist() == [0.5, 0.5]  # a clock that never runs backwards
    assert "1 studies ended early" in extended.conditions
    with pytest.raises(UsageError, match="refuse, drop, extend"):
        compare(runs, unfinished="ignore")


def test_problems_without_anything_feasible_have_no_gaps(tmp_path):
    write_study(tmp_path / "a", [None])
    with pytest.raises(UsageError, match="nothing to measure gaps from"):
        compare(archgym.load(tmp_path))


def test_unknown_agents(two_agents):
    with pytest.raises(UsageError, match="found none of these agents"):
        compare(two_agents, agents=["annealing"])
    with pytest.raises(UsageError, match="expected one of genetic, random; got 'annealing'"):
        compare(two_agents, against="annealing")


# ---- the hyperparameter lottery --------------------------------------------------------


def test_expected_best_by_hand():
    # Of 1, 2, 3 the pairs are (1, 2), (1, 3), (2, 3): the smaller ones are 1, 1, 2.
    assert lots.expected_best(np.array([[3.0], [1.0], [2.0]]), 2) == pytest.approx(4 / 3)
    assert lots.expected_best(np.array([[1.0, 5.0], [3.0, 2.0]]), 2) == 1.5  # per seed 1 and 2
    assert lots.expected_best(np.array([[1.0, 5.0], [3.0, 2.0]]), 1) == 2.75  # the mean of all runs
    with pytest.raises(UsageError, match="from 1 to 2"):
        lots.expected_best(np.zeros((2, 1)), 3)


def test_variance_parts_by_hand():
    # Means 2 and 6: MSB = 2 * 8; within each 2 and 2: MSW = 2. (16 - 2)/2 = 7 between, 2 within.
    parts = lots.variance_parts(np.array([[1.0, 3.0], [5.0, 7.0]]))
    assert (parts.sd_config**2, parts.sd_seed**2) == (pytest.approx(7), pytest.approx(2))
    assert parts.share.value == pytest.approx(7 / 9)
    f = 8 / scipy.stats.f.ppf(0.975, 1, 2)
    assert parts.share.low == pytest.approx(max(0, (f - 1) / (f + 1)))
    f = 8 / scipy.stats.f.ppf(0.025, 1, 2)
    assert parts.share.high == pytest.approx((f - 1) / (f + 1))


def test_variance_parts_without_spread():
    equal_means = lots.variance_parts(np.array([[1.0, 3.0], [3.0, 1.0]]))
    assert (equal_means.sd_config, equal_means.share.value) == (0.0, 0.0)  # never negative
    assert lots.variance_parts(np.array([[1.0, 1.0], [2.0, 2.0]])).share == Estimate(1.0, 1.0, 1.0)
    assert math.isnan(lots.variance_parts(np.ones((2, 2))).share.value)
    with pytest.raises(UsageError, match="two seeds"):
        lots.variance_parts(np.ones((2, 1)))


def test_variance_parts_find_what_was_put_in():
    rng = np.random.default_rng(0)
    table = rng.normal(0, 2, (400, 1)) + rng.normal(0, 1, (400, 10))  # 4 of 5 is the configuration's
    assert lots.variance_parts(table).share.value == pytest.approx(0.8, abs=0.03)


def test_the_lottery(tmp_path):
    # Final gaps to the best (4): default 2 and 2, population 8: 1 and 0, population 4: 3 and 3. Another agent beside.
    finals = {None: (2, 2), 8: (3, 4), 4: (1, 1)}
    for population, rewards in finals.items():
        for seed, reward in enumerate(rewards):
            config = {} if population is None else {"population": population}
            write_study(tmp_path / f"{population}-{seed}", [float(reward)], agent="genetic", config=config, seed=seed)
    write_study(tmp_path / "other", [4.0], agent="random")
    found = lots.lottery(archgym.load(tmp_path), "genetic")
    assert found.default == "genetic"
    (row,) = found.frame().to_dict("records")
    assert (row["track"], row["configurations"], row["seeds"], row["optimum"]) == ("grey", 3, 2, "best known")
    assert (row["best"], row["median"], row["worst"]) == (0.5, 2, 3)
    assert (row["default"], row["default_quantile"]) == (2, 0.5)  # one of two others is better
    assert row["best_of_1"] == pytest.approx(11 / 6)
    assert row["best_of_2"] == pytest.approx(((1 + 1 + 2) / 3 + (0 + 0 + 2) / 3) / 2)
    assert "best_of_4" not in row
    # Means 2, 0.5, 3 and within 0, 0.5, 0: MSB = 2 * 19/12, MSW = 1/6.
    assert row["config_share"] == pytest.approx((19 / 12 - 1 / 12) / (19 / 12 - 1 / 12 + 1 / 6))
    with pytest.raises(UsageError, match="agent 'annealing'"):
        lots.lottery(archgym.load(tmp_path), "annealing")


def test_a_default_that_was_spelled_out(tmp_path):
    write_study(tmp_path / "a", [1.0], agent="genetic", config={"population": 24})
    write_study(tmp_path / "b", [1.0], agent="genetic", config={"population": 8})
    found = lots.lottery(archgym.load(tmp_path), "genetic")
    assert found.default == "genetic (population=24)"  # the agent's own default
    assert "config_share" not in found.frame()  # one seed does not tell seed from configuration
