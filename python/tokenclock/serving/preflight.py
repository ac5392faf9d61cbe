"""Before the run: one test request that must succeed, and warm-up requests; neither reuses a measured prompt."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from tokenclock.errors import MeasurementError
from tokenclock.plan import ServingPlan
from tokenclock.records import STATUS_NAMES, Records
from tokenclock.serving.client import LoadRequests, run_load
from tokenclock.serving.endpoint import Endpoint, Prompt
from tokenclock.serving.server import ask_models
from tokenclock.serving.silence import SilenceWatch
from tokenclock.standard_error import say_on_stderr

__all__ = ["explain_failure", "send_test_request", "send_warmups", "wait_until_up"]

_RETRY_S = 0.5
_OK = STATUS_NAMES.index("ok")


def wait_until_up(plan: ServingPlan, deadline_s: float, say: Callable[[str], None]) -> None:
    """Before anything is asked of the server: wait until it answers at all, until the deadline (`time.monotonic`).

    What it says of its models decides what the prompts are, so a server that comes up late must not change them.
    """
    told = False
    while time.monotonic() < deadline_s and not ask_models(plan).is_up:
        if not told:
            say(
                f"tokenclock serving: waiting up to {plan.load.ready_check_timeout_s:g} s "
                f"for {plan.endpoint.base_url} to answer"
            )
            told = True
        time.sleep(max(0.0, min(_RETRY_S, deadline_s - time.monotonic())))


def send_test_request(
    plan: ServingPlan,
    spare: tuple[Prompt, int],
    addresses: Sequence[tuple[str, int]],
    deadline_s: float = 0.0,
    say: Callable[[str], None] = say_on_stderr,
) -> Records:
    """Send one request; while it fails, again every half second until the deadline (`time.monotonic`; past: one try).

    A certificate that is not trusted is final: no waiting makes it another one.

    Raises MeasurementError with one line that says what is wrong and what to do; KeyboardInterrupt on Ctrl-C.
    """
    while True:
        left_s = deadline_s - time.monotonic()
        records = _send(_hurried(plan, left_s), [spare], addresses, say)
        if records.ok[0]:
            return records
        if left_s <= 0 or _is_distrust(records.errors.get(0, "")):
            raise MeasurementError(explain_failure(plan, records, 0))
        time.sleep(min(_RETRY_S, left_s))


def _hurried(plan: ServingPlan, left_s: float) -> ServingPlan:
    """While waiting for a server, one silent try must not use up the time of all others."""
    if left_s <= 0:
        return plan
    limits = [limit for limit in (plan.load.request_timeout_s, max(left_s, 1.0)) if limit > 0]
    return replace(plan, load=replace(plan.load, request_timeout_s=min(limits)))


def send_warmups(
    plan: ServingPlan,
    spares: Sequence[tuple[Prompt, int]],
    addresses: Sequence[tuple[str, int]],
    say: Callable[[str], None] = say_on_stderr,
) -> Records:
    """Send the warm-up requests at the run's concurrency. Raises MeasurementError when none succeeded."""
    records = _send(plan, spares, addresses, say, max_concurrency=plan.load.max_concurrency)
    if not records.ok.any():
        raise MeasurementError(f"all {len(spares)} warm-up requests failed: {explain_failure(plan, records, 0)}")
    return records


def _send(
    plan: ServingPlan,
    spares: Sequence[tuple[Prompt, int]],
    addresses: Sequence[tuple[str, int]],
    say: Callable[[str], None],
    max_concurrency: int | None = 1,
) -> Records:
    n = len(spares)
    requests = LoadRequests(
        prompts=[prompt for prompt, _ in spares],
        isl_requested=np.full(n, -1, np.int32),
        osl_requested=np.array([osl for _, osl in spares], np.int32),
        t_due_ns=np.zeros(n, np.int64),
    )
    silence = SilenceWatch(plan.load, say)
    records = silence.settled_records(
        run_load(plan, requests, addresses=addresses, max_concurrency=max_concurrency, observer=silence)
    )
    if records.client["interrupted"]:
        raise KeyboardInterrupt
    return records


def explain_failure(plan: ServingPlan, records: Records, row: int) -> str:
    """One line on why the request failed and what to do about it."""
    status = STATUS_NAMES[records.columns["status"][row]]
    http_status = int(records.columns["http_status"][row])
    said = _readable(records.errors.get(row, ""))
    url = Endpoint.parse(plan.endpoint.base_url).url(plan.endpoint.path)
    if status == "connect_error" and said.startswith("TLS: "):
        return f"{url}: {said}; {_tls_remedy(said)}"
    if status == "connect_error" and "Cannot assign requested address" in said:
        reuses = plan.endpoint.connection == "reuse"
        remedy = "the server closes them: let it keep them" if reuses else "give --connection reuse"
        return f"no local port is left for {url} ({said.removeprefix('connect: ')}); {remedy}, or send less"
    if status == "connect_error" and "Too many open files" in said:
        return f"no descriptor was left to connect to {url}; say `ulimit -n 65536`, or lower --max-concurrency"
    if status == "connect_error" and plan.transport.unix_socket is not None:
        said = said.removeprefix("connect: ")
        return f"no server at {plan.transport.unix_socket} ({said}); start it, or check --unix-socket"
    if status == "connect_error":
        return f"no server at {url} ({said.removeprefix('connect: ')}); start it, or check --base-url, --host, --port"
    if status == "http_error":
        excerpt = f" ({said[:200]})" if said else ""
        return f"{url} answered HTTP {http_status}{excerpt}; {_http_remedy(plan, http_status, said)}"
    if status in ("timeout", "stalled"):
        flags = {"no-progress": "--no-progress-timeout", "--silence-timeout": "--silence-timeout"}
        limit = next((flag for mark, flag in flags.items() if mark in said), "--request-timeout")
        return f"{url} did not answer in time ({said}); look at the server's log, or raise {limit}"
    if status == "stream_error":
        return f"{url} sent an error inside its answer ({said[:200]}); look at the server's log"
    if status == "protocol_error":
        return (
            f"{url} does not answer like an OpenAI-compatible server ({said[:200]}); check --endpoint and --backend"
            + (", and whether it wants https://" if url.startswith("http:") else "")
        )
    if records.columns["bytes_received"][row] == 0 and url.startswith("http:"):
        return f"{url} did not answer ({said or status}); look at the server's log, or use https:// if it speaks TLS"
    return f"{url}: the answer broke off ({said or status}); look at the server's log"


_TLS_REMEDIES = {
    "has expired": "renew it, or check nothing by --insecure",
    "not valid yet": "check this machine's date, or check nothing by --insecure",
    "is self-signed": "give that certificate by --cacert FILE, or check nothing by --insecure",
    "that is not trusted": "give that last certificate by --cacert FILE, or check nothing by --insecure",
    "unknown authority": "give its certificate by --cacert FILE or SSL_CERT_FILE, or check nothing by --insecure",
    "another host name": "use the certificate's name in --base-url, or check nothing by --insecure",
    "another address": "use a name or address of the certificate in --base-url, or check nothing by --insecure",
    "does not speak TLS": "use http:// in --base-url, or check the port",
    "asks for a certificate": "give it by --cert FILE and --key FILE",
    "refuses our certificate": "check --cert and --key",
    "refuses the handshake": "it may want a certificate (--cert and --key), or speak neither TLS 1.2 nor 1.3",
}


_DISTRUST = tuple(words for words, remedy in _TLS_REMEDIES.items() if remedy.endswith("by --insecure"))


def _is_distrust(said: str) -> bool:
    return said.startswith("TLS: ") and any(words in said for words in _DISTRUST)


def _tls_remedy(said: str) -> str:
    found = [remedy for words, remedy in _TLS_REMEDIES.items() if words in said]
    return found[0] if found else "check that it speaks TLS on that port, or use http:// in --base-url"


def _readable(text: str) -> str:
    """The text on one line; what is no text (a compressed body, say) is called so."""
    strange = sum(not character.isprintable() and not character.isspace() for character in text)
    if strange + text.count("\ufffd") > len(text) / 10:
        return f"{len(text)} characters that are no text; compressed?"
    return " ".join(text.split())


def _http_remedy(plan: ServingPlan, http_status: int, said: str) -> str:
    if 300 <= http_status < 400:
        return "redirects are not followed: name the final address in --base-url, and the path in --endpoint"
    if http_status in (401, 403):
        return "set OPENAI_API_KEY, or --header 'Authorization: Bearer ...'"
    if http_status in (400, 404, 422):
        names = ask_models(plan).names
        if names and plan.endpoint.body_model not in names and "model" in said.lower():
            return f"the server's models are {', '.join(names[:5])}: check --model or --served-model-name"
        if http_status == 404:
            return "check --endpoint and --backend, and the path in --base-url"
        if "messages" in said.lower() and not plan.endpoint.is_chat:
            return "the server wants a chat's messages: give --backend openai-chat"
        if plan.endpoint.backend == "embeddings" and plan.endpoint.tokenizer is None:
            return "where the server takes no token ids, --tokenizer DIR sends text; else check the prompt length"
        return "check the prompt length against the server's limit, and the flags that shape the body"
    if http_status == 405:
        return f"that path takes no POST: check --endpoint, which is {plan.endpoint.path}"
    if http_status in (429, 503):
        return "the server refuses load: lower --max-concurrency or --request-rate, or wait until it is ready"
    return "look at the server's log"
