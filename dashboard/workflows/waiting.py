"""What waits for the signed-in person, and what a waiting execution waits for, in words."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

from django.http import HttpRequest

from accounts.actors import Actor
from accounts.models import Membership
from core.words import instant_words
from dashboard.base.access import access_of
from jobs.models import Job
from runs.models import Execution, StepState
from runs.workflows.awaiting import ApproverAccess, approvals_for

_LISTED = 8
#: The most waiting executions of a job that are counted.
_MOST_COUNTED = 1000
_WORDS = {
    "delay": "Delay",
    "poll": "Next call",
    "webhook": "Waits for a request",
    "approval": "Waits for approval",
}
_COLUMNS = (
    "id", "step", "message", "started_at", "wait_expires_at", "execution__id", "execution__job__name",
    "execution__environment__slug", "execution__workspace__name",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class WaitingForYou:
    """The approvals that a person may decide, the longest waiting first. `is_cut`: there are more."""

    approvals: Sequence[StepState]
    is_cut: bool

    @classmethod
    def of(cls, approver: ApproverAccess, now: datetime.datetime) -> "WaitingForYou":
        rows = approvals_for(approver, now=now).select_related(
            "execution__job", "execution__environment", "execution__workspace"
        )
        visible = rows.filter(execution__job__purged_at__isnull=True)
        listed = list(visible.only(*_COLUMNS)[: _LISTED + 1])
        return cls(listed[:_LISTED], len(listed) > _LISTED)


def approver_of(request: HttpRequest) -> ApproverAccess:
    """The signed-in person. Superusers are approvers by their own memberships, as everybody is."""
    access, roles = access_of(request), access_of(request).roles
    if access.everything:
        roles = dict(Membership.objects.filter(user=request.user.pk).values_list("workspace_id", "role"))
    writable = frozenset(workspace.pk for workspace in access.workspaces if access.writes(workspace.pk))
    deciding = {workspace: role for workspace, role in roles.items() if workspace in writable}
    return ApproverAccess(Actor.of_user(request.user), deciding, writable)


def wait_words(execution: Execution) -> str:
    """What a waiting execution waits for, and until when."""
    words = _WORDS.get(execution.wait_kind, execution.wait_kind)
    until = execution.wait_expires_at
    limit = "" if until is None else f" until {instant_words(until)}"
    if execution.wait_kind in ("poll", "delay"):
        limit = limit.replace(" until ", ": ")
    return f"{execution.step}: {words}{limit}"


def count_waiting(job: Job) -> int:
    """Count the executions of a job that wait for something, up to _MOST_COUNTED and one more."""
    return int(Execution.objects.filter(job=job, wait_expires_at__isnull=False)[: _MOST_COUNTED + 1].count())


def waiting_words(count: int) -> str:
    """How many executions wait, as the beginning of a sentence; empty for none."""
    if not count:
        return ""
    if count > _MOST_COUNTED:
        return f"More than {_MOST_COUNTED:,} executions wait"
    return "1 execution waits" if count == 1 else f"{count:,} executions wait"
