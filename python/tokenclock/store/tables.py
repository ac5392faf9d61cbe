"""The tables of the newest schema, for queries. Migrations make them; a test holds that both say the same."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from sqlalchemy import BigInteger, Boolean, Column, Float, Index, Integer, LargeBinary, MetaData, Table, Text

__all__ = [
    "METADATA", "contents", "instant", "metric_names", "metrics", "microseconds", "pins", "runs", "schema", "tags",
]  # fmt: skip

METADATA = MetaData()

schema = Table("tokenclock_schema", METADATA, Column("version", Integer, nullable=False))

runs = Table(
    "runs", METADATA,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("hash", Text, nullable=False, unique=True),
    Column("created_us", BigInteger, nullable=False),
    *(Column(name, Text, nullable=False) for name in ("kind", "tool", "tool_version", "model", "label", "test", "gpu")),
    Column("gpu_count", Integer),
    Column("host", Text, nullable=False),
    Column("concurrency", Integer),
    Column("request_rate", Float),
    Column("batch_size", Integer),
    Column("isl", Float),
    Column("osl", Float),
    Column("backend", Text, nullable=False),
    Column("streaming", Boolean),
    Column("state", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("content_hash", Text),
    Index("runs_created", "created_us"),
    Index("runs_model", "model", "created_us"),
    Index("runs_label", "label", "created_us"),
    Index("runs_test", "test", "created_us"),
)  # fmt: skip

tags = Table(
    "tags", METADATA,
    Column("run_id", BigInteger, primary_key=True, autoincrement=False),
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
    Index("tags_value", "name", "value", "run_id"),
)  # fmt: skip

metric_names = Table(
    "metric_names", METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("name", Text, nullable=False, unique=True),
    Column("unit", Text, nullable=False),
)  # fmt: skip

metrics = Table(
    "metrics", METADATA,
    Column("name_id", Integer, primary_key=True, autoincrement=False),
    Column("run_id", BigInteger, primary_key=True, autoincrement=False),
    Column("value", Float, nullable=False),
    Column("low", Float),
    Column("high", Float),
    Index("metrics_run", "run_id"),
)  # fmt: skip

contents = Table(
    "contents", METADATA,
    Column("hash", Text, primary_key=True),
    Column("content", LargeBinary, nullable=False),
)  # fmt: skip

pins = Table(
    "pins", METADATA,
    Column("pin_key", Text, primary_key=True),
    Column("metric", Text, primary_key=True),
    Column("pinned_values", Text, nullable=False),
    Column("run_ids", Text, nullable=False),
    Column("accepted_us", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("accepted_by", Text, nullable=False),
)  # fmt: skip

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_US = timedelta(microseconds=1)


def microseconds(when: datetime) -> int:
    """Since 1970 in UTC; an instant without a zone is of UTC."""
    return ((when if when.tzinfo else when.replace(tzinfo=timezone.utc)) - _EPOCH) // _US


def instant(us: int) -> datetime:
    """What `microseconds` counted, in UTC."""
    return _EPOCH + us * _US
