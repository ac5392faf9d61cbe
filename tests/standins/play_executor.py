"""The stand-in's C++ executor: what its configuration may say, requests in flight, a response per iteration or one."""

from __future__ import annotations

import enum
import itertools
import json
import os
import threading
import time
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tensorrt_llm._played import play_common, play_requests
from tensorrt_llm._played.play_common import plays


class ModelType(enum.Enum):
    ENCODER_ONLY = 0
    DECODER_ONLY = 1
    ENCODER_DECODER = 2


class CapacitySchedulerPolicy(enum.Enum):
    MAX_UTILIZATION = 0
    GUARANTEED_NO_EVICT = 1
    STATIC_BATCH = 2


class BatchingType(enum.Enum):
    STATIC = 0
    INFLIGHT = 1


class CommunicationType(enum.Enum):
    MPI = 0


class CommunicationMode(enum.Enum):
    LEADER = 0
    ORCHESTRATOR = 1


class FinishReason(enum.Enum):
    NOT_FINISHED = 0
    END_ID = 1
    STOP_WORDS = 2
    LENGTH = 3
    TIMED_OUT = 4
    CANCELLED = 5


def _keep(owner: Any, **fields: Any) -> None:
    for name, value in fields.items():
        setattr(owner, name, value)


for _name in (
    "SchedulerConfig", "KvCacheConfig", "OrchestratorConfig", "ParallelConfig", "ExecutorConfig", "OutputConfig",
    "Request", "SamplingConfig",
):  # fmt: skip
    plays(f"{_name}.__init__")(_keep)


class _Response:
    """As the real one: an error has no result, and a result no error."""

    def __init__(self, request_id: int, error: str | None = None, result: Any = None) -> None:
        self.request_id, self._error, self._result = request_id, error, result

    def has_error(self) -> bool:
        return self._error is not None

    @property
    def error_msg(self) -> str:
        if self._error is None:
            raise RuntimeError("there is no error")
        return self._error

    @property
    def result(self) -> Any:
        if self._error is not None:
            raise RuntimeError(self._error)
        return self._result


class _Enqueued:
    """A request as the iterations of `play_requests.Engine` see it."""

    def __init__(self, executor: Any, number: int, request: Any) -> None:
        self.number, self.prompt_token_ids = number, request.input_token_ids
        self._executor, self._request = executor, request
        self._timing = SimpleNamespace(first_scheduled_time=timedelta())
        self._made, self._told, self._first = 0, 0, None
        least = request.sampling_config.min_tokens or 0
        ends = request.end_id != -1 and least < request.max_tokens
        self._n = max(1, request.max_tokens // 2) if ends else request.max_tokens
        self.cancelled = False

    def _grow(self, iteration: int, _interval: int) -> bool:
        self._first = iteration if self._first is None else self._first
        self._made += not self.cancelled
        done = self.cancelled or self._made >= self._n
        if done or self._request.streaming:
            reason = FinishReason.NOT_FINISHED
            if done:
                by_length = self._made >= self._request.max_tokens
                reason = FinishReason.LENGTH if by_length else FinishReason.END_ID
                reason = FinishReason.CANCELLED if self.cancelled else reason
            self._tell(done, reason, iteration - self._first)
        return done

    def _tell(self, done: bool, reason: FinishReason, decoding_iter: int) -> None:
        ids = list(range(1000 + self._told, 1000 + self._made))
        if not self._request.streaming and not self._request.output_config.exclude_input_from_output:
            ids = [*self.prompt_token_ids, *ids]
        self._told = self._made
        beams = self._request.sampling_config.beam_width
        result = SimpleNamespace(
            is_final=done,
            output_token_ids=[list(ids) for _ in range(beams)],
            finish_reasons=[reason] * beams,
            decoding_iter=decoding_iter,
        )
        self._executor._answer(_Response(self.number, result=result))


@plays("Executor.__init__")
def make(executor: Any, model_path: Any, model_type: Any, executor_config: Any) -> None:
    folder = Path(model_path)
    config = json.loads((folder / "config.json").read_text())
    build, ranks = config["build_config"], config["pretrained_config"]["mapping"]
    if model_type is not ModelType.DECODER_ONLY:
        raise RuntimeError("only decoders are played")
    parallel = executor_config.parallel_config
    spawns = parallel is not None and parallel.communication_mode is CommunicationMode.ORCHESTRATOR
    world = ranks["tp_size"] * ranks["pp_size"]
    if spawns:
        if not parallel.orchestrator_config.worker_executable_path.endswith("bin/executorWorker"):
            raise RuntimeError("the worker's program is not there")
    elif world != play_common.mpi_world_size():
        raise RuntimeError(f"world size {world} of the engine is not that of MPI, {play_common.mpi_world_size()}")
    if executor_config.enable_chunked_context and not build["plugin_config"].get("use_paged_context_fmha"):
        raise RuntimeError("chunked context needs use_paged_context_fmha")
    for name in ("max_batch_size", "max_num_tokens", "max_beam_width"):
        if (getattr(executor_config, name) or 1) > build[name]:
            raise RuntimeError(f"{name} is above the engine's")
    executor._build, executor._config = build, executor_config
    executor._engine = play_requests.Engine(
        executor_config.max_batch_size or build["max_batch_size"],
        executor_config.max_num_tokens or build["max_num_tokens"],
        1,
    )
    executor._numbers, executor._active = itertools.count(1), {}
    executor._ready, executor._news = [], threading.Condition()
    executor._answer = lambda response: _answer(executor, response)
    executor._failing_at = time.monotonic() + play_common.milliseconds("EXECUTOR_DIES_AFTER", 1e9)
    if log := os.environ.get("STANDIN_LOG"):
        with open(log, "a") as file:
            fields = {name: value for name, value in vars(executor_config).items() if not name.startswith("_")}
            fields |= {"kv_cache_config": vars(executor_config.kv_cache_config)}
            fields |= {"scheduler_config": vars(executor_config.scheduler_config)}
            file.write(f"EXECUTOR {sorted(fields.items())!r}\n")


def _answer(executor: Any, response: Any) -> None:
    with executor._news:
        executor._ready.append(response)
        executor._news.notify_all()


@plays("Executor.enqueue_request")
def enqueue(executor: Any, request: Any) -> int:
    if executor._engine is None:
        raise RuntimeError("the executor has been shut down")
    if not all(type(token) is int for token in request.input_token_ids):
        raise TypeError("incompatible constructor arguments")
    length, limit = len(request.input_token_ids) + request.max_tokens, executor._build["max_seq_len"]
    if length > limit:
        raise RuntimeError(f"prompt and answer of {length} tokens exceed maximum sequence length of {limit}")
    number = next(executor._numbers)
    highest = max(request.input_token_ids)
    if highest >= int(os.environ.get("STANDIN_VOCAB", 1 << 30)):
        _answer(executor, _Response(number, error=f"token id {highest} is not in the vocabulary"))
        return number
    enqueued = _Enqueued(executor, number, request)
    executor._active[number] = enqueued
    executor._engine.submit(enqueued)
    return number


@plays("Executor.await_responses")
def await_responses(executor: Any, timeout: timedelta | None) -> list[Any]:
    if executor._engine is None or time.monotonic() > executor._failing_at:
        raise RuntimeError("the execution loop has ended: CUDA error 700")
    with executor._news:
        executor._news.wait_for(lambda: executor._ready, None if timeout is None else timeout.total_seconds())
        found, executor._ready = executor._ready, []
    return found


@plays("Executor.cancel_request")
def cancel(executor: Any, id: int | None) -> None:
    if id in executor._active:
        executor._active[id].cancelled = True


@plays("Executor.get_latest_iteration_stats")
def latest_stats(executor: Any) -> list[Any]:
    count = min(executor._engine.iteration, executor._config.iter_stats_max_iterations)
    return [
        SimpleNamespace(to_json_str=lambda number=number: json.dumps({"iter": number, "iterLatencyMS": 1.0}))
        for number in range(executor._engine.iteration - count, executor._engine.iteration)
    ]


@plays("Executor.can_enqueue_requests")
def can_enqueue(executor: Any) -> bool:
    return executor._engine is not None


@plays("Executor.shutdown")
def shut_down(executor: Any) -> None:
    if executor._engine is not None:
        executor._engine.stop()
        executor._engine = None
