"""`tokenclock paced-server`: an OpenAI-compatible server without a model, whose emission times are exact and logged."""

from __future__ import annotations

import argparse
import contextlib
import os
import queue
import re
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from tokenclock.cli.arguments import CommandParser, from_environment, number, whole_number
from tokenclock.cli.standard_streams import show
from tokenclock.errors import TokenclockError, UsageError
from tokenclock.units import NS_PER_MS, NS_PER_US

if TYPE_CHECKING:
    from tokenclock._core import NativePacedServer, TlsContext
    from tokenclock.serving.paced_truth import Truth

__all__ = ["build_parser", "fault", "main"]

_HANDLED = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
ENVIRONMENT_PREFIX = "TOKENCLOCK_PACED_SERVER_"
_FAULT_ARGUMENTS = {"status": "an HTTP status, such as status=503", "close-idle": "a number, such as close-idle=100"}
_FAULTS = ("status", "cut", "stall", "error-event", "garbage", "comments", "close-idle")


def fault(text: str) -> tuple[str, int, float]:
    """`KIND[=ARG][:SHARE]` -> (kind, argument or 0, share). Raises argparse.ArgumentTypeError."""
    head, colon, share_text = text.partition(":")
    kind, equals, argument_text = head.partition("=")
    if kind not in _FAULTS:
        raise argparse.ArgumentTypeError(f"must be one of {', '.join(_FAULTS)}, got {kind or repr(kind)}")
    needed = _FAULT_ARGUMENTS.get(kind)
    if equals and not needed:
        raise argparse.ArgumentTypeError(f"must be {kind} without =, got {text}")
    try:
        argument = int(argument_text) if needed else 0
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be {kind}= and {needed}, got {text}") from None
    try:
        share = float(share_text) if colon else 1.0
    except ValueError:
        raise argparse.ArgumentTypeError(f"must have a share of 0 to 1 after the colon, got {text}") from None
    return kind, argument, share


def build_parser() -> CommandParser:
    """The command's flags. Needs neither NumPy nor the native core."""
    parser = CommandParser(
        prog="tokenclock paced-server",
        description="Serve /v1/completions, /v1/chat/completions (streaming or not), /v1/models, /health and /metrics\n"
        "without a model: tokens leave on a schedule, and every arrival and send is logged.\n"
        "Prints its address once it listens. SIGTERM or Ctrl-C ends it, SIGUSR1 writes the truth so far.",
        epilog="Every flag can also be set in the environment: TOKENCLOCK_PACED_SERVER_ and its name, such as\n"
        "TOKENCLOCK_PACED_SERVER_API_KEY.\n\n"
        "exit codes: 0 told to stop; 1 it cannot listen there, or failed; 2 a flag is wrong; 130 Ctrl-C",
    )
    address = parser.add_argument_group("address")
    address.add_argument("--host", default="127.0.0.1", help="IPv4, IPv6 or a name (default: 127.0.0.1)")
    address.add_argument(
        "--port", type=whole_number, default=8000, metavar="N", help="0 picks a free one (default: 8000)"
    )

    address.add_argument("--unix-socket", metavar="PATH", help="listen on this Unix socket instead of host and port")
    address.add_argument("--tls-cert", metavar="FILE", help="speak TLS, with this certificate (PEM, chain included)")
    address.add_argument("--tls-key", metavar="FILE", help="its private key (default: it is in --tls-cert)")
    address.add_argument(
        "--tls-client-ca", metavar="FILE", help="ask every client for a certificate of this authority (PEM)"
    )

    pace = parser.add_argument_group("pace")
    pace.add_argument(
        "--mode", choices=("batch", "independent", "flood"), default="batch",
        help="batch: all streams step together every ITL, a new one joins at the first step that is a TTFT after its "
        "arrival; independent: each stream has its own times; flood: as fast as the socket takes it (default: batch)",
    )  # fmt: skip
    for name, what, mean in (
        ("ttft", "arrival of a request to its first token", 50.0),
        ("itl", "one send of a stream to the next", 20.0),
    ):
        pace.add_argument(
            f"--{name}-ms", type=number, default=mean, metavar="MS", help=f"{what}, ms (default: {mean:g})"
        )
        pace.add_argument(
            f"--{name}-std-ms",
            type=number,
            default=0.0,
            metavar="MS",
            help="standard deviation, ms; not for constant (default: 0)",
        )
        pace.add_argument(
            f"--{name}-distribution", choices=("constant", "normal", "lognormal"), default="constant",
            help="mean and deviation are those of the time itself; below 0 counts as 0 (default: constant)",
        )  # fmt: skip
    pace.add_argument("--seed", type=whole_number, default=0, metavar="N", help="of all draws and faults (default: 0)")
    pace.add_argument(
        "--spin-us", type=number, default=150.0, metavar="US",
        help="wait awake for the last us before a send, a tenth of a core at most (default: 150)",
    )  # fmt: skip

    answers = parser.add_argument_group("answers")
    answers.add_argument(
        "--tokens-per-event", type=whole_number, default=1, metavar="N", help="tokens per event (default: 1)"
    )
    answers.add_argument(
        "--events-per-send", type=whole_number, default=1, metavar="N", help="events per send (default: 1)"
    )
    answers.add_argument(
        "--default-output-tokens",
        type=whole_number,
        default=128,
        metavar="N",
        help="where none is asked (default: 128)",
    )
    answers.add_argument(
        "--vocab-size", type=whole_number, default=32_000, metavar="N", help="told by /v1/models (default: 32000)"
    )
    answers.add_argument(
        "--served-model", action="append", default=[], metavar="NAME",
        help="accept this model name only; may be given again (default: any name, listed as paced)",
    )  # fmt: skip
    answers.add_argument("--api-key", default="", metavar="KEY", help="ask for it (default: none)")
    answers.add_argument(
        "--report-iterations", action="store_true", help="avg_decoded_tokens_per_iter in the last choice"
    )
    answers.add_argument(
        "--output-share", type=number, default=1.0, metavar="X",
        help="answers end after this share of the tokens asked for, as at an end-of-text token (default: 1)",
    )  # fmt: skip
    answers.add_argument(
        "--cached-share", type=number, default=0.0, metavar="X",
        help="usage reports this share of the prompt as cached (default: 0, usage does not speak of a cache)",
    )  # fmt: skip
    answers.add_argument(
        "--fault", type=fault, action="append", default=[], metavar="KIND[=ARG][:SHARE]",
        help="for a share of the requests (default: 1), chosen by the seed: status=503; cut, stall, error-event, "
        "garbage (after half of the tokens); comments; close-idle=N (a connection ends after N replies). Repeatable",
    )  # fmt: skip

    truth = parser.add_argument_group("truth")
    truth.add_argument("--truth", metavar="FILE", help=".npz of every arrival and send, written at the end")
    truth.add_argument(
        "--max-requests",
        type=whole_number,
        default=1 << 22,
        metavar="N",
        help="rows kept (default: 4 Mi)",
    )
    truth.add_argument(
        "--max-sends", type=whole_number, default=1 << 27, metavar="N", help="kept, 32 bytes each (default: 128 Mi)"
    )

    process = parser.add_argument_group("process")
    process.add_argument("--cpu", type=whole_number, metavar="N", help="run on this core only (default: any)")
    process.add_argument(
        "--stop-with-stdin",
        action="store_true",
        help="end when standard input does: no orphan outlives its parent",
    )
    return parser


def main(argv: Sequence[str]) -> int:
    """Serve until told to stop; returns 0, or 130 after Ctrl-C. Raises TokenclockError for what cannot be done."""
    parser = build_parser()
    preset = from_environment(parser, os.environ, ENVIRONMENT_PREFIX) if not {"-h", "--help"} & set(argv) else []
    args = parser.read([*preset, *argv])
    _pin(args.cpu)
    _allow_many_files()
    server = _native_server(args)
    if args.truth:
        _save(server, args)  # a place that cannot be written is found out before the first request
    wishes: queue.SimpleQueue[int] = queue.SimpleQueue()
    with _signals_to(wishes):
        with _blocked_signals():  # the native thread inherits this, so that no signal disturbs its pace
            server.start()
        if args.stop_with_stdin:
            threading.Thread(target=_watch_stdin, args=(wishes,), daemon=True).start()
        show("tokenclock paced-server", f"listening on {_url(args, server.port)}")
        wish = _serve(server, args, wishes)
    try:
        server.stop()
    except RuntimeError as error:  # what ended the native thread before its time
        raise TokenclockError(f"the server failed: {error}") from error
    finally:
        if args.truth:
            _save(server, args)
    return 130 if wish == signal.SIGINT else 0


def _native_server(args: argparse.Namespace) -> NativePacedServer:
    from tokenclock._core import NativePacedServer

    try:
        return NativePacedServer(
            host=args.host,
            port=_within(args.port, 0, 65_535, "--port"),
            mode=args.mode,
            ttft_ns=_ns(args.ttft_ms, NS_PER_MS, "--ttft-ms"),
            ttft_std_ns=_ns(args.ttft_std_ms, NS_PER_MS, "--ttft-std-ms"),
            ttft_distribution=args.ttft_distribution,
            itl_ns=_ns(args.itl_ms, NS_PER_MS, "--itl-ms"),
            itl_std_ns=_ns(args.itl_std_ms, NS_PER_MS, "--itl-std-ms"),
            itl_distribution=args.itl_distribution,
            seed=_within(args.seed, 0, (1 << 64) - 1, "--seed"),
            tokens_per_event=_within(args.tokens_per_event, 1, 4096, "--tokens-per-event"),
            events_per_send=_within(args.events_per_send, 1, 4096, "--events-per-send"),
            default_output_tokens=_within(args.default_output_tokens, 1, 1_000_000, "--default-output-tokens"),
            vocab_size=_within(args.vocab_size, 1, 100_000_000, "--vocab-size"),
            served_models=args.served_model,
            api_key=args.api_key,
            report_iterations=args.report_iterations,
            faults=args.fault,
            spin_ns=_ns(args.spin_us, NS_PER_US, "--spin-us", highest=10_000),
            max_requests=_within(args.max_requests, 1, 1 << 30, "--max-requests"),
            max_sends=_within(args.max_sends, 1, 1 << 34, "--max-sends"),
            unix_socket=os.path.abspath(args.unix_socket) if args.unix_socket else "",
            tls=_tls(args),
            output_share=args.output_share,
            cached_share=args.cached_share,
        )
    except ValueError as error:
        raise UsageError(_in_flags(str(error))) from error
    except MemoryError as error:
        raise TokenclockError("no address space for the truth: lower --max-sends or --max-requests") from error
    except OSError as error:
        raise TokenclockError(f"{error.strerror}; choose {_other_place(args)}") from error


def _in_flags(complaint: str) -> str:
    """The native server's line in the words of this command: flags as they are typed, numbers without a tail."""
    flag = re.sub(r"^(?:output|cached)_share\b", lambda name: "--" + name[0].replace("_", "-"), complaint)
    flag = re.sub(r"^(?=(?:a fault's|the status of a fault|close-idle's|the shares of) )", "--fault: ", flag)
    return re.sub(r"\b\d+\.\d{6}\b", lambda number: f"{float(number[0]):g}", flag)


def _ns(value: float, unit_ns: int, flag: str, highest: float = 3_600_000) -> int:
    if not 0 <= value <= highest:
        raise UsageError(f"{flag} must be 0..{highest:g}, got {value:g}")
    return round(value * unit_ns)


def _within(value: int, lowest: int, highest: int, flag: str) -> int:
    if not lowest <= value <= highest:
        raise UsageError(f"{flag} must be {lowest}..{highest}, got {value}")
    return value


def _pin(cpu: int | None) -> None:
    if cpu is None:
        return
    if not hasattr(os, "sched_setaffinity"):
        raise UsageError("--cpu is not available on this system: leave it out")
    allowed = sorted(os.sched_getaffinity(0))
    if cpu not in allowed:
        raise UsageError(f"--cpu must be one of {', '.join(map(str, allowed))}, got {cpu}")
    os.sched_setaffinity(0, {cpu})


def _allow_many_files() -> None:
    """One descriptor per connection: as many as the system lets this process have."""
    import resource

    _, highest = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest, highest))


def _other_place(args: argparse.Namespace) -> str:
    return "another --unix-socket" if args.unix_socket else "another --port (0 picks a free one) or --host"


def _tls(args: argparse.Namespace) -> TlsContext | None:
    if args.tls_cert is None:
        for flag, path in (("--tls-key", args.tls_key), ("--tls-client-ca", args.tls_client_ca)):
            if path is not None:
                raise UsageError(f"{flag} needs --tls-cert")
        return None
    from tokenclock._core import TlsContext

    return TlsContext.server(certificate=args.tls_cert, key=args.tls_key or "", client_ca=args.tls_client_ca or "")


def _url(args: argparse.Namespace, port: int) -> str:
    scheme = "http" if args.tls_cert is None else "https"
    if args.unix_socket:
        return f"{scheme}://localhost by {os.path.abspath(args.unix_socket)}"
    host = f"[{args.host}]" if ":" in args.host else args.host
    return f"{scheme}://{host}:{port}"


@contextlib.contextmanager
def _signals_to(wishes: queue.SimpleQueue[int]) -> Iterator[None]:
    """SIGTERM, SIGINT and SIGUSR1 become entries of the queue."""
    before = {which: signal.signal(which, lambda which, frame: wishes.put(which)) for which in _HANDLED}
    try:
        yield
    finally:
        for which, handler in before.items():
            signal.signal(which, handler)


@contextlib.contextmanager
def _blocked_signals() -> Iterator[None]:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _HANDLED)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _watch_stdin(wishes: queue.SimpleQueue[int]) -> None:
    while os.read(0, 4096):
        pass
    wishes.put(signal.SIGTERM)


def _serve(server: NativePacedServer, args: argparse.Namespace, wishes: queue.SimpleQueue[int]) -> int:
    """Until somebody wants the end, or the native thread has failed (stop() then says why)."""
    while True:
        try:
            wish = wishes.get(timeout=1.0)
        except queue.Empty:
            if server.is_running:
                continue
            return signal.SIGTERM
        if wish != signal.SIGUSR1:
            return wish
        if args.truth:
            _save(server, args)
            with contextlib.suppress(OSError):
                print(f"truth written to {args.truth}", flush=True)
        else:
            print("tokenclock paced-server: SIGUSR1 writes the truth where --truth names a file", file=sys.stderr)


def _truth(server: NativePacedServer, args: argparse.Namespace) -> Truth:
    from tokenclock.serving.paced_truth import Truth

    options = {**vars(args), "port": server.port, "api_key": "***" if args.api_key else ""}
    return Truth.from_columns(server.truth(), {"options": options, "counters": server.figures()})


def _save(server: NativePacedServer, args: argparse.Namespace) -> None:
    try:
        _truth(server, args).save(args.truth)
    except OSError as error:
        raise TokenclockError(f"cannot write --truth {args.truth}: {error.strerror}") from error
