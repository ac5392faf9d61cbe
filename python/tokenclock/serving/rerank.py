"""Ranking of documents against a query: the bodies of Jina and vLLM, of NVIDIA's NIM and of Hugging Face's TEI."""

from __future__ import annotations

from typing import Any

from tokenclock.plan import ServingPlan
from tokenclock.serving.endpoint_kind import Answer, EndpointKind, count, without_absent

__all__ = ["RERANK", "RERANK_STYLES", "rerank_fields"]

RERANK_STYLES = ("jina", "nim", "tei")


def rerank_fields(plan: ServingPlan, model: Any, prompt: Any, _osl: Any, _form: str) -> dict[str, Any]:
    """The body of a query and its documents, `prompt` being `(query, documents)`, in the plan's style.

    jina: `{"model", "query", "documents"}`, as Cohere, Jina and vLLM take it; nim: `{"model", "query": {"text"},
    "passages": [{"text"}]}`; tei: `{"query", "texts"}`, which names no model.
    """
    query, documents = prompt
    style = plan.endpoint.rerank_style
    fields: dict[str, Any]
    if style == "nim":
        fields = {"model": model, "query": {"text": query}, "passages": [{"text": text} for text in documents]}
    elif style == "tei":
        fields = {"query": query, "texts": documents}
    else:
        fields = {"model": model, "query": query, "documents": documents}
    return without_absent(fields, plan.generation.extra_body)


def _read(value: Any) -> Answer:
    usage = value.get("usage") if isinstance(value, dict) else None
    if not isinstance(usage, dict):
        return Answer(is_end=True)
    return Answer(is_end=True, isl=max(count(usage.get("prompt_tokens")), count(usage.get("total_tokens"))))


RERANK = EndpointKind(
    path="/v1/rerank",
    streams=False,
    generates=False,
    fields=rerank_fields,
    forms=("ranking",),
    sends=(),
    read=_read,
    whole_mark='"index"',
)
