"""The stand-in's LLM: checks its options as the real argument model does, answers at set times."""

from __future__ import annotations

import os
from typing import Any

from tensorrt_llm._played import play_common, play_requests
from tensorrt_llm._played.play_common import plays

_KV_CACHE_FIELDS = {
    "enable_block_reuse": True,
    "max_tokens": None,
    "max_attention_window": None,
    "sink_token_length": None,
    "free_gpu_memory_fraction": None,
    "dtype": "auto",
    "mamba_ssm_cache_dtype": "auto",
    "host_cache_size": None,
}


class KvCacheConfig:
    """Strict, as the real one: a name that it does not know is refused."""

    def __init__(self, **fields: Any) -> None:
        if unknown := fields.keys() - _KV_CACHE_FIELDS.keys():
            raise ValueError(f"KvCacheConfig: extra inputs are not permitted: {sorted(unknown)}")
        for name, default in _KV_CACHE_FIELDS.items():
            setattr(self, name, fields.get(name, default))


@plays("LLM.__init__")
def init(llm: Any, model: Any, extra: dict[str, Any] | None = None, **named: Any) -> None:
    from tensorrt_llm.llmapi import TorchLlmArgs

    options = extra or {}
    if unknown := options.keys() - TorchLlmArgs.model_fields.keys():
        raise ValueError(f"TorchLlmArgs: extra inputs are not permitted: {sorted(unknown)}")
    if not os.path.isdir(str(model)):
        raise ValueError(f"no such checkpoint: {model}")
    limit = float(os.environ.get("STANDIN_MAX_NUM_TOKENS_THAT_FIT", "inf"))
    if (options.get("max_num_tokens") or 8192) > limit:
        raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB")
    kv = options.get("kv_cache_config") or {}
    llm._kv = kv if isinstance(kv, KvCacheConfig) else KvCacheConfig(**kv)
    llm._options = {**named, **options}
    llm._vocab_limit = int(os.environ.get("STANDIN_VOCAB", 1 << 30))
    _take_ranks(named["tensor_parallel_size"] * (options.get("pipeline_parallel_size") or 1))
    llm.tokenizer = None if named["skip_tokenizer_init"] else object()
    llm._engine = play_requests.Engine(
        options.get("max_batch_size") or 2048,
        options.get("max_num_tokens") or 8192,
        options.get("stream_interval") or 1,
    )
    if log := os.environ.get("STANDIN_LOG"):
        with open(log, "a") as file:
            file.write(f"LLM {sorted(options.items(), key=lambda item: item[0])!r}\n")


_executor: Any = None


def _take_ranks(model_world_size: int) -> None:
    """Under mpirun the other ranks must be worker nodes; they are asked for a sign of life."""
    global _executor
    if not play_common.under_mpi() or play_common.mpi_world_size() == 1:
        return
    from mpi4py import MPI
    from mpi4py.futures import MPICommExecutor

    if MPI.COMM_WORLD.Get_rank() != 0:
        raise RuntimeError(f"only rank 0 can start multi-node session, got {MPI.COMM_WORLD.Get_rank()}")
    if MPI.COMM_WORLD.Get_size() != model_world_size:
        raise ValueError(f"n_workers must equal the MPI processes: {model_world_size} vs {MPI.COMM_WORLD.Get_size()}")
    if _executor is None:
        _executor = MPICommExecutor(MPI.COMM_WORLD).__enter__()
    for answer in [_executor.submit(os.getpid) for _ in range(model_world_size - 1)]:
        answer.result(timeout=30)


@plays("LLM.generate")
def generate(llm: Any, inputs: Any, sampling_params: Any, use_tqdm: bool, **others: Any) -> Any:
    is_batch = bool(inputs) and not isinstance(inputs[0], int)
    requests = [_submit(llm, prompt, sampling_params, streaming=False) for prompt in (inputs if is_batch else [inputs])]
    for request in requests:
        request.result()
    return requests if is_batch else requests[0]


@plays("LLM.generate_async")
def generate_async(llm: Any, inputs: Any, sampling_params: Any, streaming: bool, **others: Any) -> Any:
    return _submit(llm, inputs, sampling_params, streaming=streaming)


def _submit(llm: Any, prompt: list[int], params: Any, *, streaming: bool) -> Any:
    from tensorrt_llm.llmapi import CompletionOutput, RequestOutput

    options = llm._options
    if llm._engine is None:
        raise RuntimeError("LLM is shutting down")
    if not all(isinstance(token, int) for token in prompt):
        raise TypeError("a prompt without a tokenizer must be a list of int")
    if llm.tokenizer is None and params.end_id is None:
        raise ValueError("end_id must be given where there is no tokenizer")
    if llm.tokenizer is None and params.detokenize:
        raise ValueError("there is no tokenizer to detokenize with")
    room = options.get("max_seq_len") or 2048
    if len(prompt) + params.max_tokens > room:
        raise ValueError(f"prompt ({len(prompt)}) + max_tokens ({params.max_tokens}) exceed max_seq_len ({room})")
    if params.n > (options.get("max_beam_width") or 1) and params.use_beam_search:
        raise ValueError(f"beam width {params.n} exceeds max_beam_width {options.get('max_beam_width')}")
    if max(prompt) >= llm._vocab_limit:
        raise ValueError(f"token id {max(prompt)} is not in the vocabulary")
    request = play_requests.open_request(RequestOutput, CompletionOutput, prompt, params, streaming=streaming)
    llm._engine.submit(request)
    return request


@plays("LLM.shutdown")
def shutdown(llm: Any) -> None:
    if llm._engine is not None:
        llm._engine.stop()
        llm._engine = None


@plays("SamplingParams.__init__")
def sampling_params(params: Any, **fields: Any) -> None:
    for name, value in fields.items():
        setattr(params, name, value)


@plays("LLM.get_stats")
def get_stats(llm: Any, timeout: float | None) -> list[dict[str, Any]]:
    """One entry per iteration, where they were asked for."""
    if not llm._options.get("enable_iter_perf_stats"):
        return []
    return [{"iter": number, "iterLatencyMS": 1.0, "kvCacheStats": None} for number in range(llm._engine.iteration)]
