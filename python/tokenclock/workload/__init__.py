"""Prompts, lengths and due times, realised before a run from its plan."""

from __future__ import annotations

from tokenclock.workload.build import build_workload
from tokenclock.workload.messages import Messages, Prompt
from tokenclock.workload.realised import Workload

__all__ = ["Messages", "Prompt", "Workload", "build_workload"]
