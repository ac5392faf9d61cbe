from __future__ import annotations

from tokenclock.report.compare_table import legend


def test_a_median_that_lacks_six_is_no_p99_that_lacks_hundreds() -> None:
    def row(metric: str, reason: str) -> dict[str, str]:
        return {"metric": metric, "reason": reason, "method": ""}

    rows = [
        row("ttft.p99", "worth 24 independent samples, needs 368"),
        row("e2el.p99", "worth 31 independent samples, needs 368"),
        row("ttft.p50", "worth 4 independent samples, needs 6"),
        row("ttft.mean", ""),
    ]
    found = legend({"points": [{"rows": rows}], "n_tested": 0, "notes": []})
    assert found == [
        "No interval for TTFT P99, E2EL P99: worth 24 independent samples, needs 368.",
        "No interval for TTFT median: worth 4 independent samples, needs 6.",
    ]
