"""Reads the configuration: options over environment over one TOML file, and remembers where every value came from.

Called by `cli`. Raises ConfigurationError with all problems found, one a line. Contacts nothing and opens no file of
secrets: those are `tokens`'s.
"""

from __future__ import annotations

import contextlib
import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import EnvSettingsSource

from syncd.errors import ConfigurationError
from syncd.settings.complaints import Key, complaint_of, unknown_variables
from syncd.settings.schema import Settings
from syncd.settings.specs import Options

DEFAULT = "default"
FILE, ENVIRONMENT, OPTION = range(3)

Tree = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Origin:
    """`rank`: FILE, ENVIRONMENT or OPTION, each overriding the ones before. `text`: a path, $VARIABLE or --option."""

    rank: int
    text: str


@dataclass(frozen=True, slots=True)
class Loaded:
    settings: Settings
    file: Path | None
    origins: Mapping[Key, Origin]

    def origin(self, *key: str) -> Origin | None:
        """Where the value of `key` came from; None: it is the default."""
        return self.origins.get(key)

    def path(self, text: str, *key: str) -> Path:
        """The value `text` of `key` as an absolute path: one in a file is relative to that file's directory."""
        origin = self.origin(*key)
        inside_file = self.file is not None and origin is not None and origin.rank == FILE
        path = _expanded(text)
        return absolute(self.file.parent / path if inside_file and self.file else path)


def load(options: Options, *, pair: bool = False) -> Loaded:
    """The effective configuration, validated whole; without any file, what environment and defaults make.

    With `pair` the options about jobs are for a job of its own and not for those configured.
    """
    file = find_file(options.config)
    problems = unknown_variables(os.environ, tuple(Settings.model_fields))
    tree = _read_file(file) if file else {}
    origins = dict.fromkeys(_leaves(tree), Origin(FILE, str(file)))
    from_environment = _Environment(Settings)()
    origins |= _variables(from_environment)
    tree = _merged(tree, from_environment)
    from_options = _read_options(options, tree, pair=pair)
    origins |= {key: Origin(OPTION, f"--{key[-1].replace('_', '-')}") for key in _leaves(from_options)}
    tree = _merged(tree, from_options)
    settings = None
    try:
        settings = Settings(**tree)
    except ValidationError as error:
        where = {key: origin.text for key, origin in origins.items()}
        problems += [complaint_of(dict(details), where) for details in error.errors(include_url=False)]
    if problems or settings is None:
        raise ConfigurationError("\n".join(problems))
    return Loaded(settings, file, origins)


def find_file(chosen: Path | None) -> Path | None:
    """The configuration's file: the one chosen by option or $SYNCD_CONFIG, else the first of the usual ones."""
    named = chosen or (Path(text) if (text := os.environ.get("SYNCD_CONFIG")) else None)
    if named is not None:
        return named
    return next((path for path in usual_files() if _is_there(path)), None)


def usual_files() -> list[Path]:
    """Where a configuration is looked for, first to last; a user without a home has no place of their own."""
    places = [Path("syncd.toml"), Path("/etc/syncd/syncd.toml")]
    with contextlib.suppress(ConfigurationError):
        places.insert(1, Path(os.environ.get("XDG_CONFIG_HOME") or _expanded("~/.config")) / "syncd" / "syncd.toml")
    return places


def state_directory(loaded: Loaded) -> Path:
    """`state_dir`, else $STATE_DIRECTORY (its first, as systemd may give several), else $XDG_STATE_HOME/syncd."""
    if loaded.settings.state_dir is not None:
        return loaded.path(loaded.settings.state_dir, "state_dir")
    if given := os.environ.get("STATE_DIRECTORY", "").partition(":")[0]:
        return Path(given)
    return Path(os.environ.get("XDG_STATE_HOME") or _expanded("~/.local/state")) / "syncd"


def absolute(path: Path) -> Path:
    """Raises ConfigurationError where the path is relative to a current directory that is gone."""
    try:
        return path.absolute()
    except FileNotFoundError:
        raise ConfigurationError(f"{path}: the current directory was removed: change to another") from None


def _expanded(text: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise ConfigurationError(f"{text}: no home directory is known here: set HOME, or give the full path") from None


def _is_there(path: Path) -> bool:
    try:
        path.stat()
    except OSError:
        return False
    return True


def _read_file(path: Path) -> Tree:
    try:
        return tomllib.loads(path.read_text("utf-8-sig"))  # editors on Windows begin a file with a byte order mark
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path}: is not UTF-8 (at byte {error.start})") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path}: is not TOML: {error}") from None


class _Environment(EnvSettingsSource):
    """A value that should be JSON and is not stays the text it is: the schema refuses it by its name."""

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        try:
            return super().decode_complex_value(field_name, field, value)
        except ValueError:
            return value


def _read_options(options: Options, tree: Tree, *, pair: bool) -> Tree:
    """What the options say, for every job and remote there is; globs are added to those configured."""
    top: Tree = {"state_dir": options.state_dir, "log": {"format": options.log_format}}
    top["remotes"] = {
        name: {"token_file": options.token_file, "api_url": options.api_url} for name in _tables(tree, "remotes")
    }
    top["jobs"] = {
        name: {
            "delete": options.delete,
            "max_delete": options.max_delete,
            "workers": options.workers,
            "include": _added(job.get("include"), options.include),
            "exclude": _added(job.get("exclude"), options.exclude),
        }
        for name, job in ({} if pair else _tables(tree, "jobs")).items()
    }
    return _pruned(top)


def _tables(tree: Tree, name: str) -> dict[str, Tree]:
    tables = tree.get(name)
    return {key: table for key, table in tables.items() if isinstance(table, dict)} if isinstance(tables, dict) else {}


def _added(configured: object, more: tuple[str, ...]) -> object:
    return [*configured, *more] if more and isinstance(configured, list) else list(more) or None


def _pruned(tree: Tree) -> Tree:
    """`tree` without what is None, and without tables left empty by that."""
    kept = {key: _pruned(value) if isinstance(value, dict) else value for key, value in tree.items()}
    return {key: value for key, value in kept.items() if value is not None and value != {}}


def _merged(lower: Tree, upper: Tree) -> Tree:
    result = dict(lower)
    for key, value in upper.items():
        below = result.get(key)
        result[key] = _merged(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return result


def _leaves(tree: Tree, above: Key = ()) -> Iterator[Key]:
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, (*above, key))
        else:
            yield (*above, key)


def _variables(tree: Tree) -> dict[Key, Origin]:
    """For every leaf the variable that set it: of those whose name is the leaf's or a table's above it, the longest."""
    names = {tuple(name[6:].lower().split("__")): name for name in os.environ if name.upper().startswith("SYNCD_")}
    origins = {}
    for leaf in _leaves(tree):
        name = next((names[leaf[:depth]] for depth in range(len(leaf), 0, -1) if leaf[:depth] in names), "SYNCD_*")
        origins[leaf] = Origin(ENVIRONMENT, f"${name}")
    return origins
