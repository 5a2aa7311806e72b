"""What a pull decides for each pair of sides, and what it leaves alone."""

from __future__ import annotations

import pytest

from syncd.core.fetch import (
    CHANGED_HERE,
    IN_PLACE,
    PENDING,
    UNPROVEN,
    Fetching,
    Tally,
    Wishes,
    decide_fetch,
    directory_row,
    is_settled,
    modified_ns,
    must_be_read,
)
from syncd.core.filters import Filter
from syncd.core.model import (
    BaselineEntry,
    Fingerprint,
    Kind,
    LocalEntry,
    MaxDelete,
    RemoteEntry,
    Status,
    Sync,
)
from syncd.core.paths import key_of
from syncd.core.sides import content_of, sides

NO_GUARD = MaxDelete(percent=100.0)


def here(path: str, *, size: int = 3, kind: Kind = Kind.FILE, mtime_ns: int = 1) -> LocalEntry:
    return LocalEntry(key_of(path), kind, size, mtime_ns, 1, 1)


def there(
    path: str,
    checksum: str | None = "new",
    *,
    size: int = 3,
    kind: Kind = Kind.FILE,
    status: Status = Status.COMPLETED,
    record_id: str = "1",
) -> RemoteEntry:
    return RemoteEntry(key_of(path), kind, size, checksum, record_id, status, "")


def known(path: str, checksum: str | None = "old", *, size: int = 3, mtime_ns: int = 1, **more: str) -> BaselineEntry:
    claim = more.get("claim")
    return BaselineEntry(key_of(path), Kind.FILE, size, mtime_ns, 1, 1, checksum, "1", Sync.SYNCED, claim)


def directory(path: str) -> tuple[LocalEntry, RemoteEntry]:
    return here(path, size=0, kind=Kind.DIRECTORY), there(path, None, size=0, kind=Kind.DIRECTORY)


def decided(
    local: list[LocalEntry],
    remote: list[RemoteEntry],
    base: list[BaselineEntry] | None = None,
    *,
    read: dict[str, str] | None = None,
    overwrite: bool = False,
    mirror: bool = False,
    max_delete: MaxDelete = NO_GUARD,
    empty_directories: bool = True,
    rules: Filter | None = None,
) -> Fetching:
    checksums = {key_of(path): Fingerprint(here(path, mtime_ns=9), text) for path, text in (read or {}).items()}
    wishes = Wishes(overwrite, mirror, max_delete, empty_directories, rules or Filter())
    found = list(sides(sorted(local), sorted(remote), sorted(base or [])))
    files = [one for one in local if one.kind == Kind.FILE]
    return decide_fetch(found, checksums, wishes, Tally(len(files), len(remote)))


def downloads(fetching: Fetching) -> list[tuple[str, str]]:
    return [(one.name, one.path) for one in fetching.downloads]


def failed(fetching: Fetching) -> dict[str, str]:
    return {problem.path: problem.error for problem in fetching.problems}


def test_sides_show_each_path_once_and_nothing_that_leaves() -> None:
    leaving = there("b", status=Status.LEAVING)
    found = list(sides([here("a"), here("c")], [there("a"), leaving, there("c", record_id="2"), there("c")], []))
    assert [(one.key, one.remote is not None, len(one.surplus)) for one in found] == [(b"a", True, 0), (b"c", True, 1)]
    assert list(sides([], [], [known("only in the baseline")])) == []


def test_what_is_missing_is_brought_with_its_directories() -> None:
    (_, outer), (_, empty) = directory("d"), directory("e")
    fetching = decided([], [outer, there("d/a"), empty], [known("d/a")])
    assert downloads(fetching) == [("create", "d/a")]
    assert [one.path for one in fetching.directories] == ["d", "e"]
    assert fetching.detached == [key_of("d/a")]
    assert fetching.downloads[0].size == 3
    fetching = decided([], [outer, there("d/a"), empty], empty_directories=False)
    assert [one.path for one in fetching.directories] == ["d"]
    assert fetching.detached == []


def test_equal_files_are_adopted_once() -> None:
    row = known("a", "new", mtime_ns=9)
    fetching = decided([here("a")], [there("a")], read={"a": "new"})
    assert (fetching.unchanged, fetching.adopted, fetching.downloads) == (1, [row], [])
    fetching = decided([here("a", mtime_ns=9)], [there("a")], [row])
    assert (fetching.unchanged, fetching.adopted) == (1, [])


@pytest.mark.parametrize(
    ("base", "read", "overwrite", "error"),
    [
        (known("a"), {}, False, None),
        (known("a", mtime_ns=5), {"a": "old"}, False, None),
        (known("a", mtime_ns=5), {"a": "mine"}, False, CHANGED_HERE),
        (known("a", mtime_ns=5), {}, False, CHANGED_HERE),
        (None, {"a": "mine"}, False, CHANGED_HERE),
        (None, {"a": "mine"}, True, None),
        (known("a", mtime_ns=5), {}, True, None),
    ],
)
def test_only_what_the_baseline_knows_is_overwritten(
    base: BaselineEntry | None, read: dict[str, str], overwrite: bool, error: str | None
) -> None:
    fetching = decided([here("a")], [there("a")], [base] if base else [], read=read, overwrite=overwrite)
    assert downloads(fetching) == ([] if error else [("replace", "a")])
    assert failed(fetching) == ({"a": error} if error else {})


def test_a_remote_without_checksums() -> None:
    unknown = there("a", None)
    assert failed(decided([here("a")], [unknown], read={"a": "old"})) == {"a": UNPROVEN}
    assert decided([here("a")], [unknown], [known("a")]).unchanged == 1
    assert failed(decided([here("a")], [there("a", None, size=9)], [known("a")])) == {"a": UNPROVEN}
    assert content_of(unknown, known("a")) == "old"
    assert content_of(unknown, known("a", claim="begun")) is None
    assert content_of(unknown, None) is None


def test_what_is_not_complete_there() -> None:
    assert failed(decided([], [there("a", status=Status.PENDING)])) == {"a": PENDING}


@pytest.mark.parametrize("kind", [Kind.SYMLINK, Kind.SPECIAL, Kind.UNREADABLE, Kind.BAD_NAME])
def test_what_is_in_the_way_is_not_gone_through(kind: Kind) -> None:
    _, there_directory = directory("x")
    obstacle = here("x", kind=kind)
    fetching = decided([obstacle, here("y")], [there_directory, there("x/a"), there("x/b/c"), there("y")])
    assert failed(fetching) == {"x/a": IN_PLACE[kind], "x/b/c": IN_PLACE[kind], "y": CHANGED_HERE}
    assert failed(decided([obstacle], [there("x")])) == {"x": IN_PLACE[kind]}
    assert failed(decided([obstacle], [])) == {}


def test_files_and_directories_in_each_others_place() -> None:
    here_directory, there_directory = directory("x")
    fetching = decided([here("x")], [there_directory, there("x/a")])
    assert failed(fetching) == {"x": IN_PLACE[Kind.FILE], "x/a": IN_PLACE[Kind.FILE]}
    assert fetching.problems[0].action == "mkdir"
    assert failed(decided([here_directory, here("x/a")], [there("x")])) == {"x": IN_PLACE[Kind.DIRECTORY]}


def test_directories_on_both_sides_are_adopted_once() -> None:
    mine, theirs = directory("d")
    row = directory_row(theirs)
    assert decided([mine], [theirs]).adopted == [row]
    assert decided([mine], [theirs], [row]).adopted == []
    assert decided([mine], [theirs], [row._replace(id="other")]).adopted == [row]


def test_names_that_cannot_be_here() -> None:
    stand_in = RemoteEntry(b"\xffid", Kind.FILE, 3, "new", "id", Status.COMPLETED, "")
    fetching = decided([], [there("n" * 256), there("n" * 255), stand_in])
    assert downloads(fetching) == [("create", "n" * 255)]
    assert sorted(failed(fetching)) == ["n" * 256, "\udcffid"]


def test_filters_leave_out_on_both_sides() -> None:
    _, hidden = directory("hidden")
    _, other = directory("other")
    rules = Filter(include=["*.txt"], exclude=["hidden/"])
    remote = [hidden, there("hidden/a.txt"), other, there("other/b.txt"), there("c")]
    fetching = decided([here("hidden", kind=Kind.SYMLINK)], remote, rules=rules)
    assert (downloads(fetching), failed(fetching)) == ([("create", "other/b.txt")], {})
    assert [one.path for one in fetching.directories] == ["other"]


def test_removals_only_in_a_mirror_deepest_first_and_guarded() -> None:
    mine, _ = directory("d")
    local = [mine, here("d/a"), here("z")]
    assert decided(local, [there("q")]).extra == 2
    fetching = decided(local, [there("q")], mirror=True)
    assert [(one.name, one.path, one.size) for one in fetching.removals] == [
        ("delete", "z", 3),
        ("delete", "d/a", 3),
        ("delete", "d", 0),
    ]
    assert [one.path for one in decided(local, [there("q")], mirror=True, empty_directories=False).removals] == [
        "z",
        "d/a",
    ]
    held = decided(local, [there("q")], mirror=True, max_delete=MaxDelete(count=1))
    assert (held.removals, held.held) == ([], 2)
    empty = decided([here(str(n)) for n in range(5)], [], mirror=True, max_delete=MaxDelete())
    assert (empty.held, empty.held_because) == (5, "the destination is empty, and 5 files are here")


@pytest.mark.parametrize(
    ("local", "remote", "base", "settled", "read", "read_to_overwrite"),
    [
        (here("a"), there("a", "old"), known("a"), True, False, False),
        (here("a"), there("a", "old"), None, False, True, True),
        (here("a"), there("a", "old", size=9), None, False, False, False),
        (here("a", mtime_ns=2), there("a", "new", size=9), known("a"), False, True, False),
        (here("a", mtime_ns=2), there("a", "new", size=9), known("a", None), False, False, False),
        (here("a", mtime_ns=2), there("a", "new", size=9), known("a", size=7), False, False, False),
        (here("a", mtime_ns=2), there("a", None), None, False, False, False),
        (here("a"), there("a", status=Status.PENDING), None, False, False, False),
        (None, there("a"), known("a"), False, False, False),
        (here("a"), None, known("a"), False, False, False),
        (*directory("a"), None, False, False, False),
        (*directory("a"), directory_row(directory("a")[1]), True, False, False),
    ],
)
def test_what_has_to_be_looked_at_and_read(
    local: LocalEntry | None,
    remote: RemoteEntry | None,
    base: BaselineEntry | None,
    settled: bool,
    read: bool,
    read_to_overwrite: bool,
) -> None:
    (one,) = sides([local] if local else [], [remote] if remote else [], [base] if base else [])
    assert is_settled(one) == settled
    assert must_be_read(one, overwrite=False) == read
    assert must_be_read(one, overwrite=True) == read_to_overwrite


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("1970-01-01T00:00:01.500Z", 1_500_000_000),
        ("1970-01-01 00:00:02", 2_000_000_000),
        ("1970-01-01T01:00:00+01:00", 0),
        ("", None),
        ("yesterday", None),
    ],
)
def test_times(text: str, nanoseconds: int | None) -> None:
    assert modified_ns(there("a")._replace(modified=text)) == nanoseconds
