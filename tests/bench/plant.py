"""Fill a sandbox's data directory with what a source holds, without a request for each file.

`python -m tests.bench.plant SOURCE DATA DIRECTORY`; the sandbox is started on DATA afterwards.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable
from pathlib import Path

from syncd.sandbox import Sandbox


async def plant(contents: Iterable[tuple[str, bytes]], data: Path) -> None:
    async with Sandbox(data) as sandbox:
        for path, content in contents:
            sandbox.plant(path, content)


def main(source: Path, data: Path, directory: str) -> None:
    files = (path for path in sorted(source.rglob("*")) if path.is_file())
    contents = ((f"/{directory}/{path.relative_to(source).as_posix()}", path.read_bytes()) for path in files)
    asyncio.run(plant(contents, data))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
