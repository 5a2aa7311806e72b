"""Checksums of many local files: small ones together in one thread, large ones each in its own.

Used by `check` and `fetch`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

from syncd.core.model import Fingerprint, LocalEntry
from syncd.engine.observe import each
from syncd.ports import LocalTree

TOGETHER_FILES = 64
TOGETHER_BYTES = 4 * 1024 * 1024
"""So much is read by one thread before another one may come."""


async def fingerprints(tree: LocalTree, entries: Sequence[LocalEntry], *, at_once: int) -> dict[bytes, Fingerprint]:
    """By key; those that could not be read are not in it."""
    found: dict[bytes, Fingerprint] = {}

    async def read(group: Sequence[LocalEntry]) -> None:
        for entry, result in zip(group, await asyncio.to_thread(tree.fingerprints, group), strict=True):
            if isinstance(result, Fingerprint):
                found[entry.key] = result

    await each(list(_groups(entries)), read, at_once=at_once)
    return found


def _groups(entries: Sequence[LocalEntry]) -> Iterator[list[LocalEntry]]:
    group: list[LocalEntry] = []
    size_bytes = 0
    for entry in entries:
        if group and (len(group) == TOGETHER_FILES or size_bytes + entry.size > TOGETHER_BYTES):
            yield group
            group, size_bytes = [], 0
        group.append(entry)
        size_bytes += entry.size
    if group:
        yield group
