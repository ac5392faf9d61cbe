"""The meaning of events against the same rules written over Python's json."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tokenclock._core import parsers

UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine is no bug
FINISH_REASONS = {"stop": 1, "length": 2, "tool_calls": 3, "function_call": 3, "content_filter": 4}
UNRECOGNISED: dict[str, Any] = {"kind": "unrecognised"}


def refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)


def loads(data: bytes) -> Any:
    """json.loads without its leniency for NaN and Infinity. Raises ValueError."""
    return json.loads(data.decode("utf-8"), parse_constant=refuse_constant)


def text_of(value: Any) -> tuple[str, bool]:
    """A text field's content, and whether its type is one we do not know."""
    return (value, False) if isinstance(value, str) else ("", value is not None)


def function_content(function: Any) -> tuple[bool, bool]:
    if not isinstance(function, dict):
        return False, function is not None
    name, odd_name = text_of(function.get("name"))
    arguments, odd_arguments = text_of(function.get("arguments"))
    return bool(name or arguments), odd_name or odd_arguments


def tool_content(calls: Any) -> tuple[bool, bool]:
    if not isinstance(calls, list):
        return False, calls is not None
    found = [function_content(c.get("function")) if isinstance(c, dict) else (False, True) for c in calls]
    return any(f[0] for f in found), any(f[1] for f in found)


def count_of(value: Any) -> int:
    return value if type(value) is int and 0 <= value < 2**31 else -1


def length_of(value: Any) -> int:
    return len(value) if isinstance(value, list) else -1


def number_of(value: Any) -> float:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if is_number else math.nan


def choice_meaning(choice: dict[str, Any]) -> dict[str, Any]:
    text, odd = text_of(choice.get("text"))
    reasoning, has_tool = "", False
    for name in ("delta", "message"):
        part = choice.get(name)
        if not isinstance(part, dict):
            odd |= part is not None
            continue
        for key in ("content", "refusal", "reasoning_content", "reasoning"):
            value, is_odd = text_of(part.get(key))
            odd |= is_odd
            if key in ("content", "refusal"):
                text = text or value
            else:
                reasoning = reasoning or value
        for content, is_odd in (tool_content(part.get("tool_calls")), function_content(part.get("function_call"))):
            has_tool |= content
            odd |= is_odd
    logprobs = choice.get("logprobs")
    logprobs = logprobs if isinstance(logprobs, dict) else {}
    lengths = [
        length_of(choice.get("token_ids")),
        length_of(logprobs.get("tokens")),
        length_of(logprobs.get("content")),
    ]
    reason, _ = text_of(choice.get("finish_reason"))
    return {
        "text": text,
        "reasoning": reasoning,
        "has_tool_call": has_tool,
        "odd": odd,
        "has_token_ids": lengths[0] > 0,
        "n_token_ids": next((n for n in lengths if n >= 0), -1),
        "finish_reason": FINISH_REASONS.get(reason, 5) if reason else 0,
        "avg": number_of(choice.get("avg_decoded_tokens_per_iter")),
    }


def meaning_by_the_rules(data: bytes) -> dict[str, Any]:
    if data.strip(b" \t\r\n") == b"[DONE]":
        return {"kind": "done"}
    try:
        event = loads(data)
    except ValueError:
        return UNRECOGNISED
    if not isinstance(event, dict):
        return UNRECOGNISED
    listed = event.get("choices")
    elements = listed if isinstance(listed, list) else []
    # An element of a type we do not know still is choices[0] where it stands first.
    choices = [choice_meaning(c) if isinstance(c, dict) else choice_meaning({"text": 0}) for c in elements]
    usage = event.get("usage")
    usage_fields = usage if isinstance(usage, dict) else {}
    details = usage_fields.get("prompt_tokens_details")
    out: dict[str, Any] = {
        "has_text": any(c["text"] for c in choices),
        "has_reasoning": any(c["reasoning"] for c in choices),
        "has_tool_call": any(c["has_tool_call"] for c in choices),
        "finish_reason": next((c["finish_reason"] for c in choices if c["finish_reason"]), 0),
        "n_token_ids": choices[0]["n_token_ids"] if choices else -1,
        "prompt_tokens": count_of(usage_fields.get("prompt_tokens")),
        "completion_tokens": count_of(usage_fields.get("completion_tokens")),
        "cached_tokens": count_of(details.get("cached_tokens")) if isinstance(details, dict) else -1,
        "avg": next((c["avg"] for c in reversed(choices) if not math.isnan(c["avg"])), None),
        "text": choices[0]["text"] if choices else "",
        "reasoning": choices[0]["reasoning"] if choices else "",
        "id": text_of(event.get("id"))[0],
    }
    error = event.get("error")
    is_error = error is not None and error is not False and error != ""
    has_content = out["has_text"] or out["has_reasoning"] or out["has_tool_call"]
    if is_error or event.get("object") == "error":
        out["kind"] = "error"
        out["error"] = error if is_error else event
    elif has_content or any(c["has_token_ids"] for c in choices):
        out["kind"] = "token"
    elif any(c["odd"] for c in choices):
        out["kind"] = "unrecognised"
    elif isinstance(listed, list) or ("choices" not in event and isinstance(usage, dict)):
        out["kind"] = "empty"
    else:
        out["kind"] = "unrecognised"
    return out


def without_lone_surrogates(text: str) -> str:
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def check(data: bytes) -> dict[str, Any]:
    """Compares both readings of `data`; returns ours."""
    got = parsers.read_event(data)
    expected = meaning_by_the_rules(data)
    for key, value in expected.items():
        if key == "avg":
            number = got["avg_decoded_tokens_per_iter"]
            assert math.isnan(number) if value is None else number == value
        elif key == "error":
            assert loads(got["error"]) == value
        elif key in ("text", "reasoning", "id"):
            assert parsers.unescape(got[key]).decode("utf-8") == without_lone_surrogates(value)
        else:
            assert got[key] == value, key
    if expected is UNRECOGNISED:
        assert repr(got) == repr(parsers.read_event(b""))  # nothing is kept (repr: NaN equals no NaN)
    return got


# --- events by construction -----------------------------------------------------------------------------------------
any_text = (
    st.text(max_size=12) | st.text(st.characters(categories=["Cs"]), max_size=3) | st.sampled_from(["", "\U0001f600"])
)
floats = st.floats(1e-9, 1e9) | st.just(2.5)
scalars = st.none() | st.booleans() | st.integers(-(2**33), 2**33) | floats | any_text
trees = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(any_text, inner, max_size=3), max_leaves=6
)


def members(known: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """Objects with any of the known members, each of its own type or, at times, of any; and a member nobody knows."""
    optional: dict[str, Any] = {name: st.one_of(value, value, value, st.none(), trees) for name, value in known.items()}
    return st.fixed_dictionaries({}, optional=optional | {"other": trees})


functions = members({"name": any_text, "arguments": any_text})
messages = members(
    {
        "role": st.just("assistant"),
        "content": any_text,
        "refusal": any_text,
        "reasoning_content": any_text,
        "reasoning": any_text,
        "tool_calls": st.lists(members({"function": functions}) | functions, max_size=2),
        "function_call": functions,
    }
)
choices = members(
    {
        "text": any_text,
        "delta": messages,
        "message": messages,
        "finish_reason": st.sampled_from([*FINISH_REASONS, "abort", ""]),
        "token_ids": st.lists(st.integers(0, 9), max_size=3),
        "logprobs": members({"tokens": st.lists(any_text, max_size=3), "content": st.lists(trees, max_size=3)}),
        "avg_decoded_tokens_per_iter": floats | st.integers(0, 9),
    }
)
counts = st.integers(-2, 9) | st.sampled_from([2**31 - 1, 2**31, 2**64])
usages = members(
    {"prompt_tokens": counts, "completion_tokens": counts, "prompt_tokens_details": members({"cached_tokens": counts})}
)
events = members(
    {
        "id": any_text,
        "object": st.sampled_from(["chat.completion.chunk", "error"]),
        "choices": st.lists(choices, max_size=3),
        "usage": usages,
        "error": st.sampled_from([{"message": "m"}, "no", "", False, 0]),
    }
)


@st.composite
def encoded(draw: st.DrawFn, values: st.SearchStrategy[Any]) -> bytes:
    """The value as JSON in one of the ways servers write it: spaces, escapes or raw UTF-8."""
    value = draw(values)
    separators = draw(st.sampled_from([(",", ":"), (", ", ": "), (" ,\n", "\t: ")]))
    text = json.dumps(
        value, separators=separators, ensure_ascii=draw(st.booleans()), indent=draw(st.sampled_from([None, 1]))
    )
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:  # a lone surrogate has no raw form
        return json.dumps(value, separators=separators).encode("utf-8")


@settings(UNHURRIED, max_examples=600)
@given(encoded(events))
def test_generated_events(data: bytes) -> None:
    check(data)


@settings(UNHURRIED, max_examples=200)
@given(encoded(trees))
def test_any_json_value(data: bytes) -> None:
    check(data)


@settings(UNHURRIED, max_examples=600)
@given(encoded(events), st.data())
def test_damaged_events(data: bytes, draws: st.DataObject) -> None:
    damaged = bytearray(data)
    for _ in range(draws.draw(st.integers(1, 3))):
        place = draws.draw(st.integers(0, len(damaged)))
        n_removed = draws.draw(st.integers(0, 2))
        inserted = draws.draw(
            st.sampled_from(
                [b"", b'"', b"\\", b"\\u", b"{", b"}", b"[", b"]", b",", b":", b"0", b"-", b".", b"e", b"\n"]
            )
            | st.binary(max_size=3)
        )
        damaged[place : place + n_removed] = inserted
    check(bytes(damaged))


@settings(UNHURRIED, max_examples=300)
@given(st.binary(max_size=30))
def test_any_bytes(data: bytes) -> None:
    check(data)
    check(b'{"choices":[],"a":"' + data + b'"}')
    check(b'{"choices":[],"a":' + data + b"}")


@settings(UNHURRIED, max_examples=300)
@given(st.lists(st.tuples(st.sampled_from(["choices", "usage", "error", "id"]), trees | usages), max_size=5))
def test_of_duplicate_keys_the_last_wins(pairs: list[tuple[str, Any]]) -> None:
    check(("{" + ",".join(f"{json.dumps(k)}:{json.dumps(v)}" for k, v in pairs) + "}").encode())


@settings(UNHURRIED, max_examples=500)
@given(st.text(max_size=30) | st.text(st.characters(min_codepoint=0xD700, max_codepoint=0x10FFFF), max_size=5))
def test_unescape_agrees_with_json(text: str) -> None:
    for ensure_ascii in (True, False):
        inside = json.dumps(text, ensure_ascii=ensure_ascii)[1:-1]
        got = parsers.unescape(
            inside.encode("utf-8", "surrogatepass") if ensure_ascii else inside.encode("utf-8", "replace")
        )
        expected = text if ensure_ascii else text.encode("utf-8", "replace").decode("utf-8")
        assert got.decode("utf-8") == without_lone_surrogates(expected)


@pytest.mark.parametrize("code", [0, 0x1F, 0x7F, 0x80, 0x7FF, 0x800, 0xD7FF, 0xE000, 0xFFFF])
def test_unicode_escapes(code: int) -> None:
    for inside in (f"\\u{code:04x}", f"\\u{code:04X}"):
        assert parsers.unescape(inside.encode()).decode("utf-8") == chr(code)


def test_any_bytes_can_be_unescaped() -> None:
    for tail in (b"\\", b"\\u", b"\\u12", b"\\ud83d\\", b"\\ud83d\\u", b"\\ud83d\\u12", b"\\x"):
        assert parsers.unescape(b"a" + tail).startswith(b"a\xef\xbf\xbd")


def test_what_python_accepts_and_we_do_not() -> None:
    """The differences from json.loads: NaN and Infinity, a byte order mark, nesting deeper than 64."""
    for value in (b"NaN", b"Infinity", b"-Infinity"):
        data = b'{"choices":[],"a":' + value + b"}"
        assert json.loads(data)["choices"] == []
        assert parsers.read_event(data)["kind"] == "unrecognised"
    assert json.loads(b"\xef\xbb\xbf{}") == {}
    assert parsers.read_event(b'\xef\xbb\xbf{"choices":[]}')["kind"] == "unrecognised"
    for depth, kind in ((63, "empty"), (64, "unrecognised"), (100_000, "unrecognised")):
        assert parsers.read_event(b'{"choices":[],"a":' + b"[" * depth + b"]" * depth + b"}")["kind"] == kind


def test_the_shapes_servers_send() -> None:
    """One event of each kind, as OpenAI, vLLM, TensorRT-LLM and llama.cpp write them."""
    kinds = {
        b'{"id":"c","choices":[{"index":0,"delta":{"role":"assistant","content":null}}]}': "empty",
        b'{"id":"c","choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":null}],"usage":null}': "token",
        b'{"choices":[{"delta":{"reasoning_content":"So"}}]}': "token",
        b'{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{"}}]}}]}': "token",
        b'{"choices":[{"delta":{},"finish_reason":"stop"}]}': "empty",
        b'{"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":7,"total_tokens":12}}': "empty",
        b'{"choices":[{"index":0,"text":"x","avg_decoded_tokens_per_iter":1.5}]}': "token",
        b'{"choices":[{"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}]}': "token",
        b'{"error":{"message":"gone","code":500}}': "error",
        b'{"error":"gone"}': "error",
        b'{"object":"error","message":"gone","code":400}': "error",
        b" [DONE] ": "done",
        b'{"status":"ok"}': "unrecognised",
    }
    assert {data: check(data)["kind"] for data in kinds} == kinds


def test_the_whole_receive_path_is_timed() -> None:
    body = b'data: {"choices":[{"text":"a"}]}\n\ndata: [DONE]\n\n'
    reply = b"HTTP/1.1 200 OK\r\nContent-Length: " + str(len(body)).encode() + b"\r\n\r\n" + body
    for read_bytes in (1, 7, 65536):
        assert 0 < parsers.bench_receive(reply, 3, read_bytes) < 1e9
    for bad in (b"", b"nonsense", reply.replace(b"a", b"")):
        with pytest.raises(ValueError, match=r"not an HTTP|must hold"):
            parsers.bench_receive(bad, 1)
    for n, read_bytes in ((0, 1), (1, 0)):
        with pytest.raises(ValueError, match=">= 1, got 0"):
            parsers.bench_receive(reply, n, read_bytes)
