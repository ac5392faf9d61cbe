"""A wrong file is one line: FILE:LINE:COLUMN, what was expected, what came."""

from __future__ import annotations

from pathlib import Path

import pytest

from tokenclock.errors import UsageError
from tokenclock.sweep.schema import load_sweep

GOOD = """\
servers:
  - name: a
    command: trtllm-serve model
benchmark:
  model: m
matrix:
  concurrency: [1, 2]
"""


def error_of(tmp_path: Path, text: str) -> str:
    path = tmp_path / "s.yaml"
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        load_sweep(str(path))
    line = str(caught.value)
    assert "\n" not in line
    return line.removeprefix(f"{path}")


def test_defaults(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(GOOD)
    sweep, file = load_sweep(str(path))
    assert (sweep.repeat, sweep.order, sweep.result_dir, sweep.max_minutes) == (1, "blocked", "bench_results", None)
    assert sweep.servers[0].health_url == "http://localhost:8000/health"
    assert file.at(("matrix", "concurrency")) == f"{path}:7:3"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("    command: t", "    comand: t", ":3:5: unknown key servers.0.comand (did you mean command?)"),
        ("matrix:", "matrx:", ":6:1: unknown key matrx (did you mean matrix?)"),
        ("[1, 2]", "[]", ":6:1: matrix: concurrency must have at least one value; leave it out otherwise"),
        ("matrix:", "repeat: 0\nmatrix:", ":6:1: repeat: input should be greater than or equal to 1, got 0"),
        ("matrix:", "order: random\nmatrix:", ":6:1: order: input should be 'interleaved' or 'blocked', got random"),
        ("matrix:", "compare: {pgn: a}\nmatrix:", ":6:11: unknown key compare.pgn (did you mean png?)"),
        ("name: a", "name: a/b", ":2:5: servers.0.name: string should match pattern"),
        ("  model: m", "  command: servng", "benchmark.command must be one of serving, profile, throughput, got servng "
         "(did you mean serving?)"),
        ("name: a\n", "name: a\n    stop_signal: TREM\n", ":3:5: servers.0.stop_signal: must be the name of a signal"),
        ("name: a\n", "name: a\n    url: localhost:8000\n", ":3:5: servers.0.url: must be http://HOST:PORT"),
        ("name: a\n", "name: a\n    url: http://h:80x\n", ":3:5: servers.0.url: must be http://HOST:PORT"),
        ("    command: trtllm-serve model\n", "    stop_command: x\n", "stop_command is of use with a command only"),
        ("benchmark:\n  model: m\n", "", ": benchmark is needed"),
        ("matrix:", "search: {kind: concurrency}\nmatrix:", "slo is needed, in ms for each request"),
        ("servers:", "servers: [1", ":2:9: not YAML: expected ',' or ']'"),
        ("matrix:", "benchmark:\n  x: 1\nmatrix:", ":6:1: benchmark is there twice; keep one"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_pointed_at(tmp_path: Path, old: str, new: str, expected: str) -> None:
    assert old in GOOD
    assert expected in error_of(tmp_path, GOOD.replace(old, new, 1))


@pytest.mark.parametrize("text", ["", "- a", "just words", "a: &x [*x]"])
def test_what_is_no_sweep_at_all(tmp_path: Path, text: str) -> None:
    error_of(tmp_path, text)


def test_bytes_that_are_no_text_and_a_missing_file(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_bytes(b"\xff\xfe\x00")
    for name in ("s.yaml", "none.yaml"):
        with pytest.raises(UsageError, match="must be a readable YAML file"):
            load_sweep(str(tmp_path / name))


def test_two_servers_of_one_name(tmp_path: Path) -> None:
    twice = GOOD.replace("benchmark:", "  - name: a\n    url: http://h:1\nbenchmark:", 1)
    assert "two servers have the name a" in error_of(tmp_path, twice)
