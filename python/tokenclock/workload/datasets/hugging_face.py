"""The dataset `hf`: data on this machine that the `datasets` package reads, in the shapes people publish."""

from __future__ import annotations

import importlib
import logging
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tokenclock.errors import UsageError
from tokenclock.plan import HfDataset, ServingPlan
from tokenclock.workload.datasets.chat_form import ChatForm, ChatRow
from tokenclock.workload.datasets.hf_shapes import SHAPES, Exchange, find_shape
from tokenclock.workload.datasets.measure import LengthMeter
from tokenclock.workload.datasets.random_image import encode_jpeg, image_message
from tokenclock.workload.datasets.reading import read_objects
from tokenclock.workload.datasets.rows import from_rows, row_order
from tokenclock.workload.realised import Workload
from tokenclock.workload.tokenizer import find_tokenizer

__all__ = ["build_hf", "load_table"]

_DEFAULT_OSL = 200  # tokens, where a row records no answer
_FORMATS = {".json": "json", ".jsonl": "json", ".csv": "csv", ".parquet": "parquet", ".txt": "text"}


def build_hf(plan: ServingPlan, dataset: HfDataset) -> Workload:
    """Rows in drawn order; output length the plan's, else that of the recorded answer, else 200 tokens."""
    table = load_table(dataset)
    columns = list(table.column_names)
    shape = find_shape(columns)
    if shape is None:
        raise UsageError(
            f"{dataset.path} has no column that holds prompts: expected one of {', '.join(SHAPES)}, got "
            f"{', '.join(columns)[:100]}"
        )
    meter = LengthMeter(find_tokenizer(plan))
    form = ChatForm(plan, meter, template=dataset.chat_template)
    order = row_order(plan, len(table), shuffle=dataset.shuffle).tolist()
    n_answers = 0  # whose length was measured

    def rows() -> Iterator[ChatRow]:
        nonlocal n_answers
        for index in order:
            where = f"{dataset.path}: row {index}"
            exchange = SHAPES[shape](where, table[index])
            if exchange is None:
                continue
            messages = _with_pictures(exchange, table[index])
            n_answers += dataset.output_len is None and bool(exchange.answer)
            yield messages, dataset.output_len or _answer_length(meter, exchange)

    return from_rows(
        plan,
        form.rows(rows()),
        tokenizer=meter.tokenizer,
        path=dataset.path,
        usable=f"a prompt in the column {shape}",
        oversample=dataset.oversample,
        shuffle=dataset.shuffle,
        notes=lambda: [*(meter.note("how long answers are follows") if n_answers else []), *form.notes()],
    )


def _answer_length(meter: LengthMeter, exchange: Exchange) -> int:
    return max(1, int(meter.counts([exchange.answer])[0])) if exchange.answer else _DEFAULT_OSL


def _with_pictures(exchange: Exchange, row: dict[str, Any]) -> list[dict[str, Any]]:
    """The messages, the pictures of the row in its last one."""
    pictures = row.get("images") or row.get("image") or []
    if not isinstance(pictures, Sequence):
        pictures = [pictures]
    if not pictures or isinstance(pictures, str) or not all(hasattr(picture, "convert") for picture in pictures):
        return exchange.messages
    last = exchange.messages[-1]
    return [*exchange.messages[:-1], image_message(last["content"], [encode_jpeg(picture) for picture in pictures])]


def load_table(dataset: HfDataset) -> Any:
    """The one split asked for, with random access by row. The network is not touched."""
    path = Path(dataset.path)
    _readable(path)
    if not os.path.exists(path):
        raise UsageError(
            f"--dataset-path: there is nothing at {path}; tokenclock never downloads data: fetch it first, "
            f"for instance with `hf download --repo-type dataset {dataset.path} --local-dir DIR`"
        )
    if path.is_file() and path.suffix.lower() not in _FORMATS:
        raise UsageError(f"--dataset-path must be a directory or a file of {', '.join(_FORMATS)}, got {path}")
    if path.is_file() and path.stat().st_size == 0:
        raise UsageError(f"{path} is empty; expected rows")
    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"):
        os.environ.setdefault(name, "1")
    try:
        reader: Any = importlib.import_module("datasets")
    except ImportError as error:
        raise UsageError("--dataset-name hf needs the datasets package: pip install 'tokenclock[hf]'") from error
    reader.disable_progress_bars()
    library_log = logging.getLogger("datasets")
    level = library_log.level
    library_log.setLevel(logging.CRITICAL)  # what it cannot read is said below, in one line
    try:
        if path.is_file():
            loaded = reader.load_dataset(_FORMATS[path.suffix.lower()], data_files=str(path))
        elif (path / "dataset_dict.json").is_file() or (path / "state.json").is_file():
            loaded = reader.load_from_disk(str(path))
        else:
            loaded = reader.load_dataset(str(path), name=dataset.subset)
    except Exception as error:  # what it raises depends on the files it meets
        raise _reason(path, error) from error
    finally:
        library_log.setLevel(level)
    return _split(dataset, loaded)


def _readable(path: Path) -> None:
    """What the library would answer with a traceback, or not at all."""
    try:
        found = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise UsageError(f"--dataset-path {path} cannot be read: {error.strerror or error}") from error
    if not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)):
        raise UsageError(f"--dataset-path must be a directory or a file for --dataset-name hf, got {path}")


def _reason(path: Path, error: Exception) -> UsageError:
    """The one line for what the library ran into: the line that is no JSON, else the first cause, which it hides."""
    if _FORMATS.get(path.suffix.lower()) == "json" and path.is_file():
        try:
            for _ in read_objects(str(path), "hf"):
                pass
        except UsageError as fault:
            return fault
    while isinstance(error.__cause__ or error.__context__, Exception):
        error = error.__cause__ or error.__context__  # type: ignore[assignment]
    place = str(getattr(error, "filename", None) or "")
    if isinstance(error, OSError) and place and not Path(place).absolute().is_relative_to(path.absolute()):
        return UsageError(
            f"the datasets package cannot write its cache ({error.strerror}: {place}); set HF_HOME to a folder that "
            "can be written to"
        )
    return UsageError(f"{path} cannot be read by the datasets package: {_one_line(error)}")


def _split(dataset: HfDataset, loaded: Any) -> Any:
    if not isinstance(loaded, dict):
        return loaded
    names = list(loaded)
    if dataset.split is not None and dataset.split not in names:
        raise UsageError(f"--hf-split must be one of {', '.join(names)} for {dataset.path}, got {dataset.split}")
    if dataset.split is None and len(names) > 1 and "train" not in names:
        raise UsageError(f"--hf-split is needed: {dataset.path} has {', '.join(names)}")
    return loaded[dataset.split or (names[0] if len(names) == 1 else "train")]


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else text[:197] + "..."
