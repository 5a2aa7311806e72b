"""What each command does, given its parsed options: from settings through `app` to output and exit code.

Called by `syncd.cli`. Everything beyond click is imported where it is used, so that a command pays only for itself.
"""

from __future__ import annotations

import contextlib
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from syncd.cli import arguments, exchange, output
from syncd.errors import ConfigurationError, SyncdError
from syncd.telemetry import streams

if TYPE_CHECKING:
    from syncd.core.model import JobReport
    from syncd.core.plan import Plan
    from syncd.settings import JobSpec


def mirror(**given: Any) -> int:
    """`syncd`, with --once until the jobs are mirrored, and with --dry-run what `plan` does."""
    words: tuple[str, ...] = given["words"]
    if given["dry_run"]:
        return plan(**given)
    if not given["once"]:
        with contextlib.suppress(KeyboardInterrupt, SystemExit):  # told to stop before it had begun
            return _keep(words, given)
        return 0
    try:
        reports = _synchronize(words, given)
    except SyncdError as error:
        if given["json"]:
            output.write_json(output.report([], error.exit_code))
        raise
    from syncd.telemetry.report import exit_of

    code = exit_of(reports)
    written = not given["json"] or output.write_json(output.report(reports, code))
    return code if written else code or 1


def _keep(words: tuple[str, ...], given: dict[str, Any]) -> int:
    """The daemon: until it is told to stop."""
    from syncd import settings

    if given["json"]:
        raise ConfigurationError(
            "--json is the report of a run that ends: say --once, or ask with `syncd status --json`"
        )
    options, pair = arguments.options(given), settings.is_pair(words)
    loaded = settings.load(options, pair=pair)
    settings.job_specs(words, loaded, options)
    if words and not pair:
        raise ConfigurationError(f"to mirror {', '.join(words)} once, say `syncd --once {' '.join(words)}`")
    from syncd.app.daemon import run_daemon

    with output.voice(loaded, {**given, "no_progress": True}) as voice:
        return run_daemon(
            lambda: settings.job_specs(words, settings.load(options, pair=pair), options),
            state_dir=settings.state_directory(loaded),
            telemetry=voice.job,
            said=voice.say,
            listen=loaded.settings.status.listen,
        )


def _synchronize(words: tuple[str, ...], given: dict[str, Any]) -> list[JobReport]:
    from syncd import settings

    options = arguments.options(given)
    loaded = settings.load(options, pair=settings.is_pair(words))
    specs = settings.job_specs(words, loaded, options)
    from syncd.app.once import synchronize

    with output.voice(loaded, given) as voice:
        reports = synchronize(specs, state_dir=settings.state_directory(loaded), telemetry=voice.job)
    voice.summarize(reports)
    return reports


def plan(**given: Any) -> int:
    """What `--once` would do, as a table or as JSON."""
    from syncd.telemetry.report import exit_of, plan_data, plan_lines, remark_lines
    from syncd.telemetry.text import Paint, has_colour

    try:
        specs, plans = _preview(given["words"], given)
    except SyncdError:
        if given["json"]:
            output.write_json(plan_data([]))
        raise
    if given["json"]:
        written = output.write_json(plan_data(plans))
        for report, each in plans:
            for line in remark_lines(report, held=each.held, extra=each.extra):
                streams.say(line)
    else:
        paint = Paint(on=has_colour(sys.stdout))
        lines = [line for report, each in plans for line in plan_lines(report, each, paint)]
        written = streams.write_result("".join(f"{line}\n" for line in lines))
    if given.get("out"):
        exchange.keep_plan(given, specs, plans)
    code = exit_of(report for report, _ in plans)
    return code if written else code or 1


def _preview(words: tuple[str, ...], given: dict[str, Any]) -> tuple[list[JobSpec], list[tuple[JobReport, Plan]]]:
    from syncd import settings

    options = arguments.options(given)
    loaded = settings.load(options, pair=settings.is_pair(words))
    specs = settings.job_specs(words, loaded, options)
    from syncd.app.once import preview

    with output.voice(loaded, given) as voice:
        return specs, preview(specs, state_dir=settings.state_directory(loaded), telemetry=voice.job)


def list_destination(**given: Any) -> int:
    """The records of one destination directory."""
    from syncd import settings
    from syncd.telemetry.report import listing_data, listing_lines

    options = arguments.options(given)
    loaded = settings.load(options)
    remote, directory = settings.destination(given["destination"], loaded, options)
    from syncd.app.visits import list_destination as listed

    state_dir = settings.state_directory(loaded)
    entries = listed(remote, directory, recursive=given["recursive"], state_dir=state_dir)
    if given["json"]:
        return 0 if output.write_json(listing_data(entries)) else 1
    return 0 if streams.write_result("".join(f"{line}\n" for line in listing_lines(entries))) else 1


def config(**given: Any) -> int:
    """The effective configuration; contacts nothing."""
    from syncd import settings
    from syncd.settings import show

    loaded = settings.load(arguments.options(given))
    written = output.write_json(show.as_data(loaded)) if given["json"] else streams.write_result(show.as_toml(loaded))
    return 0 if written else 1


def init(path: Path) -> int:
    """Write the commented starter configuration, unless something is there."""
    from importlib.resources import files

    text = files("syncd.settings").joinpath("starter.toml").read_text("utf-8")
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise ConfigurationError(f"{path} is there already and was left as it is") from None
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}") from None
    streams.say(f"wrote {path}: edit it, then look at `syncd config` and `syncd plan`")
    return 0


def sandbox(**given: Any) -> int:
    """Serve the embedded API until interrupted."""
    from syncd import settings

    data: Path = given["data"] or settings.state_directory(settings.load(arguments.options(given))) / "sandbox"
    from syncd.app.serving import run_sandbox

    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job begins with it ignored
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    with contextlib.suppress(KeyboardInterrupt):
        run_sandbox(given["listen"], data, given["knob"], started=lambda server: _introduce(server.url, data))
    return 0


def _introduce(url: str, data: Path) -> None:
    """How to use the sandbox; its token is no secret."""
    from syncd.sandbox import APPLICATION_ID, TOKEN

    streams.write_result(
        f"sandbox: {url}\napplication id: {APPLICATION_ID}\ntoken: {TOKEN}\ndata: {data}\n"
        f"try: SYNCD_TOKEN={TOKEN} syncd --once SOURCE losant://{APPLICATION_ID}/dir --api-url {url}\n"
    )
