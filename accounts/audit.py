"""The audit log: who changed what. Written by the verbs themselves, in the transaction of the change."""

import datetime
import uuid
from typing import Any

from accounts.actors import Actor
from accounts.differences import Changes
from accounts.models import AuditEntry


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
    """Remember that `actor` did `action`, named as in `key.created`, to `target`, which people know as `label`.

    `changes` is what `accounts.differences` answers. Never give it a secret's value, nor a key: it is shown and kept.
    """
    AuditEntry.objects.create(
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
