"""What the readers of other programs' files share: objects with known fields, one item for each, addresses."""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from jobs.imports.call import Call
from jobs.imports.items import Item, ReadError

_EVERY = re.compile(r"@every ((?:[0-9]{1,6}[hms])+)")
_UNITS = {"h": 3600, "m": 60, "s": 1}


def items_of(values: Iterable[Any], read: Callable[[Any], Item]) -> list[Item]:
    """An item for each value, refused where `read` raises ReadError."""
    items = []
    for value in values:
        try:
            items.append(read(value))
        except ReadError as error:
            items.append(Item(None, str(error)))
    return items


def mapping(value: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ReadError(f"{what} should be an object.")
    return value


def text(value: Any, what: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ReadError(f"{what} should be a text.")
    return value.strip()


def single(documents: list[Any], what: str) -> Mapping[str, Any]:
    """The one document of a file."""
    if len(documents) != 1:
        raise ReadError(f"Should be one document, {what}.")
    return mapping(documents[0], "The file")


def refuse_others(value: Mapping[str, Any], known: Iterable[str], what: str) -> None:
    """Refuse fields whose meaning would be lost."""
    if others := sorted(set(value) - set(known)):
        raise ReadError(f"{what}: {', '.join(map(str, others))[:200]} can't be carried over.")


def address(base_url: str | None, path: str) -> str:
    """Where a path leads. Raises ReadError without a base."""
    if base_url is None:
        raise ReadError(f"The file holds paths only: send base_url, such as https://example.com, for {path[:80]}.")
    if not path.startswith("/"):
        raise ReadError(f"{path[:80]!r} should begin with /.")
    return base_url.rstrip("/") + path


def request_to(url: str, method: str = "GET") -> dict[str, Any]:
    """The request of a plain call, held to what a URL may be."""
    call = Call(method=method)
    call.set_url(url)
    found: dict[str, Any] = call.definition()["request"]
    return found


def go_schedule(written: str) -> tuple[Any, str | None]:
    """A schedule of robfig/cron (Kubernetes, dkron) as ours, and the time zone that it begins with, if any.

    There a day field with a step does not count as *, so that either day field is enough.
    """
    zone = None
    if found := re.fullmatch(r"(?:CRON_TZ|TZ)=(\S+)\s+(.+)", written):
        zone, written = found[1], found[2]
    if found := _EVERY.fullmatch(written):
        parts = re.findall(r"([0-9]+)([hms])", found[1])
        return {"every_seconds": sum(int(number) * _UNITS[unit] for number, unit in parts)}, zone
    fields = written.split()
    if len(fields) in (5, 6):
        fields[-3] = _day_field(fields[-3], 1, 31)
        fields[-1] = _day_field(fields[-1], 0, 6)
    return " ".join(fields), zone


def _day_field(field: str, low: int, high: int) -> str:
    terms = field.replace("?", "*").split(",")
    if any(term in ("*", "*/1") for term in terms):
        return "*"
    return ",".join(term.replace("*", f"{low}-{high}") for term in terms)
