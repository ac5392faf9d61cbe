"""Options of the performance tests. pytest loads this wherever tokenclock is installed, so it imports little.

Without ``--perf`` nothing else happens: no test is collected, changed or left out.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

__all__ = ["pytest_addoption", "pytest_configure"]

_OFF = "TOKENCLOCK_NO_PERF_PLUGIN"
_EPILOG = "performance tests of tokenclock; see docs/perf-tests.md"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the flow's options, and ours."""
    if os.environ.get(_OFF):  # for test suites whose own conftest.py has options of these names
        return
    add = parser.getgroup("tokenclock", _EPILOG).addoption
    add("--perf", action="store_true", help="run the performance tests of --test-list, and no others")
    add("--test-list", "-F", metavar="FILE", help="tests to run: text, one a line, or YAML blocks with conditions")
    add("--test-prefix", "-P", default="", metavar="NAME", help="before each node id: NAME/perf/test_perf.py::...")
    add("--regexp", "-R", metavar="TEXT", help="only tests with TEXT in their node id, as written or as an expression")
    add("--waives-file", "-S", metavar="FILE", help="known failures: TEST SKIP (REASON) [UNTIL YYYY-MM-DD] a line")
    add("--apply-test-list-correction", "-C", action="store_true", help="propose what a wrong entry was meant to be")
    add("--test-model-suites", metavar="WORDS", help="only tests with one of the words in their name; blank or ;")
    add("--output-dir", "-O", type=Path, metavar="DIR", help="results, logs, report.html (default: nothing is kept)")
    add("--perf-log-formats", action="append", metavar="FORMAT", help="csv, yaml or json; several times for several")
    add("--perf-models", type=Path, metavar="FILE", help="YAML: name in labels -> directory, or tiny:llama")
    add("--perf-history", metavar="URL", help="database of earlier runs: gate on them, and add this one")
    add("--perf-repeats", type=int, default=1, metavar="N", help="runs of each case (default: 1)")
    add("--max-repeats", type=int, metavar="N", help="runs that a gate may ask for (default: as --perf-repeats)")
    add("--perf-runtime", metavar="NAME", help="run on this runtime in place of the label's backend: ctranslate2, ...")
    add("--perf-external", action="store_true", help="run trtllm-bench from the PATH in place of our own command")
    add("--perf-lora-dir", type=Path, metavar="DIR", help="folder of adapters, for labels with loras:N")
    add("--perf-config-folder", type=Path, metavar="DIR", help="YAML files of server cases (or AGG_CONFIG_FOLDER)")
    add("--dry-run", action="store_true", help="print the commands of each test, and run none")
    add("--replay", type=Path, metavar="DIR", help="evaluate the runs stored in an earlier --output-dir again")


def pytest_configure(config: pytest.Config) -> None:
    """With --perf, read the list and what belongs to it; all that is wrong is said before anything runs."""
    if not config.getoption("--perf", False):
        _refuse_alone(config)
        return
    from tokenclock.errors import TokenclockError

    try:
        from tokenclock.perftest.session import PerfSession

        config.pluginmanager.register(PerfSession(config), "tokenclock-perf-session")
    except TokenclockError as error:
        raise pytest.UsageError(str(error)) from None


def _refuse_alone(config: pytest.Config) -> None:
    """Options that would be read by nobody."""
    given: list[tuple[str, Any]] = [
        (flag, config.getoption(flag, None)) for flag in ("--test-list", "--perf-models", "--perf-history", "--replay")
    ]
    lonely = [flag for flag, value in given if value]
    if lonely:
        raise pytest.UsageError(f"{lonely[0]} needs --perf: without it no performance test is run")
