"""Server cases: a server started by sweep's supervision, one `serving` client after another, the server anew for each.

With a `command` any server can be measured, a paced one too; with a `url` and no command a running one.
"""

from __future__ import annotations

import contextlib
import shlex
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tokenclock.errors import MeasurementError
from tokenclock.perftest import metrics
from tokenclock.perftest.case import ServerCase
from tokenclock.perftest.commands import Command
from tokenclock.perftest.outcome import Cell, Ran
from tokenclock.perftest.settings import Settings

if TYPE_CHECKING:
    from tokenclock.perftest.server_yaml import Client, ServerConfig
    from tokenclock.sweep.points import Variant

__all__ = ["run_server_commands", "server_commands"]

_PORT = "{port}"
_TRTLLM_SERVE = (
    "trtllm-serve {model} --host 127.0.0.1 --port {{port}} --backend pytorch --tp_size {tp} --pp_size {pp}{ep} "
    "--max_batch_size {max_batch_size} --max_num_tokens {max_num_tokens} --extra_llm_api_options {{options_file}}"
)


def server_commands(case: ServerCase, settings: Settings, folder: Path, results: Path) -> list[Command]:
    """For each client the command that starts its server, and the client's; ``{port}`` is filled in when they run.

    Raises:
        UsageError: as of `server_yaml.read_server_configs`.
    """
    from tokenclock.perftest.server_yaml import read_server_configs

    found = []
    servers = read_server_configs(case, settings)
    several = sum(len(clients) for _, clients in servers) > 1
    for server, clients in servers:
        for client in clients:
            place = results / f"{server.name}-{client.name}"
            started = _start_words(server, settings)
            if started is not None:
                argv = tuple(started) if isinstance(started, list) else tuple(shlex.split(started))
                found.append(Command(argv, None, "server", result=place / "server.json"))
            found.append(_client_command(case, server, client, place, several))
    return found


def run_server_commands(
    case: ServerCase,
    settings: Settings,
    results: Path,
    commands: Sequence[Command],
    run_one: Callable[[Command, str], Ran],
    is_over: Callable[[], bool],
) -> None:
    """Run what `server_commands` gave: each server is up while its client runs.

    Args:
        case, settings: of the case.
        results: folder of this repeat's results.
        commands: as `server_commands` gave them.
        run_one: runs a client's command, or records that it could not run because of the problem it is given.
        is_over: whether the case's time is over, asked while a server starts.
    """
    from tokenclock.perftest.server_yaml import read_server_configs

    clients = iter(command for command in commands if command.what == metrics.SERVING)
    for server, its_clients in read_server_configs(case, settings):
        for client in its_clients:
            command = next(clients)
            _run_one(server, settings, results / f"{server.name}-{client.name}", command, run_one, is_over)


def _run_one(
    server: ServerConfig,
    settings: Settings,
    place: Path,
    command: Command,
    run_one: Callable[[Command, str], Ran],
    is_over: Callable[[], bool],
) -> None:
    from tokenclock.sweep.commands import settle
    from tokenclock.sweep.server_process import Interrupted, RunningServer, ServerFailed, log_tail

    port = _free_port()
    argv = tuple(word.replace(_PORT, str(port)) for word in command.argv)
    command = Command(argv, command.stdout, command.what, command.result, command.cells)
    problem = ""
    running = None
    with contextlib.suppress(OSError):
        place.mkdir(parents=True, exist_ok=True)
    try:
        variant = _variant(server, settings, place.name, port)
        running = RunningServer(variant, settle(variant, place.parent), is_over)
        running.start()
    except Interrupted:
        running = None
        kept = f"log {place / 'server.log'}" if settings.output_dir is not None else "give --output-dir to keep its log"
        problem = f"server {server.name} was not ready within the case's TIMEOUT; {kept}"
    except (ServerFailed, MeasurementError, OSError, ValueError) as error:
        running = None
        tail = getattr(error, "tail", None) or log_tail(place / "server.log", 1)
        problem = " ".join(str(error).split()) + (f"; its last line: {tail[-1].strip()[:200]}" if tail else "")
    try:
        run_one(command, problem)
    finally:
        if running is not None:
            running.stop()


def _variant(server: ServerConfig, settings: Settings, folder: str, port: int) -> Variant:
    from tokenclock.sweep.points import Variant
    from tokenclock.sweep.schema import Server

    command = _start_words(server, settings)
    name = "".join(letter if letter.isalnum() or letter in "._+-" else "_" for letter in server.name)
    options = {"extra_llm_api_options": server.llm_api_options()} if _is_trtllm(server) else {}
    started = Server.model_validate(
        {
            "name": name,
            "command": command,
            "url": (server.url or f"http://127.0.0.1:{_PORT}").replace(_PORT, str(port)),
            "environment": server.environment,
            "ready_timeout": server.ready_timeout,
            **options,
        }
    )
    return Variant(started, {}, folder)


def _is_trtllm(server: ServerConfig) -> bool:
    return server.command is None and server.url is None


def _start_words(server: ServerConfig, settings: Settings) -> str | list[str] | None:
    """The server's own command, that of `trtllm-serve`, or None where a running server is measured."""
    if server.command is not None or server.url is not None:
        return server.command
    model = settings.models.get(server.model_name, server.model_name)
    return _TRTLLM_SERVE.format(
        model=shlex.quote(model),
        tp=server.tp,
        pp=server.pp,
        ep="" if server.ep is None else f" --ep_size {server.ep}",
        max_batch_size=server.max_batch_size,
        max_num_tokens=server.max_num_tokens,
    )


def _client_command(case: ServerCase, server: ServerConfig, client: Client, place: Path, several: bool) -> Command:
    result = place / "serving.json"
    words = [
        *("tokenclock", "serving", f"--model={server.model_name}"),
        f"--base-url={server.url or f'http://127.0.0.1:{_PORT}'}",
        *("--dataset-name=random", "--random-ids", "--ignore-eos"),
        *(f"--random-input-len={client.isl}", f"--random-output-len={client.osl}"),
        f"--random-range-ratio={client.random_range_ratio:g}",
        f"--num-prompts={client.concurrency * client.iterations}",
        f"--max-concurrency={client.concurrency}",
        *("--percentile-metrics=ttft,tpot,itl,e2el", "--save-result", "--disable-tqdm"),
        *(f"--result-dir={place}", f"--result-filename={result.name}"),
    ]
    types = metrics.metric_types(metrics.SERVING, streaming=True)
    yaml = Path(case.yaml).stem
    network = f"perf_sanity-{yaml}-{server.name}:{client.name}"
    cell = Cell(network, f"[{server.name}:{client.name}]" if several else "", types)
    return Command(tuple(words), None, metrics.SERVING, result, (cell,))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
