"""Which parameters belong together: what one agent of a team decides."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from archgym.errors import UnknownNameError, UsageError
from archgym.space import DesignSpace

Groups = str | Mapping[str, Sequence[str]] | Sequence[Sequence[str]]


def parameter_groups(space: DesignSpace, groups: Groups = "parameter") -> dict[str, tuple[str, ...]]:
    """Name of each group -> names of its parameters; together they cover the space.

    Args:
        space: whose parameters are grouped.
        groups: ``"parameter"`` (each for itself), ``"declared"`` (as the space has them, `Parameter.group`), names with
            ``+`` inside a group and ``,`` between groups (``"rows+cols,memory"``), a mapping of names to parameters, or
            a sequence of groups. Parameters that are left out stand alone; a group without a name has its parameters'.

    Raises:
        UnknownNameError: no such parameter.
        UsageError: a parameter in two groups, or a group of none.
    """
    if groups == "parameter":
        return {name: (name,) for name in space.names}
    if groups == "declared":
        return space.groups
    named: Iterable[tuple[str, Sequence[str]]]
    if isinstance(groups, Mapping):
        named = groups.items()
    else:
        parts = [part.strip().split("+") for part in groups.split(",")] if isinstance(groups, str) else groups
        named = (("+".join(part), part) for part in parts)
    out: dict[str, tuple[str, ...]] = {}
    taken: set[str] = set()
    for name, members in named:
        stripped = tuple(member.strip() for member in members)
        for member in stripped:
            if member not in space.names:
                raise UnknownNameError("parameter", member, ["parameter", "declared", *space.names])
            if member in taken:
                raise UsageError(f"groups: '{member}' is named twice; expected every parameter in one group")
            taken.add(member)
        if not stripped:
            raise UsageError(f"groups: '{name}' is empty; expected at least one parameter in a group")
        out[name] = stripped
    return out | {name: (name,) for name in space.names if name not in taken}


def groups_text(groups: Sequence[Sequence[str]]) -> str:
    """Groups as text that `parameter_groups` takes, for configurations."""
    return ",".join("+".join(group) for group in groups)
