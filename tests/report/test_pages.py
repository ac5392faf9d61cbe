"""The HTML pages, opened in headless Chromium as users open them: quiet, without network, usable by keyboard."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.browser import Browser, Page, needs_chromium
from tests.compare.hand import hand_run
from tests.conftest import result_of
from tests.simulate.processes import stalling_server

from tokenclock.compare.comparison import compare
from tokenclock.metrics.facts import RunFacts
from tokenclock.metrics.series import run_series
from tokenclock.metrics.telemetry_lines import TelemetryLine
from tokenclock.report import compare_html, page, run_page
from tokenclock.report.run_page import ShownRun

MB = 1_000_000
NASTY = 'a<script>alert(1)</script>"&'


def shown(n: int, slots: int, name: str = "run", seed: int = 0) -> ShownRun:
    records = stalling_server(np.random.default_rng(seed), n, slots)
    return ShownRun(name, result_of(records, RunFacts(max_concurrency=slots)), run_series(records))


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pages") / "small.html"
    run_page.write([shown(400, 8, NASTY), shown(400, 8, "second", 1)], path)
    return path


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with telemetry: power of two GPUs, and requests as the server told them."""
    path = tmp_path_factory.mktemp("pages") / "watched.html"
    t_s = np.arange(0.0, 30.0, 0.1)
    told = [TelemetryLine("GPU power (W)", f"GPU {i}", t_s, 300 + 100 * np.sin(t_s + i)) for i in range(2)]
    told.append(TelemetryLine("Requests at the server", "running", t_s, np.full(300, 8.0)))
    run_page.write([dataclasses.replace(shown(400, 8), telemetry=tuple(told))], path)
    return path


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pages") / "large.html"
    run_page.write([shown(50_000, 80)], path)
    return path


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pages") / "comparison.html"
    sides = {NASTY: [hand_run({"ttft.mean": 20e6})], "b": [hand_run({"ttft.mean": 25e6})]}
    compare_html.write(compare(sides), path)
    return path


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser() as found:
        yield found


def own_part(path: Path) -> str:
    """The page without plotly.js."""
    text = path.read_text()
    start, end = text.index("<script>"), text.rindex("<script>")
    return text[:start] + text[end:]


def test_the_page_names_no_address_and_lets_nothing_be_fetched(small: Path) -> None:
    text = own_part(small)
    assert "http://" not in text
    assert "https://" not in text
    assert "default-src 'none'" in text
    assert "<script>alert(1)" not in text


def test_a_result_of_50000_requests_stays_under_15_mb(large: Path) -> None:
    assert large.stat().st_size < 15 * MB


def test_numbers_travel_whole() -> None:
    found = page.floats([1.5, np.nan, -2.0])
    assert found["dtype"] == "f4"
    import base64

    values = np.frombuffer(base64.b64decode(found["bdata"]), "<f4")
    assert values[[0, 2]].tolist() == [1.5, -2.0]
    assert np.isnan(values[1])
    assert page.floats(np.zeros((2, 3)))["shape"] == "2, 3"


def draw_all(opened: Page) -> int:
    """Scroll through the page until every plot is drawn; the number of plots."""
    script = """(async () => {
      const plots = [...document.querySelectorAll(".plot")];
      for (const plot of plots) {
        plot.scrollIntoView();
        for (let i = 0; i < 600 && !plot.querySelector(".main-svg"); i++) await new Promise(r => setTimeout(r, 20));
      }
      return plots.filter(plot => plot.querySelector(".main-svg")).length;
    })()"""
    return int(opened.evaluate(script))


def own_complaints(opened: Page) -> list[str]:
    """Without what the driver of a software GPU says of its own speed."""
    return [text for text in opened.complaints if "GL Driver Message" not in text]


@pytest.fixture(scope="module")
def opened(small: Path, browser: Browser) -> Page:
    """The small page, wide and light, with every plot drawn."""
    found = Page(browser, small)
    assert draw_all(found) == found.evaluate("document.querySelectorAll('.plot').length") == 9 + 2 * 3
    return found


@needs_chromium
def test_a_page_opens_without_a_word_and_without_network(opened: Page) -> None:
    assert own_complaints(opened) == []
    assert opened.requests == []
    assert opened.evaluate("document.documentElement.scrollWidth") <= 1300
    assert opened.evaluate("getComputedStyle(document.body).color") == "rgb(27, 31, 36)"


@needs_chromium
def test_legends_toggle_by_mouse_and_keyboard(opened: Page) -> None:
    first = "document.querySelector('#ecdf-ttft-legend button')"
    visible = "document.getElementById('ecdf-ttft').data[0].visible"
    opened.evaluate(f"{first}.click()")
    assert opened.evaluate(visible) is False
    assert opened.evaluate(f"{first}.getAttribute('aria-pressed')") == "false"
    opened.evaluate(f"{first}.focus()")
    opened.press("Enter")
    assert opened.evaluate(visible) is True
    opened.press("Tab")
    assert opened.evaluate("document.activeElement.textContent") == "second"


@needs_chromium
def test_a_definition_shows_on_focus_and_goes_with_escape(opened: Page) -> None:
    opened.evaluate("document.querySelector('.term').focus()")
    opened.evaluate("document.querySelector('.term').scrollIntoView({block: 'center'})")
    opened.evaluate("new Promise(done => setTimeout(done, 100))")  # scrolling hides a tip
    opened.evaluate("document.activeElement.blur(); document.querySelector('.term').focus()")
    tip: Any = opened.evaluate("document.querySelector('[role=tooltip]').textContent")
    assert tip.startswith("Time to First Token: t_first_token - t_sent")
    opened.press("Escape")
    assert opened.evaluate("document.querySelector('[role=tooltip]')") is None


@needs_chromium
def test_telemetry_stands_on_the_time_axis_of_the_requests(watched: Path, small: Path, browser: Browser) -> None:
    found = Page(browser, watched)
    draw_all(found)
    x_range = "document.getElementById('run0-{}').layout.xaxis.range"
    drawn = {name: found.evaluate(x_range.format(name)) for name in ("load", "itl", "timeline", "telemetry")}
    assert len(set(map(tuple, drawn.values()))) == 1, drawn
    assert drawn["telemetry"][1] > 5
    buttons = "[...document.querySelectorAll('#run0-telemetry-legend button')].map(b => b.textContent)"
    assert found.evaluate(buttons) == ["GPU 0", "GPU 1", "running"]
    found.evaluate("Plotly.relayout('run0-timeline', {'xaxis.range[0]': 2, 'xaxis.range[1]': 3}).then(() => 1)")
    found.evaluate("new Promise(done => setTimeout(done, 300))")
    assert [found.evaluate(x_range.format(name)) for name in ("load", "itl", "telemetry")] == [[2, 3]] * 3
    assert (own_complaints(found), found.requests) == ([], [])
    assert "telemetry" not in own_part(small)  # of runs without any nothing is drawn


@needs_chromium
def test_it_prints(opened: Page) -> None:
    printed = opened.print_bytes()
    assert printed[:5] == b"%PDF-"
    assert len(printed) > 20_000


@needs_chromium
def test_it_fits_a_phone_and_the_dark(small: Path, browser: Browser) -> None:
    phone = Page(browser, small, width=390, dark=True)
    assert draw_all(phone) == 15
    assert (own_complaints(phone), phone.requests) == ([], [])
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390  # nothing sticks out
    assert phone.evaluate("getComputedStyle(document.body).color") == "rgb(230, 237, 243)"
    line = "document.getElementById('ecdf-ttft').data[0].line.color"
    assert phone.evaluate(line) == "#4ba3e3"
    most = (
        "(({reversescale, colorscale}) => [reversescale, colorscale[0][1]])"
        "(document.getElementById('run0-itl').data[0])"
    )
    assert phone.evaluate(most) == [False, "#43578a"]  # the highest count is the brightest on black
    phone.set_dark(False)
    phone.evaluate("new Promise(done => setTimeout(done, 300))")
    assert phone.evaluate(most)[0] is True  # and the darkest on white
    assert phone.evaluate(line) == "#0072B2"  # the plots follow the system while the page is open
    assert own_complaints(phone) == []


@needs_chromium
def test_no_table_is_cut_on_a_phone(small: Path, comparison: Path, browser: Browser) -> None:
    for path in (small, comparison):
        phone = Page(browser, path, width=390)
        cut = "[...document.querySelectorAll('.table')].filter(t => t.scrollWidth > t.clientWidth).length"
        assert phone.evaluate(cut) == 0
        head = "getComputedStyle(document.querySelector('.many td:nth-child(2)'), '::before').content"
        assert phone.evaluate(head) == ('"N"' if path is small else f'"{NASTY}"'.replace('>"&', '>\\"&'))


@needs_chromium
def test_a_comparison_opens_without_a_word_and_without_network(comparison: Path, browser: Browser) -> None:
    assert "<script>alert(1)" not in own_part(comparison)
    opened = Page(browser, comparison, width=390)
    assert draw_all(opened) == 1
    assert (own_complaints(opened), opened.requests) == ([], [])
    assert opened.evaluate("document.documentElement.scrollWidth") <= 390
    assert opened.evaluate("document.querySelector('td .worse').textContent") == "worse"
    assert opened.evaluate("document.querySelector('h1').textContent") == f"Comparison of {NASTY} and b"


@needs_chromium
@pytest.mark.timing
def test_50000_requests_open_in_under_3_s(large: Path, browser: Browser) -> None:
    times = [Page(browser, large).opened_in_s for _ in range(5)]
    assert statistics.median(times) < 3.0, times
