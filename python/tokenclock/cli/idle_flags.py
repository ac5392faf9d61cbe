"""Flags of `tokenclock serving` that change nothing together with the others: each is said, none in silence."""

from __future__ import annotations

import os
from dataclasses import fields
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenclock.plan import ServingPlan

__all__ = ["idle_flags"]


def idle_flags(plan: ServingPlan) -> list[str]:
    """One line for each flag that is of no use in this plan, and for each number it cannot give."""
    output, endpoint, lines = plan.output, plan.endpoint, list[str]()
    if not output.save_result:
        asked = (
            "save_detailed",
            "append_result",
            "result_dir",
            "result_filename",
            "label",
            "metadata",
            "plot_timeline",
        )
        flags = ["--" + name.replace("_", "-") for name in asked if getattr(output, name)]
        flags += [] if output.save_columns else ["--no-save-columns"]
        lines += [f"{flag} without --save-result saves nothing" for flag in flags]
        if plan.server.time_breakdown:
            lines.append("--save-request-time-breakdown without --save-result prints medians and writes no file")
    lines += _unsent(plan)
    if endpoint.lora_zipf != 1.0 and endpoint.lora_assignment != "zipf":
        lines.append("--lora-zipf-alpha without --lora-assignment zipf changes nothing")
    if endpoint.rerank_style != "jina" and endpoint.backend != "rerank":
        lines.append("--rerank-style without --backend rerank changes nothing")
    if endpoint.lora_assignment not in ("random", "per-row") and not endpoint.lora_modules:
        lines.append("--lora-assignment without --lora-modules assigns nothing")
    if plan.transport.insecure and not endpoint.base_url.startswith("https:"):
        lines.append("--insecure without https:// changes nothing")
    if endpoint.tokenizer_mode == "slow" and endpoint.tokenizer is None and not os.path.isdir(endpoint.model):
        lines.append("--tokenizer-mode slow without --tokenizer changes nothing")
    if not plan.load.streaming:
        limits = [name for name in output.goodput_ms if name != "e2el"]
        if limits:
            lines.append(
                f"--goodput {', '.join(limits)} is n/a with --non-streaming: a whole answer shows no token times; "
                "leave --non-streaming out, or give e2el only"
            )
    return lines


def _unsent(plan: ServingPlan) -> list[str]:
    """Of an API that has no field for it; what it may call otherwise goes into --extra-body."""
    from tokenclock.serving.endpoint_kinds import ENDPOINT_KINDS

    kind = ENDPOINT_KINDS.get(plan.endpoint.backend)
    if kind is None:
        return []
    generation = plan.generation
    given = [
        item.name
        for item in fields(generation)
        if item.name not in (*kind.sends, "extra_body") and getattr(generation, item.name) not in (None, False)
    ]
    backend = plan.endpoint.backend
    return [f"--{name.replace('_', '-')} is not sent with --backend {backend}; see --extra-body" for name in given]
