"""The options that TensorRT-LLM's `LLM` is made with: a static batch on an engine that batches in flight."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tokenclock.errors import UsageError
from tokenclock.plan_benchmark import BenchmarkCase
from tokenclock.runtime.llm_api_keys import KnownOptions
from tokenclock.runtime.llm_api_options import merge_options
from tokenclock.runtime.options import RuntimeOptions

__all__ = ["Room", "llm_options", "parallel_sizes", "static_batch_doubts"]


@dataclass(frozen=True)
class Room:
    """What an engine has to hold at once.

    Args:
        batch_size: rows.
        num_tokens: prompt tokens of all rows; with fewer, prefill is cut into several iterations.
        seq_len: tokens of one row, prompt and output.
        beam_width: beams of one row.
    """

    batch_size: int
    num_tokens: int
    seq_len: int
    beam_width: int

    @classmethod
    def of_case(cls, case: BenchmarkCase) -> Room:
        beams = case.num_beams
        return cls(
            case.batch_size,
            case.batch_size * max(case.input_len, beams),
            case.input_len + (case.output_len or 0),
            beams,
        )

    @classmethod
    def of_sweep(cls, options: RuntimeOptions) -> Room:
        beams = options.num_beams
        return cls(
            options.max_batch_size,
            options.max_batch_size * max(options.max_input_len, beams),
            options.max_input_len + (options.max_output_len or 0),
            beams,
        )

    def holds(self, other: Room) -> bool:
        return self.joined(other) == self

    def joined(self, other: Room) -> Room:
        return Room(
            max(self.batch_size, other.batch_size),
            max(self.num_tokens, other.num_tokens),
            max(self.seq_len, other.seq_len),
            max(self.beam_width, other.beam_width),
        )


def parallel_sizes(options: RuntimeOptions, world_size: int) -> tuple[int, int]:
    """(tensor parallel, pipeline parallel) of the model: as asked for, else tensor parallel over all ranks.

    Raises:
        UsageError: they do not make up the ranks that were started.
    """
    pp = options.pp or 1
    tp = options.tp or max(1, world_size // pp)
    if world_size > 1 and tp * pp != world_size:
        raise UsageError(
            f"--tp times --pp must be the {world_size} ranks that were started, got {tp} x {pp}: leave --tp out, or "
            f"start mpirun -n {tp * pp}"
        )
    return tp, pp


def llm_options(
    options: RuntimeOptions, room: Room, sizes: tuple[int, int], extra: Mapping[str, Any], known: KnownOptions
) -> dict[str, Any]:
    """Keyword arguments of `LLM` but for the model: ours, then what the user's file says over them.

    Args:
        options: of the run.
        room: what the engine has to hold.
        sizes: tensor and pipeline parallel.
        extra: options of the user's file, under today's names; they win.
        known: the installed release's options; ours that it does not know are left out where that changes nothing.

    Raises:
        UsageError: the release does not have what the user asked for by a flag.
    """
    ours: dict[str, Any] = {
        "skip_tokenizer_init": True,
        "tensor_parallel_size": sizes[0],
        "max_batch_size": room.batch_size,
        "max_num_tokens": room.num_tokens,
        "max_seq_len": room.seq_len,
        "enable_chunked_prefill": False,
        # The same prompts come again in every iteration: a cache of prefixes would answer all but the first.
        "kv_cache_config": {"enable_block_reuse": False},
    }
    if sizes[1] > 1:
        ours["pipeline_parallel_size"] = sizes[1]
    if options.ep is not None:
        ours["moe_expert_parallel_size"] = options.ep
    if room.beam_width > 1:
        ours["max_beam_width"] = room.beam_width
    if options.dtype_named:
        ours["dtype"] = options.dtype
    if options.cuda_graph:
        if known.top and "cuda_graph_config" not in known.top:
            raise UsageError(
                f"--enable_cuda_graph: {known.source} has no cuda_graph_config; put its option in the file"
            )
        ours["cuda_graph_config"] = {"enable_padding": True, "max_batch_size": room.batch_size}
    return merge_options(ours, extra)


def static_batch_doubts(effective: Mapping[str, Any], room: Room) -> list[str]:
    """One line per option of the user's that keeps a batch from being static, or answers prompts from a cache."""
    doubts = []
    for name, needed, what in (
        ("max_batch_size", room.batch_size, "a batch of that size is run in parts"),
        ("max_num_tokens", room.num_tokens, "prefill is cut into several iterations"),
    ):
        value = effective.get(name)
        if isinstance(value, int) and value < needed:
            doubts.append(f"{name} {value} of the options file is below {needed}, which the largest case needs: {what}")
    if effective.get("enable_chunked_prefill"):
        doubts.append("enable_chunked_prefill is on: prefill is cut into several iterations")
    cache = effective.get("kv_cache_config")
    if isinstance(cache, Mapping) and cache.get("enable_block_reuse"):
        doubts.append("kv_cache_config.enable_block_reuse is on: repeated prompts are answered from the cache")
    interval = effective.get("stream_interval")
    if isinstance(interval, int) and interval > 1:
        doubts.append(f"stream_interval {interval}: one stamp stands for {interval} steps")
    wait = effective.get("batch_wait_timeout_ms")
    if isinstance(wait, (int, float)) and wait > 0 and not math.isinf(wait):
        doubts.append(f"batch_wait_timeout_ms {wait:g}: latencies include up to that wait")
    return doubts
