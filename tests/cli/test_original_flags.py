"""Every flag of the tools whose words are spoken: taken, or refused with a reason; none is unknown, none is ignored.

The lists were typed from the published flags of genai-perf 0.0.12 to 0.0.16, trtllm-bench 1.1 to 1.2 and both homes of
prepare_dataset.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tokenclock.__main__ import main
from tokenclock.cli import analyze_points, prepare_dataset, profile, throughput
from tokenclock.cli.group_options import GroupOptions, split_group_options

# flag and a value (None: a switch), as many spellings as the original has
PROFILE = {
    "-m a": None, "--model a": None, "--model-selection-strategy random": None, "--service-kind openai": None,
    "--endpoint-type chat": None, "--endpoint v1/x": None, "--backend vllm": None, "--streaming": None,
    "-u h:1": None, "--url h:1": None, "--server-metrics-url http://h:9400/metrics": None,
    "--server-metrics-urls http://h:9400/metrics": None, "--grpc-method x": "gRPC is not spoken",
    "--synthetic-input-tokens-mean 5": None, "--isl 5": None, "--synthetic-input-tokens-stddev 1": None,
    "--output-tokens-mean 5": None, "--osl 5": None, "--output-tokens-stddev 1 --osl 5": None,
    "--output-tokens-mean-deterministic": "of Triton's kserve alone",
    "--num-dataset-entries 5": None, "--num-prompts 5": None, "--num-prefix-prompts 1": None,
    "--prefix-prompt-length 5": None, "--random-seed 3": None, "--input-file x.jsonl": None,
    "--input-file payload:x.jsonl": None, "--input-file synthetic:a,b": "synthetic: is refused: it joins files",
    "--extra-inputs a:1": None, "-H a:b": None, "--header a:b": None, "-g request_latency:5": None,
    "--goodput request_latency:5": None, "-b 1": None, "--batch-size 1": None, "--batch-size-text 1": None,
    "--batch-size-image 1": None, "--batch-size-image 2": "--batch-size-image must be 1 with --endpoint-type chat",
    "--batch-size-audio 1": None, "--batch-size-audio 2": "--batch-size-audio must be 1 with --endpoint-type chat",
    "--warmup-request-count 1": None, "--num-warmup-requests 1": None,
    **{f"--image-{name} 1": "images and audio are not built" for name in (
        "width-mean", "width-stddev", "height-mean", "height-stddev", "format")},
    **{f"--audio-{name} 1": "images and audio are not built" for name in (
        "length-mean", "length-stddev", "format", "depths", "sample-rates", "num-channels")},
    "--concurrency 2": None, "--request-rate 2": None, "--fixed-schedule --input-file payload:x": None,
    "--session-concurrency 2 --num-sessions 2": None, "--request-count 5": None, "--num-requests 5": None,
    "-p 100": None, "--measurement-interval 100": None, "-s 10": None, "--stability-percentage 10": None,
    "--num-sessions 2": None, "--session-turns-mean 2 --num-sessions 2": None, "--session-turns-stddev 1": None,
    "--session-turn-delay-mean 1": None, "--session-turn-delay-stddev 1": None, "--session-delay-ratio 0.5": None,
    "--artifact-dir d": None, "--profile-export-file f.json": None, "--generate-plots": None,
    "--enable-checkpointing": "a single run is always measured",
    "--checkpoint-dir d": "a single run is always measured",
    "--tokenizer t": None, "--tokenizer-revision r": None, "--tokenizer-trust-remote-code": None,
    "-v": None, "--verbose": None,
    **{f"--endpoint-type {name}": "is refused" for name in (
        "dynamic_grpc", "huggingface_generate", "image_retrieval", "kserve", "multimodal", "nvclip", "template",
        "tensorrtllm_engine", "vision")},
    **{f"--endpoint-type {name}": None for name in ("completions", "embeddings", "rankings", "generate")},
    **{f"--service-kind {name}": "--service-kind must be openai" for name in (
        "triton", "tensorrtllm_engine", "dynamic_grpc")},
}  # fmt: skip

THROUGHPUT = {
    "--engine_dir {here}": None, "--backend pytorch": "TensorRT-LLM is not installed",
    "--backend tensorrt": "TensorRT-LLM is not installed", "--backend _autodeploy": "AutoDeploy is no runtime",
    "--custom_module_dirs d": "no modules of yours are imported", "--extra_llm_api_options f.yml": None,
    "--config f.yml": None, "--sampler_options {here}/sampler.yml": None, "--max_batch_size 4": None,
    "--max_num_tokens 4": None, "--max_seq_len 40": None, "--beam_width 2": None,
    "--kv_cache_free_gpu_mem_fraction 0.5": None, "--dataset d": None,
    "--no_skip_tokenizer_init": "the engine is fed token ids", "--eos_id 3": None,
    "--modality image": "rows with media_paths say it", "--image_data_format pt": "pictures go to a server",
    "--data_device cpu": "pictures go to a server", "--max_input_len 4096": "prompt lengths are counted",
    "--num_requests 3": None, "--warmup 2": None, "--target_input_len 3": None, "--target_output_len 3": None,
    "--tp 2": None, "--pp 2": None, "--ep 2": None, "--cluster_size 2": "moe_cluster_parallel_size",
    "--concurrency 3": None, "--concurrency -1": None, "--streaming": None, "--report_json r": None,
    "--iteration_log r": None, "--output_json r": None, "--request_json r": None, "--enable_chunked_context": None,
    "--disable_chunked_context": None, "--scheduler_policy max_utilization": None,
    "--telemetry": "sends nothing anywhere", "--no-telemetry": None,
}  # fmt: skip

LATENCY = {
    name: THROUGHPUT[name] for name in (
        "--engine_dir {here}", "--extra_llm_api_options f.yml", "--config f.yml", "--backend pytorch",
        "--kv_cache_free_gpu_mem_fraction 0.5", "--max_seq_len 40", "--dataset d", "--modality image",
        "--max_input_len 4096", "--num_requests 3", "--warmup 2", "--tp 2", "--pp 2", "--ep 2", "--beam_width 2",
        "--sampler_options {here}/sampler.yml", "--report_json r", "--iteration_log r", "--concurrency 3",
    )
} | {"--medusa_choices f.yml": "speculative_config"}  # fmt: skip

GROUP = ("-m a", "--model a", "--model_path {here}", "-w d", "--workspace d", "--log_level info", "--revision r")

NORM = "token-norm-dist --num-requests 3 --input-mean 5 --input-stdev 0 --output-mean 5 --output-stdev 0"
UNIF = "token-unif-dist --num-requests 3 --input-min 5 --input-max 6 --output-min 5 --output-max 6"
REAL = "--dataset-name d.jsonl --dataset-split train --dataset-prompt-key q --output-len-dist 5,1"
PREPARE = (
    f"--tokenizer {{here}} {NORM}", f"--output f {NORM}", f"--stdout {NORM}", f"--random-seed 3 {NORM}",
    f"--task-id 3 {NORM}", f"--rand-task-id 0 3 {NORM}", f"--task-id 1 --lora-dir {{here}} {NORM}",
    f"--log-level info {NORM}", f"--log-level debug {NORM}", f"--trust-remote-code {NORM}",
    f"--export-format gpt-manager-benchmark {NORM}", f"--export-format tllm-bench {NORM}", UNIF,
    *(f"--tokenizer {{here}} {name} {REAL}{more}" for name in ("dataset", "real-dataset") for more in (
        "", " --dataset-config-name c", " --dataset-input-key i", " --dataset-image-key i", " --num-requests 3",
        " --max-input-len 40", " --dataset-output-key a")),
    "--tokenizer {here} dataset --dataset-name d.jsonl --dataset-split train --dataset-prompt x --output-len-dist 5,1",
)  # fmt: skip


def judged(reason: str | None, error: Exception | None) -> None:
    """Taken where no reason is given, else refused in one line that says it."""
    if reason is None:
        assert error is None, error
        return
    assert error is not None
    assert reason in str(error)
    assert "unknown flag" not in str(error)
    assert "\n" not in str(error)


def tried(call: object) -> Exception | None:
    try:
        call()  # type: ignore[operator]
    except Exception as error:
        return error
    return None


@pytest.mark.parametrize(("flag", "reason"), PROFILE.items(), ids=PROFILE)
def test_genai_perf_profile(flag: str, reason: str | None) -> None:
    base = [] if flag.startswith("--endpoint-type") else ["--endpoint-type", "chat"]
    base += [] if flag.startswith(("-m ", "--model ")) else ["-m", "a"]
    judged(reason, tried(lambda: profile.plan_from_argv([*base, *flag.split()], {})))


@pytest.mark.parametrize(
    ("command", "flag", "reason"),
    [("throughput", *item) for item in THROUGHPUT.items()] + [("latency", *item) for item in LATENCY.items()],
)
def test_trtllm_bench(command: str, flag: str, reason: str | None, tmp_path: Path) -> None:
    (tmp_path / "sampler.yml").write_text("temperature: 0.5\n")
    words = ["--dataset", "d", *flag.replace("{here}", str(tmp_path)).split()]
    group = GroupOptions(model="tiny:llama")
    judged(reason, tried(lambda: throughput.plan_from_argv(command, words, {}, group)))


@pytest.mark.parametrize("flag", GROUP)
@pytest.mark.parametrize("command", ["throughput", "latency", "prepare-dataset"])
def test_group_options_before_the_command(command: str, flag: str, tmp_path: Path) -> None:
    words = flag.replace("{here}", str(tmp_path)).split()
    group, rest = split_group_options([*words, command, "--x"])
    assert rest == [command, "--x"]
    assert words[1] in group.given() or words[1] in vars(group).values()


@pytest.mark.parametrize("words", PREPARE)
def test_prepare_dataset(words: str, tmp_path: Path) -> None:
    typed = words.replace("{here}", str(tmp_path)).split()
    typed = typed if "--tokenizer" in typed else ["--vocab-size", "50", *typed]
    prepare_dataset.read_command(typed, {}, GroupOptions())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("config -f x.yaml", "tokenclock: config is refused: genai-perf's YAML files are not read"),
        ("create-template -v", "tokenclock: create-template is refused: genai-perf's YAML files are not read"),
        ("--model a visual_gen", "tokenclock: visual_gen is refused: pictures and videos are not generated"),
        ("--no-telemetry --model a latency", "--dataset"),
        ("--model a --no-telemetry latency", "--dataset"),
        ("--model a --telemetry latency", "--telemetry is refused: tokenclock sends nothing anywhere"),
        ("compare --files a.json b.json", "tokenclock compare: --files is refused: name the files by themselves"),
        ("compare --config=plots.yaml", "tokenclock compare: --config is refused: plots are not configured by YAML"),
        ("profile --generate-plots -m a", "--endpoint-type must be given"),
    ],
)
def test_words_of_the_originals_that_are_not_here(words: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words.split()) == 2
    assert said in capsys.readouterr().err


ANALYZE = (
    *(f"--sweep-type {name} --sweep-list 1,2" for name in (
        "concurrency", "num_dataset_entries", "batch_size", "input_sequence_length", "request_rate")),
    "--sweep-range 1:8", "--sweep-range 1:8:2", "--sweep-list 1,2", "--checkpoint-dir d", "--artifact-dir d",
)  # fmt: skip


@pytest.mark.parametrize("flag", ANALYZE)
def test_genai_perf_analyze(flag: str) -> None:
    assert analyze_points.points_of(["-m", "a", "--endpoint-type", "chat", *flag.split()]).values
