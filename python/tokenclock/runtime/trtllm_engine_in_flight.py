"""Requests in flight on an engine of TensorRT-LLM 0.12 to 1.2: the C++ executor itself, by its Python bindings.

One thread takes the executor's responses and tells each token; nothing else of Python stands between.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import numpy as np

from tokenclock.errors import MeasurementError, UsageError
from tokenclock.parallel import World
from tokenclock.runtime import engine_config, trtllm_engine, trtllm_package
from tokenclock.runtime.in_flight import InFlightOptions, InFlightRequest, OnEnd, OnTokens, Outcome, Sampling
from tokenclock.runtime.options import RuntimeOptions
from tokenclock.runtime.protocol import Limits, ModelFacts
from tokenclock.runtime.trtllm_executor_options import executor_config, sampling_config

__all__ = ["EngineInFlight", "load"]

_BINDINGS = "tensorrt_llm.bindings.executor"
_WAIT = timedelta(milliseconds=100)  # for a response, before the thread looks whether it is to end


def load(
    directory: str, options: RuntimeOptions, sampling: Sampling, asked: InFlightOptions, world: World
) -> EngineInFlight:
    """Load a decoder's engine; one for several GPUs gets a worker process for each of its ranks.

    Raises:
        UsageError: no engine of a decoder, or something it was not built for.
        MeasurementError: TensorRT-LLM is not installed, is a release without the executor, or does not load it.
    """
    engine = engine_config.read_engine_directory(directory, "dec", None)
    trtllm_engine.require_what_it_was_built_for(engine, options)
    _require_ranks_said(engine, options)
    version = trtllm_engine.engine_release()
    bindings = trtllm_package.bindings(_BINDINGS)
    if bindings is None:
        raise MeasurementError(
            f"--runtime {trtllm_engine.NAME} needs {_BINDINGS}, which TensorRT-LLM {version} has not: install "
            "tensorrt-llm<1.3"
        )
    drawn = sampling_config(bindings, sampling)
    effective, config = executor_config(bindings, engine, asked, sampling.beam_width)
    try:
        executor = bindings.Executor(engine.path, bindings.ModelType.DECODER_ONLY, config)
    except Exception as error:
        raise MeasurementError(f"--runtime {trtllm_engine.NAME} cannot load {directory}: {_line_of(error)}") from error
    tp, pp = engine.main.ranks
    details = {
        "device": "cuda",
        "tensorrt_llm": version,
        "through": "Executor",
        "options": effective,
        "world_size": tp * pp,
        "max_input_len": engine.main.limit("max_input_len"),
        "kv_cache_dtype": (engine.main.pretrained.get("quantization") or {}).get("kv_cache_quant_algo"),
    }
    return EngineInFlight(bindings, executor, engine.facts(details), engine.limits(), sampling, drawn)


def _require_ranks_said(engine: engine_config.EngineDirectory, options: RuntimeOptions) -> None:
    """What is reported per GPU comes from --tp and --pp: an engine of several ranks must be said to be one."""
    for flag, said, built in zip(("--tp", "--pp"), (options.tp, options.pp), engine.main.ranks, strict=True):
        if (said or 1) != built:
            raise UsageError(f"{flag} must be what the engine was built for, {built}, got {said or 1}")


def _line_of(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__


@dataclass
class _UnderWay:
    request: InFlightRequest
    on_tokens: OnTokens | None
    on_end: OnEnd
    ids: list[int] = field(default_factory=list)


class EngineInFlight:
    """An engine in the C++ executor; see `in_flight.InFlight`."""

    name = trtllm_engine.NAME
    takes_lora = False  # the executor wants an adapter's weights as tensors of its own layout

    def __init__(
        self,
        bindings: Any,
        executor: Any,
        facts: ModelFacts,
        limits: Limits,
        sampling: Sampling,
        drawn: Any,
    ) -> None:
        self.model, self.limits, self.notes = facts, limits, ()
        self._bindings, self._executor, self._sampling, self._drawn = bindings, executor, sampling, drawn
        self._under_way: dict[int, _UnderWay] = {}
        self._lock = threading.Lock()  # a response may come before its request has a place in the table
        self._cancelled = self._ended = False
        self._dead: str | None = None
        self._thread = threading.Thread(target=self._take_responses, daemon=True)
        self._thread.start()

    def submit(self, request: InFlightRequest, on_tokens: OnTokens | None, on_end: OnEnd) -> None:
        if self._cancelled or self._dead is not None:
            on_end(Outcome(cancelled=True) if self._cancelled else Outcome(error=self._dead))
            return
        try:
            made = self._request(request, streaming=on_tokens is not None)
            with self._lock:
                if self._dead is not None:  # since it was asked above: nobody would end this request
                    raise MeasurementError(self._dead)
                self._under_way[self._executor.enqueue_request(made)] = _UnderWay(request, on_tokens, on_end)
        except Exception as error:
            on_end(Outcome(error=" ".join(str(error).split()) or type(error).__name__))

    def cancel(self) -> None:
        self._cancelled = True
        with self._lock:
            numbers = list(self._under_way)
        for number in numbers:
            with contextlib.suppress(Exception):  # of a dead executor; its requests are ended by `_take_responses`
                self._executor.cancel_request(number)

    def iterations(self) -> list[Mapping[str, Any]]:
        """What the executor kept of its iterations."""
        return [json.loads(stats.to_json_str()) for stats in self._executor.get_latest_iteration_stats()]

    def close(self) -> None:
        if self._executor is None:
            return
        self._ended = True
        self._thread.join()
        executor, self._executor = self._executor, None
        with contextlib.nullcontext() if self._dead is None else contextlib.suppress(Exception):
            executor.shutdown()

    def _request(self, request: InFlightRequest, *, streaming: bool) -> Any:
        eos_id = self._sampling.eos_id
        return self._bindings.Request(
            np.asarray(request.ids).tolist(),
            request.osl,  # by position: its name is not the same in every release
            streaming=streaming,
            sampling_config=self._drawn,
            output_config=self._bindings.OutputConfig(exclude_input_from_output=True),
            end_id=eos_id,
            pad_id=eos_id,
        )

    def _take_responses(self) -> None:
        while not self._ended:
            try:
                for response in self._executor.await_responses(_WAIT):
                    self._take(response)
            except Exception as error:  # nobody else is going to end the requests under way
                self._dead = f"the executor ended: {_line_of(error)}"
                self._end_all(self._dead)
                return

    def _take(self, response: Any) -> None:
        number = response.request_id
        entry = self._under_way.get(number)
        if entry is None:
            with self._lock:  # whoever handed it in has it until its place is made
                entry = self._under_way.get(number)
            if entry is None:
                return  # the last word of a request that was cancelled
        if response.has_error():
            error = " ".join(str(response.error_msg).split()) or "the executor gave no reason"
            self._end(number, entry, Outcome(cancelled=True) if self._cancelled else Outcome(error=error))
            return
        result = response.result
        new = result.output_token_ids[0]  # of several beams the first: the others are no tokens more
        if new and entry.on_tokens is not None:
            entry.on_tokens(len(new))
        entry.ids += new
        if result.is_final:
            self._end(number, entry, self._outcome(result, entry))

    def _outcome(self, result: Any, entry: _UnderWay) -> Outcome:
        reasons, iteration = list(result.finish_reasons or ()), getattr(result, "decoding_iter", None)
        return Outcome(
            entry.ids,
            stopped=bool(reasons) and reasons[0] == self._bindings.FinishReason.END_ID,
            cancelled=self._cancelled and len(entry.ids) < entry.request.osl,
            decode_iteration=iteration if isinstance(iteration, int) and iteration > 0 else None,
        )

    def _end(self, number: int, entry: _UnderWay, outcome: Outcome) -> None:
        with self._lock:
            self._under_way.pop(number, None)
        entry.on_end(outcome)

    def _end_all(self, reason: str) -> None:
        with self._lock:
            left, self._under_way = list(self._under_way.values()), {}
        for entry in left:
            entry.on_end(Outcome(error=reason))
