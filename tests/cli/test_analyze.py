"""`tokenclock analyze`: the points of a sweep, its checkpoint and its CSV."""

from __future__ import annotations

import csv
import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.servers.scripted import Request, ScriptedServer, json_reply

from tokenclock import PacedServer
from tokenclock.cli.analyze import main
from tokenclock.cli.analyze_points import points_of
from tokenclock.errors import UsageError

FLAGS = ["-m", "m", "--endpoint-type", "chat"]


@pytest.mark.parametrize(
    ("flags", "values"),
    [
        ([], (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)),
        (["--sweep-range", "3:20"], (3, 6, 12)),
        (["--sweep-range", "3:9:3"], (3, 6, 9)),
        (["--sweep-list", "5,1,5"], (5, 1)),
        (["--sweep-type", "request_rate", "--sweep-list", "0.5,2"], (0.5, 2)),
        (["--sweep-type", "input_sequence_length"], (100, 200, 400, 800)),
    ],
)
def test_the_points(flags: list[str], values: tuple[float, ...]) -> None:
    assert points_of([*FLAGS, *flags]).values == values


def test_each_point_sets_its_flag_and_has_a_directory_of_its_own() -> None:
    rates = list(points_of([*FLAGS, "--sweep-type", "request_rate", "--sweep-list", "2"]).arguments())
    assert rates == [[*FLAGS, "--artifact-dir=artifacts", "--request-rate=2"]]
    lengths = list(points_of([*FLAGS, "--sweep-type", "input_sequence_length", "--sweep-list", "2,3"]).arguments())
    assert [words[-2] for words in lengths] == [f"--artifact-dir=artifacts/input_sequence_length{n}" for n in (2, 3)]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--sweep-type", "batch_size", "-b", "2"], "-b and --sweep-type batch_size exclude each other"),
        (["--sweep-type", "x"], "--sweep-type must be one of concurrency"),
        (["--sweep-list", "1", "--sweep-range", "1:2"], "exclude each other"),
        (["--sweep-range", "4:2"], "--sweep-range must rise, got 4:2"),
        (["--sweep-range", "4"], "--sweep-range must be MIN:MAX or MIN:MAX:STEP, got 4"),
        (["--sweep-list", "a"], "--sweep-list must be a whole number, got a"),
        (["--sweep-list", ""], "a sweep must have 1 to 1000 points, got 0"),
        (["--sweep-range", "1:100000:1"], "a sweep must have 1 to 1000 points"),
        (["--sweep-list", "0"], "--sweep-list must hold numbers from above 0"),
        (["--concurrency", "3"], "--concurrency and --sweep-type concurrency exclude each other"),
        (["--nonsense"], "unknown flag --nonsense"),
    ],
)
def test_a_wrong_sweep_is_refused_before_any_point(flags: list[str], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        main([*FLAGS, *flags])
    assert message in str(caught.value)


def test_a_sweep_is_measured_once_and_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    def sweep(command: str, *points: str) -> subprocess.CompletedProcess[str]:
        words = [sys.executable, "-m", "tokenclock", command, "-m", "paced", "--url", server.url]
        words += ["--endpoint-type", "chat", "--streaming", "--isl", "4", "--osl", "3", "--request-count", "10"]
        return subprocess.run([*words, *points], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)

    with PacedServer(ttft_ms=5, itl_ms=1) as server:
        first = sweep("analyze", "--sweep-list", "1,2")
        assert first.returncode == 0, first.stderr
        again = sweep("profile", "--sweep-list", "1,2,3")
    assert again.returncode == 0, again.stderr
    assert again.stderr.count("not measured again") == 2
    assert "concurrency 3\n" in again.stderr
    with open(tmp_path / "artifacts" / "analyze_export_genai_perf.csv", newline="") as file:
        header, *rows = csv.reader(file)
    assert header[:4] == ["Config Name", "Concurrency", "ISL", "Num Dataset Entries"]
    assert header[-1] == "Request Throughput (requests/sec)"
    assert [row[1] for row in rows] == ["1", "2", "3"]
    statistics = tmp_path / "artifacts" / "paced-openai-chat-concurrency2" / "profile_export_genai_perf.json"
    assert rows[1][4] == f"{json.loads(statistics.read_text())['time_to_first_token']['p99']:.2f}"


def test_a_sweep_of_batch_sizes(tmp_path: Path) -> None:
    def answer(request: Request, _connection: socket.socket) -> bytes:
        if request.method == "GET":
            return json_reply({}, "404 Not Found")
        given = request.json["input"]
        batch = [given] if isinstance(given[0], int) else given
        assert all(len(ids) == 4 and all(isinstance(one, int) for one in ids) for ids in batch)  # ids at every size
        sent.add(len(batch))
        return json_reply({"data": [{"index": 0, "embedding": [0.5]}], "usage": {"prompt_tokens": 5}})

    sent: set[int] = set()
    words = ["--endpoint-type", "embeddings", "-m", "m", "--isl", "4", "--request-count", "4", "--num-prompts", "4"]
    with ScriptedServer(answer) as server:
        words += ["-u", server.url, "--artifact-dir", str(tmp_path), "--checkpoint-dir", str(tmp_path)]
        assert main([*words, "--sweep-type", "batch_size", "--sweep-list", "1,3"]) == 0
    assert sent == {1, 3}
    with open(tmp_path / "analyze_export_genai_perf.csv", newline="") as file:
        header, *rows = csv.reader(file)
    assert header[4] == "Batch Size"
    assert [row[4] for row in rows] == ["1", "3"]


def test_a_checkpoint_of_others_is_refused(tmp_path: Path) -> None:
    (tmp_path / "checkpoint.json").write_text('{"points": 3}')
    with pytest.raises(UsageError, match=r"checkpoint.json:1: expected a checkpoint of tokenclock, with an object"):
        main([*FLAGS, "--sweep-list", "1", "--checkpoint-dir", str(tmp_path)])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_sweep_alone_stops_it_and_keeps_the_points_that_are_done(
    tmp_path: Path, number: signal.Signals
) -> None:
    words = [sys.executable, "-m", "tokenclock", "analyze", "-m", "paced", "--endpoint-type", "chat", "--streaming"]
    words += ["--isl", "4", "--osl", "30", "--request-count", "10", "--sweep-list", "10,1,2,3"]
    with PacedServer(ttft_ms=5, itl_ms=10) as server:
        command = [*words, "--url", server.url]
        with subprocess.Popen(
            command, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as sweep:
            assert sweep.stderr is not None
            said = ""
            while "concurrency 1\n" not in said:
                said += sweep.stderr.readline()
            time.sleep(1.5)
            sweep.send_signal(number)
            _, err = sweep.communicate(timeout=60)
    assert sweep.returncode == 130, err
    assert "concurrency 2\n" not in err
    assert "Traceback" not in err
    with open(tmp_path / "artifacts" / "analyze_export_genai_perf.csv", newline="") as file:
        assert [row[1] for row in csv.reader(file)][1:] == ["10"]
    points = json.loads((tmp_path / "checkpoint" / "checkpoint.json").read_text())["points"]
    assert [point["asked"]["concurrency"] for point in points.values()] == [10]


def test_a_sweep_that_measured_nothing_leaves_no_table_of_an_earlier_one(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "analyze_export_genai_perf.csv"
    table.write_text("an earlier sweep")
    words = [*FLAGS, "--url", "http://127.0.0.1:9", "--sweep-list", "1", "--artifact-dir", str(tmp_path)]
    assert main([*words, "--checkpoint-dir", str(tmp_path)]) == 1
    assert not table.exists()
    assert "no point was measured" in capfd.readouterr().err
