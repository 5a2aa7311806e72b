"""Every remote under the same contract."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from syncd.sandbox import Kind
from tests.remote_support import World, world


@pytest.fixture(params=["files", "privateFiles"])
def library(request: pytest.FixtureRequest) -> Kind:
    """Which API: Losant's public files or its private ones."""
    kind: Kind = request.param
    return kind


@pytest.fixture
async def remote_world(tmp_path: Path, library: Kind) -> AsyncIterator[World]:
    async with world(tmp_path, library) as made:
        yield made
