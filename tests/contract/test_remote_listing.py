"""Listings: whole, or an exception; in as few requests as the tree allows."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest

from syncd.core.model import Kind, Status
from syncd.core.paths import is_below, key_of
from syncd.errors import Transient, Unauthorized
from syncd.remotes import Account
from syncd.sandbox import APPLICATION_ID, Fault, Record
from tests.remote_support import QUICK, Bytes, Listed, World, account_of, md5


def plant_tree(world: World, *, directories: int, files: int, root: str = "/dest") -> set[str]:
    """`files` files in each of `directories` directories; returns their paths below the root."""
    paths = {f"d{d}/f{f}" for d in range(directories) for f in range(files)}
    for path in sorted(paths):
        world.plant(f"{root}/{path}", path.encode())
    return paths


def file_paths(listed: Listed) -> set[str]:
    return {path for path, entry in zip(listed.paths(), listed.sorted(), strict=True) if entry.kind is Kind.FILE}


async def test_an_absent_destination_is_empty(remote_world: World) -> None:
    assert (await remote_world.listed()).paths() == []
    assert (await remote_world.listed(recursive=False)).paths() == []
    assert (await remote_world.listed("no/such", recursive=False)).paths() == []


@pytest.mark.needs("directories")
async def test_a_tree_without_what_is_beside_it(remote_world: World) -> None:
    for path in ("/dest/a/b/c", "/dest/x", "/destination/y", "/z", "/other/dest/w"):
        remote_world.plant(path, path.encode())

    listed = await remote_world.listed()

    assert listed.paths() == ["a", "a/b", "a/b/c", "x"]
    directory, _, file, _ = listed.sorted()
    assert (directory.kind, directory.checksum) == (Kind.DIRECTORY, None)
    assert (file.size, file.checksum, file.status) == (11, md5(b"/dest/a/b/c"), Status.COMPLETED)
    assert (await remote_world.listed("a")).paths() == ["a/b", "a/b/c"]
    assert (await remote_world.listed("a", recursive=False)).paths() == ["a/b"]
    assert (await remote_world.listed(recursive=False)).paths() == ["a", "x"]


@pytest.mark.needs("directories")
async def test_the_whole_application_as_destination(remote_world: World) -> None:
    plant_tree(remote_world, directories=3, files=10)
    remote_world.remote = remote_world.remote_at("")
    remote_world.turn(page_size_ceiling=7)

    assert (await remote_world.listed()).paths() == ["dest"] + [
        path for d in range(3) for path in [f"dest/d{d}", *sorted(f"dest/d{d}/f{f}" for f in range(10))]
    ]
    assert (await remote_world.listed(recursive=False)).paths() == ["dest"]


@pytest.mark.parametrize("known", [None, 0, 6, 10_000])
@pytest.mark.parametrize("ceiling", [3, 10, 11, 1000])
async def test_smaller_pages_than_asked_for(remote_world: World, ceiling: int, known: int | None) -> None:
    paths = plant_tree(remote_world, directories=6, files=11)
    remote_world.turn(page_size_ceiling=ceiling, list_page=ceiling)

    assert file_paths(await remote_world.listed(directories_known=known)) == paths
    assert file_paths(await remote_world.listed("d3", recursive=False)) == {p for p in paths if p.startswith("d3/")}


async def test_a_short_listing_is_one_request(remote_world: World) -> None:
    plant_tree(remote_world, directories=20, files=5)
    await remote_world.listed()
    assert remote_world.traffic.requests == 1


@pytest.mark.needs("directories")
async def test_few_directories_of_many_are_listed_one_by_one(remote_world: World) -> None:
    plant_tree(remote_world, directories=50, files=10, root="/elsewhere")
    paths = plant_tree(remote_world, directories=2, files=10)
    remote_world.turn(page_size_ceiling=20)

    assert file_paths(await remote_world.listed()) == paths
    assert remote_world.traffic.requests == 1 + 3


@pytest.mark.needs("directories")
async def test_many_directories_in_few_pages_are_paged_through(remote_world: World) -> None:
    paths = plant_tree(remote_world, directories=50, files=10)
    remote_world.turn(page_size_ceiling=200)
    pages = 3

    assert file_paths(await remote_world.listed(directories_known=50)) == paths
    assert remote_world.traffic.requests == 1 + pages + 1

    remote_world.traffic.requests = 0
    listed = Listed()
    await remote_world.remote.entries("", listed, recursive=True, directories_known=50, steady=False)
    assert file_paths(listed) == paths
    assert remote_world.traffic.requests == pages

    remote_world.traffic.requests = 0
    assert file_paths(await remote_world.listed()) == paths
    assert remote_world.traffic.requests <= 3 * pages


@pytest.mark.needs("directories")
async def test_records_of_every_status_are_listed(remote_world: World) -> None:
    remote_world.turn(job_delay=60.0, completion_delay=60.0)
    for name in ("deleted", "moved", "stays"):
        remote_world.plant(f"/dest/{name}")
    remote_world.turn(completion_delay=0.0)
    entries = {name: await remote_world.put(f"new {name}") for name in ("deleted", "moved", "stays")}
    await remote_world.remote.delete(entries["deleted"])
    await remote_world.remote.move(entries["moved"], "target")
    remote_world.turn(completion_delay=60.0)
    await remote_world.put("pending")

    found = {entry.key.decode(): (entry.status, entry.checksum) for entry in (await remote_world.listed()).sorted()}

    assert found["new deleted"] == found["new moved"] == (Status.LEAVING, None)
    assert found["pending"] == (Status.PENDING, None)
    assert found["new stays"] == found["target"] == (Status.COMPLETED, md5(b"content"))


@pytest.mark.parametrize("name", [".", "..", ""])
@pytest.mark.parametrize("as_directory", [True, False])
async def test_names_that_no_local_path_can_have_stay_visible(
    remote_world: World, name: str, as_directory: bool
) -> None:
    record = remote_world.plant(f"/dest/d/{name}/x" if as_directory else f"/dest/d/{name}")
    shown = key_of("d") + b"\x00\xff" + record.id.encode()

    for known in (None, 0):
        listed = await remote_world.listed(directories_known=known)
        assert shown in [entry.key for entry in listed.sorted()]
        assert all(is_below(entry.key, b"d") for entry in listed.sorted()[1:])


async def test_get(remote_world: World) -> None:
    entry = await remote_world.put("d/file")
    elsewhere = remote_world.plant("/elsewhere/file")

    found = await remote_world.remote.get(entry.id)

    assert found is not None
    checksum = md5(b"content") if remote_world.remote.capabilities.checksums else None
    assert (found.key, found.size, found.status) == (key_of("d/file"), 7, Status.COMPLETED)
    assert found.checksum == checksum
    assert await remote_world.remote.get(elsewhere.id) is None
    assert await remote_world.remote.get("5" * 24) is None


class Drift:
    """Somebody else, who changes the application after each page that is read."""

    def __init__(self, world: World, change: Callable[[World, Random], None], times: int) -> None:
        self._world = world
        self._change = change
        self._left = times
        self._random = Random(7)
        world.sandbox.on_page = self

    def __call__(self) -> None:
        if self._left:
            self._left -= 1
            self._change(self._world, self._random)


def live(world: World) -> list[Record]:
    return [record for record in world.sandbox.records(world.library) if record.type == "file"]


def remove_one(world: World, random: Random) -> None:
    world.sandbox.remove(random.choice(live(world)))


def add_one(world: World, random: Random) -> None:
    world.plant(f"/dest/d{random.randrange(8)}/n{random.getrandbits(40)}")


def replace_one(world: World, random: Random) -> None:
    remove_one(world, random)
    add_one(world, random)


def replace_one_of_d0(world: World, random: Random) -> None:
    remove_one(world, random)
    world.plant(f"/dest/d0/{random.random()}")


@pytest.mark.parametrize("change", [remove_one, add_one, replace_one])
@pytest.mark.parametrize("times", [1, 2, 5, 9])
@pytest.mark.parametrize("known", [None, 8, 0])
@pytest.mark.needs("directories")
async def test_changes_while_the_pages_are_read(
    remote_world: World, change: Callable[[World, Random], None], times: int, known: int | None
) -> None:
    """What was there all the time is in the listing, whatever came and went meanwhile."""
    plant_tree(remote_world, directories=8, files=9)
    remote_world.turn(page_size_ceiling=13)
    before = {record.path for record in live(remote_world)}
    Drift(remote_world, change, times)

    listed = file_paths(await remote_world.listed(directories_known=known))

    after = {record.path for record in live(remote_world)}
    assert {f"/dest/{path}" for path in listed} >= before & after


@pytest.mark.needs("directories")
async def test_pages_that_never_hold_still_end_in_a_walk(remote_world: World) -> None:
    plant_tree(remote_world, directories=8, files=9)
    remote_world.turn(page_size_ceiling=20)
    before = {record.path for record in live(remote_world)}
    Drift(remote_world, replace_one, 500)

    listed = file_paths(await remote_world.listed(directories_known=100))

    after = {record.path for record in live(remote_world)}
    assert {f"/dest/{path}" for path in listed} >= before & after


@pytest.mark.needs("directories")
async def test_a_directory_that_never_holds_still_is_no_listing(remote_world: World) -> None:
    plant_tree(remote_world, directories=1, files=60)
    remote_world.turn(page_size_ceiling=10)
    Drift(remote_world, replace_one_of_d0, 500)

    with pytest.raises(Transient, match="changed each time"):
        await remote_world.listed("d0", recursive=False)


@pytest.mark.parametrize("kind", ["truncated", "partial", "garbage", "reset_before", "reset_after", "status"])
async def test_a_page_that_fails_is_read_again(remote_world: World, kind: str) -> None:
    paths = plant_tree(remote_world, directories=4, files=10)
    faults = tuple(Fault("list", kind, skip=skip, count=1) for skip in (0, 2, 4))  # type: ignore[arg-type]
    remote_world.turn(page_size_ceiling=9, list_page=9, faults=faults)

    assert file_paths(await remote_world.listed(directories_known=4)) == paths
    assert remote_world.traffic.retries == 3


@pytest.mark.parametrize("kind", ["truncated", "partial", "garbage", "status"])
async def test_a_page_that_keeps_failing_is_no_empty_page(remote_world: World, kind: str) -> None:
    plant_tree(remote_world, directories=4, files=10)
    remote_world.turn(page_size_ceiling=9, list_page=9, faults=(Fault("list", kind, skip=3),))  # type: ignore[arg-type]
    sink = Listed()
    short = QUICK.__class__(backoff_base_s=0.001, backoff_cap_s=0.01, dead_after_s=0.3)
    async with account_of(remote_world.sandbox, patience=short) as account:
        remote = remote_world.remote_at("dest", account=account)
        with pytest.raises(Transient):
            await remote.entries("", sink, recursive=True, directories_known=4)


async def test_a_token_that_is_refused(remote_world: World) -> None:
    async with account_of(remote_world.sandbox, token="wrong-secret") as account:
        remote = remote_world.remote_at("dest", account=account)
        with pytest.raises(Unauthorized, match="remote test refused the token") as refused:
            await remote.entries("", Listed(), recursive=True)
        with pytest.raises(Unauthorized):
            await remote.create("x", Bytes(b""))
    assert "wrong-secret" not in str(refused.value)
    assert remote_world.traffic.retries == 0


@pytest.mark.needs("directories")
async def test_an_application_that_is_not_there(remote_world: World) -> None:
    remote = remote_world.remote_at("dest", application_id=APPLICATION_ID[::-1])

    for recursive in (True, False):
        with pytest.raises(Unauthorized, match="no such application"):
            await remote.entries("", Listed(), recursive=recursive)
    with pytest.raises(Unauthorized, match="no such application"):
        await remote.create("x", Bytes(b""))


async def test_a_token_that_was_rotated_is_read_again(remote_world: World) -> None:
    tokens = iter(["the old one", "the new one"])
    remote_world.sandbox.token = "the new one"
    async with Account(name="test", api_url=remote_world.sandbox.url, token=lambda: next(tokens)) as account:
        await remote_world.remote_at("dest", account=account).entries("", Listed(), recursive=True)
    assert [request.status for request in remote_world.sandbox.requests] == [401, 200]
