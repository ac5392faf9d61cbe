"""The paced server as a child process on another core, for Python users: its address, its truth, its end."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Literal

from tokenclock.errors import MeasurementError, UsageError
from tokenclock.serving.paced_truth import Truth

__all__ = ["PacedServer"]

_LISTENING = "listening on "
_WRITTEN = "truth written to "
_ENVIRONMENT = "TOKENCLOCK_PACED_SERVER_"
_ANSWER_LIMIT_S = 60.0


class PacedServer:
    """An OpenAI-compatible server without a model; starts at once and ends with the ``with`` block, or this process.

    It is a process of its own, so that what is measured and what measures do not share an interpreter or a core.

    Args:
        mode: "batch" (all streams step together), "independent" or "flood".
        ttft_ms, ttft_std_ms, ttft_distribution: arrival to first token; "constant", "normal" or "lognormal".
        itl_ms, itl_std_ms, itl_distribution: one send of a stream to its next.
        seed: of all draws and of who suffers a fault.
        tokens_per_event, events_per_send: both 1 unless said; a step sends their product of tokens.
        default_output_tokens: where a request names no limit.
        vocab_size: as told by /v1/models.
        served_model: the only model name accepted; None: any.
        api_key: asked for where given.
        report_iterations: the last choice carries avg_decoded_tokens_per_iter.
        output_share: answers end after this share of the tokens asked for, above 0 to 1.
        cached_share: usage reports this share of the prompt as cached, 0 to 1; 0 does not speak of a cache.
        faults: as the command's --fault, such as ["cut:0.1", "status=503:0.05"].
        spin_us: waited awake before each send.
        host, port: port 0 picks a free one.
        unix_socket: path to listen on instead; `.url` then fills the Host header only.
        tls_cert, tls_key, tls_client_ca: PEM files; the first makes it speak TLS, the last ask every client for a
            certificate of that authority.
        cpu: core to run on; "auto": another one than the caller's where there are two or more; None: any.
        truth_path: file for the truth; default: a temporary one.

    Raises:
        UsageError: a value that makes no sense, by its keyword; it is a ValueError too.
        MeasurementError: the server did not start; its last line says why.
    """

    def __init__(
        self,
        *,
        mode: Literal["batch", "independent", "flood"] = "batch",
        ttft_ms: float = 50.0,
        ttft_std_ms: float = 0.0,
        ttft_distribution: str = "constant",
        itl_ms: float = 20.0,
        itl_std_ms: float = 0.0,
        itl_distribution: str = "constant",
        seed: int = 0,
        tokens_per_event: int = 1,
        events_per_send: int = 1,
        default_output_tokens: int = 128,
        vocab_size: int = 32_000,
        served_model: str | None = None,
        api_key: str = "",
        report_iterations: bool = False,
        output_share: float = 1.0,
        cached_share: float = 0.0,
        faults: Sequence[str] = (),
        spin_us: float = 150.0,
        host: str = "127.0.0.1",
        port: int = 0,
        unix_socket: str | os.PathLike[str] | None = None,
        tls_cert: str | os.PathLike[str] | None = None,
        tls_key: str | os.PathLike[str] | None = None,
        tls_client_ca: str | os.PathLike[str] | None = None,
        cpu: int | Literal["auto"] | None = "auto",
        truth_path: str | os.PathLike[str] | None = None,
    ) -> None:
        if isinstance(faults, str):
            raise UsageError(f'faults must be a list such as ["cut:0.1"], got the text {faults!r}')
        self._folder = tempfile.TemporaryDirectory(prefix="tokenclock-")
        self._log_path = Path(self._folder.name) / "server.log"
        self._truth_path = Path(truth_path) if truth_path is not None else Path(self._folder.name) / "truth.npz"
        self._truth: Truth | None = None
        core = _another_core() if cpu == "auto" else cpu
        flags: dict[str, object] = {
            "host": host,
            "port": port,
            "mode": mode,
            "ttft-ms": ttft_ms,
            "ttft-std-ms": ttft_std_ms,
            "ttft-distribution": ttft_distribution,
            "itl-ms": itl_ms,
            "itl-std-ms": itl_std_ms,
            "itl-distribution": itl_distribution,
            "seed": seed,
            "tokens-per-event": tokens_per_event,
            "events-per-send": events_per_send,
            "default-output-tokens": default_output_tokens,
            "vocab-size": vocab_size,
            "output-share": output_share,
            "cached-share": cached_share,
            "spin-us": spin_us,
            "truth": self._truth_path,
        }
        optional = {
            "served-model": served_model,
            "cpu": core,
            "unix-socket": unix_socket,
            "tls-cert": tls_cert,
            "tls-key": tls_key,
            "tls-client-ca": tls_client_ca,
        }
        flags |= {name: value for name, value in optional.items() if value is not None}
        command = [sys.executable, "-m", "tokenclock", "paced-server", "--stop-with-stdin"]
        command += [f"--{name}={value}" for name, value in flags.items()]
        command += [f"--fault={text}" for text in faults]
        command += ["--report-iterations"] if report_iterations else []
        # A key on the command line could be read by everybody. Settings meant for the command are not for this child.
        environment = {
            name: text for name, text in os.environ.items() if not name.startswith("TOKENCLOCK_PACED_SERVER_")
        }
        if api_key:
            environment["TOKENCLOCK_PACED_SERVER_API_KEY"] = api_key
        with self._log_path.open("w") as log:
            # The child ends when its standard input does: however this process dies, no server is left behind.
            # A session of its own: Ctrl-C stops the measurement first, and the server by its end of input.
            self._child = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
                env=environment, start_new_session=True,
            )  # fmt: skip
        try:
            self.url = self._line_after(_LISTENING).partition(" ")[0]  #: such as http://127.0.0.1:40123
        except BaseException as error:
            if isinstance(error, MeasurementError):  # it has closed its output; its exit code comes in a moment
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._child.wait(_ANSWER_LIMIT_S)
            code = self._end(signal.SIGKILL)
            complaint = _in_keywords(self._log_path.read_text(errors="replace"))
            self._folder.cleanup()
            if code == UsageError.exit_code:
                raise UsageError(complaint) from None
            raise

    def __enter__(self) -> PacedServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """Process id of the server."""
        return self._child.pid

    def truth(self) -> Truth:
        """What the server did so far; after `stop`, all of it. Raises MeasurementError when it has died."""
        if self._truth is not None:
            return self._truth
        self._child.send_signal(signal.SIGUSR1)
        self._line_after(_WRITTEN)
        return Truth.from_npz(self._truth_path)

    def stop(self) -> Truth:
        """End the server, wait for it, and return its truth. May be called again."""
        if self._truth is None:
            try:
                code = self._end(signal.SIGTERM)
                if code != 0:
                    raise MeasurementError(f"the paced server ended with code {code}; {self._last_words()}")
                self._truth = Truth.from_npz(self._truth_path)
            finally:
                self._folder.cleanup()
        return self._truth

    def kill(self) -> None:
        """End the server at once, in the middle of whatever it is sending. Its truth is then what was last written."""
        self._end(signal.SIGKILL)
        if self._truth is None:
            self._truth = Truth.from_npz(self._truth_path)
        self._folder.cleanup()

    def _end(self, how: signal.Signals) -> int:
        """The child's exit code; it is killed when it does not follow."""
        self._child.send_signal(how)
        try:
            code = self._child.wait(_ANSWER_LIMIT_S)
        except subprocess.TimeoutExpired:
            self._child.kill()
            code = self._child.wait()
        for pipe in (self._child.stdin, self._child.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        return code

    def _line_after(self, start: str) -> str:
        """The rest of the child's next line that begins with `start`."""
        assert self._child.stdout is not None
        limit = threading.Timer(_ANSWER_LIMIT_S, self._child.kill)
        limit.start()
        try:
            for line in self._child.stdout:
                if line.startswith(start):
                    return line.removeprefix(start).strip()
        finally:
            limit.cancel()
        raise MeasurementError(f"the paced server ended; {self._last_words()}")

    def _last_words(self) -> str:
        lines = self._log_path.read_text(errors="replace").strip().splitlines()
        return f"its last words: {' | '.join(lines[-3:])}" if lines else "it printed nothing"


def _in_keywords(complaint: str) -> str:
    """The command's line about a wrong flag, in the words of `PacedServer`: `--itl-ms` is its `itl_ms`."""
    line = (complaint.strip().splitlines() or [""])[-1].removeprefix("tokenclock paced-server: ")
    line = re.sub(r"--fault\b", "faults", line)
    return re.sub(r"--([a-z]+(?:-[a-z]+)*)", lambda flag: flag[1].replace("-", "_"), line)


def _another_core() -> int | None:
    """An allowed core on which this thread is not running now; None where there is no choice."""
    if not hasattr(os, "sched_getaffinity"):
        return None
    allowed = os.sched_getaffinity(0)
    with contextlib.suppress(OSError, ValueError, IndexError):
        # proc(5): field 39 is the core; the second field, a name in parentheses, may hold blanks
        after_name = Path("/proc/thread-self/stat").read_text().rpartition(")")[2].split()
        others = sorted(allowed - {int(after_name[36])})
        return others[-1] if others else None
    return None
