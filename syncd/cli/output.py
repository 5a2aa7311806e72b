"""How commands speak: a run's voice, results as JSON. Used by the modules of `cli` that run jobs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from syncd.telemetry import streams

if TYPE_CHECKING:
    from syncd.core.model import JobReport
    from syncd.settings import Loaded
    from syncd.telemetry.console import Voice


def voice(loaded: Loaded, given: dict[str, Any]) -> Voice:
    """The log and progress bar that the configuration and the options ask for."""
    from syncd.telemetry.console import Voice
    from syncd.telemetry.log import is_json, level_of

    log = loaded.settings.log
    level = level_of(log.level, given["verbose"] - given["quiet"])
    return Voice(level=level, as_json=is_json(log.format), progress=not given["no_progress"])


def write_json(data: object) -> bool:
    """Whether standard output took it."""
    return streams.write_result(json.dumps(data) + "\n")


def report(reports: list[JobReport], code: int, *, downloads: bool = False) -> object:
    from syncd.telemetry.report import report_data

    return report_data(reports, exit_code=code, downloads=downloads)
