"""The trees that are mirrored: the same for a seed, different in every file."""

from __future__ import annotations

import random
from pathlib import Path

BLOCK_BYTES = 1024 * 1024


def make_tree(root: Path, *, files: int, directories: int, size_bytes: int) -> None:
    """Spread `files` files of `size_bytes` over `directories` directories, two levels deep."""
    chance = random.Random(files)
    places = [root / f"{number % 20:02d}" / f"part-{number:05d}" for number in range(directories)]
    for place in places:
        place.mkdir(parents=True)
    for number in range(files):
        (places[number % directories] / f"file-{number:06d}.bin").write_bytes(chance.randbytes(size_bytes))


def make_file(path: Path, *, size_bytes: int) -> None:
    """One file that is neither sparse nor held in memory."""
    path.parent.mkdir(parents=True, exist_ok=True)
    block = random.Random(size_bytes).randbytes(BLOCK_BYTES)
    with path.open("wb") as file:
        for begin in range(0, size_bytes, BLOCK_BYTES):
            file.write(begin.to_bytes(8, "big") + block[8 : min(BLOCK_BYTES, size_bytes - begin)])
