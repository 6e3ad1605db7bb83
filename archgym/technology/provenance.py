"""Every constant of this package with its unit, node, supply and source."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from archgym.technology import dram, macros, noc, scaling, sram, wires
from archgym.technology.tables import optional, table


@dataclass(frozen=True, slots=True)
class Constant:
    """One constant.

    Attributes:
        quantity: what it is.
        value: the number; for a summarised table its number of rows.
        unit: its unit.
        node_nm: technology node, nm; None where it has none.
        voltage_v: supply, V; None where it has none or the source does not state it.
        source: where it comes from; "assumption: ..." where no public source gives it.
    """

    quantity: str
    value: float
    unit: str
    node_nm: int | None
    voltage_v: float | None
    source: str


def provenance(*, full: bool = False) -> list[Constant]:
    """Every constant with its source; ``full`` lists the SRAM and scaling tables row by row too."""
    return [
        *_operations(),
        *_logic(),
        *_wires(),
        *_dram(),
        *_assumptions(),
        *(_table_rows() if full else _table_summaries()),
    ]


def _operations() -> Iterator[Constant]:
    for row in table("operations.csv"):
        name = f"{row['operation']} {row['bits']} bit"
        node, supply = int(row["node_nm"]), optional(row["voltage_v"])
        yield Constant(f"{name} energy", float(row["energy_pj"]), "pJ", node, supply, row["source"])
        if row["area_um2"]:
            yield Constant(f"{name} area", float(row["area_um2"]), "um2", node, None, row["area_source"])
        if row["leakage_mw"]:
            yield Constant(f"{name} leakage", float(row["leakage_mw"]), "mW", node, supply, row["source"])


def _logic() -> Iterator[Constant]:
    units = {"energy": "pJ", "area": "um2", "leakage": "mW"}
    for row in table("logic.csv"):
        for key, unit in units.items():
            value = optional(row[f"{key}_{unit.lower()}"])
            if value is not None:
                name = f"{row['circuit']} {row['bits']} bit {key}"
                yield Constant(name, value, unit, int(row["node_nm"]), None, row["source"])


def _wires() -> Iterator[Constant]:
    for row in table("wires.csv"):
        name = f"wire {row['bits']} bit x {row['length_mm']} mm, {row['activity']} {row['device']}".rstrip()
        supply = float(row["voltage_v"])
        yield Constant(name, float(row["energy_pj"]), "pJ", int(row["node_nm"]), supply, row["source"])


def _dram() -> Iterator[Constant]:
    for row in table("dram.csv"):
        supply = float(row["voltage_v"])
        for key in ("idd0", "idd2n", "idd3n", "idd4r", "idd4w", "idd5"):
            if row[f"{key}_ma"]:
                name = f"{row['device']} {row['rail']} {key.upper()}"
                yield Constant(name, float(row[f"{key}_ma"]), "mA", None, supply, row["source"])
        for key in ("t_ras", "t_rc", "t_rfc", "t_refi"):
            yield Constant(f"{row['device']} {key}", float(row[key]), "cycles", None, None, row["source"])
    for row in table("dram_energy.csv"):
        yield Constant(f"{row['kind']} energy", float(row["pj_per_bit"]), "pJ/bit", None, None, row["source"])


def _assumptions() -> Iterator[Constant]:
    for name, value, unit, why in (
        ("logic and register leakage scale", 1.0, "1", "a circuit leaks the same power at every node"),
        ("SRAM leakage scale", 1.0, "1", sram.LEAKAGE_ASSUMPTION),
        ("components per side", 1.0, "1", wires.SIDE_ASSUMPTION),
        ("rows of a register file that an access switches", 1.0, "1", macros.REGISTER_FILE_ASSUMPTION),
        ("clock gate of a register file row", 1.0, "register bits", macros.REGISTER_FILE_ASSUMPTION),
        ("counter steps of an access", 1.0, "1", macros.COUNTER_ASSUMPTION),
        ("narrowest adder of a counter", float(macros.NARROWEST_ADDER_BITS), "bits", macros.ADDER_ASSUMPTION),
        ("sides that an access to a banked SRAM travels", 1.0, "1", macros.BANK_ASSUMPTION),
        ("distance to a child over width plus height", 0.5, "1", noc.DISTANCE_ASSUMPTION),
        ("DRAM row hit share", dram.ROW_HIT_SHARE, "1", "tensors are streamed"),
        ("DRAM read share", dram.READ_SHARE, "1", "reads and writes weigh the same"),
        ("DDR driver", dram.DRIVER_OHM, "ohm", "RZQ/7"),
        ("DDR termination", dram.TERMINATION_OHM, "ohm", "RZQ/4, one rank"),
        (
            "HBM2 background power of a stack",
            dram.HBM2_BACKGROUND_W,
            "W",
            "about 8 channels x 1.2 V x 50 mA of active standby",
        ),
    ):
        yield Constant(name, value, unit, None, None, f"assumption: {why}")
    for node, like in scaling.STANDS_FOR.items():
        why = f"assumption: {node} nm data scale as the table's {like} nm"
        yield Constant(f"scaling node of {node} nm data", float(like), "nm", node, None, why)


def _table_summaries() -> Iterator[Constant]:
    for device in sram.devices():
        for node in sram.cacti_nodes(device):
            rows = [r for r in table("sram_cacti.csv") if (int(r["node_nm"]), r["device"]) == (node, device)]
            supply = sram.SUPPLY_V[device][node]
            yield Constant(f"SRAM macros {device}", float(len(rows)), "rows", node, supply, sram.SOURCE)
    rows_of_scaling = float(len(table("tech_scaling.csv")))
    yield Constant("node scaling factors", rows_of_scaling, "rows", None, 0.8, scaling.SOURCE)


def _table_rows() -> Iterator[Constant]:
    units = {"read_energy": "pJ", "write_energy": "pJ", "leakage": "mW", "gate_leakage": "mW", "area": "mm2"}
    for row in table("sram_cacti.csv"):
        node, device = int(row["node_nm"]), row["device"]
        for key, unit in units.items():
            name = f"SRAM {row['capacity_bytes']} B x {row['width_bits']} bit {device} {key}"
            value = float(row[f"{key}_{unit.lower()}"])
            yield Constant(name, value, unit, node, sram.SUPPLY_V[device][node], sram.SOURCE)
    for row in table("tech_scaling.csv"):
        step = f"{row['from_nm']} to {row['to_nm']} nm"
        node = int(row["to_nm"])
        yield Constant(f"area {step}", float(row["area_factor"]), "1", node, None, scaling.SOURCE)
        energy = float(row["energy_factor_same_vdd_0p8V"])
        yield Constant(f"energy {step}", energy, "1", node, 0.8, scaling.SOURCE)
