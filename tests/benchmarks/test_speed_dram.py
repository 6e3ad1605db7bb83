"""Speed of the DRAM simulator, reported and never asserted: ``pytest tests/benchmarks --benchmark-only -n 0``.

With ARCHGYM_DRAMSYS naming the published DRAMSys 4.0 binary (``sims/DRAM/binary/DRAMSys/DRAMSys`` of oss-arch-gym),
that tool runs the same traces beside ours; the figures are CPU seconds, medians of three, compile excluded.
"""

import json
import os
import resource
import shutil
import statistics
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from archgym import rng
from archgym.problem import Problem, ProblemSpec
from archgym.simulators.dram.mapping import preset
from archgym.simulators.dram.memory import Memory, Policy, prepare, run
from archgym.simulators.dram.standards import load_standard
from archgym.trace import Trace
from archgym.trace_files import read_trace, write_trace

N = 200_000
STANDARD = load_standard("DDR4-2400")
MEMORY = Memory(STANDARD, preset("bank-row-column", STANDARD), compat=True)
SPEC = "JEDEC_4Gb_DDR4-2400_8bit_A.json"
ROUNDS = 3


def trace(name):
    """200 k requests: 64-byte steps; 32-bit addresses with a third of writes; the same, one in 20 cycles."""
    draw = rng.generator(0, "speed")
    random = draw.integers(0, 1 << 26, N) << 6, draw.random(N) < 1 / 3
    address, writes = (np.arange(N) * 64, np.zeros(N, bool)) if name == "stream" else random
    cycle = np.arange(N) * (20 if name == "sparse" else 1)
    return Trace(name, address, writes, cycle=cycle, clock_mhz=1200.0)


def cpu_seconds(call):
    start = time.process_time()
    call()
    return time.process_time() - start


def dramsys(path, folder, power):
    """CPU seconds and total time in ps of one run of the published binary."""
    binary = Path(os.environ["ARCHGYM_DRAMSYS"])
    resources = folder / "resources"
    bits = MEMORY.mapping
    fields = {
        "BANKGROUP": bits.bank_group,
        "BANK": bits.bank,
        "ROW": bits.row,
        "COLUMN": bits.column,
        "BYTE": bits.byte,
    }
    controller = {"PagePolicy": "Open", "Scheduler": "FrFcfs", "SchedulerBuffer": "Bankwise", "RequestBufferSize": 8}
    controller |= {"CmdMux": "Oldest", "RespQueue": "Fifo", "RefreshPolicy": "AllBank", "RefreshMaxPostponed": 8}
    controller |= {"RefreshMaxPulledin": 8, "PowerDownPolicy": "NoPowerDown", "Arbiter": "Simple"}
    simulator = dict.fromkeys(
        ("CheckTLM2Protocol", "DatabaseRecording", "Debug", "EnableWindowing", "SimulationProgressBar"), False
    )
    simulator |= {"ThermalSimulation": False, "UseMalloc": False, "AddressOffset": 0, "ErrorChipSeed": 42}
    simulator |= {"ECCControllerMode": "Disabled", "ErrorCSVFile": "", "StoreMode": "NoStorage", "WindowSize": 1000}
    simulator |= {"SimulationName": "x", "PowerAnalysis": power}
    spec = json.loads(files("archgym.simulators.dram").joinpath("standards", SPEC).read_text())
    thermal = binary.parents[2] / "DRAMSys/library/resources/configs/thermalsim"
    for kind, content in (
        ("amconfigs", {"CONGEN": {f"{name}_BIT": list(value) for name, value in fields.items()}}),
        ("mcconfigs", {"mcconfig": {**controller, "MaxActiveTransactions": 128}}),
        ("memspecs", spec),
        ("simulator", {"simconfig": simulator}),
    ):
        (resources / "configs" / kind).mkdir(parents=True, exist_ok=True)
        (resources / "configs" / kind / "x.json").write_text(json.dumps(content))
    if not (resources / "configs" / "thermalsim").exists():
        shutil.copytree(thermal, resources / "configs" / "thermalsim")
    (resources / "traces").mkdir(exist_ok=True)
    shutil.copy(path, resources / "traces" / "x.stl")
    names = {"addressmapping": "x.json", "mcconfig": "x.json", "memspec": "x.json", "simconfig": "x.json"}
    setup = {"simulationid": "x", "thermalconfig": "config.json", "tracesetup": [{"clkMhz": 1200, "name": "x.stl"}]}
    (folder / "x.json").write_text(json.dumps({"simulation": {**names, **setup}}))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [binary, folder / "x.json", f"{resources}/"]
    out = subprocess.run(command, capture_output=True, text=True, check=True, cwd=folder).stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    value, unit = out.split("Total Time:")[1].split()[:2]
    ps = round(float(value) * {"ps": 1, "ns": 1e3, "us": 1e6, "ms": 1e9}[unit])
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, ps


@pytest.mark.parametrize("name", ["stream", "random", "sparse"])
def test_requests_per_second(benchmark, name, tmp_path):
    """Ours alone; with the binary: CPU seconds of both, with and without parsing the trace and starting up."""
    requests = prepare(trace(name), MEMORY)
    run(MEMORY, Policy(), requests)
    benchmark.pedantic(lambda: run(MEMORY, Policy(), requests), rounds=ROUNDS)
    benchmark.extra_info["requests/s"] = N / benchmark.stats["median"]
    if "ARCHGYM_DRAMSYS" not in os.environ:
        return
    path = tmp_path / "x.stl"
    write_trace(trace(name), path)
    one = tmp_path / "one.stl"
    write_trace(trace(name).where([0]), one)
    ours, whole, theirs, start = [], [], [], []
    for _ in range(ROUNDS):
        ours.append(cpu_seconds(lambda: run(MEMORY, Policy(), requests)))
        whole.append(cpu_seconds(lambda: run(MEMORY, Policy(), prepare(read_trace(path, clock_mhz=1200), MEMORY))))
        with tempfile.TemporaryDirectory() as folder:
            seconds, ps = dramsys(path, Path(folder), power=True)
        with tempfile.TemporaryDirectory() as folder:
            start.append(dramsys(one, Path(folder), power=True)[0])
        theirs.append(seconds)
    assert ps == run(MEMORY, Policy(), requests).time_ps  # the same simulation
    a, b, c, d = (statistics.median(values) for values in (ours, whole, theirs, start))
    benchmark.extra_info |= {
        "ours, s": a,
        "with parsing, s": b,
        "DRAMSys, s": c,
        "its start-up, s": d,
        "ratio without parsing and start-up": (c - d) / a,
        "ratio with parsing": c / b,
    }


@pytest.mark.parametrize("workload", ["stream", "random", "cloud-1"])
def test_archgym_sample(benchmark, workload):
    """Milliseconds of one sample of ArchGym's RL space (10 k requests), mean over 40 random designs."""
    problem = Problem(ProblemSpec("dram", (workload,), "edp", sim={"space": "archgym-rl"}))
    codes = problem.space.sample(40, rng.generator(0, "benchmark"))
    problem.simulate(codes[:1])
    benchmark.pedantic(problem.simulate, (codes,), rounds=ROUNDS)
    benchmark.extra_info["ms/sample"] = benchmark.stats["median"] / 40 * 1e3


def test_two_threads(benchmark):
    """How much faster two threads play 16 traces than one."""
    requests = prepare(trace("random").where(np.arange(50_000)), MEMORY)

    def seconds(workers):
        start = time.perf_counter()
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(lambda _: run(MEMORY, Policy(), requests), range(16)))
        return time.perf_counter() - start

    seconds(1)
    pairs = [(seconds(1), seconds(2)) for _ in range(ROUNDS)]
    benchmark.pedantic(lambda: None, rounds=1)
    benchmark.extra_info["speed-up of two threads"] = statistics.median(one / two for one, two in pairs)
