"""Variants of a design space: the same designs under other codes.

A search should not depend on how a simulator's author happened to number the levels (the best first, say). In a
variant the levels of a categorical parameter are shuffled, and an ordered parameter runs from its other end with
probability one half. Everything else stays: names, levels, rules, which designs are the same, every metric.
"""

from __future__ import annotations

import re

from archgym import rng
from archgym.space import DesignSpace, Level, Parameter

_SUFFIX = re.compile(r"(.+)~(\d+)")


def split_variant(text: str) -> tuple[str, int]:
    """``"problem~3"`` as ``("problem", 3)``; a text without such an ending is variant 0."""
    match = _SUFFIX.fullmatch(text)
    return (match[1], int(match[2])) if match else (text, 0)


def disguised(space: DesignSpace, variant: int) -> dict[str, tuple[Level, ...]]:
    """Every parameter's levels in the order in which a variant shows them; for ``DesignSpace.restrict``.

    The first level of a parameter that can be dead, and on which others depend, stays first: dead parameters
    count as their first level, so that another would bring others to life.

    Args:
        space: as it is without a variant.
        variant: 1, 2, …; each parameter draws from a stream of its own, so that a restriction of other
            parameters changes nothing about it.
    """
    parents = {name for p in space.parameters for name in p.active_when or {}}
    return {p.name: _order(p, variant, bool(p.active_when) and p.name in parents) for p in space.parameters}


def _order(parameter: Parameter, variant: int, keep_first: bool) -> tuple[Level, ...]:
    stream = rng.generator(variant, "variant", parameter.name)
    levels = parameter.levels
    if parameter.ordered:
        return levels[::-1] if stream.random() < 0.5 and not keep_first else levels
    head, rest = (levels[:1], levels[1:]) if keep_first else ((), levels)
    return head + tuple(rest[i] for i in stream.permutation(len(rest)))
