"""`inputs.json`, and the file of perf_analyzer that lists every request with its instants.

Our client stamps each event and keeps a reply's text whole, without the places where events cut it. An answer of one
event is listed as it came. Of several, instants and the text as a whole are as received, the cuts follow the tokens
each event carried, and the request says so. Where no text was kept there are no outputs.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from tokenclock.atomic_file import atomic_write
from tokenclock.metrics.request_series import RequestSeries

__all__ = ["NOTE", "cut_text", "write_inputs", "write_profile"]

NOTE = (
    "response_timestamps are as received. response_outputs hold the text received; where tokenclock_cuts is by tokens, "
    "where one event ends and the next begins was not kept: the cuts follow the tokens each event carried. Requests "
    "whose text was not kept have no response_outputs"
)


def write_inputs(payloads: Iterable[tuple[str, Mapping[str, Any]]], path: str | os.PathLike[str]) -> None:
    """Write bodies (JSON texts) and what goes beside each, whole or not at all. Raises OSError where it cannot."""
    with atomic_write(path) as file:
        file.write(b'{"data": [')
        for number, (payload, beside) in enumerate(payloads):
            more = f", {json.dumps(dict(beside))[1:-1]}" if beside else ""
            file.write((",\n" if number else "\n").encode() + f'{{"payload": [{payload}]{more}}}'.encode())
        file.write(b"\n]}\n")


def write_profile(
    series: Iterable[RequestSeries],
    payloads: Callable[[int], str],
    path: str | os.PathLike[str],
    *,
    experiment: Mapping[str, Any],
    endpoint: str,
    window_ns: Sequence[int],
    streaming: bool,
    form: str,
    version: str,
) -> None:
    """Write the requests one by one, never all of them in memory.

    Args:
        series: what is listed.
        payloads: row -> JSON text of its body.
        experiment: ``mode`` and ``value``.
        endpoint: path of the API without its first slash.
        window_ns: boundaries of the measured windows; of one window its begin and end.
        streaming: whether answers were streams of events.
        form: the plan's backend, whose answers they are like; those of backends without text are left out.
        version: of the program.

    Raises:
        OSError: the file cannot be written.
    """
    head = json.dumps({"experiment": dict(experiment)})[:-1]
    with atomic_write(path) as file:
        file.write(b'{"experiments": [' + head.encode() + b', "requests": [')
        for number, found in enumerate(series):
            entry = {
                "timestamp": found.t_sent_ns,
                "request_inputs": {"payload": payloads(found.row)},
                "response_timestamps": found.t_response_ns,
                **_outputs(found, streaming=streaming, form=form),
            }
            file.write((",\n" if number else "\n").encode() + json.dumps(entry).encode())
        tail = {
            "version": version,
            "service_kind": "openai",
            "endpoint": endpoint,
            "tokenclock_note": NOTE,
        }
        file.write(b'\n], "window_boundaries": ' + json.dumps(list(window_ns)).encode() + b"}], ")
        file.write(json.dumps(tail)[1:].encode() + b"\n")


def _outputs(found: RequestSeries, *, streaming: bool, form: str) -> dict[str, Any]:
    """``response_outputs`` and how sure their cuts are; nothing where the text was not kept."""
    if not found.text or _body("", streaming=streaming, form=form) is None:
        return {}
    is_whole = len(found.n_tokens) == 1
    return {
        "response_outputs": [
            {"response": event} for event in _events(found.text, found.n_tokens, streaming=streaming, form=form)
        ],
        "tokenclock_cuts": "as received" if is_whole else "by tokens",
    }


def _events(text: str, n_tokens: Sequence[int], *, streaming: bool, form: str) -> Iterator[str]:
    for piece in cut_text(text, n_tokens):
        json_text = json.dumps(_body(piece, streaming=streaming, form=form), ensure_ascii=False)
        yield f"data: {json_text}\n\n" if streaming else json_text


def _body(piece: str, *, streaming: bool, form: str) -> dict[str, Any] | None:
    if form == "openai-chat" and streaming:
        return {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": piece}}]}
    if form == "openai-chat":
        message = {"role": "assistant", "content": piece}
        return {"object": "chat.completion", "choices": [{"index": 0, "message": message}]}
    if form == "openai":
        return {"object": "text_completion", "choices": [{"index": 0, "text": piece}]}
    return {"text_output": piece} if form == "triton" else None


def cut_text(text: str, n_tokens: Sequence[int]) -> list[str]:
    """The text in pieces whose lengths follow the tokens; no piece is empty while there are characters for all."""
    weights = [max(1, count) for count in n_tokens]
    total, done, start, pieces = sum(weights), 0, 0, []
    for number, weight in enumerate(weights):
        done += weight
        left = len(weights) - number - 1
        end = max(start + 1, min(round(len(text) * done / total), len(text) - left))
        pieces.append(text[start:end] if left else text[start:])
        start = min(end, len(text))
    return pieces
