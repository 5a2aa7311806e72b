"""Where each remote's token is, and how it is read when it is needed.

Called by `resolve` and, without reading anything, by `show`. A token never appears in a message. Read anew at each
use, so that a rotated file or a swapped Kubernetes secret is seen without a restart.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from syncd.errors import ConfigurationError
from syncd.settings.load import Loaded

_MAX_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Token:
    """A token's whereabouts. `where` is for people: a key with its origin, a path, a variable."""

    where: str
    file: Path | None
    read: Callable[[], str]


def tokens_of(loaded: Loaded) -> dict[str, Token]:
    """The token of each remote that has one. Raises ConfigurationError if $SYNCD_TOKEN could be meant for several."""
    found: dict[str, Token] = {}
    lacking: list[str] = []
    for name, remote in loaded.settings.remotes.items():
        token = _configured(loaded, name) or _mounted(name)
        if token is not None:
            found[name] = token
        elif remote.kind != "sandbox":
            lacking.append(name)
    if (token := from_environment()) and lacking:
        if len(lacking) > 1:
            listed = ", ".join(lacking)
            raise ConfigurationError(f"$SYNCD_TOKEN could be meant for any of the remotes without a token: {listed}")
        found[lacking[0]] = token
    return found


def from_environment() -> Token | None:
    text = os.environ.get("SYNCD_TOKEN", "")
    return of_text(text, "$SYNCD_TOKEN") if text.strip() else None


def of_text(text: str, where: str) -> Token:
    return Token(where, None, lambda: _checked(text, where))


def of_file(path: Path) -> Token:
    """A pipe (such as a shell's process substitution) gives its content only once: it is kept."""
    kept: list[str] = []

    def read() -> str:
        if kept:
            return kept[0]
        text, lasting = _read(path)
        token = _checked(text, str(path))
        if not lasting:
            kept.append(token)
        return token

    return Token(str(path), path, read)


def _configured(loaded: Loaded, name: str) -> Token | None:
    """`token` or `token_file`; where both are given, the one from the later of file, environment and option."""
    remote = loaded.settings.remotes[name]
    text, file = loaded.origin("remotes", name, "token"), loaded.origin("remotes", name, "token_file")
    if text and file and text.rank == file.rank:
        raise ConfigurationError(f"remotes.{name}: has both token ({text.text}) and token_file ({file.text}): give one")
    if remote.token_file is not None and file and (text is None or file.rank > text.rank):
        return of_file(loaded.path(remote.token_file, "remotes", name, "token_file"))
    if remote.token is not None and text:
        return of_text(remote.token.get_secret_value(), f"remotes.{name}.token ({text.text})")
    return None


def _mounted(name: str) -> Token | None:
    """A credential of systemd (LoadCredential=REMOTE.token) or a container's secret."""
    credentials = os.environ.get("CREDENTIALS_DIRECTORY")
    places = [Path(credentials) / f"{name}.token"] if credentials else []
    places.append(Path("/run/secrets") / f"syncd_{name}_token")
    return next((of_file(path) for path in places if _is_there(path)), None)


def _is_there(path: Path) -> bool:
    try:
        path.stat()
    except OSError:
        return False
    return True


def _read(path: Path) -> tuple[str, bool]:
    """The file's text, and whether it can be read again."""
    try:
        with path.open("rb") as file:
            lasting = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
            data = file.read(_MAX_BYTES)
    except OSError as error:
        raise ConfigurationError(f"the token file {path} cannot be read: {error.strerror}") from None
    return data.decode("utf-8", "replace"), lasting


def _checked(text: str, where: str) -> str:
    token = text.strip()
    if not token:
        raise ConfigurationError(f"the token of {where} is empty")
    if not token.isascii() or not token.isprintable() or " " in token:
        raise ConfigurationError(f"{where} does not hold a token: there are blanks or other characters that none has")
    return token
