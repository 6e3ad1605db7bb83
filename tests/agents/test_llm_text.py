"""What the language-model agent tells a model, and what it makes of replies."""

import json

import numpy as np
import pytest
import toys
from test_llm import Scripted, designs, scripted

from archgym import rng
from archgym.agents.llm_text import describe_goal, describe_space, read_designs, table
from archgym.space import DesignSpace, Parameter

MIDDLE = np.array([2, 2, 1, 1])  # of the toy space: a 4, b 3, mode y, c 1


def section(message):
    """The lines of the table of outcomes in a message."""
    return message.split("best first:\n")[1].split("\n\n")[0].splitlines()


def test_the_space_in_words():
    # Everything that a person would need: levels, unit, group, when c matters, and the one forbidden pair.
    assert describe_space(toys.SPACE).splitlines() == [
        "Parameters and their levels:",
        "- a: 1, 2, 4, 8 (4 ordered levels; unit lanes; part of array)",
        "- b: 1, 2, 3, 4, 5 (5 ordered levels; part of array)",
        "- mode: x, y, z (3 unordered levels)",
        "- c: 0, 1, 2 (3 ordered levels; matters only where mode is y)",
        "Forbidden together, 1 combinations: a 8, mode z",
    ]


def test_long_parameters_are_shown_by_their_ends_and_texts_in_full():
    space = DesignSpace(
        [
            Parameter.integers("n", 1, 1000, doc="queue entries"),
            Parameter.categorical("order", tuple(f"o{i}" for i in range(50))),
            Parameter.boolean("on"),
        ]
    )
    _, n, order, on = describe_space(space).splitlines()
    assert "1, 2, 3" in n
    assert n.endswith(", 20, ..., 997, 998, 999, 1000 (1000 ordered levels; queue entries)")
    assert all(f"o{i}" in order for i in range(50))  # a name that is not shown could not be chosen
    assert on == "- on: false, true (2 ordered levels)"  # as JSON writes them


@pytest.mark.parametrize(
    ("objective", "limits", "expected"),
    [
        ("ed2p", (), "the highest reward of ed2p, -1 ln(energy / 32) -2 ln(latency / 4)"),
        ("speed", (), "+1 ln(speed / 4)"),  # more is better: the reward grows with it
        ("pareto:latency,speed", (), "low latency, high speed"),
        ("edp", ("area<=16",), "A feasible design keeps area<=16.0."),
        ("archgym-target:latency=0.5x", (), "target / |target - metric| for latency = 2"),
    ],
)
def test_the_goal_in_words(objective, limits, expected):
    # The toy baseline with 16 MACs: latency 16 / 4 = 4, energy 32, speed 4.
    assert expected in describe_goal(toys.problem(objective=objective, limits=limits).objective)


def test_rows_hold_levels_metrics_and_what_is_exceeded():
    # a=4 b=4 mode x: latency 16/16 = 1, energy 64, area 16, reward -ln(64/32 * 1/4) = ln 2 = 0.6931.
    # a=4 b=5 has area 20, a quarter over 16. a=1 b=5 is "too thin": nothing is known of it, not even a reward.
    problem = toys.problem(limits=("area<=16",))
    rows = [{"a": 4, "b": 4, "mode": "x", "c": 0}, {"a": 4, "b": 5, "mode": "x", "c": 0}]
    rows.append({"a": 1, "b": 5, "mode": "x", "c": 0})
    told = problem.evaluate(problem.space.encode(rows))
    assert table(problem.space, told, problem.objective, 1).splitlines() == [
        "a | b | mode | c | reward | energy | latency | area | speed | violated",
        "4 | 4 | x | 0 | 0.6931 | 64 | 1 | 16 | 16 | nothing",
        "4 | 5 | x | 0 | infeasible | 64 | 0.8 | 20 | 20 | area<=16.0 by 0.25",
        "1 | 5 | x | 0 | infeasible | - | - | - | - | unknown",
    ]


@pytest.mark.parametrize(
    ("reply", "complaint"),
    [
        ("I would rather not.", "there is no JSON list of objects in the answer"),
        ("[1, 2, 3]", "there is no JSON list"),
        ("[" * 20_000, "there is no JSON list"),  # deeper than the parser goes
        ('[{"rows": 4}]', "design 1: expected the parameters a, b, mode, c, got rows"),
        ('[{"mode": "w"}]', "design 1: parameter 'mode' has no level 'w'; levels: x, y, z"),
        ('[{"a": [4]}]', "design 1: parameter 'a' has no level '[4]'"),
        ('[{"a": NaN}]', "design 1: parameter 'a' has no level nan"),
    ],
)
def test_what_cannot_be_read_is_named(reply, complaint):
    codes, wrong = read_designs(reply, toys.SPACE, MIDDLE)
    assert codes.shape == (0, 4)
    assert complaint in wrong


def test_complaints_stay_short():
    # The model pays for every word: three examples suffice, and nobody needs its novel back.
    reply = json.dumps([{"mode": "w" * 10_000}] * 50)
    assert len(read_designs(reply, toys.SPACE, MIDDLE)[1]) < 500


def test_a_wrong_design_does_not_spoil_the_others():
    codes, wrong = read_designs('[{"mode": "w"}, {"a": 2}]', toys.SPACE, MIDDLE)
    assert designs(toys.SPACE, codes) == [(2, 3, "y", 1)]
    assert wrong.startswith("design 1: ")


def test_truth_values_and_textual_numbers_are_levels():
    space = DesignSpace([Parameter.boolean("on"), Parameter.categorical("ways", ("1", "2"))])
    for text in ('"on": true, "ways": 2', '"on": "TRUE", "ways": "2"', '"on": 1, "ways": 2'):
        assert read_designs(f"[{{{text}}}]", space, np.array([0, 0]))[0].tolist() == [[1, 1]]


def test_thousands_may_be_separated_and_units_named():
    space = DesignSpace([Parameter.powers_of_two("sram", 64, 4096, unit="KiB")])
    for value in ("2,048 KiB", "2048KiB", "2e3", "~", 2000.5):
        codes, wrong = read_designs(json.dumps([{"sram": value}]), space, np.array([0]))
        assert (codes.tolist() == [[5]]) != ("no level '~'" in wrong)


def test_the_nearest_level_of_a_huge_number_is_the_last():
    # Every distance to 1e30 rounds to 1e30: taken naively, the first level would be as near as the last.
    assert read_designs('[{"a": 1e30}, {"a": -1e30}]', toys.SPACE, MIDDLE)[0][:, 0].tolist() == [3, 0]


def test_the_scalar_track_shows_rewards_and_nothing_else():
    problem = toys.problem(limits=("area<=16",))
    agent = Scripted(problem.space, budget=40)
    agent.tell(problem.evaluate(problem.space.sample(20, rng.generator(0, "test"))).scalar())
    agent.ask(2)
    system, user = (message["content"] for message in agent.received[0])
    assert "a | b | mode | c | reward | violated" in user
    assert "Infeasible designs have none." in system
    assert not [word for word in ("latency", "energy", "area", "-20") if word in system + user]


def test_the_best_rows_come_first_and_the_worst_last():
    # All 75 canonical designs but those with a = 8; the first shown is the best there is, infeasible ones come last.
    problem = toys.problem(limits=("area<=16",))
    told = problem.evaluate(np.concatenate(list(problem.space.enumerate())))
    agent = scripted(problem=problem, best=3, worst=2, metrics=0)
    agent.tell(told)
    agent.ask(1)
    header, *rows = section(agent.received[0][1]["content"])
    rewards = [dict(zip(header.split(" | "), row.split(" | "), strict=True))["reward"] for row in rows]
    feasible = np.sort(told.reward[told.feasible])[::-1]
    assert rewards == [*(f"{r:.4g}" for r in feasible[:3]), "infeasible", "infeasible"]


def test_where_nothing_is_feasible_the_least_violation_is_best():
    # No design has an area below 1: 1 lane misses 0.5 by (1 - 0.5) / 0.5 = 1, no other by less. All rewards are equal.
    problem = toys.problem(limits=("area<=0.5",))
    agent = scripted('[{"b": 2}]', problem=problem, best=1, worst=0, metrics=0)
    told = problem.evaluate(np.concatenate(list(problem.space.enumerate()))[::-1])
    agent.tell(told.take(np.flatnonzero(told.metrics["area"] > 0)))  # those that are possible at all
    agent.ask(1)
    assert section(agent.received[0][1]["content"])[1] == "1 | 1 | x | 0 | infeasible | 16 | 16 | 1 | area<=0.5 by 1"


def test_of_a_front_designs_from_everywhere_are_shown():
    # In mode x latency * area = 16 whatever the lanes: the reward tells these designs apart by rounding only, while
    # the front reaches from 40 lanes to 1. Both ends belong to what is shown.
    problem = toys.problem("toys:ToyFree", objective="pareto:latency,area", space={"mode": ("x",)})
    told = problem.evaluate(np.concatenate(list(problem.space.enumerate())))
    told = told.take(np.flatnonzero(told.feasible))
    agent = scripted(problem=problem, best=3, worst=0, metrics=0)
    agent.tell(told)
    agent.ask(1)
    names, *rows = (line.split(" | ") for line in section(agent.received[0][1]["content"]))
    areas = sorted(float(row[names.index("area")]) for row in rows)
    assert len(rows) == 3
    assert (areas[0], areas[2]) == (told.metrics["area"].min(), told.metrics["area"].max()) == (1.0, 40.0)


def test_budget_pending_designs_and_what_the_user_knows_are_told():
    agent = scripted('[{"a": 4, "b": 4, "mode": "x"}]', about="Lanes cost area.")
    agent.ask(3)
    agent.ask(2)
    first, second = agent.received[0], agent.received[1]
    assert "Lanes cost area." in first[0]["content"]
    assert first[1]["content"] == "Study 0: 0 designs known, 40 samples left.\n\nPropose 3 new designs."
    assert "0 designs known, 37 samples left" in second[1]["content"]
    assert "not known yet:\na | b | mode | c\n4 | 4 | x | 0\n" in second[1]["content"]


def test_what_is_told_leaves_the_list_of_pending_designs():
    problem = toys.problem()
    agent = scripted('[{"a": 4, "b": 4, "mode": "x"}]', problem=problem)
    agent.tell(problem.evaluate(agent.ask(1)))
    agent.ask(1)
    assert "not known yet" not in agent.received[1][1]["content"]
