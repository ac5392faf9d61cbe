"""How far our stamps are from somebody else's: a server that times itself, or one that acts on a known schedule."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tokenclock.records import Records
from tokenclock.units import NS_PER_MS

__all__ = ["ServerAgreement", "agreement_with_server"]


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
