"""Profiles of the property tests: the same examples every time in CI, other ones at every run at home."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

COMMON = settings(deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("home", COMMON, max_examples=300)
settings.register_profile("ci", COMMON, max_examples=300, derandomize=True)
settings.register_profile("thorough", COMMON, max_examples=3_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "home"))
