"""Finite design spaces: parameters are tuples of levels, designs are rows of level indices.

A design is an int64 row of *codes*, one level index per parameter. From that follow exact
hashing, exact logs, ``MultiDiscrete`` actions, enumeration and joins.
"""

from __future__ import annotations

import copy
import functools
import hashlib
import json
import math
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from archgym.completions import Factor, eliminate
from archgym.errors import UnknownNameError, UsageError
from archgym.parameter import Level, Parameter, Rule

if TYPE_CHECKING:
    import gymnasium

__all__ = ["Codes", "Columns", "DesignSpace", "Level", "Parameter", "Rule"]

Codes = npt.NDArray[np.int64]
Columns = Mapping[str, npt.NDArray[Any]]

RANK_LIMIT = 2**62  # spaces smaller than this have int64 keys


class DesignSpace:
    """The set of designs that a problem is searched over.

    Rules are judged on canonical levels, so a dead parameter never forbids a design.

    Args:
        parameters: in order; ``active_when`` may refer to earlier ones only.
        allowed: static rules, known without simulating.
        merge: further canonicalisation proved by a simulator: codes (n, d) -> codes (n, d),
            idempotent. Not part of the fingerprint.
        moves: further small steps, where moving one parameter alone leads astray: a canonical design (d,) -> codes
            (k, d) of designs like it, as level indices. Pure; they need be neither canonical nor allowed nor distinct.
            Not part of the fingerprint.

    Attributes:
        nvec: (d,) int64, number of levels of each parameter.
        size: number of raw designs, a Python int of any magnitude.
        fingerprint: sha256 over parameters, levels and rules.

    Raises:
        UsageError: names repeat, a rule or ``active_when`` refers to something that does not
            exist or comes later, or the rules allow nothing.
    """

    def __init__(
        self,
        parameters: Sequence[Parameter],
        allowed: Sequence[Rule] = (),
        merge: Callable[[Codes], Codes] | None = None,
        moves: Callable[[Codes], Codes] | None = None,
    ) -> None:
        self.parameters = tuple(parameters)
        self.names = tuple(p.name for p in self.parameters)
        self.allowed = tuple(allowed)
        self._merge = merge
        self.moves = moves
        if not self.parameters or len(set(self.names)) != len(self.names):
            raise UsageError(f"a design space needs parameters with distinct names, got {self.names}")
        self._position = {name: i for i, name in enumerate(self.names)}
        self.nvec = np.array([len(p.levels) for p in self.parameters], np.int64)
        self.size = math.prod(len(p.levels) for p in self.parameters)
        self._weights = [math.prod(len(p.levels) for p in self.parameters[i + 1 :]) for i in range(len(self.names))]
        self._values = [np.array(p.levels) for p in self.parameters]
        self._conditions = [self._condition(i) for i in range(len(self.names))]
        self._buckets = eliminate(self._rule_factors(), self._conditions, self.nvec)
        content = [[{**p.to_dict(), "doc": ""} for p in self.parameters], self._rules_json()]
        self.fingerprint = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def __len__(self) -> int:
        return len(self.parameters)

    def __repr__(self) -> str:
        inside = ", ".join(f"{p.name}[{len(p.levels)}]" for p in self.parameters)
        return f"DesignSpace({inside}; size {self.size:.3g})"

    def __getitem__(self, name: str) -> Parameter:
        if name not in self._position:
            raise UnknownNameError("parameter", name, self.names)
        return self.parameters[self._position[name]]

    @property
    def groups(self) -> dict[str, tuple[str, ...]]:
        """Group -> names of its parameters; a parameter without a group stands alone."""
        out: dict[str, tuple[str, ...]] = {}
        for p in self.parameters:
            out[p.group or p.name] = (*out.get(p.group or p.name, ()), p.name)
        return out

    # ---- conversion --------------------------------------------------------------------

    def check(self, codes: Any) -> Codes:
        """``codes`` as a C-contiguous (n, d) int64 array of valid level indices.

        Raises:
            UsageError: wrong shape, not integers, or an index out of range.
        """
        array = np.asarray(codes)
        if array.ndim != 2 or array.shape[1] != len(self.names):
            raise UsageError(f"codes: expected shape (n, {len(self.names)}), got {array.shape}")
        if array.dtype.kind not in "iu":
            raise UsageError(f"codes: expected integers, got {array.dtype}")
        array = np.ascontiguousarray(array, np.int64)
        bad = (array < 0) | (array >= self.nvec)
        if bad.any():
            row, column = (int(v) for v in np.argwhere(bad)[0])
            raise UsageError(
                f"codes: row {row}: level index {array[row, column]} of '{self.names[column]}' is outside "
                f"0..{self.nvec[column] - 1}"
            )
        return array

    def decode(self, codes: Codes) -> dict[str, npt.NDArray[Any]]:
        """Level values as columns: name -> (n,) array."""
        codes = self.check(codes)
        return {p.name: self._values[i][codes[:, i]] for i, p in enumerate(self.parameters)}

    def columns(self, codes: Codes) -> dict[str, npt.NDArray[Any]]:
        """What simulators receive: values of numeric parameters, level indices of textual ones."""
        codes = self.check(codes)
        return {
            p.name: self._values[i][codes[:, i]] if p.numeric else codes[:, i] for i, p in enumerate(self.parameters)
        }

    def from_columns(self, columns: Columns) -> Codes:
        """Codes (n, d) of what simulators receive: the inverse of ``columns``."""
        parts: list[npt.NDArray[Any]] = []
        for p, values in zip(self.parameters, self._values, strict=True):
            order = np.argsort(values, kind="stable") if p.numeric else None
            column = columns[p.name]
            parts.append(column if order is None else order[np.searchsorted(values, column, sorter=order)])
        return np.stack(parts, axis=1).astype(np.int64)

    def design(self, row: npt.NDArray[np.int64]) -> dict[str, Level]:
        """One row of codes (d,) as a plain dict of level values."""
        (checked,) = self.check(np.asarray(row)[None])
        return {p.name: p.levels[int(c)] for p, c in zip(self.parameters, checked, strict=True)}

    def encode(self, designs: Any) -> Codes:
        """Codes (n, d) of designs given as columns (mapping name -> values), a DataFrame, or dicts.

        Raises:
            UsageError: a parameter is missing, or a value is not one of its levels.
            UnknownNameError: a dict names something that is no parameter.
        """
        try:
            if isinstance(designs, Mapping) or hasattr(designs, "columns"):
                columns = {
                    name: _listed(designs[name]) for name in self._require(list(designs), hasattr(designs, "iloc"))
                }
            else:
                rows = list(designs)
                for row in rows:
                    self._require(list(row), False)
                columns = {name: [row[name] for row in rows] for name in self.names}
        except TypeError:
            raise UsageError("designs: expected columns of equal length, a DataFrame, or a list of dicts") from None
        if len({len(column) for column in columns.values()}) > 1:
            raise UsageError(f"designs: columns differ in length: { {k: len(v) for k, v in columns.items()} }")
        out = [_indices(p, columns[p.name]) for p in self.parameters]
        return np.array(out, np.int64).reshape(len(self.names), -1).T.copy()

    def _require(self, present: list[str], extra_is_fine: bool) -> tuple[str, ...]:
        for name in self.names:
            if name not in present:
                raise UsageError(f"design: parameter '{name}' is missing; expected {', '.join(self.names)}")
        for name in present:
            if name not in self._position and not extra_is_fine:
                raise UnknownNameError("parameter", name, self.names)
        return self.names

    def to_unit(self, codes: Codes) -> npt.NDArray[np.float64]:
        """Codes (n, d) as cell centres in the unit cube (n, d)."""
        out: npt.NDArray[np.float64] = (self.check(codes) + 0.5) / self.nvec
        return out

    def from_unit(self, points: npt.NDArray[np.float64]) -> Codes:
        """The cell (n, d) that each point of the unit cube falls into; values are clipped to [0, 1]."""
        cells = np.floor(np.clip(points, 0.0, 1.0) * self.nvec).astype(np.int64)
        return np.minimum(cells, self.nvec - 1)

    def rank(self, codes: Codes) -> list[int]:
        """Position of each row in lexicographic order (last parameter fastest), as Python ints."""
        return [sum(int(c) * w for c, w in zip(row, self._weights, strict=True)) for row in self.check(codes)]

    def unrank(self, ranks: Any) -> Codes:
        """The designs (n, d) at lexicographic positions; inverse of ``rank``."""
        if self.size < RANK_LIMIT:
            rest = np.asarray(ranks, np.int64)
            out = np.empty((len(rest), len(self.names)), np.int64)
            for i in reversed(range(len(self.names))):
                rest, out[:, i] = np.divmod(rest, self.nvec[i])
            return out
        rows = []
        for rank in ranks:
            row = []
            for n in reversed(self.nvec.tolist()):
                rank, digit = divmod(int(rank), n)
                row.append(digit)
            rows.append(row[::-1])
        return np.array(rows, np.int64).reshape(-1, len(self.names))

    def keys(self, codes: Codes) -> npt.NDArray[Any]:
        """A hashable, sortable identity per row (n,): equal exactly where rows are equal.

        int64 in spaces below 2**62 designs, fixed-width bytes above.
        """
        if self.size < RANK_LIMIT:
            out = np.zeros(len(codes), np.int64)
            for i, weight in enumerate(self._weights):
                out += codes[:, i] * weight
            return out
        packed = np.ascontiguousarray(codes, ">u4")
        flat: npt.NDArray[Any] = packed.view(f"S{packed.shape[1] * 4}").ravel()
        return flat

    # ---- structure ---------------------------------------------------------------------

    def canonical(self, codes: Codes) -> Codes:
        """The representative (n, d) of each design: dead parameters at their first level. Idempotent."""
        out = self._canonical(np.array(self.check(codes)))
        return out if self._merge is None else self._merge(out)

    def _canonical(self, out: Codes) -> Codes:
        for i, conditions in enumerate(self._conditions[: out.shape[1]]):
            if conditions:
                active = np.logical_and.reduce([matters[out[:, j]] for j, matters in conditions])
                out[~active, i] = 0
        return out

    def is_allowed(self, codes: Codes) -> npt.NDArray[np.bool_]:
        """Whether each row (n,) satisfies every static rule, judged on canonical levels.

        Where a simulator merges designs the representative decides, so that equal designs are equally allowed
        (`mask` and `sample` know the rules alone, and may leave out designs that only their merging allows).
        """
        canonical = self.canonical(codes)
        ok = np.ones(len(canonical), np.bool_)
        for rule in self.allowed:
            ok &= rule.table[tuple(canonical[:, self._position[name]] for name in rule.parameters)]
        return ok

    def mask(self, prefix: Sequence[int] | npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """The levels of the next parameter from which an allowed design can still be completed.

        Args:
            prefix: codes of the first k parameters (k < d).

        Returns:
            bool (number of levels of parameter k,); all False if the prefix itself is a dead end. Exact.
        """
        k = len(prefix)
        if k >= len(self.names) or any(not 0 <= int(c) < n for c, n in zip(prefix, self.nvec, strict=False)):
            raise UsageError(f"mask: expected level indices of fewer than {len(self.names)} parameters, got {prefix}")
        canonical = self._canonical(np.asarray(prefix, np.int64).reshape(1, k).copy())[0]
        for i in range(k):
            bucket = self._buckets[i]
            if bucket is not None and bucket.row(canonical)[int(prefix[i])] == 0:
                return np.zeros(int(self.nvec[k]), np.bool_)
        here = self._buckets[k]
        return np.ones(int(self.nvec[k]), np.bool_) if here is None else here.row(canonical) > 0

    def masks(self, prefixes: Codes) -> npt.NDArray[np.bool_]:
        """``mask`` of many prefixes of one length at once.

        Args:
            prefixes: codes (n, k) of the first k parameters, k < d.

        Returns:
            bool (n, number of levels of parameter k). Exact.

        Raises:
            UsageError: no such prefixes.
        """
        prefixes = np.asarray(prefixes, np.int64)
        k = prefixes.shape[1] if prefixes.ndim == 2 else len(self.names)
        if k >= len(self.names) or (prefixes < 0).any() or (prefixes >= self.nvec[:k]).any():
            raise UsageError(
                f"masks: expected rows of level indices of fewer than {len(self.names)} parameters, "
                f"got {prefixes.shape} from {prefixes.min(initial=0)} to {prefixes.max(initial=0)}"
            )
        canonical = self._canonical(prefixes.copy())
        is_open = np.ones(len(prefixes), np.bool_)
        for i in range(k):
            bucket = self._buckets[i]
            if bucket is not None:
                is_open &= bucket.rows(canonical)[np.arange(len(prefixes)), prefixes[:, i]] > 0
        here = self._buckets[k]
        levels = np.ones((len(prefixes), int(self.nvec[k])), np.bool_) if here is None else here.rows(canonical) > 0
        return levels & is_open[:, None]

    def sample(self, n: int, rng: np.random.Generator) -> Codes:
        """``n`` designs (n, d) drawn uniformly from the allowed raw designs, with repetition."""
        if not self.allowed:
            return rng.integers(0, self.nvec, size=(n, len(self.names)), dtype=np.int64)
        out = np.zeros((n, len(self.names)), np.int64)
        canonical = out.copy()
        for i in range(len(self.names)):
            bucket = self._buckets[i]
            if bucket is None:
                out[:, i] = rng.integers(0, self.nvec[i], size=n)
            else:  # each level weighted by the number of allowed completions behind it
                cumulative = np.cumsum(bucket.rows(canonical), axis=1)
                draw = rng.random(n) * cumulative[:, -1]
                out[:, i] = (draw[:, None] >= cumulative).sum(axis=1)
            canonical[:, i] = out[:, i]
            canonical[:, : i + 1] = self._canonical(canonical[:, : i + 1])
        return out

    def enumerate(self, chunk: int = 65536) -> Iterator[Codes]:
        """All distinct canonical allowed designs in lexicographic order, in blocks of at most ``chunk``."""
        for start in range(0, self.size, chunk):
            codes = self.unrank(range(start, min(start + chunk, self.size)))
            keep = (self.canonical(codes) == codes).all(axis=1) & self.is_allowed(codes)
            if keep.any():
                yield codes[keep]

    def neighbours(self, code: npt.NDArray[np.int64]) -> Codes:
        """Allowed designs (k, d) one step away, distinct and canonical.

        One step moves an ordered parameter to an adjacent level or a categorical one to any other, or is one of the
        `moves`; these follow the others.
        """
        (origin,) = self.canonical(np.asarray(code)[None])
        rows = []
        for i, p in enumerate(self.parameters):
            here = int(origin[i])
            steps = (here - 1, here + 1) if p.ordered else range(len(p.levels))
            for level in steps:
                if level != here and 0 <= level < len(p.levels):
                    rows.append([*origin[:i], level, *origin[i + 1 :]])
        codes = np.array(rows, np.int64).reshape(-1, len(self.names))
        if self.moves is not None:
            codes = np.concatenate([codes, self.moves(origin)])
        codes = self.canonical(codes)
        codes = codes[self.is_allowed(codes) & (codes != origin).any(axis=1)]
        _, first = np.unique(self.keys(codes), return_index=True)
        unique: Codes = codes[np.sort(first)]
        return unique

    def restrict(self, levels: Mapping[str, Sequence[Level]]) -> DesignSpace:
        """The subspace in which some parameters keep only some of their levels, in the order given here.

        Raises:
            UsageError: an unknown parameter, a level it does not have, or nothing allowed remains.
        """
        kept: list[npt.NDArray[np.int64]] = []
        for name in levels:
            self[name]  # raises for an unknown one
        for p in self.parameters:
            wanted = levels.get(p.name, p.levels)
            wanted = wanted if isinstance(wanted, Sequence) and not isinstance(wanted, str) else [wanted]
            kept.append(np.array([p.index(v) for v in wanted], np.int64))
        parameters = [
            Parameter(**{**p.to_dict(), "levels": tuple(p.levels[i] for i in keep)})
            for p, keep in zip(self.parameters, kept, strict=True)
        ]
        self._keep_dead_levels(kept)
        rules = [self._restricted_rule(rule, kept) for rule in self.allowed]
        moves = self.moves
        if moves is not None:
            moves = functools.partial(_restricted_moves, moves, kept, list(map(_places, kept, self.nvec.tolist())))
        return DesignSpace(parameters, rules, moves=moves)

    def with_merge(self, merge: Callable[[Codes], Codes]) -> DesignSpace:
        """This space with a simulator's canonicalisation on top of its own."""
        other = copy.copy(self)  # the rules are eliminated already
        other._merge = merge
        return other

    # ---- exchange ----------------------------------------------------------------------

    def gym_space(self) -> gymnasium.spaces.MultiDiscrete:
        """The Gymnasium action space of level indices."""
        from gymnasium.spaces import MultiDiscrete

        return MultiDiscrete(self.nvec)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data, the inverse of ``from_dict``."""
        return {"parameters": [p.to_dict() for p in self.parameters], "allowed": self._rules_json()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> DesignSpace:
        """The space that ``to_dict`` described."""
        rules = [Rule(tuple(r["parameters"]), np.array(r["table"], np.bool_)) for r in data["allowed"]]
        return cls([Parameter(**p) for p in data["parameters"]], rules)

    def _rules_json(self) -> list[dict[str, Any]]:
        return [{"parameters": list(r.parameters), "table": r.table.tolist()} for r in self.allowed]

    # ---- construction ------------------------------------------------------------------

    def _keep_dead_levels(self, kept: list[npt.NDArray[np.int64]]) -> None:
        """A dead parameter counts as its first level; where other parameters look at that, it has to stay."""
        parents = {j for conditions in self._conditions for j, _ in conditions}
        for i in parents:
            if self._conditions[i] and kept[i][0] != 0:
                p = self.parameters[i]
                raise UsageError(
                    f"restrict: '{p.name}' must keep its first level {p.levels[0]} first, other parameters depend on it"
                )

    def _restricted_rule(self, rule: Rule, kept: list[npt.NDArray[np.int64]]) -> Rule:
        """The rule over the kept levels, and over what decides whether its parameters are dead at all."""
        scope = {self._position[name] for name in rule.parameters}
        while more := {j for i in scope for j, _ in self._conditions[i]} - scope:
            scope |= more
        order = sorted(scope)
        if all(kept[i][0] == 0 or not self._conditions[i] for i in order):
            return Rule(rule.parameters, rule.table[np.ix_(*(kept[self._position[n]] for n in rule.parameters))])
        shape = [len(kept[i]) for i in order]
        codes = np.zeros((math.prod(shape), len(self.names)), np.int64)
        for i, index in zip(order, np.indices(shape).reshape(len(order), -1), strict=True):
            codes[:, i] = kept[i][index]
        codes = self._canonical(codes)
        table = rule.table[tuple(codes[:, self._position[name]] for name in rule.parameters)]
        return Rule(tuple(self.names[i] for i in order), table.reshape(shape))

    def _condition(self, i: int) -> list[tuple[int, npt.NDArray[np.bool_]]]:
        p, out = self.parameters[i], []
        for name, levels in (p.active_when or {}).items():
            j = self._position.get(name)
            if j is None or j >= i:
                raise UsageError(f"parameter '{p.name}': active_when must name an earlier parameter, got '{name}'")
            # Levels that a restriction has removed simply never occur.
            out.append((j, np.array([level in levels for level in self.parameters[j].levels], np.bool_)))
        return out

    def _rule_factors(self) -> list[Factor]:
        factors = []
        for rule in self.allowed:
            for name in rule.parameters:
                self[name]
            scope = [self._position[name] for name in rule.parameters]
            expected = tuple(int(self.nvec[i]) for i in scope)
            if rule.table.shape != expected or len(set(scope)) != len(scope):
                raise UsageError(f"rule over {rule.parameters}: expected a table {expected}, got {rule.table.shape}")
            order = np.argsort(scope, kind="stable")
            factors.append(Factor(tuple(sorted(scope)), rule.table.transpose(order).astype(np.float64)))
        return factors


def _places(kept: npt.NDArray[np.int64], n: int) -> npt.NDArray[np.int64]:
    """Where each of n levels (n,) is among those that a subspace has kept; -1 where it is not."""
    place = np.full(n, -1, np.int64)
    place[kept] = np.arange(len(kept))
    return place


def _restricted_moves(
    moves: Callable[[Codes], Codes],
    kept: Sequence[npt.NDArray[np.int64]],
    places: Sequence[npt.NDArray[np.int64]],
    code: Codes,
) -> Codes:
    """The moves of a whole space, as far as they stay among the levels that a subspace has kept."""
    found = moves(np.array([levels[c] for levels, c in zip(kept, code, strict=True)], np.int64))
    lowered = np.stack([place[found[:, i]] for i, place in enumerate(places)], axis=1)
    return lowered[(lowered >= 0).all(axis=1)]


def _listed(values: Any) -> list[Any]:
    return values.tolist() if hasattr(values, "tolist") else list(values)


def _indices(p: Parameter, values: Sequence[Any]) -> list[int]:
    """Which level each value is; every distinct value is looked up once."""
    known: dict[tuple[type, Any], int] = {}
    out = []
    for value in map(_plain, values):
        key = (type(value), value if isinstance(value, Hashable) else None)  # True is not 1
        index = known.get(key)
        if index is None:
            index = known[key] = p.index(value)
        out.append(index)
    return out


def _plain(value: Any) -> Level:
    level: Level = value.item() if isinstance(value, np.generic) else value
    return level
