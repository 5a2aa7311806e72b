"""Create, replace, move, delete and make_directory, as every remote has to do them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from syncd.core.model import Kind, RemoteEntry, Status
from syncd.core.paths import key_of
from syncd.errors import AlreadyExists, NotFound, Rejected, RenamedByRemote, SourceChanged, Unreadable
from syncd.sandbox import Fault
from tests.remote_support import Bytes, World, md5, world

ODD_NAMES = [
    "with space",
    " lead and trail ",
    "ünïcödé 日本語 🎉",
    "e\u0301 decomposed",
    "100% of?it#now&then+more;\"quoted\" 'single' \\back",
    "*[a-c]?{x,y}!(z)",
    ".hidden",
    "trailing.",
    "...",
    "line\nbreak\ttab",
    "-rf",
    "%2e%2e%2f",
    "x" * 1024,
    "ß" * 1024,
]


@pytest.mark.needs("checksums")
async def test_a_created_file_has_content_checksum_and_type(remote_world: World) -> None:
    content = Bytes(b"hello", content_type="image/png", dimensions=(3, 4))

    entry = await remote_world.remote.create("a/b/c.png", content)

    (record,) = remote_world.records_at("/dest/a/b/c.png")
    assert entry[:5] == (key_of("a/b/c.png"), Kind.FILE, 5, md5(b"hello"), record.id)
    assert (record.content_type, record.dimensions) == ("image/png", {"width": 3, "height": 4})
    assert remote_world.files() == {"/dest/a/b/c.png": b"hello"}
    assert sum(remote_world.sent) == 5
    assert remote_world.traffic.requests == 2
    assert remote_world.traffic.retries == 0


@pytest.mark.parametrize("name", ODD_NAMES)
@pytest.mark.needs("move")
async def test_names_arrive_as_they_are(remote_world: World, name: str) -> None:
    entry = await remote_world.remote.create(f"dir {name[:9]}/{name}", Bytes(b"odd"))
    again = await remote_world.remote.replace(entry, f"dir {name[:9]}/{name}", Bytes(b"odder"))
    moved = await remote_world.remote.move(again, name)

    assert remote_world.files() == {f"/dest/{name}": b"odder"}
    listing = await remote_world.listed(recursive=False)
    assert moved.key in [entry.key for entry in listing.sorted()]


@pytest.mark.needs("directories")
async def test_the_longest_path_below_the_destination_fits(remote_world: World) -> None:
    limit = remote_world.remote.capabilities.max_directory_chars
    directory = "/".join(["d" * 100] * 10)
    directory += "/" + "e" * (limit - len(directory) - 1)

    await remote_world.put(f"{directory}/x")

    assert remote_world.files() == {f"/dest/{directory}/x": b"content"}


@pytest.mark.parametrize("form_for_private", [True, False])
@pytest.mark.parametrize("size", [0, 1, 60 * 1024, 61 * 1024, 3_000_000])
async def test_every_size_arrives_whole(remote_world: World, size: int, form_for_private: bool) -> None:
    remote_world.turn(form_for_private=form_for_private, content_length_range="exact" if form_for_private else None)
    data = os.urandom(size)

    whole = await remote_world.remote.create("whole", Bytes(data))
    streamed = await remote_world.remote.create("streamed", Bytes(data, piece_bytes=1 << 20))

    assert whole.checksum == streamed.checksum == md5(data)
    assert remote_world.files() == {"/dest/whole": data, "/dest/streamed": data}
    assert sum(remote_world.sent) == 2 * size


async def test_a_large_file_is_streamed(remote_world: World) -> None:
    data = os.urandom(8 << 20)

    entry = await remote_world.remote.create("large", Bytes(data, piece_bytes=1 << 20))

    assert entry.checksum == md5(data)
    assert remote_world.files()["/dest/large"] == data


@pytest.mark.parametrize("failure", [SourceChanged("it changed"), Unreadable("EIO")])
@pytest.mark.needs("replace_in_place")
async def test_a_file_that_changes_while_it_is_read_is_not_published(
    remote_world: World, failure: SourceChanged | Unreadable
) -> None:
    before = await remote_world.put("kept", b"before")
    torn = Bytes(b"x" * 3_000_000, piece_bytes=1 << 20, ends_with=failure)

    with pytest.raises(type(failure), match=str(failure)):
        await remote_world.remote.create("torn", torn)
    with pytest.raises(type(failure), match=str(failure)):
        await remote_world.remote.replace(before, "kept", torn)

    assert "/dest/torn" not in remote_world.files()
    (kept,) = remote_world.records_at("/dest/kept")
    assert remote_world.sandbox.content(kept) == b"before"
    assert torn.readings == 2


@pytest.mark.parametrize("status", ["pending", "completed"])
@pytest.mark.parametrize("size", ["old", "new"])
@pytest.mark.parametrize("etag", ["old", "none"])
@pytest.mark.needs("replace_in_place")
async def test_a_replaced_file_keeps_its_id(remote_world: World, status: str, size: str, etag: str) -> None:
    remote_world.turn(patched_status=status, patched_size=size, patched_etag=etag, completion_delay=0.05)
    before = await remote_world.put("file", b"before")

    after = await remote_world.remote.replace(before, "file", Bytes(b"and after"))

    assert (after.id, after.checksum, after.size) == (before.id, md5(b"and after"), 9)
    (record,) = remote_world.records_at("/dest/file")
    assert remote_world.sandbox.content(record) == b"and after"


async def test_a_private_upload_is_proven_by_the_record(tmp_path: Path) -> None:
    async with world(tmp_path, "privateFiles", form_for_private=False, completion_delay=0.1) as private:
        before = await private.put("file", b"before")
        after = await private.remote.replace(before, "file", Bytes(b"after!"))

        assert (after.status, after.checksum) == (Status.COMPLETED, md5(b"after!"))
        assert private.asked("upload") == 2
        assert private.asked("form") == 0


@pytest.mark.needs("replace_in_place")
async def test_replacing_what_is_gone(remote_world: World) -> None:
    entry = await remote_world.put("file")
    remote_world.sandbox.remove(remote_world.records_at("/dest/file")[0])

    with pytest.raises(NotFound):
        await remote_world.remote.replace(entry, "file", Bytes(b"new"))


@pytest.mark.parametrize("answer", ["conflict", "bad_request"])
@pytest.mark.needs("unique_names")
async def test_creating_what_exists(remote_world: World, answer: str) -> None:
    await remote_world.put("file", b"theirs")
    await remote_world.remote.make_directory("directory")
    remote_world.turn(duplicate_create=answer)

    with pytest.raises(AlreadyExists):
        await remote_world.put("file", b"mine")
    with pytest.raises(AlreadyExists):
        await remote_world.remote.make_directory("directory")

    assert remote_world.files() == {"/dest/file": b"theirs"}


@pytest.mark.needs("unique_names")
async def test_creating_what_exists_where_that_answers_with_the_existing_record(remote_world: World) -> None:
    remote_world.turn(duplicate_create="existing")
    before = await remote_world.put("file", b"before")

    after = await remote_world.put("file", b"after")

    assert after.id == before.id
    assert remote_world.files() == {"/dest/file": b"after"}


@pytest.mark.needs("directories")
async def test_a_refused_create_says_why(remote_world: World) -> None:
    with pytest.raises(Rejected, match=r"^400 \w+: "):
        await remote_world.put("x" * 1025)
    with pytest.raises(Rejected, match="UTF-8"):
        await remote_world.put("\udcff")
    assert remote_world.asked("create") == 1


@pytest.mark.parametrize(("rule", "asked", "kept"), [("trim", "d/name ", "d/name"), ("nfc", "d/e\u0301", "d/\u00e9")])
async def test_a_name_that_the_remote_changes(remote_world: World, rule: str, asked: str, kept: str) -> None:
    remote_world.turn(names=rule)

    with pytest.raises(RenamedByRemote) as renamed:
        await remote_world.put(asked)

    assert renamed.value.kept_path == kept
    (record,) = remote_world.records_at(f"/dest/{kept}")
    assert record.id == renamed.value.record_id
    assert remote_world.asked("form") == remote_world.asked("upload") == 0
    assert remote_world.asked("delete") == 0


@pytest.mark.needs("move")
async def test_a_moved_file_has_its_content_at_its_new_path_only(remote_world: World) -> None:
    remote_world.turn(job_delay=0.05)
    before = await remote_world.put("a.txt", b"same")

    after = await remote_world.remote.move(before, "new dir/b & c.txt")

    assert after[:4] == (key_of("new dir/b & c.txt"), Kind.FILE, 4, md5(b"same"))
    assert remote_world.files() == {"/dest/new dir/b & c.txt": b"same"}
    assert await remote_world.remote.get(after.id) == after


@pytest.mark.needs("move")
async def test_a_moved_directory_has_everything_when_the_call_returns(remote_world: World) -> None:
    remote_world.turn(job_delay=0.1)
    for number in range(12):
        await remote_world.put(f"old/{number % 3}/{number}", b"%d" % number)
    (directory,) = remote_world.records_at("/dest/old")
    entry = RemoteEntry(key_of("old"), Kind.DIRECTORY, 0, None, directory.id, Status.COMPLETED, "")

    after = await remote_world.remote.move(entry, "else/new")

    assert after.key == key_of("else/new")
    assert remote_world.files() == {f"/dest/else/new/{n % 3}/{n}": b"%d" % n for n in range(12)}
    assert not remote_world.records_at("/dest/old")


@pytest.mark.needs("move")
async def test_moving_onto_what_exists(remote_world: World) -> None:
    first, _ = await remote_world.put("first", b"1"), await remote_world.put("second", b"2")

    with pytest.raises(AlreadyExists):
        await remote_world.remote.move(first, "second")

    assert remote_world.files() == {"/dest/first": b"1", "/dest/second": b"2"}


@pytest.mark.needs("move")
async def test_moving_what_is_gone(remote_world: World) -> None:
    entry = await remote_world.put("file")
    await remote_world.remote.delete(entry)

    with pytest.raises(NotFound):
        await remote_world.remote.move(entry, "other")


async def test_deleting_again_is_success(remote_world: World) -> None:
    entry = await remote_world.put("file")
    await remote_world.put("file2")

    await remote_world.remote.delete(entry)
    await remote_world.remote.delete(entry)

    assert remote_world.files() == {"/dest/file2": b"content"}


@pytest.mark.needs("directories")
async def test_a_deleted_directory_is_gone_when_the_call_returns(remote_world: World) -> None:
    remote_world.turn(job_delay=0.2)
    directory = await remote_world.remote.make_directory("d")
    await remote_world.put("d/e/f")
    await remote_world.put("kept")

    await remote_world.remote.delete(directory)

    assert await remote_world.remote.get(directory.id) is None
    assert not remote_world.records_at("/dest/d")
    assert remote_world.files() == {"/dest/kept": b"content"}


@pytest.mark.needs("directories")
async def test_a_directory_is_made_with_its_parents(remote_world: World) -> None:
    entry = await remote_world.remote.make_directory("a/b/c")

    assert (entry.key, entry.kind, entry.status) == (key_of("a/b/c"), Kind.DIRECTORY, Status.COMPLETED)
    assert (await remote_world.listed()).paths() == ["a", "a/b", "a/b/c"]


@pytest.mark.parametrize("knobs", [{"policy_ttl": -1.0}, {"content_length_range": (0, 3)}])
@pytest.mark.needs("replace_in_place")
async def test_a_form_that_the_storage_refuses(remote_world: World, knobs: dict[str, Any]) -> None:
    """Once more with a fresh form, then the path fails with what the storage said."""
    remote_world.turn(**knobs)

    with pytest.raises(Rejected, match=r"^40[03] \w+: "):
        await remote_world.put("file", b"12345")

    assert remote_world.asked("patch") == (1 if "policy_ttl" in knobs else 0)


@pytest.mark.needs("replace_in_place")
async def test_a_form_that_expired_is_asked_for_anew(remote_world: World) -> None:
    remote_world.turn(faults=(Fault("form", "status", status=403, count=1),))

    await remote_world.remote.create("file", Bytes(b"late"))

    assert remote_world.files() == {"/dest/file": b"late"}
    assert remote_world.sandbox.requests.operations() == ["create", "form", "patch", "form"]
    assert sum(remote_world.sent) == 4
