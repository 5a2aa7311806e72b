"""Carry out a plan: bounded, in order, every failure of a path as data.

Called by `reconcile` with operations that were decided and guarded; it never decides what to change. What halts the
job is raised, with everything done until then recorded.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

from syncd.core.model import (
    BaselineEntry,
    Create,
    Delete,
    JobReport,
    Kind,
    MakeDirectory,
    Move,
    Operation,
    Problem,
    RemoteEntry,
    Replace,
    Status,
)
from syncd.core.paths import ancestors_of, key_of, path_of
from syncd.engine.arrivals import Arrivals
from syncd.engine.claims import BEAT_S
from syncd.engine.confirm import Confirmation
from syncd.engine.effects import Effects
from syncd.engine.fresh import look_into
from syncd.engine.job import Job, NotBegun
from syncd.engine.ledger import Ledger
from syncd.engine.observe import each, together
from syncd.engine.slots import LARGE_BYTES
from syncd.errors import (
    AlreadyExists,
    LocalError,
    NotFound,
    Rejected,
    RemoteDead,
    RenamedByRemote,
    SourceChanged,
    Transient,
)

LIVE_PER_WORKER = 4
"""Operations begun per worker: those beyond the slots are ready to go on when one sleeps before its next try."""

STALE_AFTER_S = 5.0
"""A file to be deleted that was seen longer ago is asked for once more before."""

PAUSE_S = 1.0
"""When nothing more was sent for so long, what was is confirmed although it is less than a portion."""

Arrival = Create | Replace | Move | MakeDirectory
Mine = Callable[[RenamedByRemote], Awaitable[bool]]


@dataclass(slots=True)
class Outcome:
    """`again`: something was not as it had been looked at, so the job has to look again."""

    problems: list[Problem] = field(default_factory=list)
    again: bool = False
    moved_on: set[str] = field(default_factory=set)
    """Of the failed paths those that only have to be looked at again: whoever does not, tells that they failed."""

    def given_up(self) -> list[Problem]:
        """The problems of which nobody was told yet."""
        return [problem for problem in self.problems if problem.path in self.moved_on]


def _nobody(_: Sequence[Operation]) -> None:
    """Where nobody asks what was recorded."""


class Execution:
    """One plan being carried out. `is_new` tells whether a record was not there when the plan was made; `forgettable`
    are the keys of leftovers whose rows go when they went; `stamp` is the time under which the trash keeps things.

    Uploads are confirmed and recorded together, or, with `portion`, so many at a time while the next ones are being
    sent, or fewer when those take long; `recorded` is told of them then.
    """

    def __init__(
        self,
        job: Job,
        report: JobReport,
        *,
        destination_size: int,
        is_new: Mine,
        forgettable: Collection[bytes] = (),
        stamp: str,
        portion: int | None = None,
        recorded: Callable[[Sequence[Operation]], None] = _nobody,
    ) -> None:
        self._job = job
        self._forgettable = forgettable
        self._portion = portion
        self._recorded = recorded
        self._tried: list[Arrival] = []
        self._due: asyncio.TimerHandle | None = None
        self._confirming: list[asyncio.Task[None]] = []
        self._is_new = is_new
        self._destination_size = destination_size
        self._outcome = Outcome()
        self._seen_s = asyncio.get_running_loop().time()
        self._failed: set[str] = set()
        self._back: set[str] = set()
        """What was in the way and is wanted again."""
        self._ledger = Ledger(job.store)
        self._confirmation = Confirmation(job, self._ledger)
        self._effects = Effects(job, report, self._ledger, self._confirmation, stamp=stamp)

    @contextmanager
    def _under_way(self) -> Iterator[None]:
        """May finish when the order to stop comes; and the next run can tell when the last of it was asked for."""
        self._beating = asyncio.get_running_loop().call_later(BEAT_S, self._beat)
        try:
            with self._job.stop:
                yield
        finally:
            self._beating.cancel()

    def _beat(self) -> None:
        self._job.store.beat()
        self._beating = asyncio.get_running_loop().call_later(BEAT_S, self._beat)

    async def move_directories(self, operations: Sequence[Operation]) -> Outcome:
        """Only the directory moves, one after the other; everything else is planned anew after them."""
        moves = [one for one in operations if isinstance(one, Move) and one.local.kind == Kind.DIRECTORY]
        passing = _on_the_way(operations)
        for move in moves:
            if self._job.stop.requested:
                break
            if not await self._may_go_whole(move):
                self._outcome.again = True
                break
            with self._under_way():
                parents = [passing[key] for key in ancestors_of(key_of(move.path)) if key in passing]
                if await self._attempt(move, partial(self._effects.move_directory, move, parents)):
                    self._effects.directories_made([passing.pop(key_of(one.path)) for one in parents])
        return self._outcome

    async def run(
        self, operations: Sequence[Operation], awaiting: Sequence[tuple[BaselineEntry, RemoteEntry]]
    ) -> Outcome:
        """Everything but directory moves; returns when what was done is complete on the remote."""
        deletes = [one for one in operations if isinstance(one, Delete)]
        first = [one for one in deletes if one.leftover or (one.in_the_way and one.remote.kind == Kind.FILE)]
        emptied = [one for one in deletes if one.in_the_way and one.remote.kind == Kind.DIRECTORY]
        last = [one for one in deletes if not (one.leftover or one.in_the_way)]
        passing = _on_the_way(operations)
        try:
            with self._under_way():
                for row, record in awaiting:
                    await self._confirmation.expect(row, record)
                await self._delete(first)
                await self._run_arrivals([one for one in operations if isinstance(one, Move)], passing)
                await self._delete(emptied)
                await self._run_arrivals(_uploads_and_directories(operations), passing)
                self._begin_to_confirm()
                await asyncio.gather(*self._confirming)
                await self._delete(last)
        finally:
            if self._due is not None:
                self._due.cancel()
            for task in self._confirming:
                task.cancel()
            await asyncio.gather(*self._confirming, return_exceptions=True)
            await self._ledger.flush()
        return self._outcome

    async def flush(self) -> None:
        """Record what was done until now."""
        await self._ledger.flush()

    def _settled(self, operation: Arrival, made: Sequence[MakeDirectory]) -> None:
        """It was tried, and on its way these were made. Whatever waits for its next try holds up none of them."""
        if made:
            self._recorded(made)
        self._tried.append(operation)
        if self._portion is None:
            return
        if self._due is not None:
            self._due.cancel()
        if len(self._tried) >= self._portion:
            self._begin_to_confirm()
        else:
            self._due = asyncio.get_running_loop().call_later(PAUSE_S, self._begin_to_confirm)

    def _begin_to_confirm(self) -> None:
        if self._due is not None:
            self._due.cancel()
        tried, self._tried = self._tried, []
        self._confirming.append(asyncio.create_task(self._confirm(self._confirmation.portion(), tried)))

    async def _confirm(self, confirmation: Confirmation, tried: Sequence[Arrival]) -> None:
        await self._ledger.flush()
        problems = await confirmation.wait(destination_size=self._destination_size)
        self._outcome.problems += problems
        self._failed |= {problem.path for problem in problems}
        if confirmation.mismatched:
            self._outcome.again = True
            self._failed |= {path_of(key) for key in confirmation.mismatched}
            self._job.telemetry.warning("completed_with_other_content", files=len(confirmation.mismatched))
        await self._ledger.flush()
        self._recorded(tried)

    async def _run_arrivals(self, batch: Sequence[Arrival], passing: dict[bytes, MakeDirectory]) -> None:
        """Large uploads are begun by tasks of their own: those that wait for a lane keep no others from beginning."""
        arrivals = Arrivals(batch, passing, is_large=_is_large)
        freed = asyncio.Event()
        large = sum(map(_is_large, batch))
        lanes = [True] * min(self._job.workers, large)
        lanes += [False] * min(self._job.workers * LIVE_PER_WORKER, len(batch) - large)
        count = len(lanes)

        async def work() -> None:
            large = lanes.pop()
            while not self._job.stop.requested:
                taken = arrivals.take(large=large)
                if taken is not None:
                    operation, missing = taken
                    parents = [passing[key] for key in missing]
                    arrived = await self._attempt(operation, partial(self._arrival, operation, parents))
                    made = [passing.pop(key) for key in missing] if arrived else []
                    self._effects.directories_made(made)
                    arrivals.settled(operation, arrived=arrived)
                    self._settled(operation, made)
                    freed.set()
                elif arrivals.exhausted(large=large):
                    break
                else:
                    freed.clear()
                    await freed.wait()
            freed.set()

        await together(work, count=count)

    async def _arrival(self, operation: Arrival, parents: Sequence[MakeDirectory]) -> None:
        if _is_among(operation.path, self._back):
            raise SourceChanged("what was to make way for it came back")
        if _is_among(operation.path, self._failed):
            raise Rejected("what is in its place on the destination could not be removed")
        match operation:
            case Create():
                await self._effects.create(operation, parents)
            case Replace():
                await self._effects.replace(operation)
            case Move():
                await self._effects.move_file(operation, parents)
            case MakeDirectory():
                await self._effects.make_directory(operation, parents)

    async def _attempt(self, operation: Operation, effect: Callable[[], Awaitable[None]]) -> bool:
        """Whether it was done; a failure of its path is recorded, a danger to the job raised.

        What waited for its turn when the order to stop came is not begun.
        """
        try:
            async with self._job.slots.lane(_upload_bytes(operation)), self._job.slots.ahead():
                if self._job.stop.requested:
                    return False
                await self._take_back_if_renamed(effect)
        except NotBegun:
            return False
        except RemoteDead:
            raise
        except (AlreadyExists, NotFound) as error:
            self._outcome.again = True
            self._move_on(operation, error)
        except SourceChanged as error:
            self._move_on(operation, error)
        except (Rejected, Transient, LocalError) as error:
            self._job.telemetry.failed(self._fail(operation, error))
        else:
            self._job.telemetry.done(operation)
            return True
        return False

    def _move_on(self, operation: Operation, error: Exception) -> None:
        self._outcome.moved_on.add(operation.path)
        self._fail(operation, error)
        self._job.telemetry.notice("looks_again", action=operation.name, path=operation.path, because=str(error))

    def _fail(self, operation: Operation, error: Exception) -> Problem:
        problem = Problem(operation.path, operation.name, str(error))
        self._failed.add(operation.path)
        self._outcome.problems.append(problem)
        return problem

    async def _take_back_if_renamed(self, effect: Callable[[], Awaitable[None]]) -> None:
        """Remove the record that the remote made under another name, unless it was there before."""
        try:
            await effect()
        except RenamedByRemote as renamed:
            if await self._is_new(renamed):
                key = key_of(renamed.kept_path or "")
                record = RemoteEntry(key, Kind.FILE, 0, None, renamed.record_id, Status.PENDING, "")
                async with self._job.slots:
                    await self._job.remote.delete(record)
            raise

    async def _delete(self, deletes: Sequence[Delete]) -> None:
        deletes = [one for one in deletes if not any(path in self._failed for path in one.after)]
        directories = [one for one in deletes if one.remote.kind == Kind.DIRECTORY]
        if self._job.stop.requested:
            return
        expected = sum(record.kind == Kind.DIRECTORY for one in directories for record in one.covers)
        if len(directories) > 1:
            expected = await self._job.store.count_directories()
        fresh = await look_into(self._job.remote, [one.path for one in directories], expected=expected)

        async def remove(operation: Delete) -> None:
            stranger = None
            if operation.remote.kind == Kind.DIRECTORY:
                stranger = fresh.stranger_in(operation.path, operation.covers)
            if stranger is None:
                await self._attempt(operation, partial(self._delete_as_seen, operation))
            else:
                self._keep(operation, stranger)

        await each(deletes, remove, at_once=self._job.workers)

    async def _delete_as_seen(self, operation: Delete) -> None:
        """A file that was looked at a while ago is looked at again. Raises NotFound if somebody changed it since."""
        record = operation.remote
        async with self._job.turn():
            age_s = asyncio.get_running_loop().time() - self._seen_s
            if record.kind == Kind.FILE and not operation.leftover and age_s > STALE_AFTER_S:
                now = await self._job.remote.get(record.id)
                if now is not None and (now.key, now.checksum) != (record.key, record.checksum):
                    raise NotFound("somebody changed it on the destination meanwhile")
            before = None if operation.leftover else partial(self._refuse_if_back, operation)
            await self._effects.delete(operation, before=before, forgettable=self._forgettable)

    async def _refuse_if_back(self, operation: Delete) -> None:
        """Raises NotBegun if the local side came back since it was looked at: it is looked at again."""
        if await asyncio.to_thread(self._is_back, operation):
            self._outcome.again = True
            if operation.in_the_way:
                self._back.add(operation.path)
            raise NotBegun

    def _is_back(self, operation: Delete) -> bool:
        """Whether something is there again; of what is in the way, whether something else is there than what is to take
        its place."""
        exists, path = self._job.tree.exists, operation.path
        if not operation.in_the_way:
            return exists(path, as_directory=self._job.policy.capabilities.directories)
        if operation.remote.kind == Kind.FILE:
            return exists(path, as_directory=False)
        return exists(path) and not self._job.tree.is_file(path)

    def _keep(self, operation: Delete, stranger: RemoteEntry) -> None:
        """A directory that holds something the plan does not know: planned anew, it goes file by file."""
        self._outcome.again = True
        self._job.telemetry.notice("directory_kept", path=operation.path, because=stranger.id)
        if operation.in_the_way:
            self._failed.add(operation.path)

    async def _may_go_whole(self, move: Move) -> bool:
        expected = sum(record.kind == Kind.DIRECTORY for record in move.covers)
        fresh = await look_into(self._job.remote, [move.source], expected=expected)
        stranger = fresh.stranger_in(move.source, move.covers)
        if stranger is not None:
            self._job.telemetry.notice("directory_not_moved_whole", path=move.source, because=stranger.id)
        return stranger is None


def _uploads_and_directories(operations: Sequence[Operation]) -> list[Arrival]:
    """Creates that have to be looked up come first: what they wait for passes while the others go on."""
    uploads: list[Arrival] = [one for one in operations if isinstance(one, Create | Replace)]
    uploads.sort(key=lambda one: not (isinstance(one, Create) and one.begun))
    return uploads + [one for one in operations if isinstance(one, MakeDirectory) and not one.on_the_way]


def _upload_bytes(operation: Operation) -> int:
    return operation.size if isinstance(operation, Create | Replace) else 0


def _is_large(operation: Arrival) -> bool:
    return _upload_bytes(operation) >= LARGE_BYTES


def _on_the_way(operations: Sequence[Operation]) -> dict[bytes, MakeDirectory]:
    return {key_of(one.path): one for one in operations if isinstance(one, MakeDirectory) and one.on_the_way}


def _is_among(path: str, paths: Collection[str]) -> bool:
    """Whether it is one of them or below one."""
    return bool(paths) and (path in paths or any(path.startswith(one + "/") for one in paths))
