"""The effective configuration as text and as data, every value with its origin, secrets masked.

Called by `cli` for `syncd config`. Reads no token.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import NamedTuple

from pydantic import BaseModel, SecretStr

from syncd.settings.load import DEFAULT, Loaded, state_directory
from syncd.settings.resolve import check
from syncd.settings.tokens import tokens_of

MASK = "********"
_COLUMN = 48


class Row(NamedTuple):
    key: tuple[str, ...]
    value: object
    origin: str


def rows_of(loaded: Loaded) -> list[Row]:
    """Every setting in the order of the contract. Raises ConfigurationError where settings contradict each other."""
    check(loaded)
    tokens = tokens_of(loaded)
    rows = []
    for key, value in _walk(loaded.settings, ()):
        origin = loaded.origin(*key)
        row = Row(key, MASK if isinstance(value, SecretStr) else value, origin.text if origin else DEFAULT)
        if key == ("state_dir",):
            row = row._replace(value=str(state_directory(loaded)))
        elif key[0] == "remotes" and key[2] == "token" and value is None and key[1] in tokens:
            token = tokens[key[1]]
            row = row._replace(value=MASK, origin=token.where)
        rows.append(row)
    return rows


def as_toml(loaded: Loaded) -> str:
    """The settings as a configuration file that says where each came from; what has no value is commented out."""
    lines = [f"# file: {loaded.file or 'none'}"]
    table: tuple[str, ...] = ()
    for key, value, origin in rows_of(loaded):
        if key[:-1] != table:
            table = key[:-1]
            lines += ["", f"[{'.'.join(table)}]"]
        text = f"# {key[-1]} is not set" if value is None else f"{key[-1]} = {_toml(value)}"
        lines.append(f"{text:<{_COLUMN}}  # {origin}")
    return "\n".join(lines) + "\n"


def as_data(loaded: Loaded) -> dict[str, object]:
    """The same for programs: dotted keys, each with `value` and `origin`."""
    settings = {".".join(key): {"value": value, "origin": origin} for key, value, origin in rows_of(loaded)}
    return {"version": 1, "file": str(loaded.file) if loaded.file else None, "settings": settings}


def _walk(model: BaseModel, above: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], object]]:
    for name, value in model:
        if isinstance(value, BaseModel):
            yield from _walk(value, (*above, name))
        elif isinstance(value, dict):
            for entry, inner in value.items():
                yield from _walk(inner, (*above, name, entry))
        else:
            yield (*above, name), value


def _toml(value: object) -> str:
    """A TOML value: JSON's notation is TOML's for what settings hold."""
    return json.dumps(value, ensure_ascii=False)
