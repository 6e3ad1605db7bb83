"""Named problems with a frozen restriction, so that results can be compared between people.

A restriction never changes under its name; a new one gets a new name. Known optima stand beside this
file, one JSON each, written by ``archgym suite build``.
"""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

from archgym.errors import UnknownNameError, UsageError
from archgym.problem import ProblemSpec

_SIDES_12 = (8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 512)
_KIB_9 = (8, 16, 32, 64, 128, 256, 512, 1024, 2048)
_MEMORIES_4 = ("LPDDR4-3200 x32", "DDR4-2400 x64", "DDR4-2400 2x64", "HBM2 1 stack")
_KIB_5 = (16, 64, 256, 512, 2048)

_READS = ("stream", "random", "cloud-1", "cloud-2")
_WRITES = ("gen-mixed", "gen-hotrow")
_HARDER = (("edp", "edp"), ("p99", "p99"))
_CONTENDED = ("gen-sources", "gen-strided")


def _controllers(trace: str, objective: str) -> ProblemSpec:
    """Memory controllers, served by a table of the enumerated space."""
    return ProblemSpec("tabular", (trace,), objective, sim={"table": f"dram-rl-{trace}"})


def _modern(trace: str) -> ProblemSpec:
    return ProblemSpec("tabular", (trace,), "edp", sim={"table": f"dram-ddr4-{trace}"})


PROBLEMS: dict[str, ProblemSpec] = {
    # 12 x 12 x 3 x 9^3 x 4 = 1,259,712 designs
    "systolic-resnet50-edp-1m": ProblemSpec(
        "systolic",
        ("resnet50",),
        "edp",
        space={
            "rows": _SIDES_12,
            "cols": _SIDES_12,
            "ifmap_sram": _KIB_9,
            "filter_sram": _KIB_9,
            "ofmap_sram": _KIB_9,
            "memory": _MEMORIES_4,
        },
    ),
    # 9 x 8 x 3 x 5^3 x 4 = 108,000 designs
    "systolic-mobilenet_v2-edp-100k": ProblemSpec(
        "systolic",
        ("mobilenet_v2",),
        "edp",
        space={
            "rows": (8, 12, 16, 24, 32, 64, 96, 128, 256),
            "cols": (8, 16, 24, 32, 64, 96, 128, 256),
            "ifmap_sram": _KIB_5,
            "filter_sram": _KIB_5,
            "ofmap_sram": _KIB_5,
            "memory": _MEMORIES_4,
        },
    ),
    # ArchGym's 442,368 memory controllers (DDR3-1600) on its four traces, which only read, and on two that write
    **{f"dram-rl-{trace}-edp": _controllers(trace, "edp") for trace in _READS},
    **{f"dram-rl-{trace}-{name}": _controllers(trace, objective) for trace in _WRITES for name, objective in _HARDER},
    # DDR4-2400 with address maps, ranks, write buffer and row-hit cap: 8,640 designs
    **{f"dram-ddr4-{trace}-edp": _modern(trace) for trace in _CONTENDED},
}


def parse_problem(text: str, **options: Any) -> ProblemSpec:
    """A suite problem by its name, or any problem as ``ProblemSpec.parse`` reads it.

    Raises:
        UsageError: neither; or options on a suite problem, which is frozen.
        UnknownNameError: a name without a slash that is no suite problem; suggests the nearest.
    """
    if text in PROBLEMS:
        if any(options.values()):
            raise UsageError(f"suite problem '{text}' is frozen: it takes no workload, --set sim/space or --limit")
        return PROBLEMS[text]
    if "/" not in text:
        raise UnknownNameError(
            "problem (expected simulator/workload/objective such as systolic/resnet50/edp, or a suite name)",
            text,
            PROBLEMS,
        )
    return ProblemSpec.parse(text, **options)


def known(name: str) -> dict[str, Any] | None:
    """What ``suite build`` found for a suite problem (optimum, front, shares), or None if never built."""
    file = resources.files("archgym.suite") / f"{name}.json"
    if not file.is_file():
        return None
    content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return content
