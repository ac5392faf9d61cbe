"""The dataset `burstgpt`: lengths, and if asked arrival times, of a recorded trace; contents are synthetic."""

from __future__ import annotations

import csv
import math
from array import array
from dataclasses import dataclass
from typing import TextIO

import numpy as np
import numpy.typing as npt

from tokenclock.errors import UsageError
from tokenclock.plan import BurstGptDataset, ServingPlan
from tokenclock.plan_checks import require_room
from tokenclock.units import NS_PER_S
from tokenclock.workload.assemble import assemble
from tokenclock.workload.datasets.reading import bounded_lines, fault, open_dataset
from tokenclock.workload.datasets.rows import times_each
from tokenclock.workload.kinds import choose_kind, notes_on_outcome
from tokenclock.workload.messages import Prompt
from tokenclock.workload.realised import Workload
from tokenclock.workload.streams import content_stream, stream
from tokenclock.workload.tokenizer import find_tokenizer

__all__ = ["build_burstgpt"]

_MODEL = "GPT-4"  # the rows of the trace that are used
_COLUMNS = ("Model", "Request tokens", "Response tokens")
_LONGEST = 10_000_000  # tokens; more is a slip


@dataclass(frozen=True)
class _Trace:
    """The usable rows, in the order of the file."""

    isl: npt.NDArray[np.int64]
    osl: npt.NDArray[np.int64]
    t_s: npt.NDArray[np.float64]  # empty where times were not asked for


def build_burstgpt(plan: ServingPlan, dataset: BurstGptDataset, n_vocab: int | None) -> Workload:
    """Rows of the trace drawn without repetition; with its own times, the first rows in their order.

    Prompts are drawn anew for each row, so that rows of the same length, and rows taken twice, differ in content.
    """
    load = plan.load
    trace = _read(dataset.path, timed=dataset.self_timed)
    n_rows = len(trace.isl)
    if n_rows == 0:
        raise UsageError(f"{dataset.path} holds no usable row; expected Model {_MODEL} and Response tokens above 0")
    notes: list[str] = []
    picked = _pick(plan, dataset, n_rows, notes)
    n = len(picked)
    require_room(n, int(trace.isl[picked].sum()))
    lengths, osl = trace.isl[picked].astype(np.int32), trace.osl[picked].astype(np.int32)
    due_ns, mean_rate = _trace_times(plan, trace.t_s[picked]) if dataset.self_timed else (None, None)

    tokenizer = find_tokenizer(plan)
    kind = choose_kind(
        tokenizer,
        chat=plan.endpoint.wants_text,
        tokenize_on_client=dataset.tokenize_on_client,
        vocab_size=dataset.vocab_size,
        n_vocab=n_vocab,
    )
    taken: set[bytes] = set()
    no_prefix = np.empty(0, dtype=np.int32)
    prompts, realised = kind.draw(content_stream("content", plan), lengths, no_prefix, taken)

    def draw_spares(count: int) -> list[tuple[Prompt, int]]:
        content, unlike, spares = content_stream("spare_content", plan), set(taken), []
        for row in stream("spare_lengths", load.seed).integers(n, size=count).tolist():
            prompt = kind.draw(content, lengths[row : row + 1], no_prefix, unlike)[0][0]
            spares.append((prompt, int(osl[row])))
        return spares

    outcome = notes_on_outcome(lengths, realised, n - len(taken), "the trace asks for prompts of very few tokens")
    return assemble(
        plan,
        prompts,
        isl=lengths,
        isl_realised=realised,
        osl=osl,
        draw_spares=draw_spares,
        tokenizer=tokenizer,
        notes=(*kind.notes, *notes, *outcome),
        due_ns=due_ns,
        mean_rate=mean_rate,
    )


def _pick(plan: ServingPlan, dataset: BurstGptDataset, n_rows: int, notes: list[str]) -> npt.NDArray[np.int64]:
    """Which rows of the trace are sent, in order."""
    n = plan.load.num_prompts
    shuffle = dataset.shuffle and not dataset.self_timed
    generator = stream("rows", plan.load.seed)
    if n <= n_rows:
        return generator.permutation(n_rows)[:n] if shuffle else np.arange(n)
    if dataset.self_timed or not dataset.oversample:
        notes.append(f"{dataset.path} has {n_rows} usable rows of the {n} asked for: {n_rows} requests are sent")
        return generator.permutation(n_rows) if shuffle else np.arange(n_rows)
    notes.append(
        f"{dataset.path} has {n_rows} usable rows of the {n} asked for: lengths are used again, with other contents"
    )
    return times_each(generator, n_rows, n, shuffle=shuffle)


def _trace_times(plan: ServingPlan, t_s: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.int64], float | None]:
    """Due times in ns from the first row, and their mean rate; a finite --request-rate stretches them to it."""
    load = plan.load
    due_s = t_s - t_s[0]
    span_s = float(due_s[-1])
    if span_s == 0:
        return np.zeros(len(t_s), dtype=np.int64), None
    rate = (len(t_s) - 1) / span_s
    if math.isfinite(load.request_rate):
        due_s *= rate / load.request_rate
        rate = load.request_rate
    if due_s[-1] >= 1e9:
        raise UsageError(f"--self-timed: the trace would last {due_s[-1]:.3g} s; give --request-rate to shorten it")
    due_ns: npt.NDArray[np.int64] = np.rint(due_s * NS_PER_S).astype(np.int64)
    return due_ns, rate


def _read(path: str, *, timed: bool) -> _Trace:
    with open_dataset(path, "burstgpt") as file:
        isl, osl, t_s = _read_rows(path, file, (*_COLUMNS, "Timestamp") if timed else _COLUMNS)
    return _Trace(np.array(isl, dtype=np.int64), np.array(osl, dtype=np.int64), np.array(t_s, dtype=np.float64))


def _read_rows(path: str, file: TextIO, wanted: tuple[str, ...]) -> tuple[array[int], array[int], array[float]]:
    rows = csv.reader(bounded_lines(path, file), strict=True)
    isl, osl, t_s = array("q"), array("q"), array("d")
    try:
        header = [name.strip() for name in next(rows, [])]
        if not header:
            raise UsageError(f"{path} is empty; expected CSV with the columns {', '.join(wanted)}")
        missing = [name for name in wanted if name not in header]
        if missing:
            raise fault(path, 1, f"expected the column {missing[0]}, got {', '.join(header)[:80]}")
        model, asked, answered = (header.index(name) for name in _COLUMNS)
        time = header.index("Timestamp") if "Timestamp" in wanted else None
        for row in rows:
            if not row:
                continue
            if len(row) != len(header):
                raise fault(path, rows.line_num, f"expected {len(header)} values, got {len(row)}")
            if row[model] != _MODEL:
                continue
            n_asked = _tokens(path, rows.line_num, _COLUMNS[1], row[asked])
            n_answered = _tokens(path, rows.line_num, _COLUMNS[2], row[answered])
            if n_asked == 0 or n_answered == 0:  # a request that failed
                continue
            isl.append(n_asked)
            osl.append(n_answered)
            if time is not None:
                t_s.append(_seconds(path, rows.line_num, row[time], t_s[-1] if t_s else 0.0))
    except csv.Error as error:
        raise fault(path, rows.line_num, f"not CSV: {error}") from error
    return isl, osl, t_s


def _tokens(path: str, line: int, column: str, text: str) -> int:
    try:
        value = float(text)
        if not value.is_integer() or not 0 <= value <= _LONGEST:
            raise ValueError(text)
    except (ValueError, OverflowError) as error:
        raise fault(path, line, f"{column} must be a whole number from 0 to {_LONGEST}, got {text[:40]!r}") from error
    return int(value)


def _seconds(path: str, line: int, text: str, before: float) -> float:
    try:
        value = float(text)
    except ValueError as error:
        raise fault(path, line, f"Timestamp must be seconds, got {text[:40]!r}") from error
    if not before <= value < math.inf:
        raise fault(path, line, f"Timestamp must not fall: {text} after {before:g}")
    return value
