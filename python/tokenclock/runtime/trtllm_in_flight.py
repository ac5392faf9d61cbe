"""Requests in flight on `tensorrt_llm.LLM`: what its engine is made for; each token stamped as the LLM hands it over.

Answers come by an event loop on a thread of its own: a stamp carries the way from the engine's processes through the
LLM's queues, as every user of the LLM sees it.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tokenclock.errors import MeasurementError, UsageError
from tokenclock.parallel import World
from tokenclock.runtime import checkpoint_config, trtllm_package
from tokenclock.runtime.in_flight import InFlightOptions, InFlightRequest, OnEnd, OnTokens, Outcome, Sampling
from tokenclock.runtime.llm_api_options import merge_options
from tokenclock.runtime.options import RuntimeOptions
from tokenclock.runtime.protocol import Limits, ModelFacts
from tokenclock.runtime.trtllm_llm import NAME, AskedFor, asked_for, quantization_of
from tokenclock.runtime.trtllm_llm_options import Room

__all__ = ["LlmInFlight", "load"]

_KV_CACHE_SHARE = 0.90  # of the free GPU memory, as the original takes
_MOST_ITERATIONS = 1_000_000  # kept by the engine until they are read
_STATS_TIMEOUT_S = 2
_LORA_REQUEST = ("tensorrt_llm.executor", "LoRARequest")  # where releases have it that were looked at


def load(
    directory: str, options: RuntimeOptions, sampling: Sampling, asked: InFlightOptions, world: World
) -> LlmInFlight:
    """Make an engine for the data set's longest request.

    Raises: as `trtllm_llm.load`; UsageError for sampling options that the installed release does not have.
    """
    found = asked_for(directory, "dec", options, world)
    effective = _options(found, options, asked)
    known = trtllm_package.installed_options(found.version)
    if asked.iterations and known.top and "enable_iter_perf_stats" not in known.top:
        raise UsageError(f"--iteration_log: {known.source} keeps nothing of its iterations; leave it out")
    llm_class = trtllm_package.member("tensorrt_llm", "LLM")
    _sampling_params(sampling, 1)
    try:
        llm = llm_class(directory, **effective)
    except Exception as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise MeasurementError(f"--runtime {NAME} cannot load {directory}: {reason}") from error
    facts = ModelFacts(
        name=Path(directory).resolve().name,
        family="dec",
        precision=str(effective.get("dtype") or found.config.get("dtype") or found.config.get("torch_dtype") or "auto"),
        quantization=quantization_of(directory, found.config),
        details={
            "device": "cuda",
            "options": effective,
            "tensorrt_llm": found.version,
            "warnings": list(found.warnings),
            "world_size": found.sizes[0] * found.sizes[1],
        },
        **checkpoint_config.checkpoint_facts(found.config),
    )
    lengths = [effective.get("max_seq_len"), checkpoint_config.positions_of(found.config)]
    limits = Limits(max_seq_len=min((n for n in lengths if isinstance(n, int)), default=None))
    return LlmInFlight(llm, facts, limits, sampling)


def _options(found: AskedFor, options: RuntimeOptions, asked: InFlightOptions) -> dict[str, Any]:
    """Keyword arguments of `LLM`: the flags', and over them what the user's file says."""
    seq_len = asked.max_seq_len or asked.longest_request
    n_tokens = asked.max_num_tokens or max(8192, asked.longest_prompt)
    room = Room(asked.max_batch_size or 1, n_tokens, seq_len, options.num_beams)
    ours: dict[str, Any] = {
        "enable_chunked_prefill": asked.chunked_context is not False,
        "kv_cache_config": {"free_gpu_memory_fraction": asked.kv_cache_share or _KV_CACHE_SHARE},
    }
    if asked.scheduler_policy is not None:
        ours["scheduler_config"] = {"capacity_scheduler_policy": asked.scheduler_policy.upper()}
    if asked.iterations:
        ours |= {"enable_iter_perf_stats": True, "iter_stats_max_iterations": _MOST_ITERATIONS}
    effective = merge_options(merge_options(found.options_for(room), ours), found.extra)
    for name, value in (("max_batch_size", asked.max_batch_size), ("max_num_tokens", asked.max_num_tokens)):
        if value is None and name not in found.extra:
            del effective[name]  # the engine's own
    return effective


def _sampling_params(sampling: Sampling, osl: int) -> Any:
    """Those of one request: none is shared between requests under way."""
    params = trtllm_package.member("tensorrt_llm", "SamplingParams")
    fields: dict[str, Any] = {
        "max_tokens": osl,
        "end_id": sampling.eos_id,
        "pad_id": sampling.eos_id,
        "ignore_eos": sampling.eos_id < 0,
        "detokenize": False,
    }
    if sampling.beam_width > 1:
        fields |= {"use_beam_search": True, "n": sampling.beam_width}
    try:
        return params(**{**fields, **dict(sampling.options)})
    except (TypeError, ValueError) as error:
        raise UsageError(f"--sampler_options: {' '.join(str(error).split())}") from error


def _lora_request(lora: tuple[str, int, str] | None) -> dict[str, Any]:
    if lora is None:
        return {}
    return {"lora_request": trtllm_package.member(*_LORA_REQUEST)(*lora)}


class LlmInFlight:
    """An `LLM`; see `in_flight.InFlight`."""

    name = NAME

    def __init__(self, llm: Any, facts: ModelFacts, limits: Limits, sampling: Sampling) -> None:
        self.model, self.limits, self.notes = facts, limits, ()
        self.takes_lora = trtllm_package.member(*_LORA_REQUEST) is not None
        self._llm, self._sampling = llm, sampling
        self._cancelled = False
        self._under_way: set[Any] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def submit(self, request: InFlightRequest, on_tokens: OnTokens | None, on_end: OnEnd) -> None:
        self._loop.call_soon_threadsafe(self._begin, request, on_tokens, on_end)

    def cancel(self) -> None:
        self._cancelled = True
        self._loop.call_soon_threadsafe(self._abort)

    def iterations(self) -> list[Mapping[str, Any]]:
        """What the engine kept of its iterations; empty where the release keeps nothing."""
        return list(self._llm.get_stats(timeout=_STATS_TIMEOUT_S))

    def close(self) -> None:
        if self._llm is None:
            return
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        llm, self._llm = self._llm, None
        llm.shutdown()

    def _begin(self, request: InFlightRequest, on_tokens: OnTokens | None, on_end: OnEnd) -> None:
        task = self._loop.create_task(self._answer(request, on_tokens, on_end))
        self._tasks.add(task)  # the loop itself keeps no task alive
        task.add_done_callback(self._tasks.discard)

    def _abort(self) -> None:
        for answer in list(self._under_way):
            answer.abort()

    async def _answer(self, request: InFlightRequest, on_tokens: OnTokens | None, on_end: OnEnd) -> None:
        answer: Any = None
        try:
            if self._cancelled:
                on_end(Outcome(cancelled=True))
                return
            answer = self._llm.generate_async(
                np.asarray(request.ids).tolist(),
                sampling_params=_sampling_params(self._sampling, request.osl),
                streaming=on_tokens is not None,
                **_lora_request(request.lora),
            )
            self._under_way.add(answer)
            if on_tokens is None:
                await answer
            else:
                async for part in answer:  # the same object each time: only what is new in it counts
                    new = len(part.outputs[0].token_ids_diff)
                    if new:
                        on_tokens(new)
            outcome = self._outcome(answer, request)
        except Exception as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            outcome = Outcome(cancelled=True) if self._cancelled else Outcome(error=reason)
        finally:
            self._under_way.discard(answer)
        on_end(outcome)

    def _outcome(self, answer: Any, request: InFlightRequest) -> Outcome:
        best = answer.outputs[0]  # of several beams the first: the others are no tokens more
        ids, iteration = list(best.token_ids), getattr(answer, "decoding_iter", None)
        return Outcome(
            ids,
            stopped=getattr(best, "finish_reason", None) == "stop",
            cancelled=self._cancelled and len(ids) < request.osl,
            decode_iteration=iteration if isinstance(iteration, int) and iteration > 0 else None,
        )
