"""Multipart forms as the upload hosts want them: fields first, the file last, the length known, raw UTF-8 names.

Built by `uploads`: a small form as one bytes object, a large one as a payload that streams it. aiohttp's own FormData
percent-encodes names, and its file payload hangs when a file shrinks and breaks the form when it grows.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from itertools import count

from aiohttp.abc import AbstractStreamWriter
from aiohttp.payload import Payload

from syncd.errors import LocalError
from syncd.ports import Content
from syncd.remotes.throttle import Throttle

SLICE_BYTES = 256 * 1024
"""What has to get through within the stall timeout: a link of 5 KB/s still makes progress."""

_BOUNDARY = secrets.token_hex(16)
_numbers = count()


class Form:
    """The frame around one file's bytes."""

    def __init__(self, *, fields: Mapping[str, str], part: str, filename: str, content: Content) -> None:
        boundary = f"{_BOUNDARY}{next(_numbers):x}"
        lines = [
            f'--{boundary}\r\nContent-Disposition: form-data; name="{_quoted(name)}"\r\n\r\n{value}\r\n'
            for name, value in fields.items()
        ]
        lines.append(
            f'--{boundary}\r\nContent-Disposition: form-data; name="{part}"; filename="{_quoted(filename)}"\r\n'
            f"Content-Type: {content.content_type}\r\n\r\n"
        )
        self.head = "".join(lines).encode("utf-8", "surrogateescape")
        self.tail = f"\r\n--{boundary}--\r\n".encode()
        self.content = content
        self.content_type = f"multipart/form-data; boundary={boundary}"

    def whole(self, data: bytes) -> bytes:
        return b"".join((self.head, data, self.tail))


class Meter:
    """Tells the progress what one upload gave to the network, and takes it back when the upload begins again."""

    def __init__(self, sent: Callable[[int], None]) -> None:
        self._sent = sent
        self._given_bytes = 0

    def given(self, size_bytes: int) -> None:
        self._given_bytes += size_bytes
        self._sent(size_bytes)

    def begin_again(self) -> None:
        if self._given_bytes:
            self._sent(-self._given_bytes)
        self._given_bytes = 0


class StreamedForm:
    """A form that is sent piece by piece, from its start at every attempt, each piece when the throttle grants it."""

    def __init__(self, form: Form, meter: Meter, throttle: Throttle) -> None:
        self.failure: LocalError | None = None
        self.form = form
        self.meter = meter
        self.throttle = throttle

    def payload(self, progressed: Callable[[], None]) -> Payload:
        self.failure = None
        self.meter.begin_again()
        return _FormPayload(self, progressed)


class _FormPayload(Payload):
    """One attempt. aiohttp must not replay it: it is consumed as soon as it was begun."""

    def __init__(self, streamed: StreamedForm, progressed: Callable[[], None]) -> None:
        form = streamed.form
        super().__init__(None, content_type=form.content_type)
        self._size = len(form.head) + form.content.entry.size + len(form.tail)
        self._streamed = streamed
        self._form = form
        self._progressed = progressed

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:  # noqa: ARG002
        raise TypeError("a streamed form has no text")

    async def write(self, writer: AbstractStreamWriter) -> None:
        self._consumed = True
        await writer.write(self._form.head)
        chunks = _chunks(self._form.content)
        try:
            async for chunk in chunks:
                await self._write_chunk(writer, memoryview(chunk))
        except LocalError as error:
            self._streamed.failure = error
            raise
        finally:
            close = getattr(chunks, "aclose", None)
            if close is not None:
                await close()
        await writer.write(self._form.tail)

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:  # noqa: ARG002
        """The length is the payload's own."""
        await self.write(writer)

    async def _write_chunk(self, writer: AbstractStreamWriter, chunk: memoryview) -> None:
        self._progressed()
        throttle, start = self._streamed.throttle, 0
        while start < len(chunk):
            piece = chunk[start : start + throttle.piece_bytes(SLICE_BYTES)]
            start += len(piece)
            await throttle.grant(len(piece))
            await writer.write(piece)
            self._streamed.meter.given(len(piece))
            self._progressed()


async def _in_memory(data: bytes) -> AsyncIterator[bytes]:
    yield data


def _chunks(content: Content) -> AsyncIterator[bytes]:
    return content.chunks() if content.data is None else _in_memory(content.data)


def _quoted(name: str) -> str:
    """A name between double quotes (RFC 2183); line ends as browsers write them, since a header cannot hold them."""
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return escaped.replace("\r", "%0D").replace("\n", "%0A").replace("\0", "%00")
