"""Memory macros behind one interface: register files, plain, address-generating and banked SRAM.

Every function returns a ``Macro``: energy per access of the full width, leakage and area. What each is
made of:

- ``register_file``: flip-flops, a tree of two-way multiplexers to read, a decoder and one clock gate a row
  to write, and wires across the array (assumptions: ``REGISTER_FILE_ASSUMPTION``);
- ``sram_macro``: the table of ``sram``;
- ``smart_buffer``: one of the two and an address counter (adder and register) for each port;
- ``banked_sram``: smaller SRAM macros, a multiplexer between them and wires across them.

A caller may look them up by the thousand: results are cached.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from archgym.errors import UnknownNameError
from archgym.technology.arithmetic import operation
from archgym.technology.logic import gate2, mux2
from archgym.technology.registers import register
from archgym.technology.sram import sram
from archgym.technology.tables import whole
from archgym.technology.wires import side_mm, wire

LARGEST_REGISTER_FILE_DEPTH = 65536

NARROWEST_ADDER_BITS = 8
ADDER_ASSUMPTION = "adders are published for 8 bits and more; a narrower counter takes the 8-bit adder"

BUFFER_KINDS = ("sram", "regfile")

REGISTER_FILE_ASSUMPTION = (
    "a read switches the multiplexers on the path of the selected row alone; a write clocks the written row "
    "alone, through a clock gate that costs as much as one register bit, and switches one decoder path off and "
    "one on; data and address travel one side of the array; the load of the other rows on the write data is not counted"
)

BANK_ASSUMPTION = (
    "data and address travel one side of the square that all banks fill; one bank is accessed at a time, all leak"
)

COUNTER_ASSUMPTION = "an access steps the counter of its port once: one addition and one register write"


@dataclass(frozen=True, slots=True)
class Macro:
    """Cost of one memory macro.

    Attributes:
        read_pj: energy of one read of the full width, pJ.
        write_pj: energy of one write of the full width, pJ.
        leakage_mw: static power, mW.
        area_mm2: area, mm2.
        source: where the numbers come from.
    """

    read_pj: float
    write_pj: float
    leakage_mw: float
    area_mm2: float
    source: str


def register_file(depth: int, width_bits: int, node: int = 45, leakage_scale: float = 1.0) -> Macro:
    """``depth`` rows of ``width_bits`` flip-flops at ``node`` nm, one read and one write port.

    Reading costs the register's own read, ceil(log2(depth)) multiplexers a bit and the wire across the
    array; see ``REGISTER_FILE_ASSUMPTION``. ``depth`` is 1 to 65536. Every figure grows with depth and
    with width. ``leakage_scale`` multiplies the leakage. Other depths, widths below 1 and unknown nodes
    raise UsageError.
    """
    depth = whole("depth", depth, LARGEST_REGISTER_FILE_DEPTH)
    return _register_file(depth, whole("width_bits", width_bits), node, leakage_scale)


@lru_cache(maxsize=65536)
def _register_file(depth: int, width: int, node: int, leakage_scale: float) -> Macro:
    bit, mux, gate = register(node, leakage_scale), mux2(node, leakage_scale), gate2(node, leakage_scale)
    address = address_bits(depth)
    # One clock gate a row beside its bits; a tree of two-input gates decodes n rows with 2 (n - 1) of them.
    bits, muxes, gates = depth * (width + 1), (depth - 1) * width, 2 * (depth - 1)
    area_mm2 = (bits * bit.area_um2 + muxes * mux.area_um2 + gates * gate.area_um2) * 1e-6
    wires_pj = (width + address) * side_mm(area_mm2) * wire(node).pj_per_bit_mm
    return Macro(
        read_pj=width * (bit.read_pj + address * mux.energy_pj) + wires_pj,
        write_pj=(width + 1) * bit.write_pj + 2 * address * gate.energy_pj + wires_pj,
        leakage_mw=bits * bit.leakage_mw + muxes * mux.leakage_mw + gates * gate.leakage_mw,
        area_mm2=area_mm2,
        source=f"register, shifter and bitwise operator: {bit.source}; wires: {wire(node).source}",
    )


def sram_macro(
    depth: int, width_bits: int, node: int = 45, device: str = "itrs-lop", leakage_scale: float = 1.0
) -> Macro:
    """Plain SRAM of ``depth`` words of ``width_bits``: ceil(depth x width / 8) bytes of the table of ``sram``.

    Beyond the largest macro of the table ``sram`` joins several without wires between them. Energy, area
    and leakage never fall with depth except where the table does (see ``sram``). Raises UsageError below 1
    word or bit and for an unknown node, UnknownNameError for the device.
    """
    return _sram_macro(whole("depth", depth), whole("width_bits", width_bits), node, device, leakage_scale)


@lru_cache(maxsize=65536)
def _sram_macro(depth: int, width: int, node: int, device: str, leakage_scale: float) -> Macro:
    found = sram(-(-depth * width // 8), width, node, device, leakage_scale)
    return Macro(found.read_pj, found.write_pj, found.leakage_mw, found.area_mm2, found.source)


def smart_buffer(
    depth: int,
    width_bits: int,
    kind: str = "sram",
    node: int = 45,
    device: str = "itrs-lop",
    leakage_scale: float = 1.0,
) -> Macro:
    """A buffer that generates its addresses: the storage, a read counter and a write counter.

    ``kind`` is "sram" (``sram_macro``) or "regfile" (``register_file``; ``device`` means nothing then). A
    counter is an adder and a register of ceil(log2(depth)) bits, no narrower than 8 bits for the adder
    (``NARROWEST_ADDER_BITS``); a read steps the read counter, a write the write counter. A depth of 1
    needs no address. Raises what the storage raises and UnknownNameError for the kind.
    """
    if kind not in BUFFER_KINDS:
        raise UnknownNameError("kind of buffer", kind, BUFFER_KINDS)
    if kind == "regfile":
        storage = register_file(depth, width_bits, node, leakage_scale)
    else:
        storage = sram_macro(depth, width_bits, node, device, leakage_scale)
    return _with_counters(storage, int(depth), node, leakage_scale)


@lru_cache(maxsize=65536)
def _with_counters(storage: Macro, depth: int, node: int, leakage_scale: float) -> Macro:
    address = address_bits(depth)
    if address == 0:
        return storage
    adder, bit = (
        operation("int_add", max(address, NARROWEST_ADDER_BITS), node, leakage_scale),
        register(node, leakage_scale),
    )
    step_pj = adder.energy_pj + address * bit.write_pj
    return Macro(
        storage.read_pj + step_pj,
        storage.write_pj + step_pj,
        storage.leakage_mw + 2 * (adder.leakage_mw + address * bit.leakage_mw),
        storage.area_mm2 + 2 * (adder.area_um2 + address * bit.area_um2) * 1e-6,
        f"{storage.source}; counters: {adder.source}; {bit.source}",
    )


def banked_sram(
    depth: int,
    width_bits: int,
    banks: int = 1,
    node: int = 45,
    device: str = "itrs-lop",
    leakage_scale: float = 1.0,
) -> Macro:
    """SRAM of ``depth`` words as ``banks`` equal macros of ceil(depth / banks) words behind one port.

    An access goes to one bank, through ceil(log2(banks)) multiplexers a bit when it reads, and over a wire
    (``BANK_ASSUMPTION``). More banks make the access inside the bank cheaper and the wires, area and
    leakage larger. One bank is ``sram_macro``. Raises what ``sram_macro`` raises and UsageError for more
    banks than words.
    """
    depth, width = whole("depth", depth), whole("width_bits", width_bits)
    banks = whole("banks", banks, depth)
    return _banked_sram(depth, width, banks, node, device, leakage_scale)


@lru_cache(maxsize=65536)
def _banked_sram(depth: int, width: int, banks: int, node: int, device: str, leakage_scale: float) -> Macro:
    words = -(-depth // banks)
    bank = _sram_macro(words, width, node, device, leakage_scale)
    if banks == 1:
        return bank
    mux, gate = mux2(node, leakage_scale), gate2(node, leakage_scale)
    muxes, gates = (banks - 1) * width, 2 * (banks - 1)
    area_mm2 = banks * bank.area_mm2 + (muxes * mux.area_um2 + gates * gate.area_um2) * 1e-6
    select = address_bits(banks)
    wires_pj = (width + address_bits(words)) * side_mm(area_mm2) * wire(node).pj_per_bit_mm
    shared_pj = wires_pj + 2 * select * gate.energy_pj
    return Macro(
        read_pj=bank.read_pj + shared_pj + width * select * mux.energy_pj,
        write_pj=bank.write_pj + shared_pj,
        leakage_mw=banks * bank.leakage_mw + muxes * mux.leakage_mw + gates * gate.leakage_mw,
        area_mm2=area_mm2,
        source=f"{bank.source}; between banks: {mux.source}; wires: {wire(node).source}",
    )


def address_bits(depth: int) -> int:
    """ceil(log2(depth)): the bits that tell ``depth`` words apart."""
    return (depth - 1).bit_length()
