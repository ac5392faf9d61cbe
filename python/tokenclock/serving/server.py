"""What a server says about itself before a run: its models and the size of their vocabulary."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tokenclock.plan import ServingPlan
from tokenclock.serving.ask import ask

__all__ = ["ServerModels", "ask_models", "models_path"]


@dataclass(frozen=True)
class ServerModels:
    """The answer of `/v1/models`, or why there is none."""

    names: tuple[str, ...] = ()
    n_vocab: int | None = None  # vocabulary size of the asked model, where the server tells
    problem: str | None = None  # why nothing is known; a server need not have this page
    is_up: bool = True  # it answered, and not that it is still starting (502, 503, 504); a bad certificate is an answer

    def note_on(self, model: str) -> str | None:
        """What to say when `model` is not among the names (by their last path part); some servers answer to any."""
        if not self.names or _last_part(model) in map(_last_part, self.names):
            return None
        shown = ", ".join(self.names[:3]) + (", ..." if len(self.names) > 3 else "")
        return f"the server lists {shown} and not {model}: what answers may be another model; check --model"


def _last_part(name: str) -> str:
    return name.rstrip("/").rpartition("/")[2]


def models_path(path: str) -> str:
    """The path of the model list beside a completions path: `/v1/chat/completions` -> `/v1/models`."""
    path = path.partition("?")[0].rstrip("/")
    for ending in ("/chat/completions", "/completions"):
        if path.endswith(ending):
            return path[: -len(ending)] + "/models"
    return "/v1/models"


def ask_models(plan: ServingPlan, *, timeout_s: float = 2.0) -> ServerModels:
    """Ask the server for its models, once, past any proxy; every failure becomes `problem`, none is raised.

    timeout_s: longest time for the whole answer.
    """
    answer = ask(plan, "GET", models_path(plan.endpoint.path), timeout_s=timeout_s)
    if not answer.ok:
        return ServerModels(problem=answer.problem, is_up=answer.distrusted or answer.status not in (0, 502, 503, 504))
    found = answer.json()
    if found is None:
        return ServerModels(problem="the answer is not JSON")
    return _read_models(found, plan.endpoint.body_model)


def _read_models(answer: Any, model: str) -> ServerModels:
    """Pick names and the vocabulary size out of any shape of answer; unknown shapes give nothing."""
    entries = answer.get("data") if isinstance(answer, dict) else None
    entries = [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
    if not entries:
        return ServerModels(problem="the answer lists no models")
    names = tuple(entry["id"] for entry in entries if isinstance(entry.get("id"), str))
    chosen = next((entry for entry in entries if entry.get("id") == model), entries[0])
    meta = chosen.get("meta")
    candidates = [holder.get(key) for holder in (chosen, meta if isinstance(meta, dict) else {})
                  for key in ("n_vocab", "vocab_size")]  # fmt: skip
    sizes = [size for size in candidates if isinstance(size, int) and not isinstance(size, bool) and size > 0]
    return ServerModels(names, sizes[0] if sizes else None)
