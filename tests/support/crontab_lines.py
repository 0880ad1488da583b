"""One line of a crontab, as the importer reads it."""

from typing import Any

from jobs.imports import Item, read_crontab

CALL = "curl https://a.test/x"


def one(line: str, **more: Any) -> Item:
    (item,) = read_crontab(line, **more)
    return item


def job(line: str, **more: Any) -> dict[str, Any]:
    item = one(line, **more)
    assert item.definition is not None, item.wrong
    return dict(item.definition)


def wrong(line: str, **more: Any) -> str:
    item = one(line, **more)
    assert item.definition is None, item
    assert item.line
    return item.wrong or ""
