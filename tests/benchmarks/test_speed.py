"""Speed, reported and never asserted: run with ``pytest tests/benchmarks --benchmark-only -n 0``.

Rates are in ``extra_info`` of each benchmark and are printed at the end; compare ratios measured in one run.
Set NUMBA_NUM_THREADS=1 and OMP_NUM_THREADS=1; kernels here use one thread anyway.
"""

import itertools
import os
import subprocess
import sys
import time
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

import archgym
from archgym import rng
from archgym.problem import Problem

HERE = Path(__file__).parent


def designs(problem, n):
    return problem.space.sample(n, rng.generator(0, "benchmark"))


@pytest.mark.parametrize("workload", ["resnet50", "alexnet", "mobilenet_v2", "gpt2-prefill"])
def test_default_model(benchmark, workload):
    """Designs per second and (design x distinct layer) per second, one thread, compile excluded."""
    problem = Problem.parse(f"systolic/{workload}/edp")
    codes = designs(problem, 5000)
    problem.simulate(codes[:2])
    benchmark(problem.simulate, codes)
    table, _ = problem.simulator._layers(problem.workloads[0])
    rate = len(codes) / benchmark.stats["median"]
    benchmark.extra_info |= {"designs/s": rate, "design x layer/s": rate * len(table)}


def test_compat_model(benchmark):
    """Designs per second of the SCALE-Sim 3.0.0 closed form on AlexNet (CALC mode)."""
    problem = Problem.parse("systolic/alexnet/latency", sim={"compat": "scalesim-3.0.0"})
    codes = designs(problem, 20)
    problem.simulate(codes[:1])
    benchmark.pedantic(problem.simulate, (codes,), rounds=3)
    benchmark.extra_info["designs/s"] = len(codes) / benchmark.stats["median"]


def test_genetic_search_with_log(benchmark, tmp_path):
    """Microseconds a sample of evaluator, objective, log and GA (simulation of AlexNet included) at batch 100."""
    counter = itertools.count()
    archgym.run("systolic/alexnet/edp", budget=200, batch=100)

    def study():
        archgym.run("systolic/alexnet/edp", budget=5000, batch=100, out=tmp_path / str(next(counter)))

    benchmark.pedantic(study, rounds=5)
    benchmark.extra_info["us/sample"] = benchmark.stats["median"] / 5000 * 1e6


def test_vector_environment(benchmark):
    """Environment steps per second of 1024 environments on AlexNet, log off."""
    env = gym.make_vec("archgym/Systolic-v0", num_envs=1024, workload="alexnet")
    env.reset(seed=0)
    env.action_space.seed(0)
    actions = itertools.cycle([env.action_space.sample() for _ in range(16)])
    env.step(next(actions))
    benchmark(lambda: env.step(next(actions)))
    benchmark.extra_info["steps/s"] = 1024 / benchmark.stats["median"]


def test_import(benchmark):
    """Seconds of ``import archgym`` in a fresh interpreter, the interpreter's own start subtracted."""

    def seconds(code):
        program = f"import time; t = time.perf_counter(); {code}; print(time.perf_counter() - t)"
        return float(subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout)

    times = [seconds("import archgym") for _ in range(5)]
    benchmark.pedantic(lambda: None, rounds=1)
    benchmark.extra_info["median seconds"] = float(np.median(times))


PEER = os.environ.get("ARCHGYM_PEERS")
ALEXNET_RUN = """
import os, sys, tempfile, time
from scalesim.scale_sim import scalesim
folder, topology, config, layout = sys.argv[1:5]
start = time.process_time()
tool = scalesim(
    save_disk_space=True, verbose=False, config=config, topology=topology, layout=layout, input_type_gemm=False
)
sys.stdout = open(os.devnull, "w")
tool.run_scale(top_path=folder)
sys.stdout = sys.__stdout__
cycles = [int(o.get_compute_report_items()[1]) for o in tool.runner.single_layer_sim_object_list]
print(time.process_time() - start, *cycles)
"""
CONFIG = """[general]
run_name = bench
[architecture_presets]
ArrayHeight: 64
ArrayWidth: 64
IfmapSramSzkB: 256
FilterSramSzkB: 256
OfmapSramSzkB: 128
IfmapOffset: 0
FilterOffset: 100000000
OfmapOffset: 200000000
Bandwidth: 10
Dataflow: ws
MemoryBanks: 1
ReadRequestBuffer: 512
WriteRequestBuffer: 512
[layout]
IfmapCustomLayout: False
IfmapSRAMBankBandwidth: 10
IfmapSRAMBankNum: 1
IfmapSRAMBankPort: 2
FilterCustomLayout: False
FilterSRAMBankBandwidth: 10
FilterSRAMBankNum: 1
FilterSRAMBankPort: 2
[sparsity]
SparsitySupport: False
SparseRep: ellpack_block
OptimizedMapping: False
BlockSize: 8
RandomNumberGeneratorSeed: 40
[run_presets]
InterfaceBandwidth: CALC
UseRamulatorTrace: False
"""


@pytest.mark.skipif(PEER is None, reason="set ARCHGYM_PEERS to the interpreter of a venv with peers.txt installed")
def test_ratio_to_scalesim_on_alexnet(benchmark, tmp_path):
    """CPU seconds of the unmodified tool for one design on AlexNet, over ours for one design (median of 5000)."""
    topology = HERE.parent / "data" / "topologies" / "alexnet.csv"
    (tmp_path / "bench.cfg").write_text(CONFIG)
    (tmp_path / "layout.csv").write_text("Layer name,\n")
    arguments = [str(tmp_path), str(topology), str(tmp_path / "bench.cfg"), str(tmp_path / "layout.csv")]
    done = subprocess.run([PEER, "-c", ALEXNET_RUN, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    tool_seconds, *tool_cycles = (float(v) for v in done.stdout.split())

    problem = Problem.parse("systolic/latency", workload=str(topology))
    codes = designs(problem, 5000)
    problem.simulate(codes[:2])
    benchmark(problem.simulate, codes)
    compat = Problem.parse("systolic/latency", workload=str(topology), sim={"compat": "scalesim-3.0.0"})
    design = {
        "rows": 64, "cols": 64, "dataflow": "ws", "ifmap_sram": 256, "filter_sram": 256, "ofmap_sram": 128,
        "memory": "DDR4-2400 x64",
    }  # fmt: skip
    same = compat.space.encode([design])
    ours = compat.evaluate(same).metrics["cycles"][0]
    assert sum(tool_cycles) == ours  # the two ran the same thing
    times = []
    for _ in range(20):
        start = time.perf_counter()
        compat.simulate(same)
        times.append(time.perf_counter() - start)
    own_seconds, compat_seconds = benchmark.stats["median"] / len(codes), float(np.median(times))
    benchmark.extra_info |= {
        "tool CPU s per design": tool_seconds,
        "ratio to the default model, batch of 5000": tool_seconds / own_seconds,
        "ratio to the compat model, the same design alone": tool_seconds / compat_seconds,
    }
