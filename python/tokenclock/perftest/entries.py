"""From the text of one test-list entry to a case."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from difflib import get_close_matches

from tokenclock.errors import UsageError
from tokenclock.perftest.case import Case, ServerCase
from tokenclock.perftest.label_grammar import LabelError, parse_label

__all__ = ["Entry", "case_of", "near_matches", "read_entry"]

_TEST = "perf/test_perf.py::test_perf"
_SERVER_TEST = "perf/test_perf_sanity.py::test_e2e"
_NODE = re.compile(r"^(?:(?P<prefix>.+?)/)?(?P<test>perf/test_perf(?:_sanity)?\.py::\w+)\[(?P<label>.*)\]$")
_LIMIT = re.compile(r"^TIMEOUT\s*\((?P<minutes>[^)]*)\)$")


class Entry:
    """One entry as written: its prefix (empty where it has none), the name without it, the label, the time limit."""

    def __init__(self, prefix: str, name: str, label: str, timeout_s: float | None, where: str) -> None:
        self.prefix, self.name, self.label, self.timeout_s, self.where = prefix, name, label, timeout_s, where


def read_entry(text: str, where: str) -> Entry:
    """An entry of a list: a node id or a label alone, then ``TIMEOUT (MINUTES)`` where it has a limit.

    Args:
        text: without comment and white space around it.
        where: ``FILE:LINE``, for errors.

    Raises:
        UsageError: it is none.
    """
    words = text.split(None, 1)
    name, rest = words[0], words[1] if len(words) > 1 else ""
    timeout_s = None
    if rest:
        limit = _LIMIT.match(rest)
        try:
            timeout_s = float(limit["minutes"]) * 60 if limit else None
        except ValueError:
            timeout_s = -1.0
        if timeout_s is None or not 0 < timeout_s < float("inf"):
            raise UsageError(f"{where}: expected TIMEOUT (MINUTES) or nothing after the test, got {rest}")
    node = _NODE.match(name)
    if node is not None:
        return Entry(node["prefix"] or "", f"{node['test']}[{node['label']}]", node["label"], timeout_s, where)
    if "::" in name or "[" in name or "/" in name:
        raise UsageError(f"{where}: expected [PREFIX/]{_TEST}[LABEL] or a label alone, got {name}")
    return Entry("", f"{_TEST}[{name}]", name, timeout_s, where)


def case_of(entry: Entry) -> Case:
    """The case of an entry.

    Raises:
        UsageError: its label does not parse; says where, with a mark under the place.
    """
    try:
        label = _server_case(entry) or parse_label(entry.label)
    except LabelError as error:
        raise UsageError(f"{entry.where}: {error}") from None
    return Case(entry.name, entry.label, label, entry.timeout_s, label.canonical())


def _server_case(entry: Entry) -> ServerCase | None:
    """A case of servers described in a YAML file; None for any other label."""
    if entry.name.startswith(_SERVER_TEST):
        return _upload_case(entry)
    if not entry.label.startswith("perf_sanity-"):
        return None
    yaml, _, chosen = entry.label.removeprefix("perf_sanity-").partition("-")
    if not yaml:
        raise UsageError(f"{entry.where}: expected perf_sanity-YAML[-SERVER[:CLIENT]], got {entry.label}")
    pairs = [part.partition(":") for part in chosen.split(",")] if chosen else []
    servers = {server for server, _, _ in pairs}
    if len(servers) > 1:
        raise UsageError(f"{entry.where}: expected one server an entry, got {', '.join(sorted(servers))}: list each")
    clients = tuple(name for _, _, names in pairs for name in names.split("+") if name)
    return ServerCase(yaml, servers.pop() if servers else None, clients)


def _upload_case(entry: Entry) -> ServerCase:
    head, _, rest = entry.label.partition("-")
    form, _, yaml = rest.partition("-")
    if head == "aggr_upload" and form == "ctx_only" and yaml:
        return ServerCase(yaml, form="ctx_only")
    if head == "disagg_upload" and form in ("gen_only", "e2e") and yaml:
        return ServerCase(yaml, form=form)
    if head == "aggr_upload" and form and yaml:
        return ServerCase(form, server=yaml)
    raise UsageError(
        f"{entry.where}: expected aggr_upload-YAML-SERVER, aggr_upload-ctx_only-YAML, disagg_upload-gen_only-YAML or "
        f"disagg_upload-e2e-YAML, got {entry.label}"
    )


def near_matches(text: str, known: Collection[str], say: Callable[[str], str] = str) -> str:
    """``; near: A, B`` of what is nearly `text`; empty where nothing is."""
    near = get_close_matches(text, known, n=3, cutoff=0.6)
    return f"; near: {', '.join(map(say, near))}" if near else ""
