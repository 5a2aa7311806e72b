"""The commands that look back: history, and why a path is as it is.

Registered by `syncd.cli`. They read a job's state and source, and ask the daemon if one runs; they change nothing and
contact no remote.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from syncd.cli import arguments, control
from syncd.errors import ConfigurationError
from syncd.telemetry import streams

if TYPE_CHECKING:
    from syncd.core.model import PathStatus

_EVENTS_OF_A_PATH = 10


def history(**given: Any) -> int:
    """The latest events of the jobs that are named, or of all."""
    from syncd import settings

    options = arguments.options(given)
    loaded = settings.load(options, pair=settings.is_pair(given["words"]))
    specs = settings.job_specs(given["words"], loaded, options, contacting=False)
    from syncd.app import past

    jobs = past.history(specs, state_dir=settings.state_directory(loaded), most=given["last"])
    from syncd.telemetry.past import history_data, history_lines
    from syncd.telemetry.text import Paint, has_colour

    if given["json"]:
        return 0 if streams.write_result(json.dumps(history_data(jobs)) + "\n") else 1
    paint = Paint(on=has_colour(sys.stdout))
    lines = [line for job, events in jobs for line in history_lines(job, events, paint)]
    return 0 if streams.write_result("".join(f"{line}\n" for line in lines)) else 1


def why(**given: Any) -> int:
    """What decides about one path, as far as is known here."""
    from syncd import settings

    options = arguments.options(given)
    loaded = settings.load(options)
    spec = settings.job_specs((given["job"],), loaded, options, contacting=False)[0]
    state_dir, path = settings.state_directory(loaded), _path_in(spec.source, given["path"])
    from syncd.app import past
    from syncd.core.why import Known, verdict

    found = past.find(spec, path, state_dir=state_dir, most=_EVENTS_OF_A_PATH)
    live = _live(state_dir, spec.name, path)
    known = Known(found.rule, found.local, found.base, live, found.drift, spec.delete, spec.on_drift)
    told = verdict(known)
    from syncd.telemetry.past import why_data, why_lines
    from syncd.telemetry.text import Paint, has_colour

    if given["json"]:
        data = why_data(spec.name, path, told, found.local, found.events)
        return 0 if streams.write_result(json.dumps(data) + "\n") else 1
    lines = why_lines(path, told, found.events, Paint(on=has_colour(sys.stdout)))
    return 0 if streams.write_result("".join(f"{line}\n" for line in lines)) else 1


def _path_in(source: Path, text: str) -> str:
    """The path relative to the source: given so, or as it is on this machine."""
    given = Path(text)
    if given.is_absolute():
        for root in (source, source.resolve()):
            if given.is_relative_to(root):
                given = given.relative_to(root)
                break
        else:
            raise ConfigurationError(f"{text}: is not in the source {source}")
    parts = [part for part in given.parts if part != "."]
    if not parts or ".." in parts:
        raise ConfigurationError(f"{text}: must name a file or directory in the source {source}")
    return "/".join(parts)


def _live(state_dir: Path, job: str, path: str) -> PathStatus | None:
    """What the running daemon says about the path; None where none runs, or it does not have the job."""
    try:
        answer = control.ask(state_dir, {"command": "why", "job": job, "path": path})
    except control.NotRunning:
        return None
    from syncd.telemetry.wire import path_status

    return path_status(answer["path"]) if "path" in answer else None


COMMANDS = {
    "why": click.Command(
        "why",
        callback=why,
        context_settings=arguments.CONTEXT,
        help="Say what decides about PATH of JOB: a rule, the source, a transfer, a back-off, the delete guard, the "
        "queue, drift, the job or its state; and the path's last events. Asks the running daemon, if there is one, and "
        "never the remote: `syncd plan JOB` does.",
        epilog=arguments.examples("syncd why assets images/logo.png", "syncd why assets /srv/assets/images/logo.png"),
        params=[
            arguments.JSON,
            *arguments.COMMON,
            click.Argument(["job"], metavar="JOB"),
            click.Argument(["path"], metavar="PATH"),
        ],
    ),
    "history": click.Command(
        "history",
        callback=history,
        context_settings=arguments.CONTEXT,
        help="Show what was done or failed, and when: the latest events of the JOBs named, or of all.",
        epilog=arguments.examples("syncd history assets --last 20", "syncd history --json | jq '.jobs[].events[]'"),
        params=[
            arguments.JSON,
            click.Option(
                ["--last"],
                type=click.IntRange(1, 10_000),
                default=50,
                show_default=True,
                metavar="N",
                help="Of each job so many.",
            ),
            *arguments.COMMON,
            click.Argument(["words"], nargs=-1, metavar="[JOB ... | SOURCE DESTINATION]"),
        ],
    ),
}
