"""The validation harness: how agreement is counted, and that every committed table passes."""

from pathlib import Path

import numpy as np
import pytest

from archgym.errors import UsageError
from archgym.validation import compare, read_table, validate

TABLES = sorted((Path(__file__).parent / "data" / "systolic").glob("*.csv"))


@pytest.mark.parametrize("table", TABLES, ids=[t.stem for t in TABLES])
def test_every_table_of_the_original_tool_passes(table):
    report = validate("systolic", table)
    assert report.passed, {name: c for name, c in report.columns.items() if not c.passed}
    assert report.rows > report.skipped


def test_there_are_tables():
    assert {t.stem for t in TABLES} == {"edge_cases", "gemm", "networks", "random_small", "tool_errors"}


def test_compare_by_hand():
    """100 against 99: relative to theirs, 1/99; two of three equal."""
    check = compare(np.array([1.0, 100.0, 0.0]), np.array([1.0, 99.0, 0.0]), 0.0)
    assert check.exact == 2
    assert check.max_rel_error == pytest.approx(1 / 99)
    assert not check.passed
    assert compare(np.array([100.0]), np.array([99.0]), 0.02).passed


def test_a_number_where_theirs_is_zero_or_missing_never_passes():
    assert compare(np.array([1e-30]), np.array([0.0]), 1.0).max_rel_error == np.inf
    assert compare(np.array([np.nan]), np.array([1.0]), 1.0).max_rel_error == np.inf
    assert compare(np.array([1.0]), np.array([np.nan]), 1.0).max_rel_error == np.inf
    assert compare(np.array([np.nan]), np.array([np.nan]), 0.0).passed


def test_columns_that_a_table_lacks_are_not_checked(tmp_path):
    rows = read_table(TABLES[1])
    names = [n for n in rows[0] if n and not n.startswith(("sram_", "avg_", "tool_"))]
    path = tmp_path / "few.csv"
    path.write_text("\n".join([",".join(names), *(",".join(row[n] for n in names) for row in rows)]) + "\n")
    report = validate("systolic", path)
    assert report.passed
    assert "total_cycles" in report.columns
    assert not any(name.startswith(("sram_", "avg_")) for name in report.columns)


def test_a_table_of_skipped_rows_only_does_not_pass(tmp_path):
    lines = TABLES[1].read_text().splitlines()
    path = tmp_path / "user.csv"
    path.write_text("\n".join([lines[0], *(line for line in lines if ",USER," in line)]) + "\n")
    report = validate("systolic", path)
    assert report.rows == report.skipped > 0
    assert not report.passed


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a header"),
        ("a,b\n1,2\n", "column 'bw_mode' is missing"),
        ("a,b\n1\n", ":2: expected 2 fields"),
        ("bw_mode,input_mode\nFAST,conv\n", "value of column bw_mode"),
    ],
)
def test_a_file_that_is_no_table_is_named(tmp_path, text, message):
    path = tmp_path / "table.csv"
    path.write_text(text)
    with pytest.raises(UsageError, match=message):
        validate("systolic", path)
