"""Cases from end to end: a tiny model here, a stand-in `trtllm-bench`, a paced server, and what fails."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from pathlib import Path

import pytest
from tests.perftest.case_makers import NOON, make_case, make_label, make_settings, write_stand_in

from tokenclock.__main__ import main
from tokenclock.perftest.case import ServerCase
from tokenclock.perftest.gate_case import gate_case
from tokenclock.perftest.outcome import Outcome
from tokenclock.perftest.report_entry import Entry, Session
from tokenclock.perftest.report_text import render
from tokenclock.perftest.run_case import CaseRun, run_case
from tokenclock.perftest.session_files import SessionFiles
from tokenclock.result import Result


def states(outcome: Outcome) -> dict[str, str]:
    return {row.metric_type: row.state for row in outcome.rows}


def was_measured(outcome: Outcome) -> bool:
    """On a busy machine a measurement may be invalid, and says so; its values are there."""
    return outcome.state == "valid" or outcome.reason.startswith("measurement quality INVALID")


def quiet(_: str) -> None:
    pass


@pytest.fixture
def stand_in_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "bin"
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder


@pytest.fixture
def model(tmp_path: Path) -> str:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text(json.dumps({"vocab_size": 1000}))
    return str(tmp_path / "model")


class TestHere:
    """On the embedded runtime."""

    @pytest.fixture(autouse=True)
    def _needs(self) -> None:
        pytest.importorskip("ctranslate2", reason="CTranslate2 is not installed (pip install 'tokenclock[offline]')")

    def test_two_lengths_twice(self, tmp_path: Path) -> None:
        label = make_label(streaming=True, lengths=((32, 16), (20, 8)))
        said: list[str] = []
        outcome = run_case(make_case(label), make_settings(repeats=2), tmp_path / "case", say=said.append)
        assert was_measured(outcome), outcome.reason
        assert sum("prepare-dataset" in line for line in said) == 2
        assert sum(" throughput " in line for line in said) == 4
        assert len(outcome.results) == 4
        first, second = outcome.repeats
        assert first.keys() == second.keys() >= {"INFERENCE_TIME[32,16]", "FIRST_TOKEN_TIME[20,8]"}
        report = json.loads((tmp_path / "case" / "repeat-2" / "report_20_8.json").read_text())
        assert second["INFERENCE_TIME[20,8]"] == report["performance"]["total_latency_ms"]
        assert report["request_info"]["avg_output_length"] == 8.0
        rows = {(row.network, row.metric_type): row for row in outcome.rows}
        network = make_label(streaming=True, lengths=((20, 8),)).canonical()
        values = [repeat["INFERENCE_TIME[20,8]"] for repeat in outcome.repeats]
        assert rows[network, "INFERENCE_TIME"].value == pytest.approx(sum(values) / 2)
        assert rows[network, "TOKEN_THROUGHPUT"].unit == "tok/s"
        kv_cache = rows[network, "KV_CACHE_SIZE"]
        assert (kv_cache.value, kv_cache.state) == (None, "skipped")
        build = rows[label.canonical(), "BUILD_TIME"]
        assert (build.value, build.state, build.reason) == (
            None,
            "skipped",
            "BUILD_TIME: no engine is built for this case",
        )

    def test_its_page_is_linked_from_the_report(self, tmp_path: Path) -> None:
        session = SessionFiles(make_settings(output_dir=tmp_path))
        session.add(run_case(make_case(make_label(streaming=True)), make_settings(), tmp_path / "a b", say=quiet))
        session.finish()
        assert "(a%20b/run.html)" in (tmp_path / "report.md").read_text()
        page = (tmp_path / "a b" / "run.html").read_text()
        assert "synthetic_data.json" in page
        assert "llama_hf" in page

    def test_again_adds_a_repeat(self, tmp_path: Path) -> None:
        run = CaseRun(make_case(make_label()), make_settings(), tmp_path / "case", say=quiet)
        assert was_measured(run.run())
        values = run.again()
        assert run.outcome.repeats[1] == values
        assert values["INFERENCE_TIME"] > 0
        assert (tmp_path / "case" / "repeat-2" / "report.json").exists()

    def test_a_legacy_runtime(self, tmp_path: Path) -> None:
        label = make_label(runtime="python", backend="", batch_sizes=(1,), lengths=((16, 4),))
        outcome = run_case(make_case(label), make_settings(), tmp_path / "case", say=quiet)
        assert was_measured(outcome), outcome.reason
        result = Result.load(outcome.results[0])
        latency_ns = result.cases[0]["latencies"]["latency"]["mean"]
        assert outcome.repeats[0]["INFERENCE_TIME"] == pytest.approx(latency_ns / 1e6)
        assert states(outcome)["INFERENCE_PEAK_GPU_MEMORY"] in ("skipped", "valid")

    def test_an_untrustworthy_measurement_is_invalid_and_replayed_so(self, tmp_path: Path) -> None:
        output = tmp_path / "output"
        case = make_case(make_label())
        outcome = run_case(case, make_settings(output_dir=output), output / "case", say=quiet)
        path = outcome.results[0]
        content = json.loads(path.read_text())
        content["tokenclock"]["quality"]["verdict"] = "INVALID"
        content["tokenclock"]["quality"]["checks"][0] |= {"status": "invalid", "reason": "stamps stood still"}
        content["performance"]["total_latency_ms"] = 5.0
        path.write_text(json.dumps(content))
        moved = shutil.move(output, tmp_path / "moved")
        replayed = run_case(case, make_settings(replay_dir=Path(moved)), tmp_path / "new", say=quiet)
        assert replayed.state == "invalid"
        assert replayed.reason == "measurement quality INVALID: stamps stood still"
        assert states(replayed)["INFERENCE_TIME"] == "invalid"
        assert replayed.repeats[0]["INFERENCE_TIME"] == 5.0
        session = SessionFiles(make_settings(output_dir=tmp_path / "second", replay_dir=Path(moved)))
        session.add(replayed)
        session.finish()
        assert (tmp_path / "second" / "run-1.html").exists()
        assert not list(Path(moved).rglob("*.html"))  # stored runs stay as they are
        assert not (tmp_path / "new").exists()
        other = make_case(make_label(max_batch_size=16))
        missing = run_case(other, make_settings(replay_dir=Path(moved)), tmp_path / "new", say=quiet)
        assert missing.state == "skipped"
        assert "no stored run of this case" in missing.reason

    def test_past_its_time(self, tmp_path: Path) -> None:
        label = make_label(runtime="python", backend="", batch_sizes=(1,), lengths=((16, 4),))
        outcome = run_case(make_case(label, timeout_s=1.0), make_settings(), tmp_path / "case", say=quiet)
        assert outcome.state == "failed"
        assert outcome.reason == "it ran past the case's TIMEOUT"


def test_a_failed_data_set_ends_the_case(tmp_path: Path) -> None:
    settings = make_settings(models={"llama": str(tmp_path / "none")})
    outcome = run_case(make_case(make_label()), settings, tmp_path / "case", say=quiet)
    assert outcome.state == "failed"
    assert outcome.reason.startswith("dataset ended with exit code 2: tokenclock prepare-dataset: ")
    assert set(states(outcome).values()) == {"failed", "skipped"}  # BUILD_TIME is skipped
    assert all(row.reason.startswith("not run: dataset ended") for row in outcome.rows if row.state == "failed")
    assert not (tmp_path / "case" / "synthetic_data.json").exists()


def test_what_cannot_be_run_is_an_outcome(tmp_path: Path) -> None:
    outcome = run_case(make_case(make_label(runtime="disagg_server")), make_settings(), tmp_path / "a", say=quiet)
    assert outcome.state == "skipped"
    assert outcome.reason.startswith("disaggregated cases are not run")
    case = dataclasses.replace(make_case(ServerCase("x", None, ())), written="disagg_upload-e2e-x")
    assert run_case(case, make_settings(), tmp_path / "c", say=quiet).state == "skipped"
    outcome = run_case(make_case(make_label(loras=2)), make_settings(), tmp_path / "b", say=quiet)
    assert outcome.state == "failed"
    assert "asks for 2 LoRA adapters" in outcome.reason


def test_the_external_tool_with_a_build(tmp_path: Path, stand_in_path: Path, model: str) -> None:
    calls = write_stand_in(stand_in_path)
    label = make_label(backend="", streaming=True, loras=0)
    settings = make_settings(external=True, models={"llama": model}, repeats=2)
    outcome = run_case(make_case(label), settings, tmp_path / "case", say=quiet)
    assert outcome.state == "valid"
    words = [json.loads(line) for line in calls.read_text().splitlines()]
    assert [line[4] if "build" in line else line[2] for line in words] == ["build", "throughput", "throughput"]
    values = {row.metric_type: row.value for row in outcome.rows}
    assert values["BUILD_TIME"] == 12.5
    assert values["INFERENCE_TIME"] == 22560.25
    assert values["FIRST_TOKEN_TIME"] == 1044.5
    assert values["KV_CACHE_SIZE"] == 12.5
    assert Result.load(tmp_path / "case" / "report.tokenclock.json").tool["name"] == "trtllm-bench"


def test_a_line_that_the_log_lacks_fails_its_row_by_name(tmp_path: Path, stand_in_path: Path, model: str) -> None:
    write_stand_in(stand_in_path, without="Request Throughput")
    settings = make_settings(external=True, models={"llama": model})
    outcome = run_case(make_case(make_label()), settings, tmp_path / "case", say=quiet)
    assert outcome.state == "failed"
    assert outcome.reason == "SEQ_THROUGHPUT: the log lacks the line 'Request Throughput (req/sec):'"
    assert states(outcome)["INFERENCE_TIME"] == "valid"
    assert states(outcome)["SEQ_THROUGHPUT"] == "failed"
    assert (tmp_path / "case" / "extra-llm-api-config.yml").exists()


def test_a_failed_build_ends_the_case(tmp_path: Path, stand_in_path: Path, model: str) -> None:
    calls = write_stand_in(stand_in_path, fail_at=1)
    settings = make_settings(external=True, models={"llama": model}, repeats=3)
    outcome = run_case(make_case(make_label(backend="")), settings, tmp_path / "case", say=quiet)
    assert outcome.reason == "build ended with exit code 9: ValueError: no room for the engine"
    assert set(states(outcome).values()) == {"failed"}
    assert len(calls.read_text().splitlines()) == 1


def test_adapters_are_linked(tmp_path: Path, stand_in_path: Path, model: str) -> None:
    write_stand_in(stand_in_path)
    adapters = tmp_path / "adapters"
    for name in ("b", "10", "9"):
        (adapters / name).mkdir(parents=True)
    settings = make_settings(external=True, models={"llama": model}, lora_dir=adapters)
    outcome = run_case(make_case(make_label(loras=3)), settings, tmp_path / "case", say=quiet)
    assert outcome.state == "valid", outcome.reason
    links = tmp_path / "case" / "loras"
    assert [os.readlink(links / str(i)).rpartition("/")[2] for i in range(3)] == ["9", "10", "b"]
    rows = [json.loads(line) for line in (tmp_path / "case" / "synthetic_data.json").read_text().splitlines()]
    assert {row["lora_request"]["lora_path"] for row in rows} == {str(links / str(i)) for i in range(3)}
    wrong = run_case(make_case(make_label(loras=2)), settings, tmp_path / "other", say=quiet)
    assert "holds 3 directories" in wrong.reason


PACED = """\
server_configs:
- name: paced
  model_name: paced
  command: "{python} -m tokenclock paced-server --port {port} --ttft-ms 10 --itl-ms 2 --mode independent"
  client_configs:
  - {name: con4, concurrency: 4, iterations: 10, isl: 32, osl: 11}
  - {name: con8, concurrency: 8, isl: 32, osl: 11}
"""


def test_a_paced_server(tmp_path: Path) -> None:
    (tmp_path / "paced.yaml").write_text(PACED)
    settings = make_settings(config_folder=tmp_path)
    case = make_case(ServerCase("paced", "paced", ("con4",)))
    outcome = run_case(case, settings, tmp_path / "case", say=quiet)
    assert was_measured(outcome), outcome.reason
    (values,) = outcome.repeats
    content = json.loads(outcome.results[0].read_text())
    assert content["completed"] == 40
    assert values["MEDIAN_INTER_TOKEN_TIME"] == content["median_itl_ms"]
    assert values["P99_INFERENCE_TIME"] == content["p99_e2el_ms"] >= 29.0  # 10 ms and ten steps of 2 ms
    assert values["SEQ_THROUGHPUT"] == content["request_throughput"]
    assert len(outcome.rows) == 16
    few = {"P99_FIRST_TOKEN_TIME", "P99_OUTPUT_TOKEN_TIME", "P99_INFERENCE_TIME"}  # 40 requests; gaps there are 400
    assert dict(outcome.ungated) == dict.fromkeys(few, "40 samples, P99 needs 100")
    assert {row.metric_type: row.ungated for row in outcome.rows if row.ungated} == dict(outcome.ungated)
    assert all(row.value is not None and row.value > 0 for row in outcome.rows if row.ungated)
    session = Session([Entry(outcome)], NOON, NOON, "host")
    assert ", not gated: 40 samples, P99 needs 100" in render(session)


def test_a_server_that_dies_is_told_with_its_last_line(tmp_path: Path) -> None:
    text = PACED.replace("--mode independent", "--mode nonsense")
    (tmp_path / "paced.yaml").write_text(text)
    case = make_case(ServerCase("paced", None, ()))
    outcome = run_case(case, make_settings(config_folder=tmp_path), tmp_path / "case", say=quiet)
    assert outcome.state == "failed"
    assert "died before it was ready" in outcome.reason
    assert "--mode" in outcome.reason
    assert len(outcome.rows) == 32
    assert set(states(outcome).values()) == {"failed"}


def test_a_server_that_never_answers_ends_with_the_case_s_time(tmp_path: Path) -> None:
    text = PACED.replace("-m tokenclock paced-server", "-c 'import time; time.sleep(60)'")
    (tmp_path / "paced.yaml").write_text(text)
    case = make_case(ServerCase("paced", "paced", ("con4",)), timeout_s=0.5)
    outcome = run_case(case, make_settings(config_folder=tmp_path), tmp_path / "case", say=quiet)
    assert outcome.state == "failed"
    assert "server paced was not ready within the case's TIMEOUT" in outcome.reason


@pytest.mark.parametrize("is_counted", [True, False])
def test_what_an_external_log_says_is_shown_and_gated(
    tmp_path: Path, stand_in_path: Path, model: str, capsys: pytest.CaptureFixture[str], is_counted: bool
) -> None:
    """Its percentiles follow the tool's own rule, and its number of requests may be missing."""
    pytest.importorskip("plotly", reason="pages need plotly (pip install 'tokenclock[report]')")
    pytest.importorskip("sqlalchemy", reason="the history needs SQLAlchemy")
    write_stand_in(stand_in_path, without="" if is_counted else "Number of requests:")
    settings = make_settings(
        external=True, models={"llama": model}, output_dir=tmp_path / "out", history=str(tmp_path / "history.db")
    )
    outcome = run_case(make_case(make_label(streaming=True)), settings, tmp_path / "out" / "case", say=quiet)
    assert outcome.state == "valid", outcome.reason
    assert {one.verdict for one in gate_case(outcome, settings, None).decisions} == {"no baseline"}
    session = SessionFiles(settings)
    session.add(outcome)
    session.finish()
    page = (tmp_path / "out" / "case" / "run.html").read_text()
    assert capsys.readouterr().err == ""
    markdown = tmp_path / "run.md"
    assert main(["report", str(outcome.results[0]), "--markdown", str(markdown)]) == 0
    for text in (page, markdown.read_text()):
        assert "1044.50" in text  # the mean TTFT in ms
        assert "1000.38" in text  # its P99
        assert ("3,000 of 3,000" in text) is is_counted
    assert main(["report", str(outcome.results[0])]) == 0
