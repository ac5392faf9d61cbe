"""What an offline benchmark is asked to do: frozen values, checked here, printable as JSON, enough to repeat it.

Messages name a value by the flag that sets it on the command line.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tokenclock.errors import UsageError
from tokenclock.plan_axes import MOST_ROWS
from tokenclock.plan_checks import is_number, require, require_int, require_length, require_seconds, shown

__all__ = [
    "DTYPES",
    "FAMILIES",
    "QUANTIZATIONS",
    "BenchmarkCase",
    "BenchmarkOutput",
    "BenchmarkPlan",
    "LoopPlan",
    "ModelPlan",
    "family_of",
]

FAMILIES = ("dec", "enc", "enc-dec")
DTYPES = ("float16", "bfloat16", "float32")
DEVICES = ("auto", "cpu", "cuda")
QUANTIZATIONS = (
    "fp8", "fp8_gemm", "fp8_kv_cache", "int8_sq_per_tensor", "int8_sq_per_token_channel", "int8_weight_only",
    "int4_weight_only", "int4_weight_only_awq", "int4_weight_only_gptq", "int8_sq_per_channel_ootb",
)  # fmt: skip
_MOST_ITERATIONS = 10_000_000


def family_of(text: str) -> str:
    """The family of a model kind as typed: ``bert`` is ``enc``. Raises UsageError for a kind there is not."""
    family = "enc" if text == "bert" else text
    require(
        family in FAMILIES,
        "--model",
        "dec, enc or enc-dec (bert is enc)",
        text,
        "the model itself is named by --engine_dir",
    )
    return family


@dataclass(frozen=True)
class BenchmarkCase:
    """One point of the sweep.

    Args:
        index: place in the order of cases, from 0.
        family: dec, enc or enc-dec.
        batch_size: rows of every iteration.
        input_len: tokens per row: the prompt's, for enc-dec the encoder's.
        output_len: tokens to generate per row, exactly; None for enc.
        num_beams: beam width; 1 is greedy.
        gpu_weights_percent: share of the weights kept on the GPU, 0 to 1.
    """

    index: int
    family: str
    batch_size: int
    input_len: int
    output_len: int | None = None
    num_beams: int = 1
    gpu_weights_percent: float = 1.0


@dataclass(frozen=True)
class ModelPlan:
    """How the model is loaded. What a runtime makes of it is in the result's `model`."""

    runtime: str | None = None  # None: what the directory holds decides
    dtype: str = "float16"
    dtype_named: bool = False  # the user named it: a runtime that cannot compute in it refuses rather than replace it
    quantization: str | None = None
    device: str = "auto"  # auto: a GPU where there is one
    threads: int | None = None  # CPU threads of one rank; None: the cores the rank may use
    tp: int | None = None  # None: the number of ranks
    pp: int | None = None
    ep: int | None = None
    cuda_graph: bool = False
    torch_compile: bool = False
    extra_llm_api_options: str | None = None
    strict_options: bool = False

    def __post_init__(self) -> None:
        require(self.dtype in DTYPES, "--dtype", "float16, bfloat16 or float32", self.dtype)
        require(
            self.quantization is None or self.quantization in QUANTIZATIONS,
            "--quantization",
            "one of " + ", ".join(QUANTIZATIONS),
            self.quantization,
        )
        require(self.device in DEVICES, "--device", "auto, cpu or cuda", self.device)
        if self.threads is not None:
            require_int("--threads", self.threads, 1, highest=4096)
        for flag, value in (("--tp", self.tp), ("--pp", self.pp), ("--ep", self.ep)):
            if value is not None:
                require_int(flag, value, 1, highest=65_536)


@dataclass(frozen=True)
class LoopPlan:
    """How each case is run. Both minimums must be met before a case ends."""

    warm_up: int = 2  # iterations before the timed ones
    num_runs: int = 10  # timed iterations at least
    duration_s: float = 60.0  # timed seconds at least
    max_duration_s: float = 0.0  # timed seconds at most, whatever the minimums say; 0: no limit
    streaming: bool = True  # stamp each generation step, where the runtime can tell them
    fail_fast: bool = False  # end the sweep at the first case that fails

    def __post_init__(self) -> None:
        require_int("--warm_up", self.warm_up, 0, highest=_MOST_ITERATIONS)
        require_int("--num_runs", self.num_runs, 0, highest=_MOST_ITERATIONS)
        require_seconds("--duration", self.duration_s, "with 0 the number of runs decides")
        require_seconds("--max-duration", self.max_duration_s, "0 means no limit")
        require(
            self.num_runs > 0 or self.duration_s > 0,
            "--num_runs",
            "a whole number >= 1 where --duration is 0",
            self.num_runs,
            "no iteration would run",
        )


@dataclass(frozen=True)
class BenchmarkOutput:
    """What is printed and saved."""

    csv: bool = False  # CSV rows in place of [BENCHMARK] lines, added to {model}_{dtype}_tp{N}_sm{cc}.csv too
    json: str | None = None  # the result as JSON; the columns lie beside it
    save_events: str | None = None  # directory of the event log
    percentiles: tuple[float, ...] = ()  # beside those that every result has
    gpu_sampling_interval_ms: float = 10.0  # of memory and power of the GPUs; 0: none
    log_level: str = "error"
    dump_profile: bool = False
    dump_layer_info: bool = False

    def __post_init__(self) -> None:
        for percentile in self.percentiles:
            require(is_number(percentile) and 0 < percentile <= 100, "--percentiles", "numbers in (0, 100]", percentile)
        require(
            is_number(self.gpu_sampling_interval_ms)
            and (self.gpu_sampling_interval_ms == 0 or 1 <= self.gpu_sampling_interval_ms <= 10_000),
            "--gpu-sampling-interval",
            "ms from 1 to 10000, or 0",
            self.gpu_sampling_interval_ms,
            "0 samples nothing",
        )
        require(
            self.log_level in LOG_LEVELS, "--log_level", "one of " + ", ".join(LOG_LEVELS), self.log_level
        )  # fmt: skip


LOG_LEVELS = ("verbose", "info", "warning", "error", "internal_error")


@dataclass(frozen=True)
class BenchmarkPlan:
    """Everything needed to repeat one offline benchmark.

    Args:
        family: ``dec``, ``enc`` or ``enc-dec``.
        engine_dir: directory of the model, or ``tiny:...``; None where the caller brings a `Runtime`.
        batch_sizes: rows.
        lengths: (input, output) in tokens; output None for enc, and only there.
        gpu_weights_percents: shares of the weights kept on the GPU, 0 to 1.
        num_beams: beam width of every case.
        seed: of the inputs.
        model, loop, output: see there.

    Raises:
        UsageError: a value out of its range.
    """

    family: str = "dec"
    engine_dir: str | None = None
    batch_sizes: tuple[int, ...] = (8,)
    lengths: tuple[tuple[int, int | None], ...] = ((128, 20),)
    gpu_weights_percents: tuple[float, ...] = (1.0,)
    num_beams: int = 1
    seed: int = 0
    model: ModelPlan = field(default_factory=ModelPlan)
    loop: LoopPlan = field(default_factory=LoopPlan)
    output: BenchmarkOutput = field(default_factory=BenchmarkOutput)

    def __post_init__(self) -> None:
        require(self.family in FAMILIES, "--model", "dec, enc or enc-dec", self.family)
        require(
            self.engine_dir is None or bool(self.engine_dir), "--engine_dir", "a directory or tiny:...", self.engine_dir
        )
        lengths_flag = "--input_len" if self.family == "enc" else "--input_output_len"
        for flag, values in (
            ("--batch_size", self.batch_sizes),
            (lengths_flag, self.lengths),
            ("--gpu_weights_percent", self.gpu_weights_percents),
        ):
            require(isinstance(values, (tuple, list)), flag, "a tuple of values", values, "with one value (8,)")
            require(len(values) > 0, flag, "at least one value", "none")
        for rows in self.batch_sizes:
            require_int("--batch_size", rows, 1, highest=MOST_ROWS)
        for pair in self.lengths:
            is_pair = isinstance(pair, (tuple, list)) and len(pair) == 2
            require(is_pair, lengths_flag, "pairs of input and output length", pair, "as in ((128, 20),)")
            input_len, output_len = pair
            require_length(lengths_flag, input_len)
            if self.family == "enc":
                require(output_len is None, lengths_flag, "input lengths alone for enc", output_len)
            else:
                require_length(lengths_flag, output_len)
        for share in self.gpu_weights_percents:
            require(is_number(share) and 0 <= share <= 1, "--gpu_weights_percent", "shares in [0, 1]", share)
        require_int("--num_beams", self.num_beams, 1, highest=1024)
        require_int("--seed", self.seed, 0, highest=(1 << 63) - 1)

    def cases(self) -> Iterator[BenchmarkCase]:
        """The full cross product: lengths outermost, then batch sizes, then shares of the weights."""
        index = 0
        for input_len, output_len in self.lengths:
            for batch_size in self.batch_sizes:
                for share in self.gpu_weights_percents:
                    yield BenchmarkCase(
                        index, self.family, batch_size, input_len, output_len, self.num_beams, float(share)
                    )
                    index += 1

    @property
    def n_cases(self) -> int:
        """Cases of the sweep."""
        return len(self.lengths) * len(self.batch_sizes) * len(self.gpu_weights_percents)

    @property
    def sha256(self) -> str:
        """Of what is measured, where files go left out: ranks of one run must have the same."""
        data = {key: value for key, value in self.to_dict().items() if key != "output"}
        return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready dict; `from_dict` undoes it."""
        return {"command": "benchmark", **_listed(dataclasses.asdict(self))}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> BenchmarkPlan:
        """The plan that `to_dict` wrote. Raises UsageError for anything else."""
        require(data.get("command") == "benchmark", "plan", "a plan of the command benchmark", data.get("command"))
        values = {key: value for key, value in data.items() if key != "command"}
        for key, kind in (("model", ModelPlan), ("loop", LoopPlan), ("output", BenchmarkOutput)):
            if key in values:
                values[key] = _restored(kind, values[key], f"plan.{key}")
        plan: BenchmarkPlan = _restored(cls, values, "plan")
        return plan


def _listed(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _listed(inner) for key, inner in value.items()}
    if isinstance(value, tuple):
        return [_listed(inner) for inner in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def _tupled(value: Any) -> Any:
    return tuple(_tupled(inner) for inner in value) if isinstance(value, list) else value


def _restored(kind: type[Any], values: Mapping[str, Any], what: str) -> Any:
    if not isinstance(values, Mapping):
        raise UsageError(f"{what} must be a JSON object, got {shown(values)}")
    unknown = sorted(set(values) - {item.name for item in dataclasses.fields(kind)})
    require(not unknown, what, "of known fields", ", ".join(unknown), "written by a later version?")
    return kind(**{key: _tupled(value) for key, value in values.items()})
