"""The YAML database form of test lists: blocks of tests, each with a condition on the machine."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenclock.errors import UsageError
from tokenclock.perftest.conditions import Condition, parse_condition
from tokenclock.perftest.test_list import Entry, parse_entry
from tokenclock.perftest.text_file import read_yaml
from tokenclock.standard_error import say_on_stderr

__all__ = ["read_database"]


def read_database(path: Path, facts: Mapping[str, Any] | None = None) -> list[Entry]:
    """The tests of all blocks whose conditions hold, in order, each test once.

    Args:
        path: of the file.
        facts: of the machine; None: they are asked for, if any block has a condition.

    Raises:
        UsageError: the file cannot be read or has another form; says where.
    """
    data = read_yaml(path, "--test-list")
    if not isinstance(data, Mapping):
        raise UsageError(f"--test-list {path} must map list names to blocks of tests, got {type(data).__name__}")
    blocks = [
        _block(block, f"{path}: {name}[{index}]")
        for name, listed in data.items()
        if name != "version"
        for index, block in enumerate(_sequence(listed, f"{path}: {name}"))
    ]
    for name in dict.fromkeys(name for condition, _ in blocks for name in condition.strange):
        say_on_stderr(f"--test-list {path}: no machine tells {name}; blocks that ask for it hold nowhere")
    if facts is None and any(not condition.is_empty for condition, _ in blocks):
        from tokenclock.perftest.machine_facts import machine_facts

        facts = machine_facts()
    found: dict[str, Entry] = {}
    for condition, entries in blocks:
        if condition.holds(facts or {}):
            for entry in entries:
                found.setdefault(entry.text, entry)
    return list(found.values())


def _block(block: Any, place: str) -> tuple[Condition, list[Entry]]:
    if not isinstance(block, Mapping) or "tests" not in block or set(block) - {"condition", "tests"}:
        raise UsageError(f"{place} must be a block with condition and tests, got {str(block)[:80]}")
    condition = parse_condition(block.get("condition"), f"{place}.condition")
    entries = []
    for index, line in enumerate(_sequence(block["tests"], f"{place}.tests")):
        if not isinstance(line, str):
            raise UsageError(f"{place}.tests[{index}] must be the name of a test, got {str(line)[:80]}")
        entry = parse_entry(line, f"{place}.tests[{index}]")
        if entry is not None:
            entries.append(entry)
    return condition, entries


def _sequence(value: Any, place: str) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise UsageError(f"{place} must be a list, got {type(value).__name__}")
    return value
