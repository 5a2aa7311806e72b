"""The floor of a cold mirror: create and upload every file of a directory, 16 at once, and nothing else.

`python -m tests.bench.floor_create SOURCE API_URL APPLICATION_ID TOKEN` prints how many files it sent. It keeps no
state, compares nothing, verifies no checksum and gives up at the first refusal.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

import aiohttp

AT_ONCE = 16


def read(path: Path) -> bytes:
    return path.read_bytes()


async def send(session: aiohttp.ClientSession, files_url: str, source: Path, path: Path, token: str) -> None:
    data = read(path)
    wanted = {
        "name": path.name,
        "parentDirectory": f"/floor/{path.parent.relative_to(source).as_posix()}/",
        "type": "file",
        "fileSize": len(data),
        "contentType": "application/octet-stream",
    }
    headers = {"Authorization": f"Bearer {token}"}
    async with session.post(files_url, json=wanted, headers=headers) as answer:
        answer.raise_for_status()
        upload = (await answer.json())["upload"]
    form = aiohttp.FormData(quote_fields=False)
    for name, value in upload["fields"].items():
        if name != "bucket":
            form.add_field(name, value)
    form.add_field("file", data, filename=path.name)
    async with session.post(upload["url"], data=form) as answer:
        answer.raise_for_status()


async def send_all(source: Path, files: list[Path], api_url: str, application_id: str, token: str) -> None:
    files_url = f"{api_url}/applications/{application_id}/files"
    waiting: Iterator[Path] = iter(files)

    async def work(session: aiohttp.ClientSession) -> None:
        for path in waiting:
            await send(session, files_url, source, path, token)

    async with aiohttp.ClientSession() as session:
        await asyncio.gather(*(work(session) for _ in range(AT_ONCE)))


def main(source: Path, api_url: str, application_id: str, token: str) -> None:
    files = [path for path in source.rglob("*") if path.is_file()]
    asyncio.run(send_all(source, files, api_url, application_id, token))
    print(len(files))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
