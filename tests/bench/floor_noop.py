"""The floor of a run with nothing to do: stat every file below a directory, fetch and decode every listing page.

`python -m tests.bench.floor_noop SOURCE API_URL APPLICATION_ID TOKEN` prints how many files it saw on either side. It
compares nothing and keeps nothing.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator
from typing import Any

import aiohttp

AT_ONCE = 4
PER_PAGE = 1000

Page = dict[str, Any]


def walk(source: str) -> int:
    files = 0
    waiting = [source]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                else:
                    entry.stat(follow_symlinks=False)
                    files += 1
    return files


async def listed(files_url: str, token: str) -> int:
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as session:

        async def fetch(number: int) -> Page:
            query = f"page={number}&perPage={PER_PAGE}&sortField=creationDate&sortDirection=asc"
            async with session.get(f"{files_url}?{query}") as answer:
                answer.raise_for_status()
                page: Page = await answer.json()
                return page

        first = await fetch(0)
        files = _files(first)
        waiting: Iterator[int] = iter(range(1, -(-first["totalCount"] // PER_PAGE)))

        async def work() -> int:
            return sum([_files(await fetch(number)) for number in waiting])

        return files + sum(await asyncio.gather(*(work() for _ in range(AT_ONCE))))


def _files(page: Page) -> int:
    return sum(record["type"] == "file" for record in page["items"])


def main(source: str, api_url: str, application_id: str, token: str) -> None:
    print(walk(source), asyncio.run(listed(f"{api_url}/applications/{application_id}/files", token)))


if __name__ == "__main__":
    main(*sys.argv[1:])
