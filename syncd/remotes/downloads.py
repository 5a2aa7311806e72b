"""Brings the content of one file from where the API says it is, whole.

Called by `losant`. Whether it is the content that was wanted is for the caller to compare.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from yarl import URL

from syncd.core.model import RemoteEntry
from syncd.errors import NotFound, Rejected
from syncd.ports import Receiver
from syncd.remotes.guard import StorageGuard
from syncd.remotes.http import Answer, Refused, Request
from syncd.remotes.records import Located
from syncd.remotes.transport import Retrying

AS_IT_IS = {"Accept-Encoding": "identity"}


class Downloader:
    """`locate` reads a record with the address of its content, None if it is gone."""

    def __init__(
        self, transport: Retrying, *, guard: StorageGuard, locate: Callable[[str], Awaitable[Located | None]]
    ) -> None:
        self._transport = transport
        self._guard = guard
        self._locate = locate

    async def fetch(self, record: RemoteEntry, into: Receiver) -> None:
        """As `ports.Remote.download`. An address that is refused, because it expired, is asked for anew once; so is one
        that gives a content of another size."""
        exactly = Exactly(into, record.size)
        renewed = False
        while True:
            url = await self._address(record)
            request = Request("content", "GET", url, _nothing, headers=AS_IT_IS, foreign=True, into=exactly)
            try:
                await self._transport.send(request)
                return exactly.end()
            except Refused as refusal:
                if refusal.status == 404:
                    raise NotFound(f"its content is gone ({refusal})") from refusal
                if renewed or refusal.status != 403:
                    raise
            except OtherSize:
                if renewed:
                    raise
            renewed = True

    async def _address(self, record: RemoteEntry) -> URL:
        located = await self._locate(record.id)
        if located is None or located.leaving:
            raise NotFound("it went away before it was downloaded")
        if not located.url:
            raise Rejected("the remote gives no address for its content")
        return self._guard.check(located.url)


class OtherSize(Rejected):
    """What came is not as long as the record says."""


class Exactly:
    """A receiver that passes on so many bytes, no more: a body has no end that could be relied on."""

    def __init__(self, inner: Receiver, size_bytes: int) -> None:
        self._inner = inner
        self._size_bytes = size_bytes
        self._received_bytes = 0

    async def begin(self) -> None:
        self._received_bytes = 0
        await self._inner.begin()

    async def write(self, piece: bytes) -> None:
        self._received_bytes += len(piece)
        if self._received_bytes > self._size_bytes:
            raise OtherSize(f"the storage sends more than the {self._size_bytes} bytes of the record")
        await self._inner.write(piece)

    def end(self) -> None:
        """Raises OtherSize if less than all of it came."""
        if self._received_bytes != self._size_bytes:
            raise OtherSize(f"the storage sends {self._received_bytes} of the {self._size_bytes} bytes of the record")


def _nothing(_: Answer) -> None:
    """The body went into the receiver."""
