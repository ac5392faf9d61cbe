"""Hooks of the performance tests. pytest loads this wherever tokenclock is installed: it imports next to nothing.

Without `--perf` or `--test-list` none of the hooks does anything.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tokenclock.perftest.perf_session import PerfSession

__all__: list[str] = []

_PLUGIN = "tokenclock-perf-session"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options at once where `--perf` is on the command line, unless a conftest.py here has its own."""
    words = [*sys.argv[1:], *os.environ.get("PYTEST_ADDOPTS", "").split()]
    if "--perf" in words and not _has_own_options(Path("conftest.py")):
        from tokenclock.perftest.options import add_options

        add_options(parser)


def _has_own_options(conftest: Path) -> bool:
    try:
        return "--test-list" in conftest.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False


@pytest.hookimpl(hookwrapper=True)
def pytest_load_initial_conftests(parser: pytest.Parser) -> Generator[None, Any, None]:
    """Otherwise add them after the conftest.py files, whose options go first: none of theirs can be taken already."""
    yield
    from tokenclock.perftest.options import add_options

    add_options(parser)


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Read the list and everything else that was named, before any test is collected."""
    if not (config.getoption("tokenclock_perf", False) or config.getoption("tokenclock_test_list", None)):
        return
    from tokenclock.errors import UsageError
    from tokenclock.perftest.perf_session import PerfSession

    try:
        session: PerfSession = PerfSession(config)
    except UsageError as error:
        raise pytest.UsageError(str(error)) from None
    config.pluginmanager.register(session, _PLUGIN)
