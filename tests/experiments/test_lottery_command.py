"""``archgym lottery``: which configurations are drawn, and numbers against plain loops over the raw logs."""

import itertools
import json
from dataclasses import dataclass

import numpy as np
import pytest

from archgym.agent import Agent
from archgym.agents.genetic import Genetic
from archgym.errors import UsageError
from archgym.experiments import planned_runs
from archgym.experiments.cli import main
from archgym.experiments.configurations import configurations

PROBLEM = "toys:Toy/alexnet/edp"
CONFIGS, SEEDS, BUDGET = 5, 3, 20
COMMAND = ("lottery", PROBLEM, "--agents", "genetic", "--configs", CONFIGS, "--seeds", SEEDS, "--budget", BUDGET)


class Small(Agent):
    """Nine combinations, of which the Config refuses the three with a = 3 but one."""

    @dataclass(frozen=True)
    class Config:
        a: int = 1
        b: float = 0.5

        def __post_init__(self):
            if self.a == 3 and self.b > 0.5:
                raise UsageError("3 is too much")

    search_space = {"a": (1, 2, 3), "b": (0.5, 1.0, 2.0)}  # noqa: RUF012

    def ask(self, n):
        return self.space.sample(n, self.rng)

    def tell(self, evaluation):
        pass


class Slip(Small):
    search_space = {"c": (1, 2)}  # noqa: RUF012


def call(capsys, *arguments):
    with pytest.raises(SystemExit) as caught:
        main([str(a) for a in arguments])
    out, err = capsys.readouterr()
    return caught.value.code, out, err


# ---- what is drawn -----------------------------------------------------------------------


def test_the_default_is_first_and_none_comes_twice():
    found = configurations("genetic", 60)
    assert found[0] == {}
    assert len(found) == 60
    whole = [{**vars(Genetic.Config()), **config} for config in found]
    assert len({json.dumps(config, sort_keys=True) for config in whole}) == 60
    for config in whole:
        assert all(config[key] in values for key, values in Genetic.search_space.items())


def test_the_draw_depends_on_its_seed_alone_and_more_begin_alike():
    assert configurations("genetic", 8) == configurations("genetic", 30)[:8]
    assert configurations("genetic", 8, seed=1) != configurations("genetic", 8)


def test_every_configuration_is_as_likely_as_another():
    """Of the 404 others each value of an axis comes up with its share: population 64 in a fifth of 2000 draws."""
    drawn = [c for seed in range(100) for c in configurations("genetic", 21, seed=seed)[1:]]
    share = np.mean([config.get("population") == 64 for config in drawn])
    assert share == pytest.approx(81 / 404, abs=0.04)  # four and a half standard deviations of 2000 draws


def test_a_small_space_is_drawn_whole_without_what_the_config_refuses():
    found = configurations(f"{__name__}:Small", 100)
    assert found[0] == {}
    pairs = {(config.get("a", 1), config.get("b", 0.5)) for config in found}
    assert pairs == set(itertools.product((1, 2), (0.5, 1.0, 2.0))) | {(3, 0.5)}
    assert len(found) == 7


def test_what_cannot_be_drawn():
    with pytest.raises(UsageError, match="agent random declares no search_space"):
        configurations("random", 4)
    with pytest.raises(UsageError, match=r"option of agent .*Slip"):
        configurations(f"{__name__}:Slip", 4)


# ---- the command -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("lottery") / "out"
    with pytest.raises(SystemExit) as caught:
        main([str(a) for a in (*COMMAND, "--out", path)])
    assert caught.value.code == 0
    return path


def final_gaps(folder):
    """Gaps (configurations, seeds) to the best of all runs, from the files; the default is the first row."""
    best = {}
    for path in folder.glob("*/trials.jsonl"):
        study = json.loads((path.parent / "spec.json").read_text())["study"]
        rewards = [r["reward"] for r in map(json.loads, path.read_text().splitlines()) if r["feasible"]]
        best.setdefault(json.dumps(study["config"]), {})[study["seed"]] = max(rewards)
    table = np.array([[best[c][s] for s in range(SEEDS)] for c in sorted(best, key=lambda c: (c != "{}", c))])
    return table.max() - table


def test_the_numbers_are_those_of_the_logs(folder):
    gaps = final_gaps(folder)
    assert gaps.shape == (CONFIGS, SEEDS)
    (row,) = json.loads((folder / "report" / "report.json").read_text())["rows"]
    means = gaps.mean(axis=1)
    assert (row["agent"], row["configurations"], row["seeds"]) == ("genetic", CONFIGS, SEEDS)
    assert row["optimum"] == "best known"
    assert row["default"] == pytest.approx(means[0])
    assert (row["best"], row["median"], row["worst"]) == pytest.approx((means.min(), np.median(means), means.max()))
    better = (means[1:] < means[0] - 1e-12).sum() + 0.5 * (abs(means[1:] - means[0]) < 1e-12).sum()
    assert row["default_quantile"] == pytest.approx(better / (CONFIGS - 1))
    for k in (1, 2, 4):
        groups = itertools.combinations(range(CONFIGS), k)
        assert row[f"best_of_{k}"] == pytest.approx(np.mean([gaps[list(group)].min(axis=0).mean() for group in groups]))
    between, within = SEEDS * means.var(ddof=1), gaps.var(axis=1, ddof=1).mean()
    config = max(0.0, (between - within) / SEEDS)
    assert row["config_share"] == pytest.approx(config / (config + within))
    assert (row["sd_config"], row["sd_seed"]) == pytest.approx((config**0.5, within**0.5))


def test_the_report(folder):
    report = folder / "report"
    text = (report / "report.md").read_text()
    tables = [line for line in text.splitlines() if line.startswith("**")]
    assert len(tables) == 3
    assert all(f"track grey, batch 10, {BUDGET} samples, {SEEDS} seeds" in line for line in tables)
    assert "best known" in text
    assert {p.name for p in report.iterdir()} == {"report.md", "report.json", "lottery.png", "best-of-k.png"}
    assert "](lottery.png)" in text
    assert "](best-of-k.png)" in text
    configurations_of = json.loads((report / "report.json").read_text())["configurations"]
    assert [row["configuration"] for row in configurations_of].count("genetic") == 1
    assert len(configurations_of) == CONFIGS


def test_again_and_report_and_more_configurations(folder, tmp_path, capsys, monkeypatch):
    """In a folder that has been run, nothing is; more configurations join; `archgym report` sees a lottery."""
    monkeypatch.setattr("archgym.experiments.comparison_report.save_picture", lambda figure, path, dpi: path.touch())
    rows = json.loads((folder / "report" / "report.json").read_text())["rows"]
    before = {p: p.stat().st_mtime_ns for p in folder.glob("*/trials.jsonl")}
    status, out, _ = call(capsys, "report", folder, "--json", "--out", tmp_path / "again")
    assert (status, json.loads(out)["rows"]) == (0, rows)
    status, out, _ = call(capsys, *COMMAND[:4], "--configs", CONFIGS + 1, *COMMAND[6:], "--out", folder, "--json")
    assert status == 0
    assert json.loads(out)["rows"][0]["configurations"] == CONFIGS + 1
    assert {p: p.stat().st_mtime_ns for p in before} == before
    assert len(list(folder.glob("*/trials.jsonl"))) == len(before) + SEEDS


def test_ctrl_c_names_the_command_that_goes_on(tmp_path, monkeypatch, capsys):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(planned_runs, "sweep", interrupted)
    status, out, err = call(capsys, *COMMAND, "--draw", 7, "--out", "here")
    assert (status, out) == (130, "")
    assert err.endswith(f"go on with: archgym {' '.join(map(str, COMMAND))} --draw 7 --out here\n")


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        ((PROBLEM, "--agents", "genetic,random"), "agent random declares no search_space"),
        ((PROBLEM, "--agents", "genetics"), "did you mean genetic"),
        ((PROBLEM, "--agents", "genetic", "--configs", "0"), "--configs: expected at least 1"),
        ((PROBLEM, "--agents", "genetic", "--budget", "0"), "--budget: expected at least 1"),
        ((PROBLEM, "--agents", "genetic", "--track", "gray"), "did you mean grey"),
        (("toys:Toy/alexnet/epd", "--agents", "genetic"), "did you mean edp"),
        (("dram-rl-gen-hotrow-budgets", "--agents", "genetic"), "measures gaps, dram-rl-gen-hotrow-budgets is scored"),
    ],
)
def test_bad_input_is_one_line_with_a_hint(capsys, tmp_path, monkeypatch, arguments, hint):
    monkeypatch.chdir(tmp_path)
    status, out, err = call(capsys, "lottery", *arguments)
    assert (status, out) == (2, "")
    assert err.startswith("archgym: ")
    assert err.count("\n") == 1
    assert hint in err
    assert list(tmp_path.iterdir()) == []
