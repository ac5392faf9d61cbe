"""`inputs.json`, and the file of perf_analyzer that lists every request with its instants.

Our client stamps each event and keeps a reply's text whole. The events listed here are built again: their instants and
their text together are what was received; where the text is cut between them follows the tokens each one carried.
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
    "response_outputs were built again from the whole text of each reply: instants and text are as received, the cut "
    "of the text between events follows the tokens each event carried"
)


def write_inputs(payloads: Iterable[str], path: str | os.PathLike[str]) -> None:
    """Write the unique bodies (JSON texts), whole or not at all. Raises OSError where it cannot."""
    with atomic_write(path) as file:
        file.write(b'{"data": [')
        for number, payload in enumerate(payloads):
            file.write((",\n" if number else "\n").encode() + f'{{"payload": [{payload}]}}'.encode())
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
        window_ns: begin and end of the measurement.
        streaming: whether answers were streams of events.
        form: the plan's backend, whose answers they are like; of those without text they are empty.
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
                "response_outputs": [
                    {"response": event}
                    for event in _events(found.text or "", found.n_tokens, streaming=streaming, form=form)
                ],
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


def _events(text: str, n_tokens: Sequence[int], *, streaming: bool, form: str) -> Iterator[str]:
    for piece in cut_text(text, n_tokens):
        body = _body(piece, streaming=streaming, form=form)
        json_text = "" if body is None else json.dumps(body, ensure_ascii=False)
        yield f"data: {json_text}\n\n" if streaming and json_text else json_text


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
