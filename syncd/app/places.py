"""Where a job's source and state are on this machine. Used by the other modules of `app`; opens neither."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from syncd.local.common import Common, TreeInCommon
from syncd.local.tree import Tree
from syncd.settings import JobSpec


class Sources:
    """The sources of these jobs; what several of them have in common is looked at once."""

    def __init__(self, specs: Sequence[JobSpec], state_dir: Path) -> None:
        self._state_dir = state_dir
        users = Counter(spec.source for spec in specs)
        self._common = {source: Common() for source, count in users.items() if count > 1}

    def tree(self, spec: JobSpec) -> Tree:
        """The job's source, looked at as its configuration says."""
        make: Callable[..., Tree] = Tree
        if (common := self._common.get(spec.source)) is not None:
            make = partial(TreeInCommon, common=common)
        return make(
            spec.source,
            include=spec.include,
            exclude=spec.exclude,
            follow_symlinks=spec.follow_symlinks,
            left_out=[self._state_dir],
            reserved=spec.trash_inside,
        )


def state_path(spec: JobSpec, state_dir: Path) -> Path:
    """The job's database: keyed by what it is kept on (and its name, where it has one), never by its source."""
    remote = spec.remote
    identity = [remote.kind, remote.api_url, remote.application_id, spec.directory, spec.name if spec.named else None]
    digest = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:16]
    return state_dir / "jobs" / f"{spec.name if spec.named else remote.kind}-{digest}.db"


def remarks(spec: JobSpec, state_dir: Path, *, first: bool) -> Iterator[str]:
    """What a person should hear of a job's places when it is opened; `first`: it never came to its end there before."""
    here = state_path(spec, state_dir)
    if first and spec.named and any(path != here for path in here.parent.glob(f"{spec.name}-*.db")):
        yield "the destination is a new one for this job: it is filled; what is at the old one is left alone"
    if spec.trash_inside and os.path.lexists(spec.source / spec.trash_inside):
        yield f"{spec.trash_inside!r} in the source is left out: at the destination the trash is in its place"
