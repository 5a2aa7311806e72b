"""Checksums of many local files. Used by whatever compares contents: `reconcile`, `fetch`, `check`."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from syncd.core.model import Fingerprint, LocalEntry
from syncd.engine.observe import each
from syncd.errors import LocalError
from syncd.ports import LocalTree


async def fingerprints(tree: LocalTree, entries: Sequence[LocalEntry], *, at_once: int) -> dict[bytes, Fingerprint]:
    """By key; those that could not be read are not in it."""
    found: dict[bytes, Fingerprint] = {}

    async def read(entry: LocalEntry) -> None:
        with suppress(LocalError):
            found[entry.key] = await tree.fingerprint(entry)

    await each(entries, read, at_once=at_once)
    return found
