"""Conversations: each turn is sent when the answer before it, and the pause behind that, are over.

Every conversation under way has a native client to itself, with one request at a time: so its answers can be read, and
the next turn built from them, while no thread writes them. Stamps are taken as ever, in native threads; this loop only
decides what follows. A client serves one conversation after the other, and keeps its connection.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from tokenclock._core import LoadClient
from tokenclock.errors import UsageError
from tokenclock.records import STATUS_NAMES
from tokenclock.serving.history import AnswerIds, History
from tokenclock.workload.messages import Prompt

__all__ = ["MOST_AT_ONCE", "Conversation", "Lane", "SessionLoad", "check_conversations", "conversations"]

Array = npt.NDArray[Any]

MOST_AT_ONCE = 1000
"""Conversations under way at once: at that number the loop that decides what follows takes a whole core."""

_OK = STATUS_NAMES.index("ok")
_LANE_ROWS = 1024  # turns that one native client sends before a new one takes its place
_LEAD_NS = 20_000_000  # how long before its time a conversation is handed over
_POLL_S = 0.001
_OBSERVE_S = 0.05
_EVENT_COLUMNS = ("event_row", "t_token_ns", "n_tokens", "t_read_ns")


@dataclass
class Conversation:
    """Rows that follow each other, by their numbers in the run."""

    rows: list[int]
    n_done: int = 0


def conversations(session: Array) -> list[Conversation]:
    """In the order of their first rows; a row of session -1 stands alone."""
    known: dict[int, Conversation] = {}
    found = []
    for row, number in enumerate(session.tolist()):
        if number >= 0 and number in known:
            known[number].rows.append(row)
            continue
        found.append(Conversation([row]))
        if number >= 0:
            known[number] = found[-1]
    return found


def check_conversations(session: Array, t_due_ns: Array, limit: int | None) -> None:
    """Raise UsageError where more conversations than can be served are to be under way at once.

    Those with times of their own begin when a place is free: how many there are at once is for the server to say.

    session, t_due_ns: of each row; limit: conversations under way at once, None for no limit.
    """
    if limit is not None and limit <= MOST_AT_ONCE:
        return
    n = len(conversations(session))
    at_once = n if limit is None else min(n, limit)
    if at_once > MOST_AT_ONCE and not bool(np.any(t_due_ns)):
        got = "no limit" if limit is None else str(limit)
        raise UsageError(
            f"--max-concurrency of conversations must be at most {MOST_AT_ONCE}, as each has a thread to itself, got "
            f"{got} for {n} of them; use several client machines"
        )


@dataclass
class Lane:
    """A native client and the conversation it serves; `rows[i]` is the run's row that its own row i is."""

    client: LoadClient
    rows: list[int] = field(default_factory=list)
    conversation: Conversation | None = None
    history: History | None = None
    closed: bool = False

    def has_room(self, n_turns: int) -> bool:
        return not self.closed and len(self.rows) + n_turns <= _LANE_ROWS


class SessionLoad:
    """Drives the lanes; what `run_load` needs of a native client, for all of them together."""

    def __init__(
        self,
        make_client: Callable[[int], LoadClient],
        build: Callable[[Prompt, int, int], bytes],
        requests: Any,
        *,
        chat: bool,
        max_lanes: int | None,
        closed_loop: bool,
        answer_ids: AnswerIds | None,
    ) -> None:
        """make_client: makes a native client for so many rows. requests: `LoadRequests` with `session`.

        max_lanes: conversations under way at once at most, MOST_AT_ONCE where None; closed_loop: one begins as soon as
            a lane is free.
        """
        self._make_client, self._build, self._requests = make_client, build, requests
        self._chat, self._answer_ids = chat, answer_ids
        self._max_lanes, self._closed_loop = min(max_lanes or MOST_AT_ONCE, MOST_AT_ONCE), closed_loop
        found = conversations(requests.session)
        found.sort(key=lambda one: int(requests.t_due_ns[one.rows[0]]))
        self._waiting = found[::-1]  # the next one is the last
        self._idle: list[Lane] = []
        self._busy: list[Lane] = []
        self.lanes: list[Lane] = []
        self.epoch_ns = 0
        self._ended: list[int] = []
        self._events: list[dict[str, Array]] = []
        self._columns: dict[str, Array] = {}
        self.skipped: dict[int, str] = {}  # rows that were never sent -> why

    def run(self, observer: Any, start_at: Callable[[], int]) -> bool:
        """To the end, or to Ctrl-C or the observer's wish; True for the latter two."""
        self._add_lane(start_at())
        interrupted, seen_s = False, 0.0
        try:
            while self._waiting or self._busy:
                self._begin_due()
                for lane in list(self._busy):
                    self._look_at(lane)
                if time.monotonic() - seen_s > _OBSERVE_S:
                    seen_s = time.monotonic()
                    observer.on_progress(self.progress())
                    observer.on_final(self, ended=False)
                    if observer.stop_requested():
                        interrupted = True
                        break
                time.sleep(_POLL_S)
        except KeyboardInterrupt:
            interrupted = True
        self._end(interrupted=interrupted)
        observer.on_progress(self.progress())
        observer.on_final(self, ended=True)
        return interrupted

    def _add_lane(self, t_epoch_ns: int) -> Lane:
        lane = Lane(self._make_client(_LANE_ROWS))
        self.lanes.append(lane)
        epoch_ns = lane.client.start(t_epoch_ns)
        self.epoch_ns = self.epoch_ns or epoch_ns
        self._idle.append(lane)
        return lane

    def _begin_due(self) -> None:
        """Hand conversations whose time has come, or is near, to free lanes."""
        while self._waiting and len(self._busy) < self._max_lanes:
            conversation = self._waiting[-1]
            now_ns = time.perf_counter_ns() - self.epoch_ns
            due_ns = now_ns if self._closed_loop else int(self._requests.t_due_ns[conversation.rows[0]])
            if due_ns > now_ns + _LEAD_NS:
                return
            self._waiting.pop()
            lane = self._free_lane(len(conversation.rows))
            lane.conversation, lane.history = conversation, History(chat=self._chat, answer_ids=self._answer_ids)
            self._busy.append(lane)
            self._send(lane, max(due_ns, 0))

    def _free_lane(self, n_turns: int) -> Lane:
        if n_turns > _LANE_ROWS:
            raise ValueError(f"a conversation must have {_LANE_ROWS} turns at most, got {n_turns}")
        while self._idle:
            lane = self._idle.pop()
            if lane.has_room(n_turns):
                return lane
            lane.client.close()
            lane.closed = True
        self._add_lane(self.epoch_ns)
        return self._idle.pop()

    def _send(self, lane: Lane, due_ns: int) -> None:
        """The lane's next turn."""
        conversation, requests = lane.conversation, self._requests
        assert conversation is not None
        assert lane.history is not None
        row = conversation.rows[conversation.n_done]
        prompt = lane.history.ask(requests.prompts[row])
        if not isinstance(prompt, str) and isinstance(prompt, Sequence):
            requests.isl_requested[row] = len(prompt)
        elif conversation.n_done:
            requests.isl_requested[row] = -1  # the answers are part of it
        lora = -1 if requests.lora is None else int(requests.lora[row])
        body = self._build(prompt, int(requests.osl_requested[row]), lora)
        line = b"" if requests.id_prefix is None else f"x-request-id: {requests.id_prefix}{row}\r\n".encode("ascii")
        local = np.array([len(lane.rows)], dtype=np.int32)
        lane.rows.append(row)
        offsets = np.array([0, len(body)], dtype=np.int64)
        ends = None if not line else np.array([0, len(line)], dtype=np.int64)
        lane.client.submit(body, offsets, np.array([due_ns], dtype=np.int64), local, line, ends)

    def _look_at(self, lane: Lane) -> None:
        """Take what became final; where the turn has ended, send the next one or let the lane go."""
        final = lane.client.take_final()
        if len(final["event_row"]):
            events = {name: final[name] for name in _EVENT_COLUMNS}
            events["event_row"] = np.asarray(lane.rows, dtype=np.int32)[events["event_row"]]
            self._events.append(events)
        if not len(final["rows"]):
            return
        local = int(final["rows"][-1])
        columns = lane.client.columns()
        self._keep(columns, local, lane.rows[local])
        self._follow(lane, local, columns)

    def _keep(self, columns: Mapping[str, Array], local: int, row: int) -> None:
        if not self._columns:
            n = len(self._requests.prompts)
            self._columns = {name: np.zeros(n, dtype=column.dtype) for name, column in columns.items()}
        for name, column in columns.items():
            self._columns[name][row] = column[local]
        self._ended.append(row)

    def _follow(self, lane: Lane, local: int, columns: Mapping[str, Array]) -> None:
        conversation, history = lane.conversation, lane.history
        assert conversation is not None
        assert history is not None
        conversation.n_done += 1
        left = conversation.rows[conversation.n_done :]
        if left and columns["status"][local] == _OK:
            counted = int(columns["osl_server"][local])
            n_tokens = counted if counted >= 0 else int(columns["osl_events"][local])
            history.answered(lane.client.reply_texts()[local], n_tokens)
            think_ns = 0 if self._requests.think_ns is None else int(self._requests.think_ns[left[0]])
            self._send(lane, int(columns["t_done_ns"][local]) + think_ns)
            return
        self.skipped |= dict.fromkeys(left, "an earlier turn of its conversation failed")
        lane.conversation = lane.history = None
        self._busy.remove(lane)
        self._idle.append(lane)

    def _end(self, *, interrupted: bool) -> None:
        for lane in self.lanes:
            if interrupted:
                lane.client.stop()
            elif not lane.closed:
                lane.client.close()
        if interrupted:
            for lane in self._busy:
                final = lane.client.take_final()
                for local in final["rows"].tolist():
                    self._keep(lane.client.columns(), local, lane.rows[local])
        else:
            for lane in self.lanes:
                lane.client.wait(60.0)

    def progress(self) -> dict[str, int]:
        """The counters of all lanes together."""
        total: dict[str, int] = {}
        for lane in self.lanes:
            for name, value in lane.client.progress().items():
                total[name] = total.get(name, 0) + value
        return total

    def take_final(self) -> dict[str, Array]:
        """As `LoadClient.take_final`, by the run's rows."""
        events, self._events = self._events, []
        rows, self._ended = self._ended, []
        taken: dict[str, Array] = {
            name: np.concatenate([part[name] for part in events]) if events else np.zeros(0, np.int64)
            for name in _EVENT_COLUMNS
        }
        order = np.argsort(taken["t_read_ns"], kind="stable")
        return {**{name: values[order] for name, values in taken.items()}, "rows": np.array(rows, dtype=np.int32)}

    def columns(self) -> dict[str, Array]:
        """As `LoadClient.columns`, of the rows that have ended."""
        return self._columns
