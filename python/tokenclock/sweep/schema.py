"""What a sweep's YAML file may hold, and the one line that says what is wrong with it."""

from __future__ import annotations

import difflib
import signal
from collections.abc import Mapping
from typing import Any, Literal
from urllib.parse import urlsplit

from tokenclock.errors import MeasurementError, UsageError
from tokenclock.plan_checks import shown
from tokenclock.sweep.placeholders import misspelt_placeholder
from tokenclock.sweep.schema_errors import ErrorAt, first_error
from tokenclock.sweep.yaml_file import YamlFile, read_yaml

try:
    from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
except ImportError:
    raise MeasurementError("sweep needs PyYAML and pydantic: pip install 'tokenclock[sweep]'") from None

__all__ = ["COMMANDS", "Compare", "Expected", "Probe", "Search", "Server", "Sweep", "dump", "load_sweep"]

COMMANDS = ("serving", "profile", "throughput")
"""Commands that can be a sweep's benchmark."""

Command = str | list[str]
Flags = dict[str, Any]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)


class Probe(_Part):
    """One request that must succeed before a server is measured."""

    path: str = "/v1/chat/completions"
    body: dict[str, Any] | None = None  # None: GET
    timeout: float = Field(60.0, gt=0)  # s


class Server(_Part):
    """One server: a command that starts it, or just the URL of one that runs."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*$")
    command: Command | None = None
    url: str = "http://localhost:8000"
    health: str = "/health"  # path below url, or a URL
    environment: dict[str, str | int | float] = {}
    ready_timeout: float = Field(600.0, gt=0)  # s
    log: str | None = None  # default RESULT_DIR/NAME/server.log
    stop_signal: str = "SIGTERM"
    stop_timeout: float = Field(30.0, ge=0)  # s
    stop_command: Command | None = None
    results_from: Command | None = None
    extra_llm_api_options: dict[str, Any] | None = None
    release: str = "1.2"
    probe: Command | Probe | None = None
    benchmark: Flags = {}

    @field_validator("release", mode="before")
    @classmethod
    def _quoted(cls, value: Any) -> Any:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            raise ValueError(f'must be text: write it in quotes, "{value}"')  # 1.10 would have become 1.1
        return value

    @field_validator("stop_signal")
    @classmethod
    def _known_signal(cls, value: str) -> str:
        name = value.upper() if value.upper().startswith("SIG") else f"SIG{value.upper()}"
        if name not in signal.Signals.__members__:
            raise ValueError(f"must be the name of a signal such as SIGTERM or SIGINT, got {shown(value)}")
        return name

    @field_validator("command", "stop_command", "results_from", "probe")
    @classmethod
    def _a_command(cls, value: Any) -> Any:
        if isinstance(value, (str, list)):
            if not value or not str(value if isinstance(value, str) else value[0]).strip():
                raise ValueError(f"must be a line of the shell, or a list of words, got {shown(value) or 'nothing'}")
            if hint := misspelt_placeholder(value):
                raise ValueError(hint)
        return value

    @field_validator("url")
    @classmethod
    def _http(cls, value: str) -> str:
        return value if "${" in value else cls.checked_url(value)  # checked with what stands for it, once that is known

    @staticmethod
    def checked_url(value: str) -> str:
        """A URL without its last slash. Raises ValueError for anything else."""
        value = value.rstrip("/")
        parts = urlsplit(value)
        try:
            ok = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:  # of a port that is none
            ok = False
        if not ok:
            raise ValueError(f"must be http://HOST:PORT or https://HOST:PORT, got {shown(value)}")
        return value

    @model_validator(mode="after")
    def _needs_command(self) -> Server:
        if self.command is None:
            for name in ("stop_command", "extra_llm_api_options"):
                if name in self.model_fields_set:
                    raise ErrorAt((name,), f"is of use with a command only; give the command that starts {self.name}")
        return self

    @property
    def health_url(self) -> str:
        """Where it says that it is ready."""
        return self.health if "://" in self.health else self.url + "/" + self.health.lstrip("/")


class Expected(_Part):
    """What the plan's minutes are made of, until something was measured."""

    start: float = Field(60.0, ge=0)  # s from a server's start to its health
    ttft: float = Field(500.0, ge=0)  # ms
    itl: float = Field(20.0, ge=0)  # ms
    point: float = Field(5.0, ge=0)  # s around the load of each point


class Search(_Part):
    """A search instead of a matrix of loads."""

    kind: Literal["concurrency", "request_rate", "knee"]
    low: float = Field(1.0, gt=0)
    high: float = Field(256.0, gt=0)
    slo: dict[Literal["ttft", "tpot", "e2el"], float] = {}  # ms, each request
    share: float = Field(0.99, gt=0, lt=1)  # of all requests that must keep every limit
    tries: int = Field(5, ge=1, le=50)  # most runs of one load
    confirm: int = Field(2, ge=0, le=50)  # more runs of the load that is about to be called the highest
    tolerance: float = Field(0.05, gt=0, lt=1)  # of a rate: how near the two ends of the bracket come

    @property
    def axis(self) -> str:
        """What is varied: request_rate or concurrency."""
        return "request_rate" if self.kind == "request_rate" else "concurrency"

    @property
    def flags(self) -> Flags:
        """Flags of every try."""
        return {"goodput": [f"{name}:{limit:g}" for name, limit in self.slo.items()]} if self.slo else {}

    @model_validator(mode="after")
    def _whole(self) -> Search:
        if self.low > self.high:
            raise ErrorAt(("low",), f"must not be above high, got {self.low:g} and {self.high:g}")
        if self.kind == "knee" and self.slo:
            raise ErrorAt(("slo",), "kind: knee takes none; kind: concurrency or request_rate does")
        if self.kind != "knee" and not self.slo:
            raise ValueError("slo is needed, in ms for each request, such as {ttft: 500, tpot: 50}")
        if self.kind != "request_rate" and (self.low != int(self.low) or self.high != int(self.high)):
            raise ValueError(f"low and high must be whole numbers for kind: {self.kind}")
        return self


class Compare(_Part):
    """What `tokenclock compare` makes of the results, beside them."""

    summary: str | None = "benchmark_summary.txt"
    png: str | None = "benchmark_comparison.png"
    html: str | None = None
    markdown: str | None = None
    json_: str | None = Field(None, alias="json")
    min_effect: float | None = Field(None, ge=0)
    fail_if: list[str] = []
    force: bool = False

    @field_validator("fail_if", mode="before")
    @classmethod
    def _one_condition(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @field_validator("fail_if")
    @classmethod
    def _conditions(cls, value: list[str]) -> list[str]:
        from tokenclock.compare.gate import parse

        for i, condition in enumerate(value):
            try:
                parse(condition)
            except UsageError as error:
                raise ErrorAt((i,), str(error).removeprefix("--fail-if").lstrip(": ")) from None
        return value


class Sweep(_Part):
    """The whole file."""

    result_dir: str = "bench_results"
    servers: list[Server] = Field(min_length=1)
    benchmark: Flags
    matrix: dict[str, list[Any]] = {}
    repeat: int = Field(1, ge=1, le=1000)
    order: Literal["interleaved", "blocked"] = "blocked"
    cooldown: float = Field(0.0, ge=0)  # s between points
    max_minutes: float | None = Field(None, gt=0)
    warmup: int = Field(0, ge=0)  # requests after each start, thrown away
    vary_seed: bool = False
    gpus: int | None = Field(None, ge=1)
    metrics_interval: float = Field(1.0, ge=0)  # s; 0: /metrics is left alone
    expected: Expected = Field(default_factory=lambda: Expected.model_validate({}))
    search: Search | None = None
    compare: Compare | None = None

    @field_validator("compare", mode="before")
    @classmethod
    def _compare_by_default(cls, value: Any) -> Any:
        return {} if value is True else None if value is False else value

    @field_validator("matrix", mode="before")
    @classmethod
    def _single_values(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {name: values if isinstance(values, list) else [values] for name, values in value.items()}

    @field_validator("matrix")
    @classmethod
    def _values_each(cls, value: dict[str, list[Any]]) -> dict[str, list[Any]]:
        for name, values in value.items():
            if not values:
                raise ErrorAt((name,), "must have at least one value; leave it out otherwise")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Sweep:
        names = [server.name for server in self.servers]
        if twice := next((name for name in names if names.count(name) > 1), None):
            second = len(names) - 1 - names[::-1].index(twice)
            raise ErrorAt(
                ("servers", second, "name"),
                f"two servers have the name {twice}; results are kept by it, so give each its own",
            )
        command = self.benchmark.get("command", "serving")
        if command not in COMMANDS:
            nearest = difflib.get_close_matches(str(command), COMMANDS, n=1)
            hint = f" (did you mean {nearest[0]}?)" if nearest else ""
            raise ErrorAt(("benchmark", "command"), f"must be one of {', '.join(COMMANDS)}, got {shown(command)}{hint}")
        if self.search is not None and command != "serving":
            raise ErrorAt(("search",), f"works with benchmark.command: serving, got {command}")
        if self.search is not None and self.repeat > 1:
            raise ErrorAt(
                ("repeat",), "a search repeats a load itself, as often as its verdict needs; leave repeat out"
            )
        return self


def load_sweep(path: str) -> tuple[Sweep, YamlFile]:
    """Read and check a file.

    Raises:
        UsageError: one line, `FILE:LINE:COLUMN: what was expected and what came`.
    """
    file = read_yaml(path)
    try:
        return Sweep.model_validate(file.data), file
    except ValidationError as error:
        raise first_error(error, file, Sweep) from None


def dump(sweep: Sweep) -> Mapping[str, Any]:
    """The sweep as JSON-ready values, defaults included."""
    return sweep.model_dump(mode="json", by_alias=True)
