"""Every remote under the same contract.

A test that asks for `library` runs on each remote that has all the capabilities of its `needs` marks.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import get_args

import pytest

from syncd.sandbox import Kind
from tests.remote_support import World, lacks, world


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "library" in metafunc.fixturenames:
        needed = {name for mark in metafunc.definition.iter_markers("needs") for name in mark.args}
        metafunc.parametrize("library", [kind for kind in get_args(Kind) if not needed & lacks(kind)])


@pytest.fixture
async def remote_world(tmp_path: Path, library: Kind) -> AsyncIterator[World]:
    async with world(tmp_path, library) as made:
        yield made
