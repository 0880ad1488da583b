"""The audit log: who changed what. Written by the verbs themselves, in the transaction of the change."""

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
    workspace_id: uuid.UUID,
    actor: Actor,
    label: str,
    now: datetime.datetime,
    changes: Changes | None = None,
) -> AuditEntry:
    """That `actor` did `action`, named as in `key.created`, to `target`, which people know as `label`. Not saved.

    `changes` is what `core.differences` answers. Never give it a secret's value, nor a key: it is shown and kept.
    """
    return AuditEntry(
        workspace_id=workspace_id,
        at=now,
        actor_kind=actor.kind,
        actor_id=actor.id,
        actor_label=actor.label,
        action=action,
        target_kind=action.partition(".")[0],
        target_id=str(target.pk),
        target_label=label,
        changes=changes or {},
    )


def record(
    action: str,
    target: Any,
    *,
    workspace_id: uuid.UUID,
    actor: Actor,
    label: str,
    now: datetime.datetime,
    changes: Changes | None = None,
) -> None:
    """Remember it: one `entry` by itself."""
    entry(action, target, workspace_id=workspace_id, actor=actor, label=label, now=now, changes=changes).save(
        force_insert=True
    )


def record_all(entries: Sequence[AuditEntry]) -> None:
    """Remember what was done to many at once."""
    AuditEntry.objects.bulk_create(entries)


def prune_log(workspace: Workspace, until: datetime.datetime, limit: int) -> int:
    """Forget the oldest entries from before an instant, at most so many. Returns how many there were."""
    old = AuditEntry.objects.filter(workspace=workspace, at__lt=until).order_by("at", "id")
    ids = list(old.values_list("pk", flat=True)[:limit])
    return AuditEntry.objects.filter(pk__in=ids)._raw_delete("default") if ids else 0
