"""Studies: the same log from the same seed, resume after any kill, replay, continue, and what is refused."""

import hashlib
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import toys
from threadpoolctl import threadpool_info, threadpool_limits

import archgym
from archgym.agent import Agent
from archgym.errors import ArchGymError, LogError, ReplayMismatch, UnknownNameError, UsageError
from archgym.evaluator import Evaluator
from archgym.log import StudyLog, read_header, read_trials
from archgym.registry import AGENTS
from archgym.spec import StudySpec
from archgym.study import continue_study, load, replay, run

BUDGET, BATCH = 24, 7  # 7 + 7 + 7 + 3 rows
SEED = 4  # the first seed whose 24 rows hold every kind, see `finished`


class Alternating(Agent):
    """Asks for one design again and again, then for others: cached rows everywhere."""

    asked = 0

    def ask(self, n):
        self.asked += 1
        codes = np.zeros((n, len(self.space)), np.int64)
        codes[:, 1] = np.arange(n) % 3 + (self.asked % 2)
        return codes

    def tell(self, evaluation):
        pass


class Counting(Agent):
    """Notes with how many threads its linear algebra would run."""

    threads = ()

    def ask(self, n):
        Counting.threads = [pool["num_threads"] for pool in threadpool_info()]
        return self.space.sample(n, self.rng)

    def tell(self, evaluation):
        pass


class Fickle(Agent):
    """Walks in lexicographic order, or (``start`` changed between two runs) from somewhere else."""

    start = 0

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.at = Fickle.start

    def ask(self, n):
        codes = self.space.unrank(range(self.at, self.at + n))
        self.at += n
        return codes

    def tell(self, evaluation):
        pass


class Greedy(Agent):
    """Decides by everything it is told: its next design is a hash of all numbers so far, bit for bit."""

    needs = "grey"
    memory = b""

    def ask(self, n):
        stream = np.random.default_rng([self.seed, *hashlib.sha256(self.memory).digest()])
        return self.space.sample(n, stream)

    def tell(self, evaluation):
        for table in (evaluation.metric_values, evaluation.reward, evaluation.values, evaluation.violations):
            self.memory += np.ascontiguousarray(table).tobytes()
        self.memory += evaluation.reason.tobytes() + evaluation.cached.tobytes()


GREEDY, ALTERNATING, FICKLE = (f"{__name__}:{name}" for name in ("Greedy", "Alternating", "Fickle"))


def study(simulator="toys:Toy", agent=GREEDY, *, budget=BUDGET, batch=BATCH, seed=SEED, track="grey", **options):
    """A spec with rows of every kind: feasible, beyond a limit, impossible by slack and by reason, cached."""
    problem = toys.spec(simulator, macs=(16, 49), limits=("area<=16",), **options)
    return StudySpec(problem, agent, {}, budget, batch, track, seed)


def trials(folder):
    return Path(folder) / "trials.jsonl"


def digest(folder):
    """sha256 of the two files that must be identical between runs."""
    files = (Path(folder) / name for name in ("trials.jsonl", "spec.json"))
    return tuple(hashlib.sha256(file.read_bytes()).hexdigest() for file in files)


def contents(folder):
    return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A complete study; read only."""
    folder = tmp_path_factory.mktemp("finished") / "study"
    run(study(), out=folder)
    rows = read_trials(folder)
    assert len(rows) == BUDGET
    assert {row["cached"] for row in rows} == {row["feasible"] for row in rows} == {True, False}
    reasons = {row["reason"] for row in rows}
    assert {"", "too thin", "violates area<=16.0"} < reasons
    assert any("room@w16" in reason for reason in reasons)
    return folder


def copy_of(folder, tmp_path, name="copy"):
    return Path(shutil.copytree(folder, tmp_path / name))


# ---- the same log ------------------------------------------------------------------------


def test_agents_calculate_on_one_thread(tmp_path):
    """Whatever the process is set to: a sum that is split between threads rounds differently."""
    with threadpool_limits(2):
        before = [pool["num_threads"] for pool in threadpool_info()]
        run(toys.spec(), f"{__name__}:Counting", budget=2, out=tmp_path / "s")
        assert set(Counting.threads) == {1}
        Counting.threads = ()
        replay(tmp_path / "s", agent=True)
        assert set(Counting.threads) == {1}
        assert [pool["num_threads"] for pool in threadpool_info()] == before
    assert 2 in before


@pytest.mark.parametrize("simulator", ["toys:Toy", "toys:ToyOne", "toys:ToyNoise"])
@pytest.mark.parametrize("agent", ["genetic", "random", GREEDY, ALTERNATING])
def test_same_seed_same_log(tmp_path, simulator, agent):
    spec = study(simulator, agent, budget=50, batch=40)
    for name, options in {"a": {}, "b": {}, "threads": {"executor": "threads", "jobs": 2}}.items():
        run(spec, out=tmp_path / name, **options)
    assert digest(tmp_path / "a") == digest(tmp_path / "b") == digest(tmp_path / "threads")


def test_same_log_in_another_process(tmp_path, finished):
    # Another process has another salt for hash(), other ids, another order of sets.
    script = "import sys, test_log_and_study as t; t.run(t.study(), out=sys.argv[1])"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent), "PYTHONHASHSEED": "12345"}
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "s")], env=environment, check=True)
    assert digest(tmp_path / "s") == digest(finished)


def test_another_seed_another_log(tmp_path, finished):
    run(study(seed=SEED + 1), out=tmp_path / "s")
    assert digest(tmp_path / "s")[0] != digest(finished)[0]


def test_a_folder_changes_nothing(tmp_path, finished):
    # With and without a log the samples are the same bits; loading gives them again.
    a, b = run(study()), load(finished)
    for name in ("codes", "metric_values", "reward", "values", "violations", "feasible", "reason", "cached"):
        assert getattr(a.samples, name).tobytes() == getattr(b.samples, name).tobytes(), name
    assert a.folder is None
    assert b.folder == finished


def test_the_log_is_plain_and_complete(finished):
    # One line a sample, these fields in this order; codes as asked.
    rows = toys.read_rows(finished)
    problem = load(finished).problem
    fields = ["trial", "ask", "codes", "metrics", "violations", "feasible", "reason", "reward", "values", "cached"]
    assert all(list(row) == fields for row in rows)
    assert [row["trial"] for row in rows] == list(range(BUDGET))
    assert [row["ask"] for row in rows] == [0] * 7 + [1] * 7 + [2] * 7 + [3] * 3
    assert all(list(row["metrics"]) == list(problem.metric_names) for row in rows)
    header = read_header(finished)
    assert StudySpec.from_dict(header["study"]) == study()
    assert header["hash"] == study().hash(problem)
    assert b"NaN" not in trials(finished).read_bytes()


# ---- resume ------------------------------------------------------------------------------


def test_resume_after_a_kill_at_any_place(tmp_path, finished):
    # Cut after every complete row, and in the middle of every row's line; mid ask wherever rows % 7 != 0.
    data, expected = trials(finished).read_bytes(), digest(finished)
    ends = [0, *(i + 1 for i, byte in enumerate(data) if byte == ord("\n"))]
    assert len(ends) == BUDGET + 1
    middles = [(a + b) // 2 for a, b in itertools.pairwise(ends)]
    almost = [end - 1 for end in ends[1:]]  # the whole row, but not its line end
    for cut in (*ends, *middles, *almost):
        folder = copy_of(finished, tmp_path, f"cut-{cut}")
        trials(folder).write_bytes(data[:cut])
        summary = run(study(), out=folder)
        assert digest(folder) == expected, cut
        assert len(summary.samples) == BUDGET
        shutil.rmtree(folder)


@pytest.mark.parametrize("simulator", ["toys:ToyNoise", "toys:ToyInfinite", "toys:ToyMerge"])
@pytest.mark.parametrize(
    ("agent", "track"),
    [("genetic", "grey"), ("genetic", "scalar"), (GREEDY, "grey"), (ALTERNATING, "grey"), (ALTERNATING, "scalar")],
)
def test_resume_tells_the_agent_what_it_was_told_before(tmp_path, simulator, agent, track):
    # What the log gives back must be the same bits as what was simulated: noise, infinities and all.
    spec = study(simulator, agent, track=track)
    run(spec, out=tmp_path / "s")
    expected, data = digest(tmp_path / "s"), trials(tmp_path / "s").read_bytes()
    for rows in (1, 7, 16, 23):
        trials(tmp_path / "s").write_bytes(b"".join(data.splitlines(keepends=True)[:rows]))
        run(spec, out=tmp_path / "s")
        assert digest(tmp_path / "s") == expected, rows


def test_resume_with_threads_gives_the_same_log(tmp_path, finished):
    folder = copy_of(finished, tmp_path)
    trials(folder).write_bytes(trials(folder).read_bytes()[:2000])
    run(study(), out=folder, executor="threads", jobs=2)
    assert digest(folder) == digest(finished)


def test_a_complete_study_is_read_not_simulated(tmp_path):
    spec = study("toys:Counting", budget=10)
    run(spec, out=tmp_path / "s")
    toys.Counting.simulated = 0
    again = run(spec, out=tmp_path / "s")
    assert toys.Counting.simulated == 2  # the baseline, once per workload
    assert len(again.samples) == 10


def test_resume_simulates_only_what_is_missing(tmp_path):
    spec = study("toys:Counting", "random", budget=20, batch=5)  # distinct designs, two workloads
    run(spec, out=tmp_path / "s")
    lines = trials(tmp_path / "s").read_bytes().splitlines(keepends=True)
    trials(tmp_path / "s").write_bytes(b"".join(lines[:13]))
    toys.Counting.simulated = 0
    run(spec, out=tmp_path / "s")
    assert toys.Counting.simulated == 2 * (1 + 7)


def test_an_interrupted_study_resumes(tmp_path, finished):
    # Ctrl-C between two asks: KeyboardInterrupt passes through, the folder stays resumable.
    def stop(evaluator):
        if evaluator.n_asks == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(study(), out=tmp_path / "s", on_ask=stop)
    assert len(read_trials(tmp_path / "s")) == 14
    run(study(), out=tmp_path / "s")
    assert digest(tmp_path / "s") == digest(finished)


SLOW = {"simulator": "toys:ToySlow", "agent": "random", "budget": 100, "batch": 5}


def test_kill_minus_nine_and_resume(tmp_path):
    # A real process, killed without warning while it writes: two workloads of 5 ms a design, 1 s in all.
    reference, folder = tmp_path / "reference", tmp_path / "killed"
    run(study(**SLOW), out=reference)
    script = "import sys, test_log_and_study as t; t.run(t.study(**t.SLOW), out=sys.argv[1])"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    process = subprocess.Popen([sys.executable, "-c", script, str(folder)], env=environment)
    try:
        while process.poll() is None and not (trials(folder).exists() and trials(folder).stat().st_size > 5000):
            time.sleep(0.001)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert process.returncode == -signal.SIGKILL, "it was done before it could be killed"
    before = len(read_trials(folder))
    assert 0 < before < SLOW["budget"]
    run(study(**SLOW), out=folder)
    assert digest(folder) == digest(reference)


def test_another_order_of_asking_is_refused_by_row(tmp_path):
    # The log holds designs 0, 1, 2, ...; the changed agent starts with 5: row 0 is the first bad one.
    spec = study(agent=FICKLE)
    run(spec, out=tmp_path / "s")
    lines = trials(tmp_path / "s").read_bytes().splitlines(keepends=True)
    trials(tmp_path / "s").write_bytes(b"".join(lines[:10]))
    before = trials(tmp_path / "s").read_bytes()
    Fickle.start = 5
    try:
        with pytest.raises(ReplayMismatch, match=r"row 0: the log holds .*\[0, 0, 0, 0\].*--continue-as") as caught:
            run(spec, out=tmp_path / "s")
    finally:
        Fickle.start = 0
    assert caught.value.trial == 0
    assert trials(tmp_path / "s").read_bytes() == before


@pytest.mark.parametrize("row", [1, 6, 7, 9])
def test_a_changed_design_in_the_log_is_found_at_its_row(tmp_path, row):
    # Fickle asks for design number i at trial i, also where the altered design was seen before (a cached row).
    spec = study(agent=FICKLE)
    run(spec, out=tmp_path / "s")
    rows = toys.read_rows(tmp_path / "s")[:10]
    rows[row]["codes"] = rows[0]["codes"]
    trials(tmp_path / "s").write_text("".join(json.dumps(r) + "\n" for r in rows))
    with pytest.raises(ReplayMismatch, match=f"row {row}: ") as caught:
        run(spec, out=tmp_path / "s")
    assert caught.value.trial == row


# ---- replay ------------------------------------------------------------------------------


@pytest.mark.parametrize("simulator", ["toys:Toy", "toys:ToyOne", "toys:ToyNoise", "toys:ToyInfinite", "toys:ToyMerge"])
def test_replay_accepts_what_was_written(tmp_path, simulator):
    run(study(simulator, budget=60), out=tmp_path / "s")
    before = contents(tmp_path / "s")
    seen = []
    assert replay(tmp_path / "s", on_rows=lambda done, all_: seen.append((done, all_))) == 60
    assert replay(tmp_path / "s", agent=True) == 60
    assert seen[-1] == (60, 60)
    assert contents(tmp_path / "s") == before  # nothing is written


def test_replay_accepts_an_incomplete_study_and_a_torn_line(tmp_path, finished):
    folder = copy_of(finished, tmp_path)
    data = trials(folder).read_bytes()
    lines = data.splitlines(keepends=True)
    torn = b"".join(lines[:9]) + lines[9][:-1]
    trials(folder).write_bytes(torn)
    assert replay(folder) == 9
    assert replay(folder, agent=True) == 9
    assert len(load(folder).samples) == 9
    assert trials(folder).read_bytes() == torn  # only a resume repairs
    trials(folder).write_bytes(b"")
    assert replay(folder) == 0


def test_replay_checks_every_chunk(tmp_path):
    # 5,000 rows: more than one block of 4,096; the altered one stands in the second.
    run(study(agent="random", budget=95, batch=95), out=tmp_path / "small")
    spec = StudySpec(toys.spec(), ALTERNATING, {}, 5000, 500)
    run(spec, out=tmp_path / "s")
    assert replay(tmp_path / "s") == 5000
    lines = trials(tmp_path / "s").read_text().splitlines(keepends=True)
    row = json.loads(lines[4500])
    row["metrics"]["latency"] *= 2
    lines[4500] = json.dumps(row) + "\n"
    trials(tmp_path / "s").write_text("".join(lines))
    with pytest.raises(ReplayMismatch, match=r"row 4500: metrics\.latency"):
        replay(tmp_path / "s")


def pick(rows, condition):
    """The first row in the middle of an ask for which the condition holds."""
    return next(i for i, row in enumerate(rows) if condition(row) and i % BATCH not in (0, BATCH - 1))


def feasible(row):
    return row["feasible"]


def impossible(row):
    return row["metrics"]["latency"] is None


def scaled(value):
    return value * (1 + 1e-9)  # far above the tolerance of 1e-12


# what to alter, in which kind of row, and how the message names it
ALTERATIONS = {
    "metric": (feasible, lambda r: r["metrics"].update(latency=scaled(r["metrics"]["latency"])), r"metrics\.latency"),
    "metric of one workload": (feasible, lambda r: r["metrics"].update({"energy@w49": 1.0}), "metrics.energy@w49"),
    "count off by one": (feasible, lambda r: r["metrics"].update(area=r["metrics"]["area"] + 1), r"metrics\.area"),
    "metric to null": (feasible, lambda r: r["metrics"].update(latency=None), r"metrics\.latency"),
    "null to metric": (impossible, lambda r: r["metrics"].update(latency=1.0), r"metrics\.latency"),
    "metric to text": (feasible, lambda r: r["metrics"].update(latency="4.0"), r"metrics\.latency"),
    "metric missing": (feasible, lambda r: r["metrics"].pop("latency"), "metrics"),
    "metric added": (feasible, lambda r: r["metrics"].update(extra=1.0), "metrics"),
    "reward": (feasible, lambda r: r.update(reward=r["reward"] + 1e-9), "reward"),
    "reward of an infeasible row": (impossible, lambda r: r.update(reward=-19.0), "reward"),
    "violation": (feasible, lambda r: r["violations"].__setitem__(0, scaled(r["violations"][0])), r"violations\[0\]"),
    "violation of a limit": (feasible, lambda r: r["violations"].__setitem__(2, 0.5), r"violations\[2\]"),
    "violation missing": (feasible, lambda r: r["violations"].pop(), "violations"),
    "value": (feasible, lambda r: r["values"].__setitem__(0, scaled(r["values"][0])), r"values\[0\]"),
    "null to value": (impossible, lambda r: r["values"].__setitem__(0, 1.0), r"values\[0\]"),
    "feasible": (feasible, lambda r: r.update(feasible=False), "feasible"),
    "infeasible": (impossible, lambda r: r.update(feasible=True), "feasible"),
    "feasible to a number": (feasible, lambda r: r.update(feasible=1), "feasible"),
    "cached": (lambda r: True, lambda r: r.update(cached=not r["cached"]), "cached"),
    "reason": (lambda r: r["reason"] == "too thin", lambda r: r.update(reason=""), "reason"),
    "reason added": (feasible, lambda r: r.update(reason="too thin"), "reason"),
    "code to another design": (feasible, lambda r: r["codes"].__setitem__(0, (r["codes"][0] + 1) % 4), "metrics"),
    "code out of range": (feasible, lambda r: r["codes"].__setitem__(0, 4), "level index 4 of 'a'"),
    "code to a float": (feasible, lambda r: r["codes"].__setitem__(0, 0.5), "expected integers"),
    "code missing": (feasible, lambda r: r["codes"].pop(), "expected shape"),
}


@pytest.mark.parametrize("kind", ALTERATIONS)
def test_replay_names_the_altered_row(tmp_path, finished, kind):
    condition, alter, where = ALTERATIONS[kind]
    folder = copy_of(finished, tmp_path)
    rows = toys.read_rows(folder)
    row = pick(rows, condition)
    alter(rows[row])
    trials(folder).write_text("".join(json.dumps(r) + "\n" for r in rows))
    with pytest.raises(ReplayMismatch, match=f"row {row}: .*{where}") as caught:
        replay(folder)
    assert caught.value.trial == row


# Asks are 7 + 7 + 7 + 3 rows: row 3 stands inside ask 0, rows 6 | 7 are on both sides of a border.
@pytest.mark.parametrize(
    ("row", "ask"),
    [(3, 1), (10, 0), (10, 5), (0, 1), (BUDGET - 1, 4), (6, 1), (7, 0)],
    ids=["inside +1", "inside -1", "inside +4", "first", "last", "end of an ask", "start of an ask"],
)
def test_replay_finds_an_altered_ask(tmp_path, finished, row, ask):
    # (6, 1) makes ask 1 eight rows long although the batch is 7; (BUDGET - 1, 4) needs the agent to be noticed.
    folder = copy_of(finished, tmp_path)
    rows = toys.read_rows(folder)
    rows[row]["ask"] = ask
    trials(folder).write_text("".join(json.dumps(r) + "\n" for r in rows))
    with pytest.raises(ReplayMismatch, match=r"row \d+: .*ask") as caught:
        replay(folder, agent=True)
    assert abs(caught.value.trial - row) <= BATCH


@pytest.mark.parametrize(
    "damage",
    [
        lambda rows: rows.__delitem__(10),
        lambda rows: rows.insert(10, rows[9]),
        lambda rows: rows.__setitem__(slice(10, 12), [rows[11], rows[10]]),
        lambda rows: rows[10].update(trial=99),
        lambda rows: rows[10].pop("reward"),
        lambda rows: rows[10].update(extra=1),
        lambda rows: rows.__setitem__(10, [1, 2]),
        lambda rows: rows.__setitem__(10, None),
    ],
    ids=["row missing", "row twice", "rows swapped", "trial", "field missing", "field added", "a list", "null"],
)
def test_a_damaged_log_is_refused_by_line(tmp_path, finished, damage):
    folder = copy_of(finished, tmp_path)
    rows = toys.read_rows(folder)
    damage(rows)
    trials(folder).write_text("".join(json.dumps(r) + "\n" for r in rows))
    for use in (replay, load, lambda folder: run(study(), out=folder)):
        with pytest.raises(LogError, match=r"line 1[12] is not row 1[01] of a study; the file is damaged"):
            use(folder)


def test_garbage_in_the_middle_is_refused(tmp_path, finished):
    folder = copy_of(finished, tmp_path)
    lines = trials(folder).read_bytes().splitlines(keepends=True)
    lines[4] = lines[4][:20] + b"\n"
    trials(folder).write_bytes(b"".join(lines))
    before = contents(folder)
    for use in (replay, load, lambda folder: run(study(), out=folder)):
        with pytest.raises(LogError, match="line 5 is not JSON; the file is damaged"):
            use(folder)
    assert contents(folder)["trials.jsonl"] == before["trials.jsonl"]


def test_a_refused_resume_releases_the_folder(tmp_path, finished):
    # After the error the lock is free: repairing the file and resuming in the same process works.
    folder = copy_of(finished, tmp_path)
    good = trials(folder).read_bytes()
    trials(folder).write_bytes(b"nonsense\n" + good)
    errors = []
    try:
        run(study(), out=folder)
    except LogError as error:
        errors.append(error)  # kept, like a debugger or a notebook keeps the last traceback
    trials(folder).write_bytes(good)
    run(study(), out=folder)
    assert len(errors) == 1


def test_replaying_the_agent_finds_designs_it_never_asked_for(tmp_path):
    # Rows 3 and 4 exchanged as designs: every number is right, but the agent asks in another order.
    spec = StudySpec(toys.spec(), "random", {}, 12, 4, seed=1)
    run(spec, out=tmp_path / "s")
    rows = toys.read_rows(tmp_path / "s")
    a, b = rows[4], rows[5]
    rows[4], rows[5] = {**b, "trial": 4, "ask": a["ask"]}, {**a, "trial": 5, "ask": b["ask"]}
    trials(tmp_path / "s").write_text("".join(json.dumps(r) + "\n" for r in rows))
    assert replay(tmp_path / "s") == 12
    with pytest.raises(ReplayMismatch, match=r"row 4: .*the agent (now )?asks for") as caught:
        replay(tmp_path / "s", agent=True)
    assert caught.value.trial == 4


def test_replay_of_more_rows_than_the_budget(tmp_path, finished):
    folder = copy_of(finished, tmp_path)
    header = read_header(folder)
    header["study"]["budget"] = 20
    (folder / "spec.json").write_text(json.dumps(header))
    with pytest.raises((ReplayMismatch, LogError)):
        replay(folder)


@pytest.mark.parametrize(
    "alter",
    [
        lambda h: h["study"].update(seed=99),
        lambda h: h["study"].update(batch=1000),
        lambda h: h["study"].update(track="scalar"),
        lambda h: h["study"].update(agent="genetic"),
        lambda h: h["problem"]["reference"].update(latency=1.0),
        lambda h: h["problem"]["space"]["parameters"][0].update(levels=[10, 20, 40, 80]),
        lambda h: h.update(hash="0" * 64),
    ],
    ids=["seed", "batch", "track", "agent", "reference", "levels", "hash"],
)
def test_an_altered_header_is_noticed(tmp_path, finished, alter):
    # Readers take names, levels and the reference from spec.json; its hash covers the study. Replay checks a claim.
    folder = copy_of(finished, tmp_path)
    header = read_header(folder)
    alter(header)
    (folder / "spec.json").write_text(json.dumps(header))
    with pytest.raises(ArchGymError):
        replay(folder)


def test_a_log_of_another_simulator_version_is_refused(tmp_path, finished):
    folder = copy_of(finished, tmp_path)
    text = (folder / "spec.json").read_text()
    (folder / "spec.json").write_text(text.replace("toys:Toy", "toys:ToyNewer"))
    for use in (load, replay):
        with pytest.raises(LogError, match=r"written by simulator version 1 .* this is version 2"):
            use(folder)


# ---- what is refused ---------------------------------------------------------------------


def test_the_folder_of_another_spec_is_refused_untouched(tmp_path, finished):
    folder = copy_of(finished, tmp_path)
    before = contents(folder)
    for other in (study(seed=5), study(budget=25), study(batch=8), study(sim={"scale": 2.0}), study(agent="random")):
        with pytest.raises(LogError, match=r"holds another study .*choose another --out"):
            run(other, out=folder)
    assert contents(folder) == before


def test_a_folder_with_other_things_is_refused_untouched(tmp_path):
    folder = tmp_path / "s"
    folder.mkdir()
    (folder / "thesis.tex").write_text("years of work")
    with pytest.raises(LogError, match=r"is not empty and holds no spec\.json; choose another --out"):
        run(study(), out=folder)
    assert contents(folder) == {"thesis.tex": b"years of work"}


def test_an_empty_folder_and_missing_parents_are_fine(tmp_path, finished):
    (tmp_path / "empty").mkdir()
    for out in (tmp_path / "empty", tmp_path / "a" / "b" / "c"):
        run(study(), out=out)
        assert digest(out) == digest(finished)


def test_a_file_in_the_way_is_a_log_error(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(LogError):
        run(study(), out=tmp_path / "file" / "s")
    with pytest.raises(LogError):
        run(study(), out=tmp_path / "file")


def test_a_second_writer_is_refused(tmp_path, finished):
    # While one run is between two asks, a second one on the same folder must not write a byte.
    tried = []

    def second(evaluator):
        before = contents(tmp_path / "s")["trials.jsonl"]
        with pytest.raises(LogError, match="is being written by another process"):
            run(study(), out=tmp_path / "s")
        assert contents(tmp_path / "s")["trials.jsonl"] == before
        tried.append(evaluator.n_asks)

    run(study(), out=tmp_path / "s", on_ask=second)
    assert tried == [1, 2, 3, 4]
    assert digest(tmp_path / "s") == digest(finished)
    run(study(), out=tmp_path / "s")  # the lock is gone


def test_reading_beside_a_writer_is_fine(tmp_path):
    counts = []
    run(study(), out=tmp_path / "s", on_ask=lambda e: counts.append(len(load(tmp_path / "s").samples)))
    assert counts == [7, 14, 21, 24]  # flushed after every ask


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"agent": "genetik"}, UnknownNameError, "unknown agent 'genetik'; did you mean genetic"),
        ({"config": {"populatoin": 3}}, UnknownNameError, "did you mean population"),
        ({"config": {"population": "many"}}, UsageError, "expected int, got 'many'"),
        ({"track": "gray"}, UnknownNameError, "unknown track 'gray'; did you mean grey"),
        ({"executor": "thread"}, UnknownNameError, "unknown executor"),
        ({"executor": "threads", "jobs": 0}, UsageError, "jobs: expected at least 1"),
        ({"budget": 0}, UsageError, "budget: expected at least 1 sample, got 0"),
        ({"batch": 0}, UsageError, "batch: expected at least 1, got 0"),
        ({"agent": GREEDY, "track": "scalar"}, UsageError, "needs metrics and violations: run it with track 'grey'"),
        ({"agent": "toys:Toy"}, UsageError, "is not an Agent class"),
    ],
)
def test_wrong_arguments_write_nothing(tmp_path, options, error, message):
    # run: "Raises UsageError: anything wrong with the arguments; then nothing has been written".
    with pytest.raises(error, match=message):
        run(toys.spec(), out=tmp_path / "s", **options)
    assert not (tmp_path / "s").exists()


def test_options_beside_a_ready_spec_are_not_ignored():
    # run(spec, limits=...) must either apply the limit (room, area<=1) or say that it does not go together.
    try:
        summary = run(toys.spec(), "random", budget=2, limits=("area<=1",))
    except ArchGymError:
        return
    assert summary.problem.constraint_names == ("room", "area<=1.0")


def test_hyperparameters_that_make_no_sense_are_refused_before_anything_is_written(tmp_path):
    # A tournament of nobody has no winner; found in the middle of a search it leaves a broken study behind.
    for i, config in enumerate([{"tournament": 0}, {"population": 0}, {"population": -1}]):
        with pytest.raises(UsageError):
            run(toys.spec(), "genetic", budget=40, config=config, out=tmp_path / str(i))
        assert not (tmp_path / str(i)).exists()


def test_no_study_folder(tmp_path):
    for use in (load, replay):
        with pytest.raises(LogError, match=r"is no study folder: it holds no spec\.json"):
            use(tmp_path)
    (tmp_path / "spec.json").write_text("{")
    with pytest.raises(LogError, match=r"spec\.json is damaged"):
        load(tmp_path)


@pytest.mark.parametrize("text", ["[]", "{}", '{"study": {}}', "null"])
def test_a_header_without_a_study_is_a_log_error(tmp_path, text):
    (tmp_path / "spec.json").write_text(text)
    with pytest.raises(LogError):
        load(tmp_path)


def test_a_study_whose_first_write_was_torn_can_still_be_resumed(tmp_path, finished):
    # Killed between writing spec.json and opening trials.jsonl: the header is complete, no row exists.
    folder = copy_of(finished, tmp_path)
    trials(folder).unlink()
    run(study(), out=folder)
    assert digest(folder) == digest(finished)


# ---- continue ----------------------------------------------------------------------------


class Listening(Agent):
    """Notes what it is told before it asks."""

    heard: tuple = ()

    def ask(self, n):
        return self.space.sample(n, self.rng)

    def tell(self, evaluation):
        Listening.heard = (*Listening.heard, evaluation)


@pytest.mark.parametrize("track", ["grey", "scalar"])
def test_continue_tells_the_old_rows_and_spends_the_rest(tmp_path, track):
    spec = study(agent=f"{__name__}:Listening", track=track)
    run(spec, out=tmp_path / "old")
    lines = trials(tmp_path / "old").read_bytes().splitlines(keepends=True)
    trials(tmp_path / "old").write_bytes(b"".join(lines[:10]))
    before = contents(tmp_path / "old")
    Listening.heard = ()
    summary = continue_study(tmp_path / "old", tmp_path / "new")
    assert len(summary.samples) == BUDGET - 10
    assert (summary.spec.budget, summary.spec.parent) == (BUDGET - 10, read_header(tmp_path / "old")["hash"])
    told = Listening.heard[0]
    assert told.codes.tolist() == [json.loads(line)["codes"] for line in lines[:10]]
    assert bool(told.metric_names) == (track == "grey")
    assert contents(tmp_path / "old") == before
    assert replay(tmp_path / "new") == BUDGET - 10
    with pytest.raises(UsageError, match="cannot be rerun"):
        replay(tmp_path / "new", agent=True)


def test_an_interrupted_continuation_resumes(tmp_path, finished):
    old = copy_of(finished, tmp_path, "old")
    trials(old).write_bytes(b"".join(trials(old).read_bytes().splitlines(keepends=True)[:10]))
    continue_study(old, tmp_path / "a")
    continue_study(old, tmp_path / "b")
    assert digest(tmp_path / "a") == digest(tmp_path / "b")
    lines = trials(tmp_path / "b").read_bytes().splitlines(keepends=True)
    trials(tmp_path / "b").write_bytes(b"".join(lines[:5]))
    continue_study(old, tmp_path / "b")
    assert digest(tmp_path / "a") == digest(tmp_path / "b")


def test_nothing_left_to_continue(tmp_path, finished):
    with pytest.raises(UsageError, match="budget of 24 samples is already spent"):
        continue_study(finished, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_study_does_not_continue_into_itself(tmp_path, finished):
    old = copy_of(finished, tmp_path, "old")
    trials(old).write_bytes(b"".join(trials(old).read_bytes().splitlines(keepends=True)[:10]))
    before = contents(old)["trials.jsonl"]
    with pytest.raises(LogError, match="holds another study"):
        continue_study(old, old)
    assert contents(old)["trials.jsonl"] == before


# ---- summaries ---------------------------------------------------------------------------


def test_summary_by_hand():
    # b = 1..5 with a = 1, mode x: latency 16/b, energy 16, so the reward rises with b until "too thin" at 5.
    spec = StudySpec(toys.spec(space={"a": (1,), "mode": ("x",), "c": (0,)}), "exhaustive", {}, 100, 2)
    summary = run(spec)
    assert len(summary.samples) == summary.n_unique == 5
    assert summary.best["trial"] == 3
    assert summary.best["design"] == {"a": 1, "b": 4, "mode": "x", "c": 0}
    assert summary.best["metrics"]["latency"] == 4.0
    # The baseline (a=2, b=2) has EDP 4 * 32 = 128, this one 4 * 16 = 64: reward ln 2.
    assert summary.best["reward"] == pytest.approx(np.log(2), rel=1e-15)
    assert summary.best_so_far.tolist() == sorted(summary.best_so_far.tolist())
    assert summary.best_so_far[-1] == summary.best_so_far[3]
    assert summary.front.tolist() == [3]
    frame = summary.frame()
    assert frame["param.b"].tolist() == [1, 2, 3, 4, 5]
    assert frame["feasible"].tolist() == [True] * 4 + [False]
    assert {"trial", "metric.latency", "violation.room", "reward", "cached"} < set(frame.columns)


def test_summary_without_any_feasible_sample():
    summary = run(toys.spec(limits=("area<=0.5",)), "random", budget=9, batch=4)
    assert summary.best is None
    assert np.isnan(summary.best_so_far).all()
    assert len(summary.front) == 0


def test_an_empty_study_loads(tmp_path):
    spec = study()
    StudyLog(tmp_path / "s", spec.header(toys.Problem(spec.problem))).close()
    summary = load(tmp_path / "s")
    assert len(summary.samples) == 0
    assert summary.best is None
    assert len(summary.best_so_far) == len(summary.front) == len(summary.frame()) == 0


def test_study_spec_json_round_trip():
    spec = StudySpec(toys.spec(macs=(16, 64)), "genetic", {"population": 8}, 50, 5, "scalar", 7, "abc")
    assert StudySpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec


def test_the_hash_covers_every_field():
    base = {"agent": "genetic", "config": {"population": 8}, "budget": 50, "batch": 5, "track": "grey", "seed": 7}
    changes = {"agent": "random", "config": {}, "budget": 51, "batch": 6, "track": "scalar", "seed": 8, "parent": "x"}
    problem = toys.problem()
    hashes = {StudySpec(problem.spec, **base).hash(problem)}
    hashes |= {StudySpec(problem.spec, **{**base, key: value}).hash(problem) for key, value in changes.items()}
    assert len(hashes) == 1 + len(changes)


def test_written_out_defaults_are_the_same_study(tmp_path):
    # An option given as text and as a number is one study: the second run resumes (reads) the first.
    run(toys.spec(), "genetic", budget=5, config={"population": "8"}, out=tmp_path / "s")
    run(toys.spec(), "genetic", budget=5, config={"population": 8}, out=tmp_path / "s")


def test_public_names_exist():
    assert all(hasattr(archgym, name) for name in archgym.__all__)


def test_progress_is_reported_after_every_ask():
    seen = []
    run(study(), on_ask=lambda e: seen.append((e.n_asks, e.n_samples, e.left)))
    assert seen == [(1, 7, 17), (2, 14, 10), (3, 21, 3), (4, 24, 0)]


def test_timing_is_kept_apart(tmp_path):
    # Clocks and machine names never stand in the compared files.
    run(study(), out=tmp_path / "s")
    rows = [json.loads(line) for line in (tmp_path / "s" / "timing.jsonl").read_text().splitlines()]
    assert [row["event"] for row in rows] == ["open", *["ask"] * 4]
    assert [row["rows"] for row in rows[1:]] == [7, 7, 7, 3]
    both = trials(tmp_path / "s").read_text() + (tmp_path / "s" / "spec.json").read_text()
    assert not re.search(r"seconds|unix|time_|host", both)


def test_two_studies_in_two_threads(tmp_path):
    # Notebooks do this; nothing is shared between studies.
    specs = [study(seed=s, agent="genetic") for s in (1, 2)]
    threads = [threading.Thread(target=run, args=(s,), kwargs={"out": tmp_path / str(s.seed)}) for s in specs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for spec in specs:
        run(spec, out=tmp_path / f"alone-{spec.seed}")
        assert digest(tmp_path / f"alone-{spec.seed}") == digest(tmp_path / str(spec.seed))


def test_a_log_with_more_rows_than_the_budget_is_refused(tmp_path, finished):
    # Rows beyond the budget cannot come from this study.
    folder = copy_of(finished, tmp_path)
    rows = toys.read_rows(folder)
    rows.append({**rows[-1], "trial": BUDGET})
    trials(folder).write_text("".join(json.dumps(r) + "\n" for r in rows))
    with pytest.raises(ArchGymError, match="budget of 24"):
        run(study(), out=folder)
    with pytest.raises(ReplayMismatch, match="beyond the budget of 24 samples"):
        replay(folder)


def test_evaluator_answers_from_the_log_only_for_the_same_designs(tmp_path):
    # The evaluator alone (an environment, say): trial by trial, whatever the batches are now.
    problem = toys.problem()
    header = StudySpec(problem.spec, "external", {}, None, 1).header(problem)
    codes = problem.space.unrank(range(12))
    first = Evaluator(problem, log=StudyLog(tmp_path / "s", header))
    first(codes)
    first.close()
    before = trials(tmp_path / "s").read_bytes()
    again = Evaluator(problem, log=StudyLog(tmp_path / "s", header))
    assert again.n_recorded == 12
    again(codes[:5])
    with pytest.raises(ReplayMismatch, match="row 5: "):
        again(codes[:1])
    again.close()
    assert trials(tmp_path / "s").read_bytes() == before


def test_a_study_without_any_constraint_can_be_loaded_and_resumed(tmp_path):
    """No constraint and no limit: the violations of every row are an empty list."""
    spec = toys.spec("toys:ToyFree")
    first = run(spec, "random", budget=9, out=tmp_path / "s")
    assert first.samples.violations.shape == (9, 0)
    assert load(tmp_path / "s").samples.violations.shape == (9, 0)
    lines = trials(tmp_path / "s").read_bytes().splitlines(keepends=True)
    trials(tmp_path / "s").write_bytes(b"".join(lines[:4]))
    assert np.array_equal(run(spec, "random", budget=9, out=tmp_path / "s").samples.reward, first.samples.reward)
    assert replay(tmp_path / "s", agent=True) == 9


def test_an_agent_that_asks_for_more_than_it_may_is_stopped():
    with pytest.raises(UsageError, match=r"ask\(10\) returned 15 designs"):
        run(toys.spec(), f"{__name__}:Greedier", budget=40, batch=10)


class Greedier(AGENTS.load("random")):
    def ask(self, n):
        return super().ask(n + 5)


@pytest.mark.parametrize("option", [{"budget": "10"}, {"batch": 2.5}, {"seed": "x"}])
def test_numbers_of_a_spec_are_integers(option):
    with pytest.raises(UsageError, match="expected an integer"):
        run(toys.spec(), "random", **option)
