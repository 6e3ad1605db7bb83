"""Single gates: shares of published circuits, beside the cells of an open library."""

import pytest

from archgym.errors import UsageError
from archgym.technology.logic import gate2, mux2
from archgym.technology.provenance import provenance
from archgym.technology.registers import register
from archgym.technology.scaling import area_factor, energy_factor
from archgym.technology.tables import table

ROWS = {row["circuit"]: row for row in table("logic.csv")}


def test_a_multiplexer_is_a_share_of_the_shifter() -> None:
    # 32 bits shifted by 1, 2, 4, 8 and 16: five stages of 32 multiplexers.
    assert int(ROWS["shifter"]["gates"]) == 5 * 32
    mux = mux2()
    assert mux.energy_pj == pytest.approx(0.4172512 / 160)
    assert mux.area_um2 == pytest.approx(249.6461 / 160)
    assert mux.leakage_mw == pytest.approx(0.001697876 / 160)


def test_a_gate_is_a_share_of_the_bitwise_operator() -> None:
    gate = gate2()
    assert gate.energy_pj == pytest.approx(0.0180559 / 32)
    assert gate.area_um2 == pytest.approx(50.36996 / 32)
    assert gate.leakage_mw == pytest.approx(0.0006111633 / 32)


def test_the_shares_agree_with_real_cells() -> None:
    """40 nm shares stand for 45 nm; a cell shrinks at most by (40/45)^2, so they agree within 25 %."""
    assert mux2().area_um2 == pytest.approx(float(ROWS["mux2 cell"]["area_um2"]), rel=0.25)
    # Relative to the flip-flop of its own library: 0.26 beside 0.41.
    ours = mux2().area_um2 / register().area_um2
    cells = float(ROWS["mux2 cell"]["area_um2"]) / float(ROWS["flip-flop cell"]["area_um2"])
    assert 0.5 < ours / cells < 1
    # A clock gate is charged as a whole flip-flop: an upper bound by this library.
    assert float(ROWS["clock gate cell"]["area_um2"]) < float(ROWS["flip-flop cell"]["area_um2"])


def test_other_nodes() -> None:
    for gate in (mux2, gate2):
        small = gate(7, leakage_scale=0.5)
        assert small.energy_pj == pytest.approx(gate().energy_pj * energy_factor(45, 7))
        assert small.area_um2 == pytest.approx(gate().area_um2 * area_factor(45, 7))
        assert small.leakage_mw == pytest.approx(0.5 * gate().leakage_mw)
        with pytest.raises(UsageError, match="known nodes"):
            gate(40)


def test_every_row_has_a_source_and_is_listed() -> None:
    listed = {row.quantity for row in provenance()}
    for row in ROWS.values():
        assert row["source"].strip()
        assert None not in row
        assert None not in row.values()
        assert f"{row['circuit']} {row['bits']} bit area" in listed


def test_what_has_no_source_is_a_named_assumption() -> None:
    assumed = {row.quantity for row in provenance() if row.source.startswith("assumption: ")}
    assert assumed >= {
        "rows of a register file that an access switches",
        "clock gate of a register file row",
        "counter steps of an access",
        "narrowest adder of a counter",
        "sides that an access to a banked SRAM travels",
        "distance to a child over width plus height",
    }
