"""Records as entries below a destination."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncd.core.model import Kind, Status
from syncd.core.paths import is_below, key_of, path_of
from syncd.errors import Rejected
from syncd.remotes.records import Place, Record, decode_page, decode_record, md5_of, slashed

MD5 = "5d41402abc4b2a76b9719d911017c592"

names = st.text(st.characters(exclude_characters="/\0", codec="utf-8"), min_size=1).filter(
    lambda n: n not in (".", "..")
)
paths = st.lists(names, min_size=1, max_size=4).map("/".join)
destinations = st.sampled_from(["", "a", "a/b c"])


def record(**fields: object) -> Record:
    return decode_record(msgspec.json.encode({"id": "1" * 24, "name": "n", **fields}))


@given(destinations, paths)
def test_what_is_put_at_a_path_is_listed_at_it(destination: str, path: str) -> None:
    place = Place(destination)
    target = place.target(path)
    entry = place.entry(record(name=target.name, parentDirectory=target.parent))
    assert entry is not None
    assert (entry.key, path_of(entry.key)) == (key_of(path), path)


@given(destinations, st.text(max_size=8), st.lists(st.text(max_size=4), max_size=4))
def test_every_record_below_the_destination_is_visible_under_its_own_key(
    destination: str, name: str, parents: list[str]
) -> None:
    place = Place(destination)
    inside = place.prefix + "".join(f"{parent}/" for parent in parents)
    first, second = (Record(id=letter * 24, name=name, parent_directory=inside) for letter in "12")
    entries = place.entries([first, second])
    assert [entry.id for entry in entries] == [first.id, second.id]
    for entry in entries:
        parts = entry.key.split(b"\0")
        assert all(part not in (b"", b".", b"..") and b"/" not in part for part in parts)
    odd = not place.is_good(first)
    assert (entries[0].key != entries[1].key) == odd


@pytest.mark.parametrize("parent", ["/", "/b/", "/ab/", "/A/", "b/a/"])
def test_what_is_beside_the_destination_is_left_out(parent: str) -> None:
    assert Place("a").entry(record(parentDirectory=parent)) is None


def test_the_destination_itself_is_not_in_it() -> None:
    assert Place("a/b").entry(record(name="b", parentDirectory="/a/", type="directory")) is None


def test_a_bad_directory_hides_nothing_that_is_in_it() -> None:
    entry = Place("a").entry(record(parentDirectory="/a/good/../x/"))
    assert entry is not None
    assert is_below(entry.key, b"good")
    assert entry.key == b"good\0\xff" + b"1" * 24


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"status": "completed", "s3etag": MD5, "fileSize": 5}, (Kind.FILE, 5, MD5, Status.COMPLETED)),
        ({"status": "completed", "s3etag": f'"{MD5.upper()}"'}, (Kind.FILE, 0, MD5, Status.COMPLETED)),
        ({"status": "completed", "s3etag": f"{MD5}-2"}, (Kind.FILE, 0, None, Status.COMPLETED)),
        ({"status": "completed", "s3etag": None, "fileSize": None}, (Kind.FILE, 0, None, Status.COMPLETED)),
        ({"status": "pending", "s3etag": MD5}, (Kind.FILE, 0, None, Status.PENDING)),
        ({"status": "moving", "s3etag": MD5, "moveIntoId": "x"}, (Kind.FILE, 0, None, Status.LEAVING)),
        ({"status": "deleting"}, (Kind.FILE, 0, None, Status.LEAVING)),
        ({"status": "something new", "s3etag": MD5}, (Kind.FILE, 0, None, Status.PENDING)),
        ({"type": "directory", "s3etag": MD5}, (Kind.DIRECTORY, 0, None, Status.COMPLETED)),
        ({"type": "directory", "status": "moving"}, (Kind.DIRECTORY, 0, None, Status.LEAVING)),
    ],
)
def test_what_an_entry_says(fields: dict[str, object], expected: tuple[object, ...]) -> None:
    entry = Place("").entry(record(**fields))
    assert entry is not None
    assert (entry.kind, entry.size, entry.checksum, entry.status) == expected


def test_more_directories_than_are_remembered() -> None:
    place = Place("")
    records = [Record(id=f"{n:024x}", name="f", parent_directory=f"/{n}/") for n in range(60_000)]
    assert [entry.key for entry in place.entries(records)] == [b"%d\0f" % n for n in range(60_000)]


@pytest.mark.parametrize("body", [b"", b"{}", b'{"items": []}', b'{"items": [{}], "totalCount": 1}', b"[]", b"<html>"])
def test_what_is_no_page_is_an_error(body: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the decoder's own
        decode_page(body)


@pytest.mark.parametrize(
    ("directory", "expected"), [("", "/"), ("/", "/"), ("a", "/a/"), ("/a/b", "/a/b/"), ("/a/", "/a/")]
)
def test_slashed(directory: str, expected: str) -> None:
    assert slashed(directory) == expected


@pytest.mark.parametrize("etag", [None, "", "d41d8cd98f00b204e9800998ecf8427", "z" * 32, "W/" + MD5])
def test_what_is_no_md5(etag: str | None) -> None:
    assert md5_of(etag) is None


def test_a_name_that_json_cannot_hold() -> None:
    with pytest.raises(Rejected, match="UTF-8"):
        Place("").target("a/\udcff")
