"""Looked at before the first case runs, so that nothing measured is lost: the history, servers' files, adapters."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from tokenclock.errors import TokenclockError, UsageError
from tokenclock.perftest.case import Case, ServerCase
from tokenclock.perftest.commands import commands_of
from tokenclock.perftest.refusal import NotRunHere
from tokenclock.perftest.settings import Settings

__all__ = ["hold_history", "never_run"]


def never_run(cases: Iterable[Case], settings: Settings) -> dict[Case, str]:
    """Cases that can never run here, whatever is given, and why; each is `skipped`.

    Args:
        cases: that are to run.
        settings: of the session. In a dry run adapters need not be there.

    Raises:
        UsageError: a case that could run, and lacks its YAML file, has a wrong one, or has not its adapters.
    """
    found = {}
    for case in cases:
        try:
            _hold(case, settings)
        except NotRunHere as error:
            found[case] = str(error)
        except UsageError as error:
            raise UsageError(f"{case.written}: {error}") from error
    return found


def _hold(case: Case, settings: Settings) -> None:
    label = case.label
    if isinstance(label, ServerCase) or label.runtime == "disagg_server":
        commands_of(case, settings, Path())
    elif label.loras and not settings.dry_run:
        from tokenclock.perftest.adapters import adapters_in

        adapters_in(settings.lora_dir, label.loras)
    if not settings.dry_run:
        from tokenclock.perftest.tools_needed import hold_tools

        hold_tools(case, settings)


def hold_history(place: str, *, is_read: bool = False) -> None:
    """Check that results can be added to a history. One that is not there is not made yet.

    Args:
        place: path or URL.
        is_read: a replay only reads it: it must be there, and nothing has to be added.

    Raises:
        UsageError: it cannot be reached or written, is no history, or has a newer schema; or SQLAlchemy is not there.
    """
    try:
        from tokenclock.store.database import open_database
        from tokenclock.store.engine import is_url

        if is_read:
            open_database(place, create=False, read_only=True).close()
            return
        if is_url(place) or Path(place).exists():
            with open_database(place) as database:
                database.check_writable()
            return
    except TokenclockError as error:  # also an extra that is not installed
        raise UsageError(f"--perf-history: {error}") from error
    folder = Path(place).absolute().parent
    if not folder.is_dir():
        raise UsageError(f"--perf-history {place}: there is no directory {folder}; make it first")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError(f"--perf-history {place}: nothing can be written in {folder}; give another place")
