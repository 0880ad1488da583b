"""Lists of the API, page by page."""

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from hourhand.client.session import QueryValue, Session

_MAX_PAGE = 100


def items(session: Session, path: str, query: Mapping[str, QueryValue], *, limit: int | None = None) -> Iterator[Any]:
    """Yield the items of a list, at most `limit`, reading further pages as they are needed."""
    left = limit
    cursor: str | None = None
    while left is None or left > 0:
        size = _MAX_PAGE if left is None else min(_MAX_PAGE, left)
        page = session.call("GET", path, query={**query, "limit": size, "cursor": cursor})
        yield from page["results"]
        left = None if left is None else left - len(page["results"])
        cursor = _cursor_of(page["next"])
        if cursor is None:
            return


def _cursor_of(link: str | None) -> str | None:
    """Return the cursor of a page's link. Only that: behind a proxy the link may have another host."""
    return parse_qs(urlsplit(link).query)["cursor"][0] if link else None


def filters_of(given: Mapping[str, QueryValue | list[str] | tuple[str, ...]]) -> dict[str, QueryValue]:
    """Return keyword arguments as query parameters: `from_` is `from`, lists are joined with commas."""
    return {
        name.rstrip("_"): ",".join(value) if isinstance(value, (list, tuple)) else value
        for name, value in given.items()
    }
