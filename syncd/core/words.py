"""Numbers in sentences for people. Used wherever a text counts something."""

from __future__ import annotations


def count_text(count: int, noun: str) -> str:
    """ "1 file", "2 files"."""
    plural = noun[:-1] + "ies" if noun.endswith("y") else noun + "s"
    return f"{count} {noun if count == 1 else plural}"
