"""Serve the sandbox for others. Called by `cli`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from syncd.errors import ConfigurationError
from syncd.sandbox import Knobs, Sandbox, SandboxError, serve


def run_sandbox(listen: str, data: Path, knobs: Sequence[str], *, started: Callable[[Sandbox], None]) -> None:
    """Serve the sandbox until interrupted. Raises ConfigurationError for a bad address, knob or data directory."""
    try:
        asyncio.run(serve(listen, data, knobs=Knobs.from_pairs(knobs), started=started))
    except (ValueError, SandboxError, OSError) as error:
        raise ConfigurationError(str(error)) from error
