"""Compare both sides of jobs. Called by `cli`; takes no lock and changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from os import getpid
from pathlib import Path

from syncd.app.opening import Remotes
from syncd.app.places import Sources, state_path
from syncd.engine.check import Check, Checked
from syncd.engine.slots import Slots
from syncd.errors import ConfigurationError, SyncdError
from syncd.remotes.transport import Traffic
from syncd.settings import JobSpec
from syncd.store.history import Past
from syncd.store.spool import ListingSpool


@dataclass(slots=True)
class Result:
    """One job's. `error`: what ended it before its end, with the exit code that it has."""

    job: str
    checked: Checked = field(default_factory=Checked)
    error: SyncdError | None = None

    @property
    def exit(self) -> int:
        if self.error is not None:
            return self.error.exit_code
        return 1 if self.checked.differences else 0


def check(specs: Sequence[JobSpec], *, state_dir: Path, download: bool) -> list[Result]:
    """Every job's differences. `download`: the bytes of what has no checksum on the destination are read.

    Raises ConfigurationError, before anything is contacted, where that is asked of a remote that cannot do it.
    """
    return asyncio.run(_check(specs, state_dir, download))


async def _check(specs: Sequence[JobSpec], state_dir: Path, download: bool) -> list[Result]:
    results = [Result(spec.name) for spec in specs]
    sources = Sources(specs, state_dir)
    async with Remotes(state_dir) as remotes:
        checks = [await _opened(spec, remotes, sources, download) for spec in specs]
        await asyncio.gather(*(_run(one, result) for one, result in zip(checks, results, strict=True)))
    return results


async def _opened(spec: JobSpec, remotes: Remotes, sources: Sources, download: bool) -> Check:
    slots = Slots(spec.workers)
    remote = await remotes.at(
        spec.remote, spec.directory, hidden=spec.trash_inside, traffic=Traffic(), sleep=slots.sleep
    )
    if download and not remote.capabilities.download:
        raise ConfigurationError(f"--download: a {spec.remote.kind} remote has no way to download")
    tree, state = sources.tree(spec), state_path(spec, remotes.state_dir)
    return Check(
        tree=tree,
        remote=remote,
        filters=tree,
        baseline=Past(state).rows,
        spool=ListingSpool(state.with_name(f"{state.name}.check-{getpid()}")),
        slots=slots,
        workers=spec.workers,
        download=download,
    )


async def _run(check: Check, result: Result) -> None:
    try:
        await check.run(result.checked)
    except SyncdError as error:
        result.error = error
    finally:
        await check.spool.aclose()
