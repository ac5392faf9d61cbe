"""LoRA adapters of a case: linked into its folder as `loras/0`, `loras/1` ..., as many as its label says."""

from __future__ import annotations

from pathlib import Path

from tokenclock.errors import UsageError

__all__ = ["adapters_in", "link_adapters"]


def adapters_in(source: Path | None, n: int) -> list[Path]:
    """The adapters below `source`, in order of name.

    Args:
        source: holds one directory an adapter; None: none was named.
        n: of the label.

    Raises:
        UsageError: there are not exactly `n`.
    """
    if source is None:
        raise UsageError(f"the label asks for {n} LoRA adapters: name the directory that holds them (--perf-lora-dir)")
    try:
        found = sorted((entry for entry in source.iterdir() if entry.is_dir()), key=_in_order)
    except OSError as error:
        raise UsageError(f"cannot read the LoRA adapters in {source}: {error.strerror or error}") from error
    if len(found) != n:
        raise UsageError(f"the label asks for {n} LoRA adapters, and {source} holds {len(found)} directories")
    return found


def link_adapters(source: Path | None, n: int, folder: Path) -> list[str]:
    """Link the adapters below `source`, in order of name, and return the links.

    Args:
        source, n: as of `adapters_in`.
        folder: of the case.

    Raises:
        UsageError: there are not exactly `n`, or they cannot be linked.
    """
    found = adapters_in(source, n)
    links = folder / "loras"
    try:
        links.mkdir(parents=True, exist_ok=True)
        for index, adapter in enumerate(found):
            link = links / str(index)
            link.unlink(missing_ok=True)
            link.symlink_to(adapter.resolve(), target_is_directory=True)
    except OSError as error:
        raise UsageError(f"cannot link LoRA adapters into {links}: {error.strerror or error}") from error
    return [str(links / str(index)) for index in range(n)]


def _in_order(path: Path) -> tuple[int, str]:
    """Numbers by their value, names after them."""
    return (int(path.name), "") if path.name.isascii() and path.name.isdigit() else (1 << 62, path.name)
