"""Whole sweeps as a user types them, over paced servers as the server commands."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.sweep.files import benchmark, command, free_port, index_of, paced, processes_with, statuses, sweep

from tokenclock.cli import sweep as cli
from tokenclock.errors import UsageError
from tokenclock.result import Result

Write = Callable[..., Path]


def wait_for(condition: Callable[[], bool], limit_s: float = 30.0) -> None:
    deadline_s = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline_s, "it did not happen in time"
        time.sleep(0.05)


def test_two_servers_two_points(write: Write, tmp_path: Path) -> None:
    file = write(servers=[paced("pytorch_hf"), paced("trt_engine")], metrics_interval=0.2)
    run = sweep(file)
    assert run.returncode == 0, run.stderr
    assert run.stdout == ""
    assert "\x1b" not in run.stderr
    out = tmp_path / "out"
    for server in ("pytorch_hf", "trt_engine"):
        for concurrency in (1, 2):
            result = Result.load(out / server / f"concurrency_{concurrency}.json")
            assert result.requests["ok"] == 4
            assert result.plan["load"]["max_concurrency"] == concurrency
        assert (out / server / "server.log").is_file()
        readings = [
            json.loads(line) for line in (out / server / "concurrency_2.metrics.jsonl").read_text().splitlines()
        ]
        assert len(readings) >= 2
        assert readings[-1]["values"]
    index = index_of(out)
    assert index["incomplete"] is False
    assert [point["status"] for point in index["points"]] == ["done"] * 4
    assert index["points"][0]["axes"] == {"concurrency": 1}
    assert json.loads((out / "environment.json").read_text())["python"]
    assert processes_with(str(tmp_path)) == []


def test_killed_it_leaves_no_process(write: Write, tmp_path: Path) -> None:
    """The server, what detached from it, and the run under way all end with us, even by SIGKILL."""
    port = free_port()
    server = paced("a", "--itl-ms 200", port=port, stop_command=f"touch {tmp_path}/stopped")
    mark = f"tokenclock-orphan-{port}"
    server["command"] = f"setsid sh -c 'sleep 600; : {mark}' & " + server["command"]
    process = subprocess.Popen(command(write(servers=[server], matrix={"concurrency": [1]})), stderr=subprocess.PIPE)
    try:
        wait_for(lambda: any("serving" in line for line in processes_with(f"127.0.0.1:{port}")))
        assert processes_with(mark)
        assert processes_with(f"--port {port}")
    finally:
        process.kill()
        process.communicate()
    wait_for(
        lambda: not (processes_with(mark) or processes_with(str(tmp_path)) or processes_with(f"--port {port}")), 10
    )


def test_ctrl_c_keeps_what_is_done_and_resume_goes_on(
    write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(servers=[paced("a", "--itl-ms 100")], matrix={"concurrency": [4, 1]})
    process = subprocess.Popen(command(file), stderr=subprocess.PIPE, text=True)
    out = tmp_path / "out"
    wait_for(lambda: (out / "a/concurrency_1.log").exists())
    time.sleep(0.7)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert statuses(out) == {"a/concurrency_4": "done", "a/concurrency_1": "incomplete"}
    before = (out / "a/concurrency_4.json").stat().st_mtime_ns

    with pytest.raises(UsageError, match="--resume goes on with it"):
        cli.main([str(file)])
    assert cli.main([str(file), "--dry-run", "--resume"]) == 0
    assert "a/concurrency_4: about 1 s  (done)" in capsys.readouterr().out

    resumed = sweep(file, "--resume")
    assert resumed.returncode == 0, resumed.stderr
    assert statuses(out) == {"a/concurrency_4": "done", "a/concurrency_1": "done"}
    assert (out / "a/concurrency_4.json").stat().st_mtime_ns == before
    assert Result.load(out / "a/concurrency_1.json").incomplete is False


def test_a_server_that_dies_early_shows_its_last_words(write: Write, tmp_path: Path) -> None:
    broken = paced("broken")
    broken["command"] = "echo no such model >&2; exit 7"
    servers = [broken, paced("good")]
    run = sweep(write(servers=servers))
    assert run.returncode == 1
    assert "server broken died before it was ready (exit code 7)" in run.stderr
    assert "    | no such model" in run.stderr
    assert f"log {tmp_path}/out/broken/server.log" in run.stderr
    assert f"probe: curl -s {broken['url']}/health" in run.stderr
    assert statuses(tmp_path / "out")["good/concurrency_1"] == "not run"

    run = sweep(write(servers=servers), "--continue-on-error", "--overwrite")
    assert run.returncode == 3
    assert statuses(tmp_path / "out") == {
        "broken/concurrency_1": "failed", "broken/concurrency_2": "failed",
        "good/concurrency_1": "done", "good/concurrency_2": "done",
    }  # fmt: skip


def test_a_server_that_dies_during_a_point(write: Write, tmp_path: Path) -> None:
    """The point fails with the server's end named; the next point gets the server started anew."""
    server = paced("a", "--itl-ms 300")
    server["command"] = f"exec {server['command']}"
    file = write(servers=[server], matrix={"concurrency": [1, 4]})
    process = subprocess.Popen(command(file, "--continue-on-error"), stderr=subprocess.PIPE, text=True)
    wait_for(lambda: (tmp_path / "out/a/concurrency_1.log").exists())
    time.sleep(1.0)
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        if b"paced-server" in path.read_bytes() and server["url"].rpartition(":")[2].encode() in path.read_bytes():
            os.kill(int(path.parent.name), signal.SIGKILL)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 3, err
    assert "server a died during a/concurrency_1 (exit code -9)" in err
    assert statuses(tmp_path / "out") == {"a/concurrency_1": "failed", "a/concurrency_4": "done"}


def test_a_run_that_is_killed_fails_alone(write: Write, tmp_path: Path) -> None:
    file = write(servers=[paced("a", "--itl-ms 300")], matrix={"concurrency": [1, 4]})
    process = subprocess.Popen(command(file, "--continue-on-error"), stderr=subprocess.PIPE, text=True)
    mark = f"--result-dir\0{tmp_path}/out/a".encode()
    wait_for(lambda: (tmp_path / "out/a/.concurrency_1.events").exists())
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        if mark in path.read_bytes():
            os.kill(int(path.parent.name), signal.SIGKILL)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 3, err
    assert "a/concurrency_1 was ended by signal 9; log " in err
    assert statuses(tmp_path / "out") == {"a/concurrency_1": "failed", "a/concurrency_4": "done"}


def test_a_detached_server_is_ended_by_its_stop_command(write: Write, tmp_path: Path) -> None:
    """A client that leaves its server alive, as `docker exec` does: here a helper outside starts it."""
    pid, fifo = tmp_path / "pid", tmp_path / "start"
    os.mkfifo(fifo)
    port = free_port()
    helper = subprocess.Popen(  # stands for the container's daemon: the server is its child, not ours
        ["sh", "-c", f"read go < {fifo}; {sys.executable} -m tokenclock paced-server --port {port} & "
         f"echo $! > {pid}; wait"], stdout=subprocess.DEVNULL,
    )  # fmt: skip
    server = paced("a", port=port, stop_command=f"kill $(cat {pid})", results_from=f"cp {pid} {{folder}}/copied")
    server["command"] = f"echo go > {fifo}"
    run = sweep(write(servers=[server], matrix={"concurrency": [1]}))
    assert run.returncode == 0, run.stderr
    assert helper.wait(timeout=10) is not None
    assert (tmp_path / "out/a/copied").read_text() == pid.read_text()
    assert processes_with(f"--port {port}") == []


def test_without_its_stop_command_a_server_that_stays_is_named(write: Write, tmp_path: Path) -> None:
    port = free_port()
    server = paced("a", port=port, stop_command="true", stop_timeout=0.3)
    started = tmp_path / "started"
    keeper = subprocess.Popen(
        ["sh", "-c", f"while [ ! -e {started} ]; do sleep 0.05; done; "
         f"exec {sys.executable} -m tokenclock paced-server --port {port}"], stdout=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        server["command"] = f"touch {started}"
        run = sweep(write(servers=[server], matrix={"concurrency": [1]}))
        assert run.returncode == 0, run.stderr
        assert f"still answers on port {port} after its stop: its stop_command did not end it" in run.stderr
    finally:
        keeper.kill()
        keeper.wait()


def test_a_point_under_way_is_stopped_when_time_is_up(write: Write, tmp_path: Path) -> None:
    file = write(
        servers=[paced("a", "--itl-ms 1000")], max_minutes=0.25, expected={"start": 0, "ttft": 0, "itl": 0, "point": 0},
        matrix={"concurrency": [4, 1]},
    )  # fmt: skip
    run = sweep(file)
    assert run.returncode == 3, run.stderr
    assert statuses(tmp_path / "out") == {"a/concurrency_4": "done", "a/concurrency_1": "incomplete"}


def test_time_shorter_than_a_start_still_gets_on(write: Write, tmp_path: Path) -> None:
    file = write(servers=[paced("a")], max_minutes=0.001, expected={"start": 60, "ttft": 5, "itl": 1, "point": 1})
    run = sweep(file)
    assert run.returncode == 3, run.stderr
    assert "max_minutes: 0.001 are over (a/concurrency_2 would have taken about" in run.stderr
    assert statuses(tmp_path / "out") == {"a/concurrency_1": "done", "a/concurrency_2": "not run"}
    assert sweep(file, "--resume").returncode == 0
    assert statuses(tmp_path / "out") == {"a/concurrency_1": "done", "a/concurrency_2": "done"}


def test_probe_and_warm_up(write: Write, tmp_path: Path) -> None:
    body = {"model": "paced", "messages": [{"role": "user", "content": "Where is New York?"}], "max_tokens": 4}
    server = paced("a", probe={"path": "/v1/chat/completions", "body": body})
    file = write(servers=[server], matrix={"concurrency": [2]}, warmup=3)
    run = sweep(file)
    assert run.returncode == 0, run.stderr
    assert "Successful requests:                     3" in (tmp_path / "out/a/warmup.log").read_text()
    assert not list((tmp_path / "out/a").glob("warmup*.json"))

    server["probe"]["path"] = "/nowhere"
    run = sweep(write(servers=[server]), "--overwrite")
    assert run.returncode == 1
    assert "failed its probe (/nowhere: HTTP 404" in run.stderr


def test_a_missed_gate_of_a_point_is_exit_3_and_goes_on(write: Write, tmp_path: Path) -> None:
    server = paced("a", "--fault status=503:0.5")
    file = write(servers=[server])
    content = json.loads(file.read_text())
    content["benchmark"] |= {"no-test-input": True, "num-prompts": 20}
    file.write_text(json.dumps(content))
    run = sweep(file)
    assert run.returncode == 3, run.stderr
    assert statuses(tmp_path / "out") == {"a/concurrency_1": "done", "a/concurrency_2": "done"}


def test_profile_and_throughput_are_points_too(write: Write, tmp_path: Path) -> None:
    """Their results are found where they put them, and read as ours."""
    flags = {"command": "profile", "model": "paced", "endpoint-type": "completions", "streaming": True,
             "request-count": 4, "isl": 4, "osl": 4}  # fmt: skip
    run = sweep(write(servers=[paced("a")], benchmark=flags, matrix={"concurrency": [2]}))
    assert run.returncode == 0, run.stderr
    (point,) = index_of(tmp_path / "out")["points"]
    assert point["file"] == "a/paced-openai-completions-concurrency2/concurrency_2_genai_perf.json"
    assert Result.load(tmp_path / "out" / point["file"]).requests["ok"] == 4

    rows = [json.dumps({"task_id": n, "input_ids": [5, 6, 7], "output_tokens": 4}) for n in range(4)]
    (tmp_path / "rows.jsonl").write_text("\n".join(rows) + "\n")
    flags = {"command": "throughput", "model": "paced", "dataset": str(tmp_path / "rows.jsonl")}
    run = sweep(write(servers=[paced("a")], benchmark=flags, matrix={"concurrency": [2]}), "--overwrite")
    assert run.returncode == 0, run.stderr
    (point,) = index_of(tmp_path / "out")["points"]
    assert point["file"] == "a/concurrency_2.json"
    assert Result.load(tmp_path / "out" / point["file"]).requests["ok"] == 4


def test_a_search_ends_with_its_answer_on_stdout(write: Write, tmp_path: Path) -> None:
    search = {"kind": "concurrency", "low": 2, "high": 4, "slo": {"ttft": 2000}, "share": 0.8, "tries": 1, "confirm": 1}
    file = write(servers=[paced("a")], matrix={}, search=search, gpus=1, benchmark=benchmark(**{"num-prompts": 20}))
    run = sweep(file)
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith(
        "a: highest concurrency with 80 % of requests within ttft <= 2000 ms: 4 at least: no higher load was tried\n"
    )
    assert "Pareto front" in run.stdout
    index = index_of(tmp_path / "out")
    assert set(statuses(tmp_path / "out")) == {f"a/concurrency_{n}_try_1" for n in (2, 4)} | {"a/concurrency_4_try_2"}
    assert index["search"][0]["loads"][0] == {
        "load": 2, "verdict": "keeps", "runs": [[20, 20]], "interval_95": [pytest.approx(0.8389, abs=1e-4), 1.0],
    }  # fmt: skip
    seeds = {Result.load(path).plan["load"]["seed"] for path in (tmp_path / "out/a").glob("*_4_try_?.json")}
    assert len(seeds) == 2  # no try sends the prompts of another

    content = json.loads(file.read_text())
    content["search"]["slo"] = {"ttft": 0.001}
    file.write_text(json.dumps(content))
    run = sweep(file, "--overwrite")
    assert run.returncode == 3, run.stderr
    assert "no load kept the limits" in run.stdout
