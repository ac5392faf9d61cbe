"""The Python face of a run, as a notebook uses it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import tokenclock
from tokenclock import PacedServer, Result, run_serving
from tokenclock.errors import MeasurementError, UsageError
from tokenclock.plan import EndpointPlan, GenerationPlan, LoadPlan, OutputPlan, RandomDataset, ServingPlan


def make_plan(url: str, *, load: dict[str, object] | None = None, **output: object) -> ServingPlan:
    return ServingPlan(
        EndpointPlan(model="paced", base_url=url),
        LoadPlan(**({"num_prompts": 12, "max_concurrency": 4} | (load or {}))),  # type: ignore[arg-type]
        GenerationPlan(ignore_eos=True),
        RandomDataset(input_len=8, output_len=5),
        OutputPlan(**output),  # type: ignore[arg-type]
    )


def test_a_run_gives_a_result_and_tells_how_it_goes() -> None:
    said: list[str] = []
    counters: list[dict[str, int]] = []
    with PacedServer(ttft_ms=20, itl_ms=4) as server:
        result = run_serving(make_plan(server.url), on_progress=lambda c: counters.append(dict(c)), say=said.append)
        truth = server.stop()
    assert isinstance(result, Result)
    assert result.requests["ok"] == 12
    assert result.tokens["osl"] == 60
    assert counters[-1]["n_done"] == counters[-1]["n_requests"] == 12
    assert counters[-1]["n_events"] == 60
    assert any("token ids" in line for line in said)
    # 12 measured requests and the test request, which the result does not hold
    assert truth.n_requests == 13
    assert result.latencies["ttft"]["mean"] == pytest.approx(truth.ttft_ns[1:].mean(), abs=2e6)


def test_the_test_request_and_warm_ups_never_send_a_measured_prompt() -> None:
    with PacedServer(ttft_ms=1, itl_ms=1) as server:
        run_serving(make_plan(server.url, load={"num_warmups": 3}), say=lambda line: None)
        truth = server.stop()
    assert truth.n_requests == 12 + 1 + 3


def test_saved_files_load_again(tmp_path: Path) -> None:
    with PacedServer(ttft_ms=1, itl_ms=1) as server:
        plan = make_plan(server.url, save_result=True, result_dir=str(tmp_path / "new"), result_filename="r.json")
        result = run_serving(plan, say=lambda line: None)
    again = Result.load(tmp_path / "new/r.json")
    assert again.to_dict() == result.to_dict()
    assert ServingPlan.from_dict(dict(again.to_dict()["plan"])) == plan
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["r.columns.npz", "r.json"]


def test_the_same_plan_sends_the_same_requests() -> None:
    with PacedServer(ttft_ms=1, itl_ms=1) as server:
        first, second, other = (
            run_serving(make_plan(server.url, load={"seed": seed}), say=lambda line: None).workload["sha256"]
            for seed in (1, 1, 2)
        )
    assert first == second
    assert first != other


def test_bad_output_is_refused_before_any_request(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with PacedServer() as server:
        plan = make_plan(server.url, save_result=True, result_dir=str(tmp_path / "file/dir"))
        with pytest.raises(UsageError, match="--result-dir"):
            run_serving(plan, say=lambda line: None)
        assert server.stop().n_requests == 0


def test_an_unreachable_server_is_a_measurement_error() -> None:
    with pytest.raises(MeasurementError, match="no server at"):
        run_serving(make_plan("http://127.0.0.1:9"), say=lambda line: None)


def test_public_names_are_documented_and_lazy() -> None:
    for name in tokenclock.__all__:
        assert getattr(tokenclock, name).__doc__, name
    assert {"HdrHistogram", "PacedServer", "Result", "TokenRecorder", "now_ns", "run_serving"} <= set(
        tokenclock.__all__
    )
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = tokenclock.nothing
    assert np.diff([tokenclock.now_ns(), tokenclock.now_ns()])[0] >= 0
