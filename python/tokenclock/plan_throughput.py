"""What a run of `throughput` or `latency` is asked to do: frozen values, checked here, printable as JSON.

Messages name a value by the flag that sets it on the command line.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tokenclock.errors import UsageError
from tokenclock.plan import MASK
from tokenclock.plan_checks import LONGEST, MOST_REQUESTS, is_number, require, require_int
from tokenclock.plan_transport import TransportPlan

__all__ = ["BenchOutput", "BenchRuntime", "BenchServer", "ThroughputPlan"]

POLICIES = ("guaranteed_no_evict", "max_utilization")


@dataclass(frozen=True)
class BenchRuntime:
    """A model in this process; None leaves a choice to the runtime."""

    directory: str  # of the model, or tiny:llama
    runtime: str | None = None  # None: what the directory holds decides
    dtype: str = "float16"
    dtype_named: bool = False
    device: str = "auto"
    threads: int | None = None
    ep: int | None = None
    max_batch_size: int | None = None
    max_num_tokens: int | None = None
    max_seq_len: int | None = None
    kv_cache_share: float | None = None  # of the free GPU memory
    chunked_context: bool | None = None
    scheduler_policy: str | None = None
    extra_llm_api_options: str | None = None
    strict_options: bool = False
    gpu_sampling_interval_ms: float = 10.0  # 0: none

    def __post_init__(self) -> None:
        require(bool(self.directory), "--model_path", "the directory of a model", self.directory)
        for flag, value in (("--max_batch_size", self.max_batch_size), ("--max_num_tokens", self.max_num_tokens)):
            if value is not None:
                require_int(flag, value, 1, highest=LONGEST)
        if self.max_seq_len is not None:
            require_int("--max_seq_len", self.max_seq_len, 2, highest=LONGEST)
        share = self.kv_cache_share
        ok = share is None or (is_number(share) and 0 < share <= 1)
        require(ok, "--kv_cache_free_gpu_mem_fraction", "a share in (0, 1]", share)
        policy = self.scheduler_policy
        require(policy is None or policy in POLICIES, "--scheduler_policy", " or ".join(POLICIES), policy)
        require(self.device in ("auto", "cpu", "cuda"), "--device", "auto, cpu or cuda", self.device)
        if self.threads is not None:
            require_int("--threads", self.threads, 1, highest=4096)
        interval = self.gpu_sampling_interval_ms
        ok = is_number(interval) and (interval == 0 or 1 <= interval <= 10_000)
        require(ok, "--gpu-sampling-interval", "0, or 1 to 10000 ms", interval)


@dataclass(frozen=True)
class BenchServer:
    """An OpenAI-compatible server."""

    base_url: str
    served_model_name: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    api_key: str | None = None
    request_timeout_s: float = 21600.0
    no_progress_timeout_s: float = 0.0  # longest silence within a request; 0: none
    silence_timeout_s: float = 900.0  # longest silence of the whole server while requests wait, ends the run; 0: none
    cache_bust: str | None = None  # nonce of the prompts; auto: each run its own; None: rows as they are
    transport: TransportPlan = field(default_factory=TransportPlan)

    def __post_init__(self) -> None:
        self.transport.check_against(self.base_url)


@dataclass(frozen=True)
class BenchOutput:
    """What is written, and what makes the command fail."""

    report_json: str | None = None
    request_json: str | None = None
    output_json: str | None = None
    iteration_log: str | None = None
    save_events: str | None = None  # directory; None: a temporary one beside report_json
    save_columns: bool = True  # beside report_json
    progress: bool = True
    strict: bool = False
    max_failure_share: float = 0.0

    def __post_init__(self) -> None:
        share = self.max_failure_share
        ok = is_number(share) and 0 <= share <= 1
        require(ok, "--max-failure-share", "a share in [0, 1]", share, "0.01 lets one request in a hundred fail")


@dataclass(frozen=True)
class ThroughputPlan:
    """Everything needed to repeat a run; exactly one of `runtime` and `server` is given."""

    model: str
    dataset: str  # file
    runtime: BenchRuntime | None = None
    server: BenchServer | None = None
    command: str = "throughput"  # throughput | latency
    model_path: str | None = None
    tokenizer: str | None = None  # directory; None: model_path, else model, where that has a tokenizer.json
    num_requests: int = 0  # 0: all of the file
    concurrency: int | None = None  # None: all at once
    warmup: int = 2  # requests
    streaming: bool = False
    eos_id: int = -1  # -1: no token ends an answer
    beam_width: int = 1
    sampling: dict[str, Any] = field(default_factory=dict)
    tp: int | None = None  # None: not said
    pp: int | None = None
    seed: int = 0  # of the warm-up's prompts
    output: BenchOutput = field(default_factory=BenchOutput)

    def __post_init__(self) -> None:
        require(bool(self.model), "--model", "a model's name", self.model)
        if (self.runtime is None) == (self.server is None):
            raise UsageError("a run needs either a runtime in this process or a server: give one of them")
        require_int("--num_requests", self.num_requests, 0, "0 takes all of the file", highest=MOST_REQUESTS)
        if self.concurrency is not None:
            require_int("--concurrency", self.concurrency, 1, highest=1_000_000)
        require_int("--warmup", self.warmup, 0, highest=100_000)
        require_int("--eos_id", self.eos_id, -1, "-1 lets no token end an answer", highest=(1 << 31) - 1)
        require_int("--beam_width", self.beam_width, 1, highest=1024)
        for flag, size in (("--tp", self.tp), ("--pp", self.pp)):
            if size is not None:
                require_int(flag, size, 1, highest=1 << 16)
        require(
            self.beam_width == 1 or not self.streaming,
            "--beam_width",
            "1 with streaming",
            self.beam_width,
            "beams are known when they end: leave --streaming out",
        )
        require(
            self.beam_width == 1 or self.server is None,
            "--beam_width",
            "1 with --base-url",
            self.beam_width,
            "one answer per request is timed; beams run on a runtime in this process",
        )

    @property
    def world_size(self) -> int:
        """GPUs that throughput is divided by: tensor times pipeline parallel, 1 of what was not said."""
        return (self.tp or 1) * (self.pp or 1)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready dict of the plan; header values and keys are `***`."""
        data = dataclasses.asdict(self)
        if self.server is not None:
            data["server"]["headers"] = [[name, MASK] for name, _ in self.server.headers]
            data["server"]["api_key"] = None if self.server.api_key is None else MASK
        return {"command": data.pop("command"), **data}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ThroughputPlan:
        """The plan `to_dict` wrote; masked secrets stay masked. Raises UsageError for anything else."""
        values = dict(data)
        values.pop("serving", None)  # of a result: the plan of the load test that a server was sent
        try:
            runtime, server, output = (values.pop(name) for name in ("runtime", "server", "output"))
            if server is not None:
                headers = tuple((name, value) for name, value in server["headers"])
                server = BenchServer(
                    **{**server, "headers": headers, "transport": TransportPlan(**server["transport"])}
                )
            runtime = None if runtime is None else BenchRuntime(**runtime)
            return cls(**values, runtime=runtime, server=server, output=BenchOutput(**output))
        except (KeyError, TypeError, ValueError) as error:
            raise UsageError(f"expected a plan of throughput or latency, got another one ({error})") from error
