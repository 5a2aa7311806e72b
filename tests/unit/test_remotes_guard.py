"""Which hosts an upload may go to."""

from __future__ import annotations

import socket

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from syncd.core.retry import Patience
from syncd.errors import Rejected
from syncd.remotes import Account, Losant, Traffic
from syncd.remotes.account import Proxies
from syncd.remotes.guard import ApiResolver, StorageGuard, StorageResolver
from tests.remote_support import Bytes

PUBLIC = StorageGuard(URL("https://api.losant.com"))


@pytest.mark.parametrize("url", ["https://s3.amazonaws.com/bucket", "https://1.1.1.1/", "https://[2606:4700::1]/x"])
def test_public_hosts(url: str) -> None:
    assert str(PUBLIC.check(url)) == url


@pytest.mark.parametrize(
    "url",
    [
        "http://s3.amazonaws.com/bucket",
        "https://127.0.0.1/",
        "https://10.1.2.3/",
        "https://192.168.1.1/",
        "https://100.64.0.1/",
        "https://0.0.0.0/",
        "https://[::]/",
        "https://[::1]/",
        "https://[fd00::1]/",
        "https://[::ffff:10.0.0.1]/",
        "https://[fe80::1%25eth0]/",
        "https://169.254.169.254/",
        "https://224.0.0.1/",
        "https://255.255.255.255/",
        "https://me@s3.amazonaws.com/",
        "https://:pw@s3.amazonaws.com/",
        "https:///bucket",
        "//s3.amazonaws.com/",
        "javascript:alert(1)",
    ],
)
def test_what_a_public_api_must_not_name(url: str) -> None:
    with pytest.raises(Rejected):
        PUBLIC.check(url)


def test_what_was_good_once_makes_nothing_else_good() -> None:
    guard = StorageGuard(URL("https://api.losant.com"))
    for _ in range(2):
        assert guard.check("https://1.1.1.1/bucket").host == "1.1.1.1"
        with pytest.raises(Rejected):
            guard.check("https://10.1.2.3/bucket")


@pytest.mark.parametrize("api", ["http://127.0.0.1:8080", "http://10.0.0.5", "https://[fd00::5]"])
def test_an_api_inside_the_network_may_name_hosts_inside(api: str) -> None:
    guard = StorageGuard(URL(api))
    scheme = URL(api).scheme
    assert guard.check(f"{scheme}://10.1.2.3/bucket").host == "10.1.2.3"
    with pytest.raises(Rejected):
        guard.check(f"{scheme}://169.254.169.254/latest")


class Names(AbstractResolver):
    """A name server that gives out what it is told, one answer after the other."""

    def __init__(self, *addresses: str) -> None:
        self._addresses = list(addresses)
        self.closed = False

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        address = self._addresses.pop(0) if len(self._addresses) > 1 else self._addresses[0]
        return [ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=0)]

    async def close(self) -> None:
        self.closed = True


async def test_a_name_that_is_rebound_is_refused_when_it_leads_inside() -> None:
    names = Names("93.184.216.34", "169.254.169.254", "10.0.0.1")
    resolver = StorageResolver(names, StorageGuard(URL("https://api.test")))

    assert [found["host"] for found in await resolver.resolve("s3.test", 443)] == ["93.184.216.34"]
    for _ in range(2):
        with pytest.raises(Rejected, match=r"s3\.test"):
            await resolver.resolve("s3.test", 443)
    await resolver.close()
    assert names.closed


async def test_an_api_whose_name_leads_inside_may_name_hosts_inside() -> None:
    guard = StorageGuard(URL("https://losant.corp"))
    with pytest.raises(Rejected):
        guard.check("https://10.1.2.3/")

    api = ApiResolver(Names("10.0.0.1"), guard)
    await api.resolve("losant.corp", 443)

    guard.check("https://10.1.2.3/")
    with pytest.raises(Rejected):
        await StorageResolver(Names("169.254.1.1"), guard).resolve("s3.corp")
    await api.close()


async def test_a_refused_address_fails_the_path_without_a_retry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Through the whole client: the error of the resolver is not taken for a failed connection."""
    monkeypatch.setattr("aiohttp.ThreadedResolver", lambda: Names("169.254.169.254"))
    async with Account(name="x", api_url="http://127.0.0.1:1", token=lambda: "t", patience=Patience()) as account:
        remote = Losant(account, application_id="a", private=False, directory="", traffic=Traffic())
        from syncd.remotes.records import Record, Upload
        from syncd.remotes.uploads import Ticket

        ticket = Ticket(Record(id="1", name="n"), Upload(url="http://storage.test/", fields={}), None)
        with pytest.raises(Rejected, match="inside the network"):
            await remote._fill(ticket, "n", Bytes(b"x"))


def test_proxies_are_those_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    assert Proxies().of(URL("https://api.test/")) is None

    monkeypatch.setenv("HTTPS_PROXY", "http://user:pw@proxy.test:3128")
    monkeypatch.setenv("http_proxy", "plain.test:8080")
    monkeypatch.setenv("NO_PROXY", "inside.test,10.0.0.1")
    proxies = Proxies()
    for _ in range(2):
        assert proxies.of(URL("https://api.test/x")) == URL("http://user:pw@proxy.test:3128")
        assert proxies.of(URL("http://api.test/x")) == URL("http://plain.test:8080")
        assert proxies.of(URL("https://s3.inside.test/x")) is None
        assert proxies.of(URL("https://10.0.0.1/x")) is None
        for here in ("localhost:8080", "127.0.0.1:1", "[::1]"):
            assert proxies.of(URL(f"http://{here}/x")) is None
