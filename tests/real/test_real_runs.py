"""`tokenclock serving` against a real LLM server, as a user types it: its figures beside ours, and its failures."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tokenclock.metrics.agreement import agreement_with_server
from tokenclock.records import STATUS_NAMES, Records
from tokenclock.report import columns_file
from tokenclock.result import Result
from tokenclock.serving.real_server import RealServer, missing_wheels

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(bool(missing_wheels()), reason="the real server's wheels are not installed: make real-server"),
]

N, ISL, OSL = 16, 32, 48


@pytest.fixture(scope="module")
def server() -> Iterator[RealServer]:
    with RealServer() as running:
        yield running


def command(url: str, folder: Path, *flags: str, model: str = RealServer.model) -> list[str]:
    words = [sys.executable, "-m", "tokenclock", "serving", "--model", model, "--base-url", url]
    words += ["--dataset-name", "random", "--random-ids", "--ignore-eos", "--save-result"]
    return [*words, "--result-dir", str(folder), "--result-filename", "run.json", *flags]


def run(url: str, folder: Path, *flags: str, model: str = RealServer.model) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(url, folder, *flags, model=model), capture_output=True, text=True, check=False)


def load(n: int = N, isl: int = ISL, osl: int = OSL) -> list[str]:
    lengths = ["--random-input-len", str(isl), "--random-output-len", str(osl)]
    return [*lengths, "--num-prompts", str(n), "--max-concurrency", "8"]


def saved(folder: Path) -> tuple[Result, Records]:
    return Result.load(folder / "run.json"), columns_file.read(folder / "run.columns.npz")


def usage_by_server(records: Records) -> list[tuple[int, int]]:
    """(prompt, completion) tokens of each row, read from the raw event by Python's own JSON reader."""
    assert records.final_events is not None
    usages = [json.loads(event)["usage"] for event in records.final_events]
    return [(usage["prompt_tokens"], usage["completion_tokens"]) for usage in usages]


@pytest.mark.parametrize("backend", ["openai", "openai-chat"])
def test_figures_agree_with_the_servers_own(server: RealServer, tmp_path: Path, backend: str) -> None:
    done = run(server.url, tmp_path, *load(), "--backend", backend)
    assert done.returncode == 0, done.stderr
    result, records = saved(tmp_path)
    assert result.requests["ok"] == N

    agreement = agreement_with_server(records)
    assert len(agreement.rows) >= N // 2, "too few answers with an event for every token"
    assert agreement.largest_difference < 0.01
    if agreement.n_left_out == 0:  # then the mean that is reported is the mean over the same answers
        assert result.latencies["tpot"]["mean"] == pytest.approx(agreement.server_ns.mean(), rel=0.01)

    columns = records.columns
    counted = list(zip(columns["isl_server"].tolist(), columns["osl"].tolist(), strict=True))
    assert counted == usage_by_server(records)
    assert set(columns["osl"].tolist()) == {OSL}
    assert (result.tokens["osl"], result.tokens["osl_source"]) == (N * OSL, "server usage")
    if backend == "openai":
        assert set(columns["isl_server"].tolist()) == {ISL}
        assert "Verdict: INVALID" not in done.stdout


def test_a_model_name_that_the_server_does_not_list_is_said(server: RealServer, tmp_path: Path) -> None:
    """llama.cpp answers to any name: the run is measured, and the user is told."""
    done = run(server.url, tmp_path, *load(4, 8, 4), model="no-such-model")
    assert done.returncode == 0, done.stderr
    assert f"the server lists {server.model} and not no-such-model" in done.stderr
    assert saved(tmp_path)[0].requests["ok"] == 4


def test_a_too_long_prompt_ends_at_the_test_request_in_one_line(server: RealServer, tmp_path: Path) -> None:
    done = run(server.url, tmp_path, *load(4, 2000, 4))
    assert done.returncode == 1
    assert done.stdout == ""
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1
    assert "HTTP 400" in lines[0]
    assert "exceeds the available context size" in lines[0]
    assert not (tmp_path / "run.json").exists()


def test_every_prompt_too_long_measures_nothing_and_invents_nothing(server: RealServer, tmp_path: Path) -> None:
    done = run(server.url, tmp_path, *load(4, 2000, 4), "--no-test-input")
    assert done.returncode == 1
    assert "exceeds the available context size" in done.stderr
    assert re.search(r"^Mean TTFT \(ms\): +n/a *$", done.stdout, re.MULTILINE)
    assert "Verdict: INVALID" in done.stdout
    _, records = saved(tmp_path)
    assert {STATUS_NAMES[status] for status in records.columns["status"]} == {"http_error"}
    assert set(records.columns["http_status"].tolist()) == {400}


def n_predicted(url: str) -> float:
    """Tokens the server generated for requests that ended."""
    with urllib.request.urlopen(f"{url}/metrics", timeout=10) as reply:
        found = re.search(r"^llamacpp:tokens_predicted_total (\S+)$", reply.read().decode(), re.MULTILINE)
    assert found is not None
    return float(found[1])


def test_a_killed_server_leaves_what_was_measured(tmp_path: Path) -> None:
    osl, n = 16, 64
    with RealServer() as server:
        words = command(server.url, tmp_path, *load(n, 8, osl), "--no-test-input")
        client = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            deadline_s = time.monotonic() + 120
            while n_predicted(server.url) < 8 * osl:  # the first eight have ended, the next are under way
                assert time.monotonic() < deadline_s
                time.sleep(0.05)
            server.kill()
            out, err = client.communicate(timeout=60)
        finally:
            client.kill()
    assert client.returncode == 3, err
    assert re.search(r"\d+ of 64 requests failed", err)
    result, records = saved(tmp_path)
    statuses = [STATUS_NAMES[status] for status in records.columns["status"]]
    n_ok = statuses.count("ok")
    assert 8 <= n_ok < n
    assert result.requests["ok"] == n_ok
    assert set(statuses) <= {"ok", "truncated", "connect_error"}
    assert {"truncated", "connect_error"} & set(statuses)
    assert np.all(records.columns["osl"][records.ok] == osl)
    assert len(agreement_with_server(records).rows) > 0
    assert "Verdict: INVALID" in out
    assert re.search(rf"^Successful requests: +{n_ok} *$", out, re.MULTILINE)
