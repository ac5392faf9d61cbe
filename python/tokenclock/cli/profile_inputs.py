"""Which prompts the flags of `profile` ask for."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

from tokenclock.cli.profile_load import has_sessions
from tokenclock.errors import UsageError

if TYPE_CHECKING:
    from tokenclock.plan import InputFileDataset, SyntheticDataset, TraceDataset

__all__ = ["dataset_of"]


def dataset_of(args: argparse.Namespace) -> SyntheticDataset | InputFileDataset | TraceDataset:
    """Synthetic prompts or conversations, a file of texts, or a file of payloads. Raises UsageError."""
    from tokenclock import plan

    if args.input_file is not None:
        return _of_file(args)
    synthetic = {
        "input_mean": args.synthetic_input_tokens_mean,
        "input_stddev": args.synthetic_input_tokens_stddev,
        "output_mean": args.output_tokens_mean,
        "output_stddev": args.output_tokens_stddev,
        "n_prefixes": args.num_prefix_prompts,
        "prefix_len": args.prefix_prompt_length,
        "vocab_size": args.vocab_size,
    }
    if not has_sessions(args):
        return plan.SyntheticDataset(n_entries=args.num_dataset_entries * _texts_of(args), **synthetic)
    if not args.num_sessions:
        raise UsageError("--session-concurrency needs --num-sessions N, or --input-file payload:FILE with session_id")
    return plan.SyntheticSessionsDataset(
        **synthetic,
        n_sessions=args.num_sessions,
        turns_mean=args.session_turns_mean,
        turns_stddev=args.session_turns_stddev,
        turn_delay_mean_ms=args.session_turn_delay_mean,
        turn_delay_stddev_ms=args.session_turn_delay_stddev,
        delay_ratio=args.session_delay_ratio,
    )


def _texts_of(args: argparse.Namespace) -> int:
    """Texts of one request, so that as many requests differ as there are entries."""
    return int(args.batch_size) + int(args.endpoint_type == "rankings")


def _of_file(args: argparse.Namespace) -> InputFileDataset | TraceDataset:
    from tokenclock import plan

    path: str = args.input_file
    kind, _, rest = path.partition(":")
    if args.num_prefix_prompts:
        raise UsageError("--num-prefix-prompts and --input-file exclude each other: write the beginning into the file")
    if args.num_sessions:
        raise UsageError("--num-sessions and --input-file exclude each other: sessions of a file are its session_id")
    if kind == "payload":
        if not rest:
            raise UsageError("--input-file payload: must name a file, such as payload:trace.jsonl")
        return plan.TraceDataset(path=rest, untimed=not args.fixed_schedule, vocab_size=args.vocab_size)
    if kind == "synthetic" and not os.path.exists(path):
        raise UsageError("--input-file synthetic: is refused: it joins files for images and embeddings, not built here")
    if os.path.isdir(path):
        raise UsageError(f"--input-file must be a file of JSON lines, got the directory {path}")
    if args.session_concurrency is not None:
        raise UsageError("--session-concurrency with --input-file needs payload:FILE, whose rows have a session_id")
    return plan.InputFileDataset(
        path=path, output_mean=args.output_tokens_mean, output_stddev=args.output_tokens_stddev
    )
