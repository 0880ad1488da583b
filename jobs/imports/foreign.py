"""Shared by the readers of other programs' files."""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from jobs.imports.call import Call
from jobs.imports.items import Item, ReadError

_EVERY = re.compile(r"@every ((?:[0-9]{1,6}[hms])+)")
_UNITS = {"h": 3600, "m": 60, "s": 1}


def items_of(values: Iterable[Any], read: Callable[[Any], Item]) -> list[Item]:
    """Return an item for each value, with the problem where `read` raises ReadError."""
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
        raise ReadError(f"{what} should be text.")
    return value.strip()


def single(documents: list[Any], what: str) -> Mapping[str, Any]:
    """Return the only document of a file."""
    if len(documents) != 1:
        raise ReadError(f"Should have one document: {what}.")
    return mapping(documents[0], "The file")


def refuse_others(value: Mapping[str, Any], allowed: Iterable[str], what: str) -> None:
    """Raises ReadError for fields that can't be imported."""
    if others := sorted(set(value) - set(allowed)):
        raise ReadError(f"{what}: {', '.join(map(str, others))[:200]} can't be imported.")


def address(base_url: str | None, path: str) -> str:
    """Return the URL of a path. Raises ReadError without a base URL."""
    if base_url is None:
        raise ReadError(f"The file has paths only: send base_url, such as https://example.com, for {path[:80]}.")
    if not path.startswith("/"):
        raise ReadError(f"{path[:80]!r} should start with /.")
    return base_url.rstrip("/") + path


def request_to(url: str, method: str = "GET") -> dict[str, Any]:
    """Return the request of a plain call. Raises ReadError for an invalid URL."""
    call = Call(method=method)
    call.set_url(url)
    request: dict[str, Any] = call.definition()["request"]
    return request


def go_schedule(written: str) -> tuple[Any, str | None]:
    """Translate a schedule of robfig/cron (Kubernetes, dkron), and return it with its time zone, if it has one.

    In robfig/cron a day field with a step does not count as *, so that either day field is enough.
    """
    zone = None
    if match := re.fullmatch(r"(?:CRON_TZ|TZ)=(\S+)\s+(.+)", written):
        zone, written = match[1], match[2]
    if match := _EVERY.fullmatch(written):
        parts = re.findall(r"([0-9]+)([hms])", match[1])
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
