"""Whole runs against a server that answers what is asked around the load: files, console keys, and their joins."""

from __future__ import annotations

import itertools
import json
import socket
import threading
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from tests.servers.scripted import Request, ScriptedServer, completion_events, json_reply, sse_reply

from tokenclock.plan import (
    EndpointPlan,
    GenerationPlan,
    LoadPlan,
    OutputPlan,
    RampUp,
    RandomDataset,
    ServerPlan,
    ServingPlan,
)
from tokenclock.report.columns_file import read as read_columns
from tokenclock.result import Result
from tokenclock.run import run_serving

SCHEMA = json.loads((Path(__file__).parent / "golden" / "result_schema_1.json").read_text())
USAGE = {"prompt_tokens": 4, "completion_tokens": 2}


class FullServer:
    """Two tokens for every prompt, and every page a server may have; keeps records as trtllm-serve does."""

    def __init__(self) -> None:
        self.numbers = itertools.count()
        self.records: list[dict[str, Any]] = []
        self.lock = threading.Lock()
        self.n_readings = {"/metrics": 0, "/energy_metrics": 0}

    def __call__(self, request: Request, connection: socket.socket) -> bytes:
        if request.path == "/v1/completions":
            return self.complete(request)
        if request.path == "/perf_metrics":
            with self.lock:
                given, self.records = self.records, []
            return json_reply(given)
        if request.path in self.n_readings:
            self.n_readings[request.path] += 1
            n = self.n_readings[request.path]
            if request.path == "/energy_metrics":
                return json_reply({"total_energy_j": 50.0 * n, "query_time": 10.0 * n})
            page = f"vllm:spec_decode_num_draft_tokens_total {40 * n}\nvllm:spec_decode_num_drafts_total {10 * n}\n"
            page += f"vllm:spec_decode_num_accepted_tokens_total {20 * n}\n"
            return f"HTTP/1.1 200 OK\r\nContent-Length: {len(page)}\r\n\r\n{page}".encode()
        return json_reply({}, "200 OK" if request.path.endswith("_profile") else "404 Not Found")

    def complete(self, request: Request) -> bytes:
        n = next(self.numbers)
        names = ("server_arrival_time", "arrival_time", "first_scheduled_time", "first_token_time")
        timing = {name: 100.0 + n + 0.001 * k for k, name in enumerate(names)}
        with self.lock:
            self.records.append({"request_id": f"cmpl-{n}", "perf_metrics": {"timing_metrics": timing}})
        events = completion_events(["a", "b"], usage=USAGE)
        return sse_reply([event.replace("cmpl-1", f"cmpl-{n}") for event in events])


def plan_for(
    url: str, tmp_path: Path, load: dict[str, Any], output: dict[str, Any], server: ServerPlan = ServerPlan()  # noqa: B008
) -> ServingPlan:  # fmt: skip
    return ServingPlan(
        EndpointPlan("m", base_url=url),
        LoadPlan(**{"num_prompts": 6, "max_concurrency": 2, **load}),
        GenerationPlan(temperature=0.0),
        RandomDataset(input_len=4, output_len=2, vocab_size=500),
        OutputPlan(save_result=True, result_dir=str(tmp_path), result_filename="a.json", progress=False, **output),
        server,
    )


def test_everything_around_a_run_is_in_its_result(tmp_path: Path) -> None:
    said: list[str] = []
    with ScriptedServer(FullServer()) as server:
        plan = plan_for(
            server.url, tmp_path, {"request_id_prefix": "run7-"}, {"save_detailed": True, "label": "warm"},
            ServerPlan(profile=True, time_breakdown=True),
        )  # fmt: skip
        result = run_serving(plan, say=said.append)
    jsonschema.validate(result.to_dict(), SCHEMA)
    assert result.server is not None
    assert dict(result.server["commands"]) == {"/start_profile": None, "/stop_profile": None, "/perf_metrics": None}
    assert result.server["spec_decode"]["acceptance_rate"] == 0.5
    assert result.server["spec_decode"]["acceptance_length"] == 3.0
    assert result.server["energy"] == {"total_energy_j": 50.0, "output_tps_per_w": 12 / 50, "total_gpu_power_w": 5.0}
    breakdown = result.server["time_breakdown"]
    assert (breakdown["method"], breakdown["n_records"], breakdown["n_joined"]) == ("response id", 6, 6)
    assert breakdown["segments"]["ctx_queue"]["median_ns"] == pytest.approx(1e6)
    values = json.loads((tmp_path / "a.json").read_text())
    assert values["label"] == "warm"
    assert values["request_ids"] == [f"run7-{row}" for row in range(6)]
    assert sorted(values["perf_metrics_index"]) == list(range(6))
    records = json.loads((tmp_path / "a-perf_metrics.json").read_text())
    assert len(records) == 6, "the test request's record is not among them"
    response_ids = read_columns(tmp_path / "a.columns.npz").response_ids
    assert [records[k]["request_id"] for k in values["perf_metrics_index"]] == response_ids
    ids = {r.headers["x-request-id"] for r in server.requests if "x-request-id" in r.headers}
    assert ids == set(values["request_ids"])
    assert not any("temperature" in line for line in said)


def test_a_temperature_nobody_named_is_not_sent_and_said(tmp_path: Path) -> None:
    said: list[str] = []
    with ScriptedServer(FullServer()) as server:
        plan = ServingPlan(
            EndpointPlan("m", base_url=server.url), LoadPlan(num_prompts=1), dataset=RandomDataset(input_len=4)
        )
        run_serving(plan, say=said.append)
    bodies = [request.json for request in server.requests if request.method == "POST"]
    assert not any("temperature" in body for body in bodies)
    assert "tokenclock serving: no --temperature: the server's own default holds (0 is greedy)" in said


def test_appended_runs_share_a_file_and_keep_their_own_columns(tmp_path: Path) -> None:
    with ScriptedServer(FullServer()) as server:
        plan = plan_for(server.url, tmp_path, {}, {"append_result": True})
        for _ in range(2):
            run_serving(plan, say=lambda line: None)
    assert [found.requests["ok"] for found in Result.load_all(tmp_path / "a.json")] == [6, 6]
    assert list(tmp_path.glob("a-2*.columns.npz"))
    assert not (tmp_path / "a.columns.npz").exists()


def test_a_ramp_is_an_open_loop_with_its_own_mean_rate(tmp_path: Path) -> None:
    with ScriptedServer(FullServer()) as server:
        ramp = RampUp("exponential", 50.0, 200.0)
        plan = plan_for(server.url, tmp_path, {"ramp_up": ramp, "num_prompts": 3, "max_concurrency": None}, {})
        result = run_serving(plan, say=lambda line: None)
    values = result.faces["serving"]["values"]
    assert result.requests["loop"] == "open"
    assert values["request_rate"] == pytest.approx(2 / (1 / 50 + 1 / 100))
    assert (values["ramp_up_strategy"], values["ramp_up_start_rps"], values["ramp_up_end_rps"]) == (
        "exponential", 50.0, 200.0,
    )  # fmt: skip


def test_probes_run_beside_the_load(tmp_path: Path) -> None:
    with ScriptedServer(FullServer()) as server:
        load = {"probe_request_rate": 100.0, "request_rate": 20.0, "num_prompts": 12, "max_concurrency": None}
        result = run_serving(plan_for(server.url, tmp_path, load, {}), say=lambda line: None)
    assert result.probes is not None
    assert result.requests["scheduled"] == 12
    assert result.probes["completed"] > 3
    assert (result.probes["failed"], result.probes["unfinished"]) == (0, 0)
    assert result.faces["serving"]["values"]["probe_max_e2el_ms"] >= result.probes["e2el_ns"]["median"] / 1e6 > 0
    prompts = [request.json["prompt"] for request in server.requests if request.method == "POST"]
    assert prompts.count("hi") >= result.probes["completed"]


def test_a_profiler_is_stopped_when_the_run_breaks_off(tmp_path: Path) -> None:
    class Broken(Exception):
        pass

    def fail(progress: Any) -> None:
        raise Broken

    with ScriptedServer(FullServer()) as server:
        plan = plan_for(server.url, tmp_path, {"test_input": False}, {}, ServerPlan(profile=True))
        with pytest.raises(Broken):
            run_serving(plan, say=lambda line: None, on_progress=fail)
    assert [r.path for r in server.requests if "profile" in r.path] == ["/start_profile", "/stop_profile"]
