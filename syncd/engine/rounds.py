"""The looks of the daemon at a job: at directories that changed, at all of the source, at both sides as a whole, at
deletions that are due.

Called by `keeper`, one of each kind at a time. Each is the same reconcile on its own scope: observe, decide, and hand
what was decided to `carry`. What was being worked on meanwhile, has not settled or is parked is left out and looked at
again. Raises what ends the look as a whole; its scope is queued again then.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from syncd.core.busy import Fence
from syncd.core.contest import Contest
from syncd.core.diff import Census, LocalChange
from syncd.core.guard import DOUBTED
from syncd.core.lot import Due
from syncd.core.model import (
    Delete,
    Drift,
    JobReport,
    Kind,
    LocalEntry,
    MaxDelete,
    Operation,
    Problem,
    Replace,
    SourceIdentity,
)
from syncd.core.paths import ancestors_of, is_below, key_of, parent_of, path_of
from syncd.core.plan import Plan
from syncd.engine.aside import Aside, closed_by, entered, is_new
from syncd.engine.carry import Carrier, keys_of
from syncd.engine.desk import Desk, directories_of
from syncd.engine.job import Job
from syncd.engine.observe import View, observe, walk
from syncd.engine.reconcile import Decision, Reconcile, detached_text
from syncd.engine.scope import PAGE, Part, compare, gone_elsewhere, look

CONTESTED = "somebody else changes it on the destination again and again; it is tried again later"
MOST_MOVED = 20_000
"""With more deletions than this collected, what is new is not compared with them."""
UNSURE_AGAIN_S = 2.0
"""So soon is looked again for what may be there without being listed."""
SOON_S = 0.2
REST_S_PER_PAGE = 1.0
LONGEST_REST_S = 10.0
OLD_S = 5.0
"""A change that the watch has not told of after this long is unannounced."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a walk over the source found. `unannounced_s`: the ages of changes that the watch should have told of;
    `cpu_s`: what it cost."""

    directories: set[str]
    unannounced_s: list[float]
    cpu_s: float


class Rounds:
    def __init__(self, job: Job, desk: Desk, carrier: Carrier, *, wall_ns: Callable[[], int]) -> None:
        self._job = job
        self._desk = desk
        self._carrier = carrier
        self._wall_ns = wall_ns
        self._checked: SourceIdentity | None = None
        self._usual: frozenset[int] = frozenset()
        self._contest = Contest()
        self._rebuilt = job.store.memory.rebuilt
        self._aside = Aside(desk, wall_ns=wall_ns)
        self.accept_source = False

    def hurry(self) -> None:
        """Nothing has to settle any more: there is no time left."""
        self._aside.hurried = True

    async def everything(self, *, since_s: float) -> asyncio.Task[None]:
        """Both sides as a whole. The task that is returned ends when all that was decided has been tried once."""
        with self._fence() as fence:
            await self._carrier.flush()
            view = await observe(self._job)
            self._desk.block(fence.touched(), since_s=since_s, now_s=_now())
            self._desk.records = view.census.remote + view.census.directories_known
            self._usual = frozenset(map(_mark, view.changes))
            reconcile = self._reconcile()
            done = await self._decide_and_begin(reconcile, view, fence, since_s=since_s)
            self._checked = view.source
            self.accept_source = False
            self._rebuilt = False
        await reconcile.purge()
        return done

    async def directories(self, dirty: Mapping[str, float]) -> None:
        """Some directories, each with since when it is dirty."""
        since_s = min(dirty.values())
        with self._fence() as fence:
            await self._carrier.flush()
            source = await asyncio.to_thread(self._job.tree.identity)
            if self._is_another(source):
                self._desk.queue.reconcile_all(since_s=since_s, due_s=_now())
                self._desk.queue.look_at(dirty, since_s=since_s, due_s=_now() + OLD_S)
                return
            if "" in dirty and await asyncio.to_thread(self._job.tree.rules_changed):
                self._desk.queue.look_everywhere(since_s=since_s, due_s=_now())
                self._desk.queue.look_at(dirty, since_s=since_s, due_s=_now() + SOON_S)
                return
            parts = await asyncio.to_thread(look, self._job, list(dirty))
            excluded = self._aside.excluding([one for part in parts for one in part.changes], fence, since_s=since_s)
            found = {part.key for part in parts}
            looked = {*map(key_of, dirty), *found}
            self._aside.come_back(fence, looked, {key for part in parts for key in part.deep}, since_s=since_s)
            asked = self._desk.to_be_asked()
            parts = [
                part
                for part in parts
                if part.key in asked or part.is_open(lambda key: key in excluded or fence.excludes(key))
            ]
            still_open = {part.key for part in parts}
            within = {key for key in looked if _nearest(key, found) in still_open}
            self._aside.put_right(looked - within, excluded, fence, self._desk.drifting)
            if not parts:
                return
            self._let_rest(parts)
            view = await compare(self._job, source, parts, census=Census(), known_records=self._desk.records)
            view = await self._with_what_left(view, within)
            await self._decide_and_begin(self._reconcile(), view, fence, since_s=since_s, looked=within)

    def _let_rest(self, parts: Sequence[Part]) -> None:
        """A directory of many pages is not listed again for every few of its files that settle."""
        for key, rows in Counter(parent_of(row.key) for part in parts for row in part.rows).items():
            pages = rows // PAGE
            if pages:
                rest_s = min(pages * REST_S_PER_PAGE, LONGEST_REST_S)
                self._desk.queue.rest(path_of(key), until_s=_now() + rest_s)

    async def deletions(self, due: Due) -> None:
        """A lot of deletions, everything about it looked at again: each path, the root, and how much is left."""
        job, desk = self._job, self._desk
        with self._fence() as fence:
            await self._carrier.flush()
            source = await asyncio.to_thread(job.tree.identity)
            if self._is_another(source):
                desk.queue.reconcile_all(since_s=_now(), due_s=_now())
                desk.lot.later(_now())
                return
            census = Census()
            changes = await asyncio.to_thread(walk, job, census)
            parts = await asyncio.to_thread(look, job, sorted(directories_of(due.keys)))
            view = await compare(job, source, parts, census=census, known_records=desk.records)
            reconcile = self._reconcile(guarded=not due.approved)
            looked = {part.key for part in parts}
            await self._decide_and_begin(
                reconcile, view, fence, since_s=_now(), looked=looked, due=due, spared=_unsent_elsewhere(changes)
            )

    async def source(self) -> Found:
        """The whole source compared with the baseline, without a request: the directories of what is new."""
        with self._fence() as fence:
            await self._carrier.flush()
            changes, cpu_s = await asyncio.to_thread(_walk_and_measure, self._job)
            self._desk.block(fence.touched(), since_s=_now(), now_s=_now())
            marks = frozenset(map(_mark, changes))
            new = [one for one in changes if _mark(one) not in self._usual and not fence.excludes(one.key)]
            self._usual = marks
            queued = self._desk.queue.directories
            ages_s = [self._age_s(one) for one in new if path_of(parent_of(one.key)) not in queued]
            unannounced = [age_s for age_s in ages_s if age_s > OLD_S]
            return Found(directories_of(one.key for one in new), unannounced, cpu_s)

    def _age_s(self, change: LocalChange) -> float:
        """How long ago a file changed; 0 where that cannot be told, or it is known to wait."""
        local = change.local
        if local is None or local.kind != Kind.FILE or self._desk.queue.rests(path_of(change.key), local):
            return 0.0
        return (self._wall_ns() - max(local.mtime_ns, local.ctime_ns)) / 1e9

    def _is_another(self, source: SourceIdentity) -> bool:
        """Whether the source is not the one that was looked at as a whole."""
        remembered = self._job.store.memory.source
        if source == self._checked or remembered is None:
            return False
        return source.filesystem != remembered.filesystem or remembered.inode not in (source.inode, DOUBTED)

    @contextmanager
    def _fence(self) -> Iterator[Fence]:
        fence = self._desk.busy.fence()
        try:
            yield fence
        finally:
            fence.close()

    def _reconcile(self, *, guarded: bool = True) -> Reconcile:
        policy = self._job.policy
        if not guarded:
            policy = replace(policy, max_delete=MaxDelete(percent=100.0))
        if _now() < self._desk.whole_moves_from_s:
            policy = replace(policy, capabilities=replace(policy.capabilities, move_directory=False))
        accept_source = self._job.accept_source or self.accept_source
        job = replace(self._job, policy=policy, accept_source=accept_source, growing=self._aside.growing)
        return Reconcile(job, JobReport(job.name), rebuilt=self._rebuilt)

    async def _with_what_left(self, view: View, within: Collection[bytes]) -> View:
        """The view, and what was noticed to be gone elsewhere before: it may be where something is new now."""
        keys = self._desk.lot.keys
        if not keys or len(keys) > MOST_MOVED or not any(is_new(one) for one in view.differences):
            return view
        gone = await asyncio.to_thread(gone_elsewhere, self._job, keys, within)
        here = {one.key for one in view.differences}
        more = [one for one in gone if one.key not in here]
        return replace(view, differences=sorted([*view.differences, *more], key=lambda one: one.key))

    async def _decide_and_begin(
        self,
        reconcile: Reconcile,
        view: View,
        fence: Fence,
        *,
        since_s: float,
        looked: Collection[bytes] | None = None,
        due: Due | None = None,
        spared: Collection[bytes] = (),
    ) -> asyncio.Task[None]:
        """`looked`: the directories that the view is of, None for everything; `due`: the deletions that it is for, and
        `spared` those that are not made now."""
        excluded = self._aside.excluding(view.changes, fence, since_s=since_s)
        excluded -= entered(view.differences, excluded)
        excluded |= closed_by(view.differences, excluded)
        view = replace(view, differences=self._aside.planned_around(view.differences, excluded, fence, since_s=since_s))
        licensed = due.keys.difference(spared) if due is not None else frozenset()
        counted = self._desk.lot.counted(_now()) if due is not None else 0
        decision = await reconcile.decide(view, licensed=licensed, done=counted)
        unsolved = _unsolved(decision.plan)
        for key, wait_s in decision.later.items():
            due_s = _now() + min(wait_s, UNSURE_AGAIN_S)
            self._desk.queue.look_at(directories_of([key]), since_s=since_s, due_s=due_s)
        if any(fence.excludes(key) for key in unsolved | _known_now(decision.plan)):
            return await self._look_again(view, since_s=since_s, whole=looked is None)
        withheld = {one.key for one in decision.plan.withheld}
        self._aside.put_right(looked, excluded, fence, unsolved | withheld | _problematic(decision))
        self._take_note(decision, due, since_s=since_s)

        def is_seen(key: bytes) -> bool:
            was_looked_at = looked is None or parent_of(key) in looked
            return was_looked_at and key not in excluded and not fence.excludes(key)

        plan = self._noting_drift(decision.plan, is_seen, whole=looked is None)
        decision = replace(decision, plan=plan)
        done = self._carrier.begin(reconcile, decision, since_s=since_s)
        self._desk.settling.forget(key_of(one.path) for one in decision.plan.operations)
        if not decision.plan.directory_moves:
            await self._record(reconcile, decision)
        if looked is None or due is not None:
            await reconcile.remember(decision)
        return done

    async def _look_again(self, view: View, *, since_s: float, whole: bool) -> asyncio.Task[None]:
        """While it was decided, something else began on what it is about."""
        await view.listing.aclose()
        self._desk.block([one.key for one in view.differences], since_s=since_s, now_s=_now())
        self._desk.lot.later(_now())
        if whole:
            self._desk.queue.reconcile_all(since_s=since_s, due_s=_now())
        return asyncio.create_task(asyncio.sleep(0))

    async def _record(self, reconcile: Reconcile, decision: Decision) -> None:
        """What is known now although nothing has to be done for it."""
        known = [*(row.key for row in decision.plan.adopted), *decision.plan.forgotten]
        self._desk.busy.take(known)
        try:
            await reconcile.record_known(decision)
            if decision.plan.detached:
                self._job.telemetry.notice(detached_text(decision.plan.detached))
        finally:
            self._desk.release(known, now_s=_now())

    def _take_note(self, decision: Decision, due: Due | None, *, since_s: float) -> None:
        """What the plan says beside its operations."""
        desk, plan = self._desk, decision.plan
        now_s = _now()
        for problem in plan.problems:
            desk.queue.park(problem, now_s=now_s, entry=_entry_at(decision.view, problem.path), chance=random.random())
        if plan.directory_moves:
            desk.lot.discard(key for one in plan.directory_moves for key in _with_below(one.source, desk.lot.keys))
            if due is not None:
                desk.lot.later(now_s)
            return
        withheld = {one.key for one in plan.withheld}
        desk.lot.discard(key for one in plan.operations for key in keys_of(one) if not isinstance(one, Delete))
        if due is not None and plan.held_because is not None:
            desk.lot.hold((one for one in plan.withheld if one.key in due.keys), plan.held_because)
            self._job.telemetry.warning("deletions_held", files=plan.held, because=plan.held_because)
        if due is not None:
            desk.lot.discard(due.keys - withheld)
            deletes = [one for one in plan.operations if isinstance(one, Delete)]
            desk.lot.done(sum(one.files - one.superseded for one in deletes), now_s=now_s)
        desk.lot.noticed(plan.withheld, since_s=since_s, now_s=now_s)
        if due is not None:
            desk.lot.left(due.keys, now_s=now_s)

    def _noting_drift(self, plan: Plan, settled: Callable[[bytes], bool], *, whole: bool) -> Plan:
        """The plan without replacing what somebody else has changed again and again: that is parked. Of drift it has
        what is new; what is left as it is, is said by every look at everything (`whole`)."""
        drifting = self._desk.drifting
        touched = {key_of(one.path): one for one in plan.operations} | dict.fromkeys(one.key for one in plan.withheld)
        drifting -= {key for key in drifting if settled(key)}
        drifting |= {key for one in plan.drifted if (key := key_of(one.path)) in touched}
        news = [one for one in plan.drifted if self._is_news(one, touched, whole=whole)]
        for drift in news:
            self._job.telemetry.drifted(drift)
        plan = replace(plan, drifted=tuple(news))
        replaced = [one for one in plan.operations if isinstance(one, Replace)]
        parked = {one.path: one for one in replaced if key_of(one.path) in drifting and self._contest.over(one.path)}
        if not parked or any(isinstance(one, Delete) for one in plan.operations):
            return plan
        for path, one in parked.items():
            problem = Problem(path, "replace", CONTESTED)
            self._desk.queue.park(problem, now_s=_now(), entry=one.local, chance=random.random())
        return replace(plan, operations=tuple(one for one in plan.operations if one.path not in parked))

    def _is_news(self, drift: Drift, touched: Mapping[bytes, Operation | None], *, whole: bool) -> bool:
        key = key_of(drift.path)
        if key not in touched:
            return whole
        operation = touched[key]
        what = f"{operation.remote.id} {operation.remote.checksum}" if isinstance(operation, Replace) else drift.kind
        return self._contest.noticed(drift.path, what, now_s=_now())


def _unsolved(plan: Plan) -> set[bytes]:
    """The paths of which something has to be done or awaited."""
    keys = {key for one in plan.operations for key in keys_of(one)}
    return keys | {one.key for one in plan.awaiting}


def _known_now(plan: Plan) -> set[bytes]:
    """The paths about which the baseline will say something else without anything having to be done."""
    return {row.key for row in plan.adopted} | {*plan.forgotten}


def _problematic(decision: Decision) -> set[bytes]:
    return {key_of(problem.path) for problem in decision.plan.problems}


def _nearest(key: bytes, directories: Collection[bytes]) -> bytes | None:
    """Of these the one in which it was looked at: the directory itself, or the nearest above it."""
    return next((one for one in (key, *reversed(ancestors_of(key)), b"") if one in directories), None)


def _entry_at(view: View, path: str) -> LocalEntry | None:
    key = key_of(path)
    local = next((one.local for one in view.differences if one.key == key), None)
    return local if local is not None and local.kind == Kind.FILE else None


def _with_below(path: str, keys: Collection[bytes]) -> list[bytes]:
    key = key_of(path)
    return [one for one in keys if one == key or is_below(one, key)]


def _unsent_elsewhere(changes: Sequence[LocalChange]) -> set[bytes]:
    """The gone files that are at another path now, changed or not, and not sent from there yet; but for those in whose
    directory's place there is a file, which cannot come before they go."""
    files = {one.key for one in changes if one.local is not None and one.local.kind == Kind.FILE}
    unsent = {one.local.inode for one in changes if one.local is not None and one.key in files and not _stayed(one)}
    gone = ((one.key, one.base) for one in changes if one.local is None)
    moved = {key for key, base in gone if base is not None and base.kind == Kind.FILE and base.inode in unsent}
    return {key for key in moved if files.isdisjoint(ancestors_of(key))}


def _stayed(change: LocalChange) -> bool:
    return change.local is not None and change.base is not None and change.base.inode == change.local.inode


def _mark(change: LocalChange) -> int:
    return hash((change.key, change.local))


def _walk_and_measure(job: Job) -> tuple[list[LocalChange], float]:
    started_s = time.thread_time()
    changes = walk(job, Census())
    return changes, time.thread_time() - started_s


def _now() -> float:
    return asyncio.get_running_loop().time()
