"""Picks the command: `python -m tokenclock COMMAND ...`."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

from tokenclock.cli.standard_streams import open_closed_streams, show
from tokenclock.errors import TokenclockError, UsageError

__all__ = ["COMMANDS", "main"]

# name -> (module whose main(argv) -> exit code runs it, what it does)
COMMANDS: dict[str, tuple[str, str]] = {
    "benchmark": ("tokenclock.cli.benchmark", "times a model runtime in this process, or under mpirun"),
    "serving": ("tokenclock.cli.serving", "load test of an OpenAI-compatible server"),
    "paced-server": (
        "tokenclock.cli.paced_server",
        "OpenAI-compatible server with exact, logged emission times; no model",
    ),
    "calibrate": ("tokenclock.cli.calibrate", "measure tokenclock's own error on this machine"),
    "compare": ("tokenclock.cli.compare", "two results or more: which differs, by how much, and how sure that is"),
    "report": ("tokenclock.cli.report", "results as a page, a picture or Markdown; results anew from event logs"),
    "demo": ("tokenclock.cli.demo", "serve a real model, measure it, and state our own error"),
}
NOT_BUILT = (
    "analyze", "baseline", "history", "latency", "prepare-dataset",
    "process-export-files", "profile", "sweep", "throughput",
)  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line (default: sys.argv) and return its exit code; errors are one line on stderr."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    prefix = f"tokenclock {arguments[0]}" if arguments and arguments[0] in COMMANDS else "tokenclock"
    open_closed_streams()
    try:
        code = _run(arguments)
    except TokenclockError as error:
        code = error.exit_code
        _say_end(prefix, " ".join(str(error).splitlines()), code, error)
    except MemoryError as error:
        code = 1
        _say_end(prefix, f"out of memory{_said(error)}; ask for less, or run it where there is more", code, error)
    except KeyboardInterrupt:
        code = 130
    except SystemExit as end:  # of --help
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BrokenPipeError:  # the reader of what the command had yet to print has gone: as a shell counts SIGPIPE
        code = 141
    return _note_exit_code(code or show(prefix))


def _say_end(prefix: str, line: str, exit_code: int, error: BaseException) -> None:
    """One line on stderr, for all ranks of a run together."""
    from tokenclock.parallel.ending import end_with
    from tokenclock.parallel.world import RankLost

    end_with(prefix, line, exit_code, about_another=isinstance(error, RankLost))


def _note_exit_code(code: int) -> int:
    """For a rank that has to end without MPI's own end; nothing to note where no ranks were joined."""
    ending = sys.modules.get("tokenclock.parallel.ending")
    return code if ending is None else int(ending.note_exit_code(code))


def _said(error: MemoryError) -> str:
    text = " ".join(str(error).split())
    return f" ({text})" if text and text != "std::bad_alloc" else ""


def _run(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help"):
        return show("tokenclock", _overview())
    command = arguments[0]
    if command in ("-V", "--version"):
        return show("tokenclock", _version())
    if command in COMMANDS:
        run = importlib.import_module(COMMANDS[command][0]).main
        return int(run(arguments[1:]))
    if command in NOT_BUILT:
        raise UsageError(f"{command} is not built yet; `tokenclock` alone lists the commands there are")
    from tokenclock.cli.arguments import did_you_mean

    nearest = did_you_mean(command, [*COMMANDS, "--help", "--version"])
    raise UsageError(f"unknown command {command}{nearest}; `tokenclock` alone lists them")


def _overview() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {text}" for name, (_, text) in COMMANDS.items()]
    return "\n".join(
        ["usage: tokenclock COMMAND [FLAGS]   (--help after a command explains its flags; --version)", "", *lines]
    )


def _version() -> str:
    try:
        from tokenclock._core import build_info
    except ImportError as error:
        raise TokenclockError(f"the native core is not built ({error}); run: pip install .") from error
    info = build_info()
    library = " ".join(info["tls_library"].split()[:2])
    features = {
        "kernel receive stamps": "yes" if info["kernel_stamps"] else "no",
        "TLS": f"yes ({library})" if info["tls"] else "no (no libssl of OpenSSL 3 or 1.1 was found)",
    }
    return "\n".join(
        [
            f"tokenclock {info['version']}",
            f"compiler: {info['compiler']}, C++ {info['cxx_standard']}",
            *(f"{label}: {value}" for label, value in features.items()),
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
