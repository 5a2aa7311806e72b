"""The floor of a run with nothing to do: stat every file below a directory, fetch and decode every listing page.

`python -m tests.bench.floor_noop SOURCE API_URL APPLICATION_ID TOKEN` prints how many files it saw on either side. It
compares nothing and keeps nothing. With `--typed` after these, the pages are decoded into what a mirror needs of them.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, NamedTuple

import aiohttp

AT_ONCE = 4
PER_PAGE = 1000


class Seen(NamedTuple):
    files: int
    total_count: int


Decode = Callable[[aiohttp.ClientResponse], Awaitable[Seen]]


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


async def plain(answer: aiohttp.ClientResponse) -> Seen:
    page: dict[str, Any] = await answer.json()
    return Seen(sum(record["type"] == "file" for record in page["items"]), page["totalCount"])


def typed() -> Decode:
    import msgspec

    record = msgspec.defstruct(
        "Record",
        [("id", str), ("name", str), ("parentDirectory", str), ("type", str), ("status", str), ("s3etag", str, "")],
    )
    decoder = msgspec.json.Decoder(msgspec.defstruct("Page", [("items", list[record]), ("totalCount", int)]))  # type: ignore[valid-type]

    async def decode(answer: aiohttp.ClientResponse) -> Seen:
        page: Any = decoder.decode(await answer.read())
        return Seen(sum(record.type == "file" for record in page.items), page.totalCount)

    return decode


async def listed(files_url: str, token: str, decode: Decode) -> int:
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as session:

        async def fetch(number: int) -> Seen:
            query = f"page={number}&perPage={PER_PAGE}&sortField=creationDate&sortDirection=asc"
            async with session.get(f"{files_url}?{query}") as answer:
                answer.raise_for_status()
                return await decode(answer)

        first = await fetch(0)
        waiting: Iterator[int] = iter(range(1, -(-first.total_count // PER_PAGE)))

        async def work() -> int:
            return sum([(await fetch(number)).files for number in waiting])

        return first.files + sum(await asyncio.gather(*(work() for _ in range(AT_ONCE))))


def main(source: str, api_url: str, application_id: str, token: str, *options: str) -> None:
    decode = typed() if "--typed" in options else plain
    print(walk(source), asyncio.run(listed(f"{api_url}/applications/{application_id}/files", token, decode)))


if __name__ == "__main__":
    main(*sys.argv[1:])
