"""The commands of a case, word for word as the flow has them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.perftest.case_makers import make_case, make_label, make_settings

from tokenclock.errors import UsageError
from tokenclock.perftest.commands import commands_of, written_command


def model_directory(path: Path, **config: object) -> str:
    path.mkdir()
    (path / "config.json").write_text(json.dumps(config))
    (path / "tokenizer.json").write_text("{}")
    return str(path)


def test_a_pytorch_case_reads_like_the_flow(tmp_path: Path) -> None:
    model = model_directory(tmp_path / "m")
    label = make_label(lengths=((128, 64),), num_requests=8, concurrency=2, ep=4, tp=2, gpus=1, streaming=True)
    dataset, run = commands_of(make_case(label), make_settings(models={"llama": model}), Path("/f"))
    assert written_command(dataset) == (
        f"tokenclock prepare-dataset --stdout --tokenizer={model} token-norm-dist --num-requests=8 --input-mean=128 "
        "--output-mean=64 --input-stdev=0 --output-stdev=0 > /f/synthetic_data.json"
    )
    assert written_command(run) == (
        f"tokenclock --model=llama_hf --model_path={model} throughput --dataset=/f/synthetic_data.json "
        "--max_batch_size=512 --max_num_tokens=2048 --report_json=/f/report.json "
        "--kv_cache_free_gpu_mem_fraction=0.9 --backend=pytorch --num_requests=8 --concurrency=2 --ep=4 --tp=2 "
        "--streaming --extra_llm_api_options=/f/extra-llm-api-config.yml --disable-tqdm"
    )


def test_a_tensorrt_case_builds_its_engine_first(tmp_path: Path) -> None:
    model = model_directory(tmp_path / "m")
    label = make_label(backend="", lengths=((128, 64), (20, 300)), quant="fp8", concurrency=None)
    commands = commands_of(make_case(label), make_settings(models={"llama": model}), Path("/f"))
    assert [command.what for command in commands] == ["dataset", "dataset", "build", "throughput", "throughput"]
    assert written_command(commands[2]) == (
        f"trtllm-bench --log_level=info --workspace=/f --model=llama_hf --model_path={model} build --tp_size=1 "
        "--pp_size=1 --max_seq_len=428 --max_batch_size=512 --max_num_tokens=2048 --quantization=FP8"
    )
    words = commands[3].argv
    assert "--backend=tensorrt" in words
    assert "--engine_dir=/f/llama_hf/tp_1_pp_1" in words
    assert not [word for word in words if "extra_llm_api" in word or "concurrency" in word]
    # every pair of lengths has a data set and a report of its own
    assert [command.stdout and command.stdout.name for command in commands[:2]] == [
        "synthetic_data_128_64.json",
        "synthetic_data_20_300.json",
    ]
    assert "--dataset=/f/synthetic_data_20_300.json" in commands[4].argv
    assert "--report_json=/f/report_20_300.json" in commands[4].argv
    assert [cell.suffix for command in commands for cell in command.cells] == ["", "[128,64]", "[20,300]"]


def test_a_directory_with_an_engine_is_not_built(tmp_path: Path) -> None:
    (tmp_path / "engine").mkdir()
    (tmp_path / "engine" / "rank0.engine").touch()
    (tmp_path / "engine" / "config.json").write_text(json.dumps({"pretrained_config": {"vocab_size": 777}}))
    settings = make_settings(models={"llama": str(tmp_path / "engine")})
    dataset, run = commands_of(make_case(make_label(backend="")), settings, Path("/f"))
    assert f"--engine_dir={tmp_path / 'engine'}" in run.argv
    assert "--vocab-size=777" in dataset.argv


def test_adapters_change_the_data_set() -> None:
    dataset, _ = commands_of(make_case(make_label(loras=4)), make_settings(), Path("/f"))
    assert dataset.argv[2:6] == ("--stdout", "--rand-task-id", "0", "3")
    assert {"--lora-dir=/f/loras", "--input-stdev=16", "--output-stdev=24"} <= set(dataset.argv)


def test_several_gpus_run_under_mpirun_and_the_external_tool_does_not() -> None:
    label = make_label(tp=2, gpus=2)
    run = commands_of(make_case(label), make_settings(), Path("/f"))[-1]
    assert run.argv[:4] == ("mpirun", "-n", "2", "tokenclock")
    external = commands_of(make_case(label), make_settings(external=True), Path("/f"))[-1]
    assert external.argv[0] == "trtllm-bench"
    assert "--disable-tqdm" not in external.argv
    assert "--backend=pytorch" in external.argv


def test_a_legacy_runtime_is_one_benchmark_command() -> None:
    label = make_label(runtime="python", backend="", batch_sizes=(1, 8), lengths=((60, 20), (128, 20)), beams=2)
    (run,) = commands_of(make_case(label), make_settings(), Path("/f"))
    assert run.argv[1:7] == (
        *("benchmark", "-m", "dec", "--engine_dir=tiny:llama"),
        *("--batch_size=1;8", "--input_output_len=60,20;128,20"),
    )
    assert "--num_beams=2" in run.argv
    assert [cell.suffix for cell in run.cells] == ["[bs:1,60,20]", "[bs:8,60,20]", "[bs:1,128,20]", "[bs:8,128,20]"]
    (encoder,) = commands_of(make_case(make_label(runtime="cpp", lengths=((32, None),))), make_settings(), Path("/f"))
    assert encoder.argv[1:4] == ("benchmark", "-m", "enc")
    assert "--input_len=32" in encoder.argv


def test_what_cannot_be_run_is_said() -> None:
    with pytest.raises(UsageError, match="no model gpt: --perf-models maps names to directories, and knows llama"):
        commands_of(make_case(make_label("gpt")), make_settings(), Path("/f"))
    with pytest.raises(UsageError, match="disaggregated cases are not run"):
        commands_of(make_case(make_label(runtime="disagg_server")), make_settings(), Path("/f"))
