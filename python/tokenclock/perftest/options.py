"""Options of the performance tests, as the flow names them, and ours beside them."""

from __future__ import annotations

from typing import Any

import pytest

__all__ = ["DESTINATIONS", "add_options"]

_OPTIONS: tuple[tuple[tuple[str, ...], dict[str, Any]], ...] = (
    (("--perf",), {"action": "store_true", "help": "make performance tests of the entries of --test-list"}),
    (
        ("--test-list", "-F"),
        {"metavar": "FILE", "help": "one test a line, with TIMEOUT (minutes) behind it; or the YAML form"},
    ),
    (("--test-prefix", "-P"), {"metavar": "TEXT", "help": "goes in front of every test's name, such as the GPU's"}),
    (("--regexp", "-R"), {"metavar": "TEXT", "help": "only tests whose name has this text or fits this expression"}),
    (
        ("--output-dir", "-O"),
        {"metavar": "DIR", "help": "for rows, reports, logs and results (default: nothing is kept)"},
    ),
    (
        ("--perf-log-formats",),
        {"action": "append", "metavar": "FORMAT", "help": "csv, yaml or json; repeat for several (default: none)"},
    ),
    (
        ("--test-model-suites",),
        {"metavar": "TEXTS", "help": "only tests whose name has one of these texts, divided by ; or blanks"},
    ),
    (("--waives-file", "-S"), {"metavar": "FILE", "help": "known failures: <test> SKIP (<reason>) [UNTIL <date>]"}),
    (
        ("--apply-test-list-correction", "-C"),
        {"action": "store_true", "help": "show the list with near matches in place of what cannot be read"},
    ),
    (("--dry-run",), {"action": "store_true", "help": "print the commands and run nothing"}),
    (("--replay",), {"metavar": "DIR", "help": "evaluate the runs of an earlier --output-dir again, without hardware"}),
    (("--perf-models",), {"metavar": "FILE", "help": "YAML: a label's model name to checkpoint, engine or tiny:llama"}),
    (
        ("--perf-history",),
        {"metavar": "DB", "help": "path or URL: results are added and baselines come from there (default: no gate)"},
    ),
    (("--perf-repeats",), {"metavar": "N", "help": "runs of each case (default: 1)"}),
    (
        ("--max-repeats",),
        {"metavar": "N", "help": "runs that the gate may reach by asking for more (default: as --perf-repeats)"},
    ),
    (("--perf-runtime",), {"metavar": "NAME", "help": "for throughput --runtime (default: by the model)"}),
    (("--perf-external",), {"action": "store_true", "help": "run the trtllm-bench of the PATH"}),
    (("--perf-lora-dir",), {"metavar": "DIR", "help": "holds one directory an adapter"}),
    (
        ("--perf-config-folder",),
        {"metavar": "DIR", "help": "of the servers' YAML files (default: AGG_CONFIG_FOLDER)"},
    ),
)


def _destination(names: tuple[str, ...]) -> str:
    return "tokenclock_" + names[0].lstrip("-").replace("-", "_")


DESTINATIONS = {_destination(names): names[0] for names, _ in _OPTIONS}
"""Where pytest keeps each option -> its name."""


def add_options(parser: pytest.Parser) -> None:
    """Add the options that nobody has added yet; none where `--perf` is another plugin's or our own already."""
    groups = [*getattr(parser, "_groups", ()), *filter(None, [getattr(parser, "_anonymous", None)])]
    taken = {name for group in groups for option in group.options for name in option.names()}
    if "--perf" in taken:
        return
    group = parser.getgroup("tokenclock", "performance tests (tokenclock)")
    for names, settings in _OPTIONS:
        free = [name for name in names if name not in taken]
        if any(name.startswith("--") for name in free):
            group.addoption(*free, dest=_destination(names), **settings)
