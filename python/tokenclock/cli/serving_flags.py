"""The flags of `tokenclock serving`, grouped, with units and defaults: the text people read first."""

from __future__ import annotations

from tokenclock.cli import arguments as words
from tokenclock.cli.arguments import CommandParser
from tokenclock.cli.dataset_flags import add_dataset_flags
from tokenclock.cli.transport_flags import add_transport

__all__ = ["build_parser"]

_DESCRIPTION = """\
Sends requests to an OpenAI-compatible server (trtllm-serve, vLLM, SGLang, llama.cpp, ...), stamps every token as it
arrives, and reports latency and throughput together with the measurement's own error.

With --max-concurrency N the load is a closed loop: N requests at a time, the next starts when one ends. With
--request-rate R it is an open loop: requests are due at times fixed before the run, whatever the server does.
"""

_EPILOG = """\
environment:
  OPENAI_API_KEY             sent as 'Authorization: Bearer ...' when set
  TOKENCLOCK_SERVING_<FLAG>  default of a flag, e.g. TOKENCLOCK_SERVING_BASE_URL; the flag itself wins
                             (several values as in a shell: TOKENCLOCK_SERVING_GOODPUT="ttft:100 tpot:50")

exit codes:
  0 measured; 1 nothing could be measured; 2 wrong flags; 3 measured, but failures exceed --max-failure-share
  or --strict found the quality wanting; 130 stopped by Ctrl-C (what was measured is saved)

examples:
  16 requests at a time, 1024 tokens in and 128 out, result kept:
    tokenclock serving --model my-model --dataset-name random --random-input-len 1024 --random-output-len 128 \\
        --num-prompts 80 --max-concurrency 16 --ignore-eos --save-result --result-dir results

  Poisson arrivals at 4 requests/s, share of requests that meet two limits:
    tokenclock serving --base-url http://10.0.0.7:8000 --model my-model --dataset-name random --request-rate 4 \\
        --num-prompts 400 --ignore-eos --percentile-metrics ttft,tpot,itl,e2el --goodput ttft:300 tpot:40

  recorded conversations, spread over two adapters in turn:
    tokenclock serving --model my-model --tokenizer DIR --dataset-name sharegpt --dataset-path ShareGPT.json \\
        --num-prompts 200 --max-concurrency 8 --lora-modules law poetry --lora-assignment round-robin
"""


def build_parser() -> CommandParser:
    """The command's parser: every flag with its unit and default, none read yet."""
    parser = CommandParser(
        prog="tokenclock serving",
        usage="tokenclock serving --model NAME --dataset-name NAME [FLAGS]",
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    _add_endpoint(parser)
    add_transport(parser)
    _add_load(parser)
    add_dataset_flags(parser)
    _add_generation(parser)
    _add_server_side(parser)
    _add_output(parser)
    return parser


def _add_endpoint(parser: CommandParser) -> None:
    group = parser.add_argument_group("server and model")
    add = group.add_argument
    add(
        "--backend",
        default="openai",
        metavar="NAME",
        help="openai: completions; openai-chat: chat completions; responses: OpenAI's responses; embeddings; rerank; "
        "triton: generate_stream of Triton's TensorRT-LLM backend (default: openai)",
    )
    add("--base-url", metavar="URL", help="http(s)://HOST[:PORT][/PREFIX]; replaces --host and --port")
    add("--host", default="127.0.0.1", help="server name or address, IPv4 or IPv6 (default: 127.0.0.1)")
    add("--port", default=8000, type=words.whole_number, help="server port (default: 8000)")
    add(
        "--endpoint",
        metavar="PATH",
        help="path below the base URL (default: /v1/completions; with openai-chat /v1/chat/completions; with triton "
        "/v2/models/ensemble/generate_stream; else /v1/ and the backend's name)",
    )
    add(
        "--model",
        metavar="NAME",
        help="model name to send; a directory with a tokenizer.json also gives the tokenizer (required)",
    )
    add("--served-model-name", metavar="NAME", help="model name to send, where the server knows it by another")
    add(
        "--lora-modules",
        action="extend",
        nargs="+",
        default=[],
        metavar="NAME",
        help="adapters by the names the server knows; each request is sent to one of them (default: none)",
    )
    add(
        "--lora-assignment",
        default="random",
        metavar="HOW",
        help="random: drawn for each request from the seed; zipf: the first ones named more often; round-robin: dealt "
        "in turn; per-row: as each row of the dataset names (default: random)",
    )
    add(
        "--lora-zipf-alpha",
        default=1.0,
        type=words.number,
        metavar="A",
        help="zipf: adapter k, from 1, is drawn in proportion to k**-A (default: 1)",
    )
    add(
        "--batch-size",
        default=None,
        type=words.whole_number,
        metavar="N",
        help="embeddings: texts of a request (default: 1); rerank: documents of a request (default: 10)",
    )
    add(
        "--rerank-style",
        default="jina",
        metavar="NAME",
        help="body of rerank: jina (also Cohere's and vLLM's), nim or tei (default: jina)",
    )
    add(
        "--tokenizer",
        metavar="DIR",
        help="directory with a tokenizer.json, for prompts of exact length; nothing is ever "
        "downloaded (default: --model if it is such a directory, else none)",
    )
    add(
        "--tokenizer-mode",
        default="auto",
        metavar="MODE",
        help="auto, or slow: read the tokenizer by the transformers package (default: auto)",
    )
    add("--trust-remote-code", action="store_true", help="let transformers run code from the tokenizer's directory")
    add(
        "--header",
        action="extend",
        nargs="+",
        type=words.header,
        default=[],
        metavar="KEY=VALUE",
        help="HTTP header to send, or 'Key: value'; repeatable; never written to a file",
    )
    add(
        "--connection",
        default="reuse",
        metavar="HOW",
        help="reuse: keep-alive; new: one connection per request (default: reuse)",
    )


def _add_load(parser: CommandParser) -> None:
    group = parser.add_argument_group("load")
    add = group.add_argument
    add(
        "--cache-bust",
        nargs="?",
        const="auto",
        metavar="NONCE",
        help="prompts that no other run has, so that none is met in a warm cache; the nonce is said and kept: given "
        "here it sends the same ones again (default: same seed and load, same prompts)",
    )
    add(
        "--num-prompts",
        type=words.whole_number,
        metavar="N",
        help="requests to send (default: 1000; trace: all its rows)",
    )
    add("--max-concurrency", type=words.whole_number, metavar="N", help="most requests in flight (default: no limit)")
    add(
        "--request-rate",
        default=float("inf"),
        type=words.number,
        metavar="R",
        help="mean arrivals in requests/s; inf: everything is due at once (default: inf)",
    )
    add(
        "--burstiness",
        default=1.0,
        type=words.number,
        metavar="B",
        help="shape of the gamma-distributed gaps: 1 Poisson, < 1 burstier, > 1 more regular, inf equal (default: 1)",
    )
    add(
        "--seed",
        default=0,
        type=words.whole_number,
        metavar="N",
        help="seed of lengths, prompts and arrival times (default: 0)",
    )
    add(
        "--num-warmups",
        default=0,
        type=words.whole_number,
        metavar="N",
        help="unmeasured requests before the run, with prompts of their own (default: 0)",
    )
    add("--no-test-input", action="store_true", help="skip the one request whose failure ends the command early")
    add(
        "--ready-check-timeout-sec",
        default=0.0,
        type=words.number,
        metavar="S",
        help="repeat the test request until it is answered, for S seconds; 0: try once (default: 0)",
    )
    add(
        "--request-timeout",
        default=21600.0,
        type=words.number,
        metavar="S",
        help="longest time for one request, in seconds; 0: none (default: 21600)",
    )
    add(
        "--no-progress-timeout",
        default=0.0,
        type=words.number,
        metavar="S",
        help="longest silence of the server within a request, waiting in its queue included, in seconds; 0: none "
        "(default: 0)",
    )
    add(
        "--silence-timeout",
        default=900.0,
        type=words.number,
        metavar="S",
        help="end the run when nothing at all comes from the server for S seconds while requests wait; 0: never "
        "(default: 900)",
    )
    add("--non-streaming", action="store_true", help="ask for replies in one piece: no TTFT, TPOT or ITL")
    add("--ramp-up-strategy", metavar="HOW", help="linear or exponential: the rate changes over the run (default: no)")
    add("--ramp-up-start-rps", type=words.number, metavar="R", help="rate at the first request, in requests/s")
    add("--ramp-up-end-rps", type=words.number, metavar="R", help="rate at the last request, in requests/s")
    add(
        "--ramp-up-seconds",
        default=0.0,
        type=words.number,
        metavar="S",
        help="open the slots of --max-concurrency one by one over this time; warm-ups then come first and hand their\n"
        "slots over to measured requests (default: 0, all at once)",
    )
    add(
        "--probe-request-rate",
        default=0.0,
        type=words.number,
        metavar="R",
        help="one-token requests/s beside the load, on connections of their own; 0: none (default: 0)",
    )
    add(
        "--request-id-prefix",
        metavar="TEXT",
        help="send `x-request-id: TEXT<number>` with each request (default: not sent)",
    )
    add(
        "--workers",
        default=1,
        type=words.whole_number,
        metavar="N",
        help="native client threads; two or more are pinned to cores (default: 1)",
    )


def _add_generation(parser: CommandParser) -> None:
    group = parser.add_argument_group("generation")
    add = group.add_argument
    add("--ignore-eos", action="store_true", help="ask the server to go on to the asked length")
    add("--temperature", type=words.number, metavar="T", help="sampling temperature; 0: greedy (default: not sent)")
    add("--top-p", type=words.number, metavar="P", help="nucleus sampling share (default: not sent)")
    add("--top-k", type=words.whole_number, metavar="K", help="candidates per token (default: not sent)")
    add("--min-p", type=words.number, metavar="P", help="least relative probability (default: not sent)")
    add("--logprobs", type=words.whole_number, metavar="N", help="log probabilities per token (default: not sent)")
    add("--frequency-penalty", type=words.number, metavar="X", help="-2 to 2 (default: not sent)")
    add("--presence-penalty", type=words.number, metavar="X", help="-2 to 2 (default: not sent)")
    add(
        "--repetition-penalty",
        type=words.number,
        metavar="X",
        help="above 0; 1 changes nothing (default: 1 with completions, not sent with chat)",
    )
    add(
        "--chat-template-kwargs",
        type=words.json_object,
        metavar="JSON",
        help="object for the server's chat template, with openai-chat (default: not sent)",
    )
    add(
        "--extra-body",
        type=words.json_object,
        default={},
        metavar="JSON",
        help="object merged last into every request; null takes a field out",
    )


def _add_server_side(parser: CommandParser) -> None:
    group = parser.add_argument_group("asked of the server around the run", "None of it is inside the measured time.")
    add = group.add_argument
    add("--profile", action="store_true", help="POST /start_profile before the run and /stop_profile after it")
    add("--flush-cache", action="store_true", help="POST /flush_cache (SGLang) after test and warm-up requests")
    add("--reset-prefix-cache", action="store_true", help="POST /reset_prefix_cache (vLLM) likewise")
    add(
        "--save-request-time-breakdown",
        action="store_true",
        help="GET /perf_metrics (trtllm-serve) after the run: median of each step, and RESULT-perf_metrics.json",
    )
    add(
        "--gpu-telemetry",
        action="store_true",
        help="watch memory, power, clocks and temperature of this host's GPUs during the load, by NVML every 10 ms",
    )


def _add_output(parser: CommandParser) -> None:
    group = parser.add_argument_group("output and verdict")
    add = group.add_argument
    add(
        "--percentile-metrics",
        default=("ttft", "tpot", "itl"),
        type=words.metric_list,
        metavar="LIST",
        help="latencies to report, of ttft,tpot,itl,e2el (default: ttft,tpot,itl)",
    )
    add(
        "--metric-percentiles",
        type=words.number_list,
        metavar="LIST",
        help="percentiles to report, such as 50,95,99.9 (default: 99)",
    )
    add(
        "--goodput",
        action="extend",
        nargs="+",
        type=words.goodput_limit,
        default=[],
        metavar="KEY:MS",
        help="limits in ms that a good request meets, such as ttft:200 tpot:50 e2el:5000",
    )
    add("--save-result", action="store_true", help="write the result as JSON, with its columns beside it")
    add("--append-result", action="store_true", help="add the result as a line to the file, do not replace it")
    add("--label", metavar="TEXT", help="start of the generated name, kept in the JSON (default: the backend)")
    add("--save-detailed", action="store_true", help="keep each request's values in the JSON too")
    add("--no-save-columns", action="store_true", help="write no .columns.npz beside the JSON")
    add("--plot-timeline", action="store_true", help="write NAME.timeline.html beside the JSON, the page of `report`")
    add("--save-events", metavar="DIR", help="write raw events there while the run goes on")
    add("--result-dir", metavar="DIR", help="where the result goes; created (default: the working directory)")
    add("--result-filename", metavar="NAME", help="name of the result (default: made of backend, rate, model, date)")
    add(
        "--metadata",
        action="extend",
        nargs="+",
        type=words.key_value,
        default=[],
        metavar="KEY=VALUE",
        help="text to keep at the top of the JSON",
    )
    add(
        "--console",
        default="classic",
        metavar="KIND",
        help="classic: the rows of the documented tool; full: also std, min, max (default: classic)",
    )
    add("--intervals", action="store_true", help="print 95 %% intervals too (the JSON always has them)")
    add("--disable-tqdm", action="store_true", help="no progress bar (there is none when piped)")
    add("--strict", action="store_true", help="exit 3 unless the quality of the measurement is VALID")
    add(
        "--max-failure-share",
        default=0.0,
        type=words.number,
        metavar="X",
        help="share of requests that may fail, 0 to 1, before the run is INVALID and exits 3 (default: 0)",
    )
