"""The verbs that repeat, cancel and decide on executions."""

from typing import Any

import click

from hourhand.client.types import Execution
from hourhand.commands.executions.bulk import Selection, bulk_options, process
from hourhand.commands.executions.group import executions
from hourhand.commands.executions.reading import require_success, wait_for_end
from hourhand.commands.executions.shown import SHOWN, identity
from hourhand.commands.filters import given
from hourhand.documents import Json
from hourhand.invocation import Invocation, pass_invocation

_ID = "0197d6b2-4c1e-7d2b-9f40-2b6f1c9d8e7a"


@executions.command(
    "replay",
    examples=[
        f"hourhand executions replay {_ID} --config original --wait",
        f'hourhand executions replay {_ID} --edit \'{{"body": {{"day": 1}}}}\'',
        "hourhand executions replay --all --status failed --from 24h --rate 10 --dry-run",
    ],
)
@bulk_options
@click.option("--config", type=click.Choice(("current", "original")), help="Which configuration. Default: current.")
@click.option("--in", "target", metavar="ENVIRONMENT", help="Replay one execution in another environment.")
@click.option("--input", "input_", type=Json(), metavar="JSON", help="Another input for one execution; @FILE, @-.")
@click.option("--edit", type=Json(), metavar="JSON", help="Other fields of the request for one execution; @FILE, @-.")
@pass_invocation
def replay(
    invocation: Invocation, config: str | None, target: str | None, input_: Any, edit: Any, **options: Any
) -> None:
    """Create new executions like old ones, with the jobs' current configuration or the original."""
    selection = Selection(**options)
    configuration = {"config": config} if config else {}
    single = {"environment": target, "input": input_, "edit": edit}
    changes = {name: value for name, value in single.items() if value is not None}
    if selection.execution is None:
        if changes:
            raise click.UsageError("--in, --input and --edit belong to one execution.")
        process(invocation, "replay", selection, **configuration)
        return
    replayed = invocation.client.executions.replay(selection.execution, **configuration, **changes)
    _show(invocation, replayed, wait=selection.waits)


@executions.command(
    "retry",
    examples=[
        f"hourhand executions retry {_ID} --wait",
        f"hourhand executions retry {_ID} --from-step start",
        "hourhand executions retry --all --job nightly-etl --from 24h --yes",
    ],
)
@bulk_options
@click.option("--from-step", metavar="STEP", help="Where a workflow goes on: `failed` (default), `start`, or a step.")
@pass_invocation
def retry(invocation: Invocation, from_step: str | None, **options: Any) -> None:
    """Repeat failed executions with the same configuration and input. Workflows go on where they failed."""
    selection, start = Selection(**options), {"from": from_step} if from_step else {}
    if selection.execution is None:
        process(invocation, "retry", selection, **start)
        return
    _show(invocation, invocation.client.executions.retry(selection.execution, **start), wait=selection.waits)


@executions.command(
    "cancel",
    examples=[
        f"hourhand executions cancel {_ID}",
        "hourhand executions cancel --all --job nightly-report --status pending --yes",
    ],
)
@bulk_options
@pass_invocation
def cancel(invocation: Invocation, **options: Any) -> None:
    """Cancel executions. A request in flight is aborted; it may have arrived."""
    selection = Selection(**options)
    if selection.execution is None:
        process(invocation, "cancel", selection)
        return
    canceled = invocation.client.executions.cancel(selection.execution)
    if selection.waits:
        canceled = wait_for_end(invocation, invocation.client, canceled["id"], timeout=None)
    invocation.out.one(canceled, SHOWN, name=identity)


@executions.command(
    "approve",
    examples=[
        f"hourhand executions approve {_ID}",
        f"hourhand executions approve {_ID} --step refund --note 'checked' --form '{{\"amount\": 5}}'",
    ],
)
@click.argument("execution")
@click.option("--step", metavar="ID", help="Only if it waits at this step.")
@click.option("--note", metavar="TEXT", help="A note, which later steps can use.")
@click.option("--form", type=Json(), metavar="JSON", help="The values of the step's form, by name; @FILE, @-.")
@pass_invocation
def approve(invocation: Invocation, execution: str, **options: Any) -> None:
    """Approve what an execution waits for."""
    invocation.out.one(invocation.client.executions.approve(execution, **given(options)), SHOWN, name=identity)


@executions.command(
    "reject",
    examples=[f"hourhand executions reject {_ID} --note 'too expensive'"],
)
@click.argument("execution")
@click.option("--step", metavar="ID", help="Only if it waits at this step.")
@click.option("--note", metavar="TEXT", help="A note, which later steps can use.")
@pass_invocation
def reject(invocation: Invocation, execution: str, **options: Any) -> None:
    """Reject what an execution waits for: its step fails."""
    invocation.out.one(invocation.client.executions.reject(execution, **given(options)), SHOWN, name=identity)


def _show(invocation: Invocation, execution: Execution, *, wait: bool) -> None:
    if wait:
        execution = wait_for_end(invocation, invocation.client, execution["id"], timeout=None)
    invocation.out.one(execution, SHOWN, name=identity)
    if wait:
        require_success([execution])
