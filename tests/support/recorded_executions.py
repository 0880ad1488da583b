"""What firing left in the database."""

import datetime

from runs.models import Execution


def recorded() -> list[tuple[str, datetime.datetime, datetime.datetime | None, int]]:
    """Every execution: how it stands or why it was skipped, for when, until when, and for how many occurrences."""
    rows = Execution.objects.order_by("scheduled_for")
    return [(row.skip_reason or row.status, row.scheduled_for, row.scheduled_until, row.occurrences) for row in rows]
