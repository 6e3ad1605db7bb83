"""Speed of the accelerator's nest analysis and mapper; see `test_speed` for how to run and read it."""

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from archgym import rng
from archgym.problem import Problem
from archgym.simulators.accelerator import nest
from archgym.simulators.accelerator.hardware_file import load_hardware
from archgym.simulators.accelerator.mapping_search import map_network
from archgym.simulators.accelerator.mapping_space import MappingSpace
from archgym.simulators.accelerator.shapes import layer_row, unique_shapes
from archgym.workload import Layer, load_workload

PEER = os.environ.get("ARCHGYM_ZIGZAG")
LAYERS = {
    "3x3": Layer.conv("3x3", 64, 56, 56, 64, 3, padding=1),
    "1x1": Layer.conv("1x1", 256, 28, 28, 128, 1),
    "7x7, stride 2": Layer.conv("7x7", 3, 224, 224, 64, 7, stride=2, padding=3),
    "depthwise": Layer.conv("dw", 128, 28, 28, 128, 3, padding=1, groups=128),
    "matrix product": Layer.gemm("gemm", 128, 768, 768),
}


def mappings(layer, m=20000):
    """Random mappings on three levels with one fan-out (the template `small`), spread over all places."""
    arrays = load_hardware("small").arrays()
    row = layer_row(layer)
    space = MappingSpace(row, arrays, ("spad", "buffer", "dram"))
    generator = rng.generator(0, "benchmark")
    designs = {p.name: generator.integers(len(p.levels), size=m) for p in space.parameters}
    loops, tiles = space.nests(designs)
    real = loops[:, :, nest.BOUND] > 1
    order = np.argsort(~real, axis=1, kind="stable")[:, : real.sum(axis=1).max()]  # loops of bound 1 left out
    before = np.concatenate([np.zeros((m, 1), np.int64), np.cumsum(real, axis=1)], axis=1)
    inside = np.take_along_axis(before, np.maximum(tiles, 0).reshape(m, -1), axis=1).reshape(tiles.shape)
    return row, arrays, np.take_along_axis(loops, order[..., None], axis=1), np.where(tiles >= 0, inside, -1)


def evaluate(row, arrays, loops, tiles):
    return nest.evaluate_batch(row, loops, tiles, arrays.hw_i, arrays.hw_f, arrays.mac, arrays.bits)


@pytest.mark.parametrize("name", LAYERS)
def test_mapping_evaluations(benchmark, name):
    """Mappings counted and priced per second, three levels, one fan-out, one thread."""
    case = mappings(LAYERS[name])
    evaluate(*case)
    benchmark(evaluate, *case)
    benchmark.extra_info["mappings/s"] = 20000 / benchmark.stats["median"]


@pytest.mark.skipif(PEER is None, reason="set ARCHGYM_ZIGZAG to the interpreter of a venv with zigzag-dse and six")
def test_ratio_to_zigzag(benchmark):
    """CPU seconds of zigzag-dse 3.9.1 for one mapping of a 3x3 convolution, over ours."""
    program = Path(__file__).parent / "zigzag_peer.py"
    done = subprocess.run([PEER, str(program), "300"], capture_output=True, text=True, check=True)
    theirs = float(done.stdout.split()[0])
    case = mappings(Layer.conv("3x3", 64, 14, 14, 64, 3, padding=1))
    evaluate(*case)
    benchmark(evaluate, *case)
    ours = benchmark.stats["median"] / 20000
    benchmark.extra_info |= {"zigzag-dse us": theirs * 1e6, "ours us": ours * 1e6, "ratio": theirs / ours}


@pytest.mark.parametrize("network", ["alexnet", "resnet50", "mobilenet_v2"])
def test_mapping_a_network(benchmark, network):
    """Milliseconds to map a network's distinct layers onto one design (the template `eyeriss`)."""
    shapes, arrays = unique_shapes(load_workload(network)), load_hardware("eyeriss").arrays()
    map_network(shapes.rows, shapes.repeats, arrays)
    benchmark(map_network, shapes.rows, shapes.repeats, arrays)
    benchmark.extra_info |= {"layers": len(shapes.rows), "ms": benchmark.stats["median"] * 1e3}


@pytest.mark.parametrize(
    "problem", ["accelerator/alexnet", "accelerator/resnet50", "mapping/resnet50", "codesign/resnet50"]
)
def test_samples(benchmark, problem):
    """Designs per second and core through the simulator."""
    problem = Problem.parse(f"{problem}/edp")
    codes = problem.space.sample(20 if problem.simulator.cost_seconds > 1e-2 else 2000, rng.generator(0, "benchmark"))
    problem.simulate(codes[:1])
    benchmark.pedantic(problem.simulate, (codes,), rounds=3)
    benchmark.extra_info["designs/s"] = float(np.round(len(codes) / benchmark.stats["median"], 1))
