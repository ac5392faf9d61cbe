"""The native `generate` and `generate_stream` of Triton's TensorRT-LLM backend: one text in, pieces of text out."""

from __future__ import annotations

from typing import Any

from tokenclock.plan import ServingPlan
from tokenclock.serving.endpoint_kind import Answer, EndpointKind, without_absent

__all__ = ["TRITON", "triton_fields"]


def triton_fields(plan: ServingPlan, _model: Any, prompt: Any, osl: Any, _form: str) -> dict[str, Any]:
    """`text_input`, `max_tokens` and the sampling inputs that the ensemble declares. The path names the model."""
    generation = plan.generation
    fields = {
        "text_input": prompt,
        "max_tokens": osl,
        "stream": plan.load.streaming,
        "accumulate_tokens": False,
        "temperature": generation.temperature,
        "top_p": generation.top_p,
        "top_k": generation.top_k,
        "repetition_penalty": generation.repetition_penalty,
        "frequency_penalty": generation.frequency_penalty,
        "presence_penalty": generation.presence_penalty,
    }
    return without_absent(fields, generation.extra_body)


def _read(value: Any) -> Answer:
    """Tokens are not counted by the server: one event is taken for one token, and said to be."""
    if not isinstance(value, dict):
        return Answer()
    if value.get("error"):
        return Answer(error=str(value["error"]))
    text = value.get("text_output")
    return Answer(text=text) if isinstance(text, str) else Answer()


TRITON = EndpointKind(
    path="/v2/models/ensemble/generate_stream",
    streams=True,
    generates=True,
    fields=triton_fields,
    forms=("text",),
    sends=("temperature", "top_p", "top_k", "repetition_penalty", "frequency_penalty", "presence_penalty"),
    read=_read,
    whole_mark='"text_output"',
    ends_with_stream=True,
)
