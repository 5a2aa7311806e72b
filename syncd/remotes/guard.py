"""Which hosts contents may go to and come from: an answer of the API must not make syncd talk to machines inside the
network.

Asked by `uploads` and `downloads` before anything is sent, and by the connector of the storage session for every
address that a name resolves to, so that a name cannot be rebound between the check and the connection.
"""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv6Address, ip_address

from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from syncd.errors import Rejected

Address = IPv4Address | IPv6Address


class StorageGuard:
    """Link-local addresses are refused always; loopback, private and other special ones unless the API itself is at
    such an address. `api_resolver` learns that from the API's own name."""

    def __init__(self, api: URL) -> None:
        self._secure = api.scheme == "https"
        own = _address(api.host or "")
        self._inside = own is not None and _is_inside(own)
        self._good: tuple[str, URL] | None = None

    def check(self, text: str) -> URL:
        """The URL to send a content to or to have it from. Raises Rejected. All of a remote's files go to the same one
        as a rule, so the last good one is remembered."""
        if self._good is None or self._good[0] != text:
            self._good = text, self._checked(text)
        return self._good[1]

    def _checked(self, text: str) -> URL:
        try:
            url = URL(text)
        except ValueError:
            raise Rejected("the storage URL is none") from None
        literal = _address(url.host or "")
        number = literal is None and (url.host or "").replace(".", "").isdigit()  # an address in disguise
        if not url.host or number or url.scheme not in ("http", "https"):
            raise Rejected(f"the storage URL is none: {url.scheme}://{url.host or ''}")
        if self._secure and url.scheme != "https":
            raise Rejected(f"the storage URL at {url.host} is not https, but the API is")
        if url.user is not None or url.password is not None:
            raise Rejected(f"the storage URL at {url.host} holds credentials")
        if literal is not None:
            self.admit(url.host, literal)
        return url

    def admit(self, host: str, address: Address) -> None:
        """Raises Rejected if nothing may be sent to `address`."""
        if address.is_link_local or (_is_inside(address) and not self._inside):
            raise Rejected(f"the storage URL leads to {host} ({address}), an address inside the network")

    def learn(self, address: Address) -> None:
        """The API's own name resolved to `address`."""
        self._inside = self._inside or _is_inside(address)


class ApiResolver(AbstractResolver):
    """Tells the guard where the API is."""

    def __init__(self, inner: AbstractResolver, guard: StorageGuard) -> None:
        self._inner = inner
        self._guard = guard

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._inner.resolve(host, port, family)
        for address in _addresses(found):
            self._guard.learn(address)
        return found

    async def close(self) -> None:
        await self._inner.close()


class StorageResolver(AbstractResolver):
    """Gives out only addresses that the guard admits; the connection is made to just those."""

    def __init__(self, inner: AbstractResolver, guard: StorageGuard) -> None:
        self._inner = inner
        self._guard = guard

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._inner.resolve(host, port, family)
        for address in _addresses(found):
            self._guard.admit(host, address)
        return found

    async def close(self) -> None:
        await self._inner.close()


def is_loopback(host: str) -> bool:
    """Whether a host of a URL is this machine."""
    address = _address(host)
    return host == "localhost" if address is None else address.is_loopback


def _addresses(found: list[ResolveResult]) -> list[Address]:
    return [address for result in found if (address := _address(result["host"])) is not None]


def _address(host: str) -> Address | None:
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def _is_inside(address: Address) -> bool:
    return not address.is_global or address.is_multicast or address.is_unspecified
