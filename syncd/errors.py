"""The taxonomy of what can go wrong, and what each kind means for a run.

Raised by `settings`, `remotes`, `local` and `store`; caught by `engine` (per path, per job) and by `cli.main`.
A message names the thing and the way out; it never holds a secret.
"""

from __future__ import annotations


class SyncdError(Exception):
    """What syncd can say in one sentence to the person who runs it.

    `exit_code` is what a run ends with that could not go on because of it (contract: the table of exit codes).
    """

    exit_code = 1


class ConfigurationError(SyncdError):
    """Bad usage or configuration: nothing was contacted, nothing changed (exit 2)."""

    exit_code = 2


class StateError(SyncdError):
    """The state database cannot be used as it is, for example because a newer syncd wrote it (exit 2)."""

    exit_code = 2


class JobLocked(SyncdError):
    """Another syncd is already running this job (exit 6)."""

    exit_code = 6


class LocalError(SyncdError):
    """Something about the source."""


class SourceMissing(LocalError):
    """The source directory is missing, unreadable or not a directory (exit 7)."""

    exit_code = 7


class SourceForeign(LocalError):
    """The source is on another filesystem than at the last sync (exit 7)."""

    exit_code = 7


class Unreadable(LocalError):
    """One local file cannot be read: its path fails, its remote version stays."""


class Unwritable(LocalError):
    """A file or directory of the source cannot be written: nothing of it was."""


class SourceChanged(LocalError):
    """One local file changed while it was read: nothing of it was published."""


class RemoteError(SyncdError):
    """Something about the remote."""


class Unauthorized(RemoteError):
    """The credentials are refused, or there is no such application: the job halts (exit 4)."""

    exit_code = 4


class NotFound(RemoteError):
    """The record is not there (any more): the world moved on."""


class NotInTrash(RemoteError):
    """What is to be restored is not in the trash: the message says what is."""


class AlreadyExists(RemoteError):
    """A record of that name is there already: the world moved on."""


class Rejected(RemoteError):
    """The remote refuses this path or content; trying again changes nothing until the path does."""


class NotMade(Rejected):
    """The remote refuses to make a record at this path, so that there is none."""


class Transient(RemoteError):
    """Kept failing in a way that may pass; the operation may or may not have taken effect."""

    exit_code = 5


class RemoteDead(Transient):
    """No request succeeded for two minutes: the job is given up (exit 5)."""


class RenamedByRemote(Rejected):
    """The remote kept a new record under another name than asked.

    `record_id` and `kept_path` (relative to the destination, or None where it is outside it) tell which, so that
    the caller, who knows what was there before, can decide whether it may be removed.
    """

    def __init__(self, message: str, *, record_id: str, kept_path: str | None) -> None:
        super().__init__(message)
        self.record_id = record_id
        self.kept_path = kept_path
