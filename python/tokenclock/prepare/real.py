"""Rows made of recorded data: prompts as they are, each with the length of its answer; pictures beside."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tokenclock.errors import UsageError
from tokenclock.prepare.adapters import draw_adapters, lora_request
from tokenclock.prepare.lengths import compat_normal, whole_lengths
from tokenclock.prepare.plan import PreparePlan, RealData
from tokenclock.prepare.real_source import read_rows
from tokenclock.workload.streams import stream
from tokenclock.workload.tokenizer import Tokenizer, read_tokenizer

__all__ = ["RealRow", "RealRows", "read_real_rows"]

_PICTURES = 8  # columns: KEY, KEY_1 .. KEY_7


@dataclass(frozen=True)
class RealRow:
    """One request: token ids, or a prompt with the files of its pictures."""

    osl: int
    ids: list[int] | None = None
    prompt: str = ""
    media: tuple[str, ...] = ()

    def json(self, number: int, lora: str | None) -> bytes:
        """Its line, with a line feed."""
        values: dict[str, Any] = {"task_id": number}
        if self.ids is not None:
            values["input_ids"] = self.ids
        else:
            values |= {"prompt": self.prompt, "media_paths": list(self.media)}
        text = json.dumps({**values, "output_tokens": self.osl}, separators=(",", ":"), ensure_ascii=False)
        return (text if lora is None else f'{text[:-1]},"lora_request":{lora}}}').encode() + b"\n"

    def sample(self, adapter: int) -> bytes:
        """Its sample of the workload file."""
        if self.ids is not None:
            values = {"input_len": len(self.ids), "input_ids": self.ids, "output_len": self.osl, "task_id": adapter}
        else:
            media = list(self.media)
            values = {"task_id": adapter, "prompt": self.prompt, "media_paths": media, "output_len": self.osl}
        return json.dumps(values, separators=(",", ":"), ensure_ascii=False).encode()


@dataclass(frozen=True)
class RealRows:
    """All rows that fit."""

    plan: PreparePlan
    rows: list[RealRow]
    adapters: list[int] | None
    n_too_long: int
    tokenizer: Tokenizer

    def json_lines(self) -> Iterator[bytes]:
        """Each row's line."""
        with_lora = self.adapters is not None and self.plan.lora.directory is not None
        for number, row in enumerate(self.rows):
            lora = lora_request(self.plan.lora, self.adapters[number]) if with_lora and self.adapters else None
            yield row.json(number, lora)

    def samples(self) -> Iterator[bytes]:
        """The samples of the workload file, with commas between."""
        for number, row in enumerate(self.rows):
            adapter = -1 if self.adapters is None else self.adapters[number]
            yield (b",\n" if number else b"") + row.sample(adapter)


def read_real_rows(plan: PreparePlan, source: RealData) -> RealRows:
    """Rows in the order of the data; those longer than --max-input-len are left out, not cut.

    A prompt and the row's input are joined by one blank. Lengths of answers are those of the recorded ones, or drawn.
    Raises UsageError for data without the columns asked for, and where no row is left.
    """
    if plan.tokenizer is None:
        raise UsageError("--tokenizer DIR is needed: recorded prompts are turned into token ids")
    tokenizer = read_tokenizer(plan.tokenizer, mode=plan.tokenizer_mode, trust=plan.trust_remote_code)
    rows: list[RealRow] = []
    n_too_long = 0
    for where, given in read_rows(source):
        if plan.num_requests is not None and len(rows) == plan.num_requests:
            break
        text, media = _prompt(source, where, given), _media(source, where, given, len(rows))
        ids = tokenizer.ids([text], special=True)[0]
        if plan.max_input_len is not None and len(ids) > plan.max_input_len:
            n_too_long += 1
            continue
        osl = -1 if source.output_len_dist is not None else _answer_length(source, where, given, tokenizer, media)
        rows.append(RealRow(osl, None, text, media) if media else RealRow(osl, ids))
    if not rows:
        raise UsageError(
            f"{source.path} holds no usable row"
            + (f"; {n_too_long} are longer than --max-input-len" if n_too_long else "")
        )
    rows = _with_lengths(plan, source, rows)
    adapters = draw_adapters(plan.lora, len(rows), plan.seed)
    return RealRows(plan, rows, None if adapters is None else adapters.tolist(), n_too_long, tokenizer)


def _with_lengths(plan: PreparePlan, source: RealData, rows: list[RealRow]) -> list[RealRow]:
    limit = plan.max_output_len or np.iinfo(np.int32).max
    if source.output_len_dist is None:
        return [RealRow(min(row.osl, limit), row.ids, row.prompt, row.media) for row in rows]
    mean, stdev = source.output_len_dist
    if plan.compat:
        drawn = compat_normal(plan.seed, mean, stdev, len(rows))
    else:
        drawn = whole_lengths(stream("output_lengths", plan.seed).normal(mean, stdev, size=len(rows)))
    lengths = np.minimum(drawn, limit).tolist()
    return [RealRow(osl, row.ids, row.prompt, row.media) for osl, row in zip(lengths, rows, strict=True)]


def _prompt(source: RealData, where: str, row: Mapping[str, Any]) -> str:
    prompt = source.prompt if source.prompt_key is None else _text(where, row, source.prompt_key)
    assert prompt is not None
    text = prompt if source.input_key is None else f"{prompt} {_text(where, row, source.input_key)}"
    if not text.strip():
        raise UsageError(f"{where}: the prompt is empty; servers refuse an empty prompt")
    return text


def _text(where: str, row: Mapping[str, Any], key: str) -> str:
    if key not in row:
        raise UsageError(f"{where}: expected the key {key}, got {', '.join(list(row)[:6]) or 'no keys'}")
    value = row[key]
    if not isinstance(value, str):
        raise UsageError(f"{where}: {key} must be text, got {type(value).__name__}")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise UsageError(f"{where}: {key} holds half a surrogate pair, which is no text") from error
    return value


def _answer_length(
    source: RealData, where: str, row: Mapping[str, Any], tokenizer: Tokenizer, media: tuple[str, ...]
) -> int:
    if source.output_key is None or media:
        raise UsageError(f"{where}: --output-len-dist MEAN,STDEV is needed for a row with pictures or video")
    answer = _text(where, row, source.output_key)
    return max(1, int(tokenizer.counts([answer], special=False)[0]))


def _media(source: RealData, where: str, row: Mapping[str, Any], number: int) -> tuple[str, ...]:
    """The files of a row's pictures, written where the data holds them itself, and of its video."""
    keys = [source.image_key, *(f"{source.image_key}_{n}" for n in range(1, _PICTURES)), "video"]
    paths = []
    for key in keys:
        value = row.get(key)
        if value is None or value == "":
            continue
        if isinstance(value, str):
            paths.append(value)
        elif hasattr(value, "convert") and key != "video":
            paths.append(_saved(source, where, value, f"{number}-{key}.jpg"))
        else:
            raise UsageError(f"{where}: {key} must be the path of a file or a picture, got {type(value).__name__}")
    return tuple(paths)


def _saved(source: RealData, where: str, picture: Any, name: str) -> str:
    from tokenclock.workload.datasets.random_image import encode_jpeg

    if source.media_dir is None:
        raise UsageError(f"{where}: the data holds pictures: --media-dir DIR says where their files go")
    folder = Path(source.media_dir)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(encode_jpeg(picture))
    except OSError as error:
        raise UsageError(f"--media-dir: cannot write {folder / name}: {error.strerror or error}") from error
    return str(folder / name)
