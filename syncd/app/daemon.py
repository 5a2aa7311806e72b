"""Keep jobs mirrored: the supervisor with its watches, control socket and status server.

Called by `cli`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

from syncd.app.opening import Remotes, open_job
from syncd.app.places import Sources
from syncd.engine.job import Stop
from syncd.engine.keeper import Habits, Opened
from syncd.engine.supervisor import Post, Supervisor
from syncd.local.watch import open_watch
from syncd.ports import Telemetry
from syncd.remotes.transport import Traffic
from syncd.settings import JobSpec
from syncd.telemetry.control import ControlServer
from syncd.telemetry.counts import Counted, Counts, JobCounts
from syncd.telemetry.notify import Notifier

Voices = Callable[[str], Telemetry]


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


async def _run_daemon(
    load: Callable[[], Sequence[JobSpec]],
    state_dir: Path,
    telemetry: Voices,
    said: Callable[[str], None],
    listen: str,
) -> int:
    counts = Counts()
    async with AsyncExitStack() as stack:
        remotes = await stack.enter_async_context(Remotes(state_dir))

        def posts() -> list[Post]:
            specs = load()
            sources = Sources(specs, state_dir)
            return [_post(spec, remotes, sources, telemetry(spec.name), counts.of(spec.name)) for spec in specs]

        supervisor = Supervisor(posts, manager=Notifier(), said=said)
        await stack.enter_async_context(ControlServer(state_dir, supervisor))
        if listen:
            from syncd.telemetry.status import StatusServer  # a web server, that most runs do not have

            await stack.enter_async_context(StatusServer(listen, supervisor, counts))
        return await supervisor.run()


def _post(spec: JobSpec, remotes: Remotes, sources: Sources, voice: Telemetry, counts: JobCounts) -> Post:
    """A job as the supervisor keeps it; the same again as long as the token is, too, wherever that comes from."""

    @asynccontextmanager
    async def opened(stop: Stop) -> AsyncIterator[Opened]:
        async with AsyncExitStack() as stack:
            traffic = Traffic(answered=counts.request, retried=counts.retried)
            job = await open_job(stack, spec, remotes, sources, Counted(voice, counts), stop, traffic)
            watch = await open_watch(spec.source, follow_symlinks=spec.follow_symlinks, left_out=[remotes.state_dir])
            stack.push_async_callback(watch.aclose)
            yield Opened(job, watch)

    token = spec.remote.token() if spec.remote.token is not None else None
    identity = (replace(spec, remote=replace(spec.remote, token=None)), token)
    habits = Habits(spec.settle_s, spec.settle_max_s, spec.rescan_s, spec.drain_s, spec.flush)
    return Post(spec.name, identity, habits, opened)
