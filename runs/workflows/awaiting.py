"""Approvals that wait for a person's decision."""

import datetime
import uuid
from collections.abc import Mapping, Set
from dataclasses import dataclass

from django.db.models import F, Func, JSONField, Q, TextField
from django.db.models.functions import Cast

from accounts.actors import Actor
from runs.models import StepState
from runs.querysets import StepStateQuerySet
from runs.states import StepStatus, WaitKind
from runs.workflows.approvals import names_of

# A step's own definition, of all that its version holds. An environment's overrides replace the fields of an approval.
_DEFINITION = """(
    SELECT jsonb_path_query_first(given.config, '$.workflow.steps[*] ? (@.id == $step)', jsonb_build_object('step', id))
           || coalesce(given.config #> ARRAY['overrides', environment, 'workflow', 'steps', id], '{}')
      FROM (VALUES (%(expressions)s)) AS given (config, id, environment))"""


@dataclass(frozen=True, slots=True)
class ApproverAccess:
    """A person with their role in each of their workspaces, and the workspaces in which they may run jobs."""

    actor: Actor
    roles: Mapping[uuid.UUID, str]
    writable: Set[uuid.UUID]


def approvals_for(approver: ApproverAccess, *, now: datetime.datetime) -> StepStateQuerySet:
    """The steps that wait for this person's decision, the longest first. `definition` is as in their environments."""
    waiting = StepState.objects.filter(status=StepStatus.WAITING, wait_kind=WaitKind.APPROVAL, wait_expires_at__gt=now)
    workspaces = list({*approver.roles, *approver.writable})
    waiting = (
        waiting.filter(workspace=workspaces[0]) if len(workspaces) == 1 else waiting.filter(workspace__in=workspaces)
    )
    theirs = Q(approvers=[], workspace__in=list(approver.writable))
    for role in set(approver.roles.values()):
        members = [workspace for workspace, own in approver.roles.items() if own == role]
        theirs |= Q(workspace__in=members, approvers__has_any_keys=sorted(names_of(approver.actor.user, role)))
    return (
        waiting.filter(theirs)
        .exclude(decisions__contains=[{"by_id": approver.actor.id}])
        .annotate(definition=_definition())
        .exclude(execution__state__started_by=approver.actor.id, definition__self_approval=False)
        .order_by("id")
    )


def _definition() -> Func:
    environment = Cast("execution__environment_id", TextField())
    config = F("execution__job_version__config")
    return Func(config, F("step"), environment, template=_DEFINITION, output_field=JSONField())
