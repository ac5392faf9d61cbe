"""Decoders and encoder-decoders through the Python sessions of TensorRT-LLM 0.12-1.2, one step after the other.

`GenerationSession.setup` has to come before each decode. It allocates, so it is done before the iteration, not in it.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tokenclock.errors import UsageError
from tokenclock.layers import LayerInfo, LayerTime
from tokenclock.parallel import World
from tokenclock.plan_benchmark import BenchmarkCase
from tokenclock.runtime import trtllm_layers
from tokenclock.runtime.engine_config import EngineConfig, EngineDirectory
from tokenclock.runtime.generation_profile import GenerationProfile
from tokenclock.runtime.options import RuntimeOptions
from tokenclock.runtime.protocol import IterationOutcome, OnStep, Ranks
from tokenclock.runtime.token_ids import draw_token_ids
from tokenclock.runtime.torch_device import pick_device

__all__ = ["SessionEngine", "open_session"]

_NAME = "trtllm-engine"


def open_session(
    engine: EngineDirectory, options: RuntimeOptions, world: World, details: Mapping[str, Any]
) -> SessionEngine:
    """The engine in a Python session.

    Raises: as `trtllm_engine.load`.
    """
    share = min(options.gpu_weights_percents)
    if engine.family == "dec":
        return SessionEngine(engine, options, world, _Decoder(engine.main, world, share), details)
    if share != 1.0:
        raise UsageError(
            "--gpu_weights_percent of an encoder-decoder needs the executor, which keeps no time of single steps: "
            "add --no-streaming"
        )
    return SessionEngine(engine, options, world, _EncoderDecoder(engine), details)


class SessionEngine:
    """An engine in a Python session; see `protocol.Runtime`.

    Exact lengths come from a minimum length equal to the maximum, as the original's encoder-decoder did it.
    """

    name = _NAME
    ranks: Ranks = "spmd"
    streams = True

    def __init__(
        self,
        engine: EngineDirectory,
        options: RuntimeOptions,
        world: World,
        part: _Decoder | _EncoderDecoder,
        details: Mapping[str, Any],
    ) -> None:
        self._device = pick_device(options.device, world.local_rank, runtime=_NAME)
        self._part: Any = part
        # The session consults the attribute at each step; its loader has no argument for it.
        part.session.cuda_graph_mode = options.cuda_graph
        memory = getattr(part.session, "context_mem_size", None)
        facts = engine.facts({**details, "through": part.through, "cuda_graph": options.cuda_graph})
        self.model = dataclasses.replace(facts, execution_context_bytes=int(memory) if memory else None)
        self.limits = engine.limits()
        self.cuda_stream = self._device.stream  # the session made its own stream PyTorch's current one
        self._end = engine.main.token("eos_token_id", 2)
        self._pad = engine.main.token("pad_token_id", 0)
        self._case: BenchmarkCase | None = None
        self._sampling: Any = None
        self._streams_weights = engine.main.streams_weights

    def prepare(self, case: BenchmarkCase, seed: int) -> None:
        import torch
        from tensorrt_llm.runtime import SamplingConfig

        assert case.output_len is not None
        if self._streams_weights:
            self._part.session.runtime._set_weight_streaming(case.gpu_weights_percent)
        # The pad id would not count as input where rows are packed.
        ids = draw_token_ids(
            case.batch_size, case.input_len, self.model.vocab_size, seed, without={self._end, self._pad}
        )
        self._part.take(torch.from_numpy(ids).to(self._device.device), case)
        self._sampling = SamplingConfig(
            end_id=self._end, pad_id=self._pad, num_beams=case.num_beams, min_length=case.output_len
        )
        self._case = case

    def before_iteration(self) -> None:
        """Set the session up, as it wants to be before each decode."""
        assert self._case is not None, "prepare() comes before before_iteration()"
        self._part.setup(self._case)
        self._device.wait()

    def run(self, on_step: OnStep | None) -> IterationOutcome:
        case = self._case
        assert case is not None, "prepare() comes before run()"
        begun_ns = time.perf_counter_ns()
        encoded = self._part.encode()
        phases_ns = {"encoder": time.perf_counter_ns() - begun_ns} if encoded else {}
        options: dict[str, Any] = {"output_sequence_lengths": True, "return_dict": True}
        profile = None
        if on_step is None:
            profile = GenerationProfile(self._new_event if self._device.is_cuda else None)
            answer = self._part.decode(self._sampling, benchmark_profiler=profile, **options)
        else:
            answer = self._follow(
                self._part.decode(self._sampling, streaming=True, **options), case.output_len or 0, on_step
            )
        self._device.wait()
        details: dict[str, Any] = {}
        if profile is not None and profile.generation_ns is not None:
            phases_ns["decode"] = profile.generation_ns
            details["generation_steps"] = profile.n_steps
        return IterationOutcome(osl=_lengths(answer, self._part.prompt_len), phases_ns=phases_ns, details=details)

    def profile_layers(self) -> Sequence[LayerTime]:
        """See `layers.LayerProfiler`. The encoder of an encoder-decoder, a session of its own, is not in it."""
        session, profile = self._part.session, GenerationProfile(of_layers=True)
        session.cuda_graph_mode = False  # a replayed graph has no layers
        n_known = len(session.profiler.results) if session.profiler is not None else 0
        self._part.encode()
        self._part.decode(self._sampling, benchmark_profiler=profile, output_sequence_lengths=True, return_dict=True)
        self._device.wait()
        return trtllm_layers.times_of_steps(session.profiler.results[n_known:])

    def list_layers(self) -> Sequence[LayerInfo]:
        """See `layers.LayerLister`: those of the decoder."""
        session = self._part.session
        return trtllm_layers.inspect(session.engine_inspector, session.runtime.engine.num_layers)

    def _follow(self, steps: Any, n_steps: int, on_step: OnStep) -> Any:
        """Stamp each step; the last answer. The session yields the finished sequences once more after the last step."""
        answer = None
        for n, answer in enumerate(steps):  # noqa: B007  # the last one is returned
            if n < n_steps:
                self._device.wait()
                on_step()
        return answer

    @staticmethod
    def _new_event() -> Any:
        import torch

        return torch.cuda.Event(enable_timing=True)

    def release(self) -> None:
        self._case = self._sampling = None
        if self._part is not None:
            self._part.drop()
        self._device.free_unused()

    def close(self) -> None:
        self._part = None
        self._device.free_unused()


class _Decoder:
    """A decoder: ModelRunner loads it, its session runs it."""

    through = "GenerationSession"

    def __init__(self, config: EngineConfig, world: World, gpu_weights_percent: float) -> None:
        from tensorrt_llm.runtime import ModelRunner

        share = {"gpu_weights_percent": gpu_weights_percent} if config.streams_weights else {}
        self._runner = ModelRunner.from_dir(str(config.folder), rank=world.rank, **share)
        self.session = self._runner.session
        self._packed = config.is_packed
        self.prompt_len = 0
        self.drop()

    def take(self, ids: Any, case: BenchmarkCase) -> None:
        import torch

        self._ids = ids
        self._lengths = torch.full((case.batch_size,), case.input_len, dtype=torch.int32, device=ids.device)
        self.prompt_len = case.input_len

    def encode(self) -> bool:
        return False

    def setup(self, case: BenchmarkCase) -> None:
        self.session.setup(case.batch_size, case.input_len, case.output_len, beam_width=case.num_beams)

    def decode(self, sampling: Any, **options: Any) -> Any:
        if self._packed:
            return self.session.decode_batch(list(self._ids.unbind(0)), sampling, **options)
        return self.session.decode(self._ids, self._lengths, sampling, **options)

    def drop(self) -> None:
        self._ids = self._lengths = None


class _EncoderDecoder:
    """An encoder and a decoder, in EncDecModelRunner's sessions; its own `generate` takes no minimum length."""

    through = "EncDecModelRunner"

    def __init__(self, engine: EngineDirectory) -> None:
        from tensorrt_llm.runtime import EncDecModelRunner

        assert engine.encoder is not None
        self._runner = EncDecModelRunner.from_engine(engine.path.name, str(engine.path))
        self.session = self._runner.decoder_session
        self._encoder, self._decoder = engine.encoder, engine.main
        self._pad = engine.main.token("pad_token_id", 0)
        self._start = engine.main.token("decoder_start_token_id", 0)
        self.prompt_len = 1
        self.drop()

    def take(self, ids: Any, case: BenchmarkCase) -> None:
        import torch

        self._ids = ids
        self._longest = case.input_len  # no row is padded
        self._starts = torch.full((case.batch_size, 1), self._start, dtype=torch.int32, device=ids.device)

    def encode(self) -> bool:
        """Run the encoder; it returns when its output is there."""
        ids, self._source_lengths, longest, *_ = self._runner.process_input(
            self._ids, remove_input_padding=self._encoder.is_packed, pad_token_id=self._pad
        )
        self._encoded = self._runner.encoder_run(ids, self._source_lengths, longest)
        return True

    def setup(self, case: BenchmarkCase) -> None:
        self.session.setup(
            case.batch_size,
            1,
            case.output_len,
            beam_width=case.num_beams,
            max_attention_window_size=None,
            encoder_max_input_length=self._longest,
        )

    def decode(self, sampling: Any, **options: Any) -> Any:
        starts, lengths, *_ = self._runner.process_input(
            self._starts, remove_input_padding=self._decoder.is_packed, pad_token_id=self._pad
        )
        return self.session.decode(
            starts,
            lengths,
            sampling,
            encoder_output=self._encoded,
            encoder_input_lengths=self._source_lengths,
            **options,
        )

    def drop(self) -> None:
        self._ids = self._starts = self._encoded = self._source_lengths = None
        self._longest = 0


def _lengths(answer: Any, prompt_len: int) -> Any:
    """Tokens generated per row, first beam; None on ranks that are given no sequences (later pipeline stages)."""
    if not isinstance(answer, dict) or "sequence_lengths" not in answer:
        return None
    lengths = answer["sequence_lengths"].cpu().numpy()
    return (lengths.reshape(lengths.shape[0], -1)[:, 0] - prompt_len).astype(np.int32)
