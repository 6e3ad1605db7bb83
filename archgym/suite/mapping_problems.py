"""Mappings of one layer, hardware with its mapping, and the accelerator with a mapper inside."""

from __future__ import annotations

from typing import Any

from archgym.problem import ProblemSpec

from .entry import Search, SuiteProblem


def _mapping(hardware: str, network: str, layer: str, **space: tuple[int, ...]) -> ProblemSpec:
    kept = {name.replace("__", "."): levels for name, levels in space.items()}
    sim = {"hardware": hardware, "layer": layer, "space": "allowed"}
    return ProblemSpec("mapping", (network,), "edp", sim=sim, space=kept)


def _codesign(network: str, layer: str) -> ProblemSpec:
    sim: dict[str, Any] = {"layer": layer, "space": "allowed"}
    return ProblemSpec("codesign", (network,), "edp", sim=sim)


MAPPING = (
    SuiteProblem(
        "mapping-shidiannao-pointwise-edp-3m",
        # 37,158,912 raw designs without the restriction: the buffers' loops in one order, the DRAM's in twelve
        _mapping(
            "shidiannao",
            "mobilenet_v2",
            "conv_last",
            order1__buffers=(0,),
            order2__buffers=(0,),
            order3__dram=(0,),
        ),
        "headline",
    ),
    SuiteProblem(
        "mapping-nvdla-fc-edp-3m",
        _mapping("nvdla", "mobilenet_v2", "fc"),
        "easy",
    ),
    SuiteProblem(
        "mapping-eyeriss-pointwise-edp-300g", _mapping("eyeriss", "mobilenet_v2", "conv_last"), "headline", Search()
    ),
    SuiteProblem("mapping-eyeriss-conv2-edp-14p", _mapping("eyeriss", "alexnet", "conv2"), "headline", Search()),
    SuiteProblem(
        "codesign-mobilenet_v2-fc-edp",
        _codesign("mobilenet_v2", "fc"),
        "headline",
        Search(seeds=2, budget=10_000, random_runs=11),
    ),
)

# 6 x 5 x 4 x 4 x 2 x 5 = 4,800 designs around Eyeriss
_AROUND_EYERISS: dict[str, tuple[Any, ...]] = {
    "pes": (42, 84, 126, 168, 252, 336),
    "mesh_x": (14,),
    "weight_kind": ("sram",),
    "weight_depth": (32, 64, 128, 256, 512),
    "ifmap_kind": ("regfile",),
    "ifmap_depth": (4, 8, 16, 32),
    "psum_kind": ("regfile",),
    "psum_depth": (8, 16, 32, 64),
    "buffer_kind": ("sram", "smartbuffer-sram"),
    "buffer_depth": (2048, 4096, 8192, 16384, 32768),
    "buffer_banks": (32,),
    "buffer_block": (4,),
    "buffer_read": (8,),
    "buffer_write": (4,),
    **{f"{store}_{port}": (2,) for store in ("weight", "ifmap", "psum") for port in ("read", "write")},
    **{f"{store}_block": (1,) for store in ("weight", "ifmap", "psum")},
}

ACCELERATOR = (
    SuiteProblem(
        "accelerator-alexnet-edp-5k",
        ProblemSpec("accelerator", ("alexnet",), "edp", space=_AROUND_EYERISS),
        "easy",
        note="the mapper runs inside",
    ),
    SuiteProblem(
        "accelerator-alexnet-edp-11p",
        ProblemSpec("accelerator", ("alexnet",), "edp"),
        "headline",
        Search(seeds=2, budget=4_000, random_runs=5),
        note="the mapper runs inside",
    ),
)
