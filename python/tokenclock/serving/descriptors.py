"""File descriptors: a connection needs one, and the usual limit of 1024 is soon reached."""

from __future__ import annotations

import resource

from tokenclock.errors import UsageError
from tokenclock.open_files import files_for

__all__ = ["allow_connections", "most_connections"]


def most_connections(n_requests: int, slots: int | None) -> int:
    """How many connections a load may have open at once."""
    return min(n_requests, slots or n_requests)


def allow_connections(n_connections: int, *, certain: bool) -> None:
    """Raise this process's soft limit so that n connections may be open at once.

    certain: all of them will be open together; then a hard limit below raises UsageError. Else as much as may be had
    is taken, and a connection that finds no descriptor is a failed request.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = files_for(n_connections)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    attainable = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    if attainable > soft:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (attainable, hard))
        except (OSError, ValueError):  # a sandbox may refuse what the limits allow
            attainable = soft
    if certain and attainable < needed:
        n = "one connection needs" if n_connections == 1 else f"{n_connections} connections at once need"
        fewer = "" if attainable <= files_for(0) else ", or lower --max-concurrency"
        raise UsageError(
            f"{n} {needed} open files, the limit here is {attainable}; say `ulimit -n {needed}` as root{fewer}"
        )
