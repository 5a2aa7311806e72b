"""What Losant says about files, decoded, and where its records are as paths below the destination.

Used by `listing`, `losant` and `uploads`. Sends nothing.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import msgspec

from syncd.core.model import Kind, RemoteEntry, Status
from syncd.core.paths import NO_NAME, SEPARATOR, join, name_of
from syncd.errors import Rejected

COMPLETED, PENDING, LEAVING = Status.COMPLETED, Status.PENDING, Status.LEAVING
DIRECTORY, FILE = Kind.DIRECTORY, Kind.FILE
"""By names of their own because looking up an enum's member costs more than all else that is done for a record."""
STATUSES = {"completed": COMPLETED, "pending": PENDING, "moving": LEAVING, "deleting": LEAVING}
_NO_NAMES = frozenset(("", ".", ".."))
_MD5 = re.compile(r'"?([0-9a-fA-F]{32})"?').fullmatch
_PLAIN_MD5 = re.compile(r"[0-9a-f]{32}").fullmatch
_MAX_KNOWN_DIRECTORIES = 50_000


class Upload(msgspec.Struct, gc=False):
    """The form of a create or patch answer. The order of `fields` is the order in which they are sent."""

    url: str
    fields: dict[str, str]


class Record(msgspec.Struct, rename="camel", gc=False):
    """A file or directory as the API tells it; what else is in it is ignored."""

    id: str
    name: str
    parent_directory: str = "/"
    type: str = "file"
    status: str | None = None
    file_size: int | None = None
    s3etag: str | None = None
    last_updated: str | None = None
    move_into_id: str | None = None
    upload: Upload | None = None

    @property
    def leaving(self) -> bool:
        return STATUSES.get(self.status or "") is Status.LEAVING


class Located(Record, rename="camel", gc=False):
    """A record with the address of its content, which only a completed one has. Listings do without it."""

    url: str | None = None


class Page(msgspec.Struct, rename="camel", gc=False):
    """One page of a listing. What counts is how many items came, not what the server says that a page holds."""

    items: list[Record]
    total_count: int


decode_record = msgspec.json.Decoder(Record).decode
decode_located = msgspec.json.Decoder(Located).decode
decode_page = msgspec.json.Decoder(Page).decode


class Target(NamedTuple):
    """Where a path is on the remote: `parent` with its slash at the end."""

    parent: str
    name: str

    def is_of(self, record: Record) -> bool:
        return record.name == self.name and slashed(record.parent_directory) == self.parent


class _Directory(NamedTuple):
    """The key of a remote directory below the destination. `bad`: it cannot be a local directory, and the key is that
    of the nearest one above it that can."""

    key: bytes
    prefix: bytes
    bad: bool


class Place:
    """The destination directory within the application. What is in `hidden`, a directory in it, is not there."""

    def __init__(self, directory: str, *, hidden: str = "") -> None:
        self.prefix = f"/{directory}/" if directory else "/"
        self._hidden = f"{self.prefix}{hidden}/" if hidden else None
        self._known: dict[str, _Directory | None] = {}

    def directory(self, path: str) -> str:
        """The remote directory of a path that is a directory."""
        return f"{self.prefix}{path}/" if path else self.prefix

    def target(self, path: str) -> Target:
        """Where to put a path. Raises Rejected for one that JSON cannot hold."""
        try:
            path.encode()
        except UnicodeEncodeError:
            raise Rejected("the name is not UTF-8") from None
        parent, _, name = path.rpartition("/")
        return Target(self.directory(parent), name)

    def is_good(self, record: Record) -> bool:
        """Whether a local path can stand for the record."""
        entry = self.entry(record)
        return entry is not None and not name_of(entry.key).startswith(NO_NAME)

    def entry(self, record: Record) -> RemoteEntry | None:
        return next(iter(self.entries((record,))), None)

    def entries(self, records: list[Record] | tuple[Record, ...]) -> list[RemoteEntry]:
        """Those of `records` that are below the destination."""
        known, make, found = self._known, tuple.__new__, []
        for record in records:
            parent, name = record.parent_directory, record.name
            place = known[parent] if parent in known else self._learn(parent)
            if place is None:
                continue
            if place.bad or name in _NO_NAMES or "/" in name or "\0" in name:
                key = join(place.key, NO_NAME + record.id.encode())
            else:
                key = place.prefix + name.encode()
            status, kind, checksum = STATUSES.get(record.status or "", PENDING), FILE, None
            if record.type == "directory":
                kind = DIRECTORY
                status = LEAVING if status is LEAVING else COMPLETED
            elif status is COMPLETED:
                checksum = md5_of(record.s3etag)
            fields = (key, kind, record.file_size or 0, checksum, record.id, status, record.last_updated or "")
            found.append(make(RemoteEntry, fields))  # half the cost of calling the class
        return found

    def forget(self) -> None:
        """Let go of the directories that were met: a few on every page keep the memory of all that came with them."""
        self._known.clear()

    def _learn(self, parent: str) -> _Directory | None:
        if len(self._known) >= _MAX_KNOWN_DIRECTORIES:
            self._known.clear()
        self._known[parent] = place = self._locate(slashed(parent))
        return place

    def _locate(self, parent: str) -> _Directory | None:
        if not parent.startswith(self.prefix):
            return None
        if self._hidden is not None and parent.startswith(self._hidden):
            return None
        rest = parent[len(self.prefix) : -1]
        parts = rest.split("/") if rest else []
        good = []
        for part in parts:
            if part in ("", ".", "..") or "\0" in part:
                break
            good.append(part.encode())
        key = SEPARATOR.join(good)
        return _Directory(key, key + SEPARATOR if key else b"", bad=len(good) < len(parts))


def slashed(directory: str) -> str:
    """A directory as the API keeps it: a slash at both ends."""
    inner = directory.removeprefix("/").removesuffix("/")
    return f"/{inner}/" if inner else "/"


def md5_of(etag: str | None) -> str | None:
    """The md5 that an etag is, None for none and for what is no md5 (a multipart upload's has a `-N` suffix)."""
    if etag is None or _PLAIN_MD5(etag):
        return etag
    found = _MD5(etag)
    return found[1].lower() if found is not None else None
