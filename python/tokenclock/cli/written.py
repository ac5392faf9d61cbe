"""Files of the commands that show results: their places are checked first, then each is tried and told in one line."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Mapping

from tokenclock.errors import TokenclockError, UsageError
from tokenclock.standard_error import say_on_stderr

__all__ = ["check_places", "write_output"]

_DRAWN_BY = {"png": "matplotlib", "html": "plotly"}


def check_places(paths: Mapping[str, str | None]) -> None:
    """Whether each file can be written, before any work is done for it.

    Args:
        paths: name of the flag, without dashes -> file; None: not asked for.

    Raises:
        UsageError: no such directory, one that cannot be written to, no regular file, or two flags name one file.
        TokenclockError: a package for drawing is not installed.
    """
    from tokenclock.output_place import usable_file

    flag_of: dict[str, str] = {}
    for name, path in paths.items():
        if path is None:
            continue
        usable_file(path, f"--{name}")
        target = os.path.realpath(path)
        if target in flag_of:
            raise UsageError(f"--{flag_of[target]} and --{name} name the same file, {path}: give each its own")
        flag_of[target] = name
    for name, package in _DRAWN_BY.items():
        if paths.get(name) is not None and importlib.util.find_spec(package) is None:
            raise _not_installed(str(paths[name]), package)


def write_output(command: str, path: str, write: Callable[[], object]) -> None:
    """Call `write`, which makes the file `path`, and say so.

    Raises:
        TokenclockError: a package for drawing is not installed, or the file cannot be written.
    """
    try:
        write()
    except ImportError as error:
        raise _not_installed(path, error.name) from error
    except OSError as error:
        raise TokenclockError(f"cannot write {path}: {error.strerror or error}") from error
    say_on_stderr(f"tokenclock {command}: written to {path}")


def _not_installed(path: str, package: str | None) -> TokenclockError:
    return TokenclockError(f"cannot draw {path}: {package} is not installed; pip install 'tokenclock[report]'")
