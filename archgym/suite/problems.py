"""Named problems, frozen, so that results can be compared between people.

The lists stand in the modules beside this one, the facts of each problem in a JSON that ``archgym suite build NAME``
writes. A problem never changes under its name without a new `VERSION`, upon which everything that is quoted is run
again.
"""

from __future__ import annotations

import json
from dataclasses import replace
from importlib import resources
from typing import Any

from archgym.errors import UnknownNameError, UsageError
from archgym.problem import ProblemSpec
from archgym.variant import split_variant

from .entry import SuiteProblem
from .mapping_problems import ACCELERATOR, MAPPING
from .memory_problems import BOOM, MEMORY
from .synthetic_problems import SYNTHETIC
from .systolic_problems import SYSTOLIC

VERSION = 1

SUITE: dict[str, SuiteProblem] = {
    entry.name: entry for entry in (*SYSTOLIC, *MEMORY, *BOOM, *MAPPING, *ACCELERATOR, *SYNTHETIC)
}
PROBLEMS: dict[str, ProblemSpec] = {name: entry.spec for name, entry in SUITE.items()}


def parse_problem(text: str, **options: Any) -> ProblemSpec:
    """A suite problem by its name, or any problem as ``ProblemSpec.parse`` reads it; ``~N`` after it is variant N.

    Raises:
        UsageError: neither; or options on a suite problem, which is frozen but for its variant.
        UnknownNameError: a name without a slash that is no suite problem; suggests the nearest.
    """
    name, variant = split_variant(text)
    if name in PROBLEMS:
        variant = variant or options.pop("variant", 0)
        if any(options.values()):
            raise UsageError(f"suite problem '{name}' is frozen: it takes no workload, --set sim/space or --limit")
        return replace(PROBLEMS[name], variant=variant) if variant else PROBLEMS[name]
    if "/" not in text:
        raise UnknownNameError(
            "problem (expected simulator/workload/objective such as systolic/resnet50/edp, or a suite name)",
            name,
            PROBLEMS,
        )
    return ProblemSpec.parse(text, **options)


def name_of(spec: ProblemSpec) -> str:
    """What people call a problem: its name in the suite, with the number of its variant, or else its label."""
    plain = replace(spec, variant=0)
    name = next((name for name, listed in PROBLEMS.items() if listed == plain), "")
    return (f"{name}~{spec.variant}" if spec.variant else name) if name else spec.label


def tier(name: str) -> str:
    """ "headline", "easy", "tuning" or "unrated"; see `archgym.suite.entry`.

    Raises:
        UnknownNameError: no problem of the suite.
    """
    if name not in SUITE:
        raise UnknownNameError("problem of the suite", name, SUITE)
    return SUITE[name].tier


def satisfices(text: str) -> bool:
    """Whether a name, with or without a variant, is that of a suite problem scored by success."""
    entry = SUITE.get(split_variant(text)[0])
    return entry is not None and entry.satisfice


def stored_facts(name: str) -> dict[str, Any] | None:
    """What ``suite build`` found for a suite problem, exact or best known (`archgym.suite.facts`); None: not built."""
    file = resources.files("archgym.suite") / f"{name}.json"
    if not file.is_file():
        return None
    content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return content


def known(name: str) -> dict[str, Any] | None:
    """The facts of a suite problem whose optimum is exact; None for one whose optimum is only the best known."""
    found = stored_facts(name)
    return found if found is not None and found["optimum_kind"] == "exact" else None
