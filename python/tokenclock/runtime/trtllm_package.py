"""What the installed `tensorrt_llm` offers, found out by looking at it rather than by its version."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import os
from collections.abc import Callable
from types import ModuleType
from typing import Any

from tokenclock.errors import MeasurementError
from tokenclock.runtime.llm_api_keys import KnownOptions, known_of_release

__all__ = ["accepts", "argument_model", "bindings", "import_trtllm", "installed_options", "is_installed", "member"]


def is_installed() -> bool:
    """Whether there is a `tensorrt_llm` to import; it is not imported."""
    return importlib.util.find_spec("tensorrt_llm") is not None


def import_trtllm(runtime: str) -> ModuleType:
    """The package.

    Raises:
        MeasurementError: it is not installed, or it does not load (no driver, other libraries than it was built with).
    """
    if not is_installed():
        raise MeasurementError(
            f"--runtime {runtime} needs TensorRT-LLM: pip install 'tokenclock[trtllm]', or name another --runtime"
        )
    os.environ.setdefault("TLLM_LOG_LEVEL", "error")  # its notes would go to standard output, among the report
    try:
        return importlib.import_module("tensorrt_llm")
    except Exception as error:  # whatever a library without its GPU raises
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise MeasurementError(f"--runtime {runtime}: the installed tensorrt_llm does not load: {reason}") from error


def member(module: str, name: str) -> Any:
    """A class or function of a module of the package; None where this release has no such thing."""
    try:
        return getattr(importlib.import_module(module), name, None)
    except ImportError:
        return None


def bindings(module: str) -> Any:
    """A module of the package that is made of compiled code; None where this release has no such thing."""
    try:
        return importlib.import_module(module)
    except ImportError:
        return None


def argument_model() -> Any:
    """The class that LLM's options are checked against; None before there was one (before 1.0)."""
    return member("tensorrt_llm.llmapi", "TorchLlmArgs") or member("tensorrt_llm.llmapi.llm_args", "TorchLlmArgs")


def installed_options(version: str) -> KnownOptions:
    """The options of the installed LLM, and what is inside those that are models themselves.

    Args:
        version: of the package; used only where it has no argument model to ask.
    """
    model = argument_model()
    fields = getattr(model, "model_fields", None)
    if not fields:
        return known_of_release(version)
    aliases = {str(field.alias) for field in fields.values() if getattr(field, "alias", None)}
    nested = {}
    for name, cls in (("kv_cache_config", "KvCacheConfig"), ("cuda_graph_config", "CudaGraphConfig")):
        inner = getattr(member("tensorrt_llm.llmapi", cls), "model_fields", None)
        if inner:
            nested[name] = frozenset(inner)
    return KnownOptions(f"tensorrt_llm {version}", frozenset(fields) | aliases, nested)


def accepts(function: Callable[..., Any], name: str) -> bool:
    """Whether a function has a parameter of this name; a ``**kwargs`` says nothing and counts as no."""
    try:
        return name in inspect.signature(function).parameters
    except (TypeError, ValueError):
        return False
