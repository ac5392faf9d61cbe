"""Engines that TensorRT-LLM 0.12 to 1.2 built: decoders, encoders, encoder-decoders.

Releases from 1.3 on have no engines any more; `trtllm-llm` is what there is for them.
"""

from __future__ import annotations

from typing import Any

from tokenclock.errors import MeasurementError, UsageError
from tokenclock.parallel import World
from tokenclock.runtime import engine_config, trtllm_package
from tokenclock.runtime.options import RuntimeOptions
from tokenclock.runtime.protocol import Runtime

__all__ = ["NAME", "engine_release", "load", "recognises", "require_what_it_was_built_for"]

NAME = "trtllm-engine"


def recognises(directory: str) -> bool:
    """Whether a directory holds an engine (`build_config` in its config)."""
    return engine_config.holds_engine(directory)


def load(directory: str, family: str, options: RuntimeOptions, world: World) -> Runtime:
    """Load an engine; every rank loads its own part.

    Per-step stamps (`options.streaming`) come from the Python session, as does a profile of the generation phase;
    without them the C++ executor runs the engine where it was built for it (packed input, paged KV cache).

    Raises:
        UsageError: no engine, one of another family, dtype or number of ranks, or something it was not built for.
        MeasurementError: TensorRT-LLM is not installed, is a release without engines, or does not load this one.
    """
    engine = engine_config.read_engine_directory(directory, family, world)
    require_what_it_was_built_for(engine, options)
    version = engine_release()
    details = {"device": "cuda", "tensorrt_llm": version}
    if family == "enc":
        from tokenclock.runtime.trtllm_encoder import EncoderEngine

        return EncoderEngine(engine, options, world, details)
    if options.streaming or not all(config.is_packed for config in engine.configs) or not engine.main.is_paged:
        from tokenclock.runtime.trtllm_session import open_session

        return open_session(engine, options, world, details)
    from tokenclock.runtime.trtllm_executor import ExecutorEngine

    return ExecutorEngine(engine, options, world, details)


def engine_release() -> str:
    """The installed TensorRT-LLM's version.

    Raises:
        MeasurementError: it is not installed, or is a release without engines.
    """
    package = trtllm_package.import_trtllm(NAME)
    version = str(getattr(package, "__version__", "unknown"))
    if trtllm_package.member("tensorrt_llm.runtime", "Session") is None:
        raise MeasurementError(
            f"--runtime {NAME} needs TensorRT-LLM 1.2 or earlier, found {version}, which has no engines any more: "
            "give the checkpoint's directory to --runtime trtllm-llm, or install tensorrt-llm<1.3"
        )
    return version


def require_what_it_was_built_for(engine: engine_config.EngineDirectory, options: RuntimeOptions) -> None:
    """Raise UsageError for a dtype, parallel sizes, a device or shares of the weights that an engine does not have."""
    built: Any = engine.main.pretrained.get("dtype")
    if options.dtype_named and built is not None and built != options.dtype:
        raise UsageError(f"--dtype must be what the engine was built for, {built}, got {options.dtype}")
    tp, pp = engine.main.ranks
    for flag, asked, has in (("--tp", options.tp, tp), ("--pp", options.pp, pp)):
        if asked is not None and asked != has:
            raise UsageError(f"{flag} must be what the engine was built for, {has}, got {asked}")
    if options.device == "cpu":
        raise UsageError(f"--runtime {NAME} runs on GPUs alone: leave --device cpu out")
    shares = [share for share in options.gpu_weights_percents if share != 1.0]
    if shares and not all(config.streams_weights for config in engine.configs):
        raise UsageError(
            f"--gpu_weights_percent {shares[0]:g} needs an engine built with --weight_streaming; this one was not"
        )
