"""What holds of every plan, over worlds made by random edit scripts."""

from __future__ import annotations

import copy
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from syncd.core.model import (
    Create,
    Delete,
    DeleteMode,
    Kind,
    MakeDirectory,
    MaxDelete,
    Move,
    OnDrift,
    Replace,
    Status,
    Sync,
)
from syncd.core.paths import key_of, path_of
from syncd.core.questions import refusal
from tests.property.cloud import Record
from tests.property.disk import parents
from tests.property.edits import LOCAL, worlds
from tests.property.world import World

DELETING = st.sampled_from([DeleteMode.TRACKED, DeleteMode.MIRROR])


def visible_files(world: World) -> dict[str, str]:
    """The wanted local files that can be read, with their content."""
    entries = world.disk.scan(world.rules)
    paths = [entry.key.replace(b"\0", b"/").decode() for entry in entries if entry.kind == Kind.FILE]
    return {path: world.disk.nodes[path].content for path in paths}


def remote_contents(world: World) -> set[str]:
    files = [one for one in world.cloud.records.values() if one.kind == Kind.FILE]
    return {one.content for one in files if one.status == Status.COMPLETED}


def has_foreign_repeats(world: World) -> bool:
    paths = [one.path for one in world.cloud.records.values() if one.status != Status.LEAVING]
    return len(paths) != len(set(paths))


@given(worlds())
def test_after_a_sync_nothing_is_left_to_do(world: World) -> None:
    """Steps that no plan may ask for fail in `World` itself."""
    world.sync()
    again = world.plan()
    left = [one for one in again.operations if not (isinstance(one, Delete) and one.leftover)]
    assert left == []
    assert again.operations == () or has_foreign_repeats(world)
    world.sync()
    settled = world.plan()
    assert settled.operations == ()
    assert settled.adopted == ()
    assert settled.awaiting == ()


@given(worlds())
def test_what_the_source_has_is_on_the_destination_or_said(world: World) -> None:
    last = world.sync()[-1]
    failed = {problem.path for problem in last.problems}
    kept = {drift.path for drift in last.drifted} if world.on_drift is OnDrift.KEEP else set()
    for path, content in visible_files(world).items():
        if path in kept or is_being_changed(world, path):
            continue
        if path in failed:
            assert is_really_impossible(world, path)
        else:
            assert any(one.content == content and one.status == Status.COMPLETED for one in world.cloud.at(path)), path


def is_being_changed(world: World, path: str) -> bool:
    """Whether somebody else's upload is under way there that the job leaves alone."""
    row = world.baseline.get(key_of(path))
    pending = any(one.status == Status.PENDING for one in world.cloud.at(path))
    return world.on_drift is not OnDrift.OVERWRITE and pending and row is not None and row.sync is Sync.SYNCED


def is_really_impossible(world: World, path: str) -> bool:
    if refusal(world.disk.entry(path), world.capabilities) is not None:
        return True
    inside_a_file = any(one.kind == Kind.FILE for above in parents(path) for one in world.cloud.at(above))
    there = world.cloud.at(path)
    several = world.on_drift is OnDrift.COPY and len(there) > 1
    return inside_a_file or several or any(one.kind == Kind.DIRECTORY for one in there)


@given(worlds(modes=DELETING))
def test_what_the_source_no_longer_has_goes(world: World) -> None:
    visible = {path_of(one.key): one.kind for one in world.disk.scan(world.rules)}
    unknown = {path for path, kind in visible.items() if kind > Kind.FILE}
    going = {}
    for row in world.baseline.values():
        record = world.cloud.records.get(row.id)
        if record is None or record.checksum is None or record.checksum != row.checksum or row.claim is not None:
            continue
        path = record.path
        seen = visible.get(path) == Kind.FILE or not unknown.isdisjoint([path, *parents(path)])
        if not seen and world.rules.wants(path, directory=False):
            going[record.id] = path
    plans = world.sync()
    if not plans[-1].problems:
        assert not [path for record_id, path in going.items() if record_id in world.cloud.records]


@given(worlds(modes=st.just(DeleteMode.MIRROR), edits=LOCAL))
def test_in_mirror_both_sides_are_the_same_where_nobody_else_was(world: World) -> None:
    plans = world.sync()
    if plans[-1].problems or plans[-1].skipped or world.rules.active:
        return
    here = {(path, node.kind, node.content) for path, node in world.disk.nodes.items()}
    there = {(one.path, one.kind, one.content) for one in world.cloud.records.values()}
    assert here == there


@given(worlds())
def test_no_content_that_both_sides_have_is_lost(world: World) -> None:
    before = remote_contents(world)
    failed = {problem.path for problem in world.sync()[-1].problems}
    wanted = {content for path, content in visible_files(world).items() if path not in failed}
    assert before & wanted <= remote_contents(world)


@given(worlds(), st.sampled_from([OnDrift.KEEP, OnDrift.COPY]))
def test_what_others_put_there_stays(world: World, on_drift: OnDrift) -> None:
    """In every mode of deletion; `keep` leaves it at its path, and nothing where they deleted something."""
    world.on_drift = on_drift
    theirs = [one for one in world.cloud.records.values() if is_theirs(world, one)]
    world.sync()
    assert {one.content for one in theirs} <= remote_contents(world)
    if on_drift is OnDrift.KEEP:
        paths = {one.path for one in world.cloud.records.values() if one.status != Status.LEAVING}
        assert {one.path for one in theirs} <= paths
        unknown = {path_of(one.key) for one in world.disk.scan(world.rules) if one.kind > Kind.FILE}
        known = {path_of(row.key) for row in world.baseline.values() if row.kind is Kind.FILE}
        gone = {key_of(one) for one in known - paths if unknown.isdisjoint([one, *parents(one)])}
        assert {key_of(drift.path) for drift in world.plan().drifted if drift.kind == "deleted"} == gone


def is_theirs(world: World, record: Record) -> bool:
    """Whether a file has content that the job cannot take for its own."""
    row = world.baseline.get(key_of(record.path))
    if record.kind != Kind.FILE or record.status != Status.COMPLETED:
        return False
    return row is None or (row.claim != "" and record.checksum not in (row.checksum, row.claim))


@given(worlds(modes=st.just(DeleteMode.NEVER)))
def test_never_removes_or_moves_nothing(world: World) -> None:
    before = {(one.path, one.kind) for one in world.cloud.records.values() if one.status != Status.LEAVING}
    world.sync()
    assert before <= {(one.path, one.kind) for one in world.cloud.records.values()}


@given(worlds(modes=DELETING), st.integers(0, 3))
def test_what_is_guarded_is_held_whole(world: World, most: int) -> None:
    unguarded = world.plan()
    deletions = sum(one.files - one.superseded for one in unguarded.operations if isinstance(one, Delete))
    world.max_delete = MaxDelete(count=most, percent=None)
    guarded = world.plan()
    if guarded.held_because is None:
        assert deletions <= most
        assert guarded == unguarded
        return
    assert guarded.held >= max(deletions, most + 1)
    if not unguarded.problems:
        assert guarded.held == deletions
    deletes = [one for one in guarded.operations if isinstance(one, Delete) and not one.leftover]
    assert all(one.files == one.superseded == 1 for one in deletes)
    files = sum(one.kind == Kind.FILE and one.ours for one in world.cloud.records.values())
    leftovers = sum(isinstance(one, Delete) for one in guarded.operations)
    world.sync()
    assert sum(one.kind == Kind.FILE and one.ours for one in world.cloud.records.values()) >= files - leftovers


@given(worlds())
def test_the_order_can_be_executed(world: World) -> None:
    """Parents before children, what makes way before what comes, other deletions last and deepest first."""
    plan = world.plan()
    operations = plan.operations
    place = {one.path: index for index, one in enumerate(operations) if isinstance(one, MakeDirectory)}
    last_deletes = [one for one in operations if isinstance(one, Delete) and not (one.in_the_way or one.leftover)]
    assert list(operations[len(operations) - len(last_deletes) :]) == last_deletes
    depths = [one.path.count("/") for one in last_deletes]
    assert depths == sorted(depths, reverse=True)
    for index, one in enumerate(operations):
        if isinstance(one, MakeDirectory):
            assert all(place.get(above, -1) < index for above in parents(one.path))
        if isinstance(one, Delete) and one.in_the_way:
            inside = [
                later
                for later in operations[:index]
                if isinstance(later, Create | Replace | MakeDirectory)
                and (later.path == one.path or later.path.startswith(one.path + "/"))
            ]
            assert inside == []


@given(worlds())
def test_the_same_world_gives_the_same_plan(world: World) -> None:
    first = world.plan()
    world.cloud.records = dict(reversed(world.cloud.records.items()))
    world.disk.nodes = dict(reversed(world.disk.nodes.items()))
    world.baseline = dict(reversed(world.baseline.items()))
    assert world.plan() == first


@given(worlds(modes=DELETING))
def test_each_path_is_decided_on_once(world: World) -> None:
    plan = world.plan()
    for kind in (MakeDirectory, Create, Replace, Move):
        paths = [one.path for one in plan.operations if isinstance(one, kind)]
        assert len(paths) == len(set(paths))
    arrivals = [one.path for one in plan.operations if not isinstance(one, Delete)]
    assert len(arrivals) == len(set(arrivals))
    removed = [one.remote.id for one in plan.operations if isinstance(one, Delete | Move)]
    removed += [record.id for one in plan.operations if isinstance(one, Delete) for record in one.covers]
    assert len(removed) == len(set(removed))
    changed = {*(row.key for row in plan.adopted), *(key_of(path) for path in arrivals)}
    assert not changed & set(plan.forgotten)


@given(worlds(modes=DELETING, edits=LOCAL))
def test_moves_never_cost_more_requests(world: World) -> None:
    other = copy.deepcopy(world)
    other.capabilities = replace(world.capabilities, move=False, move_directory=False)
    plans = world.sync() + other.sync()
    everything_was_done = not any(plan.problems for plan in plans)
    assert not everything_was_done or world.changes <= other.changes
