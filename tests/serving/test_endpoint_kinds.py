"""APIs that are neither completions nor chat: their bodies, and their answers against a scripted server."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tests.servers.scripted import Request, ScriptedServer, json_reply, sse_reply

from tokenclock.plan import EndpointPlan, GenerationPlan, LoadPlan, ServingPlan
from tokenclock.records import STATUS_NAMES, Records
from tokenclock.serving.client import LoadRequests, run_load
from tokenclock.serving.endpoint import request_body
from tokenclock.workload.messages import Messages, Prompt, Ranking, Texts


def plan(backend: str, *, streaming: bool, path: str = "/x", url: str = "http://h:1", **endpoint: Any) -> ServingPlan:
    return ServingPlan(
        EndpointPlan("m", backend=backend, path=path, base_url=url, **endpoint), LoadPlan(streaming=streaming)
    )


RANKING = Ranking.of("what?", ["this", "thät"])


@pytest.mark.parametrize(
    ("backend", "prompt", "style", "body"),
    [
        ("embeddings", "hi", "jina", {"model": "m", "input": "hi"}),
        ("embeddings", [5, 6], "jina", {"model": "m", "input": [5, 6]}),
        ("embeddings", Texts.of(["a", "b"]), "jina", {"model": "m", "input": ["a", "b"]}),
        ("embeddings", Texts.of([[5, 6], [7]]), "jina", {"model": "m", "input": [[5, 6], [7]]}),
        ("rerank", RANKING, "jina", {"model": "m", "query": "what?", "documents": ["this", "thät"]}),
        ("rerank", RANKING, "nim",
         {"model": "m", "query": {"text": "what?"}, "passages": [{"text": "this"}, {"text": "thät"}]}),
        ("rerank", RANKING, "tei", {"query": "what?", "texts": ["this", "thät"]}),
    ],
)  # fmt: skip
def test_bodies_without_output(backend: str, prompt: Prompt, style: str, body: dict[str, Any]) -> None:
    assert json.loads(request_body(plan(backend, streaming=False, rerank_style=style), prompt, -1)) == body


def test_bodies_of_responses_and_triton() -> None:
    generation = GenerationPlan(temperature=0.5, extra_body={"end_id": 2})
    for backend, prompt, body in (
        ("responses", "hi", {"model": "m", "input": "hi", "max_output_tokens": 9, "stream": True, "store": False}),
        ("responses", Messages.of([{"role": "user", "content": "x"}]),
         {"model": "m", "input": [{"role": "user", "content": "x"}], "max_output_tokens": 9, "stream": True,
          "store": False}),
        ("triton", "hi", {"text_input": "hi", "max_tokens": 9, "stream": True, "accumulate_tokens": False}),
    ):  # fmt: skip
        asked = ServingPlan(EndpointPlan("m", backend=backend), generation=generation)
        assert json.loads(request_body(asked, prompt, 9)) == body | {"temperature": 0.5, "end_id": 2}


def test_a_prompt_that_the_api_cannot_hold_is_refused() -> None:
    with pytest.raises(TypeError, match="--backend triton takes text, not ids"):
        request_body(ServingPlan(EndpointPlan("m", backend="triton")), [1, 2], 9)


def sent(backend: str, prompts: list[Prompt], reply: Callable[[Request], bytes], *, streaming: bool) -> Records:
    """What the client makes of a server that answers `reply`."""
    n = len(prompts)
    osl = np.full(n, 4 if streaming else -1, np.int32)
    requests = LoadRequests(prompts, np.full(n, -1, np.int32), osl, np.zeros(n, np.int64))
    with ScriptedServer(lambda request, _: reply(request)) as server:
        return run_load(plan(backend, streaming=streaming, url=server.url), requests, max_concurrency=1)


EMBEDDED = {"object": "list", "data": [{"object": "embedding", "index": 0, "embedding": [0.1] * 300}], "model": "m"}


@pytest.mark.parametrize("usage", [{"prompt_tokens": 7, "total_tokens": 7}, None])
def test_embeddings_are_whole_answers(usage: dict[str, int] | None) -> None:
    value = EMBEDDED if usage is None else {**EMBEDDED, "usage": usage}
    records = sent("embeddings", ["hi", "ho"], lambda _: json_reply(value), streaming=False)
    assert records.ok.all(), records.errors
    assert (records.columns["t_last_token_ns"] == records.columns["t_done_ns"]).all()
    assert records.columns["isl_server"].tolist() == [7 if usage else -1] * 2
    assert records.columns["osl"].tolist() == [-1, -1]


def test_what_is_no_embedding_stays_a_failure() -> None:
    for reply in (json_reply({"detail": "busy"}), json_reply({"error": "no"}), json_reply(EMBEDDED, "500 No")):
        records = sent("embeddings", ["hi"], lambda _, reply=reply: reply, streaming=False)  # type: ignore[misc]
        assert not records.ok.any()


@pytest.mark.parametrize(
    "value", [{"results": [{"index": 0, "relevance_score": 0.5}]}, [{"index": 1, "score": 0.9}],
              {"rankings": [{"index": 0, "logit": 2.0}], "usage": {"prompt_tokens": 5, "total_tokens": 5}}],
)  # fmt: skip
def test_rankings_of_every_style(value: Any) -> None:
    assert sent("rerank", [RANKING], lambda _: json_reply(value), streaming=False).ok.all()


def delta(text: str, kind: str = "output_text") -> dict[str, Any]:
    return {"type": f"response.{kind}.delta", "delta": text}


USAGE = {"input_tokens": 5, "output_tokens": 4, "input_tokens_details": {"cached_tokens": 2}}
DONE = {"type": "response.completed", "response": {"object": "response", "status": "completed", "usage": USAGE}}
CUT = {"type": "response.incomplete", "response": {"status": "incomplete", "usage": USAGE,
       "incomplete_details": {"reason": "max_output_tokens"}}}  # fmt: skip


def events(*values: dict[str, Any]) -> bytes:
    return sse_reply([json.dumps(value) for value in values])


def test_responses_stream_their_own_events() -> None:
    head = {"type": "response.created", "response": {"status": "in_progress"}}
    stream = events(head, delta("th", "reasoning_text"), delta("a"), delta(""), delta("b"), CUT)
    records = sent("responses", ["hi"], lambda _: stream, streaming=True)
    assert records.ok.all(), records.errors
    assert records.n_events == 3  # reasoning counts, an empty delta does not
    columns = records.columns
    assert columns["t_first_token_ns"][0] == records.t_token_ns[0]
    assert columns["t_last_token_ns"][0] == records.t_token_ns[-1]
    assert [int(columns[name][0]) for name in ("isl_server", "osl", "osl_source", "cached_tokens")] == [5, 4, 1, 2]
    assert records.client["n_resolved"] == records.client["n_unrecognised"] == 6


@pytest.mark.parametrize(
    ("values", "status", "said"),
    [
        ([delta("a")], "truncated", "the stream ended before a finish reason"),
        ([delta("a"), {"type": "error", "message": "overloaded"}], "stream_error", "overloaded"),
        ([delta("a"), {"type": "response.failed", "response": {"status": "failed", "error": {"message": "oom"}}}],
         "stream_error", "oom"),
    ],
)  # fmt: skip
def test_responses_that_fail_inside_a_200(values: list[dict[str, Any]], status: str, said: str) -> None:
    records = sent("responses", ["hi"], lambda _: events(*values), streaming=True)
    assert STATUS_NAMES[records.columns["status"][0]] == status
    assert records.errors[0] == said


def test_triton_streams_end_by_themselves() -> None:
    pieces = [{"model_name": "ensemble", "text_output": text} for text in ("a", "b", "c")]
    records = sent("triton", ["hi"], lambda _: events(*pieces), streaming=True)
    assert records.ok.all(), records.errors
    assert (records.n_events, int(records.columns["osl"][0])) == (3, 3)
    assert int(records.columns["osl_source"][0]) == 3  # events are counted: the server tells no tokens
    failed = sent("triton", ["hi"], lambda _: events(pieces[0], {"error": "no memory"}), streaming=True)
    assert STATUS_NAMES[failed.columns["status"][0]] == "stream_error"
    empty = sent("triton", ["hi"], lambda _: events({"text_output": ""}), streaming=True)
    assert not empty.ok.any()
    whole = sent("triton", ["hi"], lambda _: json_reply(pieces[0]), streaming=False)
    assert whole.ok.all()
