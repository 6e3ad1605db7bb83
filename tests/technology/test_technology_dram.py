"""Memory systems: derivation by hand and plausibility."""

import dataclasses

import pytest

from archgym.errors import UsageError
from archgym.technology.dram import (
    activation_pj,
    background_mw,
    devices,
    memory_system,
    memory_systems,
    termination_pj_per_bit,
)
from archgym.technology.tables import table

BANDWIDTH = {
    "DDR3-1600 x64": 12.8,
    "DDR4-2400 x64": 19.2,
    "DDR4-2400 2x64": 38.4,
    "DDR4-3200 x64": 25.6,
    "DDR4-3200 2x64": 51.2,
    "LPDDR4-3200 x16": 6.4,
    "LPDDR4-3200 x32": 12.8,
    "LPDDR4-3200 2x32": 25.6,
    "LPDDR4-3200 4x32": 51.2,
    "HBM2 1 stack": 256.0,
    "HBM2 2 stacks": 512.0,
    "HBM2 4 stacks": 1024.0,
}
PLAUSIBLE = {"DDR3": (15, 45), "DDR4": (8, 25), "LPDDR4": (4, 8), "HBM2": (4, 7)}


def test_bandwidth_is_rate_times_width() -> None:
    assert {name: memory_system(name).bandwidth_gbps for name in memory_systems()} == BANDWIDTH


@pytest.mark.parametrize("name", memory_systems())
def test_plausible(name: str) -> None:
    system = memory_system(name)
    low, high = PLAUSIBLE[name.split("-")[0].split(" ")[0]]
    assert low < system.pj_per_bit < high
    # At full bandwidth the background is a share of the access power, not a multiple.
    access_w = system.pj_per_bit * system.bandwidth_gbps * 8e-3
    assert 0 < system.background_w < access_w
    assert system.source
    assert system.assumptions


def test_ddr4_2400_by_hand() -> None:
    system = memory_system("DDR4-2400 x64", row_hit_share=0.75, read_share=1.0)
    clock = 1 / 1.2  # ns
    # The pump rail draws 3 mA in every state: it adds to the background alone.
    assert system.core_pj_per_bit == pytest.approx((135 - 43) * 1.2 * 4 * clock / 64)
    activation = (48 * 56 - 43 * 39 - 34 * 17) * 1.2 * clock
    assert activation_pj(devices()["DDR4-2400 x8 8Gb"]) == pytest.approx(activation)
    assert system.activation_pj_per_bit == pytest.approx(0.25 * activation / 64)
    device_mw = 43 * 1.2 + (250 - 43) * 1.2 * 420 / 9360 + 3 * 2.5
    assert background_mw(devices()["DDR4-2400 x8 8Gb"]) == pytest.approx(device_mw)
    assert system.background_w == pytest.approx(8 * device_mw / 1000)


def test_lpddr4_io_comes_from_its_rail() -> None:
    system = memory_system("LPDDR4-3200 x32", read_share=1.0)
    assert system.io_pj_per_bit == pytest.approx((150 - 0.75) * 1.1 * 8 * 0.625 / 256)
    assert system.core_pj_per_bit == pytest.approx((275 - 30) * 1.1 * 8 * 0.625 / 256)
    assert memory_system("LPDDR4-3200 x32", driver_ohm=1.0) != system


def test_termination_by_hand() -> None:
    # 1.2 V over 94 ohm is 15.3 mW on a low wire; 8 data wires low half of the time, one strobe always.
    mw = 1440 / 94
    assert termination_pj_per_bit(1.2, 2400, split=False) == pytest.approx((4 + 1) * mw / (8 * 2.4))
    # Split: 120 ohm to the supply in series with 120 || 34 ohm, the same at both levels.
    mw = 2250 / (120 + 120 * 34 / 154)
    assert termination_pj_per_bit(1.5, 1600, split=True) == pytest.approx(10 * mw / (8 * 1.6))


def test_channels_scale_bandwidth_and_background_only() -> None:
    one, two = memory_system("DDR4-2400 x64"), memory_system("DDR4-2400 2x64")
    assert two.pj_per_bit == one.pj_per_bit
    assert two.background_w == pytest.approx(2 * one.background_w)


def test_row_misses_cost_energy() -> None:
    energies = [memory_system("DDR4-2400 x64", row_hit_share=h).pj_per_bit for h in (1.0, 0.9, 0.5, 0.0)]
    assert energies == sorted(energies)


def test_hbm2_names_its_assumptions() -> None:
    system = memory_system("HBM2 2 stacks")
    assert system.pj_per_bit == 6.25
    assert any("background 0.5 W" in text for text in system.assumptions)
    assert memory_system("HBM2 2 stacks", hbm2_background_w=1.5).background_w == 3.0


def test_same_order_as_published_totals() -> None:
    published = {row["kind"]: float(row["pj_per_bit"]) for row in table("dram_energy.csv")}
    assert memory_system("LPDDR4-3200 x32").pj_per_bit == pytest.approx(published["LPDDR4"], rel=0.25)
    assert published["DRAM low"] / 1.5 < memory_system("DDR3-1600 x64").pj_per_bit < published["DRAM high"]


def test_wrong_arguments() -> None:
    with pytest.raises(UsageError, match="DDR4-2400 x64"):
        memory_system("DDR4-2400")
    with pytest.raises(UsageError, match="row_hit_share"):
        memory_system("DDR4-2400 x64", row_hit_share=1.5)


def test_results_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        memory_system("HBM2 1 stack").background_w = 0.0  # type: ignore[misc]
