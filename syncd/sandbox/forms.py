"""Reading `multipart/form-data` from a request as it arrives, at the speed of `bytes.find`.

Used by the storage endpoint, the upload of private files and that of Privasfer. A file part is handed on in pieces and
never held as a whole; the fields before it are bounded.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Protocol

LONGEST_FIELDS_BYTES = 20 * 1024
_NAME = re.compile(rb'content-disposition:[^\r\n]*[;\s]name=(?:"((?:[^"\\]|\\.)*)"|([^;\s]+))', re.IGNORECASE)
_FILENAME = re.compile(rb'content-disposition:[^\r\n]*[;\s]filename="((?:[^"\\]|\\.)*)"', re.IGNORECASE)
_TYPE = re.compile(rb"^content-type:[ \t]*([^\r\n]+)", re.IGNORECASE | re.MULTILINE)
_BOUNDARY = re.compile(r'multipart/form-data\s*;.*\bboundary=(?:"([^"]+)"|([^;\s]+))', re.IGNORECASE)


class FormError(Exception):
    """The body is no form, or ends before its end."""


class FieldsTooLong(FormError):
    """The fields before the file are larger than the storage takes."""


class ByteStream(Protocol):
    """The body of a request."""

    async def readchunk(self) -> tuple[bytes, bool]:
        """The next of what has arrived, as it came: nothing has to be put together. Nothing and False at the end;
        nothing and True where only a chunk of the transfer ends."""


def boundary_of(content_type: str) -> bytes | None:
    """The boundary that a `Content-Type` names, or None where it is not that of a form."""
    found = _BOUNDARY.match(content_type)
    return (found[1] or found[2]).encode() if found else None


class FormReader:
    """One form: first `fields`, then `pieces` of the file. What follows the file is read and ignored.

    `filename` and `content_type` are those of the file's part once `fields` has returned; None: it has none.
    """

    filename: str | None = None
    content_type: str | None = None

    def __init__(self, stream: ByteStream, boundary: bytes, *, file_field: str) -> None:
        self._stream = stream
        self._file_field = file_field
        self._delimiter = b"\r\n--" + boundary
        self._buffer = b"\r\n"
        self._at = 0
        self._field_bytes = 0

    async def fields(self) -> tuple[list[tuple[str, str]], bool]:
        """The fields before the file, and whether there is a file.

        Raises:
            FieldsTooLong: they exceed 20 KiB.
            FormError: the body is no form.
        """
        fields: list[tuple[str, str]] = []
        await self._until(self._delimiter)
        while await self._another_part():
            head = await self._until(b"\r\n\r\n")
            found = _NAME.search(head)
            if found is None:
                raise FormError("a part has no name")
            name = (found[1] or found[2] or b"").decode(errors="replace")
            if name == self._file_field:
                self._describe(head)
                return fields, True
            value = await self._until(self._delimiter)
            fields.append((name, value.decode(errors="replace")))
        return fields, False

    async def pieces(self) -> AsyncIterator[bytes]:
        """The bytes of the file as they arrive.

        Raises:
            FormError: the body ends within the file.
        """
        while (end := self._buffer.find(self._delimiter, self._at)) < 0:
            safe = self._delimiter_may_begin()
            if safe > self._at:
                yield self._buffer[self._at : safe]
                self._at = safe
            await self._fill()
        yield self._buffer[self._at : end]
        self._at = end + len(self._delimiter)
        await self._another_part()
        while await self._stream.readchunk() != (b"", False):
            pass

    def _delimiter_may_begin(self) -> int:
        """Where what has come may be the beginning of a delimiter: mostly nowhere, and nothing has to be put together
        with what comes next."""
        begins = self._buffer.find(b"\r", max(self._at, len(self._buffer) - len(self._delimiter) + 1))
        return begins if begins >= 0 else len(self._buffer)

    def _describe(self, head: bytes) -> None:
        """What a part's head says of its file. As PHP reads it: a backslash quotes itself and the quotation mark."""
        if found := _FILENAME.search(head):
            self.filename = re.sub(rb'\\(["\\])', rb"\1", found[1]).decode(errors="replace")
        if found := _TYPE.search(head):
            self.content_type = found[1].decode(errors="replace").strip()

    async def _another_part(self) -> bool:
        while len(self._buffer) - self._at < 2:
            await self._fill()
        ending = self._buffer[self._at : self._at + 2]
        self._at += 2
        if ending not in (b"--", b"\r\n"):
            raise FormError("a boundary is not followed by a part")
        self._at -= 2 * (ending == b"\r\n")
        return ending == b"\r\n"

    async def _until(self, mark: bytes) -> bytes:
        searched = self._at
        while (end := self._buffer.find(mark, searched)) < 0:
            searched = max(0, len(self._buffer) - self._at - len(mark) + 1)
            if searched > LONGEST_FIELDS_BYTES:
                self._count(searched)
            await self._fill()
        found = self._buffer[self._at : end]
        self._at = end + len(mark)
        self._count(len(found))
        return found

    def _count(self, field_bytes: int) -> None:
        self._field_bytes += field_bytes
        if self._field_bytes > LONGEST_FIELDS_BYTES:
            raise FieldsTooLong("the fields before the file are too long")

    async def _fill(self) -> None:
        more, ends_chunk = await self._stream.readchunk()
        if not more and not ends_chunk:
            raise FormError("the body ends before the form does")
        self._buffer = self._buffer[self._at :] + more
        self._at = 0
