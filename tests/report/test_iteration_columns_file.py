from __future__ import annotations

from pathlib import Path

import pytest
from tests.offline.rows import rows

from tokenclock.errors import UsageError
from tokenclock.report import iteration_columns_file


def test_columns_come_back(tmp_path: Path) -> None:
    records = rows([(0, 10, [3]), (10, 30, [])])
    iteration_columns_file.write(records, tmp_path / "a.npz")
    again = iteration_columns_file.read(tmp_path / "a.npz")
    assert again.latency_ns.tolist() == [10, 20]
    assert again.t_step_ns.tolist() == [3]


def test_anything_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_text("no")
    with pytest.raises(UsageError, match="is no columns file of benchmark"):
        iteration_columns_file.read(tmp_path / "a.npz")
