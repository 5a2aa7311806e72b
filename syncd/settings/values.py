"""The little languages inside settings: durations, sizes, names, limits, destinations.

Called by `schema` to check and by `resolve` to convert. Every function raises ValueError whose text says what is
allowed and never holds the value, which may be secret or long. Reads no file and no variable.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from syncd.core.bandwidth import Change, Timetable
from syncd.core.filters import Filter
from syncd.core.model import MaxDelete
from syncd.errors import ConfigurationError

COMMANDS = frozenset(
    {"apply", "approve", "check", "config", "history", "init", "ls", "pause", "plan", "pull"}
    | {"rescan", "restore", "resume", "sandbox", "status", "wait", "why"}
)
"""Words that mean something as the first word of a command line, now or later: no job or remote is called so."""

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES = {"": 1, "K": 1000, "M": 1000**2, "G": 1000**3, "KI": 1024, "MI": 1024**2, "GI": 1024**3}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+")
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_RATE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMG]I?|)B?/S", re.IGNORECASE)
_CLOCK = re.compile(r"(?:[01]\d|2[0-3]):[0-5]\d")
_NAME = re.compile(r"[a-z0-9_]+")
_APPLICATION = re.compile(r"[A-Za-z0-9_-]+")
_PERCENT = re.compile(r"(\d{1,3}(?:\.\d+)?)\s*%")
_URL_KINDS = ("losant", "losant-private", "privasfer", "sandbox")


def parse_duration(text: str) -> float:
    """Seconds of "500ms", "5m", "1h30m", "30d", "0"."""
    if text == "0":
        return 0.0
    if not _DURATION.fullmatch(text):
        raise ValueError('must be a number with its unit (ms, s, m, h, d), such as "500ms" or "1h30m"')
    return sum(float(number) * _SECONDS[unit] for number, unit in _DURATION_PART.findall(text))


def parse_rate(text: str) -> float:
    """Bytes a second of "10MiB/s", "500KB/s"; "off" is no limit, infinity."""
    if text == "off":
        return float("inf")
    match = _RATE.fullmatch(text)
    if not match or float(match[1]) == 0:
        raise ValueError('must be a rate such as "10MiB/s", or a timetable such as "08:00,2MiB/s 19:00,off"')
    return float(match[1]) * _BYTES[match[2].upper()]


def parse_bandwidth(text: str) -> Timetable:
    """A rate, or a timetable of `HH:MM,RATE`; "" is no limit."""
    words = text.split()
    if len(words) == 1 and "," not in text:
        return Timetable((Change(0, parse_rate(text)),))
    changes = {}
    for word in words:
        clock, comma, rate = word.partition(",")
        if not comma:
            raise ValueError('must be one rate, or a timetable such as "08:00,2MiB/s 19:00,off"')
        if not _CLOCK.fullmatch(clock):
            raise ValueError('must have times from 00:00 to 23:59, such as "08:00,2MiB/s 19:00,off"')
        minute = int(clock[:2]) * 60 + int(clock[3:])
        if minute in changes:
            raise ValueError(f"must have each time once, and has {clock} twice")
        changes[minute] = Change(minute, parse_rate(rate))
    return Timetable(tuple(changes[minute] for minute in sorted(changes)))


def parse_max_delete(text: str) -> MaxDelete:
    """The limit of "25%", "100%", "0", "40"."""
    if text.isdecimal():
        return MaxDelete(count=int(text), percent=None)
    match = _PERCENT.fullmatch(text)
    if not match or float(match[1]) > 100:
        raise ValueError('must be a number of files, or a percentage from "0%" to "100%" ("100%": no guard)')
    return MaxDelete(count=None, percent=float(match[1]))


def parse_pattern(text: str) -> Filter:
    """One gitignore pattern."""
    try:
        return Filter(exclude=[text])
    except ConfigurationError:
        raise ValueError(
            'must be a gitignore pattern that can match something, such as "*.tmp", ".git/" or "\\\\#*"'
        ) from None


def check_name(text: str) -> str:
    """The name of a job or of a remote."""
    if not _NAME.fullmatch(text):
        raise ValueError("must be made of a-z, 0-9 and _")
    if text in COMMANDS:
        raise ValueError("is the name of a command: choose another")
    return text


def check_application_id(text: str) -> str:
    if not _APPLICATION.fullmatch(text):
        raise ValueError("must be the application's id, such as 575ec8687ae143cd83dc4a97")
    return text


def check_api_url(text: str) -> str:
    """An http(s) address without credentials, query or trailing slash."""
    try:
        parts = urlsplit(text)
        known = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        bare = not parts.query and not parts.fragment and parts.username is None
    except ValueError:
        known = bare = False
    if not known or not bare or not text.isprintable():
        raise ValueError('must be an address such as "https://api.losant.com", without credentials or query')
    return text.rstrip("/")


def check_listen(text: str) -> str:
    """ADDRESS:PORT, or :PORT for every address; "" is off."""
    _, colon, port = text.rpartition(":")
    if text and not (colon and port.isascii() and port.isdecimal() and int(port) < 65536):
        raise ValueError('must be ADDRESS:PORT, such as "127.0.0.1:9393" or "[::1]:9393", or ":9393" for every address')
    return text


def parse_directory(text: str) -> str:
    """A directory of a remote without its outer slashes: "" for the root, else "a/b"."""
    parts = [part for part in text.split("/") if part]
    if any(part in (".", "..") for part in parts) or "\0" in text:
        raise ValueError('must be a directory such as "/assets", without "." and ".." in it')
    return "/".join(parts)


@dataclass(frozen=True, slots=True)
class Destination:
    """REMOTE:/directory (`remote` set) or a URL (`kind` set). `directory` as of `parse_directory`."""

    directory: str
    remote: str | None = None
    kind: str | None = None
    application_id: str | None = None


def parse_destination(text: str) -> Destination:
    """Of `prod:/assets`, `losant://APP/dir`, `losant-private://APP/dir`, `privasfer:///dir` or `sandbox:/dir`."""
    scheme, colon, rest = text.partition(":")
    if not colon or not scheme:
        raise ValueError("must be REMOTE:/directory, losant://APPLICATION_ID/dir, privasfer:///dir or sandbox:/dir")
    if scheme == "sandbox":
        return Destination(directory=parse_directory(rest), kind=scheme)
    if not rest.startswith("//"):
        if not _NAME.fullmatch(scheme):
            raise ValueError("must begin with a remote's name, made of a-z, 0-9 and _, and a colon")
        return Destination(directory=parse_directory(rest), remote=scheme)
    if scheme not in _URL_KINDS:
        raise ValueError(f"must begin with one of {', '.join(f'{kind}:' for kind in _URL_KINDS)} or a remote's name")
    account, _, directory = rest[2:].partition("/")
    if scheme == "privasfer":
        if account:
            raise ValueError("must be privasfer:///dir, with three slashes")
        return Destination(directory=parse_directory(directory), kind=scheme)
    return Destination(directory=parse_directory(directory), kind=scheme, application_id=check_application_id(account))
