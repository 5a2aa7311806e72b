"""The daemon's keeper in a small world: what its looks cost, and that it comes to rest."""

from __future__ import annotations

import asyncio
import random

from syncd.core.model import DeleteMode
from syncd.engine.keeper import Keeper
from tests.sim.life import Lives
from tests.sim.world import Settings, World

A_WHILE_S = 1000.0


def test_what_is_in_a_directory_that_cannot_come_to_its_place_waits_with_it() -> None:
    world = World(settings=Settings(delete=DeleteMode.NEVER))
    world.tree.write("a", "a file")
    lives = Lives(world, random.Random(0))

    def become_a_directory() -> str:
        world.tree.mkdir("a/b/c")
        return "a becomes a directory"

    async def acts(keeper: Keeper) -> None:
        await asyncio.sleep(60)
        lives.edit(become_a_directory)
        await asyncio.sleep(A_WHILE_S)
        assert {problem.path for problem in keeper.status().failed} == {"a", "a/b", "a/b/c"}

    lives.live(acts)
    assert lives.remote is not None
    assert lives.remote.changes == ["create a"]


def test_what_never_held_still_is_sent_as_soon_as_it_does() -> None:
    world = World()
    lives = Lives(world, random.Random(0))
    content = ["x" * (100 - number % 50) for number in range(2000)]

    def rewrite() -> str:
        world.tree.write("busy", content.pop())
        return "busy is written"

    async def acts(keeper: Keeper) -> None:
        await asyncio.sleep(60)
        while content:
            lives.edit(rewrite)
            await asyncio.sleep(0.2)
        assert {problem.path for problem in keeper.status().failed} == {"busy"}
        assert world.cloud.files() == {}
        await asyncio.sleep(5)
        assert keeper.status().failed == ()
        assert world.cloud.files() == world.tree.files()

    lives.live(acts)
