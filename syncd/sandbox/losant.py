"""The file API for public and private files: its paths, its checks and its answers.

`server` hands it the requests below `/applications`. What a request does to records is in `library`; contents go to
the storage endpoint, except those of the private upload.
"""

from __future__ import annotations

import hmac
from collections.abc import Container
from typing import Any, cast

from aiohttp import web

from syncd.sandbox.catalog import Catalog
from syncd.sandbox.errors import Refusal, malformed, not_found
from syncd.sandbox.exchange import Exchange, Handler, answer_json
from syncd.sandbox.forms import FormError
from syncd.sandbox.knobs import Conditions
from syncd.sandbox.library import Library
from syncd.sandbox.listing import (
    COMMON_PARAMETERS,
    DEFAULT_URL_TTL_S,
    Query,
    page_document,
    parse_query,
    refuse_unknown,
    whole_number,
)
from syncd.sandbox.records import (
    BUCKET_OF_KIND,
    Kind,
    Record,
    Type,
    clean_directory,
    clean_name,
    segment_name,
    split_path,
)
from syncd.sandbox.s3 import Limits, Signer
from syncd.sandbox.storage import Addresses
from syncd.sandbox.throttle import Throttle

LARGEST_SIZE_BYTES = 5 * 1024**4
DEFAULT_CONTENT_TYPE = "application/octet-stream"
_PATCHABLE = frozenset({"fileSize", "contentType", "fileDimensions"})
_CREATABLE = _PATCHABLE | {"name", "type", "parentDirectory"}
_WITH_TTL = COMMON_PARAMETERS | {"urlTTL"}


class Losant:
    """The site below `/applications`."""

    def __init__(
        self,
        library: Library,
        conditions: Conditions,
        signer: Signer,
        addresses: Addresses,
        *,
        token: str,
        applications: Container[str] | None,
    ) -> None:
        self.token = token
        self._applications = applications
        self._library = library
        self._conditions = conditions
        self._signer = signer
        self._addresses = addresses
        self._throttle = Throttle(conditions)
        self._of_collection: dict[str, tuple[str, Handler]] = {
            "GET": ("list", self._list),
            "POST": ("create", self._create),
        }
        self._of_record: dict[str, tuple[str, Handler]] = {
            "GET": ("get", self._get),
            "PATCH": ("patch", self._patch),
            "DELETE": ("delete", self._delete),
        }
        self._actions: dict[str, tuple[str, Handler]] = {
            "move": ("move", self._move),
            "upload": ("upload", self._upload),
        }

    def find(self, method: str, segments: list[str]) -> tuple[str, Handler] | None:
        """The operation of a path such as `applications/APP/files` or `applications/APP/file/ID/move`."""
        if len(segments) == 3 and segments[2] in ("files", "privateFiles"):
            return self._of_collection.get(method)
        if len(segments) < 4 or segments[2] not in ("file", "privateFiles"):
            return None
        if len(segments) == 4:
            return self._of_record.get(method)
        if len(segments) == 5 and method == "POST" and (segments[4] == "move" or segments[2] == "privateFiles"):
            return self._actions.get(segments[4])
        return None

    async def _list(self, exchange: Exchange) -> web.StreamResponse:
        application, kind = self._enter(exchange)
        query = parse_query(exchange.query, kind, self._conditions.knobs.page_size_ceiling)
        await exchange.strike(query.selection.directory or "/")
        return await exchange.finish(answer_json(200, self._page(query, application, kind)))

    def _page(self, query: Query, application: str, kind: Kind) -> bytes:
        listed_until = self._conditions.now() if self._conditions.knobs.listing_lag else None
        selected = self._library.selections(application, kind).select(query.selection, listed_until)
        start = query.page * query.page_size
        records = selected[start : start + query.page_size]
        if kind == "files" or query.url_ttl_s == 0:
            items = [self._library.encoder.encode(record) for record in records]
        else:
            items = [self._encoded(record, query.url_ttl_s) for record in records]
        exists = self._library.catalog(application, kind).has_directory(query.selection.directory or "/")
        return page_document(query, kind, application, items=items, total=len(selected), parent_exists=exists)

    async def _create(self, exchange: Exchange) -> web.StreamResponse:
        application, kind = self._enter(exchange)
        document = await exchange.document()
        kept_as, path = self._place(document)
        details = _details(document) if kept_as == "file" else {}
        await exchange.strike(path)
        record = self._library.create(application, kind, kept_as, path, details)
        return await exchange.finish(self._with_form(record))

    def _place(self, document: dict[str, Any]) -> tuple[Type, str]:
        """The type and the whole path that the body of a create asks for."""
        _refuse_unknown_keys(document, _CREATABLE)
        rule = self._conditions.knobs.names
        kept_as = document.get("type")
        if kept_as not in ("file", "directory"):
            raise malformed("type must be file or directory")
        directory = clean_directory(_text(document, "parentDirectory", "/"), rule)
        name = clean_name(_text(document, "name", ""), rule)
        if kept_as == "directory" and "/" in name:
            directory, name = split_path(directory + clean_directory(name, rule).strip("/"))
            if not name:
                raise malformed("name must have more than slashes")
        return cast(Type, kept_as), directory + segment_name(name, rule)

    async def _get(self, exchange: Exchange) -> web.StreamResponse:
        record, url_ttl_s = await self._enter_record(exchange, lingering=True)
        return await exchange.finish(answer_json(200, self._encoded(record, url_ttl_s)))

    async def _patch(self, exchange: Exchange) -> web.StreamResponse:
        document = await exchange.document()
        record, _ = await self._enter_record(exchange)
        _refuse_unknown_keys(document, _PATCHABLE)
        if record.type == "directory":
            raise malformed("a directory has no content")
        self._library.patch(record, _details(document))
        return await exchange.finish(self._with_form(record))

    async def _move(self, exchange: Exchange) -> web.StreamResponse:
        record, url_ttl_s = await self._enter_record(exchange, "name", "parentDirectory")
        rule = self._conditions.knobs.names
        name, directory = exchange.query.get("name"), exchange.query.get("parentDirectory")
        if not name and not directory:
            raise malformed("name or parentDirectory is required")
        directory = clean_directory(directory, rule) if directory else record.directory
        path = directory + (segment_name(name, rule) if name else record.name)
        new = self._library.move(record, path)
        return await exchange.finish(answer_json(201, self._encoded(new, url_ttl_s)))

    async def _delete(self, exchange: Exchange) -> web.StreamResponse:
        record, _ = await self._enter_record(exchange)
        self._library.delete(record)
        return await exchange.finish(answer_json(200, b'{"success":true}'))

    async def _upload(self, exchange: Exchange) -> web.StreamResponse:
        record, url_ttl_s = await self._enter_record(exchange)
        if record.type == "directory":
            raise malformed("a directory has no content")
        try:
            form = await exchange.form("privateFile")
            if form is None or not (await form.fields())[1]:
                raise malformed("a form with a part privateFile is required")
            content = await self._library.contents.receive(form.pieces())
        except FormError as error:
            raise malformed(str(error)) from None
        if record.lingers:
            self._library.contents.drop(content)
            raise not_found("File")
        self._library.uploaded(record, content)
        return await exchange.finish(answer_json(200, self._encoded(record, url_ttl_s)))

    def _enter(self, exchange: Exchange) -> tuple[str, Kind]:
        """Admit a request: its token, its rate and its application."""
        sent = exchange.request.headers.get("Authorization", "")
        if not hmac.compare_digest(sent.encode(errors="replace"), f"Bearer {self.token}".encode()):
            raise Refusal(401, "Unauthorized", "The token is missing or not valid")
        self._throttle.admit()
        application = exchange.segments[1]
        if self._applications is not None and application not in self._applications:
            raise not_found("Application")
        return application, "files" if exchange.segments[2] in ("files", "file") else "privateFiles"

    async def _enter_record(self, exchange: Exchange, *parameters: str, lingering: bool = False) -> tuple[Record, int]:
        """Admit a request on one record; what only lingers can be seen and no more."""
        application, kind = self._enter(exchange)
        refuse_unknown(exchange.query, _WITH_TTL | set(parameters))
        url_ttl_s = whole_number(exchange.query, "urlTTL", DEFAULT_URL_TTL_S)
        catalog = self._library.catalog(application, kind)
        await exchange.strike(_path(catalog, exchange.segments[3]))
        record = catalog.by_id.get(exchange.segments[3])
        if record is None or (record.lingers and not lingering):
            raise not_found("File")
        return record, url_ttl_s

    def _encoded(self, record: Record, url_ttl_s: int) -> bytes:
        if self._conditions.knobs.content_url is not None and record.content is not None:
            return self._library.encoder.encode_with(record, url=self._conditions.knobs.content_url)
        if record.kind == "files" or record.content is None or url_ttl_s == 0:
            return self._library.encoder.encode(record)
        return self._library.encoder.encode_with(record, url=self._addresses.private(record, url_ttl_s))

    def _with_form(self, record: Record) -> web.Response:
        knobs = self._conditions.knobs
        if record.type == "directory" or (record.kind == "privateFiles" and not knobs.form_for_private):
            return answer_json(201, self._library.encoder.encode(record))
        bucket = BUCKET_OF_KIND[record.kind]
        fields = self._signer.form_fields(
            bucket=bucket,
            key=record.key,
            content_type=record.content_type or DEFAULT_CONTENT_TYPE,
            now=self._conditions.now(),
            ttl_s=knobs.policy_ttl,
            limits=self._limits(record),
        )
        upload = {"url": knobs.upload_url or self._addresses.bucket(bucket), "fields": fields}
        return answer_json(201, self._library.encoder.encode_with(record, upload=upload))

    def _limits(self, record: Record) -> Limits:
        limits = self._conditions.knobs.content_length_range
        if limits == "exact":
            return None if record.size_bytes is None else (record.size_bytes, record.size_bytes)
        return limits


def _path(catalog: Catalog, record_id: str) -> str:
    record = catalog.by_id.get(record_id)
    return record.path if record else ""


def _refuse_unknown_keys(document: dict[str, Any], known: frozenset[str]) -> None:
    for key in document:
        if key not in known:
            raise malformed(f"{key} is not allowed")


def _text(document: dict[str, Any], key: str, default: str) -> str:
    value = document.get(key, default)
    if not isinstance(value, str):
        raise malformed(f"{key} must be a string")
    return value


def _details(document: dict[str, Any]) -> dict[str, Any]:
    """What a body says of a content, by the names of the record's attributes."""
    details: dict[str, Any] = {}
    if "fileSize" in document:
        details["size_bytes"] = _size(document["fileSize"])
    if "contentType" in document:
        details["content_type"] = _text(document, "contentType", "")
    if "fileDimensions" in document:
        details["dimensions"] = _dimensions(document["fileDimensions"])
    return details


def _size(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= LARGEST_SIZE_BYTES:
        raise malformed("fileSize must be a whole number of bytes")
    return value


def _dimensions(value: object) -> dict[str, Any]:
    if not isinstance(value, dict) or set(value) != {"width", "height"}:
        raise malformed("fileDimensions must have width and height")
    if not all(isinstance(length, int | float) and not isinstance(length, bool) for length in value.values()):
        raise malformed("width and height must be numbers")
    return value
