"""Picks the command: `python -m tokenclock COMMAND ...`."""

from __future__ import annotations

import sys

try:
    import importlib
    from collections.abc import Sequence

    from tokenclock.cli.group_options import GROUP_COMMANDS, GroupOptions, split_group_options, starts_with_group_option
    from tokenclock.cli.standard_streams import open_closed_streams, show
    from tokenclock.errors import TokenclockError, UsageError
except KeyboardInterrupt:  # Ctrl-C before `main` is there to take it
    sys.exit(130)

__all__ = ["COMMANDS", "main"]

# name -> (module whose main(argv) -> exit code runs it, what it does)
COMMANDS: dict[str, tuple[str, str]] = {
    "benchmark": ("tokenclock.cli.benchmark", "times a model runtime in this process, or under mpirun"),
    "serving": ("tokenclock.cli.serving", "load test of an OpenAI-compatible server"),
    "throughput": ("tokenclock.cli.throughput", "a data set's requests, in trtllm-bench's words"),
    "latency": ("tokenclock.cli.latency", "the same, one request at a time"),
    "paced-server": (
        "tokenclock.cli.paced_server",
        "OpenAI-compatible server with exact, logged emission times; no model",
    ),
    "prepare-dataset": (
        "tokenclock.cli.prepare_dataset",
        "request files: synthetic lengths, recorded data, LoRA mixes",
    ),
    "calibrate": ("tokenclock.cli.calibrate", "measure tokenclock's own error on this machine"),
    "compare": ("tokenclock.cli.compare", "two results or more: which differs, by how much, and how sure that is"),
    "sweep": ("tokenclock.cli.sweep", "starts servers, runs every point of a matrix, stops them, resumes"),
    "profile": ("tokenclock.cli.profile", "load test of a server, in the words and files of genai-perf"),
    "analyze": ("tokenclock.cli.analyze", "profile once for each point of a sweep, with checkpoint"),
    "process-export-files": (
        "tokenclock.cli.process_export_files",
        "merge what several client machines measured at the same time",
    ),
    "report": ("tokenclock.cli.report", "results as a page, a picture or Markdown; results anew from event logs"),
    "history": ("tokenclock.cli.history", "keeps results in a database: lists, trends, pages, exports"),
    "baseline": ("tokenclock.cli.baseline", "accept, show and diff what performance tests are held against"),
    "demo": ("tokenclock.cli.demo", "serve a real model, measure it, and state our own error"),
}

_OF_OTHERS = {  # commands of the tools whose words are spoken here -> why they are not
    "config": "genai-perf's YAML files are not read; give its flags to tokenclock profile",
    "create-template": "genai-perf's YAML files are not read; tokenclock profile --help shows the flags",
    "visual_gen": "pictures and videos are not generated here",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line (default: sys.argv) and return its exit code; errors are one line on stderr."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    command = _command_of(arguments)
    prefix = f"tokenclock {command}" if command in COMMANDS else "tokenclock"
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


def _command_of(arguments: list[str]) -> str | None:
    """The first word that is a command's name, where options may stand before it."""
    if arguments and not starts_with_group_option(arguments):
        return arguments[0]
    return next((word for word in arguments if word in GROUP_COMMANDS), None)


def _run(arguments: list[str]) -> int:
    group, arguments = _group_options(arguments)
    if not arguments or arguments[0] in ("-h", "--help"):
        return show("tokenclock", _overview())
    command = arguments[0]
    if command in ("-V", "--version"):
        return show("tokenclock", _version())
    if command in COMMANDS:
        run = importlib.import_module(COMMANDS[command][0]).main
        return int(run(arguments[1:], group) if command in GROUP_COMMANDS else run(arguments[1:]))
    if command == "build":  # trtllm-bench's own; no command of ours, so that no list shows it
        from tokenclock.cli.build import main as build

        return build(arguments[1:], group)
    if command in _OF_OTHERS:
        raise UsageError(f"{command} is refused: {_OF_OTHERS[command]}")
    from tokenclock.cli.arguments import did_you_mean

    nearest = did_you_mean(command, [*COMMANDS, "--help", "--version"])
    raise UsageError(f"unknown command {command}{nearest}; `tokenclock` alone lists them")


def _group_options(arguments: list[str]) -> tuple[GroupOptions, list[str]]:
    """What stands before the command, and the command with what follows it."""
    if not starts_with_group_option(arguments):
        return GroupOptions(), arguments
    group, rest = split_group_options(arguments)
    takers = f"{', '.join(GROUP_COMMANDS[:-1])} {{}} {GROUP_COMMANDS[-1]}"
    if not rest:
        raise UsageError(f"a command must follow {group.given()[-1]}: {takers.format('or')}")
    if rest[0] in COMMANDS and rest[0] not in GROUP_COMMANDS:
        raise UsageError(
            f"{group.given()[0]} must follow the command {rest[0]}; only {takers.format('and')} take it before their "
            "name"
        )
    return group, rest


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
