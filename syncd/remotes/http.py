"""One HTTP request and its answer: what goes on the wire, within bounds, and what its failures mean.

Called by `transport`, which adds limits and retries. Never repeats a request, follows no redirect (a token must not),
keeps no cookies, and gives the API's headers to no other host.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Generic, NamedTuple, Protocol, TypeVar

import aiohttp
from aiohttp.payload import Payload
from multidict import CIMultiDictProxy
from yarl import URL

from syncd.core.retry import Patience, retry_after_s
from syncd.errors import LocalError, Rejected, RemoteDead, Transient
from syncd.ports import Before, Receiver

T = TypeVar("T")

MAX_ANSWER_BYTES = 64 * 2**20
"""A page of 1000 records with names and directories of 1024 characters is a tenth of this."""

NEVER_SENT = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.ClientHttpProxyError)
"""No connection, no request: it certainly did not take effect."""


async def never_twice(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """A middleware that keeps aiohttp from sending a request again by itself when its connection was cut: what is
    sent again is decided, delayed and counted here."""
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise aiohttp.ClientConnectionError(str(error)) from error


class Failed(Transient):
    """One request failed in a way that may pass. `uncertain`: it may have taken effect all the same. `throttled`: there
    were too many requests, and nothing was wrong with this one."""

    def __init__(self, message: str, *, uncertain: bool, retry_after_s: float = 0.0, throttled: bool = False) -> None:
        super().__init__(message)
        self.uncertain = uncertain
        self.retry_after_s = retry_after_s
        self.throttled = throttled


class Refused(Rejected):
    """The remote answered that it will not do this; its status and code tell the caller more."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{status} {code}: {message}" if message else f"{status} {code}")
        self.status = status
        self.code = code
        self.said = message


class Answer(NamedTuple):
    status: int
    headers: CIMultiDictProxy[str]
    body: bytes
    reason: str

    def retry_after_s(self) -> float:
        """The seconds that a Retry-After header asks for, else 0."""
        value = self.headers.get("Retry-After")
        if value is None:
            return 0.0
        return retry_after_s(value, date=self.headers.get("Date"), now=datetime.now(UTC))


class Streamed(Protocol):
    """A body too long to be held in memory or handed over at once."""

    failure: LocalError | None
    """What reading the file raised, if it was that which ended the request."""

    def payload(self, progressed: Callable[[], None]) -> Payload:
        """The body from its start, for one attempt; calls `progressed` whenever a piece was read or sent."""
        ...


@dataclass(frozen=True, slots=True)
class Request(Generic[T]):
    """What to ask, as data.

    `repeatable`: asked again after it may have happened, it changes nothing more. `decode` turns an answer of the
    2xx kind into what the caller wants and raises ValueError on what it cannot understand. `foreign`: goes to the
    storage host, without the API's headers. `into`: where the body of an answer of the 2xx kind goes, piece by piece,
    instead of into the answer. `before` is awaited when its turn has come; what it raises keeps it from being sent.
    """

    operation: str
    method: str
    url: URL
    decode: Callable[[Answer], T]
    body: bytes | Streamed | None = None
    headers: Mapping[str, str] | None = None
    repeatable: bool = True
    foreign: bool = False
    into: Receiver | None = None
    before: Before | None = None


class Wire:
    """Sends requests over one session. `proxy_of` names the proxy for a URL, None for a direct connection."""

    def __init__(
        self, session: aiohttp.ClientSession, *, patience: Patience, proxy_of: Callable[[URL], URL | None]
    ) -> None:
        self._session = session
        self._stall_s = patience.stall_s
        self._proxy_of = proxy_of

    async def send(self, request: Request[T], headers: Mapping[str, str]) -> Answer:
        """Returns the answer whatever its status. Raises Failed, RemoteDead (the certificate is not good), and what
        reading the body's file raised: SourceChanged, Unreadable."""
        body = request.body
        try:
            if body is None or isinstance(body, bytes):
                return await self._exchange(request, headers, body)
            return await self._stream(request, headers, body)
        except aiohttp.ClientConnectorCertificateError as error:
            raise RemoteDead(f"no secure connection to {request.url.host}: {_words(error)}") from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            uncertain = not isinstance(error, NEVER_SENT)
            raise Failed(f"{request.url.host}: {_words(error)}", uncertain=uncertain) from error

    async def _stream(self, request: Request[T], headers: Mapping[str, str], body: Streamed) -> Answer:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._stall_s) as watch:

                def progressed() -> None:
                    if not watch.expired():
                        watch.reschedule(loop.time() + self._stall_s)

                return await self._exchange(request, headers, body.payload(progressed))
        except (aiohttp.ClientError, TimeoutError, OSError):
            if body.failure is not None:
                raise body.failure from None
            raise

    async def _exchange(self, request: Request[T], headers: Mapping[str, str], body: bytes | Payload | None) -> Answer:
        response = await self._session.request(
            request.method,
            request.url,
            data=body,
            headers=headers,
            allow_redirects=False,
            proxy=self._proxy_of(request.url),
        )
        try:
            if request.into is not None and 200 <= response.status < 300:
                content = await _handed_on(response, request.into)
            else:
                content = await _bounded(response)
        except BaseException:
            response.close()
            raise
        if response.status >= 400 and isinstance(body, Payload):
            response.close()  # it may not have read the body to its end, and would be waited for
        else:
            response.release()
        return Answer(response.status, response.headers, content, response.reason or "")


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    """The body, unless it is longer than any real answer: a small one may decompress to gigabytes."""
    pieces: list[bytes] = []
    size_bytes = 0
    async for piece in response.content.iter_any():
        pieces.append(piece)
        size_bytes += len(piece)
        if size_bytes > MAX_ANSWER_BYTES:
            raise Failed(f"{response.url.host} answered with more than {MAX_ANSWER_BYTES} bytes", uncertain=True)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


async def _handed_on(response: aiohttp.ClientResponse, into: Receiver) -> bytes:
    await into.begin()
    async for piece in response.content.iter_any():
        await into.write(piece)
    return b""


def _words(error: BaseException) -> str:
    """What went wrong, for a person; some of these exceptions say nothing by themselves."""
    if isinstance(error, TimeoutError):
        return "timed out"
    return str(error) or type(error).__name__
