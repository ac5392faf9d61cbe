"""The native paced server as Python sees it: options, errors, and arrays that outlive their server."""

from __future__ import annotations

import gc
import json
import urllib.request
from typing import Any

import numpy as np
import pytest

from tokenclock._core import NativePacedServer


def complete(server: NativePacedServer, n_tokens: int) -> None:
    body = json.dumps({"prompt": [1, 2], "max_tokens": n_tokens, "stream": True}).encode()
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/v1/completions", body, timeout=30) as reply:
        assert reply.read().endswith(b"data: [DONE]\n\n")


def test_the_truth_is_arrays_that_outlive_the_server() -> None:
    server = NativePacedServer(mode="flood")
    assert not server.is_running
    server.start()
    assert server.is_running
    complete(server, 3)
    server.stop()
    server.stop()
    assert not server.is_running
    truth = server.truth()
    del server
    gc.collect()
    assert truth["n_tokens"].tolist() == [0, 1, 1, 1]
    assert truth["send_offsets"].tolist() == [0, 4]
    assert (np.diff(truth["t_send_ns"]) > 0).all()
    types = {name: str(array.dtype) for name, array in truth.items() if isinstance(array, np.ndarray)}
    assert types == {
        **dict.fromkeys(["t_arrival_ns", "t_read_ns", "t_done_ns", "t_first_on_wire_ns"], "int64"),
        **dict.fromkeys(["send_offsets", "t_send_ns", "t_due_ns"], "int64"),
        **dict.fromkeys(["prompt_tokens", "max_tokens", "n_tokens", "n_events"], "int32"),
        **dict.fromkeys(["arrival_kernel", "fault"], "uint8"),
        "status": "int16",
    }


def test_losses_are_counted_and_the_requests_served_all_the_same() -> None:
    server = NativePacedServer(mode="flood", max_requests=1, max_sends=3)
    server.start()
    complete(server, 5)
    complete(server, 5)
    server.stop()
    truth = server.truth()
    assert (len(truth["t_arrival_ns"]), truth["n_requests_lost"]) == (1, 1)
    assert (len(truth["t_send_ns"]), truth["n_sends_lost"]) == (3, 9)
    assert server.figures()["n_tokens"] == 10


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "fast"}, "mode must be one of batch, independent, flood, got fast"),
        ({"itl_distribution": "uniform"}, "distribution must be one of constant, normal, lognormal, got uniform"),
        ({"faults": [("explode", 0, 1.0)]}, "fault must be one of status, cut, .*, got explode"),
        ({"faults": [("cut", 0, 0.7), ("stall", 0, 0.7)]}, "at most 1, got 1.4"),
        ({"tokens_per_event": 0}, "tokens_per_event must be 1..4096, got 0"),
        ({"ttft_ns": -1}, "ttft must be >= 0 ns, got -1"),
    ],
)
def test_options_that_make_no_sense(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        NativePacedServer(**options)


def test_an_address_in_use_is_an_oserror() -> None:
    first = NativePacedServer()
    with pytest.raises(OSError, match="Address already in use") as caught:
        NativePacedServer(port=first.port)
    assert caught.value.errno is not None
