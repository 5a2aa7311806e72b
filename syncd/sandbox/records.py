"""The record of a file or directory, the rules for its name, and its JSON.

`catalog` indexes records, `library` changes them, `store` keeps them. Nothing here does I/O.
"""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import quote

import msgspec

from syncd.sandbox.errors import malformed
from syncd.sandbox.knobs import NameRule

Kind = Literal["files", "privateFiles", "privasfer"]
Status = Literal["pending", "moving", "deleting", "completed"]
Type = Literal["file", "directory"]

LONGEST_NAME = 1024
AUTHOR_ID = "575ed70c7ae143cd83dc4aa9"
BUCKETS: dict[str, Kind] = {"files.sandbox": "files", "private-files.sandbox": "privateFiles"}
BUCKET_OF_KIND: dict[Kind, str] = {kind: bucket for bucket, kind in BUCKETS.items()}
_ONE: dict[Kind, str] = {"files": "file", "privateFiles": "privateFiles"}
_TYPE: dict[Kind, str] = {"files": "file", "privateFiles": "privateFile"}


class Content(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The stored bytes of a file: where they are and what they are."""

    number: int
    size_bytes: int
    md5: str


class Record(msgspec.Struct, kw_only=True, omit_defaults=True, eq=False, gc=False):
    """A file or directory as the API knows it, and what the sandbox needs to know besides.

    A Privasfer file is directly in the directory `/`, and `deleting` once it is in the trash.

    `content` is what the storage holds now; `size_bytes` and `etag` are what the record says, which follows later.
    `awaiting_completion`: an upload has ended and the record does not show it yet.
    `key` is the name of its object in the storage. `sequence` counts records in the order of their making.
    """

    sequence: int
    id: str
    application: str
    kind: Kind
    type: Type
    status: Status
    name: str
    directory: str
    key: str
    created: str
    updated: str
    size_bytes: int | None = None
    etag: str | None = None
    content_type: str | None = None
    dimensions: dict[str, Any] | None = None
    move_into: str | None = None
    content: Content | None = None
    awaiting_completion: bool = False
    listed_from: float = 0.0

    @property
    def path(self) -> str:
        """The whole path, without a trailing slash."""
        return self.directory + self.name

    @property
    def lingers(self) -> bool:
        """Whether the record is only the rest of something moved or deleted."""
        return self.status in ("moving", "deleting")


def timestamp(seconds: float) -> str:
    """A time as the API writes it, such as `2016-06-13T04:00:00.000Z`."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def clean_name(name: str, rule: NameRule) -> str:
    """The name as the server keeps it.

    Raises:
        Refusal: 400 for a name that is empty, too long or has a NUL.
    """
    if rule == "trim":
        name = name.strip()
    elif rule == "nfc":
        name = unicodedata.normalize("NFC", name)
    if not 1 <= len(name) <= LONGEST_NAME:
        raise malformed(f"name must have 1 to {LONGEST_NAME} characters")
    if "\0" in name:
        raise malformed("name must not have a NUL")
    return name


def clean_directory(directory: str, rule: NameRule) -> str:
    """The directory as the server keeps it: with a slash at both ends.

    Raises:
        Refusal: 400 for one that is too long or has a segment that cannot be a name.
    """
    if directory in ("", "/"):
        return "/"
    if len(directory) > LONGEST_NAME:
        raise malformed(f"parentDirectory must have at most {LONGEST_NAME} characters")
    segments = [segment_name(part, rule) for part in directory.split("/") if part]
    return "/" + "".join(f"{segment}/" for segment in segments)


def segment_name(part: str, rule: NameRule) -> str:
    """One part of a path as the server keeps it.

    Raises:
        Refusal: 400 for `.`, `..`, a slash, and whatever `clean_name` refuses.
    """
    name = clean_name(part, rule)
    if name in (".", "..") or "/" in name:
        raise malformed(f"{name!r} cannot be the name of a file or directory")
    return name


def split_path(path: str) -> tuple[str, str]:
    """The directory, with its slashes, and the name of a path without a trailing slash."""
    head, _, name = path.rpartition("/")
    return head + "/", name


def quoted_key(key: str) -> str:
    """The key of an object as it stands in an address."""
    return quote(key, safe="/")


class Encoder:
    """The JSON of records, kept until a record changes: encoding is what a long listing would spend its time on."""

    def __init__(self, storage_url: str) -> None:
        self._storage_url = storage_url
        self._kept: dict[int, bytes] = {}

    def forget(self, record: Record) -> None:
        """To be called whenever a record has changed."""
        self._kept.pop(record.sequence, None)

    def encode(self, record: Record) -> bytes:
        """The record as JSON; a private one without its address, which is signed for every answer anew."""
        kept = self._kept.get(record.sequence)
        if kept is None:
            kept = self._kept[record.sequence] = msgspec.json.encode(self._document(record))
        return kept

    def encode_with(self, record: Record, **more: Any) -> bytes:
        """The record as JSON with more keys; those that are None are left out."""
        encoded = self.encode(record)
        extra = {key: value for key, value in more.items() if value is not None}
        return encoded[:-1] + b"," + msgspec.json.encode(extra)[1:] if extra else encoded

    def _document(self, record: Record) -> dict[str, Any]:
        return {
            "id": record.id,
            "applicationId": record.application,
            "creationDate": record.created,
            "lastUpdated": record.updated,
            "authorId": AUTHOR_ID,
            "authorType": "apiToken",
            "status": record.status,
            "name": record.name,
            "parentDirectory": record.directory,
            "type": record.type,
            **self._optional(record),
            "_type": _TYPE[record.kind],
            "_links": _links(record),
        }

    def _optional(self, record: Record) -> dict[str, Any]:
        public = record.kind == "files" and record.type == "file"
        address = f"{self._storage_url}/{BUCKET_OF_KIND[record.kind]}/{quoted_key(record.key)}" if public else None
        values = {
            "fileSize": record.size_bytes,
            "contentType": record.content_type,
            "s3etag": record.etag,
            "fileDimensions": record.dimensions,
            "moveIntoId": record.move_into,
            "url": address,
        }
        return {key: value for key, value in values.items() if value is not None}


def _links(record: Record) -> dict[str, Any]:
    application = f"/applications/{record.application}"
    return {
        "application": {"href": application},
        record.kind: {"href": f"{application}/{record.kind}"},
        "self": {"href": f"{application}/{_ONE[record.kind]}/{record.id}"},
    }
