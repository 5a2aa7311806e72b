"""The log on standard error: lines for people or JSON for machines, no secret in either.

Used by `console`. structlog is imported when the first line is written: most runs write none.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Mapping, MutableMapping
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from syncd.telemetry.text import Paint, encodable, has_colour, is_terminal, printable

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

DEBUG, INFO, WARNING, ERROR = 10, 20, 30, 40
LEVELS = {"debug": DEBUG, "info": INFO, "warning": WARNING, "error": ERROR}

_SECRET = re.compile(r"token|authorization|password|secret", re.IGNORECASE)
_BEARER = re.compile(r"(?i)\b(bearer)\s+\S+")
_COLOURS = {"debug": "dim", "info": "green", "warning": "yellow", "error": "red"}

Event = MutableMapping[str, Any]


def level_of(configured: str, more: int) -> int:
    """The level after `more` steps of -v (positive) or -q (negative)."""
    return min(max(LEVELS[configured] - 10 * more, DEBUG), ERROR)


def is_json(log_format: str, environ: Mapping[str, str] | None = None) -> bool:
    """Whether `log_format` means JSON. "auto" does where no terminal reads it but a journal or a cluster does."""
    environ = os.environ if environ is None else environ
    if log_format != "auto":
        return log_format == "json"
    collected = any(name in environ for name in ("JOURNAL_STREAM", "INVOCATION_ID", "KUBERNETES_SERVICE_HOST"))
    return collected and not is_terminal(sys.stderr)


class Log:
    """One log for the whole process. `write` takes a finished line; `level` is the least that is written."""

    def __init__(self, *, level: int, as_json: bool, write: Callable[[str], None]) -> None:
        self.level = level
        self.as_json = as_json
        self._write = write

    def event(self, level: int, event: str, fields: Mapping[str, object]) -> None:
        """Write `event` if `level` is high enough; the fields `event` and `level` cannot be among `fields`."""
        if level >= self.level:
            self._logger.log(level, event, **fields)

    @cached_property
    def _logger(self) -> FilteringBoundLogger:
        import structlog

        stamp = structlog.processors.TimeStamper(fmt="iso", utc=True)
        shape = [stamp, _to_json] if self.as_json else [_Lines(Paint(on=has_colour(sys.stderr)))]
        logger: FilteringBoundLogger = structlog.wrap_logger(
            _Lowest(self._write),
            processors=[structlog.processors.add_log_level, _redacted, *shape],
            wrapper_class=structlog.make_filtering_bound_logger(self.level),
        )
        return logger


class _Lowest:
    """What structlog hands its finished lines to, by the name of the level."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self.debug = self.info = self.warning = self.error = write


class _Lines:
    """`12:03:04 warning assets: what happened path=a/b`, the level only where it is not info."""

    def __init__(self, paint: Paint) -> None:
        self._paint = paint

    def __call__(self, _logger: object, _method: str, event: Event) -> str:
        level, text = event.pop("level"), printable(str(event.pop("event")))
        job = event.pop("job", None)
        about = f"{printable(str(job))}: " if job else ""
        told = "".join(f" {self._paint(f'{key}=', 'dim')}{_value(value)}" for key, value in event.items())
        mark = "" if level == "info" else self._paint(level, _COLOURS[level]) + " "
        return f"{self._paint(f'{datetime.now():%H:%M:%S}', 'dim')} {mark}{about}{text}{told}"


def _value(value: object) -> str:
    text = printable(str(value))
    return f'"{text}"' if " " in text or not text else text


def _redacted(_logger: object, _method: str, event: Event) -> Event:
    for key, value in event.items():
        if _SECRET.search(key):
            event[key] = "********"
        elif isinstance(value, str):
            event[key] = _BEARER.sub(r"\1 ********", value)
    return event


def _to_json(_logger: object, _method: str, event: Event) -> str:
    import json

    first = {key: event.pop(key) for key in ("timestamp", "level", "event")}
    fields = {key: encodable(value) if isinstance(value, str) else value for key, value in event.items()}
    return json.dumps({**first, **fields}, default=str)
