"""Integer and floating-point operations by operand width, from published 45 nm rows.

Energies: Horowitz, ISSCC 2014 (45 nm, 0.9 V). Areas: Hennessy & Patterson, 6th edition, figure 1.13
(synthesis, TSMC 45 nm). Leakage: area times the leakage per area of a synthesised 40 nm multiplier
(Aladdin). Widths between two published rows are interpolated in log-log, which makes a multiplier
grow as bits^1.98 in energy; nothing is extrapolated.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from archgym.errors import UnknownNameError, UsageError
from archgym.technology.scaling import area_factor, energy_factor
from archgym.technology.tables import log_log, table

PUBLISHED_NODE = 45


@dataclass(frozen=True, slots=True)
class Operation:
    """Cost of one operator.

    Attributes:
        energy_pj: switching energy of one operation, pJ.
        area_um2: area of the operator, square micrometres.
        leakage_mw: static power of the operator, mW.
        source: where the numbers come from.
    """

    energy_pj: float
    area_um2: float
    leakage_mw: float
    source: str


@dataclass(frozen=True, slots=True)
class _Curve:
    bits: tuple[float, ...]
    energy_pj: tuple[float, ...]
    area_um2: tuple[float, ...]
    source: str


@cache
def _curves() -> dict[str, _Curve]:
    names = dict.fromkeys(row["operation"] for row in table("operations.csv") if row["use"] == "model")
    names.pop("register")
    curves = {}
    for name in names:
        rows = [r for r in table("operations.csv") if r["operation"] == name and r["use"] == "model"]
        rows.sort(key=lambda row: int(row["bits"]))
        curves[name] = _Curve(
            tuple(float(row["bits"]) for row in rows),
            tuple(float(row["energy_pj"]) for row in rows),
            tuple(float(row["area_um2"]) for row in rows),
            f"{rows[0]['source']}; area: {rows[0]['area_source']}",
        )
    return curves


@cache
def logic_leakage_mw_per_um2() -> float:
    """Leakage per area of synthesised logic, mW/um2 (Aladdin, 32-bit multiplier, 40 nm G library).

    Taken unscaled at 45 nm. A circuit is assumed to leak the same power at every node: no public
    source gives the trend of one library (``leakage_scale`` of the callers changes it).
    """
    (row,) = (row for row in table("operations.csv") if row["use"] == "leakage")
    return float(row["leakage_mw"]) / float(row["area_um2"])


def operation(name: str, bits: int, node: int = PUBLISHED_NODE, leakage_scale: float = 1.0) -> Operation:
    """One ``int_add``, ``int_mult``, ``fp_add`` or ``fp_mult`` with operands of ``bits`` at ``node`` nm.

    ``leakage_scale`` multiplies the leakage (no public source gives it per node: an assumption).
    """
    if name not in _curves():
        raise UnknownNameError("operation", name, _curves())
    curve = _curves()[name]
    low, high = int(curve.bits[0]), int(curve.bits[-1])
    if not low <= bits <= high:
        raise UsageError(f"{name} is published for {low} to {high} bits, got {bits!r}; nothing is extrapolated")
    energy = log_log(bits, curve.bits, curve.energy_pj) * energy_factor(PUBLISHED_NODE, node)
    area = log_log(bits, curve.bits, curve.area_um2)
    return Operation(
        energy,
        area * area_factor(PUBLISHED_NODE, node),
        area * logic_leakage_mw_per_um2() * leakage_scale,
        curve.source,
    )


def multiply_accumulate(
    bits: int, accumulator_bits: int = 32, node: int = PUBLISHED_NODE, leakage_scale: float = 1.0
) -> Operation:
    """An integer multiplier of ``bits`` x ``bits`` and an adder of ``accumulator_bits``, at ``node`` nm.

    45 nm, 0.9 V: Horowitz 2014 (8-bit: 0.2 pJ + 0.1 pJ with the default 32-bit accumulator). Operand
    and accumulator widths 8 to 32; between published widths log-log interpolation. Pipeline registers
    are not included: see ``registers``.
    """
    product = operation("int_mult", bits, node, leakage_scale)
    total = operation("int_add", accumulator_bits, node, leakage_scale)
    return Operation(
        product.energy_pj + total.energy_pj,
        product.area_um2 + total.area_um2,
        product.leakage_mw + total.leakage_mw,
        product.source,
    )
