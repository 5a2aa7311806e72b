"""One request on its way through the sandbox: its operation, its body, the fault that strikes it, its answer.

`server` makes one per request; the handlers of the two sites read from it. No rule of an API is here.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

import msgspec
from aiohttp import web

from syncd.sandbox.errors import ConnectionDropped, RawRefusal, Refusal, StorageRefusal, malformed
from syncd.sandbox.faults import Fault
from syncd.sandbox.forms import FormReader, boundary_of
from syncd.sandbox.knobs import Conditions

HANG_CHECK_S = 0.02
TIMER_GRAIN_S = 0.001
"""What epoll counts in, and asyncio rounds up to."""
LARGEST_DOCUMENT_BYTES = 1024 * 1024
JSON = "application/json; charset=utf-8"
STORAGE_OPERATIONS = frozenset({"form", "content"})


class Exchange:
    """A request and what is known about it."""

    def __init__(self, request: web.BaseRequest, operation: str, segments: list[str], conditions: Conditions) -> None:
        self.request = request
        self.operation = operation
        self.segments = segments
        self._conditions = conditions
        self._fault: Fault | None = None
        self._due_s = time.monotonic() + conditions.latency()

    @property
    def query(self) -> Mapping[str, str]:
        """The parameters of the address."""
        return self.request.query

    @property
    def struck(self) -> bool:
        """Whether a fault strikes this request."""
        return self._fault is not None

    async def document(self) -> dict[str, Any]:
        """The JSON object of the body.

        Raises:
            Refusal: 400 or 413, it is none.
        """
        stream, parts, length = self.request.content, [], 0
        while part := await stream.readany():
            parts.append(part)
            length += len(part)
            if length > LARGEST_DOCUMENT_BYTES:
                raise Refusal(413, "PayloadTooLarge", "the request body is too large")
        try:
            document = msgspec.json.decode(b"".join(parts))
        except msgspec.DecodeError:
            raise malformed("the request body is not valid JSON") from None
        if not isinstance(document, dict):
            raise malformed("the request body must be an object")
        return document

    async def form(self, file_field: str) -> FormReader | None:
        """The form of the body, or None where the body is of another type."""
        boundary = boundary_of(self.request.headers.get("Content-Type", ""))
        if boundary is None:
            return None
        await self.go_on()
        return FormReader(self.request.content, boundary, file_field=file_field)

    async def go_on(self) -> None:
        """Tell a client that waits for it that its body is wanted."""
        if self.request.headers.get("Expect", "").lower() == "100-continue":
            await self.request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.request.writer.output_size = 0

    async def hold_back(self) -> None:
        """Return when the latency of this request has passed since its arrival."""
        wait_s = self._due_s - time.monotonic() - TIMER_GRAIN_S / 2
        if wait_s > 0:
            await asyncio.sleep(wait_s)

    async def strike(self, path: str) -> None:
        """Let a fault strike, now that the request's path is known and before it has an effect."""
        self._fault = fault = self._conditions.faults.draw(self.operation, path)
        if fault is None or not fault.strikes_before:
            return
        if fault.kind == "hang":
            await self._hang(fault.seconds)
        elif fault.kind == "reset_before":
            raise ConnectionDropped
        else:
            raise self._refusal(fault)

    async def finish(self, answer: web.Response) -> web.StreamResponse:
        """The answer as it leaves, after what a fault does to it."""
        fault = self._fault
        if fault is None or fault.strikes_before:
            return answer
        if fault.kind == "hang":
            await self._hang(fault.seconds)
        elif fault.kind == "status":
            return refuse(self._refusal(fault))
        elif fault.kind == "reset_after":
            raise ConnectionDropped
        elif fault.kind == "truncated":
            await self._send_half(answer)
        else:
            return _spoilt(answer, fault)
        return answer

    def drop(self) -> None:
        """End the connection with a reset."""
        transport = self.request.transport
        if transport is not None:
            connection = transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            transport.abort()

    async def _hang(self, seconds: float) -> None:
        """Do nothing for a time, or until the client gives up: then nothing more comes of the request."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if self.request.transport is None:
                raise ConnectionDropped
            await asyncio.sleep(min(left, HANG_CHECK_S))

    async def _send_half(self, answer: web.Response) -> None:
        body = _body(answer)
        half = web.StreamResponse(status=answer.status, headers={"Content-Type": answer.headers["Content-Type"]})
        half.content_length = len(body)
        await self.hold_back()
        await half.prepare(self.request)
        await half.write(body[: len(body) // 2])
        if self.request.transport is not None:
            self.request.transport.close()
        raise ConnectionDropped

    def _refusal(self, fault: Fault) -> Refusal:
        headers = {} if fault.retry_after is None else {"Retry-After": f"{fault.retry_after:g}"}
        if fault.body is not None:
            return RawRefusal(fault.status, "", fault.body, headers=headers)
        if self.operation in STORAGE_OPERATIONS:
            code = "SlowDown" if fault.status == 503 else "InternalError"
            return StorageRefusal(fault.status, code, "A fault was asked for.", headers=headers)
        return Refusal(fault.status, "Fault", "a fault was asked for", headers=headers)


Handler = Callable[[Exchange], Awaitable[web.StreamResponse]]


class Site(Protocol):
    """One of the APIs that the sandbox serves, each under its own first path segment."""

    def find(self, method: str, segments: list[str]) -> tuple[str, Handler] | None:
        """The operation that a method and path mean and its handler, or None."""


def answer_json(status: int, body: bytes) -> web.Response:
    """An answer with a JSON body that is encoded already."""
    return web.Response(status=status, body=body, headers={"Content-Type": JSON})


def refuse(refusal: Refusal) -> web.Response:
    """The answer that a refusal stands for."""
    headers = {"Content-Type": refusal.content_type, **refusal.headers}
    return web.Response(status=refusal.status, body=refusal.body(), headers=headers)


def _body(answer: web.Response) -> bytes:
    return answer.body if isinstance(answer.body, bytes) else b""


def _spoilt(answer: web.Response, fault: Fault) -> web.Response:
    body = _body(answer)
    spoilt = body[: len(body) // 2] if fault.kind == "partial" else b"<html><body>It works!</body></html>"
    return web.Response(status=answer.status, body=spoilt, headers={"Content-Type": answer.headers["Content-Type"]})
