"""What a job does not look at, cannot decide on, or cannot bring to the remote."""

from __future__ import annotations

from dataclasses import replace

import pytest

from syncd.core.filters import Filter
from syncd.core.model import DeleteMode, Kind, Problem, Skip
from tests.unit.core_support import ALL, Views, said


@pytest.mark.parametrize("mode", [DeleteMode.TRACKED, DeleteMode.MIRROR])
def test_what_filters_newly_leave_out_is_detached(mode: DeleteMode) -> None:
    views = Views(delete=mode).gone("a.tmp").known_directory("d", local=False).gone("d/x", inode=2)
    views.rules = Filter(exclude=["*.tmp", "d/"])
    plan = views.plan()
    assert plan.operations == ()
    assert set(plan.forgotten) == {b"a.tmp", b"d", b"d\0x"}
    assert set(plan.detached) == {"a.tmp", "d/x"}


def test_what_was_left_out_is_nothing_to_be_said_of_any_more() -> None:
    views = Views(rules=Filter(exclude=["*.tmp"])).record("a.tmp").row("b.tmp")
    plan = views.plan()
    assert (plan.operations, plan.detached, plan.forgotten) == ((), (), (b"b.tmp",))


@pytest.mark.parametrize(("content", "does"), [("c", []), ("new", ["replace a.tmp"])])
def test_what_filters_let_in_again_is_adopted_or_replaced(content: str, does: list[str]) -> None:
    plan = Views().record("a.tmp").file("a.tmp", content).plan()
    assert said(plan) == does
    assert len(plan.adopted) == 1 - len(does)


def test_what_filters_leave_out_is_not_even_looked_at_for_repeats() -> None:
    views = Views(rules=Filter(exclude=["a"])).gone("a").record("a", id_="same")
    assert views.operations() == []


def test_in_mirror_directories_that_are_not_included_stay() -> None:
    views = Views(delete=DeleteMode.MIRROR).record("d", None).record("d/x.bin").record("y.txt")
    views.rules = Filter(include=["*.txt"])
    assert views.operations() == ["delete y.txt"]


def test_a_directory_on_the_way_to_what_is_included_goes_with_it() -> None:
    views = Views(rules=Filter(include=["*.txt"])).known_directory("d", local=False).gone("d/x.txt")
    assert views.operations() == ["delete d"]


def test_what_cannot_be_synced_is_said_and_its_remote_side_left() -> None:
    views = Views(delete=DeleteMode.MIRROR)
    for number, kind in enumerate((Kind.SYMLINK, Kind.SPECIAL, Kind.UNREADABLE, Kind.BAD_NAME)):
        views.gone(f"p{number}", inode=number).gone(f"p{number}/x", inode=10 + number).strange(f"p{number}", kind)
    plan = views.plan()
    assert plan.operations == ()
    assert plan.skipped == (Skip("p0", "symlink"), Skip("p1", "not a regular file"))
    assert [(problem.path, problem.action) for problem in plan.problems] == [("p2", "list"), ("p3", "create")]


# What the remote cannot have.


@pytest.mark.parametrize(
    ("path", "what"),
    [
        ("a" * 41, "a name in its path has 41 characters, the remote takes 40"),
        ("/".join(["x" * 41, "f"]), "a name in its path has 41 characters, the remote takes 40"),
        ("/".join(["x" * 30, "y" * 30, "f"]), "the directory's path has 61 characters, the remote takes 60"),
    ],
)
def test_paths_beyond_the_limits_fail_before_any_request(path: str, what: str) -> None:
    plan = Views().file(path).plan()
    assert [one for one in plan.operations if one.name == "create"] == []
    assert Problem(path, "create", what) in plan.problems


def test_a_destination_that_is_too_long_itself_is_said() -> None:
    views = Views(capabilities=replace(ALL, max_directory_chars=-7)).file("a")
    assert views.plan().problems == (
        Problem("a", "create", "the path of the destination itself has 7 characters more than the remote takes"),
    )


def test_limits_are_in_characters_and_are_reached() -> None:
    assert Views().file("ä" * 40).operations() == ["create " + "ä" * 40]


def test_files_beyond_the_limit_fail_directories_are_never_too_large() -> None:
    plan = Views().file("big", "x" * 1001).directory("d").plan()
    assert said(plan) == ["mkdir d"]
    assert plan.problems == (Problem("big", "create", "the file has 1001 bytes, the remote takes 1000"),)


def test_a_directory_with_a_name_too_long_fails_by_itself() -> None:
    plan = Views().directory("d" * 41).plan()
    assert plan.operations == ()
    assert [problem.action for problem in plan.problems] == ["mkdir"]
