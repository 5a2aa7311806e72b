"""Which of the remote's records are this job's own, and so may go.

Called by `core.classify`. What cannot be told from somebody else's is somebody else's.
"""

from __future__ import annotations

from syncd.core.claims import is_effect, is_replaced
from syncd.core.diff import Difference, has_known_content
from syncd.core.model import BaselineEntry, DeleteMode, Kind, LocalEntry, OnDrift, RemoteEntry, Status, Sync
from syncd.core.paths import is_nowhere
from syncd.core.policy import Policy


def is_drifted(remote: RemoteEntry, base: BaselineEntry | None) -> bool:
    """Whether a remote file is not what this job put or adopted there: it has other content, or it is another record of
    that content than the one that is known, so that somebody else made it."""
    if base is None or is_changed(remote, base):
        return True
    is_ours = is_effect(remote, base) or (remote.checksum is not None and remote.checksum == base.claim)
    is_known = remote.status == Status.COMPLETED and (base.claim != "" or base.checksum is not None)
    return is_known and not is_ours and base.id not in ("", remote.id)


def is_changed(remote: RemoteEntry, base: BaselineEntry | None) -> bool:
    """Whether a remote file has, or is being given, content that this job is not known to have put or adopted there."""
    if base is None or base.kind != Kind.FILE:
        return True
    if is_effect(remote, base):
        return False
    if remote.status == Status.PENDING:
        return remote.id != base.id or base.sync == Sync.SYNCED or base.checksum is None
    if base.claim == "" and base.checksum is None:
        return remote.size != base.size
    if remote.checksum is not None and remote.checksum == base.claim:
        return False
    return not has_known_content(remote, base)


def may_be_sent(base: BaselineEntry | None) -> bool:
    """Whether an upload of this job's whose content is not known may be what changed the remote."""
    return base is not None and base.claim == ""


def is_unfinished(remote: RemoteEntry, base: BaselineEntry | None) -> bool:
    """Whether a record can only be what is left of a create of this job's own, cut short before its content came."""
    if base is None or remote.status != Status.PENDING:
        return False
    return base.sync == Sync.CLAIMED and base.checksum is None and base.id == ""


def is_own_directory(remote: RemoteEntry, base: BaselineEntry | None) -> bool:
    """Whether syncd made it: where it is not known under which id, the one that is there is taken for it."""
    return _is_known_directory(remote, base) and base is not None and base.sync == Sync.SYNCED


def _is_known_directory(remote: RemoteEntry, base: BaselineEntry | None) -> bool:
    return base is not None and base.kind == Kind.DIRECTORY and base.id in ("", remote.id)


def may_go(remote: RemoteEntry, base: BaselineEntry | None, policy: Policy) -> bool:
    """Whether the policy lets a record go: only what this job put or adopted there, unchanged, or all of them. A
    directory that was only adopted goes with `mirror` alone. One of which it is not known where it is stays."""
    if is_nowhere(remote.key):
        return False
    if policy.delete is DeleteMode.NEVER or policy.takes_all:
        return policy.takes_all
    if remote.kind == Kind.DIRECTORY:
        is_mirrored = policy.delete is DeleteMode.MIRROR and _is_known_directory(remote, base)
        return is_mirrored or is_own_directory(remote, base)
    return not is_drifted(remote, base)


def may_make_way(remote: RemoteEntry, base: BaselineEntry | None, policy: Policy) -> bool:
    """Whether a record may go for what takes its place: then a directory that was only adopted may, too."""
    if remote.kind == Kind.DIRECTORY and policy.delete is DeleteMode.TRACKED:
        return _is_known_directory(remote, base)
    return may_go(remote, base, policy)


def stays_away(local: LocalEntry, base: BaselineEntry | None, policy: Policy) -> bool:
    """Whether what the destination lacks was deleted there by somebody else and is not to be made again.

    That needs proof that it was there: a directory's id, a file's upload seen complete.
    """
    if base is None or base.kind != local.kind or policy.on_drift is not OnDrift.KEEP:
        return False
    return base.sync in (Sync.SYNCED, Sync.ADOPTED) and base.id != ""


def is_being_changed(base: BaselineEntry | None) -> bool:
    """Whether an unfinished record at a known path can only be an upload of somebody else's."""
    return base is not None and base.kind == Kind.FILE and base.sync == Sync.SYNCED


def is_own_repeat(record: RemoteEntry, difference: Difference, checksum: str | None, mode: DeleteMode) -> bool:
    """Whether a further record of a path is this job's own and nobody misses it.

    It is an unfinished one at a path that this job knows, or has the same content as the record that stands for the
    path, if that is what this job put or began to put there, or what the source has there (`checksum`). Where there
    are no checksums, a claim has to tell.
    """
    remote, base = difference.remote, difference.base
    if is_effect(record, base) or is_replaced(record, base):
        return True
    if record.kind != Kind.FILE or remote is None:
        return False
    if record.status == Status.PENDING:
        return base is not None and base.kind == Kind.FILE
    if record.checksum is None or record.checksum != remote.checksum:
        return False
    if base is not None and record.checksum in (base.checksum, base.claim):
        return True
    return record.checksum == checksum and (base is not None or mode is not DeleteMode.NEVER)


def standing(difference: Difference) -> Difference:
    """The difference with the record that stands for the path where names may repeat: the one that the baseline knows,
    else the only one that is not this job's own surplus. Of several that might be anybody's none does: all are left."""
    _, local, remote, base, surplus = difference
    if local is None or local.kind != Kind.FILE or remote is None or not surplus:
        return difference
    if base is not None and remote.id == base.id:
        return difference
    records = (remote, *surplus)
    others = [one for one in records if not (is_effect(one, base) or is_replaced(one, base))]
    if len(others) == 1:
        return difference._replace(remote=others[0], surplus=tuple(one for one in records if one is not others[0]))
    return difference._replace(remote=None, surplus=records)
