"""The raw profile of genai-perf (perf_analyzer's `profile_export.json`): every request with the instants of its answer.

Its instants are of the system's clock, ns since 1970, so requests of several machines can be put on one axis. It holds
no token counts: they are the server's own usage where a stream tells it, else the tokenizer's where one is given, else
missing. Events that came together have one instant, and failures are not listed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tokenclock.errors import UsageError
from tokenclock.records import OSL_SOURCE_NAMES, STATUS_NAMES, Records, empty_columns
from tokenclock.whole_file import read_json

__all__ = ["RawProfile", "read_raw_profile"]

_MOST_BYTES = 2 << 30
_YEAR_2001_NS = 10**18  # a monotonic clock counts from the machine's start and never gets there
_LATEST_NS = 1 << 62
_WHAT = "a raw profile of perf_analyzer"
_SERVER, _TOKENIZER = (OSL_SOURCE_NAMES.index(name) for name in ("server usage", "tokenizer"))
_KINDS = {
    "chat/completions": ("chat", "openai-chat"),
    "completions": ("completions", "openai"),
    "embeddings": ("embeddings", "embeddings"),
    "ranking": ("rankings", "rerank"),
}  # end of the endpoint's path -> its name in genai-perf's words, our backend


@dataclass(frozen=True)
class RawProfile:
    """What the file holds.

    Args:
        records: of its requests; instants relative to the first send, whose time of day is `epoch_realtime_ns`.
        models: names in the requests' bodies.
        endpoint_type: `chat`, `completions`, `embeddings` or `rankings`.
        backend: ours for it.
        streaming: whether answers were streams.
        mode: of the load, such as `concurrency` or `request_rate`; empty where the file does not say.
        value: of the mode; None where the file does not say.
    """

    records: Records
    models: tuple[str, ...]
    endpoint_type: str
    backend: str
    streaming: bool
    mode: str
    value: float | None


@dataclass
class _Answer:
    """One request's answer."""

    t_sent_ns: int
    t_token_ns: list[int]
    t_first_byte_ns: int
    t_done_ns: int
    text: str
    isl: int = -1
    osl: int = -1
    error: str = ""


def read_raw_profile(path: Path, count_tokens: Callable[[str], int] | None = None) -> RawProfile:
    """Read the file. count_tokens: text -> tokens, for answers without usage.

    Raises:
        UsageError: it cannot be read, is no such file, holds no request, or its instants are of no clock of the day.
    """
    found = read_json(path, what=_WHAT, most_bytes=_MOST_BYTES)
    experiments = found.get("experiments") if isinstance(found, dict) else None
    if not isinstance(experiments, list) or len(experiments) != 1 or not isinstance(experiments[0], dict):
        raise UsageError(f"{path}:1: expected {_WHAT} with one experiment, got another file")
    kind = _kind_of(path, str(found.get("endpoint") or ""))
    requests = experiments[0].get("requests")
    if not isinstance(requests, list) or not requests:
        raise UsageError(f"{path}:1: expected {_WHAT} with requests, got none")
    answers, models, streams = [], dict[str, None](), False
    for number, request in enumerate(requests):
        try:
            answer, streamed = _answer(request, generates=kind[1] in ("openai", "openai-chat"))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise UsageError(
                f"{path}:1: expected {_WHAT}, got request {number} with something missing or wrong: {error}"
            ) from error
        answers.append(answer)
        streams = streams or streamed
        models |= dict.fromkeys(_models(request))
    early = min(answer.t_sent_ns for answer in answers)
    if not _YEAR_2001_NS < early < _LATEST_NS:
        raise UsageError(f"{path}: its instants are not ns since 1970 but {early}: no clock that machines share")
    experiment = experiments[0].get("experiment")
    said: Mapping[str, Any] = experiment if isinstance(experiment, dict) else {}
    value = said.get("value")
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return RawProfile(
        records=_records(answers, early, count_tokens),
        models=tuple(models),
        endpoint_type=kind[0],
        backend=kind[1],
        streaming=streams,
        mode=str(said.get("mode") or ""),
        value=float(value) if is_number and value is not None else None,
    )


def _kind_of(path: Path, endpoint: str) -> tuple[str, str]:
    for end, kind in _KINDS.items():
        if endpoint.rstrip("/").endswith(end):
            return kind
    raise UsageError(f"{path}: expected an endpoint that ends in {', '.join(_KINDS)}, got {endpoint or 'none'}")


def _models(request: Mapping[str, Any]) -> Iterator[str]:
    try:
        body = json.loads(request["request_inputs"]["payload"])
    except (KeyError, TypeError, ValueError, RecursionError):
        return
    if isinstance(body, dict) and isinstance(body.get("model"), str):
        yield body["model"]


def _answer(request: Mapping[str, Any], *, generates: bool) -> tuple[_Answer, bool]:
    """One request, and whether its answer was a stream. Raises KeyError, TypeError or ValueError for a wrong one."""
    stamps = [_instant(value) for value in request["response_timestamps"]]
    sent = _instant(request["timestamp"])
    if not stamps or stamps != sorted(stamps) or stamps[0] < sent:
        raise ValueError("response_timestamps")
    found = _Answer(sent, [], stamps[0], stamps[-1], "")
    outputs: Sequence[Mapping[str, Any]] | None = request.get("response_outputs")
    if outputs is None or not generates:  # nothing tells which of them held a token
        found.t_token_ns = stamps
        return found, len(stamps) > 1
    if len(outputs) != len(stamps):
        raise ValueError("response_outputs")
    streamed, cut = False, ""
    for stamp, output in zip(stamps, outputs, strict=True):
        response = cut + str(output.get("response") or "")
        streamed = streamed or response.lstrip().startswith(("data:", "event:"))
        before = len(found.text)
        values, cut = _values(response)
        for value in values:
            _take(found, value)
        if len(found.text) > before:
            found.t_token_ns.append(stamp)
    if cut.strip():
        raise ValueError("response_outputs")
    if not found.text and not found.error:
        found.error = "the answer has no content"
    return found, streamed


def _instant(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < _LATEST_NS:
        raise ValueError("timestamp")
    return value


def _values(response: str) -> tuple[list[Any], str]:
    """The JSON values of one response, and its end where the next one goes on with it.

    A response is what one read of the socket got: several events of a stream, a part of one, or a whole answer.
    """
    lines = response.split("\n")
    is_stream = any(line.startswith(("data:", "event:")) for line in lines)
    values = []
    for number, line in enumerate(lines if is_stream else [response]):
        is_last = not is_stream or number == len(lines) - 1
        text = line.removeprefix("data:").strip()
        if not text or text == "[DONE]" or (is_stream and not line.startswith("data:") and not is_last):
            continue
        try:
            values.append(json.loads(text))
        except RecursionError as error:
            raise ValueError("response_outputs") from error
        except ValueError:
            if not is_last:
                raise
            return values, line
    return values, ""


def _take(found: _Answer, value: Any) -> None:
    """Add what one event holds: content, reasoning and tool calls are generated; usage counts; an error is one."""
    if not isinstance(value, dict):
        return
    if value.get("error"):
        found.error = json.dumps(value["error"], ensure_ascii=False)[:200]
    usage = value.get("usage")
    if isinstance(usage, dict):
        found.isl, found.osl = (_count(usage.get(key)) for key in ("prompt_tokens", "completion_tokens"))
    for choice in value.get("choices") or ():
        if not isinstance(choice, dict):
            continue
        for holder in (choice, choice.get("delta"), choice.get("message")):
            if isinstance(holder, dict):
                found.text += "".join(_text(holder.get(key)) for key in _GENERATED)


_GENERATED = ("reasoning_content", "reasoning", "text", "content", "tool_calls")


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list) and value else ""


def _count(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 31 else -1


def _records(answers: Sequence[_Answer], base_ns: int, count_tokens: Callable[[str], int] | None) -> Records:
    answers = sorted(answers, key=lambda answer: answer.t_sent_ns)
    columns, tokens, offsets, errors = empty_columns(len(answers)), list[int](), [0], dict[int, str]()
    for row, answer in enumerate(answers):
        columns["t_sent_ns"][row] = answer.t_sent_ns - base_ns
        columns["t_first_byte_ns"][row] = answer.t_first_byte_ns - base_ns
        columns["t_done_ns"][row] = answer.t_done_ns - base_ns
        columns["status"][row] = STATUS_NAMES.index("stream_error" if answer.error else "ok")
        columns["isl_server"][row], columns["osl"][row] = answer.isl, answer.osl
        if answer.osl >= 0:
            columns["osl_source"][row] = _SERVER
        elif count_tokens is not None and answer.text:
            columns["osl"][row], columns["osl_source"][row] = count_tokens(answer.text), _TOKENIZER
        if answer.error:
            errors[row] = answer.error
        if answer.t_token_ns:
            columns["t_first_token_ns"][row] = answer.t_token_ns[0] - base_ns
            columns["t_last_token_ns"][row] = answer.t_token_ns[-1] - base_ns
        tokens += [stamp - base_ns for stamp in answer.t_token_ns]
        offsets.append(len(tokens))
    stamps = np.array(tokens, dtype=np.int64)
    return Records(
        epoch_ns=0,
        columns=columns,
        token_offsets=np.array(offsets, dtype=np.int64),
        t_token_ns=stamps,
        n_tokens=np.ones(len(tokens), dtype=np.int32),
        t_read_ns=stamps.copy(),
        errors=errors,
        client={
            "epoch_realtime_ns": base_ns,
            "wall_ns": max(answer.t_done_ns for answer in answers) - base_ns,
            "interrupted": False,
        },
    )
