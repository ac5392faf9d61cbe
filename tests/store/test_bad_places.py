"""What a history that cannot be used says: one line, exit code 2, nothing changed."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from tests.store.synthetic import synthetic_history, synthetic_runs

from tokenclock.errors import UsageError
from tokenclock.store.database import open_database
from tokenclock.store.engine import shown_place


def refusal(place: str, **options: bool) -> str:
    with pytest.raises(UsageError) as error:
        open_database(place, **options)
    assert error.value.exit_code == 2
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "none.sqlite"
    for options in ({"create": False}, {"read_only": True}):
        assert refusal(str(path), **options).startswith(f"there is no history at {path}: add runs first (")
    assert not path.exists()
    deep = tmp_path / "no" / "where.sqlite"
    assert refusal(str(deep)) == f"--history {deep}: there is no directory {deep.parent}; make it first"


def test_what_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("these are notes, long enough to be read as a header\n" * 40)
    before = path.read_bytes()
    assert "is no database of tokenclock (file is not a database): give another" in refusal(str(path))
    assert path.read_bytes() == before
    assert refusal(str(tmp_path)) == f"the history must be a file, got {tmp_path}, which is none; give another"
    assert refusal(os.devnull).startswith("the history must be a file, got /dev/null")


def test_a_database_cut_short(tmp_path: Path) -> None:
    path = tmp_path / "h.sqlite"
    synthetic_history(str(path), 500)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(UsageError, match=r"malformed|cannot be used"), open_database(str(path)) as database:
        database.metrics_of([row.id for row in database.runs()])


def test_another_program_s_database_gets_no_tables_by_a_question(tmp_path: Path) -> None:
    path = tmp_path / "other.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE runs (x)")
    connection.close()
    assert f"{path} holds no history: add runs first" in refusal(str(path), create=False)
    assert "table runs already exists" in refusal(str(path))
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("runs",)]
    connection.close()


def test_read_only_is_never_written(place: str) -> None:
    synthetic_history(place, 3)
    with open_database(place, read_only=True) as database:
        assert database.count() == 3
        with pytest.raises(UsageError, match=r"cannot be written .*ask for the right to write"):
            database.add(synthetic_runs(4))
        assert database.count() == 3


def as_who_may_not(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command as one for whom permissions hold: root gives up the right to pass over them."""
    command = [sys.executable, "-m", "tokenclock", "history", *arguments]
    if os.getuid() == 0:
        drop = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--"]
        if shutil.which("setpriv") is None or subprocess.run([*drop, "true"], capture_output=True).returncode != 0:
            pytest.skip("root passes over permissions, and setpriv cannot take that right away here")
        command = [*drop, *command]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("folder_too", [False, True])
def test_a_file_that_may_not_be_written_can_be_read(tmp_path: Path, folder_too: bool) -> None:
    folder = tmp_path / "h"
    folder.mkdir()
    path, result = folder / "h.sqlite", tmp_path / "vllm.json"
    synthetic_history(str(path), 3)
    result.write_text('{"completed": 3, "request_throughput": 2.0, "duration": 1.5, "mean_ttft_ms": 20.0}')
    path.chmod(0o444)
    folder.chmod(0o555 if folder_too else 0o755)
    try:
        asked = as_who_may_not("list", "--history", str(path))
        assert (asked.returncode, asked.stderr) == (0, "")
        assert len(asked.stdout.splitlines()) == 4
        assert [entry.name for entry in folder.iterdir()] == ["h.sqlite"]  # nothing that a writer would trip over
        added = as_who_may_not("add", str(result), "--history", str(path))
        assert (added.returncode, added.stdout) == (2, "")
        (line,) = added.stderr.splitlines()
        assert f"the history {path} cannot be written (attempt to write a readonly database): ask for the" in line
        assert [entry.name for entry in folder.iterdir()] == ["h.sqlite"]
    finally:
        folder.chmod(0o755)


def test_what_a_writer_has_not_put_into_the_file_yet_is_read_too(tmp_path: Path) -> None:
    path = tmp_path / "h.sqlite"
    synthetic_history(str(path), 3)
    held = sqlite3.connect(path)  # keeps the log from going into the file
    held.execute("SELECT count(*) FROM runs").fetchone()
    synthetic_history(str(path), 5)
    before = sorted(entry.name for entry in tmp_path.iterdir())
    assert "h.sqlite-wal" in before
    for entry in tmp_path.iterdir():
        entry.chmod(0o444)
    asked = as_who_may_not("list", "--history", str(path))
    assert (asked.returncode, asked.stderr) == (0, "")
    assert len(asked.stdout.splitlines()) == 6
    assert sorted(entry.name for entry in tmp_path.iterdir()) == before
    held.close()


def test_a_server_that_is_not_there() -> None:
    pytest.importorskip("psycopg")
    text = refusal("postgresql://me:secret@127.0.0.1:1/history")
    assert text.startswith("the history postgresql://me:***@127.0.0.1:1/history cannot be reached or used (")
    assert "refused" in text
    assert "secret" not in text


def test_a_database_or_an_account_that_the_server_does_not_know(postgresql: str) -> None:
    assert 'database "none" does not exist' in refusal(f"{postgresql}/none")
    nobody = postgresql.replace("postgres@", "nobody:secret@")
    assert 'role "nobody" does not exist' in refusal(f"{nobody}/postgres")


def test_urls(tmp_path: Path) -> None:
    assert refusal("mysql://u:secret@h/d").endswith("postgresql://USER@HOST/DATABASE, got the scheme mysql")
    assert "secret" not in refusal("postgresql://u:secret@h:port/d")
    assert shown_place("postgresql://u:secret@h/d") == "postgresql://u:***@h/d"
    assert shown_place("postgresql://h/d?password=secret") == "postgresql://h/d?password=***"
    assert shown_place("postgresql://h/d?a=b&sslpassword=se@kret&c=d") == "postgresql://h/d?a=b&sslpassword=***&c=d"
    assert shown_place("postgresql://bench@h:5432/d") == "postgresql://bench@h:5432/d"
    for password in ("se@kret", "se@kr:et", "se:kr@et", "se/kr@et", "se?kr@et"):
        told = f"postgresql://bench:{password}@127.0.0.1:1/db"
        assert shown_place(told) == "postgresql://bench:***@127.0.0.1:1/db"
        with pytest.raises(UsageError) as error:
            open_database(told)
        assert "kr" not in str(error.value).replace("bench:***", "")
    assert shown_place("a/b.sqlite") == "a/b.sqlite"
    place = str(tmp_path / "a file? 100%#1.sqlite")
    synthetic_history(place, 2)
    assert os.path.exists(place)
    with open_database(place, read_only=True) as database:
        assert database.count() == 2
