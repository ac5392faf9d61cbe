"""Decoders and encoder-decoders through `ModelRunnerCpp`, the C++ executor of TensorRT-LLM 0.12-1.2.

The executor batches in flight and works on a stream of its own: no device events, no time of single steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tokenclock.parallel import World
from tokenclock.plan_benchmark import BenchmarkCase
from tokenclock.runtime.engine_config import EngineDirectory
from tokenclock.runtime.options import RuntimeOptions
from tokenclock.runtime.protocol import IterationOutcome, OnStep, Ranks
from tokenclock.runtime.token_ids import draw_token_ids
from tokenclock.runtime.torch_device import pick_device
from tokenclock.runtime.trtllm_package import accepts

__all__ = ["ExecutorEngine"]

_NO_END = -1  # no token has this id: nothing ends before the tokens asked for are there


class ExecutorEngine:
    """An engine in the C++ executor; see `protocol.Runtime`.

    Only rank 0 hands in requests; on the other ranks `run` returns at once, without lengths, while the executor works
    for rank 0 in the background.
    """

    name = "trtllm-engine"
    ranks: Ranks = "spmd"
    streams = False
    cuda_stream: int | None = None

    def __init__(
        self, engine: EngineDirectory, options: RuntimeOptions, world: World, details: Mapping[str, Any]
    ) -> None:
        self._device = pick_device(options.device, world.local_rank, runtime=self.name)
        self._engine, self._options, self._rank = engine, options, world.rank
        self._runner: Any = None
        self._gpu_weights_percent: float | None = None
        self._prompt_len = 0
        self._call: dict[str, Any] | None = None
        self._load(options.gpu_weights_percents[0])
        self.model = engine.facts({**details, "through": "ModelRunnerCpp", "cuda_graph": options.cuda_graph})
        self.limits = engine.limits()

    def prepare(self, case: BenchmarkCase, seed: int) -> None:
        """As the protocol says; another share of the weights loads the engine anew, which takes its time, untimed."""
        import torch

        if case.gpu_weights_percent != self._gpu_weights_percent:
            self._load(case.gpu_weights_percent)
        end, pad = (self._engine.main.token(name, 0) for name in ("eos_token_id", "pad_token_id"))
        ids = draw_token_ids(case.batch_size, case.input_len, self.model.vocab_size, seed, without={end, pad})
        rows = list(torch.from_numpy(ids).unbind(0))
        self._call = {
            "batch_input_ids": rows,
            "max_new_tokens": case.output_len,
            "end_id": _NO_END,
            "pad_id": _NO_END,
            "num_beams": case.num_beams,
            "return_dict": True,
            "output_sequence_lengths": True,
        }
        self._prompt_len = case.input_len
        if self._engine.family == "enc-dec":
            start = torch.tensor([self._engine.main.token("decoder_start_token_id", 0)], dtype=torch.int32)
            self._call |= {"batch_input_ids": [start] * case.batch_size, "encoder_input_ids": rows}
            self._prompt_len = 1

    def run(self, on_step: OnStep | None) -> IterationOutcome:
        assert self._call is not None, "prepare() comes before run()"
        answer = self._runner.generate(**self._call)
        if not isinstance(answer, dict):  # not rank 0
            return IterationOutcome()
        lengths = answer["sequence_lengths"].cpu().numpy()  # they count the prompt
        return IterationOutcome(osl=(lengths[:, 0] - self._prompt_len).astype(np.int32))

    def release(self) -> None:
        self._call = None
        self._device.free_unused()

    def close(self) -> None:
        self._call = self._runner = None
        self._device.free_unused()

    def _load(self, gpu_weights_percent: float) -> None:
        from tensorrt_llm.runtime import ModelRunnerCpp

        self._runner = None  # two would not fit
        self._device.free_unused()
        options: dict[str, Any] = {
            "rank": self._rank,
            "kv_cache_enable_block_reuse": False,
            "enable_chunked_context": False,
            "is_enc_dec": self._engine.family == "enc-dec",
            "cuda_graph_mode": self._options.cuda_graph or None,
        }
        if self._engine.main.streams_weights:
            options["gpu_weights_percent"] = gpu_weights_percent
        # A release that does not know a parameter has what it would switch off switched off.
        known = {name: value for name, value in options.items() if accepts(ModelRunnerCpp.from_dir, name)}
        self._runner = ModelRunnerCpp.from_dir(str(self._engine.path), **known)
        self._gpu_weights_percent = gpu_weights_percent
