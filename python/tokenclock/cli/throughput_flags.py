"""The flags of `tokenclock throughput` and `tokenclock latency`, by trtllm-bench's names; ours have dashes."""

from __future__ import annotations

import argparse

from tokenclock.cli import arguments as words
from tokenclock.cli.arguments import CommandParser
from tokenclock.cli.transport_flags import add_transport

__all__ = ["build_parser"]

_DESCRIPTION = {
    "throughput": """\
Sends the requests of a data set to a model in this process, or to an OpenAI-compatible server (--base-url), so many at
a time, and reports throughput and latency in trtllm-bench's words and files, with the measurement's own error.
As in trtllm-bench, --model and --model_path may stand before the command: tokenclock --model NAME throughput ...
""",
    "latency": """\
Sends the requests of a data set one at a time to a model in this process, or to an OpenAI-compatible server
(--base-url), and reports their latency in trtllm-bench's words and files, with the measurement's own error.
As in trtllm-bench, --model and --model_path may stand before the command: tokenclock --model NAME latency ...
""",
}

_EPILOG = """\
The data set is JSON lines, as `tokenclock prepare-dataset` writes them: {{"task_id": 0, "input_ids": [...],
"output_tokens": 128}}, with "prompt" in place of ids where there is a tokenizer. Nothing is ever downloaded.

environment:
  OPENAI_API_KEY             sent as 'Authorization: Bearer ...' when set, with --base-url
  TOKENCLOCK_{upper}_<FLAG>  default of a flag, e.g. TOKENCLOCK_{upper}_BASE_URL; the flag itself wins

exit codes:
  0 measured; 1 nothing could be measured; 2 wrong flags or data set; 3 measured, but failures exceed
  --max-failure-share or --strict found the quality wanting; 130 stopped by Ctrl-C (what was measured is saved)

examples:
  a tiny model that is made on the spot:
    tokenclock --model tiny:llama {command} --dataset requests.jsonl {streaming}--report_json report.json

  a server:
    tokenclock --model my-model {command} --dataset requests.jsonl --base-url http://10.0.0.7:8000 {concurrency}
"""


def build_parser(command: str) -> CommandParser:
    """The parser of `throughput` or `latency`: every flag with its unit and default, none read yet."""
    is_latency = command == "latency"
    parser = CommandParser(
        prog=f"tokenclock {command}",
        usage=f"tokenclock {command} --model NAME --dataset FILE [FLAGS]",
        description=_DESCRIPTION[command],
        epilog=_EPILOG.format(
            command=command,
            upper=command.upper(),
            streaming="" if is_latency else "--streaming ",
            concurrency="" if is_latency else "--concurrency 16 --streaming",
        ),
    )
    _add_model(parser)
    _add_runtime(parser, is_latency)
    _add_server(parser)
    add_transport(parser)
    _add_requests(parser, is_latency)
    _add_output(parser)
    _add_tuning(parser, is_latency)
    return parser


def _add_model(parser: CommandParser) -> None:
    add = parser.add_argument_group("model (also before the command, as in trtllm-bench)").add_argument
    add(
        "-m",
        "--model",
        metavar="NAME",
        help="the model's name, or its directory, or tiny:llama (required)",
    )
    add("--model_path", metavar="DIR", help="directory of the model (default: --model where that is one)")
    add("--tokenizer", metavar="DIR", help="for rows of text (default: the model's directory, where it has one)")
    add("--no-telemetry", action="store_true", help=argparse.SUPPRESS)  # so it is in any case
    add("--no_skip_tokenizer_init", action="store_true", help=argparse.SUPPRESS)
    for name in ("--modality", "--image_data_format", "--data_device", "--max_input_len"):
        add(name, help=argparse.SUPPRESS)
    add("--revision", metavar="NAME", help=argparse.SUPPRESS)
    add("-w", "--workspace", metavar="DIR", help=argparse.SUPPRESS)
    add("--log_level", metavar="LEVEL", help=argparse.SUPPRESS)


def _add_runtime(parser: CommandParser, is_latency: bool) -> None:
    add = parser.add_argument_group("a runtime in this process (default)").add_argument
    add(
        "--runtime",
        metavar="NAME",
        help="ctranslate2, trtllm-llm, trtllm-engine, or null, which answers at once (default: by the files there)",
    )
    add("--backend", metavar="NAME", help="the original's word for it: pytorch is trtllm-llm, tensorrt trtllm-engine")
    add("--engine_dir", metavar="DIR", help="directory to load in place of --model_path, such as an engine's")
    add(
        "--extra_llm_api_options",
        "--config",
        dest="extra_llm_api_options",
        metavar="FILE",
        help="YAML file with options of trtllm-llm; they win over flags",
    )
    add("--strict-options", action="store_true", help="refuse options that the installed release does not know")
    if not is_latency:
        add("--max_batch_size", type=words.whole_number, metavar="N", help="requests that the runtime runs at once")
        add("--max_num_tokens", type=words.whole_number, metavar="N", help="tokens of one iteration, with TensorRT-LLM")
    add("--max_seq_len", type=words.whole_number, metavar="N", help="tokens of a request (default: the longest row's)")
    add(
        "--kv_cache_free_gpu_mem_fraction",
        type=words.number,
        metavar="SHARE",
        help="of the free GPU memory for the KV cache, with TensorRT-LLM (default: 0.90)",
    )
    add("--tp", type=words.whole_number, metavar="N", help="tensor parallel (default: 1 on GPUs of this process)")
    add("--pp", type=words.whole_number, metavar="N", help="pipeline parallel (default: 1 on GPUs of this process)")
    add("--ep", type=words.whole_number, metavar="N", help="expert parallel, with trtllm-llm (default: not set)")
    add("--dtype", metavar="TYPE", help="float16, bfloat16 or float32 (default: as `benchmark`)")
    add("--device", default="auto", metavar="NAME", help="auto, cpu or cuda (default: auto, a GPU where there is one)")
    add("--threads", type=words.whole_number, metavar="N", help="CPU threads of each request that runs")
    add(
        "--gpu-sampling-interval",
        type=words.number,
        metavar="MS",
        help="between two samples of memory and power of the GPUs, in ms; 0: none (default: 10)",
    )


def _add_server(parser: CommandParser) -> None:
    add = parser.add_argument_group("a server").add_argument
    add("--base-url", metavar="URL", help="http(s)://HOST[:PORT][/PREFIX] of an OpenAI-compatible server")
    add("--served-model-name", metavar="NAME", help="model name to send, where the server knows it by another")
    add("--header", action="append", default=[], type=words.header, metavar="KEY=VALUE", help="repeatable")
    add(
        "--cache-bust",
        nargs="?",
        const="auto",
        metavar="NONCE",
        help="prompts that no other run has, so that none is met in a warm cache; the nonce is said and kept: given "
        "here it sends the same ones again (default: rows are sent as they are)",
    )
    add(
        "--request-timeout",
        default=21600.0,
        type=words.number,
        metavar="S",
        help="longest a request may take; 0: no limit (default: 21600)",
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


def _add_requests(parser: CommandParser, is_latency: bool) -> None:
    add = parser.add_argument_group("requests").add_argument
    add("--dataset", metavar="FILE", help="JSON lines, one request a line (required)")
    add("--num_requests", default=0, type=words.whole_number, metavar="N", help="at most; 0: all (default: 0)")
    add(
        "--concurrency",
        default=1 if is_latency else -1,
        type=words.whole_number,
        metavar="N",
        help="requests at a time" + (" (default: 1)" if is_latency else "; 0 or less: all at once (default: -1)"),
    )
    add(
        "--warmup",
        default=2,
        type=words.whole_number,
        metavar="N",
        help="requests before the run, of the data set's lengths but no prompt of it (default: 2)",
    )
    if not is_latency:
        add("--streaming", action="store_true", help="stamp single tokens: TTFT, TPOT, ITL")
        add(
            "--eos_id",
            default=-1,
            type=words.whole_number,
            metavar="ID",
            help="token that ends an answer; -1: none does (default: -1)",
        )
    add("--beam_width", default=1, type=words.whole_number, metavar="N", help="beams, without streaming (default: 1)")
    add(
        "--sampler_options", metavar="FILE", help="YAML file of sampling options, such as temperature (default: greedy)"
    )
    add("--seed", default=0, type=words.whole_number, metavar="N", help="of the warm-up's prompts (default: 0)")


def _add_output(parser: CommandParser) -> None:
    add = parser.add_argument_group("output").add_argument
    add("--report_json", metavar="FILE", help="the report as JSON, its columns beside it")
    add("--request_json", metavar="FILE", help="a record of each request")
    add("--output_json", metavar="FILE", help="task_id -> generated text")
    add("--iteration_log", metavar="FILE", help="JSON lines of the runtime's iterations, with TensorRT-LLM")
    add(
        "--save-events",
        metavar="DIR",
        help="keep the event log, a part a second (default: one beside --report_json while the run goes on)",
    )
    add("--no-save-columns", action="store_true", help="no columns beside --report_json")
    add(
        "--external",
        action="store_true",
        help="run trtllm-bench itself with these words, and keep what its log says; needs it on the PATH",
    )
    add("--max-failure-share", default=0.0, type=words.number, metavar="SHARE", help="that may fail (default: 0)")
    add("--strict", action="store_true", help="exit 3 unless the measurement's quality is without a warning")
    add("--disable-tqdm", action="store_true", help="no progress bar")


def _add_tuning(parser: CommandParser, is_latency: bool) -> None:
    add = parser.add_argument_group("of TensorRT-LLM").add_argument
    add("--target_input_len", type=words.whole_number, metavar="N", help="hint for tuning; said to be idle")
    add("--target_output_len", type=words.whole_number, metavar="N", help="hint for tuning; said to be idle")
    if is_latency:
        return
    chunked = parser.add_mutually_exclusive_group().add_argument
    chunked(
        "--enable_chunked_context",
        action="store_true",
        default=None,
        dest="chunked_context",
        help="cut long prompts into several iterations, with TensorRT-LLM (default: on where it can)",
    )
    chunked(
        "--disable_chunked_context", action="store_false", default=None, dest="chunked_context", help="never cut them"
    )
    add(
        "--scheduler_policy",
        metavar="NAME",
        help="guaranteed_no_evict or max_utilization, with TensorRT-LLM (default: guaranteed_no_evict)",
    )
