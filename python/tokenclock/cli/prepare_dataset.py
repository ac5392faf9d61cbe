"""`tokenclock prepare-dataset`: request files, in the words of prepare_dataset.py and of trtllm-bench."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tokenclock.cli.arguments import CommandParser, did_you_mean, from_environment
from tokenclock.cli.group_options import GroupOptions
from tokenclock.cli.prepare_flags import DISTRIBUTIONS, build_parser
from tokenclock.errors import UsageError
from tokenclock.plan_checks import shown
from tokenclock.standard_error import say_on_stderr

if TYPE_CHECKING:
    from tokenclock.prepare.plan import Lengths, NormLengths, PreparePlan, RealData
    from tokenclock.prepare.run import Destination

__all__ = ["build_parser", "main", "read_command"]

ENVIRONMENT_PREFIX = "TOKENCLOCK_PREPARE_DATASET_"
_DEFAULT_OUTPUT = "preprocessed_dataset.json"
_FORMATS = {"tllm-bench": "jsonl", "gpt-manager-benchmark": "workload"}


def main(argv: Sequence[str], group: GroupOptions | None = None) -> int:
    """Write one request file; `group`: trtllm-bench's options before the command. Raises TokenclockError."""
    group = group or GroupOptions()
    plan, to = read_command(argv, os.environ, group)
    from tokenclock.prepare.run import prepare

    for line in _idle(group, plan):
        say_on_stderr(f"tokenclock prepare-dataset: {line}")
    prepare(plan, to, _say)
    sys.stdout.flush()
    return 0


def _say(line: str) -> None:
    """A note with the command's name; a manifest as it is, for programs."""
    say_on_stderr(line if line.startswith("{") else f"tokenclock prepare-dataset: {line}")


def read_command(
    argv: Sequence[str], environment: Mapping[str, str], group: GroupOptions
) -> tuple[PreparePlan, Destination]:
    """Plan and destination of a command line. Raises UsageError in one line, or SystemExit after --help."""
    args = _parsed(argv, environment)
    from tokenclock.prepare import plan
    from tokenclock.prepare.plan import RealData

    if args.log_level not in ("info", "debug"):
        raise UsageError(f"--log-level must be info or debug, got {args.log_level}")
    if args.tokenizer_mode not in ("auto", "slow"):
        raise UsageError(f"--tokenizer-mode must be auto or slow, got {args.tokenizer_mode}")
    source = _source(args)
    real = isinstance(source, RealData)
    if real:
        _refuse_made_up(args)
    elif args.media_dir is not None:
        raise UsageError(f"--media-dir and {args.distribution} exclude each other: made-up rows have no pictures")
    made = plan.PreparePlan(
        source=source,
        num_requests=args.num_requests if real else _needed(args, "--num-requests"),
        seed=args.random_seed,
        tokenizer=_tokenizer(args, group, needed=real or args.vocab_size is None),
        tokenizer_mode=args.tokenizer_mode,
        trust_remote_code=args.trust_remote_code or environment.get("TRUST_REMOTE_CODE", "").lower() in ("1", "true"),
        vocab_size=args.vocab_size,
        eos_ids=tuple(args.eos_id or ()),
        max_input_len=args.max_input_len,
        max_output_len=args.max_output_len,
        lora=plan.LoraPlan(
            args.task_id, None if args.rand_task_id is None else tuple(args.rand_task_id), args.lora_zipf, args.lora_dir
        ),
        prefixes=plan.PrefixPlan(args.num_prefixes, args.prefix_len, args.prefix_zipf),
        sessions=plan.SessionPlan(
            args.session_turns_mean,
            args.session_turns_stddev,
            args.session_turn_delay_mean,
            args.session_turn_delay_stddev,
        ),
        request_rate=args.request_rate,
        burstiness=args.burstiness,
        compat=args.compat,
    )
    return made, _destination(args, group, made)


def _parsed(argv: Sequence[str], environment: Mapping[str, str]) -> argparse.Namespace:
    """The flags, presets of the environment behind the distribution so that either place of a typed flag wins."""
    parser = build_parser()
    at = next((index for index, word in enumerate(argv) if word in DISTRIBUTIONS), None)
    asks_help = bool({"-h", "--help"} & set(argv))
    _refuse_early_flags(parser, [] if at is None else argv[:at])
    if at is None and not asks_help:
        loose = next((word for word in argv if not word.startswith("-") and word.startswith("token-")), None)
        said = f"got {loose}{did_you_mean(loose, list(DISTRIBUTIONS))}" if loose else "none was given"
        raise UsageError(f"a distribution is needed, one of {', '.join(DISTRIBUTIONS)}; {said}")
    if at is None or asks_help:
        return parser.parse_args(list(argv))
    below = parser._subparsers._group_actions[0].choices[argv[at]]  # type: ignore[union-attr, index]
    typed = {f"{ENVIRONMENT_PREFIX}{word.partition('=')[0][2:].replace('-', '_').upper()}" for word in argv}
    untyped = {name: value for name, value in environment.items() if name not in typed}
    preset = from_environment(below, untyped, ENVIRONMENT_PREFIX)
    values, unknown = parser.parse_known_args([*argv[: at + 1], *preset, *argv[at + 1 :]])
    if unknown:
        first = unknown[0].partition("=")[0]
        if not first.startswith("-"):
            raise UsageError(f"unexpected argument {first}; {parser.prog} --help shows the flags")
        nearest = did_you_mean(first, below.flags())
        raise UsageError(f"unknown flag {first}{nearest}; {below.prog} --help shows all flags")
    return values


def _refuse_early_flags(parser: CommandParser, before: Sequence[str]) -> None:
    """Raise UsageError for a flag that a distribution alone has, in front of its name."""
    own: dict[str, list[str]] = {}
    for name, below in parser._subparsers._group_actions[0].choices.items():  # type: ignore[union-attr]
        for flag in below.flags():
            own.setdefault(flag, []).append(name)
    for word in before:
        flag = word.partition("=")[0]
        if flag in own and flag not in parser.flags():
            raise UsageError(f"{flag} must follow its distribution, one of {', '.join(own[flag])}")


def _needed(args: argparse.Namespace, flag: str) -> Any:
    value = getattr(args, flag.removeprefix("--").replace("-", "_"), None)
    if value is None:
        raise UsageError(f"{args.distribution} needs {flag}; tokenclock prepare-dataset {args.distribution} --help")
    return value


def _source(args: argparse.Namespace) -> Lengths | RealData:
    from tokenclock.prepare import plan

    name = args.distribution
    if name in ("token-norm-dist", "token-lognorm-dist"):
        flags = ("--input-mean", "--input-stdev", "--output-mean", "--output-stdev")
        input_mean, input_stdev, output_mean, output_stdev = (_needed(args, flag) for flag in flags)
        lognormal = name == "token-lognorm-dist"
        return plan.NormLengths(input_mean, input_stdev, output_mean, output_stdev, lognormal)
    if name == "token-unif-dist":
        flags = ("--input-min", "--input-max", "--output-min", "--output-max")
        return plan.UnifLengths(*(_needed(args, flag) for flag in flags))
    if name == "token-mix-dist":
        return plan.MixLengths(tuple(_component(text) for text in _needed(args, "--component")))
    if name == "token-hist-dist":
        return plan.HistLengths(_needed(args, "--trace"), args.trace_format, args.independent_lengths)
    return plan.RealData(
        path=_needed(args, "--dataset-name"),
        subset=args.dataset_config_name,
        split=args.dataset_split,
        prompt_key=args.dataset_prompt_key,
        prompt=args.dataset_prompt,
        input_key=args.dataset_input_key,
        output_key=args.dataset_output_key,
        image_key=args.dataset_image_key,
        output_len_dist=None if args.output_len_dist is None else _pair(args.output_len_dist),
        media_dir=args.media_dir,
    )


def _component(text: str) -> tuple[float, NormLengths]:
    from tokenclock.prepare.plan import NormLengths

    try:
        weight, *lengths = (float(part) + 0.0 for part in text.split(":"))  # -0.0 is 0
        input_mean, input_stdev, output_mean, output_stdev = lengths
    except ValueError as error:
        expected = "W:IM:IS:OM:OS, such as 0.8:200:50:100:20"
        raise UsageError(f"--component must be {expected}, got {shown(text)}") from error
    return weight, NormLengths(input_mean, input_stdev, output_mean, output_stdev)


def _pair(text: str) -> tuple[float, float]:
    try:
        mean, stdev = (float(part) + 0.0 for part in text.split(","))
    except ValueError as error:
        raise UsageError(f"--output-len-dist must be MEAN,STDEV, such as 128,20, got {shown(text)}") from error
    return mean, stdev


def _refuse_made_up(args: argparse.Namespace) -> None:
    """Recorded data has beginnings, sessions and times of its own, or none."""
    for flag, default in {
        "--num-prefixes": 0,
        "--prefix-len": 0,
        "--prefix-zipf": 0,
        "--session-turns-mean": 1,
        "--session-turns-stddev": 0,
        "--session-turn-delay-mean": 0,
        "--session-turn-delay-stddev": 0,
        "--request-rate": float("inf"),
        "--burstiness": 1,
        "--vocab-size": None,
        "--eos-id": None,
    }.items():
        if (getattr(args, flag[2:].replace("-", "_")) or default) != default:
            raise UsageError(f"{flag} and {args.distribution} exclude each other: it is for made-up rows")


def _tokenizer(args: argparse.Namespace, group: GroupOptions, *, needed: bool) -> str | None:
    """--tokenizer, else what the group options name, where that is a directory."""
    if args.tokenizer is not None:
        return str(args.tokenizer)
    for given in (group.model_path, group.model):
        if given is not None and os.path.isdir(given):
            return given
    for flag, given in (("--model_path", group.model_path), ("--model", group.model)):
        if needed and given is not None:
            other = "--tokenizer" if flag == "--model_path" else "--model_path or --tokenizer"
            raise UsageError(
                f"{flag} {shown(given)} is no directory, and tokenclock never downloads: name the tokenizer's by "
                f"{other}, or give --vocab-size N"
            )
    return None


def _destination(args: argparse.Namespace, group: GroupOptions, plan: PreparePlan) -> Destination:
    from tokenclock.prepare.run import MANIFESTS, Destination

    if args.stdout and args.output is not None:
        raise UsageError("--stdout and --output exclude each other; leave one out")
    form = "jsonl" if args.stdout or group.model is not None else "workload"
    if args.export_format is not None:
        if args.export_format not in _FORMATS:
            raise UsageError(f"--export-format must be one of {', '.join(_FORMATS)}, got {shown(args.export_format)}")
        form = _FORMATS[args.export_format]
    if form == "workload" and (plan.sessions.asked or plan.request_rate != float("inf")):
        raise UsageError(
            "--session-turns-mean and --request-rate need JSON lines: --stdout, or --export-format tllm-bench; the "
            "workload file has no place for sessions and times"
        )
    path = None if args.stdout else args.output or _DEFAULT_OUTPUT
    where = args.manifest or ("stderr" if path is None else "file")
    if where not in MANIFESTS:
        raise UsageError(f"--manifest must be one of {', '.join(MANIFESTS)}, got {shown(where)}")
    return Destination(path, form, where)


def _idle(group: GroupOptions, plan: PreparePlan) -> list[str]:
    lines = [
        f"--{name} is of no use here: nothing is built or downloaded"
        for name in ("workspace", "revision")
        if getattr(group, name) is not None
    ]
    if plan.tokenizer is None:
        given = {"--trust-remote-code": plan.trust_remote_code, "--tokenizer-mode": plan.tokenizer_mode != "auto"}
        lines += [f"{flag} changes nothing without --tokenizer" for flag, is_given in given.items() if is_given]
        beyond = [eos for eos in plan.eos_ids if plan.vocab_size is not None and eos >= plan.vocab_size]
        lines += [f"--eos-id {eos} changes nothing: it is beyond --vocab-size {plan.vocab_size}" for eos in beyond]
    return lines
