"""The database form of test lists: named lists of YAML blocks, each with a condition and its tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tokenclock.perftest.conditions import holds, machine_facts
from tokenclock.perftest.entries import Entry, read_entry
from tokenclock.sweep.yaml_file import YamlFile, read_yaml

__all__ = ["entries_of_database"]


def entries_of_database(path: Path, notes: list[str]) -> list[Entry]:
    """The entries of every block whose condition holds on this machine; one that several blocks have is given once.

    Args:
        path: of the YAML file.
        notes: a line is added for each list of which no block holds.

    Raises:
        UsageError: no YAML, or not of this form; says where.
    """
    file = read_yaml(path)
    entries: dict[str, Entry] = {}
    for name, blocks in file.data.items():
        if name == "version":
            continue
        if not isinstance(blocks, list):
            raise file.error((name,), f"{name} must be a list of blocks with condition and tests, got {blocks!r}")
        n_held = 0
        for i, block in enumerate(blocks):
            found = _block(file, (name, i), block)
            n_held += found is not None
            for entry in found or []:
                entries.setdefault(entry.name, entry)
        if blocks and not n_held:
            notes.append(f"{path}: no condition of {name} holds on this machine")
    return list(entries.values())


def _block(file: YamlFile, at: tuple[Any, ...], block: Any) -> list[Entry] | None:
    """The entries of a block; None where its condition does not hold. All are read either way."""
    if not isinstance(block, dict) or not set(block) <= {"condition", "tests"}:
        got = f"got {', '.join(map(str, block))}" if isinstance(block, dict) else f"got {block!r}"
        raise file.error(at, f"a block has condition and tests, {got}")
    tests = block.get("tests")
    if not isinstance(tests, list) or not all(isinstance(test, str) for test in tests):
        raise file.error((*at, "tests"), f"tests must be a list of node ids, got {tests!r}")
    entries = [read_entry(test.strip(), file.at((*at, "tests", i))) for i, test in enumerate(tests)]
    where = file.at((*at, "condition")) if "condition" in block else file.at(at)
    return entries if holds(block.get("condition"), machine_facts(), where) else None
