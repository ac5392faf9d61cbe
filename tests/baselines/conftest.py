"""CSV files of results as the performance-test flow writes them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

HEAD = "network_name,perf_case_name,perf_metric,state,threshold,absolute_threshold,metric_type"
WriteCsv = Callable[..., Path]


@pytest.fixture
def write_csv(tmp_path: Path) -> WriteCsv:
    """Writes a file of rows given as (case, metric type, value, relative, absolute[, state])."""

    def write(name: str, *rows: tuple[object, ...], end: str = "\n", last_end: bool = True) -> Path:
        lines = [HEAD]
        for case, metric_type, value, relative, absolute, *state in rows:
            lines.append(f'net,"{case}",{value},{state[0] if state else "valid"},{relative},{absolute},{metric_type}')
        path = tmp_path / name
        path.write_bytes((end.join(lines) + (end if last_end else "")).encode())
        return path

    return write
