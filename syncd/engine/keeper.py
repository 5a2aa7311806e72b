"""One job of the daemon: kept mirrored until it is told to stop.

Run by `supervisor`, isolated from the other jobs. It owns the loop, the timers and the states of a job; what is looked
at and decided is `rounds`', what is done is `carry`'s. The watch is in place before the first look, so that no change
falls between. Times are monotonic: a suspended machine or a moved clock makes it late, never wrong.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass
from functools import partial

from syncd.core.model import JobState, JobStatus, PathStatus, Waited
from syncd.core.paths import key_of
from syncd.core.queue import MOST_DIRECTORIES
from syncd.core.settling import Settling
from syncd.core.words import count_text
from syncd.engine.carry import Carrier
from syncd.engine.desk import Desk
from syncd.engine.job import Job, Stop
from syncd.engine.rounds import Rounds
from syncd.engine.trouble import Trouble, trouble_of
from syncd.errors import Unreadable
from syncd.ports import Watch

HINT_LAG_S = 0.04
"""How old a change may be when the watch tells of it, unless it says so."""
LONGEST_HINT_LAG_S = 0.15
RESCAN_S = 60.0
RESCAN_TIMES_CPU = 100.0
JITTER = 0.1
BEAT_S = 5.0
"""The loop wakes at least this often, so that its standing still can be told."""
STILL_S = 60.0
SOON_S = 0.2
WAIT_STEP_S = 0.02


@dataclass(frozen=True, slots=True)
class Habits:
    """What a job's configuration asks of the daemon. `flush`: before it stops, what changed is sent."""

    settle_s: float
    settle_max_s: float
    rescan_s: float
    drain_s: float
    flush: bool


@dataclass(frozen=True, slots=True)
class Opened:
    job: Job
    watch: Watch


Open = Callable[[Stop], AbstractAsyncContextManager[Opened]]
"""Opens a job's state, remote and watch; raises SyncdError."""


@dataclass(frozen=True, slots=True)
class _AtWork:
    opened: Opened
    carrier: Carrier
    rounds: Rounds


class Keeper:
    """`first_opened` ends when the job was opened for the first time, or with what kept it from that. `wall_ns`: the
    time by which files are stamped."""

    def __init__(self, name: str, habits: Habits, open_job: Open, *, wall_ns: Callable[[], int] = time.time_ns) -> None:
        self.name = name
        self.drain_s = habits.drain_s
        self.first_opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._habits = habits
        self._open = open_job
        self._wall_ns = wall_ns
        self._stop = Stop()
        self._desk = Desk(Settling(settle_s=habits.settle_s, settle_max_s=habits.settle_max_s))
        self._looks: dict[str, tuple[asyncio.Task[None], float]] = {}
        self._woken = asyncio.Event()
        self._trouble: Trouble | None = None
        self._paused = False
        self._flush_for: int | None = None
        self._looked = self._ready = False
        self._beat_s = time.monotonic()
        self._last_reconcile: float | None = None
        self._next_rescan_s = 0.0
        self._reopen = False
        self._at_work: _AtWork | None = None

    # What the supervisor asks.

    async def serve(self) -> None:
        """Keep the job until `request_stop`. Never raises: what is wrong is a state, and tried again."""
        while not self._stop.requested:
            try:
                async with self._open(self._stop) as opened:
                    if not self.first_opened.done():
                        self.first_opened.set_result(None)
                    await self._keep(opened)
            except Exception as error:
                if not self.first_opened.done():
                    self.first_opened.set_exception(error)
                    return
                self._failed(error)
            while not self._stop.requested and not self._may_work():
                self._beat_s = time.monotonic()
                await self._sleep()

    def request_stop(self, signal: int) -> None:
        """Stop taking work and let what is in flight finish, after a last look if the configuration says so."""
        if self._habits.flush and self._looked and self._at_work is not None and not self._paused:
            self._flush_for = signal
        else:
            self._stop.request(signal)
        self._wake()

    def rescan(self) -> None:
        self._desk.queue.reconcile_all(since_s=_now(), due_s=_now())
        self._trouble = None
        self._wake()

    def pause(self) -> None:
        self._paused = True
        self._wake()

    def resume(self) -> None:
        self._paused = False
        self._trouble = None
        self._wake()

    def approve(self) -> int:
        """Release the held deletions, or a source on another filesystem; how many deletions that were."""
        files = self._desk.lot.approve(now_s=_now())
        if self._trouble is not None and self._trouble.foreign and self._at_work is not None:
            self._at_work.rounds.accept_source = True
            self._trouble = None
        self._wake()
        return files

    async def wait(self) -> tuple[Waited, str]:
        """See `ports.Daemon`."""
        asked_s = _now()
        self._desk.queue.look_everywhere(since_s=asked_s, due_s=asked_s)
        self._wake()
        while True:
            stuck = self._stuck()
            if stuck is not None:
                return Waited.STUCK, f"{self.name}: {stuck}"
            if not self._has_work_since(asked_s):
                break
            await asyncio.sleep(WAIT_STEP_S)
        lot = self._desk.lot
        if lot.held_because is not None:
            return Waited.HELD, f"{self.name}: deletions are held: {lot.held_because}"
        return Waited.DONE, ""

    @property
    def is_ready(self) -> bool:
        return self._ready

    @property
    def is_alive(self) -> bool:
        return time.monotonic() - self._beat_s < STILL_S

    def status(self) -> JobStatus:
        desk, trouble, at_work = self._desk, self._trouble, self._at_work
        sinces = [desk.queue.oldest_s(), desk.blocked_since_s(), desk.lot.since_s]
        if at_work is not None:
            sinces.append(at_work.carrier.oldest_s())
        oldest_s = min((since for since in sinces if since is not None), default=None)
        return JobStatus(
            job=self.name,
            state=self._state(),
            queued=desk.queue.depth(_now()) + desk.blocked,
            in_flight=at_work.carrier.in_flight if at_work is not None else 0,
            held=desk.lot.held,
            held_paths=desk.lot.held_paths,
            failed=desk.queue.parked,
            oldest_unsynced_s=0.0 if oldest_s is None else max(_now() - oldest_s, 0.0),
            last_reconcile=self._last_reconcile,
            degraded=at_work.opened.watch.degraded if at_work is not None else None,
            error=trouble.error if trouble is not None else None,
        )

    def why(self, path: str) -> PathStatus:
        """See `ports.Daemon`."""
        queue, lot, key, now_s = self._desk.queue, self._desk.lot, key_of(path), _now()
        parked = queue.parked_at(path)
        return PathStatus(
            state=self._state(),
            trouble=self._trouble.error if self._trouble is not None else None,
            busy=self._desk.busy.now.touch(key),
            error=parked.problem.error if parked is not None else None,
            tries=parked.tries if parked is not None else 0,
            retry_in_s=_from_now(parked.due_s if parked is not None else None, now_s),
            held_because=lot.held_because if lot.holds(key) else None,
            delete_in_s=_from_now(lot.next_due_s() if lot.collects(key) else None, now_s),
            look_in_s=_from_now(queue.due_s(path.rpartition("/")[0]), now_s),
        )

    def _state(self) -> JobState:
        if self._stop.requested or self._flush_for is not None:
            return JobState.STOPPING
        if self._paused:
            return JobState.PAUSED
        if self._trouble is not None:
            return self._trouble.state
        if not self._looked:
            return JobState.STARTING
        working = self._at_work is not None and self._at_work.carrier.in_flight > 0
        return JobState.SYNCING if working or self._looks or self._desk.blocked else JobState.WATCHING

    def _stuck(self) -> str | None:
        if self._state() in (JobState.PAUSED, JobState.HALTED, JobState.STOPPING):
            return self._trouble.error if self._trouble is not None else f"is {self._state().value}"
        parked = self._desk.queue.parked
        return f"{parked[0].path}: {parked[0].error}" if parked else None

    def _has_work_since(self, until_s: float) -> bool:
        sinces = [self._desk.blocked_since_s(), self._desk.lot.since_s, *(since for _, since in self._looks.values())]
        if self._at_work is not None:
            sinces.append(self._at_work.carrier.oldest_s())
        waits = not self._looked or self._desk.queue.waits_since(until_s)
        return waits or any(since is not None and since <= until_s for since in sinces)

    # The loop.

    async def _keep(self, opened: Opened) -> None:
        carrier = Carrier(opened.job, self._desk, trouble=self._failed, woken=self._wake)
        at_work = self._at_work = _AtWork(opened, carrier, self._rounds(opened.job, carrier))
        listening = asyncio.create_task(self._listen(opened))
        listening.add_done_callback(lambda _: self._wake())
        self._reopen = self._looked = False
        self._desk.queue.reconcile_all(since_s=_now(), due_s=_now())
        self._next_rescan_s = _now() + RESCAN_S
        try:
            while not self._stop.requested and not self._reopen:
                self._beat_s = time.monotonic()
                if listening.done():
                    await listening
                if self._flush_for is not None:
                    await self._flush(at_work, self._flush_for)
                elif self._may_work():
                    self._begin_what_is_due(at_work)
                await self._sleep()
            await self._drain(at_work)
        finally:
            looks = [task for task, _ in self._looks.values()]
            for task in (listening, *looks):
                task.cancel()
            await asyncio.gather(listening, *looks, return_exceptions=True)
            await carrier.end()
            self._at_work = None

    def _rounds(self, job: Job, carrier: Carrier) -> Rounds:
        return Rounds(job, self._desk, carrier, wall_ns=self._wall_ns)

    def _begin_what_is_due(self, at_work: _AtWork) -> None:
        now_s, queue, rounds = _now(), self._desk.queue, at_work.rounds
        if "everything" not in self._looks and (since_s := queue.take_full(now_s)) is not None:
            again = partial(queue.reconcile_all, since_s=since_s)
            self._look("everything", self._look_at_everything(rounds, since_s), again, since_s=since_s)
        if not self._looked:
            return
        if "source" not in self._looks:
            since_s = queue.take_everywhere(now_s)
            if since_s is not None or now_s >= self._next_rescan_s:
                announced, since_s = since_s is not None, now_s if since_s is None else since_s
                again = partial(queue.look_everywhere, since_s=since_s)
                look = self._look_at_source(at_work, announced=announced, since_s=since_s)
                self._look("source", look, again, since_s=since_s)
        if "part" in self._looks:
            return
        due = None
        if "everything" not in self._looks:
            due = self._desk.lot.due(now_s, is_unsynced=self._is_unsynced)
        if due is not None:
            self._look("part", rounds.deletions(due), lambda due_s: self._desk.lot.later(due_s), since_s=now_s)
        elif dirty := queue.take(now_s):
            since_s = min(dirty.values())
            again = partial(queue.look_at, list(dirty), since_s=since_s)
            self._look("part", rounds.directories(dirty), again, since_s=since_s)

    def _is_unsynced(self, path: str) -> bool:
        return path in self._desk.queue.parked_paths() or self._desk.busy.now.touch(key_of(path))

    async def _look_at_everything(self, rounds: Rounds, since_s: float) -> None:
        done = await rounds.everything(since_s=since_s)
        self._looked = True
        self._last_reconcile = time.time()
        wait_s = self._habits.rescan_s * random.uniform(1 - JITTER, 1 + JITTER)
        self._desk.queue.reconcile_all(since_s=_now() + wait_s, due_s=_now() + wait_s)
        done.add_done_callback(lambda _: self._became_ready())

    def _became_ready(self) -> None:
        self._ready = True

    async def _look_at_source(self, at_work: _AtWork, *, announced: bool, since_s: float) -> None:
        found = await at_work.rounds.source()
        queue = self._desk.queue
        if len(found.directories) > MOST_DIRECTORIES:
            queue.reconcile_all(since_s=since_s, due_s=_now())
        else:
            queue.look_at(found.directories, since_s=since_s, due_s=_now())
        self._next_rescan_s = _now() + max(RESCAN_S, RESCAN_TIMES_CPU * found.cpu_s)
        if found.unannounced_s and not announced:
            opened, changes = at_work.opened, len(found.unannounced_s)
            for age_s in found.unannounced_s:
                opened.job.telemetry.noticed(age_s, announced=False)
            opened.job.telemetry.warning("changes_not_announced", changes=changes)
            await opened.watch.renew(f"not announced: {count_text(changes, 'change')}")

    def _look(
        self, name: str, look: Coroutine[None, None, None], again: Callable[..., None], *, since_s: float
    ) -> None:
        """Begin a look; if it fails, its scope is queued again."""

        async def run() -> None:
            try:
                await look
            except Unreadable:
                again(due_s=_now() + SOON_S)
            except Exception as error:
                again(due_s=_now() + SOON_S)
                self._failed(error)
            else:
                self._trouble = None
            finally:
                del self._looks[name]
                self._wake()

        self._looks[name] = asyncio.create_task(run()), since_s

    async def _listen(self, opened: Opened) -> None:
        async for hint in opened.watch.hints():
            now_s, queue, lag_s = _now(), self._desk.queue, HINT_LAG_S
            if hint.oldest_ns is not None:
                age_s = (time.time_ns() - hint.oldest_ns) / 1e9
                opened.job.telemetry.noticed(age_s, announced=True)
                lag_s = min(max(age_s, HINT_LAG_S), LONGEST_HINT_LAG_S)
            if hint.directories is None:
                queue.look_everywhere(since_s=now_s, due_s=now_s + SOON_S)
            else:
                due_s = now_s + max(self._habits.settle_s - lag_s, 0.0)
                queue.look_at(hint.directories, since_s=now_s, due_s=due_s)
            self._wake()

    async def _flush(self, at_work: _AtWork, signal: int) -> None:
        """One last look at the source, settled or not, and what it finds sent, for as long as `drain` allows. A job in
        trouble is tried once more."""
        at_work.rounds.hurry()
        self._trouble = None
        for name in self._looks.keys() & {"everything"}:
            self._looks[name][0].cancel()
        try:
            async with asyncio.timeout(self._habits.drain_s):
                await asyncio.gather(*(task for task, _ in self._looks.values()), return_exceptions=True)
                queue = self._desk.queue
                dirty = {*queue.directories, *(await at_work.rounds.source()).directories}
                while dirty and self._trouble is None:
                    await at_work.rounds.directories(dict.fromkeys(dirty, _now()))
                    await at_work.carrier.idle()
                    dirty = {*queue.take(_now() + SOON_S)}
        except TimeoutError:
            return
        finally:
            self._stop.request(signal)
            self._wake()

    async def _drain(self, at_work: _AtWork) -> None:
        for task, _ in self._looks.values():
            task.cancel()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._habits.drain_s if self._flush_for is None else 0.0):
                await at_work.carrier.idle()

    def _may_work(self) -> bool:
        return not self._paused and (self._trouble is None or self._trouble.until_s <= _now())

    async def _sleep(self) -> None:
        """Until something is due that may be begun, something happened, or a beat."""
        next_s = self._next_s()
        wait_s = BEAT_S if next_s is None else min(max(next_s - _now(), 0.0), BEAT_S)
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._woken.wait()
        self._woken.clear()

    def _next_s(self) -> float | None:
        if self._paused:
            return None
        if not self._may_work():
            return self._trouble.until_s if self._trouble is not None else None
        queue = self._desk.queue
        times = [] if "everything" in self._looks else [queue.next_full_s()]
        if self._looked and "source" not in self._looks:
            times += [queue.next_everywhere_s(), self._next_rescan_s]
        if self._looked and "part" not in self._looks:
            times.append(queue.next_directory_s())
            times += [] if "everything" in self._looks else [self._desk.lot.next_due_s()]
        return min((time_s for time_s in times if time_s is not None), default=None)

    def _wake(self) -> None:
        self._woken.set()

    def _failed(self, error: Exception) -> None:
        """What is wrong with the job as a whole; it is tried again after a while."""
        before = self._trouble
        self._trouble = now = trouble_of(error, before, now_s=_now(), chance=random.random())
        self._reopen = self._reopen or now.reopen
        if self._at_work is not None and (before is None or before.error != now.error):
            self._at_work.opened.job.telemetry.warning(f"job_{now.state.value}", error=now.error)
        self._wake()


def _from_now(at_s: float | None, now_s: float) -> float | None:
    return None if at_s is None else max(at_s - now_s, 0.0)


def _now() -> float:
    return asyncio.get_running_loop().time()
