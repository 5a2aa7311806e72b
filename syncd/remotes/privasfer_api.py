"""Privasfer's requests one by one: their URLs, their bodies, and what their answers hold.

Called by `privasfer`, which makes operations of them. Retries and limits are the transport's; looks for no lost answer.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import msgspec
from yarl import URL

from syncd.errors import RemoteDead, Transient
from syncd.ports import Before, Content
from syncd.remotes.http import Answer, Refused, Request
from syncd.remotes.multipart import Form, Meter
from syncd.remotes.throttle import Throttle
from syncd.remotes.transport import Attempts, Retrying
from syncd.remotes.uploads import body_of, is_whole

OLDEST_FIRST = "created_at"
NEWEST_FIRST = "-created_at"


class Record(msgspec.Struct, gc=False):
    """A file as the API tells it; what else is in it is ignored. `created_at` is in the account's time zone, whichever
    that is: it is for people."""

    id: str
    full_filename: str
    size: int
    trashed: bool = False
    created_at: str = ""


class _Links(msgspec.Struct):
    next: str | None = None


class _Meta(msgspec.Struct):
    current_page: int = 1
    last_page: int = 1
    total: int | None = None


class Page(msgspec.Struct):
    """A list, or a page of it where the server pages as Laravel does."""

    data: list[Record]
    links: _Links | None = None
    meta: _Meta | None = None

    @property
    def total(self) -> int | None:
        return None if self.meta is None else self.meta.total

    def following(self) -> dict[str, str] | None:
        """What to ask for the next page, None if this was the last. Only the query of a link is taken: the token goes
        nowhere else."""
        if self.links is not None and self.links.next:
            return dict(parse_qsl(urlsplit(self.links.next).query, keep_blank_values=True))
        if self.meta is not None and self.meta.current_page < self.meta.last_page:
            return {"page": str(self.meta.current_page + 1)}
        return None


class _One(msgspec.Struct):
    data: Record


class Api:
    """The files of one account."""

    def __init__(self, transport: Retrying, *, api: URL, throttle: Throttle) -> None:
        self._many = f"{api}/api/files"
        self._url = URL(self._many, encoded=True)
        self._transport = transport
        self._throttle = throttle

    async def pages(self, order: str) -> AsyncIterator[Page]:
        """All files, trashed ones included. Raises RemoteDead if the list is refused, Transient if it has no end."""
        query = {"sort": order}
        asked: set[str] = set()
        while True:
            address = f"{self._many}?{urlencode(query)}"
            if address in asked:
                raise Transient("the pages of the list go round")
            asked.add(address)
            page = await self._page(address)
            yield page
            following = page.following()
            if following is None:
                return
            query |= following

    async def _page(self, address: str) -> Page:
        try:
            return await self._transport.send(Request("files", "GET", URL(address, encoded=True), _page))
        except Refused as refusal:
            raise RemoteDead(f"the remote does not list its files: {refusal}") from refusal

    async def record(self, record_id: str) -> Record | None:
        """None if it is not there (any more)."""
        try:
            record = await self._transport.send(Request("record", "GET", self._one(record_id), _record))
        except Refused as refusal:
            if refusal.status == 404:
                return None
            raise
        return None if record.trashed else record

    async def upload(self, name: str, content: Content, meter: Meter, attempts: Attempts) -> Record:
        """A new record, whatever else has that name. Not repeatable: raises Failed when it may have happened."""
        form = Form(fields={}, part="file", filename=name, content=content)
        headers = {"Content-Type": form.content_type}
        body = body_of(form, meter, self._throttle)
        if is_whole(content):
            await self._throttle.grant(content.entry.size)
        request = Request("upload", "POST", self._url, _record, body, headers, repeatable=False)
        record = await self._transport.send(request, attempts)
        if is_whole(content):
            meter.given(content.entry.size)
        return record

    async def delete(self, record_id: str, *, before: Before | None = None) -> None:
        """A record that is not there is success."""
        request = Request("success", "DELETE", self._one(record_id), _nothing, before=before)
        try:
            await self._transport.send(request)
        except Refused as refusal:
            if refusal.status != 404:
                raise

    def _one(self, record_id: str) -> URL:
        return URL(f"{self._many}/{quote(record_id, safe='')}", encoded=True)


_decode_page = msgspec.json.Decoder(Page).decode
_decode_one = msgspec.json.Decoder(_One).decode


def _page(answer: Answer) -> Page:
    return _decode_page(answer.body)


def _record(answer: Answer) -> Record:
    return _decode_one(answer.body).data


def _nothing(answer: Answer) -> None:
    """Raises ValueError for anything but 204: a page of a proxy in between deleted nothing."""
    if answer.status != 204:
        raise ValueError("not deleted")
