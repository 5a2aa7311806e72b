"""A remote whose listings lag behind its effects: nothing is made twice, and nothing of ours is left behind."""

from __future__ import annotations

import pytest

from syncd.core.model import Kind, MaxDelete, OnDrift, Sync
from syncd.errors import NotMade
from tests.sim.cloud import Knobs
from tests.sim.world import Run, World

LAGS = pytest.mark.parametrize("lag_s", [0.5, 5.0, 29.0])


def lagging(lag_s: float) -> World:
    return World(knobs=Knobs(lag_s=lag_s, refuses_twins=False))


def crashed_at(world: World, what: str) -> World:
    world.chaos.on[what] = world.chaos.crash
    assert world.run().crashed
    return world


def run_at_once(world: World) -> tuple[Run, float]:
    """A run, and how long it took."""
    begun_s = world.clock.now_s
    run = world.run()
    assert run.error is None
    return run, world.clock.now_s - begun_s


@LAGS
def test_a_record_cut_off_before_its_content_goes_though_its_file_went_first(lag_s: float) -> None:
    world = lagging(lag_s)
    world.tree.write("a", "1")
    crashed_at(world, "post done")
    world.tree.remove("a")
    run, took_s = run_at_once(world)
    assert (run.changes, world.cloud.pending(), world.store.baseline) == (["delete a"], [], {})
    assert took_s < lag_s * 2 + 2


@LAGS
def test_a_file_sent_before_a_crash_goes_though_its_source_went_first(lag_s: float) -> None:
    world = lagging(lag_s)
    world.tree.write("a", "1")
    crashed_at(world, "upload done")
    world.tree.remove("a")
    run_at_once(world)
    assert (world.cloud.files(), world.store.baseline) == ({}, {})


@LAGS
def test_a_directory_made_on_the_way_goes_though_nothing_of_it_is_listed(lag_s: float) -> None:
    world = lagging(lag_s)
    world.tree.write("d/e/a", "1")
    crashed_at(world, "post done")
    world.tree.remove("d")
    run_at_once(world)
    assert (world.cloud.directories(), world.cloud.pending(), world.store.baseline) == (set(), [], {})


def test_a_directory_whose_id_is_known_goes_though_it_is_not_listed() -> None:
    world = lagging(29.0)
    world.tree.mkdir("d")
    run_at_once(world)
    world.tree.remove("d")
    run, took_s = run_at_once(world)
    assert (run.changes, world.cloud.directories()) == (["delete d"], set())
    assert took_s < 1


@LAGS
def test_the_children_of_a_moved_directory_are_not_sent_again_because_they_are_not_listed(lag_s: float) -> None:
    world = lagging(lag_s)
    world.tree.write("d/a", "1")
    world.tree.write("d/b", "22")
    world.run()
    world.wait()
    world.tree.rename("d", "e")
    run, _ = run_at_once(world)
    assert run.changes == ["move d -> e"]
    assert world.run().changes == []


@LAGS
def test_a_file_that_changed_while_it_was_sent_gets_no_second_record(lag_s: float) -> None:
    world = lagging(lag_s)
    world.tree.write("a", "x" * 50)
    world.chaos.on["chunk a"] = lambda: world.tree.write("a", "y" * 50)
    assert world.run().report.exit == 1
    run, _ = run_at_once(world)
    assert (run.report.exit, len(world.cloud.at(b"a"))) == (0, 1)
    world.wait()
    assert world.cloud.files() == {"a": b"y" * 50}


@LAGS
def test_an_emptied_directory_is_not_made_again_because_it_is_not_listed(lag_s: float) -> None:
    world = lagging(lag_s)
    world.tree.write("d/a", "1")
    world.run()
    world.tree.remove("d/a")
    run, _ = run_at_once(world)
    assert run.changes == ["delete d/a"]
    assert (world.store.baseline[b"d"].sync, len(world.cloud.at(b"d"))) == (Sync.SYNCED, 1)


@LAGS
def test_nothing_is_moved_to_where_an_upload_was_cut_off(lag_s: float) -> None:
    world = lagging(lag_s)
    world.tree.write("old", "content")
    world.clean_run()
    world.tree.write("new", "other")
    crashed_at(world, "post done")
    world.tree.remove("new")
    world.tree.rename("old", "new")
    run_at_once(world)
    assert [record.path for record in world.cloud.records.values() if record.there] == ["new"]


@LAGS
def test_a_directory_does_not_take_along_what_is_in_it_without_being_listed(lag_s: float) -> None:
    world = lagging(lag_s)
    world.settings.max_delete = MaxDelete(count=1)
    world.tree.write("d/a", "1")
    world.clean_run()
    world.wait()
    world.tree.write("d/e/b", "2")
    world.run()
    world.tree.remove("d")
    run, _ = run_at_once(world)
    assert "d/e/b" in world.cloud.files()
    assert (run.exit, run.report.held) == (3, 1)


def test_a_create_that_began_long_after_its_claim_is_not_forgotten() -> None:
    """The look for what an earlier run may have made takes its time, and the request comes after it."""
    world = lagging(29.0)
    world.tree.write("a", "1")
    crashed_at(world, "post")
    crashed_at(world, "post done")
    world.tree.remove("a")
    run_at_once(world)
    assert (world.cloud.pending(), world.store.baseline) == ([], {})


def test_what_was_refused_is_not_looked_for_at_every_later_start() -> None:
    world = lagging(29.0)
    world.tree.write("d/a", "1")
    world.broken["create d/a"] = NotMade("400")
    for _ in range(2):
        run, took_s = run_at_once(world)
        assert (run.failed, world.store.baseline) == (["d/a"], {})
        assert took_s < 1


def test_a_run_waits_for_nothing_that_it_has_no_claim_on() -> None:
    world = lagging(29.0)
    world.tree.write("d/a", "1")
    world.tree.write("b", "22")
    world.run()
    world.tree.remove("b")
    world.tree.write("d/c", "333")
    run, took_s = run_at_once(world)
    assert run.changes == ["create d/c", "delete b"]
    assert took_s < 1


@pytest.mark.parametrize("kind", [Kind.SYMLINK, Kind.SPECIAL])
def test_an_unfinished_record_where_the_source_has_a_link_now_is_removed(kind: Kind) -> None:
    world = crashed_at(_with_a(), "post done")
    world.tree.put_special("a", kind)
    run = world.clean_run()
    assert (run.changes, world.cloud.pending(), world.store.baseline) == (["delete a"], [], {})
    assert [skip.path for skip in run.report.skipped] == ["a"]


def test_a_finished_record_where_the_source_has_a_link_now_stays() -> None:
    world = crashed_at(_with_a(), "upload done")
    world.tree.put_special("a", Kind.SYMLINK)
    assert world.clean_run().changes == []


def test_the_parents_of_what_the_remote_named_otherwise_are_ours() -> None:
    world = World(knobs=Knobs(names_kept=str.strip))
    world.tree.write("d/a ", "1")
    world.run()
    world.tree.remove("d")
    assert world.clean_run().changes == ["delete d"]


def _with_a() -> World:
    world = World()
    world.tree.write("a", "1")
    return world


def test_a_listing_is_believed_for_the_time_when_it_was_asked_for() -> None:
    """What happens after that may take long: by then the lag would be over, and the listing is no newer."""
    world = lagging(29.0)
    world.tree.write("d/a", "1")
    begun_s = world.clock.now_s
    assert world.run().exit == 0
    world.tree.remove("d")
    world.clock.now_s = begun_s + 28.0

    def take_long() -> None:
        world.clock.now_s += 10.0

    world.at_call("get 2", take_long)
    run, _ = run_at_once(world)
    assert "get 2" in run.calls
    assert (world.cloud.files(), world.cloud.directories(), world.store.baseline) == ({}, set(), {})


@LAGS
@pytest.mark.parametrize("what", ["move", "move done", "post", "post done", "upload done", "committed", "get"])
def test_what_somebody_else_wrote_is_kept_aside_though_nothing_of_it_is_listed(lag_s: float, what: str) -> None:
    world = lagging(lag_s)
    world.settings.on_drift = OnDrift.COPY
    world.tree.write("a", "before")
    assert world.run().exit == 0
    world.wait()
    world.cloud.put("a", "theirs")
    world.tree.write("a", "ours")
    world.wait(1.0)
    crashed_at(world, what)
    run_at_once(world)
    assert sorted(world.cloud.files().values()) == [b"ours", b"theirs"]
    assert world.cloud.files()["a"] == b"ours"
    assert not world.cloud.pending()
    again, _ = run_at_once(world)
    assert again.changes == []
    assert world.clean_run().changes == []
