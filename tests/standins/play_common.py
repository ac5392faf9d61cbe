"""What the stand-in's parts share: the table of what each call does, the ranks, the times. Copied into the package."""

from __future__ import annotations

import enum
import functools
import importlib
import importlib.util
import os
import time
from collections.abc import Callable, Mapping
from typing import Any

PLAYS: dict[str, Callable[..., Any]] = {}


class LoadFormat(enum.Enum):
    AUTO = 0
    DUMMY = 1


class LayerInformationFormat(enum.Enum):
    """TensorRT's forms of what an engine inspector says."""

    ONELINE = 0
    JSON = 1


class IProfiler:
    """TensorRT's: whoever derives from it must initialise it, and have this method."""

    def report_layer_time(self, layer_name: str, ms: float) -> None:
        raise NotImplementedError


class DataType(enum.Enum):
    """TensorRT's names of data types."""

    FLOAT = 0
    HALF = 1
    INT32 = 3
    BOOL = 4
    BF16 = 7
    INT64 = 8


def plays(name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Registers what ``Class.method`` does; it gets the object (or class) and the arguments by name."""

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        PLAYS[name] = function
        return function

    return register


def play(owner: Any, name: str, given: Mapping[str, Any]) -> Any:
    """Do what ``Class.method`` does; where variadic arguments were given they are under ``**`` and ``*``."""
    _load_parts()
    if name not in PLAYS:
        raise NotImplementedError(f"the stand-in does not play {name}")
    arguments = dict(given)
    extra = arguments.pop("**", {})
    arguments.pop("*", ())
    if extra:
        arguments["extra"] = extra
    return PLAYS[name](owner, **arguments)


@functools.cache
def _load_parts() -> None:
    """The files that fill the table. The engine's need PyTorch, and are not there in releases without engines."""
    has_torch = importlib.util.find_spec("torch") is not None
    parts = ["play_llm", "play_executor", *(["play_engine", "play_enc_dec"] if has_torch else [])]
    for part in parts:
        if importlib.util.find_spec(f"tensorrt_llm._played.{part}"):
            importlib.import_module(f"tensorrt_llm._played.{part}")


def milliseconds(name: str, default: float) -> float:
    """A duration of the play in seconds, from ``STANDIN_<name>_MS``."""
    return float(os.environ.get(f"STANDIN_{name}_MS", default)) / 1000


def pass_time(name: str, default: float) -> None:
    time.sleep(milliseconds(name, default))


def under_mpi() -> bool:
    return "OMPI_COMM_WORLD_SIZE" in os.environ


@plays(".mpi_rank")
def mpi_rank(_: None = None) -> int:
    if not under_mpi():
        return 0
    from mpi4py import MPI

    return int(MPI.COMM_WORLD.Get_rank())


@plays(".mpi_world_size")
def mpi_world_size(_: None = None) -> int:
    if not under_mpi():
        return int(os.environ.get("STANDIN_WORLD_SIZE", 1))
    from mpi4py import MPI

    return int(MPI.COMM_WORLD.Get_size())


@plays(".external_mpi_comm_available")
def external_mpi_comm_available(_: None, model_world_size: int) -> bool:
    return mpi_world_size() == model_world_size and model_world_size > 1


@plays(".need_spawn_mpi_workers")
def need_spawn_mpi_workers(_: None, model_world_size: int) -> bool:
    return mpi_world_size() == 1 and model_world_size > 1


def serve() -> None:
    """What `tensorrt_llm.llmapi.mgmn_worker_node` does on ranks other than 0: work for rank 0 until it ends."""
    from mpi4py import MPI
    from mpi4py.futures import MPICommExecutor

    with MPICommExecutor(MPI.COMM_WORLD) as executor:
        if executor is not None:
            raise RuntimeError("rank 0 is no worker node")
