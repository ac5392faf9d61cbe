"""Commands to the server around the run: which, in what order, and what is said when they fail."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from tests.servers.scripted import Request, ScriptedServer, json_reply

from tokenclock.plan import EndpointPlan, ServerPlan, ServingPlan
from tokenclock.serving.around import Around


def around_of(server: ScriptedServer, said: list[str], **wanted: Any) -> Around:
    return Around(ServingPlan(EndpointPlan("m", base_url=server.url), server=ServerPlan(**wanted)), said.append)


def run(around: Around) -> None:
    around.before()
    around.read_counters()
    around.after()
    around.stop_profile()


def asked(server: ScriptedServer) -> list[str]:
    return [f"{request.method} {request.path}" for request in server.requests]


def willing(request: Request, _: socket.socket) -> bytes:
    answers: dict[str, Any] = {
        "/perf_metrics": [{"request_id": 1}],
        "/energy_metrics": {"total_energy_j": 1, "query_time": 2},
        "/flush_cache": {}, "/reset_prefix_cache": {}, "/start_profile": {}, "/stop_profile": {},
    }  # fmt: skip
    return json_reply(answers[request.path]) if request.path in answers else json_reply({}, "404 Not Found")


def unwilling(request: Request, _: socket.socket) -> bytes:
    return json_reply({}, "404 Not Found")


def test_everything_in_its_order() -> None:
    said: list[str] = []
    with ScriptedServer(willing) as server:
        around = around_of(server, said, reset_cache="flush_cache", profile=True, time_breakdown=True)
        run(around)
    assert asked(server) == [
        "POST /flush_cache", "GET /perf_metrics", "POST /start_profile", "GET /metrics", "GET /energy_metrics",
        "GET /energy_metrics", "POST /stop_profile", "GET /perf_metrics",
    ]  # fmt: skip
    assert said == []
    found = around.findings
    assert found.perf_metrics == [{"request_id": 1}]
    assert found.commands == dict.fromkeys(("/flush_cache", "/start_profile", "/stop_profile", "/perf_metrics"))


def test_nothing_asked_is_two_silent_looks() -> None:
    said: list[str] = []
    with ScriptedServer(unwilling) as server:
        run(around_of(server, said))
    assert asked(server) == ["GET /metrics", "GET /energy_metrics"]
    assert said == []


@pytest.mark.parametrize(
    ("wanted", "line"),
    [
        (
            {"reset_cache": "reset_prefix_cache"},
            "the server refused POST /reset_prefix_cache (HTTP 404 Not Found): cached prompts may be answered faster",
        ),
        (
            {"profile": True},
            "the server refused POST /start_profile (HTTP 404 Not Found): there will be no profile",
        ),
        (
            {"time_breakdown": True},
            "--save-request-time-breakdown: /perf_metrics: HTTP 404 Not Found; start trtllm-serve with "
            "return_perf_metrics: true and perf_metrics_max_requests above 0",
        ),
    ],
)
def test_a_refusal_is_said_once(wanted: dict[str, Any], line: str) -> None:
    said: list[str] = []
    with ScriptedServer(unwilling) as server:
        run(around_of(server, said, **wanted))
    assert said == [f"tokenclock serving: {line}"]
    assert "POST /stop_profile" not in asked(server), "what did not start is not stopped"


def test_a_page_that_is_gone_after_the_load_is_said() -> None:
    said: list[str] = []
    with ScriptedServer(willing) as server:
        around = around_of(server, said)
        around.before()
    around.read_counters()
    around.after()
    assert said == [
        "tokenclock serving: the server answered /energy_metrics before the load but not after it: "
        "its figures are left out"
    ]
    assert around.findings.after.energy is None


def test_an_empty_list_of_records_is_said() -> None:
    said: list[str] = []
    with ScriptedServer(lambda request, _: json_reply([])) as server:
        around = around_of(server, said, time_breakdown=True)
        run(around)
    assert around.findings.perf_metrics is None
    assert said[0].startswith(
        "tokenclock serving: --save-request-time-breakdown: no records in /perf_metrics (it is empty)"
    )


def test_a_run_that_breaks_off_stops_the_profiler() -> None:
    with ScriptedServer(willing) as server:
        around = around_of(server, [], profile=True)
        around.before()
        around.stop_profile()
        around.stop_profile()
    assert asked(server).count("POST /stop_profile") == 1
