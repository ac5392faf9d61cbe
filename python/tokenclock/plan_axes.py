"""The axes of an offline sweep as people type them: ``"1;8;64"`` and ``"128,20;512,64"``."""

from __future__ import annotations

import re

from tokenclock.errors import UsageError
from tokenclock.plan_checks import LONGEST, shown

__all__ = ["MOST_ROWS", "parse_ints", "parse_pairs", "parse_shares"]

MOST_ROWS = 1 << 20
"""Rows of a batch: above what any device holds, and far from where 32-bit columns end."""


def parse_ints(flag: str, text: str, *, unit: str, highest: int = LONGEST) -> tuple[int, ...]:
    """``"1;8;64"`` -> (1, 8, 64); blanks around numbers do no harm.

    Args:
        flag: named in messages.
        unit: what is counted, for messages: ``rows``, ``tokens``.
        highest: largest number that is taken.

    Raises:
        UsageError: an empty piece, or anything but whole numbers in 1..highest.
    """
    return tuple(_whole(flag, piece, unit, highest) for piece in _pieces(flag, text, "8 or 1;8;64"))


def parse_pairs(flag: str, text: str) -> tuple[tuple[int, int], ...]:
    """``"128,20;512,64"`` -> ((128, 20), (512, 64)): input and output length in tokens.

    Raises:
        UsageError: an empty piece, a piece without exactly two numbers, or numbers that are no lengths.
    """
    pairs = []
    for piece in _pieces(flag, text, "128,20 or 60,20;128,20"):
        numbers = piece.split(",")
        if len(numbers) != 2:
            what = "one number" if len(numbers) == 1 else f"{len(numbers)} numbers"
            raise UsageError(
                f"{flag} must be pairs of input and output length such as 128,20;512,64, got {what} in {shown(piece)}"
            )
        pairs.append((_whole(flag, numbers[0], "tokens", LONGEST), _whole(flag, numbers[1], "tokens", LONGEST)))
    return tuple(pairs)


def parse_shares(flag: str, text: str) -> tuple[float, ...]:
    """``"1.0;0.5"`` -> (1.0, 0.5): shares in [0, 1].

    Raises:
        UsageError: an empty piece, or anything but numbers in [0, 1].
    """
    shares = []
    for piece in _pieces(flag, text, "1.0 or 0.5;1.0"):
        try:
            share = float(piece)
        except ValueError:
            share = -1.0
        if not 0 <= share <= 1:  # NaN too
            raise UsageError(f"{flag} must be shares in [0, 1] with ; between, got {shown(piece.strip())}")
        shares.append(share)
    return tuple(shares)


def _pieces(flag: str, text: str, example: str) -> list[str]:
    pieces = text.split(";")
    if any(not piece.strip() for piece in pieces):
        where = "nothing" if not text.strip() else f"an empty piece in '{shown(text)}'"
        raise UsageError(f"{flag} must be numbers with ; between, such as {example}, got {where}; quote the list")
    return pieces


def _whole(flag: str, text: str, unit: str, highest: int) -> int:
    if not re.fullmatch(r"\s*[0-9]{1,18}\s*", text) or not 1 <= int(text) <= highest:
        raise UsageError(f"{flag} must be whole numbers of {unit} from 1 to {highest}, got {shown(text.strip())}")
    return int(text)
