"""What every test session needs, whatever part of the tests it runs."""

from __future__ import annotations

import asyncio

import pytest

_LOOP = pytest.StashKey[asyncio.AbstractEventLoop]()


def pytest_configure(config: pytest.Config) -> None:
    """pytest-asyncio asks for the current event loop before the first asynchronous test; where there is none, asyncio
    makes one that nobody closes, and its warning fails whichever test runs when it is collected."""
    config.stash[_LOOP] = asyncio.new_event_loop()
    asyncio.set_event_loop(config.stash[_LOOP])


def pytest_unconfigure(config: pytest.Config) -> None:
    config.stash[_LOOP].close()
