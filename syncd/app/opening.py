"""Accounts, trees and stores put together into a job, each account once.

Used by the other modules of `app`, for as long as they run.
"""

from __future__ import annotations

import asyncio
import resource
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from syncd.app.places import Sources, remarks, state_path
from syncd.core.bandwidth import UNLIMITED, Timetable
from syncd.core.policy import Policy
from syncd.engine.job import Job, Stop
from syncd.engine.slots import Slots
from syncd.engine.trash import Trash
from syncd.errors import ConfigurationError, JobLocked
from syncd.local.media import content_type_of
from syncd.ports import Telemetry
from syncd.remotes.account import Account
from syncd.remotes.losant import Losant
from syncd.remotes.privasfer import Privasfer
from syncd.remotes.transport import Traffic
from syncd.settings import JobSpec, RemoteSpec
from syncd.store.sqlite import open_store
from syncd.telemetry.chronicle import Chronicled

EMBEDDED = "sandbox"

OTHER_FILES = 32
"""Open besides those of transfers: state, listing, lock, event loop, modules that are being loaded."""


async def open_job(
    stack: AsyncExitStack,
    spec: JobSpec,
    remotes: Remotes,
    sources: Sources,
    telemetry: Telemetry,
    stop: Stop,
    traffic: Traffic,
) -> Job:
    tree = sources.tree(spec)
    slots = Slots(spec.workers)
    store = await open_store(state_path(spec, remotes.state_dir))
    stack.push_async_callback(store.aclose)
    first = store.memory.source is None
    for notice in (*store.notices, *remarks(spec, remotes.state_dir, first=first)):
        telemetry.warning(notice)
    remote = await remotes.at(
        spec.remote,
        spec.directory,
        hidden=spec.trash_inside,
        traffic=traffic,
        sleep=slots.sleep,
        sent=telemetry.sent,
        bandwidth=spec.bandwidth,
    )
    policy = Policy(
        delete=spec.delete,
        max_delete=spec.max_delete,
        empty_directories=spec.empty_directories,
        capabilities=remote.capabilities,
        content_type=content_type_of,
        filter=tree,
        adopt_by_size=spec.adopt_by_size,
        on_drift=spec.on_drift,
        order=spec.order,
    )
    return Job(
        name=spec.name,
        tree=tree,
        remote=remote,
        store=store,
        telemetry=Chronicled(telemetry, store),
        policy=policy,
        workers=spec.workers,
        slots=slots,
        stop=stop,
        trust_stat=not spec.verify_checksums,
        accept_source=spec.accept_source,
        trash=trash_of(spec, remote, slots),
    )


def trash_of(spec: JobSpec, remote: Losant | Privasfer, slots: Slots) -> Trash | None:
    """The job's trash; `remote` is its destination, which can move files: the settings see to that."""
    if not spec.trash or not isinstance(remote, Losant):
        return None
    return Trash(remote.beside(spec.trash), remote, keep_s=spec.trash_keep_s, slots=slots)


class Remotes:
    """The accounts of one run, each opened once, and the embedded sandbox if one of them is that."""

    def __init__(self, state_dir: Path) -> None:
        self.state_dir = state_dir
        self._stack = AsyncExitStack()
        self._accounts: dict[RemoteSpec, tuple[Account, str | None]] = {}
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
        hidden: str = "",
        traffic: Traffic,
        sleep: Callable[[float], Awaitable[None]],
        sent: Callable[[int], None] = lambda _: None,
        bandwidth: Timetable = UNLIMITED,
    ) -> Losant | Privasfer:
        """A directory of the remote, without what is in `hidden`, a directory in it; with connections and limits shared
        by all who ask for the same remote."""
        async with self._opening:
            account, application_id = self._accounts.get(spec) or await self._open(spec)
        if application_id is None:
            return Privasfer(account, directory=directory, traffic=traffic, sleep=sleep, sent=sent, bandwidth=bandwidth)
        return Losant(
            account,
            application_id=application_id,
            private=spec.kind == "losant-private",
            directory=directory,
            hidden=hidden,
            traffic=traffic,
            sleep=sleep,
            sent=sent,
            bandwidth=bandwidth,
        )

    async def _open(self, spec: RemoteSpec) -> tuple[Account, str | None]:
        """The account, and the application where its API has those."""
        known = await self._started(spec) if spec.kind == EMBEDDED else spec
        if known.api_url is None or known.token is None:
            raise ConfigurationError(f"remote {spec.name} lacks an api_url or a token")
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
