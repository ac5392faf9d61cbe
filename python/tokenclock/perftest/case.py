"""One item of a performance-test session."""

from __future__ import annotations

from dataclasses import dataclass

from tokenclock.perftest.label import Label

__all__ = ["Case", "ServerCase"]


@dataclass(frozen=True)
class ServerCase:
    """Servers of a YAML file with their clients.

    Args:
        yaml: name of the file in the folder of configurations, without suffix.
        server: name of one of its servers; None: all.
        clients: names of that server's clients; empty: all.
        form: ``aggregated``, or what makes it a case that is not run: ``ctx_only``, ``gen_only``, ``e2e``.
    """

    yaml: str
    server: str | None = None
    clients: tuple[str, ...] = ()
    form: str = "aggregated"

    def canonical(self) -> str:
        """The label of the case, in the form of the performance tests of servers."""
        if self.form != "aggregated":
            upload = "aggr" if self.form == "ctx_only" else "disagg"
            return f"{upload}_upload-{self.form}-{self.yaml}"
        clients = f":{'+'.join(self.clients)}" if self.clients else ""
        return f"perf_sanity-{self.yaml}" + (f"-{self.server}{clients}" if self.server is not None else "")


@dataclass(frozen=True)
class Case:
    """What one entry of a test list asks for.

    Args:
        name: node id as listed, without the prefix of the session: ``perf/test_perf.py::test_perf[...]``.
        written: text between the brackets.
        label: what it says.
        timeout_s: after which the case ends; None: none.
        canonical: the label's canonical form, which names the case in results.
    """

    name: str
    written: str
    label: Label | ServerCase
    timeout_s: float | None
    canonical: str
