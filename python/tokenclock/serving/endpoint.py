"""Where requests go and what they say: URL, head and body bytes of an OpenAI-compatible server."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import SplitResult, urlsplit

from tokenclock.errors import MeasurementError, UsageError
from tokenclock.plan import ServingPlan
from tokenclock.serving.endpoint_kinds import ENDPOINT_KINDS
from tokenclock.workload.messages import Messages, Prompt, Ranking, Texts

__all__ = ["BodyBuilder", "Endpoint", "Prompt", "body_builder", "request_body", "request_head"]

_compact_json = json.JSONEncoder(separators=(",", ":")).encode  # made once; quicker than joining str() of ids
_DEFAULT_PORTS = {"http": 80, "https": 443}
_DEFAULT_HEADERS = (
    ("User-Agent", "tokenclock"),
    ("Accept", "text/event-stream, application/json"),
    ("Content-Type", "application/json"),
)


@dataclass(frozen=True)
class Endpoint:
    """One server and the path prefix under which its API lies."""

    host: str  # without brackets
    port: int
    prefix: str = ""  # path of the base URL, without a final slash
    scheme: str = "http"  # http | https

    @classmethod
    def parse(cls, base_url: str) -> Endpoint:
        """Read a base URL such as `https://[::1]:8000/gateway`. Raises UsageError with the remedy."""
        shape = "http(s)://HOST[:PORT][/PREFIX]"
        parts = _split(base_url, shape)
        if parts.scheme not in _DEFAULT_PORTS:
            raise UsageError(f"--base-url must be {shape}, got {base_url}")
        if parts.username is not None or parts.password is not None:
            raise UsageError("--base-url must not hold a user or password; use --header 'Authorization: Basic ...'")
        if parts.query or parts.fragment:
            raise UsageError("--base-url must not hold a query or fragment; put a query into --endpoint")
        host, prefix = (parts.hostname or "").replace("%25", "%"), parts.path.rstrip("/")
        if not host or any(character.isspace() for character in base_url) or not prefix.isascii():
            raise UsageError(f"--base-url must be {shape}, got {base_url}")
        try:
            port = parts.port if parts.port is not None else _DEFAULT_PORTS[parts.scheme]
        except ValueError as error:
            raise UsageError(f"--base-url must be {shape} with a port in 1..65535, got {base_url}") from error
        if port == 0:
            raise UsageError(f"--base-url must be {shape} with a port in 1..65535, got {base_url}")
        return cls(host, port, prefix, parts.scheme)

    @property
    def is_tls(self) -> bool:
        """Whether the server is spoken to by TLS."""
        return self.scheme == "https"

    @property
    def tls_host(self) -> str:
        """What the server's certificate must be for: a name in its ASCII form, or an address without brackets."""
        return self.host.partition("%")[0] if ":" in self.host else _ascii_host(self.host)

    @property
    def host_header(self) -> str:
        """Value of the Host header: IPv6 in brackets, the scheme's own port left out, names in their ASCII form."""
        host = f"[{self.host.partition('%')[0]}]" if ":" in self.host else _ascii_host(self.host)
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    def url(self, path: str = "") -> str:
        """The full URL of `path` below the prefix, for messages."""
        return f"{self.scheme}://{self.host_header}{self.prefix}{path}"

    def resolve(self) -> list[tuple[str, int]]:
        """All (numeric address, port) of the host, IPv4 and IPv6, in the resolver's order.

        Raises MeasurementError when the name is unknown.
        """
        try:
            found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise MeasurementError(
                f"host {self.host} cannot be resolved ({reason}); check --base-url or --host, or give an address"
            ) from error
        return list(dict.fromkeys((str(address[4][0]), self.port) for address in found))


def _split(base_url: str, shape: str) -> SplitResult:
    try:
        return urlsplit(base_url)
    except ValueError as error:  # unbalanced brackets, for one
        raise UsageError(f"--base-url must be {shape}, got {base_url}") from error


def _ascii_host(host: str) -> str:
    try:
        return host if host.isascii() else host.encode("idna").decode("ascii")
    except UnicodeError as error:
        raise UsageError(f"--base-url: {host} is no valid host name") from error


def request_head(plan: ServingPlan, host_header: str | None = None) -> bytes:
    """Request line and headers of every request, each line ended by CRLF, in the order they are sent.

    Without Content-Length and without the closing blank line: the native client appends both.
    The user's headers replace ours of the same name, whatever their case.
    """
    endpoint = Endpoint.parse(plan.endpoint.base_url)
    headers = {"host": ("Host", host_header or endpoint.host_header)}
    headers |= {name.lower(): (name, value) for name, value in _DEFAULT_HEADERS}
    if plan.endpoint.api_key is not None:
        headers["authorization"] = ("Authorization", f"Bearer {plan.endpoint.api_key}")
    if plan.endpoint.connection == "new":
        headers["connection"] = ("Connection", "close")
    headers |= {name.lower(): (name, value) for name, value in plan.endpoint.headers}
    lines = [f"POST {endpoint.prefix}{plan.endpoint.path} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in headers.values()]
    return "".join(f"{line}\r\n" for line in lines).encode("latin-1")


def request_body(plan: ServingPlan, prompt: Prompt, osl: int, lora: int = -1) -> bytes:
    """One request body as JSON bytes. For many, keep a `body_builder(plan)`."""
    return body_builder(plan)(prompt, osl, lora)


class BodyBuilder(Protocol):
    """Makes bodies of one plan."""

    def __call__(self, prompt: Prompt, osl: int, lora: int = -1) -> bytes:
        """The JSON body of a prompt and an output length in tokens, for the plan's LoRA module `lora` (-1: none)."""


def body_builder(plan: ServingPlan) -> BodyBuilder:
    """A function that makes bodies, with everything constant built once."""
    if plan.endpoint.backend == "rerank":
        return _rerank_builder(plan)
    templates = {form: _template(plan, form) for form in _forms(plan)}
    models = [json.dumps(name) for name in (*plan.endpoint.lora_modules, plan.endpoint.body_model)]  # -1 is the last

    def template(form: str, osl: int) -> _Template:
        if form not in templates:
            raise TypeError(f"--backend {plan.endpoint.backend} takes {' or '.join(templates)}, not {form}")
        return templates[form](osl)

    def build(prompt: Prompt, osl: int, lora: int = -1) -> bytes:
        if isinstance(prompt, str):
            return template("text", osl).fill(json.dumps(prompt), osl, models[lora])
        if isinstance(prompt, Messages):
            return template("messages", osl).fill(prompt.json, osl, models[lora])
        if isinstance(prompt, Texts):
            return template("texts", osl).fill(prompt.json, osl, models[lora])
        if isinstance(prompt, Ranking):
            raise TypeError("a query with documents is for --backend rerank")
        return template("ids", osl).fill(_compact_json(list(prompt)), osl, models[lora])

    return build


def _forms(plan: ServingPlan) -> tuple[str, ...]:
    kind = ENDPOINT_KINDS.get(plan.endpoint.backend)
    if kind is not None:
        return kind.forms
    return ("text", "ids", "messages") if plan.endpoint.is_chat else ("text", "ids")


def _rerank_builder(plan: ServingPlan) -> BodyBuilder:
    """Bodies of rankings: short-lived dicts, as the documents' place depends on the style."""
    names = (*plan.endpoint.lora_modules, plan.endpoint.body_model)
    fields = ENDPOINT_KINDS["rerank"].fields

    def build(prompt: Prompt, osl: int, lora: int = -1) -> bytes:
        if not isinstance(prompt, Ranking):
            raise TypeError("--backend rerank takes a query with documents")
        return _compact_json(fields(plan, names[lora], prompt.parts(), osl, "ranking")).encode()

    return build


def _template(plan: ServingPlan, form: str) -> Callable[[int], _Template]:
    """The template for an output length; without one (below 0) the body has no field for it."""
    full, bare = _Template(plan, form), _Template(plan, form, with_length=False)
    return lambda osl: full if osl >= 0 else bare


class _Template:
    """The constant JSON text of a body, cut where the prompt, the output length and the model's name go."""

    _PROMPT, _LENGTH, _MODEL = "\0prompt\0", "\0length\0", "\0model\0"  # NUL cannot stand in a header

    def __init__(self, plan: ServingPlan, form: str, *, with_length: bool = True) -> None:
        length = self._LENGTH if with_length else None
        text = _compact_json(_fields(plan, self._MODEL, self._PROMPT, length, form=form))
        self._pieces: list[str] = []  # constant text; between pieces i and i+1 goes slot i
        self._slots: list[str] = []
        marks = {json.dumps(mark): mark for mark in (self._PROMPT, self._LENGTH, self._MODEL)}
        while found := min(((text.find(mark), mark) for mark in marks if mark in text), default=None):
            at, mark = found
            self._pieces.append(text[:at])
            self._slots.append(marks[mark])
            text = text[at + len(mark) :]
        self._pieces.append(text)

    def fill(self, prompt_json: str, osl: int, model_json: str) -> bytes:
        values = {self._PROMPT: prompt_json, self._LENGTH: str(osl), self._MODEL: model_json}
        parts = [self._pieces[0]]
        for slot, piece in zip(self._slots, self._pieces[1:], strict=True):
            parts += (values[slot], piece)
        return "".join(parts).encode()


def _fields(plan: ServingPlan, model: Any, prompt: Any, osl: Any, *, form: str) -> dict[str, Any]:
    """The body as a dict: the fields and their order of the tool whose command this is."""
    kind = ENDPOINT_KINDS.get(plan.endpoint.backend)
    if kind is not None:
        return kind.fields(plan, model, prompt, osl, form)
    generation = plan.generation
    fields: dict[str, Any] = {"model": model}
    if plan.endpoint.is_chat:
        if form == "ids":
            fields |= {"messages": [], "prompt_token_ids": prompt}
        elif form == "messages":
            fields["messages"] = prompt
        else:
            fields["messages"] = [{"role": "user", "content": prompt}]
        fields["temperature"] = generation.temperature
        fields[generation.length_field or "max_completion_tokens"] = osl
    else:
        fields |= {"prompt": prompt, "temperature": generation.temperature}
        fields["repetition_penalty"] = 1.0
        fields[generation.length_field or "max_tokens"] = osl
    fields["stream"] = plan.load.streaming
    fields["stream_options"] = {"include_usage": True} if plan.load.streaming else None
    if generation.logprobs is not None:
        fields |= (
            {"logprobs": True, "top_logprobs": generation.logprobs}
            if plan.endpoint.is_chat
            else {"logprobs": generation.logprobs}
        )
    fields["ignore_eos"] = generation.ignore_eos or None
    fields |= {"top_p": generation.top_p, "top_k": generation.top_k, "min_p": generation.min_p}
    fields |= {
        "frequency_penalty": generation.frequency_penalty,
        "presence_penalty": generation.presence_penalty,
        "chat_template_kwargs": generation.chat_template_kwargs,
    }
    if generation.repetition_penalty is not None:
        fields["repetition_penalty"] = generation.repetition_penalty
    fields |= generation.extra_body
    return {key: value for key, value in fields.items() if value is not None}
