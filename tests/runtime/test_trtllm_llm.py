"""`tensorrt_llm.LLM` on the stand-in: options, static batches, exact lengths, stamps, the engine's own times."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

import pytest
from tests.runtime.conftest import InstallTrtllm
from tests.standins.models import write_checkpoint, write_engine

from tokenclock.errors import MeasurementError, UsageError
from tokenclock.parallel import OneProcess
from tokenclock.plan_benchmark import BenchmarkCase
from tokenclock.runtime import trtllm_llm, trtllm_package
from tokenclock.runtime.llm_api_keys import known_of_release
from tokenclock.runtime.options import RuntimeOptions
from tokenclock.runtime.protocol import Runtime
from tokenclock.runtime.trtllm_llm_options import Room, llm_options, parallel_sizes, static_batch_doubts

LLM_RELEASES = ["1.0.0", "1.2.1", "1.3.0rc26"]
OPTIONS = RuntimeOptions(max_batch_size=4, max_input_len=16, max_output_len=6)


def case(batch_size: int = 4, input_len: int = 16, output_len: int = 6, **others: Any) -> BenchmarkCase:
    return BenchmarkCase(0, "dec", batch_size, input_len, output_len, **others)


@pytest.fixture
def checkpoint(tmp_path: Path) -> str:
    return str(write_checkpoint(tmp_path / "llama"))


@pytest.mark.parametrize("release", LLM_RELEASES)
def test_a_batch_runs_together_to_its_exact_length(
    install_trtllm: InstallTrtllm, checkpoint: str, release: str
) -> None:
    install_trtllm(release)
    runtime = trtllm_llm.load(checkpoint, "dec", OPTIONS, OneProcess())
    try:
        assert isinstance(runtime, Runtime)
        assert (runtime.ranks, runtime.cuda_stream, runtime.streams) == ("leader", None, True)
        assert (runtime.model.num_heads, runtime.model.num_kv_heads, runtime.model.num_layers) == (32, 8, 30)
        assert runtime.model.precision == "bfloat16"
        assert runtime.model.details["tensorrt_llm"] == release
        assert runtime.limits.max_seq_len == 4096
        runtime.prepare(case(), seed=3)
        stamps: list[int] = []
        for on_step in (None, lambda: stamps.append(1)):
            outcome = runtime.run(on_step)
            assert outcome.osl is not None
            assert outcome.osl.tolist() == [6, 6, 6, 6]
            assert outcome.ran_together is True
            assert outcome.details["first_iter"][0] == outcome.details["first_iter"][1]
            assert outcome.details["last_iter"][0] - outcome.details["first_iter"][0] == 5
            phases = outcome.phases_ns
            assert phases.keys() == {"queue", "prefill", "ttft", "decode"}
            assert phases["queue"] + phases["prefill"] == phases["ttft"]
            assert phases["decode"] > 0
        assert len(stamps) == 6
        runtime.release()
        runtime.release()
    finally:
        runtime.close()


def test_the_engine_is_made_for_a_static_batch(install_trtllm: InstallTrtllm, checkpoint: str) -> None:
    install_trtllm("1.2.1")
    runtime = trtllm_llm.load(checkpoint, "dec", OPTIONS, OneProcess())
    try:
        options = runtime._llm._options
        assert (options["max_batch_size"], options["max_num_tokens"], options["max_seq_len"]) == (4, 4 * 16, 22)
        assert options["enable_chunked_prefill"] is False
        assert runtime._llm._kv.enable_block_reuse is False
        assert options["skip_tokenizer_init"] is True
        assert runtime.model.details["options"]["max_num_tokens"] == 64
        assert runtime.model.details["warnings"] == []
    finally:
        runtime.close()


def test_a_larger_case_makes_the_engine_anew_and_a_smaller_one_does_not(
    install_trtllm: InstallTrtllm, checkpoint: str
) -> None:
    install_trtllm("1.2.1")
    runtime = trtllm_llm.load(checkpoint, "dec", OPTIONS, OneProcess())
    try:
        first = runtime._llm
        runtime.prepare(case(2, 8, 4), seed=0)
        assert runtime._llm is first
        runtime.prepare(case(8, 16, 6), seed=0)
        assert runtime._llm is not first
        assert first._engine is None  # shut down before the next was made
        assert runtime._llm._options["max_batch_size"] == 8
        assert runtime.run(None).osl.tolist() == [6] * 8
    finally:
        runtime.close()


def test_where_the_sweep_does_not_fit_each_case_makes_its_own_engine(
    install_trtllm: InstallTrtllm, checkpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_trtllm("1.2.1")
    monkeypatch.setenv("STANDIN_MAX_NUM_TOKENS_THAT_FIT", "20")
    runtime = trtllm_llm.load(checkpoint, "dec", OPTIONS, OneProcess())
    try:
        runtime.prepare(case(1, 16, 6), seed=0)
        assert runtime.run(None).osl.tolist() == [6]
        runtime.release()
        with pytest.raises(RuntimeError, match="out of memory"):
            runtime.prepare(case(4, 16, 6), seed=0)
        runtime.release()
        runtime.prepare(case(1, 16, 6), seed=0)  # what was there before it is made again
        assert runtime.run(None).osl.tolist() == [6]
    finally:
        runtime.close()


def test_beams_are_not_streamed_and_not_counted(install_trtllm: InstallTrtllm, checkpoint: str) -> None:
    install_trtllm("1.2.1")
    options = dataclasses.replace(OPTIONS, num_beams=3)
    runtime = trtllm_llm.load(checkpoint, "dec", options, OneProcess())
    try:
        runtime.prepare(case(num_beams=3), seed=0)
        outcome = runtime.run(lambda: pytest.fail("beams are not streamed"))
        assert outcome.osl.tolist() == [6] * 4
        assert len(runtime._llm.generate(runtime._prompts, sampling_params=runtime._sampling)[0].outputs) == 3
    finally:
        runtime.close()


def test_a_batch_that_the_users_file_splits_is_seen(
    install_trtllm: InstallTrtllm, checkpoint: str, tmp_path: Path
) -> None:
    install_trtllm("1.2.1")
    file = tmp_path / "options.yaml"
    file.write_text("max_num_tokens: 20\nstream_interval: 3\nkv_cache_dtype: fp8\nattn_backnd: X\n")
    given = dataclasses.replace(OPTIONS, extra_llm_api_options=str(file))
    with pytest.raises(MeasurementError, match="attn_backnd"):  # the release refuses what it does not know
        trtllm_llm.load(checkpoint, "dec", given, OneProcess())
    with pytest.raises(UsageError, match=r"attn_backnd .*did you mean attn_backend"):
        trtllm_llm.load(checkpoint, "dec", dataclasses.replace(given, strict_options=True), OneProcess())
    file.write_text("max_num_tokens: 20\nstream_interval: 3\nkv_cache_dtype: fp8\n")
    runtime = trtllm_llm.load(checkpoint, "dec", given, OneProcess())
    try:
        assert runtime.model.details["options"]["kv_cache_config"] == {"enable_block_reuse": False, "dtype": "fp8"}
        warnings = " ".join(runtime.model.details["warnings"])
        assert "kv_cache_dtype is now kv_cache_config.dtype" in warnings
        assert "max_num_tokens 20" in warnings
        assert "stream_interval 3" in warnings
        runtime.prepare(case(), seed=0)
        stamps: list[int] = []
        outcome = runtime.run(lambda: stamps.append(1))
        assert outcome.ran_together is False
        assert (len(stamps), outcome.details["tokens_per_stamp"]) == (2, 3)
    finally:
        runtime.close()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"device": "cpu"}, "GPUs alone"),
        ({"extra_llm_api_options": "/nowhere.yaml"}, "No such file"),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_loads(
    checkpoint: str, change: dict[str, Any], expected: str
) -> None:
    with pytest.raises(UsageError, match=expected):
        trtllm_llm.load(checkpoint, "dec", dataclasses.replace(OPTIONS, **change), OneProcess())


def test_encoders_and_other_families_are_refused(tmp_path: Path, checkpoint: str) -> None:
    with pytest.raises(UsageError, match="-m must be dec, got enc"):
        trtllm_llm.load(checkpoint, "enc", OPTIONS, OneProcess())
    t5 = str(write_checkpoint(tmp_path / "t5", architectures=["T5ForConditionalGeneration"], is_encoder_decoder=True))
    with pytest.raises(UsageError, match="is of -m enc-dec"):
        trtllm_llm.load(t5, "dec", OPTIONS, OneProcess())


def test_weight_streaming_and_unknown_flags_are_refused(install_trtllm: InstallTrtllm, checkpoint: str) -> None:
    install_trtllm("1.0.0")
    with pytest.raises(UsageError, match="has no cuda_graph_config"):
        trtllm_llm.load(checkpoint, "dec", dataclasses.replace(OPTIONS, cuda_graph=True), OneProcess())
    runtime = trtllm_llm.load(checkpoint, "dec", OPTIONS, OneProcess())
    try:
        with pytest.raises(UsageError, match="no weight streaming"):
            runtime.prepare(case(gpu_weights_percent=0.5), seed=0)
    finally:
        runtime.close()


def test_it_says_what_to_install(checkpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trtllm_package, "is_installed", lambda: False)
    with pytest.raises(MeasurementError, match=r"--runtime trtllm-llm needs TensorRT-LLM: pip install 'tokenclock\["):
        trtllm_llm.load(checkpoint, "dec", OPTIONS, OneProcess())


def test_a_release_before_1_0_is_told_what_it_can_do(install_trtllm: InstallTrtllm, checkpoint: str) -> None:
    install_trtllm("0.19.0")
    with pytest.raises(MeasurementError, match=r"needs TensorRT-LLM 1\.0 or later, found 0\.19\.0.*trtllm-engine"):
        trtllm_llm.load(checkpoint, "dec", OPTIONS, OneProcess())


def test_a_package_that_does_not_load_is_one_line(
    tmp_path: Path, checkpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tensorrt_llm").mkdir()
    (tmp_path / "tensorrt_llm" / "__init__.py").write_text("raise OSError('libcuda.so.1: no such file\\nsecond line')")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(MeasurementError, match=r"does not load: libcuda\.so\.1: no such file$"):
        trtllm_llm.load(checkpoint, "dec", OPTIONS, OneProcess())


def test_what_it_recognises(
    install_trtllm: InstallTrtllm, tmp_path: Path, checkpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_trtllm("1.2.1")
    assert trtllm_llm.recognises(checkpoint) is any(name.startswith("nvidia") for name in os.listdir("/dev"))
    monkeypatch.setattr(trtllm_llm, "_has_gpu", lambda: True)
    assert trtllm_llm.recognises(checkpoint)
    assert not trtllm_llm.recognises(str(write_checkpoint(tmp_path / "bert", architectures=["BertModel"])))
    assert not trtllm_llm.recognises(str(write_engine(tmp_path / "engine")))
    assert not trtllm_llm.recognises(str(tmp_path / "absent"))


def test_parallel_sizes() -> None:
    assert parallel_sizes(RuntimeOptions(), 1) == (1, 1)
    assert parallel_sizes(RuntimeOptions(), 4) == (4, 1)
    assert parallel_sizes(RuntimeOptions(pp=2), 4) == (2, 2)
    assert parallel_sizes(RuntimeOptions(tp=2), 1) == (2, 1)  # it starts the workers itself
    with pytest.raises(UsageError, match="must be the 4 ranks"):
        parallel_sizes(RuntimeOptions(tp=2), 4)
    with pytest.raises(UsageError, match="must be the 3 ranks"):
        parallel_sizes(RuntimeOptions(pp=2), 3)


def test_room_and_options_by_hand() -> None:
    options = RuntimeOptions(
        max_batch_size=8, max_input_len=100, max_output_len=20, num_beams=2, ep=2, dtype_named=True
    )
    room = Room.of_sweep(options)
    assert room == Room(8, 800, 120, 2)
    assert Room.of_case(case(3, 1, 5, num_beams=4)) == Room(3, 12, 6, 4)  # a step of beams needs their tokens
    assert room.holds(Room(8, 800, 120, 2))
    assert not room.holds(Room(9, 1, 1, 1))
    assert room.joined(Room(9, 1, 1, 1)) == Room(9, 800, 120, 2)
    known = known_of_release("1.2")
    made = llm_options(options, room, (2, 2), {"max_batch_size": 16, "kv_cache_config": {"dtype": "fp8"}}, known)
    assert made["tensor_parallel_size"] == made["pipeline_parallel_size"] == made["moe_expert_parallel_size"] == 2
    assert (made["max_beam_width"], made["dtype"], made["max_batch_size"]) == (2, "float16", 16)
    assert made["kv_cache_config"] == {"enable_block_reuse": False, "dtype": "fp8"}
    assert static_batch_doubts(made, room) == []


def test_doubts_name_the_option() -> None:
    room = Room(8, 800, 120, 1)
    doubts = static_batch_doubts(
        {
            "max_batch_size": 4,
            "max_num_tokens": 800,
            "enable_chunked_prefill": True,
            "kv_cache_config": {"enable_block_reuse": True},
            "batch_wait_timeout_ms": 5,
        },
        room,
    )
    assert [doubt.split()[0] for doubt in doubts] == [
        "max_batch_size",
        "enable_chunked_prefill",
        "kv_cache_config.enable_block_reuse",
        "batch_wait_timeout_ms",
    ]


def test_follow_runs_the_worker_module_once_what_is_asked_can_be_done(
    install_trtllm: InstallTrtllm, checkpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_trtllm("1.2.1")
    from tensorrt_llm._played import play_common

    called: list[int] = []
    monkeypatch.setattr(play_common, "serve", lambda: called.append(1))
    second = OneProcess(rank=1, size=2, local_rank=1)
    with pytest.raises(UsageError, match="must be the 2 ranks"):
        trtllm_llm.follow(checkpoint, "dec", dataclasses.replace(OPTIONS, tp=4), second)
    assert called == []
    trtllm_llm.follow(checkpoint, "dec", OPTIONS, second)
    assert called == [1]
