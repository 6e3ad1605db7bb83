"""Every constant has a source."""

from importlib.resources import files

from archgym.technology.provenance import provenance
from archgym.technology.tables import table

TABLES = ("operations.csv", "logic.csv", "wires.csv", "dram.csv", "dram_energy.csv")
WHOLE_TABLES = ("sram_cacti.csv", "tech_scaling.csv")


def test_every_constant_has_a_source_and_a_unit() -> None:
    for full in (False, True):
        rows = provenance(full=full)
        assert len({row.quantity for row in rows}) > 100
        for row in rows:
            assert row.quantity.strip()
            assert row.unit.strip()
            assert row.source.strip()
            assert "recalled" not in row.source


def test_full_lists_every_row_of_the_large_tables() -> None:
    extra = len(provenance(full=True)) - len(provenance())
    assert extra == 5 * 192 + 2 * 100 - 7  # 6 node and device pairs and the scaling table are one line each


def test_every_row_of_the_small_tables_has_a_source() -> None:
    for name in TABLES:
        rows = table(name)
        assert rows
        for row in rows:
            assert row["source"].strip()
            assert None not in row
            assert None not in row.values()
            if row.get("area_um2") and "area_source" in row:  # else one source states both
                assert row["area_source"].strip()


def test_whole_tables_name_their_source_and_nothing_is_recalled() -> None:
    folder = files("archgym.technology")
    for name in (*TABLES, *WHOLE_TABLES):
        text = folder.joinpath(name).read_text(encoding="utf-8")
        assert "recall" not in text
        assert name in folder.joinpath("SOURCES.md").read_text(encoding="utf-8")
    for name in WHOLE_TABLES:
        assert folder.joinpath(name).read_text(encoding="utf-8").startswith("# source: ")


def test_assumptions_are_marked() -> None:
    marked = [row for row in provenance() if row.source.startswith("assumption: ")]
    assert {row.quantity for row in marked} >= {"HBM2 background power of a stack", "DRAM row hit share"}
