"""Memory systems: peak bandwidth, energy per bit and background power.

DDR3, DDR4 and LPDDR4 are derived from datasheet currents (``from_idd``); HBM2, whose currents are not
public, takes a published figure. Energies cover the DRAM devices and their channel, not the memory
controller and its PHY logic.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from archgym.errors import UnknownNameError, UsageError
from archgym.technology.tables import optional, table

ROW_HIT_SHARE = 0.9
"""Assumption: share of bursts that find their row open (tensors are streamed)."""

READ_SHARE = 0.5
"""Assumption: share of bursts that are reads (both directions weigh the same)."""

DRIVER_OHM = 34.0
"""Assumption: output driver of DDR3/DDR4, ohm (RZQ/7 of 240 ohm)."""

TERMINATION_OHM = 60.0
"""Assumption: on-die termination of DDR3/DDR4, ohm (RZQ/4 of 240 ohm), one rank."""

HBM2_BACKGROUND_W = 0.5
"""Assumption: background power of an HBM2 stack, W (about 8 channels at 1.2 V x 50 mA of active standby)."""


@dataclass(frozen=True, slots=True)
class Rail:
    """Datasheet currents of one supply rail of one device.

    Attributes:
        name: rail; ``io`` feeds the output drivers.
        voltage_v: supply, V.
        idd0_ma, idd2n_ma, idd3n_ma, idd4r_ma, idd4w_ma: one-bank activate-precharge, precharged
            standby, active standby, burst read and burst write current, mA (JEDEC definitions).
        idd5_ma: current while refreshing, mA; None if not given (then refresh adds nothing).
        source: where the currents come from.
    """

    name: str
    voltage_v: float
    idd0_ma: float
    idd2n_ma: float
    idd3n_ma: float
    idd4r_ma: float
    idd4w_ma: float
    idd5_ma: float | None
    source: str


@dataclass(frozen=True, slots=True)
class Device:
    """One DRAM device: rails, width in bits, burst length, rate and timings in clock cycles."""

    name: str
    rails: tuple[Rail, ...]
    width_bits: int
    burst_length: int
    transfers_mtps: float
    t_ras: int
    t_rc: int
    t_rfc: int
    t_refi: int

    @property
    def clock_ns(self) -> float:
        """Period of the command clock, ns: two transfers."""
        return 2000.0 / self.transfers_mtps

    @property
    def burst_bits(self) -> int:
        """Bits of one burst."""
        return self.width_bits * self.burst_length


@dataclass(frozen=True, slots=True)
class MemorySystem:
    """A main memory as an accelerator sees it.

    Attributes:
        name: for example "LPDDR4-3200 2x32" (two channels of 32 bits).
        bandwidth_gbps: peak bandwidth, GB/s (1e9 bytes a second): transfers a second x width.
        core_pj_per_bit: column access inside the devices, pJ/bit.
        activation_pj_per_bit: share of row activations, pJ/bit.
        io_pj_per_bit: output drivers and termination, pJ/bit.
        background_w: power drawn without any access, W (standby with open rows, and refresh).
        source: where the numbers come from.
        assumptions: what no source gives, in words with its value.
    """

    name: str
    bandwidth_gbps: float
    core_pj_per_bit: float
    activation_pj_per_bit: float
    io_pj_per_bit: float
    background_w: float
    source: str
    assumptions: tuple[str, ...]

    @property
    def pj_per_bit(self) -> float:
        """Energy of one bit read or written, pJ: core, activation and I/O."""
        return self.core_pj_per_bit + self.activation_pj_per_bit + self.io_pj_per_bit


@cache
def devices() -> dict[str, Device]:
    """The devices of dram.csv by name."""
    found: dict[str, Device] = {}
    for row in table("dram.csv"):
        name = row["device"]
        before = found[name].rails if name in found else ()
        found[name] = Device(
            name=name,
            rails=(*before, _rail(row)),
            width_bits=int(row["width_bits"]),
            burst_length=int(row["burst_length"]),
            transfers_mtps=float(row["transfers_mtps"]),
            t_ras=int(row["t_ras"]),
            t_rc=int(row["t_rc"]),
            t_rfc=int(row["t_rfc"]),
            t_refi=int(row["t_refi"]),
        )
    return found


def _rail(row: Mapping[str, str]) -> Rail:
    return Rail(
        name=row["rail"],
        voltage_v=float(row["voltage_v"]),
        idd0_ma=float(row["idd0_ma"]),
        idd2n_ma=float(row["idd2n_ma"]),
        idd3n_ma=float(row["idd3n_ma"]),
        idd4r_ma=float(row["idd4r_ma"]),
        idd4w_ma=float(row["idd4w_ma"]),
        idd5_ma=optional(row["idd5_ma"]),
        source=row["source"],
    )


def burst_pj_per_bit(device: Device, rails: Sequence[Rail], read_share: float = READ_SHARE) -> float:
    """Energy of a burst on ``rails`` above active standby, pJ/bit.

    (IDD4R - IDD3N) x V x burst time / burst bits for reads, IDD4W for writes, weighted by ``read_share``.
    mA x V x ns = pJ.
    """
    above = sum((read_share * r.idd4r_ma + (1.0 - read_share) * r.idd4w_ma - r.idd3n_ma) * r.voltage_v for r in rails)
    return above * (device.burst_length / 2.0) * device.clock_ns / device.burst_bits


def activation_pj(device: Device) -> float:
    """Energy of one activate-precharge pair above standby, pJ.

    (IDD0 x tRC - IDD3N x tRAS - IDD2N x (tRC - tRAS)) x V, all rails.
    """
    charge = sum(
        (r.idd0_ma * device.t_rc - r.idd3n_ma * device.t_ras - r.idd2n_ma * (device.t_rc - device.t_ras)) * r.voltage_v
        for r in device.rails
    )
    return charge * device.clock_ns


def background_mw(device: Device) -> float:
    """Standby with open rows plus refresh, mW of one device.

    IDD3N x V + (IDD5 - IDD3N) x V x tRFC / tREFI, all rails.
    """
    share = device.t_rfc / device.t_refi
    return sum(
        r.voltage_v * (r.idd3n_ma + (0.0 if r.idd5_ma is None else (r.idd5_ma - r.idd3n_ma) * share))
        for r in device.rails
    )


def termination_pj_per_bit(
    voltage_v: float,
    transfers_mtps: float,
    *,
    split: bool,
    driver_ohm: float = DRIVER_OHM,
    termination_ohm: float = TERMINATION_OHM,
) -> float:
    """Static power of driver and termination at both ends of an 8-bit lane with its strobe pair, pJ/bit.

    ``split``: DDR3 (two resistors of twice ``termination_ohm``, to supply and ground: both levels draw the
    same current); otherwise DDR4 (one resistor to the supply: only the low level draws current, half of
    the time on data, always on one wire of the strobe pair). Ohm's law; the switched capacitance of the
    lane is not included.
    """
    if split:
        leg = 2.0 * termination_ohm
        driven_leg = leg * driver_ohm / (leg + driver_ohm)
        low_mw = high_mw = 1e3 * voltage_v**2 / (leg + driven_leg)
    else:
        low_mw, high_mw = 1e3 * voltage_v**2 / (driver_ohm + termination_ohm), 0.0
    lane_mw = (8 + 2) * (low_mw + high_mw) / 2.0
    return lane_mw * 1e3 / (8.0 * transfers_mtps)


def from_idd(
    name: str,
    device: Device,
    channels: int,
    devices_per_channel: int,
    *,
    row_hit_share: float = ROW_HIT_SHARE,
    read_share: float = READ_SHARE,
    driver_ohm: float = DRIVER_OHM,
    termination_ohm: float = TERMINATION_OHM,
) -> MemorySystem:
    """A memory system of equal devices from their currents.

    Core: ``burst_pj_per_bit`` on the core rails. Activation: ``activation_pj`` once for every burst that
    misses its row. I/O: the ``io`` rail where the currents include one (LPDDR4: the device's drivers, not
    the controller's), else ``termination_pj_per_bit`` (DDR3 and DDR4 currents exclude the drivers).
    Background: ``background_mw`` of all devices.
    """
    for what, share in (("row_hit_share", row_hit_share), ("read_share", read_share)):
        if not 0.0 <= share <= 1.0:
            raise UsageError(f"{what} must be between 0 and 1, got {share!r}")
    io_rails = [rail for rail in device.rails if rail.name == "io"]
    core = burst_pj_per_bit(device, [rail for rail in device.rails if rail.name != "io"], read_share)
    assumptions = [f"row hits {row_hit_share:g} of bursts", f"reads {read_share:g} of bursts"]
    if io_rails:
        io = burst_pj_per_bit(device, io_rails, read_share)
    else:
        split = device.name.startswith("DDR3")
        io = termination_pj_per_bit(
            device.rails[0].voltage_v,
            device.transfers_mtps,
            split=split,
            driver_ohm=driver_ohm,
            termination_ohm=termination_ohm,
        )
        assumptions.append(f"I/O: {driver_ohm:g} ohm drivers, {termination_ohm:g} ohm termination, one rank")
    count = channels * devices_per_channel
    return MemorySystem(
        name=name,
        bandwidth_gbps=count * device.width_bits * device.transfers_mtps / 8000.0,
        core_pj_per_bit=core,
        activation_pj_per_bit=(1.0 - row_hit_share) * activation_pj(device) / device.burst_bits,
        io_pj_per_bit=io,
        background_w=count * background_mw(device) / 1000.0,
        source=device.rails[0].source,
        assumptions=tuple(assumptions),
    )


def _hbm2(name: str, stacks: int, stack_background_w: float) -> MemorySystem:
    """HBM2: 1024 bits at 2 Gb/s a stack (JESD235A); the published energy is the total, all in the core."""
    (row,) = (row for row in table("dram_energy.csv") if row["kind"] == "HBM2")
    return MemorySystem(
        name=name,
        bandwidth_gbps=stacks * 256.0,
        core_pj_per_bit=float(row["pj_per_bit"]),
        activation_pj_per_bit=0.0,
        io_pj_per_bit=0.0,
        background_w=stacks * stack_background_w,
        source=row["source"],
        assumptions=(
            f"background {stack_background_w:g} W a stack",
            "the published total includes activation and I/O at an unstated mix",
        ),
    )


# name -> (device, channels, devices side by side in a channel)
_FROM_IDD: dict[str, tuple[str, int, int]] = {
    "DDR3-1600 x64": ("DDR3-1600 x8 1Gb", 1, 8),
    "DDR4-2400 x64": ("DDR4-2400 x8 8Gb", 1, 8),
    "DDR4-2400 2x64": ("DDR4-2400 x8 8Gb", 2, 8),
    "DDR4-3200 x64": ("DDR4-3200 x8 8Gb", 1, 8),
    "DDR4-3200 2x64": ("DDR4-3200 x8 8Gb", 2, 8),
    "LPDDR4-3200 x16": ("LPDDR4-3200 x16 8Gb", 1, 1),
    "LPDDR4-3200 x32": ("LPDDR4-3200 x16 8Gb", 1, 2),
    "LPDDR4-3200 2x32": ("LPDDR4-3200 x16 8Gb", 2, 2),
    "LPDDR4-3200 4x32": ("LPDDR4-3200 x16 8Gb", 4, 2),
}
_HBM2_STACKS = {"HBM2 1 stack": 1, "HBM2 2 stacks": 2, "HBM2 4 stacks": 4}


def memory_systems() -> tuple[str, ...]:
    """The names that ``memory_system`` knows, in order of standard and bandwidth."""
    return (*_FROM_IDD, *_HBM2_STACKS)


@cache
def memory_system(
    name: str,
    *,
    row_hit_share: float = ROW_HIT_SHARE,
    read_share: float = READ_SHARE,
    driver_ohm: float = DRIVER_OHM,
    termination_ohm: float = TERMINATION_OHM,
    hbm2_background_w: float = HBM2_BACKGROUND_W,
) -> MemorySystem:
    """The builtin memory system ``name``; the keywords are the assumptions (HBM2 uses only its own)."""
    if name in _HBM2_STACKS:
        return _hbm2(name, _HBM2_STACKS[name], hbm2_background_w)
    if name not in _FROM_IDD:
        raise UnknownNameError("memory system", name, memory_systems())
    device, channels, devices_per_channel = _FROM_IDD[name]
    return from_idd(
        name,
        devices()[device],
        channels,
        devices_per_channel,
        row_hit_share=row_hit_share,
        read_share=read_share,
        driver_ohm=driver_ohm,
        termination_ohm=termination_ohm,
    )
