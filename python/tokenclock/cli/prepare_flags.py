"""The flags of `tokenclock prepare-dataset`: the original's, and what it lacks, with units and defaults."""

from __future__ import annotations

import argparse
from typing import Any

from tokenclock.cli import arguments as words
from tokenclock.cli.arguments import CommandParser

__all__ = ["DISTRIBUTIONS", "build_parser"]

_DESCRIPTION = """\
Writes a file of requests, made up or of recorded data, as prepare_dataset.py and `trtllm-bench prepare-dataset` do:
JSON lines with --stdout or behind a group option --model, else the workload file of the C++ manager benchmark.

Flags stand before or after the distribution. Nothing is ever downloaded; a tokenizer is a directory on this machine,
and made-up rows need none: --vocab-size N will do.
"""

_EPILOG = """\
distributions:
  token-norm-dist            normal lengths
  token-unif-dist            uniform lengths
  token-lognorm-dist         lognormal lengths, as those of real traffic mostly are
  token-mix-dist             a mixture of normal ones
  token-hist-dist            lengths of a recorded trace
  dataset, real-dataset      prompts of recorded data
  `tokenclock prepare-dataset DISTRIBUTION --help` explains the flags of one.

environment:
  TOKENCLOCK_PREPARE_DATASET_<FLAG>  default of a flag, e.g. TOKENCLOCK_PREPARE_DATASET_TOKENIZER; the flag itself wins

exit codes:
  0 written; 1 the file cannot be written; 2 wrong flags or data; 130 stopped by Ctrl-C (no file is left)

examples:
  the commands of the TensorRT-LLM performance tests, without and with LoRA:
    tokenclock prepare-dataset --stdout --tokenizer=DIR token-norm-dist --num-requests=512 \\
        --input-mean=128 --output-mean=128 --input-stdev=0 --output-stdev=0 > dataset.txt
    tokenclock prepare-dataset --stdout --rand-task-id 0 7 --tokenizer=DIR --lora-dir=LORAS token-norm-dist \\
        --num-requests=512 --input-mean=128 --output-mean=128 --input-stdev=24 --output-stdev=12 > dataset.txt

  as a command of trtllm-bench:
    tokenclock --model NAME --model_path DIR prepare-dataset --output rows.jsonl token-unif-dist --num-requests 100 \\
        --input-min 64 --input-max 512 --output-min 16 --output-max 64

  conversations that share ten system prompts, two new ones a second, without a tokenizer:
    tokenclock prepare-dataset --stdout --vocab-size 32000 --num-prefixes 10 --prefix-len 256 --prefix-zipf 1.1 \\
        --session-turns-mean 4 --session-turn-delay-mean 2000 --request-rate 2 \\
        token-lognorm-dist --num-requests 1000 --input-mean 300 --input-stdev 400 --output-mean 150 --output-stdev 100
"""

_ALIASES = {"dataset": "real-dataset", "real-dataset": "real-dataset"}
DISTRIBUTIONS: dict[str, str] = {
    "token-norm-dist": "normal lengths in tokens, rounded, 1 at least",
    "token-unif-dist": "uniform lengths in tokens, both ends included",
    "token-lognorm-dist": "lognormal lengths in tokens, of the mean and spread given",
    "token-mix-dist": "lengths of one of several normal distributions, drawn by weight",
    "token-hist-dist": "lengths of the rows of a recorded trace, drawn with replacement",
    "dataset": "prompts of recorded data on this machine",
    "real-dataset": "as dataset: trtllm-bench's name for it",
}
"""Name -> what rows it makes, in the order of the help."""


def build_parser() -> CommandParser:
    """The command's parser, with one below for each distribution; both know the common flags."""
    parser = CommandParser(
        prog="tokenclock prepare-dataset",
        usage="tokenclock prepare-dataset [FLAGS] DISTRIBUTION [FLAGS]",
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    _add_common(parser)
    below = parser.add_subparsers(dest="distribution", metavar="DISTRIBUTION", parser_class=CommandParser)
    for name, text in DISTRIBUTIONS.items():
        one = below.add_parser(
            name,
            help=text,
            prog=f"tokenclock prepare-dataset {name}",
            usage=f"tokenclock prepare-dataset [FLAGS] {name} [FLAGS]",
            description=f"Rows of {text}." if name in _ALIASES else f"Rows of made-up token ids: {text}.",
        )
        _ADD[_ALIASES.get(name, name)](one)
        _add_common(one, below=True)
    return parser


def _add_common(parser: CommandParser, *, below: bool = False) -> None:
    """below: of a distribution's parser, which must not reset what stood before the distribution."""

    def adder(group: Any) -> Any:
        def add(*names: str, **settings: Any) -> None:
            if below:
                settings["default"] = argparse.SUPPRESS
            group.add_argument(*names, **settings)

        return add

    add = adder(parser.add_argument_group("output"))
    add("--output", metavar="FILE", help="file to write; its folder is created (default: preprocessed_dataset.json)")
    add("--stdout", action="store_true", help="print JSON lines rather than write a file")
    add(
        "--export-format",
        metavar="FORM",
        help="tllm-bench: JSON lines; gpt-manager-benchmark: the workload file (default: the latter, unless --stdout "
        "or a group option --model asks for the former)",
    )
    add(
        "--manifest",
        metavar="WHERE",
        help="tool version, seed, what was drawn, SHA-256: file: FILE.manifest.json; stderr; line: the last of the "
        "JSON lines, which other tools' readers stumble over; none (default: file, with --stdout stderr)",
    )
    add("--media-dir", metavar="DIR", help="where pictures go that recorded data holds itself (default: none)")
    add("--log-level", default="info", metavar="LEVEL", help="info or debug (default: info)")

    add = adder(parser.add_argument_group("tokens"))
    add("--tokenizer", metavar="DIR", help="directory of a tokenizer (default: that of a group option --model_path)")
    add("--tokenizer-mode", default="auto", metavar="MODE", help="auto or slow (default: auto)")
    add("--trust-remote-code", action="store_true", help="let the tokenizer's own code run, where it needs it")
    add("--vocab-size", type=words.whole_number, metavar="N", help="draw ids below N; without a tokenizer needed")
    add(
        "--eos-id",
        type=words.whole_number,
        action="append",
        metavar="N",
        help="id that is never drawn; may be repeated (default: the tokenizer's end of text)",
    )
    add("--max-input-len", type=words.whole_number, metavar="L", help="made-up rows are cut to L, recorded left out")
    add(
        "--max-output-len", type=words.whole_number, metavar="L", help="answers are cut to L tokens (default: no limit)"
    )
    add("--random-seed", type=words.whole_number, default=420, metavar="N", help="seed of all draws (default: 420)")
    add(
        "--compat",
        action="store_true",
        help="draw as the original does: the same seed for both lengths, so that they rise and fall together; rounded "
        "up; ids of a row all different, special ones among them",
    )

    add = adder(parser.add_argument_group("LoRA adapters"))
    add(
        "--task-id",
        type=words.whole_number,
        default=-1,
        metavar="N",
        help="adapter of all rows; -1: none (default: -1)",
    )
    add(
        "--rand-task-id",
        type=words.whole_number,
        nargs=2,
        metavar=("LOW", "HIGH"),
        help="adapter of each row, drawn from LOW to HIGH; a row that draws -1 has none",
    )
    add("--lora-zipf", type=words.number, default=0.0, metavar="A", help="draw LOW+k in proportion to (k+1)**-A "
        "(default: 0, uniform)")  # fmt: skip
    add("--lora-dir", metavar="DIR", help="holds one folder per adapter id; rows name it in lora_request")

    add = adder(parser.add_argument_group("shared beginnings, sessions, times", "Of made-up rows."))
    add("--num-prefixes", type=words.whole_number, default=0, metavar="N", help="different prefixes (default: 0, none)")
    add("--prefix-len", type=words.whole_number, default=0, metavar="L", help="tokens of each, added to a row's length")
    add("--prefix-zipf", type=words.number, default=0.0, metavar="A", help="draw prefix k in proportion to k**-A "
        "(default: 0, uniform)")  # fmt: skip
    add("--session-turns-mean", type=words.number, default=1.0, metavar="N", help="rows of a session (default: 1, no "
        "sessions); --num-requests counts rows")  # fmt: skip
    add("--session-turns-stddev", type=words.number, default=0.0, metavar="N", help="their spread (default: 0)")
    add("--session-turn-delay-mean", type=words.number, default=0.0, metavar="MS", help="pause between an answer and "
        "the next turn, ms (default: 0)")  # fmt: skip
    add("--session-turn-delay-stddev", type=words.number, default=0.0, metavar="MS", help="its spread (default: 0)")
    add("--request-rate", type=words.number, default=float("inf"), metavar="R", help="rows, or sessions, per second; "
        "each gets a timestamp in ms (default: none are written)")  # fmt: skip
    add(
        "--burstiness",
        type=words.number,
        default=1.0,
        metavar="B",
        help="shape of the gamma gaps; 1: Poisson (default)",
    )


def _add_count(parser: CommandParser, *, needed: bool = True) -> Any:
    add = parser.add_argument_group("rows").add_argument
    text = "rows to write (required)" if needed else "rows to write at most (default: all)"
    add("--num-requests", type=words.whole_number, metavar="N", help=text)
    return add


def _add_norm(parser: CommandParser) -> None:
    add = _add_count(parser)
    for side in ("input", "output"):
        add(f"--{side}-mean", type=words.number, metavar="L", help=f"mean {side} length, tokens (required)")
        add(f"--{side}-stdev", type=words.number, metavar="L", help="its standard deviation, tokens (required)")


def _add_unif(parser: CommandParser) -> None:
    add = _add_count(parser)
    for side in ("input", "output"):
        add(f"--{side}-min", type=words.whole_number, metavar="L", help=f"shortest {side}, tokens (required)")
        add(f"--{side}-max", type=words.whole_number, metavar="L", help=f"longest {side}, tokens (required)")


def _add_mix(parser: CommandParser) -> None:
    _add_count(parser)(
        "--component",
        action="append",
        metavar="W:IM:IS:OM:OS",
        help="weight, mean and standard deviation of the input, the same of the output; repeat it (required)",
    )


def _add_hist(parser: CommandParser) -> None:
    add = _add_count(parser)
    add("--trace", metavar="FILE", help="recorded trace (required)")
    add(
        "--trace-format",
        default="auto",
        metavar="NAME",
        help="auto, mooncake, burstgpt, azure or jsonl (default: auto)",
    )
    add("--independent-lengths", action="store_true", default=False, help="draw both lengths from different rows")


def _add_real(parser: CommandParser) -> None:
    add = _add_count(parser, needed=False)
    add("--dataset-name", metavar="PATH", help="JSON list, JSON lines, or what the datasets package reads (required)")
    add("--dataset-config-name", metavar="NAME", help="its configuration (default: the only one)")
    add("--dataset-split", metavar="NAME", help="its split (default: the only one, else train; a JSON file has none)")
    add("--dataset-prompt-key", metavar="KEY", help="column of the prompts")
    add("--dataset-prompt", metavar="TEXT", help="one prompt for all rows, in its place")
    add("--dataset-input-key", metavar="KEY", help="column that follows the prompt after a blank")
    add("--dataset-output-key", metavar="KEY", help="column of the answers, whose length is asked for")
    add("--dataset-image-key", metavar="KEY", default="image", help="column of pictures, with KEY_1 .. KEY_7 (default: "
        "image); video is looked for beside it")  # fmt: skip
    add("--output-len-dist", metavar="MEAN,STDEV", help="draw answers' lengths: mean and standard deviation, tokens")


_ADD = {
    "token-norm-dist": _add_norm,
    "token-unif-dist": _add_unif,
    "token-lognorm-dist": _add_norm,
    "token-mix-dist": _add_mix,
    "token-hist-dist": _add_hist,
    "real-dataset": _add_real,
}
