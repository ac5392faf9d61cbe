"""The serving command line: the tutorials' commands, every refusal word for word, defaults, environment."""

from __future__ import annotations

import json
import math
import shlex
from typing import Any

import pytest

from tokenclock.cli.serving import build_parser, plan_from_argv
from tokenclock.errors import UsageError
from tokenclock.plan import EndpointPlan, RampUp, ServerPlan, ServingPlan, TransportPlan

NEEDED = ["--model", "m", "--dataset-name", "random"]


def plan_of(text: str, environment: dict[str, str] | None = None) -> ServingPlan:
    return plan_from_argv([*NEEDED, *shlex.split(text)], environment or {})


def test_no_flags_but_the_needed_ones_give_the_plan_s_own_defaults() -> None:
    assert plan_of("") == ServingPlan(EndpointPlan("m"))


def test_the_tutorial_s_loop_parses() -> None:
    plan = plan_from_argv(
        shlex.split(
            "--model /path/to/llama3.1_70B --backend openai --dataset-name random --random-input-len 1024 "
            "--random-output-len 1024 --random-prefix-len 0 --num-prompts 1280 --max-concurrency 256 --ignore-eos "
            "--save-result --result-dir /tmp/llama3.1_output --result-filename concurrency_256.json "
            "--percentile-metrics ttft,tpot,itl,e2el"
        ),
        {},
    )
    assert (plan.load.num_prompts, plan.load.max_concurrency, plan.load.request_rate) == (1280, 256, math.inf)
    assert (plan.dataset.input_len, plan.dataset.output_len) == (1024, 1024)
    assert plan.generation.ignore_eos
    assert plan.output.percentile_metrics == ("ttft", "tpot", "itl", "e2el")
    assert (plan.output.result_dir, plan.output.result_filename) == ("/tmp/llama3.1_output", "concurrency_256.json")


def test_the_comparison_s_command_parses() -> None:
    plan = plan_from_argv(
        shlex.split(
            "--model meta-llama/Meta-Llama-3-8B-Instruct --backend openai --dataset-name random --random-input-len 512 "
            "--random-output-len 128 --num-prompts 80 --max-concurrency 16 --ignore-eos --random-ids --save-result "
            "--result-dir /tmp/bench_pytorch --result-filename concurrency_16.json"
        ),
        {},
    )
    assert plan.endpoint.model == "meta-llama/Meta-Llama-3-8B-Instruct"
    assert plan.dataset.random_ids
    assert plan.output.percentile_metrics == ("ttft", "tpot", "itl")


def test_every_flag_reaches_the_plan() -> None:
    plan = plan_of(
        "--base-url http://h:1/p --served-model-name s --tokenizer /t --tokenizer-mode slow --trust-remote-code "
        "--header X-A=b 'C: d=e' --header E=f:g --connection new --request-rate 2.5 --burstiness 0.5 --seed 7 "
        "--num-warmups 3 --no-test-input --ready-check-timeout-sec 30 --request-timeout 60 --no-progress-timeout 5 "
        "--non-streaming --workers 2 --random-range-ratio 0.25 --tokenize-on-client --vocab-size 1000 "
        "--temperature 0.5 --top-p 0.9 --top-k 40 --min-p 0.1 --logprobs 2 --extra-body '{\"a\": [1]}' "
        "--metric-percentiles 50,99.9 --goodput ttft:200 tpot:50.5 --goodput e2el:5000 --save-detailed "
        "--no-save-columns --save-events ev --metadata a=1 b=x=y --console full --disable-tqdm --strict "
        "--max-failure-share 0.01 --label cold --append-result --probe-request-rate 0.5 --request-id-prefix run7- "
        "--frequency-penalty 0.25 --presence-penalty -1 --repetition-penalty 1.1 --profile "
        "--gpu-telemetry --flush-cache "
        "--save-request-time-breakdown"
    )
    assert (plan.endpoint.base_url, plan.endpoint.body_model) == ("http://h:1/p", "s")
    assert (plan.endpoint.tokenizer, plan.endpoint.tokenizer_mode, plan.endpoint.trust_remote_code) == (
        "/t", "slow", True,
    )  # fmt: skip
    assert plan.endpoint.headers == (("X-A", "b"), ("C", "d=e"), ("E", "f:g"))
    assert plan.endpoint.connection == "new"
    load = plan.load
    assert (load.request_rate, load.burstiness, load.seed, load.num_warmups) == (2.5, 0.5, 7, 3)
    assert (load.test_input, load.ready_check_timeout_s, load.streaming, load.workers) == (False, 30.0, False, 2)
    assert (load.request_timeout_s, load.no_progress_timeout_s) == (60.0, 5.0)
    assert (plan.dataset.range_ratio, plan.dataset.tokenize_on_client, plan.dataset.vocab_size) == (0.25, True, 1000)
    generation = plan.generation
    assert (generation.temperature, generation.top_p, generation.top_k, generation.min_p) == (0.5, 0.9, 40, 0.1)
    assert (generation.logprobs, generation.extra_body) == (2, {"a": [1]})
    output = plan.output
    assert output.metric_percentiles == (50.0, 99.9)
    assert output.percentiles_named
    assert output.goodput_ms == {"ttft": 200.0, "tpot": 50.5, "e2el": 5000.0}
    assert (output.save_detailed, output.save_columns, output.save_events) == (True, False, "ev")
    assert output.metadata == {"a": "1", "b": "x=y"}
    assert (output.label, output.append_result) == ("cold", True)
    assert (load.probe_request_rate, load.request_id_prefix, load.ramp_up) == (0.5, "run7-", None)
    assert (generation.frequency_penalty, generation.presence_penalty, generation.repetition_penalty) == (0.25, -1, 1.1)
    assert plan.server == ServerPlan("flush_cache", profile=True, time_breakdown=True, gpu_telemetry=True)
    assert (output.console, output.progress, output.strict, output.max_failure_share) == ("full", False, True, 0.01)


def test_a_ramp_and_a_chat_template_reach_the_plan() -> None:
    plan = plan_of(
        "--ramp-up-strategy exponential --ramp-up-start-rps 0.5 --ramp-up-end-rps 8 --reset-prefix-cache "
        "--backend openai-chat --chat-template-kwargs '{\"thinking\": false}'"
    )
    assert plan.load.ramp_up == RampUp("exponential", 0.5, 8)
    assert plan.server.reset_cache == "reset_prefix_cache"
    assert plan.generation.chat_template_kwargs == {"thinking": False}


def test_how_the_server_is_reached() -> None:
    plan = plan_of("--base-url https://h --unix-socket /s --cacert a --cert b --key c")
    assert plan.transport == TransportPlan(unix_socket="/s", cacert="a", cert="b", key="c")
    assert plan_of("--base-url https://h --insecure").transport == TransportPlan(insecure=True)
    assert plan_of("--insecure").transport.insecure, "scripts carry it for http too"


@pytest.mark.parametrize(
    ("flags", "base_url", "path"),
    [
        ("", "http://127.0.0.1:8000", "/v1/completions"),
        ("--host h --port 81", "http://h:81", "/v1/completions"),
        ("--host ::1", "http://[::1]:8000", "/v1/completions"),
        ("--host [::1] --port 5", "http://[::1]:5", "/v1/completions"),
        ("--host h --base-url http://other", "http://other", "/v1/completions"),
        ("--backend openai-chat", "http://127.0.0.1:8000", "/v1/chat/completions"),
        ("--backend openai-chat --endpoint /v1/completions", "http://127.0.0.1:8000", "/v1/chat/completions"),
        ("--backend openai-chat --endpoint /x/chat", "http://127.0.0.1:8000", "/x/chat"),
        ("--endpoint /generate", "http://127.0.0.1:8000", "/generate"),
        ("--unix-socket /tmp/s", "http://localhost", "/v1/completions"),
        ("--unix-socket /tmp/s --base-url https://h", "https://h", "/v1/completions"),
    ],
)
def test_where_requests_go(flags: str, base_url: str, path: str) -> None:
    endpoint = plan_of(flags).endpoint
    assert (endpoint.base_url, endpoint.path) == (base_url, path)


NOT_BUILT = {
    "--custom-tokenizer x": "--custom-tokenizer is not built yet; "
    "give a directory with a tokenizer.json by --tokenizer",
    "--download-path x": "--download-path is refused: tokenclock never downloads data: "
    "fetch the file and name it by --dataset-path",
    "--use-beam-search": "--use-beam-search is not built yet; the original accepts and ignores it: leave it out",
    "--no-stream": "--no-stream is not built yet; for replies in one piece use --non-streaming",
    "--disable-ignore-eos": "--disable-ignore-eos is not built yet; "
    "leave --ignore-eos out: it is off here unless asked for",
    "--extra-request-body {}": "--extra-request-body is not built yet; use --extra-body",
    "--profile-num-steps 3": "--profile-num-steps is not built yet; set these in the server and use --profile",
    "--gsp-num-groups 3": "--gsp-num-groups is not built yet; use --random-prefix-len for one shared prefix",
    "--config x": "--config is not built yet; give flags, or variables such as TOKENCLOCK_SERVING_SEED",
    "--tokenizer-mode mistral": "--tokenizer-mode mistral is not built yet; use auto with a directory's tokenizer.json",
    "--tokenizer-mode custom": "--tokenizer-mode custom is not built yet; use auto with a directory's tokenizer.json",
}

WRONG = {
    "--cacert a": "--base-url must be https://... with --cacert, got http://127.0.0.1:8000; or leave --cacert out",
    "--base-url https://h --key k": "--key must be given together with --cert, got k",
    "--base-url ''": "--base-url must be http://HOST:PORT or https://HOST:PORT, got ''; leave it out for --host",
    "--base-url https://h --insecure --cacert a": "--cacert must be left out with --insecure, got a; "
    "which checks nothing",
    "--unix-socket=": "--unix-socket must be the path of a file, got ''",
    "--ramp-up-strategy linear": "--ramp-up-strategy needs both --ramp-up-start-rps and --ramp-up-end-rps, "
    "in requests/s",
    "--ramp-up-end-rps 3": "--ramp-up-start-rps and --ramp-up-end-rps need --ramp-up-strategy linear or exponential",
    "--ramp-up-strategy steps --ramp-up-start-rps 1 --ramp-up-end-rps 2": "--ramp-up-strategy must be linear or "
    "exponential, got steps",
    "--ramp-up-strategy linear --ramp-up-start-rps 1 --ramp-up-end-rps 2 --request-rate 3": "--request-rate must be "
    "left out with --ramp-up-strategy, got 3; the rate is given by --ramp-up-start-rps and --ramp-up-end-rps",
    "--flush-cache --reset-prefix-cache": "--flush-cache is SGLang's and --reset-prefix-cache vLLM's: "
    "give the one your server knows",
    "--chat-template-kwargs {}": "--chat-template-kwargs needs --backend openai-chat: "
    "completions have no chat template",
    "--chat-template-kwargs x": "--chat-template-kwargs must be a JSON object, such as '{\"min_tokens\": 8}', got x",
    "--request-id-prefix ''": "--request-id-prefix must be 1 to 128 ASCII characters without spaces, got ''; "
    "each id is the prefix and the number of the request",
    "--label a/b": "--label must be text without / that can stand in a file name, got a/b",
    "--num-prompts many": "--num-prompts must be a whole number, got many",
    "--num-prompts 0": "--num-prompts must be a whole number >= 1, got 0",
    "--num-prompts": "--num-prompts: expected one argument",
    "--request-rate 0": "--request-rate must be requests per second > 0, or inf, got 0; inf sends everything at once",
    "--request-rate nan": "--request-rate must be a number, got nan",
    "--burstiness -1": "--burstiness must be a number > 0, got -1; "
    "1 is Poisson, below 1 burstier, above 1 more regular",
    "--random-range-ratio 1": "--random-range-ratio must be in [0, 1), got 1; 0 gives fixed lengths, "
    "0.2 gives 80 % to 120 % of each",
    "--random-range-ratio {}": "--random-range-ratio must be a number, got {}",
    "--random-input-len 0": "--random-input-len must be a whole number >= 1, got 0",
    "--goodput ttft": "--goodput must be KEY:MILLISECONDS, such as ttft:200, got ttft",
    "--goodput ttft:fast": "--goodput must be KEY:MILLISECONDS, such as ttft:200, got ttft:fast",
    "--goodput ttft:-1": "--goodput must be KEY:MILLISECONDS >= 0, got ttft:-1",
    "--goodput itl:5": "--goodput must be KEY:VALUE with KEY one of ttft,tpot,e2el, got itl",
    "--percentile-metrics ttft,latency": "--percentile-metrics must be some of ttft,tpot,itl,e2el, got latency",
    "--percentile-metrics ''": "--percentile-metrics must be some of ttft,tpot,itl,e2el, got none",
    "--metric-percentiles 99,x": "--metric-percentiles must be numbers with commas between, got 99,x",
    "--metric-percentiles 101": "--metric-percentiles must be numbers in (0, 100], got 101",
    "--metadata x": "--metadata must be KEY=VALUE, got x",
    "--metadata =x": "--metadata must be KEY=VALUE, got =x",
    "--metadata a=1 a=2": "--metadata must name a once, got it twice; leave one out",
    "--metadata a=1 --metadata tokenclock=x": "--metadata must be a key that the result does not use itself, got "
    "tokenclock; give it another name",
    "--goodput ttft:3 ttft:4": "--goodput must name ttft once, got it twice; leave one out",
    "--random-input-len 99999999999999999999": "--random-input-len must be a whole number of at most 16777216, got "
    "99999999999999999999",
    f"--seed {'9' * 5000}": f"--seed must be a whole number, got {'9' * 77}...",
    "--num-prompts 10000000 --random-input-len 1000": "10000000 prompts of 1000 tokens are 10000000000 token ids of 4 "
    "bytes, 40.0 GB: more than the 4 GB that a run may draw; lower --num-prompts or the input length",
    "--header x": "--header must be KEY=VALUE or 'Key: value', got x",
    "--header Connection=close": "--header must be a header tokenclock does not set itself, got Connection; "
    "use --connection new for a connection per request",
    "--extra-body x": "--extra-body must be a JSON object, such as '{\"min_tokens\": 8}', got x",
    "--extra-body [1]": "--extra-body must be a JSON object, such as '{\"min_tokens\": 8}', got [1]",
    "--extra-body '{\"a\": NaN}'": '--extra-body must be a JSON object, such as \'{"min_tokens": 8}\', got {"a": NaN}',
    "--backend vllm": "--backend must be one of openai, openai-chat, embeddings, rerank, responses, triton, got vllm",
    "--port 70000": "--port must be in 1..65535, got 70000",
    "--host http://h": "--host must be a name or an address, got http://h; a URL goes to --base-url",
    "--endpoint v1": "--endpoint must be a path that starts with /, got v1",
    "--num-prompt 3": "unknown flag --num-prompt (did you mean --num-prompts?); "
    "tokenclock serving --help shows all flags",
    "--max_concurrency 3": "unknown flag --max_concurrency (did you mean --max-concurrency?); "
    "tokenclock serving --help shows all flags",
    "--zzz": "unknown flag --zzz; tokenclock serving --help shows all flags",
    "surplus": "unexpected argument surplus; tokenclock serving --help shows the flags",
    "--max-failure-share 2": "--max-failure-share must be a share in [0, 1], got 2; "
    "0.01 lets one request in a hundred fail",
    "--strict=yes": "--strict: ignored explicit argument 'yes'",
}


@pytest.mark.parametrize(("flags", "line"), [*NOT_BUILT.items(), *WRONG.items()], ids=[*NOT_BUILT, *WRONG])
def test_what_cannot_be_is_refused_in_these_words(flags: str, line: str) -> None:
    with pytest.raises(UsageError) as caught:
        plan_of(flags)
    assert str(caught.value) == line
    assert caught.value.exit_code == 2


def test_a_missing_model_says_what_to_do() -> None:
    with pytest.raises(UsageError, match="--model is needed: the name the server knows its model by"):
        plan_from_argv(["--dataset-name", "random"], {})


def test_no_flag_is_both_accepted_and_refused() -> None:
    for flag in build_parser().flags():
        if flag.startswith("--") and flag != "--help":
            with pytest.raises(UsageError) as caught:
                plan_from_argv([flag + "=\0"], {})
            assert "not built yet" not in str(caught.value)


def test_the_key_comes_from_the_environment_and_only_from_there() -> None:
    assert plan_of("", {"OPENAI_API_KEY": "k"}).endpoint.api_key == "k"
    assert plan_of("", {"OPENAI_API_KEY": ""}).endpoint.api_key is None
    assert plan_of("").endpoint.api_key is None


def test_environment_gives_defaults_and_flags_win() -> None:
    environment = {
        "TOKENCLOCK_SERVING_SEED": "5",
        "TOKENCLOCK_SERVING_NUM_PROMPTS": "9",
        "TOKENCLOCK_SERVING_IGNORE_EOS": "1",
        "TOKENCLOCK_SERVING_STRICT": "0",
        "TOKENCLOCK_CACHE": "/somewhere",
    }
    plan = plan_of("--seed 6", environment)
    assert (plan.load.seed, plan.load.num_prompts, plan.generation.ignore_eos) == (6, 9, True)
    assert not plan.output.strict


@pytest.mark.parametrize(
    ("environment", "line"),
    [
        ({"TOKENCLOCK_SERVING_SEEDS": "5"}, "unknown environment variable TOKENCLOCK_SERVING_SEEDS; unset it"),
        ({"TOKENCLOCK_SERVING_SEED": "x"}, "--seed must be a whole number, got x"),
        ({"TOKENCLOCK_SERVING_STRICT": "maybe"}, "TOKENCLOCK_SERVING_STRICT must be 1 or 0, got maybe"),
    ],
)
def test_a_wrong_variable_is_refused(environment: dict[str, str], line: str) -> None:
    with pytest.raises(UsageError) as caught:
        plan_of("", environment)
    assert str(caught.value).replace(" (did you mean TOKENCLOCK_SERVING_SEED?)", "") == line


def test_the_help_names_every_flag_with_its_default_and_ends_with_an_example() -> None:
    text = build_parser().format_help()
    assert all(flag in text for flag in build_parser().flags())
    for heading in ("server and model", "load", "dataset", "generation", "output and verdict", "examples:"):
        assert f"\n{heading}" in text
    example = text.split("result kept:\n")[1].split("\n\n")[0].replace("\\\n", " ")
    command = shlex.split(example)
    assert command[:2] == ["tokenclock", "serving"]
    assert plan_from_argv(command[2:], {}).load.max_concurrency == 16


def test_help_goes_to_stdout_and_exits_0(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        plan_from_argv(["--help"], {"TOKENCLOCK_SERVING_SEED": "x"})
    assert caught.value.code == 0
    out: Any = capsys.readouterr()
    assert out.out.startswith("usage: tokenclock serving")
    assert out.err == ""


def test_the_plan_of_a_command_line_is_json() -> None:
    plan = plan_of("--header A=secret --goodput ttft:5", {"OPENAI_API_KEY": "secret"})
    assert "secret" not in json.dumps(plan.to_dict(), allow_nan=False)


def test_a_flag_that_takes_several_values_wins_over_the_environment_too() -> None:
    environment = {"TOKENCLOCK_SERVING_GOODPUT": "ttft:5", "TOKENCLOCK_SERVING_METADATA": "a=1"}
    plan = plan_of("--goodput ttft:7", environment)
    assert plan.output.goodput_ms == {"ttft": 7.0}
    assert plan.output.metadata == {"a": "1"}


def test_a_variable_gives_several_values_as_a_shell_reads_words() -> None:
    environment = {
        "TOKENCLOCK_SERVING_GOODPUT": "ttft:100 tpot:50",
        "TOKENCLOCK_SERVING_LORA_MODULES": "law poetry",
        "TOKENCLOCK_SERVING_HEADER": "X-Key: two words",
        "TOKENCLOCK_SERVING_METADATA": "'a=1 2' b=3",
    }
    plan = plan_of("", environment)
    assert plan.output.goodput_ms == {"ttft": 100.0, "tpot": 50.0}
    assert plan.endpoint.lora_modules == ("law", "poetry")
    assert plan.endpoint.headers == (("X-Key", "two words"),)
    assert plan.output.metadata == {"a": "1 2", "b": "3"}
    with pytest.raises(UsageError, match="TOKENCLOCK_SERVING_LORA_MODULES must be words as a shell reads them"):
        plan_of("", {"TOKENCLOCK_SERVING_LORA_MODULES": "'law"})
