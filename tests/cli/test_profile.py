"""`tokenclock profile` as a user types it: the plan its flags make, and what is refused."""

from __future__ import annotations

import math
import shlex

import pytest

from tokenclock.cli.profile import main, plan_from_argv
from tokenclock.errors import UsageError
from tokenclock.plan import ServingPlan, SyntheticDataset

CHAT = "-m org/model --endpoint-type chat"


def plan(flags: str) -> ServingPlan:
    return plan_from_argv(shlex.split(flags), {})


def test_the_documented_command() -> None:
    asked = plan(
        "-m deepseek-ai/DeepSeek-R1-Distill-Llama-70B --tokenizer deepseek-ai/DeepSeek-R1-Distill-Llama-70B "
        "--service-kind openai --endpoint-type chat --random-seed 223 --num-prompts 1280 --num-prefix-prompts 1 "
        "--concurrency 256 --request-count 1280 --prefix-prompt-length 600 --synthetic-input-tokens-mean 10 "
        "--synthetic-input-tokens-stddev 0 --output-tokens-mean 1300 --output-tokens-stddev 0 --verbose "
        "--warmup-request-count 10 --profile-export-file run.json --url localhost:8000"
    )
    assert asked.endpoint.base_url + asked.endpoint.path == "http://localhost:8000/v1/chat/completions"
    assert (asked.load.max_concurrency, asked.load.num_prompts, asked.load.num_warmups) == (256, 1280, 10)
    assert (asked.load.seed, asked.load.streaming, asked.load.request_rate) == (223, False, math.inf)
    assert asked.dataset == SyntheticDataset(
        n_entries=1280, input_mean=10, output_mean=1300, n_prefixes=1, prefix_len=600
    )
    directory = "artifacts/deepseek-ai_DeepSeek-R1-Distill-Llama-70B-openai-chat-concurrency256"
    assert asked.output.result_dir == directory
    assert asked.output.result_filename == "run_genai_perf.json"
    assert asked.endpoint.tokenizer is None  # a name that this machine's cache does not hold


def test_defaults() -> None:
    asked = plan(CHAT)
    assert (asked.load.max_concurrency, asked.load.num_prompts) == (1, 10)
    assert plan(f"{CHAT} --concurrency 8").load.num_prompts == 16
    assert asked.dataset == SyntheticDataset(n_entries=100, input_mean=550)
    assert asked.endpoint.base_url == "http://localhost:8000"
    assert asked.output.result_filename == "profile_export_genai_perf.json"


def test_rates_are_evenly_spaced_unless_told_otherwise() -> None:
    asked = plan(f"{CHAT} --request-rate 10 --request-count 5")
    assert (asked.load.request_rate, asked.load.burstiness, asked.load.max_concurrency) == (10, math.inf, None)
    assert str(asked.output.result_dir).endswith("-openai-chat-request_rate10.0")
    assert plan(f"{CHAT} --request-rate 10 -- --request-distribution poisson").load.burstiness == 1
    assert ServingPlan.from_dict(asked.to_dict()) == asked


def test_extra_inputs_keep_their_types() -> None:
    asked = plan(f"{CHAT} --extra-inputs ignore_eos:true --extra-inputs min_tokens:5 top_p:0.5 stop:a:b")
    assert asked.generation.extra_body == {"ignore_eos": True, "min_tokens": 5, "top_p": 0.5, "stop": "a:b"}
    asked = plan(f'{CHAT} --extra-inputs \'{{"nested": {{"a": [1]}}}}\'')
    assert asked.generation.extra_body == {"nested": {"a": [1]}}


def test_goodput_maps_to_our_limits() -> None:
    asked = plan(f"{CHAT} --streaming -g time_to_first_token:100 inter_token_latency:30 request_latency:900")
    assert asked.output.goodput_ms == {"ttft": 100, "tpot": 30, "e2el": 900}
    assert plan(f"{CHAT} --streaming -g time_to_second_token:7").output.goodput_ms == {"ttst": 7}
    assert plan(f"{CHAT} --streaming -g output_token_throughput_per_user:50").output.goodput_ms == {"tpot": 20}


def test_several_models_are_dealt() -> None:
    asked = plan("-m a/x b --endpoint-type completions --model-selection-strategy random")
    assert (asked.endpoint.lora_modules, asked.endpoint.lora_assignment) == (("a/x", "b"), "random")
    assert str(asked.output.result_dir) == "artifacts/a_x_multi-openai-completions-concurrency1"


def test_other_endpoints() -> None:
    asked = plan("-m a --endpoint-type embeddings -b 3 --num-prompts 7")
    assert (asked.endpoint.backend, asked.endpoint.path, asked.endpoint.batch_size) == (
        "embeddings",
        "/v1/embeddings",
        3,
    )
    assert asked.dataset == SyntheticDataset(n_entries=21)
    asked = plan("-m a --endpoint-type rankings")
    assert (asked.endpoint.backend, asked.endpoint.path, asked.endpoint.rerank_style) == (
        "rerank",
        "/v1/ranking",
        "nim",
    )
    asked = plan("-m a --endpoint-type rankings --extra-inputs rankings:tei")
    assert (asked.endpoint.path, asked.endpoint.rerank_style, asked.generation.extra_body) == (
        "/rerank", "tei", {"repetition_penalty": None},
    )  # fmt: skip
    assert plan("-m a --endpoint-type generate --streaming").endpoint.path == "/v2/models/a/generate_stream"
    assert plan("-m a --endpoint-type generate").endpoint.path == "/v2/models/a/generate"


def test_variables_are_defaults() -> None:
    variables = {
        "TOKENCLOCK_PROFILE_URL": "h:1",
        "TOKENCLOCK_PROFILE_SYNTHETIC_INPUT_TOKENS_MEAN": "7",
        "OPENAI_API_KEY": "k",
    }
    asked = plan_from_argv([*shlex.split(CHAT), "--isl", "9", "-u", "h:2"], variables)
    assert (asked.endpoint.base_url, asked.endpoint.api_key) == ("http://h:2", "k")
    assert asked.dataset == SyntheticDataset(input_mean=9)
    asked = plan_from_argv(shlex.split(CHAT), variables)
    assert asked.endpoint.base_url == "http://h:1"
    assert asked.dataset == SyntheticDataset(input_mean=7)


def test_secrets_reach_no_file() -> None:
    asked = plan(f"{CHAT} -H 'Authorization: Bearer topsecret'")
    assert asked.endpoint.headers == (("Authorization", "Bearer topsecret"),)
    assert "topsecret" not in asked.to_json()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--endpoint-type chat", "--model is needed"),
        (
            "-m a",
            "--endpoint-type must be given, one of chat, completions, embeddings, rankings, generate; the original's",
        ),
        ("-m a --endpoint-type kserve", "--endpoint-type kserve is refused: KServe is not spoken"),
        (
            "-m a --endpoint-type chatt",
            "--endpoint-type must be one of chat, completions, embeddings, rankings, generate, got chatt",
        ),
        ("-m a --service-kind triton --endpoint-type chat", "--service-kind must be openai, got triton"),
        (f"{CHAT} --concurrency 2 --request-rate 3", "--concurrency and --request-rate exclude each other"),
        (f"{CHAT} --concurrency 0", "--concurrency must be a whole number >= 1, got 0"),
        (f"{CHAT} --request-count 0", "--request-count must be a whole number >= 1, got 0"),
        (f"{CHAT} --random-seed -1", "--random-seed must be a whole number >= 0, got -1"),
        (f"{CHAT} --fixed-schedule", "--fixed-schedule needs --input-file payload:FILE"),
        (
            f"{CHAT} --session-concurrency 2 --input-file x.jsonl",
            "--session-concurrency with --input-file needs payload:",
        ),
        (f"{CHAT} --num-sessions 2 --input-file payload:x", "--num-sessions and --input-file exclude each other"),
        (f"{CHAT} --fixed-schedule --input-file payload:", "--input-file payload: must name a file"),
        (f"{CHAT} --session-concurrency 2", "--session-concurrency needs --num-sessions N"),
        (
            f"{CHAT} --session-concurrency 2 --num-sessions 3 --request-count 5",
            "--request-count and --num-sessions exclude each other",
        ),
        (f"{CHAT} --num-sessions 3 -p 100", "--num-sessions and --measurement-interval exclude each other"),
        (f"{CHAT} --num-sessions 3 --session-turns-mean 0", "--session-turns-mean must be turns from 1 to 1000"),
        (
            f"{CHAT} --num-sessions 3 --concurrency 2 --session-concurrency 2",
            "--concurrency and --session-concurrency exclude",
        ),
        (f"{CHAT} --image-width-mean 3", "--image-width-mean is refused"),
        (
            "-m a --endpoint-type embeddings --streaming",
            "--streaming and --endpoint-type embeddings exclude each other",
        ),
        (
            "-m a --endpoint-type rankings --osl 3",
            "--output-tokens-mean and --endpoint-type rankings exclude each other",
        ),
        (f"{CHAT} -b 2", "--batch-size must be 1 with --endpoint-type chat, got 2"),
        (f"{CHAT} --extra-inputs ignore_eos", "must be name:value or a JSON object, got ignore_eos; for a switch say"),
        (f"{CHAT} --extra-inputs a:1 a:2", "--extra-inputs must name a once"),
        (f"{CHAT} --extra-inputs stream:true", "--extra-inputs must not name stream"),
        (f"{CHAT} -g ttft:5", "must be METRIC:LIMIT with METRIC of time_to_first_token"),
        (f"{CHAT} --profile-export-file a/b.json", "--profile-export-file must be a file name, got 'a/b.json'"),
        (f"{CHAT} --output-tokens-stddev 3", "--output-tokens-stddev must be given together with --output-tokens-mean"),
        (f"{CHAT} --isl 0", "--synthetic-input-tokens-mean must be tokens from 1"),
        (
            f"{CHAT} --model-selection-strategy last",
            "--model-selection-strategy must be round_robin or random, got last",
        ),
        (f"{CHAT} --url http://a:99999", "--url must be"),
        (f"{CHAT} --concurency 3", "unknown flag --concurency (did you mean --concurrency?)"),
        (f"{CHAT} -- --concurrency-range 4", "--concurrency-range after -- is refused: give --concurrency N"),
        (f"{CHAT} -- --collect-metrics", "--collect-metrics after -- is refused: perf_analyzer is not run"),
        (f"{CHAT} -- --request-distribution burst", "--request-distribution must be constant or poisson, got burst"),
    ],
)
def test_what_is_refused_says_why_in_one_line(flags: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        main(shlex.split(flags))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
