"""Requests in flight on CTranslate2: so many side by side, each a call of its own; the others wait their turn here.

CTranslate2 puts no requests together while they run (no in-flight batching): what N requests at a time gain is that N
calls run on N cores, or on N streams of a GPU.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tokenclock.errors import UsageError
from tokenclock.parallel import World
from tokenclock.runtime import worker_thread
from tokenclock.runtime.ctranslate2 import OpenModel, open_model, threads_of_rank
from tokenclock.runtime.find import TINY_PREFIX
from tokenclock.runtime.in_flight import (
    InFlightOptions,
    InFlightRequest,
    OnEnd,
    OnTokens,
    Outcome,
    Sampling,
)
from tokenclock.runtime.options import RuntimeOptions

__all__ = ["CTranslate2InFlight", "load"]

_MOST_ON_A_GPU = 8  # calls side by side on one GPU, where the user names no number: each has buffers of its own
_TOGETHER_S = 30.0  # for every thread to take one request; they are idle when they are asked to
# SamplingParams of TensorRT-LLM -> the generator's
_SAMPLING = {
    "temperature": "sampling_temperature",
    "top_p": "sampling_topp",
    "top_k": "sampling_topk",
    "repetition_penalty": "repetition_penalty",
    "no_repeat_ngram_size": "no_repeat_ngram_size",
    "length_penalty": "length_penalty",
}


def load(
    directory: str, options: RuntimeOptions, sampling: Sampling, asked: InFlightOptions, world: World
) -> CTranslate2InFlight:
    """Load a converted decoder, or ``tiny:llama``.

    Raises: as `ctranslate2.load`; UsageError for sampling options that it does not have.
    """
    kwargs = _generation(sampling)
    cores = threads_of_rank(world)
    n_threads = options.threads or (1 if directory.startswith(TINY_PREFIX) else max(1, cores // 2))
    wishes = [number for number in (asked.concurrency, asked.max_batch_size) if number]

    def at_once(device: str) -> int:
        room = max(1, cores // n_threads) if device == "cpu" else max(asked.max_batch_size or 0, _MOST_ON_A_GPU)
        return max(1, min([*wishes, room]))

    found = open_model(directory, "dec", replace(options, threads=n_threads), world, inter_threads=at_once)
    n = int(found.facts.details["inter_threads"])
    notes = _idle(asked)
    if asked.concurrency is None or asked.concurrency > n:
        notes.append(
            f"ctranslate2 runs {n} request{'s' if n > 1 else ''} side by side here and batches none in flight: the "
            "others wait their turn, and their wait is in their TTFT"
        )
    return CTranslate2InFlight(found, kwargs, sampling, notes)


def _idle(asked: InFlightOptions) -> list[str]:
    idle = {
        "--max_num_tokens": asked.max_num_tokens,
        "--kv_cache_free_gpu_mem_fraction": asked.kv_cache_share,
        "--scheduler_policy": asked.scheduler_policy,
        "--enable_chunked_context": asked.chunked_context or None,
    }
    return [
        f"{flag} changes nothing: ctranslate2 has no scheduler and no cache of its own to set"
        for flag, value in idle.items()
        if value is not None
    ]


def _generation(sampling: Sampling) -> dict[str, Any]:
    options = dict(sampling.options)
    unknown = sorted(set(options) - set(_SAMPLING))
    if unknown:
        raise UsageError(
            f"--sampler_options: --runtime ctranslate2 knows {', '.join(_SAMPLING)}, not {unknown[0]}; leave it out"
        )
    kwargs: dict[str, Any] = {"sampling_topk": 1} | {_SAMPLING[name]: value for name, value in options.items()}
    if {"temperature", "top_p"} & options.keys() and "top_k" not in options:
        kwargs["sampling_topk"] = 0  # else the one best token is drawn from
    return {
        "beam_size": sampling.beam_width,
        "include_prompt_in_result": False,
        "end_token": [] if sampling.eos_id < 0 else [sampling.eos_id],
        "return_end_token": True,
        **kwargs,
    }


class CTranslate2InFlight:
    """A loaded decoder with a thread for each request that runs; see `in_flight.InFlight`."""

    name = "ctranslate2"
    takes_lora = False

    def __init__(self, found: OpenModel, kwargs: dict[str, Any], sampling: Sampling, notes: Sequence[str]) -> None:
        self.model, self.limits, self.notes = found.facts, found.limits, tuple(notes)
        self._model, self._tokens, self._kwargs = found.model, found.tokens, kwargs
        self._eos_id, self._greedy = sampling.eos_id, sampling.beam_width == 1
        self._cancelled = False
        self._waiting: queue.SimpleQueue[tuple[InFlightRequest, OnTokens | None, OnEnd] | None] = queue.SimpleQueue()
        self._n = int(found.facts.details["inter_threads"])
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(self._n)]
        for thread in self._threads:
            thread.start()
        self._on_every_thread(worker_thread.hold)

    def submit(self, request: InFlightRequest, on_tokens: OnTokens | None, on_end: OnEnd) -> None:
        self._waiting.put((request, on_tokens, on_end))

    def cancel(self) -> None:
        self._cancelled = True

    def close(self) -> None:
        if self._model is None:
            return
        for _ in self._threads:
            self._waiting.put(None)
        for thread in self._threads:
            thread.join()
        self._on_every_thread(worker_thread.let_go)
        self._model.unload_model()
        self._model = None  # its threads end now, and not at the end of the interpreter, which aborts then

    def _work(self) -> None:
        while (item := self._waiting.get()) is not None:
            request, on_tokens, on_end = item
            on_end(Outcome(cancelled=True) if self._cancelled else self._answer(request, on_tokens))

    def _answer(self, request: InFlightRequest, on_tokens: OnTokens | None) -> Outcome:
        tokens, osl = self._tokens, request.osl

        def callback(_result: Any) -> bool:
            if on_tokens is not None:
                on_tokens(1)
            return self._cancelled

        try:
            found = self._model.generate_batch(
                [[tokens[number] for number in np.asarray(request.ids).tolist()]],
                callback=callback if self._greedy else None,  # beams are not streamed, and cannot be ended early
                max_length=osl,
                min_length=osl if self._eos_id < 0 else 1,
                **self._kwargs,
            )
        except Exception as error:
            return Outcome(error=" ".join(str(error).split()) or type(error).__name__)
        ids = list(found[0].sequences_ids[0])
        if self._cancelled and len(ids) < osl:
            return Outcome(ids, cancelled=True)
        return Outcome(ids, stopped=self._eos_id >= 0 and bool(ids) and ids[-1] == self._eos_id)

    def _on_every_thread(self, act: Any) -> None:
        """Call `act` once on each thread that callbacks come from: all are kept until each has one request."""
        if not self._greedy:
            return
        together = threading.Barrier(self._n)

        def callback(_result: Any) -> bool:
            act()
            together.wait(_TOGETHER_S)
            return False

        def call() -> None:
            self._model.generate_batch(
                [self._tokens[:1]], callback=callback, max_length=1, min_length=1, sampling_topk=1, end_token=[],
                include_prompt_in_result=False,
            )  # fmt: skip

        threads = [threading.Thread(target=call, daemon=True) for _ in range(self._n)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
