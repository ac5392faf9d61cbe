"""Any text is read, or refused in one line; what is read stands where it is said to stand."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenclock.baselines.csv_rows import COLUMNS, read_csv
from tokenclock.errors import UsageError

HEAD = ",".join(COLUMNS)
CELL = st.text(st.characters(codec="utf-8", exclude_characters="\r\0"), max_size=8)
NAME = CELL.filter(lambda text: text.strip())


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet='ab,"\n\r\0 1-.e', max_size=60), st.booleans())
def test_foreign_text(tmp_path_factory: pytest.TempPathFactory, text: str, with_head: bool) -> None:
    path = tmp_path_factory.mktemp("foreign") / "x.csv"
    path.write_bytes((f"{HEAD}\n{text}" if with_head else text).encode())
    said = ""
    try:
        assert "".join(read_csv(str(path)).lines).encode() == path.read_bytes()
    except UsageError as error:
        said = str(error)
    assert said == "" or (str(path) in said and "\n" not in said)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(NAME, CELL, st.floats(allow_nan=False, allow_infinity=False)), max_size=6))
def test_rows_are_where_they_are_said_to_be(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, float]]
) -> None:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([(*row, "0.1", "") for row in rows])
    path = tmp_path_factory.mktemp("rows") / "x.csv"
    path.write_bytes(f"{HEAD}\n{out.getvalue()}".encode())
    table = read_csv(str(path))
    assert {row.name for row in table.rows.values()} == {name for name, *_ in rows}
    for row in table.rows.values():
        lines = table.lines[row.first - 1 : row.last]
        (cells,) = csv.reader(iter(lines))
        assert cells == [row.cells[name] for name in COLUMNS]
        assert (row.value, row.relative, row.absolute) == (float(cells[2]), 0.1, None)


def test_a_byte_order_mark_is_no_part_of_a_name(tmp_path) -> None:
    path = tmp_path / "excel.csv"
    path.write_bytes(f"\ufeff{HEAD}\na,SEQ_LATENCY,5,0.1,0\n".encode())
    assert [row.value for row in read_csv(str(path)).rows.values()] == [5.0]
