"""Where a job's source and state are on this machine. Used by the other modules of `app`; opens neither."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from syncd.local.tree import Tree
from syncd.settings import JobSpec


def tree_of(spec: JobSpec, state_dir: Path) -> Tree:
    """The job's source, looked at as its configuration says."""
    return Tree(
        spec.source,
        include=spec.include,
        exclude=spec.exclude,
        follow_symlinks=spec.follow_symlinks,
        left_out=[state_dir],
    )


def state_path(spec: JobSpec, state_dir: Path) -> Path:
    """The job's database: keyed by what it is kept on (and its name, where it has one), never by its source."""
    remote = spec.remote
    identity = [remote.kind, remote.api_url, remote.application_id, spec.directory, spec.name if spec.named else None]
    digest = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:16]
    return state_dir / "jobs" / f"{spec.name if spec.named else remote.kind}-{digest}.db"
