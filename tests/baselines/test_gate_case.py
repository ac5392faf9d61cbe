"""A case gated on its history: pins, repeats, states; and `baseline show` and `accept` on what it left."""

from __future__ import annotations

import json
import math
import platform
import shlex
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("sqlalchemy", reason="the history needs SQLAlchemy")

from tokenclock.__main__ import main
from tokenclock.baselines.decide import Decision
from tokenclock.perftest.gate_case import accept_command, gate_case
from tokenclock.store.database import open_database
from tokenclock.store.filter import Filter

START = datetime(2026, 11, 1, tzinfo=timezone.utc)
LABEL = "tiny-bench-float16-maxbs:512-maxnt:2048-input_output_len:8,8"
QUIET = [10.0, 10.05, 9.95, 10.02, 9.98, 10.01]


class Bench:
    """Runs of one case, an hour apart, into one history."""

    def __init__(self, folder: Path) -> None:
        self.place, self.folder, self.n = str(folder / "history.db"), folder, 0
        self.replay_dir: Path | None = None
        self.ungated: dict[str, str] = {}
        self.accept = ""

    def run(
        self,
        *tpots_ms: float,
        again: Callable[[], Mapping[str, float]] | None = None,
        max_repeats: int = 1,
        state: str = "valid",
        at: int | None = None,
    ) -> list[tuple[str, str]]:
        """Verdict of each metric."""
        repeats = tuple({"OUTPUT_TOKEN_TIME": tpot, "TOKEN_THROUGHPUT": 8000 / tpot} for tpot in tpots_ms)
        found = self.judge(*repeats, again=again, max_repeats=max_repeats, state=state, at=at)
        return [(one.metric, one.verdict) for one in found]

    def judge(
        self,
        *repeats: Mapping[str, float],
        again: Callable[[], Mapping[str, float]] | None = None,
        max_repeats: int = 1,
        state: str = "valid",
        at: int | None = None,
    ) -> list[Decision]:
        """The gate's decisions on one session."""
        self.n += 1
        started = START + timedelta(hours=self.n if at is None else at)
        case = SimpleNamespace(canonical=LABEL, name=f"perf/test_perf.py::test_perf[{LABEL}]")
        outcome = SimpleNamespace(
            case=case, state=state, reason="" if state == "valid" else "it broke", repeats=repeats, results=(),
            rows=(SimpleNamespace(started=started),), folder=self.folder, ungated=self.ungated,
        )  # fmt: skip
        settings = SimpleNamespace(history=self.place, max_repeats=max_repeats, replay_dir=self.replay_dir)
        found = gate_case(outcome, settings, again)  # type: ignore[arg-type]
        self.accept, self.decisions = found.accept, found.decisions
        return found.decisions

    def pins(self):
        with open_database(self.place) as database:
            return {pin.metric: pin for pin in database.pins()}

    def count(self, *states: str) -> int:
        with open_database(self.place) as database:
            return database.count(Filter(states=states))


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def verdicts(found: list[tuple[str, str]]) -> set[str]:
    return {verdict for _, verdict in found}


def test_each_metric_comes_with_its_last_sessions(bench) -> None:
    for tpot in QUIET:
        bench.run(tpot)
    bench.run(11.0)
    trends = {one.metric: one.trend for one in bench.decisions}
    assert trends["OUTPUT_TOKEN_TIME"] == (*QUIET, 11.0)
    assert trends["TOKEN_THROUGHPUT"][-1] == pytest.approx(8000 / 11)


def test_the_first_runs_have_no_baseline(bench) -> None:
    assert [verdicts(bench.run(value)) for value in QUIET[:3]] == [{"no baseline"}] * 3
    assert bench.run(QUIET[3]) == [
        ("OUTPUT_TOKEN_TIME", "no difference shown"),
        ("TOKEN_THROUGHPUT", "no difference shown"),
    ]


def test_a_regression_is_pinned_and_stays_one(bench) -> None:
    for value in QUIET:
        bench.run(value)
    assert bench.pins() == {}
    for _ in range(12):  # more than a baseline of the last ten has
        assert verdicts(bench.run(12.0)) == {"regression"}
    pin = bench.pins()["OUTPUT_TOKEN_TIME"]
    assert pin.values == tuple(QUIET)
    assert len(pin.run_ids) == 6
    assert "regression of 19.9% seen" in pin.reason
    assert verdicts(bench.run(10.0)) == {"no difference shown"}
    assert verdicts(bench.run(8.0)) == {"improvement"}


def test_accept_makes_the_last_runs_the_baseline(bench, capsys) -> None:
    for value in [*QUIET, 12.0, 12.05, 11.95, 12.02, 11.98]:
        bench.run(value)
    line = ["baseline", "accept", "--history", bench.place, "--label", LABEL]
    assert main([*line, "--reason", "larger batches", "--accepted-by", "eve"]) == 0
    capsys.readouterr()
    pin = bench.pins()["OUTPUT_TOKEN_TIME"]
    assert (pin.values, pin.reason, pin.by) == ((12.0, 12.05, 11.95, 12.02, 11.98), "larger batches", "eve")
    assert verdicts(bench.run(12.0)) == {"no difference shown"}
    assert main(["baseline", "show", "--history", bench.place, "--json", str(bench.folder / "shown.json")]) == 0
    printed = capsys.readouterr().out
    assert f"label {LABEL}" in printed
    assert "eve: larger batches" in printed
    shown = json.loads((bench.folder / "shown.json").read_text())["baselines"]
    assert [one["metric"] for one in shown] == ["OUTPUT_TOKEN_TIME", "TOKEN_THROUGHPUT"]
    assert shown[0]["pin"]["values"] == list(pin.values)
    assert shown[0]["latest"]["verdict"] == "no difference shown"


def decided(bench, capsys) -> dict[str, dict[str, object]]:
    """What `baseline show` says of the last session: metric -> decision."""
    path = bench.folder / "shown.json"
    assert main(["baseline", "show", "--history", bench.place, "--json", str(path)]) == 0
    capsys.readouterr()
    return {one["metric"]: one["latest"] for one in json.loads(path.read_text())["baselines"]}


LIKE = ("verdict", "value", "baseline", "low", "high", "smallest_seen", "n_history")


@pytest.mark.parametrize("repeats", [1, 3])
def test_show_judges_as_the_gate_did(bench, capsys, repeats) -> None:
    """Eight metrics: alone each would be judged at 5 %, in the case they share it."""
    names = [f"{prefix}{name}" for prefix in ("", "MEDIAN_") for name in (
        "FIRST_TOKEN_TIME", "OUTPUT_TOKEN_TIME", "INTER_TOKEN_TIME", "INFERENCE_TIME")]  # fmt: skip
    random = np.random.default_rng(1)
    differ = 0
    for n in range(24):
        level = [1.0, 1.12, 1.0][n // 8]
        values = [
            {name: float(100 * level * math.exp(random.normal(0, 0.03))) for name in names} for _ in range(repeats)
        ]
        gate = {one.metric: one for one in bench.judge(*values)}
        shown = decided(bench, capsys)
        assert shown.keys() == gate.keys() == set(names)
        for name, one in gate.items():
            assert {key: shown[name][key] for key in LIKE} == {key: getattr(one, key) for key in LIKE}, (n, name)
        if n == 8:
            called = {one["verdict"] for one in shown.values()}
        differ += len({one["verdict"] for one in shown.values()} - {"no baseline", "too noisy"})
    assert differ > 10  # there was something to agree on
    assert "regression" in called


def test_show_of_one_metric_shares_the_level_with_those_that_are_not_shown(bench, capsys) -> None:
    for value in [*QUIET, 12.0]:
        bench.run(value)
    whole = decided(bench, capsys)["OUTPUT_TOKEN_TIME"]
    path = bench.folder / "one.json"
    words = ["--metrics", "OUTPUT_TOKEN_TIME", "--json", str(path)]
    assert main(["baseline", "show", "--history", bench.place, *words]) == 0
    (one,) = json.loads(path.read_text())["baselines"]
    assert one["latest"] == whole


def test_the_command_that_is_named_accepts_and_nothing_else_is_touched(bench, capsys) -> None:
    for value in QUIET:
        bench.run(value)
        assert bench.accept == ""
    for value in (12.0, 12.02, 11.98, 12.01):
        assert verdicts(bench.run(value)) == {"regression"}
    words = shlex.split(bench.accept)
    assert words == [
        "tokenclock", "baseline", "accept", "--history", bench.place, "--label", LABEL,
        "--host", platform.node(), "--last", "3", "--reason", "WHY",
    ]  # fmt: skip
    assert main(words[1:]) == 0
    capsys.readouterr()
    pins = bench.pins()
    assert {(pin.reason, len(pin.values)) for pin in pins.values()} == {("WHY", 3)}
    assert verdicts(bench.run(12.0)) == {"no difference shown"}
    assert bench.accept == ""
    assert "--gpu 'NVIDIA H100'" in accept_command("a.db", {"label": "x", "gpu": "NVIDIA H100"})


def test_after_a_false_alarm_the_pin_holds_good_runs_and_can_be_replaced(bench, capsys) -> None:
    for value in QUIET:
        bench.run(value)
    assert verdicts(bench.run(11.5)) == {"regression"}
    words = shlex.split(bench.accept)[1:]
    for value in (10.02, 9.99, 10.0):
        assert verdicts(bench.run(value)) == {"no difference shown"}
    assert main(words) == 0
    capsys.readouterr()
    assert bench.pins()["OUTPUT_TOKEN_TIME"].values == (10.02, 9.99, 10.0)  # the mishap is none of them
    assert verdicts(bench.run(10.01)) == {"no difference shown"}


def test_a_mishap_is_measured_again(bench) -> None:
    for value in QUIET:
        bench.run(value)
    more = iter([10.0, 10.03])
    again = lambda: {"OUTPUT_TOKEN_TIME": (tpot := next(more)), "TOKEN_THROUGHPUT": 8000 / tpot}  # noqa: E731
    assert verdicts(bench.run(13.0, again=again, max_repeats=5)) == {"no difference shown"}
    assert next(more, None) is None
    assert bench.count() == 9
    assert bench.pins() == {}


def test_a_repeat_that_fails_ends_them(bench) -> None:
    for value in QUIET:
        bench.run(value)
    calls = []
    assert verdicts(bench.run(13.0, again=lambda: calls.append(1) or {}, max_repeats=5)) == {"regression"}
    assert len(calls) == 2
    assert bench.count() == 7


def test_repeats_of_a_session_are_one_value(bench) -> None:
    for value in QUIET[:2]:
        bench.run(value, value + 0.1, value + 0.2)
    assert verdicts(bench.run(10.0)) == {"no baseline"}


@pytest.mark.parametrize("state", ["failed", "invalid", "skipped"])
def test_what_is_not_valid_is_kept_and_not_judged(bench, state) -> None:
    for value in QUIET:
        bench.run(value)
    values = (50.0,) if state == "invalid" else ()
    assert bench.run(*values, state=state) == []
    assert bench.count(state) == 1
    assert verdicts(bench.run(10.0)) == {"no difference shown"}


def test_the_same_run_again_is_judged_alike_and_added_once(bench) -> None:
    for value in QUIET:
        bench.run(value)
    assert verdicts(bench.run(12.0, at=20)) == {"regression"}
    for value in (12.1, 12.2):
        bench.run(value, at=30)
    n = bench.count()
    assert verdicts(bench.run(12.0, at=20)) == {"regression"}
    assert bench.count() == n


def test_without_a_history_nothing_is_judged(bench) -> None:
    bench.place = None
    assert bench.run(10.0) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "an action must follow"),
        (["acept"], "did you mean accept?"),
        (["accept", "--reason", "x"], "say which runs by --label"),
        (["accept", "--all", "--reason", " "], "--reason must say why"),
        (["accept", "--all", "--reason", "x", "--last", "2"], "--last must be from 3 to 20, got 2"),
        (["accept", "--all", "--reason", "x", "--last", "many"], "must be a whole number, got many"),
        (["accept", "--all", "--reason", "x", "--metrics", "colour"], "colour must be a metric"),
        (["accept", "--all", "--reason", "x", "--by", "colour"], "runs cannot be told apart by colour"),
        (["show", "--json", "/none/x.json"], "there is no directory /none"),
    ],
)
def test_wrong_words_change_nothing(bench, capsys, words, said) -> None:
    for value in QUIET:
        bench.run(value)
    history = ["--history", bench.place] if words and words[0] in ("accept", "show") else []
    assert main(["baseline", *words, *history]) == 2
    assert said in capsys.readouterr().err
    assert bench.pins() == {}


def test_two_runs_make_no_baseline(bench, capsys) -> None:
    for value in QUIET[:2]:
        bench.run(value)
    assert main(["baseline", "accept", "--all", "--reason", "x", "--history", bench.place]) == 2
    assert "a baseline needs 3 valid runs, got 2 of OUTPUT_TOKEN_TIME of label" in capsys.readouterr().err
    assert bench.pins() == {}


def test_a_reason_is_asked_for_at_a_terminal(bench, capsys, monkeypatch) -> None:
    for value in QUIET:
        bench.run(value)
    answer = SimpleNamespace(isatty=lambda: True, readline=lambda: "  faster   kernels\n")
    monkeypatch.setattr("sys.stdin", answer)
    assert main(["baseline", "accept", "--all", "--history", bench.place]) == 0
    assert "Why is this the baseline now?" in capsys.readouterr().err
    assert {pin.reason for pin in bench.pins().values()} == {"faster kernels"}


def test_no_run_is_meant(bench, capsys) -> None:
    bench.run(10.0)
    for words in (["show"], ["accept", "--reason", "x"]):
        assert main(["baseline", *words, "--label", "other", "--history", bench.place]) == 1
        assert "is meant" in capsys.readouterr().err


def test_a_replayed_run_is_held_to_what_was_there_before_it_and_changes_nothing(bench) -> None:
    for value in QUIET:
        bench.run(value)
    n_before = bench.n
    live = bench.judge({"OUTPUT_TOKEN_TIME": 12.0}, at=n_before + 1)
    assert [one.verdict for one in live] == ["regression"]
    for i, value in enumerate((12.0, 12.1, 11.9, 12.0)):  # later ones, and a pin that the live verdict set
        bench.run(value, at=n_before + 2 + i)
    n, pins = bench.count(), bench.pins()
    bench.replay_dir = bench.folder
    again: list[int] = []
    found = bench.judge(
        {"OUTPUT_TOKEN_TIME": 12.0}, at=n_before + 1, max_repeats=5, again=lambda: again.append(1) or {}
    )
    assert [(one.verdict, one.value, one.baseline, one.low, one.high, one.n_history, one.trend) for one in found] == [
        (one.verdict, one.value, one.baseline, one.low, one.high, one.n_history, one.trend) for one in live
    ]
    assert "pinned" not in found[0].reason
    assert shlex.split(bench.accept)[:3] == ["tokenclock", "baseline", "accept"]
    assert (again, bench.count(), bench.pins()) == ([], n, pins)


def test_a_percentile_of_too_few_samples_is_neither_judged_nor_kept(bench, capsys) -> None:
    bench.ungated = {"P99_OUTPUT_TOKEN_TIME": "32 samples, P99 needs 100"}
    for value in (*QUIET, 12.0):
        found = bench.judge({"OUTPUT_TOKEN_TIME": value, "P99_OUTPUT_TOKEN_TIME": 3 * value})
    assert [(one.metric, one.verdict) for one in found] == [("OUTPUT_TOKEN_TIME", "regression")]
    assert bench.pins().keys() == decided(bench, capsys).keys() == {"OUTPUT_TOKEN_TIME"}


@pytest.mark.parametrize(
    "written",
    [
        "tiny-bench-float16-input_output_len:8,8",
        "tiny-input_output_len:8,8-maxbs:512-float16-bench",
        "perf/test_perf.py::test_perf[tiny-bench-float16-input_output_len:8,8]",
        LABEL,
        "tiny*",
    ],
)
def test_a_label_may_be_named_as_written(bench, capsys, written) -> None:
    for value in QUIET:
        bench.run(value)
    assert main(["baseline", "show", "--history", bench.place, "--label", written]) == 0
    assert f"label {LABEL}" in capsys.readouterr().out
    assert main(["baseline", "accept", "--history", bench.place, "--label", written, "--reason", "x"]) == 0
    assert len(bench.pins()) == 2
