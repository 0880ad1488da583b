"""The audit log: who changed what. The verbs write it themselves, in the transaction of the change."""

import datetime
import uuid
from collections.abc import Sequence
from typing import Any

from accounts.actors import Actor
from accounts.models import AuditEntry, Workspace
from core.differences import Changes


def entry(
    action: str,
    target: Any,
    *,
    actor: Actor,
    now: datetime.datetime,
    changes: Changes | None = None,
    workspace_id: uuid.UUID | None = None,
) -> AuditEntry:
    """Build the entry that `actor` did `action`, such as `key.created`, to `target`, a row with an `audit_label`.

    `changes` is the result of `core.differences.difference`, and stays readable: it must hold neither a secret's value
    nor a key. `workspace_id` defaults to the target's own. Nothing is saved.
    """
    if workspace_id is None:
        workspace_id = target.pk if isinstance(target, Workspace) else target.workspace_id
    return AuditEntry(
        workspace_id=workspace_id,
        at=now,
        actor_kind=actor.kind,
        actor_id=actor.id,
        actor_label=actor.label,
        action=action,
        target_kind=action.partition(".")[0],
        target_id=str(target.pk),
        target_label=target.audit_label,
        changes=changes or {},
    )


def record(action: str, target: Any, *, actor: Actor, now: datetime.datetime, changes: Changes | None = None) -> None:
    """Build an `entry` and save it."""
    entry(action, target, actor=actor, now=now, changes=changes).save(force_insert=True)


def record_all(entries: Sequence[AuditEntry]) -> None:
    """Save many entries in one statement."""
    AuditEntry.objects.bulk_create(entries)


def prune_log(workspace: Workspace, until: datetime.datetime, limit: int) -> int:
    """Delete the oldest entries from before `until`, at most `limit`. Returns how many were deleted."""
    old = AuditEntry.objects.filter(workspace=workspace, at__lt=until).order_by("at", "id")
    ids = list(old.values_list("pk", flat=True)[:limit])
    return AuditEntry.objects.filter(pk__in=ids)._raw_delete("default") if ids else 0
