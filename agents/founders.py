"""The first designs of a search: in the middle, then every level of every parameter about equally often."""

from __future__ import annotations

import numpy as np

from archgym.proxies.gaussian_process import Lattice
from archgym.space import Codes, DesignSpace

_PLANS = 40


def founders(space: DesignSpace, lattice: Lattice, n: int, rng: np.random.Generator) -> Codes:
    """``n`` designs (n, d), canonical and allowed, the first with the middle level of every parameter.

    The others are a Latin hypercube (M. McKay, R. Beckman, W. Conover, Technometrics 21(2), 1979): n - 1 designs
    divide every parameter's levels evenly, so that no level is overlooked. Of several the one whose closest two
    designs are farthest apart is taken (M. Johnson, L. Moore, D. Ylvisaker, Journal of Statistical Planning and
    Inference 26, 1990). Random designs replace those that the rules forbid.

    Args:
        space: of the designs.
        lattice: its distances.
        n: at least 1.
        rng: draws them.
    """
    middle = space.canonical(((space.nvec - 1) // 2)[None])
    plans = [space.canonical(_latin(space, n - 1, rng)) for _ in range(_PLANS if n > 1 else 1)]
    plan = max(plans, key=lambda codes: _closest(lattice, codes))
    out = np.concatenate([middle, plan])
    forbidden = ~space.is_allowed(out)
    out[forbidden] = space.canonical(space.sample(int(forbidden.sum()), rng))
    return out


def _latin(space: DesignSpace, n: int, rng: np.random.Generator) -> Codes:
    places = rng.permuted(np.tile(np.arange(n), (len(space), 1)), axis=1).T
    out = np.floor((places + rng.random((n, len(space)))) / max(n, 1) * space.nvec).astype(np.int64)
    return np.asarray(np.minimum(out, space.nvec - 1))


def _closest(lattice: Lattice, codes: Codes) -> float:
    """Summed distance of the levels of the two designs that are closest."""
    columns = np.arange(codes.shape[1])
    apart = lattice.distances[columns, codes[:, None], codes[None]].sum(axis=2)
    return float(apart[np.triu_indices(len(codes), 1)].min(initial=np.inf))
