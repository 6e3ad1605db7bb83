"""Never ask twice: the set of canonical designs already asked or told."""

from __future__ import annotations

from typing import Any

import numpy as np

from archgym.space import Codes, DesignSpace

_TRIES = 20


class Unseen:
    """Remembers designs and filters proposals down to new ones.

    Args:
        space: whose canonical designs count as distinct.
    """

    def __init__(self, space: DesignSpace) -> None:
        self._space = space
        self._keys: set[Any] = set()
        self._blocks = space.enumerate()
        self._none = self._block = np.empty((0, len(space)), np.int64)

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, codes: Codes) -> Codes:
        """Remember designs (n, d); returned in their canonical form."""
        canonical = self._space.canonical(codes)
        self._keys.update(self._space.keys(canonical).tolist())
        return canonical

    def fresh(self, codes: Codes, known: Codes | None = None) -> Codes:
        """The new, allowed, canonical designs (k, d) among ``codes``, each once and none of the canonical ``known``.

        They are not remembered yet.
        """
        codes = self._space.canonical(codes)
        barred = set() if known is None else set(self._space.keys(known).tolist())
        first: dict[Any, int] = {}
        for i, key in enumerate(self._space.keys(codes).tolist()):
            if key not in self._keys and key not in barred:
                first.setdefault(key, i)
        codes = codes[list(first.values())]
        return codes[self._space.is_allowed(codes)] if self._space.allowed else codes

    def claim(self, codes: Codes, n: int) -> Codes:
        """The first ``n`` new, allowed, canonical designs among ``codes``; they are remembered at once."""
        codes = self._space.canonical(codes)
        if self._space.allowed:
            codes = codes[self._space.is_allowed(codes)]
        rows: list[int] = []
        for i, key in enumerate(self._space.keys(codes).tolist()):
            if len(rows) == n:
                break
            if key not in self._keys:
                self._keys.add(key)
                rows.append(i)
        return codes[rows]

    def draw(self, n: int, rng: np.random.Generator) -> Codes:
        """``n`` new designs (k, d), drawn uniformly; fewer only when the space runs out.

        Where random draws keep hitting known designs, the remaining ones follow in enumeration order.
        """
        if n == 0:
            return self._none
        parts = [self.claim(self._space.sample(n, rng), n)]
        for _ in range(_TRIES):
            missing = n - sum(map(len, parts))
            if missing == 0:
                return np.concatenate(parts)
            parts.append(self.claim(self._space.sample(4 * missing, rng), missing))
        parts.append(self._in_order(n - sum(map(len, parts))))
        return np.concatenate(parts)

    def _in_order(self, n: int) -> Codes:
        parts = [self.claim(self._block, n)]
        while (missing := n - sum(map(len, parts))) > 0:
            block = next(self._blocks, None)
            if block is None:
                break
            self._block = block
            parts.append(self.claim(block, missing))
        return np.concatenate(parts)
