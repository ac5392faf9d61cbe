"""BERT-like engines of TensorRT-LLM 0.12-1.2: one `Session`, its inputs as the engine declares them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from tokenclock.errors import MeasurementError, UsageError
from tokenclock.layers import LayerInfo, LayerTime
from tokenclock.parallel import World
from tokenclock.plan_benchmark import BenchmarkCase
from tokenclock.runtime import trtllm_layers
from tokenclock.runtime.engine_config import EngineDirectory
from tokenclock.runtime.options import RuntimeOptions
from tokenclock.runtime.protocol import IterationOutcome, OnStep, Ranks
from tokenclock.runtime.token_ids import draw_token_ids
from tokenclock.runtime.torch_device import pick_device

__all__ = ["EncoderEngine"]

_TORCH_NAMES = {
    "FLOAT": "float32",
    "HALF": "float16",
    "BF16": "bfloat16",
    "INT32": "int32",
    "INT64": "int64",
    "INT8": "int8",
    "BOOL": "bool",
}


class EncoderEngine:
    """An encoder engine; see `protocol.Runtime`. Outputs are allocated once per case, outside of what is timed."""

    name = "trtllm-engine"
    ranks: Ranks = "spmd"
    streams = False

    def __init__(
        self, engine: EngineDirectory, options: RuntimeOptions, world: World, details: Mapping[str, Any]
    ) -> None:
        from tensorrt_llm.runtime import Session

        if options.cuda_graph:
            raise UsageError("--enable_cuda_graph is for generation: leave it out for an encoder")
        self._device = pick_device(options.device, world.local_rank, runtime=self.name)
        self.cuda_stream = self._device.stream  # `run` hands it to the session
        path = engine.main.folder / f"rank{world.rank}.engine"
        self._session: Any = Session.from_serialized_engine(path.read_bytes())
        facts = engine.facts({**details, "through": "Session"})
        memory = getattr(self._session, "context_mem_size", None)
        self.model = dataclasses.replace(facts, execution_context_bytes=int(memory) if memory else None)
        self.limits = engine.limits()
        self._packed = engine.main.is_packed
        self._streams_weights = engine.main.streams_weights
        self._inputs: dict[str, Any] | None = None
        self._outputs: dict[str, Any] = {}

    def prepare(self, case: BenchmarkCase, seed: int) -> None:
        import tensorrt
        import torch
        from tensorrt_llm.runtime import TensorInfo

        if self._streams_weights:
            self._session._set_weight_streaming(case.gpu_weights_percent)
        ids = draw_token_ids(case.batch_size, case.input_len, self.model.vocab_size, seed)
        device = self._device.device
        possible = _inputs(torch.from_numpy(ids).to(device), packed=self._packed)
        wanted = self._declared_inputs() or ["input_ids", "input_lengths"]
        if missing := [name for name in wanted if name not in possible]:
            raise UsageError(f"the engine wants inputs that are not known here: {', '.join(missing)}")
        inputs = {name: possible[name] for name in wanted}
        infos = [TensorInfo(name, tensorrt.DataType.INT32, tuple(tensor.shape)) for name, tensor in inputs.items()]
        self._outputs = {
            info.name: torch.empty(tuple(info.shape), dtype=_dtype(info.dtype), device=device)
            for info in self._session.infer_shapes(infos)
        }
        self._inputs = inputs

    def run(self, on_step: OnStep | None) -> IterationOutcome:
        assert self._inputs is not None, "prepare() comes before run()"
        if not self._session.run(self._inputs, self._outputs, self.cuda_stream or 0):
            raise MeasurementError("the engine refused to run (its log says why)")
        self._device.wait()
        return IterationOutcome()

    def profile_layers(self) -> Sequence[LayerTime]:
        """See `layers.LayerProfiler`. With a profiler attached TensorRT times each layer in the call itself."""
        profiler = trtllm_layers.new_profiler()
        self._session.context.profiler = profiler
        self.run(None)
        if not profiler.results:
            raise MeasurementError("the engine's profiler was told of no layer")
        return trtllm_layers.sum_by_layer(profiler.results, "context")

    def list_layers(self) -> Sequence[LayerInfo]:
        """See `layers.LayerLister`."""
        engine = self._session.engine
        return trtllm_layers.inspect(engine.create_engine_inspector(), engine.num_layers)

    def release(self) -> None:
        self._inputs, self._outputs = None, {}
        self._device.free_unused()

    def close(self) -> None:
        self.release()
        self._session = None
        self._device.free_unused()

    def _declared_inputs(self) -> list[str]:
        """Names of the engine's inputs; empty where it does not tell."""
        engine = getattr(self._session, "engine", None)
        if engine is None or not hasattr(engine, "num_io_tensors"):
            return []
        names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
        return [name for name in names if getattr(engine.get_tensor_mode(name), "name", "") == "INPUT"]


def _inputs(ids: Any, *, packed: bool) -> dict[str, Any]:
    """Everything that BERT-like engines are known to ask for; all int32."""
    import torch

    n_rows, length = ids.shape
    positions = torch.arange(length, dtype=torch.int32, device=ids.device).repeat(n_rows, 1)
    by_token = {"input_ids": ids, "position_ids": positions, "token_type_ids": torch.zeros_like(ids)}
    if packed:
        by_token = {name: tensor.reshape(-1) for name, tensor in by_token.items()}
    return {
        **by_token,
        "input_lengths": torch.full((n_rows,), length, dtype=torch.int32, device=ids.device),
        "max_input_length": torch.zeros(length, dtype=torch.int32, device=ids.device),  # its length is what counts
    }


def _dtype(kind: Any) -> Any:
    import torch

    name = getattr(kind, "name", str(kind))
    if name not in _TORCH_NAMES:
        raise MeasurementError(f"the engine has an output of type {name}, which is not known here")
    return getattr(torch, _TORCH_NAMES[name])
