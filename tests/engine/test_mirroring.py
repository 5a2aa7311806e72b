"""What one undisturbed run does, and by how many operations."""

from __future__ import annotations

import pytest

from syncd.core.model import DeleteMode, Kind, MaxDelete, Order, SourceIdentity, Sync
from syncd.core.paths import key_of
from syncd.errors import SourceForeign, SourceMissing
from tests.sim.cloud import Knobs
from tests.sim.world import Settings, World


def synced(*paths: str, settings: Settings | None = None, knobs: Knobs | None = None) -> World:
    """A world whose source holds a file of its own content at each path, mirrored."""
    world = World(settings=settings, knobs=knobs)
    for path in paths:
        world.tree.write(path, f"content of {path}")
    assert world.run().exit == 0
    world.wait()
    return world


def test_a_run_right_after_a_run_changes_nothing() -> None:
    world = synced("a", "d/b", "d/e/c")
    world.tree.mkdir("empty")
    assert world.run().changes == ["mkdir empty"]
    again = world.run()
    assert (again.exit, again.calls, again.report.unchanged) == (0, ["entries "], 3)


def test_a_renamed_directory_with_edits_inside_is_one_move_and_the_minimal_rest() -> None:
    world = synced(*(f"old/{name}" for name in "abcdef"), "old/deep/g")
    world.tree.rename("old", "new")
    world.tree.write("new/a", "edited")
    world.tree.write("new/h", "added")
    world.tree.remove("new/b")
    run = world.clean_run()
    assert run.exit == 0
    assert run.changes[0] == "move old -> new"
    assert sorted(run.changes[1:]) == ["create new/h", "delete new/b", "replace new/a"]
    assert (run.report.moved, run.report.replaced, run.report.created, run.report.deleted) == (5, 1, 1, 1)
    assert world.cloud.files() == world.tree.files()
    assert world.clean_run().changes == []


def test_a_renamed_file_is_moved() -> None:
    world = synced("a", "keep")
    world.tree.rename("a", "d/b")
    run = world.clean_run()
    assert (run.changes, run.exit) == (["move a -> d/b"], 0)
    assert world.clean_run().calls == ["entries "]


def test_two_names_that_were_swapped_are_two_replacements() -> None:
    world = synced("a", "b")
    world.tree.swap("a", "b")
    assert sorted(world.clean_run().changes) == ["replace a", "replace b"]
    assert world.cloud.files() == world.tree.files()


def test_what_is_equal_already_is_adopted() -> None:
    world = World()
    world.tree.write("d/a", "same")
    world.cloud.put("d/a", "same")
    run = world.run()
    assert (run.changes, run.report.unchanged, run.exit) == ([], 1, 0)
    assert world.store.baseline[key_of("d/a")].sync == Sync.SYNCED
    assert world.store.baseline[key_of("d")].sync == Sync.ADOPTED


@pytest.mark.parametrize("workers", [1, 2, 8])
def test_a_missing_directory_is_made_by_one_operation_alone(workers: int) -> None:
    """The simulated remote makes a parent as often as requests into it run at once: `Checks` would see two."""
    world = World(settings=Settings(workers=workers))
    for number in range(12):
        world.tree.write(f"d/{number % 3}/{number}", str(number))
    run = world.run()
    assert (run.exit, run.report.created, run.report.directories) == (0, 12, 4)
    assert sorted(world.cloud.directories()) == ["d", "d/0", "d/1", "d/2"]
    assert len([record for record in world.cloud.records.values() if record.kind == Kind.DIRECTORY]) == 4


def test_the_next_one_makes_the_directory_where_the_first_one_failed() -> None:
    world = World(settings=Settings(workers=1))
    world.tree.write("d/a", "1")
    world.tree.nodes["d/a"].locked = True
    world.tree.write("d/b", "22")
    run = world.run()
    assert (run.exit, run.failed) == (1, ["d/a"])
    assert world.cloud.files() == {"d/b": b"22"}


def test_deletions_come_after_what_is_uploaded_is_complete() -> None:
    world = synced("a", "b", knobs=Knobs(completion_s=1.0))
    world.tree.remove("a")
    world.tree.write("c", "new")
    run = world.clean_run()
    assert run.changes == ["create c", "delete a"]
    assert run.calls.index("delete a") > max(at for at, call in enumerate(run.calls) if call.startswith("get"))


def test_old_content_shown_until_the_new_is_there_is_waited_out() -> None:
    world = synced("a", knobs=Knobs(completion_s=1.0, patch_keeps=True))
    world.tree.write("a", "new")
    run = world.clean_run()
    assert (run.changes, run.report.replaced, run.exit) == (["replace a"], 1, 0)
    assert world.store.baseline[key_of("a")].sync == Sync.SYNCED


def test_files_leave_a_directory_before_a_file_takes_its_place() -> None:
    world = synced("d/a", "d/b")
    world.tree.rename("d/a", "a")
    world.tree.remove("d")
    world.tree.write("d", "a file")
    run = world.clean_run()
    assert (run.changes, run.exit) == (["move d/a -> a", "delete d", "create d"], 0)
    assert world.cloud.files() == world.tree.files()


def test_a_directory_takes_the_place_of_a_file() -> None:
    world = synced("a", "b")
    world.tree.rename("a", "kept")
    world.tree.write("a/x", "in it")
    run = world.clean_run()
    assert run.exit == 0
    assert world.cloud.files() == world.tree.files()
    assert world.clean_run().changes == []


def test_more_deletions_than_allowed_are_all_held_and_the_rest_is_done() -> None:
    world = synced("a", "b", "c", "d", settings=Settings(max_delete=MaxDelete(count=2)))
    for path in ("a", "b", "c"):
        world.tree.remove(path)
    world.tree.write("new", "n")
    run = world.clean_run()
    assert (run.exit, run.report.held, run.report.deleted, run.changes) == (3, 3, 0, ["create new"])
    world.tree.write("a", "content of a")
    assert world.clean_run().changes == ["delete b", "delete c"]


def test_an_emptied_source_is_held() -> None:
    world = synced(*"abcdef")
    for path in "abcdef":
        world.tree.remove(path)
    run = world.clean_run()
    assert (run.exit, run.report.held, run.changes) == (3, 6, [])
    world.settings.max_delete = MaxDelete(percent=100.0)
    assert world.clean_run().report.deleted == 6


def exchanged() -> World:
    world = synced(*"abcdef")
    for path in "abcdef":
        world.tree.remove(path)
        world.tree.write(f"other {path}", f"something else than {path}")
    world.tree.source = SourceIdentity(7, 2)
    return world


def test_an_exchanged_source_is_held_until_it_is_approved() -> None:
    """Also when its own files have been uploaded, and are known, since."""
    world = exchanged()
    for created in (6, 0, 0):
        run = world.clean_run()
        assert (run.exit, run.report.held, run.report.created) == (3, 6, created)
    world.settings.max_delete = MaxDelete(percent=100.0)
    assert world.clean_run().report.deleted == 6
    world.settings.max_delete = MaxDelete()
    world.tree.remove("other a")
    assert world.clean_run().changes == ["delete other a"]


def test_an_exchanged_source_that_comes_back_is_trusted_again() -> None:
    world = exchanged()
    assert world.clean_run().exit == 3
    for path in "abcdef":
        world.tree.write(path, f"content of {path}")
    world.tree.source = SourceIdentity(7, 1)
    assert world.clean_run().exit == 0
    world.tree.remove("other a")
    assert world.clean_run().changes == ["delete other a"]


def test_another_release_of_the_same_tree_is_normal() -> None:
    world = synced(*"abcdef")
    world.tree.source = SourceIdentity(7, 2)
    for path in "abcde":
        world.tree.remove(path)
    assert world.clean_run().report.deleted == 5


def test_another_filesystem_is_refused_unless_accepted() -> None:
    world = synced(*"abcd")
    for path in "abc":
        world.tree.remove(path)
    world.tree.source = SourceIdentity(8, 1)
    refused = world.clean_run()
    assert isinstance(refused.error, SourceForeign)
    assert refused.changes == []
    world.settings.accept_source = True
    accepted = world.clean_run()
    assert (accepted.exit, accepted.report.deleted) == (0, 3)
    assert "taken, as told" in accepted.report.notices[0]
    assert world.store.memory.source == SourceIdentity(8, 1)


def test_another_filesystem_with_half_of_the_files_is_taken_and_said() -> None:
    world = synced(*"abcd")
    world.tree.remove("a")
    world.tree.source = SourceIdentity(8, 1)
    run = world.clean_run()
    assert (run.exit, run.report.deleted) == (0, 1)
    assert "another filesystem" in run.report.notices[0]


def test_a_missing_source_changes_nothing() -> None:
    world = synced("a")
    world.tree.missing = True
    run = world.clean_run()
    assert isinstance(run.error, SourceMissing)
    assert run.changes == []


def test_a_rebuilt_state_deletes_and_moves_nothing_for_one_run() -> None:
    world = synced("a", "b", settings=Settings(delete=DeleteMode.MIRROR))
    world.lose_state()
    world.tree.rename("a", "c")
    run = world.clean_run()
    assert (run.exit, run.changes) == (0, ["create c"])
    assert "rebuilt" in run.report.notices[0]
    assert world.clean_run().changes == ["delete a"]


def test_an_unreadable_directory_keeps_what_the_destination_has_of_it() -> None:
    world = synced("d/a", "d/e/b", "c")
    world.tree.put_special("d", Kind.UNREADABLE)
    world.tree.remove("c")
    run = world.clean_run()
    assert (run.exit, run.failed, run.changes) == (1, ["d"], ["delete c"])


def test_a_preview_changes_nothing() -> None:
    world = synced("a", "b")
    world.tree.rename("a", "c")
    world.tree.remove("b")
    before = dict(world.store.baseline)
    run = world.run(preview=True)
    assert run.plan is not None
    assert [(one.name, one.path) for one in run.plan.operations] == [("move", "c"), ("delete", "b")]
    assert (run.changes, world.store.baseline) == ([], before)


def test_distrusted_stats_find_an_edit_that_left_none() -> None:
    world = synced("a", "b")
    world.tree.nodes["a"].data = b"CONTENT OF a"
    world.tree.versions["a"].add(b"CONTENT OF a")
    assert world.clean_run().calls == ["entries "]
    world.settings.trust_stat = False
    assert world.clean_run().changes == ["replace a"]
    assert world.clean_run().changes == []


def test_many_files_are_confirmed_by_few_requests() -> None:
    world = World(settings=Settings(workers=16), knobs=Knobs(completion_s=0.5))
    for number in range(200):
        world.tree.write(f"{number % 4}/{number}", str(number))
    run = world.run()
    looks = [call for call in run.calls if call.startswith(("get", "entries"))]
    assert (run.exit, run.report.created) == (0, 200)
    assert len(looks) < 20
    assert {row.sync for row in world.store.baseline.values()} == {Sync.SYNCED}


def test_small_files_do_not_wait_for_a_hundred_large_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("slots", "execute"):
        monkeypatch.setattr(f"syncd.engine.{module}.LARGE_BYTES", 20)
    world = World(settings=Settings(workers=4, order=Order.NEWEST_FIRST))
    for number in range(5):
        world.tree.write(f"small/{number}", "old")
    world.wait()
    for number in range(100):
        world.tree.write(f"large/{number:03}", f"a large content, newer: {number}")
    run = world.run()
    assert run.exit == 0
    assert world.cloud.files() == world.tree.files()
    created = [change for change in run.changes if change.startswith("create")]
    assert max(created.index(f"create small/{number}") for number in range(5)) < 30
