"""The DRAM legality checker: every rule one cycle early and on time, an oracle by pairs, traces of two simulators."""

import copy
import functools
import gzip
import json
import re
from pathlib import Path

import numpy as np
import pytest

from archgym.errors import UnknownNameError, UsageError
from archgym.simulators.dram import checker_scan
from archgym.simulators.dram.checker import Checker, check, mutate, rules, summary
from archgym.simulators.dram.checker_rules import ONE_BANK, SAME_BANK, read_memspec, timing_name
from archgym.simulators.dram.command_trace import CODE, COMMAND_DTYPE, NAMES, read_commands, write_commands

DATA = Path(__file__).parent.parent / "data" / "dram"
FILES = {
    "DDR3": "MICRON_1Gb_DDR3-1600_8bit_G",
    "DDR4": "JEDEC_4Gb_DDR4-2400_8bit_A",
    "LPDDR4": "JEDEC_8Gb_LPDDR4-3200_16bit",
    "HBM2": "HBM2",
    "DDR5": "DDR5_16Gb_x8_4800BN",
}
COLUMN = ("RD", "WR", "RDA", "WRA")
ALL_CLOSED = ("REFA", "SREFEN", "PDEP")
AWAY = 4000  # cycles between commands that shall not meet: more than any distance


@functools.cache
def memspec_of(standard, ranks=2, bump=""):
    """The parsed memory specification with ``ranks`` ranks; ``bump`` names a timing that is made 64 cycles longer."""
    tree = json.loads((DATA / "memspecs" / f"{FILES[standard]}.json").read_text())
    tree["memspec"]["memarchitecturespec"]["nbrOfRanks"] = ranks
    timings = tree["memspec"]["memtimingspec"]
    for key in timings:
        if timing_name(key) == timing_name(bump):
            timings[key] += 64
    return tree


@functools.cache
def checker_of(standard, ranks=2, bump=""):
    return Checker(memspec_of(standard, ranks, bump))


def trace(*commands):
    """An array from (cycle, name, place, row): place is (rank, group, bank) or (channel, rank, group, bank)."""
    rows = []
    for cycle, name, *rest in commands:
        place = rest[0] if rest else (0, 0, 0)
        channel, rank, group, bank = place if len(place) == 4 else (0, *place)
        row = rest[1] if len(rest) > 1 else 1
        rows.append((cycle, CODE[name], channel, rank, group, bank, row, 0, -1))
    return np.array(rows, COMMAND_DTYPE)


def found(checker, *commands):
    """Names of the broken rules."""
    return set(checker.check(trace(*commands)).counts)


def earliest(checker, commands, name, place):
    """The first cycle at which the trace may go on with a command: by its slack, then by trying."""
    far = commands[-1][0] + AWAY
    slack = int(checker.check(trace(*commands, (far, name, place)), slack=True).slack[-1])
    for cycle in range(max(far - slack, commands[-1][0]), far):
        if not found(checker, *commands, (cycle, name, place)):
            return cycle
    raise AssertionError(f"{name} is never legal after {commands}")


# ---- every rule of every standard ------------------------------------------------------------------------


def places(checker, rule):
    """Where the previous and the next command of a rule go; banks differ in index too, for same-bank commands."""
    here, groups = (0, 0, 0), checker.device.groups
    there = {
        "bank": here,
        "group": (0, 0, 1),
        "rank": (0, groups - 1, 1),
        "window": (0, 0, 4) if groups == 1 else (0, 0, 1),
        "other": (1, 0, 0),
        "bus": (1, 0, 0),
    }
    return here, there[rule.scope]


def scene(checker, rule):
    """A legal trace that ends with what the rule's next command has to wait for, that command's name and place.

    Returns:
        (trace, index of the previous command, name, place)
    """
    here, there = places(checker, rule)
    previous = rule.previous.split("/")[0]
    after = rule.next
    if rule.scope == "bus":  # any command that no other rule holds back
        after = "RD" if checker.device.slots[previous].bus == "column" else "PREA"
    steps, clock = [], 0

    def far(name, place):
        nonlocal clock
        clock += AWAY
        steps.append((clock, name, place))

    def soon(name, place):
        steps.append((earliest(checker, steps, name, place), name, place))

    needs_open = previous in (*COLUMN, "PRE", "PRESB") or (previous == "PREA" and after == "PRE")
    if rule.scope == "window":
        spread = [(0, i % checker.device.groups, i // checker.device.groups) for i in range(4)]
        far("ACT", spread[0])
        for place in spread[1:]:
            soon("ACT", place)
        return steps, 0, after, there
    if needs_open:
        far("ACT", here)
    stays_open = previous in (*COLUMN, "PRE", "PRESB", "PDXA", "PDEA", "ACT") and previous not in ALL_CLOSED
    opened_before = after in (*COLUMN, "PRE", "PRESB") and stays_open and (there != here or previous == "PDXA")
    if opened_before:
        far("ACT", there)
    entry = {"PDXA": "PDEA", "PDXP": "PDEP", "SREFEX": "SREFEN"}.get(previous)
    if entry:
        far(entry, here)
    far(previous, here)
    index = len(steps) - 1
    if after in COLUMN and not (opened_before or (stays_open and there == here)):
        soon("ACT", there)
    if (after in (*ALL_CLOSED, "ACT", "REFB", "REFSB") and there == here) or after in ALL_CLOSED:
        if previous == "ACT":
            soon("RDA", here)
        elif previous in ("RD", "WR"):
            soon("PRE", here)
    return steps, index, after, there


def binds_at(checker, rule):
    """Hold the rule to its words; whether it is what the next command really waits for."""
    steps, index, after, place = scene(checker, rule)
    assert not found(checker, *steps), (rule.name, found(checker, *steps))
    due = steps[index][0] + rule.cycles
    if due - 1 >= steps[-1][0]:
        early = checker.check(trace(*steps, (due - 1, after, place)))
        told = {(v.index, v.previous, v.required) for v in early.violations if v.rule == rule.name}
        assert told == {(len(steps), index, due)}, rule.name
        assert rule.name not in found(checker, *steps, (due, after, place))
    return earliest(checker, steps, after, place) == due


# Rules that another one always hides, whatever the timings: a command has to come in between that waits longer.
HIDDEN = {
    "WR->PDEP rank",  # a PRE, which waits for the write to recover
}


@pytest.mark.parametrize("standard", FILES)
def test_every_rule_flags_one_cycle_early_and_passes_on_time(standard):
    """Where the published timings let another rule bind first, one timing of the formula is made longer."""
    hidden = set()
    for rule in checker_of(standard).rules:
        if binds_at(checker_of(standard), rule):
            continue
        for name in re.findall(r"[A-Za-z_0-9]*[A-Z]\w*", rule.formula):
            checker = checker_of(standard, 2, name)
            longer = next((r for r in checker.rules if r.name == rule.name and r.cycles > rule.cycles), None)
            if longer is not None and binds_at(checker, longer):
                break
        else:
            hidden.add(rule.name)
    assert hidden <= HIDDEN


# Cycles worked out by hand from the published timings; DDR3, DDR4, HBM2: "BL/2" is 4, 4, 2.
FIGURES = {
    "DDR3": {
        "RD->WR rank": 10 + 4 + 2 - 8, "WR->RD rank": 8 + 4 + 6, "WR->RDA bank": 8 + 4 + 12 - 6, "RDA->ACT bank": 16,
        "WRA->ACT bank": 8 + 4 + 12 + 10, "RD->WR other": 10 + 4 + 1 - 8, "WR->RD other": 8 + 4 + 1 - 10,
        "ACT->ACT window": 24, "ACT->REFA rank": 38, "REFA->ACT rank": 88, "RD->PDEA rank": 15, "WRA->PDEP rank": 25,
    },
    "DDR4": {
        "ACT->RD bank": 16, "WR->WR group": 6, "RD->RD rank": 4, "ACT->ACT bank": 55, "ACT->ACT group": 6,
        "ACT->ACT rank": 4, "ACT->ACT window": 26, "PRE->ACT bank": 16, "ACT->PRE bank": 39, "RD->PRE bank": 12,
        "WR->PREA rank": 16 + 4 + 18, "RDA->REFA rank": 12 + 16, "PREA->REFA rank": 16, "REFA->REFA rank": 312,
        "WRA->PDEP rank": 39, "REFA->PDEP rank": 2, "SREFEN->SREFEX rank": 7, "WRA->SREFEN rank": 54,
        "RD->WR rank": 16 + 4 + 1 - 16 + 1, "WR->RD group": 16 + 4 + 9, "WR->RD rank": 16 + 4 + 3, "RD->RD group": 6,
        "WR->RDA bank": 16 + 4 + 18 - 12, "RD->RD other": 5, "RD->WR other": 16 + 4 + 1 - 16 + 1, "RDA->ACT bank": 28,
        "WR->RD other": 16 + 4 + 1 - 16 + 1, "WRA->REFA rank": 16 + 4 + 18 + 16, "WR->PDEA rank": 38,
        "SREFEX->RD rank": 512, "SREFEX->ACT rank": 324, "PDXA->WR rank": 8, "PDEP->PDXP rank": 6,
    },
    # Commands of four and two cycles: the distances in DRAMSys 4 between the first cycles.
    "LPDDR4": {
        "RD->WR rank": 28 + 6 + 8 - 14 + 2, "WR->RD rank": 14 + 1 + 8 + 16, "RD->PRE bank": 12 + 8 - 6,
        "RDA->ACT bank": 12 + 8 - 8 + 29, "WR->PRE bank": 14 + 8 + 29 + 3, "WRA->ACT bank": 14 + 8 + 1 + 29 + 29,
        "WR->RDA bank": 54 - 14, "PRE->ACT bank": 29 - 2, "PREA->ACT rank": 34 - 2, "REFA->ACT rank": 448 - 2,
        "REFB->ACT bank": 224 - 2, "REFB->ACT rank": 16 - 2, "ACT/REFB->ACT window": 64 - 3, "ACT->PRE bank": 68 + 2,
        "ACT/REFB->REFB window": 64 - 1, "ACT->REFB rank": 16 + 2, "ACT->REFA rank": 97 + 2, "RDA->REFA rank": 14 + 29,
        "WRA->REFA rank": 54 + 29, "PREA->REFA rank": 34, "PRE->PREA rank": 4, "REFB->PREA rank": 224,
    },
    "HBM2": {
        "ACT->RD bank": 12 + 1, "ACT->WR bank": 6 + 1, "ACT->PRE bank": 28 + 1, "PRE->ACT bank": 14 - 1,
        "RD->WR rank": 18, "WR->RD group": 7 + 2 + 9, "WR->RD rank": 7 + 2 + 4, "RDA->ACT bank": 5 + 14 - 1,
        "RD->RD group": 3, "RD->RD rank": 2, "ACT->ACT group": 6, "ACT->ACT window": 16, "REFB->REFB bank": 96,
        "REFB->REFB rank": 8, "RD->PRE bank": 5, "WR->RDA bank": 7 + 2 + 14 - 5, "REFB->ACT bank": 96 - 1,
        "WR->PRE bank": 7 + 2 + 14, "REFB->ACT rank": 8 - 1, "ACT->REFB rank": 4 + 1, "REFA->ACT rank": 220 - 1,
    },
    # Two-cycle ACT and column commands; the formulas of Ramulator 2.1 and its adjustment for them.
    "DDR5": {
        "ACT->RD bank": 36, "ACT->PRE bank": 77 + 1, "PRE->ACT bank": 36 - 1, "RD->PRE bank": 18 + 1,
        "WR->PRE bank": 34 + 8 + 72 + 1, "RD->WR rank": 36 + 8 + 2 - 34 + 2, "WR->RD group": 34 + 8 + 24,
        "RD->RD group": 12, "WR->WR rank": 8, "ACT->ACT group": 12, "ACT->ACT rank": 8, "ACT->ACT window": 48,
        "REFSB->ACT rank": 73 - 1, "REFSB->REFSB rank": 313, "WRA->ACT bank": 34 + 8 + 72 + 36, "RDA->REFA rank": 55,
        "WR->WR group": 48, "PRE->PREA rank": 2, "ACT->REFA rank": 113 + 1, "REFA->ACT rank": 710 - 1,
        "RD->WR other": 8 + 2, "WR->RD other": 34 + 8 + 2 - 36,
    },
}  # fmt: skip


@pytest.mark.parametrize("standard", FILES)
def test_cycles_worked_out_by_hand(standard):
    resolved = {rule.name: rule.cycles for rule in checker_of(standard).rules}
    assert {name: resolved[name] for name in FIGURES[standard]} == FIGURES[standard]


@pytest.mark.parametrize("standard", FILES)
def test_rules_have_one_name_each_and_a_source(standard):
    every = rules(memspec_of(standard))
    assert len({rule.name for rule in every}) == len(every)
    assert all(rule.source and rule.cycles > 0 for rule in every)
    unverified = {rule.formula for rule in every if rule.source == "unverified"}
    assert len(unverified) <= 8  # they are exceptions: rank switches of LPDDR4, the odd corner of sleep


def test_ddr4_1866_resolves_too():
    tree = json.loads((DATA / "memspecs" / "JEDEC_4Gb_DDR4-1866_8bit_A.json").read_text())
    resolved = {rule.name: rule.cycles for rule in rules(tree)}
    assert resolved["RD->WR rank"] == 13 + 4 + 1 - 12 + 1
    assert resolved["WR->RD group"] == 12 + 4 + 7


# ---- an oracle that compares all pairs of commands -------------------------------------------------------


def address(command):
    """(channel, rank, group, bank) with None where the command addresses all."""
    name = NAMES[command["command"]]
    group = int(command["bankgroup"]) if name in ONE_BANK else None
    bank = int(command["bank"]) if name in ONE_BANK or name in SAME_BANK else None
    return int(command["channel"]), int(command["rank"]), group, bank


def same(a, b):
    return a is None or b is None or a == b


def related(scope, one, two):
    """Whether two addresses are as near as the scope says; commands to a whole rank are in no bank or group."""
    if one[0] != two[0]:
        return False
    if scope == "other":
        return one[1] != two[1]
    if one[1] != two[1]:
        return False
    if scope == "group":
        return one[2] is not None and one[2] == two[2]
    if scope == "bank":
        return one[3] is not None and two[3] is not None and same(one[2], two[2]) and one[3] == two[3]
    return True


def oracle(checker, commands):
    """{(index, rule, previous index)} of the timing rules, by looking at every pair; for windows at four."""
    out = set()
    slots = checker.device.slots
    at = [address(command) for command in commands]
    names = [NAMES[command["command"]] for command in commands]
    cycle = commands["cycle"].tolist()
    for i, name in enumerate(names):
        if name not in slots:
            continue
        for rule in checker.rules:
            if rule.next not in (name, "*"):
                continue
            before = [j for j in range(i) if names[j] in rule.previous.split("/") and names[j] in slots]
            if rule.scope == "bus":  # only the last command on the bus is looked at
                bus = [j for j in range(i) if names[j] in slots and slots[names[j]].bus == slots[name].bus]
                bus = [j for j in bus if at[j][0] == at[i][0]]
                last = [j for j in bus[-1:] if names[j] == rule.previous]
            elif rule.scope == "window":
                last = [j for j in before if related("rank", at[j], at[i])][-4:]
                last = last[:1] if len(last) == 4 else []
            else:
                near = [j for j in before if related(rule.scope, at[j], at[i])]
                # The last one in each place: a bank for same-bank commands, a rank for rules between ranks.
                groups = {(at[j][1], at[j][2] if rule.scope == "bank" else None): j for j in near}
                last = list(groups.values())
            out |= {(i, rule.name, j) for j in last if cycle[i] < cycle[j] + rule.cycles}
    return out


@pytest.mark.parametrize("standard", FILES)
def test_random_traces_break_the_same_timing_rules_as_pair_by_pair(standard):
    rng = np.random.default_rng(5)
    checker = checker_of(standard)
    device = checker.device
    state_rules = set(checker_scan.STATE_RULES)
    broken = set()
    for _ in range(12):
        commands = np.zeros(60, COMMAND_DTYPE)
        commands["cycle"] = np.cumsum(rng.choice([0, 1, 2, 4, 9, 25, 90], 60))
        commands["command"] = rng.integers(0, len(NAMES), 60)
        commands["channel"] = rng.integers(0, 2, 60)
        for field, most in (("rank", device.ranks), ("bankgroup", device.groups), ("bank", 3)):
            commands[field] = rng.integers(0, min(most, 2), 60)
        report = checker.check(commands)
        ours = {(v.index, v.rule, v.previous) for v in report.violations if v.rule not in state_rules}
        assert ours == oracle(checker, commands)
        broken |= {rule for _, rule, _ in ours}
        reads = [i for i in range(60) if NAMES[commands["command"][i]] in COLUMN]
        latency = [device.cycles("RL" if NAMES[c][0] == "R" else "WL") for c in commands["command"]]
        begin = commands["cycle"] + latency
        lane = commands["channel"] * 2 + (commands["rank"] if standard == "HBM2" else 0)
        clash = {
            (i, j)
            for i in reads
            for j in reads
            if j < i and lane[i] == lane[j] and abs(begin[i] - begin[j]) < device.burst_length // 2
        }
        assert {(v.index, v.previous) for v in report.violations if v.rule == "data bus"} == clash
    assert len(broken) > len(checker.rules) // 3  # the traces are dense enough to mean something


# ---- state rules -----------------------------------------------------------------------------------------

BANK, NEXT_BANK = (0, 0, 0), (0, 0, 1)
OPEN = ((0, "ACT", BANK, 7),)
SLEEP, NAP, DOZE = ((0, "SREFEN"),), ((0, "PDEP"),), (*OPEN, (400, "PDEA"))
LATER = AWAY


@pytest.mark.parametrize(
    ("commands", "broken"),
    [
        ((*OPEN, (LATER, "ACT", BANK, 7)), {"activation of an open bank"}),
        ((*OPEN, (LATER, "ACT", NEXT_BANK, 7)), set()),
        (((0, "RD", BANK),), {"column command on a closed bank"}),
        ((*OPEN, (LATER, "WR", NEXT_BANK, 7)), {"column command on a closed bank"}),
        ((*OPEN, (400, "RDA", BANK, 7), (LATER, "RD", BANK, 7)), {"column command on a closed bank"}),
        ((*OPEN, (400, "PREA"), (LATER, "RD", BANK, 7)), {"column command on a closed bank"}),
        ((*OPEN, (LATER, "RD", BANK, 8)), {"column command on another row"}),
        ((*OPEN, (LATER, "WRA", BANK, 7)), set()),
        ((*OPEN, (LATER, "WR", BANK, -1)), set()),  # a row that is not given matches any
        (((0, "ACT", BANK, -1), (LATER, "WR", BANK, 9)), set()),
        ((*OPEN, (LATER, "REFA")), {"open bank"}),
        ((*OPEN, (LATER, "SREFEN")), {"open bank"}),
        ((*OPEN, (LATER, "PDEP")), {"open bank"}),
        ((*OPEN, (400, "RDA", BANK, 7), (LATER, "PDEP")), set()),
        ((*OPEN, (LATER, "PDEA")), set()),
        ((*DOZE, (LATER, "RD", BANK, 7)), {"command in power-down"}),
        ((*DOZE, (LATER, "PDEA")), {"command in power-down"}),
        ((*DOZE, (LATER, "PDXP")), {"exit without entry"}),
        ((*DOZE, (LATER, "PDXA"), (2 * LATER, "RD", BANK, 7)), set()),
        ((*NAP, (LATER, "REFA")), {"command in power-down"}),
        ((*NAP, (LATER, "PDXA")), {"exit without entry"}),
        ((*NAP, (LATER, "PDXP"), (2 * LATER, "REFA")), set()),
        ((*SLEEP, (LATER, "ACT", BANK)), {"command in self-refresh"}),
        ((*SLEEP, (LATER, "SREFEX"), (2 * LATER, "ACT", BANK)), set()),
        ((*SLEEP, (LATER, "ACT", (1, 0, 0))), set()),  # the other rank is awake
        (((0, "SREFEX"),), {"exit without entry"}),
        (((0, "PDXA"),), {"exit without entry"}),
        (((0, "NOP"), (0, "NOP")), set()),
    ],
)
@pytest.mark.parametrize("standard", FILES)
def test_states_of_banks_and_ranks(standard, commands, broken):
    assert found(checker_of(standard), *commands) == broken


@pytest.mark.parametrize(
    ("standard", "missing"),
    [("DDR3", "REFB"), ("DDR4", "REFSB"), ("LPDDR4", "PRESB"), ("HBM2", "REFSB"), ("DDR5", "REFB")],
)
def test_commands_that_a_standard_does_not_have(standard, missing):
    assert found(checker_of(standard), (0, missing)) == {"no such command"}


@pytest.mark.parametrize(("standard", "refresh"), [("LPDDR4", "REFB"), ("HBM2", "REFB"), ("DDR5", "REFSB")])
def test_a_refresh_of_one_bank_needs_that_bank_closed(standard, refresh):
    checker = checker_of(standard)
    assert found(checker, *OPEN, (LATER, refresh, BANK)) == {"open bank"}
    assert found(checker, *OPEN, (LATER, refresh, NEXT_BANK)) == set()
    elsewhere = (0, checker.device.groups - 1, 0)  # the same bank of another group, where there are groups
    reached = standard in ("DDR5", "LPDDR4")
    assert found(checker, (0, "ACT", elsewhere), (LATER, refresh, BANK)) == ({"open bank"} if reached else set())


def test_same_bank_precharge_closes_the_bank_in_every_group():
    group = (0, 5, 0)
    opened = ((0, "ACT", BANK), (400, "ACT", group), (800, "ACT", NEXT_BANK))
    assert found(checker_of("DDR5"), *opened, (LATER, "PRESB", BANK), (2 * LATER, "RD", group)) == {
        "column command on a closed bank"
    }
    assert found(checker_of("DDR5"), *opened, (LATER, "PRESB", BANK), (2 * LATER, "RD", NEXT_BANK)) == set()


def test_a_precharge_of_a_closed_bank_is_noted_unless_it_precharges_by_itself():
    """DDR4-2400: RDA at 16 precharges at max(16 + tRTP 12, tRAS 39) = 39 and is done tRP 16 later, at 55."""
    checker = checker_of("DDR4")
    start = ((0, "ACT", BANK), (16, "RDA", BANK))
    assert found(checker, *start, (54, "PRE", BANK)) == {"precharge during auto-precharge"}
    report = checker.check(trace(*start, (55, "PRE", BANK)))
    assert report.legal
    assert report.notes == {"precharge of a closed bank": 1}
    assert checker.check(trace((0, "PDEA"))).notes == {"active power-down with all banks closed": 1}


def test_auto_precharge_is_derived_from_precharge_whatever_the_refresh_rows_say():
    """With tRC 1 no row of the table makes REFA wait for tRAS after the ACT: only the bank itself does."""
    tree = copy.deepcopy(memspec_of("DDR4"))
    tree["memspec"]["memtimingspec"]["RC"] = 1
    start = ((0, "ACT", BANK), (16, "RDA", BANK))
    (told,) = check(trace(*start, (54, "REFA")), tree).violations
    assert (told.rule, told.previous, told.required) == ("auto-precharge unfinished", 1, 39 + 16)
    assert check(trace(*start, (55, "REFA")), tree).legal
    write = ((0, "ACT", BANK), (16, "WRA", BANK))  # precharges at 16 + WL 16 + BL/2 4 + tWR 18 = 54
    assert "auto-precharge unfinished" in check(trace(*write, (69, "REFA")), tree).counts
    assert check(trace(*write, (70, "REFA")), tree).legal


def test_the_data_bus_is_watched_whatever_the_rows_say():
    """DDR3 with tCCD 1: reads 3 cycles apart satisfy every row, but their bursts of 4 cycles overlap by one."""
    tree = copy.deepcopy(memspec_of("DDR3"))
    tree["memspec"]["memtimingspec"]["CCD"] = 1
    start = ((0, "ACT", BANK), (100, "RD", BANK))
    (told,) = check(trace(*start, (103, "RD", BANK)), tree).violations
    assert (told.rule, told.previous, told.required) == ("data bus", 1, 104)
    assert check(trace(*start, (104, "RD", BANK)), tree).legal


def test_pseudo_channels_share_the_commands_but_not_the_data():
    both = ((0, "ACT", (0, 0, 0)), (50, "ACT", (1, 0, 0)), (100, "RD", (0, 0, 0)))
    checker = checker_of("HBM2")
    assert found(checker, *both, (100, "RD", (1, 0, 0))) == {"RD->* bus"}
    assert found(checker, *both, (101, "RD", (1, 0, 0))) == set()
    assert found(checker, *both, (100, "ACT", (1, 1, 0))) == set()  # rows have a bus of their own
    assert "RD->RD other" in found(checker_of("DDR4"), *both, (104, "RD", (1, 0, 0)))


def test_channels_know_nothing_of_each_other():
    commands = read_commands(TRACES / "ramulator2_ddr4_2400_Open_gen_mixed.csv.gz")[:500]
    other = commands.copy()
    other["channel"] = 1
    both = np.concatenate([commands, other])
    assert check(both, REFERENCE).legal
    assert check(both[np.argsort(both["cycle"], kind="stable")], REFERENCE).legal
    other["channel"] = 0
    assert not check(np.sort(np.concatenate([commands, other]), order="cycle"), REFERENCE).legal


# ---- refresh intervals -----------------------------------------------------------------------------------


def test_refresh_intervals_are_reported_and_on_request_judged():
    """DDR3-1600: tREFI 6240, eight refreshes may be postponed: 56160 cycles."""
    checker = checker_of("DDR3")
    commands = trace((0, "NOP"), (6240, "REFA"), (6240 + 56161, "REFA"), (70000, "ACT"))
    report = checker.check(commands)
    assert report.legal
    (gap,) = report.refresh
    assert (gap.rank, gap.refreshes, gap.longest, gap.limit, gap.index) == (0, 2, 56161, 56160, 2)
    judged = checker.check(commands, refresh=True)
    assert judged.counts == {"refresh interval": 1}
    assert judged.violations[0].index == 2
    commands["cycle"][2] -= 1
    assert checker.check(commands, refresh=True).legal


def test_self_refresh_counts_as_refresh_and_every_bank_needs_its_own():
    slept = trace((0, "REFA"), (50000, "SREFEN"), (200000, "SREFEX"), (250000, "REFA"))
    assert checker_of("DDR3").check(slept).refresh[0].longest == 50000
    # LPDDR4: bank 0 is refreshed all the time, the others only at the start.
    commands = trace((0, "REFA"), *((1000 * i, "REFB", BANK) for i in range(1, 60)))
    (gap,) = checker_of("LPDDR4").check(commands).refresh
    assert (gap.longest, gap.limit, gap.index) == (59000, 9 * 6246, -1)
    assert checker_of("DDR5").device.postponed == 4


# ---- traces of other simulators --------------------------------------------------------------------------

TRACES = DATA / "cmdtraces"
REFERENCE = DATA / "memspecs" / "DDR4_8Gb_x8_2400.json"
REQUESTS = ("stream", "gen_mixed", "gen_random_rw50")


def test_there_are_twelve_traces_of_6000_commands():
    files = sorted(TRACES.glob("*.csv.gz"))
    assert len(files) == 12
    assert {len(read_commands(file)) for file in files} == {6000}


@pytest.mark.parametrize("requests", REQUESTS)
def test_ramulator_open_page_is_legal(requests):
    report = check(read_commands(TRACES / f"ramulator2_ddr4_2400_Open_{requests}.csv.gz"), REFERENCE, refresh=True)
    assert (report.total, report.notes) == (0, {})


@pytest.mark.parametrize(("requests", "short"), [("stream", 0), ("gen_mixed", 71), ("gen_random_rw50", 114)])
def test_dramsim3_open_page_only_turns_the_bus_a_cycle_early(requests, short):
    """It allows CL + BL/2 - CWL + tRTRS 1 = 10 between read and write; JESD79-4 asks for CL + BL/2 + 2 - CWL = 11."""
    commands = read_commands(TRACES / f"dramsim3_ddr4_2400_OPEN_PAGE_{requests}.csv.gz")
    report = check(commands, REFERENCE)
    assert report.counts == ({"RD->WR rank": short} if short else {})
    assert {v.required - v.cycle for v in report.violations} <= {1}
    assert check(commands, without_preamble()).legal


@pytest.mark.parametrize(
    ("requests", "early", "short"), [("stream", 8, 0), ("gen_mixed", 1, 83), ("gen_random_rw50", 0, 186)]
)
def test_dramsim3_close_page_refreshes_before_auto_precharge_is_done(requests, early, short):
    """Its RDA-to-REF is tRTP + tRP and forgets tRAS. Two rules find each: the row ACT->REFA and the bank's state."""
    commands = read_commands(TRACES / f"dramsim3_ddr4_2400_CLOSE_PAGE_{requests}.csv.gz")
    report = check(commands, without_preamble())
    assert report.counts == ({"auto-precharge unfinished": early, "ACT->REFA rank": early} if early else {})
    assert {v.command for v in report.violations} <= {"REFA"}
    assert check(commands, REFERENCE).counts.get("RDA->WRA rank", 0) == short


@pytest.mark.parametrize(
    ("requests", "during_auto", "during_refresh"), [("stream", 0, 7), ("gen_mixed", 2, 4), ("gen_random_rw50", 0, 7)]
)
def test_ramulator_closed_cap_precharges_closed_banks(requests, during_auto, during_refresh):
    """Harmless, but JESD79-4 allows no command in tRFC, and none to a bank that precharges by itself."""
    report = check(read_commands(TRACES / f"ramulator2_ddr4_2400_ClosedCAP_{requests}.csv.gz"), REFERENCE)
    expected = {"precharge during auto-precharge": during_auto, "REFA->PRE rank": during_refresh}
    assert report.counts == {rule: count for rule, count in expected.items() if count}
    assert {v.command for v in report.violations} == {"PRE"}


def without_preamble():
    """The reference memory as DRAMsim3 sees it: no cycle for the write preamble."""
    tree = json.loads(REFERENCE.read_text())
    tree["memspec"]["memtimingspec"]["WPRE"] = 0
    return tree


# ---- mutations: the checker is not blind -----------------------------------------------------------------


def count_caught(commands, memspec):
    """(mutations, how many of them are flagged at the moved command, one cycle short)."""
    checker, tried, caught = Checker(memspec), 0, 0
    for index, mutated in mutate(commands, memspec):
        told = checker.check(mutated, limit=100).violations
        tried += 1
        caught += any(v.index == index and v.required == v.cycle + 1 for v in told)
    return tried, caught


@pytest.mark.parametrize("requests", REQUESTS)
def test_every_tight_command_one_cycle_early_is_caught(requests):
    commands = read_commands(TRACES / f"ramulator2_ddr4_2400_Open_{requests}.csv.gz")
    tried, caught = count_caught(commands[:1000], REFERENCE)
    assert tried == caught > 900


@pytest.mark.slow
@pytest.mark.parametrize("requests", REQUESTS)
def test_every_tight_command_of_the_whole_trace_is_caught(requests):
    commands = read_commands(TRACES / f"ramulator2_ddr4_2400_Open_{requests}.csv.gz")
    tried, caught = count_caught(commands, REFERENCE)
    assert tried == caught > 5900


def walk(checker, rng, steps):
    """A legal trace: commands drawn at random among those the state allows, each as early as the checker allows."""
    device, out, names = checker.device, [(0, "NOP")], sorted(checker.device.slots)
    while len(out) <= steps:
        name = names[rng.integers(len(names))]
        place = tuple(int(rng.integers(0, min(most, 2))) for most in (device.ranks, device.groups, device.banks))
        if found(checker, *out, (out[-1][0] + AWAY, name, place)):
            continue  # not in this state, however late
        out.append((earliest(checker, out, name, place), name, place))
    return trace(*out)


@pytest.mark.parametrize("standard", FILES)
def test_every_tight_command_is_caught_in_every_standard(standard):
    """As early as legal is tight by construction, but for data bus and auto-precharge, and for a late other rank."""
    rng = np.random.default_rng(11)
    commands = walk(checker_of(standard), rng, 220)
    assert {NAMES[c] for c in commands["command"]} == {"NOP", *checker_of(standard).device.slots}
    tried, caught = count_caught(commands, memspec_of(standard))
    assert tried == caught > 150


def test_a_mutation_overtakes_on_the_other_bus():
    """HBM2: a row and a column command in one cycle; moved, the later one of the trace comes first."""
    commands = trace(
        (0, "ACT", (0, 0, 0)), (50, "RD", (0, 0, 0)), (53, "ACT", (0, 1, 0)), (53, "RD", (0, 0, 0)), (60, "NOP")
    )
    ((index, mutated), *_) = [m for m in mutate(commands, memspec_of("HBM2")) if m[1]["cycle"].tolist()[2] == 52]
    assert index == 2
    assert mutated["cycle"].tolist() == [0, 50, 52, 53, 60]
    assert commands["cycle"].tolist() == [0, 50, 53, 53, 60]  # the original is left alone
    assert {v.rule for v in check(mutated, memspec_of("HBM2")).violations} == {"RD->RD group"}


# ---- the report ------------------------------------------------------------------------------------------


def test_slack_counts_from_the_last_rule_that_lets_go():
    report = checker_of("DDR3").check(
        trace((0, "ACT", BANK), (10, "RD", BANK), (16, "RD", BANK), (21, "PRE", BANK)), slack=True
    )
    # tRCD 10; tCCD 4 from 10; PRE: tRAS 28 from 0 against tRTP 6 from 16.
    assert report.slack.tolist() == [checker_scan.FREE, 0, 2, -7]


def test_the_limit_bounds_what_is_recorded_but_not_what_is_counted():
    commands = trace(*((10 * i, "RD", BANK) for i in range(50)))
    report = checker_of("DDR3").check(commands, limit=3)
    assert (report.total, report.counts, len(report.violations)) == (50, {"column command on a closed bank": 50}, 3)
    assert [v.index for v in report.violations] == [0, 1, 2]
    assert checker_of("DDR3").check(commands, limit=0).violations == ()


def test_violations_come_in_the_order_of_the_trace_and_in_words():
    report = checker_of("DDR3").check(trace((0, "ACT", BANK, 5), (9, "RD", BANK, 6), (11, "RD", BANK, 5)))
    assert [v.index for v in report.violations] == sorted(v.index for v in report.violations)
    assert report.violations[0].text == (
        "RD #1 at cycle 9 (channel 0 rank 0 group 0 bank 0): ACT->RD bank, RCD - AL = 10 cycles"
        " after ACT #0 at cycle 0 (channel 0 rank 0 group 0 bank 0), legal from cycle 10"
    )


def test_summary_is_rows_for_a_table():
    checker = checker_of("DDR3")
    report = checker.check(trace((0, "ACT", BANK, 5), (9, "RD", BANK, 6), (13, "RD", BANK, 6)))
    first, second = summary(report, checker.rules)
    assert (first["rule"], first["violations"], first["first_index"]) == ("column command on another row", 2, 1)
    assert second == {
        "rule": "ACT->RD bank",
        "violations": 1,
        "cycles": 10,
        "formula": "RCD - AL",
        "source": "JESD79-3F, JESD79-4: tRCD, less the additive latency",
        "first_index": 1,
        "first_cycle": 9,
    }
    assert summary(checker.check(trace()), checker.rules) == []


def test_the_same_trace_gives_the_same_report():
    commands = read_commands(TRACES / "dramsim3_ddr4_2400_CLOSE_PAGE_stream.csv.gz")
    assert check(commands, REFERENCE) == check(commands, REFERENCE)


# ---- what cannot be checked ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("commands", "message"),
    [
        (
            ((5, "ACT"), (4, "NOP")),
            "command #1: expected cycles of at least 0, in order within the channel, got cycle 4",
        ),
        (((-1, "ACT"),), "got cycle -1"),
        (((0, "ACT", (2, 0, 0)),), "expected a rank below 2, got rank 2"),
        (((0, "ACT", (0, 4, 0)),), "expected a bank group below 4, got bankgroup 4"),
        (((0, "PRE", (0, 0, -1)),), "expected a bank of its group below 4, got bank -1"),
        (((0, "ACT", BANK, 1 << 15),), "expected a row below 32768"),
        (((0, "RD", BANK, -2),), "got row -2"),
        (((0, "ACT", (-1, 0, 0, 0)),), "expected a channel of at least 0, got channel -1"),
        (((0, "ACT", (5000, 0, 0, 0)),), "expected channels below 4096, got 5000"),
    ],
)
def test_a_trace_the_device_cannot_have_is_refused(commands, message):
    with pytest.raises(UsageError, match=message):
        checker_of("DDR4").check(trace(*commands))


def test_another_code_column_or_type_is_refused():
    commands = trace((0, "NOP"), (1, "RD"))
    commands["command"][0] = 18
    with pytest.raises(UsageError, match="expected a command code from 0 to 17, got command 18"):
        checker_of("DDR4").check(commands)
    commands = trace((0, "RD"))
    commands["column"] = 1024
    with pytest.raises(UsageError, match="expected a column below 1024"):
        checker_of("DDR4").check(commands)
    for wrong in (np.zeros(3), commands.reshape(1, 1), [1]):
        with pytest.raises(UsageError, match="COMMAND_DTYPE"):
            checker_of("DDR4").check(wrong)


def test_places_that_a_command_does_not_use_are_not_looked_at():
    assert checker_of("DDR4").check(trace((0, "REFA", (0, -1, -1), -1), (500, "PREA", (0, 99, 99), 1 << 40))).legal


def test_an_empty_trace_is_legal():
    report = checker_of("LPDDR4").check(trace(), slack=True, refresh=True)
    assert (report.commands, report.total, report.refresh, len(report.slack)) == (0, 0, (), 0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tree: tree.pop("memtimingspec"), "expected an object 'memtimingspec'"),
        (lambda tree: tree["memarchitecturespec"].pop("nbrOfRows"), "expected nbrOfRows, an integer"),
        (lambda tree: tree["memarchitecturespec"].update(nbrOfBanks=15), "multiple of 4 bank groups, got 15"),
        (lambda tree: tree["memarchitecturespec"].update(dataRate=4), "expected dataRate 2, got 4"),
        (lambda tree: tree["memtimingspec"].update(RP=13.5), "expected timing RP in whole clock cycles, got 13.5"),
        (lambda tree: tree["memtimingspec"].update(RP=True), "timing RP"),
        (lambda tree: tree["memtimingspec"].update(RCD=-1), "timing RCD"),
        (lambda tree: tree["memtimingspec"].pop("RL"), "expected timing RL, it is missing"),
        (lambda tree: tree["memtimingspec"].pop("RTP"), "between RD and PRE is missing"),
        (lambda tree: tree["memtimingspec"].pop("FAW"), "expected timing FAW, needed by ACT->ACT window"),
        (lambda tree: tree["memtimingspec"].pop("REFI"), "expected timing REFI"),
        (lambda tree: tree["memarchitecturespec"].update(burstLength=7), "cannot compute 'BL / 2' in whole cycles"),
    ],
)
def test_a_memory_specification_that_is_none_is_refused(change, message):
    tree = copy.deepcopy(memspec_of("DDR4"))
    change(tree["memspec"])
    with pytest.raises(UsageError, match=message):
        check(trace((0, "ACT"), (500, "ACT", NEXT_BANK), (1000, "PREA"), (2000, "REFA")), tree)


def test_unknown_memories_and_files_are_named(tmp_path):
    tree = copy.deepcopy(memspec_of("DDR4"))
    tree["memspec"]["memoryType"] = "DDR44"
    with pytest.raises(UnknownNameError, match=r"unknown memory type 'DDR44'; did you mean DDR4"):
        read_memspec(tree)
    with pytest.raises(UsageError, match="expected a memory specification in JSON"):
        read_memspec(tmp_path / "none.json")
    (tmp_path / "list.json").write_text("[1]")
    with pytest.raises(UsageError, match="expected a JSON object, got list"):
        read_memspec(tmp_path / "list.json")


def test_timings_are_only_missed_by_commands_that_need_them():
    """A specification without power-down timings serves traces without power-down, one rank those without a switch."""
    tree = copy.deepcopy(memspec_of("DDR4", ranks=1))
    for name in ("XP", "RTRS"):
        tree["memspec"]["memtimingspec"].pop(name)
    awake = ((0, "ACT", BANK), (100, "RD", BANK), (200, "PREA"))
    assert check(trace(*awake), tree).legal
    with pytest.raises(UsageError, match="expected timing XP, needed by PDXP->ACT rank"):
        check(trace(*awake, (300, "PDEP"), (400, "PDXP"), (500, "ACT", BANK)), tree)
    tree["memspec"]["memarchitecturespec"]["nbrOfRanks"] = 2
    with pytest.raises(UsageError, match="expected timing RTRS, needed by RD->RD other"):
        check(trace(*awake), tree)


def test_names_of_timings_may_be_spelt_as_in_other_memories():
    """DRAMSys writes CCD_L for DDR4, CCDL for HBM2 and CCD_L_slr for DDR5; tRC may be left to tRAS + tRP."""
    assert {timing_name(name) for name in ("CCD_L", "CCDL", "CCD_L_slr", "ccd_l")} == {"CCDL"}
    tree = copy.deepcopy(memspec_of("DDR5"))
    timings = tree["memspec"]["memtimingspec"]
    for old, new in (("CCD_L", "CCD_L_slr"), ("RFC", "RFC1_slr"), ("REFI", "REFI1"), ("RFCsb", "RFCsb_slr")):
        timings[new] = timings.pop(old)
    del timings["RC"], timings["CCD_S_WR"]
    assert rules(tree) == rules(memspec_of("DDR5"))


# ---- the trace format ------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz"])
def test_a_trace_survives_the_file(tmp_path, suffix):
    rng = np.random.default_rng(3)
    commands = np.zeros(200, COMMAND_DTYPE)
    for field in COMMAND_DTYPE.names:
        limits = np.iinfo(COMMAND_DTYPE[field])
        low = 0 if field in ("cycle", "command") else limits.min
        high = len(NAMES) - 1 if field == "command" else limits.max
        commands[field] = rng.integers(low, high, 200, np.int64, endpoint=True)
    one, two = tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
    write_commands(commands, one)
    write_commands(commands, two)
    np.testing.assert_array_equal(read_commands(one), commands)
    assert one.read_bytes() == two.read_bytes()  # no time stamp


def test_columns_may_be_left_out_empty_and_in_any_order(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(
        "\ufeffcmd, cycle,row,request\r\nREF,5,,\r\n\r\nREFpb,6,7,8\r\nPREab,7,,\r\nREFab,8,,\r\nREFsb,9,,\r\n"
    )
    commands = read_commands(path)
    assert [NAMES[c] for c in commands["command"]] == ["REFA", "REFB", "PREA", "REFA", "REFSB"]
    assert commands["cycle"].tolist() == [5, 6, 7, 8, 9]
    assert commands["row"].tolist() == [0, 7, 0, 0, 0]
    assert commands["request"].tolist() == [-1, 8, -1, -1, -1]
    assert not commands["bank"].any()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "t.csv:1: expected one column 'cycle', got an empty file"),
        ("cycle,row\n1,2\n", "t.csv:1: expected one column 'cmd', got cycle, row"),
        ("cycle,cmd,cmd\n", "t.csv:1: expected one column 'cmd'"),
        ("cycle,cmd,row,row\n", "t.csv:1: expected every column once"),
        ("cycle,cmd,bnak\n", "unknown column at .*t.csv:1 'bnak'; did you mean bank"),
        ("cycle,cmd\n1,ACT\n2,ATC\n", "unknown command at .*t.csv:3 'ATC'; did you mean ACT"),
        ("cycle,cmd\n1\n", "t.csv:2: expected 2 fields, got 1"),
        ("cycle,cmd\n-1,ACT\n", "t.csv:2: expected cycle, an integer from 0 to 9223372036854775807, got '-1'"),
        ("cycle,cmd\n,ACT\n", "t.csv:2: expected cycle, an integer"),
        ("cycle,cmd,bank\n1,ACT,1.5\n", "t.csv:2: expected bank, an integer from -32768 to 32767, got '1.5'"),
        ("cycle,cmd,bank\n1,ACT,32768\n", "got '32768'"),
    ],
)
def test_a_bad_line_is_named(tmp_path, text, message):
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(UsageError, match=message):
        read_commands(path)


def test_files_that_cannot_be_read_or_written(tmp_path):
    with pytest.raises(UsageError, match="expected a readable CSV file"):
        read_commands(tmp_path / "none.csv")
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(b"cycle,cmd\n1,ACT\n")[:-9])
    with pytest.raises(UsageError, match="expected a readable CSV file"):
        read_commands(tmp_path / "t.csv.gz")
    commands = trace((0, "ACT"))
    commands["command"] = 99
    with pytest.raises(UsageError, match="expected command codes 0 to 17"):
        write_commands(commands, tmp_path / "t.csv")
