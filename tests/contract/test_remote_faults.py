"""Lost answers, broken answers, throttling and outages: in the end one record a path, with the right content."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from syncd.core.model import Kind, RemoteEntry
from syncd.errors import AlreadyExists, NotFound, RemoteDead, RemoteError, Transient
from syncd.ports import Remote
from syncd.remotes import Account, Losant, Traffic
from syncd.sandbox import Fault
from syncd.sandbox import Kind as Library
from tests.remote_support import QUICK, Bytes, Listed, World, account_of, world
from tests.sandbox_support import until

BROKEN: dict[str, tuple[str, dict[str, object]]] = {
    **{kind: (kind, {}) for kind in ("reset_before", "reset_after", "truncated", "partial", "garbage")},
    **{f"{status}": ("status", {"status": status}) for status in (408, 429, 500, 502, 503, 504)},
    **{f"{status} after": ("status", {"status": status, "when": "after"}) for status in (500, 502, 504)},
}
"""Every way in which an answer gets lost or spoilt, without and with the request's effect."""

broken = pytest.mark.parametrize(("kind", "how"), BROKEN.values(), ids=BROKEN)


def strike(world: World, operation: str, kind: str, how: dict[str, object], *, count: int = 2) -> None:
    world.turn(faults=(Fault(operation, kind, count=count, **how),))  # type: ignore[arg-type]


def every_record(world: World) -> list[str]:
    return sorted(record.path for record in world.sandbox.records(world.library))


@broken
async def test_one_record_after_creates_that_went_wrong(remote_world: World, kind: str, how: dict[str, object]) -> None:
    strike(remote_world, "create", kind, how)

    entry = await remote_world.remote.create("d/file [1].txt", Bytes(b"content"))

    assert remote_world.files() == {"/dest/d/file [1].txt": b"content"}
    assert [record.id for record in remote_world.records_at("/dest/d/file [1].txt")] == [entry.id]
    assert remote_world.live_files() == 1


@broken
@pytest.mark.needs("directories")
async def test_one_directory_after_creates_that_went_wrong(
    remote_world: World, kind: str, how: dict[str, object]
) -> None:
    strike(remote_world, "create", kind, how)

    entry = await remote_world.remote.make_directory("a/b")

    assert every_record(remote_world) == ["/dest", "/dest/a", "/dest/a/b"]
    assert remote_world.records_at("/dest/a/b")[0].id == entry.id


@broken
@pytest.mark.needs("replace_in_place")
async def test_patches_that_went_wrong(remote_world: World, kind: str, how: dict[str, object]) -> None:
    before = await remote_world.put("file", b"before")
    strike(remote_world, "patch", kind, how)

    after = await remote_world.remote.replace(before, "file", Bytes(b"after"))

    assert after.id == before.id
    assert remote_world.files() == {"/dest/file": b"after"}


@broken
@pytest.mark.parametrize("piece_bytes", [0, 100_000])
@pytest.mark.needs("replace_in_place")
async def test_forms_that_went_wrong(remote_world: World, kind: str, how: dict[str, object], piece_bytes: int) -> None:
    data = bytes(range(256)) * 1500
    strike(remote_world, "form", kind, how)

    await remote_world.remote.create("file", Bytes(data, piece_bytes=piece_bytes))

    assert remote_world.files() == {"/dest/file": data}
    assert sum(remote_world.sent) == len(data)


@broken
async def test_direct_uploads_that_went_wrong(tmp_path: Path, kind: str, how: dict[str, object]) -> None:
    async with world(tmp_path, "privateFiles", form_for_private=False) as private:
        strike(private, "upload", kind, how)

        await private.remote.create("file", Bytes(b"x" * 300_000, piece_bytes=100_000))

        assert private.files() == {"/dest/file": b"x" * 300_000}


@broken
@pytest.mark.needs("move")
async def test_moves_that_went_wrong(remote_world: World, kind: str, how: dict[str, object]) -> None:
    remote_world.turn(job_delay=0.05)
    before = await remote_world.put("old", b"content")
    strike(remote_world, "move", kind, how)

    after = await remote_world.remote.move(before, "new")

    assert remote_world.files() == {"/dest/new": b"content"}
    assert await remote_world.remote.get(after.id) is not None
    assert len(remote_world.records_at("/dest/new")) == 1


@broken
@pytest.mark.needs("move")
async def test_directory_moves_that_went_wrong(remote_world: World, kind: str, how: dict[str, object]) -> None:
    remote_world.turn(job_delay=0.1)
    before = await remote_world.remote.make_directory("old")
    await remote_world.put("old/d/file", b"content")
    strike(remote_world, "move", kind, how)

    await remote_world.remote.move(before, "new")

    assert every_record(remote_world) == ["/dest", "/dest/new", "/dest/new/d", "/dest/new/d/file"]


@broken
async def test_deletes_that_went_wrong(remote_world: World, kind: str, how: dict[str, object]) -> None:
    entry = await remote_world.put("file")
    strike(remote_world, "delete", kind, how)

    await remote_world.remote.delete(entry)

    assert remote_world.live_files() == 0


@broken
async def test_before_each_try_of_a_delete_is_asked(remote_world: World, kind: str, how: dict[str, object]) -> None:
    entry = await remote_world.put("file")
    strike(remote_world, "delete", kind, how)
    sent = remote_world.sandbox.requests.counts
    asked: list[int] = []

    async def before() -> None:
        asked.append(sent["delete"])
        if len(asked) == 2:
            raise Unwanted

    with pytest.raises(Unwanted):
        await remote_world.remote.delete(entry, before=before)

    assert asked == [0, 1]
    assert sent["delete"] == 1


@pytest.mark.needs("move")
@pytest.mark.parametrize(("kind", "how"), [("status", {"status": 503}), ("reset_before", {})])
async def test_before_each_try_of_a_move_is_asked(remote_world: World, kind: str, how: dict[str, object]) -> None:
    entry = await remote_world.put("file")
    strike(remote_world, "move", kind, how)
    sent = remote_world.sandbox.requests.counts
    asked: list[int] = []

    async def before() -> None:
        asked.append(sent["move"])
        if len(asked) == 2:
            raise Unwanted

    with pytest.raises(Unwanted):
        await remote_world.remote.move(entry, "new", before=before)

    assert asked == [0, 1]
    assert every_record(remote_world) == ["/dest", "/dest/file"]


class Unwanted(Exception):
    """What a last look raises."""


@pytest.mark.parametrize("operation", ["create", "patch", "form", "get", "list"])
@pytest.mark.needs("replace_in_place")
async def test_a_connection_that_stands_still(tmp_path: Path, library: Library, operation: str) -> None:
    hang = Fault(operation, "hang", count=1)  # type: ignore[arg-type]
    async with world(tmp_path, library, patience=replace(QUICK, stall_s=0.4)) as hanging:
        before = await hanging.put("before")
        hanging.turn(faults=(hang,))

        await hanging.remote.replace(before, "before", Bytes(b"y" * 200_000, piece_bytes=50_000))
        await hanging.put("file")
        await hanging.remote.get(before.id)
        await hanging.listed()

        assert hanging.files() == {"/dest/before": b"y" * 200_000, "/dest/file": b"content"}
        assert hanging.traffic.retries == 1


@pytest.mark.parametrize("status", [500, 0])
async def test_a_record_that_lists_late_is_waited_for(tmp_path: Path, library: Library, status: int) -> None:
    """The answer was lost, and the record shows only after a while: no second one is made meanwhile."""
    lost = (
        Fault("create", "status", status=500, when="after", count=1)
        if status
        else Fault("create", "reset_after", count=1)
    )
    async with world(tmp_path, library, patience=replace(QUICK, lookup_s=5.0), listing_lag=0.6) as lagging:
        lagging.turn(duplicate_create="duplicate", faults=(lost,))

        await lagging.remote.create("file", Bytes(b"content"))

        assert lagging.asked("create") == 1
        assert lagging.files() == {"/dest/file": b"content"}


@pytest.mark.needs("unique_names")
async def test_a_create_that_an_earlier_run_began_is_looked_up_first(tmp_path: Path, library: Library) -> None:
    async with world(tmp_path, library, patience=replace(QUICK, lookup_s=5.0), listing_lag=0.6) as lagging:
        lagging.turn(duplicate_create="duplicate", faults=(Fault("form", "status", status=403),))
        with pytest.raises(RemoteError):
            await lagging.remote.create("file", Bytes(b"content"))
        lagging.turn(faults=())

        await lagging.remote.create("file", Bytes(b"content"), begun_s_ago=0.0)

        assert lagging.asked("create") == 1
        assert lagging.files() == {"/dest/file": b"content"}


async def test_a_create_that_was_begun_long_ago_is_looked_up_once(remote_world: World) -> None:
    await remote_world.remote.create("file", Bytes(b"content"), begun_s_ago=3600.0)

    assert (remote_world.asked("create"), remote_world.asked("list")) == (1, 1)


@pytest.mark.needs("directories")
async def test_a_lost_create_where_something_else_came_to_be(remote_world: World) -> None:
    remote_world.turn(faults=(Fault("create", "reset_before", count=1),))
    remote_world.plant("/dest/file/inside")

    with pytest.raises(AlreadyExists, match="directory"):
        await remote_world.put("file")


@pytest.mark.needs("move")
async def test_a_lost_move_of_what_then_went_away(remote_world: World) -> None:
    entry = await remote_world.put("old")
    record = remote_world.records_at("/dest/old")[0]
    remote_world.turn(faults=(Fault("move", "hang", seconds=0.3, count=1),))
    moving = asyncio.create_task(remote_world.remote.move(entry, "new"))
    await until(lambda: remote_world.sandbox.requests.in_flight["move"])
    remote_world.sandbox.remove(record)

    with pytest.raises(NotFound):
        await moving


@pytest.mark.needs("replace_in_place")
async def test_a_path_that_always_fails_is_given_up_while_others_go_on(remote_world: World) -> None:
    remote_world.turn(faults=(Fault("patch", "status", status=500, name="bad"),))
    bad, good = await remote_world.put("bad"), await remote_world.put("good")

    failing = asyncio.create_task(remote_world.remote.replace(bad, "bad", Bytes(b"new")))
    while not failing.done():
        await remote_world.remote.replace(good, "good", Bytes(b"new"))

    with pytest.raises(Transient, match="given up after 6 tries; last: 500 Fault: a fault was asked for") as given_up:
        await failing
    assert not isinstance(given_up.value, RemoteDead)


async def test_a_create_that_always_fails_is_given_up(remote_world: World) -> None:
    remote_world.turn(faults=(Fault("create", "status", status=500),))

    with pytest.raises(Transient, match="given up after 4 tries"):
        await remote_world.put("file")

    assert remote_world.asked("create") == 4


ACTS: dict[str, Callable[[Remote], Awaitable[object]]] = {
    "get": lambda remote: remote.get("5" * 24),
    "create": lambda remote: remote.create("x", Bytes(b"")),
    "list": lambda remote: remote.entries("", Listed(), recursive=True),
}


@pytest.mark.parametrize("act", ACTS.values(), ids=ACTS)
async def test_a_remote_that_only_fails_is_dead(
    tmp_path: Path, library: Library, act: Callable[[Remote], Awaitable[object]]
) -> None:
    body = "<html>Bad Gateway"
    faults = tuple(Fault(operation, "status", status=502, body=body) for operation in ("get", "create", "list"))
    async with world(tmp_path, library, patience=replace(QUICK, dead_after_s=0.5), faults=faults) as dying:
        with pytest.raises(RemoteDead, match=r"no request succeeded for .*; last: 502 Bad Gateway"):
            await act(dying.remote)


async def test_a_remote_that_is_not_there_is_dead(library: Library) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{taken.getsockname()[1]}"
        short = replace(QUICK, dead_after_s=0.3)
        async with Account(name="gone", api_url=address, token=lambda: "t", patience=short) as account:
            private = library == "privateFiles"
            remote = Losant(account, application_id="a", private=private, directory="", traffic=Traffic())
            with pytest.raises(RemoteDead, match=r"remote gone: no request succeeded .*127\.0\.0\.1"):
                await remote.create("x", Bytes(b""))


@pytest.mark.parametrize("retry_after", [None, 0.2])
async def test_throttling_slows_down_and_fails_nothing(remote_world: World, retry_after: float | None) -> None:
    remote_world.turn(throttle=60.0, throttle_retry_after=retry_after)
    entries: list[RemoteEntry] = []

    async def put(number: int) -> None:
        entries.append(await remote_world.put(f"file {number}"))

    await asyncio.gather(*(put(number) for number in range(100)))

    assert len(remote_world.files()) == len(entries) == 100
    assert {entry.kind for entry in entries} == {Kind.FILE}
    statuses = [request.status for request in remote_world.sandbox.requests]
    assert statuses.count(429) == remote_world.traffic.retries
    assert statuses.count(429) < 200


async def test_a_pause_that_was_asked_for_is_kept_by_everybody(remote_world: World) -> None:
    remote_world.turn(faults=(Fault("get", "status", status=429, retry_after=1, count=1),))
    before = await remote_world.put("file")

    await asyncio.gather(*(remote_world.remote.get(before.id) for _ in range(3)))
    first = next(r.time for r in remote_world.sandbox.requests if r.status == 429)
    await remote_world.remote.get(before.id)

    later = [r.time for r in remote_world.sandbox.requests if r.operation == "get" and r.time > first + 0.2]
    assert later
    assert min(later) >= first + 0.95


async def test_a_pause_longer_than_patience_is_said_at_once(remote_world: World) -> None:
    remote_world.turn(faults=(Fault("create", "status", status=503, retry_after=3600, count=1),))

    with pytest.raises(RemoteDead, match="left alone for 3600 s"):
        await remote_world.put("file")
    with pytest.raises(RemoteDead, match="left alone for"):
        await remote_world.remote.get("5" * 24)

    assert remote_world.traffic.requests == 1


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.needs("replace_in_place")
async def test_everything_arrives_once_through_a_bad_connection(tmp_path: Path, library: Library, seed: int) -> None:
    """One request in five goes wrong in some way, in any operation."""
    faults = tuple(
        Fault(operation, kind, probability=0.04, **how)  # type: ignore[arg-type]
        for operation in ("list", "create", "patch", "form", "move", "delete", "get")
        for kind, how in (
            ("reset_before", {}),
            ("reset_after", {}),
            ("garbage", {}),
            ("status", {"status": 500, "when": "after"}),
            ("status", {"status": 503}),
        )
    )
    bad = replace(QUICK, enough_tries=30, enough_creates=30)
    async with world(tmp_path, library, patience=bad, seed=seed, faults=faults, duplicate_create="duplicate") as shaky:

        async def live(number: int) -> None:
            entry = await shaky.remote.create(f"d{number % 3}/{number}", Bytes(b"1"))
            entry = await shaky.remote.replace(entry, f"d{number % 3}/{number}", Bytes(b"%d" % number))
            if number % 3 == 1:
                await shaky.remote.move(entry, f"moved/{number}")
            elif number % 3 == 2:
                await shaky.remote.delete(entry)

        await asyncio.gather(*(live(number) for number in range(30)))

        expected = {f"/dest/d0/{n}" if n % 3 == 0 else f"/dest/moved/{n}": b"%d" % n for n in range(30) if n % 3 != 2}
        assert shaky.files() == expected
        files = [record.path for record in shaky.sandbox.records(library) if record.type == "file"]
        assert sorted(files) == sorted(expected)


async def test_a_cancelled_operation_leaves_no_permit_behind(remote_world: World) -> None:
    async with account_of(remote_world.sandbox, max_connections=2) as account:
        remote = remote_world.remote_at("dest", account=account)
        remote_world.turn(faults=(Fault("list", "hang", count=2),))
        tasks = [asyncio.create_task(remote.entries("", Listed(), recursive=True)) for _ in range(4)]
        await until(lambda: remote_world.sandbox.requests.in_flight["list"] == 2)
        for task in tasks:
            task.cancel()
        assert all(isinstance(e, asyncio.CancelledError) for e in await asyncio.gather(*tasks, return_exceptions=True))

        await asyncio.gather(*(remote.create(f"{n}", Bytes(b"")) for n in range(4)))

        assert len(remote_world.files()) == 4
        assert remote_world.sandbox.requests.most_in_flight["create"] <= 2


async def test_what_is_not_transient_is_not_retried(remote_world: World) -> None:
    for status in (400, 409, 413, 422):
        remote_world.turn(faults=(Fault("create", "status", status=status),))
        with pytest.raises(RemoteError, match=f"^{status} Fault: a fault was asked for$"):
            await remote_world.put("file")
    assert remote_world.traffic.requests == 4
