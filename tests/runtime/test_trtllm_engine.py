"""Engines on the stand-in: each family, both ways through TensorRT-LLM, lengths, set-up time, stamps, refusals."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from tests.runtime.conftest import InstallTrtllm
from tests.standins.models import write_checkpoint, write_enc_dec_engine, write_engine

from tokenclock import LoopPlan, run_benchmark
from tokenclock.errors import MeasurementError, UsageError
from tokenclock.parallel import OneProcess
from tokenclock.plan_benchmark import BenchmarkCase, BenchmarkPlan
from tokenclock.runtime import trtllm_engine
from tokenclock.runtime.options import RuntimeOptions
from tokenclock.runtime.protocol import Runtime

pytest.importorskip("torch", reason="PyTorch is not installed (make real-models)")

ENGINE_RELEASES = ["0.19.0", "1.0.0", "1.2.1"]
STREAMED = RuntimeOptions(max_batch_size=4, max_input_len=16, max_output_len=6)
WHOLE = dataclasses.replace(STREAMED, streaming=False)


def case(family: str = "dec", **others: Any) -> BenchmarkCase:
    values = {"batch_size": 4, "input_len": 16, "output_len": None if family == "enc" else 6, **others}
    return BenchmarkCase(0, family, **values)


def steps_of(runtime: Runtime) -> tuple[Any, int]:
    stamps: list[int] = []
    runtime.before_iteration()  # type: ignore[attr-defined]
    return runtime.run(lambda: stamps.append(1)), len(stamps)


@pytest.mark.parametrize("release", ENGINE_RELEASES)
@pytest.mark.parametrize("packed", [True, False])
def test_a_decoder_step_by_step(install_trtllm: InstallTrtllm, tmp_path: Path, release: str, packed: bool) -> None:
    install_trtllm(release)
    folder = str(write_engine(tmp_path / "llama", packed=packed))
    runtime = trtllm_engine.load(folder, "dec", STREAMED, OneProcess())
    assert isinstance(runtime, Runtime)
    assert (runtime.ranks, runtime.streams, runtime.cuda_stream) == ("spmd", True, None)
    assert runtime.model.details["through"] == "GenerationSession"
    assert runtime.model.execution_context_bytes == 3 << 20
    runtime.prepare(case(), seed=1)
    outcome, n_steps = steps_of(runtime)
    assert outcome.osl.tolist() == [6] * 4
    assert n_steps == 6  # the session yields once more, which is no step
    assert outcome.setup_ns is None  # the loop times before_iteration
    runtime.before_iteration()
    profiled = runtime.run(None)
    assert profiled.osl.tolist() == [6] * 4
    assert profiled.phases_ns["decode"] >= 5 * 400_000
    assert profiled.details == {"generation_steps": 5}
    runtime.release()
    runtime.release()
    runtime.close()


@pytest.mark.timing
@pytest.mark.parametrize("family", ["dec", "enc-dec"])
def test_setting_up_is_no_part_of_the_latency(
    install_trtllm: InstallTrtllm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, family: str
) -> None:
    """Set-up takes 40 ms here, all the rest of an iteration some 4 ms."""
    install_trtllm("1.2.1")
    monkeypatch.setenv("STANDIN_SETUP_MS", "40")
    write = write_engine if family == "dec" else write_enc_dec_engine
    runtime: Any = trtllm_engine.load(str(write(tmp_path / "model")), family, STREAMED, OneProcess())
    plan = BenchmarkPlan(
        family=family, batch_sizes=(4,), lengths=((16, 6),), loop=LoopPlan(warm_up=1, num_runs=5, duration_s=0)
    )
    latencies = run_benchmark(plan, runtime=runtime, say=lambda line: None).cases[0]["latencies"]
    assert latencies["setup"]["min"] >= 40e6
    assert latencies["setup"]["median"] < 60e6
    assert latencies["latency"]["median"] < 30e6
    runtime.close()


def test_beams_are_set_up_and_sampled_alike(install_trtllm: InstallTrtllm, tmp_path: Path) -> None:
    install_trtllm("0.19.0")
    folder = str(write_engine(tmp_path / "llama"))
    for options in (STREAMED, WHOLE):
        runtime = trtllm_engine.load(folder, "dec", options, OneProcess())
        runtime.prepare(case(num_beams=3), seed=1)
        getattr(runtime, "before_iteration", lambda: None)()
        assert runtime.run(None).osl.tolist() == [6] * 4
        runtime.close()


@pytest.mark.parametrize("release", ENGINE_RELEASES)
def test_a_decoder_in_the_executor(install_trtllm: InstallTrtllm, tmp_path: Path, release: str) -> None:
    install_trtllm(release)
    runtime = trtllm_engine.load(str(write_engine(tmp_path / "llama")), "dec", WHOLE, OneProcess())
    assert isinstance(runtime, Runtime)
    assert runtime.model.details["through"] == "ModelRunnerCpp"
    assert (runtime.streams, runtime.cuda_stream) == (False, None)
    runtime.prepare(case(), seed=1)
    outcome = runtime.run(None)
    assert outcome.osl.tolist() == [6] * 4
    assert outcome.setup_ns is None
    runtime.release()
    runtime.close()


def test_an_engine_that_the_executor_does_not_take_runs_in_a_session(
    install_trtllm: InstallTrtllm, tmp_path: Path
) -> None:
    install_trtllm("1.2.1")
    for name, options in (("padded", {"packed": False}), ("continuous", {"paged": False})):
        runtime = trtllm_engine.load(str(write_engine(tmp_path / name, **options)), "dec", WHOLE, OneProcess())
        assert runtime.model.details["through"] == "GenerationSession"


@pytest.mark.parametrize("release", ENGINE_RELEASES)
@pytest.mark.parametrize("packed", [True, False])
def test_an_encoder(install_trtllm: InstallTrtllm, tmp_path: Path, release: str, packed: bool) -> None:
    install_trtllm(release)
    folder = str(write_engine(tmp_path / "bert", "enc", packed=packed))
    runtime = trtllm_engine.load(folder, "enc", STREAMED, OneProcess())
    assert isinstance(runtime, Runtime)
    assert (runtime.ranks, runtime.streams) == ("spmd", False)
    assert runtime.model.execution_context_bytes == 2 << 20
    runtime.prepare(case("enc"), seed=1)
    outputs = runtime._outputs
    assert tuple(outputs["hidden_states"].shape) == ((64, 8) if packed else (4, 16, 8))
    assert str(outputs["hidden_states"].dtype) == "torch.float16"
    outcome = runtime.run(None)
    assert outcome.osl is None
    runtime.prepare(case("enc", input_len=8), seed=1)  # another shape infers its outputs anew
    assert runtime.run(None).osl is None
    runtime.release()
    runtime.close()


@pytest.mark.parametrize("release", ENGINE_RELEASES)
@pytest.mark.parametrize("packed", [True, False])
def test_an_encoder_decoder_step_by_step(
    install_trtllm: InstallTrtllm, tmp_path: Path, release: str, packed: bool
) -> None:
    install_trtllm(release)
    folder = str(write_enc_dec_engine(tmp_path / "t5", packed=packed))
    runtime = trtllm_engine.load(folder, "enc-dec", STREAMED, OneProcess())
    assert runtime.model.details["through"] == "EncDecModelRunner"
    runtime.prepare(case("enc-dec"), seed=1)
    outcome, n_steps = steps_of(runtime)
    assert (outcome.osl.tolist(), n_steps) == ([6] * 4, 6)
    assert outcome.phases_ns["encoder"] >= 500_000
    assert outcome.setup_ns is None  # the loop times before_iteration
    runtime.before_iteration()
    profiled = runtime.run(None)
    assert profiled.phases_ns.keys() == {"encoder", "decode"}
    # every input token counts: none of them is the padding token, which would be taken out
    assert int(runtime._part._source_lengths.min()) == 16
    runtime.release()
    runtime.close()


@pytest.mark.parametrize("release", ENGINE_RELEASES)
def test_an_encoder_decoder_in_the_executor(install_trtllm: InstallTrtllm, tmp_path: Path, release: str) -> None:
    install_trtllm(release)
    folder = str(write_enc_dec_engine(tmp_path / "t5"))
    runtime = trtllm_engine.load(folder, "enc-dec", WHOLE, OneProcess())
    assert runtime.model.details["through"] == "ModelRunnerCpp"
    runtime.prepare(case("enc-dec", input_len=200), seed=1)
    assert runtime.run(None).osl.tolist() == [6] * 4
    runtime.close()


def test_weights_are_streamed_as_each_case_asks(install_trtllm: InstallTrtllm, tmp_path: Path) -> None:
    install_trtllm("1.0.0")
    shares = {"gpu_weights_percents": (0.5, 1.0)}
    folder = str(write_engine(tmp_path / "llama", weight_streaming=True))
    runtime: Any = trtllm_engine.load(folder, "dec", dataclasses.replace(STREAMED, **shares), OneProcess())
    assert runtime._part.session.runtime.weights_percent == 0.5  # the least, so that nothing is too large at first
    runtime.prepare(case(gpu_weights_percent=1.0), seed=1)
    assert runtime._part.session.runtime.weights_percent == 1.0
    runtime = trtllm_engine.load(folder, "dec", dataclasses.replace(WHOLE, **shares), OneProcess())
    first = runtime._runner
    runtime.prepare(case(gpu_weights_percent=0.5), seed=1)
    assert runtime._runner is first
    runtime.prepare(case(gpu_weights_percent=1.0), seed=1)
    assert runtime._runner is not first
    assert runtime._runner._named["gpu_weights_percent"] == 1.0
    bert = str(write_engine(tmp_path / "bert", "enc", weight_streaming=True))
    runtime = trtllm_engine.load(bert, "enc", dataclasses.replace(STREAMED, **shares), OneProcess())
    runtime.prepare(case("enc", gpu_weights_percent=0.25), seed=1)
    assert runtime._session.runtime.weights_percent == 0.25
    t5 = str(write_enc_dec_engine(tmp_path / "t5", weight_streaming=True))
    with pytest.raises(UsageError, match="--no-streaming"):
        trtllm_engine.load(t5, "enc-dec", dataclasses.replace(STREAMED, **shares), OneProcess())


def test_cuda_graphs_reach_the_session_and_the_executor(install_trtllm: InstallTrtllm, tmp_path: Path) -> None:
    install_trtllm("1.2.1")
    folder = str(write_engine(tmp_path / "llama"))
    session: Any = trtllm_engine.load(folder, "dec", dataclasses.replace(STREAMED, cuda_graph=True), OneProcess())
    assert session._part.session.cuda_graph_mode is True
    executor: Any = trtllm_engine.load(folder, "dec", dataclasses.replace(WHOLE, cuda_graph=True), OneProcess())
    assert executor._runner._named["cuda_graph_mode"] is True
    bert = str(write_engine(tmp_path / "bert", "enc"))
    with pytest.raises(UsageError, match="leave it out for an encoder"):
        trtllm_engine.load(bert, "enc", dataclasses.replace(STREAMED, cuda_graph=True), OneProcess())


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"dtype": "bfloat16", "dtype_named": True}, "--dtype must be what the engine was built for, float16"),
        ({"tp": 2}, "--tp must be what the engine was built for, 1"),
        ({"pp": 2}, "--pp must be"),
        ({"device": "cpu"}, "GPUs alone"),
        ({"gpu_weights_percents": (0.5,)}, "0.5 needs an engine built with --weight_streaming"),
    ],
)
def test_what_the_engine_was_not_built_for_is_refused(tmp_path: Path, change: dict[str, Any], expected: str) -> None:
    folder = str(write_engine(tmp_path / "llama"))
    with pytest.raises(UsageError, match=expected):
        trtllm_engine.load(folder, "dec", dataclasses.replace(STREAMED, **change), OneProcess())


def test_a_release_without_engines_says_what_to_do(install_trtllm: InstallTrtllm, tmp_path: Path) -> None:
    install_trtllm("1.3.0rc26")
    with pytest.raises(MeasurementError, match=r"1\.2 or earlier, found 1\.3\.0rc26.*--runtime trtllm-llm"):
        trtllm_engine.load(str(write_engine(tmp_path / "llama")), "dec", STREAMED, OneProcess())


def test_what_it_recognises(tmp_path: Path) -> None:
    assert trtllm_engine.recognises(str(write_engine(tmp_path / "dec")))
    assert trtllm_engine.recognises(str(write_enc_dec_engine(tmp_path / "t5")))
    assert not trtllm_engine.recognises(str(write_checkpoint(tmp_path / "hf")))


def test_two_ranks_each_load_their_part(
    install_trtllm: InstallTrtllm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rank 1 of two, in one process: it gets the session's steps, and nothing from the executor, which rank 0 feeds."""
    install_trtllm("1.2.1")
    from tensorrt_llm._played import play_common

    monkeypatch.setattr(play_common, "mpi_rank", lambda _=None: 1)
    monkeypatch.setenv("STANDIN_WORLD_SIZE", "2")
    folder = str(write_engine(tmp_path / "llama", tp=2))
    second = OneProcess(rank=1, size=2, local_rank=1)
    runtime = trtllm_engine.load(folder, "dec", STREAMED, second)
    runtime.prepare(case(), seed=1)
    outcome, n_steps = steps_of(runtime)
    assert (outcome.osl.tolist(), n_steps) == ([6] * 4, 6)
    executor = trtllm_engine.load(folder, "dec", WHOLE, second)
    assert not hasattr(executor, "before_iteration")
    executor.prepare(case(), seed=1)
    assert executor.run(None).osl is None
