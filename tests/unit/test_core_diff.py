"""The three views walked together: what is the same costs nothing, what is not comes with both its sides."""

from __future__ import annotations

from syncd.core.diff import Census, choose, differences, local_changes, merge_join, remote_changes
from syncd.core.model import UNTRUSTED, Kind, LocalEntry, Status, Sync
from syncd.core.paths import key_of, path_of
from tests.unit.core_support import Views


def changed(views: Views) -> list[str]:
    return [path_of(one.key) for one in views.differences()[0]]


def entry(path: str) -> LocalEntry:
    return LocalEntry(key_of(path), Kind.FILE, 0, 0, 0, 0)


def test_merge_join_pairs_by_key_and_ends_with_both_streams() -> None:
    left, right = [entry("b"), entry("c")], [entry("a"), entry("c"), entry("d"), entry("e")]
    joined = [(key, one is not None, other is not None) for key, one, other in merge_join(left, right)]
    assert joined == [
        (b"a", False, True),
        (b"b", True, False),
        (b"c", True, True),
        (b"d", False, True),
        (b"e", False, True),
    ]


def test_what_is_the_same_is_no_difference() -> None:
    views = Views().known_directory("d").known("d/a").known("b", inode=2)
    found, census = views.differences()
    assert found == []
    assert census == Census(local=2, remote=2, known=2, present=2, directories_known=1)


def test_each_part_of_a_stat_counts() -> None:
    known = Views().known("a").local["a"]
    others = [
        known._replace(mtime_ns=77),
        known._replace(ctime_ns=77),
        known._replace(inode=77),
        known._replace(size=77),
    ]
    for other in others:
        views = Views().known("a")
        views.local["a"] = other
        assert changed(views) == ["a"], other


def test_an_untrusted_time_proves_nothing() -> None:
    views = Views().known("a")
    views.base["a"] = views.base["a"]._replace(mtime_ns=UNTRUSTED)
    assert changed(views) == ["a"]


def test_a_record_is_the_known_one_only_if_all_of_it_is() -> None:
    for fields in ({"id": "other"}, {"checksum": "x"}, {"status": Status.PENDING}):
        views = Views().known("a")
        views.remote[0] = views.remote[0]._replace(**fields)
        assert changed(views) == ["a"], fields


def test_without_a_checksum_the_same_record_of_the_same_size_is_known() -> None:
    views = Views().known("a")
    views.remote[0] = views.remote[0]._replace(checksum=None)
    assert changed(views) == []
    views.remote[0] = views.remote[0]._replace(size=7)
    assert changed(views) == ["a"]


def test_an_upload_that_is_not_known_to_be_complete_is_looked_at() -> None:
    for sync in (Sync.UPLOADED, Sync.CLAIMED):
        views = Views().known("a")
        views.base["a"] = views.base["a"]._replace(sync=sync)
        assert changed(views) == ["a"]


def test_a_directory_whose_record_is_not_known_is_learnt() -> None:
    views = Views().known_directory("d")
    views.base["d"] = views.base["d"]._replace(id="")
    (found,) = views.differences()[0]
    assert found.remote is not None
    assert found.remote.id == "id of d"


def test_records_on_their_way_out_are_not_there() -> None:
    views = Views().record("a", status=Status.LEAVING).known("b")
    views.record("b", status=Status.LEAVING, id_="0")
    assert changed(views) == []


def test_directories_on_the_way_to_what_is_wanted_are_there() -> None:
    """Where only some names are included, a scan may give files without the directories that they are in."""
    census = Census()
    local = [entry("a/b/x"), entry("a/b/y"), entry("a/c"), entry("a/d/e/z"), entry("b"), entry("c/x")]
    found = [(path_of(one.key), one.local.kind) for one in local_changes(local, [], census) if one.local is not None]
    directories = [path for path, kind in found if kind is Kind.DIRECTORY]
    assert directories == ["a", "a/b", "a/d", "a/d/e", "c"]
    assert found == sorted(found, key=lambda one: key_of(one[0]))
    assert census.local == 6


def test_directories_that_are_given_are_not_made_up_again() -> None:
    views = Views().directory("a").directory("a/b").file("a/b/x").file("a/c").file("b")
    assert changed(views) == ["a", "a/b", "a/b/x", "a/c", "b"]


def test_nothing_is_known_below_what_cannot_be_decided_on() -> None:
    views = Views().strange("a", Kind.UNREADABLE).gone("a/x", inode=1).record("a/y").gone("ab", inode=2)
    views.record("a", None)
    found = views.differences()[0]
    assert [(path_of(one.key), one.remote is None) for one in found] == [("a", True), ("ab", False)]


def test_a_side_without_a_change_is_what_the_baseline_says() -> None:
    views = Views().known("a").known("b", inode=2)
    views.file("a", "changed")
    views.remote[1] = views.remote[1]._replace(checksum="other")
    first, second = views.differences()[0]
    assert first.remote == views.remote[0]._replace(modified="")
    assert second.local == views.local["b"]


def test_rows_that_neither_side_has_come_with_neither() -> None:
    (found,) = Views().row("a").differences()[0]
    assert found.local is None
    assert found.remote is None
    assert found.base is not None


def test_uploads_that_never_ended_are_not_known_files() -> None:
    views = Views().file("a").row("a", None, sync=Sync.CLAIMED, claim="c", id_="")
    assert views.differences()[1] == Census(local=1)


def test_remote_changes_end_with_the_baseline() -> None:
    views = Views().row("a").row("b", inode=2)
    rows = sorted(views.base.values())
    assert [one.records for one in remote_changes([], rows, Census())] == [[], []]


def test_of_several_records_the_known_one_stands_for_the_path() -> None:
    views = Views().known("a")
    views.record("a", "c", id_="0").record("a", "x", id_="zz", status=Status.PENDING)
    (found,) = views.differences()[0]
    assert found.remote is not None
    assert found.remote.id == "id of a"
    assert [one.id for one in found.surplus] == ["0", "zz"]


def test_of_several_unknown_records_kind_status_and_id_decide() -> None:
    views = Views()
    views.record("a", "c", id_="2").record("a", "c", id_="1").record("a", None, id_="3")
    views.record("a", "c", id_="0", status=Status.PENDING)
    directory = Views().directory("a").local["a"]
    for records in (views.remote, views.remote[::-1]):
        assert choose(records, None, None)[0] == views.remote[1]
        assert choose(records, directory, None)[0] == views.remote[2]
    assert choose([], directory, None) == (None, ())


def test_differences_of_nothing() -> None:
    assert list(differences([], [])) == []
