"""One performance test: an entry of a test list that has been read."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tokenclock.perftest.label import Label, LabelError, parse_label

__all__ = ["CASE_PREFIX", "SERVER_PREFIX", "Case", "ServerCase", "case_of", "parse_server_case"]

CASE_PREFIX = "perf/test_perf.py::test_perf"
SERVER_PREFIX = "perf/test_perf_sanity.py::test_e2e"
_NODE = re.compile(r"(?:.*/)?(perf/test_perf\.py::test_perf|perf/test_perf_sanity\.py::test_e2e)\[(.*)\]", re.DOTALL)
_SERVER_FORMS = ("perf_sanity-", "aggr_upload-", "disagg_upload-")
_DISAGGREGATED = ("ctx_only-", "gen_only-", "e2e-")


@dataclass(frozen=True)
class ServerCase:
    """A server and its clients, described in a YAML file.

    Args:
        yaml: stem of the file.
        server: name within the file; None: all.
        clients: names of the server's clients; empty: all.
    """

    yaml: str
    server: str | None = None
    clients: tuple[str, ...] = ()


@dataclass(frozen=True)
class Case:
    """One item.

    Args:
        name: node id as listed, without test prefix.
        written: text between the brackets.
        label: what it says.
        timeout_s: seconds until it is given up; None: no limit.
        canonical: the one spelling of this configuration.
    """

    name: str
    written: str
    label: Label | ServerCase
    timeout_s: float | None
    canonical: str


def case_of(entry: str, timeout_s: float | None = None) -> Case | None:
    """The case that an entry names; None where the entry is a test of another kind.

    Args:
        entry: a node id with or without test prefix, or a plain label.
        timeout_s: of the entry.

    Raises:
        LabelError: it is a case, and its label cannot be read.
    """
    found = _NODE.fullmatch(entry)
    if found is None and ("::" in entry or entry.endswith(".py")):
        return None
    node, written = (None, entry) if found is None else (found[1], found[2])
    if written.startswith(_SERVER_FORMS):
        label: Label | ServerCase = parse_server_case(written)
        canonical = written
        default = CASE_PREFIX if written.startswith("perf_sanity-") else SERVER_PREFIX
    elif node == SERVER_PREFIX:
        expected = "aggr_upload-<yaml>-<server>"
        raise LabelError(f"expected {expected} in test_e2e, got {written!r}", written, 0, len(written))
    else:
        label = parse_label(written)
        canonical, default = label.canonical(), CASE_PREFIX
    return Case(f"{node or default}[{written}]", written, label, timeout_s, canonical)


def parse_server_case(text: str) -> ServerCase:
    """Read ``perf_sanity-<yaml>[-<server>[:<client>],...]``, ``aggr_upload-<yaml>-<server>`` or a disaggregated form.

    Raises:
        LabelError: no YAML is named, or more than one server.
    """
    form, _, rest = text.partition("-")
    position = len(form) + 1
    for kind in _DISAGGREGATED:
        if form != "perf_sanity" and rest.startswith(kind):
            rest, position = rest[len(kind) :], position + len(kind)
            if rest:
                return ServerCase(rest)
    yaml, hyphen, named = rest.partition("-")
    if not yaml or (hyphen and not named):
        raise LabelError(f"expected {form}-<yaml>-<server>, and a part is empty", text, position, len(rest))
    if not named:
        return ServerCase(yaml)
    if form != "perf_sanity":
        return ServerCase(yaml, named)
    position += len(yaml) + 1
    server, clients = named.partition(",")[0].partition(":")[0], []
    for part in named.split(","):
        of, colon, client = part.partition(":")
        if not of or (colon and not client):
            raise LabelError(f"expected <server>:<client>, got {part!r}", text, position, len(part))
        if of != server:
            raise LabelError(
                f"expected clients of one server, {server}, got {of}; write a case for each", text, position, len(part)
            )
        if client:
            clients.append(client)
        position += len(part) + 1
    return ServerCase(yaml, server, tuple(clients))
