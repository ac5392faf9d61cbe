"""What genai-perf has and `profile` does not do: refused by name with the reason, never ignored."""

from __future__ import annotations

from collections.abc import Sequence

from tokenclock.errors import UsageError

__all__ = ["ENDPOINT_TYPES", "refuse_endpoint_type", "refuse_profile_flags"]

ENDPOINT_TYPES = ("chat", "completions", "embeddings", "rankings", "generate")
_TRITON = "KServe is not spoken; Triton's OpenAI front end and its generate are: give chat, completions or generate"
_MEDIA = "images and audio are not built here; `tokenclock serving --dataset-name random_image` sends pictures"
_OTHER_TYPES = {
    "dynamic_grpc": "gRPC is not spoken; give chat or completions",
    "huggingface_generate": "TGI's own form is not built; its v1/chat/completions is: give chat",
    "image_retrieval": _MEDIA,
    "kserve": _TRITON,
    "multimodal": _MEDIA,
    "nvclip": _MEDIA,
    "template": "bodies from a template are not built; --extra-inputs adds fields",
    "tensorrtllm_engine": "an engine in process is timed by `tokenclock benchmark`",
    "vision": _MEDIA,
}
_FLAGS = {
    "--grpc-method": "gRPC is not spoken",
    "--output-tokens-mean-deterministic": "of Triton's kserve alone; give --extra-inputs ignore_eos:true min_tokens:N",
    "--fixed-schedule": "not built yet; `tokenclock serving --dataset-name burstgpt --self-timed` replays a trace",
    "--session-concurrency": "sessions are not built yet; give --concurrency",
    "--num-sessions": "sessions are not built yet; give --num-prompts",
    "--enable-checkpointing": "a single run is always measured; with --sweep-type points are kept anyway",
    "--checkpoint-dir": "a single run is always measured; with --sweep-type points are kept there",
}
_FAMILIES = {
    "--image-": _MEDIA,
    "--audio-": _MEDIA,
    "--session-": "sessions are not built yet",
}


def refuse_profile_flags(arguments: Sequence[str]) -> None:
    """Raise UsageError for the first flag that the original has and this command does not."""
    for argument in arguments:
        flag = argument.partition("=")[0]
        if not flag.startswith("-"):
            continue
        reason = _FLAGS.get(flag) or next((why for start, why in _FAMILIES.items() if flag.startswith(start)), None)
        if reason is not None:
            raise UsageError(f"{flag} is refused: {reason}")


def refuse_endpoint_type(kind: str | None, service_kind: str | None) -> None:
    """Raise UsageError unless requests of this type can be sent."""
    known = ", ".join(ENDPOINT_TYPES)
    if service_kind not in (None, "openai"):
        raise UsageError(f"--service-kind must be openai, got {service_kind}; {_TRITON}")
    if kind is None:
        raise UsageError(
            f"--endpoint-type must be given, one of {known}; the original's default, kserve, is not spoken"
        )
    if kind in _OTHER_TYPES:
        raise UsageError(f"--endpoint-type {kind} is refused: {_OTHER_TYPES[kind]}")
    if kind not in ENDPOINT_TYPES:
        raise UsageError(f"--endpoint-type must be one of {known}, got {kind}")
