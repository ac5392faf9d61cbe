"""A plan says what was asked, repeats it from JSON, keeps secrets, and refuses what makes no sense in one line."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenclock.errors import UsageError
from tokenclock.plan import (
    BurstGptDataset,
    CustomDataset,
    EndpointPlan,
    GenerationPlan,
    HfDataset,
    LoadPlan,
    OutputPlan,
    RampUp,
    RandomDataset,
    RandomImageDataset,
    ServerPlan,
    ServingPlan,
    ShareGptDataset,
    SonnetDataset,
)


def plan_with_secrets() -> ServingPlan:
    return ServingPlan(
        EndpointPlan("m", headers=(("X-Key", "s3cret-1"), ("Cookie", "s3cret-2")), api_key="s3cret-3"),
        output=OutputPlan(goodput_ms={"ttft": 200.0}, metadata={"a": "b"}),
    )


def test_defaults_are_those_of_the_documented_tool() -> None:
    plan = ServingPlan(EndpointPlan("m"))
    assert (plan.load.num_prompts, plan.load.request_rate, plan.load.burstiness) == (1000, math.inf, 1.0)
    assert (plan.load.max_concurrency, plan.load.seed, plan.load.request_timeout_s) == (None, 0, 21600.0)
    assert (plan.dataset.input_len, plan.dataset.output_len, plan.dataset.prefix_len) == (1024, 128, 0)
    assert plan.output.percentile_metrics == ("ttft", "tpot", "itl")
    assert plan.output.metric_percentiles == (99.0,)
    assert plan.generation.temperature is None
    assert plan.output.max_failure_share == 0.0


def test_secrets_never_reach_the_dict_that_files_are_made_of() -> None:
    text = plan_with_secrets().to_json()
    assert "s3cret" not in text
    data = json.loads(text)
    assert data["endpoint"]["headers"] == [["X-Key", "***"], ["Cookie", "***"]]
    assert data["endpoint"]["api_key"] == "***"


def test_no_key_stays_no_key() -> None:
    assert ServingPlan(EndpointPlan("m")).to_dict()["endpoint"]["api_key"] is None


def test_an_infinite_rate_is_text_in_json() -> None:
    text = json.dumps(ServingPlan(EndpointPlan("m")).to_dict(), allow_nan=False)
    assert json.loads(text)["load"]["request_rate"] == "inf"


def test_a_plan_comes_back_from_json_with_and_without_secrets() -> None:
    plan = plan_with_secrets()
    assert ServingPlan.from_dict(json.loads(json.dumps(plan.to_dict(secrets=True)))) == plan
    masked = ServingPlan.from_dict(json.loads(plan.to_json()))
    assert masked.endpoint.headers == (("X-Key", "***"), ("Cookie", "***"))
    assert dataclasses.replace(masked, endpoint=plan.endpoint) == plan


@given(
    rate=st.one_of(st.just(math.inf), st.floats(1e-3, 1e6)),
    concurrency=st.one_of(st.none(), st.integers(1, 10_000)),
    ratio=st.floats(0, 0.999),
    percentiles=st.lists(st.floats(0.1, 100), min_size=1, max_size=4).map(tuple),
    extra=st.dictionaries(st.text(min_size=2), st.one_of(st.none(), st.integers(), st.text())),
)
def test_any_plan_survives_json(
    rate: float, concurrency: int | None, ratio: float, percentiles: tuple[float, ...], extra: dict[str, Any]
) -> None:
    extra.pop("stream", None)
    plan = ServingPlan(
        EndpointPlan("m"),
        LoadPlan(request_rate=rate, max_concurrency=concurrency),
        GenerationPlan(extra_body=extra),
        RandomDataset(range_ratio=ratio),
        OutputPlan(metric_percentiles=percentiles),
    )
    assert ServingPlan.from_dict(json.loads(json.dumps(plan.to_dict()))) == plan


def test_a_plan_with_a_ramp_survives_json() -> None:
    plan = ServingPlan(EndpointPlan("m"), LoadPlan(ramp_up=RampUp("linear", 1.0, 4)), server=ServerPlan("flush_cache"))
    assert ServingPlan.from_dict(json.loads(json.dumps(plan.to_dict()))) == plan
    assert plan.is_open_loop


def test_ids_of_ours_and_of_the_user_exclude_each_other() -> None:
    with pytest.raises(UsageError, match="--request-id-prefix must be left out with --header x-request-id, got a-"):
        ServingPlan(EndpointPlan("m", headers=(("X-Request-ID", "7"),)), LoadPlan(request_id_prefix="a-"))


def test_a_trace_s_own_times_and_a_ramp_exclude_each_other() -> None:
    load, trace = LoadPlan(ramp_up=RampUp("linear", 1, 2)), BurstGptDataset("t.csv", self_timed=True)
    with pytest.raises(UsageError, match="--ramp-up-strategy must be left out with --self-timed, got linear"):
        ServingPlan(EndpointPlan("m"), load, dataset=trace)


def test_open_loop_is_a_finite_rate() -> None:
    assert ServingPlan(EndpointPlan("m"), LoadPlan(request_rate=3.0)).is_open_loop
    assert not ServingPlan(EndpointPlan("m"), LoadPlan(max_concurrency=3)).is_open_loop


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"command": "sweep"}, "plan must be a plan of the command serving or profile, got sweep"),
        (
            {"command": "serving", "endpoint": {"model": "m"}, "load": {"speed": 3}},
            "plan.load must be of known fields, got speed",
        ),
        ({"command": "serving", "endpoint": {}}, "model"),
    ],
)
def test_a_dict_that_is_no_plan_is_refused(data: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        ServingPlan.from_dict(data)


REFUSED: list[tuple[type, dict[str, Any], str]] = [
    (EndpointPlan, {"model": ""}, "--model must be a model name, got ''"),
    (EndpointPlan, {"backend": "vllm"}, "--backend must be one of openai, openai-chat, embeddings, rerank, responses"),
    (EndpointPlan, {"path": "v1"}, "--endpoint must be a path that starts with /, got v1"),
    (EndpointPlan, {"path": "/a b"}, "without spaces"),
    (EndpointPlan, {"path": "/a\r\nX: y"}, "without spaces"),
    (EndpointPlan, {"tokenizer_mode": "fast"}, "--tokenizer-mode must be auto or slow, got fast"),
    (EndpointPlan, {"connection": "pool"}, "--connection must be reuse or new, got pool"),
    (EndpointPlan, {"headers": (("a b", "c"),)}, "or 'Key: value' with a KEY of letters, digits and dashes, got a b"),
    (EndpointPlan, {"headers": (("Content-Length", "3"),)}, "does not set itself, got Content-Length; leave it out"),
    (EndpointPlan, {"headers": (("Connection", "close"),)}, "got Connection; use --connection new for a connection"),
    (EndpointPlan, {"headers": (("X", "a\r\nY: b"),)}, "--header must be one line of Latin-1 text for X"),
    (EndpointPlan, {"headers": (("X", "\N{SNOWMAN}"),)}, "--header must be one line of Latin-1 text for X"),
    (EndpointPlan, {"api_key": "a\nb"}, "OPENAI_API_KEY must be one line of ASCII text"),
    (LoadPlan, {"num_prompts": 0}, "--num-prompts must be a whole number >= 1, got 0"),
    (LoadPlan, {"num_prompts": 2.5}, "--num-prompts must be a whole number >= 1, got 2.5"),
    (LoadPlan, {"request_rate": 0.0}, "--request-rate must be requests per second > 0, or inf, got 0;"),
    (LoadPlan, {"request_rate": -1.0}, "--request-rate must be requests per second > 0, or inf, got -1;"),
    (LoadPlan, {"request_rate": math.nan}, "--request-rate must be"),
    (LoadPlan, {"burstiness": 0.0}, "--burstiness must be a number > 0, got 0"),
    (LoadPlan, {"burstiness": math.nan}, "--burstiness must be a number > 0, got nan"),
    (LoadPlan, {"num_prompts": 99999999999}, "--num-prompts must be a whole number of at most 10000000, got 999999999"),
    (LoadPlan, {"max_concurrency": 1 << 20}, "--max-concurrency must be a whole number of at most 1000000, got"),
    (LoadPlan, {"seed": 1 << 63}, "--seed must be a whole number of at most 9223372036854775807, got 92233"),
    (LoadPlan, {"num_warmups": 1 << 32}, "--num-warmups must be a whole number of at most 100000, got 4294967296"),
    (LoadPlan, {"workers": 257}, "--workers must be a whole number of at most 256, got 257"),
    (LoadPlan, {"max_concurrency": 0}, "--max-concurrency must be a whole number >= 1, got 0"),
    (LoadPlan, {"seed": -1}, "--seed must be a whole number >= 0, got -1"),
    (LoadPlan, {"num_warmups": -1}, "--num-warmups must be a whole number >= 0, got -1"),
    (LoadPlan, {"ready_check_timeout_s": -1.0}, "--ready-check-timeout-sec must be seconds >= 0 and below 1e9, got -1"),
    (LoadPlan, {"request_timeout_s": -1.0}, "--request-timeout must be seconds >= 0 and below 1e9, got -1"),
    (
        LoadPlan,
        {"no_progress_timeout_s": math.inf},
        "--no-progress-timeout must be seconds >= 0 and below 1e9, got inf",
    ),
    (LoadPlan, {"workers": 0}, "--workers must be a whole number >= 1, got 0"),
    (LoadPlan, {"probe_request_rate": -1.0}, "--probe-request-rate must be requests per second from 0 to 1000, got -1"),
    (LoadPlan, {"request_id_prefix": "a b"}, "--request-id-prefix must be 1 to 128 ASCII characters without spaces"),
    (LoadPlan, {"request_id_prefix": "a\r\nb"}, "--request-id-prefix must be 1 to 128 ASCII characters without spaces"),
    (LoadPlan, {"request_rate": 2.0, "ramp_up": RampUp("linear", 1, 2)}, "--request-rate must be left out with"),
    (RampUp, {"strategy": "steps", "start_rps": 1, "end_rps": 2}, "--ramp-up-strategy must be linear or exponential"),
    (RampUp, {"strategy": "linear", "start_rps": 0, "end_rps": 2}, "--ramp-up-start-rps must be requests per second"),
    (RampUp, {"strategy": "linear", "start_rps": 1, "end_rps": math.inf}, "--ramp-up-end-rps must be requests per"),
    (ServerPlan, {"reset_cache": "x"}, "server.reset_cache must be flush_cache or reset_prefix_cache, got x"),
    (OutputPlan, {"label": "a/b"}, "--label must be text without / that can stand in a file name, got a/b"),
    (GenerationPlan, {"frequency_penalty": 3}, r"--frequency-penalty must be in \[-2, 2\], got 3"),
    (GenerationPlan, {"presence_penalty": -3}, r"--presence-penalty must be in \[-2, 2\], got -3"),
    (GenerationPlan, {"repetition_penalty": 0}, "--repetition-penalty must be a number > 0, got 0; 1 changes nothing"),
    (GenerationPlan, {"logprobs": -1}, "--logprobs must be a whole number >= 0, got -1"),
    (GenerationPlan, {"temperature": -0.5}, "--temperature must be a number >= 0, got -0.5"),
    (GenerationPlan, {"top_p": 0.0}, r"--top-p must be in \(0, 1\], got 0"),
    (GenerationPlan, {"top_k": -2}, "--top-k must be a whole number >= -1, got -2"),
    (GenerationPlan, {"top_k": 1 << 31}, "--top-k must be a whole number of at most 2147483647, got 2147483648"),
    (GenerationPlan, {"logprobs": 1 << 31}, "--logprobs must be a whole number of at most 1000000, got 2147483648"),
    (GenerationPlan, {"min_p": 1.5}, r"--min-p must be in \[0, 1\], got 1.5"),
    (GenerationPlan, {"extra_body": []}, r"--extra-body must be a JSON object, got \[\]"),
    (GenerationPlan, {"extra_body": {"stream": False}}, "use --non-streaming"),
    (GenerationPlan, {"extra_body": {"n": 2}}, "--extra-body n must be 1, got 2"),
    (RandomDataset, {"name": "sonnet"}, "--dataset-name must be random, got sonnet"),
    (RandomDataset, {"input_len": 0}, "--random-input-len must be a whole number >= 1, got 0"),
    (RandomDataset, {"output_len": 0}, "--random-output-len must be a whole number >= 1, got 0"),
    (RandomDataset, {"prefix_len": -1}, "--random-prefix-len must be a whole number >= 0, got -1"),
    (RandomDataset, {"input_len": 4294967301}, "--random-input-len must be a whole number of at most 16777216, got 42"),
    (RandomDataset, {"output_len": 10**20}, "--random-output-len must be a whole number of at most 16777216, got 100"),
    (RandomDataset, {"prefix_len": 3 * 10**9}, "--random-prefix-len must be a whole number of at most 16777216, got"),
    (RandomDataset, {"vocab_size": 1 << 32}, "--vocab-size must be a whole number of at most 16777216, got 429496"),
    (RandomImageDataset, {"num_images": 1001}, "--random-num-images must be a whole number of at most 1000, got 1001"),
    (RandomImageDataset, {"width": 16_385}, "--random-image-width must be a whole number of at most 16384, got 16385"),
    (SonnetDataset, {"path": "a", "output_len": 1 << 32}, "--sonnet-output-len must be a whole number of at most 16"),
    (CustomDataset, {"path": "a", "output_len": 1 << 32}, "--custom-output-len must be a whole number of at most 16"),
    (ShareGptDataset, {"path": "a", "output_len": 1 << 32}, "--sharegpt-output-len must be a whole number of at most"),
    (HfDataset, {"path": "a", "output_len": 1 << 32}, "--hf-output-len must be a whole number of at most 16777216"),
    (RandomDataset, {"range_ratio": 1.0}, r"--random-range-ratio must be in \[0, 1\), got 1;"),
    (RandomDataset, {"range_ratio": -0.1}, r"--random-range-ratio must be in \[0, 1\), got -0.1;"),
    (RandomDataset, {"vocab_size": 15}, "--vocab-size must be a whole number >= 16, got 15"),
    (OutputPlan, {"percentile_metrics": ("x",)}, "--percentile-metrics must be some of ttft,tpot,itl,e2el, got x"),
    (OutputPlan, {"percentile_metrics": ()}, "--percentile-metrics must be some of"),
    (OutputPlan, {"metric_percentiles": (101.0,)}, r"--metric-percentiles must be numbers in \(0, 100\], got 101"),
    (OutputPlan, {"metric_percentiles": (0.0,)}, r"--metric-percentiles must be numbers in \(0, 100\], got 0"),
    (OutputPlan, {"goodput_ms": {"itl": 3.0}}, "--goodput must be KEY:VALUE with KEY one of ttft,tpot,e2el, got itl"),
    (OutputPlan, {"goodput_ms": {"ttft": -3.0}}, "--goodput must be KEY:MILLISECONDS >= 0, got ttft:-3"),
    (OutputPlan, {"metadata": {"duration": "7"}}, "--metadata must be a key that the result does not use itself, got"),
    (OutputPlan, {"metadata": {"p99.9_itl_ms": "7"}}, "--metadata must be .* got p99.9_itl_ms; give it another name"),
    (OutputPlan, {"metadata": {"label": "7"}, "label": "a"}, "--metadata must be .* got label"),
    (OutputPlan, {"result_dir": ""}, "--result-dir must be a directory, got an empty name"),
    (OutputPlan, {"console": "wide"}, "--console must be classic or full, got wide"),
    (OutputPlan, {"max_failure_share": 1.5}, r"--max-failure-share must be a share in \[0, 1\], got 1.5"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "values", "message"), REFUSED, ids=[case[2][:40] for case in REFUSED])
def test_a_wrong_value_is_refused_in_one_line(kind: type, values: dict[str, Any], message: str) -> None:
    needed = {"model": "m"} if kind is EndpointPlan else {}
    with pytest.raises(UsageError, match=message) as caught:
        kind(**needed | values)
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    "dataset",
    [
        RandomDataset(input_len=900_000, prefix_len=100_000),
        RandomImageDataset(input_len=1_000_000),
        SonnetDataset("s.txt", input_len=1_000_000),
    ],
)
def test_prompts_that_no_memory_holds_are_refused_with_the_arithmetic(dataset: Any) -> None:
    ServingPlan(EndpointPlan("m"), LoadPlan(num_prompts=1000), dataset=dataset)  # 4 GB exactly
    words = "1001 prompts of 1000000 tokens are 1001000000 token ids of 4 bytes, 4.0 GB: more than the 4 GB"
    with pytest.raises(UsageError, match=words):
        ServingPlan(EndpointPlan("m"), LoadPlan(num_prompts=1000, num_warmups=1), dataset=dataset)


def test_a_label_of_the_user_s_own_is_metadata_where_the_run_has_none() -> None:
    assert OutputPlan(metadata={"label": "x", "version": "1"}).metadata == {"label": "x", "version": "1"}
