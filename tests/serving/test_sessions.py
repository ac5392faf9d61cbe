"""Conversations: what each turn sends, when, and what becomes of the rest when one fails."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable

import numpy as np
import pytest
from tests.servers.scripted import Request, ScriptedServer, completion_events, sse_reply

from tokenclock.errors import UsageError
from tokenclock.plan import EndpointPlan, LoadPlan, ServingPlan
from tokenclock.records import MISSING_NS, STATUS_NAMES, Records
from tokenclock.serving.client import LoadRequests, run_load
from tokenclock.serving.history import History
from tokenclock.serving.sessions import check_conversations, conversations
from tokenclock.workload.messages import Messages, Prompt

USAGE = {"prompt_tokens": 9, "completion_tokens": 2}


def chat_events(text: str) -> list[str]:
    delta = {"choices": [{"index": 0, "delta": {"content": text}}]}
    end = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": USAGE}
    return [json.dumps(delta), json.dumps(end), "[DONE]"]


def sent(
    prompts: list[Prompt],
    session: list[int],
    reply: Callable[[Request], bytes],
    *,
    think_ms: list[float] | None = None,
    backend: str = "openai-chat",
    due_ms: list[float] | None = None,
    concurrency: int | None = 2,
) -> tuple[Records, list[Request]]:
    n = len(prompts)
    path = "/v1/chat/completions" if backend == "openai-chat" else "/v1/completions"
    requests = LoadRequests(
        prompts,
        np.full(n, -1, np.int32),
        np.full(n, 2, np.int32),
        (np.array(due_ms or [0.0] * n) * 1e6).astype(np.int64),
        session=np.array(session),
        think_ns=(np.array(think_ms or [0.0] * n) * 1e6).astype(np.int64),
        answer_ids=lambda text, n_tokens: [len(text)] * n_tokens,
    )
    with ScriptedServer(lambda request, _: reply(request)) as server:
        plan = ServingPlan(EndpointPlan("m", backend=backend, base_url=server.url, path=path),
                           LoadPlan(max_concurrency=concurrency))  # fmt: skip
        records = run_load(plan, requests)
        return records, list(server.requests)


def last_of(request: Request) -> str:
    return str(request.json["messages"][-1]["content"])


def test_conversations_in_the_order_of_their_first_rows() -> None:
    found = conversations(np.array([5, -1, 5, 2, -1, 2]))
    assert [one.rows for one in found] == [[0, 2], [1], [3, 5], [4]]


def test_each_turn_sends_all_that_was_said() -> None:
    def reply(request: Request) -> bytes:
        return sse_reply(chat_events(f"to {last_of(request)}"))

    records, requests = sent(["a1", "b1", "a2", "a3", "b2"], [0, 1, 0, 0, 1], reply)
    assert records.ok.all(), records.errors
    asked = {last_of(request): request.json["messages"] for request in requests}
    assert asked["a1"] == [{"role": "user", "content": "a1"}]
    assert asked["a3"] == [
        {"role": "user", "content": "a1"}, {"role": "assistant", "content": "to a1"},
        {"role": "user", "content": "a2"}, {"role": "assistant", "content": "to a2"},
        {"role": "user", "content": "a3"},
    ]  # fmt: skip
    assert [message["content"] for message in asked["b2"]] == ["b1", "to b1", "b2"]
    columns = records.columns
    for before, after in ((0, 2), (2, 3), (1, 4)):
        assert columns["t_sent_ns"][after] >= columns["t_done_ns"][before]
    assert columns["osl"].tolist() == [2] * 5
    assert records.client["n_connections"] == 2  # a conversation keeps its connection


def test_pauses_are_kept() -> None:
    records, _ = sent(["1", "2", "3"], [0, 0, 0], lambda _: sse_reply(chat_events("x")), think_ms=[0, 80, 40])
    done, scheduled, begun = (records.columns[name] for name in ("t_done_ns", "t_scheduled_ns", "t_sent_ns"))
    assert (scheduled[1:] - done[:-1]).tolist() == [80_000_000, 40_000_000]
    assert (begun >= scheduled).all()


def test_text_and_ids_of_completions() -> None:
    reply = sse_reply(completion_events([" yes"], usage=USAGE))
    _, requests = sent(["one", " two", " three"], [0, 0, 0], lambda _: reply, backend="openai")
    assert [request.json["prompt"] for request in requests] == ["one", "one yes two", "one yes two yes three"]
    records, requests = sent([[5, 6], [7]], [0, 0], lambda _: reply, backend="openai")
    assert [request.json["prompt"] for request in requests] == [[5, 6], [5, 6, 4, 4, 7]]  # usage says two tokens
    assert records.columns["isl_requested"].tolist() == [2, 5]


def test_after_a_failure_the_rest_of_the_conversation_is_not_sent() -> None:
    def reply(request: Request) -> bytes:
        bad = last_of(request) == "a2"
        return sse_reply(['{"error": "no"}'] if bad else chat_events("x"))

    records, requests = sent(["a1", "a2", "a3", "b1"], [0, 0, 0, 1], reply)
    assert [STATUS_NAMES[code] for code in records.columns["status"]] == ["ok", "stream_error", "not_sent", "ok"]
    assert records.errors[2] == "an earlier turn of its conversation failed"
    assert records.columns["t_sent_ns"][2] == MISSING_NS
    assert len(requests) == 3


def test_conversations_begin_when_they_are_due_and_no_more_at_once_than_asked() -> None:
    lock, under_way, most = threading.Lock(), [0], [0]

    def reply(_: Request) -> bytes:
        with lock:
            under_way[0] += 1
            most[0] = max(most[0], under_way[0])
        time.sleep(0.03)
        with lock:
            under_way[0] -= 1
        return sse_reply(chat_events("x"))

    records, _ = sent(["a", "b", "c", "d"], [0, 1, 2, 3], reply, concurrency=2)
    assert records.ok.all()
    assert most[0] == 2
    records, _ = sent(["a", "b"], [0, 1], reply, due_ms=[0, 60], concurrency=None)
    assert records.columns["t_scheduled_ns"].tolist() == [0, 60_000_000]
    assert records.columns["t_sent_ns"][1] >= 60_000_000


def test_history_of_messages_keeps_their_roles() -> None:
    history = History(chat=True, answer_ids=None)
    first = Messages.of([{"role": "system", "content": "s"}, {"role": "user", "content": "u"}])
    assert history.ask(first) is first
    history.answered("yes", 1)
    second = history.ask("more")
    assert isinstance(second, Messages)
    assert [(message["role"], message["content"]) for message in second.to_list()] == [
        ("system", "s"), ("user", "u"), ("assistant", "yes"), ("user", "more"),
    ]  # fmt: skip
    with pytest.raises(TypeError, match="text or token ids"):
        History(chat=False, answer_ids=None).ask(first)


def test_conversations_without_a_limit_are_refused_where_all_would_begin_at_once() -> None:
    for limit, got in ((None, "no limit"), (1001, "1001")):
        with pytest.raises(UsageError, match=f"conversations must be at most 1000, .* got {got} for 1001 of them"):
            sent(["x"] * 1001, list(range(1001)), lambda _: b"", concurrency=limit)


def test_what_may_be_under_way_at_once() -> None:
    many, few = np.arange(1500), np.arange(1500) % 900
    at_once, timed = np.zeros(1500, np.int64), np.arange(1500) * 1000
    for session, due, limit in ((many, at_once, 1000), (few, at_once, None), (few, at_once, 5000), (many, timed, None)):
        check_conversations(session, due, limit)
