"""The verbs that run jobs."""

from typing import Any

import click

from hourhand.commands.executions.reading import require_success, wait_for_end
from hourhand.commands.executions.shown import RUN, SHOWN, identity, log_body
from hourhand.commands.filters import environment, given
from hourhand.commands.jobs.group import jobs
from hourhand.documents import Json, parse_object, read_text
from hourhand.exits import Exit
from hourhand.failures import Failure
from hourhand.invocation import Invocation, pass_invocation


@jobs.command(
    "run",
    examples=[
        "hourhand jobs run nightly-report",
        'hourhand jobs run nightly-report --input \'{"day": "2026-03-01"}\' --wait --timeout 600',
        "hourhand jobs run nightly-report --input @input.json --delay 60 -o name",
    ],
)
@click.argument("job")
@environment("Run there. May be left out if the job is enabled in one environment only.")
@click.option("--input", "input_", type=Json(), metavar="JSON", help="The input; @FILE reads a file, @- stdin.")
@click.option("--delay", "delay_seconds", type=click.IntRange(min=0), metavar="SECONDS", help="Start this much later.")
@click.option("--callback", "callback_url", metavar="URL", help="Where the end of this execution is reported.")
@click.option("--wait", is_flag=True, help="Wait until it has ended; exit with 3 unless it succeeded.")
@click.option("--timeout", type=click.FloatRange(min=0), metavar="SECONDS", help="Give up waiting after this time.")
@pass_invocation
def run_job(invocation: Invocation, job: str, input_: Any, wait: bool, timeout: float | None, **options: Any) -> None:
    """Run a job now. Its schedule is not touched."""
    if timeout is not None and not wait:
        raise click.UsageError("--timeout says how long to --wait.")
    body = given(options) if input_ is None else {**given(options), "input": input_}
    execution = invocation.client.jobs.run(job, **body)
    if wait:
        execution = wait_for_end(invocation, invocation.client, execution["id"], timeout=timeout)
    invocation.out.one(execution, SHOWN, name=identity)
    if wait:
        require_success([execution])


@jobs.command(
    "test",
    examples=[
        "hourhand jobs test nightly-report",
        "hourhand jobs test nightly-report -f changes.yaml --environment staging",
    ],
)
@click.argument("job")
@environment("Test it there. May be left out if the job is enabled in one environment only.")
@click.option("--input", "input_", type=Json(), metavar="JSON", help="The input; @FILE reads a file, @- stdin.")
@click.option("-f", "--file", metavar="FILE", help="Unsaved changes of the job as JSON or YAML; `-` is stdin.")
@pass_invocation
def test_job(invocation: Invocation, job: str, environment: str | None, input_: Any, file: str | None) -> None:
    """Call the job's endpoint once, outside the history, and show the response.

    Exits with 3 unless the call succeeded.
    """
    changes = parse_object(read_text(file), file) if file is not None else {}
    options = {name: value for name, value in (("environment", environment), ("input", input_)) if value is not None}
    run = invocation.client.jobs.test(job, changes, **options)
    invocation.out.one(run, RUN, name=lambda one: str(one["status"]))
    if invocation.output == "table" and log_body(run):
        click.echo(log_body(run))
    if run["status"] != "succeeded":
        raise Failure(f"The call failed: {run['error']}.", Exit.EXECUTION_FAILED)
