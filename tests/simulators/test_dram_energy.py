"""DRAM energy: DRAMPower's bookkeeping by hand, DRAMsim3's energies from its own counts, and two peers' times."""

import csv
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from archgym.errors import UsageError
from archgym.simulators.dram import controller as k
from archgym.simulators.dram.command_trace import CODE, COMMAND_DTYPE
from archgym.simulators.dram.drampower import replay
from archgym.simulators.dram.energy import Activity, activity, energy, together
from archgym.simulators.dram.mapping import preset
from archgym.simulators.dram.memory import Memory, Policy, prepare, run
from archgym.simulators.dram.reference_files import ReferenceFiles
from archgym.simulators.dram.standards import load_standard
from archgym.workload import load_workload

DATA = Path(__file__).parents[1] / "data" / "dram"
DDR3 = load_standard("DDR3-1600")
T = DDR3.timing


def read(name):
    with (DATA / name).open(newline="") as file:
        return list(csv.DictReader(file))


def commands(*rows):
    """A command trace from (cycle, name, rank, bank)."""
    out = np.zeros(len(rows), COMMAND_DTYPE)
    for i, (cycle, name, *place) in enumerate(rows):
        rank, bank = (*place, 0, 0)[:2]
        out[i] = (cycle, CODE[name], 0, rank, 0, bank, -1, 0, -1)
    return out


def counted(*rows, ranks=1):
    """What DRAMPower counts, as far as it is not 0."""
    done = replay(DDR3, commands(*rows), ranks)
    return {f.name: getattr(done, f.name) for f in fields(Activity) if getattr(done, f.name)}


def test_a_read_and_a_precharge():
    """Open from 10 to 60; the window ends when the precharge is done, less one cycle."""
    assert counted((10, "ACT"), (30, "RD"), (60, "PRE")) == {
        "activates": 1, "reads": 1, "precharges": 1, "active": 50, "precharged": 10 + T["RP"] - 1,
    }  # fmt: skip


def test_auto_precharge_waits_for_the_row_and_the_data():
    """RDA closes tRTP later but not before tRAS; WRA when the data are written. Two banks: open until the later one."""
    early, late = 10 + T["RCD"], 100 + T["RCD"]
    closed = late + T["WL"] + 4 + T["WR"]
    assert T["RCD"] + max(4, T["RTP"]) < T["RAS"]
    assert counted((10, "ACT"), (early, "RDA"), (100, "ACT", 0, 1), (late, "WRA", 0, 1)) == {
        "activates": 2, "reads": 1, "writes": 1, "precharges": 2,
        "active": T["RAS"] + closed - 100, "precharged": 10 + (100 - 10 - T["RAS"]) + T["RP"] - 1,
    }  # fmt: skip


def test_a_refresh_forgets_the_rows_of_the_other_rank():
    """Rank 0 stays open while rank 1 refreshes: its precharge is not counted, its next activation is again."""
    rows = ((10, "ACT", 0, 0), (50, "REFA", 1, 0), (300, "PRE", 0, 0), (320, "ACT", 0, 0))
    done = counted(*rows, ranks=2)
    assert (done["activates"], done["refreshes"], done.get("precharges", 0)) == (2, 1, 0)
    # From 50 on, tRFC - tRP count as active; what was active from 10 to 50 is lost.
    assert done["active"] == T["RFC"] - T["RP"] + T["RCD"] - 1


def test_a_precharge_of_all_banks_closes_those_of_the_other_rank():
    done = counted((10, "ACT", 0, 0), (20, "ACT", 1, 0), (60, "PREA", 0, 0), (100, "PRE", 1, 0), ranks=2)
    assert done["precharges"] == 2  # both by PREA
    assert done["active"] == 50


def test_active_power_down_with_all_banks_closed_counts_active_time_twice():
    """DRAMSys forgets RDA: it enters active power-down, and the time since the activation at 10 counts once more."""
    close = 10 + T["RAS"]
    done = counted((10, "ACT"), (10 + T["RCD"], "RDA"), (100, "PDEA"), (400, "PDXA"))
    assert done["active"] == (close - 10) + (100 - 10)
    assert done["active_down"] == 300
    assert done["precharged"] == 10 + (400 - 1 - close)  # nobody told it that it slept


def test_power_down_of_one_rank_counts_for_all_and_the_first_to_wake_wakes_all():
    done = counted((100, "PDEP", 0), (150, "PDEP", 1), (250, "PDXP", 0), (400, "PDXP", 1), ranks=2)
    assert done["precharged_down"] == 100  # from the second entry to the first exit
    assert done["precharged"] == 100 + 150  # until each entry; between the exits nothing is counted


@pytest.mark.parametrize("cycles", [20, T["RFC"] - 3, T["RFC"] + 50])
def test_self_refresh_begins_with_a_refresh(cycles):
    """Cut short, the rest of its tRFC follows the exit; else what is beyond tRFC draws the self-refresh current."""
    done = counted((100, "SREFEN"), (100 + cycles, "SREFEX"), (2000, "ACT"))
    first = {"entry_active", "entry_precharged", "exit_active", "exit_precharged"}
    assert sum(done.get(name, 0) for name in first) == T["RFC"]
    assert done.get("entry_active", 0) + done.get("exit_active", 0) == T["RFC"] - T["RP"]
    assert done.get("self_refresh", 0) == max(0, cycles - T["RFC"])
    assert done.get("exit_active", 0) + done.get("exit_precharged", 0) == max(0, T["RFC"] - cycles)
    assert done["precharged"] == 100 + 2000 - 100 - max(cycles, T["RFC"])
    spent = energy(DDR3, Activity(*[0] * 9, self_refresh=done.get("self_refresh", 0)), slow_exit=True).total
    with_first = energy(DDR3, replay(DDR3, commands((100, "SREFEN"), (100 + cycles, "SREFEX")), 1), slow_exit=True)
    p = DDR3.power
    above = T["RFC"] * (p["idd5"] - p["idd3n"]) * p["vdd"] * DDR3.clock_ns * DDR3.devices * 1e-12
    assert with_first.self_refresh > spent + above  # the background of the refresh comes on top


def test_the_low_power_states_last_until_the_end():
    """A trace that ends asleep: the window ends a cycle before its last command, as if that had no effect."""
    assert counted((10, "PDEP"), (200, "NOP"))["precharged_down"] == 189
    assert counted((10, "SREFEN"), (10 + T["RFC"] + 100, "NOP"))["self_refresh"] == 99
    assert counted((5, "ACT"), (30, "PDEA"), (200, "NOP"))["active_down"] == 169
    assert replay(DDR3, commands(), 1) == Activity(*[0] * 14)


@pytest.mark.parametrize("page", ["Open", "ClosedAdaptive"])
@pytest.mark.parametrize("name", ["gen_mixed", "gen_copy"])
def test_for_one_rank_that_stays_awake_the_replay_is_what_the_kernel_counted(name, page):
    standard = load_standard("DDR4-2400")
    memory = Memory(standard, preset("row-bank-column", standard), compat=True)
    trace = ReferenceFiles(DATA).trace(name, 1200.0)
    result = run(memory, Policy(page_policy=page), prepare(trace, memory), record=None)
    assert result.activity == replay(standard, result.commands, 1) == activity(result.counters)
    assert result.activity.cycles == pytest.approx(result.counters[k.TIME], rel=1e-3)  # the window is the run


def test_channels_add_up():
    one, two = Activity(*range(14)), Activity(*range(100, 114))
    assert together([one, two]) == Activity(*range(100, 128, 2))
    assert one.cycles == sum(range(5, 14))


def test_a_state_without_a_current_is_refused():
    power = {name: value for name, value in DDR3.power.items() if not name.startswith("idd2p")}
    bare = replace(DDR3, power=power)
    assert energy(bare, Activity(1, 1, 0, 0, 0, 100, 100)).total > 0
    with pytest.raises(UsageError, match="expected the current idd2p1"):
        energy(bare, Activity(1, 1, 0, 0, 0, 100, 100, precharged_down=5))


def device(row):
    """A standard with the currents of a DRAMsim3 configuration; timings that energy does not need are DDR4's."""
    n = {name: float(text) for name, text in row.items() if name != "config"}
    power = {f"idd{key}": n[f"IDD{key.upper()}"] for key in ("0", "2n", "3n", "4r", "4w")}
    timing = {"RAS": int(n["tRAS"]), "RC": int(n["tRAS"] + n["tRP"]), "RFC": int(n["tRFC"])}
    return replace(
        load_standard("DDR4-2400"), name=row["config"], clock_mhz=1000 / n["tCK"], burst_length=int(n["BL"]),
        width=int(n["device_width"]), devices=int(n["bus_width"] / n["device_width"]), columns=1024, timing=timing,
        power=power | {"idd5": n["IDD5AB"], "vdd": n["VDD"]},
    )  # fmt: skip


def test_dramsim3_energies_follow_from_its_counts():
    """All 261 finished runs: the same formulas on its counters and currents give its energies within 0.01 %.

    Its columns are V mA cycles, and so pJ only after multiplication with tCK. Its activation holds the precharge,
    and tRC is tRAS + tRP.
    """
    devices = {row["config"]: device(row) for row in read("dramsim3_currents.csv")}
    rows = read("dramsim3_energy.csv")
    assert len(rows) == 261
    assert {row["config"] for row in rows} == set(devices)
    for row in rows:
        standard, n = (
            devices[row["config"]],
            {name: int(row[name]) for name in row if name.startswith(("num_", "rank_", "all_"))},
        )
        acts = n["num_act_cmds"]
        spent = energy(standard, Activity(
            acts, acts, n["num_read_cmds"], n["num_write_cmds"], n["num_ref_cmds"],
            n["rank_active_cycles"], n["all_bank_idle_cycles"],
        ))  # fmt: skip
        unit = standard.clock_ns * 1e-12
        parts = {
            "act": spent.activate + spent.precharge, "read": spent.read, "write": spent.write, "ref": spent.refresh,
            "act_stb": spent.active_standby, "pre_stb": spent.precharge_standby, "total": spent.total,
        }  # fmt: skip
        for part, joule in parts.items():
            column = "total_energy" if part == "total" else f"{part}_energy"
            assert joule == pytest.approx(float(row[column]) * unit, rel=1e-4), (row, part)
        power = spent.total / (n["num_cycles"] * standard.clock_ns * 1e-9)
        if row["config"].startswith("DDR4"):  # one channel: its power is of this window
            assert power == pytest.approx(float(row["average_power"]) * 1e-3, rel=1e-4)


@pytest.mark.parametrize(
    "row", [r for r in read("peers.csv") if r["trace"] == "gen_sparse_read"], ids=lambda r: r["case"]
)
def test_sparse_traces_take_the_same_time_as_in_two_other_simulators(row):
    """DDR4-2400 of equal timings and map in DRAMsim3 and Ramulator 2.1: within 0.1 %, and read latency within 5 %.

    Both end two or three cycles after the last response; nothing queues, so that policies do not matter.
    """
    standard = load_standard(DATA / "memspecs" / "DDR4_8Gb_x8_2400.json")
    memory = Memory(standard, preset("row-bank-column", standard))
    requests = prepare(ReferenceFiles(DATA).trace("gen_sparse_read", 1200.0), memory)
    page = "Open" if row["case"].startswith("open") else "Closed"
    both = Policy(page_policy=page, buffer="ReadWrite", buffer_size=32, max_postponed=0, max_pulled_in=0)
    result = run(memory, both, requests)
    cycles = round(result.time_ps / (standard.clock_ns * 1000))
    latency = (result.finished - result.accepted).mean()
    for peer in ("d3", "r2"):
        assert cycles == pytest.approx(int(row[f"{peer}_cycles"]), rel=1e-3)
        assert cycles == pytest.approx(int(row[f"{peer}_cycles"]), abs=3)
        assert latency == pytest.approx(float(row[f"{peer}_read_lat"]), rel=0.05)


def test_uniform_reads_saturate_all_three_alike():
    """Uniform reads, one a cycle: all three are bound by tFAW and refresh, so that queues hardly matter."""
    standard = load_standard(DATA / "memspecs" / "DDR4_8Gb_x8_2400.json")
    memory = Memory(standard, preset("row-bank-column", standard))
    random = load_workload("random")
    trace = replace(random, clock_mhz=1200.0)
    row = next(r for r in read("peers.csv") if (r["case"], r["trace"]) == ("open_default", "random"))
    deep = Policy(buffer="ReadWrite", buffer_size=32, max_postponed=0, max_pulled_in=0)
    cycles = run(memory, deep, prepare(trace, memory)).counters[k.TIME]
    assert cycles > 10_000 / 4 * standard.timing["FAW"]
    assert cycles == pytest.approx(int(row["d3_cycles"]), rel=5e-3)
    assert cycles == pytest.approx(int(row["r2_cycles"]), rel=5e-3)
