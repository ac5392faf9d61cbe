"""The YAML of server cases: servers and their clients, checked, with the one line that says what is wrong."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenclock.errors import UsageError
from tokenclock.perftest.case import ServerCase
from tokenclock.perftest.refusal import DISAGGREGATED, NotRunHere
from tokenclock.perftest.settings import Settings

__all__ = ["Client", "ServerConfig", "read_server_configs"]

try:
    from pydantic import BaseModel, ConfigDict, Field, ValidationError
except ImportError:
    raise UsageError("server cases need pydantic and PyYAML: pip install 'tokenclock[perftest]'") from None


class Client(BaseModel):
    """One load on a server: `concurrency` x `iterations` prompts of random token ids."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    concurrency: int = Field(ge=1)
    iterations: int = Field(1, ge=1)
    isl: int = Field(1024, ge=1)  # tokens
    osl: int = Field(1024, ge=1)  # tokens
    random_range_ratio: float = Field(0.0, ge=0, lt=1)


class ServerConfig(BaseModel):
    """One server: how it is started, and its clients. `command`, `url`, `ready_timeout` and `environment` are ours."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    name: str
    model_name: str
    tp: int = Field(1, ge=1)
    ep: int | None = Field(None, ge=1)
    pp: int = Field(1, ge=1)
    attention_backend: str = "TRTLLM"
    moe_backend: str | None = None
    moe_max_num_tokens: int | None = None
    max_num_tokens: int = Field(2048, ge=1)
    max_batch_size: int = Field(256, ge=1)
    enable_chunked_prefill: bool = False
    disable_overlap_scheduler: bool = False
    stream_interval: int = Field(10, ge=1)
    enable_attention_dp: bool = False
    attention_dp_balance: bool = False
    batching_wait_iters: int = 10
    timeout_iters: int = 50
    kv_cache_dtype: str = "fp8"
    enable_block_reuse: bool = False
    free_gpu_memory_fraction: float = Field(0.8, gt=0, le=1)
    enable_padding: bool = True
    client_configs: tuple[Client, ...] = Field(min_length=1)
    command: str | list[str] | None = None
    url: str | None = None
    ready_timeout: float = Field(5400.0, gt=0)  # s
    environment: dict[str, str | int | float] = {}

    def llm_api_options(self) -> dict[str, Any]:
        """What the file of options holds that `trtllm-serve` is started with."""
        options: dict[str, Any] = {
            "attn_backend": self.attention_backend,
            "enable_chunked_prefill": self.enable_chunked_prefill,
            "disable_overlap_scheduler": self.disable_overlap_scheduler,
            "stream_interval": self.stream_interval,
            "enable_attention_dp": self.enable_attention_dp,
            "cuda_graph_config": {"enable_padding": self.enable_padding, "max_batch_size": self.max_batch_size},
            "kv_cache_config": {
                "dtype": self.kv_cache_dtype,
                "enable_block_reuse": self.enable_block_reuse,
                "free_gpu_memory_fraction": self.free_gpu_memory_fraction,
            },
        }
        if self.attention_dp_balance:
            options["attention_dp_config"] = {
                "enable_balance": True,
                "batching_wait_iters": self.batching_wait_iters,
                "timeout_iters": self.timeout_iters,
            }
        moe = {"backend": self.moe_backend, "max_num_tokens": self.moe_max_num_tokens}
        if any(value is not None for value in moe.values()):
            options["moe_config"] = {key: value for key, value in moe.items() if value is not None}
        return options


class _File(BaseModel):
    model_config = ConfigDict(extra="ignore")

    server_configs: tuple[ServerConfig, ...] = Field(min_length=1)


def read_server_configs(case: ServerCase, settings: Settings) -> list[tuple[ServerConfig, tuple[Client, ...]]]:
    """The servers that a case names, each with the clients that it names; all where it names none.

    Raises:
        NotRunHere: a file of disaggregated servers.
        UsageError: no such file, server or client; a value of the wrong kind.
    """
    path = _place(case.yaml, settings)
    data = _load(path)
    if not isinstance(data, Mapping):
        raise UsageError(f"{path} must hold server_configs: a list of servers, got {type(data).__name__}")
    if "worker_config" in data or ("hardware" in data and "server_configs" not in data):
        raise NotRunHere(f"{path} describes servers of several kinds: {DISAGGREGATED}")
    try:
        servers = _File.model_validate(data).server_configs
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise UsageError(f"{path}: {where}: {first['msg']}, got {str(first.get('input'))[:80]}") from error
    named = [server for server in servers if case.server in (None, server.name)]
    if not named:
        known = ", ".join(server.name for server in servers)
        raise UsageError(f"{path} has no server {case.server}: expected one of {known}")
    return [(server, _clients(server, case, path)) for server in named]


def _clients(server: ServerConfig, case: ServerCase, path: Path) -> tuple[Client, ...]:
    if not case.clients:
        return server.client_configs
    by_name = {client.name: client for client in server.client_configs}
    for name in case.clients:
        if name not in by_name:
            raise UsageError(f"{path}: server {server.name} has no client {name}: expected one of {', '.join(by_name)}")
    return tuple(by_name[name] for name in case.clients)


def _place(name: str, settings: Settings) -> Path:
    named = settings.config_folder or os.environ.get("AGG_CONFIG_FOLDER")
    folder = Path(named) if named else Path("tests/scripts/perf-sanity/aggregated")
    places = [folder / (name + suffix) for suffix in ("", ".yaml", ".yml")]
    for path in places:
        if path.is_file():
            return path
    raise UsageError(
        f"no file {places[1]}: give the folder of the servers' YAML files (--perf-config-folder or AGG_CONFIG_FOLDER)"
    )


def _load(path: Path) -> Any:
    import yaml

    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read {path}: {error}") from error
    except yaml.YAMLError as error:
        raise UsageError(f"{path} is no YAML: {' '.join(str(error).split())}") from error
