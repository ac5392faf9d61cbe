"""`tensorrt_llm.LLM` (1.0 and later): a checkpoint on an engine that batches in flight, handed a whole batch at once.

The engine works in processes of its own: no device events are taken; its own times of each request stand instead.
"""

from __future__ import annotations

import contextlib
import runpy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenclock.errors import MeasurementError, UsageError
from tokenclock.parallel import World
from tokenclock.runtime import checkpoint_config, llm_api_options, trtllm_package
from tokenclock.runtime.options import RuntimeOptions
from tokenclock.runtime.protocol import Limits, ModelFacts
from tokenclock.runtime.trtllm_batch import LlmRuntime
from tokenclock.runtime.trtllm_llm_options import Room, llm_options, parallel_sizes, static_batch_doubts

__all__ = ["AskedFor", "asked_for", "follow", "load", "quantization_of", "recognises"]

NAME = "trtllm-llm"


def recognises(directory: str) -> bool:
    """Whether a directory is a decoder's checkpoint, and TensorRT-LLM and a GPU are here."""
    if not (trtllm_package.is_installed() and _has_gpu() and checkpoint_config.holds_checkpoint(directory)):
        return False
    return checkpoint_config.family_of(checkpoint_config.read_config(directory)) == "dec"


def follow(directory: str, family: str, options: RuntimeOptions, world: World) -> None:
    """On ranks other than 0, in place of `load`: work for rank 0's engine until rank 0's process is done with it.

    TensorRT-LLM under mpirun takes the other ranks of the job as its workers; this runs its own module for them. It
    may come back only when rank 0 ends: such a rank takes no further part in the run.

    Raises: as `load`, for the same reasons at the same time, but for what the engine itself says.
    """
    asked_for(directory, family, options, world)
    runpy.run_module("tensorrt_llm.llmapi.mgmn_worker_node", run_name="__main__")


def load(directory: str, family: str, options: RuntimeOptions, world: World) -> LlmRuntime:
    """Load a checkpoint with room for the largest case of the sweep.

    Called on rank 0; the other ranks `follow`.

    Raises:
        UsageError: no decoder, a file of options that does not read, or ranks that do not fit the parallel sizes.
        MeasurementError: TensorRT-LLM is not installed, is older than 1.0, or does not load the checkpoint.
    """
    asked = asked_for(directory, family, options, world)
    sweep = Room.of_sweep(options)
    effective = asked.options_for(sweep)
    facts = ModelFacts(
        name=Path(directory).resolve().name,
        family="dec",
        precision=str(effective.get("dtype") or asked.config.get("dtype") or asked.config.get("torch_dtype") or "auto"),
        quantization=quantization_of(directory, asked.config),
        weights_bytes=sum(path.stat().st_size for path in Path(directory).glob("*.safetensors")) or None,
        details={
            "device": "cuda",
            "options": effective,
            "tensorrt_llm": asked.version,
            "warnings": [*asked.warnings, *static_batch_doubts(effective, sweep)],
            "world_size": asked.sizes[0] * asked.sizes[1],
        },
        **checkpoint_config.checkpoint_facts(asked.config),
    )
    limits = _limits(asked.extra, checkpoint_config.positions_of(asked.config))
    runtime = LlmRuntime(directory, facts, limits, asked.options_for)
    runtime.start(sweep)
    return runtime


@dataclass(frozen=True)
class AskedFor:
    """What a run asks of the engine, checked: the same on every rank.

    Args:
        config: of the checkpoint.
        sizes: tensor and pipeline parallel.
        version: of the installed package.
        extra, warnings: the user's options under today's names, and what is to be said of them.
        options_for: keyword arguments of `LLM` for a `Room`.
    """

    config: Mapping[str, Any]
    sizes: tuple[int, int]
    version: str
    extra: Mapping[str, Any]
    warnings: tuple[str, ...]
    options_for: Callable[[Room], dict[str, Any]]


def asked_for(directory: str, family: str, options: RuntimeOptions, world: World) -> AskedFor:
    """What a run asks of the engine. Raises: as `load`, but for what the engine itself says."""
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
    extra = checked.options

    def options_for(room: Room) -> dict[str, Any]:
        return llm_options(options, room, sizes, extra, known)

    options_for(Room.of_sweep(options))  # what it refuses is refused on every rank
    return AskedFor(config, sizes, version, extra, checked.warnings, options_for)


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


def quantization_of(directory: str, config: Mapping[str, Any]) -> str | None:
    """What the checkpoint says it is quantised to; of its own file where TensorRT's model optimiser wrote one."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        import json

        content = json.loads((Path(directory) / "hf_quant_config.json").read_text(encoding="utf-8"))
        found = content.get("quantization", {}).get("quant_algo")
        return str(found) if found else None
    inner = config.get("quantization_config")
    return str(inner["quant_method"]) if isinstance(inner, Mapping) and inner.get("quant_method") else None
