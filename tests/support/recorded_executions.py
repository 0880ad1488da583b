"""The executions in the database, as tuples."""

import datetime

from runs.models import Execution


def recorded() -> list[tuple[str, datetime.datetime, datetime.datetime | None, int]]:
    """Return each execution's status or skip reason, first and last planned time, and number of occurrences."""
    rows = Execution.objects.order_by("scheduled_for")
    return [(row.skip_reason or row.status, row.scheduled_for, row.scheduled_until, row.occurrences) for row in rows]
