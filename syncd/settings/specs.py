"""What configuration comes to: the frozen descriptions of jobs and remotes that `app` builds from.

Made by `resolve`, read by `app` and `cli`. Nothing here reads a file, a variable or a secret.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from syncd.core.bandwidth import Timetable
from syncd.core.model import DeleteMode, MaxDelete, OnDrift, Order


@dataclass(frozen=True, slots=True)
class RemoteSpec:
    """One account on one file API.

    `token` reads the token anew at each call, so that a rotated file is seen, and raises ConfigurationError naming
    what is wrong with it. It, `application_id` and `api_url` are None for the embedded sandbox; Privasfer has no
    applications.
    `requests_per_second` 0: adapt to the remote.
    """

    name: str
    kind: str
    application_id: str | None
    api_url: str | None
    token: Callable[[], str] | None
    requests_per_second: float
    max_connections: int


@dataclass(frozen=True, slots=True)
class JobSpec:
    """One source kept on one destination. `name` is for people; it identifies the job only where it is `named`.

    `source` is absolute, its symlinks unresolved: a `current` link may point elsewhere at the next run. `directory`
    is "" for the remote's root, else "a/b". `drain_s`: how long transfers in flight may finish after a signal.
    `trash` is a directory of the same remote in the form of `directory`, "" for none.
    `settle_s` and what follows are the daemon's; `flush`: before it stops, what changed is sent.
    """

    name: str
    named: bool
    source: Path
    remote: RemoteSpec
    directory: str
    include: tuple[str, ...]
    exclude: tuple[str, ...]
    delete: DeleteMode
    max_delete: MaxDelete
    workers: int
    follow_symlinks: bool
    empty_directories: bool
    drain_s: float
    verify_checksums: bool
    accept_source: bool
    adopt_by_size: bool
    settle_s: float
    settle_max_s: float
    rescan_s: float
    flush: bool
    on_drift: OnDrift
    trash: str
    trash_keep_s: float

    @property
    def trash_inside(self) -> str:
        """Where in the destination the trash is, "" if it is not in it."""
        if not self.directory:
            return self.trash
        inside = f"{self.directory}/"
        return self.trash.removeprefix(inside) if self.trash.startswith(inside) else ""

    bandwidth: Timetable
    order: Order


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command line says over file and environment; None or empty: nothing."""

    config: Path | None = None
    state_dir: str | None = None
    log_format: str | None = None
    delete: str | None = None
    max_delete: str | None = None
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    workers: int | None = None
    token_file: str | None = None
    api_url: str | None = None
    checksum: bool = False
    accept_source: bool = False
    adopt_by_size: bool = False
