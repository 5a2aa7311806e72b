"""Whether a database file is still what it was when it was closed: its size and CRC-32 in a file beside it.

Called by `sqlite`. SQLite checks how its pages hang together, not what is in them; a flipped bit in a row would pass.
An open database that was written to has no seal: after a crash SQLite's own check has to do.
"""

from __future__ import annotations

import zlib
from pathlib import Path

READ_BYTES = 1024 * 1024


class Seal:
    def __init__(self, database: Path) -> None:
        self._database = database
        self._path = database.with_name(database.name + ".seal")

    def is_there(self) -> bool:
        return self._path.exists()

    def holds(self) -> bool:
        return self._path.read_text("ascii", "replace") == _digest(self._database)

    def put(self) -> None:
        """Whole or not at all: half a seal, left by a kill, would condemn a sound database."""
        draft = self._path.with_name(self._path.name + ".new")
        draft.write_text(_digest(self._database), "ascii")
        draft.replace(self._path)

    def doubt(self) -> None:
        """Make it one that cannot hold, so that the next to open the database sets it aside."""
        self._path.write_text("damaged\n", "ascii")

    def remove(self) -> None:
        self._path.unlink(missing_ok=True)


def _digest(path: Path) -> str:
    size_bytes, crc = 0, 0
    with path.open("rb") as file:
        while block := file.read(READ_BYTES):
            size_bytes += len(block)
            crc = zlib.crc32(block, crc)
    return f"{size_bytes} {crc:08x}\n"
