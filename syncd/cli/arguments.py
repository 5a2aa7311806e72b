"""The options of the command line, in the groups in which commands share them.

Used by `syncd.cli` to build its commands. Parses nothing itself; what a value means is for `settings` to say.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from syncd.settings import Options


def flag(name: str, text: str, *more: str) -> click.Option:
    return click.Option([name, *more], is_flag=True, help=text)


def examples(*lines: str) -> str:
    """What a command's help ends with."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


def options(given: Mapping[str, Any]) -> Options:
    """What the command line says over file and environment."""
    from syncd.settings import Options

    return Options(**{name: given[name] for name in Options.__dataclass_fields__ if name in given})


def words() -> click.Argument:
    return click.Argument(["words"], nargs=-1, metavar="[JOB ... | SOURCE DESTINATION]")


FILE = click.Path(path_type=Path)
COMMON = [
    click.Option(["--config"], type=FILE, metavar="FILE", help="The configuration file."),
    click.Option(["--state-dir"], metavar="DIR", help="Where what is known of earlier runs is kept."),
    click.Option(["--log-format"], type=click.Choice(["auto", "console", "json"]), help="How the log is written."),
    click.Option(["-v", "--verbose"], count=True, help="Log more: every file; twice, also where errors come from."),
    click.Option(["-q", "--quiet"], count=True, help="Log less: only warnings; twice, only errors."),
]
ACCOUNT = [
    click.Option(["--token-file"], metavar="FILE", help="A file with the remote's token (else $SYNCD_TOKEN)."),
    click.Option(["--api-url"], metavar="URL", help="The API's address, for a private installation."),
]
JSON = flag("--json", "Write the result to standard output as JSON.")
NO_PROGRESS = flag("--no-progress", "No progress bar, also on a terminal.")
DELETE = click.Option(
    ["--delete"],
    type=click.Choice(["never", "tracked", "mirror"]),
    help="What may be deleted on the destination: nothing, what syncd put or adopted there, all the source lacks.",
)
MAX_DELETE = click.Option(["--max-delete"], metavar="N|N%", help="More deletions than this are held, not done.")
CHECKSUM = flag("--checksum", "Read every file: trust no size and time.")
ACCEPT_SOURCE = flag("--accept-source", "The source was moved to another filesystem on purpose.")
ADOPT_BY_SIZE = flag(
    "--adopt-by-size", "Privasfer, state lost: take a file there of the same name and size for the local one."
)
SELECTION = [
    click.Option(
        ["--include"],
        multiple=True,
        metavar="GLOB",
        help="Only what matches, beside what is configured (gitignore pattern); repeatable.",
    ),
    click.Option(
        ["--exclude"], multiple=True, metavar="GLOB", help="Not what matches, beside what is configured; repeatable."
    ),
    click.Option(["--workers"], type=click.IntRange(1, 256), metavar="N", help="How many transfers at once."),
    *ACCOUNT,
]
JOB = [DELETE, MAX_DELETE, CHECKSUM, ACCEPT_SOURCE, ADOPT_BY_SIZE, *SELECTION]
CONTEXT: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
