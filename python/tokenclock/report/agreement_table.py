"""The two tables of the demo: our TPOT beside a server's own timings, and our error against a known truth."""

from __future__ import annotations

from tokenclock.metrics.agreement import ServerAgreement, TruthAgreement
from tokenclock.report.format import fixed_ms, fixed_us, heading, own_row, rule

__all__ = ["server", "truth"]


def server(agreement: ServerAgreement) -> str:
    """Mean TPOT of both sides and how far they are apart."""
    n = len(agreement.rows)
    lines = [heading(" Agreement with the server's own timings ", "="), own_row("Answers compared:", str(n))]
    if agreement.n_left_out:
        lines.append(own_row("Left out (fewer events than tokens):", str(agreement.n_left_out)))
    if n:
        lines += [
            own_row("Mean TPOT, ours (ms):", fixed_ms(float(agreement.ours_ns.mean()), 3)),
            own_row("Mean TPOT, the server's (ms):", fixed_ms(float(agreement.server_ns.mean()), 3)),
            own_row("Difference of the means:", f"{agreement.difference_of_means:+.4%}"),
            own_row("Largest difference of one answer:", f"{agreement.largest_difference:.4%}"),
        ]
    return "\n".join([*lines, rule()])


def truth(agreement: TruthAgreement, cpu_ns_per_event: float | None) -> str:
    """Errors of TTFT and of each gap in us, and what a token cost us."""
    lines = [heading(" Our error against the paced server's truth ", "=")]
    lines.append(own_row("Answers compared:", str(len(agreement.ttft_ns))))
    if agreement.n_left_out:
        lines.append(own_row("Left out (not in the truth):", str(agreement.n_left_out)))
    if len(agreement.ttft_ns):
        lines += [
            own_row("Mean TTFT, true (ms):", fixed_ms(float(agreement.true_ttft_ns.mean()), 3)),
            own_row("Error of mean TTFT (us):", fixed_us(agreement.mean_ttft_error_ns, 1)),
            own_row("Error of P99 TTFT (us):", fixed_us(agreement.ttft_error_ns(99), 1)),
            own_row("Gaps between tokens compared:", str(len(agreement.gap_errors_ns))),
        ]
    if len(agreement.gap_errors_ns):
        errors = [fixed_us(agreement.gap_error_ns(p), 1) for p in (50, 99, 100)]
        lines.append(own_row("Error of a gap, P50 / P99 / max (us):", " / ".join(errors)))
    lines.append(own_row("CPU of the client per token (us):", fixed_us(cpu_ns_per_event, 2)))
    return "\n".join([*lines, rule()])
