"""`hourhand listen`."""

from collections.abc import Iterator
from typing import Any

import click
import requests

from hourhand.client import ClientError
from hourhand.client.following import Follower
from hourhand.client.session import checked_url
from hourhand.client.types import Run
from hourhand.commands.filters import environment
from hourhand.commands.logs import latest_runs, new_runs
from hourhand.forwarding import Forwarded, forwarded
from hourhand.invocation import Invocation, pass_invocation
from hourhand.output import Column, column, printable
from hourhand.tree import Verb

_STREAMED = frozenset({"table", "jsonl", "name"})
_TIMEOUT_SECONDS = 30.0
_SHOWN_CHARACTERS = 2000
_NO_COLUMNS: tuple[Column, ...] = (column("Run"),)


@click.command(
    cls=Verb,
    examples=[
        "hourhand listen nightly-report --forward-to http://localhost:3000",
        "hourhand listen stripe-events --forward-to http://localhost:3000/hooks --environment staging -o jsonl",
    ],
)
@click.argument("job")
@click.option("--forward-to", "target", metavar="URL", required=True, help="Where to send the requests.")
@environment("Only calls of this environment.")
@click.option("--count", type=click.IntRange(min=1), help="Stop after this number of requests.")
@pass_invocation
def listen(invocation: Invocation, job: str, target: str, environment: str | None, count: int | None) -> None:
    """Send each call that a job makes from now on to a local server too, and show its answer.

    The request is that of the history: values that it redacts stay redacted. A URL without a path gets that of the
    request. The job's own result is not touched.
    """
    if invocation.output not in _STREAMED:
        raise click.UsageError(f"-o {invocation.output} has no end: use -o jsonl.")
    try:
        checked_url(target.partition("?")[0])
    except ClientError as error:
        raise click.UsageError(str(error)) from error
    filters = {"job": invocation.client.jobs.get(job)["slug"], **({"environment": environment} if environment else {})}
    follower = Follower(invocation.client, filters, on_poll=invocation.note)
    follower.prime()
    known = {run["id"] for run in latest_runs(invocation.client, filters)}
    invocation.note(f"Listening to {job}: each call goes to {target} too. Ctrl-C ends this.")
    with requests.Session() as local:
        # Neither credentials of ~/.netrc nor proxies: the recorded request is all that is sent.
        local.trust_env = False
        local.headers.clear()
        for number, run in enumerate(_runs(invocation, follower, known), start=1):
            request = forwarded(run, target)
            _report(invocation, request, _send(local, request, run))
            if number == count:
                return


def _runs(invocation: Invocation, follower: Follower, known: set[str]) -> Iterator[Run]:
    """Yield the runs of executions that change from now on, in full, except known ones."""
    client = invocation.client
    for changed in follower.changes():
        for run in new_runs(client, changed, is_known=lambda run: run["id"] in known):
            known.add(run["id"])
            yield client.runs.get(run["id"])


def _send(local: requests.Session, request: Forwarded, run: Run) -> dict[str, Any]:
    """Send a request, and return what came of it."""
    result = {"run": run["id"], "method": request.method, "url": request.url, "redacted": list(request.hidden)}
    try:
        answer = local.request(
            request.method,
            request.url,
            headers=dict(request.headers),
            data=request.body,
            timeout=_TIMEOUT_SECONDS,
            allow_redirects=False,
        )
    except requests.RequestException as error:
        return {**result, "status_code": None, "duration_ms": None, "body": None, "error": str(error)}
    took = round(answer.elapsed.total_seconds() * 1000)
    return {
        **result,
        "status_code": answer.status_code,
        "duration_ms": took,
        "body": answer.text,
        "error": None,
    }


def _report(invocation: Invocation, request: Forwarded, result: dict[str, Any]) -> None:
    if request.hidden:
        invocation.note(f"Redacted in the history, and here too: {', '.join(request.hidden)}.")
    if invocation.output != "table":
        invocation.out.many([result], _NO_COLUMNS, name=lambda one: str(one["run"]))
        return
    click.echo(printable(f"{result['method']} {result['url']}"))
    if result["error"]:
        click.echo(printable(f"  no answer: {result['error']}"))
        return
    click.echo(f"  {result['status_code']}  {result['duration_ms']} ms")
    for line in printable(result["body"][:_SHOWN_CHARACTERS]).splitlines():
        click.echo(f"  {line}")
