"""The command's words: defaults, plans, what is refused, exit codes."""

from __future__ import annotations

from typing import Any

import pytest

import tokenclock.__main__ as program
from tokenclock.cli.benchmark import build_parser, exit_code, plan_from_argv
from tokenclock.cli.benchmark_flags import _OLD_FLAGS
from tokenclock.errors import UsageError
from tokenclock.plan_benchmark import BenchmarkPlan

# Section 1.1 of the original: flag -> what its default is here.
ORIGINAL_FLAGS = {
    "model": "dec", "batch_size": "8", "input_len": "128", "input_output_len": "128,20", "dtype": None, "num_beams": 1,
    "top_k": 1, "top_p": 0.0, "input_timing_cache": None, "output_timing_cache": "model.cache", "log_level": "error",
    "warm_up": 2, "num_runs": 10, "duration": 60.0, "engine_dir": None, "gpu_weights_percent": "1.0", "csv": False,
    "enable_cuda_graph": False, "quantization": None, "dump_profile": False, "dump_layer_info": False,
}  # fmt: skip


def plan(*flags: str, **environment: str) -> BenchmarkPlan:
    return plan_from_argv(["--engine_dir", "tiny:llama", *flags], environment)


def test_every_flag_of_the_original_is_there_with_its_default() -> None:
    values = vars(build_parser().parse_args([]))
    for name, default in ORIGINAL_FLAGS.items():
        assert values[name] == default, name
    assert plan().model.dtype == "float16"


def test_a_line_from_a_users_script() -> None:
    found = plan("-m", "dec", "--batch_size", "1;8;64", "--input_output_len", "60,20;128,20")
    assert (found.family, found.batch_sizes, found.lengths) == ("dec", (1, 8, 64), ((60, 20), (128, 20)))
    assert (found.loop.warm_up, found.loop.num_runs, found.loop.duration_s) == (2, 10, 60.0)


@pytest.mark.parametrize("kind", ["enc", "bert"])
def test_encoders_read_input_len(kind: str) -> None:
    found = plan("-m", kind, "--input_len", "20;128", "--input_output_len", "nonsense")
    assert (found.family, found.lengths) == ("enc", ((20, None), (128, None)))


def test_ours_on_top() -> None:
    found = plan(
        "--runtime", "null", "--seed", "7", "--json", "a.json", "--save-events", "e", "--percentiles", "12.5,99",
        "--max-duration", "90", "--fail-fast", "--no-streaming", "--pp", "2", "--ep", "4", "--tp", "8",
        "--device", "cpu", "--threads", "3", "--strict-options", "--extra_llm_api_options", "o.yaml", "--torch_compile",
        "--gpu-sampling-interval", "50", "--dtype", "bfloat16",
    )  # fmt: skip
    assert (found.model.runtime, found.seed, found.output.json, found.output.save_events) == ("null", 7, "a.json", "e")
    assert found.output.percentiles == (12.5, 99.0)
    assert (found.loop.max_duration_s, found.loop.fail_fast, found.loop.streaming) == (90.0, True, False)
    assert (found.model.pp, found.model.ep, found.model.tp) == (2, 4, 8)
    assert (found.model.device, found.model.threads, found.model.strict_options) == ("cpu", 3, True)
    assert (found.model.dtype, found.model.dtype_named) == ("bfloat16", True)
    assert (found.model.extra_llm_api_options, found.model.torch_compile) == ("o.yaml", True)
    assert found.output.gpu_sampling_interval_ms == 50


def test_the_environment_sets_defaults_and_a_flag_wins() -> None:
    found = plan("--num_runs", "4", TOKENCLOCK_BENCHMARK_DURATION="0", TOKENCLOCK_BENCHMARK_NUM_RUNS="9",
                 TOKENCLOCK_BENCHMARK_CSV="1")  # fmt: skip
    assert (found.loop.duration_s, found.loop.num_runs, found.output.csv) == (0.0, 4, True)
    with pytest.raises(UsageError, match="unknown environment variable TOKENCLOCK_BENCHMARK_DURATIN"):
        plan(TOKENCLOCK_BENCHMARK_DURATIN="0")


@pytest.mark.parametrize("flag", _OLD_FLAGS)
def test_flags_of_earlier_generations_say_what_replaced_them(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(["benchmark", "--engine_dir", "x", flag, "1"]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"tokenclock benchmark: {flag} is gone: ")
    assert error.count("\n") == 1
    assert len(error) > len(f"tokenclock benchmark: {flag} is gone: \n") + 10


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--batch_size", "1;8;"], "--batch_size must be"),
        (["--input_output_len", "128"], "got one number in 128"),
        (["--input_output_len", "128,20,3"], "got 3 numbers in 128,20,3"),
        (["--batch_size", "0"], "got 0"),
        (["--batch_size", "-3"], "got -3"),
        (["--warm_up", "-1"], "--warm_up must be"),
        (["--gpu_weights_percent", "1.5"], "--gpu_weights_percent must be shares in [0, 1]"),
        (["-m", "gpt"], "--model must be dec, enc or enc-dec"),
        (["--engine_dir", ""], "--engine_dir is needed"),
        (["--engine_dir", "/nowhere"], "--engine_dir must be a directory"),
        (["--engine_dir", "tiny:gpt"], "must be one of tiny:llama"),
        (["--dtype", "fp16"], "--dtype must be"),
        (["--quantization", "int3"], "--quantization must be"),
        (["--num_runs", "0", "--duration", "0"], "no iteration would run"),
        (["--duration", "x"], "--duration must be a number, got x"),
        (["--batchsize", "3"], "unknown flag --batchsize (did you mean --batch_size?)"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(
    flags: list[str], words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TOKENCLOCK_BENCHMARK_DURATION", raising=False)
    assert program.main(["benchmark", "--engine_dir", "tiny:llama", *flags]) == 2
    out, error = capsys.readouterr()
    assert out == ""
    assert error.count("\n") == 1, error
    assert words in error


@pytest.mark.parametrize(
    ("statuses", "incomplete", "code"),
    [
        (["measured", "measured"], False, 0), (["measured", "skipped"], False, 0), (["measured", "failed"], False, 3),
        (["failed", "failed"], False, 1), (["skipped"], False, 1), (["failed", "skipped"], False, 1),
        (["measured", "not_run"], True, 130), (["measured", "failed", "not_run"], False, 3),
    ],
)  # fmt: skip
def test_exit_codes(statuses: list[str], incomplete: bool, code: int) -> None:
    cases: list[dict[str, Any]] = [{"status": status} for status in statuses]
    assert exit_code(cases, incomplete=incomplete) == code


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--input_output_len", "-1,20"], "--input_output_len must be whole numbers of tokens"),
        (["--batch_size", "-1;8"], "--batch_size must be whole numbers of rows"),
        (["--gpu_weights_percent", "-.5;1"], "--gpu_weights_percent must be shares"),
        (["-m", "enc", "--input_len", "-1;2"], "--input_len must be whole numbers of tokens"),
        (["--batch_size", "--csv"], "--batch_size"),
    ],
)
def test_a_list_that_begins_with_a_minus_is_read_as_a_list(flags: list[str], words: str) -> None:
    with pytest.raises(UsageError, match=f"^{words}"):
        plan_from_argv(["--engine_dir", "tiny:llama", *flags], {})


def test_the_longest_duration_may_be_below_the_default_of_the_shortest() -> None:
    found = plan_from_argv(["--engine_dir", "tiny:llama", "--max-duration", "5"], {})
    assert (found.loop.duration_s, found.loop.max_duration_s) == (60, 5)
