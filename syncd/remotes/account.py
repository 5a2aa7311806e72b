"""One configured account: its connections, limits, credentials and health, shared by the jobs that use it.

Made by `app`, once for each remote; gives every job a transport of its own. Closes the connections it opened.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self
from urllib.request import getproxies_environment, proxy_bypass

import aiohttp
from yarl import URL

from syncd import __version__
from syncd.core.retry import Patience, RetryBudget
from syncd.remotes.guard import ApiResolver, StorageGuard, StorageResolver, is_loopback
from syncd.remotes.http import Wire, never_twice
from syncd.remotes.limits import Clock, Limiter, Sleep
from syncd.remotes.transport import Credentials, Limited, Observed, Pulse, Retrying, Shared, Traffic

KEEP_ALIVE_S = 4.0
"""Below the 5 s after which Node's server closes an idle connection: a POST must not be sent into that close, since
whether it was executed would have to be looked up."""


class Account:
    """To be made inside a running event loop and closed with `aclose` (or used as a context).

    `name` is what messages call the remote. `token` is called now, and again when the API refuses what it gave.
    `requests_per_second` 0 means no limit but what the remote shows.
    """

    def __init__(
        self,
        *,
        name: str,
        api_url: str,
        token: Callable[[], str],
        requests_per_second: float = 0.0,
        max_connections: int = 32,
        patience: Patience | None = None,
        clock: Clock = time.monotonic,
        sleep: Sleep = asyncio.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.name = name
        self.api = URL(api_url.rstrip("/"))
        self.patience = patience or Patience()
        self.guard = StorageGuard(self.api)
        limiter = Limiter(
            max_connections=max_connections,
            requests_per_second=requests_per_second,
            window_s=self.patience.rate_window_s,
            clock=clock,
            sleep=sleep,
        )
        self._shared = Shared(
            name=name,
            patience=self.patience,
            limiter=limiter,
            pulse=Pulse(),
            budget=RetryBudget(cap_s=self.patience.backoff_cap_s),
            credentials=Credentials(token),
            clock=clock,
            chance=chance,
        )
        plain = aiohttp.ThreadedResolver
        self._sessions = [
            self._session(ApiResolver(plain(), self.guard)),
            self._session(StorageResolver(plain(), self.guard)),
        ]
        proxies = Proxies()
        self._api_wire, self._upload_wire = (
            Wire(session, patience=self.patience, proxy_of=proxies.of) for session in self._sessions
        )

    def transport(self, *, traffic: Traffic, sleep: Sleep) -> Retrying:
        """One job's way to the remote; `sleep` is how it waits before a retry."""
        limited = Limited(
            api=self._api_wire,
            uploads=self._upload_wire,
            limiter=self._shared.limiter,
            credentials=self._shared.credentials,
            owner=id(traffic),
        )
        return Retrying(Observed(limited, traffic), self._shared, traffic=traffic, sleep=sleep)

    async def aclose(self) -> None:
        for session in self._sessions:
            await session.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def _session(self, resolver: ApiResolver | StorageResolver) -> aiohttp.ClientSession:
        """The limiter bounds the connections. The total time of a transfer is not bounded, standing still is."""
        patience = self.patience
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(resolver=resolver, limit=0, keepalive_timeout=KEEP_ALIVE_S),
            middlewares=(never_twice,),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": f"syncd/{__version__}"},
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=patience.connect_s, sock_read=patience.stall_s),
        )


class Proxies:
    """HTTPS_PROXY, HTTP_PROXY and NO_PROXY, looked up once for each host.

    Not aiohttp's `trust_env`: that costs two thread hops for every request, and lets a .netrc entry for the API's host
    collide with the token. This machine itself is never reached through a proxy.
    """

    def __init__(self) -> None:
        self._proxies = getproxies_environment()
        self._known: dict[tuple[str, str], URL | None] = {}

    def of(self, url: URL) -> URL | None:
        if not self._proxies:
            return None
        key = (url.scheme, url.host or "")
        if key not in self._known:
            self._known[key] = self._look_up(*key)
        return self._known[key]

    def _look_up(self, scheme: str, host: str) -> URL | None:
        proxy = self._proxies.get(scheme)
        if not proxy or is_loopback(host) or proxy_bypass(host, self._proxies):
            return None
        return URL(proxy if "://" in proxy else f"http://{proxy}")
