"""The command line: what it prints, writes and returns, on good and on bad input."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from archgym.experiments.cli import main

DATA = Path(__file__).parent / "data"
ARCHGYM = [sys.executable, "-c", "from archgym.experiments.cli import main; main()"]


def call(capsys, *arguments):
    """Exit status, standard output and standard error of one command."""
    with pytest.raises(SystemExit) as exit_info:
        main([str(a) for a in arguments])
    out, err = capsys.readouterr()
    return exit_info.value.code, out, err


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_run_writes_a_folder_that_replay_accepts_and_prints_tables(capsys, tmp_path):
    status, out, _ = call(capsys, "run", "systolic/resnet50/edp", "--budget", 60, "--out", "study")
    assert status == 0
    # the tables: best designs, the front in the objective's terms, units intact (brackets are no markup)
    assert "best designs" in out
    assert "Pareto front in energy, latency" in out
    assert "latency [s]" in out
    assert sorted(p.name for p in (tmp_path / "study").iterdir()) == [
        "convergence.png",
        "pareto.png",
        "spec.json",
        "timing.jsonl",
        "trials.jsonl",
    ]
    assert len((tmp_path / "study" / "trials.jsonl").read_text().splitlines()) == 60
    assert call(capsys, "replay", "study", "--agent")[:2] == (
        0,
        "study: 60 rows agree, and the agent asks for them again\n",
    )


def test_the_same_command_again_changes_nothing(capsys, tmp_path):
    command = ("run", "systolic/alexnet/edp", "--budget", 40, "--out", "study")
    call(capsys, *command)
    before = sha256(tmp_path / "study" / "trials.jsonl")
    assert call(capsys, *command)[0] == 0
    assert sha256(tmp_path / "study" / "trials.jsonl") == before


def test_the_default_folder_is_under_results_and_named_by_the_spec(capsys, tmp_path):
    call(capsys, "run", "systolic/alexnet/edp", "--budget", 10)
    call(capsys, "run", "systolic/alexnet/edp", "--budget", 11)
    call(capsys, "run", "systolic/alexnet/edp", "--budget", 10)
    assert len(list((tmp_path / "results" / "systolic_alexnet_edp").iterdir())) == 2


def test_the_log_does_not_depend_on_the_executor(capsys, tmp_path):
    base = ("run", "systolic/alexnet/edp", "--budget", 300, "--batch", 64)
    call(capsys, *base, "--out", "a")
    call(capsys, *base, "--out", "b", "--executor", "threads", "--jobs", 2)
    assert sha256(tmp_path / "a" / "trials.jsonl") == sha256(tmp_path / "b" / "trials.jsonl")


def test_text_and_typed_options_mean_the_same_study(capsys, tmp_path):
    """--set values are converted before hashing, so the header holds numbers and levels, not text."""
    settings = ("--set", "agent.population=8", "--set", "sim.clock_mhz=500", "--set", "space.rows=16,32")
    call(capsys, "run", "systolic/alexnet/edp", "--budget", 10, "--out", "s", *settings, "--limit", "area<=20")
    study = json.loads((tmp_path / "s" / "spec.json").read_text())["study"]
    assert study["config"] == {"population": 8}
    assert study["problem"]["sim"] == {"clock_mhz": 500.0}
    assert study["problem"]["space"] == {"rows": [16, 32]}
    assert study["problem"]["limits"] == ["area<=20"]


def test_json_output_is_one_document(capsys):
    status, out, _ = call(capsys, "run", "systolic/alexnet/edp", "--budget", 20, "--out", "s", "--json")
    answer = json.loads(out)
    assert status == 0
    assert answer["samples"] == 20
    assert set(answer["best"]) == {"trial", "design", "metrics", "reward"}


def test_a_workload_file_replaces_the_name_and_is_embedded_in_the_study(capsys, tmp_path):
    topology = tmp_path / "net.csv"
    topology.write_text("Layer, H, W, R, S, C, K, stride,\nfirst, 14, 14, 3, 3, 8, 16, 1,\n")
    assert call(capsys, "run", "systolic/edp", "--workload", topology, "--budget", 10, "--out", "s")[0] == 0
    topology.unlink()  # the study holds the content, not the path
    assert call(capsys, "replay", "s")[0] == 0


# ---- bad input: one line with a hint, status 2, nothing written --------------------------

BAD = [
    (("run", "systolc/resnet50/edp"), "did you mean systolic"),
    (("run", "systolic/resnt50/edp"), "did you mean resnet50"),
    (("run", "systolic/resnet50/epd"), "did you mean edp"),
    (("run", "systolic/resnet50"), "expected simulator/workload/objective"),
    (("run", "systolic-resnet50-edp-1n"), "did you mean systolic-resnet50-edp-1m"),
    (("run", "systolic/resnet50/edp", "--agent", "genetics"), "did you mean genetic"),
    (("run", "systolic/resnet50/edp", "--set", "agent.poplation=3"), "did you mean population"),
    (("run", "systolic/resnet50/edp", "--set", "sim.clock=3"), "did you mean clock_mhz"),
    (("run", "systolic/resnet50/edp", "--set", "sim.bits=wide"), "expected int, got 'wide'"),
    (("run", "systolic/resnet50/edp", "--set", "space.row=4"), "did you mean rows"),
    (("run", "systolic/resnet50/edp", "--set", "space.rows=33"), "nearest is 32"),
    (("run", "systolic/resnet50/edp", "--set", "population=3"), "expected agent.K=V"),
    (("run", "systolic/resnet50/edp", "--limit", "area<20"), "expected METRIC<=NUMBER"),
    (("run", "systolic/resnet50/edp", "--limit", "aera<=20"), "did you mean area"),
    (("run", "systolic/resnet50/edp", "--budget", "0"), "at least 1 sample, got 0"),
    (("run", "systolic/resnet50/edp", "--batch", "0"), "at least 1, got 0"),
    (("run", "systolic/resnet50/edp", "--track", "gray"), "did you mean grey"),
    (("run", "systolic/resnet50/edp", "--executor", "thread"), "did you mean threads"),
    (("run", "systolic/resnet50/edp", "--resume"), "holds no study"),
    (("run", "systolic/resnet50/edp", "--budgt", "5"), "budgt"),
    (("run", "systolic/edp", "--workload", "missing.csv"), "missing.csv"),
    (("run", "systolic-resnet50-edp-1m", "--set", "sim.bits=16"), "frozen"),
    (("eval", "systolic/resnet50/edp", "--design", "rows=33"), "nearest is 32"),
    (("eval", "systolic/resnet50/edp", "--design", "row=32"), "did you mean rows"),
    (("eval", "systolic/resnet50/edp", "--design", "rows"), "expected PARAMETER=LEVEL"),
    (("list", "simulator"), "did you mean simulators"),
    (("show", "systolik"), "did you mean systolic"),
    (("replay", "nowhere"), "no study folder"),
    (("validate", "systolic", "nowhere.csv"), "nowhere.csv"),
    (("validate", "sistolic", "nowhere.csv"), "did you mean systolic"),
    (("nonsense",), "nonsense"),
]


@pytest.mark.parametrize(("arguments", "hint"), BAD, ids=[" ".join(a) for a, _ in BAD])
def test_bad_input_is_one_line_with_a_hint(capsys, tmp_path, arguments, hint):
    status, out, err = call(capsys, *arguments)
    assert status == 2
    assert out == ""
    assert err.startswith("archgym: ")
    assert err.count("\n") == 1
    assert hint in err
    assert list(tmp_path.iterdir()) == []


def test_a_broken_topology_names_file_line_and_column(capsys, tmp_path):
    topology = tmp_path / "net.csv"
    topology.write_text("Layer, H, W, R, S, C, K, stride,\nfirst, 14, x4, 3, 3, 8, 16, 1,\n")
    status, _, err = call(capsys, "run", "systolic/edp", "--workload", topology, "--budget", 10, "--out", "s")
    assert status == 2
    assert "net.csv:2:3" in err  # line 2, third field
    assert not (tmp_path / "s").exists()


def test_an_out_folder_of_another_spec_is_refused_untouched(capsys, tmp_path):
    call(capsys, "run", "systolic/alexnet/edp", "--budget", 10, "--out", "s")
    before = {p.name: sha256(p) for p in (tmp_path / "s").iterdir()}
    status, _, err = call(capsys, "run", "systolic/alexnet/edp", "--budget", 11, "--out", "s")
    assert status == 2
    assert "another study" in err
    assert {p.name: sha256(p) for p in (tmp_path / "s").iterdir()} == before


def test_replay_of_an_altered_log_fails_and_names_the_row(capsys, tmp_path):
    call(capsys, "run", "systolic/alexnet/edp", "--budget", 10, "--out", "s")
    path = tmp_path / "s" / "trials.jsonl"
    lines = path.read_text().splitlines()
    row = json.loads(lines[6])
    row["metrics"]["dram_bytes"] = 1.0
    lines[6] = json.dumps(row)
    path.write_text("\n".join(lines) + "\n")
    status, _, err = call(capsys, "replay", "s")
    assert status == 1
    assert "row 6" in err
    assert "dram_bytes" in err


# ---- interruption ------------------------------------------------------------------------

SLOW = ["run", "systolic/resnet50/edp", "--agent", "random", "--budget", "3000", "--batch", "1", "--seed", "2"]


def start_and_wait_for_rows(tmp_path, rows):
    process = subprocess.Popen(
        [*ARCHGYM, *SLOW, "--out", "s"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    trials = tmp_path / "s" / "trials.jsonl"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not (trials.exists() and trials.read_bytes().count(b"\n") >= rows):
        time.sleep(0.01)
    return process, trials


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_a_kill_or_ctrl_c_loses_nothing_and_resume_ends_with_the_same_log(capsys, tmp_path):
    """kill -9 first, then Ctrl-C during the resume, then resume to the end: equal to one uninterrupted run."""
    process, trials = start_and_wait_for_rows(tmp_path, 50)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    killed_at = trials.read_bytes().count(b"\n")
    assert 50 <= killed_at < 3000

    process, trials = start_and_wait_for_rows(tmp_path, killed_at + 50)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode == 130
    assert "--out s --resume" in err
    interrupted_at = trials.read_bytes().count(b"\n")
    assert f"interrupted after {interrupted_at} of 3000" in err

    assert call(capsys, *SLOW, "--out", "s", "--resume")[0] == 0
    assert call(capsys, *SLOW, "--out", "whole")[0] == 0
    assert sha256(trials) == sha256(tmp_path / "whole" / "trials.jsonl")


# ---- looking -----------------------------------------------------------------------------


def test_eval_prints_metrics_slacks_layers_and_reward(capsys):
    status, out, _ = call(capsys, "eval", "systolic/alexnet/edp", "--design", "rows=16", "--layers", "--json")
    answer = json.loads(out)
    assert status == 0
    assert answer["design"]["rows"] == 16
    assert answer["feasible"] is True
    assert len(answer["layers"]["alexnet"]["layer"]) == 8  # AlexNet has five convolutions and three dense layers
    # the layers' latencies add up to the network's
    assert sum(answer["layers"]["alexnet"]["latency_s"]) == pytest.approx(answer["metrics"]["latency"], rel=1e-12)
    status, out, _ = call(capsys, "eval", "systolic/alexnet/edp", "--layers")
    assert "conv1" in out
    assert "reward 0" in out  # the baseline measured against itself


@pytest.mark.parametrize(
    "words",
    [
        ["--design", "rows=16", "--design", "cols=8"],
        ["--design", "rows=16", "cols=8"],
        ["--design", "rows=16,cols=8"],
    ],
)
def test_eval_takes_a_design_in_any_spelling(capsys, words):
    _, out, _ = call(capsys, "eval", "systolic/alexnet/edp", *words, "--json")
    answer = json.loads(out)
    assert (answer["design"]["rows"], answer["design"]["cols"]) == (16, 8)


def test_eval_of_an_impossible_design_says_why(capsys):
    design = ("rows=512", "cols=512", "filter_sram=2", "dataflow=ws")
    flags = [word for setting in design for word in ("--design", setting)]
    _, out, _ = call(capsys, "eval", "systolic/alexnet/edp", *flags)
    assert "infeasible: violates filter_sram_tiles" in out


def test_compat_layers_show_the_tool_s_own_columns(capsys):
    setting = ("--set", "sim.compat=scalesim-3.0.0")
    _, out, _ = call(capsys, "eval", "systolic/alexnet/edp", *setting, "--layers", "--json")
    assert "mapping_eff_pct" in json.loads(out)["layers"]["alexnet"]


@pytest.mark.parametrize(
    "what", ["systolic", "genetic", "resnet50", "systolic/gpt2-decode/latency", "systolic-resnet50-edp-1m"]
)
def test_show_describes_everything(capsys, what):
    assert call(capsys, "show", what)[0] == 0
    status, out, _ = call(capsys, "show", what, "--json")
    assert status == 0
    assert json.loads(out)


def test_list_names_every_kind(capsys):
    status, out, _ = call(capsys, "list", "--json")
    assert status == 0
    assert {"simulators", "workloads", "objectives", "agents", "problems", "environments"} == set(json.loads(out))


def test_no_arguments_print_the_help(capsys):
    status, out, _ = call(capsys)
    assert status == 0
    for command in ("list", "show", "eval", "run", "replay", "validate", "suite"):
        assert command in out


def test_validate_passes_on_the_tool_s_table_and_fails_on_an_altered_one(capsys, tmp_path):
    table = DATA / "systolic" / "gemm.csv"
    status, out, _ = call(capsys, "validate", "systolic", table, "--json")
    answer = json.loads(out)
    assert status == 0
    assert answer["pass"] is True
    assert set(answer) == {"simulator", "rows", "skipped", "columns", "pass"}
    assert set(answer["columns"]["total_cycles"]) == {"exact", "max_rel_error", "tolerance", "pass"}

    lines = table.read_text().splitlines()
    at = lines[0].split(",").index("total_cycles")
    fields = lines[1].split(",")
    fields[at] = str(int(fields[at]) + 1)
    altered = tmp_path / "altered.csv"
    altered.write_text("\n".join([lines[0], ",".join(fields), *lines[2:]]) + "\n")
    status, out, _ = call(capsys, "validate", "systolic", altered)
    assert status == 1
    assert "FAIL" in out


def test_continue_as_goes_on_in_a_new_folder_and_records_its_parent(capsys, tmp_path):
    """A log whose agent no longer asks for the same designs is refused by name, and can be continued elsewhere."""
    call(capsys, "run", "systolic/alexnet/edp", "--budget", 30, "--agent", "random", "--out", "old")
    path = tmp_path / "old" / "trials.jsonl"
    lines = path.read_text().splitlines()[:20]
    lines[10], lines[11] = (
        json.dumps({**json.loads(lines[11]), "trial": 10}),
        json.dumps({**json.loads(lines[10]), "trial": 11}),
    )
    path.write_text("\n".join(lines) + "\n")
    command = ("run", "systolic/alexnet/edp", "--budget", 30, "--agent", "random", "--out", "old")
    status, _, err = call(capsys, *command)
    assert status == 1
    assert "row 10" in err
    assert "--continue-as" in err
    assert call(capsys, *command, "--continue-as", "new")[0] == 0
    header = json.loads((tmp_path / "new" / "spec.json").read_text())
    assert header["study"]["parent"] == json.loads((tmp_path / "old" / "spec.json").read_text())["hash"]
    assert len((tmp_path / "new" / "trials.jsonl").read_text().splitlines()) == 10  # the rest of the budget of 30


# ---- found by a newcomer -----------------------------------------------------------------


def test_a_shown_workload_is_a_workload_file(capsys, tmp_path):
    _, out, _ = call(capsys, "show", "mobilenet_v2", "--json")
    (tmp_path / "net.json").write_text(out)
    _, by_file, _ = call(capsys, "eval", "systolic/edp", "--workload", "net.json", "--json")
    _, by_name, _ = call(capsys, "eval", "systolic/mobilenet_v2/edp", "--json")
    assert json.loads(by_file) == json.loads(by_name)


def test_several_workload_files_are_one_problem(capsys, tmp_path):
    for name, filters in (("a", 8), ("b", 16)):
        (tmp_path / f"{name}.csv").write_text(f"Layer, H, W, R, S, C, K, stride,\nx, 14, 14, 3, 3, 8, {filters}, 1,\n")
    _, out, _ = call(capsys, "eval", "systolic/edp", "--workload", "a.csv", "--workload", "b.csv", "--json")
    metrics = json.loads(out)["metrics"]
    # the default aggregate is the geometric mean of each metric
    assert metrics["macs"] == pytest.approx((metrics["macs@a"] * metrics["macs@b"]) ** 0.5, rel=1e-12)
    weighted = ("--aggregate", "weighted:3,1")
    _, out, _ = call(capsys, "eval", "systolic/edp", "--workload", "a.csv", "--workload", "b.csv", *weighted, "--json")
    metrics = json.loads(out)["metrics"]
    assert metrics["macs"] == pytest.approx(0.75 * metrics["macs@a"] + 0.25 * metrics["macs@b"], rel=1e-12)


NEWCOMER = [
    (("eval", "systolic/alexnet/edp", "--set", "agent.population=8"), "no agent in this command"),
    (("run", "systolic/alexnet/edp", "--set", "sim.bits=8", "--set", "sim.bits=16"), "given twice"),
    (("run", "systolic/alexnet/edp", "--set", "sim.hbm2_background_w=-1"), "not negative"),
    (("run", "systolic/alexnet/edp", "--set", "sim.clock_mhz=1e9"), "between 0.001 and 1e6"),
    (("run", "systolic/alexnet/edp", "--workload", "x.csv"), "a workload file"),
    (("run", "systolic/alexnet/edp", "--jobs", "2"), "use the executor 'threads'"),
]


@pytest.mark.parametrize(("arguments", "hint"), NEWCOMER, ids=[" ".join(a) for a, _ in NEWCOMER])
def test_what_would_be_ignored_is_refused(capsys, arguments, hint):
    status, _, err = call(capsys, *arguments)
    assert status == 2
    assert hint in err


def test_continue_as_refuses_another_study(capsys):
    call(capsys, "run", "systolic/alexnet/edp", "--budget", 10, "--out", "s")
    other = ("run", "systolic/alexnet/latency", "--budget", 20, "--out", "s", "--continue-as", "t")
    status, _, err = call(capsys, *other)
    assert status == 2
    assert "another study" in err


def test_a_study_of_the_suite_tells_its_distance_from_the_exact_optimum(capsys):
    _, out, _ = call(capsys, "run", "systolic-mobilenet_v2-edp-100k", "--budget", 1000, "--out", "s")
    assert "% from the exact optimum" in out
    _, out, _ = call(capsys, "run", "systolic-mobilenet_v2-edp-100k", "--budget", 1000, "--out", "s", "--json")
    answer = json.loads(out)
    assert answer["known_optimum"] >= answer["best"]["reward"]
    assert set(answer["front"][0]["metrics"]) == {"energy", "latency"}


def test_the_predecessor_s_reward_is_not_shown_as_a_logarithm(capsys):
    _, out, _ = call(capsys, "run", "systolic/alexnet/archgym-target:latency=0.005", "--budget", 20, "--out", "s")
    assert "better than the baseline" not in out


def test_components_are_shown_by_module_and_class(capsys):
    status, out, _ = call(capsys, "show", "archgym.agents.grid:Grid")
    assert (status, "needs the scalar track" in out) == (0, True)
    assert call(capsys, "show", "archgym.simulators.systolic.simulator:Systolic")[0] == 0


def test_version(capsys):
    assert call(capsys, "--version")[1].startswith("archgym 0.")


@pytest.mark.skipif(os.name != "posix", reason="pipes")
def test_a_reader_that_goes_away_is_no_error(tmp_path):
    command = " ".join(f"'{word}'" for word in ARCHGYM)
    done = subprocess.run(
        ["bash", "-c", f"{command} show systolic | head -1; exit ${{PIPESTATUS[0]}}"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
