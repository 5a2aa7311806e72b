"""The object storage beside the file API: upload forms in, contents out.

`server` hands it the requests below `/storage/BUCKET`. It answers as S3 does, XML errors included, takes no API
token, and tells `library` of every upload that has ended well.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from urllib.parse import quote, unquote

from aiohttp import web

from syncd.sandbox.contents import LARGEST_SMALL_BYTES, Contents
from syncd.sandbox.errors import StorageRefusal
from syncd.sandbox.exchange import Exchange, Handler
from syncd.sandbox.forms import FieldsTooLong, FormError, FormReader
from syncd.sandbox.knobs import Conditions
from syncd.sandbox.library import Library
from syncd.sandbox.records import BUCKET_OF_KIND, BUCKETS, Record, quoted_key
from syncd.sandbox.s3 import Limits, Signer
from syncd.sandbox.traffic import RequestLog

LARGEST_UPLOAD_BYTES = 5 * 1024**3


class Addresses:
    """Where buckets and objects are found from outside."""

    def __init__(self, storage_url: str, signer: Signer, conditions: Conditions) -> None:
        self._storage_url = storage_url
        self._signer = signer
        self._conditions = conditions

    def bucket(self, bucket: str) -> str:
        """The address that takes the upload forms of a bucket."""
        return f"{self._storage_url}/{bucket}"

    def private(self, record: Record, ttl_s: int) -> str:
        """The address of a private object, good for some time."""
        bucket = BUCKET_OF_KIND[record.kind]
        now = self._conditions.now()
        query = self._signer.address_query(bucket=bucket, key=record.key, now=now, ttl_s=ttl_s)
        return f"{self._storage_url}/{bucket}/{quoted_key(record.key)}?{query}"


class Storage:
    """The site below `/storage`."""

    def __init__(
        self,
        library: Library,
        contents: Contents,
        signer: Signer,
        addresses: Addresses,
        conditions: Conditions,
        log: RequestLog,
    ) -> None:
        self._library = library
        self._contents = contents
        self._signer = signer
        self._addresses = addresses
        self._conditions = conditions
        self._log = log

    def find(self, method: str, segments: list[str]) -> tuple[str, Handler] | None:
        """The operation of a path: `storage/BUCKET` takes forms, `storage/BUCKET/KEY` gives contents."""
        if method == "POST" and (len(segments) == 2 or segments[2:] == [""]):
            return "form", self._form
        if method in ("GET", "HEAD") and len(segments) > 2:
            return "content", self._content
        return None

    async def _form(self, exchange: Exchange) -> web.StreamResponse:
        self._check_headers(exchange)
        bucket = exchange.segments[1]
        if bucket not in BUCKETS:
            raise StorageRefusal(404, "NoSuchBucket", "The specified bucket does not exist")
        try:
            return await self._take_form(exchange, bucket)
        except FieldsTooLong:
            message = "Your POST request fields preceding the upload file were too large."
            raise StorageRefusal(400, "MaxPostPreDataLengthExceededError", message) from None
        except FormError as error:
            raise StorageRefusal(400, "MalformedPOSTRequest", f"The form is malformed: {error}.") from None

    def _check_headers(self, exchange: Exchange) -> None:
        headers = exchange.request.headers
        if "Authorization" in headers:
            self._log.leaked_authorizations += 1
            raise StorageRefusal(400, "InvalidArgument", "Only one auth mechanism allowed")
        if "Content-Length" not in headers:
            raise StorageRefusal(411, "MissingContentLength", "You must provide the Content-Length HTTP header.")
        if int(headers["Content-Length"]) > LARGEST_UPLOAD_BYTES:
            raise StorageRefusal(400, "EntityTooLarge", "Your proposed upload exceeds the maximum allowed size")

    async def _take_form(self, exchange: Exchange, bucket: str) -> web.StreamResponse:
        form = await exchange.form("file")
        if form is None:
            raise StorageRefusal(412, "PreconditionFailed", "Bucket POST must be multipart/form-data")
        fields, has_file = await form.fields()
        values = _by_name(fields)
        limits = self._signer.check_form(values, bucket=bucket, now=self._conditions.now())
        if not has_file:
            raise StorageRefusal(400, "InvalidArgument", "POST requires exactly one file upload per request.")
        key = values["key"]
        await exchange.strike(key[key.find("/") :])
        md5 = await self._take_content(form, bucket, key, limits)
        location = f"{self._addresses.bucket(bucket)}/{quote(key, safe='')}"
        return await exchange.finish(web.Response(status=204, headers={"ETag": f'"{md5}"', "Location": location}))

    async def _take_content(self, form: FormReader, bucket: str, key: str, limits: Limits) -> str:
        """Store the content of a form; what no record claims any more is let go."""
        content = await self._contents.receive(_limited(form.pieces(), limits))
        record = self._record(bucket, key)
        if record is None:
            self._contents.drop(content)
        else:
            self._library.uploaded(record, content)
        return content.md5

    async def _content(self, exchange: Exchange) -> web.StreamResponse:
        if "Authorization" in exchange.request.headers:
            self._log.leaked_authorizations += 1
            raise StorageRefusal(400, "InvalidArgument", "Unsupported Authorization Type")
        bucket, key = exchange.segments[1], unquote("/".join(exchange.segments[2:]))
        if BUCKETS.get(bucket) == "privateFiles":
            self._signer.check_address(exchange.query, bucket=bucket, key=key, now=self._conditions.now())
        await exchange.strike(key[key.find("/") :])
        record = self._record(bucket, key)
        if record is None or record.content is None:
            raise StorageRefusal(404, "NoSuchKey", "The specified key does not exist.")
        return await self._send(exchange, record)

    async def _send(self, exchange: Exchange, record: Record) -> web.StreamResponse:
        content = record.content
        assert content is not None
        headers = {"ETag": f'"{content.md5}"', "Content-Type": record.content_type or "binary/octet-stream"}
        if exchange.request.method == "HEAD" or content.size_bytes == 0:
            return web.Response(headers={**headers, "Content-Length": str(content.size_bytes)})
        if content.size_bytes <= LARGEST_SMALL_BYTES or exchange.struck:
            return await exchange.finish(web.Response(body=self._contents.read(content), headers=headers))
        answer = web.StreamResponse(headers=headers)
        answer.content_length = content.size_bytes
        await exchange.hold_back()
        await answer.prepare(exchange.request)
        async for portion in self._contents.portions(content):
            await answer.write(portion)
        await answer.write_eof()
        return answer

    def _record(self, bucket: str, key: str) -> Record | None:
        kind = BUCKETS.get(bucket)
        return self._library.with_key(kind, key) if kind else None


def _by_name(fields: list[tuple[str, str]]) -> Mapping[str, str]:
    values: dict[str, str] = {}
    for name, value in fields:
        if name.lower() in values:
            raise StorageRefusal(400, "InvalidArgument", f"POST requires exactly one {name}.")
        values[name.lower()] = value
    return values


async def _limited(pieces: AsyncIterator[bytes], limits: Limits) -> AsyncIterator[bytes]:
    low, high = limits or (0, LARGEST_UPLOAD_BYTES)
    size_bytes = 0
    async for piece in pieces:
        size_bytes += len(piece)
        if size_bytes > high:
            raise StorageRefusal(400, "EntityTooLarge", "Your proposed upload exceeds the maximum allowed size")
        yield piece
    if size_bytes < low:
        raise StorageRefusal(400, "EntityTooSmall", "Your proposed upload is smaller than the minimum allowed size")
