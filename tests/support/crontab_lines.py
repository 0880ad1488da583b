"""Single crontab lines through the importer: the item, its job definition, or its error."""

from typing import Any

from jobs.imports import Item, read_crontab

CALL = "curl https://a.test/x"


def item_of(line: str, **more: Any) -> Item:
    (item,) = read_crontab(line, **more)
    return item


def job_of(line: str, **more: Any) -> dict[str, Any]:
    item = item_of(line, **more)
    assert item.definition is not None, item.problem
    return dict(item.definition)


def error_of(line: str, **more: Any) -> str:
    item = item_of(line, **more)
    assert item.definition is None, item
    assert item.line
    return item.problem or ""
