"""``archgym proxy``: fit and score, as a user types them."""

import json
from pathlib import Path

import pytest

from archgym.experiments.cli import main


def call(capsys, *arguments):
    with pytest.raises(SystemExit) as stop:
        main([str(a) for a in arguments])
    out = capsys.readouterr()
    return stop.value.code, out.out, out.err


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("proxy")
    for seed, name in enumerate(("data", "other")):
        with pytest.raises(SystemExit):
            main(["dataset", "collect", "systolic/alexnet/edp", "--n", "400", "--mix", "random", "--seed", str(seed),
                  "--out", str(place / name), "--json"])  # fmt: skip
    with pytest.raises(SystemExit):
        main(["proxy", "fit", str(place / "data"), "--out", str(place / "model"), "--model", "lightgbm", "--json"])
    return place


def test_fit_tells_the_scores_on_held_back_rows(folder, capsys):
    status, out, err = call(capsys, "proxy", "fit", folder / "data", "--out", folder / "again", "--model", "additive")
    assert (status, err) == (0, "")
    assert "held-back rows (of 400)" in out
    assert "latency" in out
    assert "energy" in out
    status, out, _ = call(
        capsys, "proxy", "fit", folder / "data", "--out", folder / "third", "--metrics", "area", "--model", "additive",
        "--test", 0.5, "--json",
    )  # fmt: skip
    found = json.loads(out)
    assert status == 0
    assert list(found["metrics"]) == ["area"]
    assert found["rows"]["train"] + found["rows"]["test"] == 400
    assert abs(found["rows"]["test"] - 200) < 20
    assert found["splits"] == ["train", "test"]
    keys = {"rmse_over_mean", "rmse_over_range", "mape", "kendall_tau", "coverage_90"}
    assert keys < set(found["metrics"]["area"])


def test_score_tells_what_was_known_from_what_was_not(folder, capsys):
    status, out, _ = call(capsys, "proxy", "score", folder / "model", "--data", folder / "other", "--json")
    found = json.loads(out)
    assert status == 0
    assert found["rows"]["all"] == 400
    assert 380 < found["rows"]["new"] <= 400  # of 22 million designs hardly any comes twice
    assert found["metrics"] == found["splits"]["new"]
    assert found["metrics"]["latency"]["mape"] < 0.5
    _, out, _ = call(capsys, "proxy", "score", folder / "model", "--data", folder / "data", "--json")
    known = json.loads(out)
    assert known["rows"]["new"] < 200  # the test rows and those that calibrate
    assert known["splits"]["all"]["latency"]["mape"] < known["splits"]["new"]["latency"]["mape"]
    status, out, _ = call(capsys, "proxy", "score", folder / "model", "--data", folder / "data")
    assert "all rows: 400" in out
    assert "has not learnt" in out


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("fit", "data", "--out", "data"), "expected a new folder"),
        (("fit", "nowhere", "--out", "new"), "expected a data set"),
        (("fit", "data", "--out", "new", "--model", "forest"), "random-forest"),
        (("fit", "data", "--out", "new", "--metrics", "latncy"), "latency"),
        (("fit", "data", "--out", "new", "--test", "1.5"), "between 0 and 1"),
        (("fit", "data", "--out", "new", "--source", "x"), "rows to learn from"),
        (("score", "data", "--data", "data"), "expected a proxy model"),
        (("score", "model", "--data", "model"), "expected a data set"),
    ],
    ids=["out", "data", "model", "metric", "share", "source", "proxy", "no data"],
)
def test_wrong_usage_is_one_line(folder, capsys, monkeypatch, arguments, text):
    monkeypatch.chdir(folder)
    status, out, err = call(capsys, "proxy", *arguments)
    assert (status, out) == (2, "")
    assert text in err
    assert err.count("\n") == 1
    assert not Path("new").exists()


def test_verify_simulates_what_the_model_recommends(folder, capsys):
    common = ("proxy", "verify", folder / "model", "--samples", 300, "--random", 30, "--top", 5)
    status, out, err = call(capsys, *common)
    assert (status, err) == (0, "")
    assert "30 random designs" in out
    assert "the 5 best by the model" in out
    assert "worse than the best design simulated here" in out
    status, out, _ = call(capsys, *common, "--json", "--problem", "systolic/alexnet/latency")
    found = json.loads(out)
    assert status == 0
    assert len(found["designs"]) == 5
    assert found["problem"] == "systolic/alexnet/latency"
    assert found["regret_by_round"] == [found["verified_regret"]]
    assert found["verified_regret"] <= found["regret"]
    call(capsys, "proxy", "fit", folder / "data", "--out", folder / "simple", "--model", "additive")
    common = ("proxy", "verify", folder / "simple", *common[3:])
    status, out, _ = call(capsys, *common, "--rounds", 2, "--data", folder / "data")
    assert status == 0
    assert "the best of its first 5 choices" in out
    assert "the best of its 10 choices" in out
    status, _, err = call(capsys, *common, "--problem", "systolic/vgg16/edp")
    assert status == 2
    assert "has learnt workload alexnet" in err


def test_run_on_a_proxy(folder, capsys):
    arguments = ("run", "systolic/alexnet/edp", "--proxy", folder / "model", "--budget", 40, "--out", folder / "run")
    status, out, _ = call(capsys, *arguments, "--json")
    assert status == 0
    assert json.loads(out)["samples"] == 40
    assert call(capsys, "replay", folder / "run")[0] == 0
    status, _, err = call(capsys, "run", "systolic/vgg16/edp", "--proxy", folder / "model", "--budget", 40)
    assert status == 2
    assert "has learnt workload alexnet" in err
