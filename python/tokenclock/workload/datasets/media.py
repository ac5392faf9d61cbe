"""Pictures that a row of a dataset names by their files: sent inside the request, as their bytes are."""

from __future__ import annotations

import base64
import mimetypes
from pathlib import Path
from typing import Any

from tokenclock.workload.datasets.reading import fault
from tokenclock.workload.messages import Messages

__all__ = ["picture_message"]


def picture_message(path: str, line: int, text: str, media: Any) -> Messages:
    """A user message of a text and the pictures of `media`, paths as they stand or beside the dataset.

    Raises UsageError with the line for a file that is missing or is no picture.
    """
    if not isinstance(media, list) or not all(isinstance(name, str) and name for name in media):
        raise fault(path, line, f"media_paths must be a list of paths, got {str(media)[:60]}")
    parts: list[dict[str, Any]] = [{"type": "text", "text": text}]
    for name in media:
        kind = mimetypes.guess_type(name)[0] or ""
        if not kind.startswith("image/"):
            raise fault(path, line, f"media_paths must name pictures (.jpg, .png, ...), got {name[:80]}")
        file = Path(name)
        if not file.is_file() and not file.is_absolute():
            file = Path(path).parent / name
        try:
            data = base64.b64encode(file.read_bytes()).decode("ascii")
        except OSError as error:
            raise fault(path, line, f"media_paths: {name[:80]} cannot be read ({error.strerror or error})") from error
        parts.append({"type": "image_url", "image_url": {"url": f"data:{kind};base64,{data}"}})
    return Messages.of([{"role": "user", "content": parts}])
