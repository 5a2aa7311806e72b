"""Checksums of many local files. Used by whatever compares contents: `reconcile`, `fetch`, `check`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from syncd.core.model import Fingerprint, LocalEntry
from syncd.engine.observe import each
from syncd.ports import LocalTree

TOGETHER = 256
TOGETHER_BYTES = 8 * 2**20
"""What is read in one go: where files are small, going to read costs more than reading."""
READERS = 4
"""So many goes at once: every system call hands the interpreter's lock over, and 16 readers of small files take three
times the CPU and twice the time of these (measured)."""


async def fingerprints(tree: LocalTree, entries: Sequence[LocalEntry], *, at_once: int) -> dict[bytes, Fingerprint]:
    """By key; those that could not be read are not in it."""
    found: dict[bytes, Fingerprint] = {}

    async def read(group: Sequence[LocalEntry]) -> None:
        for entry, fingerprint in zip(group, await tree.fingerprints(group), strict=True):
            if fingerprint is not None:
                found[entry.key] = fingerprint

    groups = list(_groups(entries, at_once))
    await each([group for group in groups if len(group) > 1], read, at_once=min(at_once, READERS))
    await each([group for group in groups if len(group) == 1], read, at_once=at_once)
    return found


def _groups(entries: Sequence[LocalEntry], at_once: int) -> Iterator[Sequence[LocalEntry]]:
    """So large that none of the readers is idle, and not too large."""
    most = min(TOGETHER, -(-len(entries) // at_once))
    group: list[LocalEntry] = []
    size_bytes = 0
    for entry in entries:
        if group and (len(group) == most or size_bytes + entry.size > TOGETHER_BYTES):
            yield group
            group, size_bytes = [], 0
        group.append(entry)
        size_bytes += entry.size
    if group:
        yield group
