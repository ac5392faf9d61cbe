"""A stand-in for trtllm-serve's face: completions, `/perf_metrics` with a record for each, `/metrics` of both kinds."""

from __future__ import annotations

import itertools
import json
import socket
import threading
import time
from typing import Any

from tests.servers.scripted import Request, ScriptedServer, json_reply, sse_reply

__all__ = ["trtllm_server"]

QUEUE_S, PREFILL_S, DECODE_S = 0.001, 0.010, 0.020


def trtllm_server(*, ids_match: bool, prometheus: bool = True) -> ScriptedServer:
    """Answers three tokens; its records say 1 ms of queue, 10 ms of prefill and 20 ms of decode for each request.

    ids_match: records carry the id of the response, else a number of the server's own.
    prometheus: `/prometheus/metrics` is there, beside the iterations of `/metrics`.
    """
    numbers, lock = itertools.count(1), threading.Lock()
    records: list[dict[str, Any]] = []

    def answer(request: Request, _: socket.socket) -> bytes:
        if request.path == "/v1/completions":
            number, arrival = next(numbers), time.monotonic()
            name = f"cmpl-{number:04x}"
            stamps = {
                "arrival_time": arrival,
                "first_scheduled_time": arrival + QUEUE_S,
                "first_token_time": arrival + QUEUE_S + PREFILL_S,
                "last_token_time": arrival + QUEUE_S + PREFILL_S + DECODE_S,
            }
            with lock:
                records.append(
                    {"request_id": name if ids_match else 7000 + number, "perf_metrics": {"timing_metrics": stamps}}
                )
            time.sleep(0.012)
            usage = {"prompt_tokens": len(request.json["prompt"]), "completion_tokens": 3}
            events = [{"id": name, "choices": [{"index": 0, "text": text}]} for text in "abc"]
            events[-1]["choices"][0]["finish_reason"] = "length"  # type: ignore[index]
            return sse_reply(
                [*map(json.dumps, events), json.dumps({"id": name, "choices": [], "usage": usage}), "[DONE]"]
            )
        if request.path == "/perf_metrics":
            with lock:
                found, records[:] = records[:], []
            return json_reply(found)
        if request.path == "/metrics":
            return json_reply([{"iter": 1, "numActiveRequests": 2}])
        if request.path == "/prometheus/metrics" and prometheus:
            body = b'# TYPE x gauge\ntrtllm_kv_cache_utilization{engine="0"} 0.25\n'
            return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        if request.path in ("/health", "/v1/models"):
            return json_reply({"data": [{"id": "paced"}]})
        return json_reply({}, "404 Not Found")

    return ScriptedServer(answer)
