"""What the server tells of itself, and every other thing it may answer."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest
from tests.servers.scripted import Request, ScriptedServer, json_reply

from tokenclock.plan import EndpointPlan, ServingPlan
from tokenclock.serving.scrape import Snapshot, fetch_perf_metrics, read_counters, take_snapshot

PAGE = """\
# HELP vllm:spec_decode_num_drafts_total Number of spec decoding drafts.
# TYPE vllm:spec_decode_num_drafts_total counter
vllm:spec_decode_num_drafts_total{engine="0",model_name="m"} 100.0
vllm:spec_decode_num_drafts_total{engine="1",model_name="m"} 20.0
vllm:spec_decode_num_drafts_created{engine="0",model_name="m"} 1.7e+09
vllm:spec_decode_num_draft_tokens_total{engine="0",model_name="a } b"} 3e2
vllm:spec_decode_num_accepted_tokens_total{engine="0",model_name="m"} 150 1700000000000
vllm:spec_decode_num_accepted_tokens_per_pos_total{engine="0",model_name="m",position="0"} 90
vllm:spec_decode_num_accepted_tokens_per_pos_total{engine="1",model_name="m",position="0"} 9
vllm:spec_decode_num_accepted_tokens_per_pos_total{engine="0",model_name="m",position="1"} 60
vllm:spec_decode_num_accepted_tokens_per_pos_total{engine="0"} 7
vllm:spec_decode_num_drafts_total NaN
vllm:spec_decode_num_drafts_total many
vllm:num_requests_running{engine="0"} 3
"""


def test_a_page_of_counters_is_summed_over_engines() -> None:
    assert read_counters(PAGE) == {
        "drafts": 120, "draft_tokens": 300, "accepted_tokens": 150, "accepted_at:0": 99, "accepted_at:1": 60,
    }  # fmt: skip


@pytest.mark.parametrize("page", ["", "# nothing", 'vllm:num_requests_running{engine="0"} 3', "\0\xff{}"])
def test_a_page_without_them_has_none(page: str) -> None:
    assert read_counters(page) is None


def text_reply(text: str) -> bytes:
    return f"HTTP/1.1 200 OK\r\nContent-Length: {len(text)}\r\n\r\n{text}".encode()


def plan_for(server: ScriptedServer) -> ServingPlan:
    return ServingPlan(EndpointPlan("m", base_url=server.url))


def test_a_snapshot_and_what_was_absent_is_not_asked_for_again() -> None:
    def script(request: Request, _: socket.socket) -> bytes:
        if request.path == "/energy_metrics":
            return json_reply({"total_energy_j": 12, "query_time": 3.5})
        return json_reply({"detail": "Not Found"}, "404 Not Found")

    with ScriptedServer(script) as server:
        first = take_snapshot(plan_for(server))
        second = take_snapshot(plan_for(server), first)
    assert first == second == Snapshot(None, {"total_energy_j": 12.0, "query_time": 3.5})
    assert [request.path for request in server.requests] == ["/metrics", "/energy_metrics", "/energy_metrics"]


@pytest.mark.parametrize("answer", [[], {}, {"total_energy_j": "1", "query_time": 2}, {"total_energy_j": 1}, None])
def test_energy_of_another_shape_is_none(answer: Any) -> None:
    with ScriptedServer(lambda request, _: json_reply(answer)) as server:
        assert take_snapshot(plan_for(server)).energy is None


def test_records_per_request() -> None:
    with ScriptedServer(lambda request, _: json_reply([{"request_id": 1}, "odd"])) as server:
        assert fetch_perf_metrics(plan_for(server)) == ([{"request_id": 1}], None)
    with ScriptedServer(lambda request, _: text_reply(json.dumps({"a": 1}))) as server:
        assert fetch_perf_metrics(plan_for(server)) == (None, "the answer is no JSON array")
    with ScriptedServer(lambda request, _: json_reply({}, "404 Not Found")) as server:
        assert fetch_perf_metrics(plan_for(server)) == (None, "HTTP 404 Not Found")
