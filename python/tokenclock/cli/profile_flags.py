"""The flags of `tokenclock profile`: genai-perf's words, grouped, with units and defaults."""

from __future__ import annotations

from tokenclock.cli import arguments as words
from tokenclock.cli.arguments import CommandParser
from tokenclock.cli.profile_values import extra_input, profile_goodput
from tokenclock.cli.transport_flags import add_transport

__all__ = ["build_parser"]

_DESCRIPTION = """\
Measures an OpenAI-compatible server in the words of `genai-perf profile`: the same flags, console table and files, by
tokenclock's own client, with the measurement's own error beside the numbers.
"""

_EPILOG = """\
files, in ARTIFACT_DIR/MODEL-openai-chat-concurrency8/ (say):
  inputs.json                       the bodies that are sent, each once
  profile_export.json               every request: body, instants in ns, answer
  profile_export_genai_perf.json    statistics, configuration, and the whole native result under `tokenclock`
  profile_export_genai_perf.csv     statistics
  profile_export_genai_perf.columns.npz    raw columns

environment:
  OPENAI_API_KEY             sent as 'Authorization: Bearer ...' when set
  TOKENCLOCK_PROFILE_<FLAG>  default of a flag, e.g. TOKENCLOCK_PROFILE_URL; the flag itself wins

exit codes:
  0 measured; 1 nothing could be measured; 2 wrong flags; 3 measured, but failures exceed --max-failure-share
  or --strict found the quality wanting; 130 stopped by Ctrl-C (what was measured is saved)

examples:
  tokenclock profile -m my-model --endpoint-type chat --streaming --url localhost:8000 --concurrency 16 \\
      --isl 512 --osl 128 --request-count 160 --num-prompts 160 --extra-inputs ignore_eos:true

  Poisson arrivals at 4 requests/s (perf_analyzer's own flags follow --):
  tokenclock profile -m my-model --endpoint-type completions --streaming --request-rate 4 --request-count 400 \\
      --num-prompts 400 -- --request-distribution poisson
"""


def build_parser(prog: str = "tokenclock profile") -> CommandParser:
    """The command's parser: every flag with its unit and default, none read yet."""
    parser = CommandParser(
        prog=prog,
        usage=f"{prog} -m NAME --endpoint-type TYPE [FLAGS] [-- PERF_ANALYZER_FLAGS]",
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    _add_endpoint(parser)
    add_transport(parser)
    _add_input(parser)
    _add_load(parser)
    _add_output(parser)
    return parser


def _add_endpoint(parser: CommandParser) -> None:
    add = parser.add_argument_group("server and model").add_argument
    add("-m", "--model", nargs="+", default=[], metavar="NAME", help="model name to send; several are dealt in turn")
    add(
        "--model-selection-strategy",
        default="round_robin",
        metavar="HOW",
        help="which of several models a request names: round_robin or random (default: round_robin)",
    )
    add("--service-kind", metavar="KIND", help="openai; newer releases leave it out (default: openai)")
    add(
        "--endpoint-type",
        metavar="TYPE",
        help="chat, completions, embeddings, rankings, or generate (Triton's) (required)",
    )
    add("--endpoint", metavar="PATH", help="path (default: that of the type, such as v1/chat/completions)")
    add("-u", "--url", metavar="URL", help="[http(s)://]HOST:PORT[/PREFIX] (default: localhost:8000)")
    add("--backend", metavar="NAME", help="of KServe alone: changes nothing, which is said")
    add("--streaming", action="store_true", help="ask for token by token answers: without, no TTFT, TTST, ITL")
    add(
        "-H",
        "--header",
        action="append",
        type=words.header,
        default=[],
        metavar="'KEY: VALUE'",
        help="header of every request, repeatable; its value reaches no file",
    )
    add("--connection", default="reuse", metavar="KIND", help="reuse, or new: one per request (default: reuse)")
    add(
        "--request-timeout",
        default=21600.0,
        type=words.number,
        metavar="S",
        help="seconds a request may take; 0: no limit (default: 21600)",
    )
    add(
        "--no-progress-timeout",
        default=0.0,
        type=words.number,
        metavar="S",
        help="seconds of silence within a request before it counts as stalled; 0: no limit (default: 0)",
    )
    add(
        "--silence-timeout",
        default=900.0,
        type=words.number,
        metavar="S",
        help="end the run when nothing at all comes from the server for S seconds while requests wait; 0: never "
        "(default: 900)",
    )


def _add_input(parser: CommandParser) -> None:
    group = parser.add_argument_group("input", "Lengths are in tokens. Nothing is ever downloaded.")
    add = group.add_argument

    def length(*names: str, default: float | None, text: str) -> None:
        add(*names, type=words.number, default=default, metavar="L", help=text)

    length(
        "--synthetic-input-tokens-mean", "--isl", default=550.0, text="prompt length, prefix excluded (default: 550)"
    )
    length("--synthetic-input-tokens-stddev", default=0.0, text="its standard deviation, normal (default: 0)")
    length("--output-tokens-mean", "--osl", default=None, text="answer length to ask for (default: not asked)")
    length("--output-tokens-stddev", default=0.0, text="its standard deviation, normal (default: 0)")
    add(
        "--num-dataset-entries",
        "--num-prompts",
        type=words.whole_number,
        default=100,
        metavar="N",
        help="unique prompts; they are sent in turn until the run ends (default: 100)",
    )
    add(
        "--num-prefix-prompts",
        type=words.whole_number,
        default=0,
        metavar="N",
        help="shared beginnings to choose from for each prompt; 0: none (default: 0)",
    )
    add(
        "--prefix-prompt-length",
        type=words.whole_number,
        default=100,
        metavar="L",
        help="length of each of them (default: 100)",
    )
    add(
        "--input-file",
        metavar="FILE",
        help='JSON lines of {"text": PROMPT} in place of synthetic prompts, in order, and again until the end; or\n'
        "payload:FILE: rows of timestamp, input_length, output_length, text_input, hash_ids, session_id, delay",
    )
    add(
        "--cache-bust",
        nargs="?",
        const="auto",
        metavar="NONCE",
        help="prompts that no other run has, so that none is met in a warm cache; the nonce is said and kept: given "
        "here it sends the same ones again (default: same seed and load, same prompts)",
    )
    add("--random-seed", type=words.whole_number, default=0, metavar="N", help="seed of all that is drawn (default: 0)")
    add(
        "--extra-inputs",
        action="extend",
        nargs="+",
        type=extra_input,
        default=[],
        metavar="NAME:VALUE",
        help="field of every body, such as ignore_eos:true; or one JSON object; repeatable",
    )
    add(
        "-g",
        "--goodput",
        action="extend",
        nargs="+",
        type=profile_goodput,
        default=[],
        metavar="METRIC:LIMIT",
        help="limits of a good request: time_to_first_token, time_to_second_token, inter_token_latency, "
        "request_latency in ms at most, "
        "output_token_throughput_per_user in tokens/s at least",
    )
    for names, what in (
        (("-b", "--batch-size", "--batch-size-text"), "embeddings: texts, rankings: passages"),
        (("--batch-size-image",), "images"),
        (("--batch-size-audio",), "audios"),
    ):
        add(*names, type=words.whole_number, default=1, metavar="N", help=f"{what} in a request (default: 1)")
    add(
        "--warmup-request-count",
        "--num-warmup-requests",
        type=words.whole_number,
        default=0,
        metavar="N",
        help="requests before the measurement, whose prompts are not measured ones (default: 0)",
    )
    add("--tokenizer", metavar="DIR", help="directory of a tokenizer, or a name in the hub's cache here: exact lengths")
    add("--tokenizer-revision", default="main", metavar="NAME", help="revision in that cache (default: main)")
    add("--tokenizer-trust-remote-code", action="store_true", help="run Python code of the tokenizer's directory")
    add("--vocab-size", type=words.whole_number, metavar="N", help="completions without tokenizer: draw ids below N")


def _add_load(parser: CommandParser) -> None:
    group = parser.add_argument_group(
        "load", "Of concurrency, request rate, schedule and session concurrency give one."
    )
    add = group.add_argument
    add("--concurrency", type=words.whole_number, metavar="N", help="requests under way at a time (default: 1)")
    add("--request-rate", type=words.number, metavar="R", help="requests/s, evenly spaced")
    add("--fixed-schedule", action="store_true", help="send rows of --input-file payload:FILE at their time stamps")
    add(
        "--session-concurrency",
        type=words.whole_number,
        metavar="N",
        help="conversations under way at a time; each turn sends what was said before, with the server's answers",
    )
    add("--num-sessions", type=words.whole_number, default=0, metavar="N", help="synthetic conversations (default: 0)")
    for flag, default, text in (
        ("--session-turns-mean", 1.0, "turns of each, normal (default: 1)"),
        ("--session-turns-stddev", 0.0, "their standard deviation (default: 0)"),
        ("--session-turn-delay-mean", 0.0, "ms from an answer to the next turn, normal (default: 0)"),
        ("--session-turn-delay-stddev", 0.0, "its standard deviation (default: 0)"),
        ("--session-delay-ratio", 1.0, "what these delays are multiplied by (default: 1)"),
    ):
        add(flag, type=words.number, default=default, metavar="X", help=text)
    add(
        "--request-count",
        "--num-requests",
        type=words.whole_number,
        metavar="N",
        help="requests of the measurement (default: the larger of 10 and twice the concurrency)",
    )
    add(
        "-p",
        "--measurement-interval",
        type=words.number,
        metavar="MS",
        help="end by time, not by a number: windows of MS milliseconds follow each other until three agree, ten at\n"
        "most; what ended in the last three is reported",
    )
    add(
        "-s",
        "--stability-percentage",
        type=words.number,
        default=999.0,
        metavar="P",
        help="three windows agree when the largest throughput and latency is P %% above the smallest (default: 999)",
    )
    add(
        "--workers",
        default=1,
        type=words.whole_number,
        metavar="N",
        help="native client threads; two or more are pinned to cores (default: 1)",
    )


def _add_output(parser: CommandParser) -> None:
    add = parser.add_argument_group("output and verdict").add_argument
    add(
        "--artifact-dir", default="artifacts", metavar="DIR", help="where the run's directory goes (default: artifacts)"
    )
    add(
        "--profile-export-file",
        default="profile_export.json",
        metavar="NAME",
        help="name of the file of requests; the others' are made of it (default: profile_export.json)",
    )
    add("--generate-plots", action="store_true", help="deprecated: draws nothing, which is said")
    add("--no-raw-export", action="store_true", help="write no file of requests and keep no answers")
    add(
        "--server-metrics-url",
        "--server-metrics-urls",
        action="extend",
        nargs="+",
        default=[],
        metavar="URL",
        help="DCGM exporters to read every 0.33 s during the load (with -v default: http://localhost:9400/metrics)",
    )
    add("--gpu-telemetry", action="store_true", help="watch this host's GPUs by NVML every 10 ms")
    add("-v", "--verbose", action="store_true", help="print the table of GPUs too, where there is telemetry")
    add("--disable-tqdm", action="store_true", help="no progress bar (there is none when piped)")
    add("--strict", action="store_true", help="exit 3 unless the quality of the measurement is VALID")
    add(
        "--max-failure-share",
        default=0.0,
        type=words.number,
        metavar="X",
        help="share of requests that may fail, 0 to 1, before the run is INVALID and exits 3 (default: 0)",
    )
