"""`tokenclock demo`: measures a real LLM server on this machine, then our own error against a paced one."""

from __future__ import annotations

import shlex
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tokenclock.cli.arguments import CommandParser
from tokenclock.errors import MeasurementError
from tokenclock.standard_error import say_on_stderr

if TYPE_CHECKING:
    from tokenclock.records import Records

__all__ = ["build_parser", "main"]

_REAL = {"concurrency": 8, "requests": 40, "isl": 32, "osl": 64}
_PACED = {"concurrency": 256, "requests": 1024, "isl": 32, "osl": 64}
_PACED_ITL_MS = 20.0
_OFFLINE = (  # family, model, lengths
    ("dec", "tiny:llama", "--input_output_len", "60,20;128,20"),
    ("enc", "tiny:bert", "--input_len", "20;128"),
    ("enc-dec", "tiny:t5", "--input_output_len", "60,20"),
)


def build_parser() -> CommandParser:
    """The command's two flags."""
    parser = CommandParser(
        prog="tokenclock demo",
        description="Starts a real 270M model behind llama.cpp's server on loopback and runs `tokenclock serving`\n"
        f"against it ({_REAL['concurrency']} at a time, {_REAL['requests']} requests, {_REAL['isl']} tokens in, "
        f"{_REAL['osl']} out), then compares TPOT with the server's own timings.\n"
        f"Then measures our own error: {_PACED['concurrency']} streams from a paced server, whose log is the truth.\n"
        "Last it runs `tokenclock benchmark` on tiny models of three families, in this process.\n"
        "A slow machine makes it longer, never fail.",
    )
    parser.add_argument("--light", action="store_true", help="leave out the real model (240 MB) and its server")
    parser.add_argument(
        "--result-dir", default="results/demo", metavar="DIR", help="where results are left (default: results/demo)"
    )
    return parser


def main(argv: Sequence[str]) -> int:
    """Run the demo; 0, or what `serving` ended with where it measured nothing."""
    arguments = build_parser().read(argv)
    folder = Path(arguments.result_dir)
    begun_s = time.monotonic()
    if arguments.light:
        _say("the real model is left out (--light)")
    else:
        _measure_real_server(folder)
    _measure_own_error(folder)
    _time_offline(folder)
    _say(f"done in {time.monotonic() - begun_s:.0f} s; results are in {folder}/")
    return 0


def _time_offline(folder: Path) -> None:
    """Run `tokenclock benchmark` as its user would; left out, with a word, where its runtime is not installed."""
    import importlib.util

    from tokenclock.cli import benchmark

    if importlib.util.find_spec("ctranslate2") is None:
        _say("the offline part is left out: pip install 'tokenclock[offline]'")
        return
    folder.mkdir(parents=True, exist_ok=True)
    for family, model, flag, lengths in _OFFLINE:
        command = ["-m", family, "--engine_dir", model, "--batch_size", "1;8", flag, lengths, "--duration", "0"]
        command += ["--json", str(folder / f"offline_{family}.json")]
        _say("tokenclock benchmark " + shlex.join(command))
        code = benchmark.main(command)
        if code == 130:
            raise KeyboardInterrupt
        if code == 1:
            raise MeasurementError("no case of the demo could be measured; see the lines above")


def _say(text: str) -> None:
    say_on_stderr(f"tokenclock demo: {text}")


def _serve(url: str, model: str, load: dict[str, int], folder: Path, name: str) -> Records:
    """Run `tokenclock serving` as its user would and return its columns."""
    from tokenclock.cli import serving
    from tokenclock.report import columns_file

    command = ["--model", model, "--base-url", url, "--dataset-name", "random", "--random-ids"]
    command += ["--random-input-len", str(load["isl"]), "--random-output-len", str(load["osl"]), "--ignore-eos"]
    command += ["--temperature", "0"]
    command += ["--num-prompts", str(load["requests"]), "--max-concurrency", str(load["concurrency"])]
    command += ["--percentile-metrics", "ttft,tpot,itl,e2el", "--save-result"]
    command += ["--result-dir", str(folder), "--result-filename", f"{name}.json"]
    _say("tokenclock serving " + " ".join(command))
    code = serving.main(command)
    if code == 130:
        raise KeyboardInterrupt
    records = columns_file.read(columns_file.columns_path(folder / f"{name}.json"))
    if not bool(records.ok.any()):
        raise MeasurementError(f"no request of the demo succeeded (serving ended with {code}); see the lines above")
    return records


def _measure_real_server(folder: Path) -> None:
    from tokenclock.metrics.agreement import agreement_with_server
    from tokenclock.report import agreement_table
    from tokenclock.serving.real_server import RealServer

    folder.mkdir(parents=True, exist_ok=True)
    _say("starting a real 270M model (Gemma 3) behind llama.cpp's server ...")
    with RealServer(n_parallel=_REAL["concurrency"], log=folder / "real_server.log") as server:
        _say(f"ready at {server.url}; its words are in {folder / 'real_server.log'}")
        records = _serve(server.url, server.model, _REAL, folder, "real_server")
    print(agreement_table.server(agreement_with_server(records)))


def _measure_own_error(folder: Path) -> None:
    from tokenclock.metrics.agreement import agreement_with_truth
    from tokenclock.metrics.client_cost import cpu_use
    from tokenclock.report import agreement_table
    from tokenclock.serving.paced import PacedServer

    folder.mkdir(parents=True, exist_ok=True)
    _say(f"starting a paced server: every stream steps each {_PACED_ITL_MS:g} ms, and each send is logged ...")
    with PacedServer(mode="batch", itl_ms=_PACED_ITL_MS, truth_path=folder / "paced_server.truth.npz") as server:
        records = _serve(server.url, "paced", _PACED, folder, "paced_server")
        truth = server.stop()
    print(agreement_table.truth(agreement_with_truth(records, truth), cpu_use(records).ns_per_event))
