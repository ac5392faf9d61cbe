"""What ends a session before its first case, with one line, and which cases are skipped from the beginning."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.perftest.case_makers import make_case, make_label, make_settings
from tests.perftest.test_plugin import ENTRY, LABEL, PERF, listed, run

from tokenclock.errors import UsageError
from tokenclock.perftest.before_running import hold_history, never_run
from tokenclock.perftest.case import ServerCase
from tokenclock.store.database import open_database
from tokenclock.store.filter import Filter

DISAGG = "tiny_llama-disagg_server-ctx_tp:1-gen_tp:1-input_output_len:8,4"
SERVER = "perf/test_perf_sanity.py::test_e2e[aggr_upload-r1-r1_fp4]"
GOOD = "server_configs: [{name: r1_fp4, model_name: m, client_configs: [{name: a, concurrency: 1}]}]\n"


def newer(path: Path) -> str:
    open_database(str(path)).close()
    connection = sqlite3.connect(path)
    connection.execute("UPDATE tokenclock_schema SET version = 99")
    connection.commit()
    connection.close()
    return str(path)


def notes(path: Path) -> str:
    path.write_text("these are notes, long enough to be read as a header\n" * 40)
    return str(path)


PLACES: list[tuple[Callable[[Path], str], str]] = [
    (newer, "has schema version 99, this tokenclock knows up to"),
    (notes, "is no database of tokenclock"),
    (lambda path: str(path.parent), "the history must be a file"),
    (lambda path: str(path / "none" / "h.db"), "there is no directory"),
    (lambda _: "postgresql://me:secret@127.0.0.1:1/history", "cannot be reached or used"),
    (lambda _: "mysql://h/d", "got the scheme mysql"),
]


@pytest.mark.parametrize(("make", "said"), PLACES)
def test_a_history_that_cannot_be_used(tmp_path: Path, make: Callable[[Path], str], said: str) -> None:
    if "postgresql" in make(tmp_path / "h"):
        pytest.importorskip("psycopg")
    with pytest.raises(UsageError) as error:
        hold_history(make(tmp_path / "history.db"))
    assert str(error.value).startswith("--perf-history")
    assert said in str(error.value)
    assert "secret" not in str(error.value)
    assert "\n" not in str(error.value)


def test_a_history_that_is_not_there_is_not_made_and_one_that_is_stays_as_it_was(tmp_path: Path) -> None:
    hold_history(str(tmp_path / "new.db"))
    assert not list(tmp_path.iterdir())
    open_database(str(tmp_path / "old.db")).close()
    hold_history(str(tmp_path / "old.db"))
    with open_database(str(tmp_path / "old.db")) as database:
        assert database.count(Filter()) == 0
        database.check_writable()


def test_without_the_right_to_write_nothing_runs(tmp_path: Path) -> None:
    listed(tmp_path, ENTRY)
    path = tmp_path / "history.db"
    open_database(str(path)).close()
    path.chmod(0o444)
    words = []
    if os.getuid() == 0:
        words = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--"]
        if shutil.which("setpriv") is None or subprocess.run([*words, "true"], capture_output=True).returncode != 0:
            pytest.skip("root passes over permissions, and setpriv cannot take that right away here")
    ended = run(tmp_path, f"--perf-history={path}", "-O", "output", *PERF, before=words)
    assert ended.returncode == 4, ended.stdout + ended.stderr
    assert f"--perf-history: the history {path} cannot be written" in ended.stderr
    assert not (tmp_path / "output").exists()


def test_a_server_s_file_is_read_before_anything_runs(tmp_path: Path) -> None:
    case = make_case(ServerCase("r1", "r1_fp4", ()))
    settings = make_settings(config_folder=tmp_path)
    for text, said in (
        (None, "no file"),
        ("server_configs: 7\n", "server_configs"),
        ("a: [\n", "is no YAML"),
        (GOOD.replace("concurrency: 1", "concurrency: 0"), "concurrency"),
        (GOOD.replace("name: r1_fp4", "name: other"), "has no server r1_fp4"),
    ):
        if text is not None:
            (tmp_path / "r1.yaml").write_text(text)
        with pytest.raises(UsageError) as error:
            never_run([case], settings)
        assert str(error.value).startswith(f"{case.written}: ")
        assert said in str(error.value)
    (tmp_path / "r1.yaml").write_text(GOOD)
    assert never_run([case], settings) == {}
    (tmp_path / "r1.yaml").write_text("worker_config: {}\n")
    assert "servers of several kinds" in never_run([case], settings)[case]


def test_adapters_must_be_there_unless_the_run_is_dry(tmp_path: Path) -> None:
    case = make_case(make_label(loras=2))
    with pytest.raises(UsageError, match=r"asks for 2 LoRA adapters: name the directory .*--perf-lora-dir"):
        never_run([case], make_settings())
    with pytest.raises(UsageError, match="holds 0 directories"):
        never_run([case], make_settings(lora_dir=tmp_path))
    assert never_run([case], make_settings(dry_run=True)) == {}
    for name in ("0", "1"):
        (tmp_path / name).mkdir()
    assert never_run([case], make_settings(lora_dir=tmp_path)) == {}


@pytest.mark.parametrize("words", [(), ("--dry-run",)])
def test_a_server_s_file_that_is_not_there_ends_the_session(tmp_path: Path, words: tuple[str, ...]) -> None:
    listed(tmp_path, SERVER, ENTRY)
    ended = run(tmp_path, "-O", "output", "--perf-config-folder=.", *words, *PERF)
    assert ended.returncode == 4, ended.stdout + ended.stderr
    assert f"aggr_upload-r1-r1_fp4: no file {tmp_path / 'r1.yaml'}: give the folder" in ended.stderr
    assert not (tmp_path / "output").exists()


def test_cases_that_can_never_run_are_named_at_collection_and_skipped(tmp_path: Path) -> None:
    listed(tmp_path, f"perf/test_perf.py::test_perf[{DISAGG}]", ENTRY)
    collected = run(tmp_path, "--collect-only", *PERF)
    assert collected.returncode == 0, collected.stdout + collected.stderr
    assert f"will be skipped: perf/test_perf.py::test_perf[{DISAGG}]: disaggregated cases are not run" in (
        collected.stdout
    )
    dry = run(tmp_path, "--dry-run", *PERF)
    assert dry.returncode == 0, dry.stdout + dry.stderr
    assert "# skipped: disaggregated cases are not run" in dry.stdout
    assert " throughput --dataset=" in dry.stdout
    ended = run(tmp_path, "-rs", "-O", "output", "--perf-log-formats=csv", "-R=disagg_server", *PERF)
    assert "1 skipped, 1 deselected" in ended.stdout, ended.stdout + ended.stderr
    assert "disaggregated cases are not run" in ended.stdout
    assert LABEL not in (rows := (tmp_path / "output" / "perf_script_test_results.csv").read_text())
    assert "skipped" in rows
