"""Named landscapes, each small enough to enumerate; and the programs of the BOOM table."""

from __future__ import annotations

from archgym.landscape import Landscape, Programs


def syn_ridge() -> Landscape:
    """2,097,152 designs around a narrow diagonal ridge."""
    return Landscape("syn-ridge", "ridge", parameters=7, levels=8)


def syn_trap() -> Landscape:
    """262,144 designs in three blocks whose slope leads away from the optimum."""
    return Landscape("syn-trap", "trap", parameters=9, levels=4, degree=3)


def syn_nk() -> Landscape:
    """1,679,616 categorical designs; every parameter interacts with two others."""
    return Landscape("syn-nk", "nk", parameters=8, levels=6)


def syn_knapsack() -> Landscape:
    """1,048,576 designs, most of which break a capacity; the optimum lies on its border."""
    return Landscape("syn-knapsack", "knapsack", parameters=10, levels=4)


def boom_programs() -> Programs:
    """What the table of BOOM configurations was measured on; its authors do not say more."""
    return Programs("boom-programs", "ICCAD 2022 CAD contest, problem C; iccad-contest 0.1.3 (Apache-2.0)")
