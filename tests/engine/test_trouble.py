"""What a run does when something is in its way: failures, other people, crashes of the remote, an order to stop."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import replace

import pytest

from syncd.core.model import DeleteMode, Kind, MaxDelete, Operation, RemoteEntry, Status, Sync
from syncd.core.paths import key_of
from syncd.engine.execute import STALE_AFTER_S
from syncd.engine.job import Stop
from syncd.engine.observe import observe
from syncd.engine.reconcile import Reconcile
from syncd.errors import Rejected, RemoteDead, Transient, Unauthorized
from syncd.ports import Content, Sink
from tests.engine.test_mirroring import synced
from tests.engine.test_slots import run as run_virtually
from tests.sim.cloud import Knobs
from tests.sim.remote import MemoryRemote
from tests.sim.world import Run, Settings, World


@pytest.mark.parametrize("error", [Rejected("no"), Transient("kept failing")])
def test_one_path_that_fails_does_not_stop_the_others(error: Exception) -> None:
    world = World()
    for name in "abcde":
        world.tree.write(name, name)
    world.broken["create c"] = error
    run = world.run()
    assert (run.exit, run.failed, run.report.created) == (1, ["c"], 4)
    world.broken.clear()
    assert world.clean_run().changes == ["create c"]


@pytest.mark.parametrize("error", [Unauthorized("401"), RemoteDead("two minutes")])
def test_what_was_done_before_a_halt_is_recorded(error: Exception) -> None:
    world = World(settings=Settings(workers=1), knobs=Knobs(completion_s=0.0))
    for name in "abcde":
        world.tree.write(name, name)
    world.broken["create d"] = error
    run = world.run()
    assert run.error is error
    assert run.report.created == 3
    assert [world.store.baseline[key_of(name)].sync for name in "abc"] == [Sync.UPLOADED] * 3
    world.broken.clear()
    assert world.clean_run().changes == ["create d", "create e"]


def test_a_record_that_the_remote_names_otherwise_is_taken_back() -> None:
    world = World(knobs=Knobs(names_kept=str.strip))
    world.tree.write("a ", "1")
    run = world.run()
    assert (run.exit, run.failed) == (1, ["a "])
    world.wait()
    assert world.cloud.records == {}


def test_a_record_that_was_there_under_the_name_is_not_taken_back() -> None:
    world = World(knobs=Knobs(names_kept=str.strip))
    world.cloud.put("a", "somebody else's")
    world.tree.write("a ", "1")
    run = world.run()
    assert (run.exit, run.failed) == (1, ["a "])
    assert world.cloud.files() == {"a": b"somebody else's"}


def test_a_record_that_cannot_be_taken_back_fails_its_path_only() -> None:
    world = World(knobs=Knobs(names_kept=str.strip))
    world.tree.write("a ", "1")
    world.tree.write("b", "1")
    world.broken["delete a"] = Transient("kept failing")
    run = world.run()
    assert (run.exit, run.failed) == (1, ["a "])
    assert world.cloud.files() == {"b": b"1"}


def test_a_record_that_never_completes_is_uploaded_anew_by_the_next_run() -> None:
    world = World(knobs=Knobs(never_completes={"a"}))
    world.tree.write("a", "1")
    world.tree.write("b", "22")
    run = world.run()
    assert (run.exit, run.failed) == (1, ["a"])
    assert world.store.baseline[b"a"].sync == Sync.CLAIMED
    assert world.store.baseline[b"b"].sync == Sync.SYNCED
    world.cloud.knobs.never_completes.clear()
    again = world.clean_run()
    assert (again.exit, again.changes) == (0, ["replace a"])


def test_nothing_that_an_incomplete_upload_replaces_is_deleted() -> None:
    world = synced("a.txt", "b")
    world.tree.rename("a.txt", "a.bin")
    world.cloud.knobs.never_completes.add("a.bin")
    run = world.clean_run()
    assert (run.exit, run.failed, run.changes) == (1, ["a.bin"], ["create a.bin"])
    assert "a.txt" in world.cloud.files()
    world.cloud.knobs.never_completes.clear()
    assert world.clean_run().changes == ["replace a.bin", "delete a.txt"]


def test_nothing_that_a_failed_upload_replaces_is_deleted() -> None:
    world = synced("a.txt", "b", "c")
    world.tree.rename("a.txt", "a.bin")
    world.tree.remove("c")
    world.broken["create a.bin"] = Rejected("no")
    run = world.clean_run()
    assert (run.exit, run.changes) == (1, ["create a.bin", "delete c"])


def test_content_that_somebody_overwrote_at_once_is_sent_again_before_anything_is_deleted() -> None:
    world = synced("a.txt", "b")
    world.tree.rename("a.txt", "a.bin")
    world.chaos.on["get"] = lambda: _overwrite(world)
    run = world.clean_run()
    assert run.exit == 0
    assert run.changes == ["create a.bin", "replace a.bin", "delete a.txt"]


def _overwrite(world: World) -> None:
    world.cloud.put("a.bin", "somebody else's")


def test_a_stranger_in_a_directory_keeps_it_and_the_files_go_one_by_one() -> None:
    world = synced("d/a", "d/e/b", "c")
    world.tree.remove("d")
    world.chaos.on["exists d"] = lambda: None
    world.at_call("entries d", lambda: _add(world, "d/stranger"))
    run = world.clean_run()
    assert run.exit == 0
    assert world.cloud.files() == {"c": b"content of c", "d/stranger": b"theirs"}
    assert "delete d" not in run.changes
    assert world.clean_run().changes == []


def test_a_stranger_in_a_directory_that_must_make_way_fails_the_path() -> None:
    world = synced("d/a", "c")
    world.tree.remove("d")
    world.tree.write("d", "a file")
    world.at_call("entries d", lambda: _add(world, "d/stranger"))
    run = world.clean_run()
    assert (run.exit, run.failed) == (1, ["d"])
    assert "d/stranger" in world.cloud.files()


def test_a_stranger_in_a_renamed_directory_stays_and_the_files_move_one_by_one() -> None:
    world = synced("old/a", "old/b", "c")
    world.tree.rename("old", "new")
    world.at_call("entries old", lambda: _add(world, "old/stranger"))
    run = world.clean_run()
    assert run.exit == 0
    assert sorted(run.changes) == ["move old/a -> new/a", "move old/b -> new/b"]
    assert world.cloud.files() == {**world.tree.files(), "old/stranger": b"theirs"}


def _add(world: World, path: str) -> None:
    world.cloud.put(path, "theirs")


def test_a_file_that_came_back_before_its_deletion_is_not_deleted() -> None:
    world = synced("a", "b")
    world.tree.remove("a")
    world.chaos.on["exists a"] = lambda: world.tree.write("a", "content of a")
    run = world.clean_run()
    assert (run.exit, run.changes) == (0, [])
    assert world.cloud.files() == world.tree.files()


def test_what_is_in_the_way_and_came_back_is_not_deleted() -> None:
    world = synced("d/a", "b")
    world.tree.remove("d")
    world.tree.write("d", "a file")

    def comes_back() -> None:
        world.tree.remove("d")
        world.tree.write("d/a", "content of d/a")

    world.chaos.on["exists d"] = comes_back
    run = world.clean_run()
    assert (run.exit, run.changes) == (0, [])
    assert world.cloud.files() == world.tree.files()


@pytest.mark.parametrize("kind", [Kind.SYMLINK, Kind.SPECIAL])
def test_what_is_in_the_way_of_nothing_any_more_is_not_deleted(kind: Kind) -> None:
    world = synced("d/a", "b")
    world.tree.remove("d")
    world.tree.write("d", "a file")
    world.chaos.on["exists d"] = lambda: world.tree.put_special("d", kind)
    run = world.clean_run()
    assert (run.exit, run.changes) == (0, [])
    assert "d/a" in world.cloud.files()


def test_a_file_in_the_way_that_came_back_is_not_deleted() -> None:
    world = synced("d", "b")
    world.tree.remove("d")
    world.tree.write("d/a", "in a directory")

    def comes_back() -> None:
        world.tree.remove("d")
        world.tree.write("d", "content of d")

    world.chaos.on["exists d"] = comes_back
    run = world.clean_run()
    assert "delete d" not in run.changes
    assert world.cloud.files() == world.tree.files()


def test_the_delete_guard_counts_what_the_run_has_deleted_already() -> None:
    world = synced(*"abcdef", settings=Settings(max_delete=MaxDelete(count=2), workers=1))
    world.tree.remove("a")
    world.tree.remove("b")

    def exchange() -> None:
        world.tree.write("b", "content of b")
        world.tree.remove("c")
        world.tree.remove("d")

    world.chaos.on["exists b"] = exchange
    run = world.clean_run()
    assert (run.exit, run.changes, run.report.held) == (3, ["delete a"], 2)


def test_a_file_that_comes_and_goes_with_every_look_is_said() -> None:
    world = synced("a", "b")

    def goes() -> None:
        world.tree.remove("a")
        world.chaos.on["exists a"] = comes

    def comes() -> None:
        world.tree.write("a", "content of a")
        world.chaos.on["identity"] = goes

    goes()
    run = world.clean_run()
    assert (run.exit, run.failed, run.changes) == (1, [""], [])
    assert "changed whenever" in run.report.failed[0].error


def test_a_file_that_somebody_put_at_a_new_path_is_not_taken_for_the_jobs_own() -> None:
    world = World(settings=Settings(workers=1))
    world.tree.write("d/a", "x" * 100)
    world.chaos.on["read d/a"] = lambda: _add(world, "d/a")
    world.at_call("create d/a", lambda: world.tree.remove("d"))
    run = world.run()
    assert world.cloud.files() == {"d/a": b"theirs"}
    assert [change for change in run.changes if change.startswith("delete")] == []


def test_a_drifted_file_is_not_deleted_because_the_local_one_went() -> None:
    world = synced("a", "b")
    world.tree.remove("a")
    _add(world, "a")
    run = world.clean_run()
    assert (run.exit, run.changes, run.report.drifted[0].path) == (0, [], "a")
    assert world.clean_run().report.drifted == []


def test_somebody_elses_file_whose_overwriting_was_cut_short_is_not_removed() -> None:
    world = World()
    _add(world, "a")
    world.tree.write("a", "ours")
    world.at_call("replace a", lambda: world.chaos.on.update({"upload": world.chaos.crash}))
    assert world.run().crashed
    world.tree.remove("a")
    run = world.clean_run()
    assert run.changes == []
    assert world.cloud.at(b"a")[0].status == Status.PENDING


def test_what_a_crashed_upload_brought_stays_the_jobs_own_when_the_next_one_crashes_too() -> None:
    world = World()
    world.tree.write("a", "first")
    world.chaos.on["upload done"] = world.chaos.crash
    assert world.run().crashed
    world.wait()
    world.tree.write("a", "second")
    world.at_call("replace a", world.chaos.crash)
    assert world.run().crashed
    world.tree.remove("a")
    assert world.clean_run().changes == ["delete a"]


def test_an_unfinished_upload_is_known_until_it_is_removed() -> None:
    world = World(settings=Settings(workers=1))
    world.tree.write("a", "1")
    world.chaos.on["upload"] = world.chaos.crash
    assert world.run().crashed
    world.tree.remove("a")
    world.broken["delete a"] = Transient("kept failing")
    world.clean_run()
    assert b"a" in world.store.baseline
    world.broken.clear()
    assert world.clean_run().changes == ["delete a"]
    assert (world.cloud.pending(), world.store.baseline) == ([], {})


@pytest.mark.parametrize("path", ["a", "d"])
def test_what_a_move_brought_before_a_crash_is_known_to_be_the_jobs(path: str) -> None:
    world = synced("a", "d/b", "d/e/c")
    world.tree.rename(path, "new")
    world.chaos.on["move done"] = world.chaos.crash
    assert world.run().crashed
    world.wait()
    world.tree.remove("new")
    assert world.clean_run().exit == 0
    assert world.cloud.files() == world.tree.files()
    assert "new" not in world.cloud.directories()


def test_what_had_to_come_back_out_of_the_trash_stays_the_jobs_own() -> None:
    def replaced(refused: dict[str, Exception]) -> tuple[World, Run]:
        world = World(settings=Settings(trash_keep_s=1000.0))
        world.tree.write("a", "old")
        world.clean_run()
        world.tree.write("a", "new")
        world.broken.update(refused)
        return world, world.clean_run()

    call = next(one for one in replaced({})[1].changes if one.startswith("move .incoming/"))
    world, run = replaced({call: Rejected("not here")})
    assert (run.failed, world.cloud.files()["a"]) == (["a"], b"old")
    world.tree.remove("a")
    run = world.clean_run()
    assert (run.exit, run.report.drifted, "a" in world.cloud.files()) == (0, [], False)


def test_a_stop_lets_what_is_in_flight_finish_and_begins_nothing_more() -> None:
    world = World(settings=Settings(workers=2))
    for name in "abcdef":
        world.tree.write(name, name)
    world.at_call("create b", lambda: world.request_stop(15))
    run = world.run()
    assert run.changes == ["create a", "create b"]
    assert (run.report.created, run.report.unchanged) == (2, 0)
    assert {row.key: row.sync for row in world.store.baseline.values()} == {b"a": Sync.UPLOADED, b"b": Sync.UPLOADED}
    again = world.clean_run()
    assert (again.exit, len(again.changes)) == (0, 4)


@pytest.mark.parametrize("end", ["stop", "abort"])
def test_a_claim_whose_turn_never_came_leaves_what_was_known_before(end: str) -> None:
    world = synced("b", "c", settings=Settings(workers=1))
    before = dict(world.store.baseline)
    for name in "abcd":
        world.tree.write(name, f"new content of {name}")
    claimed: list[bytes] = []
    world.store.committed = lambda rows: claimed.extend(row.key for row in rows if row.sync == Sync.CLAIMED)

    def ending() -> None:
        assert claimed == [b"a", b"b"], "one worker goes on, one upload is ready"
        world.request_stop(15) if end == "stop" else world.cancel()

    world.chaos.on["upload"] = ending
    world.run()
    assert {key: row for key, row in world.store.baseline.items() if key != b"a"} == before
    assert world.clean_run().exit == 0
    assert world.cloud.files() == world.tree.files()


def test_a_stop_before_the_deletions_deletes_nothing() -> None:
    world = synced("a", "b")
    world.tree.remove("a")
    world.tree.write("c", "1")
    world.chaos.on["upload"] = lambda: world.request_stop(2)
    assert world.clean_run().changes == ["create c"]
    assert world.clean_run().changes == ["delete a"]


def test_an_incomplete_listing_licenses_nothing() -> None:
    world = synced("a", "b", settings=Settings(delete=DeleteMode.MIRROR))
    world.tree.remove("a")
    world.broken["entries "] = Transient("a page was lost")
    run = world.clean_run()
    assert isinstance(run.error, Transient)
    assert run.changes == []


def test_one_look_that_keeps_failing_does_not_end_the_run() -> None:
    world = synced("b")
    world.tree.write("a", "1")
    world.tree.remove("b")
    world.chaos.on["upload"] = lambda: _break_looks(world)
    run = world.clean_run()
    assert (run.exit, run.failed) == (1, ["a"])
    assert run.changes == ["create a", "delete b"]


def _break_looks(world: World) -> None:
    record = world.cloud.at(b"a")[0]
    world.broken[f"get {record.id.lstrip('0')}"] = Transient("kept failing")


@pytest.mark.parametrize("lag_s", [0.0, 5.0])
@pytest.mark.parametrize("step", ["post", "post done"])
def test_a_create_that_was_cut_off_is_looked_up_before_it_is_made_again(step: str, lag_s: float) -> None:
    world = World(knobs=Knobs(lag_s=lag_s, refuses_twins=False))
    world.tree.write("a", "1")
    world.tree.write("b", "2")
    world.chaos.on[step] = world.chaos.crash
    assert world.run().crashed
    assert world.run().exit == 0
    world.wait()
    assert sorted(record.key for record in world.cloud.records.values()) == [b"a", b"b"]
    assert world.clean_run().changes == []


def test_a_file_that_somebody_changed_during_a_long_run_is_not_deleted() -> None:
    world = synced("gone", "new")
    world.tree.remove("gone")
    world.tree.write("new", "other content")

    def take_long() -> None:
        world.clock.now_s += 2 * STALE_AFTER_S
        world.cloud.put("gone", "somebody else's")

    world.at_call("replace new", take_long)
    run = world.run()
    assert world.cloud.files() == {"gone": b"somebody else's", "new": b"other content"}
    assert [drift.path for drift in run.report.drifted] == ["gone"]


def test_a_renamed_file_that_cannot_be_read_keeps_its_old_place() -> None:
    world = synced("old")
    world.tree.rename("old", "new")
    world.tree.write("new", "content of OLD")
    world.tree.nodes["new"].locked = True
    run = world.run()
    assert (run.exit, run.failed) == (1, ["new"])
    assert world.cloud.files() == {"old": b"content of old"}


class LateForA(MemoryRemote):
    """Whose answer to one create takes a quarter of an hour to be known."""

    async def create(
        self, path: str, content: Content, *, begun_s_ago: float | None = None, beside: Collection[str] = ()
    ) -> RemoteEntry:
        if path == "a":
            await self._sleep(900.0)
        return await super().create(path, content, begun_s_ago=begun_s_ago, beside=beside)


def test_what_waits_for_its_next_try_keeps_no_portion_from_being_confirmed() -> None:
    world = World(settings=Settings(workers=2))
    for path in ("a", "b", "c", "d/e", "d/f", "d/g"):
        world.tree.write(path, path)
    _, _, job = world.open_job(Stop())
    remote = LateForA(world.chaos, world.cloud, job.slots, most_at_once=2)
    job = replace(job, remote=remote)
    recorded: list[tuple[float, list[str]]] = []

    async def main() -> None:
        reconcile, began_s = Reconcile(job), asyncio.get_running_loop().time()
        decision = await reconcile.decide(await observe(job))

        def note(operations: Sequence[Operation]) -> None:
            age_s = asyncio.get_running_loop().time() - began_s
            recorded.append((age_s, sorted(one.path for one in operations)))
            states = [world.store.baseline[key_of(one.path)].sync for one in operations]
            assert states == [Sync.SYNCED] * len(operations)

        execution = reconcile.execution(decision, destination_size=0, portion=2, recorded=note)
        outcome = await execution.run(decision.plan.operations, [])
        await decision.view.listing.aclose()
        assert not outcome.problems

    run_virtually(main(), world.clock)
    early = [path for age_s, paths in recorded if age_s < 60.0 for path in paths]
    assert sorted(early) == ["b", "c", "d", "d/e", "d/f", "d/g"]
    assert recorded[-1][1] == ["a"]


class NeverSteady(MemoryRemote):
    """Whose listing changes while it is read, as soon as something was sent."""

    async def entries(
        self,
        directory: str,
        sink: Sink,
        *,
        recursive: bool,
        directories_known: int | None = None,
        steady: bool = True,
    ) -> None:
        await super().entries(directory, sink, recursive=recursive, directories_known=directories_known, steady=steady)
        if self.changes:
            raise Transient("it changed each time it was read")


@pytest.mark.parametrize("directories", [1, 3])
def test_what_an_unsteady_listing_shows_as_complete_is_complete(directories: int) -> None:
    world = World()
    for number in range(9):
        world.tree.write(f"d{number % directories}/{number}", f"{number}")
    _, _, job = world.open_job(Stop())
    job = replace(job, remote=NeverSteady(world.chaos, world.cloud, job.slots, most_at_once=3))
    reconcile = Reconcile(job)
    run_virtually(reconcile.run(), world.clock)
    assert (reconcile.report.created, reconcile.report.failed) == (9, [])
    assert all(row.sync == Sync.SYNCED for row in world.store.baseline.values())
