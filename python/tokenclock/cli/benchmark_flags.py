"""The flags of `tokenclock benchmark`, grouped, with units and defaults: the text people read first."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from tokenclock.cli import arguments as words
from tokenclock.cli.arguments import CommandParser
from tokenclock.errors import UsageError

__all__ = ["build_parser", "refuse_old_flags"]

_DESCRIPTION = """\
Times a model runtime in this process, or in every rank under mpirun: fixed batch, fixed input and output length, one
latency per iteration. Every combination of lengths, batch sizes and weight shares is one case; each case is warmed
up, then repeated until both minimums (--num_runs and --duration) are met, and reported as one [BENCHMARK] line.
"""

_EPILOG = """\
environment:
  TOKENCLOCK_BENCHMARK_<FLAG>  default of a flag, e.g. TOKENCLOCK_BENCHMARK_DURATION; the flag itself wins
  TOKENCLOCK_CACHE             where tiny models are kept (default: $XDG_CACHE_HOME/tokenclock)

exit codes:
  0 measured; 1 nothing could be measured; 2 wrong flags or no such model; 3 measured, but some cases failed;
  130 stopped by Ctrl-C (what was measured is reported and saved)

examples:
  a tiny model that is made on the spot, six cases in a few seconds:
    tokenclock benchmark -m dec --engine_dir tiny:llama --batch_size "1;8;64" --input_output_len "60,20;128,20" \\
        --duration 0

  an encoder, result kept:
    tokenclock benchmark -m enc --engine_dir DIR --batch_size "1;8" --input_len "20;128" --json bert.json

  two GPUs:
    mpirun -n 2 tokenclock benchmark -m dec --engine_dir DIR --batch_size 8 --input_output_len 128,20
"""

# Flags of the original's earlier generations, which built engines themselves -> what there is instead.
_OLD_FLAGS: dict[str, str] = {
    "--mode": "engines are built beforehand (trtllm-build); the plugins are the engine's",
    "--refit": "engines are built beforehand (trtllm-build)",
    "--profiling_verbosity": "engines are built beforehand (trtllm-build --profiling_verbosity)",
    "--output_dir": "nothing is built here: give the built engine by --engine_dir",
    "--n_positions": "engines are built beforehand (trtllm-build --max_seq_len)",
    "--max_beam_width": "engines are built beforehand (trtllm-build --max_beam_width)",
    "--max_input_len": "engines are built beforehand (trtllm-build --max_input_len)",
    "--max_encoder_input_len": "engines are built beforehand (trtllm-build --max_encoder_input_len)",
    "--max_decoder_input_len": "engines are built beforehand (trtllm-build --max_input_len)",
    "--max_output_len": "engines are built beforehand (trtllm-build --max_seq_len)",
    "--max_seq_len": "engines are built beforehand (trtllm-build --max_seq_len)",
    "--max_batch_size": "engines are built beforehand (trtllm-build --max_batch_size)",
    "--force_num_layer_1": "use --engine_dir tiny:llama to try things out",
    "--strongly_typed": "engines are built beforehand (trtllm-build)",
    "--enable_fp8": "quantise the checkpoint, then build its engine",
    "--fp8_kv_cache": "quantise the checkpoint, then build its engine",
    "--enable_custom_all_reduce": "engines are built beforehand (trtllm-build)",
    "--build_only": "use trtllm-build",
    "--serial_build": "use trtllm-build",
    "--rank": "ranks come from mpirun or srun",
    "--world_size": "ranks come from mpirun or srun",
}


def refuse_old_flags(arguments: Sequence[str]) -> None:
    """Raise UsageError, saying what replaced it, for the first flag that only earlier generations had."""
    for argument in arguments:
        flag = argument.partition("=")[0]
        if flag in _OLD_FLAGS:
            raise UsageError(f"{flag} is gone: {_OLD_FLAGS[flag]}")


def build_parser() -> CommandParser:
    """The command's parser: every flag with its unit and default, none read yet."""
    parser = CommandParser(
        prog="tokenclock benchmark",
        usage="tokenclock benchmark -m dec|enc|enc-dec --engine_dir DIR [FLAGS]",
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    _add_model(parser)
    _add_cases(parser)
    _add_loop(parser)
    _add_output(parser)
    _add_dead(parser)
    return parser


def _add_model(parser: CommandParser) -> None:
    add = parser.add_argument_group("model and runtime").add_argument
    add(
        "-m",
        "--model",
        default="dec",
        metavar="KIND",
        help="dec: decoder-only; enc (or bert): encoder-only; enc-dec: encoder-decoder (default: dec)",
    )
    add(
        "--engine_dir",
        metavar="DIR",
        help="directory of the model or engine; tiny:llama, tiny:bert and tiny:t5 are made on the spot (required)",
    )
    add(
        "--runtime",
        metavar="NAME",
        help="ctranslate2, transformers, trtllm-llm, trtllm-engine, or null, which answers at once (default: by "
        "what the directory holds)",
    )
    add(
        "--dtype",
        metavar="TYPE",
        help="float16, bfloat16 or float32 (default: float16; float32 where a CPU cannot compute in it, as the report "
        "then says)",
    )
    add(
        "--quantization",
        metavar="MODE",
        help="checked and kept in the result; without effect on a model that is built already (default: none)",
    )
    add("--num_beams", default=1, type=words.whole_number, metavar="N", help="beam width (default: 1)")
    add(
        "--enable_cuda_graph",
        action="store_true",
        help="replay the generation step as a CUDA graph, where the runtime can",
    )
    add("--device", default="auto", metavar="NAME", help="auto, cpu or cuda (default: auto, a GPU where there is one)")
    add(
        "--threads",
        type=words.whole_number,
        metavar="N",
        help="CPU threads of each rank (default: its share of the cores)",
    )
    add("--tp", type=words.whole_number, metavar="N", help="tensor parallel (default: the number of ranks)")
    add("--pp", type=words.whole_number, metavar="N", help="pipeline parallel, where the runtime has it (default: 1)")
    add("--ep", type=words.whole_number, metavar="N", help="expert parallel, where the runtime has it (default: 1)")
    add("--torch_compile", action="store_true", help="compile the model, with --runtime transformers")
    add("--extra_llm_api_options", metavar="FILE", help="YAML file with options for --runtime trtllm-llm")
    add("--strict-options", action="store_true", help="refuse options that the installed release does not know")


def _add_cases(parser: CommandParser) -> None:
    add = parser.add_argument_group("cases: every combination; lists have ; between and need quotes").add_argument
    add("--batch_size", default="8", metavar="LIST", help='rows, e.g. "1;8;64" (default: 8)')
    add(
        "--input_output_len",
        default="128,20",
        metavar="LIST",
        help='input,output in tokens, e.g. "60,20;128,20"; for dec and enc-dec (default: 128,20)',
    )
    add("--input_len", default="128", metavar="LIST", help='tokens, e.g. "20;128"; for enc (default: 128)')
    add(
        "--gpu_weights_percent",
        default="1.0",
        metavar="LIST",
        help='shares in [0, 1] of the weights kept on the GPU, e.g. "0.5;1.0" (default: 1.0)',
    )
    add("--seed", default=0, type=words.whole_number, metavar="N", help="of the inputs (default: 0)")


def _add_loop(parser: CommandParser) -> None:
    add = parser.add_argument_group("loop").add_argument
    add(
        "--warm_up",
        default=2,
        type=words.whole_number,
        metavar="N",
        help="untimed iterations before each case (default: 2)",
    )
    add("--num_runs", default=10, type=words.whole_number, metavar="N", help="timed iterations at least (default: 10)")
    add("--duration", default=60.0, type=words.number, metavar="S", help="timed seconds at least (default: 60)")
    add(
        "--max-duration",
        default=0.0,
        type=words.number,
        metavar="S",
        help="timed seconds of a case at most, whatever --num_runs says; 0: no limit (default: 0)",
    )
    add(
        "--streaming",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="stamp each generation step, where the runtime tells them: TTFT, TPOT, ITL, generation_time(ms)",
    )
    add("--fail-fast", action="store_true", help="end the sweep at the first case that fails")


def _add_output(parser: CommandParser) -> None:
    add = parser.add_argument_group("output").add_argument
    add(
        "--csv",
        action="store_true",
        help="CSV rows in place of [BENCHMARK] lines, printed and added to {model}_{dtype}_tp{N}_sm{cc}.csv in the "
        "working directory",
    )
    add("--json", metavar="FILE", help="write the result as JSON after each case, its columns beside it")
    add("--save-events", metavar="DIR", help="keep every iteration as it happens: a killed run loses a second at most")
    add(
        "--percentiles",
        default=(),
        type=words.number_list,
        metavar="LIST",
        help="in the JSON, beside 50, 90, 95, 99 and 99.9",
    )
    add(
        "--gpu-sampling-interval",
        default=10.0,
        type=words.number,
        metavar="MS",
        help="between two samples of memory and power of the GPUs, in ms; 0: none (default: 10)",
    )
    add(
        "--log_level",
        default="error",
        metavar="LEVEL",
        help="verbose, info, warning, error or internal_error; info and verbose also print the latencies of each case "
        "on stderr (default: error)",
    )
    add(
        "--dump_profile",
        action="store_true",
        help="run each case once more when all are timed, with a "
        "time for each layer in STEM.layer_profile.csv (STEM of --json, else of the CSV); transformers, trtllm-engine",
    )
    add(
        "--dump_layer_info",
        action="store_true",
        help="list the layers, with types and shapes, in STEM.layer_info.csv; ctranslate2, transformers, trtllm-engine",
    )


def _add_dead(parser: CommandParser) -> None:
    add = parser.add_argument_group("accepted, but without effect (as in the original)").add_argument
    add("--top_k", default=1, type=words.whole_number, metavar="N", help="decoding is greedy (default: 1)")
    add("--top_p", default=0.0, type=words.number, metavar="P", help="decoding is greedy (default: 0)")
    add("--input_timing_cache", metavar="FILE", help="nothing is built here")
    add("--output_timing_cache", default="model.cache", metavar="FILE", help="nothing is built here")
