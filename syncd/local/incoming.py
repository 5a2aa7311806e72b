"""One file on its way into the source: its bytes as they come, then its place. The asynchronous half of `draft`.

Small contents are held and written in one go; larger ones are written and hashed piece by piece, in threads. Never
closes what a thread is still working on: its descriptor might be another file's by then.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from syncd.core.model import Fingerprint, LocalEntry
from syncd.errors import Unwritable
from syncd.local.content import CHUNK_BYTES
from syncd.local.draft import Draft

T = TypeVar("T")


class IncomingFile:
    """See `ports.Incoming`."""

    def __init__(self, open_draft: Callable[[], Draft]) -> None:
        self._open_draft = open_draft
        self._draft: Draft | None = None
        self._file: Any = None
        self._held = bytearray()
        self._digest = hashlib.md5(usedforsecurity=False)
        self._busy: asyncio.Future[Any] | None = None

    async def begin(self) -> None:
        self._held.clear()
        self._digest = hashlib.md5(usedforsecurity=False)
        if self._draft is not None:
            await self._uninterrupted(asyncio.to_thread(self._draft.void))

    async def write(self, piece: bytes) -> None:
        self._held += piece
        if len(self._held) >= CHUNK_BYTES:
            block = bytes(self._held)
            self._held.clear()
            await self._uninterrupted(self._append(block))

    @property
    def checksum(self) -> str:
        digest = self._digest.copy()
        digest.update(self._held)
        return digest.hexdigest()

    async def commit(self, *, modified_ns: int | None) -> Fingerprint:
        checksum, rest = self.checksum, bytes(self._held)

        def put() -> LocalEntry:
            self._draft = self._draft or self._open_draft()
            self._draft.append(rest)
            return self._draft.place(modified_ns)

        return Fingerprint(await self._uninterrupted(asyncio.to_thread(put)), checksum)

    async def aclose(self) -> None:
        if self._busy is not None and not self._busy.done():
            await asyncio.wait([self._busy])
        if self._draft is not None:
            draft, self._draft = self._draft, None
            await asyncio.to_thread(draft.close)

    async def _append(self, block: bytes) -> None:
        """Written by one thread while another one hashes it."""
        import aiofiles  # 10 ms that only the first large file pays

        if self._draft is None:
            self._draft = await asyncio.to_thread(self._open_draft)
            self._file = await aiofiles.open(self._draft.descriptor, "wb", buffering=0, closefd=False)
        hashing = asyncio.ensure_future(asyncio.to_thread(self._digest.update, block))
        try:
            rest = memoryview(block)
            while rest:
                rest = rest[await self._file.write(rest) :]
        except OSError as error:
            raise Unwritable(f"it cannot be written: {error.strerror}") from error
        finally:
            await hashing

    async def _uninterrupted(self, work: Awaitable[T]) -> T:
        """What is begun goes on to its end, also where whoever waits for it is cancelled."""
        busy = asyncio.ensure_future(work)
        self._busy = busy
        return await asyncio.shield(busy)
