"""A path that waits for its next try does not keep the others from going on."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine
from typing import Any

import pytest

from syncd.engine.slots import LARGE_BYTES, Places, Slots
from tests.sim.loop import Clock, Deadlock, VirtualLoop


def run(main: Coroutine[Any, Any, object], clock: Clock | None = None) -> Clock:
    clock = clock or Clock(0.0)
    loop = VirtualLoop(clock)
    try:
        loop.run_until_complete(main)
    finally:
        loop.close()
    return clock


def test_a_sleeping_task_frees_its_slot_and_takes_one_again() -> None:
    order: list[str] = []

    async def sleeper(slots: Slots) -> None:
        async with slots:
            order.append("first try")
            await slots.sleep(10)
            order.append("second try")

    async def other(slots: Slots) -> None:
        async with slots:
            order.append("other begins")
            await asyncio.sleep(15)
            order.append("other ends")

    async def main() -> None:
        slots = Slots(1)
        await asyncio.gather(sleeper(slots), other(slots))

    assert run(main()).now_s == pytest.approx(15)
    assert order == ["first try", "other begins", "other ends", "second try"]


def test_a_task_cancelled_while_it_sleeps_gives_back_no_slot_it_does_not_hold() -> None:
    async def sleeper(slots: Slots) -> None:
        async with slots:
            await slots.sleep(10)

    async def holder(slots: Slots, running: list[int]) -> None:
        async with slots:
            running.append(1)
            assert len(running) == 1
            await asyncio.sleep(1)
            running.pop()

    async def main() -> None:
        slots = Slots(1)
        task = asyncio.ensure_future(sleeper(slots))
        await asyncio.sleep(1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        running: list[int] = []
        await asyncio.gather(*(holder(slots, running) for _ in range(3)))

    assert run(main()).now_s == pytest.approx(4)


def test_as_many_get_ready_as_work() -> None:
    ready: list[int] = []
    working: list[int] = []

    async def worker(slots: Slots, number: int) -> None:
        async with slots.ahead():
            ready.append(number)
            async with slots:
                ready.remove(number)
                working.append(number)
                await slots.sleep(1) if number == 0 else await asyncio.sleep(1)
                working.remove(number)

    async def main() -> None:
        slots = Slots(2)
        tasks = [asyncio.ensure_future(worker(slots, number)) for number in range(7)]
        await asyncio.sleep(0.5)
        assert (working, ready) == ([0, 1, 2], [3, 4])  # 0 sleeps without a slot
        await asyncio.gather(*tasks)
        assert (working, ready) == ([], [])

    assert run(main()).now_s == pytest.approx(3)


def test_who_gets_ready_does_so_by_batches() -> None:
    begun: list[tuple[float, int]] = []

    async def worker(slots: Slots, number: int) -> None:
        async with slots.ahead():
            begun.append((asyncio.get_running_loop().time(), number))
            async with slots:
                await asyncio.sleep(1 + number % 4)  # one after the other, not all at once

    async def main() -> None:
        slots = Slots(4)
        await asyncio.gather(*(worker(slots, number) for number in range(15)))

    run(main())
    batches = Counter(at_s for at_s, _ in begun)
    assert [number for _, number in begun] == list(range(15))
    assert all(count >= 2 for count in batches.values()), batches


def test_a_place_given_to_who_is_cancelled_goes_to_the_next() -> None:
    async def main() -> None:
        places = Places(1)
        await places.take()
        first, second = (asyncio.ensure_future(places.take()) for _ in range(2))
        await asyncio.sleep(0)
        places.leave()
        first.cancel()  # it was given the place and has not seen it yet
        await second
        third = asyncio.ensure_future(places.take())
        await asyncio.sleep(0)
        third.cancel()  # it still waits
        await asyncio.gather(first, third, return_exceptions=True)
        places.leave()
        await places.take()

    run(main())


def test_who_fails_or_is_cancelled_while_it_gets_ready_leaves_its_place() -> None:
    async def failing(slots: Slots) -> None:
        async with slots.ahead():
            raise ValueError

    async def waiting(slots: Slots) -> None:
        async with slots.ahead(), slots:
            await asyncio.sleep(1)

    async def main() -> None:
        slots = Slots(1)
        tasks = [asyncio.ensure_future(waiting(slots)) for _ in range(3)]
        await asyncio.sleep(0.5)
        tasks[1].cancel()  # it has the place
        await asyncio.gather(*tasks, failing(slots), return_exceptions=True)
        await waiting(slots)

    assert run(main()).now_s == pytest.approx(3)


def test_outside_of_a_slot_it_only_sleeps() -> None:
    async def main() -> None:
        await Slots(1).sleep(7)

    assert run(main()).now_s == pytest.approx(7)


def test_the_loop_says_so_when_everything_waits_for_nothing() -> None:
    async def main() -> None:
        await asyncio.Event().wait()

    with pytest.raises(Deadlock):
        run(main())


@pytest.mark.parametrize(("workers", "large"), [(1, 1), (2, 1), (4, 3), (16, 12)])
def test_large_uploads_leave_slots_to_the_others(workers: int, large: int) -> None:
    working: list[str] = []

    async def upload(slots: Slots, name: str, size_bytes: int, takes_s: float) -> None:
        async with slots.lane(size_bytes), slots.ahead(), slots:
            working.append(name)
            await asyncio.sleep(takes_s)
            working.remove(name)

    async def main() -> None:
        slots = Slots(workers)
        tasks = [asyncio.ensure_future(upload(slots, "large", LARGE_BYTES, 10)) for _ in range(2 * workers)]
        await asyncio.sleep(1)
        assert working == ["large"] * large
        tasks.append(asyncio.ensure_future(upload(slots, "small", LARGE_BYTES - 1, 1)))
        await asyncio.sleep(0.5)
        assert ("small" in working) == (workers > 1)
        await asyncio.gather(*tasks)

    run(main())
