"""The APIs that are not OpenAI's completions or chat, by the name of their `--backend`."""

from __future__ import annotations

from tokenclock.serving.embeddings import EMBEDDINGS
from tokenclock.serving.endpoint_kind import EndpointKind
from tokenclock.serving.rerank import RERANK
from tokenclock.serving.responses import RESPONSES
from tokenclock.serving.triton_generate import TRITON

__all__ = ["ENDPOINT_KINDS"]

ENDPOINT_KINDS: dict[str, EndpointKind] = {
    "embeddings": EMBEDDINGS,
    "rerank": RERANK,
    "responses": RESPONSES,
    "triton": TRITON,
}
