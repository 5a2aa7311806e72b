"""The checkers see what they are there for."""

from __future__ import annotations

import pytest

from syncd.core.model import DeleteMode, Kind, RemoteEntry
from tests.engine.test_mirroring import synced
from tests.sim.checks import Violation
from tests.sim.cloud import Knobs
from tests.sim.remote import MemoryRemote
from tests.sim.world import Settings, World


def mistaken(world: World, path: str) -> None:
    """A run in which the engine deletes `path`, whatever it thinks of it."""
    entry = world.cloud.at(path.encode())[0].entry
    original = MemoryRemote.entries

    async def entries(remote: MemoryRemote, *arguments: object, **options: object) -> None:
        await original(remote, *arguments, **options)  # type: ignore[arg-type]
        await remote.delete(entry)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MemoryRemote, "entries", entries)
        world.run()


def test_a_strangers_file_may_not_be_deleted() -> None:
    world = synced("a")
    world.cloud.put("b", "theirs")
    with pytest.raises(Violation, match="not the job's"):
        mistaken(world, "b")


def test_what_is_there_locally_may_not_be_deleted() -> None:
    with pytest.raises(Violation, match="there locally"):
        mistaken(synced("a"), "a")


def test_nothing_may_be_deleted_where_nothing_is_to_be() -> None:
    world = synced("a", settings=Settings(delete=DeleteMode.NEVER))
    world.tree.remove("a")
    with pytest.raises(Violation, match="nothing may be deleted"):
        mistaken(world, "a")


def test_what_the_filters_leave_out_may_not_be_deleted() -> None:
    world = synced("a")
    world.settings.exclude = ("a",)
    with pytest.raises(Violation, match="filters"):
        mistaken(world, "a")


def test_two_records_of_one_path_are_seen() -> None:
    world = World(knobs=Knobs(refuses_twins=False))
    for _ in range(2):
        record = world.cloud.post(b"a", Kind.FILE, ours=True)
        world.tree.write("a", "1")
        world.cloud.fill(record, b"1", ours=True)
    world.wait()
    assert "step 0: 2 records of ours at 'a'" in world.checks.violations


def test_content_that_never_was_is_seen() -> None:
    world = World()
    world.tree.write("a", "1")
    world.cloud.fill(world.cloud.post(b"a", Kind.FILE, ours=True), b"torn", ours=True)
    world.wait()
    assert "never was" in world.checks.violations[0]


def test_too_much_in_flight_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    original = MemoryRemote.create

    async def create(remote: MemoryRemote, path: str, content: object, **more: object) -> RemoteEntry:
        with remote._operation("another one"):
            return await original(remote, path, content, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(MemoryRemote, "create", create)
    world = World(settings=Settings(workers=1))
    world.tree.write("a", "1")
    with pytest.raises(Violation, match="in flight"):
        world.run()


def test_what_is_not_equal_in_the_end_is_seen() -> None:
    world = synced("a", "b")
    report = world.run().report
    assert world.checks.converged(report, empty_directories=True) == []
    world.cloud.put("a", "changed", owned=True)
    world.cloud.remove("b")
    world.cloud.put("c", "more", owned=True)
    found = world.checks.converged(report, empty_directories=True)
    assert [one.split()[0] for one in found] == ["'a'", "'b'", "'c'", "the"]
