"""What the daemon shows over HTTP on `status.listen`: probes, metrics, status, and a page for people.

Made by `app` around the running daemon. Reads only: nothing can be changed here, and no other site's page may read it.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import ipaddress
import logging
import re
import socket
from collections.abc import Awaitable, Callable
from importlib.resources import files
from types import TracebackType
from typing import Self

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from syncd.errors import ConfigurationError
from syncd.ports import Daemon
from syncd.telemetry.counts import Counts
from syncd.telemetry.metrics import Metrics
from syncd.telemetry.overview import state_line, status_data

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_SHUTDOWN_TIMEOUT_S = 0.5
_KEEPALIVE_S = 30.0
_HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class StatusServer:
    """Serves while entered, on `listen` (`ADDRESS:PORT`, `[ADDRESS]:PORT`, or `:PORT` for every address, as `[::]`).

    Entering raises ConfigurationError if that address cannot be listened on. `url` is where it can be reached.
    """

    def __init__(self, listen: str, daemon: Daemon, counts: Counts) -> None:
        self.url = ""
        self._listen = listen
        self._daemon = daemon
        self._metrics = Metrics(daemon, counts)
        self._page, self._policy = _page()
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        try:
            listener = _listener(self._listen)
        except (OSError, UnicodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "no such host"
            message = f"status.listen = {self._listen!r}: cannot be listened on: {reason}"
            raise ConfigurationError(message) from error
        host, port = listener.getsockname()[:2]
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        self._runner = web.AppRunner(
            self._application(private=ipaddress.ip_address(host).is_loopback),
            access_log=None,
            logger=_faults_of_ours(),
            keepalive_timeout=_KEEPALIVE_S,
            shutdown_timeout=_SHUTDOWN_TIMEOUT_S,
        )
        await self._runner.setup()
        await web.SockSite(self._runner, listener).start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    def _application(self, *, private: bool) -> web.Application:
        application = web.Application(middlewares=[_only_by_address] if private else [])
        application.on_response_prepare.append(_harden)
        application.router.add_get("/", self._show_page)
        application.router.add_get("/livez", self._livez)
        application.router.add_get("/readyz", self._readyz)
        application.router.add_get("/metrics", self._show_metrics)
        application.router.add_get("/api/status", self._show_status)
        return application

    async def _livez(self, _request: web.Request) -> web.Response:
        alive = self._daemon.is_alive()
        text = "alive\n" if alive else "not alive: the loops make no progress\n"
        return web.Response(text=text, status=200 if alive else 503)

    async def _readyz(self, _request: web.Request) -> web.Response:
        if self._daemon.is_ready():
            return web.Response(text="ready\n")
        return web.Response(text=f"not ready: {state_line(self._daemon.status())}\n", status=503)

    async def _show_metrics(self, request: web.Request) -> web.Response:
        body, content_type = self._metrics.text(request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": content_type})

    async def _show_status(self, _request: web.Request) -> web.Response:
        return web.json_response(status_data(self._daemon.status()))

    async def _show_page(self, _request: web.Request) -> web.Response:
        policy = {"Content-Security-Policy": self._policy}
        return web.Response(text=self._page, content_type="text/html", headers=policy)


@web.middleware
async def _only_by_address(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Against DNS rebinding: a server for this machine alone answers to no name that somebody else's DNS could point
    at it. (One that listens to the network is published by that, and has names that only its owner knows.)"""
    host = request.headers.get("Host", "")
    if host and not _is_address(host):
        return web.Response(status=403, text="use this server's IP address or localhost as its name\n")
    return await handler(request)


def _is_address(host: str) -> bool:
    name = re.sub(r":\d*$", "", host).lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    with contextlib.suppress(ValueError):
        return bool(ipaddress.ip_address(name.strip("[]")))
    return False


def _faults_of_ours() -> logging.Logger:
    """Where aiohttp tells of exceptions: without those for requests that are no HTTP, or anybody could fill the log."""
    logger = logging.Logger("syncd.status", logging.WARNING)
    logger.addFilter(lambda record: not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError)))
    return logger


async def _harden(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(_HEADERS)
    response.headers.pop("Server", None)


def _listener(listen: str) -> socket.socket:
    """A listening socket; without an address, or with `[::]`, for both kinds of addresses where the machine has both.
    Raises OSError."""
    host, _, port = listen.rpartition(":")
    host = host.strip("[]")
    if host in ("", "::") and socket.has_dualstack_ipv6():
        with contextlib.suppress(OSError):
            return socket.create_server(("::", int(port)), family=socket.AF_INET6, dualstack_ipv6=True)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, int(port)), family=family)


def _page() -> tuple[str, str]:
    """The page and the policy that lets nothing run in it, or be fetched by it, but what is its own
    (https://www.w3.org/TR/CSP3/: hashes of inline blocks)."""
    page = files("syncd.telemetry").joinpath("page.html").read_text("utf-8")
    hashes = {tag: _hash(page.partition(f"<{tag}>")[2].partition(f"</{tag}>")[0]) for tag in ("script", "style")}
    policy = (
        f"default-src 'none'; script-src '{hashes['script']}'; style-src '{hashes['style']}'; connect-src 'self'; "
        "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return page, policy


def _hash(block: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(block.encode()).digest()).decode()}"
