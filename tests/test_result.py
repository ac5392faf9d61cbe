from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tokenclock.errors import UsageError
from tokenclock.metrics.definitions import DEFINITIONS
from tokenclock.metrics.facts import RunFacts
from tokenclock.result import SCHEMA_VERSION, Result

GOLDEN = Path(__file__).parent / "golden"
SCHEMA = json.loads((GOLDEN / "result_schema_1.json").read_text())
MS = 1_000_000

RUNS: dict[str, tuple[list[dict[str, Any]], RunFacts]] = {
    "closed loop with every kind of answer": (
        [
            {"sent": 0, "tokens": [10 * MS, 30 * MS], "isl_requested": 5, "isl_server": 6, "tokens_per_iteration": 1.5},
            {"sent": 5, "tokens": [20 * MS, 40 * MS], "n_tokens": [1, 3], "t_connect_ns": 1, "cached_tokens": 0},
            {"sent": 30 * MS, "tokens": [40 * MS]},
            {"sent": 41 * MS, "tokens": []},
            {"sent": 42 * MS, "status": "http_error", "error": "404"},
        ],
        RunFacts(max_concurrency=2, slos_ms={"ttft": 15, "tpot": 30}, metric_percentiles=(50.0, 99.9)),
    ),
    "open loop": (
        [{"t_scheduled_ns": k * MS, "sent": k * MS + 9, "tokens": [k * MS + 20, k * MS + 30]} for k in range(3)],
        RunFacts(request_rate=1000.0, percentile_metrics=("ttft", "e2el")),
    ),
    "goodput of one limit that cannot be judged": (
        [{"sent": 0, "last": 9 * MS, "osl": 4}],
        RunFacts(streaming=False, slos_ms={"ttft": 1, "e2el": 10}),
    ),
    "no streaming": ([{"sent": 0, "last": 9 * MS, "osl": 4}], RunFacts(streaming=False, slos_ms={"ttft": 1})),
    "all failed": ([{"status": "connect_error", "error": "refused"}], RunFacts(slos_ms={"e2el": 1})),
    "nothing scheduled": ([], RunFacts()),
}


@pytest.fixture(params=list(RUNS))
def result(request: pytest.FixtureRequest, make_result: Any) -> Result:
    requests, facts = RUNS[request.param]
    made: Result = make_result(requests, facts, client={"n_clock_steps": 0, "stamp_source": "kernel"})
    return made


def test_every_result_fits_the_schema(result: Result) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(result.to_dict(), SCHEMA)


def test_a_result_survives_json(result: Result) -> None:
    text = json.dumps(result.to_dict(), allow_nan=False)
    assert Result.from_dict(json.loads(text)).to_dict() == result.to_dict()


def test_a_result_cannot_be_changed(result: Result) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.kind = "other"  # type: ignore[misc]
    with pytest.raises(TypeError):
        result.latencies["ttft"]["mean"] = 0  # type: ignore[index]


def test_every_latency_carries_its_definition(result: Result) -> None:
    for tag, entry in result.latencies.items():
        assert entry["formula"] == DEFINITIONS[tag].formula


def test_both_durations_and_both_rules_are_inside(make_result: Any) -> None:
    requests = [{"sent": 10 * MS, "tokens": [20 * MS, 60 * MS]}, {"sent": 20 * MS, "tokens": [50 * MS]}]
    result = make_result(requests, RunFacts(), client={"wall_ns": 100 * MS})
    assert result.durations == {"first_sent_to_last_token_ns": 50 * MS, "wall_ns": 100 * MS}
    assert result.throughput["request_throughput"] == pytest.approx(2 / 0.05)
    assert result.throughput["wall"]["request_throughput"] == pytest.approx(2 / 0.1)
    assert result.latencies["ttft"]["percentiles"]["rank"]["50"] == 10 * MS
    assert result.latencies["ttft"]["percentiles"]["linear"]["50"] == 20 * MS


def test_a_result_saved_by_schema_1_0_still_loads() -> None:
    path = GOLDEN / "serving_result_1_0.json"
    result = Result.load(path)
    saved = json.loads(path.read_text())["tokenclock"]
    later = dict.fromkeys(("server", "probes", "model", "ranks", "loop", "gpu", "confidence", "steady")) | {"cases": []}
    assert result.to_dict() == {**saved, **later}  # keys that 1.1 and 1.2 added
    assert result.latencies["ttft"]["mean"] == 15 * MS
    assert result.quality.verdict == "INVALID"
    jsonschema.validate(result.to_dict(), SCHEMA)


def test_native_and_embedded_results_load(tmp_path: Path, result: Result) -> None:
    for name, content in (("native", result.to_dict()), ("face", {"duration": 1, "tokenclock": result.to_dict()})):
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(content))
        assert Result.load(path).to_dict() == result.to_dict()


def test_keys_of_a_later_minor_version_are_ignored(result: Result) -> None:
    later = {**result.to_dict(), "schema_version": "1.7", "of_tomorrow": 1}
    assert Result.from_dict(later).latencies == result.latencies


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "holds no tokenclock result"),
        ('{"duration": 1}', "holds no tokenclock result"),
        ('{"tokenclock": {"schema_version": "2.0"}}', f"expected a result of schema {SCHEMA_VERSION}, got 2.0"),
        ('{"schema_version": "1.0", "kind": "serving"}', "a key missing"),
    ],
)
def test_what_is_no_result_is_refused_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(UsageError, match=message) as caught:
        Result.load(path)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read"):
        Result.load(tmp_path / "none.json")
