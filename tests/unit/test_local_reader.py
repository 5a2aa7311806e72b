"""Several readings in one thread hop: what shares one, what does not wait for what, whose failure is whose."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from syncd.errors import SourceChanged
from syncd.local.reader import BESIDE, TOGETHER, Reader

PATIENCE_S = 10.0


class Goes(ThreadPoolExecutor):
    """Counts what is given to its threads."""

    count = 0

    def submit(self, *args: Any, **kwargs: Any) -> Future[Any]:
        self.count += 1
        return super().submit(*args, **kwargs)


async def test_what_is_asked_for_together_is_read_in_few_goes() -> None:
    goes = Goes()
    asyncio.get_running_loop().set_default_executor(goes)
    reader = Reader[int, int](int)
    numbers = list(range(TOGETHER + 3))
    assert await asyncio.gather(*map(reader.read, numbers)) == numbers
    assert goes.count == 2


async def test_a_slow_one_holds_up_only_those_asked_for_with_it() -> None:
    release = threading.Event()
    reader = Reader[str, str](lambda name: name if name != "slow" or release.wait(PATIENCE_S) else "")
    slow = asyncio.ensure_future(reader.read("slow"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert await reader.read("quick") == "quick"
    assert not slow.done()
    release.set()
    assert await slow == "slow"


async def test_no_more_than_so_many_goes_are_under_way() -> None:
    lock, release = threading.Lock(), threading.Event()
    seen: Counter[str] = Counter()

    def read(number: int) -> int:
        with lock:
            seen["now"] += 1
            seen["most"] = max(seen["most"], seen["now"])
        assert release.wait(PATIENCE_S)
        with lock:
            seen["now"] -= 1
        return number

    reader = Reader[int, int](read)
    asked = [asyncio.ensure_future(reader.read(number)) for number in range(TOGETHER * (BESIDE + 2))]
    async with asyncio.timeout(PATIENCE_S):
        while seen["now"] < 2:  # noqa: ASYNC110 - it is counted in threads
            await asyncio.sleep(0.002)
    release.set()
    assert await asyncio.gather(*asked) == list(range(len(asked)))
    assert seen["most"] <= BESIDE


async def test_a_failure_is_of_its_own_file_and_a_cancelled_reading_harms_no_other() -> None:
    def read(name: str) -> str:
        if name == "changed":
            raise SourceChanged("it is being written")
        return name

    reader = Reader[str, str](read)
    asked = [asyncio.ensure_future(reader.read(name)) for name in ("a", "changed", "given up", "b")]
    await asyncio.sleep(0)
    asked[2].cancel()
    found = await asyncio.gather(*asked, return_exceptions=True)
    assert (found[0], found[3]) == ("a", "b")
    assert isinstance(found[1], SourceChanged)
    assert isinstance(found[2], asyncio.CancelledError)


async def test_what_nobody_expects_is_told_to_all_who_asked() -> None:
    def broken(_: int) -> int:
        raise ZeroDivisionError

    reader = Reader[int, int](broken)
    found = await asyncio.gather(reader.read(1), reader.read(2), return_exceptions=True)
    assert [type(one) for one in found] == [ZeroDivisionError, ZeroDivisionError]
    with pytest.raises(ZeroDivisionError):
        await reader.read(3)
