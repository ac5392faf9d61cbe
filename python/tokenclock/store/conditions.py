"""A filter as SQL conditions."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, and_, exists, select

from tokenclock.errors import UsageError
from tokenclock.store.filter import COLUMNS, Filter, checked_column, number_of
from tokenclock.store.record import STATES
from tokenclock.store.tables import microseconds, runs, tags

__all__ = ["conditions"]

_TEXTS = ("model", "label", "test", "gpu", "host", "kind", "tool")


def conditions(where: Filter) -> list[ColumnElement[bool]]:
    """What a row of ``runs`` must fulfil.

    Raises:
        UsageError: a state or a column that there is not.
    """
    found = [_like(runs.c[name], text) for name in _TEXTS if (text := getattr(where, name)) is not None]
    found += [_tag(name, text, exact=False) for name, text in where.tag.items()]
    found += [_exactly(checked_column(name), text) for name, text in where.key.items()]
    if where.since is not None:
        found.append(runs.c.created_us >= microseconds(where.since))
    if where.until is not None:
        found.append(runs.c.created_us < microseconds(where.until))
    for state in where.states:
        if state not in STATES:
            raise UsageError(f"expected a state of {', '.join(STATES)}, got {state}")
    if where.states:
        found.append(runs.c.state.in_(where.states))
    return found


def _like(column: ColumnElement[Any], text: str) -> ColumnElement[bool]:
    if "*" not in text:
        return column == text
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_").replace("*", "%")
    return column.like(escaped, escape="\\")


def _tag(name: str, text: str, *, exact: bool) -> ColumnElement[bool]:
    same = tags.c.value == text if exact else _like(tags.c.value, text)
    return exists(select(1).where(and_(tags.c.run_id == runs.c.id, tags.c.name == name, same)))


def _exactly(name: str, text: str) -> ColumnElement[bool]:
    if name.startswith("tag."):
        tag = name.removeprefix("tag.")
        there = exists(select(1).where(and_(tags.c.run_id == runs.c.id, tags.c.name == tag)))
        return ~there if text == "" else _tag(tag, text, exact=True)
    column = runs.c[name]
    if COLUMNS[name] == "text":
        return column == text
    value = number_of(name, text)
    return column.is_(None) if value is None else column == value
