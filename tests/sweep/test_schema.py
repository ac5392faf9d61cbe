"""A wrong file is one line: FILE:LINE:COLUMN, what was expected, what came."""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
        ("[1, 2]", "[]", ":7:3: matrix.concurrency: must have at least one value; leave it out otherwise"),
        ("matrix:", "repeat: 0\nmatrix:", ":6:1: repeat: must be 1 or more, got 0"),
        ("matrix:", "repeat: x\nmatrix:", ":6:1: repeat: must be a whole number, got x"),
        ("matrix:", "repeat: 1.5\nmatrix:", ":6:1: repeat: must be a whole number, got 1.5"),
        ("matrix:", "repeat: 5000\nmatrix:", ":6:1: repeat: must be 1000 or less, got 5000"),
        ("matrix:", "cooldown: [1]\nmatrix:", ":6:1: cooldown: must be a number, got [1]"),
        ("matrix:", "vary_seed: 7\nmatrix:", ":6:1: vary_seed: must be true or false, got 7"),
        ("matrix:", "order: random\nmatrix:", ":6:1: order: must be interleaved or blocked, got random"),
        ("matrix:", "order: interleave\nmatrix:", ":6:1: order: must be interleaved or blocked, got interleave "
         "(did you mean interleaved?)"),
        ("matrix:", "compare: yes please\nmatrix:", ":6:1: compare: must be a mapping of names to values, got yes"),
        ("matrix:", "compare: {fail_if: {a: 1}}\nmatrix:", ":6:11: compare.fail_if: must be a list, got"),
        ("matrix:", "compare: {fail_if: tpot > 5}\nmatrix:", ":6:11: compare.fail_if.0: expects conditions such as"),
        ("matrix:", "compare: {fail_if: ['tpot.p98 > +5%']}\nmatrix:", ":6:21: compare.fail_if.0: unknown metric"),
        ("matrix:\n  concurrency: [1, 2]", "matrix: [1]", ":6:1: matrix: must be a mapping of names to values, got"),
        ("    command: trtllm-serve model", "    command: 7",
         ":3:5: servers.0.command: must be text or a list of texts, got 7"),
        ("    command: trtllm-serve model", "    command: [a, 7]", "servers.0.command.1: must be text, got 7"),
        ("  - name: a\n    command: trtllm-serve model\n", "  []\n", ":1:1: servers: must have at least one entry"),
        ("  - name: a\n    command: trtllm-serve model\n", "  - 7\n", ":2:5: servers.0: must be a mapping of names"),
        ("matrix:", "search: {kind: knee, low: 9, high: 2}\nmatrix:", ":6:22: search.low: must not be above high"),
        ("matrix:", "search: {kind: knee, slo: {ttfs: 1}}\nmatrix:", "search.slo.ttfs: must be ttft, tpot or e2el, got "
         "ttfs (did you mean ttft?)"),
        ("matrix:", "compare: {pgn: a}\nmatrix:", ":6:11: unknown key compare.pgn (did you mean png?)"),
        ("name: a", "name: a/b", ":2:5: servers.0.name: must be letters, digits and any of . _ + -, and "
         "begin with a letter or a digit, got a/b"),
        ("  model: m", "  command: servng", ":5:3: benchmark.command: must be one of serving, profile, throughput, "
         "got servng (did you mean serving?)"),
        ("name: a\n", "name: a\n    stop_signal: TREM\n", ":3:5: servers.0.stop_signal: must be the name of a signal"),
        ("name: a\n", "name: a\n    url: localhost:8000\n", ":3:5: servers.0.url: must be http://HOST:PORT"),
        ("name: a\n", "name: a\n    url: http://h:80x\n", ":3:5: servers.0.url: must be http://HOST:PORT"),
        ("    command: trtllm-serve model\n", "    stop_command: x\n",
         ":3:5: servers.0.stop_command: is of use with a command only"),
        ("benchmark:\n  model: m\n", "", ":1:1: benchmark is needed"),
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
    assert ":4:5: servers.1.name: two servers have the name a" in error_of(tmp_path, twice)


def test_one_condition_may_be_a_text(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(GOOD + "compare: {fail_if: 'tpot.p99 > +5%'}\n")
    sweep, _ = load_sweep(str(path))
    assert sweep.compare is not None
    assert sweep.compare.fail_if == ["tpot.p99 > +5%"]


@given(
    st.sampled_from(["repeat", "order", "servers", "matrix", "compare", "search", "expected", "benchmark", "gpus"]),
    st.recursive(
        st.none() | st.booleans() | st.integers(-5, 5) | st.floats(allow_nan=False) | st.text("ab[]", max_size=3),
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["kind", "png", "a"]), inner),
        max_leaves=4,
    ),
)
def test_whatever_a_key_holds_is_refused_in_our_words(key: str, value: Any) -> None:
    data = {"servers": [{"name": "a", "command": "c"}], "benchmark": {"model": "m"}, key: value}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "s.yaml"
        path.write_text(json.dumps(data))
        try:
            load_sweep(str(path))
        except UsageError as error:
            line = str(error)
            assert re.match(rf"{re.escape(str(path))}:\d+:\d+: ", line), line
            assert "\n" not in line
            assert "nput should" not in line
            assert "something else" not in line
