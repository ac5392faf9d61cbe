"""Files of the commands that show results: each is tried, and what became of it is said in one line."""

from __future__ import annotations

from collections.abc import Callable

from tokenclock.errors import TokenclockError
from tokenclock.standard_error import say_on_stderr

__all__ = ["write_output"]


def write_output(command: str, path: str, write: Callable[[], object]) -> None:
    """Call `write`, which makes the file `path`, and say so.

    Raises:
        TokenclockError: a package for drawing is not installed, or the file cannot be written.
    """
    try:
        write()
    except ImportError as error:
        raise TokenclockError(
            f"cannot draw {path}: {error.name} is not installed; pip install 'tokenclock[report]'"
        ) from error
    except OSError as error:
        raise TokenclockError(f"cannot write {path}: {error.strerror or error}") from error
    say_on_stderr(f"tokenclock {command}: written to {path}")
