"""The daemon's keeper in a small world: what its looks cost, and that it comes to rest."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import pytest

from syncd.core.model import DeleteMode, MaxDelete, OnDrift
from syncd.engine.keeper import Keeper
from syncd.errors import NotMade, Rejected
from tests.sim.cloud import Knobs
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


def test_what_went_beside_a_renamed_directory_goes_too() -> None:
    world = World(settings=Settings(max_delete=MaxDelete(percent=100.0)))
    for path in ("a/x", "a/y", "b/gone", "b/stays"):
        world.tree.write(path, path)
    world.clean_run()
    world.tree.rename("a", "c")
    world.tree.remove("b/gone")
    lives = Lives(world, random.Random(0))

    async def acts(_: Keeper) -> None:
        await asyncio.sleep(A_WHILE_S)
        assert world.cloud.files() == world.tree.files()

    lives.live(acts)
    assert lives.remote is not None
    assert lives.remote.changes == ["move a -> c", "delete b/gone"]


@pytest.mark.parametrize("writes", [20, 23, 28])
def test_a_renamed_file_stays_under_its_old_name_until_it_is_sent(writes: int) -> None:
    world = World(settings=Settings(max_delete=MaxDelete(percent=100.0)))
    for path in ("d/old", "d/stays"):
        world.tree.write(path, path)
    lives = Lives(world, random.Random(0))

    def rename() -> str:
        world.tree.rename("d/old", "d/new")
        return "it is renamed"

    def write() -> str:
        world.tree.write("d/new", "more and more")
        return "it is written"

    async def acts(_: Keeper) -> None:
        await asyncio.sleep(60)
        world.broken["create d/new"] = Rejected("not now")
        lives.edit(rename)
        for _number in range(writes):
            lives.edit(write)
            await asyncio.sleep(0.2)
        await asyncio.sleep(60)
        assert "d/old" in world.cloud.files()
        del world.broken["create d/new"]
        await asyncio.sleep(A_WHILE_S)
        assert world.cloud.files() == world.tree.files()

    lives.live(acts)


def test_a_directory_that_failed_by_itself_is_made_for_what_comes_into_it() -> None:
    world = World()
    lives = Lives(world, random.Random(0))

    def make(*paths: str) -> Callable[[], str]:
        def act() -> str:
            for path in paths:
                world.tree.mkdir(path)
            return f"{paths} are made"

        return act

    async def acts(keeper: Keeper) -> None:
        await asyncio.sleep(60)
        world.broken["mkdir a"] = NotMade("not now")
        lives.edit(make("a"))
        await asyncio.sleep(A_WHILE_S)
        assert {problem.path for problem in keeper.status().failed} == {"a"}
        lives.edit(make("a/a", "a/b"))
        await asyncio.sleep(10)
        assert keeper.status().failed == ()

    lives.live(acts)
    assert sorted(record.path for record in world.cloud.records.values()) == ["a", "a/a", "a/b"]


def test_a_directory_that_is_gone_here_and_holds_what_is_kept_there_is_left_in_peace() -> None:
    world = World(settings=Settings(on_drift=OnDrift.KEEP, max_delete=MaxDelete(percent=100.0)))
    for path in ("d/e/kept", "d/gone"):
        world.tree.write(path, path)
    lives = Lives(world, random.Random(0))

    def remove() -> str:
        world.tree.remove("d")
        return "d is removed"

    async def acts(_: Keeper) -> None:
        await asyncio.sleep(60)
        world.cloud.put("d/e/kept", "theirs")
        lives.edit(remove)
        await asyncio.sleep(60)
        assert lives.remote is not None
        asked = len(lives.remote.calls)
        await asyncio.sleep(A_WHILE_S)
        assert len(lives.remote.calls) == asked

    lives.live(acts)
    assert world.cloud.files() == {"d/e/kept": b"theirs"}


def test_what_is_known_under_no_id_is_not_taken_for_deleted() -> None:
    world = World(settings=Settings(max_delete=MaxDelete(percent=100.0)), knobs=Knobs(lag_s=0.5))
    for path in ("a/one.txt", "a/two.txt"):
        world.tree.write(path, path)
    lives = Lives(world, random.Random(0))

    def rename(old: str, new: str) -> str:
        world.tree.rename(old, new)
        return f"{old} is renamed"

    def touch(path: str) -> str:
        world.tree.touch(path)
        return f"{path} is touched"

    async def acts(_: Keeper) -> None:
        await asyncio.sleep(60)
        lives.edit(lambda: rename("a", "b"))
        await asyncio.sleep(0.6)
        lives.edit(lambda: touch("b/one.txt"))
        await asyncio.sleep(0.3)
        lives.edit(lambda: rename("b/one.txt", "one"))
        await asyncio.sleep(A_WHILE_S)

    lives.live(acts)
    assert world.cloud.files() == world.tree.files()
