"""The pieces of a large file, a few of them read ahead of whoever takes them.

Made by `content` for each pass over a file. Reading goes on in one thread at a time, in order, and only while there is
room: a slow network holds pieces, but no thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple

AHEAD = 3


class Piece(NamedTuple):
    """`checksum`: with the last piece, that of all of them."""

    data: bytes
    checksum: str | None


class Ahead:
    """`read` gives the next piece, or None when there is to be no further one; it blocks and may raise."""

    def __init__(self, read: Callable[[], Piece | None]) -> None:
        self._read = read
        self._loop = asyncio.get_running_loop()
        self._ready: asyncio.Queue[Piece | BaseException] = asyncio.Queue()
        self._room = AHEAD
        self._reading = self._over = False
        self._read_on()

    async def take(self) -> Piece:
        """The next piece. Raises what reading it raised."""
        taken = await self._ready.get()
        if isinstance(taken, BaseException):
            raise taken
        self._room += 1
        self._read_on()
        return taken

    def close(self) -> None:
        """Begin no further reading."""
        self._over = True

    def _read_on(self) -> None:
        if self._room and not (self._reading or self._over):
            pieces, self._room, self._reading = self._room, 0, True
            self._loop.run_in_executor(None, self._fill, pieces).add_done_callback(self._filled)

    def _fill(self, pieces: int) -> None:
        for _ in range(pieces):
            piece = self._read()
            if piece is None:
                return
            self._loop.call_soon_threadsafe(self._arrived, piece)
            if piece.checksum is not None:
                return

    def _arrived(self, piece: Piece) -> None:
        self._over = self._over or piece.checksum is not None
        self._ready.put_nowait(piece)

    def _filled(self, filling: asyncio.Future[None]) -> None:
        self._reading = False
        error = filling.exception()
        if error is not None:
            self._over = True
            self._ready.put_nowait(error)
        self._read_on()
