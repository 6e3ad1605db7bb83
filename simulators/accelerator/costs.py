"""Prices of an accelerator's parts: energy per access, leakage and area, from ``archgym.technology``.

Register files, SRAM and smart buffers: ``technology.macros``; single registers: ``technology.registers``;
DRAM: ``technology.dram`` (energy per bit, peak bandwidth, background power as leakage, no area on the
chip); multiply-accumulate: ``technology.arithmetic`` and ``registers``; wires: ``technology.noc``. What a
file or caller states itself (``read_pj``, ``area_mm2``, ...) replaces the looked-up number; where everything
is stated, nothing is looked up. Control logic, clock trees, routers and white space have no model of their own:
a hardware may state the share that they take (``Technology``). Pads are left out.

Look-ups are cached: a search builds hardware by the thousand out of few different parts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

from archgym.errors import UsageError
from archgym.technology import arithmetic, dram, macros, noc, registers

from .levels import FanOut, Mac, MemoryLevel, Store
from .shapes import TENSORS

STATED = "stated in the hardware description"


@dataclass(frozen=True, slots=True)
class Technology:
    """What prices depend on besides the part itself.

    Attributes:
        node: nm.
        sram_device: CACTI device type.
        leakage_scale: multiplies looked-up leakage of everything on the chip.
        clock_mhz: for the bandwidth of DRAM in bits a cycle.
        control_area_share, layout_density, clock_power_share: see `Hardware`.
    """

    node: int
    sram_device: str
    leakage_scale: float
    clock_mhz: float
    control_area_share: float = 0.0
    layout_density: float = 1.0
    clock_power_share: float = 0.0

    @property
    def spread(self) -> float:
        """Core area over the area of the parts that are modelled."""
        return 1.0 / ((1.0 - self.control_area_share) * self.layout_density)

    @property
    def drive(self) -> float:
        """Switching energy on the chip over that of the parts that are modelled."""
        return 1.0 / (1.0 - self.clock_power_share)


@dataclass(frozen=True, slots=True)
class StoreCost:
    """One instance of a store.

    Attributes:
        read_pj, write_pj: one access of the full width, pJ.
        leakage_mw: static power, mW.
        area_mm2: area on the chip, mm2.
        read_bandwidth: bits a cycle, inf if it never limits.
        write_bandwidth: bits a cycle, -1 if reads and writes share the port.
        source: where the numbers come from.
    """

    read_pj: float
    write_pj: float
    leakage_mw: float
    area_mm2: float
    read_bandwidth: float
    write_bandwidth: float
    source: str


@dataclass(frozen=True, slots=True)
class LevelCost:
    """One instance of a level.

    Attributes:
        read_pj, write_pj: per element of W, I, O (0 where the tensor bypasses the level), pJ.
        leakage_mw: static power of its stores, mW.
        area_mm2: area of its stores, mm2.
        stores: the cost of each store.
    """

    read_pj: tuple[float, float, float]
    write_pj: tuple[float, float, float]
    leakage_mw: float
    area_mm2: float
    stores: tuple[StoreCost, ...]


@lru_cache(maxsize=65536)
def store_cost(store: Store, technology: Technology) -> StoreCost:
    """The price of ``store``.

    Raises:
        UsageError, UnknownNameError: the technology has no data for it (node, device, memory system).
    """
    stated = (store.read_pj, store.write_pj, store.leakage_mw, store.area_mm2)
    bandwidth = float(store.width_bits)
    if None not in stated:
        looked_up = (0.0, 0.0, 0.0, 0.0)
        source = STATED
        if store.memory and store.read_bandwidth is None:
            bandwidth = _bits_per_cycle(dram.memory_system(store.memory), technology.clock_mhz)
    elif store.kind == "dram":
        looked_up, bandwidth, source = _dram(store, technology)
    else:
        macro = _macro(store, technology)
        looked_up = (macro.read_pj, macro.write_pj, macro.leakage_mw, macro.area_mm2)
        source = macro.source
    read, write, leakage, area = (found if own is None else own for own, found in zip(stated, looked_up, strict=True))
    reading = bandwidth if store.read_bandwidth is None else store.read_bandwidth
    writing = reading if store.write_bandwidth is None else store.write_bandwidth
    return StoreCost(read, write, leakage, area, reading, -1.0 if store.has_one_port else writing, source)


def _macro(store: Store, technology: Technology) -> macros.Macro:
    node, device, leak = technology.node, technology.sram_device, technology.leakage_scale
    depth, width = store.depth or 1, store.width_bits
    if store.kind == "register":
        bit, bits = registers.register(node, leak), depth * width
        return macros.Macro(
            width * bit.read_pj, width * bit.write_pj, bits * bit.leakage_mw, bits * bit.area_um2 * 1e-6, bit.source
        )
    if store.kind == "regfile":
        return macros.register_file(depth, width, node, leak)
    if store.kind == "smartbuffer-regfile":
        return macros.smart_buffer(depth, width, "regfile", node, device, leak)
    banked = macros.banked_sram(depth, width, store.banks, node, device, leak)
    if store.kind == "sram":
        return banked
    plain = macros.sram_macro(depth, width, node, device, leak)
    smart = macros.smart_buffer(depth, width, "sram", node, device, leak)
    return macros.Macro(  # what the counters add does not depend on the banks
        banked.read_pj + smart.read_pj - plain.read_pj,
        banked.write_pj + smart.write_pj - plain.write_pj,
        banked.leakage_mw + smart.leakage_mw - plain.leakage_mw,
        banked.area_mm2 + smart.area_mm2 - plain.area_mm2,
        f"{banked.source}; {smart.source}" if store.banks > 1 else smart.source,
    )


def _dram(store: Store, technology: Technology) -> tuple[tuple[float, float, float, float], float, str]:
    """(read pJ, write pJ, background mW, area), bits a cycle and source of off-chip memory."""
    if not store.memory:  # then read_pj and read_bandwidth are there
        read = store.read_pj or 0.0
        return (read, read, 0.0, 0.0), math.inf, STATED
    system = dram.memory_system(store.memory)
    access = system.pj_per_bit * store.width_bits
    costs = (access, access, system.background_w * 1e3, 0.0)
    return costs, _bits_per_cycle(system, technology.clock_mhz), system.source


def _bits_per_cycle(system: dram.MemorySystem, clock_mhz: float) -> float:
    return system.bandwidth_gbps * 8e3 / clock_mhz


@lru_cache(maxsize=65536)
def level_cost(
    stores: tuple[Store, ...], word_bits: tuple[int, int, int], technology: Technology, where: str
) -> LevelCost:
    """The price of one instance of a level with ``stores``.

    An element of v costs word_bits[v] / width_bits of an access: elements are packed, and the rest of the
    vector belongs to other elements (fractional vectors).

    Raises:
        UsageError: a store has no price; the message starts with ``where``.
    """
    read, write = [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]
    found = []
    for i, store in enumerate(stores):
        try:
            cost = store_cost(store, technology)
        except UsageError as error:
            raise UsageError(f"{where}.stores[{i}]: {error}") from None
        found.append(cost)
        drive = 1.0 if store.kind == "dram" else technology.drive
        for v, tensor in enumerate(TENSORS):
            if tensor in store.tensors:
                read[v] = cost.read_pj * word_bits[v] / store.width_bits * drive
                write[v] = cost.write_pj * word_bits[v] / store.width_bits * drive
    leakage, area = sum(cost.leakage_mw for cost in found), sum(cost.area_mm2 for cost in found)
    return LevelCost((read[0], read[1], read[2]), (write[0], write[1], write[2]), leakage, area, tuple(found))


@lru_cache(maxsize=4096)
def mac_cost(mac: Mac, technology: Technology) -> arithmetic.Operation:
    """One multiplier with adder and pipeline: pJ a MAC, area in square micrometres, leakage in mW.

    Raises:
        UsageError: a width or node without data.
    """
    stated = (mac.energy_pj, mac.leakage_mw, mac.area_mm2)
    if None in stated:
        try:
            found = _pipelined(mac, technology)
        except UsageError as error:
            raise UsageError(f"mac: {error}") from None
    else:
        found = arithmetic.Operation(0.0, 0.0, 0.0, STATED)
    return arithmetic.Operation(
        (found.energy_pj if mac.energy_pj is None else mac.energy_pj) * technology.drive,
        found.area_um2 if mac.area_mm2 is None else mac.area_mm2 * 1e6,
        found.leakage_mw if mac.leakage_mw is None else mac.leakage_mw,
        found.source,
    )


def _pipelined(mac: Mac, technology: Technology) -> arithmetic.Operation:
    """Multiplier, adder, and the pipeline's flip-flops, each read and written once."""
    node, leak = technology.node, technology.leakage_scale
    bare = arithmetic.multiply_accumulate(mac.bits, mac.accumulator_bits, node, leak)
    if not mac.pipeline_bits:
        return bare
    bit = registers.register(node, leak)
    return arithmetic.Operation(
        bare.energy_pj + mac.pipeline_bits * (bit.read_pj + bit.write_pj),
        bare.area_um2 + mac.pipeline_bits * bit.area_um2,
        bare.leakage_mw + mac.pipeline_bits * bit.leakage_mw,
        f"{bare.source}; pipeline: {bit.source}",
    )


def wire_cost(fanout: FanOut, child_mm2: float, technology: Technology) -> tuple[float, float]:
    """(far, near) pJ per bit over a fan-out whose children's parts take ``child_mm2`` each (see ``technology.noc``).

    The wires span the children as they are laid out.
    """
    far, near = fanout.far_pj_per_bit, fanout.near_pj_per_bit
    if far is None or near is None:
        wires = noc.array_wires(fanout.x, fanout.y, child_mm2 * technology.spread, technology.node)
        far = wires.far_pj_per_bit if far is None else far
        near = wires.near_pj_per_bit if near is None else near
    return far * technology.drive, near * technology.drive


def child_areas(levels: tuple[MemoryLevel, ...], own: tuple[float, ...], mac_mm2: float) -> list[float]:
    """mm2 of one child of each fan-out: everything below it, stores of inner levels and multipliers.

    Args:
        levels: from the multipliers outwards.
        own: mm2 of the stores of one instance of each level.
        mac_mm2: mm2 of one multiplier.
    """
    areas, child = [], mac_mm2
    for level, stores in zip(levels, own, strict=True):
        areas.append(child)
        child = stores + level.fanout.children * child
    return areas
