"""The demo's two tables, line for line."""

from __future__ import annotations

import numpy as np

from tokenclock.metrics.agreement import ServerAgreement, TruthAgreement
from tokenclock.report import agreement_table


def floats(*values: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.array(values, np.float64)


def test_our_tpot_beside_the_servers() -> None:
    agreement = ServerAgreement(np.array([0, 1]), floats(20e6, 40e6), floats(20e6, 39e6), 3)
    assert agreement_table.server(agreement).splitlines() == [
        "==== Agreement with the server's own timings =====",
        "Answers compared:                        2",
        "Left out (fewer events than tokens):     3",
        "Mean TPOT, ours (ms):                    30.000",
        "Mean TPOT, the server's (ms):            29.500",
        "Difference of the means:                 +1.6949%",
        "Largest difference of one answer:        2.5641%",
        "=" * 50,
    ]


def test_nothing_to_compare_shows_no_figures() -> None:
    none = np.zeros(0)
    server = agreement_table.server(ServerAgreement(np.zeros(0, np.int64), none, none, 2)).splitlines()
    assert server[1:-1] == [
        "Answers compared:                        0",
        "Left out (fewer events than tokens):     2",
    ]
    truth = agreement_table.truth(TruthAgreement(none, none, none, 2), None).splitlines()
    assert truth[1:-1] == [
        "Answers compared:                        0",
        "Left out (not in the truth):             2",
        "CPU of the client per token (us):        n/a",
    ]


def test_our_error_against_the_truth() -> None:
    agreement = TruthAgreement(floats(50_002_000), floats(50_000_000), floats(300, -2_000, 500), 0)
    assert agreement_table.truth(agreement, 3260.0).splitlines() == [
        "=== Our error against the paced server's truth ===",
        "Answers compared:                        1",
        "Mean TTFT, true (ms):                    50.000",
        "Error of mean TTFT (us):                 2.0",
        "Error of P99 TTFT (us):                  2.0",
        "Gaps between tokens compared:            3",
        "Error of a gap, P50 / P99 / max (us): 0.5 / 2.0 / 2.0",
        "CPU of the client per token (us):        3.26",
        "=" * 50,
    ]
