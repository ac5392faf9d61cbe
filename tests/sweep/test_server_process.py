"""The life of one server, without a sweep around it."""

from __future__ import annotations

import socket
import time
from pathlib import Path
from typing import Any

import pytest
from tests.sweep.files import free_port, paced, processes_with

from tokenclock.sweep.commands import settle
from tokenclock.sweep.points import Variant
from tokenclock.sweep.schema import Server
from tokenclock.sweep.server_process import Interrupted, RunningServer, ServerFailed


def server_of(tmp_path: Path, *, interrupted: Any = lambda: False, **keys: Any) -> RunningServer:
    variant = Variant(Server.model_validate({"name": "a", **keys}), {}, "a")
    return RunningServer(variant, settle(variant, tmp_path), interrupted)


def failure_of(server: RunningServer) -> ServerFailed:
    with pytest.raises(ServerFailed) as caught:
        server.start()
    return caught.value


def test_started_and_stopped(tmp_path: Path) -> None:
    entry = paced("a")
    server = server_of(tmp_path, **entry)
    server.start()
    assert server.died() is None
    assert server.ready_s is not None
    assert server.ready_s < 30
    assert server.stop() is None
    assert processes_with(f"--port {entry['url'].rpartition(':')[2]}") == []


def test_a_port_in_use(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        failure = failure_of(server_of(tmp_path, command="touch started", url=f"http://127.0.0.1:{port}"))
    assert f"server a was not started: port {port} is in use by something else" in str(failure)
    assert "server.log" not in str(failure)  # there is none
    assert not (tmp_path / "a/server.log").exists()


def test_every_failure_names_log_probe_and_folder(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    begun_s = time.monotonic()
    failure = failure_of(server_of(tmp_path, command="echo loading; sleep 60", url=url, ready_timeout=0.3))
    assert time.monotonic() - begun_s < 10
    assert str(failure) == (
        f"server a was not ready in time (ready_timeout: 0.3 s; {url}/health: Connection refused); "
        f"log {tmp_path}/a/server.log; probe: curl -s {url}/health; results in {tmp_path}/a/"
    )
    assert failure.tail == ["loading"]


def test_a_server_that_answers_no_is_quoted(tmp_path: Path) -> None:
    from tests.servers.scripted import ScriptedServer, json_reply

    with ScriptedServer(lambda *_: json_reply({"error": "loading weights"}, "503 Service Unavailable")) as starting:
        failure = failure_of(server_of(tmp_path, url=starting.url, ready_timeout=0.2))
    assert 'HTTP 503 {"error": "loading weights"}' in str(failure)
    assert "it was not started by the sweep" in str(failure)


@pytest.mark.parametrize(
    ("command", "how"),
    [("echo no model; exit 7", "exit code 7"), ("kill -KILL $$", "signal 9"), ("exit 0", "exit code 0")],
)
def test_one_that_dies_early(tmp_path: Path, command: str, how: str) -> None:
    failure = failure_of(server_of(tmp_path, command=command, url=f"http://127.0.0.1:{free_port()}"))
    assert f"died before it was ready ({how})" in str(failure)


def test_a_command_that_is_not_there(tmp_path: Path) -> None:
    failure = failure_of(server_of(tmp_path, command=["no-such-server"], url=f"http://127.0.0.1:{free_port()}"))
    assert "was not started: cannot start no-such-server: No such file" in str(failure)


def test_waiting_can_be_interrupted(tmp_path: Path) -> None:
    mark = f"sleep 60.{free_port()}"
    url = f"http://127.0.0.1:{free_port()}"
    server = server_of(tmp_path, command=mark, url=url, interrupted=lambda: bool(processes_with(mark)))
    with pytest.raises(Interrupted):
        server.start()
    assert processes_with(mark) == []


def test_a_stubborn_group_is_ended_by_force(tmp_path: Path) -> None:
    entry = paced("a")
    mark = f"sleep 60.{free_port()}"
    entry["command"] = f"trap '' TERM INT; {entry['command']} & sh -c \"trap '' TERM; {mark}; :\"; wait"
    server = server_of(tmp_path, **entry, stop_timeout=0.2)
    server.start()
    assert processes_with(mark)
    assert server.stop() is None
    assert processes_with(mark) == []


def test_what_detaches_is_waited_for_and_ended(tmp_path: Path) -> None:
    """A launcher that leaves its server in a session of its own and ends with 0."""
    entry = paced("a")
    entry["command"] = f"setsid {entry['command']} & exit 0"
    server = server_of(tmp_path, **entry)
    server.start()
    assert server.died() is None
    assert server.stop() is None
    assert processes_with(f"--port {entry['url'].rpartition(':')[2]}") == []


def test_a_probe_that_is_a_command(tmp_path: Path) -> None:
    entry = paced("a", probe="echo asking {url}; exit 4")
    failure = failure_of(server_of(tmp_path, **entry))
    assert "failed its probe (exit code 4" in str(failure)
    assert failure.tail == [f"asking {entry['url']}"]
