"""What a user of `profile` should know of the flags before the run: one line each, none in silence."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenclock.plan import ServingPlan

__all__ = ["warnings_of"]

_LENGTHS = ("synthetic_input_tokens_mean", "synthetic_input_tokens_stddev")
_ANSWERS = ("output_tokens_mean", "output_tokens_stddev")
_TURNS = (
    "session_turns_mean", "session_turns_stddev", "session_turn_delay_mean", "session_turn_delay_stddev",
    "session_delay_ratio",
)  # fmt: skip
_DEFAULTS = {
    "synthetic_input_tokens_mean": 550.0,
    "num_dataset_entries": 100,
    "prefix_prompt_length": 100,
    "session_turns_mean": 1.0,
    "session_delay_ratio": 1.0,
    "output_tokens_mean": None,
    "vocab_size": None,
}  # of the others 0
_UNUSED = {  # name of the dataset -> flags that have no part in it
    "synthetic": _TURNS,
    "synthetic_sessions": ("num_dataset_entries",),
    "input_file": (*_LENGTHS, "num_dataset_entries", "prefix_prompt_length", "vocab_size", *_TURNS),
    "trace": (*_LENGTHS, *_ANSWERS, "num_dataset_entries", "prefix_prompt_length", *_TURNS),
}
_INSTEAD = {
    "synthetic": "without --num-sessions",
    "synthetic_sessions": "with --num-sessions, whose turns are all different",
    "input_file": "with --input-file",
    "trace": "with --input-file payload:FILE",
}


def warnings_of(args: argparse.Namespace, passed: argparse.Namespace, plan: ServingPlan) -> list[str]:
    """The lines; `passed`: what followed `--`."""
    return [*_of_streams(args, plan), *_of_prompts(args, plan), *_of_idle_flags(args, passed, plan)]


def _of_streams(args: argparse.Namespace, plan: ServingPlan) -> list[str]:
    if args.streaming or not plan.endpoint.generates:
        return []
    lines = [
        "no --streaming: whole answers show no token times, so there are no rows of time to first token, time to "
        "second token, inter token latency and throughput per user; give --streaming for them"
    ]
    limits = [name for name, _ in args.goodput if name != "request_latency"]
    if limits:
        lines.append(f"--goodput {', '.join(limits)} is N/A without --streaming; limit request_latency, or give it")
    return lines


def _of_prompts(args: argparse.Namespace, plan: ServingPlan) -> list[str]:
    lines = []
    cycles = plan.dataset.name == "synthetic" and plan.load.windows is None
    if cycles and args.num_dataset_entries < plan.load.num_prompts:
        lines.append(
            f"--num-prompts {args.num_dataset_entries} is less than --request-count {plan.load.num_prompts}: prompts "
            "are sent more than once, which a prefix cache answers faster; raise --num-prompts for unique ones"
        )
    asks = args.output_tokens_mean is not None and plan.dataset.name != "trace"
    if asks and "ignore_eos" not in plan.generation.extra_body:
        lines.append(
            "--output-tokens-mean is a limit: an answer may end earlier; --extra-inputs ignore_eos:true makes servers "
            "that know it go on (the quality block shows asked against got)"
        )
    if args.tokenizer is not None and plan.endpoint.tokenizer is None:
        lines.append(
            f"--tokenizer {args.tokenizer} is no directory and not in the hub's cache on this machine; nothing is "
            "downloaded: prompts are made without it"
        )
    return lines


def _of_idle_flags(args: argparse.Namespace, passed: argparse.Namespace, plan: ServingPlan) -> list[str]:
    unused = [name for name in _UNUSED[plan.dataset.name] if getattr(args, name) != _DEFAULTS.get(name, 0)]
    lines = [f"--{name.replace('_', '-')} changes nothing {_INSTEAD[plan.dataset.name]}" for name in unused]
    if args.stability_percentage != 999.0 and plan.load.windows is None:
        lines.append("--stability-percentage changes nothing without --measurement-interval: a number is one window")
    if args.prefix_prompt_length != 100 and not args.num_prefix_prompts and plan.dataset.name != "trace":
        lines.append("--prefix-prompt-length changes nothing without --num-prefix-prompts N")
    if args.model_selection_strategy != "round_robin" and len(args.model) == 1:
        lines.append("--model-selection-strategy changes nothing with one --model")
    if args.tokenizer is None:
        for name, default in (("tokenizer_revision", "main"), ("tokenizer_trust_remote_code", False)):
            if getattr(args, name) != default:
                lines.append(f"--{name.replace('_', '-')} changes nothing without --tokenizer")
    if args.vocab_size is not None and (args.endpoint_type in ("chat", "generate") or args.tokenizer is not None):
        what = "with --tokenizer" if args.tokenizer is not None else f"with --endpoint-type {args.endpoint_type}"
        lines.append(f"--vocab-size changes nothing {what}: prompts are text")
    if args.workers != 1 and plan.dataset.name == "synthetic_sessions":
        lines.append("--workers changes nothing with --num-sessions: each conversation has a thread")
    if args.backend is not None:
        lines.append(f"--backend {args.backend} changes nothing: it tells forms of KServe apart")
    if args.generate_plots:
        lines.append(
            "--generate-plots draws nothing here: `tokenclock report --html FILE RESULT` makes a page of plots"
        )
    if passed.max_threads is not None:
        lines.append(
            "--max-threads changes nothing: the client needs no thread per request; --workers sets its threads"
        )
    return lines
