"""Listings: what a query may ask, which records it selects, and the page that answers it.

Called by the request handlers of the file API. It never changes a record.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import translate
from operator import attrgetter
from typing import Any, NamedTuple

import msgspec

from syncd.sandbox.catalog import Catalog
from syncd.sandbox.errors import malformed
from syncd.sandbox.records import Kind, Record, clean_directory

DEFAULT_PAGE_SIZE = 100
DEFAULT_URL_TTL_S = 900
KEPT_SELECTIONS = 16
COMMON_PARAMETERS = frozenset({"_actions", "_links", "_embedded", "losantdomain"})
_PARAMETERS = COMMON_PARAMETERS | {
    "page",
    "perPage",
    "sortField",
    "sortDirection",
    "filterField",
    "filter",
    "type",
    "status",
    "directory",
}
_ATTRIBUTE = {"lastUpdated": "updated", "creationDate": "created", "name": "name", "type": "type"}


class Selection(NamedTuple):
    """Which records in which order: what is the same for every page of one listing."""

    sort_field: str
    sort_direction: str
    name_filter: str
    type: str
    status: str
    directory: str | None


@dataclass(frozen=True, slots=True)
class Query:
    """One request for a page."""

    selection: Selection
    page: int
    page_size: int
    url_ttl_s: int


def parse_query(parameters: Mapping[str, str], kind: Kind, page_size_ceiling: int) -> Query:
    """The query in the parameters of a request.

    Raises:
        Refusal: 400 for an unknown parameter or a value outside its range.
    """
    refuse_unknown(parameters, _PARAMETERS | {"urlTTL"} if kind == "privateFiles" else _PARAMETERS)
    one_of(parameters, "filterField", ("name", ""), "")
    directory = parameters.get("directory")
    selection = Selection(
        sort_field=one_of(parameters, "sortField", tuple(_ATTRIBUTE), "lastUpdated"),
        sort_direction=one_of(parameters, "sortDirection", ("asc", "desc"), "asc"),
        name_filter=parameters.get("filter", "") if parameters.get("filterField") else "",
        type=one_of(parameters, "type", ("file", "directory", ""), ""),
        status=one_of(parameters, "status", ("completed", "pending", ""), ""),
        directory=clean_directory(directory, "exact") if directory else None,
    )
    return Query(
        selection=selection,
        page=whole_number(parameters, "page", 0),
        page_size=min(whole_number(parameters, "perPage", DEFAULT_PAGE_SIZE, least=1), page_size_ceiling),
        url_ttl_s=whole_number(parameters, "urlTTL", DEFAULT_URL_TTL_S),
    )


def refuse_unknown(parameters: Mapping[str, str], known: frozenset[str]) -> None:
    """Raise a 400 for a parameter that the operation does not have: a misspelt one would go unnoticed."""
    for name in parameters:
        if name not in known:
            raise malformed(f"{name} is not a parameter of this operation")


def one_of(parameters: Mapping[str, str], name: str, allowed: tuple[str, ...], default: str) -> str:
    """A parameter with a closed set of values; 400 for another."""
    value = parameters.get(name, default)
    if value not in allowed:
        raise malformed(f"{name} must be one of {', '.join(filter(None, allowed))}")
    return value


def whole_number(parameters: Mapping[str, str], name: str, default: int, *, least: int = 0) -> int:
    """A parameter that is a whole number; 400 for anything else."""
    written = parameters.get(name)
    if written is None:
        return default
    if not (written.isascii() and written.isdigit() and len(written) < 16) or int(written) < least:
        raise malformed(f"{name} must be a whole number, {least} or more")
    return int(written)


class Selections:
    """The ordered records of recent selections of one catalog, each good until the catalog changes."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._kept: dict[Selection, list[Record]] = {}
        self._version = -1

    def select(self, selection: Selection, listed_until: float | None) -> list[Record]:
        """The records of a selection. `listed_until`: leave out what becomes listed only after that time."""
        if listed_until is not None:
            records = _ordered(self._catalog, selection)
            return [record for record in records if record.listed_from <= listed_until]
        if self._version != self._catalog.version or len(self._kept) >= KEPT_SELECTIONS:
            self._kept.clear()
            self._version = self._catalog.version
        if selection not in self._kept:
            self._kept[selection] = _ordered(self._catalog, selection)
        return self._kept[selection]


def _ordered(catalog: Catalog, selection: Selection) -> list[Record]:
    everywhere = selection.directory is None
    records = _filtered(catalog.records() if everywhere else catalog.children(selection.directory or "/"), selection)
    if selection.sort_field != "creationDate":
        records.sort(key=attrgetter(_ATTRIBUTE[selection.sort_field], "sequence"))
    if selection.sort_direction == "desc":
        records.reverse()
    return records


def _filtered(records: list[Record], selection: Selection) -> list[Record]:
    if selection.type:
        records = [record for record in records if record.type == selection.type]
    if selection.status:
        records = [record for record in records if record.status == selection.status]
    if selection.name_filter:
        matches = re.compile(translate(selection.name_filter)).match
        records = [record for record in records if matches(record.name)]
    return records


def page_document(
    query: Query, kind: Kind, application: str, *, items: list[bytes], total: int, parent_exists: bool
) -> bytes:
    """The JSON of one page, made of the JSON of its items."""
    selection = query.selection
    rest: dict[str, Any] = {
        "count": len(items),
        "totalCount": total,
        "perPage": query.page_size,
        "page": query.page,
        "sortField": selection.sort_field,
        "sortDirection": selection.sort_direction,
        "applicationId": application,
        "_type": kind,
        "_links": {
            "application": {"href": f"/applications/{application}"},
            "self": {"href": f"/applications/{application}/{kind}"},
        },
    }
    if selection.directory is not None:
        rest |= {"directory": selection.directory, "parentExists": parent_exists}
    if selection.name_filter:
        rest |= {"filterField": "name", "filter": selection.name_filter}
    for name in ("type", "status"):
        if value := getattr(selection, name):
            rest[name] = value
    return b'{"items":[' + b",".join(items) + b"]," + msgspec.json.encode(rest)[1:]
