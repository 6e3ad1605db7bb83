"""What a language model reads and writes: a design space, a goal and outcomes as text, designs out of a reply."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import numpy.typing as npt

from archgym.errors import UsageError
from archgym.evaluation import Evaluation
from archgym.objective import Objective
from archgym.space import Codes, DesignSpace, Level, Parameter

_MANY = 40  # numeric levels beyond these are shown by both ends; the model may name any number
_FORBIDDEN = 20  # combinations of a rule that are written out
_NUMBER = re.compile(r"[-+]?\d*\.?\d+(e[-+]?\d+)?", re.I)


def describe_space(space: DesignSpace) -> str:
    """One line a parameter (levels, kind, unit, group, when it matters, meaning), then one a static rule."""
    lines = ["Parameters and their levels:"]
    for p in space.parameters:
        levels = [_text(level) for level in p.levels]
        if p.numeric and len(levels) > _MANY:
            levels = [*levels[: _MANY // 2], "...", *levels[-4:]]
        facts = [
            f"{len(p.levels)} {'ordered' if p.ordered else 'unordered'} levels",
            p.unit and f"unit {p.unit}",
            p.group and f"part of {p.group}",
            *(f"matters only where {name} is {_either(when)}" for name, when in (p.active_when or {}).items()),
            p.doc,
        ]
        lines.append(f"- {p.name}: {', '.join(levels)} ({'; '.join(filter(None, facts))})")
    for rule in space.allowed:
        pairs = [zip(rule.parameters, row, strict=True) for row in np.argwhere(~rule.table)]
        shown = [", ".join(f"{name} {_text(space[name].levels[i])}" for name, i in pair) for pair in pairs[:_FORBIDDEN]]
        more = "; and more" if len(pairs) > _FORBIDDEN else ""
        lines.append(f"Forbidden together, {len(pairs)} combinations: {'; '.join(shown)}{more}")
    return "\n".join(lines)


def describe_goal(objective: Objective | None) -> str:
    """What is to be maximised within which limits; on the scalar track (None) only that the reward is."""
    if objective is None:
        return "Goal: the highest reward. Infeasible designs have none."
    scale = dict(objective.reference)
    if objective.targets:
        marks = [(m, share * scale.get(m, 1.0) if m in objective.relative else share) for m, share in objective.targets]
        reward = "the product of target / |target - metric| for " + ", ".join(f"{m} = {mark:.4g}" for m, mark in marks)
    else:
        logs = [f"{-t.weight:+g} ln({t.metric} / {scale.get(t.metric, 1.0):.4g})" for t in objective.terms]
        reward = f"{' '.join(logs)}; 0 is a reasonable baseline, 0.69 a factor of 2"
    lines = [f"Goal: the highest reward of {objective.name}, {reward}. Infeasible designs have none."]
    if objective.pareto:
        terms = [f"{'low' if t.weight > 0 else 'high'} {t.metric}" for t in objective.terms]
        lines = [f"Goal: all trade-offs that nothing beats in everything at once: {', '.join(terms)}.", *lines[1:]]
    if objective.limits:
        lines.append(f"A feasible design keeps {', '.join(map(str, objective.limits))}.")
    return "\n".join(lines)


def table(space: DesignSpace, rows: Codes | Evaluation, objective: Objective | None = None, extra: int = 0) -> str:
    """Designs as text, a line each under a line of names, cells separated by " | ".

    Args:
        space: of the designs.
        rows: codes (n, d) alone, or with their outcome: reward, metrics and by how much limits are exceeded.
        objective: whose metrics come first and whose limits have names, on the grey track.
        extra: number of further metrics.
    """
    if not isinstance(rows, Evaluation):
        return "\n".join([" | ".join(space.names), *(" | ".join(_cells(space, row)) for row in rows)])
    limits = [] if objective is None else objective.limits
    first = [] if objective is None else [t.metric for t in objective.terms] + [limit.metric for limit in limits]
    others = [name for name in rows.metric_names if name not in first]
    metrics = rows.metrics
    names = [name for name in dict.fromkeys([*first, *others[:extra]]) if name in metrics]
    physical = rows.violations.shape[1] - len(limits)
    constraints = [f"constraint {i + 1}" for i in range(physical)] + [str(limit) for limit in limits]
    lines = [" | ".join([*space.names, "reward", *names, "violated"])]
    for i in range(len(rows)):
        numbers = [f"{metrics[name][i]:.4g}".replace("nan", "-") for name in names]
        broken = [f"{name} by {v:.3g}" for name, v in zip(constraints, rows.violations[i], strict=False) if v > 0]
        feasible = bool(rows.feasible[i])
        cells = [f"{rows.reward[i]:.4g}" if feasible else "infeasible", *numbers]
        cells.append(", ".join(broken) or ("nothing" if feasible else "unknown"))
        lines.append(" | ".join([*_cells(space, rows.codes[i]), *cells]))
    return "\n".join(lines)


def read_designs(text: str, space: DesignSpace, pattern: npt.NDArray[np.int64]) -> tuple[Codes, str]:
    """The designs (k, d) in a reply, repaired, and in words what is wrong with the others (or with all of it).

    Args:
        text: anything around or inside a JSON list of objects, parameter name -> level.
        space: of the designs; names and textual levels in any case, numbers become the nearest level.
        pattern: codes (d,) that fill in for missing parameters.
    """
    rows: list[list[int]] = []
    wrong: list[str] = []
    for i, item in enumerate(_objects(text)):
        lower = {name.strip().lower(): value for name, value in item.items()}
        given = [item.get(p.name, lower.get(p.name.lower())) for p in space.parameters]
        try:
            if all(value is None for value in given):
                raise UsageError(f"expected the parameters {', '.join(space.names)}, got {', '.join(item) or 'none'}")
            codes = zip(space.parameters, given, pattern.tolist(), strict=True)
            rows.append([code if value is None else _nearest(p, value) for p, value, code in codes])
        except UsageError as error:
            wrong.append(f"design {i + 1}: {error}")
    nothing = "every design is known" if rows else "there is no JSON list of objects in the answer"
    return np.array(rows, np.int64).reshape(-1, len(space)), "; ".join(wrong[:3]) or nothing


def _objects(text: str) -> list[dict[str, Any]]:
    """The last JSON list of objects in a text; without one (it may have been cut off) every object in it."""
    for opening in "[{":
        found: list[dict[str, Any]] = []
        at = text.find(opening)
        while at >= 0:
            try:
                value, end = json.JSONDecoder().raw_decode(text, at)
            except RecursionError:
                break  # thousands of brackets are no answer, and each would be tried
            except ValueError:
                value, end = None, at + 1
            items = value if isinstance(value, list) else [value]
            if items and all(isinstance(item, dict) for item in items):
                found = items if opening == "[" else [*found, *items]
            at = text.find(opening, end)
        if found:
            return found
    return []


def _nearest(parameter: Parameter, value: Any) -> int:
    """The index of a level, or of the level nearest to a number ("64 KiB" is one)."""
    text = str(value).strip()[:80]
    try:
        return parameter.index(text)
    except UsageError:
        number = _NUMBER.match(text.replace(",", ""))
        if not parameter.numeric or number is None:
            raise
    levels = [float(level) for level in parameter.levels]
    aim = min(max(float(number[0]), min(levels)), max(levels))  # beyond the ends every distance may round to the same
    return min(range(len(levels)), key=lambda i: abs(levels[i] - aim))


def _cells(space: DesignSpace, row: npt.NDArray[np.int64]) -> list[str]:
    return [_text(level) for level in space.design(row).values()]


def _either(levels: Any) -> str:
    return " or ".join(_text(level) for level in levels)


def _text(level: Level) -> str:
    return level if isinstance(level, str) else json.dumps(level)
