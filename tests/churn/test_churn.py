"""The short form of the storm."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.churn.storm import storm


@pytest.mark.timeout(180)
async def test_after_a_storm_both_sides_are_equal(tmp_path: Path) -> None:
    result = await storm(tmp_path, seed=7, seconds=10.0, unpacked=500)
    assert result.problems == [], result.log
