"""Which paths a job looks at: gitignore patterns, decided on paths alone. Pure.

Owned here: what include and exclude mean together. Called by `local` for every entry of a scan, and for paths that only
the remote or the baseline has. Never touches a disk: the lines of an ignore file are handed in as text.

A pattern is matched as git does: at every level of a path the last pattern that matches that level decides. Excluded
is final, nothing below an excluded directory can be had back with `!`. Included is inherited downward until a negated
include pattern says otherwise, so `["docs/", "!docs/drafts/"]` is what it looks like.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from syncd.errors import ConfigurationError

NEWLINE_STAND_IN = "\0"
"""Takes the place of a newline in names, which `.` and `$` of a pattern's expression would trip over."""


class Rule(NamedTuple):
    text: str
    regex: re.Pattern[str]
    negated: bool
    directory_only: bool
    by_name: bool


class Reason(NamedTuple):
    """Why a path is left out: an exclude pattern and what it matched, the path or a directory above it; without a
    pattern, no include pattern matches."""

    pattern: str | None
    path: str


class Filter:
    """wanted = (no include, or one include pattern matches the path or a parent) and no exclude pattern matches.

    Raises ConfigurationError, naming the pattern, for one that is invalid or could never match anything.
    """

    def __init__(self, include: Sequence[str] = (), exclude: Sequence[str] = ()) -> None:
        self.patterns = (tuple(include), tuple(exclude))
        self._include = _rules(include)
        self._exclude = _rules(exclude)
        self.included_at_root = not self._include
        self.active = bool(self._include or self._exclude)

    def step(self, path: str, *, directory: bool, included: bool) -> bool | None:
        """One level down, to `path`, whose parent is not excluded and had the verdict `included`.

        Returns None for excluded (with everything below), else whether the path itself is wanted: a directory that is
        not may still hold what is.
        """
        subject = path.replace("\n", NEWLINE_STAND_IN)
        if self._exclude:
            excluding = _deciding(self._exclude, subject, directory=directory)
            if excluding is not None and not excluding.negated:
                return None
        including = _deciding(self._include, subject, directory=directory) if self._include else None
        return included if including is None else not including.negated

    def wants(self, path: str, *, directory: bool) -> bool:
        """The same verdict for a path alone, its parents looked at from the top."""
        return bool(self._verdict(path, directory=directory))

    def excludes(self, path: str, *, directory: bool) -> bool:
        """Whether an exclude pattern matches the path or a directory above it."""
        return self._verdict(path, directory=directory) is None

    def reason(self, path: str, *, directory: bool) -> Reason | None:
        """Why the path is left out; None where it is wanted."""
        if self.wants(path, directory=directory):
            return None
        ends = [at for at, char in enumerate(path) if char == "/"]
        levels = [(path[:end], True) for end in ends] + [(path, directory)]
        for level, is_directory in levels:
            rule = _deciding(self._exclude, level.replace("\n", NEWLINE_STAND_IN), directory=is_directory)
            if rule is not None and not rule.negated:
                return Reason(rule.text, level)
        return Reason(None, path)

    def _verdict(self, path: str, *, directory: bool) -> bool | None:
        included = self.included_at_root
        end = path.find("/")
        while end >= 0:
            below = self.step(path[:end], directory=True, included=included)
            if below is None:
                return None
            included = below
            end = path.find("/", end + 1)
        return self.step(path, directory=directory, included=included)


def ignore_lines(text: str) -> list[str]:
    """The patterns of an ignore file: comments and blank lines gone."""
    return [line for line in text.removeprefix("\ufeff").splitlines() if line.strip() and not line.startswith("#")]


def _rules(patterns: Iterable[str]) -> tuple[Rule, ...]:
    """The last pattern first: the first that matches decides."""
    return tuple(_rule(pattern) for pattern in patterns)[::-1]


def _rule(pattern: str) -> Rule:
    line = pattern if pattern.endswith("\\ ") else pattern.rstrip()
    if line.startswith("#"):
        raise ConfigurationError(f"the pattern {pattern!r} is a comment in gitignore syntax: begin it with \\#")
    directory_only = line.endswith("/")
    line = line.removesuffix("/")
    if not line.removeprefix("!"):
        raise ConfigurationError(f"the pattern {pattern!r} matches nothing")
    regex, included = _compiled(pattern, line.replace("\n", NEWLINE_STAND_IN))
    by_name = "/" not in line
    return Rule(pattern, regex, negated=not included, directory_only=directory_only, by_name=by_name)


def _compiled(pattern: str, line: str) -> tuple[re.Pattern[str], bool]:
    """What pathspec makes of one line. It drops silently what git would: a person should hear of it instead."""
    from pathspec import GitIgnoreSpec  # 15 ms that a job without patterns does not pay

    try:
        with warnings.catch_warnings(action="error", category=FutureWarning):
            compiled = GitIgnoreSpec.from_lines([line]).patterns[0]
    except (ValueError, re.error, FutureWarning) as error:
        raise ConfigurationError(f"the pattern {pattern!r} is not a valid gitignore pattern: {error}") from error
    if compiled.regex is None or compiled.include is None:
        raise ConfigurationError(f"the pattern {pattern!r} is not a valid gitignore pattern")
    return compiled.regex, compiled.include


def _deciding(rules: tuple[Rule, ...], path: str, *, directory: bool) -> Rule | None:
    """The last rule that matches this very level, None if none does.

    pathspec's expressions match what is below a match, too, and mark that by a named group: what a parent matched was
    decided a level above.
    """
    name = path[path.rfind("/") + 1 :]
    for rule in rules:
        if rule.directory_only and not directory:
            continue
        match = rule.regex.search(name if rule.by_name else path)
        if match is not None and match.lastgroup is None:
            return rule
    return None
