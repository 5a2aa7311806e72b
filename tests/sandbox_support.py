"""A plain client of the sandbox for its own tests: one method a request, no retries, no opinion on answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import aiohttp

from syncd.sandbox import APPLICATION_ID, TOKEN, Kind, Knobs, Record, Sandbox

PATIENCE_S = 10.0


@dataclass
class Answer:
    """An answer that was read to its end."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    json: Any


class Client:
    """Requests of one kind of files."""

    def __init__(self, sandbox: Sandbox, session: aiohttp.ClientSession, kind: Kind = "files") -> None:
        self.sandbox = sandbox
        self.session = session
        self.kind: Kind = kind
        self.token = TOKEN
        self.application = APPLICATION_ID

    @property
    def collection(self) -> str:
        return f"{self.sandbox.url}/applications/{self.application}/{self.kind}"

    def one(self, record_id: str) -> str:
        return self.collection.replace("/files", "/file") + f"/{record_id}"

    async def request(self, method: str, url: str, **how: Any) -> Answer:
        headers = {"Authorization": f"Bearer {self.token}"}
        async with self.session.request(method, url, headers=headers, **how) as response:
            return await read(response)

    async def listing(self, **parameters: Any) -> Answer:
        return await self.request("GET", self.collection, params=parameters)

    async def create(self, path: str, **more: Any) -> Answer:
        directory, _, name = path.rpartition("/")
        body = {"name": name, "parentDirectory": directory or "/", "type": "file", **more}
        return await self.request("POST", self.collection, json=body)

    async def get(self, record_id: str, **parameters: Any) -> Answer:
        return await self.request("GET", self.one(record_id), params=parameters)

    async def patch(self, record_id: str, **body: Any) -> Answer:
        return await self.request("PATCH", self.one(record_id), json=body)

    async def move(self, record_id: str, **parameters: Any) -> Answer:
        return await self.request("POST", self.one(record_id) + "/move", params=parameters)

    async def delete(self, record_id: str) -> Answer:
        return await self.request("DELETE", self.one(record_id))

    async def upload(self, record_id: str, content: bytes, field: str = "privateFile") -> Answer:
        form = aiohttp.FormData()
        form.add_field(field, content, filename="content")
        return await self.request("POST", self.one(record_id) + "/upload", data=form)

    async def send_form(self, upload: dict[str, Any], content: bytes, **headers: str) -> Answer:
        fields = [(name, value) for name, value in upload["fields"].items() if name != "bucket"]
        return await self.send_fields(upload["url"], [*fields, ("file", content)], **headers)

    async def send_fields(self, url: str, fields: list[tuple[str, str | bytes]], **headers: str) -> Answer:
        body, content_type = encode_form(fields)
        all_headers = {"Content-Type": content_type, **headers}
        async with self.session.post(url, data=BytesIO(body), headers=all_headers) as response:
            return await read(response)

    async def put(self, path: str, content: bytes = b"content") -> Record:
        """Create a file and upload its content; returns the record as the sandbox has it."""
        created = await self.create(path, fileSize=len(content))
        assert created.status == 201, created
        assert (await self.send_form(created.json["upload"], content)).status == 204
        return self.record(created.json["id"])

    def record(self, record_id: str) -> Record:
        return next(record for record in self.sandbox.records(self.kind) if record.id == record_id)

    async def names(self, **parameters: Any) -> list[str]:
        return [item["name"] for item in (await self.listing(**parameters)).json["items"]]


async def read(response: aiohttp.ClientResponse) -> Answer:
    body = await response.read()
    is_json = response.content_type == "application/json"
    return Answer(response.status, response.headers, body, await response.json() if is_json else None)


def encode_form(fields: list[tuple[str, str | bytes]]) -> tuple[bytes, str]:
    """The body and content type of a form, byte for byte as given."""
    parts = []
    for name, value in fields:
        content = value.encode() if isinstance(value, str) else value
        parts.append(b'--limit\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n' % (name.encode(), content))
    return b"".join(parts) + b"--limit--\r\n", "multipart/form-data; boundary=limit"


@asynccontextmanager
async def running(data: Path, kind: Kind = "files", **knobs: Any) -> AsyncIterator[Client]:
    """A sandbox with these knobs and a client of it."""
    async with Sandbox(data, knobs=Knobs(**knobs)) as sandbox, aiohttp.ClientSession() as session:
        yield Client(sandbox, session, kind)


async def until(condition: Callable[[], object]) -> None:
    """Return as soon as a condition holds."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - the condition may be on disk or in another process
            await asyncio.sleep(0.002)
