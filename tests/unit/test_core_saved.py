"""Which operations of a new plan are those that were kept."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from syncd.core.model import Create, Delete, Kind, MakeDirectory, Move, Operation, Replace
from syncd.core.paths import key_of
from syncd.core.saved import data_of, licensed_by, matched
from tests.unit.test_core_fetch import directory, here, known, there

HERE_DIRECTORY, THERE_DIRECTORY = directory("old")
MKDIR = MakeDirectory("d", "new", on_the_way=True)
CREATE = Create("d/a", "new", here("d/a"))
REPLACE = Replace("b", "changed", here("b"), there("b"), known("b"))
MOVE = Move("c", "was", "same content", here("c"), there("was"), "x")
WHOLE = Move("new", "old", "renamed", HERE_DIRECTORY, THERE_DIRECTORY, None, (there("old/x"), there("old/y")), 2)
DELETE = Delete("gone", "gone", there("gone"))
WHOLE_DELETE = Delete("old", "gone", THERE_DIRECTORY, (there("old/x"),))
ALL: list[Operation] = [MKDIR, CREATE, REPLACE, MOVE, WHOLE, DELETE, WHOLE_DELETE]
KEPT = json.loads(json.dumps([data_of(one) for one in ALL]))


def test_what_is_the_same_is_taken_in_the_new_plans_order() -> None:
    found = matched(KEPT, reversed(ALL))
    assert found.operations == ALL[::-1]
    assert found.changed == []


def test_what_was_not_kept_is_left_out() -> None:
    found = matched(KEPT[:1], ALL)
    assert (found.operations, found.changed) == ([MKDIR], [])


@pytest.mark.parametrize(
    "changed",
    [
        replace(MKDIR, on_the_way=False),
        replace(CREATE, local=here("d/a", mtime_ns=2)),
        replace(CREATE, local=here("d/a", size=4)),
        replace(REPLACE, remote=there("b", "other")),
        replace(REPLACE, remote=there("b", record_id="2")),
        replace(REPLACE, local=here("b", mtime_ns=2)),
        replace(REPLACE, aside="b.theirs"),
        replace(MOVE, source="other"),
        replace(MOVE, remote=there("was", "other")),
        replace(WHOLE, covers=(there("old/x"),)),
        replace(DELETE, remote=there("gone", "other")),
        replace(DELETE, leftover=True),
        replace(WHOLE_DELETE, covers=()),
        Delete("b", "gone", there("b")),
    ],
)
def test_what_changed_is_told(changed: Operation) -> None:
    operations = [changed if (one.path, one.name) == (changed.path, changed.name) else one for one in ALL]
    operations = operations if changed in operations else [*[one for one in ALL if one.path != changed.path], changed]
    found = matched(KEPT, operations)
    assert [one["path"] for one in found.changed] == [changed.path]
    assert changed not in found.operations


def test_what_is_only_for_people_and_what_the_baseline_does_not_know_is_not_compared() -> None:
    same: list[Operation] = [
        replace(REPLACE, reason="otherwise said", base=None, remote=there("b")._replace(modified="2026")),
        replace(WHOLE, remote=THERE_DIRECTORY._replace(id=""), local=here("old", kind=Kind.DIRECTORY, mtime_ns=7)),
    ]
    assert matched([data_of(REPLACE), data_of(WHOLE)], same).changed == []


def test_what_was_moved_with_its_directory_has_another_id() -> None:
    inside = Replace("new/b", "changed", here("new/b"), there("new/b"), None)
    renumbered = replace(inside, remote=there("new/b", record_id="2"))
    kept = [data_of(inside), data_of(REPLACE)]
    assert matched(kept, [renumbered, REPLACE]).operations == [REPLACE]
    assert matched(kept, [renumbered, REPLACE], moved=["new"]).operations == [renumbered, REPLACE]
    assert matched(kept, [replace(renumbered, remote=there("new/b", "other"))], moved=["new"]).operations == []
    assert matched(kept, [replace(REPLACE, remote=there("b", record_id="2"))], moved=["new"]).operations == []


def test_only_what_the_plan_deletes_is_licensed() -> None:
    assert licensed_by(KEPT) == {key_of(path) for path in ("gone", "old", "old/x")}
