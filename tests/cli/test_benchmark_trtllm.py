"""The whole command on the stand-in `tensorrt_llm`, for each release that differs: one rank, and two under mpirun."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.parallel.launching import launch, pypi_launcher
from tests.standins.models import write_checkpoint, write_enc_dec_engine, write_engine
from tests.standins.tensorrt_llm_package import write_package

from tokenclock.__main__ import main

RunCommand = Callable[..., tuple[int, list[dict[str, str]], dict[str, Any] | None, str]]
SHORT = ("--duration", "0", "--num_runs", "3", "--warm_up", "1")
LENGTHS = {
    "dec": ("--input_output_len", "60,4;128,6"),
    "enc": ("--input_len", "20;128"),
    "enc-dec": ("--input_output_len", "20,4"),
}
ALL_KEYS = [
    "model_name", "world_size", "num_heads", "num_kv_heads", "num_layers", "hidden_size", "vocab_size", "precision",
    "batch_size", "gpu_weights_percent", "input_length", "output_length", "gpu_peak_mem(gb)", "build_time(s)",
    "tokens_per_sec", "percentile95(ms)", "percentile99(ms)", "latency(ms)", "compute_cap", "quantization",
]  # fmt: skip


def needs_torch() -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed (make real-models)")


def lines_of(stdout: str) -> list[dict[str, str]]:
    rows = [line.split()[1:] for line in stdout.splitlines() if line.startswith("[BENCHMARK] ")]
    return [dict(zip(row[::2], row[1::2], strict=True)) for row in rows]


@pytest.fixture
def short_times(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PREFILL", "STEP", "SETUP", "ENCODER"):
        monkeypatch.setenv(f"STANDIN_{name}_MS", "0.5")


@pytest.fixture
def run_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], short_times: None
) -> Any:
    """Runs the command in this process: exit code, report lines, JSON, stderr."""
    monkeypatch.setenv("TLLM_LOG_LEVEL", "error")

    def forget() -> None:
        for name in [name for name in sys.modules if name.split(".")[0] in ("tensorrt_llm", "tensorrt")]:
            del sys.modules[name]

    def run(release: str, family: str, directory: Path, *flags: str) -> Any:
        forget()
        monkeypatch.syspath_prepend(str(write_package(tmp_path / f"package-{release}", release)))
        file = tmp_path / "result.json"
        code = main(command(family, directory, "--json", str(file), *flags))
        captured = capsys.readouterr()
        native = json.loads(file.read_text())["tokenclock"] if file.exists() else None
        return code, lines_of(captured.out), native, captured.err

    yield run
    forget()


def command(family: str, directory: Path, *flags: str) -> list[str]:
    cases = ["--batch_size", "1;8", *LENGTHS[family]]
    return ["benchmark", "-m", family, "--engine_dir", str(directory), *cases, *SHORT, *flags]


def check_lines(lines: Sequence[dict[str, str]], family: str, *, world_size: int = 1, steps: bool = True) -> None:
    assert len(lines) == (4 if family != "enc-dec" else 2)
    for line in lines:
        assert list(line)[: len(ALL_KEYS)] == ALL_KEYS
        assert line["model_name"] == family
        assert line["world_size"] == str(world_size)
        assert (line["num_heads"], line["num_kv_heads"], line["hidden_size"]) == ("32", "8", "4096")
        assert float(line["latency(ms)"]) > 0
        assert line["gpu_peak_mem(gb)"] == "n/a"
        if family == "dec" and steps:
            rows, osl = int(line["batch_size"]), int(line["output_length"])
            assert float(line["total_generated_tokens"]) == rows * (osl - 1)


@pytest.mark.parametrize("release", ["1.0.0", "1.2.1", "1.3.0rc26"])
def test_llm(run_command: RunCommand, tmp_path: Path, release: str) -> None:
    checkpoint = write_checkpoint(tmp_path / "llama")
    code, lines, result, _ = run_command(release, "dec", checkpoint, "--runtime", "trtllm-llm")
    assert code == 0
    check_lines(lines, "dec")
    assert result is not None
    assert result["model"]["runtime"] == "trtllm-llm"
    assert result["model"]["details"]["options"]["kv_cache_config"] == {"enable_block_reuse": False}
    case = result["cases"][1]
    assert case["status"] == "measured"
    assert set(case["phases"]) >= {"queue", "prefill", "ttft", "decode"}
    assert case["n_not_together"] == 0
    assert "device_latency" not in case["latencies"]
    assert (case["lengths"]["shortest"], case["lengths"]["longest"]) == (4, 4)


@pytest.mark.parametrize("release", ["0.19.0", "1.0.0", "1.2.1"])
@pytest.mark.parametrize("family", ["dec", "enc", "enc-dec"])
@pytest.mark.parametrize("streaming", ["--streaming", "--no-streaming"])
def test_engines(run_command: RunCommand, tmp_path: Path, release: str, family: str, streaming: str) -> None:
    needs_torch()
    if family == "enc-dec":
        directory = write_enc_dec_engine(tmp_path / "engine")
    else:
        directory = write_engine(tmp_path / "engine", family)
    code, lines, result, stderr = run_command(release, family, directory, streaming)
    assert code == 0
    check_lines(lines, family, steps=streaming == "--streaming")
    assert result is not None
    assert result["model"]["runtime"] == "trtllm-engine"
    through = {"dec": "GenerationSession", "enc": "Session", "enc-dec": "EncDecModelRunner"}[family]
    if streaming == "--no-streaming" and family != "enc":
        through = "ModelRunnerCpp"
    assert result["model"]["details"]["through"] == through
    has_setup = through in ("GenerationSession", "EncDecModelRunner")
    assert all(("setup" in case["latencies"]) == has_setup for case in result["cases"])
    assert ("MiB for execution context memory." in stderr) == (through != "ModelRunnerCpp")


def test_without_steps_a_session_tells_the_generation_time_itself(run_command: RunCommand, tmp_path: Path) -> None:
    needs_torch()
    directory = write_engine(tmp_path / "engine", packed=False)  # the executor does not take it
    code, lines, _, _ = run_command("1.2.1", "dec", directory, "--no-streaming")
    assert code == 0
    check_lines(lines, "dec")
    assert all(float(line["generation_time(ms)"]) > 0 for line in lines)


@pytest.mark.parametrize("family", ["dec", "enc", "enc-dec"])
def test_layers_of_engines(run_command: RunCommand, tmp_path: Path, family: str) -> None:
    needs_torch()
    directory = write_enc_dec_engine(tmp_path / "e") if family == "enc-dec" else write_engine(tmp_path / "e", family)
    code, _, result, stderr = run_command("1.2.1", family, directory, "--dump_profile", "--dump_layer_info")
    assert code == 0
    assert "idle" not in stderr
    assert result is not None
    assert result["model"]["layer_info"] == {"file": "result.layer_info.csv", "n_layers": 2}
    assert all(case["run"]["layer_profile"]["n_layers"] == 2 for case in result["cases"])
    profile = (tmp_path / "result.layer_profile.csv").read_text().splitlines()
    assert sum(",layers/0/mlp,," in line for line in profile) == len(result["cases"]) * (1 if family == "enc" else 2)


def test_the_executor_says_that_it_has_no_layers(run_command: RunCommand, tmp_path: Path) -> None:
    needs_torch()
    code, _, result, stderr = run_command(
        "1.2.1", "dec", write_engine(tmp_path / "e"), "--no-streaming", "--dump_profile", "--dump_layer_info"
    )
    assert code == 0
    assert result is not None
    assert "layer_info" not in result["model"]
    for flag in ("--dump_profile", "--dump_layer_info"):
        (line,) = [line for line in stderr.splitlines() if flag in line]
        assert "trtllm-engine (ModelRunnerCpp)" in line
        assert "leave --no-streaming out" in line


@pytest.mark.parametrize(
    ("release", "runtime", "code", "line"),
    [
        ("0.19.0", "trtllm-llm", 1, r"needs TensorRT-LLM 1\.0 or later, found 0\.19\.0"),
        ("1.3.0rc26", "trtllm-engine", 1, r"needs TensorRT-LLM 1\.2 or earlier, found 1\.3\.0rc26"),
    ],
)
def test_a_release_without_the_api_is_one_line(
    run_command: RunCommand, tmp_path: Path, release: str, runtime: str, code: int, line: str
) -> None:
    make = write_checkpoint if runtime == "trtllm-llm" else write_engine
    found, lines, result, stderr = run_command(release, "dec", make(tmp_path / "model"), "--runtime", runtime)
    assert (found, lines, result) == (code, [], None)
    assert len(stderr.strip().splitlines()) == 1
    assert re.search(line, stderr)


def test_cases_outside_of_an_engine_are_rows_too(run_command: RunCommand, tmp_path: Path) -> None:
    needs_torch()
    engine = write_engine(tmp_path / "engine", build={"max_batch_size": 4})
    code, _, result, stderr = run_command("1.2.1", "dec", engine)
    assert code == 0
    assert result is not None
    assert [case["status"] for case in result["cases"]] == ["measured", "skipped", "measured", "skipped"]
    assert stderr.count("[WARNING] check ") == 2


def test_weight_shares_are_an_axis_of_engines_and_refused_by_llm(run_command: RunCommand, tmp_path: Path) -> None:
    needs_torch()
    engine = write_engine(tmp_path / "engine", weight_streaming=True)
    shares = ("--gpu_weights_percent", "0.5;1.0")
    code, lines, _, _ = run_command("1.2.1", "dec", engine, *shares)
    assert code == 0
    assert [line["gpu_weights_percent"] for line in lines] == ["0.5", "1.0"] * 4
    checkpoint = write_checkpoint(tmp_path / "llama")
    code, _, result, _ = run_command("1.2.1", "dec", checkpoint, "--runtime", "trtllm-llm", *shares)
    assert result is not None
    assert [case["status"] for case in result["cases"]] == ["skipped", "measured"] * 4
    assert "no weight streaming" in result["cases"][0]["reason"]


def test_an_options_file_is_brought_up_to_date_and_shown(run_command: RunCommand, tmp_path: Path) -> None:
    checkpoint, file = write_checkpoint(tmp_path / "llama"), tmp_path / "options.yaml"
    file.write_text("pytorch_backend_config:\n  enable_overlap_scheduler: true\nmax_num_tokens: 70\n")
    flags = ("--runtime", "trtllm-llm", "--extra_llm_api_options", str(file))
    code, _, result, stderr = run_command("1.2.1", "dec", checkpoint, *flags)
    assert code == 0
    assert "enable_overlap_scheduler is now negated disable_overlap_scheduler" in stderr
    assert result is not None
    assert result["model"]["details"]["options"]["disable_overlap_scheduler"] is False
    assert result["cases"][1]["n_not_together"] > 0  # 8 x 60 tokens do not fit into 70
    file.write_text("max_num_tokenz: 70\n")
    code, _, _, stderr = run_command("1.2.1", "dec", checkpoint, *flags, "--strict-options")
    assert code == 2
    assert "did you mean max_num_tokens?" in stderr


@pytest.mark.parametrize(
    ("release", "kind"),
    [
        ("0.19.0", "dec"),
        ("0.19.0", "enc-dec"),
        ("1.0.0", "llm"),
        ("1.2.1", "executor"),
        ("1.2.1", "enc"),
        ("1.3.0rc26", "llm"),
    ],
)
def test_two_ranks(tmp_path: Path, short_times: None, release: str, kind: str) -> None:
    if kind != "llm":
        needs_torch()
    family = kind if kind in LENGTHS else "dec"
    flags = ["--no-streaming"] if kind == "executor" else []
    if kind == "llm":
        directory = write_checkpoint(tmp_path / "model")
        flags = ["--runtime", "trtllm-llm"]
    elif kind == "enc-dec":
        directory = write_enc_dec_engine(tmp_path / "model", tp=2)
    else:
        directory = write_engine(tmp_path / "model", family, tp=2)
    package, file = write_package(tmp_path / "package", release), tmp_path / "result.json"
    arguments = ["-m", "tokenclock", *command(family, directory, "--json", str(file), *flags)]
    ended = launch(pypi_launcher(), 2, arguments, PYTHONPATH=str(package))
    assert ended.returncode == 0, ended.stderr
    check_lines(lines_of(ended.stdout), family, world_size=2, steps=kind != "executor")
    result = json.loads(file.read_text())["tokenclock"]
    assert [case["status"] for case in result["cases"]] == ["measured"] * len(result["cases"])
    ranks = result["ranks"]
    assert (ranks["world_size"], ranks["n"], ranks["kind"]) == (2, 2, "leader" if kind == "llm" else "spmd")
    assert [rank["local_rank"] for rank in ranks["of"]] == [0, 1]


def test_what_two_ranks_of_llm_cannot_do_ends_both_at_once(tmp_path: Path) -> None:
    package, checkpoint = write_package(tmp_path / "package", "1.3.0rc26"), write_checkpoint(tmp_path / "model")
    flags = ["--runtime", "trtllm-llm", "--tp", "4"]
    ended = launch(
        pypi_launcher(), 2, ["-m", "tokenclock", *command("dec", checkpoint, *flags)], PYTHONPATH=str(package)
    )
    assert ended.returncode == 2
    assert ended.stderr.count("--tp times --pp must be the 2 ranks that were started") == 1
