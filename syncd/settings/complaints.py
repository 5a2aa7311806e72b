"""Turns what is wrong with a configuration into one line each: the key, its value, where it is, what is allowed.

Called by `load`. A value is shown only for a known, plain setting that is no secret: the value of an unknown key, or
text where a table belongs, may well be a token in the wrong place.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Any, get_args

from pydantic import BaseModel

from syncd.settings.schema import Settings

Key = tuple[str, ...]

_OUR_OWN = frozenset({"SYNCD_CONFIG", "SYNCD_TOKEN"})
_KUBERNETES = ("SYNCD_PORT", "SYNCD_SERVICE_")
_USERINFO = re.compile(r"//[^/@]*@")


def complaint_of(details: Mapping[str, Any], origins: Mapping[Key, str]) -> str:
    """One line for one of pydantic's errors; `origins` has the place of every leaf that was given."""
    key = tuple(str(part) for part in details["loc"] if part != "[key]")
    name, kind = ".".join(key), str(details["type"])
    where = _place(key, origins)
    if kind == "extra_forbidden":
        return f"{name}{where}: unknown key{_nearest(key[-1], _siblings(key))}"
    if kind == "missing":
        return f"{name}{where}: is required and missing"
    if "[key]" in details["loc"]:
        return f"{name}{where}: {_allowed(details)}"
    return f"{name}{_shown(key, details['input'])}{where}: {_allowed(details)}"


def option_complaint(details: Mapping[str, Any]) -> str:
    """One line for one of pydantic's errors about what an option gave."""
    option = str(details["loc"][0]).replace("_", "-")
    return f"--{option} {str(details['input'])!r}: {_allowed(details)}"


def unknown_variables(environ: Iterable[str], sections: tuple[str, ...]) -> list[str]:
    """One line for each SYNCD_ variable that no setting reads. Kubernetes sets some beside a Service of any name that
    begins with syncd: those of SYNCD_PORT* and SYNCD_SERVICE_*, and NAME_* where NAME_SERVICE_HOST is set, are let be.
    """
    names = sorted(name for name in environ if name.upper().startswith("SYNCD_") and name not in _OUR_OWN)
    services = (*_KUBERNETES, *(name.removesuffix("SERVICE_HOST") for name in names if name.endswith("_SERVICE_HOST")))
    return [
        f"${name}: unknown variable{_variable_meant(name, sections)}"
        for name in names
        if not name.startswith(services) and not _is_setting(name, sections)
    ]


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """' (did you mean X?)' or ''."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def _is_setting(name: str, sections: tuple[str, ...]) -> bool:
    section, nested, _ = name[6:].lower().partition("__")
    return section in sections and not (nested and section == "state_dir")


def _variable_meant(name: str, sections: tuple[str, ...]) -> str:
    """A name of ours that is near, or this one with two underscores where it has one."""
    section, _, rest = name[6:].upper().partition("_")
    if section.lower() in sections and rest:
        return f" (did you mean SYNCD_{section}__{rest if '__' in rest else rest.replace('_', '__', 1)}?)"
    own = [*(known.removeprefix("SYNCD_") for known in _OUR_OWN), *(known.upper() for known in sections)]
    close = difflib.get_close_matches(name[6:].upper(), own, n=1, cutoff=0.7)
    return (
        f" (did you mean SYNCD_{close[0]}?)" if close else f" (known: {', '.join(f'SYNCD_{o}' for o in sorted(own))})"
    )


def _nearest(word: str, known: list[str]) -> str:
    return did_you_mean(word, known) or f" (known here: {', '.join(sorted(known))})"


def _siblings(key: Key) -> list[str]:
    """The keys that would have been known where `key` stands."""
    model: type[BaseModel] = Settings
    for part in key[:-1]:
        field = model.model_fields.get(part)
        if field is None:  # the name of a job or remote, within the model its table led to
            continue
        model = _model_in(field.annotation)
    return list(model.model_fields)


def _model_in(annotation: Any) -> type[BaseModel]:
    candidates: tuple[Any, ...] = (annotation, *get_args(annotation))
    return next(found for found in candidates if isinstance(found, type) and issubclass(found, BaseModel))


def _place(key: Key, origins: Mapping[Key, str]) -> str:
    """' (FILE)' or ' ($VARIABLE)': of the key, of the value that it is part of, or of its neighbours."""
    for depth in range(len(key), 0, -1):
        if key[:depth] in origins:
            return f" ({origins[key[:depth]]})"
    for around in (key, key[:-1]):  # what is in it, where it is no table; its neighbours, where it is missing
        where = next((place for other, place in origins.items() if other[: len(around)] == around), None)
        if where:
            return f" ({where})"
    return ""


def _shown(key: Key, value: object) -> str:
    plain = key == ("state_dir",) or len(key) > (2 if key[0] in ("jobs", "remotes") else 1)
    if not plain or key[-1] == "token":
        return ""
    text = repr(value) if len(repr(value)) <= 80 else repr(value)[:77] + "..."
    return f" = {_USERINFO.sub('//***@', text)}"


def _allowed(details: Mapping[str, Any]) -> str:
    kind, context = details["type"], details.get("ctx", {})
    if kind == "literal_error":
        return f"must be {context['expected']}"
    if kind == "value_error":
        return str(context["error"])
    if kind == "list_type":
        return 'must be a list, such as ["*.tmp", ".git/"] (as a variable: in JSON)'
    if kind in ("model_type", "dict_type", "model_attributes_type"):
        return "must be a table of settings (as a variable: a JSON object, or SYNCD_TABLE__KEY for a single one)"
    return str(details["msg"]).replace("Input should be", "must be")
