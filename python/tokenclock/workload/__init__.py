"""Prompts, lengths and due times, realised before a run from its plan."""

from __future__ import annotations

from tokenclock.workload.random_workload import build_workload
from tokenclock.workload.realised import Prompt, Workload

__all__ = ["Prompt", "Workload", "build_workload"]
