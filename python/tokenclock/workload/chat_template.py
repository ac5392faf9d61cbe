"""The chat template in a tokenizer's directory: turns messages into the text a server would make of them."""

from __future__ import annotations

import importlib
import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

from tokenclock.errors import UsageError

__all__ = ["ChatTemplate", "find_template"]


def find_template(directory: str | None) -> ChatTemplate | None:
    """The template that lies in a tokenizer's directory, in any of the places where one is kept; None without."""
    if directory is None:
        return None
    config = _json(Path(directory) / "tokenizer_config.json")
    text = _template_text(Path(directory), config)
    return None if text is None else ChatTemplate(directory, text, config)


def _template_text(directory: Path, config: dict[str, Any]) -> str | None:
    own_file = directory / "chat_template.jinja"
    if own_file.is_file():
        return own_file.read_text(encoding="utf-8")
    found = config.get("chat_template") or _json(directory / "chat_template.json").get("chat_template")
    if isinstance(found, list):  # several by name
        found = next((item.get("template") for item in found if item.get("name") == "default"), None)
    return found if isinstance(found, str) else None


def _json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UsageError(f"{path} is not JSON; fetch the tokenizer again") from error
    return value if isinstance(value, dict) else {}


class ChatTemplate:
    """One template, ready to render."""

    def __init__(self, directory: str, text: str, config: dict[str, Any]) -> None:
        """Raises UsageError where jinja2 is missing or the template is none."""
        self._directory = directory
        self._tokens = {name: _token(config.get(name)) for name in ("bos_token", "eos_token", "unk_token", "pad_token")}
        try:
            sandbox: Any = importlib.import_module("jinja2.sandbox")
        except ImportError as error:
            raise UsageError(
                f"the chat template in {directory} needs the jinja2 package: pip install 'tokenclock[serving]', "
                "or leave it out with --skip-chat-template"
            ) from error
        environment = sandbox.ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
        )
        environment.filters["tojson"] = _to_json
        environment.globals |= {"raise_exception": _refuse, "strftime_now": _now}
        try:
            self._template = environment.from_string(text)
        except Exception as error:  # what it raises depends on what it meets
            raise self._broken(error) from error

    @property
    def bos(self) -> str:
        """The text of the begin-of-text token, empty where there is none."""
        return self._tokens["bos_token"]

    def render(self, messages: Sequence[dict[str, Any]]) -> str:
        """The text of these messages, ready for the answer. Raises UsageError where the template refuses them."""
        try:
            text: str = self._template.render(messages=messages, add_generation_prompt=True, **self._tokens)
        except Exception as error:  # templates run code of their own
            raise self._broken(error) from error
        return text

    def _broken(self, error: Exception) -> UsageError:
        reason = " ".join(str(error).split()) or type(error).__name__
        return UsageError(f"the chat template in {self._directory}: {reason}; leave it out with --skip-chat-template")


def _token(value: Any) -> str:
    content = value.get("content") if isinstance(value, dict) else value
    return content if isinstance(content, str) else ""


def _to_json(value: Any, indent: int | None = None, **_: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _refuse(message: str) -> NoReturn:
    raise ValueError(message)


def _now(pattern: str) -> str:
    return datetime.now().strftime(pattern)
