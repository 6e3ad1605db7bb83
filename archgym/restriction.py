"""A design space with fewer levels than another, or its levels in another order: codes of one as codes of the other."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from archgym.space import Codes, DesignSpace


class Restriction:
    """Codes there and back.

    Args:
        full: the whole space.
        kept: some of the levels of each of its parameters.
    """

    def __init__(self, full: DesignSpace, kept: DesignSpace) -> None:
        self.full, self.kept = full, kept
        self._lift = [
            np.array([whole.index(level) for level in some.levels], np.int64)
            for whole, some in zip(full.parameters, kept.parameters, strict=True)
        ]
        self._lower = [np.full(len(p.levels), -1, np.int64) for p in full.parameters]
        for lower, lift in zip(self._lower, self._lift, strict=True):
            lower[lift] = np.arange(len(lift))

    def lift(self, codes: Codes) -> Codes:
        """Codes (n, d) of ``kept`` as codes of ``full``."""
        full = np.empty(codes.shape, np.int64)
        for i, levels in enumerate(self._lift):
            full[:, i] = levels[codes[:, i]]
        return full

    def lower(self, full: Codes) -> Codes:
        """Codes (n, d) of ``full`` as codes of ``kept``; -1 for levels that it does not have."""
        codes = np.empty(full.shape, np.int64)
        for i, levels in enumerate(self._lower):
            codes[:, i] = levels[full[:, i]]
        return codes

    def merge(self, codes: Codes, canonical: Callable[[Codes], Codes]) -> Codes:
        """Designs (n, d) of ``kept`` merged by a rule for ``full``, where the result is in ``kept``."""
        lowered = self.lower(canonical(self.lift(codes)))
        inside = np.all(lowered >= 0, axis=1)
        return self.kept.canonical(np.where(inside[:, None], lowered, codes))
