"""Executors: the same log wherever simulations run, and worker processes that die, lie, chatter or are left behind."""

import json
import os
import signal
import subprocess
import sys
import time
import types
from pathlib import Path

import numpy as np
import pytest
import toys
from process_tree import alive, children
from test_log_and_study import ALTERNATING, GREEDY, digest, study, trials

import archgym.study
from archgym.errors import UnknownNameError, UsageError, WorkerError
from archgym.executor import Processes, make_executor
from archgym.log import read_trials
from archgym.registry import SIMULATORS
from archgym.spec import StudySpec
from archgym.study import run
from archgym.suite.problems import parse_problem

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals")


class Telling(toys.Toy):
    """Latency is the process that simulated, energy how often it has built this simulator; ``a`` is waited for."""

    built = 0

    def __init__(self, config=None):
        super().__init__(config)
        Telling.built += 1

    def _simulate(self, designs, workload, seeds):
        time.sleep(0.002 * float(np.max(designs["a"], initial=0)))
        n = len(designs["a"])
        told = {"latency": np.full(n, float(os.getpid())), "energy": np.full(n, float(Telling.built))}
        return {**super()._simulate(designs, workload, seeds), **told}


class Chatty(toys.Toy):
    """Prints, also below Python."""

    def _simulate(self, designs, workload, seeds):
        print("simulating", flush=True)
        os.write(1, b"still simulating\n")
        return super()._simulate(designs, workload, seeds)


class Broken(toys.Toy):
    """Fails where a = 1; the baseline has 2."""

    def _simulate(self, designs, workload, seeds):
        if 1 in designs["a"]:
            raise ZeroDivisionError("a bug in the simulator")
        return super()._simulate(designs, workload, seeds)


def unknown(problem):
    raise UnknownNameError("thing", "nonsense", ["sense"])


def environment(problem, name):
    return os.environ.get(name)


@pytest.fixture(scope="module")
def shared():
    """Two workers for all tests: starting one takes longer than all that it has to do here."""
    workers = Processes(2)
    yield workers
    workers.close()


@pytest.fixture
def processes(shared, monkeypatch):
    """Studies with the executor 'processes' run on the shared workers."""

    class Borrowed:
        check, simulate = shared.check, shared.simulate

        def close(self):
            pass

    def make(name, jobs):
        return Borrowed() if name == "processes" else make_executor(name, jobs)

    monkeypatch.setattr(archgym.study, "make_executor", make)
    return shared


# ---- the same log ------------------------------------------------------------------------

SYSTOLIC = StudySpec(parse_problem("systolic/alexnet/edp"), "random", {}, 600, 300)  # 3 pieces each
TABULAR = StudySpec(parse_problem("dram-rl-gen-mixed-p99"), "genetic", {}, 300, 100)
NOISE = study("toys:ToyNoise", ALTERNATING, budget=60, batch=25)
DEAD_KNOBS = study("toys:ToyOne", GREEDY, budget=120, batch=50)  # cached, infeasible by slack, reason and limit


@pytest.mark.parametrize("spec", [SYSTOLIC, TABULAR, NOISE, DEAD_KNOBS], ids=["systolic", "tabular", "noise", "dead"])
def test_the_log_does_not_depend_on_the_executor(tmp_path, processes, spec):
    for name, jobs in (("serial", 1), ("threads", 2), ("processes", 2)):
        run(spec, out=tmp_path / name, executor=name, jobs=jobs)
    assert digest(tmp_path / "serial") == digest(tmp_path / "threads") == digest(tmp_path / "processes")
    if spec in (SYSTOLIC, DEAD_KNOBS):
        assert {row["feasible"] for row in read_trials(tmp_path / "serial")} == {True, False}


def test_rows_come_back_in_order_from_several_processes(shared):
    # 40 designs of declared 1 ms: 16 pieces; designs with a large `a` take longer, so pieces end in another order.
    problem = toys.problem(f"{__name__}:Telling")
    codes = problem.space.sample(40, np.random.default_rng(1))
    columns = shared.simulate(problem, codes, None)
    a, b = codes[:, 0], codes[:, 1]
    assert columns["speed"].tolist() == [float(toys.A.levels[i] * toys.B.levels[j]) for i, j in zip(a, b, strict=True)]
    pids = {int(pid) for pid in columns["latency"]}
    assert pids == set(shared.pids)
    assert len(pids) == 2
    assert os.getpid() not in pids


def test_each_worker_builds_a_problem_once(shared):
    problem = toys.problem(f"{__name__}:Telling", macs=(25,))
    codes = problem.space.sample(40, np.random.default_rng(1))
    first = shared.simulate(problem, codes, None)["energy"].max()
    assert {shared.simulate(problem, codes, None)["energy"].max() for _ in range(3)} == {first}


def test_libraries_in_workers_use_one_thread(shared):
    problem = toys.problem()
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
        assert shared._pool.submit(f"{__name__}:environment", problem, name).result() == "1"
    assert os.environ.get("NUMBA_NUM_THREADS") is None  # this process is left as it was


def test_a_simulator_may_print(shared):
    # What it prints must not end up among the answers.
    problem = toys.problem(f"{__name__}:Chatty")
    codes = problem.space.sample(3, np.random.default_rng(0))
    assert shared.simulate(problem, codes, None)["speed"].tolist() == problem.simulate(codes)["speed"].tolist()


# ---- what cannot be sent -----------------------------------------------------------------


def test_a_simulator_of_a_notebook_is_refused_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules["__main__"], "Mine", toys.Toy, raising=False)
    spec = study("__main__:Mine", budget=5)
    with pytest.raises(UsageError, match=r"__main__ \(a notebook or script\).*'serial' or 'threads'"):
        run(spec, out=tmp_path / "s", executor="processes", jobs=2)
    assert list(tmp_path.iterdir()) == []
    run(spec, out=tmp_path / "s", executor="threads", jobs=2)


def test_a_module_that_only_this_process_has_is_named(shared, monkeypatch):
    ghost = types.ModuleType("ghost")
    ghost.Toy = toys.Toy
    monkeypatch.setitem(sys.modules, "ghost", ghost)
    problem = toys.problem("ghost:Toy")
    with pytest.raises(UsageError, match=r"cannot build it: .*no module 'ghost'.*'serial' or 'threads'"):
        shared.simulate(problem, np.zeros((1, 4), np.int64), None)


def test_names_registered_at_run_time_are_known_to_workers(shared, monkeypatch):
    monkeypatch.setattr(SIMULATORS, "_targets", dict(SIMULATORS._table()))
    monkeypatch.setattr(SIMULATORS, "added", {})
    SIMULATORS.register("toy-of-today", "toys:Toy")
    problem = toys.problem("toy-of-today")
    codes = problem.space.sample(3, np.random.default_rng(0))
    assert shared.simulate(problem, codes, None)["speed"].tolist() == problem.simulate(codes)["speed"].tolist()


def test_errors_of_a_simulator_are_its_own(shared):
    problem = toys.problem(f"{__name__}:Broken")
    with pytest.raises(ZeroDivisionError, match="a bug in the simulator") as caught:
        shared.simulate(problem, np.zeros((2, 4), np.int64), None)
    assert "in _simulate" in caught.value.__notes__[0]  # where it happened in the worker
    with pytest.raises(UsageError, match="unknown thing 'nonsense'; did you mean sense"):  # does not survive pickling
        shared._pool.submit(f"{__name__}:unknown", problem).result()


@pytest.mark.parametrize("name", ["serial", "threads", "processes"])
def test_fewer_than_one_worker_is_refused(name):
    with pytest.raises(UsageError, match="jobs"):
        make_executor(name, 0)


# ---- death -------------------------------------------------------------------------------


def test_a_killed_worker_loses_nothing_that_is_logged(tmp_path, processes):
    spec = study(agent="random", budget=60, batch=10)
    run(spec, out=tmp_path / "whole")

    def kill(evaluator):
        if evaluator.n_asks == 3:
            for pid in processes.pids:
                os.kill(pid, signal.SIGKILL)

    with pytest.raises(WorkerError, match=r"worker process was killed \(SIGKILL.*the same call goes on"):
        run(spec, out=tmp_path / "s", executor="processes", jobs=2, on_ask=kill)
    assert len(read_trials(tmp_path / "s")) == 30
    run(spec, out=tmp_path / "s", executor="processes", jobs=2)  # with new workers
    assert digest(tmp_path / "s") == digest(tmp_path / "whole")


def test_a_worker_that_ends_by_itself_is_reported_and_replaced(shared):
    problem = toys.problem()
    with pytest.raises(WorkerError, match="ended with status 3"):
        shared._pool.submit(f"{__name__}:leave", problem, 3).result()
    assert shared._pool.submit(f"{__name__}:environment", problem, "NUMBA_NUM_THREADS").result() == "1"


def leave(problem, status):
    os._exit(status)


SCRIPT = """
from archgym.experiments.cli import main
# no `if __name__ == "__main__"`: workers do not import the script
main("run toys:ToySlow/edp --workload net.json --agent random --budget 9000 --batch 20 --out s".split()
     + ["--executor", "processes", "--jobs", "2"])
"""


def start(tmp_path):
    """A study whose two workers are busy, in a process group of its own, and its children."""
    (tmp_path / "script.py").write_text(SCRIPT)
    (tmp_path / "net.json").write_text(json.dumps(toys.network(16).to_dict()))
    process = subprocess.Popen(
        [sys.executable, "script.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
        stderr=subprocess.PIPE,
        start_new_session=True,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not (trials(tmp_path / "s").exists() and trials(tmp_path / "s").stat().st_size):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return process, children(process.pid)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_ctrl_c_leaves_no_process_and_a_study_that_resumes(tmp_path):
    process, workers = start(tmp_path)
    assert len(workers) == 2
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does it
    _, err = process.communicate()
    assert process.returncode == 130
    assert not any(alive(pid) for pid in workers)
    rows = len(read_trials(tmp_path / "s"))
    assert f"interrupted after {rows} of 9000 samples" in err
    assert err.count("\n") == 1  # not a word from the workers
