"""Requests of the stand-in's LLM and the engine that answers them: a batch in flight, one iteration after the other."""

from __future__ import annotations

import asyncio
import collections
import itertools
import threading
import time
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

from tensorrt_llm._played.play_common import milliseconds, plays

_END_OF_SEQUENCE_AFTER = 0.5  # of the tokens asked for, where a request lets the model end by itself


def now() -> timedelta:
    return timedelta(seconds=time.monotonic())


class Engine(threading.Thread):
    """Schedules as an in-flight-batching engine does: limits on rows and on tokens of an iteration."""

    def __init__(self, max_batch_size: int, max_num_tokens: int, stream_interval: int) -> None:
        super().__init__(daemon=True)
        self.max_batch_size, self.max_num_tokens = max_batch_size, max_num_tokens
        self.stream_interval = stream_interval
        self.iteration = 0
        self._waiting: list[Any] = []
        self._there = threading.Condition()
        self._ended = False
        self.start()

    def submit(self, request: Any) -> None:
        with self._there:
            self._waiting.append(request)
            self._there.notify()

    def stop(self) -> None:
        with self._there:
            self._ended = True
            self._there.notify()
        self.join(10)

    def run(self) -> None:
        active: list[Any] = []
        while True:
            with self._there:
                while not self._waiting and not active and not self._ended:
                    self._there.wait()
                if self._ended:
                    return
            if not active:
                time.sleep(milliseconds("WINDOW", 3))  # what arrives meanwhile shares the first iteration
            new = self._admit(len(active))
            active += new
            time.sleep(milliseconds("PREFILL", 4) if new else milliseconds("STEP", 1))
            self.iteration += 1
            for request in list(active):
                if request._grow(self.iteration, self.stream_interval):
                    active.remove(request)

    def _admit(self, n_active: int) -> list[Any]:
        admitted, n_tokens = [], n_active
        with self._there:
            while self._waiting and n_active + len(admitted) < self.max_batch_size:
                n_tokens += len(self._waiting[0].prompt_token_ids)
                if n_tokens > self.max_num_tokens and (admitted or n_active):
                    break
                request = self._waiting.pop(0)
                request._timing.first_scheduled_time = now()
                admitted.append(request)
        return admitted


_ids = itertools.count(1)


def open_request(cls: type, completion: type, prompt: list[int], params: Any, *, streaming: bool) -> Any:
    """A RequestOutput that the engine has not seen yet."""
    request = cls.__new__(cls)
    request.request_id = request.id = next(_ids)
    request.prompt, request.prompt_token_ids = None, list(prompt)
    request.context_logits = request.mm_embedding_handle = None
    request.finished = False
    request.outputs = []
    for index in range(params.n):
        output = completion(index)
        output._seen = 0
        output.token_ids = []
        request.outputs.append(output)
    request._params, request._streaming = params, streaming
    request._timing = SimpleNamespace(
        arrival_time=now(),
        first_scheduled_time=timedelta(),
        first_token_time=timedelta(),
        last_token_time=timedelta(),
        kv_cache_transfer_start=timedelta(),
        kv_cache_transfer_end=timedelta(),
        kv_cache_size=0,
    )
    request._first_iter = None
    request._done = threading.Event()
    request._news = asyncio.Event()
    try:
        request._loop = asyncio.get_running_loop()
    except RuntimeError:
        request._loop = None
    request._made, request._told = 0, 0  # tokens that the engine made, and those it has sent word of
    request._chunks = collections.deque()  # how many tokens each message brings
    request._grow = lambda iteration, interval: _grow(request, iteration, interval)
    return request


def _n_tokens(params: Any) -> int:
    ends_itself = params.end_id != -1 and not params.ignore_eos and (params.min_tokens or 0) < params.max_tokens
    return max(1, int(params.max_tokens * _END_OF_SEQUENCE_AFTER)) if ends_itself else params.max_tokens


def _grow(request: Any, iteration: int, interval: int) -> bool:
    """One more token; True when the request is finished. News are told every `interval` tokens."""
    timing = request._timing
    if request._first_iter is None:
        request._first_iter = iteration
        timing.first_token_time = now()
    request._made += 1
    n = request._made
    done = n >= _n_tokens(request._params)
    if done:
        timing.last_token_time = now()
        for output in request.outputs:
            output.finish_reason = "length" if n >= request._params.max_tokens else "stop"
            if request._params.return_perf_metrics:
                output.request_perf_metrics = SimpleNamespace(
                    timing_metrics=timing,
                    kv_cache_metrics=SimpleNamespace(num_reused_blocks=0),
                    first_iter=request._first_iter,
                    iter=iteration,
                    last_iter=iteration,
                )
    if done or (request._streaming and n % interval == 0):
        request._chunks.append((n - request._told, done))
        request._told = n
        if done:
            request._done.set()
        if request._loop is not None:
            request._loop.call_soon_threadsafe(request._news.set)
    return done


def _take(request: Any) -> None:
    """Read one message: only now do its tokens appear in the outputs, however long it lay."""
    n_tokens, request.finished = request._chunks.popleft()
    for output in request.outputs:
        before = len(output.token_ids)
        output.token_ids += range(1000 + before, 1000 + before + n_tokens)
        output._before, output._seen = before, len(output.token_ids)


@plays("RequestOutput.result")
def result(request: Any, timeout: float | None) -> Any:
    if not request._done.wait(timeout):
        raise TimeoutError("no result yet")
    while request._chunks:
        _take(request)
    return request


@plays("RequestOutput.aresult")
async def aresult(request: Any) -> Any:
    while not request.finished:
        request._news.clear()
        while request._chunks:
            _take(request)
        if not request.finished:
            await request._news.wait()
    return request


@plays("RequestOutput.__anext__")
async def anext_(request: Any) -> Any:
    """The same object each time: what is new in it is for `token_ids_diff` to say."""
    if not request._streaming:
        raise RuntimeError("streaming=False was asked for")
    if request.finished:
        raise StopAsyncIteration
    while not request._chunks:
        request._news.clear()
        if not request._chunks:
            await request._news.wait()
    _take(request)
    return request


@plays("CompletionOutput.__init__")
def make_completion(output: Any, **fields: Any) -> None:
    for name, value in fields.items():
        setattr(output, name, value)
    output._before = output._seen = 0


@plays("CompletionOutput.token_ids_diff")
def token_ids_diff(output: Any) -> list[int]:
    return list(output.token_ids[output._before : output._seen])


@plays("CompletionOutput.length")
def length(output: Any) -> int:
    return len(output.token_ids)
