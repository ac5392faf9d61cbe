"""The dataset flags of `tokenclock serving`, and the dataset they ask for."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from tokenclock.cli import arguments as words
from tokenclock.cli.arguments import CommandParser, did_you_mean
from tokenclock.cli.not_built import DATASETS
from tokenclock.errors import UsageError

if TYPE_CHECKING:
    from tokenclock.plan import Dataset

__all__ = ["add_dataset_flags", "dataset_of", "unused_flags"]

# Dataset -> the fields of its plan and the flags that set them; a flag left out leaves the field at its default.
_RANDOM_TEXT = {"input_len": "--random-input-len", "output_len": "--random-output-len"}
_IDS = {"tokenize_on_client": "--tokenize-on-client", "vocab_size": "--vocab-size"}
_FILE = {"path": "--dataset-path"}
_ROWS = {**_FILE, "oversample": "--no-oversample", "shuffle": "--disable-shuffle"}
_TEMPLATE = {"chat_template": "--skip-chat-template"}
_FLAGS: dict[str, dict[str, str]] = {
    "random": {
        **_RANDOM_TEXT,
        **_IDS,
        "range_ratio": "--random-range-ratio",
        "range_ratio_style": "--range-ratio-style",
        "prefix_len": "--random-prefix-len",
        "num_prefixes": "--random-num-prefixes",
        "prefix_zipf": "--random-prefix-zipf",
        "random_ids": "--random-ids",
    },
    "sharegpt": {**_ROWS, "output_len": "--sharegpt-output-len"},
    "burstgpt": {**_ROWS, **_IDS, "self_timed": "--self-timed"},
    "sonnet": {
        **_FILE,
        **_TEMPLATE,
        "input_len": "--sonnet-input-len",
        "output_len": "--sonnet-output-len",
        "prefix_len": "--sonnet-prefix-len",
    },
    "trtllm_custom": {**_ROWS, **_TEMPLATE},
    "custom": {**_ROWS, **_TEMPLATE, "output_len": "--custom-output-len"},
    "hf": {
        **_ROWS,
        **_TEMPLATE,
        "subset": "--hf-subset",
        "split": "--hf-split",
        "output_len": "--hf-output-len",
    },
    "random_image": {
        **_RANDOM_TEXT,
        "width": "--random-image-width",
        "height": "--random-image-height",
        "size": "--random-image-size",
        "num_images": "--random-num-images",
    },
}
_FLAGS["trace"] = {
    **_FILE,
    **_IDS,
    "form": "--trace-format",
    "start_s": "--trace-start",
    "end_s": "--trace-end",
    "speedup": "--trace-speedup",
    "untimed": "--trace-untimed",
}
_ALIASES = {"mooncake": ("trace", "mooncake"), "timed_trace": ("trace", "jsonl")}  # other tools' names
_TURN_OFF = ("--no-oversample", "--disable-shuffle", "--skip-chat-template")


def add_dataset_flags(parser: CommandParser) -> None:
    """The group `dataset`. Every default is None here, so that what was typed can be told from what was not."""
    group = parser.add_argument_group("dataset", "Lengths are in tokens. Nothing is ever downloaded.")

    def add(flag: str, metavar: str | None, text: str, kind: Any = words.whole_number) -> None:
        if metavar is None:
            group.add_argument(flag, action="store_true", default=None, help=text)
        else:
            group.add_argument(flag, type=kind, metavar=metavar, help=text)

    add("--dataset-name", "NAME", f"{', '.join(_FLAGS)} (default: sharegpt where --dataset-path is given)", str)
    add("--dataset-path", "FILE", "data of every dataset but random and random_image; hf: also a directory", str)
    add("--no-oversample", None, "send no row of the file twice, and so fewer requests where it has too few")
    add("--disable-shuffle", None, "take rows in the order of the file")
    add(
        "--skip-chat-template",
        None,
        "sonnet, custom, trtllm_custom, hf with completions: no chat template around prompts",
    )
    add("--random-input-len", "L", "random, random_image: prompt length (default: 1024)")
    add("--random-output-len", "L", "random, random_image: answer length (default: 128)")
    add(
        "--random-range-ratio",
        "R",
        "random: lengths are uniform from int(L(1-R)) to int(L(1+R)), R in [0, 1) (default: 0)",
        words.number,
    )
    add(
        "--range-ratio-style",
        "TOOL",
        "what R means: trtllm: as above; vllm: bounds rounded outward; sglang: from int(LR) to L (default: trtllm)",
        str,
    )
    add("--random-prefix-len", "L", "random: tokens that all prompts begin with, added to their length (default: 0)")
    add("--random-num-prefixes", "N", "random: so many different prefixes, one for each prompt (default: 1)")
    add(
        "--random-prefix-zipf",
        "A",
        "random: prefix k, from 1, is drawn by k**-A (default: 0, alike)",
        words.number,
    )
    add("--random-ids", None, "random: draw token ids rather than text of a dataset; what happens anyway")
    add("--tokenize-on-client", None, "random, burstgpt, trace: send token ids, not text: exact on every server")
    add(
        "--vocab-size",
        "N",
        "random, burstgpt, trace: draw ids below N (default: the tokenizer's, else the server's, else 10000)",
    )
    add("--sharegpt-output-len", "L", "sharegpt: answer length (default: that of each recorded answer)")
    add("--self-timed", None, "burstgpt: send when the trace says; --request-rate R stretches it to that mean rate")
    add("--trace-format", "NAME", "trace: auto, mooncake, burstgpt, azure or jsonl (default: auto)", str)
    add("--trace-start", "S", "trace: leave out what was due before, seconds of its time (default: 0)", words.number)
    add("--trace-end", "S", "trace: leave out what was due from then on (default: none)", words.number)
    add("--trace-speedup", "X", "trace: divide all its times by X (default: 1)", words.number)
    add("--trace-untimed", None, "trace: leave its times aside; --request-rate or --max-concurrency holds")
    add("--sonnet-input-len", "L", "sonnet: longest prompt, prefix included (default: 550)")
    add("--sonnet-output-len", "L", "sonnet: answer length (default: 150)")
    add("--sonnet-prefix-len", "L", "sonnet: lines of about L tokens that all prompts begin with (default: 200)")
    add("--custom-output-len", "L", "custom: answer length; -1: output_tokens of each row (default: 256)")
    add("--hf-subset", "NAME", "hf: configuration of the data set (default: its only one)", str)
    add("--hf-split", "NAME", "hf: split (default: its only one, else train)", str)
    add("--hf-output-len", "L", "hf: answer length (default: that of the recorded answer, else 200)")
    add("--random-image-width", "PX", "random_image: width in pixels (default: 512)")
    add("--random-image-height", "PX", "random_image: height in pixels (default: 512)")
    add("--random-image-size", "PX", "random_image: width and height in one; wins over both (default: not set)")
    add("--random-num-images", "N", "random_image: pictures in each request (default: 1)")


def dataset_of(args: argparse.Namespace) -> Dataset:
    """The dataset asked for. Raises UsageError for a name that is unknown or not built, and for wrong values."""
    from tokenclock.plan import DATASET_KINDS

    name = args.dataset_name
    if name is None:
        if args.dataset_path is None:
            raise UsageError(
                "--dataset-name is needed, such as random, whose prompts are synthetic; the original's default, "
                "sharegpt, needs --dataset-path FILE"
            )
        name = "sharegpt"
    name, form = _ALIASES.get(name, (name, None))
    if name not in _FLAGS:
        known = ", ".join(_FLAGS)
        if name in DATASETS:
            raise UsageError(f"--dataset-name {name} is not built yet; there are {known}")
        raise UsageError(f"--dataset-name must be one of {known}, got {name}{did_you_mean(name, list(_FLAGS))}")
    given = {field: _typed(args, flag) for field, flag in _FLAGS[name].items()}
    values = {field: value for field, value in given.items() if value is not None}
    if "path" in _FLAGS[name] and not values.get("path"):
        raise UsageError(f"--dataset-name {name} needs --dataset-path FILE; tokenclock never downloads data")
    if form is not None:
        values.setdefault("form", form)
    size = values.pop("size", None)
    if size is not None:
        values |= {"width": size, "height": size}
    dataset: Dataset = DATASET_KINDS[name](**values)
    return dataset


def _typed(args: argparse.Namespace, flag: str) -> Any:
    value = getattr(args, flag.removeprefix("--").replace("-", "_"))
    return False if value and flag in _TURN_OFF else value


def unused_flags(args: argparse.Namespace, dataset: str) -> list[str]:
    """The dataset flags that were given and that this dataset makes no use of, in the order of the help."""
    used = set(_FLAGS[dataset].values())
    known = dict.fromkeys(flag for flags in _FLAGS.values() for flag in flags.values())
    return [flag for flag in known if flag not in used and _typed(args, flag) is not None]
