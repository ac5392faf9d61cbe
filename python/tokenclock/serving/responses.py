"""OpenAI's responses API: typed events, token counts under names of its own."""

from __future__ import annotations

from typing import Any

from tokenclock.plan import ServingPlan
from tokenclock.serving.endpoint_kind import Answer, EndpointKind, count, without_absent

__all__ = ["RESPONSES", "responses_fields"]

_CONTENT = (  # the last part of `response.<part>.delta`
    "output_text",
    "reasoning_text",
    "reasoning_summary_text",
    "reasoning",
    "function_call_arguments",
    "refusal",
)


def responses_fields(plan: ServingPlan, model: Any, prompt: Any, osl: Any, form: str) -> dict[str, Any]:
    """The body of a text (`input` is the text) or of a chat's messages (`input` is the list)."""
    generation = plan.generation
    fields = {
        "model": model,
        "input": prompt,
        "max_output_tokens": osl,
        "stream": plan.load.streaming,
        "temperature": generation.temperature,
        "top_p": generation.top_p,
        "top_k": generation.top_k,
        "ignore_eos": generation.ignore_eos or None,
        "store": False,
    }
    return without_absent(fields, generation.extra_body)


def _read(value: Any) -> Answer:
    if not isinstance(value, dict):
        return Answer()
    kind = value.get("type")
    if not isinstance(kind, str):
        return _of_response(value) if value.get("object") == "response" else Answer()
    if kind == "error":
        return Answer(error=str(value.get("message") or value))
    if kind.startswith("response.") and kind.endswith(".delta"):
        delta = value.get("delta")
        is_content = kind.removeprefix("response.").removesuffix(".delta") in _CONTENT
        return Answer(text=delta) if is_content and isinstance(delta, str) else Answer()
    if kind in ("response.completed", "response.incomplete", "response.failed"):
        return _of_response(value.get("response"))
    return Answer()


def _of_response(response: Any) -> Answer:
    """The final object: status, why it ended, token counts."""
    if not isinstance(response, dict):
        return Answer()
    if response.get("status") == "failed":
        error = response.get("error")
        return Answer(error=str(error.get("message") if isinstance(error, dict) else error or "the response failed"))
    usage = response.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    details = usage.get("input_tokens_details")
    incomplete = response.get("incomplete_details")
    reason = incomplete.get("reason") if isinstance(incomplete, dict) else None
    return Answer(
        is_end=True,
        finish_reason="length" if reason in ("max_output_tokens", "max_tokens") else "stop",
        isl=count(usage.get("input_tokens")),
        osl=count(usage.get("output_tokens")),
        cached=count(details.get("cached_tokens")) if isinstance(details, dict) else -1,
        response_id=str(response.get("id") or ""),
    )


RESPONSES = EndpointKind(
    path="/v1/responses",
    streams=True,
    generates=True,
    fields=responses_fields,
    forms=("text", "messages"),
    sends=("temperature", "top_p", "top_k", "ignore_eos"),
    read=_read,
    whole_mark='"response"',
)
