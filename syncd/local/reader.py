"""Files read for the event loop, several in one thread hop: for small ones the hop costs more than the reading.

Owned by `tree`. What is asked for at the same time is read in one go, up to a bound; a slow disk or a file that has to
settle holds up only those that were asked for with it, since so many goes run beside each other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Generic, NamedTuple, TypeVar

from syncd.errors import LocalError

Asked = TypeVar("Asked")
Found = TypeVar("Found")

TOGETHER = 8
BESIDE = 6


class _Request(NamedTuple, Generic[Asked, Found]):
    asked: Asked
    answer: asyncio.Future[Found]


class Reader(Generic[Asked, Found]):
    """`read` is what is done in the thread for each; it may raise."""

    def __init__(self, read: Callable[[Asked], Found]) -> None:
        self._read = read
        self._waiting: list[_Request[Asked, Found]] = []
        self._under_way = 0

    async def read(self, asked: Asked) -> Found:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Found] = loop.create_future()
        self._waiting.append(_Request(asked, answer))
        if len(self._waiting) == 1:
            loop.call_soon(self._begin)
        return await answer

    def _begin(self) -> None:
        while self._waiting and self._under_way < BESIDE:
            group, self._waiting = self._waiting[:TOGETHER], self._waiting[TOGETHER:]
            self._under_way += 1
            going = asyncio.get_running_loop().run_in_executor(None, self._read_all, [one.asked for one in group])
            going.add_done_callback(partial(self._ended, group))

    def _ended(self, group: Sequence[_Request[Asked, Found]], going: asyncio.Future[list[Found | LocalError]]) -> None:
        self._under_way -= 1
        error = going.exception()
        outcomes = going.result() if error is None else [error] * len(group)
        for one, outcome in zip(group, outcomes, strict=True):
            if one.answer.done():
                continue
            if isinstance(outcome, BaseException):
                one.answer.set_exception(outcome)
            else:
                one.answer.set_result(outcome)
        self._begin()

    def _read_all(self, group: Sequence[Asked]) -> list[Found | LocalError]:
        return [self._outcome(one) for one in group]

    def _outcome(self, asked: Asked) -> Found | LocalError:
        try:
            return self._read(asked)
        except LocalError as error:
            return error
