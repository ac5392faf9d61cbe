"""Drives the native load client: bodies in ahead of time, progress while it runs, Records out."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from tokenclock._core import LoadClient
from tokenclock.host_load import host_load
from tokenclock.merge import Part, merge_records
from tokenclock.plan import ServingPlan
from tokenclock.records import MISSING_NS, OSL_SOURCE_NAMES, REQUEST_COLUMNS, Records, empty_columns
from tokenclock.serving.core_waits import CoreWaits
from tokenclock.serving.cores import cores_of_workers
from tokenclock.serving.descriptors import allow_connections, most_connections
from tokenclock.serving.endpoint import Prompt, body_builder, request_head
from tokenclock.serving.endpoint_kind import EndpointKind
from tokenclock.serving.endpoint_kinds import ENDPOINT_KINDS
from tokenclock.serving.foreign_answers import settle_answers
from tokenclock.serving.history import AnswerIds
from tokenclock.serving.sessions import MOST_AT_ONCE, SessionLoad, check_conversations, conversations
from tokenclock.serving.slot_handover import MeasuredPart, with_warm_ups
from tokenclock.serving.transport import addresses_of, tls_context
from tokenclock.serving.unrecognised import Events, read_unrecognised
from tokenclock.units import NS_PER_S

__all__ = ["FinalEvents", "LoadRequests", "Observer", "client_settings", "run_load"]

Array = npt.NDArray[Any]

_AHEAD_BYTES = 64 << 20  # bodies built and not yet done with
_AHEAD_S = 0.2  # longest time spent on bodies before the first request goes out
_AHEAD_FAST_S = 5.0  # the same where bodies built during the run would take the core that has to keep the schedule
_FAST_PER_S = 500.0  # requests per second
_BATCH = 256  # bodies per hand-over
_BATCH_BYTES = 2 << 20  # beyond it a hand-over ends early: bodies with pictures take long to build
_POLL_S = 0.05  # how often progress, feeding and Ctrl-C get their turn
_NO_LIMIT = 1 << 62
_SERVER, _TOKENIZER, _EVENTS = (OSL_SOURCE_NAMES.index(name) for name in ("server usage", "tokenizer", "event count"))


@dataclass(frozen=True)
class LoadRequests:
    """What is to be sent: one entry per row.

    Args:
        prompts: text, token ids or messages of a chat.
        isl_requested: int32 (n,), tokens asked for; -1 where unknown.
        osl_requested: int32 (n,), output tokens asked for.
        t_due_ns: int64 (n,), due times after the start, rising; all zero for a closed loop.
        lora: int16 (n,), which of the plan's LoRA modules each row asks for; None: the plan's model.
        n_warm_ups: so many rows at the front are warm-ups, whose ids are `<prefix>warm-up-<i>`.
        id_prefix: row i after the warm-ups is sent with the header `x-request-id: <prefix>i`; None sends none.
        session: int64 (n,), number of each row's conversation, -1 for none; None: no row belongs to one.
        think_ns: int64 (n,), pause between an answer and the row, for later turns.
        answer_ids: token ids that stand for an answer in later turns, where prompts are token ids.
        id_numbers: int64, what stands for i there where these rows are some of a larger run's; None: the row.
    """

    prompts: Sequence[Prompt]
    isl_requested: Array
    osl_requested: Array
    t_due_ns: Array
    id_prefix: str | None = None
    lora: Array | None = None
    n_warm_ups: int = 0
    id_numbers: Array | None = None
    session: Array | None = None
    think_ns: Array | None = None
    answer_ids: AnswerIds | None = None


class FinalEvents(Protocol):
    """What became final while a run goes on: the native client, or its part that is measured."""

    def take_final(self) -> dict[str, Array]:
        """As `LoadClient.take_final`."""

    def columns(self) -> dict[str, Array]:
        """As `LoadClient.columns`."""


class Observer:
    """What wants to know how the run goes on; does nothing by itself."""

    def on_progress(self, progress: Mapping[str, int]) -> None:
        """Counters of the run so far, about 20 times a second."""

    def stop_requested(self) -> bool:
        """Whether the run is to end now; asked about 20 times a second."""
        return False

    def on_final(self, client: FinalEvents, *, ended: bool) -> None:
        """A turn to fetch what became final (`LoadClient.take_final`); the last one when the run has `ended`."""


@dataclass
class _Feeder:
    """Builds bodies in row order, never more than `_AHEAD_BYTES` ahead of the workers."""

    client: LoadClient
    build: Callable[[Prompt, int, int], bytes]
    requests: LoadRequests
    next_row: int = 0
    closed: bool = field(default=False)

    def feed(self, deadline_s: float) -> None:
        n = len(self.requests.prompts)
        while self.next_row < n and self.client.pending_bytes < _AHEAD_BYTES:
            bodies = self._bodies(range(self.next_row, min(self.next_row + _BATCH, n)))
            rows = np.arange(self.next_row, self.next_row + len(bodies), dtype=np.int32)
            offsets = np.zeros(len(bodies) + 1, dtype=np.int64)
            np.cumsum([len(body) for body in bodies], out=offsets[1:])
            lines, line_offsets = self._head_lines(rows)
            self.client.submit(b"".join(bodies), offsets, self.requests.t_due_ns[rows], rows, lines, line_offsets)
            self.next_row += len(rows)
            if time.monotonic() > deadline_s:
                break
        if self.next_row == n and not self.closed:
            self.client.close()
            self.closed = True

    @property
    def is_fast(self) -> bool:
        """Whether requests are due by a schedule at a high rate."""
        last_ns = int(self.requests.t_due_ns[-1])
        return last_ns > 0 and len(self.requests.t_due_ns) / last_ns * NS_PER_S > _FAST_PER_S

    def _bodies(self, rows: range) -> list[bytes]:
        """The bodies of these rows, or of the first of them when they are large."""
        requests, bodies, size = self.requests, list[bytes](), 0
        for row in rows:
            lora = -1 if requests.lora is None else int(requests.lora[row])
            bodies.append(self.build(requests.prompts[row], int(requests.osl_requested[row]), lora))
            size += len(bodies[-1])
            if size > _BATCH_BYTES:
                break
        return bodies

    def _head_lines(self, rows: Array) -> tuple[bytes, Array | None]:
        """Header lines of single requests and where each one's begin; nothing without ids to send."""
        if self.requests.id_prefix is None:
            return b"", None
        prefix, n_before = self.requests.id_prefix, self.requests.n_warm_ups
        numbers = (
            rows - n_before
            if self.requests.id_numbers is None
            else self.requests.id_numbers[np.maximum(rows - n_before, 0)]
        )
        names = [
            str(number) if row >= n_before else f"warm-up-{row}"
            for row, number in zip(rows.tolist(), numbers.tolist(), strict=True)
        ]
        lines = [f"x-request-id: {prefix}{name}\r\n".encode("ascii") for name in names]
        return b"".join(lines), np.cumsum([0, *map(len, lines)], dtype=np.int64)


def client_settings(plan: ServingPlan) -> dict[str, Any]:
    """Options of every native client of a run, the load's and the probes': how a request is sent and waited for."""
    return {
        "request_head": request_head(plan),
        "tls": tls_context(plan),
        "stream": plan.load.streaming,
        "keep_alive": plan.endpoint.connection == "reuse",
        "request_timeout_ns": int(plan.load.request_timeout_s * NS_PER_S),
        "no_progress_timeout_ns": int(plan.load.no_progress_timeout_s * NS_PER_S),
    }


def run_load(
    plan: ServingPlan,
    requests: LoadRequests,
    *,
    addresses: Sequence[tuple[str, int]] | None = None,
    max_concurrency: int | None = None,
    keep_text: bool = False,
    keep_all_text: bool = False,
    keep_final_event: bool = False,
    count_tokens: Callable[[str], int] | None = None,
    kernel_stamps: bool = True,
    cpus: Sequence[int] = (),
    observer: Observer | None = None,
    start_at: Callable[[], int] | None = None,
    warm_ups: Sequence[tuple[Prompt, int]] = (),
) -> Records:
    """Send the requests as the plan says and return what was seen; one row per request, failures included.

    Args:
        plan: endpoint, load and generation settings.
        requests: prompts, lengths and due times.
        addresses: of the server, numeric, or the path of its Unix socket with port 0; default: as the plan says.
        max_concurrency: slots; default: the plan's. With it and due times of zero the loop is closed.
        keep_text: keep generated text up to 64 MB (to count tokens with `count_tokens`).
        keep_all_text: keep all generated text.
        keep_final_event: keep the raw JSON of the event that carried usage.
        count_tokens: text -> tokens, for replies without usage.
        kernel_stamps: ask the kernel for receive stamps.
        cpus: cores for the worker threads; default: one each where there are two or more, else not pinned.
        observer: told about progress.
        start_at: asked once the first bodies are built: the instant of the start, ns of CLOCK_MONOTONIC; 0 and None: at
            once.
        warm_ups: prompts and output lengths of requests that are sent first, by the same slots, and are in no record.

    Returns:
        Records without the plan's secrets in its errors. `client` holds the native counters, `wall_ns`,
        `epoch_realtime_ns` (the start by the wall clock as the run's end had it, ns since 1970),
        `process_cpu_ns`, `host` (shares of all cores' time) and `interrupted` (True after Ctrl-C: what was in flight is
        `cancelled`, what was never sent `not_sent`). After warm-ups `measured_from_ns` is when the first request of
        the records was sent, ns after the start.

    Raises:
        MeasurementError: the host name is unknown.
        UsageError: more connections at once than this process may open, or TLS that cannot be spoken as asked.
    """
    if requests.session is not None:
        return _run_sessions(
            plan,
            requests,
            addresses=list(addresses or addresses_of(plan)),
            keep_all_text=keep_all_text,
            keep_final_event=keep_final_event,
            count_tokens=count_tokens,
            kernel_stamps=kernel_stamps,
            observer=observer or Observer(),
            start_at=start_at or (lambda: 0),
        )
    requests = with_warm_ups(requests, warm_ups)
    n = len(requests.prompts)
    slots = plan.load.max_concurrency if max_concurrency is None else max_concurrency
    scheduled = bool(np.any(requests.t_due_ns))
    closed_loop = slots is not None and not scheduled
    n_workers = min(plan.load.workers, slots or plan.load.workers)  # the core has none without a slot
    allow_connections(most_connections(n, slots), certain=not scheduled)
    client = LoadClient(
        addresses=list(addresses or addresses_of(plan)),
        n_rows=n,
        max_concurrency=slots or 0,
        closed_loop=closed_loop,
        n_workers=n_workers,
        kernel_stamps=kernel_stamps,
        **client_settings(plan),
        keep_text=keep_text or keep_all_text,
        text_limit_bytes=_NO_LIMIT if keep_all_text else _AHEAD_BYTES,
        keep_final_event=keep_final_event,
        cpus=list(cpus or cores_of_workers(n_workers)),
        ramp_up_ns=int(plan.load.ramp_up_s * NS_PER_S) if closed_loop else 0,
    )
    cpu_before_ns, host_before = _process_cpu_ns(), host_load()
    final = MeasuredPart(client, len(warm_ups)) if warm_ups else client
    feeder = _Feeder(client, body_builder(plan), requests)
    waits = CoreWaits(n_workers)
    epoch_ns, interrupted = _drive(client, feeder, observer or Observer(), final, start_at or (lambda: 0), waits)
    wall_ns = time.perf_counter_ns() - epoch_ns
    epoch_realtime_ns = time.time_ns() - (time.perf_counter_ns() - epoch_ns)
    counters = client.facts()
    facts = counters | {
        "workers": waits.added_to(counters["workers"]),
        "wall_ns": wall_ns,
        "epoch_realtime_ns": epoch_realtime_ns,
        "process_cpu_ns": _process_cpu_ns() - cpu_before_ns,
        "host": host_before.until(host_load()),
        "interrupted": interrupted,
        "closed_loop": closed_loop,
    }
    kind = ENDPOINT_KINDS.get(plan.endpoint.backend)
    records = _to_records(client, requests, facts, epoch_ns, count_tokens, kind, plan.load.streaming).scrubbed(
        plan.endpoint.secrets
    )
    if warm_ups:
        records = records.take(np.arange(len(warm_ups), n))
        records.columns["request_id"][:] = np.arange(n - len(warm_ups))
        sent = records.columns["t_sent_ns"][records.present("t_sent_ns")]
        records.client["measured_from_ns"] = int(sent.min(initial=wall_ns))
    return records


def _run_sessions(
    plan: ServingPlan,
    requests: LoadRequests,
    *,
    addresses: list[tuple[str, int]],
    keep_all_text: bool,
    keep_final_event: bool,
    count_tokens: Callable[[str], int] | None,
    kernel_stamps: bool,
    observer: Observer,
    start_at: Callable[[], int],
) -> Records:
    """As `run_load`, of conversations: `max_concurrency` limits those under way, pauses included."""
    limit = plan.load.max_concurrency
    closed_loop = limit is not None and not bool(np.any(requests.t_due_ns))
    assert requests.session is not None
    check_conversations(requests.session, requests.t_due_ns, limit)
    at_once = min(len(conversations(requests.session)), limit or MOST_AT_ONCE, MOST_AT_ONCE)
    allow_connections(at_once, certain=closed_loop)
    longest = int(requests.osl_requested.max(initial=1)) + 64

    def make_client(n_rows: int) -> LoadClient:
        return LoadClient(
            addresses=addresses,
            n_rows=n_rows,
            n_workers=1,
            kernel_stamps=kernel_stamps,
            **client_settings(plan),
            keep_text=True,
            text_limit_bytes=_NO_LIMIT,
            keep_final_event=keep_final_event,
            event_capacity=min(n_rows * longest, 1 << 26),
        )

    cpu_before_ns, host_before = _process_cpu_ns(), host_load()
    load = SessionLoad(
        make_client,
        body_builder(plan),
        requests,
        chat=plan.endpoint.is_chat,
        max_lanes=limit,
        closed_loop=closed_loop,
        answer_ids=requests.answer_ids,
    )
    interrupted = load.run(observer, start_at)
    facts = {
        "wall_ns": time.perf_counter_ns() - load.epoch_ns,
        "process_cpu_ns": _process_cpu_ns() - cpu_before_ns,
        "host": host_before.until(host_load()),
        "interrupted": interrupted,
        "closed_loop": closed_loop,
    }
    records = _records_of_lanes(load, requests, count_tokens, plan.load.streaming)
    texts = records.texts if keep_all_text else None
    errors = {**records.errors, **load.skipped}
    records = replace(records, client={**records.client, **facts}, texts=texts, errors=errors)
    return records.scrubbed(plan.endpoint.secrets)


def _records_of_lanes(
    load: SessionLoad, requests: LoadRequests, count_tokens: Callable[[str], int] | None, streamed: bool
) -> Records:
    """The rows of every native client, in their place."""
    parts = []
    for lane in load.lanes:
        rows = np.array(lane.rows, dtype=np.int64)
        pad = np.full(len(lane.client.columns()["status"]) - len(rows), -1, np.int32)
        own = LoadRequests(
            prompts=[""] * (len(rows) + len(pad)),
            isl_requested=np.concatenate([requests.isl_requested[rows], pad]),
            osl_requested=np.concatenate([requests.osl_requested[rows], pad]),
            t_due_ns=np.zeros(len(rows) + len(pad), np.int64),
        )
        records = _to_records(lane.client, own, lane.client.facts(), load.epoch_ns, count_tokens, None, streamed)
        parts.append(Part(rows, records.take(np.arange(len(rows)))))
    asked = {"isl_requested": requests.isl_requested, "osl_requested": requests.osl_requested}
    if requests.lora is not None:
        asked["lora"] = requests.lora
    return merge_records(parts, asked)


def _drive(
    client: LoadClient,
    feeder: _Feeder,
    observer: Observer,
    final: FinalEvents,
    start_at: Callable[[], int],
    waits: CoreWaits,
) -> tuple[int, bool]:
    """Run to the end or to Ctrl-C; returns the epoch and whether it was Ctrl-C."""
    interrupted = False
    feeder.feed(time.monotonic() + (_AHEAD_FAST_S if feeder.is_fast else _AHEAD_S))
    epoch_ns = client.start(start_at())
    waits.begin()
    try:
        while not client.wait(0.0 if client.pending_bytes == 0 and not feeder.closed else _POLL_S):
            feeder.feed(time.monotonic() + _POLL_S)
            waits.note()
            observer.on_progress(client.progress())
            observer.on_final(final, ended=False)
            if observer.stop_requested():
                interrupted = True
                client.stop()
                break
    except KeyboardInterrupt:
        interrupted = True
        client.stop()
    observer.on_progress(client.progress())
    observer.on_final(final, ended=True)
    return epoch_ns, interrupted


def _process_cpu_ns() -> int:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return int((usage.ru_utime + usage.ru_stime) * NS_PER_S)


def _to_records(
    client: LoadClient,
    requests: LoadRequests,
    facts: dict[str, Any],
    epoch_ns: int,
    count_tokens: Callable[[str], int] | None,
    kind: EndpointKind | None,
    streamed: bool,
) -> Records:
    native = client.columns()
    columns = empty_columns(len(requests.prompts))
    columns["isl_requested"] = np.asarray(requests.isl_requested, dtype=np.int32)
    columns["osl_requested"] = np.asarray(requests.osl_requested, dtype=np.int32)
    for name in columns:
        if name in native:
            columns[name] = native[name].astype(REQUEST_COLUMNS[name][0])
    if requests.lora is not None:
        columns["lora"] = np.asarray(requests.lora, dtype=np.int16)
    errors = client.errors()
    tokens = client.tokens()
    events = Events(tokens["token_offsets"], tokens["t_token_ns"], tokens["n_tokens"], tokens["t_read_ns"])
    osl_events = native["osl_events"].copy()
    osl_server, raw_events = native["osl_server"].copy(), client.raw_events()
    texts = client.reply_texts() or None
    if kind is not None:
        n_dropped = facts["n_unrecognised_dropped"]
        events, known_texts = settle_answers(
            kind, raw_events, columns, events, errors, osl_events, osl_server, streamed=streamed, n_lost=n_dropped
        )
        facts["n_resolved"] = facts["n_unrecognised"] - n_dropped
        facts["n_count_one"] = len(events.n_tokens)
        texts = None if texts is None else [known_texts.get(row, "") for row in range(len(texts))]
    elif raw_events:
        events, facts["n_resolved"] = read_unrecognised(raw_events, columns, events, errors, osl_events)
    _settle_osl(columns, osl_server, osl_events, texts, count_tokens)
    return Records(
        epoch_ns=epoch_ns,
        columns=columns,
        token_offsets=events.offsets,
        t_token_ns=events.t_token_ns,
        n_tokens=events.n_tokens,
        t_read_ns=events.t_read_ns,
        texts=texts,
        errors=errors,
        response_ids=client.response_ids(),
        final_events=client.final_events() or None,
        client=facts,
    )


def _settle_osl(
    columns: dict[str, Array],
    osl_server: Array,
    osl_events: Array,
    texts: list[str] | None,
    count_tokens: Callable[[str], int] | None,
) -> None:
    """Fill `osl` and `osl_source`: the server's usage, else the tokenizer, else the token events."""
    osl, source = columns["osl"], columns["osl_source"]
    from_server = osl_server >= 0
    osl[from_server] = osl_server[from_server]
    source[from_server] = _SERVER
    answered = ~from_server & (columns["t_last_token_ns"] != MISSING_NS)
    if texts is not None and count_tokens is not None:
        for row in np.flatnonzero(answered).tolist():
            if texts[row]:
                osl[row] = count_tokens(texts[row])
                source[row] = _TOKENIZER
    by_events = answered & (source == 0) & (osl_events > 0)
    osl[by_events] = osl_events[by_events]
    source[by_events] = _EVENTS
