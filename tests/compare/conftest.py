"""Runs written by hand, as a fixture."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.compare.hand import hand_run

from tokenclock.compare.run import Run


@pytest.fixture(scope="session")
def make_run() -> Callable[..., Run]:
    """``hand_run``."""
    return hand_run
