"""Plans: what they expand to, in which order, and where a mistake in one is said to be."""

import json
import os
import re
from itertools import islice

import pytest
from test_log_and_study import Greedy

from archgym.errors import UnknownNameError, UsageError
from archgym.experiments.cli import main
from archgym.experiments.plan_file import load_plan
from archgym.experiments.sweep_tasks import tasks
from archgym.problem import Problem, ProblemSpec
from archgym.spec import StudySpec

TOP = """
problems = ["systolic/alexnet/edp", "dram-ddr4-gen-sources-edp"]
agents = ["random", "ga"]
budgets = [20, 50]
seeds = 3

[agent.ga]
agent = "genetic"
config = { population = 8 }
"""


@pytest.fixture(scope="module")
def build():
    """Builds each problem once for all tests of this file."""
    built = {}

    def get(spec):
        key = json.dumps(spec.to_dict())
        if key not in built:
            built[key] = Problem(spec)
        return built[key]

    return get


@pytest.fixture
def load(tmp_path, build):
    """A plan from the text of its file, and of others beside it."""

    def get(text, **others):
        for name, content in {"plan": text, **others}.items():
            (tmp_path / f"{name}.toml").write_text(content)
        return load_plan(tmp_path / "plan.toml", build)

    return get


def short(study):
    return study.problem.label.split("/")[0], study.agent, study.budget, study.seed


def test_a_plan_is_a_product_with_seeds_outermost(load):
    plan = load(TOP)
    expected = [
        (problem, agent, budget, seed)
        for seed in (0, 1, 2)
        for budget in (20, 50)
        for problem in ("systolic", "tabular")
        for agent in ("random", "genetic")
    ]
    assert [short(study) for study in plan] == expected
    assert len(plan) == len(expected) == 24
    assert plan.samples == 12 * 20 + 12 * 50
    # a fair comparison after any whole number of seeds: each seed's studies stand together
    assert {study.seed for study in islice(plan, 8)} == {0}
    assert next(iter(plan)) == StudySpec(ProblemSpec.parse("systolic/alexnet/edp"), "random", {}, 20, 10, "grey", 0)


def test_a_huge_plan_is_counted_without_being_listed(load):
    plan = load(TOP.replace("seeds = 3", "seeds = 1_000_000_000"))
    assert len(plan) == 8 * 10**9
    assert [study.seed for study in islice(plan, 9)] == [0] * 8 + [1]


def test_seeds_and_budgets_may_be_one_number_or_a_list(load):
    plan = load(TOP.replace("seeds = 3", "seeds = [7, 5]").replace("[20, 50]", "30"))
    assert [(s.seed, s.budget) for s in plan][::4] == [(7, 30), (5, 30)]


def test_a_grid_of_hyperparameters_gives_one_agent_each(load):
    grid = "grid = { tournament = [2, 3], mutation = [0.8, 2] }"
    plan = load(TOP + grid)
    names = [a.name for a in plan.grids[0].agents]
    assert names == ["random"] + [f"ga(tournament={t},mutation={m})" for t in (2, 3) for m in (0.8, 2)]
    last = plan.grids[0].agents[-1]
    assert last.config == {"population": 8, "tournament": 3, "mutation": 2.0}
    assert type(last.config["mutation"]) is float  # the type of the hyperparameter, so that 2 and 2.0 are one study


def test_grids_take_from_the_top_what_they_leave_out(load):
    plan = load(
        TOP + '\n[[grid]]\nname = "scalar"\nagents = ["random"]\ntrack = "scalar"\nbatch = 5\n[[grid]]\nseeds = 1'
    )
    assert [len(grid) for grid in plan.grids] == [24, 12, 8]
    assert {(s.track, s.batch, s.agent) for s in plan.grids[1]} == {("scalar", 5, "random")}
    assert plan.grids[1].name == "scalar"
    # without problems and agents of its own the top is no grid, only what the others have in common
    common = load('budgets = 5\nseeds = 2\n[[grid]]\nproblems = ["systolic/alexnet/edp"]\nagents = ["random"]')
    assert len(common) == 2


def test_a_study_that_stands_in_two_grids_is_run_once(load, tmp_path):
    plan = load(TOP + "\n[[grid]]\nseeds = 5")
    assert len(plan) == 24 + 40
    names = [task.folder.name for task in tasks(plan, tmp_path)]
    assert len(names) == len(set(names)) == 40


def test_problems_may_be_tables(load, tmp_path):
    (tmp_path / "nets").mkdir()
    (tmp_path / "nets" / "net.csv").write_text("Layer, H, W, R, S, C, K, stride,\nfirst, 14, 14, 3, 3, 8, 16, 1,\n")
    some = 'limits = ["area<=20"], sim = { clock_mhz = 500 }, space = { rows = [16, 32] }'
    problems = f"""problems = [
      {{ problem = "systolic/alexnet/edp", {some} }},
      {{ simulator = "systolic", workloads = ["nets/net.csv"], objective = "latency" }},
    ]"""
    plan = load(TOP.replace('problems = ["systolic/alexnet/edp", "dram-ddr4-gen-sources-edp"]', problems))
    first, second = plan.grids[0].problems
    assert (first.limits, first.sim, first.space) == (("area<=20",), {"clock_mhz": 500.0}, {"rows": (16, 32)})
    assert second.workloads[0]["name"] == "net"  # the content, found beside the plan wherever the command is run
    os.remove(tmp_path / "nets" / "net.csv")
    (tmp_path / "kept.json").write_text(json.dumps(plan.to_dict()))
    assert list(load_plan(tmp_path / "kept.json")) == list(plan)  # what a sweep keeps needs no other file


def test_included_plans_bring_their_grids_and_agents(load, tmp_path):
    # `common` is included by two ways and counts once
    own = 'problems = ["systolic/alexnet/edp"]\nagents = ["ga"]\nseeds = 1\nbudgets = '
    plan = load(
        f'include = ["one.toml", "two.toml"]\n{own}7',
        one=f'include = ["common.toml"]\n{own}5',
        two='include = ["common.toml"]',
        common='[agent.ga]\nagent = "genetic"\nconfig = { population = 4 }\n'
        '[[grid]]\nproblems = ["systolic/alexnet/edp"]\nagents = ["random"]\nbudgets = 6\nseeds = 1',
    )
    assert [(s.agent, s.budget) for s in plan] == [("random", 6), ("genetic", 5), ("genetic", 7)]
    assert {a.config["population"] for grid in plan.grids for a in grid.agents if a.config} == {4}
    (tmp_path / "kept.json").write_text(json.dumps(plan.to_dict()))
    assert list(load_plan(tmp_path / "kept.json")) == list(plan)


# what is wrong, in which way the plan is altered, and how the message places it
MISTAKES = {
    "unknown field": ("seeds = 3", "seed = 3", "plan.toml: unknown field of a plan 'seed'; did you mean seeds?"),
    "missing": ("seeds = 3", "", "plan.toml: seeds: expected how many .* got nothing"),
    "wrong type": ("seeds = 3", 'seeds = "many"', "plan.toml: seeds: expected how many .* got 'many'"),
    "no seeds": ("seeds = 3", "seeds = 0", "plan.toml: seeds: expected how many .* got 0"),
    "negative seed": ("seeds = 3", "seeds = [1, -1]", r"plan.toml: seeds: expected .* got \[1, -1\]"),
    "budget": ("[20, 50]", "[20, 0]", r"plan.toml: budgets\[1\]: expected a whole number from 1, got 0"),
    "boolean": ("[20, 50]", "true", "plan.toml: budgets: expected a whole number from 1, got True"),
    "batch": ("seeds = 3", "seeds = 3\nbatch = 1.5", "plan.toml: batch: expected a whole number from 1, got 1.5"),
    "track": ("seeds = 3", 'seeds = 3\ntrack = "gray"', "plan.toml: track: unknown track 'gray'; did you mean grey"),
    "empty": ('["random", "ga"]', "[]", "plan.toml: agents: expected at least one, got an empty list"),
    "agent": ('"random"', '"randm"', r"plan.toml: agents\[0\]: unknown agent 'randm'; did you mean random"),
    "named agent": ('"random", "ga"', '"random", "gb"', r"plan.toml: agents\[1\]: unknown agent 'gb'; did you mean ga"),
    "agent key": ("population", "poplation", "plan.toml: agent.ga: unknown option of agent genetic 'poplation'"),
    "agent value": (
        "population = 8",
        'population = "x"',
        "plan.toml: agent.ga: agent genetic: population: expected int",
    ),
    "agent field": (
        "config =",
        "confg =",
        "plan.toml: agent.ga: unknown field of an agent 'confg'; did you mean config",
    ),
    "agent grid": ("config = {", "grid = {", r"plan.toml: agent.ga.grid.population: expected a list of values, got 8"),
    "problem": ("alexnet", "alexnt", r"plan.toml: problems\[0\]: unknown workload 'alexnt'; did you mean alexnet"),
    "problem field": (
        '"systolic/alexnet/edp"',
        '{ problem = "systolic/alexnet/edp", limit = "area<=2" }',
        r"plan.toml: problems\[0\]: unknown field of a problem 'limit'; did you mean limits",
    ),
    "problem type": (
        '"systolic/alexnet/edp"',
        '{ problem = "systolic/alexnet/edp", sim = 3 }',
        r"plan.toml: problems\[0\]: sim: expected a table, got 3",
    ),
    "problem table": ('"systolic/alexnet/edp"', "{}", r"plan.toml: problems\[0\]: simulator: missing"),
    "include": (
        "seeds = 3",
        'seeds = 3\ninclude = ["other.toml"]',
        r"plan.toml: include\[0\]: cannot read .*other.toml",
    ),
    "syntax": ("seeds = 3", "seeds == 3", r"plan.toml: .*line 5"),
    "grid": ("[agent.ga]", "[[grid]]\nseeds = 0\n[agent.ga]", r"plan.toml: grid\[0\].seeds: expected how many"),
    "grid field": (
        "[agent.ga]",
        "[[grid]]\nsed = 0\n[agent.ga]",
        r"plan.toml: grid\[0\]: unknown field of a grid 'sed'",
    ),
}


@pytest.mark.parametrize("kind", MISTAKES)
def test_a_mistake_is_placed_in_one_line(load, kind):
    old, new, message = MISTAKES[kind]
    assert old in TOP
    with pytest.raises(UsageError, match=message) as caught:
        load(TOP.replace(old, new))
    assert "\n" not in str(caught.value)
    assert ("unknown field" in message) <= isinstance(caught.value, UnknownNameError)


def test_a_mistake_in_what_a_grid_inherits_is_placed_at_the_top(load):
    with pytest.raises(UsageError, match=r"plan.toml: seeds: expected how many"):
        load("seeds = 0\nbudgets = 5\n" + '[[grid]]\nproblems = ["systolic/alexnet/edp"]\nagents = ["random"]')


def test_includes_that_go_round_are_refused(load):
    with pytest.raises(
        UsageError, match=r"other.toml: include\[0\]: .*includes itself: plan.toml -> other.toml -> plan"
    ):
        load(f'include = ["other.toml"]\n{TOP}', other='include = ["plan.toml"]')


def test_a_second_agent_of_one_name_is_refused(load):
    with pytest.raises(UsageError, match=r"agent.ga: an included plan defines this agent"):
        load(f'include = ["other.toml"]\n{TOP}', other="[agent.ga]\nagent = 'random'\n")


def test_a_plan_without_studies_is_refused(load):
    with pytest.raises(UsageError, match="no studies"):
        load("seeds = 3")


def test_an_agent_that_needs_metrics_is_refused_on_the_scalar_track(load):
    assert Greedy.needs == "grey"
    with pytest.raises(UsageError, match=r"agents\[0\]: agent test_log_and_study:Greedy needs metrics"):
        load(TOP.replace('"random"', '"test_log_and_study:Greedy"').replace("seeds = 3", 'seeds = 3\ntrack = "scalar"'))


@pytest.mark.parametrize(
    ("text", "options", "hint"),
    [
        (TOP.replace("seeds = 3", "seed = 3"), (), "did you mean seeds"),
        (TOP.replace("seeds = 3", "seeds = 1_000_000"), (), "8000000 studies are more than 1000000; .*--yes"),
        (TOP, ("--shard", "3/2"), "expected 1/N to N/N, got 3/2"),
        (TOP, ("--shard", "half"), "expected I/N such as 2/8, got 'half'"),
        (TOP, ("--jobs", "0"), "--jobs: expected at least 1, got 0"),
        (TOP, ("--limit", "0"), "--limit: expected at least 1, got 0"),
    ],
    ids=["unknown field", "too many", "shard", "shard form", "jobs", "limit"],
)
def test_the_command_refuses_in_one_line_with_status_2(capsys, tmp_path, monkeypatch, text, options, hint):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plan.toml").write_text(text)
    with pytest.raises(SystemExit) as caught:
        main(["sweep", "plan.toml", *options])
    out, err = capsys.readouterr()
    assert caught.value.code == 2
    assert (out, err.count("\n")) == ("", 1)
    assert re.search(hint, err)
    assert [path.name for path in tmp_path.iterdir()] == ["plan.toml"]


def test_agents_may_be_named_by_module_and_class(load):
    plan = load(TOP.replace('"random"', '"archgym.agents.random_search:RandomSearch"'))
    assert {study.agent for study in plan} == {"archgym.agents.random_search:RandomSearch", "genetic"}
