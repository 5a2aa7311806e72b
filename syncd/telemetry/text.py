"""How names, sizes and times are written for people; colours.

Used by the rest of `telemetry` and by `cli`. A file name is written by whoever made the file: nothing of it may move
a cursor, end a line or turn the reading direction of a terminal or a log.
"""

from __future__ import annotations

import os
from typing import TextIO

_UNITS = ("KiB", "MiB", "GiB", "TiB", "PiB")
_CODES = {"red": "31", "green": "32", "yellow": "33", "blue": "34", "cyan": "36", "dim": "2", "bold": "1"}


def printable(text: str) -> str:
    """`text` with whatever is not a visible character as a backslash escape, bytes that are no UTF-8 as \\xNN."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escaped(char) for char in text)


def encodable(text: str) -> str:
    """`text` with only the bytes that are no UTF-8 escaped: what JSON can hold."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return "".join(_escaped(char) if "\ud800" <= char <= "\udfff" else char for char in text)
    return text


def size_text(size_bytes: float) -> str:
    """ "512 B", "12.1 KiB"."""
    if size_bytes < 1024:
        return f"{size_bytes:.0f} B"
    value = float(size_bytes)
    for unit in _UNITS:
        value /= 1024
        if value < 1023.95 or unit == _UNITS[-1]:
            break
    return f"{value:.1f} {unit}"


def seconds_text(seconds: float) -> str:
    """ "0.42 s", "3m 05s", "2h 05m"."""
    if seconds < 60:
        return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h {minutes:02d}m" if hours else f"{minutes}m {rest:02d}s"


def has_colour(stream: TextIO | None) -> bool:
    """Whether colours may go there: a terminal that can, and nobody said NO_COLOR (https://no-color.org)."""
    return is_terminal(stream) and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def is_terminal(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stream.isatty()
    except ValueError:
        return False


class Paint:
    """Wraps text in a colour, or leaves it where there are none."""

    def __init__(self, *, on: bool) -> None:
        self._on = on

    def __call__(self, text: str, colour: str) -> str:
        return f"\x1b[{_CODES[colour]}m{text}\x1b[0m" if self._on else text


def _escaped(char: str) -> str:
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    return char.encode("unicode_escape", "surrogatepass").decode("ascii") if char != "\\" else char
