"""The commands that look at both sides or go the other way round: apply, check, pull.

Registered by `syncd.cli`. Each hands specs to a module of `app` and shows what came of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from syncd.cli import arguments, output
from syncd.errors import SyncdError
from syncd.telemetry import streams

if TYPE_CHECKING:
    from syncd.core.model import JobReport


OF_A_PLAN = ("delete", "max_delete", "include", "exclude", "checksum", "accept_source", "adopt_by_size")
"""The options that a plan depends on, which a plan file keeps. None says where a token is sent."""


def keep_plan(given: dict[str, Any], specs: list[Any], plans: list[Any]) -> None:
    """The file of `plan --out`, unless a job could not be planned."""
    reports = [report for report, _ in plans]
    if any(report.error for report in reports):
        raise SyncdError(f"{given['out']} was not written, because not every job could be planned")
    from syncd import settings
    from syncd.app import plans as kept

    words = [str(specs[0].source), given["words"][1]] if settings.is_pair(given["words"]) else [s.name for s in specs]
    options = {name: given[name] for name in OF_A_PLAN if given.get(name)}
    kept.keep(given["out"], specs, [plan for _, plan in plans], words=words, options=options)


def apply(**given: Any) -> int:
    """The actions of a plan file."""
    try:
        reports = _applied(given)
    except SyncdError as error:
        if given["json"]:
            output.write_json(output.report([], error.exit_code))
        raise
    from syncd.telemetry.report import exit_of

    code = exit_of(reports)
    written = not given["json"] or output.write_json(output.report(reports, code))
    return code if written else code or 1


def _applied(given: dict[str, Any]) -> list[JobReport]:
    from syncd import settings
    from syncd.store import planfile

    plan = planfile.read(given["file"])
    kept = {name: tuple(value) if isinstance(value, list) else value for name, value in plan.options.items()}
    options = arguments.options({**{name: kept[name] for name in OF_A_PLAN if name in kept}, **given})
    loaded = settings.load(options, pair=settings.is_pair(plan.words))
    specs = settings.job_specs(plan.words, loaded, options)
    from syncd.app import plans

    with output.voice(loaded, given) as voice:
        reports = plans.apply(plan, specs, state_dir=settings.state_directory(loaded), telemetry=voice.job)
    voice.summarize(reports)
    return reports


def check(**given: Any) -> int:
    """Both sides by checksum."""
    from syncd import settings

    words: tuple[str, ...] = given["words"]
    options = arguments.options(given)
    loaded = settings.load(options, pair=settings.is_pair(words))
    specs = settings.job_specs(words, loaded, options)
    from syncd.app import checking

    results = checking.check(specs, state_dir=settings.state_directory(loaded), download=given["download"])
    from syncd.telemetry.comparison import check_data, check_lines
    from syncd.telemetry.report import first_of

    told = [(one.job, one.checked.files, one.checked.differences) for one in results]
    if given["json"]:
        written = output.write_json(check_data(told))
    else:
        whole = [job for job, one in zip(told, results, strict=True) if one.error is None]
        written = streams.write_result("".join(f"{line}\n" for line in check_lines(whole)))
    for one in results:
        if one.error is not None:
            streams.say_error(f"{one.job}: {one.error}")
    code = first_of(one.exit for one in results)
    return code if written else code or 1


def pull(**given: Any) -> int:
    """The destinations' files into the sources."""
    try:
        reports = _pulled(given)
    except SyncdError as error:
        if given["json"]:
            output.write_json(output.report([], error.exit_code, downloads=True))
        raise
    from syncd.telemetry.report import exit_of

    code = exit_of(reports)
    written = not given["json"] or output.write_json(output.report(reports, code, downloads=True))
    return code if written else code or 1


def _pulled(given: dict[str, Any]) -> list[JobReport]:
    from syncd import settings

    words: tuple[str, ...] = given["words"]
    mirror = given["delete"] == "mirror"
    options = arguments.options({**given, "delete": None})
    loaded = settings.load(options, pair=settings.is_pair(words))
    specs = settings.job_specs(words, loaded, options)
    state_dir = settings.state_directory(loaded)
    from syncd.app import fetching

    with output.voice(loaded, given) as voice:
        reports = fetching.pull(
            specs, state_dir=state_dir, telemetry=voice.job, overwrite=given["overwrite"], mirror=mirror
        )
    voice.summarize(reports)
    return reports


COMMANDS = {
    "apply": click.Command(
        "apply",
        callback=apply,
        context_settings=arguments.CONTEXT,
        help="Carry out exactly the actions of FILE, which `syncd plan --out FILE` wrote. If a side of any of them has "
        "changed since, in any of its jobs, or a job has another destination now, nothing is done and the paths are "
        "named: exit 1. What changed elsewhere is left alone. Deletions that the plan held stay held: exit 3.",
        epilog=arguments.examples(
            "syncd plan assets --out plan.json && less plan.json && syncd apply plan.json",
        ),
        params=[
            *arguments.ACCOUNT,
            arguments.JSON,
            *arguments.COMMON,
            arguments.NO_PROGRESS,
            click.Argument(["file"], type=arguments.FILE, metavar="FILE"),
        ],
    ),
    "check": click.Command(
        "check",
        callback=check,
        context_settings=arguments.CONTEXT,
        help="Compare the source and the destination by checksum and change nothing: exit 1 on a difference. Every "
        "file here is read. Kinds: missing (on the source only), extra (on the destination only), different, and "
        "unknown where nobody can tell: then --download does. May be run beside a daemon.",
        epilog=arguments.examples(
            "syncd check assets",
            "syncd check ./dist prod:/assets --download",
            "syncd check --json | jq -r '.differences[] | select(.kind == \"missing\") | .path'",
        ),
        params=[
            arguments.flag("--download", "Read the bytes of what has no checksum on the destination."),
            *arguments.SELECTION,
            arguments.JSON,
            *arguments.COMMON,
            arguments.NO_PROGRESS,
            arguments.words(),
        ],
    ),
    "pull": click.Command(
        "pull",
        callback=pull,
        context_settings=arguments.CONTEXT,
        help="The other way round, once: bring the destination's files into the source directory. What was changed "
        "here since the last sync is never overwritten without --overwrite, nothing is removed here without "
        "--delete mirror, and nothing is changed on the destination. What could not be brought is brought by the next "
        "pull.",
        epilog=arguments.examples(
            "syncd pull assets",
            "syncd pull ./restored losant://575ec8687ae143cd83dc4a97/assets",
            "syncd pull assets --overwrite --delete mirror   # exactly what the destination has",
        ),
        params=[
            arguments.flag("--overwrite", "Also overwrite files that were changed here."),
            click.Option(
                ["--delete"],
                type=click.Choice(["never", "mirror"]),
                help="What may be removed here: nothing (as if not given), or all that the destination lacks.",
            ),
            arguments.MAX_DELETE,
            arguments.CHECKSUM,
            arguments.ACCEPT_SOURCE,
            *arguments.SELECTION,
            arguments.JSON,
            *arguments.COMMON,
            arguments.NO_PROGRESS,
            arguments.words(),
        ],
    ),
}
