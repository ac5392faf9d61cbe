"""`history regressions`, `html` and `serve` as commands: output, exit codes, one line for what is wrong."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from dataclasses import replace
from pathlib import Path

import pytest
from tests.store.synthetic import synthetic_runs

from tokenclock.__main__ import main
from tokenclock.store.database import open_database


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = str(tmp_path_factory.mktemp("history") / "history.sqlite")
    with open_database(path) as database:
        database.add(replace(run, state="valid") for run in synthetic_runs(2400, step=0.3))
    return path


def regressions(place: str, *flags: str) -> int:
    return main(
        ["history", "regressions", "--history", place, "--metrics", "ttft.mean", "--model", "llama-3.1*", *flags]
    )


def test_a_table_of_what_got_worse(place: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert regressions(place) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == [
        "what", "metric", "series", "since", "(UTC)", "run", "before", "after", "change", "p", "runs", "since",
    ]  # fmt: skip
    assert len(lines) == 1 + 6
    assert all(line.startswith("regression  ttft.mean  llama-3.1-8b-c") for line in lines[1:])
    assert all(re.search(r" ms +[\d.]+ ms +\+[23]\d\.\d% ", line) for line in lines[1:])


def test_exact_numbers_and_exit_code_3(place: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert regressions(place, "--json", "-", "--fail-on-regression") == 3
    told = capsys.readouterr()
    changes = json.loads(told.out)["changes"]
    assert len(changes) == 6
    assert changes[0]["change"] == pytest.approx(0.3, abs=0.05)
    assert told.err.splitlines()[-1].startswith("tokenclock history: --fail-on-regression: 6 series got worse")
    path = tmp_path / "changes.json"
    assert regressions(place, "--json", str(path)) == 0
    assert json.loads(path.read_text())["changes"] == changes


def test_since_and_the_least_change(place: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert regressions(place, "--since", "2026-12-01", "--fail-on-regression") == 0
    assert regressions(place, "--min-change", "60", "--fail-on-regression") == 0
    assert capsys.readouterr().out.splitlines() == ["no series got worse"] * 2


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (["regressions", "--metrics", "ttft.maen"], "did you mean ttft.mean"),
        (["regressions", "--by", "colour"], "colour"),
        (["regressions", "--min-change", "-1"], "--min-change must be"),
        (["regressions", "--significance", "0"], "--significance must be"),
        (["regressions", "--json", "/nowhere/x.json"], "there is no directory /nowhere"),
        (["html", "/nowhere/x.html"], "there is no directory /nowhere"),
        (["html", "/tmp"], "is a directory"),
        (["html", "x.html", "--newest", "0"], "--newest must be"),
        (["serve", "--port", "70000"], "--port must be"),
        (["serve", "--host", "192.0.2.1", "--port", "0"], "cannot listen at 192.0.2.1"),
    ],
)
def test_what_is_wrong_is_one_line(place: str, flags: list[str], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["history", *flags, "--history", place]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert len(told.err.splitlines()) == 1
    assert text in told.err


def test_no_history_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for flags in (["regressions"], ["html", str(tmp_path / "x.html")], ["serve"]):
        assert main(["history", *flags, "--history", str(tmp_path / "none.sqlite")]) == 2
        assert "there is no history at" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_page_is_written(place: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "history.html"
    assert main(["history", "html", str(path), "--history", place, "--model", "qwen*", "--metrics", "e2el.mean"]) == 0
    assert "written to" in capsys.readouterr().err
    text = path.read_text()
    assert "qwen3-32b" in text
    assert "gemma-3-27b" not in text


@pytest.mark.parametrize(("which", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_it_serves_until_it_is_told_to_stop(place: str, which: signal.Signals, code: int) -> None:
    command = [sys.executable, "-m", "tokenclock", "history", "serve", "--history", place, "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        address = next(word for word in process.stdout.readline().split() if word.startswith("http"))
        assert address.startswith("http://127.0.0.1:")
        with urllib.request.urlopen(address + "api/runs?limit=1", timeout=20) as answer:
            assert json.load(answer)["total"] == 2400
        process.send_signal(which)
        out, err = process.communicate(timeout=20)
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, out, err) == (code, "", "")


def test_a_port_in_use_is_one_line(place: str, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["history", "serve", "--history", place, "--port", str(port)]) == 2
    assert f"port {port} of 127.0.0.1 is in use" in capsys.readouterr().err
