"""The options that set fields of a job."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from hourhand.commands.schedules import spelled
from hourhand.documents import parse_object, read_text

Function = TypeVar("Function", bound=Callable[..., Any])
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
MANUAL = "manual"


def job_fields(function: Function) -> Function:
    """Add the options of the fields that are set most; a file can set all."""
    for option in reversed(
        (
            click.option("-f", "--file", metavar="FILE", help="Fields as JSON or YAML, `-` for stdin; options win."),
            click.option("--slug", help="Its name in paths: a-z, 0-9 and dashes."),
            click.option("--description", metavar="TEXT", help="Free text for people."),
            click.option("--tag", multiple=True, help="A label; repeatable. All others are removed."),
            click.option("--schedule", help=f"Such as '0 2 * * *' or 'every 5 minutes'; {MANUAL}: none."),
            click.option("--timezone", metavar="NAME", help="IANA time zone."),
            click.option("--endpoint", metavar="URL", help="The URL to call."),
            click.option("--method", type=click.Choice(METHODS), help="The method of the call."),
            click.option("--header", multiple=True, metavar="'NAME: VALUE'", help="A header; all others are removed."),
            click.option("--body", metavar="TEXT", help="The body of the call; @FILE is that of a file."),
            click.option("--call-timeout", type=int, metavar="SECONDS", help="Timeout of the call."),
            click.option("--enable", multiple=True, metavar="ENVIRONMENT", help="Enable it there; repeatable."),
            click.option("--disable", multiple=True, metavar="ENVIRONMENT", help="Disable it there; repeatable."),
        )
    ):
        function = option(function)
    return function


def fields_of(
    *,
    file: str | None,
    schedule: str | None,
    endpoint: str | None,
    method: str | None,
    header: Sequence[str],
    body: str | None,
    call_timeout: int | None,
    enable: Sequence[str],
    disable: Sequence[str],
    tag: Sequence[str],
    **plain: str | None,
) -> dict[str, Any]:
    """Return the fields that the options set, in the shape of the job object. Raises UsageError."""
    fields = parse_object(read_text(file), file) if file is not None else {}
    fields |= {name: value for name, value in plain.items() if value is not None}
    if tag:
        fields["tags"] = list(tag)
    if schedule is not None:
        fields["schedule"] = None if schedule == MANUAL else spelled(schedule)
    request = {
        "url": endpoint,
        "method": method,
        "headers": _headers(header) if header else None,
        "body": read_text(body[1:]) if body is not None and body.startswith("@") else body,
        "timeout_seconds": call_timeout,
    }
    given = {name: value for name, value in request.items() if value is not None}
    if given:
        fields["request"] = {**(fields.get("request") or {}), **given}
    states = {**dict.fromkeys(enable, True), **dict.fromkeys(disable, False)}
    for name, enabled in states.items():
        environments = fields.setdefault("environments", {})
        environments[name] = {**(environments.get(name) or {}), "enabled": enabled}
    return fields


def _headers(given: Sequence[str]) -> dict[str, str]:
    headers = {}
    for text in given:
        name, colon, value = text.partition(":")
        if not colon:
            raise click.UsageError(f"{text!r} is no header: write 'NAME: VALUE'.")
        headers[name.strip()] = value.strip()
    return headers
