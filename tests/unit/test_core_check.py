"""What a check says of each path."""

from __future__ import annotations

import pytest

from syncd.core.check import NO_CHECKSUM, REPEATED, UNREADABLE, Comparing, Mismatch, Pair, Verdict, compared
from syncd.core.filters import Filter
from syncd.core.model import BaselineEntry, Kind, LocalEntry, RemoteEntry, Status
from syncd.core.sides import sides
from tests.unit.test_core_fetch import directory, here, known, there


def found(
    local: list[LocalEntry],
    remote: list[RemoteEntry],
    base: list[BaselineEntry] | None = None,
    *,
    rules: Filter | None = None,
    trust_baseline: bool = True,
) -> list[Mismatch | Pair]:
    comparing = Comparing(rules or Filter(), trust_baseline=trust_baseline)
    return [
        result for one in sides(sorted(local), sorted(remote), sorted(base or [])) for result in comparing.take(one)
    ]


def kinds(results: list[Mismatch | Pair]) -> dict[str, str]:
    return {one.path: one.kind.value for one in results if isinstance(one, Mismatch)}


def test_what_only_one_side_has() -> None:
    (here_only, _), (_, there_only) = directory("here"), directory("there")
    local = [here("a"), here_only, here("here/b"), here("pending")]
    remote = [there("c"), there_only, there("there/d"), there("pending", status=Status.PENDING)]
    remote.append(there("theirs pending", status=Status.PENDING))
    assert kinds(found(local, remote)) == {
        "a": "missing",
        "here/b": "missing",
        "pending": "missing",
        "c": "extra",
        "there/d": "extra",
    }


def test_what_differs_without_being_read() -> None:
    (mine, theirs), (mine_only, theirs_only) = directory("d"), directory("x")
    assert kinds(found([mine, here("d/a", size=1)], [theirs, there("d/a", size=2)])) == {"d/a": "different"}
    assert kinds(found([mine_only], [there("x")])) == {"x": "different"}
    assert kinds(found([here("x")], [theirs_only])) == {"x": "different"}


def test_what_has_to_be_read() -> None:
    assert found([here("a")], [there("a", "new")]) == [Pair("a", here("a"), there("a", "new"), "new")]
    unknown = there("a", None)
    assert found([here("a")], [unknown], [known("a")]) == [Pair("a", here("a"), unknown, "old")]
    assert found([here("a")], [unknown], [known("a")], trust_baseline=False) == [Pair("a", here("a"), unknown, None)]


def test_links_are_not_on_the_source() -> None:
    assert kinds(found([here("l", kind=Kind.SYMLINK)], [there("l"), there("l/a")])) == {"l": "extra", "l/a": "extra"}
    assert kinds(found([here("l", kind=Kind.SPECIAL)], [])) == {}
    assert kinds(found([here("b", kind=Kind.BAD_NAME)], [])) == {"b": "missing"}


def test_what_cannot_be_read_is_unknown_with_all_below_it() -> None:
    (_, theirs), (_, inner) = directory("u"), directory("u/d")
    local = [here("u", kind=Kind.UNREADABLE), here("v")]
    assert kinds(found(local, [theirs, inner, there("u/d/a"), there("w")])) == {
        "u": "unknown",
        "u/d/a": "unknown",
        "v": "missing",
        "w": "extra",
    }


def test_filters_hold_on_both_sides() -> None:
    rules = Filter(exclude=["*.tmp", "hidden/"])
    (_, hidden) = directory("hidden")
    remote = [there("a.tmp"), there("a.tmp", record_id="2"), hidden, there("hidden/b"), there("c")]
    assert kinds(found([], remote, rules=rules)) == {"c": "extra"}


def test_further_records_of_a_path_are_extra() -> None:
    results = found([here("a")], [there("a"), there("a", record_id="2")])
    assert results[1] == Mismatch("a", Verdict.EXTRA, REPEATED)


@pytest.mark.parametrize(
    ("mine", "theirs", "expected"),
    [
        ("x", "x", None),
        ("x", "y", Mismatch("a", Verdict.DIFFERENT, "other content")),
        (None, "y", Mismatch("a", Verdict.UNKNOWN, UNREADABLE)),
        ("x", None, Mismatch("a", Verdict.UNKNOWN, NO_CHECKSUM)),
    ],
)
def test_two_checksums(mine: str | None, theirs: str | None, expected: Mismatch | None) -> None:
    assert compared(Pair("a", here("a"), there("a"), None), mine, theirs) == expected
