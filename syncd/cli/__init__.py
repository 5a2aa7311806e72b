"""The command line: arguments to what is to be done, what came of it to output and exit code.

Called as the `syncd` script and by `python -m syncd`. Imports only click until it knows what is wanted: `--help`
and `--version` are quick. Results go to standard output, all else to standard error. It decides nothing about files.
"""

from __future__ import annotations

import gc
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import click

from syncd import __version__
from syncd.cli import arguments, commands, control, exchange, output, past, restore
from syncd.errors import SyncdError
from syncd.telemetry import streams

GARBAGE_EVERY = 100_000
"""Entries make no circles, and looking for circles among them every 700 took an eighth of a run over 100,000 files."""

_RUNS = frozenset({"--once", "--dry-run"})

_EXAMPLES = arguments.examples(
    "syncd --once ./site sandbox:/site", "syncd --once assets", "syncd            # every job, until stopped"
)

_EXIT_HELP = """\b
Exit codes: 0 all is on the destination, 1 some files failed, 2 usage or
configuration, 3 deletions held, 4 credentials refused, 5 remote unreachable,
6 already running, 7 source missing or foreign, 130/143 interrupted."""

_KNOBS_HELP = (
    "How the server is slow, strict or broken: latency=0.02 (seconds from a request's arrival to its answer), "
    "completion_delay=2, fault=create:status=503:p=0.1, and more; repeatable."
)


def main() -> NoReturn:
    """Runs the command line and exits with its code."""
    streams.secure()
    _take_signals()
    gc.set_threshold(GARBAGE_EVERY)
    code = run(sys.argv[1:])
    streams.finish()
    gc.freeze()  # nothing is left to be closed: looking for circles among all that was loaded takes a tenth of a second
    sys.exit(code)


def run(words: Sequence[str]) -> int:
    """Does what the arguments say and returns the exit code; every failure has been said when this returns."""
    try:
        command, rest = _command_of(list(words))
        name = "syncd" if command is ROOT else f"syncd {command.name}"
        result: object = command.main(rest, prog_name=name, standalone_mode=False)
    except click.ClickException as error:
        streams.say_error(f"{error.format_message()} (syncd --help tells how)")
        return _reported(words, 2)
    except (KeyboardInterrupt, SystemExit, click.Abort) as error:
        streams.say_error("interrupted")
        return _reported(words, 143 if isinstance(error, SystemExit) else 130)
    except SyncdError as error:
        streams.say_error(str(error))
        return error.exit_code
    except Exception as error:
        return _reported(words, _internal_error(error, shown=_verbosity(words) > 1))
    return result if isinstance(result, int) else 0


def _take_signals() -> None:
    """Until a run or a daemon does: SIGINT and SIGTERM end the command with what is said and its exit code."""

    def terminate(_number: int, _frame: object) -> NoReturn:
        raise SystemExit(128 + signal.SIGTERM)

    for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGTERM, terminate)):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, handler)


def _reported(words: Sequence[str], code: int) -> int:
    """The exit code, once the report says it that was asked for and that no job could make."""
    if {"--once", "--json"} <= set(words) and "--dry-run" not in words:
        output.write_json(output.report([], code))
    return code


def _internal_error(error: Exception, *, shown: bool) -> int:
    if shown:
        import traceback

        for line in "".join(traceback.format_exception(error)).splitlines():
            streams.say(line)
    hint = "" if shown else " (-v -v shows where)"
    streams.say_error(f"internal error: {type(error).__name__}: {error}{hint}")
    return 1


def _verbosity(words: Sequence[str]) -> int:
    short = sum(word.count("v") for word in words if word.startswith("-v") and not word.strip("-v"))
    return short + sum(word == "--verbose" for word in words)


def _command_of(words: list[str]) -> tuple[click.Command, list[str]]:
    """The command that the first word names, wherever options stand, and the arguments without that word.

    With an option that only a run has there is no command: a source may be called like one.
    """
    parameters = [parameter for command in (ROOT, *COMMANDS.values()) for parameter in command.params]
    options = {tuple(one.opts): one for one in parameters if isinstance(one, click.Option)}
    scout = click.Command("syncd", params=[*options.values()], context_settings=arguments.CONTEXT)
    context = click.Context(scout, allow_interspersed_args=False, ignore_unknown_options=True, resilient_parsing=True)
    rest = scout.make_parser(context).parse_args(list(words))[1]
    leading = words[: len(words) - len(rest)]
    if not rest or "--" in leading or not _RUNS.isdisjoint(words):
        return ROOT, words
    word = rest[0]
    return (COMMANDS[word], leading + rest[1:]) if word in COMMANDS else (ROOT, words)


def _version(context: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        streams.write_result(f"syncd {__version__}\n")
        context.exit()


class _Root(click.Command):
    """`syncd` itself: its help also lists the commands."""

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write_usage(ctx.command_path, "[OPTIONS]")
        formatter.write_usage(ctx.command_path, "[OPTIONS] --once [JOB ...]", prefix="       ")
        formatter.write_usage(ctx.command_path, "[OPTIONS] [--once] SOURCE DESTINATION", prefix="       ")
        formatter.write_usage(ctx.command_path, "COMMAND [OPTIONS] ...", prefix="       ")

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, command.get_short_help_str(200)) for name, command in COMMANDS.items()])
        super().format_options(ctx, formatter)


ROOT = _Root(
    "syncd",
    callback=commands.mirror,
    context_settings=arguments.CONTEXT,
    help="Keep local directories mirrored onto Losant files, Losant private files and Privasfer: every job of the "
    "configuration, or SOURCE on DESTINATION, until stopped; with --once until they are mirrored. A DESTINATION is "
    "REMOTE:/dir of the configuration, losant://APPLICATION_ID/dir, losant-private://APPLICATION_ID/dir, "
    "privasfer:///dir or, to try without an account, sandbox:/dir.",
    epilog=f"{_EXAMPLES}\n\n{_EXIT_HELP}",
    params=[
        arguments.flag("--once", "Mirror once, then exit: the JOBs named, or all."),
        arguments.flag("--dry-run", "Show what would be done, and do nothing (as plan)."),
        arguments.JSON,
        *arguments.JOB,
        *arguments.COMMON,
        arguments.NO_PROGRESS,
        click.Option(
            ["--version"], is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Show the version."
        ),
        arguments.words(),
    ],
)

COMMANDS = {
    "plan": click.Command(
        "plan",
        callback=commands.plan,
        context_settings=arguments.CONTEXT,
        help="Show what --once would do, and why, and do nothing.",
        epilog=arguments.examples("syncd plan assets", "syncd plan --out plan.json && syncd apply plan.json"),
        params=[
            click.Option(
                ["--out"], type=arguments.FILE, metavar="FILE", help="Also keep the plan in FILE, for `syncd apply`."
            ),
            arguments.JSON,
            *arguments.JOB,
            *arguments.COMMON,
            arguments.NO_PROGRESS,
            arguments.words(),
        ],
    ),
    "ls": click.Command(
        "ls",
        callback=commands.list_destination,
        context_settings=arguments.CONTEXT,
        help="List a destination: size, modified, checksum, path.",
        epilog=arguments.examples("syncd ls -R prod:/assets", "syncd ls prod:/assets --json | jq 'map(.size) | add'"),
        params=[
            arguments.flag("-R", "Everything below, not only the directory itself.", "--recursive"),
            arguments.JSON,
            *arguments.ACCOUNT,
            *arguments.COMMON,
            click.Argument(["destination"]),
        ],
    ),
    "config": click.Command(
        "config",
        callback=commands.config,
        context_settings=arguments.CONTEXT,
        help="Print the effective configuration and where each value comes from, secrets masked.",
        epilog=arguments.examples("syncd config", "syncd config --config /etc/syncd/syncd.toml --json | jq .settings"),
        params=[arguments.JSON, *arguments.JOB, *arguments.COMMON],
    ),
    **exchange.COMMANDS,
    **control.COMMANDS,
    **past.COMMANDS,
    **restore.COMMANDS,
    "init": click.Command(
        "init",
        callback=commands.init,
        context_settings=arguments.CONTEXT,
        help="Write a commented starter configuration to PATH (./syncd.toml); never overwrites.",
        epilog=arguments.examples("syncd init", "syncd init /etc/syncd/syncd.toml"),
        params=[click.Argument(["path"], type=arguments.FILE, default=Path("syncd.toml"))],
    ),
    "sandbox": click.Command(
        "sandbox",
        callback=commands.sandbox,
        context_settings=arguments.CONTEXT,
        help="Serve local Losant- and Privasfer-compatible APIs for trying and testing.",
        epilog=arguments.examples(
            "syncd sandbox --data ./data", "syncd sandbox --knob latency=0.05 --knob 'fault=create:status=503:p=0.1'"
        ),
        params=[
            click.Option(
                ["--listen"],
                default="127.0.0.1:8080",
                metavar="ADDR:PORT",
                show_default=True,
            ),
            click.Option(["--data"], type=arguments.FILE, metavar="DIR", help="Where its files are kept."),
            click.Option(["--knob"], multiple=True, metavar="NAME=VALUE", help=_KNOBS_HELP),
            *arguments.COMMON,
        ],
    ),
}
