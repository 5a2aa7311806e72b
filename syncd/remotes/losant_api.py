"""Losant's requests one by one: their URLs, their bodies, and what a refusal of each means.

Called by `losant`, which makes operations of them. Retries and limits are the transport's; looks for no lost answer.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeVar
from urllib.parse import quote

import msgspec
from yarl import URL

from syncd.errors import AlreadyExists, NotFound, RemoteDead
from syncd.ports import Before, Content
from syncd.remotes.http import Answer, Refused, Request
from syncd.remotes.records import Located, Page, Record, Target, decode_located, decode_page, decode_record
from syncd.remotes.transport import Attempts, Retrying
from syncd.remotes.uploads import Ticket

T = TypeVar("T")

DOWNLOAD_TTL_S = 900
"""How long the signed address of a private file is good: the API's own default. A download only has to begin within."""

JSON = {"Content-Type": "application/json"}

TAKEN = re.compile(r"already|exists|duplicate|unique|in use|taken", re.IGNORECASE)
"""In what a 400 says, means 409. (Not "exist": "does not exist" is something else.)"""

SPECIAL = re.compile(r"[^\w .-]+")
"""What may mean something in a glob, in whatever dialect the remote has."""

Wanted = Mapping[str, object]
"""The fields of a create or patch body."""


class Api:
    """The files of one application, public or private."""

    def __init__(self, transport: Retrying, *, api: URL, application_id: str, private: bool) -> None:
        base = f"{api}/applications/{quote(application_id, safe='')}"
        self._many = f"{base}/privateFiles" if private else f"{base}/files"
        self._one = f"{base}/privateFiles" if private else f"{base}/file"
        self._create_url = URL(self._many, encoded=True)
        self._private = private
        self._transport = transport

    async def page(self, directory: str | None, number: int, size: int, *, name: str = "") -> Page:
        """One page of the records in one directory, or with None in all; `name` narrows it to what may be so called.

        Raises Unauthorized if there is no such application, RemoteDead if listing is refused otherwise.
        """
        query = f"page={number}&perPage={size}&sortField=creationDate&sortDirection=asc"
        if name:
            query += f"&filterField=name&filter={quote(SPECIAL.sub('*', name), safe='')}"
        if directory is not None:
            query += f"&directory={quote(directory, safe='')}"
        if self._private:
            query += "&urlTTL=0"
        # yarl keeps what is made of a string: one on each page would keep the memory of all that came with them
        plain = directory is None and not name
        url = self._create_url.with_query(query) if plain else URL(f"{self._many}?{query}", encoded=True)
        operation = "list" if directory is None else "directory"
        try:
            return await self._transport.send(Request(operation, "GET", url, _page))
        except Refused as refusal:
            if directory is None or refusal.status != 404:
                raise RemoteDead(f"the remote does not list its files: {refusal}") from refusal
        await self.page(None, 0, 1)  # either this raises, or it is the directory that is not there
        return Page(items=[], total_count=0)

    async def record(self, record_id: str) -> Record | None:
        """None if it is not there (any more)."""
        return await self._get(Request("get", "GET", self._url(record_id), _record))

    async def located(self, record_id: str) -> Located | None:
        """The record with the address of its content, for a private file one that is good for some minutes; None if it
        is not there (any more)."""
        url = self._url(record_id, url_ttl_s=DOWNLOAD_TTL_S)
        return await self._get(Request("get", "GET", url, _located))

    async def _get(self, request: Request[T]) -> T | None:
        try:
            return await self._transport.send(request)
        except Refused as refusal:
            if refusal.status == 404:
                return None
            raise

    async def create(self, target: Target, wanted: Wanted, attempts: Attempts) -> Ticket:
        """Not repeatable: raises Failed when it may have happened. Raises AlreadyExists."""
        body = msgspec.json.encode({"name": target.name, "parentDirectory": target.parent, **wanted})
        request = Request("create", "POST", self._create_url, _record, body, JSON, repeatable=False)
        try:
            return self._ticket(await self._transport.send(request, attempts))
        except Refused as refusal:
            raise _translated(refusal) from refusal

    async def patch(self, record_id: str, content: Content) -> Ticket:
        """A fresh upload form for an existing record. Raises NotFound."""
        body = msgspec.json.encode(described(content))
        request = Request("patch", "PATCH", self._url(record_id), _record, body, JSON)
        try:
            return self._ticket(await self._transport.send(request))
        except Refused as refusal:
            raise _translated(refusal) from refusal

    async def move(self, record_id: str, target: Target, attempts: Attempts, *, before: Before | None = None) -> Record:
        """Returns the new record. Not repeatable, as `create`. Raises NotFound, AlreadyExists."""
        query = f"name={quote(target.name, safe='')}&parentDirectory={quote(target.parent, safe='')}"
        request = Request(
            "move", "POST", self._url(record_id, "/move", query), _record, repeatable=False, before=before
        )
        try:
            return await self._transport.send(request, attempts)
        except Refused as refusal:
            raise _translated(refusal) from refusal

    async def delete(self, record_id: str, *, before: Before | None = None) -> None:
        """A record that is not there is success."""
        request = Request("delete", "DELETE", self._url(record_id), _success, before=before)
        try:
            await self._transport.send(request)
        except Refused as refusal:
            if refusal.status != 404:
                raise

    def _ticket(self, record: Record) -> Ticket:
        return Ticket(record, record.upload, self._url(record.id, "/upload") if self._private else None)

    def _url(self, record_id: str, tail: str = "", query: str = "", *, url_ttl_s: int = 0) -> URL:
        parts = [query] if query else []
        if self._private:
            parts.append(f"urlTTL={url_ttl_s}")
        asked = f"?{'&'.join(parts)}" if parts else ""
        return URL(f"{self._one}/{quote(record_id, safe='')}{tail}{asked}", encoded=True)


def described(content: Content) -> dict[str, object]:
    """What create and patch tell of a content; any other key is refused."""
    wanted: dict[str, object] = {"fileSize": content.entry.size, "contentType": content.content_type}
    if content.dimensions is not None:
        width, height = content.dimensions
        wanted["fileDimensions"] = {"width": width, "height": height}
    return wanted


def _translated(refusal: Refused) -> Exception:
    if refusal.status == 404:
        return NotFound(str(refusal))
    if refusal.status == 409 or (refusal.status == 400 and TAKEN.search(refusal.said)):
        return AlreadyExists(str(refusal))
    return refusal


class _Success(msgspec.Struct):
    success: bool


def _page(answer: Answer) -> Page:
    return decode_page(answer.body)


def _record(answer: Answer) -> Record:
    return decode_record(answer.body)


def _located(answer: Answer) -> Located:
    return decode_located(answer.body)


def _success(answer: Answer) -> None:
    """Raises ValueError on everything but `{"success": true}`: a page of a proxy in between deleted nothing."""
    if not msgspec.json.decode(answer.body, type=_Success).success:
        raise ValueError("not successful")
