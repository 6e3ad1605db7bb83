"""The DRAM controller by hand: short sequences whose every cycle follows from the memspec's timings by arithmetic."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from archgym.errors import UnknownNameError, UsageError
from archgym.simulators.dram import checker
from archgym.simulators.dram import controller as k
from archgym.simulators.dram.command_trace import CODE, NAMES
from archgym.simulators.dram.mapping import preset
from archgym.simulators.dram.memory import Memory, Policy, prepare, run, unsupported
from archgym.simulators.dram.standards import load_standard, standard_names
from archgym.simulators.dram.timing import rules
from archgym.trace import Trace

STANDARDS = {name: load_standard(name) for name in standard_names()}
FILES = {
    json.loads(file.read_text())["memspec"]["memoryId"]: file
    for file in (Path(k.__file__).parent / "standards").glob("*.json")
}
START = 7  # cycle of the first request: nothing is special about 0


def gaps(standard):
    """Cycles between first cycles of commands, and from a command to its response, of one family.

    a_b: from a to b; _same, _near, _far: same bank group, another group, another rank (of column commands).
    """
    t, half = standard.timing, standard.burst_length // 2
    rl, wl = t["RL"], t["WL"]
    match standard.family:
        case "DDR3":
            return {
                "act_rd": t["RCD"], "act_wr": t["RCD"], "rd": rl + half, "wr": wl + half,
                "pre_act": t["RP"], "act_pre": t["RAS"], "rd_pre": t["RTP"], "wr_pre": wl + half + t["WR"],
                "rd_rd_same": t["CCD"], "rd_rd_near": t["CCD"], "rd_rd_far": half + t["RTRS"],
                "wr_wr_same": t["CCD"], "wr_wr_near": t["CCD"], "wr_wr_far": half + t["RTRS"],
                "rd_wr_same": rl + half + 2 - wl, "rd_wr_near": rl + half + 2 - wl,
                "rd_wr_far": rl + half + t["RTRS"] - wl,
                "wr_rd_same": wl + half + t["WTR"], "wr_rd_near": wl + half + t["WTR"],
                "wr_rd_far": wl + half + t["RTRS"] - rl,
                "act_act": t["RRD"], "faw": t["FAW"], "pre_ref": t["RP"], "ref_act": t["RFC"], "ref_ref": t["RFC"],
                "pd_act": t.get("XP"), "pd_rd": t.get("XP"), "rd_pd": rl + half + 1,
            }  # fmt: skip
        case "DDR4":
            return {
                "act_rd": t["RCD"], "act_wr": t["RCD"], "rd": rl + half, "wr": wl + half,
                "pre_act": t["RP"], "act_pre": t["RAS"], "rd_pre": t["RTP"], "wr_pre": wl + half + t["WR"],
                "rd_rd_same": t["CCD_L"], "rd_rd_near": t["CCD_S"], "rd_rd_far": half + t["RTRS"],
                "wr_wr_same": t["CCD_L"], "wr_wr_near": t["CCD_S"], "wr_wr_far": half + t["RTRS"],
                "rd_wr_same": rl + half + 1 - wl + t["WPRE"], "rd_wr_near": rl + half + 1 - wl + t["WPRE"],
                "rd_wr_far": rl + half + t["RTRS"] - wl + t["WPRE"],
                "wr_rd_same": wl + half + t["WTR_L"], "wr_rd_near": wl + half + t["WTR_S"],
                "wr_rd_far": wl + half + t["RTRS"] - rl + t["RPRE"],
                "act_act": t["RRD_S"], "faw": t["FAW"], "pre_ref": t["RP"], "ref_act": t["RFC"], "ref_ref": t["RFC"],
                "pd_act": t.get("XP"), "pd_rd": t.get("XP"), "rd_pd": rl + half + 1,
            }  # fmt: skip
        case "LPDDR4":  # ACT and column commands take four cycles, PRE and refreshes two
            return {
                "act_rd": t["RCD"], "act_wr": t["RCD"],
                "rd": 3 + rl + t["DQSCK"] + half, "wr": 3 + wl + t["DQSS"] + t["DQS2DQ"] + half,
                "pre_act": t["RPPB"] - 2, "act_pre": t["RAS"] + 2,
                "rd_pre": t["RTP"] + half - 8 + 2, "wr_pre": wl + 1 + half + t["WR"] + 2,
                "rd_rd_same": t["CCD"], "rd_rd_near": t["CCD"], "rd_rd_far": half + t["RTRS"],
                "wr_wr_same": t["CCD"], "wr_wr_near": t["CCD"], "wr_wr_far": half + t["RTRS"],
                "rd_wr_same": rl + t["DQSCK"] + half - wl + t["WPRE"] + t["RPST"],
                "rd_wr_near": rl + t["DQSCK"] + half - wl + t["WPRE"] + t["RPST"],
                "rd_wr_far": rl + half + t["RTRS"] - wl,
                "wr_rd_same": wl + 1 + half + t["WTR"], "wr_rd_near": wl + 1 + half + t["WTR"],
                "wr_rd_far": max(4, wl + half + t["RTRS"] - rl),  # no sooner than the command bus is free
                "act_act": t["RRD"], "faw": t["FAW"],
                "pre_ref": t["RPAB"], "ref_act": t["RFCAB"] - 2, "ref_ref": t["RFCAB"],
                "unit_act": t["RFCPB"] - 2, "unit_other": t["RRD"] - 2, "unit_interval": t["REFIPB"],
                "pd_act": t["XP"], "pd_rd": t["XP"], "rd_pd": 3 + rl + t["DQSCK"] + half + t["RPST"],
            }  # fmt: skip
        case "HBM2":  # ACT takes two cycles; ranks are pseudo channels, which share no data; buses for rows and columns
            return {
                "act_rd": t["RCDRD"] + 1, "act_wr": t["RCDWR"] + 1, "rd": rl + t["DQSCK"] + half, "wr": wl + half,
                "pre_act": t["RP"] - 1, "act_pre": t["RAS"] + 1, "rd_pre": t["RTP"], "wr_pre": wl + half + t["WR"],
                "rd_rd_same": t["CCDL"], "rd_rd_near": t["CCDS"], "rd_rd_far": 1,
                "wr_wr_same": t["CCDL"], "wr_wr_near": t["CCDS"], "wr_wr_far": 1,
                "rd_wr_same": t["RTW"], "rd_wr_near": t["RTW"], "rd_wr_far": 1,
                "wr_rd_same": wl + half + t["WTRL"], "wr_rd_near": wl + half + t["WTRS"], "wr_rd_far": 1,
                "act_act": t["RRDS"], "faw": t["FAW"],
                "pre_ref": t["RP"], "ref_act": t["RFC"] - 1, "ref_ref": t["RFC"],
                "unit_act": t["RFCSB"] - 1, "unit_other": t["RREFD"] - 1, "unit_interval": t["REFISB"],
                "pd_act": t["XP"] - 1, "pd_rd": t["XP"], "rd_pd": rl + t["PL"] + half + 1,
            }  # fmt: skip
        case _:  # DDR5: ACT and column commands take two cycles; times count from the last one
            return {
                "act_rd": t["RCD"], "act_wr": t["RCD"], "rd": 1 + rl + half, "wr": 1 + wl + half,
                "pre_act": t["RP"] - 1, "act_pre": t["RAS"] + 1, "rd_pre": t["RTP"] + 1,
                "wr_pre": wl + half + t["WR"] + 1,
                "rd_rd_same": t["CCD_L"], "rd_rd_near": t["CCD_S"], "rd_rd_far": half + t["RTRS"],
                "wr_wr_same": t["CCD_L_WR"], "wr_wr_near": t["CCD_S_WR"], "wr_wr_far": half + t["RTRS"],
                "rd_wr_same": rl + half + 2 - wl + t["WPRE"], "rd_wr_near": rl + half + 2 - wl + t["WPRE"],
                "rd_wr_far": rl + half + t["RTRS"] - wl,
                "wr_rd_same": wl + half + t["WTR_L"], "wr_rd_near": wl + half + t["WTR_S"],
                "wr_rd_far": wl + half + t["RTRS"] - rl,
                "act_act": t["RRD_S"], "faw": t["FAW"],
                "pre_ref": t["RP"], "ref_act": t["RFC"] - 1, "ref_ref": t["RFC"],
                "unit_act": t["RFCSB"] - 1, "unit_other": t["REFSBRD"] - 1, "unit_interval": t["REFISB"],
            }  # fmt: skip


def place(rank=0, group=0, bank=0, row=1, burst=0):
    return rank, group, bank, row, burst


def trace_of(memory, requests):
    """(cycle, "R" or "W", place) -> a trace whose requests come in exactly these memory clocks."""
    standard = memory.standard
    address = memory.mapping.encode([(0, *p[:4], p[4] * standard.burst_length) for _, _, p in requests])
    cycle, write = np.array([c for c, _, _ in requests]), [kind == "W" for _, kind, _ in requests]
    size = standard.bytes_per_burst
    if memory.compat:
        return Trace("hand", address, write, cycle, standard.clock_mhz, size=size)
    # a little before the edge: rounding to ps must not push a request past it
    early = np.maximum(0, (cycle - 0.3) * standard.clock_ns)
    return Trace("hand", address, write, time_ns=early, size=size)


def memory_of(standard, *, compat=False, ranks=None, window=0, think_ns=0.0):
    ranks = ranks or standard.ranks
    mapping = preset("bank-row-column", standard, channels=1, ranks=ranks)
    return Memory(standard, mapping, 1, ranks, compat, window, think_ns)


class Played:
    """What became of hand-written requests, in memory clocks."""

    def __init__(self, memory, requests, **policy):
        policy = {"refresh": "NoRefresh", **policy}
        self.run = run(memory, Policy(**policy), prepare(trace_of(memory, requests), memory), record=100_000)
        period = memory.standard.tck_ps if memory.compat and memory.standard.family == "HBM2" else 1
        self.sent, self.accepted, self.finished = (
            (column // period).tolist() for column in (self.run.sent, self.run.accepted, self.run.finished)
        )
        self.commands = [
            (int(c["cycle"]), NAMES[c["command"]], int(c["request"])) for c in self.run.commands
        ]  # request -1: of a manager

    def at(self, *names, request=None):
        """Cycles of the commands of these names."""
        return [c for c, name, r in self.commands if name in names and request in (None, r)]

    def order(self, *names):
        """Requests in the order of these commands."""
        return [r for _, name, r in self.commands if name in names]


def play(name, requests, **options):
    policy = {key: value for key, value in options.items() if key not in ("compat", "ranks", "window", "think_ns")}
    built = {key: value for key, value in options.items() if key not in policy}
    return Played(memory_of(STANDARDS[name], **built), requests, **policy)


each_standard = pytest.mark.parametrize("name", STANDARDS)
both_modes = pytest.mark.parametrize("compat", [False, True], ids=["default", "compat"])


# ---- one bank --------------------------------------------------------------------------------------------


@both_modes
@each_standard
def test_a_closed_bank_is_activated_and_read(name, compat):
    g = gaps(STANDARDS[name])
    played = play(name, [(START, "R", place())], compat=compat)
    assert played.commands == [(START, "ACT", 0), (START + g["act_rd"], "RD", 0)]
    assert played.finished == [START + g["act_rd"] + g["rd"]]
    assert played.run.outcome.tolist() == [1]  # a miss
    written = play(name, [(START, "W", place())], compat=compat)
    assert written.finished == [START + g["act_wr"] + g["wr"]]


def test_the_figures_of_one_ddr3_read():
    """RCD 10, RL 10, BL/2 4; a hit 14; a conflict in an idle bank RP 10 more than a miss."""
    played = play("DDR3-1600", [(0, "R", place()), (100, "R", place(burst=1)), (200, "R", place(row=2))])
    assert np.subtract(played.finished, [0, 100, 200]).tolist() == [10 + 10 + 4, 10 + 4, 10 + 10 + 10 + 4]
    assert played.run.outcome.tolist() == [1, 0, 2]


@both_modes
@each_standard
def test_an_open_row_is_read_at_once(name, compat):
    g = gaps(STANDARDS[name])
    played = play(name, [(START, "R", place()), (400, "R", place(burst=3)), (800, "W", place(burst=5))], compat=compat)
    assert played.finished[1:] == [400 + g["rd"], 800 + g["wr"]]
    assert played.at("ACT") == [START]


@both_modes
@each_standard
def test_another_row_of_an_idle_bank_is_precharged_first(name, compat):
    g = gaps(STANDARDS[name])
    played = play(name, [(START, "R", place()), (1000, "R", place(row=2))], compat=compat)
    assert played.commands[2:] == [
        (1000, "PRE", 1), (1000 + g["pre_act"], "ACT", 1), (1000 + g["pre_act"] + g["act_rd"], "RD", 1),
    ]  # fmt: skip
    assert played.finished[1] == 1000 + g["pre_act"] + g["act_rd"] + g["rd"]


@both_modes
@each_standard
@pytest.mark.parametrize("first", ["R", "W"])
def test_a_conflict_waits_for_tras_and_for_the_data(name, compat, first):
    g = gaps(STANDARDS[name])
    played = play(name, [(START, first, place()), (START + 1, "R", place(row=2))], compat=compat)
    data = g["act_rd"] + g["rd_pre"] if first == "R" else g["act_wr"] + g["wr_pre"]
    closed = START + max(g["act_pre"], data)
    assert played.at("PRE") == [closed]
    assert played.finished[1] == closed + g["pre_act"] + g["act_rd"] + g["rd"]


@both_modes
@each_standard
def test_auto_precharge_takes_as_long_as_a_precharge(name, compat):
    """Closed: the next activation waits for tRAS, or tRTP, and tRP, as if a PRE were sent."""
    g = gaps(STANDARDS[name])
    policy = {"page_policy": "Closed", "compat": compat}
    played = play(name, [(START, "R", place()), (START + 1, "R", place(row=2))], **policy)
    assert [c[1] for c in played.commands] == ["ACT", "RDA", "ACT", "RDA"]
    assert played.at("ACT")[1] == START + max(g["act_pre"], g["act_rd"] + g["rd_pre"]) + g["pre_act"]
    written = play(name, [(START, "W", place()), (START + 1, "W", place(row=2))], **policy)
    # LPDDR4, RDA and WRA alike: DRAMSys has the precharge begin inside the device, two cycles before PRE would
    assert written.at("ACT")[1] == START + max(g["act_pre"], g["act_wr"] + g["wr_pre"]) + g["pre_act"]


# ---- one column command after another --------------------------------------------------------------------

WHERE = {"same": place(bank=1), "near": place(group=1), "far": place(rank=1)}


@both_modes
@each_standard
@pytest.mark.parametrize("second", ["R", "W"])
@pytest.mark.parametrize("first", ["R", "W"])
@pytest.mark.parametrize("where", WHERE)
def test_turnaround_of_the_data_bus(name, compat, where, first, second):
    """Both rows open; the second request comes a cycle after the first and waits as long as the standard says."""
    standard = STANDARDS[name]
    there = WHERE[where]
    if where == "near" and standard.bank_groups == 1:
        there = place(bank=2)  # no groups: every other bank is like the same group
    g = gaps(standard)
    opened = [(START, "R", place()), (300, "R", there)]
    played = play(name, [*opened, (900, first, place(burst=1)), (901, second, there)], compat=compat, ranks=2)
    kinds = {"R": "rd", "W": "wr"}
    wait = g[f"{kinds[first]}_{kinds[second]}_{where}"]
    column = ("RD", "WR")
    assert (played.at(*column, request=2), played.at(*column, request=3)) == ([900], [900 + wait])
    one, two = 900 + g[kinds[first]], 900 + wait + g[kinds[second]]
    assert played.finished[2:] == [one, max(two, one + 1)]  # pseudo channels: a write may overtake a read's data


@both_modes
@each_standard
def test_the_same_bank_waits_as_its_group(name, compat):
    g = gaps(STANDARDS[name])
    opened = [(START, "R", place())]
    played = play(name, [*opened, (900, "W", place(burst=1)), (901, "R", place(burst=2))], compat=compat)
    assert played.finished[2] == 900 + g["wr_rd_same"] + g["rd"]


# ---- activations -----------------------------------------------------------------------------------------


def five_banks(standard):
    """One after the other in different groups where there are groups."""
    return [place(group=i % standard.bank_groups, bank=i // standard.bank_groups) for i in range(5)]


@both_modes
@each_standard
def test_the_fifth_activation_waits_for_the_window(name, compat):
    """tFAW made longer than four times tRRD, so that it binds everywhere."""
    standard = STANDARDS[name]
    wide = replace(standard, timing=dict(standard.timing) | {"FAW": standard.timing["FAW"] + 60})
    g = gaps(wide)
    requests = [(START + i, "R", p) for i, p in enumerate(five_banks(wide))]
    played = Played(memory_of(wide, compat=compat), requests)
    acts = played.at("ACT")
    assert acts[1] == START + g["act_act"]
    assert acts[4] == START + g["faw"] > acts[3] + g["act_act"]
    assert played.finished[4] == START + g["faw"] + g["act_rd"] + g["rd"]


@both_modes
def test_the_figures_of_five_activations(compat):
    """DDR3-1600: tRRD 5, the third a cycle late (the first RD has the bus), tFAW 24. DDR4-2400: tRRD_S 4, tFAW 26."""
    for name, expected in (("DDR3-1600", [0, 5, 11, 16, 24]), ("DDR4-2400", [0, 4, 8, 12, 26])):
        played = play(name, [(i, "R", p) for i, p in enumerate(five_banks(STANDARDS[name]))], compat=compat)
        assert played.at("ACT") == expected


@each_standard
def test_the_window_slides_over_ten_activations(name):
    """Every activation: at least tFAW after the fourth before it, tRRD after the one before; one of them exactly."""
    standard = STANDARDS[name]
    banks = [place(group=i % standard.bank_groups, bank=i // standard.bank_groups) for i in range(8)]
    acts = play(name, [(START, "W", p) for p in banks], ranks=standard.ranks).at("ACT")
    g = gaps(standard)
    for i in range(1, len(acts)):
        due = acts[i - 1] + g["act_act"]
        if i >= 4:
            due = max(due, acts[i - 4] + g["faw"])
        assert due <= acts[i] <= due + 4  # a column command may have the command bus, for four cycles at most


# ---- refresh ---------------------------------------------------------------------------------------------


@both_modes
@each_standard
def test_a_request_during_refresh_waits_for_it(name, compat):
    """The rank is idle at tREFI: REFA at once; a request one cycle later waits for tRFC."""
    standard = STANDARDS[name]
    g, due = gaps(standard), standard.timing["REFI"]
    policy = {"refresh": "AllBank", "max_pulled_in": 0, "ranks": standard.ranks, "compat": compat}
    # HBM2: rank 0 is due at tREFI, the other pseudo channel half an interval before
    played = play(name, [(due + 1, "R", place())], **policy)
    assert due in played.at("REFA")
    assert played.finished == [due + g["ref_act"] + g["act_rd"] + g["rd"]]


@both_modes
@each_standard
def test_a_forced_refresh_closes_the_row_and_holds_the_request_back(name, compat):
    """No postponing: PREA at tREFI, REFA tRP later, and a request that came with it waits for both."""
    standard = STANDARDS[name]
    g, due = gaps(standard), standard.timing["REFI"]
    policy = {"refresh": "AllBank", "max_postponed": 0, "max_pulled_in": 0, "compat": compat}
    played = play(name, [(START, "R", place()), (due + 1, "R", place(burst=1))], **policy)
    assert due in played.at("PREA")
    assert due + g["pre_ref"] in played.at("REFA")
    assert played.finished[1] == due + g["pre_ref"] + g["ref_act"] + g["act_rd"] + g["rd"]


@both_modes
@each_standard
def test_an_idle_rank_pulls_refreshes_in(name, compat):
    """The first refresh, then at once as many as may be pulled in, then one an interval."""
    standard = replace(STANDARDS[name], ranks=1)
    g, due = gaps(standard), standard.timing["REFI"]
    memory = memory_of(standard, compat=compat, ranks=1)
    policy = {"refresh": "AllBank", "max_postponed": 8, "max_pulled_in": 3}
    played = Played(memory, [(START, "R", place()), (3 * due + 1000, "R", place())], page_policy="Closed", **policy)
    ahead = [due + i * g["ref_ref"] for i in range(4)]
    assert played.at("REFA") == [*ahead, 2 * due, 3 * due]


@both_modes
@pytest.mark.parametrize("postponed", [1, 2, 4])
def test_a_busy_rank_postpones_as_often_as_allowed(compat, postponed):
    """DDR3, one row read every 4 cycles: refreshes are due at multiples of 6240, the (n + 1)-th is forced."""
    due = 6240
    reads = [(4 * i, "R", place(burst=i % 128)) for i in range((postponed + 2) * due // 4)]
    policy = {"refresh": "AllBank", "max_postponed": postponed, "max_pulled_in": 0, "compat": compat}
    played = play("DDR3-1600", reads, **policy)
    forced, closed = (postponed + 1) * due, played.at("PREA")[0]
    last_read = max(c for c in played.at("RD") if c < closed)
    assert forced - 4 <= last_read <= forced  # blocked from then on; a read that was ready in that cycle goes first
    assert closed == max(forced, last_read + 6)  # tRTP
    assert played.at("REFA")[0] == closed + 10  # tRP


def refreshes_units(standard):
    return (
        unsupported(standard, Policy(refresh="SameBank")) == ""
        or unsupported(standard, Policy(refresh="PerBank")) == ""
    )


UNITS = [name for name, standard in STANDARDS.items() if refreshes_units(standard)]


@both_modes
@pytest.mark.parametrize("name", UNITS)
def test_a_unit_refresh_stalls_its_banks_only(name, compat):
    """Per bank (LPDDR4, HBM2) or the same bank of all groups (DDR5): bank 0 first; the others wait a little."""
    standard = replace(STANDARDS[name], ranks=1)
    g, due = gaps(standard), gaps(standard)["unit_interval"]
    policy = {"refresh": "SameBank" if standard.family == "DDR5" else "PerBank", "max_pulled_in": 0}
    command = "REFSB" if standard.family == "DDR5" else "REFB"
    groups = range(standard.bank_groups) if standard.family == "DDR5" else (0,)
    memory = memory_of(standard, compat=compat, ranks=1)
    for group in groups:
        played = Played(memory, [(due + 1, "R", place(group=group))], **policy)
        assert played.at(command)[0] == due
        assert played.finished == [due + g["unit_act"] + g["act_rd"] + g["rd"]]
    other = Played(memory, [(due + 1, "R", place(bank=1))], **policy)
    assert other.finished == [due + g["unit_other"] + g["act_rd"] + g["rd"]]


@pytest.mark.parametrize("name", UNITS)
def test_every_unit_is_refreshed_once_a_round(name):
    standard = replace(STANDARDS[name], ranks=1)
    same = standard.family == "DDR5"
    units = standard.banks_per_group if same else standard.banks
    due = gaps(standard)["unit_interval"]
    policy = Policy(refresh="SameBank" if same else "PerBank", max_pulled_in=0)
    memory = memory_of(standard, ranks=1)
    requests = prepare(trace_of(memory, [((3 * units + 1) * due, "R", place())]), memory)
    commands = run(memory, policy, requests, record=1000).commands
    chosen = commands[np.isin(commands["command"], [CODE["REFB"], CODE["REFSB"]])][: 3 * units]
    order = chosen["bank"] if same else chosen["bankgroup"] * standard.banks_per_group + chosen["bank"]
    assert (chosen["cycle"] == due * (1 + np.arange(3 * units))).all()
    assert (np.sort(order.reshape(3, units), axis=1) == np.arange(units)).all()


def test_ranks_refresh_in_turn_over_the_interval():
    """Four ranks of DDR3: first due a quarter of tREFI = 6240 apart, in bit-reversed order."""
    memory = memory_of(STANDARDS["DDR3-1600"], ranks=4)
    policy = Policy(refresh="AllBank", max_pulled_in=0)
    commands = run(memory, policy, prepare(trace_of(memory, [(6300, "R", place())]), memory), record=100).commands
    refreshed = [(int(c["cycle"]), int(c["rank"])) for c in commands if c["command"] == CODE["REFA"]]
    assert refreshed == [(6240 // 4, 3), (6240 // 2, 1), (3 * 6240 // 4, 2), (6240, 0)]


# ---- power-down ------------------------------------------------------------------------------------------

SLEEPERS = [name for name, standard in STANDARDS.items() if standard.has_power_down]


def test_only_some_standards_have_sourced_power_down_timings():
    assert SLEEPERS == ["DDR3-1600", "DDR4-1866", "DDR4-2400", "LPDDR4-3200", "HBM2-2000"]


@both_modes
@pytest.mark.parametrize("name", SLEEPERS)
def test_an_idle_rank_sleeps_and_wakes_late(name, compat):
    """Idle from the start: precharged power-down. A request ends it, tXP before ACT; an open row sleeps active."""
    standard = replace(STANDARDS[name], ranks=1)
    g = gaps(standard)
    memory = memory_of(standard, compat=compat, ranks=1)
    played = Played(memory, [(100, "R", place()), (700, "R", place(burst=1))], power_down="Staggered")
    read = 100 + g["pd_act"] + g["act_rd"]
    assert played.commands == [
        (0, "PDEP", -1), (100, "PDXP", -1), (100 + g["pd_act"], "ACT", 0), (read, "RD", 0),
        (read + g["rd_pd"], "PDEA", -1), (700, "PDXA", -1), (700 + g["pd_rd"], "RD", 1),
        *played.commands[7:],
    ]  # fmt: skip
    assert played.finished == [read + g["rd"], 700 + g["pd_rd"] + g["rd"]]
    assert {name for _, name, _ in played.commands[7:]} <= {"PDEA"}


@both_modes
@pytest.mark.parametrize("name", SLEEPERS)
def test_a_long_sleep_becomes_self_refresh(name, compat):
    """Woken for its refresh at tREFI, an idle rank goes on to self-refresh, in which it needs no refresh command.

    A request ends it: tXS to the refresh that must follow, tRFC to ACT; reads of DDR3 and DDR4 wait for the DLL.
    """
    standard = replace(STANDARDS[name], ranks=1)
    t, g, due = standard.timing, gaps(standard), standard.timing["REFI"]
    memory = memory_of(standard, compat=compat, ranks=1)
    late = 20 * due
    played = Played(memory, [(late, "R", place())], power_down="Staggered", refresh="AllBank")
    refreshed = late + t.get("XS", t.get("XSR"))
    activated = refreshed + g["ref_act"]
    read = max(activated + g["act_rd"], late + t.get("XSDLL", 0))
    assert played.commands[:7] == [
        (0, "PDEP", -1), (due, "PDXP", -1), (due + t["XP"], "SREFEN", -1),
        (late, "SREFEX", -1), (refreshed, "REFA", -1), (activated, "ACT", 0), (read, "RD", 0),
    ]  # fmt: skip


# ---- who goes first --------------------------------------------------------------------------------------


@both_modes
def test_row_hits_first_and_who_returns_first(compat):
    """DDR3: 0 opens row 1; 1 wants row 2, 2 again row 1. FrFcfs serves 0 2 1, Fifo 0 1 2.

    Responses leave in that order, or (Reorder) in the order of arrival: 2 a cycle after 1.
    """
    requests = [(0, "R", place(row=1)), (1, "R", place(row=2)), (2, "R", place(row=1, burst=1))]
    hits = play("DDR3-1600", requests, compat=compat)
    # RD at 10, 14; PRE at tRAS 28 (later than 14 + tRTP 6), ACT 38, RD 48, data 62
    assert (hits.order("RD"), hits.finished) == ([0, 2, 1], [24, 62, 28])
    sorted_ = play("DDR3-1600", requests, compat=compat, response_queue="Reorder")
    assert sorted_.commands == hits.commands
    assert sorted_.finished == [24, 62, 63]
    in_order = play("DDR3-1600", requests, compat=compat, scheduler="Fifo")
    # 2 conflicts with row 2: PRE at 38 + 28 = 66, ACT 76, RD 86, data 100
    assert (in_order.order("RD"), in_order.finished) == ([0, 1, 2], [24, 62, 100])


@both_modes
def test_reads_and_writes_are_grouped(compat):
    """DDR3, one open row, R W R W waiting behind a read: FrFcfsGrp serves reads, then writes; FrFcfs as they come."""
    row = [place(burst=i) for i in range(5)]
    requests = [(i, kind, p) for i, (kind, p) in enumerate(zip("RRWRW", row, strict=True))]
    grouped = play("DDR3-1600", requests, scheduler="FrFcfsGrp", compat=compat)
    assert grouped.order("RD", "WR") == [0, 1, 3, 2, 4]
    assert play("DDR3-1600", requests, compat=compat).order("RD", "WR") == [0, 1, 2, 3, 4]


@both_modes
def test_grouping_never_overtakes_a_request_to_the_same_line(compat):
    """As before, but request 3 reads what 2 writes: it must stay behind it."""
    requests = [
        (0, "R", place(burst=0)), (1, "R", place(burst=1)), (2, "W", place(burst=2)), (3, "R", place(burst=2)),
        (4, "W", place(burst=4)),
    ]  # fmt: skip
    order = play("DDR3-1600", requests, scheduler="FrFcfsGrp", compat=compat).order("RD", "WR")
    assert order == [0, 1, 2, 4, 3]


def test_a_cap_on_row_hits_lets_the_older_request_in():
    """One conflict behind the first read, then five hits: capped at 3 row hits in all before the row changes."""
    requests = [(0, "R", place(row=1)), (1, "R", place(row=2))]
    requests += [(2 + i, "R", place(row=1, burst=1 + i)) for i in range(5)]
    assert play("DDR3-1600", requests).order("RD") == [0, 2, 3, 4, 5, 6, 1]
    assert play("DDR3-1600", requests, hit_cap=3).order("RD") == [0, 2, 3, 1, 4, 5, 6]
    assert play("DDR3-1600", requests[:1] + requests[2:], hit_cap=3).order("PRE") == []  # no one waits: no cap


@both_modes
def test_strict_keeps_column_commands_in_order_of_arrival(compat):
    """Two banks, the first must be precharged: Oldest reads the open row first, Strict waits."""
    requests = [
        (0, "R", place(row=1)),
        (1, "R", place(bank=1)),
        (200, "R", place(row=2)),
        (201, "R", place(bank=1, burst=1)),
    ]
    oldest = play("DDR3-1600", requests, compat=compat, scheduler="Fifo")
    assert oldest.order("RD") == [0, 1, 3, 2]
    strict = play("DDR3-1600", requests, compat=compat, scheduler="Fifo", command_mux="Strict")
    assert strict.order("RD") == [0, 1, 2, 3]
    assert strict.finished[3] == strict.finished[2] + 4  # tCCD
    stuck = play(
        "DDR3-1600", [requests[0], (1, "R", place(row=2)), (2, "R", place())], compat=compat, command_mux="Strict"
    )
    assert not stuck.run.finished_all  # FrFcfs offers 2, Strict wants 1


# ---- when a row is closed --------------------------------------------------------------------------------


@both_modes
@pytest.mark.parametrize(
    ("policy", "alone", "hit", "other"),
    [
        ("Open", "RD", "RD", "RD"),
        ("OpenAdaptive", "RD", "RD", "RDA"),  # closes when others wait and none of them wants the row
        ("Closed", "RDA", "RDA", "RDA"),
        ("ClosedAdaptive", "RDA", "RD", "RDA"),  # closes unless someone wants the row
    ],
)
def test_page_policies(compat, policy, alone, hit, other):
    """The command of a first read: nobody behind it, a request to its row behind it, a request to another row."""
    options = {"page_policy": policy, "compat": compat}
    first = (0, "R", place(row=1))
    assert play("DDR3-1600", [first], **options).commands[1][1] == alone
    assert play("DDR3-1600", [first, (1, "R", place(row=1, burst=1))], **options).commands[1][1] == hit
    assert play("DDR3-1600", [first, (1, "R", place(row=2))], **options).commands[1][1] == other


# ---- buffers and arbiters --------------------------------------------------------------------------------


def test_the_shared_buffer_takes_the_next_request_when_one_is_served():
    requests = [(0, "R", place()), (0, "R", place(bank=1)), (0, "W", place(bank=2))]
    played = play("DDR3-1600", requests, buffer="Shared", buffer_size=1)
    reads = played.at("RD", "WR")
    assert played.accepted == [0, reads[0], reads[1]]
    two = play("DDR3-1600", requests, buffer="Shared", buffer_size=2)
    assert two.accepted == [0, 1, two.at("RD")[0]]


def test_the_read_write_buffer_counts_the_two_kinds_apart():
    """In compat mode both counts must be below the size, as in the tool."""
    requests = [(0, "R", place()), (1, "W", place(bank=1)), (2, "R", place(bank=2))]
    played = play("DDR3-1600", requests, buffer="ReadWrite", buffer_size=1)
    assert played.accepted == [0, 1, played.at("RD", request=0)[0]]
    compat = play("DDR3-1600", requests, buffer="ReadWrite", buffer_size=1, compat=True)
    assert compat.accepted[1] == compat.at("RD", request=0)[0]


def test_the_bankwise_buffer_counts_each_bank():
    """In compat mode it is the bank of the request accepted last that must have room, as in the tool."""
    requests = [(0, "R", place()), (1, "R", place(bank=1)), (2, "R", place(bank=1))]
    played = play("DDR3-1600", requests, buffer="Bankwise", buffer_size=1)
    assert played.accepted == [0, 1, played.at("RD", request=1)[0]]
    compat = play("DDR3-1600", requests, buffer="Bankwise", buffer_size=1, compat=True)
    assert compat.accepted[1] == compat.at("RD", request=0)[0]


@both_modes
@each_standard
@pytest.mark.parametrize("arbiter", ["Fifo", "Reorder"])
def test_one_request_in_flight_is_a_pointer_chase(name, compat, arbiter):
    """Each read is accepted when the one before is answered, and served from the open row."""
    g = gaps(STANDARDS[name])
    requests = [(START + i, "R", place(burst=i)) for i in range(6)]
    played = play(name, requests, compat=compat, arbiter=arbiter, max_active=1)
    assert played.accepted == [START, *played.finished[:-1]]
    miss = START + g["act_rd"] + g["rd"]
    assert played.finished == [miss + i * g["rd"] for i in range(6)]


@both_modes
def test_arbiters_that_queue_take_requests_off_the_player(compat):
    """A buffer of one: Simple holds the player back, Fifo takes three requests in flight."""
    requests = [(i, "R", place(burst=i)) for i in range(4)]
    options = {"buffer": "Shared", "buffer_size": 1, "compat": compat}
    simple = play("DDR3-1600", requests, **options)
    assert simple.accepted == [0, *simple.at("RD")[:3]]
    queue = play("DDR3-1600", requests, arbiter="Fifo", max_active=3, **options)
    assert queue.accepted == [0, 1, 2, queue.finished[0]]


@both_modes
def test_the_reordering_arbiter_answers_in_order_of_acceptance(compat):
    requests = [(0, "R", place(row=1)), (1, "R", place(row=2)), (2, "R", place(row=1, burst=1))]
    fifo = play("DDR3-1600", requests, arbiter="Fifo", compat=compat)
    assert fifo.finished == [24, 62, 28]
    assert play("DDR3-1600", requests, arbiter="Reorder", compat=compat).finished == [24, 62, 63]


def test_the_player_sends_one_request_a_cycle_and_none_before_its_time():
    played = play("DDR3-1600", [(5, "R", place(bank=i)) for i in range(4)] + [(100, "R", place()), (50, "R", place())])
    assert played.sent == [5, 6, 7, 8, 100, 101]  # a time that has passed follows at once


@each_standard
def test_a_closed_loop_asks_when_it_is_answered(name):
    """A window of one: think, then ask; at least a cycle. The times of the trace do not matter."""
    standard = STANDARDS[name]
    g = gaps(standard)
    requests = [(1000 * i, "R", place(burst=i)) for i in range(4)]
    for cycles in (0, 1, 25):
        played = play(name, requests, window=1, think_ns=cycles * standard.clock_ns)
        assert played.sent == [0, *[f + max(1, cycles) for f in played.finished[:3]]]
        assert np.diff(played.finished).tolist() == [max(1, cycles) + g["rd"]] * 3


def test_a_window_bounds_the_requests_in_flight():
    requests = [(0, "R", place(burst=i)) for i in range(50)]
    for window in (1, 2, 3, 8):
        played = play("DDR3-1600", requests, window=window, arbiter="Fifo", max_active=128)
        sent, done = np.array(played.sent), np.array(played.finished)
        flight = [(sent <= t).sum() - (done <= t).sum() for t in sorted(played.sent)]
        assert max(flight) == window


# ---- the write buffer ------------------------------------------------------------------------------------


def test_a_read_of_a_waiting_write_is_answered_from_the_buffer():
    """DDR3: write 1 waits behind read 0; read 2 of its line is answered a cycle after it is accepted."""
    requests = [(0, "R", place(bank=1)), (1, "W", place()), (2, "R", place())]
    options = {"write_high": 8, "write_low": 2, "buffer": "Shared"}
    played = play("DDR3-1600", requests, arbiter="Simple", response_queue="Reorder", **options)
    assert played.run.outcome.tolist() == [1, 1, 3]
    assert (len(played.at("RD")), len(played.at("WR"))) == (1, 1)
    other = play("DDR3-1600", [(0, "W", place()), (1, "R", place())], **options)
    assert other.run.outcome.tolist() == [1, 3]
    assert int(other.run.counters[k.FORWARDED]) == 1


@pytest.mark.parametrize(
    ("high", "low", "expected"),
    [
        (8, 0, [2, 3, 4, 5, 9, 10, 6, 7, 8]),  # too few writes: all reads first
        (3, 2, [2, 3, 6, 4, 5, 9, 10, 7, 8]),  # three wait at 506: they drain until two are left
        (3, 1, [2, 3, 6, 7, 4, 5, 9, 10, 8]),
        (3, 0, [2, 3, 6, 7, 8, 4, 5, 9, 10]),
    ],
)
def test_reads_go_first_until_the_high_watermark(high, low, expected):
    """DDR3, open rows: reads every tCCD = 4 cycles from 500 on in bank 1, writes to bank 0 from 504 on."""
    requests = [(0, "R", place()), (0, "R", place(bank=1))]
    requests += [(500 + i, "R", place(bank=1, burst=1 + i)) for i in range(4)]
    requests += [(504 + i, "W", place(burst=1 + i)) for i in range(3)]
    requests += [(507 + i, "R", place(bank=1, burst=5 + i)) for i in range(2)]
    played = play("DDR3-1600", requests, buffer="Shared", buffer_size=32, write_high=high, write_low=low)
    assert played.order("RD", "WR")[2:] == expected


def test_a_write_with_nobody_to_wait_for_goes_at_once():
    played = play("DDR3-1600", [(0, "W", place())], write_high=64, write_low=32)
    assert played.at("WR") == [10]


def test_watermarks_that_make_no_sense_are_refused():
    for marks in ({"write_high": 2, "write_low": 3}, {"write_high": -1}, {"hit_cap": -1}):
        with pytest.raises(UsageError, match="expected"):
            Policy(**marks)


# ---- bursts ----------------------------------------------------------------------------------------------


def test_a_request_of_many_bytes_is_many_bursts():
    """64-byte lines: 256 bytes from a line's start are 4 bursts, from its middle 5; in compat mode a request is one."""
    standard = STANDARDS["DDR3-1600"]
    memory = memory_of(standard)
    trace = Trace("t", np.array([0, 4096 + 32, 8192, 63]), False, np.arange(4), 800.0, size=np.array([256, 256, 1, 2]))
    requests = prepare(trace, memory)
    assert np.bincount(requests.of_request).tolist() == [4, 5, 1, 2]
    played = run(memory, Policy(refresh="NoRefresh"), requests, record=100)
    assert int(played.counters[k.COUNT + k.RD]) == 12
    assert len(prepare(trace, memory_of(standard, compat=True)).table) == 4


# ---- the tables ------------------------------------------------------------------------------------------

COLUMN = ("RD", "RDA", "WR", "WRA")
READS, WRITES = COLUMN[:2], COLUMN[2:]


def checker_waits(standard):
    """(next, previous, scope) -> cycles, of the legality checker; bus rules left out."""
    out = {}
    for rule in checker.rules(FILES[standard.memory_id]):
        if rule.scope != "bus":
            for previous in rule.previous.split("/"):
                out[rule.next, previous, rule.scope] = rule.cycles
    return out


def controller_waits(standard):
    """The same of the controller; what concerns a channel holds within a rank and between ranks."""
    out = {}
    for rule in rules(standard):
        for scope in {"channel": ("rank", "other"), "faw": ("window",), "round": ()}.get(rule.scope, (rule.scope,)):
            key = rule.following, rule.previous, scope
            out[key] = max(out.get(key, -(10**9)), rule.cycles)
    return out


def pairs(following, previous, scope):
    return {(f, p, scope) for f in following for p in previous}


# The controller waits longer than the checker asks, on purpose: (next, previous, scope) -> extra cycles.
LONGER = {
    "DDR5": dict.fromkeys(pairs(WRITES, WRITES, "other"), 2)  # rank switch of writes as of reads: tRTRS
    | dict.fromkeys(pairs(WRITES, READS, "other"), 2),  # the data bus: read and write latency differ
    # DRAMSys counts tFAW from first to first cycle, of ACT to REFB and back from last to last
    "LPDDR4": {
        ("ACT", "ACT", "window"): 3,
        ("ACT", "REFB", "window"): 1,
        ("REFB", "ACT", "window"): 3,
        ("REFB", "REFB", "window"): 1,
        ("SREFEN", "RDA", "rank"): 1,  # DRAMSys counts tRDPDEN from the first cycle plus 3
    },
    "HBM2": {("SREFEX", "SREFEN", "rank"): 1},  # DRAMSys: tCKESR = tCKE + 1
}

ASLEEP = ("PDEA", "PDXA", "PDEP", "PDXP", "SREFEN", "SREFEX")
OF_DDR = (
    pairs(("PDEA",), ("PDXP", "PREA", "REFA", "SREFEX"), "rank")  # for a rank with an open bank: an ACT in between
    | pairs(("PRE", "PREA"), ("PDXP", "REFA", "SREFEX"), "rank")  # as before
    | pairs(("PDEP", "REFA", "SREFEN"), ("PDXA",), "rank")  # for closed banks: a PRE in between
    | {("PDEP", "WR", "rank")}
)
# The controller has no such rule, as another command must come in between that waits at least as long.
NEEDLESS = {
    "DDR3": OF_DDR,
    "DDR4": OF_DDR,
    "LPDDR4": OF_DDR | pairs(("PRE", "PREA"), ("PREA",), "rank") | {("PRE", "REFB", "bank")},
    "HBM2": OF_DDR
    | {("PDEP", "WR", "rank"), ("PRE", "REFB", "bank")}
    | pairs(("PDEA", "PDEP"), ("PRE", "PREA", "REFA", "REFB"), "rank")  # a cycle after another: the bus
    | {("PDEA", "ACT", "rank")},
    "DDR5": pairs(("PRE",), ("REFA",), "rank")
    | pairs(("PRE", "PRESB"), ("REFSB",), "bank")
    | {("PRESB", "REFA", "rank")},
}
# The checker has no such rule, as the standard has none; the controller follows DRAMSys.
CAUTIOUS = {
    "DDR3": pairs(WRITES, ("SREFEX",), "rank"),  # tXSDLL also before writes
    "DDR4": pairs(WRITES, ("SREFEX",), "rank"),
    "LPDDR4": set(),
    "HBM2": pairs(("ACT", "REFB"), ("ACT", "REFB"), "window") - {("ACT", "ACT", "window")}  # REFB counts for tFAW
    | {("REFB", "ACT", "group")},  # and for tRRDL
    "DDR5": set(),
}


@each_standard
def test_the_rules_are_those_of_the_checker(name):
    """Two transcriptions of the standards agree in every distance, but for the lists above."""
    standard = STANDARDS[name]
    ours, theirs = controller_waits(standard), checker_waits(standard)
    if not standard.has_power_down:
        ours, theirs = (
            {key: n for key, n in table.items() if not set(key[:2]) & set(ASLEEP)} for table in (ours, theirs)
        )
    both = set(ours) & set(theirs)
    assert len(both) >= 70
    longer = {key: ours[key] - theirs[key] for key in both if ours[key] != theirs[key]}
    assert longer == LONGER.get(standard.family, {})
    missing = set(theirs) - set(ours)
    assert missing <= NEEDLESS[standard.family]
    extra = {key for key in set(ours) - set(theirs) if ours[key] > 0}
    if standard.family == "HBM2":  # power-down and self-refresh are taken to be of both pseudo channels
        extra = {key for key in extra if not (key[2] == "other" and set(key[:2]) & set(ASLEEP))}
    assert extra == (CAUTIOUS[standard.family] if standard.has_power_down else set())


@each_standard
def test_a_rule_that_is_missing_is_needed_by_some_standard(name):
    """The list of needless rules names nothing that no standard of the family has."""
    family = STANDARDS[name].family
    seen = set()
    for standard in STANDARDS.values():
        if standard.family == family:
            seen |= set(checker_waits(standard)) - set(controller_waits(standard))
    assert NEEDLESS[family] <= seen


# ---- what is refused -------------------------------------------------------------------------------------


def test_policies_a_standard_does_not_know_are_refused():
    requests = [(0, "R", place())]
    for name, policy, message in (
        ("DDR3-1600", {"refresh": "PerBank"}, "DDR3 has no per-bank refresh: choose another"),
        ("LPDDR4-3200", {"refresh": "SameBank"}, "LPDDR4 has no same-bank refresh"),
        ("DDR5-4800", {"refresh": "PerBank"}, "DDR5 has no per-bank refresh"),
        ("DDR4-3200", {"power_down": "Staggered"}, "DDR4-3200 has no sourced power-down timings"),
    ):
        with pytest.raises(UsageError, match=message):
            play(name, requests, **policy)


def test_a_policy_of_unknown_names_or_impossible_sizes_is_refused():
    with pytest.raises(UnknownNameError, match="scheduler 'FrFcf'; did you mean FrFcfs"):
        Policy(scheduler="FrFcf")
    for sizes in ({"buffer_size": 0}, {"max_active": 0}, {"max_postponed": -1}, {"max_pulled_in": -1}):
        with pytest.raises(UsageError, match="expected at least"):
            Policy(**sizes)


def test_a_memory_whose_map_does_not_fit_is_refused():
    standard = STANDARDS["DDR3-1600"]
    mapping = preset("bank-row-column", standard, channels=1, ranks=1)
    with pytest.raises(UsageError, match="rank: expected 1 bits for 2"):
        Memory(standard, mapping, 1, 2)
    with pytest.raises(UsageError, match="open loop"):
        Memory(standard, mapping, 1, 1, True, 4)
    with pytest.raises(UsageError, match="channels: expected 1 to 8, got 16"):
        Memory(standard, preset("bank-row-column", standard, channels=16), 16, 1)
