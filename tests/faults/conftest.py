"""The fixtures of the end-to-end tests, for the same program under faults."""

from tests.e2e.conftest import nursery, ordinary, pair, program, server

__all__ = ["nursery", "ordinary", "pair", "program", "server"]
