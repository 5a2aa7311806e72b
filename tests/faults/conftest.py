"""The fixtures of the end-to-end tests, for the same program under faults."""

from tests.e2e.conftest import job, nursery, ordinary, pair, program, server

__all__ = ["job", "nursery", "ordinary", "pair", "program", "server"]
