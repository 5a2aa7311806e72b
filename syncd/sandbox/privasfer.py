"""The Privasfer API: its paths, its checks and its answers, in the manner of the framework it is made with (Laravel).

`server` hands it the requests below `/api`. What a request does to records is in `library`, whose directories it does
not use: a file has a name that need not be unique, and one that was deleted stays in the list for a month.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import msgspec
from aiohttp import web

from syncd.sandbox.errors import InvalidFile, PlainRefusal
from syncd.sandbox.exchange import Exchange, Handler, answer_json
from syncd.sandbox.forms import FormError
from syncd.sandbox.knobs import Conditions
from syncd.sandbox.library import Library
from syncd.sandbox.records import Kind, Record, clean_name
from syncd.sandbox.throttle import Throttle

KIND: Kind = "privasfer"
LONGEST_NAME = 255
"""Laravel's own length of a text column."""
TRASH_KEPT_S = 30 * 86400.0
CATEGORY = {"id": "05089389-8986-452b-b16d-b5615e285ba3", "name": "Uploads", "created_at": "2019-05-07 21:03:07"}
AUTHOR = {"name": "Sandbox", "initials": "Sandbox", "email": "sandbox@localhost", "photo_url": "", "timezone": "UTC"}
SORTED_BY = {"filename_original": "name", "size": "size_bytes", "encrypted_size": "size_bytes", "created_at": "created"}


class Privasfer:
    """The site below `/api`."""

    def __init__(self, library: Library, conditions: Conditions, *, url: str, token: str) -> None:
        self.token = token
        self._library = library
        self._conditions = conditions
        self._url = url
        self._throttle = Throttle(conditions)
        self._window = Window(conditions)
        self._of_collection: dict[str, tuple[str, Handler]] = {
            "GET": ("list", self._limited(self._list)),
            "POST": ("create", self._limited(self._create)),
        }
        self._of_record: dict[str, tuple[str, Handler]] = {
            "GET": ("get", self._limited(self._get)),
            "DELETE": ("delete", self._limited(self._delete)),
        }

    def find(self, method: str, segments: list[str]) -> tuple[str, Handler] | None:
        """The operation of a path: `api/files` or `api/files/ID`."""
        if segments[1:2] != ["files"] or len(segments) > 3:
            return None
        return (self._of_record if len(segments) == 3 else self._of_collection).get(method)

    def _limited(self, handler: Handler) -> Handler:
        """Admit a request by its token and its rate, and tell on its answer what is left of the rate."""

        async def limited(exchange: Exchange) -> web.StreamResponse:
            sent = exchange.request.headers.get("Authorization", "")
            if not hmac.compare_digest(sent.encode(errors="replace"), f"Bearer {self.token}".encode()):
                raise PlainRefusal(401, "", "Unauthenticated.")
            self._throttle.admit()
            headers = self._window.admit()
            answer = await handler(exchange)
            answer.headers.update(headers)
            return answer

        return limited

    async def _list(self, exchange: Exchange) -> web.StreamResponse:
        await exchange.strike("/")
        self._empty_trash()
        records = self._selected(exchange.query)
        size = self._conditions.knobs.list_page
        page = _page_number(exchange.query) if size else 1
        shown = records[(page - 1) * size : page * size] if size else records
        document: dict[str, Any] = {"data": [self._document(r, exchange.query.get("include")) for r in shown]}
        if size:
            document |= self._paging(exchange.query, page, size, total=len(records))
        return await exchange.finish(answer_json(200, msgspec.json.encode(document)))

    def _selected(self, query: Mapping[str, str]) -> list[Record]:
        """The records of a list in its order, trashed ones included; without `sort` the newest first."""
        now, keyword = self._conditions.now(), query.get("keyword", "").casefold()
        records = [
            record
            for record in self._library.catalog("", KIND).records()
            if record.listed_from <= now and keyword in record.name.casefold()
        ]
        field = query.get("sort") or "-created_at"
        attribute = SORTED_BY.get(field.removeprefix("-"))
        if attribute is None:
            raise PlainRefusal(400, "", f"Given sort(s) `{field}` is not allowed.")
        records.sort(key=lambda r: (getattr(r, attribute) or 0, r.sequence), reverse=field.startswith("-"))
        return records

    def _paging(self, query: Mapping[str, str], page: int, size: int, *, total: int) -> dict[str, Any]:
        last = max(1, -(-total // size))

        def address(number: int) -> str | None:
            wanted = urlencode({**query, "page": number})
            return f"{self._url}/api/files?{wanted}" if 1 <= number <= last else None

        links = {"first": address(1), "last": address(last), "prev": address(page - 1), "next": address(page + 1)}
        meta = {"current_page": page, "last_page": last, "per_page": size, "total": total}
        return {"links": links, "meta": meta}

    async def _create(self, exchange: Exchange) -> web.StreamResponse:
        try:
            form = await exchange.form("file")
            if form is None or not (await form.fields())[1] or form.filename is None:
                raise InvalidFile("The file field is required.")
            name = self._kept_name(form.filename)
            await exchange.strike(f"/{name}")
            content = await self._library.contents.receive(form.pieces())
        except FormError:
            raise InvalidFile("The file failed to upload.") from None
        record = self._library.keep(KIND, name, content, content_type=form.content_type)
        document = {"data": self._document(record, "category"), "success": True}
        return await exchange.finish(answer_json(200, msgspec.json.encode(document)))

    def _kept_name(self, filename: str) -> str:
        name = filename.rpartition("/")[2]
        if not name:
            raise InvalidFile("The file field is required.")
        if len(name) > LONGEST_NAME:
            raise InvalidFile(f"The file name may not be greater than {LONGEST_NAME} characters.")
        return clean_name(name, self._conditions.knobs.names)

    async def _get(self, exchange: Exchange) -> web.StreamResponse:
        record = await self._enter_record(exchange)
        document = {"data": self._document(record, exchange.query.get("include"))}
        return await exchange.finish(answer_json(200, msgspec.json.encode(document)))

    async def _delete(self, exchange: Exchange) -> web.StreamResponse:
        record = await self._enter_record(exchange)
        if record.lingers:
            raise _no_file()
        self._library.trash(record)
        return await exchange.finish(web.Response(status=204))

    async def _enter_record(self, exchange: Exchange) -> Record:
        record = self._library.catalog("", KIND).by_id.get(exchange.segments[2])
        await exchange.strike(record.path if record else "")
        if record is None:
            raise _no_file()
        return record

    def _empty_trash(self) -> None:
        """Forget what has been in the trash for a month."""
        until = self._conditions.now() - TRASH_KEPT_S
        for record in self._library.catalog("", KIND).records():
            if record.lingers and datetime.fromisoformat(record.updated).timestamp() < until:
                self._library.remove(record)

    def _document(self, record: Record, include: str | None) -> dict[str, Any]:
        size_bytes = record.size_bytes or 0
        name, dot, extension = record.name.rpartition(".")
        encrypted_bytes = size_bytes + size_bytes // 2 + 64
        document = {
            "id": record.id,
            "filename": name if dot else extension,
            "type": record.content_type or "application/octet-stream",
            "extension": extension if dot else "",
            "full_filename": record.name,
            "size": size_bytes,
            "formatted_size": _formatted(size_bytes),
            "encrypted_size": encrypted_bytes,
            "formatted_encrypted_size": _formatted(encrypted_bytes),
            "created_by": AUTHOR,
            "created_at": self._local_time(record.created),
            "disk": "local-spaces",
            "trashed": record.lingers,
        }
        return document | ({"category": CATEGORY} if include == "category" else {})

    def _local_time(self, created: str) -> str:
        """As the account's owner reads it on a clock: nothing says which time zone that is in."""
        local = datetime.fromisoformat(created).astimezone(UTC) + timedelta(seconds=self._conditions.knobs.time_zone)
        return local.strftime("%Y-%m-%d %H:%M:%S")


class Window:
    """Laravel's limit: so many requests from the first one until a time later, then as many again."""

    def __init__(self, conditions: Conditions) -> None:
        self._conditions = conditions
        self._ends = 0.0
        self._admitted = 0

    def admit(self) -> dict[str, str]:
        """The headers that tell what is left, or a refusal with 429."""
        knobs, now = self._conditions.knobs, time.monotonic()
        if not knobs.rate_limit:
            return {}
        if now >= self._ends:
            self._ends, self._admitted = now + knobs.rate_window, 0
        headers = {"X-RateLimit-Limit": str(knobs.rate_limit)}
        if self._admitted >= knobs.rate_limit:
            headers["X-RateLimit-Remaining"] = "0"
            if knobs.throttle_retry_after is not None:
                headers["Retry-After"] = f"{knobs.throttle_retry_after:g}"
            raise PlainRefusal(429, "", "Too Many Attempts.", headers=headers)
        self._admitted += 1
        return headers | {"X-RateLimit-Remaining": str(knobs.rate_limit - self._admitted)}


def _no_file() -> PlainRefusal:
    return PlainRefusal(404, "", "No query results for model [File].")


def _page_number(query: Mapping[str, str]) -> int:
    """Laravel takes anything that is no page for the first one."""
    written = query.get("page", "1")
    return max(1, int(written)) if written.isascii() and written.isdigit() else 1


def _formatted(size_bytes: int) -> str:
    size, units = float(size_bytes), ["B", "KB", "MB", "GB", "TB"]
    while size >= 1024 and len(units) > 1:
        size /= 1024
        units.pop(0)
    return f"{size:.2f} {units[0]}"
