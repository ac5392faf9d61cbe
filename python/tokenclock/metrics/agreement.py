"""How far our stamps are from somebody else's: a server that times itself, or one that acts on a known schedule."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from tokenclock.metrics.summary import rank_percentile
from tokenclock.records import MISSING_NS, Records
from tokenclock.units import NS_PER_MS

__all__ = ["SendLog", "ServerAgreement", "TruthAgreement", "agreement_with_server", "agreement_with_truth"]


@dataclass(frozen=True)
class ServerAgreement:
    """Our TPOT against the server's own, one row per answer compared.

    Args:
        rows: int64 (k,), the rows of the records.
        ours_ns: float64 (k,), (last token - first token) / (OSL - 1) by our stamps.
        server_ns: float64 (k,), what the server timed.
        n_left_out: answers that ended well but cannot be compared: no timings, fewer than two tokens, or fewer events
            than tokens (a server that holds text back shows neither its first nor its last token in time).
    """

    rows: npt.NDArray[np.int64]
    ours_ns: npt.NDArray[np.float64]
    server_ns: npt.NDArray[np.float64]
    n_left_out: int

    @property
    def differences(self) -> npt.NDArray[np.float64]:
        """float64 (k,): ours / server's - 1, so 0.01 is one percent too long."""
        return self.ours_ns / self.server_ns - 1.0

    @property
    def difference_of_means(self) -> float:
        """Mean TPOT of ours against the server's, as a share; NaN when nothing can be compared."""
        return float(self.ours_ns.mean() / self.server_ns.mean() - 1.0) if len(self.rows) else float("nan")

    @property
    def largest_difference(self) -> float:
        """The largest difference of one answer, as a share without sign; NaN when nothing can be compared."""
        return float(np.abs(self.differences).max()) if len(self.rows) else float("nan")


def agreement_with_server(records: Records) -> ServerAgreement:
    """Compare TPOT with the `timings` that llama.cpp's server puts into its last event.

    Its `predicted_per_token_ms` is the time from the first token to the last, divided by the tokens less one: TPOT.

    Args:
        records: of a streaming run that kept its final events.
    """
    rows, ours_ns, server_ns = [], [], []
    n_events = np.diff(records.token_offsets)
    for row in np.flatnonzero(records.ok).tolist():
        theirs_ms = _timed_by_server(records.final_events[row] if records.final_events else b"")
        osl = int(records.columns["osl"][row])
        if theirs_ms is None or osl < 2 or n_events[row] != osl:
            continue
        first, last = (
            records.t_token_ns[records.token_offsets[row]],
            records.t_token_ns[records.token_offsets[row + 1] - 1],
        )
        rows.append(row)
        ours_ns.append(float(last - first) / (osl - 1))
        server_ns.append(theirs_ms * NS_PER_MS)
    return ServerAgreement(
        np.asarray(rows, np.int64),
        np.asarray(ours_ns, np.float64),
        np.asarray(server_ns, np.float64),
        int(records.ok.sum()) - len(rows),
    )


def _timed_by_server(final_event: bytes) -> float | None:
    """`timings.predicted_per_token_ms` of an event, where it is there and positive."""
    try:
        value = json.loads(final_event)["timings"]["predicted_per_token_ms"]
    except (ValueError, KeyError, TypeError):
        return None
    return float(value) if isinstance(value, int | float) and value > 0 else None


class SendLog(Protocol):
    """What is needed of a paced server's truth (`tokenclock.serving.paced_truth.Truth`)."""

    @property
    def n_requests(self) -> int:
        """Requests logged."""

    @property
    def ttft_ns(self) -> npt.NDArray[np.int64]:
        """Per request: first send with tokens - arrival of its last byte; MISSING_NS where there was none."""

    def content_sends(self, request: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[Any]]:
        """Instants of one request's sends that carried tokens, and how many each carried."""


@dataclass(frozen=True)
class TruthAgreement:
    """Our stamps against a paced server's log of what it did. All values are ns; an error is ours - truth.

    Args:
        ttft_ns: float64 (k,), ours, one row per request found in both.
        true_ttft_ns: float64 (k,), first send with tokens - arrival of the request's last byte.
        gap_errors_ns: float64 (m,), each gap between token events against the gap between its sends.
        n_left_out: answers that ended well but are not in the truth, or have other events than it has sends.
    """

    ttft_ns: npt.NDArray[np.float64]
    true_ttft_ns: npt.NDArray[np.float64]
    gap_errors_ns: npt.NDArray[np.float64]
    n_left_out: int

    @property
    def mean_ttft_error_ns(self) -> float:
        """Our mean TTFT - the true one; NaN when nothing was matched."""
        return float(self.ttft_ns.mean() - self.true_ttft_ns.mean()) if len(self.ttft_ns) else float("nan")

    def ttft_error_ns(self, percentile: float) -> float:
        """Our percentile of TTFT - the true one, both by rank; NaN when nothing was matched."""
        ours, true = (rank_percentile(np.sort(values), percentile) for values in (self.ttft_ns, self.true_ttft_ns))
        return float("nan") if ours is None or true is None else ours - true

    def gap_error_ns(self, percentile: float) -> float:
        """That percentile, by rank, of the errors of the gaps without their signs; NaN when there is no gap."""
        value = rank_percentile(np.sort(np.abs(self.gap_errors_ns)), percentile)
        return float("nan") if value is None else value


def agreement_with_truth(records: Records, truth: SendLog) -> TruthAgreement:
    """Compare a run with what the paced server it ran against really did; rows join by the id of the reply.

    Args:
        records: of a streaming run whose response ids were kept (``paced-<k>``).
        truth: of a server that sends one event at a time, each with its own send.
    """
    ttft, true_ttft, gap_errors = [], [], []
    true_ttft_of = truth.ttft_ns
    columns, ids = records.columns, records.response_ids or []
    for row in np.flatnonzero(records.ok).tolist():
        k = _index_of(ids[row], truth.n_requests) if row < len(ids) else None
        if k is None or true_ttft_of[k] == MISSING_NS:
            continue
        sends, _ = truth.content_sends(k)
        events = records.t_token_ns[records.token_offsets[row] : records.token_offsets[row + 1]]
        if len(sends) != len(events):
            continue
        ttft.append(float(columns["t_first_token_ns"][row] - columns["t_sent_ns"][row]))
        true_ttft.append(float(true_ttft_of[k]))
        gap_errors.append((np.diff(events) - np.diff(sends)).astype(np.float64))
    return TruthAgreement(
        np.asarray(ttft, np.float64),
        np.asarray(true_ttft, np.float64),
        np.concatenate(gap_errors) if gap_errors else np.zeros(0, np.float64),
        int(records.ok.sum()) - len(ttft),
    )


def _index_of(response_id: str, n: int) -> int | None:
    """`paced-<k>` -> k, where the truth has such a row."""
    number = response_id.removeprefix("paced-")
    return int(number) if response_id.startswith("paced-") and number.isdecimal() and int(number) < n else None
