"""The command as a user types it, in a process of its own, against the paced server."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.servers.scripted import Request, ScriptedServer, json_reply
from tokenizers import Tokenizer, models

from tokenclock import PacedServer
from tokenclock.event_log import read as read_event_log
from tokenclock.report.columns_file import read as read_columns
from tokenclock.result import Result

ROWS = (
    "Successful requests:", "Benchmark duration (s):", "Total input tokens:", "Total generated tokens:",
    "Request throughput (req/s):", "Output token throughput (tok/s):", "Total Token throughput (tok/s):",
    "User throughput (tok/s):",
)  # fmt: skip


@pytest.fixture(scope="module")
def server() -> Iterator[PacedServer]:
    with PacedServer(ttft_ms=10, itl_ms=2) as paced:
        yield paced


def tokenclock(*flags: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tokenclock", *flags],
        capture_output=True, text=True, timeout=60, env={**os.environ, **environment},
    )  # fmt: skip


def serving(url: str, *flags: str, n: int = 20, **environment: str) -> subprocess.CompletedProcess[str]:
    return tokenclock(
        "serving", "--model", "paced", "--base-url", url, "--dataset-name", "random", "--random-ids",
        "--random-input-len", "8", "--random-output-len", "6", "--num-prompts", str(n), "--max-concurrency", "4",
        "--ignore-eos", *flags, **environment,
    )  # fmt: skip


def saved(tmp_path: Path) -> list[str]:
    return ["--save-result", "--result-dir", str(tmp_path), "--result-filename", "a.json"]


def table_row(stdout: str, label: str) -> str:
    found = re.search(rf"^{re.escape(label)}\s+(.*?)\s*$", stdout, re.MULTILINE)
    assert found, f"no row {label} in\n{stdout}"
    return found[1]


def test_a_healthy_run(server: PacedServer) -> None:
    run = serving(server.url)
    assert run.returncode == 0, run.stderr
    lines = run.stdout.splitlines()
    assert lines[0] == "============ Serving Benchmark Result ============"
    labels = [line[:40].rstrip() for line in lines]
    assert [label for label in labels if label in ROWS] == list(ROWS)
    assert table_row(run.stdout, "Successful requests:") == "20"
    assert table_row(run.stdout, "Total input tokens:") == "160"
    assert table_row(run.stdout, "Total generated tokens:") == "120"
    assert "Verdict: " in run.stdout
    assert "\x1b" not in run.stdout + run.stderr


def test_each_classic_row_is_found_once_whatever_is_shown(server: PacedServer) -> None:
    run = serving(server.url, "--intervals", "--console", "full", "--percentile-metrics", "ttft,tpot,itl,e2el", n=40)
    assert run.returncode == 0, run.stderr
    table, _, rest = run.stdout.partition("= Steady state =")
    assert "95 % intervals, whole run" in rest
    labels = {line.partition(":")[0].strip() for line in table.splitlines() if ":" in line}
    assert "Mean TTFT (ms)" in labels
    assert [line for line in rest.splitlines() if line.partition(":")[0].strip() in labels - {"Failed requests"}] == []


def test_the_tutorials_loop(server: PacedServer, tmp_path: Path) -> None:
    for concurrency in (1, 4):
        run = tokenclock(
            "serving", "--model", "/path/to/llama3.1_70B", "--port", server.url.rpartition(":")[2],
            "--backend", "openai", "--dataset-name", "random", "--random-input-len", "64",
            "--random-output-len", "16", "--random-prefix-len", "0", "--num-prompts", str(concurrency * 5),
            "--max-concurrency", str(concurrency), "--ignore-eos", "--save-result",
            "--result-dir", str(tmp_path / "llama3.1_output"), "--result-filename", f"concurrency_{concurrency}.json",
            "--percentile-metrics", "ttft,tpot,itl,e2el",
        )  # fmt: skip
        assert run.returncode == 0, run.stderr
        values = json.loads((tmp_path / f"llama3.1_output/concurrency_{concurrency}.json").read_text())
        assert values["completed"] == values["num_prompts"] == concurrency * 5
        assert values["max_concurrency"] == concurrency
        assert values["request_goodput:"] is None
        assert values["p99_e2el_ms"] >= values["median_e2el_ms"] >= values["median_ttft_ms"] > 0


def test_files_tell_one_story(server: PacedServer, tmp_path: Path) -> None:
    run = serving(server.url, *saved(tmp_path))
    assert run.returncode == 0, run.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.columns.npz", "a.json"]
    result = Result.load(tmp_path / "a.json")
    records = read_columns(tmp_path / "a.columns.npz")
    assert result.requests["ok"] == records.n_requests == 20
    ttft_ns = (records.columns["t_first_token_ns"] - records.columns["t_sent_ns"]).astype(float)
    assert result.latencies["ttft"]["mean"] == pytest.approx(ttft_ns.mean())
    values = json.loads((tmp_path / "a.json").read_text())
    assert values["mean_ttft_ms"] == pytest.approx(ttft_ns.mean() / 1e6)


def test_no_secret_reaches_a_file(tmp_path: Path) -> None:
    with PacedServer(api_key="sk-the-key", faults=["status=500:0.3"]) as guarded:
        run = serving(
            guarded.url, "--header", "X-Token=hush-hush", *saved(tmp_path), "--no-test-input",
            "--save-events", str(tmp_path / "events"), "--max-failure-share", "1", OPENAI_API_KEY="sk-the-key",
        )  # fmt: skip
    assert run.returncode == 0, run.stderr
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"***" in written
    assert b"sk-the-key" not in written
    assert b"hush-hush" not in written


def test_nobody_listens() -> None:
    run = tokenclock(
        "serving", "--model", "m", "--base-url", "http://127.0.0.1:9", "--dataset-name", "random", "--random-ids"
    )
    assert run.returncode == 1
    assert run.stdout == ""
    assert "no server at" in run.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("options", "flags", "words"),
    [
        ({"served_model": "other"}, [], ["404", "other", "--model"]),
        ({}, ["--endpoint", "/v2/completions"], ["404", "--endpoint"]),
        ({"api_key": "sk"}, [], ["401", "OPENAI_API_KEY"]),
        ({"faults": ["error-event"]}, [], ["error inside its answer"]),
        ({"faults": ["cut"]}, [], ["broke off"]),
    ],
)
def test_a_server_that_will_not_do(options: dict[str, Any], flags: list[str], words: list[str]) -> None:
    with PacedServer(ttft_ms=5, itl_ms=1, **options) as paced:
        run = serving(paced.url, *flags)
    assert run.returncode == 1
    assert run.stdout == ""
    last = run.stderr.splitlines()[-1]
    for word in words:
        assert word in last


def test_failures_are_counted_and_gated(tmp_path: Path) -> None:
    with PacedServer(ttft_ms=5, itl_ms=1, faults=["status=503:0.3"], seed=3) as paced:
        gated = serving(paced.url, "--no-test-input", *saved(tmp_path), n=40)
        lenient = serving(paced.url, "--no-test-input", "--max-failure-share", "0.9", n=40)
    assert gated.returncode == 3
    assert "--max-failure-share" in gated.stderr
    assert lenient.returncode == 0
    values = json.loads((tmp_path / "a.json").read_text())
    assert 0 < values["failed"] < 40
    assert values["completed"] + values["failed"] == 40
    assert "INVALID" in gated.stdout
    assert "503" in gated.stdout


def test_all_failed_is_no_result_but_a_report(tmp_path: Path) -> None:
    with PacedServer(faults=["status=500"]) as paced:
        run = serving(paced.url, "--no-test-input", *saved(tmp_path))
    assert run.returncode == 1
    values = json.loads((tmp_path / "a.json").read_text())
    assert values["completed"] == 0
    assert values["mean_ttft_ms"] is None
    assert table_row(run.stdout, "Mean TTFT (ms):") == "n/a"
    assert "every request failed" in run.stderr


def test_comments_and_events_in_the_stream_change_nothing() -> None:
    with PacedServer(ttft_ms=5, itl_ms=1, faults=["comments"]) as paced:
        run = serving(paced.url)
    assert run.returncode == 0, run.stdout + run.stderr
    assert table_row(run.stdout, "Total generated tokens:") == "120"


def test_chat_and_non_streaming(server: PacedServer, tmp_path: Path) -> None:
    chat = serving(server.url, "--backend", "openai-chat")
    assert chat.returncode == 0, chat.stderr
    whole = serving(server.url, "--non-streaming", *saved(tmp_path))
    assert whole.returncode == 0, whole.stderr
    assert "TTFT" not in whole.stdout.split("Measurement quality")[0]
    values = json.loads((tmp_path / "a.json").read_text())
    assert values["mean_ttft_ms"] is None
    assert values["total_output_tokens"] == 120


def test_an_open_loop_reports_its_rate_and_both_latencies(server: PacedServer, tmp_path: Path) -> None:
    run = tokenclock(
        "serving", "--model", "paced", "--base-url", server.url, "--dataset-name", "random", "--random-ids",
        "--random-input-len", "8", "--random-output-len", "4", "--num-prompts", "60", "--request-rate", "100",
        "--burstiness", "2", "--ignore-eos", *saved(tmp_path), "--goodput", "ttft:1000", "e2el:0.001",
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    result = Result.load(tmp_path / "a.json")
    assert result.latencies["response_ttft"]["mean"] >= result.latencies["ttft"]["mean"]
    values = json.loads((tmp_path / "a.json").read_text())
    assert values["request_rate"] == 100
    assert values["request_goodput"] == values["request_goodput:"] == 0


def wait_for(condition: Callable[[], object], limit_s: float = 20.0) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def start_long_run(url: str, tmp_path: Path, *flags: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [
            sys.executable, "-m", "tokenclock", "serving", "--model", "paced", "--base-url", url,
            "--dataset-name", "random", "--random-ids", "--random-input-len", "8", "--random-output-len", "50",
            "--num-prompts", "20000", "--max-concurrency", "4", "--ignore-eos", *saved(tmp_path), *flags,
        ],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_ctrl_c_keeps_what_was_measured(server: PacedServer, tmp_path: Path) -> None:
    process = start_long_run(server.url, tmp_path)
    wait_for(lambda: list(tmp_path.glob(".a.events/part-*3.npz")))
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=30)
    assert process.returncode == 130, stderr
    result = Result.load(tmp_path / "a.json")
    assert result.incomplete
    assert result.requests["ok"] > 0
    assert result.requests["by_status"]["not_sent"] > 0
    assert "interrupted" in stdout
    assert "Traceback" not in stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_second_signal_does_not_take_away_what_the_first_saved(
    server: PacedServer, tmp_path: Path, number: signal.Signals
) -> None:
    process = start_long_run(server.url, tmp_path)
    wait_for(lambda: list(tmp_path.glob(".a.events/part-*2.npz")))
    for _ in range(12):
        process.send_signal(number)
        time.sleep(0.02)
    stdout, stderr = process.communicate(timeout=30)
    assert process.returncode == 130, stderr
    assert Result.load(tmp_path / "a.json").incomplete
    assert "interrupted" in stdout
    assert stderr.count("stopping, and saving what was measured") == 1
    assert not list(tmp_path.glob(".a.events"))


def test_more_streams_than_the_soft_limit_of_descriptors(tmp_path: Path) -> None:
    with PacedServer(ttft_ms=200, itl_ms=20) as paced:
        command = [
            sys.executable, "-m", "tokenclock", "serving", "--model", "paced", "--base-url", paced.url,
            "--dataset-name", "random", "--random-ids", "--random-input-len", "4", "--random-output-len", "4",
            "--num-prompts", "300", *saved(tmp_path),
        ]  # fmt: skip
        raised = subprocess.run(["sh", "-c", 'ulimit -S -n 128; "$@"', "sh", *command], capture_output=True, text=True)
        refused = subprocess.run(["sh", "-c", 'ulimit -n 128; "$@"', "sh", *command], capture_output=True, text=True)
    assert raised.returncode == 0, raised.stderr
    assert table_row(raised.stdout, "Successful requests:") == "300"
    assert refused.returncode == 2
    assert "ulimit -n" in refused.stderr.splitlines()[-1]


def test_an_answer_in_one_piece_where_a_stream_was_asked_is_said() -> None:
    def whole(request: Request, _: socket.socket) -> bytes:
        usage = {"prompt_tokens": 8, "completion_tokens": 6}
        return json_reply({"id": "x", "choices": [{"text": "hey", "finish_reason": "length"}], "usage": usage})

    with ScriptedServer(whole) as scripted:
        run = serving(scripted.url)
    assert run.returncode == 0, run.stderr
    assert "came whole though a stream was asked" in " ".join(run.stdout.split())


def test_kill_9_leaves_all_but_the_last_second(server: PacedServer, tmp_path: Path) -> None:
    process = start_long_run(server.url, tmp_path, "--save-events", str(tmp_path / "events"))
    wait_for(lambda: list(tmp_path.glob("events/part-*3.npz")))
    process.kill()
    process.communicate()
    plan, records, incomplete = read_event_log(tmp_path / "events")
    assert incomplete
    assert plan["load"]["num_prompts"] == 20000
    assert records.ok.sum() > 0
    assert (np.diff(records.token_offsets)[records.ok] == 50).all()


def test_a_server_that_dies_mid_run(tmp_path: Path) -> None:
    with PacedServer(ttft_ms=10, itl_ms=2) as paced:
        process = start_long_run(paced.url, tmp_path, "--save-events", str(tmp_path / "events"))
        wait_for(lambda: list(tmp_path.glob("events/part-*3.npz")))
        paced.kill()
        stdout, stderr = process.communicate(timeout=50)
    assert process.returncode == 3, stderr
    result = Result.load(tmp_path / "a.json")
    assert result.requests["ok"] > 0
    assert {"connect_error", "truncated"} & set(result.requests["by_status"])
    assert "INVALID" in stdout


def test_events_of_another_run_are_not_overwritten(server: PacedServer, tmp_path: Path) -> None:
    first = serving(server.url, "--save-events", str(tmp_path / "events"), n=4)
    second = serving(server.url, "--save-events", str(tmp_path / "events"), n=4)
    assert first.returncode == 0, first.stderr
    assert second.returncode == 2
    assert "another run" in second.stderr.splitlines()[-1]


def test_strict_wants_a_quality_without_reservation() -> None:
    with PacedServer(ttft_ms=5, itl_ms=1, faults=["status=503:0.3"], seed=3) as paced:
        lenient = serving(paced.url, "--no-test-input", "--max-failure-share", "1", n=40)
        strict = serving(paced.url, "--no-test-input", "--max-failure-share", "1", "--strict", n=40)
    assert lenient.returncode == 0
    assert strict.returncode == 3
    assert "--strict" in strict.stderr


def test_ipv6() -> None:
    with PacedServer(host="::1", ttft_ms=5, itl_ms=1) as paced:
        assert paced.url.startswith("http://[::1]:")
        run = serving(paced.url)
    assert run.returncode == 0, run.stderr


def test_what_is_asked_around_the_run_as_typed(server: PacedServer, tmp_path: Path) -> None:
    # the paced server has none of these pages: each refusal is one line, and the run goes on
    run = serving(
        server.url, "--profile", "--no-test-input", "--flush-cache", "--save-request-time-breakdown", "--temperature",
        "0", "--probe-request-rate", "50", "--goodput", "ttft:5000", "--label", "typed",
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    for words in ("POST /flush_cache", "POST /start_profile", "/perf_metrics: HTTP 404", "writes no file"):
        assert len([line for line in run.stderr.splitlines() if words in line]) == 1
    assert "--temperature" not in run.stderr
    assert table_row(run.stdout, "Probe requests failed:") == "0"
    assert table_row(run.stdout, "Requests within every limit:") == "100.00 %"
    assert "95 % interval (Wilson):" in run.stdout
    assert run.stderr.count("without --save-result saves nothing") == 1, "of --label alone"


def test_appending_with_a_label_as_typed(server: PacedServer, tmp_path: Path) -> None:
    for label in ("cold", "warm"):
        run = serving(server.url, *saved(tmp_path), "--append-result", "--label", label, n=4)
        assert run.returncode == 0, run.stderr
    lines = [json.loads(line) for line in (tmp_path / "a.json").read_text().splitlines()]
    assert [line["label"] for line in lines] == ["cold", "warm"]
    assert [found.requests["ok"] for found in Result.load_all(tmp_path / "a.json")] == [4, 4]


def test_a_ramp_as_typed(server: PacedServer, tmp_path: Path) -> None:
    run = tokenclock(
        "serving", "--model", "paced", "--base-url", server.url, "--dataset-name", "random", "--random-ids",
        "--random-input-len", "8", "--random-output-len", "4", "--num-prompts", "20", "--ramp-up-strategy", "linear",
        "--ramp-up-start-rps", "50", "--ramp-up-end-rps", "200", "--save-result", "--result-dir", str(tmp_path),
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    (path,) = tmp_path.glob("openai-ramp-up-linear-50.0qps-200.0qps-paced-*.json")
    assert json.loads(path.read_text())["tokenclock"]["requests"]["loop"] == "open"


@pytest.mark.parametrize(
    ("stdout", "said"),
    [
        (">&-", "standard output is closed"),
        ("> /dev/full", "cannot write to standard output: No space left on device"),
        ("| head -1 > /dev/null; exit ${PIPESTATUS[0]}", None),
        ("| true; exit ${PIPESTATUS[0]}", None),
    ],
)
@pytest.mark.parametrize(("flags", "code"), [((), 0), (("--metric-percentiles", "99", "--strict"), 3)])
def test_a_stdout_that_takes_nothing_changes_neither_files_nor_exit_code(
    server: PacedServer, tmp_path: Path, stdout: str, said: str | None, flags: tuple[str, ...], code: int
) -> None:
    words = [
        sys.executable, "-m", "tokenclock", "serving", "--model", "paced", "--base-url", server.url,
        "--dataset-name", "random", "--num-prompts", "4", "--random-output-len", "3", *flags, *saved(tmp_path),
    ]  # fmt: skip
    command = shlex.join(words)
    run = subprocess.run(["bash", "-c", f"{command} {stdout}"], stderr=subprocess.PIPE, text=True, timeout=60)
    assert run.returncode == code, run.stderr
    assert "Traceback" not in run.stderr
    assert "Exception ignored" not in run.stderr
    assert ("standard output" in run.stderr) == (said is not None)
    assert (said or "") in run.stderr
    assert Result.load(tmp_path / "a.json").requests["ok"] == 4
    assert (tmp_path / "a.columns.npz").exists()


def test_a_name_too_long_is_refused_before_the_run(tmp_path: Path) -> None:
    url = "http://127.0.0.1:9"  # where nobody listens: exit 1 if it were asked
    for length in (300, 240):  # the second is too long only for the files beside it
        run = serving(url, "--save-result", "--result-dir", str(tmp_path), "--result-filename", "x" * length)
        assert run.returncode == 2
        assert len(run.stderr.splitlines()) == 1
        assert f"of {length} bytes (File name too long); give a shorter one" in run.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_model_s_name_may_be_longer_than_a_file_s() -> None:
    run = tokenclock("serving", "--model", "m" * 300, "--base-url", "http://127.0.0.1:9", "--dataset-name", "random")
    assert (run.returncode, len(run.stderr.splitlines())) == (1, 1)
    assert "no server at" in run.stderr


def test_one_file_that_cannot_be_written_is_named_and_takes_no_other_with_it(
    server: PacedServer, tmp_path: Path
) -> None:
    (tmp_path / "a.columns.npz").mkdir()
    run = serving(server.url, *saved(tmp_path), SAVE_TO_PYTORCH_BENCHMARK_FORMAT="1")
    assert run.returncode == 1, run.stderr
    assert f"cannot write {tmp_path / 'a.columns.npz'}: Is a directory" in run.stderr
    assert f"cannot write {tmp_path / 'a.json'}" not in run.stderr
    assert table_row(run.stdout, "Successful requests:") == "20"
    assert Result.load(tmp_path / "a.json").requests["ok"] == 20
    assert (tmp_path / "a.pytorch.json").exists()
    assert f"everything that was measured is kept in {tmp_path / '.a.events'}" in run.stderr
    assert len(read_event_log(tmp_path / ".a.events")[1].errors) == 0


def test_each_note_on_the_prompts_is_said_once(server: PacedServer, tmp_path: Path) -> None:
    words = models.WordLevel({"a": 0, "b": 1, "c": 2}, unk_token="a")
    Tokenizer(words).save(str(tmp_path / "tokenizer.json"))  # it splits nothing: any text of it is one token
    run = serving(server.url, "--tokenizer", str(tmp_path))
    assert run.returncode == 0, run.stderr
    notes = run.stderr.splitlines()
    assert sum("could not be given the asked number of tokens" in note for note in notes) == 1
    assert len(set(notes)) == len(notes)


def test_two_runs_into_one_file_leave_each_other_s_log_alone(server: PacedServer, tmp_path: Path) -> None:
    first = start_long_run(server.url, tmp_path)
    wait_for(lambda: list(tmp_path.glob(".a.events/part-*2.npz")))
    second = serving(server.url, *saved(tmp_path))
    assert second.returncode == 0, second.stderr
    assert f"{tmp_path / '.a.events'} holds what another run into {tmp_path / 'a.json'} measured" in second.stderr
    assert not (tmp_path / ".a-2.events").exists()
    first.kill()
    first.communicate(timeout=30)
    third = serving(server.url, *saved(tmp_path))  # what the killed run measured is still there
    assert third.returncode == 0, third.stderr
    assert read_event_log(tmp_path / ".a.events")[1].ok.any()


def test_runs_started_in_the_same_second_keep_all_their_files(server: PacedServer, tmp_path: Path) -> None:
    command = [
        sys.executable, "-m", "tokenclock", "serving", "--model", "paced", "--base-url", server.url, "--dataset-name",
        "random", "--random-ids", "--random-input-len", "8", "--random-output-len", "6", "--num-prompts", "4",
        "--save-result", "--result-dir", str(tmp_path),
    ]  # fmt: skip
    runs = [subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    errors = [run.communicate(timeout=60)[1] for run in runs]
    assert [run.returncode for run in runs] == [0, 0, 0], errors
    assert len(list(tmp_path.glob("*.json"))) == len(list(tmp_path.glob("*.columns.npz"))) == 3


def test_a_full_stderr_ends_no_run(server: PacedServer, tmp_path: Path) -> None:
    command = [
        sys.executable, "-m", "tokenclock", "serving", "--model", "paced", "--base-url", server.url, "--dataset-name",
        "random", "--random-ids", "--random-input-len", "8", "--random-output-len", "6", "--num-prompts", "4",
        *saved(tmp_path),
    ]  # fmt: skip
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=full, text=True, timeout=60)
    assert done.returncode == 0
    assert "Successful requests:                     4" in done.stdout
    assert Result.load(tmp_path / "a.json").requests["ok"] == 4
