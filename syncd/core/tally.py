"""Whether a whole listing says what the baseline says, told by adding numbers up: no sorting, no second look at rows.

Called by `engine.observe`, which hands over every record and every row once, in whatever order they come. Owned here:
the number of a path, which is one and the same for a record and for its row exactly if `diff.same_record` holds. What
only that can judge (a record on its way, a file without a checksum, an upload not seen complete) makes a tally that
equals none. Equal tallies mean no difference; they never license anything.

A path's number is the product of two hashes: of its key, and of what is there, told apart from any key by the 0x00 that
it begins with. Python draws the key of its hashes anew for each process, so sides that differ have sums which differ as
polynomials of degree two in numbers of 64 bits that nobody can choose: chance makes them equal once in 2^63 runs (the
lemma of Schwartz and Zippel). With hash randomization off it is still chance. A sum of the hashes of whole tuples will
not do: such a hash is nearly a sum itself, and one in eight exchanges of two contents leaves it as it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from syncd.core.model import BaselineEntry, Kind, RemoteEntry, Status, Sync

COMPLETED, LEAVING, FILE, SYNCED = Status.COMPLETED, Status.LEAVING, Kind.FILE, Sync.SYNCED


class Tally:
    """Of one side. `files` counts its files, `plain` is False once there was something that has no number."""

    def __init__(self) -> None:
        self.files = 0
        self.plain = True
        self._sum = 0

    def same_as(self, other: Tally) -> bool:
        return self.plain and other.plain and (self.files, self._sum) == (other.files, other._sum)

    def add(self, records: Iterable[RemoteEntry]) -> None:
        """Those that are being moved or deleted are not there."""
        files, added = 0, 0
        for key, kind, _, checksum, record_id, status, _ in records:
            is_file = kind is FILE
            if status is COMPLETED and is_file is (checksum is not None):
                files += is_file
                added += hash(key) * hash(f"\0{checksum} {record_id}")
            elif status is not LEAVING:
                self.plain = False
        self.files += files
        self._sum += added

    def passing(self, rows: Iterable[BaselineEntry]) -> Iterator[BaselineEntry]:
        """The rows as they come, each added on its way."""
        files, added = 0, 0
        for row in rows:
            key, kind, _, _, _, _, checksum, record_id, sync, _ = row
            is_file = kind is FILE
            if is_file is (checksum is not None) and (sync is SYNCED or not is_file):
                files += is_file
                added += hash(key) * hash(f"\0{checksum} {record_id}")
            else:
                self.plain = False
            yield row
        self.files += files
        self._sum += added
