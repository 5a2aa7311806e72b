"""The little languages of settings: what they take, what they come to, what they refuse."""

from __future__ import annotations

import math

import pytest

from syncd.cli import COMMANDS
from syncd.core.model import MaxDelete
from syncd.settings import values
from syncd.settings.values import Destination


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("500ms", 0.5), ("8s", 8), ("5m", 300), ("1h", 3600), ("30d", 2592000), ("1h30m", 5400), ("1.5s", 1.5), ("0", 0)],
)
def test_durations(text: str, seconds: float) -> None:
    assert values.parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "5", "5 m", "m", "-5s", "5min", "1h 30m", "1e3s", "5S", "5s5"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="with its unit"):
        values.parse_duration(text)


@pytest.mark.parametrize(
    ("text", "bytes_per_second"),
    [("10MiB/s", 10 * 1024**2), ("500KB/s", 500_000), ("1.5G/s", 1.5e9), ("100B/s", 100), ("off", math.inf)],
)
def test_rates(text: str, bytes_per_second: float) -> None:
    assert values.parse_rate(text) == bytes_per_second


@pytest.mark.parametrize(
    ("text", "changes"),
    [
        ("", []),
        ("10MiB/s", [(0, 10 * 1024**2)]),
        ("off", [(0, math.inf)]),
        ("19:00,off 08:00,2MB/s", [(480, 2_000_000), (1140, math.inf)]),
    ],
)
def test_bandwidths(text: str, changes: list[tuple[int, float]]) -> None:
    assert list(values.parse_bandwidth(text).changes) == changes


@pytest.mark.parametrize(
    "text", ["10", "10MiB", "0MiB/s", "25:00,1MiB/s", "08:00,", "1MiB/s 2MiB/s", "8:00,off", "08:00,off 08:00,1MB/s"]
)
def test_what_is_no_bandwidth(text: str) -> None:
    with pytest.raises(ValueError, match="must"):
        values.parse_bandwidth(text)


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("25%", MaxDelete(count=None, percent=25.0)),
        ("100%", MaxDelete(count=None, percent=100.0)),
        ("12.5%", MaxDelete(count=None, percent=12.5)),
        ("0", MaxDelete(count=0, percent=None)),
        ("40", MaxDelete(count=40, percent=None)),
    ],
)
def test_max_delete(text: str, limit: MaxDelete) -> None:
    assert values.parse_max_delete(text) == limit


@pytest.mark.parametrize("text", ["", "-1", "101%", "25 percent", "%", "1.5", "all", "nan%", "²"])
def test_what_limits_nothing(text: str) -> None:
    with pytest.raises(ValueError, match="number of files, or a percentage"):
        values.parse_max_delete(text)


@pytest.mark.parametrize(
    ("text", "destination"),
    [
        ("prod:/assets", Destination("assets", remote="prod")),
        ("prod:assets//deep/", Destination("assets/deep", remote="prod")),
        ("prod:/", Destination("", remote="prod")),
        ("prod:", Destination("", remote="prod")),
        ("losant:/a", Destination("a", remote="losant")),
        ("losant://abc123/x/y/", Destination("x/y", kind="losant", application_id="abc123")),
        ("losant-private://abc123", Destination("", kind="losant-private", application_id="abc123")),
        ("privasfer:///name", Destination("name", kind="privasfer")),
        ("sandbox:/dir", Destination("dir", kind="sandbox")),
        ("sandbox:/with : colon/ü", Destination("with : colon/ü", kind="sandbox")),
    ],
)
def test_destinations(text: str, destination: Destination) -> None:
    assert values.parse_destination(text) == destination


@pytest.mark.parametrize(
    "text",
    [
        "",
        "assets",
        ":/x",
        "Prod:/x",
        "s3://bucket/x",
        "losant:///x",
        "losant://a b/x",
        "privasfer://host/x",
        "prod:/a/../b",
        "prod:/..",
        "prod:/./a",
        "prod:/a\0b",
        "losant://app/../other",
    ],
)
def test_what_is_no_destination(text: str) -> None:
    with pytest.raises(ValueError, match="must"):
        values.parse_destination(text)


@pytest.mark.parametrize(
    "text", ["https://api.losant.com", "http://127.0.0.1:8080", "https://host/base", "http://[::1]:1"]
)
def test_api_addresses(text: str) -> None:
    assert values.check_api_url(text + "/") == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "api.losant.com",
        "ftp://host",
        "https://",
        "https://user:pass@host",
        "https://host?x=1",
        "http://host:99999",
        "https://host:port",
        "https://ho\nst",
        "http://[::1",
    ],
)
def test_what_is_no_api_address(text: str) -> None:
    with pytest.raises(ValueError, match="such as"):
        values.check_api_url(text)


@pytest.mark.parametrize("text", ["", "127.0.0.1:9393", "[::1]:0", "localhost:80", ":9393"])
def test_listen_addresses(text: str) -> None:
    assert values.check_listen(text) == text


@pytest.mark.parametrize("text", ["9393", "host:", ":", "host:70000", "host:http", ":٩"])
def test_what_is_no_listen_address(text: str) -> None:
    with pytest.raises(ValueError, match="ADDRESS:PORT"):
        values.check_listen(text)


def test_no_job_is_named_as_a_command_is() -> None:
    assert set(COMMANDS) == values.COMMANDS
    for command in values.COMMANDS:
        with pytest.raises(ValueError, match="name of a command"):
            values.check_name(command)
    assert values.check_name("assets_2") == "assets_2"
