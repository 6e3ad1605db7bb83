"""Adjacent parameters taken together, so that one look-up serves several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from archgym.space import Codes

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Joint:
    """Parameters in g groups; the levels of a group are all combinations of those of its parameters.

    Attributes:
        first: (g + 1,) the first parameter of each group, and d.
        strides: (d,) what a level of each parameter counts for in its group.
        sizes: (g,) levels of each group.
    """

    first: Ints
    strides: Ints
    sizes: Ints

    @classmethod
    def of(cls, levels: Sequence[int], most: int) -> Joint:
        """Groups with at most so many levels, as far as single parameters have no more.

        Args:
            levels: (d,) of each parameter; d at least 1.
            most: levels of a group.
        """
        first, strides, sizes = [0], [1], [int(levels[0])]
        for k, n in enumerate(levels[1:], 1):
            if sizes[-1] * n <= most:
                strides.append(sizes[-1])
                sizes[-1] *= int(n)
            else:
                first.append(k)
                strides.append(1)
                sizes.append(int(n))
        return cls(np.array([*first, len(levels)]), np.array(strides), np.array(sizes))

    def __len__(self) -> int:
        return len(self.sizes)

    def places(self, codes: Codes) -> Ints:
        """Levels (g, n) of the groups that designs (n, d) have."""
        return np.add.reduceat((codes * self.strides).T, self.first[:-1], axis=0)
