"""What a run is asked to do: frozen values, checked here, printable as JSON, enough to repeat the run.

Messages name a value by the flag that sets it on the command line, because that is where most people set it.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
from dataclasses import dataclass, field
from typing import Any

from tokenclock.errors import UsageError
from tokenclock.plan_checks import MOST_REQUESTS, require_room
from tokenclock.plan_checks import is_number as _is_number
from tokenclock.plan_checks import require as _require
from tokenclock.plan_checks import require_int as _require_int
from tokenclock.plan_checks import require_seconds as _require_seconds
from tokenclock.plan_datasets import (
    DATASET_KINDS,
    BurstGptDataset,
    CustomDataset,
    Dataset,
    HfDataset,
    RandomDataset,
    RandomImageDataset,
    ShareGptDataset,
    SonnetDataset,
    TraceDataset,
    TrtllmBenchDataset,
    TrtllmCustomDataset,
)
from tokenclock.plan_generation import GenerationPlan
from tokenclock.plan_output import GOODPUT_METRICS, LATENCY_METRICS, OutputPlan
from tokenclock.plan_server import RampUp, ServerPlan
from tokenclock.plan_synthetic import PROFILE_DATASETS, InputFileDataset, SyntheticDataset, SyntheticSessionsDataset
from tokenclock.plan_transport import TransportPlan
from tokenclock.plan_windows import WindowPlan

__all__ = [
    "BACKENDS",
    "DATASET_KINDS",
    "GOODPUT_METRICS",
    "LATENCY_METRICS",
    "MASK",
    "MOST_REQUESTS",
    "RERANK_STYLES",
    "BurstGptDataset",
    "CustomDataset",
    "Dataset",
    "EndpointPlan",
    "GenerationPlan",
    "HfDataset",
    "InputFileDataset",
    "LoadPlan",
    "OutputPlan",
    "RampUp",
    "RandomDataset",
    "RandomImageDataset",
    "ServerPlan",
    "ServingPlan",
    "ShareGptDataset",
    "SonnetDataset",
    "SyntheticDataset",
    "SyntheticSessionsDataset",
    "TraceDataset",
    "TransportPlan",
    "TrtllmBenchDataset",
    "TrtllmCustomDataset",
    "WindowPlan",
]

MASK = "***"
BACKENDS = ("openai", "openai-chat", "embeddings", "rerank", "responses", "triton")
"""What `--backend` can be."""
RERANK_STYLES = ("jina", "nim", "tei")
_WITHOUT_OUTPUT = ("embeddings", "rerank")
_ASSIGNMENTS = ("random", "round-robin", "zipf", "per-row")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_OWN_HEADERS = ("content-length", "transfer-encoding", "connection")


@dataclass(frozen=True)
class EndpointPlan:
    """Which server, which path, which model, and how it is spoken to."""

    model: str
    backend: str = "openai"  # openai: completions; openai-chat: chat completions; else one of BACKENDS
    base_url: str = "http://127.0.0.1:8000"  # scheme, host, port and a path prefix; the path is appended to it
    path: str = "/v1/completions"
    served_model_name: str | None = None  # model name in the body, where it differs from `model`
    tokenizer: str | None = None  # directory; None: `model` when that is a directory with a tokenizer.json
    tokenizer_mode: str = "auto"  # auto | slow
    trust_remote_code: bool = False
    headers: tuple[tuple[str, str], ...] = ()
    api_key: str | None = None  # sent as `Authorization: Bearer`
    connection: str = "reuse"  # reuse: keep-alive; new: one connection per request
    lora_modules: tuple[str, ...] = ()  # adapters, by the names the server knows; each request goes to one of them
    lora_assignment: str = "random"  # random | round-robin | zipf | per-row
    lora_zipf: float = 1.0  # zipf: adapter k, from 1 in the order named, is drawn in proportion to k ** -lora_zipf
    batch_size: int = 1  # embeddings: texts of a request; rerank: documents of a request
    rerank_style: str = "jina"  # jina | nim | tei

    def __post_init__(self) -> None:
        _require(bool(self.model), "--model", "a model name", self.model)
        _require(self.backend in BACKENDS, "--backend", "one of " + ", ".join(BACKENDS), self.backend)
        _require_int("--batch-size", self.batch_size, 1, highest=100_000)
        _require(
            self.batch_size == 1 or not self.generates,
            "--batch-size",
            "left out, or given with --backend embeddings or rerank",
            self.batch_size,
        )
        styles = ", ".join(RERANK_STYLES)
        _require(self.rerank_style in RERANK_STYLES, "--rerank-style", f"one of {styles}", self.rerank_style)
        _require(self.path.startswith("/"), "--endpoint", "a path that starts with /", self.path)
        _require(
            self.path.isascii() and not re.search(r"[\s\x00-\x1f#]", self.path),
            "--endpoint",
            "a path without spaces, # or non-ASCII characters",
            self.path,
            "percent-encode them",
        )
        _require(self.tokenizer_mode in ("auto", "slow"), "--tokenizer-mode", "auto or slow", self.tokenizer_mode)
        _require(self.connection in ("reuse", "new"), "--connection", "reuse or new", self.connection)
        for module in self.lora_modules:
            ok = isinstance(module, str) and bool(module.strip())
            _require(ok, "--lora-modules", "names that the server knows", module, "GET /v1/models lists them")
        assignment = self.lora_assignment
        _require(assignment in _ASSIGNMENTS, "--lora-assignment", "one of " + ", ".join(_ASSIGNMENTS), assignment)
        zipf_ok = _is_number(self.lora_zipf) and 0 <= self.lora_zipf < math.inf
        _require(zipf_ok, "--lora-zipf-alpha", "an exponent >= 0", self.lora_zipf, "0 is uniform")
        for name, value in self.headers:
            spelt = "KEY=VALUE or 'Key: value' with a KEY of letters, digits and dashes"
            _require(bool(_HEADER_NAME.fullmatch(name)), "--header", spelt, name)
            is_connection = name.lower() == "connection"
            remedy = "use --connection new for a connection per request" if is_connection else "leave it out"
            ours = name.lower() in _OWN_HEADERS
            _require(not ours, "--header", "a header tokenclock does not set itself", name, remedy)
            _require(
                value.isprintable() and _is_latin1(value),
                "--header",
                f"one line of Latin-1 text for {name}",
                "a value with other characters",
            )
        key = self.api_key
        _require(
            key is None or (key.isascii() and key.isprintable()),
            "OPENAI_API_KEY",
            "one line of ASCII text",
            "a value with other characters",
            "unset it to send no Authorization header",
        )

    @property
    def is_chat(self) -> bool:
        """Whether requests are chat completions."""
        return self.backend == "openai-chat"

    @property
    def takes_messages(self) -> bool:
        """Whether requests can hold the messages of a chat as they are."""
        return self.backend in ("openai-chat", "responses")

    @property
    def wants_text(self) -> bool:
        """Whether prompts without a tokenizer must be words, as token ids cannot be sent in the prompt's place."""
        return self.backend in ("openai-chat", "responses", "triton", "rerank")

    @property
    def generates(self) -> bool:
        """Whether answers are generated tokens; embeddings and rankings are not."""
        return self.backend not in _WITHOUT_OUTPUT

    @property
    def secrets(self) -> list[str]:
        """Texts that must reach no file and no console: the key, and header values of four characters or more."""
        values = [value for _, value in self.headers] + ([self.api_key] if self.api_key else [])
        return [value for value in values if len(value) >= 4]

    @property
    def body_model(self) -> str:
        """The model name sent in every request body."""
        return self.served_model_name or self.model


def _is_latin1(text: str) -> bool:
    try:
        text.encode("latin-1")
    except UnicodeEncodeError:
        return False
    return True


@dataclass(frozen=True)
class LoadPlan:
    """How many requests, when, and for how long each may take."""

    num_prompts: int = 1000
    request_rate: float = math.inf  # requests per second; inf: all due at 0
    burstiness: float = 1.0  # shape of the gamma gaps; 1: Poisson; inf: all gaps equal
    max_concurrency: int | None = None
    seed: int = 0
    test_input: bool = True  # one request before the run, whose failure ends it
    num_warmups: int = 0
    ready_check_timeout_s: float = 0.0  # how long to wait for the server to answer; 0: one try
    streaming: bool = True
    request_timeout_s: float = 21600.0  # whole request; 0: none
    no_progress_timeout_s: float = 0.0  # longest silence within a request; 0: none
    silence_timeout_s: float = 900.0  # longest silence of the whole server while requests wait, ends the run; 0: none
    workers: int = 1  # native client threads
    ramp_up: RampUp | None = None  # a rate that grows over the run, in place of request_rate
    ramp_up_s: float = 0.0  # the slots of a closed loop open one by one over this time; 0: all at once
    probe_request_rate: float = 0.0  # one-token requests per second beside the load; 0: none
    cache_bust: str | None = None  # nonce of the prompts; auto: each run its own; None: same plan, same prompts
    request_id_prefix: str | None = None  # row i is sent with `x-request-id: <prefix>i`; None: not sent
    windows: WindowPlan | None = None  # end by time; num_prompts is then only the most that can be sent

    def __post_init__(self) -> None:
        _require_int("--num-prompts", self.num_prompts, 1, highest=MOST_REQUESTS)
        _require(
            _is_number(self.request_rate) and self.request_rate > 0,
            "--request-rate",
            "requests per second > 0, or inf",
            self.request_rate,
            "inf sends everything at once",
        )
        _require(
            _is_number(self.burstiness) and self.burstiness > 0,
            "--burstiness",
            "a number > 0",
            self.burstiness,
            "1 is Poisson, below 1 burstier, above 1 more regular",
        )
        if self.max_concurrency is not None:
            _require_int("--max-concurrency", self.max_concurrency, 1, "leave it out for no limit", highest=1_000_000)
        _require_int("--seed", self.seed, 0, highest=(1 << 63) - 1)
        _require_int("--num-warmups", self.num_warmups, 0, highest=100_000)
        _require_seconds("--ready-check-timeout-sec", self.ready_check_timeout_s, "0 tries once")
        _require_seconds("--request-timeout", self.request_timeout_s, "0 means no limit")
        _require_seconds("--no-progress-timeout", self.no_progress_timeout_s, "0 means no limit")
        _require_seconds("--silence-timeout", self.silence_timeout_s, "0 means no limit")
        _require_int("--workers", self.workers, 1, highest=256)
        _require_seconds("--ramp-up-seconds", self.ramp_up_s, "0 opens all slots at once")
        paced = math.isfinite(self.request_rate) or self.ramp_up is not None
        _require(
            self.ramp_up_s == 0 or (self.max_concurrency is not None and not paced),
            "--ramp-up-seconds",
            "given with --max-concurrency and without a rate",
            self.ramp_up_s,
            "it spreads the first requests of a closed loop; a rate grows by --ramp-up-strategy",
        )
        _require(
            self.ramp_up is None or self.request_rate == math.inf,
            "--request-rate",
            "left out with --ramp-up-strategy",
            self.request_rate,
            "the rate is given by --ramp-up-start-rps and --ramp-up-end-rps",
        )
        _require(
            _is_number(self.probe_request_rate) and 0 <= self.probe_request_rate <= 1000,
            "--probe-request-rate",
            "requests per second from 0 to 1000",
            self.probe_request_rate,
            "0 sends no probes",
        )
        nonce = self.cache_bust
        _require(
            nonce is None or bool(re.fullmatch(r"[A-Za-z0-9._-]{1,64}", nonce)),
            "--cache-bust",
            "1 to 64 letters, digits, dots, dashes or underscores",
            nonce,
            "left without a value each run has a nonce of its own",
        )
        prefix = self.request_id_prefix
        _require(
            prefix is None or bool(re.fullmatch(r"[!-~]{1,128}", prefix)),
            "--request-id-prefix",
            "1 to 128 ASCII characters without spaces",
            prefix,
            "each id is the prefix and the number of the request",
        )


@dataclass(frozen=True)
class ServingPlan:
    """Everything needed to repeat one load test of an OpenAI-compatible server."""

    endpoint: EndpointPlan
    load: LoadPlan = field(default_factory=LoadPlan)
    generation: GenerationPlan = field(default_factory=GenerationPlan)
    dataset: Dataset | SyntheticDataset | InputFileDataset = field(default_factory=RandomDataset)
    output: OutputPlan = field(default_factory=OutputPlan)
    server: ServerPlan = field(default_factory=ServerPlan)
    transport: TransportPlan = field(default_factory=TransportPlan)
    command: str = "serving"  # whose words and files the run has: serving | profile
    asked: dict[str, Any] = field(default_factory=dict)  # its flags by that command's own names, for its files

    def __post_init__(self) -> None:
        _require(self.command in _COMMANDS, "plan.command", " or ".join(_COMMANDS), self.command)
        _require(
            self.load.request_id_prefix is None
            or all(name.lower() != "x-request-id" for name, _ in self.endpoint.headers),
            "--request-id-prefix",
            "left out with --header x-request-id",
            self.load.request_id_prefix,
        )
        _require(
            self.endpoint.generates or not self.load.streaming,
            "--backend",
            "openai, openai-chat, responses or triton for answers that stream",
            self.endpoint.backend,
            f"say --non-streaming: answers of {self.endpoint.backend} come in one piece",
        )
        _require(
            self.load.probe_request_rate == 0 or self.endpoint.backend in ("openai", "openai-chat"),
            "--probe-request-rate",
            f"left out with --backend {self.endpoint.backend}",
            self.load.probe_request_rate,
            "probes are completions of one token",
        )
        speedup = getattr(self.dataset, "speedup", 1.0)
        _require(
            speedup == 1.0 or self.load.request_rate == math.inf,
            "--trace-speedup",
            "left out with --request-rate, which chooses it",
            speedup,
        )
        sends_ids = getattr(self.dataset, "tokenize_on_client", False)
        _require(
            not sends_ids or self.endpoint.is_chat or not self.endpoint.wants_text,
            "--tokenize-on-client",
            f"left out with --backend {self.endpoint.backend}, whose requests hold text",
            sends_ids,
        )
        ramp, self_timed = self.load.ramp_up, _times_itself(self.dataset)
        _require(
            self.load.burstiness == 1.0 or not self_timed,
            "--burstiness",
            f"left out with {_TIMES_ITSELF.get(self.dataset.name)}",
            self.load.burstiness,
            "the gaps are the trace's",
        )
        _require(
            ramp is None or not self_timed,
            "--ramp-up-strategy",
            f"left out with {_TIMES_ITSELF.get(self.dataset.name)}",
            ramp.strategy if ramp else None,
            "the trace says when requests are due",
        )
        n_prompts = self.load.num_prompts + self.load.num_warmups
        require_room(n_prompts, n_prompts * getattr(self.dataset, "prompt_tokens", 0))
        self.transport.check_against(self.endpoint.base_url)

    @property
    def is_open_loop(self) -> bool:
        """Whether requests are sent by a schedule (finite rate) rather than by completions of earlier ones."""
        return math.isfinite(self.load.request_rate) or self.load.ramp_up is not None

    def to_dict(self, *, secrets: bool = False) -> dict[str, Any]:
        """JSON-ready dict of the plan; header values and keys are `***` unless `secrets` (never write those to a file).

        An infinite request rate is the text "inf", as strict JSON has no number for it.
        """
        data = dataclasses.asdict(self)
        endpoint, load = data["endpoint"], data["load"]
        endpoint["lora_modules"] = list(self.endpoint.lora_modules)
        endpoint["headers"] = [[name, value if secrets else MASK] for name, value in self.endpoint.headers]
        if not secrets and endpoint["api_key"] is not None:
            endpoint["api_key"] = MASK
        for key in ("request_rate", "burstiness"):
            if load[key] == math.inf:
                load[key] = "inf"
        data["server"]["dcgm_urls"] = list(self.server.dcgm_urls)
        for key in ("percentile_metrics", "metric_percentiles"):
            data["output"][key] = list(data["output"][key])
        if self.command == "serving":
            del data["asked"]
        return {"command": data.pop("command"), **data}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> ServingPlan:
        """The plan `to_dict` wrote (masked secrets stay masked). Raises UsageError for anything else."""
        command = data.get("command")
        _require(command in _COMMANDS, "plan", "a plan of the command " + " or ".join(_COMMANDS), command)
        groups: dict[str, Any] = {}
        for group, kind in _GROUPS.items():
            values = dict(data.get(group, {}))
            if group == "dataset":
                name = values.get("name", "random")
                kinds = DATASET_KINDS | PROFILE_DATASETS
                _require(name in kinds, "plan.dataset", "one of " + ", ".join(kinds), name)
                kind = kinds[name]
            known = {item.name for item in dataclasses.fields(kind)}
            unknown = sorted(set(values) - known)
            _require(not unknown, f"plan.{group}", "of known fields", ", ".join(unknown), "written by a later version?")
            groups[group] = _restored(kind, values)
        return cls(**groups, command=str(command), asked=dict(data.get("asked", {})))

    def to_json(self) -> str:
        """The masked plan as indented JSON text."""
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False)


_NESTED: dict[str, type[Any]] = {"ramp_up": RampUp, "windows": WindowPlan}
_COMMANDS = ("serving", "profile")
_TIMES_ITSELF = {"burstgpt": "--self-timed", "trace": "--dataset-name trace, or --trace-untimed given with it"}


def _times_itself(dataset: object) -> bool:
    """Whether the dataset says when its requests are due."""
    if isinstance(dataset, TraceDataset):
        return not dataset.untimed
    return isinstance(dataset, BurstGptDataset) and dataset.self_timed


_GROUPS: dict[str, type[Any]] = {
    "endpoint": EndpointPlan,
    "load": LoadPlan,
    "generation": GenerationPlan,
    "dataset": RandomDataset,
    "output": OutputPlan,
    "server": ServerPlan,
    "transport": TransportPlan,
}


def _restored(kind: type[Any], values: dict[str, Any]) -> Any:
    """Build `kind` from JSON values: lists become tuples again, the text "inf" a number."""
    for key, value in values.items():
        if key == "headers":
            values[key] = tuple((name, text) for name, text in value)
        elif isinstance(value, list):
            values[key] = tuple(value)
        elif key in ("request_rate", "burstiness"):
            values[key] = float(value)
        elif key in _NESTED and isinstance(value, dict):
            values[key] = _restored(_NESTED[key], value)
    try:
        return kind(**values)
    except TypeError as error:
        raise UsageError(f"plan: {error}") from error
