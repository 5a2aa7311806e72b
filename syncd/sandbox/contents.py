"""Taking in and giving out file contents: small ones in memory, large ones through a temporary file.

The storage endpoint and the private upload call `Contents.receive`; what comes back belongs to no record yet. Reading
and writing of files, and their checksums, happen in threads of its own.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock

from syncd.sandbox.records import Content
from syncd.sandbox.store import Store

LARGEST_SMALL_BYTES = 64 * 1024
PORTION_BYTES = 1024 * 1024
THREADS = 4


class IncomingFile:
    """A large content on its way: a temporary file and the checksum of what is in it. Its methods block."""

    def __init__(self, path: Path) -> None:
        self.size_bytes = 0
        self._path = path
        self._checksum = hashlib.md5(usedforsecurity=False)
        self._lock = Lock()
        self._file: io.FileIO | None = io.FileIO(path, "xb")

    def write(self, pieces: list[bytes]) -> None:
        """Append pieces; nothing happens if the file was discarded meanwhile."""
        with self._lock:
            for piece in pieces if self._file is not None else ():
                self._append(piece)

    def keep(self, path: Path) -> str:
        """Give the complete file its place; returns the hex MD5 of it."""
        self._close()
        self._path.rename(path)
        return self._checksum.hexdigest()

    def discard(self) -> None:
        """Remove what came of it, after a write that is under way."""
        with self._lock:
            self._close()
            self._path.unlink()

    def _append(self, piece: bytes) -> None:
        assert self._file is not None
        self._checksum.update(piece)
        rest = memoryview(piece)
        while rest:
            rest = rest[self._file.write(rest) :]
        self.size_bytes += len(piece)

    def _close(self) -> None:
        assert self._file is not None
        self._file.close()
        self._file = None


class Contents:
    """The contents of a store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._threads = ThreadPoolExecutor(THREADS, "sandbox-contents")

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown()

    async def receive(self, pieces: AsyncIterator[bytes]) -> Content:
        """Take in a content. If `pieces` raises or the task is cancelled, nothing is left of it."""
        await self._store.room()
        held: list[bytes] = []
        held_bytes = 0
        async for piece in pieces:
            held.append(piece)
            held_bytes += len(piece)
            if held_bytes > LARGEST_SMALL_BYTES:
                return await self._receive_file(held, pieces)
        return self.keep_small(b"".join(held))

    def keep_small(self, content: bytes) -> Content:
        """Keep a content that is at hand, whatever its size."""
        number = self._store.new_content()
        self._store.put(number, content)
        md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
        return Content(number=number, size_bytes=len(content), md5=md5)

    def drop(self, content: Content) -> None:
        """Keep a content no longer."""
        self._store.drop(content.number)

    def read(self, content: Content) -> bytes:
        """A whole content. Blocks."""
        small = self._store.small(content.number)
        return self._store.file(content.number).read_bytes() if small is None else small

    async def portions(self, content: Content) -> AsyncIterator[bytes]:
        """A content in portions of at most 1 MiB, or whole if it is small."""
        small = self._store.small(content.number)
        if small is not None:
            yield small
            return
        loop = asyncio.get_running_loop()
        with self._store.file(content.number).open("rb", buffering=0) as file:
            while portion := await loop.run_in_executor(self._threads, file.read, PORTION_BYTES):
                yield portion

    async def _receive_file(self, held: list[bytes], pieces: AsyncIterator[bytes]) -> Content:
        number = self._store.new_content()
        file = IncomingFile(self._store.incoming / str(number))
        try:
            await self._fill(file, held, pieces)
        except BaseException:
            file.discard()
            raise
        md5 = file.keep(self._store.file(number))
        return Content(number=number, size_bytes=file.size_bytes, md5=md5)

    async def _fill(self, file: IncomingFile, held: list[bytes], pieces: AsyncIterator[bytes]) -> None:
        """Write one portion in a thread while the next one arrives."""
        loop = asyncio.get_running_loop()
        writing = loop.run_in_executor(self._threads, file.write, held)
        portion: list[bytes] = []
        async for piece in pieces:
            portion.append(piece)
            if sum(map(len, portion)) >= PORTION_BYTES:
                await writing
                writing = loop.run_in_executor(self._threads, file.write, portion)
                portion = []
        await writing
        await loop.run_in_executor(self._threads, file.write, portion)
