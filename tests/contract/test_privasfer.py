"""What only Privasfer is like: names instead of directories, records beside each other, a trash in the list, limits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncd.core.model import Kind, RemoteEntry, Status
from syncd.core.paths import key_of
from syncd.errors import Rejected, RemoteDead, RenamedByRemote, SourceChanged, Transient
from syncd.remotes.privasfer_names import kept_name, path_of_name
from syncd.sandbox import Fault, Record
from tests.remote_support import QUICK, Bytes, Received, World, world

NAMES = st.text(st.sampled_from("ab ./／‛␀．\\\"'%😀é"), max_size=12) | st.text(st.characters(codec="utf-8"))
CHANGES = ("create", "delete")


@pytest.fixture
async def privasfer(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path, "privasfer") as made:
        yield made


@given(NAMES.filter(lambda path: "\0" not in path))
def test_a_name_can_be_read_back(path: str) -> None:
    assert path_of_name(kept_name(path)) == path
    assert "/" not in kept_name(path)


@given(NAMES, NAMES)
def test_no_two_paths_have_one_name(one: str, other: str) -> None:
    assert (kept_name(one) == kept_name(other)) == (one == other)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("a/b.txt", "a／b.txt"),
        ("a／b", "a‛／b"),
        ("‛", "‛‛"),
        ("‛／", "‛‛‛／"),
        ("‛/", "‛‛／"),
        ("␀", "‛␀"),
        ("a?b*c:d|e", "a?b*c:d|e"),
    ],
)
def test_names_are_those_of_rclone(path: str, name: str) -> None:
    """As its encoder writes them with the slash alone to be encoded."""
    assert kept_name(path) == name
    assert path_of_name(name) == path


def test_a_name_that_no_encoder_wrote_is_read_all_the_same() -> None:
    assert path_of_name("‛x‛") == "‛x‛"
    assert path_of_name("a␀") == "a\0"


@pytest.mark.parametrize(
    "name",
    [
        "with space",
        " lead and trail ",
        "ünïcödé 日本語 🎉",
        "e\u0301 decomposed",
        "100% of?it#now&then+more;\"quoted\" 'single' \\back",
        ".hidden",
        "trailing.",
        "%2e%2e%2f",
        "／‛␀",
        "x" * 246,
    ],
)
async def test_names_arrive_as_they_are(privasfer: World, name: str) -> None:
    entry = await privasfer.remote.create(f"d/{name}", Bytes(b"odd"))

    assert privasfer.files() == {f"/dest/d/{name}": b"odd"}
    assert (await privasfer.listed()).paths() == [f"d/{name}"]
    assert entry.key == key_of(f"d/{name}")


async def test_a_created_file_is_complete_and_comes_with_its_own_checksum(privasfer: World) -> None:
    content = Bytes(b"hello", content_type="image/png")

    entry = await privasfer.remote.create("a/b.png", content)

    (record,) = privasfer.records_at("/dest/a/b.png")
    assert entry[:6] == (key_of("a/b.png"), Kind.FILE, 5, content.checksum, record.id, Status.COMPLETED)
    assert record.content_type == "image/png"
    assert (privasfer.traffic.requests, sum(privasfer.sent)) == (1, 5)


@pytest.mark.parametrize("path", ["d/" * 30 + "x" * 191, "ß" * 251, "line\nbreak", "carriage\rreturn", "\udcff"])
async def test_a_name_that_cannot_be_is_refused_before_any_request(privasfer: World, path: str) -> None:
    with pytest.raises(Rejected, match=r"255|line end|UTF-8"):
        await privasfer.put(path)
    assert privasfer.traffic.requests == 0


async def test_what_the_remote_says_of_a_bad_file_is_said(privasfer: World) -> None:
    body = '{"message": "The given data was invalid.", "errors": {"file": ["The file is too large."]}}'
    privasfer.turn(faults=(Fault("create", "status", status=422, body=body),))

    with pytest.raises(Rejected, match=r"^422 Unprocessable Entity: The file is too large\.$"):
        await privasfer.put("a")
    assert privasfer.asked("create") == 1


async def test_a_listing_is_of_what_begins_with_the_destination(privasfer: World) -> None:
    paths = {"/dest/a/b/c", "/dest/x", "/destination/y", "/z", "/other/dest/w"}
    planted = {path: privasfer.plant(path, path.encode()) for path in paths}

    listed = await privasfer.listed()

    assert listed.paths() == ["a/b/c", "x"]
    nested, _ = listed.sorted()
    assert (nested.size, nested.checksum, nested.id) == (11, None, planted["/dest/a/b/c"].id)
    assert (await privasfer.listed("a")).paths() == ["a/b/c"]
    assert (await privasfer.listed("a", recursive=False)).paths() == []
    assert (await privasfer.listed("a/b", recursive=False)).paths() == ["a/b/c"]
    assert (await privasfer.listed(recursive=False)).paths() == ["x"]
    privasfer.remote = privasfer.remote_at("")
    assert set((await privasfer.listed()).paths()) == {path[1:] for path in paths}


async def test_what_is_in_the_trash_is_not_there(privasfer: World) -> None:
    entry = await privasfer.put("a")
    await privasfer.remote.delete(entry)

    assert (await privasfer.listed()).paths() == []
    assert await privasfer.remote.get(entry.id) is None
    assert len(privasfer.sandbox.records("privasfer")) == 1


async def test_records_that_share_a_name_are_all_listed(privasfer: World) -> None:
    ids = {privasfer.plant("/dest/a").id for _ in range(3)}

    assert {entry.id for entry in (await privasfer.listed()).sorted()} == ids


async def test_pages_are_read_to_the_last(privasfer: World) -> None:
    paths = sorted(f"d{number % 3}/{number:03}" for number in range(25))
    for path in paths:
        privasfer.plant(f"/dest/{path}")
    privasfer.turn(list_page=4)

    assert (await privasfer.listed()).paths() == paths
    assert privasfer.asked("list") == 7


async def test_a_list_to_which_something_is_added_meanwhile_is_read_again(privasfer: World) -> None:
    for number in range(10):
        privasfer.plant(f"/dest/{number}")
    privasfer.turn(list_page=4)
    added: list[Record] = []

    def add() -> None:
        if not added:
            added.append(privasfer.plant("/dest/added"))

    privasfer.sandbox.on_page = add
    listed = await privasfer.listed()

    assert len(listed.entries) == 11
    assert listed.cleared == 1


async def test_a_list_from_which_something_vanishes_each_time_is_none(privasfer: World) -> None:
    for number in range(40):
        privasfer.plant(f"/dest/{number:02}")
    privasfer.turn(list_page=4)
    privasfer.sandbox.on_page = lambda: privasfer.sandbox.remove(privasfer.sandbox.records("privasfer")[0])

    with pytest.raises(Transient, match="changed each time"):
        await privasfer.listed()


async def test_a_list_that_is_refused_is_no_empty_one(privasfer: World) -> None:
    privasfer.turn(faults=(Fault("list", "status", status=404),))

    with pytest.raises(RemoteDead, match="does not list its files: 404"):
        await privasfer.listed()


@pytest.mark.parametrize("lag", [0.0, 0.6])
async def test_a_lost_answer_is_told_by_a_new_record_of_that_name_and_size(tmp_path: Path, lag: float) -> None:
    patience = replace(QUICK, lookup_s=5.0)
    async with world(tmp_path, "privasfer", patience=patience, listing_lag=lag) as lossy:
        theirs = lossy.plant("/dest/a", b"content")
        lossy.plant("/dest/a", b"another size")
        lossy.turn(faults=(Fault("create", "reset_after", count=1),))
        beside = [record.id for record in lossy.records_at("/dest/a")]

        entry = await lossy.remote.create("a", Bytes(b"content"), beside=beside)

        assert entry.id not in beside
        assert lossy.asked("create") == 1
        assert len(lossy.records_at("/dest/a")) == 3
        assert theirs.id in beside


async def test_what_an_earlier_run_may_have_made_goes_after_the_new_one_is_there(privasfer: World) -> None:
    theirs = privasfer.plant("/dest/a", b"theirs")
    ours = privasfer.plant("/dest/a", b"ours, of whatever size")
    privasfer.sandbox.requests.clear()

    entry = await privasfer.remote.create("a", Bytes(b"new"), begun_s_ago=0.0, beside=[theirs.id])

    assert {record.id for record in privasfer.records_at("/dest/a")} == {theirs.id, entry.id}
    assert ours.lingers
    assert [one for one in privasfer.sandbox.requests.operations() if one in CHANGES] == ["create", "delete"]


@pytest.mark.parametrize("seed", range(4))
async def test_everything_arrives_once_through_a_bad_connection(tmp_path: Path, seed: int) -> None:
    faults = tuple(
        Fault(operation, kind, probability=0.05, **how)  # type: ignore[arg-type]
        for operation in ("list", "create", "delete")
        for kind, how in (
            ("reset_before", {}),
            ("reset_after", {}),
            ("garbage", {}),
            ("status", {"status": 500, "when": "after"}),
            ("status", {"status": 503}),
        )
    )
    bad = replace(QUICK, enough_tries=30, enough_creates=30)
    async with world(tmp_path, "privasfer", patience=bad, seed=seed, faults=faults) as shaky:

        async def live(number: int) -> None:
            entry = await shaky.remote.create(f"d/{number}", Bytes(b"1"))
            after = await shaky.remote.create(f"d/{number}", Bytes(b"%d" % number), beside=[entry.id])
            await shaky.remote.delete(entry)
            if number % 3 == 2:
                await shaky.remote.delete(after)

        await asyncio.gather(*(live(number) for number in range(30)))

        assert shaky.files() == {f"/dest/d/{n}": b"%d" % n for n in range(30) if n % 3 != 2}
        assert shaky.live_files() == 20


async def test_a_file_that_changes_while_it_is_read_is_not_published(privasfer: World) -> None:
    torn = Bytes(b"x" * 3_000_000, piece_bytes=1 << 20, ends_with=SourceChanged("it changed"))

    with pytest.raises(SourceChanged, match="it changed"):
        await privasfer.remote.create("torn", torn)

    assert privasfer.live_files() == 0


async def test_a_name_that_the_remote_cuts_is_told(privasfer: World) -> None:
    privasfer.turn(names="trim")

    with pytest.raises(RenamedByRemote, match="keeps it as 'dest／a'") as renamed:
        await privasfer.put("a ")

    assert renamed.value.kept_path == "a"
    assert [record.id for record in privasfer.records_at("/dest/a")] == [renamed.value.record_id]


async def test_what_it_cannot_do_is_refused_without_a_request(privasfer: World) -> None:
    entry = RemoteEntry(b"a", Kind.FILE, 1, None, "id", Status.COMPLETED, "")
    remote = privasfer.remote
    for refused in (
        remote.replace(entry, "a", Bytes(b"")),
        remote.move(entry, "b"),
        remote.make_directory("d"),
        remote.download(entry, Received()),
    ):
        with pytest.raises(Rejected, match=r"the remote (cannot|has no)"):
            await refused
    assert privasfer.traffic.requests == 0


async def test_a_used_up_rate_is_waited_for_before_it_is_refused(tmp_path: Path) -> None:
    patience = replace(QUICK, rate_window_s=0.3)
    async with world(tmp_path, "privasfer", patience=patience, rate_limit=5, rate_window=0.3) as limited:
        for number in range(12):
            await limited.put(str(number))

        assert limited.live_files() == 12
        assert limited.traffic.retries == 0
        assert limited.asked("create") == 12


async def test_a_rate_that_others_used_up_is_waited_for(tmp_path: Path) -> None:
    """Many at once find the limit reached: refused ones are tried again, and nothing fails."""
    patience = replace(QUICK, rate_window_s=0.2)
    async with world(tmp_path, "privasfer", patience=patience, rate_limit=5, rate_window=0.2) as limited:
        await asyncio.gather(*(limited.put(str(number)) for number in range(20)))

        assert limited.live_files() == 20
