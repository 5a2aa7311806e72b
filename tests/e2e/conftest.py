"""What an end-to-end test is given: a home, a sandbox, and a job between them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.program import TOKEN, Configured, Pair, Program, Server, environment
from tests.e2e.warm import Nursery


@pytest.fixture(scope="session")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    nursery = Nursery(environment(tmp_path_factory.mktemp("nursery")))
    yield nursery
    nursery.close()


@pytest.fixture
def program(tmp_path: Path, nursery: Nursery) -> Program:
    return Program(tmp_path / "home", nursery)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with Server(tmp_path / "server") as server:
        yield server


@pytest.fixture
def pair(program: Program, server: Server, tmp_path: Path) -> Iterator[Pair]:
    """One job; at the end nothing of what it wrote holds the token, and the storage was never shown it."""
    source = tmp_path / "source"
    source.mkdir()
    pair = Pair(program, server, source, tmp_path / "state")
    yield pair
    _assert_kept_secret(pair)


@pytest.fixture(params=["files", "privateFiles"])
def job(program: Program, server: Server, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Configured]:
    """The same as a job of a configuration, on each kind of remote."""
    source = tmp_path / "source"
    source.mkdir()
    job = Configured(program, server, source, tmp_path / "state", request.param)
    yield job
    _assert_kept_secret(job)


def _assert_kept_secret(pair: Pair) -> None:
    assert [path for path in pair.state.rglob("*") if path.is_file() and TOKEN.encode() in path.read_bytes()] == []
    assert pair.server.sandbox.requests.leaked_authorizations == 0


@pytest.fixture
def ordinary() -> tuple[str, ...]:
    """What to run a program by so that file modes bind it, as they do not bind root."""
    if os.geteuid() != 0:
        return ()
    if shutil.which("setpriv") is None:
        pytest.skip("file modes do not bind root, and there is no setpriv to give that up")
    return ("setpriv", "--bounding-set=-dac_override,-dac_read_search")
