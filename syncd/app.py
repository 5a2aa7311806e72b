"""The composition root: the only module that names concrete classes.

Called by `cli` with resolved specs; builds accounts, trees, stores and jobs, runs the event loop and the signals, and
turns what a job raises into its report. It decides nothing about files.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import resource
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from syncd.core.classify import Policy
from syncd.core.model import JobReport, RemoteEntry
from syncd.core.plan import Plan
from syncd.engine.fresh import Collector
from syncd.engine.job import Job, Stop
from syncd.engine.keeper import Habits, Opened
from syncd.engine.reconcile import Reconcile
from syncd.engine.slots import Slots
from syncd.engine.supervisor import Post, Supervisor
from syncd.errors import ConfigurationError, JobLocked, SyncdError
from syncd.local.media import content_type_of
from syncd.local.tree import Tree
from syncd.local.watch import open_watch
from syncd.ports import Telemetry
from syncd.remotes.account import Account
from syncd.remotes.losant import Losant
from syncd.remotes.transport import Traffic
from syncd.settings import JobSpec, RemoteSpec
from syncd.store.sqlite import open_store
from syncd.telemetry.control import ControlServer
from syncd.telemetry.counts import Counted, Counts, JobCounts
from syncd.telemetry.notify import Notifier

if TYPE_CHECKING:
    from syncd.sandbox import Sandbox

EMBEDDED = "sandbox"

OTHER_FILES = 32
"""Open besides those of transfers: state, listing, lock, event loop, modules that are being loaded."""

Voices = Callable[[str], Telemetry]


def synchronize(specs: Sequence[JobSpec], *, state_dir: Path, telemetry: Voices) -> list[JobReport]:
    """Mirror every job once. SIGINT and SIGTERM let what is in flight finish for the job's `drain`; a second one
    abandons it. What a job raises is in its report: `exit` and `error`."""
    return asyncio.run(_synchronize(specs, state_dir, telemetry))


def run_daemon(
    load: Callable[[], Sequence[JobSpec]],
    *,
    state_dir: Path,
    telemetry: Voices,
    said: Callable[[str], None],
    listen: str,
) -> int:
    """Keep every job mirrored until told to stop; the exit code. `load` gives the jobs, now and again at a reload;
    `listen` is where the status server listens, "" for nowhere. Raises what kept it from starting."""
    return asyncio.run(_run_daemon(load, state_dir, telemetry, said, listen))


def preview(specs: Sequence[JobSpec], *, state_dir: Path, telemetry: Voices) -> list[tuple[JobReport, Plan]]:
    """The plan of every job, and the report with the exit code that it would have; changes nothing."""
    return asyncio.run(_preview(specs, state_dir, telemetry))


def list_destination(remote: RemoteSpec, directory: str, *, recursive: bool, state_dir: Path) -> list[RemoteEntry]:
    """What is in a directory of a remote, sorted by path; records that are going away are left out."""

    async def collect() -> list[RemoteEntry]:
        async with _Remotes(state_dir) as remotes:
            collector = Collector()
            place = await remotes.at(remote, directory, traffic=Traffic(), sleep=asyncio.sleep)
            await place.entries("", collector, recursive=recursive)
            return sorted(collector.entries, key=lambda entry: (entry.key, entry.id))

    return asyncio.run(collect())


def run_sandbox(listen: str, data: Path, knobs: Sequence[str], *, started: Callable[[Sandbox], None]) -> None:
    """Serve the sandbox until interrupted. Raises ConfigurationError for a bad address, knob or data directory."""
    from syncd.sandbox import Knobs, SandboxError, serve

    try:
        asyncio.run(serve(listen, data, knobs=Knobs.from_pairs(knobs), started=started))
    except (ValueError, SandboxError, OSError) as error:
        raise ConfigurationError(str(error)) from error


async def _run_daemon(
    load: Callable[[], Sequence[JobSpec]],
    state_dir: Path,
    telemetry: Voices,
    said: Callable[[str], None],
    listen: str,
) -> int:
    counts = Counts()
    async with AsyncExitStack() as stack:
        remotes = await stack.enter_async_context(_Remotes(state_dir))

        def posts() -> list[Post]:
            return [_post(spec, remotes, telemetry(spec.name), counts.of(spec.name)) for spec in load()]

        supervisor = Supervisor(posts, manager=Notifier(), said=said)
        await stack.enter_async_context(ControlServer(state_dir, supervisor))
        if listen:
            from syncd.telemetry.status import StatusServer  # a web server, that most runs do not have

            await stack.enter_async_context(StatusServer(listen, supervisor, counts))
        return await supervisor.run()


def _post(spec: JobSpec, remotes: _Remotes, voice: Telemetry, counts: JobCounts) -> Post:
    """A job as the supervisor keeps it; the same again as long as the token is, too, wherever that comes from."""

    @asynccontextmanager
    async def opened(stop: Stop) -> AsyncIterator[Opened]:
        async with AsyncExitStack() as stack:
            traffic = Traffic(answered=counts.request, retried=counts.retried)
            job = await _open_job(stack, spec, remotes, Counted(voice, counts), stop, traffic)
            watch = await open_watch(spec.source, follow_symlinks=spec.follow_symlinks, left_out=[remotes.state_dir])
            stack.push_async_callback(watch.aclose)
            yield Opened(job, watch)

    token = spec.remote.token() if spec.remote.token is not None else None
    identity = (replace(spec, remote=replace(spec.remote, token=None)), token)
    habits = Habits(spec.settle_s, spec.settle_max_s, spec.rescan_s, spec.drain_s, spec.flush)
    return Post(spec.name, identity, habits, opened)


@dataclass(frozen=True, slots=True)
class _Running:
    task: asyncio.Task[JobReport]
    stop: Stop
    drain_s: float


async def _synchronize(specs: Sequence[JobSpec], state_dir: Path, telemetry: Voices) -> list[JobReport]:
    async with _Remotes(state_dir) as remotes:
        running = []
        for spec in specs:
            stop = Stop()
            task = asyncio.create_task(_mirror(spec, remotes, telemetry(spec.name), stop))
            running.append(_Running(task, stop, spec.drain_s))
        with _Signals(running):
            return list(await asyncio.gather(*(one.task for one in running)))


async def _preview(specs: Sequence[JobSpec], state_dir: Path, telemetry: Voices) -> list[tuple[JobReport, Plan]]:
    plans: list[Plan] = []

    async def plan(reconcile: Reconcile) -> None:
        plans[-1] = await reconcile.preview()

    async with _Remotes(state_dir) as remotes:
        reports = []
        for spec in specs:
            plans.append(Plan())
            reports.append(await _with_job(spec, remotes, telemetry(spec.name), Stop(), plan))
        return list(zip(reports, plans, strict=True))


async def _mirror(spec: JobSpec, remotes: _Remotes, telemetry: Telemetry, stop: Stop) -> JobReport:
    async def run(reconcile: Reconcile) -> None:
        await reconcile.run()

    report = await _with_job(spec, remotes, telemetry, stop, run)
    telemetry.finished(report)
    return report


async def _with_job(
    spec: JobSpec,
    remotes: _Remotes,
    telemetry: Telemetry,
    stop: Stop,
    act: Callable[[Reconcile], Awaitable[None]],
) -> JobReport:
    """Open the job, act on it, and say in its report how that ended."""
    report = JobReport(spec.name)
    traffic = Traffic()
    try:
        async with AsyncExitStack() as stack:
            job = await _open_job(stack, spec, remotes, telemetry, stop, traffic)
            reconcile = Reconcile(job)
            report = reconcile.report
            await act(reconcile)
    except SyncdError as error:
        report.exit, report.error = error.exit_code, str(error)
    except asyncio.CancelledError:
        if not stop.requested:
            raise
    if stop.signal is not None:
        report.exit = 128 + stop.signal
        report.error = f"interrupted by {signal.Signals(stop.signal).name}; what was done is kept"
    report.requests, report.retries = traffic.requests, traffic.retries
    return report


async def _open_job(
    stack: AsyncExitStack,
    spec: JobSpec,
    remotes: _Remotes,
    telemetry: Telemetry,
    stop: Stop,
    traffic: Traffic,
) -> Job:
    tree = Tree(
        spec.source,
        include=spec.include,
        exclude=spec.exclude,
        follow_symlinks=spec.follow_symlinks,
        left_out=[remotes.state_dir],
    )
    slots = Slots(spec.workers)
    store = await open_store(state_path(spec, remotes.state_dir))
    stack.push_async_callback(store.aclose)
    for notice in store.notices:
        telemetry.warning(notice)
    remote = await remotes.at(spec.remote, spec.directory, traffic=traffic, sleep=slots.sleep, sent=telemetry.sent)
    policy = Policy(
        delete=spec.delete,
        max_delete=spec.max_delete,
        empty_directories=spec.empty_directories,
        capabilities=remote.capabilities,
        content_type=content_type_of,
        filter=tree,
    )
    return Job(
        name=spec.name,
        tree=tree,
        remote=remote,
        store=store,
        telemetry=telemetry,
        policy=policy,
        workers=spec.workers,
        slots=slots,
        stop=stop,
        trust_stat=not spec.verify_checksums,
        accept_source=spec.accept_source,
    )


def state_path(spec: JobSpec, state_dir: Path) -> Path:
    """The job's database: keyed by what it is kept on (and its name, where it has one), never by its source."""
    remote = spec.remote
    identity = [remote.kind, remote.api_url, remote.application_id, spec.directory, spec.name if spec.named else None]
    digest = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:16]
    return state_dir / "jobs" / f"{spec.name if spec.named else remote.kind}-{digest}.db"


class _Remotes:
    """The accounts of one run, each opened once, and the embedded sandbox if one of them is that."""

    def __init__(self, state_dir: Path) -> None:
        self.state_dir = state_dir
        self._stack = AsyncExitStack()
        self._accounts: dict[RemoteSpec, tuple[Account, str]] = {}
        self._embedded: RemoteSpec | None = None
        self._opening = asyncio.Lock()

    async def __aenter__(self) -> Self:
        await self._stack.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.__aexit__(kind, error, trace)

    async def at(
        self,
        spec: RemoteSpec,
        directory: str,
        *,
        traffic: Traffic,
        sleep: Callable[[float], Awaitable[None]],
        sent: Callable[[int], None] = lambda _: None,
    ) -> Losant:
        """A directory of the remote, with connections and limits shared by all who ask for the same remote."""
        async with self._opening:
            account, application_id = self._accounts.get(spec) or await self._open(spec)
        return Losant(
            account,
            application_id=application_id,
            private=spec.kind == "losant-private",
            directory=directory,
            traffic=traffic,
            sleep=sleep,
            sent=sent,
        )

    async def _open(self, spec: RemoteSpec) -> tuple[Account, str]:
        known = await self._started(spec) if spec.kind == EMBEDDED else spec
        if known.api_url is None or known.token is None or known.application_id is None:
            raise ConfigurationError(f"remote {spec.name} lacks an api_url, a token or an application_id")
        account = Account(
            name=spec.name,
            api_url=known.api_url,
            token=known.token,
            requests_per_second=spec.requests_per_second,
            max_connections=min(spec.max_connections, _most_connections()),
        )
        self._accounts[spec] = await self._stack.enter_async_context(account), known.application_id
        return self._accounts[spec]

    async def _started(self, spec: RemoteSpec) -> RemoteSpec:
        """The embedded sandbox as a remote that can be reached. It is loaded only here: few runs need it."""
        from syncd.sandbox import APPLICATION_ID, TOKEN, DataDirectoryInUse, Sandbox, SandboxError

        if self._embedded is None:
            data = self.state_dir / EMBEDDED
            try:
                url = (await self._stack.enter_async_context(Sandbox(data))).url
            except DataDirectoryInUse as error:
                raise JobLocked(f"{error}: another syncd is using the embedded sandbox; wait for it to end") from error
            except (SandboxError, OSError) as error:
                raise ConfigurationError(f"the embedded sandbox cannot use {str(data)!r}: {error}") from error
            self._embedded = replace(spec, application_id=APPLICATION_ID, api_url=url, token=lambda: TOKEN)
        return self._embedded


def _most_connections() -> int:
    """What the limit of open files leaves room for: each request may hold a connection to the API, one to the storage
    and a file."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if soft == resource.RLIM_INFINITY else max((soft - OTHER_FILES) // 3, 1)


class _Signals:
    """While entered, SIGINT and SIGTERM stop the jobs: once to finish what is in flight, twice to abandon it."""

    def __init__(self, running: Sequence[_Running]) -> None:
        self._running = running
        self._loop = asyncio.get_running_loop()

    def __enter__(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._loop.add_signal_handler(number, self._stop, number)

    def __exit__(self, *_: object) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._loop.remove_signal_handler(number)

    def _stop(self, number: int) -> None:
        for one in self._running:
            again = one.stop.requested
            if one.stop.request(number) and not again:
                self._loop.call_later(one.drain_s, one.task.cancel)
            else:
                one.task.cancel()
