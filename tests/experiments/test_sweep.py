"""Sweeps: every study once, the same logs in any division, and nothing lost to kills, failures or full disks."""

import fcntl
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import toys
from process_tree import alive, children

from archgym.agent import Agent
from archgym.agents.random_search import RandomSearch
from archgym.errors import LogError, UsageError
from archgym.experiments.cli import main
from archgym.experiments.plan_file import load_plan
from archgym.experiments.sweep import StudyResult, sweep
from archgym.experiments.sweep_folder import Shard, read_done, read_failures, state
from archgym.experiments.sweep_progress import Leaders
from archgym.experiments.sweep_tasks import Problems, tasks
from archgym.spec import StudySpec
from archgym.study import load, replay, run
from archgym.suite.problems import parse_problem

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals and locks")
TESTS = Path(__file__).parent.parent
ARCHGYM = [sys.executable, "-c", "from archgym.experiments.cli import main; main()"]
PLAN = """
problems = [{ simulator = "toys:Toy", workloads = [%s] }, "dram-ddr4-gen-sources-edp"]
agents = ["random", "ga"]
budgets = 30
seeds = 5
[agent.ga]
agent = "genetic"
grid = { population = [4, 8] }
"""
N = 2 * 3 * 5


class Failing(Agent):
    """Fails with seed 1 always; with seed 2 the first time, after one ask; kills its process with seed 3."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.asked = 0

    def ask(self, n):
        self.asked += 1
        if self.seed == 1:
            raise RuntimeError("seed 1 is no good")
        if self.seed == 2 and self.asked == 2 and not Path("second-time").exists():
            Path("second-time").touch()
            raise RuntimeError("try again")
        if self.seed == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return self.space.sample(n, self.rng)

    def tell(self, evaluation):
        pass


def toy_studies(agent="random", seeds=range(5), budget=20, simulator="toys:Toy"):
    problem = toys.spec(simulator)
    return [StudySpec(problem, agent, {}, budget, 10, "grey", seed) for seed in seeds]


def digests(out):
    """Study name -> sha256 of its rows and of its header."""
    return {
        path.parent.name: tuple(
            hashlib.sha256((path.parent / name).read_bytes()).hexdigest() for name in ("trials.jsonl", "spec.json")
        )
        for path in Path(out).glob("*/trials.jsonl")
    }


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    workload = json.dumps(toys.network(16).to_dict())
    (tmp_path / "net.json").write_text(workload)
    (tmp_path / "plan.toml").write_text(PLAN % '"net.json"')


@pytest.fixture(scope="module")
def problems():
    return Problems()


@pytest.fixture(scope="module")
def whole(tmp_path_factory, problems):
    """The plan, run in this process without disturbance."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "net.json").write_text(json.dumps(toys.network(16).to_dict()))
    (folder / "plan.toml").write_text(PLAN % '"net.json"')
    plan = load_plan(folder / "plan.toml", problems.get)
    outcome = sweep(plan, folder / "out", problems=problems)
    assert (outcome.done, outcome.skipped, outcome.failed) == (N, 0, ())
    return plan, folder / "out"


def call(capsys, *arguments):
    with pytest.raises(SystemExit) as caught:
        main([str(a) for a in arguments])
    out, err = capsys.readouterr()
    return caught.value.code, out, err


# ---- what is run -------------------------------------------------------------------------


def test_every_study_is_a_study_folder_named_by_its_hash(whole, problems):
    plan, out = whole
    names = [task.folder.name for task in tasks(plan, out, problems=problems)]
    assert sorted(names) == sorted(digests(out))
    for task in list(tasks(plan, out, problems=problems))[::7]:
        header = json.loads((task.folder / "spec.json").read_text())
        assert task.folder.name.endswith(header["hash"][:16])
        assert replay(task.folder, agent=True) == 30
        # the very bytes of the study run alone
        run(task.spec, out="alone")
        assert digests(".")["alone"] == digests(out)[task.folder.name]
        shutil.rmtree("alone")


def test_the_same_studies_with_workers_and_nothing_again(whole, problems):
    plan, out = whole
    seen = []
    outcome = sweep(plan, "out", jobs=2, problems=problems, on_done=seen.append)
    assert (outcome.done, outcome.skipped, len(seen)) == (N, 0, N)
    assert digests("out") == digests(out)
    assert {r.folder.name: (r.rows, r.best) for r in seen} == {
        name: (30, load(out / name).best["reward"]) for name in digests(out)
    }
    before = {path: path.stat().st_mtime_ns for path in Path("out").glob("*/*")}
    again = sweep(plan, "out", problems=problems, on_done=seen.append)
    assert (again.done, again.skipped) == (0, N)
    assert {(r.folder, r.best) for r in seen[:N]} == {(r.folder, r.best) for r in seen[N:]}
    assert {path: path.stat().st_mtime_ns for path in Path("out").glob("*/*")} == before


def test_shards_are_the_whole_and_merge_by_copying(whole, problems):
    plan, out = whole
    for index in (1, 2, 3):
        outcome = sweep(plan, f"part{index}", shard=Shard(index, 3), problems=problems)
        assert 0 < outcome.done < N
    assert sum(len(digests(f"part{index}")) for index in (1, 2, 3)) == N
    for index in (1, 2, 3):
        shutil.copytree(f"part{index}", "merged", dirs_exist_ok=True)
    assert digests("merged") == digests(out)
    assert sweep(plan, "merged", problems=problems).skipped == N


def test_a_limit_is_taken_up_where_it_stopped(whole, problems):
    plan, out = whole
    order = [task.folder.name for task in tasks(plan, "out", problems=problems)]
    first = sweep(plan, "out", limit=4, problems=problems)
    assert (first.done, first.skipped, first.limited) == (4, 0, True)
    assert set(digests("out")) == set(order[:4])
    second = sweep(plan, "out", limit=4, problems=problems)
    assert (second.done, second.skipped) == (4, 4)
    assert set(digests("out")) == set(order[:8])


def test_an_agent_that_ends_early_is_complete(problems):
    # 95 distinct designs, see toys: exhaustive search spends 95 of 200 samples, and is not asked again
    studies = toy_studies("exhaustive", [0], budget=200)
    assert sweep(studies, "out", problems=problems).done == 1
    assert sweep(studies, "out", problems=problems).skipped == 1
    (found,) = (read_done(path) for path in Path("out").glob("exhaustive*"))
    assert found["rows"] == toys.N_DISTINCT


# ---- kills -------------------------------------------------------------------------------


@pytest.mark.parametrize("cut", ["rows", "mark", "header", "part"])
def test_a_study_cut_off_anywhere_is_finished(whole, problems, cut):
    plan, out = whole
    shutil.copytree(out, "out")
    victim = sorted(path for path in Path("out").iterdir() if path.is_dir())[3]
    if cut == "rows":  # torn in the middle of a line; the mark is older than the damage
        data = (victim / "trials.jsonl").read_bytes()
        (victim / "trials.jsonl").write_bytes(data[: len(data) // 2])
    elif cut == "mark":
        (victim / "done.json").write_bytes((victim / "done.json").read_bytes()[:9])
    else:
        for name in ("done.json", "trials.jsonl", "spec.json", "timing.jsonl"):
            (victim / name).unlink()
        if cut == "part":  # in the middle of its header
            (victim / "spec.part").write_text('{"archgym": ')
    assert state(victim, ()) == "interrupted"
    outcome = sweep(plan, "out", problems=problems)
    assert (outcome.done, outcome.skipped) == (1, N - 1)
    assert digests("out") == digests(out)


SLOW = """
agents = ["random"]
budgets = 30
seeds = 8
problems = [{ simulator = "toys:ToySlow", workloads = ["net.json"] }]
"""  # 8 studies of 0.15 s


def start(*arguments, rows=0):
    """A sweep in a process of its own that has done `rows` rows, and its workers."""
    process = subprocess.Popen(
        [*ARCHGYM, "sweep", "slow.toml", "--out", "slow", *arguments],
        env={**os.environ, "PYTHONPATH": str(TESTS)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while count_rows() < rows:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.005)
    return process, children(process.pid)


def count_rows():
    return sum(path.read_bytes().count(b"\n") for path in Path("slow").glob("*/trials.jsonl"))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_kill_minus_nine_then_ctrl_c_then_the_same_logs(capsys):
    Path("slow.toml").write_text(SLOW)
    process, workers = start("--jobs", "2", rows=70)  # two studies done, two under way
    process.kill()
    process.communicate()
    deadline = time.monotonic() + 30
    while any(alive(pid) for pid in workers):  # nobody told them: they notice
        assert time.monotonic() < deadline
        time.sleep(0.005)
    assert len(workers) == 2
    killed_at = count_rows()
    assert 70 <= killed_at < 8 * 30

    process, workers = start("--jobs", "2", rows=killed_at + 20)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode == 130
    assert "every study is resumable, go on with: archgym sweep slow.toml --out slow --jobs 2" in err
    assert err.count("\n") == 1  # not a word from the workers
    assert not any(alive(pid) for pid in workers)

    assert call(capsys, "sweep", "slow.toml", "--out", "slow")[0] == 0
    assert call(capsys, "sweep", "slow.toml", "--out", "undisturbed")[0] == 0
    assert digests("slow") == digests("undisturbed")
    assert len(digests("slow")) == 8


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_thousand_studies_survive_three_kills(capsys):
    Path("slow.toml").write_text(SLOW.replace("ToySlow", "Toy").replace("seeds = 8", "seeds = 1000"))
    for rows in (1000, 9000, 20000):
        process, workers = start("--jobs", "2", rows=rows)
        for pid in (process.pid, *workers):
            os.kill(pid, signal.SIGKILL)
        process.communicate()
    for shard in ("1/2", "2/2"):
        assert call(capsys, "sweep", "slow.toml", "--out", "slow", "--jobs", 2, "--shard", shard)[0] == 0
    assert call(capsys, "sweep", "slow.toml", "--out", "undisturbed")[0] == 0
    assert digests("slow") == digests("undisturbed")
    assert len(digests("slow")) == 1000


# ---- failures ----------------------------------------------------------------------------


def test_a_failed_study_is_tried_twice_and_the_others_go_on(problems):
    studies = toy_studies(f"{__name__}:Failing", [0, 1, 2, 3, 4])
    seen = []
    outcome = sweep(studies, "out", jobs=2, problems=problems, on_done=seen.append)
    assert outcome.done == 3  # seeds 0, 4, and 2 at the second attempt
    assert [(r.spec.seed, r.error) for r in sorted(outcome.failed, key=lambda r: r.spec.seed)] == [
        (1, "RuntimeError: seed 1 is no good"),
        (3, "a worker process was killed (SIGKILL; out of memory?)"),
    ]
    states = [(r.spec.seed, r.state) for r in seen]
    assert sorted(states) == [(0, "done"), (1, "failed"), (1, "retry"), (2, "done"), (2, "retry"),
                              (3, "failed"), (3, "retry"), (4, "done")]  # fmt: skip
    failures = read_failures(Path("out"))
    assert "in ask\n    raise RuntimeError" in next(f for f in failures.values() if "seed 1" in f["error"])["traceback"]
    states = {task.spec.seed: state(task.folder, failures) for task in tasks(studies, "out", problems=problems)}
    assert states == {0: "done", 1: "failed", 2: "done", 3: "failed", 4: "done"}
    # seed 2 went on from its first ask: the log is that of a study that never failed
    shutil.copytree("out", "again")
    for path in Path("again").glob("Failing-s2-*/*"):
        path.unlink()
    sweep([s for s in studies if s.seed == 2], "again", problems=problems)
    assert digests("again") == digests("out")


def test_a_failure_inside_this_process_is_recorded_too(problems):
    outcome = sweep(toy_studies(f"{__name__}:Failing", [0, 1, 4]), "out", problems=problems)
    assert (outcome.done, len(outcome.failed)) == (2, 1)
    assert "in ask" in outcome.failed[0].traceback
    (failure,) = read_failures(Path("out")).values()  # of its two attempts the last
    assert len(Path("out/failed.jsonl").read_text().splitlines()) == 2
    assert failure["study"] == outcome.failed[0].folder.name


def test_the_command_ends_with_status_1_and_names_what_failed(capsys):
    Path("plan.toml").write_text(
        SLOW.replace("ToySlow", "Toy").replace("random", f"{__name__}:Failing").replace("seeds = 8", "seeds = 2")
    )
    status, out, err = call(capsys, "sweep", "plan.toml", "--out", "out")
    assert (status, err) == (1, "")
    assert "1 studies done" in out
    assert re.search(r"failed: out/Failing-s1-\w{16}: RuntimeError: seed 1 is no good", out)
    answer = json.loads(call(capsys, "sweep", "plan.toml", "--out", "out", "--status", "--json")[1])
    assert (answer["done"], answer["failed"], answer["missing"]) == (1, 1, 0)
    status, out, _ = call(capsys, "sweep", "plan.toml", "--out", "out", "--json")
    assert (status, json.loads(out)["skipped"], json.loads(out)["failed"]) == (1, 1, 1)


def test_a_damaged_folder_fails_alone(whole, problems):
    plan, out = whole
    shutil.copytree(out, "out")
    a, b, c = sorted(path for path in Path("out").iterdir() if path.is_dir())[:3]
    (a / "spec.json").write_text("{")
    (a / "done.json").unlink()
    (b / "trials.jsonl").write_text("nonsense\n")
    shutil.rmtree(c)
    c.write_text("a file where a folder should be")
    outcome = sweep(plan, "out", problems=problems)
    assert (outcome.done, outcome.skipped) == (0, N - 3)
    errors = {result.folder.name: result.error for result in outcome.failed}
    assert "spec.json is damaged" in errors[a.name]
    assert "line 1 is not JSON" in errors[b.name]
    assert "is a file" in errors[c.name]
    assert (b / "trials.jsonl").read_text() == "nonsense\n"  # nothing is thrown away


def test_a_full_disk_fails_studies_not_the_sweep(problems, monkeypatch):
    # The disk is full while seed 1 writes its rows, both times.
    import archgym.log

    original = archgym.log.StudyLog.append

    def append(log, evaluation, reasons, *, trial, ask):
        if "-s1-" in str(log.folder) and ask == 1:
            raise LogError(f"cannot write to {log.folder}: No space left on device")
        original(log, evaluation, reasons, trial=trial, ask=ask)

    monkeypatch.setattr(archgym.log.StudyLog, "append", append)
    outcome = sweep(toy_studies(seeds=range(3)), "out", problems=problems)
    assert (outcome.done, [r.error.rpartition(": ")[2] for r in outcome.failed]) == (2, ["No space left on device"])


def test_a_folder_that_cannot_be_made_is_one_line(capsys):
    Path("file").write_text("")
    status, out, err = call(capsys, "sweep", "plan.toml", "--out", "file/out")
    assert (status, out) == (2, "")
    assert re.fullmatch(r"archgym: cannot write to file/out: Not a directory\n", err)


def test_a_wrong_study_is_refused(problems):
    with pytest.raises(UsageError, match="did you mean random"):
        sweep(toy_studies("randm"), "out", problems=problems)


def test_an_agent_of_a_notebook_needs_one_job(problems, monkeypatch):
    monkeypatch.setattr(sys.modules["__main__"], "Mine", RandomSearch, raising=False)
    studies = toy_studies("__main__:Mine", [0, 1])
    with pytest.raises(UsageError, match=r"agent __main__:Mine is defined in __main__ .* or use one job"):
        sweep(studies, "out", jobs=2, problems=problems)
    assert sweep(studies, "out", problems=problems).done == 2


# ---- locks -------------------------------------------------------------------------------


def test_two_sweeps_of_one_shard_are_kept_apart(problems):
    # A lock belongs to an open file, so a second one in this process stands for another process.
    Path("out").mkdir()
    with open("out/.lock-1-of-2", "w") as stream:
        stream.write("4711\n")
        stream.flush()
        fcntl.flock(stream, fcntl.LOCK_EX)
        with pytest.raises(LogError, match="out: shard 1/2 is being swept by process 4711"):
            sweep(toy_studies(), "out", shard=Shard(1, 2), problems=problems)
        with pytest.raises(LogError, match="shard 1/2 is being swept; it overlaps with shard 1/1"):
            sweep(toy_studies(), "out", problems=problems)
        other = sweep(toy_studies(), "out", shard=Shard(2, 2), problems=problems)  # has nothing to do with it
    assert other.done + sweep(toy_studies(), "out", shard=Shard(1, 2), problems=problems).done == 5


# ---- looking -----------------------------------------------------------------------------


def test_status_tells_the_states_apart(capsys, whole):
    _, out = whole
    shutil.copytree(out, "out")
    folders = sorted(path for path in Path("out").iterdir() if path.is_dir())
    for folder in folders[:3]:
        (folder / "done.json").unlink()
    shutil.rmtree(folders[3])
    Path("out/failed.jsonl").write_text(json.dumps({"study": folders[2].name, "error": "no\nluck"}) + "\n{torn")
    with open(folders[0] / "trials.jsonl", "ab") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        status, text, _ = call(capsys, "sweep", "plan.toml", "--out", "out", "--status")
    assert status == 0
    assert f"{N - 4} done, 1 running, 1 interrupted, 1 failed, 1 missing" in text
    assert f"failed: {folders[2]}: no luck" in text


def test_a_dry_run_counts_and_writes_nothing(capsys, tmp_path):
    before = sorted(path.name for path in tmp_path.iterdir())
    status, text, _ = call(capsys, "sweep", "plan.toml", "--dry-run", "--json")
    answer = json.loads(text)
    assert status == 0
    assert (answer["studies"], answer["samples"]) == (N, N * 30)
    assert answer["simulation_seconds"] == pytest.approx(15 * 30 * (1e-3 + 1e-6))  # declared by Toy and by the table
    assert [row["agent"] for row in answer["first"][:3]] == [
        "random",
        "genetic (population=4)",
        "genetic (population=8)",
    ]
    assert f"{N} studies, {N * 30} samples" in call(capsys, "sweep", "plan.toml", "--dry-run", "--shard", "1/2")[1]
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_a_folder_goes_on_by_itself(capsys, whole):
    # The folder keeps its plan, workloads included.
    assert call(capsys, "sweep", "plan.toml", "--out", "out", "--limit", 5)[0] == 0
    Path("plan.toml").unlink()
    Path("net.json").unlink()
    status, text, _ = call(capsys, "sweep", "out")
    assert status == 0
    assert f"{N - 5} studies done" in text
    assert digests("out") == digests(whole[1])
    status, _, err = call(capsys, "sweep", ".")
    assert (status, "is no folder of a sweep" in err) == (2, True)


def test_leaders_are_ranked_by_their_median(problems):
    leaders = Leaders()
    bests = {"random": [1.0, 5.0, None], "genetic": [2.0, 3.0], "grid": [2.4]}  # medians 1, 2.5, 2.4
    for agent, values in bests.items():
        for spec, best in zip(toy_studies(agent), values, strict=False):
            leaders.add(StudyResult(spec, Path(), "done", 20, best))
    leaders.add(StudyResult(spec, Path(), "failed", error="no luck"))
    assert leaders.lines() == ["toys:Toy/w16/edp @20 grey: genetic 2.5 (2), grid 2.4 (1), random 1 (3)"]


def test_leaders_of_different_problems_and_tracks_are_not_mixed():
    """Two suite problems share the label systolic/resnet50/edp; a track shows an agent more than the other."""
    leaders = Leaders()
    for name, track in (
        ("systolic-resnet50-edp-1m", "grey"),
        ("systolic-resnet50-edp-22m", "grey"),
        ("systolic-resnet50-edp-1m~2", "grey"),
        ("systolic-resnet50-edp-1m", "scalar"),
    ):
        spec = StudySpec(parse_problem(name), "random", budget=5, track=track)
        leaders.add(StudyResult(spec, Path(), "done", 5, 1.0))
    assert leaders.lines() == [
        "systolic-resnet50-edp-1m @5 grey: random 1 (1)",
        "systolic-resnet50-edp-22m @5 grey: random 1 (1)",
        "systolic-resnet50-edp-1m~2 @5 grey: random 1 (1)",
        "systolic-resnet50-edp-1m @5 scalar: random 1 (1)",
    ]
