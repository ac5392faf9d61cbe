"""Finds the runtime for a model: the one that is named, else the one that knows what the directory holds."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TypeAlias

from tokenclock.errors import UsageError
from tokenclock.parallel import World
from tokenclock.plan_checks import shown
from tokenclock.runtime.in_flight import InFlight, InFlightOptions, Sampling
from tokenclock.runtime.options import RuntimeOptions
from tokenclock.runtime.protocol import Runtime

__all__ = ["IN_FLIGHT", "RUNTIMES", "TINY_PREFIX", "choose_runtime", "find_in_flight", "find_runtime", "follower_of"]

# name -> module with load(directory, family, options, world) and recognises(directory), in the order they are asked
RUNTIMES: dict[str, str] = {
    "trtllm-engine": "tokenclock.runtime.trtllm_engine",
    "ctranslate2": "tokenclock.runtime.ctranslate2",
    "trtllm-llm": "tokenclock.runtime.trtllm_llm",  # recognises a checkpoint where TensorRT-LLM and a GPU are there
    "transformers": "tokenclock.runtime.transformers",
    "null": "tokenclock.runtime.null",
}
_RUN_TINY = ("ctranslate2", "transformers", "null")
# those that also take single requests -> module with load(directory, options, sampling, asked, world)
IN_FLIGHT: dict[str, str] = {
    "ctranslate2": "tokenclock.runtime.ctranslate2_in_flight",
    "trtllm-llm": "tokenclock.runtime.trtllm_in_flight",
    "trtllm-engine": "tokenclock.runtime.trtllm_engine_in_flight",
    "null": "tokenclock.runtime.null_in_flight",
}
Follow: TypeAlias = Callable[[str, str, RuntimeOptions, World], None]

TINY_PREFIX = "tiny:"
"""``tiny:llama``, ``tiny:bert``, ``tiny:t5``: models made from a seed, wherever a directory may stand."""


def choose_runtime(directory: str, runtime: str | None) -> str:
    """The name of the runtime to load; looks at file names and small text files only, and imports no runtime's package.

    Args:
        directory: as the user typed it, or ``tiny:...``.
        runtime: the name that the user gave, if he did; it is not held against what the directory holds.

    Raises:
        UsageError: an unknown name, no such directory, or a directory that holds nothing a runtime knows.
    """
    if runtime is not None:
        if runtime not in RUNTIMES:
            raise UsageError(f"--runtime must be one of {', '.join(RUNTIMES)}, got {shown(runtime)}")
        if directory.startswith(TINY_PREFIX) and runtime not in _RUN_TINY:
            raise UsageError(
                f"--runtime {runtime} needs the directory of a model, got {shown(directory)}, which is made for "
                f"--runtime {', '.join(_RUN_TINY[:-1])} or {_RUN_TINY[-1]}"
            )
        if runtime != "null" and not directory.startswith(TINY_PREFIX):
            _require_directory(directory)
        return runtime
    if directory.startswith(TINY_PREFIX):
        return "ctranslate2"
    _require_directory(directory)
    for name in RUNTIMES:
        if _module(name).recognises(directory):
            return name
    raise UsageError(
        f"--engine_dir {directory} holds no model that is known by its files (a config.json with build_config, a "
        "model.bin, or a config.json with safetensors); name its --runtime, or give tiny:llama to try things out"
    )


def find_runtime(directory: str, family: str, *, runtime: str | None, options: RuntimeOptions, world: World) -> Runtime:
    """Load a model.

    Args:
        directory: as the user typed it, or ``tiny:...``.
        family: ``dec``, ``enc`` or ``enc-dec``.
        runtime: name of the runtime; None: what the directory holds decides.
        options: for whichever runtime it is.
        world: the ranks of the run; `world.local_rank` chooses the GPU.

    Raises:
        UsageError: as `choose_runtime`; or the model is of another family, or cannot do what is asked.
        MeasurementError: the runtime's package is not installed, or the model does not load.
    """
    loaded: Runtime = _module(choose_runtime(directory, runtime)).load(directory, family, options, world)
    return loaded


def find_in_flight(
    directory: str,
    *,
    runtime: str | None,
    options: RuntimeOptions,
    sampling: Sampling,
    asked: InFlightOptions,
    world: World,
) -> InFlight:
    """Load a decoder that takes single requests; arguments and errors as of `find_runtime`, and UsageError for a
    runtime that runs fixed batches only."""
    name = choose_runtime(directory, runtime)
    if name not in IN_FLIGHT:
        raise UsageError(
            f"--runtime {name} runs fixed batches and takes no single requests: use one of {', '.join(IN_FLIGHT)}, or "
            "time it with `tokenclock benchmark`"
        )
    loaded: InFlight = importlib.import_module(IN_FLIGHT[name]).load(directory, options, sampling, asked, world)
    return loaded


def follower_of(directory: str, runtime: str | None) -> Follow | None:
    """What ranks other than 0 do in place of `load` for a runtime led by rank 0; None where each rank loads a part.

    It takes what `load` takes and works for rank 0 until rank 0 is done; the rank takes no further part in the run.

    Raises:
        UsageError: as `choose_runtime`.
    """
    found: Follow | None = getattr(_module(choose_runtime(directory, runtime)), "follow", None)
    return found


def _module(name: str) -> ModuleType:
    return importlib.import_module(RUNTIMES[name])


def _require_directory(directory: str) -> None:
    if not Path(directory).is_dir():
        kind = "a file" if Path(directory).exists() else "nothing there"
        raise UsageError(f"--engine_dir must be a directory with a model, got {shown(directory)} ({kind})")
