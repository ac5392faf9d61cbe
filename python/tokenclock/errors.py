"""The exception tree: each leaf knows the exit code its command ends with."""

from __future__ import annotations

__all__ = ["GateMissed", "MeasurementError", "TokenclockError", "UsageError"]


class TokenclockError(Exception):
    """Base of every error tokenclock raises on purpose; its text is one line for the user."""

    exit_code = 1


class MeasurementError(TokenclockError):
    """Nothing could be measured (exit code 1): server unreachable, every request failed."""

    exit_code = 1


class UsageError(TokenclockError, ValueError):
    """Wrong flags or bad input, found before the first request (exit code 2)."""

    exit_code = 2


class GateMissed(TokenclockError):
    """Measured, but a named gate was missed (exit code 3): failure share, SLO, --strict quality."""

    exit_code = 3
