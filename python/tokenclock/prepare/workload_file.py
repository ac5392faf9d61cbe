"""The metadata of the workload file that the C++ manager benchmark reads."""

from __future__ import annotations

from typing import Any

from tokenclock.prepare.plan import MixLengths, NormLengths, PreparePlan, RealData, UnifLengths, source_name
from tokenclock.prepare.real import RealRows
from tokenclock.prepare.synthetic import SyntheticRows

__all__ = ["real_metadata", "synthetic_metadata"]


def synthetic_metadata(plan: PreparePlan, rows: SyntheticRows) -> dict[str, Any]:
    """Kind, parameters, counts and longest rows; `workload_name` spells them all out."""
    values = {
        **_parameters(plan),
        "num_requests": plan.num_requests,
        "tokenize_vocabsize": rows.vocabulary.size,
        "max_input_len": int(rows.isl.max()),
        "max_output_len": int(rows.lengths.osl.max()),
    }
    return {**values, "workload_name": _name(values)}


def real_metadata(plan: PreparePlan, rows: RealRows) -> dict[str, Any]:
    """The same of recorded data; the name leaves the tokenizer out, as the original does."""
    source = plan.source
    assert isinstance(source, RealData)
    values: dict[str, Any] = {
        "workload_type": source_name(source),
        "tokenizer": type(rows.tokenizer).__name__,
        "num_requests": len(rows.rows),
        "max_input_len": max((len(row.ids) for row in rows.rows if row.ids is not None), default=0),
        "max_output_len": max(row.osl for row in rows.rows),
    }
    return {**values, "workload_name": _name({key: value for key, value in values.items() if key != "tokenizer"})}


def _parameters(plan: PreparePlan) -> dict[str, Any]:
    source = plan.source
    kind = {"workload_type": source_name(source)}
    if isinstance(source, NormLengths):
        names = ("input_mean", "input_stdev", "output_mean", "output_stdev")
        return {**kind, **{name: _plain(getattr(source, name)) for name in names}}
    if isinstance(source, UnifLengths):
        names = ("input_min", "input_max", "output_min", "output_max")
        return {**kind, **{name: getattr(source, name) for name in names}}
    if isinstance(source, MixLengths):
        return {**kind, "components": len(source.components)}
    return kind


def _plain(value: float) -> float:
    return int(value) if float(value).is_integer() else value


def _name(values: dict[str, Any]) -> str:
    return "__".join(f"{key}:{value}" for key, value in values.items())
