"""Rows of the result files: columns, states, what is added to, what is refused."""

from __future__ import annotations

import csv
import json
import threading
from pathlib import Path

import pytest
import yaml
from tests.perftest.case_makers import make_outcome, make_row

from tokenclock.errors import UsageError
from tokenclock.perftest.row_files import RowFiles
from tokenclock.perftest.rows import COLUMNS, rows_of

HEADER = (
    "network_name,network_hash,sm_clk,mem_clk,gpu_idx,device_subtype,perf_case_name,test_name,original_test_name,"
    "perf_metric,total_time__sec,start_timestamp,end_timestamp,state,command,threshold,absolute_threshold,metric_type"
)


def outcome_of_every_state(folder: Path):  # type: ignore[no-untyped-def]
    rows = (
        make_row("BUILD_TIME", None, "skipped", "none"),
        make_row("INFERENCE_TIME", 12.5),
        make_row("TOKEN_THROUGHPUT", 99.0, "invalid", "x"),
        make_row("SEQ_THROUGHPUT", None, "failed", "y"),
    )
    return make_outcome(folder, "failed", rows, "y")


def test_csv_has_the_flow_s_columns_and_every_state(tmp_path: Path) -> None:
    outcome = outcome_of_every_state(tmp_path)
    RowFiles(tmp_path, ("csv",)).add(rows_of(outcome, "H100"))
    RowFiles(tmp_path, ("csv",)).add(rows_of(outcome, "H100"))
    path = tmp_path / "perf_script_test_results.csv"
    assert path.read_text().splitlines()[0] == HEADER == ",".join(COLUMNS)
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 8
    assert [row["state"] for row in rows[:4]] == ["skipped", "valid", "invalid", "failed"]
    assert [row["perf_metric"] for row in rows[:4]] == ["", "12.5", "99.0", ""]
    label = outcome.case.canonical
    assert rows[1]["network_name"] == label
    assert rows[1]["network_hash"] == f"test_perf_metric_inference_time[{label}]"
    assert rows[1]["perf_case_name"] == f"H100/perf/test_perf.py::test_perf_metric_inference_time[{label}]"
    assert (rows[1]["start_timestamp"], rows[1]["end_timestamp"]) == ("2026-11-28 12:00:00", "2026-11-28 12:00:02")
    assert rows[1]["total_time__sec"] == "2.0"
    assert (rows[1]["threshold"], rows[1]["absolute_threshold"]) == ("0.1", "50.0")
    assert (rows[2]["threshold"], rows[2]["absolute_threshold"]) == ("-0.1", "10.0")


def test_a_case_without_rows_is_there(tmp_path: Path) -> None:
    (row,) = rows_of(make_outcome(tmp_path, "skipped", reason="no"))
    assert row["state"] == "skipped"
    assert row["metric_type"] is None
    assert row["perf_case_name"].startswith("perf/test_perf.py::test_perf[")


def test_yaml_is_a_mapping_and_a_second_run_has_a_key_of_its_own(tmp_path: Path) -> None:
    outcome = outcome_of_every_state(tmp_path)
    for _ in range(2):
        RowFiles(tmp_path, ("yaml",)).add(rows_of(outcome), [{"gpu_id": 0, "gpu_clock__MHz": 1980.0}])
    content = yaml.safe_load((tmp_path / "perf_script_test_results.yaml").read_text())
    assert len(content) == 8
    name = f"perf/test_perf.py::test_perf_metric_inference_time[{outcome.case.canonical}]"
    entry = content[name]
    assert entry["monitor_data"] == {"cpu": [], "os": [], "gpu": [{"gpu_id": 0, "gpu_clock__MHz": 1980.0}]}
    assert list(entry["test_description"]) == list(COLUMNS[:6])
    assert list(entry["test_result"]) == list(COLUMNS[6:])
    assert entry["test_result"]["perf_metric"] == 12.5
    assert f"{name} (2)" in content


def test_json_is_one_list(tmp_path: Path) -> None:
    for _ in range(2):
        RowFiles(tmp_path, ("json",)).add(rows_of(outcome_of_every_state(tmp_path)))
    rows = json.loads((tmp_path / "perf_script_test_results.json").read_text())
    assert [row["perf_metric"] for row in rows] == [None, 12.5, 99.0, None] * 2
    assert list(rows[0]) == list(COLUMNS)


def test_nothing_is_written_without_a_format(tmp_path: Path) -> None:
    RowFiles(tmp_path, ()).add(rows_of(outcome_of_every_state(tmp_path)))
    assert list(tmp_path.iterdir()) == []


def test_a_line_cut_short_is_ended(tmp_path: Path) -> None:
    path = tmp_path / "perf_script_test_results.csv"
    path.write_text(HEADER + "\nllama,half")
    RowFiles(tmp_path, ("csv",)).add(rows_of(outcome_of_every_state(tmp_path)))
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 5
    assert rows[2]["perf_metric"] == "12.5"


def test_several_writers_lose_nothing(tmp_path: Path) -> None:
    outcome = outcome_of_every_state(tmp_path)
    files = [RowFiles(tmp_path, ("csv", "json")) for _ in range(4)]

    def write(own: RowFiles) -> None:
        for _ in range(5):
            own.add(rows_of(outcome))

    threads = [threading.Thread(target=write, args=(own,)) for own in files]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len((tmp_path / "perf_script_test_results.csv").read_text().splitlines()) == 1 + 4 * 5 * 4
    assert len(json.loads((tmp_path / "perf_script_test_results.json").read_text())) == 4 * 5 * 4


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("csv", "a,b\n1,2\n", "other columns"),
        ("json", "{}", "no list of rows"),
        ("json", "[", "cannot add rows"),
        ("yaml", "- 1\n", "no mapping of tests"),
        ("yaml", "a: [", "cannot add rows"),
    ],
)
def test_a_file_with_something_else_is_left_alone(tmp_path: Path, name: str, text: str, said: str) -> None:
    path = tmp_path / f"perf_script_test_results.{name}"
    path.write_text(text)
    with pytest.raises(UsageError, match=said):
        RowFiles(tmp_path, (name,))
    assert path.read_text() == text
