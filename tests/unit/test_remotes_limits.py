"""Permits are given in turn by owner, and none is ever lost."""

from __future__ import annotations

import asyncio

from syncd.remotes.limits import Turns


async def test_who_asks_for_much_does_not_keep_back_who_asks_for_little() -> None:
    turns, order = Turns(1), []
    await turns.acquire("first")

    async def ask(owner: str) -> None:
        await turns.acquire(owner)
        order.append(owner)
        turns.release()

    tasks = [asyncio.create_task(ask(owner)) for owner in ["many"] * 5 + ["few"] + ["other"] * 2]
    await asyncio.sleep(0)
    turns.release()
    await asyncio.gather(*tasks)
    assert order == ["many", "few", "other", "many", "other", "many", "many", "many"]


async def test_a_waiter_that_gives_up_costs_no_permit() -> None:
    turns = Turns(1)
    await turns.acquire("a")
    waiting, granted, last = (asyncio.create_task(turns.acquire("b")) for _ in range(3))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.sleep(0)
    turns.release()
    granted.cancel()  # at the very moment at which it has been given the permit
    await asyncio.gather(waiting, granted, return_exceptions=True)
    await last
    turns.release()
    await asyncio.wait_for(turns.acquire("c"), 1)


async def test_without_anybody_waiting_permits_come_back() -> None:
    turns = Turns(2)
    for _ in range(3):
        await turns.acquire("a")
        await turns.acquire("b")
        turns.release()
        turns.release()
