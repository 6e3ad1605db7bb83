"""Systolic arrays: restrictions that are enumerated through the simulator itself, and the whole space."""

from __future__ import annotations

from typing import Any

from archgym.problem import ProblemSpec

from .entry import SuiteProblem

_SIDES_12 = (8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 512)
_KIB_9 = (8, 16, 32, 64, 128, 256, 512, 1024, 2048)
_MEMORIES_4 = ("LPDDR4-3200 x32", "DDR4-2400 x64", "DDR4-2400 2x64", "HBM2 1 stack")
_KIB_5 = (16, 64, 256, 512, 2048)

# 12 x 12 x 3 x 9^3 x 4 = 1,259,712 designs
_MILLION: dict[str, tuple[Any, ...]] = {
    "rows": _SIDES_12,
    "cols": _SIDES_12,
    "ifmap_sram": _KIB_9,
    "filter_sram": _KIB_9,
    "ofmap_sram": _KIB_9,
    "memory": _MEMORIES_4,
}
# 9 x 8 x 3 x 5^3 x 4 = 108,000 designs
_HUNDRED_THOUSAND: dict[str, tuple[Any, ...]] = {
    "rows": (8, 12, 16, 24, 32, 64, 96, 128, 256),
    "cols": (8, 16, 24, 32, 64, 96, 128, 256),
    "ifmap_sram": _KIB_5,
    "filter_sram": _KIB_5,
    "ofmap_sram": _KIB_5,
    "memory": _MEMORIES_4,
}
# 4 x 4 x 3 x 3^3 x 1 = 1,296 designs
_THOUSAND: dict[str, tuple[Any, ...]] = {
    "rows": (8, 16, 32, 64),
    "cols": (8, 16, 32, 64),
    "ifmap_sram": (16, 64, 256),
    "filter_sram": (16, 64, 256),
    "ofmap_sram": (16, 64, 256),
    "memory": ("DDR4-2400 x64",),
}


def _spec(workloads: str, objective: str, space: dict[str, tuple[Any, ...]], *limits: str) -> ProblemSpec:
    return ProblemSpec("systolic", tuple(workloads.split("+")), objective, space=space, limits=limits)


SYSTOLIC = (
    SuiteProblem("systolic-alexnet-edp-1k", _spec("alexnet", "edp", _THOUSAND), "easy", note="a smoke test"),
    SuiteProblem("systolic-mobilenet_v2-edp-100k", _spec("mobilenet_v2", "edp", _HUNDRED_THOUSAND), "headline"),
    SuiteProblem("systolic-alexnet-ed2p-100k", _spec("alexnet", "ed2p", _HUNDRED_THOUSAND), "tuning"),
    SuiteProblem("systolic-resnet50-edp-1m", _spec("resnet50", "edp", _MILLION), "headline"),
    SuiteProblem("systolic-bert-base-ed2p-1m", _spec("bert-base", "ed2p", _MILLION), "headline"),
    SuiteProblem("systolic-gpt2-decode-energy-1m", _spec("gpt2-decode", "energy", _MILLION), "headline"),
    SuiteProblem(
        "systolic-mobilenet_v2-latency-area-1m", _spec("mobilenet_v2", "latency", _MILLION, "area<=4"), "headline"
    ),
    SuiteProblem(
        "systolic-3nets-edp-100k", _spec("resnet50+bert-base+mobilenet_v2", "edp", _HUNDRED_THOUSAND), "headline"
    ),
    SuiteProblem(
        "systolic-resnet50-pareto-100k",
        _spec("resnet50", "pareto:latency,energy,area", _HUNDRED_THOUSAND),
        "headline",
        note="gaps are of the product of the three",
    ),
    SuiteProblem(
        "systolic-resnet50-budgets-1m",
        _spec("resnet50", "edp", _MILLION, "latency<=4e-3", "power<=4", "area<=8"),
        "headline",
        satisfice=True,
    ),
    SuiteProblem("systolic-resnet50-edp-22m", _spec("resnet50", "edp", {}), "headline", note="the whole space"),
)
