"""The formats of import files, and their options. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from jobs.imports.appengine import read_app_engine
from jobs.imports.arazzo import parse_arazzo, read_arazzo
from jobs.imports.crontab import read_crontab
from jobs.imports.dkron import read_dkron
from jobs.imports.github import read_github
from jobs.imports.items import Item, objects_in
from jobs.imports.kubernetes import read_kubernetes
from jobs.imports.sidekiq import read_sidekiq
from jobs.imports.vercel import read_vercel
from jobs.imports.yaml import read_foreign_yaml, read_yaml


@dataclass(frozen=True, slots=True)
class Options:
    """A caller's options. None: not given."""

    timezone: str | None = None
    base_url: str | None = None
    user_column: bool | None = None

    @property
    def zone(self) -> str:
        return self.timezone or "UTC"


@dataclass(frozen=True, slots=True)
class Format:
    """How to read a file: `parse` turns its text into a value (None: JSON), `read` turns that into items.

    `takes` are the options it has. `takes_values`: the content may be a JSON value instead of text.
    """

    read: Callable[[Any, Options], list[Item]]
    parse: Callable[[str], Any] | None
    takes: frozenset[str] = frozenset()
    takes_values: bool = False


def _with_timezone(value: Any, options: Options) -> list[Item]:
    """Read job objects, with the caller's time zone as their default."""
    items = objects_in(value)
    if options.timezone is None:
        return items
    return [
        Item({"timezone": options.timezone, **item.definition}, whole=True) if item.definition is not None else item
        for item in items
    ]


_ZONE, _BASE = frozenset({"timezone"}), frozenset({"base_url"})
FORMATS: dict[str, Format] = {
    "crontab": Format(
        lambda text, options: read_crontab(text, timezone=options.zone, user_column=options.user_column),
        str,
        _ZONE | {"user_column"},
    ),
    "json": Format(_with_timezone, None, _ZONE),
    "yaml": Format(_with_timezone, read_yaml, _ZONE),
    "vercel": Format(lambda value, options: read_vercel(value, base_url=options.base_url), None, _BASE),
    "github": Format(lambda documents, _: read_github(documents), read_foreign_yaml),
    "kubernetes": Format(
        lambda documents, options: read_kubernetes(documents, timezone=options.zone), read_foreign_yaml, _ZONE
    ),
    "app_engine": Format(
        lambda documents, options: read_app_engine(documents, base_url=options.base_url, timezone=options.zone),
        read_foreign_yaml,
        _ZONE | _BASE,
    ),
    "sidekiq": Format(lambda documents, _: read_sidekiq(documents), read_foreign_yaml),
    "dkron": Format(lambda value, options: read_dkron(value, timezone=options.zone), None, _ZONE),
    "arazzo": Format(
        lambda value, options: read_arazzo(value, base_url=options.base_url), parse_arazzo, _BASE, takes_values=True
    ),
}
