"""The status server over real connections: probes, status, metrics, who may read, what may be listened on."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from syncd.errors import ConfigurationError
from syncd.telemetry.counts import Counts
from syncd.telemetry.overview import status_data
from syncd.telemetry.status import StatusServer
from tests.daemon_support import FakeDaemon

PATHS = ["/", "/livez", "/readyz", "/metrics", "/api/status"]


@asynccontextmanager
async def served(daemon: FakeDaemon, listen: str = "127.0.0.1:0") -> AsyncIterator[aiohttp.ClientSession]:
    """A client of a server for the daemon."""
    async with StatusServer(listen, daemon, Counts()) as server:
        url = server.url.replace("[::]", "127.0.0.1").replace("0.0.0.0", "127.0.0.1")
        async with aiohttp.ClientSession(url) as client:
            yield client


@pytest.fixture
def daemon() -> FakeDaemon:
    return FakeDaemon()


@pytest.fixture
async def client(daemon: FakeDaemon) -> AsyncIterator[aiohttp.ClientSession]:
    async with served(daemon) as client:
        yield client


async def get(client: aiohttp.ClientSession, path: str, **headers: str) -> tuple[int, str]:
    async with client.get(path, headers=headers) as answer:
        return answer.status, await answer.text()


class TestAnswers:
    async def test_probes(self, client: aiohttp.ClientSession, daemon: FakeDaemon) -> None:
        assert await get(client, "/livez") == (200, "alive\n")
        assert await get(client, "/readyz") == (200, "ready\n")
        daemon.alive = daemon.ready = False
        assert await get(client, "/livez") == (503, "not alive: the loops make no progress\n")
        status, text = await get(client, "/readyz")
        assert (status, text[:37]) == (503, "not ready: 2 jobs: 1 watching, 1 sync")

    async def test_the_status_is_that_of_the_command_line(
        self, client: aiohttp.ClientSession, daemon: FakeDaemon
    ) -> None:
        async with client.get("/api/status") as answer:
            assert (answer.status, answer.content_type) == (200, "application/json")
            assert await answer.json() == status_data(daemon.statuses)

    async def test_metrics_in_both_formats(self, client: aiohttp.ClientSession) -> None:
        async with client.get("/metrics") as answer:
            assert answer.headers["Content-Type"].startswith("text/plain; version=")
            text = await answer.text()
        assert 'syncd_queue_depth{syncd_job="backup"} 3.0\n' in text
        assert "\nprocess_resident_memory_bytes " in text
        async with client.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"}) as answer:
            assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
            assert (await answer.text()).endswith("# EOF\n")

    @pytest.mark.parametrize("path", PATHS)
    async def test_nothing_can_be_changed(self, client: aiohttp.ClientSession, daemon: FakeDaemon, path: str) -> None:
        for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
            async with client.request(method, path, headers={"Origin": "http://elsewhere.example"}) as answer:
                assert answer.status == 405
        async with client.head(path) as answer:
            assert answer.status == 200
        assert daemon.asked == []

    async def test_what_is_not_there(self, client: aiohttp.ClientSession) -> None:
        assert (await get(client, "/api"))[0] == 404
        assert (await get(client, "/api/../../etc/passwd"))[0] == 404


class TestOtherSites:
    @pytest.mark.parametrize("path", [*PATHS, "/nothing"])
    async def test_no_page_elsewhere_may_read(self, client: aiohttp.ClientSession, path: str) -> None:
        async with client.get(path, headers={"Origin": "http://elsewhere.example"}) as answer:
            headers = answer.headers
        assert not any(name.lower().startswith("access-control-") for name in headers)
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == "no-store"

    @pytest.mark.parametrize("path", PATHS)
    @pytest.mark.parametrize(
        "name", ["elsewhere.example", "elsewhere.example:9393", "127.0.0.1.elsewhere.example", "localhost.example:1"]
    )
    async def test_a_name_that_dns_could_point_here_is_refused(
        self, client: aiohttp.ClientSession, path: str, name: str
    ) -> None:
        status, text = await get(client, path, Host=name)
        assert (status, "assets" in text) == (403, False)

    @pytest.mark.parametrize(
        "name", ["127.0.0.1:9393", "10.1.2.3", "localhost", "LOCALHOST:1", "[::1]:9393", "localhost."]
    )
    async def test_addresses_are_answered(self, client: aiohttp.ClientSession, name: str) -> None:
        assert (await get(client, "/livez", Host=name))[0] == 200

    async def test_a_published_server_has_any_name(self, daemon: FakeDaemon) -> None:
        async with served(daemon, ":0") as client:
            assert (await get(client, "/metrics", Host="syncd.monitoring.svc:9393"))[0] == 200

    async def test_the_page_lets_nothing_foreign_in(self, client: aiohttp.ClientSession) -> None:
        async with client.get("/") as answer:
            page, policy = await answer.text(), answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert len(re.findall(r"'sha256-[A-Za-z0-9+/]{43}='", policy)) == 2
        addresses = [value for value in re.findall(r'(?:href|src|action)="([^"]*)"', page) if ":" in value]
        assert all(address.startswith("data:") for address in addresses)
        assert "innerHTML" not in page


class TestListening:
    @pytest.mark.parametrize("listen", [":0", "[::]:0", "0.0.0.0:0", "localhost:0"])
    async def test_addresses(self, daemon: FakeDaemon, listen: str) -> None:
        async with served(daemon, listen) as client:
            assert (await get(client, "/livez"))[0] == 200

    @pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
    async def test_every_address_is_also_those_of_ipv6(self, daemon: FakeDaemon) -> None:
        for listen in (":0", "[::]:0", "[::1]:0"):
            async with StatusServer(listen, daemon, Counts()) as server, aiohttp.ClientSession() as client:
                assert (await get(client, f"{server.url.replace('[::]', '[::1]')}/livez"))[0] == 200

    async def test_what_cannot_be_listened_on_is_a_wrong_setting(self, daemon: FakeDaemon) -> None:
        async with StatusServer("127.0.0.1:0", daemon, Counts()) as server:
            taken = server.url.removeprefix("http://")
            for listen in (taken, "192.0.2.1:9393", "no.such.host.invalid:1", "a..b:1"):
                with pytest.raises(ConfigurationError, match=re.escape(f"status.listen = '{listen}'")):
                    async with StatusServer(listen, daemon, Counts()):
                        pass

    async def test_the_port_is_free_again_although_a_client_stayed(self, daemon: FakeDaemon) -> None:
        async with StatusServer("127.0.0.1:0", daemon, Counts()) as server:
            listen = server.url.removeprefix("http://")
            host, port = listen.split(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n")  # and never the end of it
            await writer.drain()
        assert await asyncio.wait_for(reader.read(), 10) == b""
        writer.close()
        async with served(daemon, listen) as client:
            assert (await get(client, "/livez"))[0] == 200

    async def test_a_client_that_speaks_nonsense_disturbs_nobody(
        self, client: aiohttp.ClientSession, capfd: pytest.CaptureFixture[str]
    ) -> None:
        base = client._base_url
        assert base is not None
        for nonsense in (
            b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
            b"\xff" * 100_000,
        ):
            reader, writer = await asyncio.open_connection(base.host, base.port)
            writer.write(nonsense)
            writer.write_eof()
            await asyncio.wait_for(reader.read(), 10)
            writer.close()
        assert (await get(client, "/livez"))[0] == 200
        assert capfd.readouterr().err == ""
