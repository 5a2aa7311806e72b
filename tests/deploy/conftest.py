from __future__ import annotations

from pathlib import Path

import pytest

from tests.deploy.support import debian


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Debian, as a tar file, that the machine and the image are both made of."""
    archive = tmp_path_factory.mktemp("base") / "debian.tar"
    debian(archive)
    return archive
