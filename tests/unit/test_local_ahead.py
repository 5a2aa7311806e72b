"""Pieces read ahead: in order, as many as there is room for, and by no thread that waits."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

from syncd.errors import SourceChanged
from syncd.local.ahead import AHEAD, Ahead, Piece


class Numbers:
    """So many pieces, then an error."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.read = 0

    def next(self) -> Piece | None:
        if self.read == self.count:
            raise SourceChanged("gone")
        self.read += 1
        return Piece(b"%d" % self.read, None)


async def threads_are_idle() -> None:
    """Returns when the only thread has done what it was given before."""
    await asyncio.get_running_loop().run_in_executor(None, int)


async def test_no_more_is_read_than_there_is_room_for_and_the_thread_is_free() -> None:
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
    numbers = Numbers(100)
    ahead = Ahead(numbers.next)
    await threads_are_idle()
    assert numbers.read == AHEAD
    for number in range(1, 11):
        assert (await ahead.take()).data == b"%d" % number
        await threads_are_idle()
        assert numbers.read <= number + AHEAD
    ahead.close()
    await threads_are_idle()
    read = numbers.read
    await ahead.take()
    await threads_are_idle()
    assert numbers.read == read


async def test_what_was_read_before_an_error_is_given_first() -> None:
    numbers = Numbers(AHEAD + 1)
    ahead = Ahead(numbers.next)
    taken = [(await ahead.take()).data for _ in range(AHEAD + 1)]
    assert taken == [b"%d" % number for number in range(1, AHEAD + 2)]
    with pytest.raises(SourceChanged):
        await ahead.take()


async def test_nothing_is_read_after_the_last_piece() -> None:
    pieces = [Piece(b"a", None), Piece(b"b", "checksum")]
    ahead = Ahead(lambda: pieces.pop(0))
    assert [await ahead.take(), await ahead.take()] == [(b"a", None), (b"b", "checksum")]
    await threads_are_idle()
    ahead.close()
