"""Orchestration: observe, decide, guard, execute, record; over ports only."""
