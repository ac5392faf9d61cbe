"""The server of the history: what it answers, and whom it refuses."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.conftest import result_of
from tests.simulate.processes import stalling_server
from tests.store.synthetic import synthetic_history, synthetic_runs

from tokenclock.errors import UsageError
from tokenclock.metrics.facts import RunFacts
from tokenclock.store.database import open_database
from tokenclock.store.filter import Filter
from tokenclock.store.serve import HistoryServer, is_loopback

NASTY = "<script>alert(1)</script>"


def content() -> bytes:
    import zlib

    records = stalling_server(np.random.default_rng(0), 60, 4)
    return zlib.compress(json.dumps(result_of(records, RunFacts(max_concurrency=4)).to_dict()).encode())


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = str(tmp_path_factory.mktemp("serve") / "history.sqlite")
    runs = list(synthetic_runs(240))
    runs[-1] = replace(runs[-1], label=NASTY, content=content())
    with open_database(path) as database:
        database.add(runs)
    return path


@pytest.fixture(scope="module")
def server(place: str) -> Iterator[HistoryServer]:
    with (
        open_database(place, create=False, read_only=True) as database,
        HistoryServer(database, "127.0.0.1", 0, Filter()) as found,
    ):
        thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield found
        found.shutdown()
        thread.join()


def ask(
    server: HistoryServer, path: str, method: str = "GET", headers: dict[str, str] | None = None
) -> tuple[http.client.HTTPResponse, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)
    connection.request(method, path, headers=headers or {})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer, body


def told(server: HistoryServer, path: str) -> Any:
    answer, body = ask(server, path)
    assert answer.status == 200, body[:300]
    return json.loads(body)


def test_the_dashboard_asks_no_other_host(server: HistoryServer) -> None:
    answer, body = ask(server, "/")
    assert answer.status == 200
    assert b"default-src 'none'" in body
    assert b"connect-src 'self'" in body
    assert NASTY.encode() not in body
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "Access-Control-Allow-Origin" not in answer.headers


def test_runs_come_page_by_page(server: HistoryServer) -> None:
    seen, offset = [], 0
    while offset is not None:
        page = told(server, f"/api/runs?offset={offset}&limit=100")
        assert page["total"] == 240
        seen += [run["id"] for run in page["runs"]]
        offset = page["next_offset"]
    assert len(set(seen)) == 240
    assert seen == sorted(seen, reverse=True)
    some = told(server, "/api/runs?model=qwen3-32b&gpu=NVIDIA%20L40S&limit=500")
    assert some["total"] == 12
    assert {run["model"] for run in some["runs"]} == {"qwen3-32b"}
    assert told(server, "/api/runs?offset=1000")["runs"] == []


def test_a_run_with_its_numbers_and_the_series_of_a_metric(server: HistoryServer) -> None:
    newest = told(server, "/api/runs?limit=1")["runs"][0]
    run = told(server, f"/api/run?id={newest['id']}")
    assert run["label"] == NASTY
    assert run["metrics"]["ttft.mean"]["unit"] == "ns"
    series = told(server, "/api/series?metric=ttft.mean&by=model&limit=2")
    assert (series["total"], series["next_offset"], series["unit"]) == (5, 2, "ns")
    assert len(series["series"][0]["points"]) == 48
    assert {"name": "ttft.mean", "unit": "ns", "better": "lower"} in told(server, "/api/metrics")["metrics"]


def test_a_metric_of_the_page_and_a_page_that_is_too_old(server: HistoryServer) -> None:
    found = told(server, "/api/metric?name=ttft.mean")
    assert len(found["value"]) == 240
    assert len(found["series"]) == 120 + 1  # and the one with its own label
    answer, body = ask(server, "/api/metric?name=ttft.mean&stamp=old")
    assert answer.status == 409
    assert b"load the page again" in body


def test_each_run_has_its_own_page(server: HistoryServer) -> None:
    ids = [run["id"] for run in told(server, "/api/runs?limit=2")["runs"]]
    with_result, without = (ask(server, f"/run/{one}")[1] for one in ids)
    assert b"Measurement quality" in with_result
    assert b"Time to First Token" in with_result
    assert b"The history holds the numbers of this run" in without
    assert b"runs/238.json" in without
    assert NASTY.encode() not in with_result


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("/nothing", 404, "there is nothing at /nothing"),
        ("/run/99999", 404, "99999"),
        ("/run/../../etc/passwd", 404, ""),
        ("/api/run", 400, "expected id="),
        ("/api/runs?limit=0", 400, "limit must be"),
        ("/api/runs?limit=501", 400, "limit must be a whole number from 1 to 500, got 501"),
        ("/api/runs?offset=-1", 400, "offset must be"),
        ("/api/runs?offset=99999999999999999999", 400, "offset must be"),
        ("/api/runs?colour=red", 400, "unknown colour"),
        ("/api/runs?concurrency=many", 400, "concurrency"),
        ("/api/series?metric=ttft.mean&by=colour", 400, "colour"),
        ("/api/series?metric=nothing", 404, "no run has a metric nothing"),
        ("/api/run?id=99999", 404, "no run 99999"),
        ("/api/metric?name=nothing", 404, "no run has a metric nothing"),
        ("/api/runs?" + "&".join(f"a{i}=1" for i in range(99)), 400, "malformed"),
    ],
)
def test_what_is_wrong_is_said(server: HistoryServer, path: str, status: int, text: str) -> None:
    answer, body = ask(server, path)
    assert answer.status == status, body
    assert text in json.loads(body)["error"]


def test_a_database_that_went_away_is_said_here_and_not_in_the_browser(tmp_path: Path) -> None:
    place = tmp_path / "history.sqlite"
    said: list[str] = []
    synthetic_history(str(place), 3)
    with (
        open_database(str(place), read_only=True) as database,
        HistoryServer(database, "127.0.0.1", 0, Filter(), say=said.append) as server,
    ):
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        place.unlink()
        for path in ("/", "/api/runs", "/run/1"):
            answer, body = ask(server, path)
            assert answer.status == 503
            assert json.loads(body) == {"error": "the history cannot be read now"}
        server.shutdown()
    assert [line.partition(":")[0] for line in said] == ["/", "/api/runs", "/run/1"]
    assert all(str(place) in line for line in said)


def test_head_has_no_body_and_nothing_can_be_written(server: HistoryServer) -> None:
    answer, body = ask(server, "/api/metrics", "HEAD")
    assert (answer.status, body) == (200, b"")
    assert int(answer.headers["Content-Length"]) > 100
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
        answer, body = ask(server, "/api/runs", method)
        assert answer.status == 405
        assert answer.headers["Allow"] == "GET, HEAD"


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "evil.example:80", "[", "192.0.2.1", ""])
def test_a_name_that_was_pointed_here_is_refused(server: HistoryServer, host: str) -> None:
    answer, body = ask(server, "/api/runs", headers={"Host": host})
    assert answer.status in (400, 403)
    assert b"llama" not in body


@pytest.mark.parametrize("host", ["localhost:1", "127.0.0.1", "[::1]:8765", "LOCALHOST"])
def test_names_of_loopback_are_taken(server: HistoryServer, host: str) -> None:
    assert ask(server, "/api/metrics", headers={"Host": host})[0].status == 200


def test_two_hosts_or_none_are_refused(server: HistoryServer) -> None:
    for head in ("", "Host: localhost\r\nHost: evil.example\r\n"):
        with socket.create_connection(("127.0.0.1", server.server_port), timeout=10) as sent:
            sent.sendall(f"GET /api/metrics HTTP/1.1\r\n{head}\r\n".encode())
            assert b" 403 " in sent.recv(200)


def test_a_port_in_use_is_one_line(server: HistoryServer, place: str) -> None:
    with open_database(place, read_only=True) as database, pytest.raises(UsageError, match="is in use; give another"):
        HistoryServer(database, "127.0.0.1", server.server_port, Filter())


def test_an_address_that_is_not_ours_is_one_line(place: str) -> None:
    with open_database(place, read_only=True) as database, pytest.raises(UsageError, match="cannot listen at"):
        HistoryServer(database, "192.0.2.1", 0, Filter())


def test_runs_added_meanwhile_are_seen(tmp_path: Path) -> None:
    path = str(tmp_path / "history.sqlite")
    runs = list(synthetic_runs(10))
    with open_database(path) as writer, open_database(path, read_only=True) as reader:
        writer.add(runs[:5])
        with HistoryServer(reader, "127.0.0.1", 0, Filter()) as server:
            asked = {"name": "ttft.mean"}
            assert len(json.loads(server.site.answer("/api/metric", asked).body[0])["value"]) == 5
            writer.add(runs[5:])
            assert len(json.loads(server.site.answer("/api/metric", asked).body[0])["value"]) == 10


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("[::1]", True),
        ("0.0.0.0", False),
        ("a.example", False),
    ],
)
def test_what_is_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


COLUMN = st.sampled_from(["model", "concurrency", "request_rate", "streaming", "tag.branch", "offset", "limit", "x"])


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    path=st.one_of(
        st.text(max_size=20).map("/run/{}".format),
        st.sampled_from(["/api/run", "/api/runs", "/api/series", "/api/metric", "/api/metrics"]),
        st.text(max_size=20),
    ),
    query=st.dictionaries(st.one_of(COLUMN, st.text(max_size=8)), st.text(max_size=30), max_size=4),
    named=st.sampled_from([{}, {"id": "9" * 30}, {"metric": "ttft.mean", "by": "model"}, {"name": "ttft.mean"}]),
)
def test_any_address_has_an_answer(
    server: HistoryServer, path: str, query: dict[str, str], named: dict[str, str]
) -> None:
    found = server.site.answer(path, {**query, **named})
    assert found.status in (200, 400, 404, 409)
    if found.type == "application/json":
        told = json.loads(b"".join(found.body))
        assert (found.status == 200) == ("error" not in told)


@given(st.text(max_size=60))
def test_any_host_is_judged(server: HistoryServer, host: str) -> None:
    assert server.takes(host) in (True, False)
    assert not server.takes(f"{host}.evil.example")
