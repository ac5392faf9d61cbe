"""`tokenclock history`: what is typed, and what comes back."""

from __future__ import annotations

import csv
import io
import json
import re
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.store.synthetic import synthetic_history

from tokenclock.__main__ import main
from tokenclock.cli.history import build_parser
from tokenclock.metrics.facts import RunFacts
from tokenclock.report import json_file

MS = 1_000_000
VLLM = {"completed": 3, "request_throughput": 2.0, "duration": 1.5, "mean_ttft_ms": 20.0, "date": "20260102-030405"}


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The history of a user whose data folder is a new one."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.delenv("TOKENCLOCK_HISTORY", raising=False)
    return tmp_path / "data" / "tokenclock" / "history.sqlite"


@pytest.fixture
def ours(tmp_path: Path, make_result: Any) -> Path:
    path = tmp_path / "run.json"
    json_file.write(make_result([{"sent": 0, "tokens": [10 * MS, 20 * MS]}], RunFacts()), path)
    return path


def vllm(path: Path, ttft_ms: float, day: int) -> Path:
    path.write_text(json.dumps({**VLLM, "mean_ttft_ms": ttft_ms, "date": f"202601{day:02d}-030405", "model_id": "m"}))
    return path


def test_add_list_show(tmp_path: Path, ours: Path, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["history", "add", str(ours), "--tag", "branch=main", "--label", "nightly"]) == 0
    assert capsys.readouterr().out == f"1 run added to {place}\n"
    vllm(tmp_path / "v.json", 20.0, 2)
    assert main(["history", "add", str(tmp_path)]) == 0  # the history itself lies there too
    assert capsys.readouterr().out == f"1 run added to {place}; 1 run there before\n"
    assert main(["history", "list", "--tag", "branch=main"]) == 0
    head, line = capsys.readouterr().out.splitlines()
    assert head.split()[:3] == ["id", "created", "(UTC)"]
    assert line.split()[0] == "1"
    assert "nightly" in line
    assert main(["history", "list", "--json", "--limit", "0"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    found = {row["tool"]: row["metrics"]["ttft.mean"]["value"] for row in rows}
    assert found == {"benchmark_serving": 20e6, "tokenclock": 10e6}
    assert main(["history", "show", "1"]) == 0
    shown = capsys.readouterr().out
    assert "tag branch     main\n" in shown
    assert "ttft.mean" in shown
    assert main(["history", "show", rows[0]["hash"][:10], "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["hash"] == rows[0]["hash"]


def test_a_result_comes_back_out(tmp_path: Path, ours: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, page = tmp_path / "out" / "back.json", tmp_path / "out" / "run.html"
    out.parent.mkdir()
    assert main(["history", "add", str(ours)]) == 0
    assert main(["history", "show", "1", "--result", str(out), "--html", str(page)]) == 0
    assert "run 1" in page.read_text()
    capsys.readouterr()
    assert main(["history", "add", str(out)]) == 0
    assert capsys.readouterr().out.startswith("0 runs added")
    assert main(["history", "show", "1", "--result", "-"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(out.read_text())


@pytest.mark.parametrize("content", [json.dumps(VLLM), "[BENCHMARK] model_name m batch_size 1 latency(ms) 3.5\n"])
def test_a_pipe(content: str, place: Path) -> None:
    command = [sys.executable, "-m", "tokenclock", "history", "add", "-"]
    done = subprocess.run(command, input=content, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"1 run added to {place}\n", "")
    for bad, message in (("", "standard input is empty"), ('{"a": ', "standard input:1 is no whole JSON")):
        done = subprocess.run(command, input=bad, capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stdout) == (2, "")
        assert message in done.stderr


@pytest.mark.parametrize("action", ["list", "show 1", "trend ttft.mean", "export -", "regressions --json -"])
def test_a_full_stdout_is_one_line(action: str, tmp_path: Path) -> None:
    assert main(["history", "add", str(vllm(tmp_path / "v.json", 20.0, 2))]) == 0
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "tokenclock", "history", *action.split()]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1
    assert done.stderr == "tokenclock history: cannot write to standard output: No space left on device\n"


def test_numbers_that_nobody_measured_are_left_out_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bad.json"
    bad = {"p50_ttft_ms": -5.0, "p99_ttft_ms": 0, "mean_tpot_ms": True, "p99_tpot_ms": 9.0, "request_throughput": -1}
    text = json.dumps({**VLLM, **bad, "output_throughput": "many", "p99_itl_ms": "X", "median_tpot_ms": None})
    path.write_text(text.replace('"X"', "Infinity"))
    assert main(["history", "add", str(path)]) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"tokenclock: {path}: left out as no measurement: ttft.p50 of -5.0, ttft.p99 of 0, ")
    assert line.endswith(" and 3 more")
    assert main(["history", "list", "--json"]) == 0
    assert sorted(json.loads(capsys.readouterr().out)["metrics"]) == ["tpot.p99", "ttft.mean"]


def test_what_was_noted_stays_and_that_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = str(vllm(tmp_path / "v.json", 20.0, 2))
    assert main(["history", "add", file]) == 0
    capsys.readouterr()
    assert main(["history", "add", file, "--tag", "a=1", "--label", "b"]) == 0
    out = capsys.readouterr().out
    assert out.endswith("; 1 run there before, which keeps what was noted then (--label and --tag not taken over)\n")


def test_of_a_directory_what_is_cut_short_is_named_and_the_rest_added(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "results"
    folder.mkdir()
    whole = vllm(folder / "b.json", 20.0, 2)
    (folder / "a.json").write_text(whole.read_text()[:40])
    assert main(["history", "add", str(folder)]) == 1
    out, err = capsys.readouterr()
    assert out.startswith("1 run added to ")
    assert err.startswith(f"tokenclock history: {folder / 'a.json'}:1 is no whole JSON")
    assert err.endswith("; it is left out\n")
    whole.unlink()
    assert main(["history", "add", str(folder)]) == 2


def test_yes_and_no_are_true_and_false_too(tmp_path: Path, ours: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["history", "add", str(ours)]) == 0
    capsys.readouterr()
    assert main(["history", "list", "--json"]) == 0
    streaming = json.loads(capsys.readouterr().out)["streaming"]
    for value in ("true", "false"):
        assert main(["history", "list", "--where", f"streaming={value}"]) == 0
        assert bool(capsys.readouterr().out) == (streaming is (value == "true"))


def test_names_without_glyphs_are_drawn_without_a_word(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "v.json"
    path.write_text(json.dumps({**VLLM, "model_id": "通义千问"}))
    assert main(["history", "add", str(path)]) == 0
    capsys.readouterr()
    assert main(["history", "trend", "ttft.mean", "--png", str(tmp_path / "t.png")]) == 0
    assert capsys.readouterr().err == f"tokenclock history: written to {tmp_path / 't.png'}\n"


@pytest.mark.parametrize("version", ["'two'", "NULL"])
def test_a_damaged_version_is_one_line(
    version: str, tmp_path: Path, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["history", "add", str(vllm(tmp_path / "v.json", 20.0, 2))]) == 0
    connection = sqlite3.connect(place)
    connection.execute("DROP TABLE tokenclock_schema")
    connection.execute("CREATE TABLE tokenclock_schema (version)")
    connection.execute(f"INSERT INTO tokenclock_schema VALUES ({version})")
    connection.commit()
    connection.close()
    capsys.readouterr()
    assert main(["history", "list"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "tokenclock_schema of the history must hold one version number, got" in line


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("list --metrics foo", "--metrics: no run has foo"),
        ("list --tag a=1 --tag a=2", "--tag a=1 and --tag a=2 cannot both be: give one"),
        ("add v.json --tag a=1 --tag a=2", "--tag a=1 and --tag a=2 cannot both be: give one"),
        ("html -", "the page is written to a file, got -"),
        ("trend ttft.mean --png x.jpg", "--png must end in .png, got x.jpg"),
    ],
)
def test_flags_that_cannot_be(
    line: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["history", "add", str(vllm(tmp_path / "v.json", 20.0, 2))]) == 0
    assert main(["history", *line.split()]) == 2
    assert message in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "v.json"]


def test_trend(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for day, ttft_ms in enumerate((10.0, 10.5, 17.0, 12.0), start=1):
        vllm(tmp_path / f"{day}.json", ttft_ms, day)
    assert main(["history", "add", str(tmp_path)]) == 0
    capsys.readouterr()
    png = tmp_path / "t.png"
    assert main(["history", "trend", "ttft.mean", "--by", "model", "--png", str(png)]) == 0
    title, head, line = capsys.readouterr().out.splitlines()
    assert title == "ttft.mean in ms"
    assert head.split() == ["model", "runs", "from", "to", "median", "last", "last", "to", "before", "trend"]
    assert line.split() == ["m", "4", "2026-01-01", "2026-01-04", "11.250", "12.000", "+14.3%", "▁▁█▃"]
    assert png.read_bytes().startswith(b"\x89PNG")
    assert main(["history", "trend", "ttft.mean", "--by", "", "--last", "2", "--since", "2026-01-01"]) == 0
    assert capsys.readouterr().out.splitlines()[2].split()[0] == "2"


def test_export(tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    import pyarrow.ipc
    import pyarrow.parquet

    place = str(tmp_path / "h.sqlite")
    synthetic_history(place, 30)
    files = {form: tmp_path / f"x.{form}" for form in ("csv", "parquet", "arrow")}
    for path in files.values():
        assert main(["history", "export", str(path), "--history", place, "--intervals", "--model", "llama*"]) == 0
    assert main(["history", "export", "-", "--history", place, "--intervals", "--model", "llama*"]) == 0
    text = files["csv"].read_bytes()
    assert capsysbinary.readouterr().out == text
    rows = list(csv.DictReader(io.StringIO(text.decode(), newline="")))
    assert len(rows) == 12
    assert rows[0]["created"] < rows[-1]["created"]
    assert float(rows[0]["ttft.mean_ns.low"]) < float(rows[0]["ttft.mean_ns"]) < float(rows[0]["ttft.mean_ns.high"])
    assert {row["tag.branch"] for row in rows} == {"main", "feature"}
    tables = [pyarrow.parquet.read_table(files["parquet"]), pyarrow.ipc.open_file(str(files["arrow"])).read_all()]
    for table in tables:
        assert table.column_names == list(rows[0])
        assert table.num_rows == 12
        for name in ("ttft.mean_ns", "output_throughput_per_s"):
            assert table[name].to_pylist() == [float(row[name]) for row in rows]
        assert [when.isoformat() for when in table["created"].to_pylist()] == [row["created"] for row in rows]
        assert table["streaming"].to_pylist() == [True] * 12
        assert table["batch_size"].null_count == 12


BAD = [
    (["history", "lst"], "expected an action, one of add, list, .*, got lst .did you mean list"),
    (["history", "list", "--modle", "x"], "unknown flag --modle .did you mean --model"),
    (["history", "list", "--state", "good"], "--state must be one of valid, .*, got good"),
    (["history", "list", "--since", "soon"], "expected a date such as .*, got soon"),
    (["history", "list", "--where", "size=3"], "runs cannot be told apart by size: expected one of kind, "),
    (["history", "list", "--where", "isl=long"], "isl must be a number, got long"),
    (["history", "list", "--limit", "-1"], "--limit must be 0 or more, got -1"),
    (["history", "list", "--history", ""], "--history must be a file or postgresql://USER@HOST/DATABASE, got nothing"),
    (["history", "list"], "there is no history at .*: add runs first"),
    (["history", "trend", "ttft.mean", "--by", "modle"], "runs cannot be told apart by modle"),
    (["history", "trend", "ttft.mean", "--png", "/none/x.png"], "--png /none/x.png: there is no directory /none"),
    (["history", "trend"], "the following arguments are required: METRIC"),
    (["history", "export", "x.xls"], "x.xls must end in .csv, .parquet, .arrow, .feather, or give --format"),
    (["history", "export", "-", "--format", "arrow"], "--format arrow needs a file, got -"),
    (["history", "show", "1", "--html", "/none/x.html"], "--html /none/x.html: there is no directory /none"),
    (["history", "add", "/none"], "cannot read /none: No such file or directory"),
    (["history", "add"], "the following arguments are required: RESULT"),
]


@pytest.mark.parametrize(("line", "message"), BAD, ids=lambda value: " ".join(value) if isinstance(value, list) else "")
def test_bad_input_is_one_line(line: list[str], message: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(line) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    (text,) = captured.err.splitlines()
    assert re.search(message, text), text
    assert not place.exists()


def test_one_bad_file_adds_none(tmp_path: Path, ours: Path, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = tmp_path / "bad.json"
    bad.write_text('{"completed": ')
    assert main(["history", "add", str(ours), str(bad)]) == 2
    assert "was its writer killed?" in capsys.readouterr().err
    assert not place.exists()


def test_an_unknown_metric_and_an_unknown_run(tmp_path: Path, ours: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["history", "add", str(ours)]) == 0
    assert main(["history", "trend", "ttft.men"]) == 2
    assert "no run has the metric ttft.men (did you mean ttft.mean?)" in capsys.readouterr().err
    assert main(["history", "show", "77"]) == 2
    assert "the history has no run 77" in capsys.readouterr().err
    assert main(["history", "list", "--model", "other"]) == 0
    assert capsys.readouterr() == ("", "tokenclock history: no run is as asked for\n")


def test_where_the_history_is(
    tmp_path: Path, ours: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    named, variable = tmp_path / "named.sqlite", tmp_path / "variable.sqlite"
    monkeypatch.setenv("TOKENCLOCK_HISTORY", str(variable))
    assert main(["history", "add", str(ours)]) == 0
    assert main(["history", "--history", str(named), "add", str(ours)]) == 0
    assert main(["history", f"--history={named}", "list"]) == 0
    assert capsys.readouterr().out.startswith(f"1 run added to {variable}\n1 run added to {named}\nid ")


def test_without_sqlalchemy_one_line_says_what_to_install(ours: Path) -> None:
    code = (
        "import sys; sys.modules['sqlalchemy'] = None\n"
        f"from tokenclock.__main__ import main\nsys.exit(main(['history', 'add', {str(ours)!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == ("tokenclock history: the history needs SQLAlchemy; pip install 'tokenclock[history]'\n")


def test_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    text = build_parser().format_help()
    for word in ("add", "list", "show", "trend", "export", "examples:", "exit codes:", "TOKENCLOCK_HISTORY"):
        assert word in text
    for action in ("add", "list", "show", "trend", "export"):
        assert main(["history", action, "--help"]) == 0
        assert "--history PLACE" in capsys.readouterr().out
