"""Bring the destinations' files into the sources, once. Called by `cli`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from syncd.app.opening import Remotes
from syncd.app.running import Voices, run_each
from syncd.core.fetch import Wishes
from syncd.core.model import JobReport
from syncd.engine.fetch import Pull
from syncd.engine.job import Job
from syncd.errors import ConfigurationError
from syncd.local.writer import Writer
from syncd.remotes.transport import Traffic
from syncd.settings import JobSpec


def pull(
    specs: Sequence[JobSpec], *, state_dir: Path, telemetry: Voices, overwrite: bool, mirror: bool
) -> list[JobReport]:
    """`overwrite`: also files that were changed here; `mirror`: what the destination lacks is removed here, as far as
    the delete guard lets it. A source that is named on the command line is made if it is not there; a configured one
    may be a disk that is not mounted. Signals and what a job raises are as with `once.synchronize`.

    Raises ConfigurationError, before anything is contacted, if one of the remotes has no way to download.
    """

    async def fetch(spec: JobSpec, job: Job, report: JobReport) -> None:
        wishes = Wishes(
            overwrite=overwrite,
            mirror=mirror,
            max_delete=spec.max_delete,
            empty_directories=spec.empty_directories,
            filter=job.policy.filter,
        )
        with closing(Writer(spec.source, make=not spec.named)) as writer:
            await Pull(job, writer, wishes, report).run()

    async def run() -> list[JobReport]:
        async with Remotes(state_dir) as remotes:
            for spec in specs:
                remote = await remotes.at(spec.remote, spec.directory, traffic=Traffic(), sleep=asyncio.sleep)
                if not remote.capabilities.download:
                    raise ConfigurationError(f"{spec.name}: a {spec.remote.kind} remote has no way to download")
            return await run_each(specs, remotes, telemetry, fetch)

    return asyncio.run(run())
