"""The history as a page, opened in headless Chromium: from a file without network, and from its server."""

from __future__ import annotations

import contextlib
import json
import re
import statistics
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from tests.browser import Browser, Page, needs_chromium
from tests.store.synthetic import synthetic_history, synthetic_runs

from tokenclock.store.dashboard import write_dashboard
from tokenclock.store.dashboard_data import DashboardData
from tokenclock.store.database import Database, open_database
from tokenclock.store.filter import Filter
from tokenclock.store.record import MetricValue, RunRecord, hash_of
from tokenclock.store.serve import HistoryServer

NASTY = 'x<!--<script></script><script>alert(1)</script>"&'
MB = 1_000_000


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    with open_database(str(tmp_path_factory.mktemp("dashboard") / "history.sqlite")) as found:
        runs = list(synthetic_runs(2400))
        runs[-1] = replace(runs[-1], label=NASTY)
        found.add(runs)
        yield found


@pytest.fixture(scope="module")
def written(database: Database, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pages") / "history.html"
    write_dashboard(database, path, newest=1000)
    return path


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser() as found:
        yield found


def data_of(path: Path) -> Any:
    text = path.read_text()
    found = re.search(r'<script type="application/json" id="figures">(.*?)</script>', text, re.DOTALL)
    assert found
    return json.loads(found[1])


def settle(page: Page) -> None:
    page.evaluate("new Promise(done => setTimeout(done, 250))")


def wait_for(page: Page, condition: str) -> None:
    for _ in range(200):
        with contextlib.suppress(AssertionError):  # of a page that is just loading itself again
            if page.evaluate(condition):
                return
        time.sleep(0.1)
    raise AssertionError(condition)


def own_complaints(page: Page) -> list[str]:
    return [text for text in page.complaints if "GL Driver Message" not in text]


def test_the_file_holds_the_newest_runs_and_means_of_the_others(written: Path, database: Database) -> None:
    data = data_of(written)
    runs = data["base"]["runs"]
    assert len(runs["id"]) == 1000
    assert runs["created"] == sorted(runs["created"], reverse=True)
    assert [one["name"] for one in data["metrics"]][:2] == ["ttft.mean", "tpot.mean"]
    metric = data["loaded"]["ttft.mean"]
    older = sum(row[4] for one in metric["series"] for row in one["older"])
    in_full = sum(v is not None for v in metric["value"])
    assert in_full == 1000
    rest = database.runs()[1000:]
    assert older == sum(run.state in ("valid", "warn", "unknown") for run in rest) < len(rest) == 1400
    first = runs["key"]["label"]
    assert first["values"][first["at"][0]] == NASTY


def test_values_and_levels_are_in_the_unit_shown(written: Path, database: Database) -> None:
    metric = data_of(written)["loaded"]["ttft.mean"]
    newest = database.runs(limit=1)[0]
    value = database.metrics(newest.id)["ttft.mean"]
    assert metric["value"][0] == pytest.approx(value.value / 1e6, rel=1e-5)
    assert metric["low"][0] == pytest.approx(value.low / 1e6, rel=1e-5)  # type: ignore[operator]
    for one in metric["series"]:
        for start, end, mean, low, high, n in one["levels"]:
            assert start <= end
            assert n >= 1
            assert low is None or low < mean < high


def test_it_names_no_address_and_lets_nothing_be_fetched(written: Path) -> None:
    text = written.read_text()
    own = text[: text.index("<script>")] + text[text.index("const History") :]
    assert "http://" not in own
    assert "https://" not in own
    assert "connect-src" not in own
    assert "<script>alert(1)" not in text


def test_an_empty_history_is_a_page_too(tmp_path: Path) -> None:
    with open_database(str(tmp_path / "history.sqlite")) as empty:
        write_dashboard(empty, tmp_path / "page.html")
    assert "The history holds no such run yet" in (tmp_path / "page.html").read_text()


@pytest.fixture(scope="module")
def opened(written: Path, browser: Browser) -> Page:
    found = Page(browser, written)
    settle(found)
    return found


@needs_chromium
def test_it_opens_without_a_word_and_without_network(opened: Page) -> None:
    assert own_complaints(opened) == []
    assert opened.requests == []
    assert opened.evaluate("!!document.querySelector('#trend .main-svg')")
    assert opened.evaluate("document.querySelectorAll('#runs tbody tr').length") == 20
    assert opened.evaluate("document.documentElement.scrollWidth") <= 1300


@needs_chromium
def test_filters_narrow_trend_changes_and_runs_and_stay_in_the_address(opened: Page) -> None:
    def choose(name: str, value: str) -> None:
        script = f"(() => {{ const s = document.getElementById('{name}'); s.value = '{value}'; "
        opened.evaluate(script + "s.dispatchEvent(new Event('change')); })()")
        settle(opened)

    choose("filter-model", "=llama-3.1-8b")
    choose("filter-gpu", "=NVIDIA H100 80GB HBM3")
    choose("filter-concurrency", "=8")
    assert opened.evaluate("document.querySelectorAll('#trend-legend button').length") == 1
    assert "regression" in opened.evaluate("document.getElementById('changes').textContent")
    assert "by.model=llama-3.1-8b" in opened.evaluate("location.hash")
    choose("metric", "output_throughput")
    assert opened.evaluate("document.getElementById('trend-title').textContent").endswith("higher is better")
    opened.evaluate("document.getElementById('reset').click()")
    settle(opened)
    assert opened.evaluate("document.querySelectorAll('#trend-legend button').length") == 6
    assert own_complaints(opened) == []


@needs_chromium
def test_a_run_opens_by_keyboard_and_closes_with_escape(opened: Page) -> None:
    opened.evaluate("document.querySelector('#runs td.picks button').focus()")
    opened.press("Enter")
    settle(opened)
    assert opened.evaluate("document.getElementById('run').open") is True
    text = opened.evaluate("document.getElementById('run').textContent")
    assert NASTY in text
    assert "runs/2399.json" in text
    assert "TTFT mean" in text
    opened.press("Escape")
    settle(opened)
    assert opened.evaluate("document.getElementById('run').open") is False


@needs_chromium
def test_two_runs_stand_side_by_side(opened: Page) -> None:
    opened.evaluate("document.querySelectorAll('#runs td.picks button')[1].click()")
    settle(opened)
    opened.evaluate("document.querySelectorAll('#runs td.picks button')[5].click()")
    settle(opened)
    assert opened.evaluate("document.querySelectorAll('#pair table').length") == 2
    assert opened.evaluate("document.querySelector('#pair tbody tr td').textContent") == "TTFT mean (ms)"
    change = opened.evaluate("document.querySelector('#pair tbody tr td:last-child').textContent")
    assert re.fullmatch(r"[+\u2212][\d.]+ %", change)
    assert own_complaints(opened) == []


@needs_chromium
def test_changes_of_all_metrics_can_be_listed(opened: Page) -> None:
    before = opened.evaluate("document.querySelectorAll('#changes tbody tr').length")
    opened.evaluate("document.getElementById('all-metrics').click()")
    settle(opened)
    assert opened.evaluate("document.querySelectorAll('#changes tbody tr').length") > before
    assert opened.evaluate("document.activeElement.id") == "all-metrics"


@needs_chromium
def test_it_fits_a_phone_and_the_dark(written: Path, browser: Browser) -> None:
    phone = Page(browser, written, width=390, dark=True)
    settle(phone)
    assert (own_complaints(phone), phone.requests) == ([], [])
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390
    assert phone.evaluate("getComputedStyle(document.body).color") == "rgb(230, 237, 243)"
    phone.set_dark(False)
    settle(phone)
    assert phone.evaluate("getComputedStyle(document.body).color") == "rgb(27, 31, 36)"
    assert own_complaints(phone) == []


@needs_chromium
def test_the_server_shows_the_same_and_each_runs_own_page(database: Database, browser: Browser) -> None:
    with HistoryServer(database, "127.0.0.1", 0, Filter()) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            page = Page(browser, server.address)
            wait_for(page, "!!document.querySelector('#runs tbody tr')")
            assert page.evaluate("!!document.querySelector('#trend .main-svg')")
            page.evaluate("document.querySelector('#runs td.picks button').click()")
            settle(page)
            address = page.evaluate("document.querySelector('#run a').href")
            assert "TTFT mean" in page.evaluate("document.getElementById('run').textContent")
            assert own_complaints(page) == []
            assert all(url.startswith(server.address) for url in page.requests)
            own = Page(browser, address)
            assert "Run 2400" in own.evaluate("document.querySelector('h1').textContent")
            assert own_complaints(own) == []
        finally:
            server.shutdown()
            thread.join()


@needs_chromium
def test_a_page_with_nothing_on_it_says_so(tmp_path: Path, browser: Browser) -> None:
    with open_database(str(tmp_path / "history.sqlite")) as empty:
        write_dashboard(empty, tmp_path / "page.html")
    page = Page(browser, tmp_path / "page.html")
    assert page.evaluate("document.getElementById('status').textContent") == "The history holds no numbers yet."
    assert own_complaints(page) == []


@needs_chromium
def test_a_page_that_is_behind_its_server_loads_itself_again(tmp_path: Path, browser: Browser) -> None:
    runs = list(synthetic_runs(12))
    with open_database(str(tmp_path / "history.sqlite")) as own, HistoryServer(own, "127.0.0.1", 0, Filter()) as server:
        own.add(runs[:5])
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            page = Page(browser, server.address + "#metric=tpot.mean")
            count = "document.querySelectorAll('#runs tbody tr').length"
            wait_for(page, f"{count} === 5")
            own.add(runs[5:])
            page.evaluate(
                "(() => { const s = document.getElementById('metric'); s.value = 'e2el.mean'; "
                "s.dispatchEvent(new Event('change')); })()"
            )
            wait_for(page, f"{count} === 12")
            assert page.evaluate("document.getElementById('metric').value") == "e2el.mean"
        finally:
            server.shutdown()
            thread.join()


@needs_chromium
@pytest.mark.timing
def test_100000_runs_open_in_under_3_s_from_a_file_of_sane_size(browser: Browser, tmp_path: Path) -> None:
    synthetic_history(str(tmp_path / "history.sqlite"), 100_000)
    with open_database(str(tmp_path / "history.sqlite"), read_only=True) as large:
        write_dashboard(large, tmp_path / "page.html")
    assert (tmp_path / "page.html").stat().st_size < 10 * MB
    times = [Page(browser, tmp_path / "page.html").opened_in_s for _ in range(5)]
    assert statistics.median(times) < 3.0, times


def test_means_of_older_runs_stop_at_a_change(tmp_path: Path) -> None:
    start = datetime(2026, 1, 1, tzinfo=timezone.utc)
    values = [100.0 + i % 3 for i in range(30)] + [200.0 + i % 3 for i in range(30)]
    runs = [
        RunRecord(
            hash=hash_of({"i": i}),
            created=start + timedelta(minutes=i),  # all on one day
            metrics={"ttft.mean": MetricValue(value * MB, None, None, "ns")},
        )
        for i, value in enumerate(values)
    ]
    with open_database(str(tmp_path / "h.sqlite")) as database:
        database.add(runs)
        data = DashboardData(database, Filter(), newest=5)
        (series,) = data.metric(data.words("ttft.mean"))["series"]
    assert [(row[1], row[4]) for row in series["older"]] == [(101.0, 30), (200.96, 25)]


@needs_chromium
def test_only_runs_with_a_result_are_said_to_have_a_page_and_a_run_without_a_model_has_a_name(
    tmp_path: Path, browser: Browser
) -> None:
    runs = list(synthetic_runs(40))
    runs[-1] = replace(runs[-1], content=b"x")
    runs[-2] = replace(runs[-2], model="")
    path = tmp_path / "history.html"
    with open_database(str(tmp_path / "h.sqlite")) as database:
        database.add(runs)
        write_dashboard(database, path)
    assert data_of(path)["base"]["runs"]["stored"] == [1, *[0] * 39]
    page = Page(browser, path)
    settle(page)
    opened = """(() => { document.querySelectorAll('#runs td.picks button')[3 * %d].click(); return new Promise(done =>
        setTimeout(() => { const text = document.getElementById('run').innerText;
        document.getElementById('run').close(); done(text); }, 250)); })()"""
    assert "tokenclock history show 40" in page.evaluate(opened % 0)
    assert "tokenclock history show" not in page.evaluate(opened % 1)
    assert "model not told" in page.evaluate("document.getElementById('runs').innerText")
    assert "all runs" not in page.evaluate("document.getElementById('trend-legend').innerText")
