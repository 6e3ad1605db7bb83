"""``archgym dataset``: build, collect, import and show, as a user types them."""

import json
from pathlib import Path

import pytest

from archgym.dataset.dataset import Dataset
from archgym.experiments.cli import main

SAMPLES = Path(__file__).parents[1] / "data" / "dram" / "archgym_samples.csv"


def call(capsys, *arguments):
    with pytest.raises(SystemExit) as stop:
        main([str(a) for a in arguments])
    out = capsys.readouterr()
    return stop.value.code, out.out, out.err


def test_runs_become_one_table(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for agent in ("random", "genetic"):
        call(
            capsys, "run", "systolic/alexnet/edp", "--agent", agent, "--budget", 30, "--out", f"runs/{agent}", "--json"
        )
    status, out, err = call(capsys, "dataset", "build", "runs", "--out", "set")
    assert (status, err) == (0, "")
    rows = len(Dataset("set"))
    assert out.startswith(f"set: {rows} rows of 1 source, ")
    status, out, _ = call(capsys, "dataset", "build", "runs", "--out", "all", "--duplicates", "keep", "--json")
    found = json.loads(out)
    assert (found["rows"], found["missing"]) == (60, [])
    assert list(found["sources"].values()) == ["systolic/alexnet/edp"]
    status, out, _ = call(capsys, "dataset", "show", "set")
    assert status == 0
    assert out == Path("set/README.md").read_text()
    assert "| genetic |" in out
    assert json.loads(call(capsys, "dataset", "show", "set", "--json")[1])["rows"] == rows


def test_damaged_and_lost_logs_are_said(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for seed in range(2):
        folder = f"runs/{seed}"
        call(capsys, "run", "systolic/alexnet/edp", "--agent", "random", "--budget", 9, "--seed", seed, "--out", folder)
    broken = Path("runs/0/trials.jsonl")
    broken.write_text("{}\n" + broken.read_text())
    header = json.loads(Path("runs/1/spec.json").read_text())
    header["study"]["problem"]["simulator"] = "gone"
    Path("runs/1/spec.json").write_text(json.dumps(header))
    status, out, err = call(capsys, "dataset", "build", "runs", "--out", "set")
    assert status == 0
    assert "set: 9 rows" in out
    assert "left out runs/0: " in err
    assert "without the simulator" in err
    assert "gone/alexnet/edp" in err


def test_collecting_goes_on_after_ctrl_c(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command = ("dataset", "collect", "systolic/alexnet/edp", "--n", 60, "--part", 20, "--batch", 10, "--out", "set")
    from archgym.dataset import collect as collecting

    search, calls = collecting.search, []

    def stops(*args, **kwargs):
        calls.append(args)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return search(*args, **kwargs)

    monkeypatch.setattr(collecting, "search", stops)
    monkeypatch.setattr("sys.argv", ["archgym", *map(str, command)])
    status, out, err = call(capsys, *command)
    assert (status, out) == (130, "")
    assert err == f"archgym: interrupted; 20 of 60 rows are kept; go on with: archgym {' '.join(map(str, command))}\n"
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    status, out, _ = call(capsys, *command, "--json")
    assert status == 0
    assert json.loads(out)["rows"] == 60


def test_the_predecessors_samples(tmp_path, capsys):
    status, out, _ = call(capsys, "dataset", "import", SAMPLES, "--workload", "stream", "--out", tmp_path / "set")
    assert status == 0
    assert "20 rows of 1 source" in out


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("build", "nowhere", "--out", "set"), "expected a study folder"),
        (("build", "nowhere", "--out", "set", "--duplicates", "some"), "did you mean|known: agent, drop, keep"),
        (("collect", "systolic/alexnet/edp", "--n", "10", "--mix", "genetik", "--out", "set"), "genetic"),
        (("collect", "systolic/alexnett/edp", "--n", "10", "--out", "set"), "alexnet"),
        (("collect", "systolic/alexnet/edp", "--n", "0", "--out", "set"), "n of at least 1"),
        (("import", "nowhere.csv", "--workload", "stream", "--out", "set"), "cannot read"),
        (("show", "nowhere"), "expected a data set"),
    ],
    ids=["runs", "duplicates", "mix", "problem", "n", "file", "folder"],
)
def test_wrong_usage_is_one_line(tmp_path, capsys, monkeypatch, arguments, text):
    import re

    monkeypatch.chdir(tmp_path)
    status, out, err = call(capsys, "dataset", *arguments)
    assert (status, out) == (2, "")
    assert re.search(text, err)
    assert err.count("\n") == 1
    assert not Path("set").exists()
