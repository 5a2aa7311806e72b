"""The command that brings files back from the trash.

Registered by `syncd.cli`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from syncd.cli import arguments
from syncd.errors import ConfigurationError
from syncd.telemetry import streams

if TYPE_CHECKING:
    from syncd.engine.restore import Restored
    from syncd.settings import JobSpec


def restore(**given: Any) -> int:
    """Everything of a time, or one path of it; without a time the times there are."""
    from syncd import settings

    options = arguments.options(given)
    loaded = settings.load(options)
    (spec,) = settings.job_specs([given["job"]], loaded, options)
    state_dir = settings.state_directory(loaded)
    from syncd.app import trash
    from syncd.settings.values import parse_directory

    if given["time"] is None:
        return _list(trash.times(spec, state_dir=state_dir), spec, given)
    path = given["path"] or ""
    try:
        path = parse_directory(path)
    except ValueError as error:
        raise ConfigurationError(f"{path!r}: {error}") from None
    restored = trash.bring_back(spec, given["time"], path, state_dir=state_dir)
    if given["json"]:
        written = streams.write_result(json.dumps(_data(spec, restored)) + "\n")
    else:
        written = True
        _say(spec, restored, quiet=given["quiet"] > 0)
    return 1 if restored.failed or not written else 0


def _list(times: list[str], spec: JobSpec, given: dict[str, Any]) -> int:
    if given["json"]:
        return 0 if streams.write_result(json.dumps({"job": spec.name, "times": times}) + "\n") else 1
    if not times:
        streams.say(f"{spec.name}: the trash is empty")
    return 0 if streams.write_result("".join(f"{time}\n" for time in times)) else 1


def _data(spec: JobSpec, restored: Restored) -> dict[str, object]:
    from syncd.telemetry.text import encodable

    return {
        "job": spec.name,
        "time": restored.time,
        "files": restored.files,
        "restored": [encodable(path) for path in sorted(restored.paths)],
        "displaced": [encodable(path) for path in sorted(restored.displaced)],
        "displaced_to": restored.displaced_to or None,
        "failed": [
            {"path": encodable(one.path), "action": one.action, "error": encodable(one.error)}
            for one in restored.failed
        ],
    }


def _say(spec: JobSpec, restored: Restored, *, quiet: bool) -> None:
    from syncd.core.words import count_text
    from syncd.telemetry.text import printable

    for problem in restored.failed:
        streams.say_error(f"{problem.path}: {problem.error}")
    if quiet:
        return
    said = f"{spec.name}: {count_text(restored.files, 'file')} of {restored.time} brought back"
    if restored.displaced:
        said += f"; what was in the way is in the trash at {restored.displaced_to}"
    streams.say(printable(said))
    streams.say(
        printable(
            f"{spec.name}: the source wins at the next sync: bring the files into it, too (syncd pull {spec.name}), or "
            "they are replaced or deleted again"
        )
    )


COMMANDS = {
    "restore": click.Command(
        "restore",
        callback=restore,
        context_settings=arguments.CONTEXT,
        help="Bring back what was put into the trash of JOB at TIME, or PATH of it, to its place on the destination. "
        "What is in its place now goes into the trash first. TIME is one that the trash has, or how it begins; without "
        "it, they are listed. The source wins at the next sync: bring the files into it, too.",
        epilog=arguments.examples(
            "syncd restore assets",
            "syncd restore assets 2026-11-24T16-05-09Z",
            "syncd restore assets 2026-11-24T16 img/logo.svg",
        ),
        params=[
            arguments.JSON,
            *arguments.ACCOUNT,
            *arguments.COMMON,
            click.Argument(["job"], metavar="JOB"),
            click.Argument(["time"], required=False, metavar="[TIME"),
            click.Argument(["path"], required=False, metavar="[PATH]]"),
        ],
    ),
}
