"""OpenAI's embeddings: one text, its token ids or a batch of either in; vectors out, in one piece."""

from __future__ import annotations

from typing import Any

from tokenclock.plan import ServingPlan
from tokenclock.serving.endpoint_kind import Answer, EndpointKind, count, without_absent

__all__ = ["EMBEDDINGS", "embeddings_fields"]


def embeddings_fields(plan: ServingPlan, model: Any, prompt: Any, _osl: Any, _form: str) -> dict[str, Any]:
    """`{"model", "input"}`; `input` is a text, a list of token ids, or a list of texts or of such lists."""
    return without_absent({"model": model, "input": prompt}, plan.generation.extra_body)


def _read(value: Any) -> Answer:
    usage = value.get("usage") if isinstance(value, dict) else None
    return Answer(is_end=True, isl=count(usage.get("prompt_tokens")) if isinstance(usage, dict) else -1)


EMBEDDINGS = EndpointKind(
    path="/v1/embeddings",
    streams=False,
    generates=False,
    fields=embeddings_fields,
    forms=("text", "ids", "texts"),
    sends=(),
    read=_read,
    whole_mark='"embedding',
)
