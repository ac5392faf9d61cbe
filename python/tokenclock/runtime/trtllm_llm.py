"""`tensorrt_llm.LLM` (1.0 and later): a checkpoint on an engine that batches in flight, handed a whole batch at once.

The engine works in processes of its own: no device events are taken; its own times of each request stand instead.
"""

from __future__ import annotations

import asyncio
import contextlib
import runpy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tokenclock.errors import MeasurementError, UsageError
from tokenclock.parallel import World
from tokenclock.plan_benchmark import BenchmarkCase
from tokenclock.runtime import checkpoint_config, llm_api_options, server_timing, trtllm_package
from tokenclock.runtime.options import RuntimeOptions
from tokenclock.runtime.protocol import IterationOutcome, Limits, ModelFacts, OnStep, Ranks
from tokenclock.runtime.token_ids import draw_token_ids
from tokenclock.runtime.trtllm_llm_options import Room, llm_options, parallel_sizes, static_batch_doubts

__all__ = ["LlmRuntime", "follow", "load", "recognises"]

NAME = "trtllm-llm"


def recognises(directory: str) -> bool:
    """Whether a directory is a decoder's checkpoint, and TensorRT-LLM and a GPU are here."""
    if not (trtllm_package.is_installed() and _has_gpu() and checkpoint_config.holds_checkpoint(directory)):
        return False
    return checkpoint_config.family_of(checkpoint_config.read_config(directory)) == "dec"


def follow(world: World) -> None:
    """On ranks other than 0: work for rank 0's engine until rank 0's process is done with it.

    TensorRT-LLM under mpirun takes the other ranks of the job as its workers; this is its own module for them. It may
    come back only when rank 0 ends: such a rank takes no further part in the run.
    """
    trtllm_package.import_trtllm(NAME)
    runpy.run_module("tensorrt_llm.llmapi.mgmn_worker_node", run_name="__main__")


def load(directory: str, family: str, options: RuntimeOptions, world: World) -> LlmRuntime:
    """Load a checkpoint with room for the largest case of the sweep.

    Called on rank 0; the other ranks `follow`.

    Raises:
        UsageError: no decoder, a file of options that does not read, or ranks that do not fit the parallel sizes.
        MeasurementError: TensorRT-LLM is not installed, is older than 1.0, or does not load the checkpoint.
    """
    if family != "dec":
        raise UsageError(
            f"--runtime {NAME} runs decoders: -m must be dec, got {family}; encoders run on other runtimes"
        )
    if options.device == "cpu":
        raise UsageError(f"--runtime {NAME} runs on GPUs alone: leave --device cpu out")
    config = checkpoint_config.read_config(directory)
    if checkpoint_config.family_of(config) != "dec":
        raise UsageError(f"-m dec needs a decoder, but {directory} is of -m {checkpoint_config.family_of(config)}")
    sizes = parallel_sizes(options, world.size)
    read = {} if options.extra_llm_api_options is None else llm_api_options.read_options(options.extra_llm_api_options)
    package = trtllm_package.import_trtllm(NAME)
    version = str(getattr(package, "__version__", "unknown"))
    if trtllm_package.argument_model() is None:
        raise MeasurementError(
            f"--runtime {NAME} needs TensorRT-LLM 1.0 or later, found {version}, whose LLM runs built engines: build "
            "one and use --runtime trtllm-engine, or install tensorrt-llm>=1.0"
        )
    known = trtllm_package.installed_options(version)
    checked = llm_api_options.check_options(read, known, strict=options.strict_options)
    sweep = Room.of_sweep(options)
    effective = llm_options(options, sweep, sizes, checked.options, known)
    facts = ModelFacts(
        name=Path(directory).resolve().name,
        family="dec",
        precision=str(effective.get("dtype") or config.get("dtype") or config.get("torch_dtype") or "auto"),
        quantization=_quantization(directory, config),
        weights_bytes=sum(path.stat().st_size for path in Path(directory).glob("*.safetensors")) or None,
        details={
            "device": "cuda",
            "world_size": sizes[0] * sizes[1],
            "options": effective,
            "tensorrt_llm": version,
            "warnings": [*checked.warnings, *static_batch_doubts(effective, sweep)],
        },
        **checkpoint_config.checkpoint_facts(config),
    )
    limits = _limits(checked.options, checkpoint_config.positions_of(config))
    runtime = LlmRuntime(
        directory, facts, limits, lambda room: llm_options(options, room, sizes, checked.options, known)
    )
    runtime.start(sweep)
    return runtime


def _has_gpu() -> bool:
    return any(Path("/dev").glob("nvidia[0-9]*"))


def _limits(given: Mapping[str, Any], positions: int | None) -> Limits:
    """The model's positions, and what the user's file says; the engine itself is made to fit the cases."""
    seq_len = [value for value in (given.get("max_seq_len"), positions) if isinstance(value, int)]
    return Limits(
        max_batch_size=given.get("max_batch_size"),
        max_input_len=given.get("max_input_len"),
        max_seq_len=min(seq_len, default=None),
        max_beam_width=given.get("max_beam_width"),
    )


def _quantization(directory: str, config: Mapping[str, Any]) -> str | None:
    """What the checkpoint says it is quantised to; of its own file where TensorRT's model optimiser wrote one."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        import json

        content = json.loads((Path(directory) / "hf_quant_config.json").read_text(encoding="utf-8"))
        found = content.get("quantization", {}).get("quant_algo")
        return str(found) if found else None
    inner = config.get("quantization_config")
    return str(inner["quant_method"]) if isinstance(inner, Mapping) and inner.get("quant_method") else None


class LlmRuntime:
    """An `LLM`; see `protocol.Runtime`. Made by `load`, then started.

    Args:
        directory: of the checkpoint.
        facts, limits: of the model.
        options_for: keyword arguments of `LLM` for a `Room`.
    """

    name = NAME
    ranks: Ranks = "leader"
    cuda_stream: int | None = None
    streams = True

    def __init__(self, directory: str, facts: ModelFacts, limits: Limits, options_for: Any) -> None:
        self.model = facts
        self.limits = limits
        self._directory = directory
        self._options_for = options_for
        self._room: Room | None = None
        self._llm: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._prompts: list[list[int]] = []
        self._sampling: Any = None
        self._greedy = True

    def start(self, room: Room) -> None:
        """Make the engine. Where memory does not suffice for all cases, each makes one of its own size (`prepare`).

        Raises:
            MeasurementError: the checkpoint does not load.
        """
        try:
            self._make(room)
        except Exception as error:
            if "out of memory" in str(error).lower():
                return
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise MeasurementError(f"--runtime {NAME} cannot load {self._directory}: {reason}") from error

    def prepare(self, case: BenchmarkCase, seed: int) -> None:
        from tensorrt_llm import SamplingParams

        if case.gpu_weights_percent != 1.0:
            raise UsageError(
                f"{NAME} has no weight streaming: --gpu_weights_percent must be 1.0, got {case.gpu_weights_percent:g}; "
                "engines have it (--runtime trtllm-engine)"
            )
        assert case.output_len is not None
        needed = Room.of_case(case)
        if self._room is None or not self._room.holds(needed):
            self._make(needed if self._room is None else self._room.joined(needed))
        ids = draw_token_ids(case.batch_size, case.input_len, self.model.vocab_size, seed)
        self._prompts = ids.tolist()
        self._greedy = case.num_beams == 1  # beams are not streamed
        beams = {} if self._greedy else {"use_beam_search": True, "n": case.num_beams}
        # No end token, and none looked for: as many tokens as asked, whatever the model would say.
        self._sampling = SamplingParams(
            max_tokens=case.output_len,
            end_id=-1,
            pad_id=-1,
            ignore_eos=True,
            detokenize=False,
            return_perf_metrics=True,
            **beams,
        )

    def run(self, on_step: OnStep | None) -> IterationOutcome:
        assert self._sampling is not None, "prepare() comes before run()"
        if on_step is None or not self._greedy:
            answers = self._llm.generate(self._prompts, sampling_params=self._sampling, use_tqdm=False)
            tokens_per_stamp = None
        else:
            if self._loop is None:  # one for all iterations: requests belong to the loop that made them
                self._loop = asyncio.new_event_loop()
            answers, tokens_per_stamp = self._loop.run_until_complete(self._stream(on_step))
        best = [answer.outputs[0] for answer in answers]  # of several beams the first: the others are no tokens more
        metrics = [getattr(output, "request_perf_metrics", None) for output in best]
        details: dict[str, Any] = {}
        if (told := server_timing.iterations(metrics)) is not None:
            details = {"first_iter": [min(told[0]), max(told[0])], "last_iter": [min(told[1]), max(told[1])]}
        if tokens_per_stamp is not None and tokens_per_stamp > 1:
            details["tokens_per_stamp"] = tokens_per_stamp
        return IterationOutcome(
            osl=np.array([len(output.token_ids) for output in best], dtype=np.int32),
            phases_ns=server_timing.batch_phases_ns(metrics),
            ran_together=server_timing.ran_together(metrics),
            details=details,
        )

    async def _stream(self, on_step: OnStep) -> tuple[list[Any], int]:
        """The whole batch at once; the first row's tokens are stamped as they come, the others are waited for.

        All rows take the same steps, so one row's stream tells of all, and costs the same at any batch size.
        """
        submit, params = self._llm.generate_async, self._sampling
        first = submit(self._prompts[0], sampling_params=params, streaming=True)
        others = [submit(prompt, sampling_params=params, streaming=False) for prompt in self._prompts[1:]]
        most = 0
        async for answer in first:  # the same object each time: only what is new in it counts
            new = len(answer.outputs[0].token_ids_diff)
            if new:
                on_step()
                most = max(most, new)
        return [first, *[await other for other in others]], most

    def release(self) -> None:
        self._prompts, self._sampling = [], None

    def close(self) -> None:
        self.release()
        self._shut_down()
        if self._loop is not None:
            self._loop.close()
            self._loop = None

    def _make(self, room: Room) -> None:
        from tensorrt_llm import LLM

        self._shut_down()  # two engines would not fit
        self._llm = LLM(self._directory, **self._options_for(room))
        self._room = room

    def _shut_down(self) -> None:
        llm, self._llm, self._room = self._llm, None, None
        if llm is not None:
            llm.shutdown()
