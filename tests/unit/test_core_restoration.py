"""What comes back from the trash, and what makes way for it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from syncd.core.model import Kind, RemoteEntry, Status
from syncd.core.paths import ancestors_of, is_below, key_of, path_of
from syncd.core.restoration import Restoration, restoration


def record(path: str, mark: str = "") -> RemoteEntry:
    """A file, or where the path ends in a slash a directory."""
    kind = Kind.DIRECTORY if path.endswith("/") else Kind.FILE
    return RemoteEntry(key_of(path.rstrip("/")), kind, 1, None, mark + path, Status.COMPLETED, "")


def planned(kept: list[str], there: list[str]) -> tuple[list[str], list[str], int]:
    plan = restoration([record(one) for one in kept], [record(one, "there ") for one in there])
    return paths(plan.displaced), paths(plan.moves), plan.files


def paths(records: tuple[RemoteEntry, ...]) -> list[str]:
    return [path_of(one.key) for one in records]


def test_what_nothing_is_in_the_place_of_moves_as_a_whole() -> None:
    assert planned(["a", "d/", "d/x", "d/e/", "d/e/y"], ["other"]) == ([], ["a", "d"], 3)


def test_directories_that_are_there_are_merged_into() -> None:
    assert planned(["d/", "d/x", "d/e/", "d/e/y"], ["d/", "d/mine"]) == ([], ["d/e", "d/x"], 2)


def test_what_is_in_a_place_makes_way() -> None:
    assert planned(["a"], ["a"]) == (["a"], ["a"], 1)
    assert planned(["a"], ["a/", "a/x"]) == (["a"], ["a"], 1)
    assert planned(["d/", "d/x", "d/y"], ["d"]) == (["d"], ["d"], 2)
    assert planned(["d/x", "d/y"], ["d"]) == (["d"], ["d/x", "d/y"], 2)


def test_of_second_records_all_make_way_and_all_come_back() -> None:
    plan = restoration([record("a"), record("a", "2 ")], [record("a", "there "), record("a", "there, too ")])
    assert (len(plan.displaced), len(plan.moves), plan.files) == (2, 2, 2)


NAMES = st.lists(st.sampled_from("ab"), min_size=1, max_size=3).map("/".join)


def tree(files: list[str]) -> list[RemoteEntry]:
    """Those of the files that fit together, with the directories that hold them."""
    found: dict[bytes, RemoteEntry] = {}
    for path in files:
        key = key_of(path)
        if key in found or any(found[one].kind == Kind.FILE for one in ancestors_of(key) if one in found):
            continue
        found |= {one: record(path_of(one) + "/") for one in ancestors_of(key)}
        found[key] = record(path)
    return list(found.values())


@given(st.lists(NAMES).map(tree), st.lists(NAMES).map(tree))
def test_nothing_is_overwritten_and_all_comes_back(kept: list[RemoteEntry], there: list[RemoteEntry]) -> None:
    plan = restoration(kept, there)
    left = [one for one in there if not _goes(one.key, plan.displaced)]
    for move in plan.moves:
        assert not any(one.key == move.key for one in left)
        assert not any(one.key in ancestors_of(move.key) for one in left if one.kind == Kind.FILE)
        assert move.kind == Kind.FILE or not any(is_below(one.key, move.key) for one in left)
    assert _came_back(kept, plan) == {one.key for one in kept if one.kind == Kind.FILE}
    assert plan.files == len(_came_back(kept, plan))


def _goes(key: bytes, displaced: tuple[RemoteEntry, ...]) -> bool:
    return any(key == one.key or is_below(key, one.key) for one in displaced)


def _came_back(kept: list[RemoteEntry], plan: Restoration) -> set[bytes]:
    return {one.key for one in kept if one.kind == Kind.FILE and _goes(one.key, plan.moves)}
