"""How Privasfer, which has no directories, keeps a path: as one name, from which the path can be read back.

Used by `privasfer`; pure. The rule is that of rclone's encoder (its documentation, "Restricted filenames"), for the
slash: it is written as its full-width twin, a literal twin is quoted, and so is a literal quotation mark; the symbol
for NUL too, which rclone would read as NUL. So names written by either can be read by the other.
"""

from __future__ import annotations

import re
from itertools import takewhile

from syncd.core.model import Kind, RemoteEntry, Status
from syncd.core.paths import NO_NAME, join, key_of
from syncd.errors import NotMade
from syncd.remotes.privasfer_api import Record

SLASH = "\uff0f"
QUOTE = "\u201b"
NUL = "\u2400"

MAX_CHARS = 255
"""No source tells how long a name may be: this is how long a text column is in Laravel, which Privasfer is made with,
unless somebody says otherwise. If it is less, the remote refuses the name (422) and the path fails with its words."""

_SPECIAL = re.compile(f"[/{SLASH}{QUOTE}{NUL}]")
_KEPT = re.compile(f"{QUOTE}([{SLASH}{QUOTE}{NUL}])|{SLASH}|{NUL}")
_READ = {SLASH: "/", NUL: "\0"}
_UNSENDABLE = re.compile("[\r\n\0]")


def kept_name(path: str) -> str:
    return _SPECIAL.sub(lambda found: SLASH if found[0] == "/" else QUOTE + found[0], path)


def path_of_name(name: str) -> str:
    """The inverse of `kept_name`. A quotation mark before anything else stands for itself."""
    return _KEPT.sub(lambda found: found[1] or _READ[found[0]], name)


class Names:
    """The names below one destination directory, which is a prefix of them."""

    def __init__(self, directory: str) -> None:
        self._prefix = f"{directory}/" if directory else ""

    def of(self, path: str) -> str:
        """The name under which a path is kept. Raises NotMade for one that it cannot have."""
        try:
            path.encode()
        except UnicodeEncodeError:
            raise NotMade("the name is not UTF-8") from None
        name = kept_name(self._prefix + path)
        if len(name) > MAX_CHARS:
            raise NotMade(
                f"with its directories its name has {len(name)} characters on the remote, which takes {MAX_CHARS}"
            )
        if _UNSENDABLE.search(name):
            raise NotMade("its name has a line end, which an upload cannot carry")
        return name

    def entry(self, record: Record) -> RemoteEntry | None:
        """The record as what is at a path below the destination; None if it is elsewhere, or in the trash."""
        path = path_of_name(record.full_filename)
        if record.trashed or not path.startswith(self._prefix):
            return None
        parts = path[len(self._prefix) :].split("/")
        good = list(takewhile(_may_be_local, parts))
        key = key_of("/".join(good))
        if len(good) < len(parts):
            key = join(key, NO_NAME + record.id.encode())
        return RemoteEntry(key, Kind.FILE, record.size, None, record.id, Status.COMPLETED, record.created_at)


def _may_be_local(part: str) -> bool:
    return part not in ("", ".", "..") and "\0" not in part
