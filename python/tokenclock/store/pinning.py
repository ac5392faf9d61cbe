"""Pinned baselines in the database."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from sqlalchemy import Connection, delete, insert, select

from tokenclock.store.filter import Filter
from tokenclock.store.record import Pin
from tokenclock.store.tables import instant, microseconds, pins

__all__ = ["pins_that", "put_pin", "remove_pins"]

_TEXTS = ("model", "label", "test", "gpu", "host", "kind", "tool")


def put_pin(connection: Connection, pin: Pin) -> None:
    """In place of the one with the same key and metric, if there is one."""
    remove_pins(connection, pin.key, pin.metric)
    row = {
        "pin_key": _text(pin.key), "metric": pin.metric, "pinned_values": json.dumps(list(pin.values)),
        "run_ids": json.dumps(list(pin.run_ids)), "accepted_us": microseconds(pin.accepted), "reason": pin.reason,
        "accepted_by": pin.by,
    }  # fmt: skip
    connection.execute(insert(pins), [row])


def pins_that(connection: Connection, where: Filter) -> list[Pin]:
    """Pins whose key says what the filter asks for, in order of key and metric; dates and states do not count."""
    rows = connection.execute(select(pins).order_by(pins.c.pin_key, pins.c.metric)).all()
    found = [
        Pin(
            key=dict(json.loads(row.pin_key)), metric=row.metric,
            values=tuple(map(float, json.loads(row.pinned_values))), run_ids=tuple(json.loads(row.run_ids)),
            accepted=instant(row.accepted_us), reason=row.reason,
            by=row.accepted_by,
        )
        for row in rows
    ]  # fmt: skip
    return [pin for pin in found if _is_meant(pin.key, where)]


def remove_pins(connection: Connection, key: Mapping[str, str], metric: str | None) -> int:
    """Remove the pin of a metric, or of all (None), with exactly this key; how many there were."""
    query = delete(pins).where(pins.c.pin_key == _text(key))
    return int(connection.execute(query if metric is None else query.where(pins.c.metric == metric)).rowcount)


def _text(key: Mapping[str, str]) -> str:
    return json.dumps(dict(key), sort_keys=True, ensure_ascii=True)


def _is_meant(key: Mapping[str, str], where: Filter) -> bool:
    patterns = {name: text for name in _TEXTS if (text := getattr(where, name)) is not None}
    patterns |= {f"tag.{name}": text for name, text in where.tag.items()}
    exact = all(key.get(name, "") == text for name, text in where.key.items())
    return exact and all(_fits(key.get(name, ""), text) for name, text in patterns.items())


def _fits(value: str, pattern: str) -> bool:
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), value, re.DOTALL) is not None
