"""HTTPS and Unix sockets, from the plan to the records: what works, and the one line for everything that does not."""

from __future__ import annotations

import socket
import ssl
import statistics
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.servers.certificates import Authority, Pair

from tokenclock import PacedServer, _core
from tokenclock.errors import MeasurementError, UsageError
from tokenclock.metrics.latency import tls_handshake_ns, ttft_ns
from tokenclock.plan import EndpointPlan, LoadPlan, ServingPlan, TransportPlan
from tokenclock.records import MISSING_NS, STATUS_NAMES, Records
from tokenclock.serving.ask import ask
from tokenclock.serving.client import LoadRequests, run_load
from tokenclock.serving.preflight import send_test_request, wait_until_up
from tokenclock.serving.server import ask_models
from tokenclock.serving.transport import reach


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def good(authority: Authority) -> Pair:
    return authority.issue("good")


@pytest.fixture(scope="module")
def server(good: Pair) -> Iterator[PacedServer]:
    with PacedServer(ttft_ms=10, itl_ms=2, tls_cert=good.certificate, tls_key=good.key) as paced:
        yield paced


@pytest.fixture
def socket_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("s") / "server.sock"


def plan_for(url: str, *, connection: str = "reuse", slots: int = 4, **transport: Any) -> ServingPlan:
    settings = {name: str(value) if isinstance(value, Path) else value for name, value in transport.items()}
    return ServingPlan(
        EndpointPlan(model="m", base_url=url, connection=connection),
        LoadPlan(max_concurrency=slots),
        transport=TransportPlan(**settings),
    )


def requests_of(n: int, osl: int = 5) -> LoadRequests:
    return LoadRequests([[1, 2]] * n, np.full(n, 2, np.int32), np.full(n, osl, np.int32), np.zeros(n, np.int64))


def try_once(plan: ServingPlan) -> Records:
    return send_test_request(plan, ([1, 2], 3), reach(plan))


def failure_of(plan: ServingPlan) -> str:
    with pytest.raises(MeasurementError) as caught:
        try_once(plan)
    line = str(caught.value)
    assert "\n" not in line
    return line


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_a_server_of_a_known_authority_is_measured(server: PacedServer, authority: Authority, host: str) -> None:
    plan = plan_for(server.url.replace("127.0.0.1", host), cacert=authority.certificate)
    records = run_load(plan, requests_of(24))
    assert records.ok.all()
    assert records.client["tls"].startswith("TLSv1.3 ")
    assert records.client["stamp_source"] == "kernel"
    assert records.client["n_events_kernel"] == records.n_events == 24 * 5
    shaken = records.columns["t_tls_ns"] != MISSING_NS
    assert 1 <= shaken.sum() <= 4, "connections are kept"
    assert (shaken == (records.columns["t_connect_ns"] != MISSING_NS)).all()
    assert (tls_handshake_ns(records)[shaken] > 0).all()


def test_the_system_s_store_may_be_another_one(
    server: PacedServer, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
    assert try_once(plan_for(server.url)).ok[0]


def test_a_connection_per_request(server: PacedServer, authority: Authority) -> None:
    records = run_load(plan_for(server.url, connection="new", cacert=authority.certificate), requests_of(6))
    assert records.ok.all()
    assert (records.columns["t_tls_ns"] != MISSING_NS).all()


def serve_with(pair: Pair, **settings: Any) -> PacedServer:
    return PacedServer(tls_cert=pair.certificate, tls_key=pair.key, ttft_ms=5, itl_ms=1, **settings)


def test_each_bad_certificate_has_its_own_line(authority: Authority) -> None:
    cases = [
        (authority.issue("old", first_day=-9, last_day=-2), "the certificate has expired; renew it"),
        (
            authority.issue("early", first_day=5, last_day=9),
            "is not valid yet; check this machine's date",
        ),
        (authority.issue("other", hosts=("other.example",)), "the certificate is for another address; use a name"),
        (authority.self_signed("alone"), "the certificate is self-signed; give that certificate by --cacert FILE"),
    ]
    for pair, words in cases:
        with serve_with(pair) as server:
            line = failure_of(plan_for(server.url, cacert=authority.certificate))
            assert try_once(plan_for(server.url, insecure=True)).ok[0]
        assert words in line
        assert "--insecure" in line
        assert line.startswith(server.url)


def test_no_waiting_mends_a_certificate(authority: Authority) -> None:
    with serve_with(authority.issue("gone", first_day=-9, last_day=-2)) as server:
        plan = plan_for(server.url, cacert=authority.certificate)
        t_begin_s = time.monotonic()
        said: list[str] = []
        wait_until_up(plan, t_begin_s + 600, said.append)
        with pytest.raises(MeasurementError, match="the certificate has expired"):
            send_test_request(plan, ([1, 2], 1), reach(plan), t_begin_s + 600)
    assert not said
    assert time.monotonic() - t_begin_s < 60


def test_an_unknown_authority_and_a_name_that_does_not_fit(
    server: PacedServer, authority: Authority, tmp_path: Path
) -> None:
    stranger = Authority(tmp_path, "stranger").certificate
    assert "from an unknown authority; give its certificate by --cacert" in failure_of(
        plan_for(server.url, cacert=stranger)
    )
    with serve_with(authority.issue("elsewhere", hosts=("other.example",))) as elsewhere:
        by_name = elsewhere.url.replace("127.0.0.1", "localhost")
        line = failure_of(plan_for(by_name, cacert=authority.certificate))
    assert "another host name; use the certificate's name in --base-url" in line


def test_a_server_may_ask_for_our_certificate(authority: Authority, good: Pair, tmp_path: Path) -> None:
    clients = Authority(tmp_path, "clients")
    ours = clients.issue("ours")
    with serve_with(good, tls_client_ca=clients.certificate) as server:
        files = {"cacert": authority.certificate}
        shown = plan_for(server.url, cert=ours.certificate, key=ours.key, **files)
        assert try_once(shown).ok[0]
        assert ask_models(shown).names == ("paced",)
        assert "asks for a certificate of ours; give it by --cert FILE" in failure_of(plan_for(server.url, **files))
        wrong = plan_for(server.url, cert=good.certificate, key=good.key, **files)
        assert "refuses our certificate" in failure_of(wrong)


def test_a_plain_server_and_a_tls_server_mistaken_for_each_other(server: PacedServer, authority: Authority) -> None:
    with PacedServer() as plain:
        line = failure_of(plan_for(plain.url.replace("http:", "https:"), cacert=authority.certificate))
    assert "does not speak TLS; use http://" in line
    assert "https://" in failure_of(plan_for(server.url.replace("https:", "http:")))


def test_questions_go_the_same_way(server: PacedServer, authority: Authority) -> None:
    assert ask_models(plan_for(server.url, cacert=authority.certificate)).n_vocab == 32_000
    assert ask_models(plan_for(server.url, insecure=True)).names == ("paced",)
    assert "certificate verify failed" in str(ask_models(plan_for(server.url)).problem)
    assert "paced" in ask(plan_for(server.url, insecure=True), "GET", "/metrics").body.decode()


def test_files_that_cannot_be_used(authority: Authority, good: Pair, tmp_path: Path, monkeypatch: Any) -> None:
    url = "https://127.0.0.1:9"
    (tmp_path / "empty.pem").touch()
    locked = good.key.with_name("good-locked.key")
    other = authority.issue("another")
    for transport, words in [
        ({"cacert": tmp_path / "none.pem"}, "--cacert: cannot read"),
        ({"cacert": tmp_path / "empty.pem"}, "cannot use the certificates in"),
        ({"cert": good.certificate}, "there is no private key in"),
        ({"cert": tmp_path / "empty.pem"}, "cannot use the certificate"),
        ({"cert": good.certificate, "key": other.key}, "key values mismatch"),
        ({"cert": good.certificate, "key": locked}, "openssl pkey"),
    ]:
        with pytest.raises(UsageError) as caught:
            reach(plan_for(url, **transport))
        assert words in str(caught.value)
        assert "PEM" in str(caught.value)
        assert "\n" not in str(caught.value)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    with pytest.raises(UsageError, match="SSL_CERT_FILE: cannot read"):
        reach(plan_for(url))


def test_without_libssl_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tokenclock.serving.transport.tls_problem", lambda: "no libssl: apt install libssl3")
    with pytest.raises(UsageError, match=r"https:// needs OpenSSL: no libssl: apt install libssl3"):
        reach(plan_for("https://127.0.0.1:9"))
    assert reach(plan_for("http://127.0.0.1:9")) == [("127.0.0.1", 9)]


def python_server(pair: Pair, answer: bytes, *, goodbye: bool, version: ssl.TLSVersion) -> tuple[int, threading.Thread]:
    """Python's own TLS server for one connection: another implementation of the other end than ours."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    context.maximum_version = version
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with listener, context.wrap_socket(listener.accept()[0], server_side=True) as connection:
            while b"}" not in connection.recv(4096):
                pass
            connection.sendall(answer)
            if goodbye:
                connection.unwrap().close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    return listener.getsockname()[1], thread


EVENT = b'data: {"choices":[{"text":"a"}]}\n\n'
FINISH = b'data: {"choices":[{"text":"","finish_reason":"stop"}]}\n\n'
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"  # ended by the connection


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("goodbye", [True, False])
@pytest.mark.parametrize(("answer", "status"), [(HEAD + EVENT + FINISH, "ok"), (HEAD + EVENT, "truncated")])
def test_an_answer_ended_by_the_connection(
    good: Pair, authority: Authority, answer: bytes, status: str, goodbye: bool, version: ssl.TLSVersion
) -> None:
    port, thread = python_server(good, answer, goodbye=goodbye, version=version)
    records = run_load(plan_for(f"https://127.0.0.1:{port}", cacert=authority.certificate), requests_of(1))
    thread.join(10)
    assert STATUS_NAMES[records.columns["status"][0]] == status
    assert records.n_events == 1
    assert records.client["tls"].startswith("TLSv1.2 " if version == ssl.TLSVersion.TLSv1_2 else "TLSv1.3 ")


def test_a_unix_socket_has_user_stamps_and_says_so(socket_path: Path) -> None:
    with PacedServer(ttft_ms=10, itl_ms=2, unix_socket=socket_path) as server:
        assert server.url == "http://localhost"
        plan = plan_for(server.url, unix_socket=socket_path)
        records = run_load(plan, requests_of(24))
        assert ask_models(plan).names == ("paced",)
        truth = server.truth()
    assert records.ok.all()
    assert records.client["transport"] == "unix"
    assert records.client["stamp_source"] == "user"
    assert records.client["n_events_kernel"] == 0
    assert (records.t_token_ns == records.t_read_ns).all()
    assert truth.n_requests == 24
    assert "no server at" in (line := failure_of(plan))
    assert "--unix-socket" in line


def test_tls_over_a_unix_socket(socket_path: Path, good: Pair, authority: Authority) -> None:
    with serve_with(good, unix_socket=socket_path) as server:
        assert server.url == "https://localhost"
        plan = plan_for(server.url, unix_socket=socket_path, cacert=authority.certificate)
        assert try_once(plan).ok[0]
        assert ask_models(plan).names == ("paced",)


def test_a_second_server_does_not_take_a_socket_over_and_a_dead_one_s_file_does_not_matter(socket_path: Path) -> None:
    with PacedServer(unix_socket=socket_path), pytest.raises(MeasurementError, match="another --unix-socket"):
        PacedServer(unix_socket=socket_path)
    left_over = socket.socket(socket.AF_UNIX)
    left_over.bind(str(socket_path))
    left_over.close()
    with PacedServer(unix_socket=socket_path):
        pass
    assert not socket_path.exists()


def test_what_a_plan_refuses() -> None:
    for transport, words in [
        ({"cacert": "x"}, "--base-url must be https://... with --cacert, got http://h"),
        ({"cert": "x"}, "with --cert"),
        ({"unix_socket": ""}, "--unix-socket must be the path of a file"),
        ({"unix_socket": "/" + "x" * 120}, "at most 107 bytes, got one of 121"),
    ]:
        with pytest.raises(UsageError) as caught:
            plan_for("http://h", **transport)
        assert words in str(caught.value)
    with pytest.raises(UsageError, match="--key must be given together with --cert"):
        plan_for("https://h", key="x")
    with pytest.raises(UsageError, match="--cacert must be left out with --insecure"):
        plan_for("https://h", cacert="x", insecure=True)


def test_the_plan_goes_through_json(tmp_path: Path) -> None:
    plan = plan_for("https://h", cacert=tmp_path / "a", cert="b", key="c", unix_socket="/d")
    assert ServingPlan.from_dict(plan.to_dict()) == plan


def test_the_build_tells_which_library() -> None:
    info = _core.build_info()
    assert info["tls"] is (_core.tls_problem() == "")
    assert info["tls_library"].startswith("OpenSSL")


@pytest.mark.timing
def test_ttft_over_tls_is_as_true_as_without(authority: Authority, good: Pair) -> None:
    """The error of TTFT against the server's own times: median of five runs, for each run its median request."""
    errors_us: dict[str, list[float]] = {"plain": [], "tls": []}
    # far between, so that no two events are read at once and share a stamp
    pace: dict[str, Any] = {"ttft_ms": 20.0, "itl_ms": 60.0, "mode": "independent"}
    with (
        PacedServer(**pace) as plain,
        PacedServer(**pace, tls_cert=good.certificate, tls_key=good.key) as tls,
    ):
        for _ in range(5):
            for name, server, settings in (("plain", plain, {}), ("tls", tls, {"cacert": authority.certificate})):
                before = server.truth().n_requests
                records = run_load(plan_for(server.url, slots=8, **settings), requests_of(24, osl=3))
                truth = server.truth()
                rows = [int(text.removeprefix("paced-")) for text in records.response_ids or []]
                assert min(rows) >= before
                error_ns = ttft_ns(records) - truth.ttft_ns[rows]
                errors_us[name].append(float(np.median(np.abs(error_ns))) / 1e3)
    medians = {name: statistics.median(values) for name, values in errors_us.items()}
    print(f"median error of TTFT, us: {medians}")
    assert medians["plain"] < 400
    assert medians["tls"] < 400


def test_a_certificate_without_its_key_asks_for_the_key(good: Pair) -> None:
    with pytest.raises(UsageError, match=rf"^there is no private key in {good.certificate}: give it by --key FILE"):
        reach(plan_for("https://127.0.0.1:1", cert=good.certificate))
