"""Cases that are named rightly and cannot be run here."""

from __future__ import annotations

from tokenclock.errors import UsageError

__all__ = ["DISAGGREGATED", "NotRunHere"]

DISAGGREGATED = (
    "disaggregated cases are not run: context and generation servers of their own need a launcher of several nodes; "
    "start the service yourself, and measure it by a server case whose server has a url and no command"
)


class NotRunHere(UsageError):
    """The case is `skipped`, not `failed`: nothing is wrong with it; the text says what to do instead."""
