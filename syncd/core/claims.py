"""What tells this job's own records from others' where the remote has no checksums and names repeat.

There a claim in the baseline is no checksum. Before an upload it is the size of what is sent and the ids of the records
that were at the path: a record of that size with another id is the upload's effect. After it, until it is gone, it is
the id of the record that the upload replaced. Called by `core` and `engine`; a claim that is a checksum matches nothing
here.
"""

from __future__ import annotations

from collections.abc import Iterable

from syncd.core.model import BaselineEntry, RemoteEntry, Sync


def upload_claim(size_bytes: int, beside: Iterable[str]) -> str:
    """The claim of an upload that is about to begin."""
    return " ".join((str(size_bytes), *beside))


def is_effect(record: RemoteEntry, base: BaselineEntry | None) -> bool:
    """Whether a record can only be what an upload of this job's made whose answer nobody saw."""
    if base is None or not base.claim or base.sync != Sync.CLAIMED or record.checksum is not None:
        return False
    size_bytes, *beside = base.claim.split(" ")
    return str(record.size) == size_bytes and record.id not in (base.id, *beside)


def is_being_replaced(record: RemoteEntry, base: BaselineEntry | None) -> bool:
    """Whether this job has begun to replace a record, knowing nothing of what it holds."""
    if base is None or base.sync != Sync.CLAIMED or base.checksum is not None:
        return False
    return record.checksum is None and record.id == base.id


def is_replaced(record: RemoteEntry, base: BaselineEntry | None) -> bool:
    """Whether a record is the old one of a replacement whose new one is there."""
    return base is not None and base.sync == Sync.UPLOADED and record.id == base.claim
