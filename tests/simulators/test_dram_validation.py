"""The compat mode against DRAMSys 4.0: every number of the committed runs, and what `archgym validate dram` says."""

import csv
import json
import re
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from archgym.errors import UsageError
from archgym.experiments.cli import main
from archgym.problem import Problem, ProblemSpec
from archgym.simulators.dram.mapping import load_mapping
from archgym.simulators.dram.memory import Memory, Policy, prepare, run
from archgym.simulators.dram.reference_files import ReferenceFiles
from archgym.simulators.dram.simulator import Dram, DramConfig
from archgym.simulators.dram.standards import load_standard
from archgym.simulators.dram.validation import KNOBS, SYSTEMS
from archgym.validation import read_table, validate
from archgym.workload import load_workload

DATA = Path(__file__).parents[1] / "data" / "dram"
REFERENCE, BANKS, MORE, STRICT = (
    DATA / name for name in ("dramsys4.csv.gz", "dramsys4_banks.csv", "dramsys4_more.csv", "dramsys4_strict.csv")
)

# Known limits, see the columns' tolerances: three runs that sleep have a command in the other order within an
# instant, and of HBM2 the end of the last idle time is known to a cycle only.
INEXACT = re.compile("(energy_pj|power_mw) Staggered|bw_noidle_gbps HBM2")


def write(path, rows):
    """Rows of `read_table` as a table again."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, [name for name in rows[0] if name], extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    return path


def sample(rows, each):
    """The first rows of every system, command multiplexer, power-down policy and arbiter."""
    strata = defaultdict(list)
    for row in rows:
        strata[row["system"], row["CmdMux"], row["PowerDownPolicy"], row["Arbiter"]].append(row)
    return [row for stratum in strata.values() for row in stratum[:each]]


def wrong(report):
    """Lines of a report that are not exact, with what they are."""
    return {name: line for name, line in report.columns.items() if line.exact < line.rows}


def policy(row):
    return Policy(**{f: int(row[c]) if row[c].isdecimal() else row[c] for c, f in KNOBS.items()})


def test_reference_sample(tmp_path):
    """Two rows of each stratum of the reference table: times, bandwidths, energies and powers are the tool's."""
    rows = sample([row for row in read_table(REFERENCE) if row["complete"] == "1"], 2)
    assert {row["system"] for row in rows} == {row["system"] for row in read_table(REFERENCE)}
    report = validate("dram", write(tmp_path / "sample.csv", rows), traces=DATA)
    assert report.passed, wrong(report)
    assert report.rows == len(rows) > 130
    assert all(INEXACT.fullmatch(name) for name in wrong(report)), wrong(report)
    assert {name for name in report.columns if name.startswith("total_time_ns")} == {
        "total_time_ns DDR3/DDR4 Oldest",
        "total_time_ns DDR3/DDR4 Strict",
        "total_time_ns LPDDR4/HBM2",
        "total_time_ns Staggered",
    }


@pytest.mark.slow
def test_reference_table():
    """All 2617 rows that the tool finished: equal times, no exception."""
    report = validate("dram", REFERENCE, traces=DATA)
    assert (report.rows, report.skipped) == (2628, 11)
    assert report.passed, wrong(report)
    off = wrong(report)
    assert all(INEXACT.fullmatch(name) for name in off), off
    assert sum(line.rows - line.exact for line in off.values()) <= 8
    assert sum(line.rows for name, line in report.columns.items() if name.startswith("total_time_ns")) == 2617


@pytest.mark.parametrize(("table", "rows"), [(BANKS, 240), (MORE, 288)], ids=["banks", "more"])
def test_fresh_tables(table, rows):
    """Runs that no model was fitted to: all banks, several ranks and channels, other player clocks, sleeping ranks."""
    report = validate("dram", table, traces=DATA)
    assert report.passed
    assert (report.rows, report.skipped) == (rows, 0)
    assert set(wrong(report)) <= {"bw_noidle_gbps HBM2"}
    assert all(report.columns[name].rows == rows for name in ("bw_gbps", "bw_util_pct", "max_bw_gbps"))


COMPAT = DramConfig(space="archgym-rl", compat="dramsys-4.0")
ANCHORS = {  # time ns, power mW, energy pJ
    "stream": ((51595, 1666.00, 85957050), (50025, 1701.33, 85109250)),
    "random": ((287980, 1232.60, 354964950), (80730, 3014.92, 243394200)),
    "cloud-1": ((174755, 1297.12, 226677450), (65723.75, 2552.90, 167786325)),
    "cloud-2": ((168947.5, 1302.73, 220092900), (64897.5, 2525.39, 163891650)),
}
SMALL = {
    "PagePolicy": "Open",
    "Scheduler": "Fifo",
    "SchedulerBuffer": "Bankwise",
    "RequestBufferSize": 1,
    "RespQueue": "Fifo",
    "RefreshPolicy": "NoRefresh",
    "RefreshMaxPostponed": 1,
    "RefreshMaxPulledin": 1,
    "Arbiter": "Simple",
    "MaxActiveTransactions": 1,
}
USUAL = SMALL | {
    "Scheduler": "FrFcfs",
    "RequestBufferSize": 8,
    "RefreshPolicy": "AllBank",
    "RefreshMaxPostponed": 8,
    "RefreshMaxPulledin": 8,
    "MaxActiveTransactions": 128,
}


@pytest.mark.parametrize("name", ANCHORS)
def test_archgym_s_own_numbers(name):
    """ArchGym's two configurations of its four traces, as its DRAMSys binary prints them."""
    simulator, trace = Dram(COMPAT), load_workload(name)
    space = simulator.design_space(trace)
    metrics = simulator.simulate(space.encode([SMALL, USUAL]), trace)
    for i, (time, power, energy) in enumerate(ANCHORS[name]):
        assert round(metrics["latency"][i] * 1e12) == round(time * 1000)
        assert round(metrics["power"][i] * 1e3, 2) == power
        assert round(metrics["energy"][i] * 1e12, 2) == energy
        assert metrics["reason"][i] == 0


def test_two_ranks_through_the_simulator():
    """Energy of several ranks is counted from the commands; the simulator records them by itself.

    All measured two-rank rows whose knobs are in ArchGym's space. The counters alone do not know that DRAMPower keeps
    one state for both ranks: with refreshes they are off.
    """
    levels = {
        p.name: {str(level) for level in p.levels}
        for p in Dram(COMPAT).design_space(load_workload("stream")).parameters
    }
    rows = [row for row in read_table(MORE) if row["group"] == "two_rank" and row["CmdMux"] == "Oldest"]
    rows = [row for row in rows if all(row[name] in known for name, known in levels.items())]
    assert len(rows) >= 3
    off = []
    for row in rows:
        files = {
            "standard": DATA / "memspecs_extra" / f"{row['memspec']}.json",
            "mapping": DATA / "maps" / f"{row['map']}.json",
        }
        simulator = Dram(replace(COMPAT, **{option: str(path) for option, path in files.items()}))
        trace = ReferenceFiles(DATA).trace(row["trace"], float(row["clk_mhz"]))
        space = simulator.design_space(trace)
        design = {p.name: next(level for level in p.levels if str(level) == row[p.name]) for p in space.parameters}
        metrics = simulator.simulate(space.encode([design]), trace)
        assert round(metrics["energy"][0] * 1e12, 2) == float(row["energy_pj"])
        assert round(metrics["power"][0] * 1e3, 2) == float(row["power_mw"])
        memory = simulator.memory(design)
        counted = run(memory, policy(row), prepare(trace, memory)).energy()
        off.append(abs(counted.total / metrics["energy"][0] - 1))
    assert max(off) > 1e-4


def test_strict_with_reordering_blocks_itself_as_the_tool_does():
    """140 configurations of which the tool never finishes its 300 requests; those that it finishes take its time.

    A forced refresh closes the row that FrFcfs prefers and so frees the multiplexer; FrFcfsGrp stays blocked.
    """
    report = validate("dram", STRICT, traces=DATA)
    assert (report.rows, report.skipped) == (216, 140)
    assert report.passed
    assert not wrong(report)
    files = ReferenceFiles(DATA)
    blocked = [row for row in read_table(STRICT) if row["complete"] == "0"]
    assert {(row["Scheduler"], row["RefreshPolicy"]) for row in blocked} == {
        ("FrFcfs", "NoRefresh"), ("FrFcfsGrp", "NoRefresh"), ("FrFcfsGrp", "AllBank"),
    }  # fmt: skip
    for row in blocked:
        standard = load_standard(SYSTEMS[row["system"]])
        memory = Memory(standard, load_mapping(DATA / "maps" / f"{row['map']}.json"), compat=True)
        trace = files.trace(row["trace"], standard.clock_mhz)
        assert not run(memory, policy(row), prepare(trace, memory)).finished_all, row


def test_a_blocked_design_is_infeasible_with_the_reason():
    """The default model blocks where the tool does: FrFcfsGrp may prefer a row hit to the request in turn for ever."""
    problem = Problem(ProblemSpec("dram", ("gen-mixed",), "latency"))
    strict = problem.baseline | {"CmdMux": "Strict"}
    designs = [strict | {"Scheduler": scheduler} for scheduler in ("FrFcfs", "FrFcfsGrp")]
    evaluation = problem.evaluate(problem.space.encode(designs))
    assert evaluation.feasible.tolist() == [True, False]
    assert "deadlock" in problem.explain(evaluation, 1)


def call(capsys, *arguments):
    with pytest.raises(SystemExit) as exit_info:
        main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return exit_info.value.code, out, err


def few():
    """Three short rows: an energy, a sleeping rank, two channels."""
    rows = read_table(MORE)
    return [
        next(row for row in rows if row["group"] == group) for group in ("refresh_tail", "staggered", "two_channel")
    ]


def test_the_command_prints_a_line_per_question(capsys, tmp_path):
    table = write(tmp_path / "few.csv", few())
    status, out, _ = call(capsys, "validate", "dram", table, "--traces", DATA)
    assert status == 0
    assert "few.csv: 3 rows checked, 0 skipped" in out
    assert re.search(r"total_time_ns Staggered +1 +1 +0.00e\+00 +0 +PASS", out)
    assert re.search(r"total_time_ns_1 +1 +1 +0.00e\+00 +0 +PASS", out)
    status, out, _ = call(capsys, "validate", "dram", table, "--traces", DATA, "--json")
    answer = json.loads(out)
    assert status == 0
    assert answer["pass"] is True
    assert answer["columns"]["total_time_ns Staggered"] == {
        "exact": 1, "max_rel_error": 0.0, "tolerance": 0.0, "pass": True,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("column", "factor", "status"),
    [("total_time_ns", 1 + 1e-9, 1), ("bw_gbps", 1.01, 1), ("energy_pj", 1.002, 1), ("power_mw", 1.001, 0)],
)
def test_an_altered_number_is_found(capsys, tmp_path, column, factor, status):
    """A picosecond too long, a bandwidth off by 1 %, energy beyond its 0.1 %; power within its 0.2 %."""
    rows = few()
    rows[0][column] = repr(float(rows[0][column]) * factor)
    table = write(tmp_path / "altered.csv", rows)
    code, out, _ = call(capsys, "validate", "dram", table, "--traces", DATA)
    assert code == status
    assert out.splitlines()[-1] == ("FAIL" if status else "PASS")
    line = next(line for name, line in validate("dram", table, traces=DATA).columns.items() if name.startswith(column))
    assert line.exact == line.rows - 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"Scheduler": "FrFcf"}, "unknown scheduler 'FrFcf'; did you mean FrFcfs"),
        ({"RequestBufferSize": "8.5"}, "column 'RequestBufferSize': expected an integer from 0, got '8.5'"),
        ({"total_time_ns": "fast"}, "column 'total_time_ns': expected a number, got 'fast'"),
        ({"complete": "2"}, "column 'complete': expected 0 or 1, got '2'"),
        ({"trace": "nowhere"}, "trace 'nowhere': expected nowhere.stl or nowhere.address"),
        ({"n_requests": "7"}, "n_requests: expected 120 of"),
        ({"burst_bytes": "32"}, "burst_bytes: expected 64, got 32"),
        ({"map": "nowhere"}, "map 'nowhere': expected nowhere.json beside the traces"),
        ({"map": "ddr3_2rank_low"}, "address map: rank: expected 0 bits"),
        ({"map": ""}, "expected a column map, or a system that ends in _rbc or _brc"),
        ({"memspec": "", "system": "ddr9"}, "unknown system at"),
        ({"RefreshPolicy": "PerBank"}, "DDR3 has no per-bank refresh"),
    ],
)
def test_a_wrong_cell_is_named_with_its_line(tmp_path, change, message):
    table = write(tmp_path / "table.csv", [few()[0] | change])
    with pytest.raises(UsageError, match=re.escape(message)) as error:
        validate("dram", table, traces=DATA)
    assert f"{table}:2" in str(error.value)


def test_a_missing_column_or_folder_is_named(tmp_path):
    rows = [{name: text for name, text in few()[0].items() if name != "Arbiter"}]
    with pytest.raises(UsageError, match="no DRAMSys reference table, column 'Arbiter' is missing"):
        validate("dram", write(tmp_path / "table.csv", rows), traces=DATA)
    table = write(tmp_path / "table.csv", few())
    with pytest.raises(UsageError, match="expected a folder"):
        validate("dram", table, traces=tmp_path / "nowhere")
    with pytest.raises(UsageError, match="--traces DIR names their folder"):
        validate("dram", write(tmp_path / "table.csv", [few()[0] | {"map": "", "system": "ddr3_1600_rbc"}]))
    (tmp_path / "bad.npz").write_bytes(b"no archive")
    with pytest.raises(UsageError, match=r"bad\.npz: expected a \.npz file of traces"):
        validate("dram", table, traces=tmp_path)


def test_registered_workloads_need_no_folder(tmp_path):
    """ArchGym's own traces ship with the package, under their names or its files' names."""
    names = ("stream", "cloud-2", "chstone-aes_32")
    rows = [row for row in read_table(REFERENCE) if row["system"] == "ddr3_1600_rbc" and row["complete"] == "1"]
    report = validate("dram", write(tmp_path / "t.csv", [next(r for r in rows if r["trace"] == n) for n in names]))
    assert report.passed
    assert report.rows == 3
    assert not wrong(report)


def test_a_damaged_archive_is_no_table(tmp_path):
    path = tmp_path / "table.csv.gz"
    path.write_bytes(REFERENCE.read_bytes()[:2000])
    with pytest.raises(UsageError, match="cannot read"):
        validate("dram", path)


def test_a_simulator_without_traces_refuses_their_folder():
    with pytest.raises(UsageError, match="names no traces"):
        validate("systolic", DATA.parent / "systolic" / "gemm.csv", traces=DATA)


def test_every_command_is_recorded_however_long_the_trace_pauses():
    """Two reads 3000 refresh intervals apart: far more refreshes than requests."""
    standard = load_standard("DDR3-1600")
    memory = Memory(standard, load_mapping(DATA / "maps" / "am_ddr3_8x1Gbx8_dimm_p1KB_rbc.json"), compat=True)
    trace = load_workload("stream").where(np.arange(10000) < 2)
    late = type(trace)("late", trace.address, trace.is_write, cycle=np.array([0, 3000 * standard.timing["REFI"]]),
                       clock_mhz=800.0)  # fmt: skip
    result = run(memory, Policy(), prepare(late, memory), record=None)
    refreshes = int((result.commands["command"] == 8).sum())
    assert 2990 <= refreshes <= 3008  # eight may be postponed, eight be done ahead
    assert len(result.commands) >= refreshes + 4
    assert result.commands["cycle"][-1] > late.cycle[-1]
