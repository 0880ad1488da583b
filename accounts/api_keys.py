"""Issue, change and revoke API keys. No caller issues a key with more access than their own."""

import datetime
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db import transaction

from accounts import audit
from accounts.actors import Actor
from accounts.grants import Grant
from accounts.keys import new_key
from accounts.models import ApiKey, Environment, Workspace
from core.differences import difference
from core.errors import ConflictError, HourhandError
from core.instants import instant_text


class BroaderKeyError(HourhandError):
    """The key would have more access than its caller."""

    code = "broader_than_caller"
    status = 403

    def __init__(self, beyond: tuple[str, ...]) -> None:
        super().__init__(f"The key would have more access than you: {'; '.join(beyond)}.")


class InvalidKeyError(HourhandError):
    code = "invalid"


class KeyRevokedError(ConflictError):
    code = "key_revoked"


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A new key. `key` is readable here only; the database keeps its digest."""

    row: ApiKey
    key: str


@transaction.atomic
def issue_key(
    *,
    workspace: Workspace,
    name: str,
    scopes: Iterable[str],
    environments: Iterable[Environment] | None = None,
    expires_at: datetime.datetime | None = None,
    actor: Actor,
    limit: Grant | None = None,
) -> IssuedKey:
    """Create an API key, bound to `environments`; None: valid in the whole workspace.

    `limit` is the caller's own access; None, for Hourhand itself, is no limit. Raises InvalidKeyError and
    BroaderKeyError.
    """
    bound = _bound_environments(workspace, environments)
    _refuse_broader(Grant(frozenset(scopes), _ids(bound), expires_at), limit)
    key, prefix, digest = new_key()
    row = ApiKey.objects.create(
        workspace=workspace,
        name=name,
        prefix=prefix,
        digest=digest,
        scopes=sorted(set(scopes)),
        is_bound=bound is not None,
        expires_at=expires_at,
        created_by=actor.user,
    )
    row.environments.set(bound or [])
    changes = difference({}, _facts(row))
    audit.record("key.created", row, actor=actor, now=row.created_at, changes=changes)
    return IssuedKey(row, key)


@transaction.atomic
def change_key(
    *,
    key: ApiKey,
    name: Any = ...,
    scopes: Any = ...,
    environments: Any = ...,
    expires_at: Any = ...,
    actor: Actor,
    limit: Grant | None = None,
    now: datetime.datetime,
) -> ApiKey:
    """Change the given fields, as `issue_key` takes them; the key itself stays the same.

    A key that has more access than `limit` already may be narrowed, but neither widened nor moved elsewhere. Raises
    KeyRevokedError, InvalidKeyError and BroaderKeyError.
    """
    locked = ApiKey.objects.select_for_update(no_key=True, of=("self",)).select_related("workspace").get(pk=key.pk)
    if locked.revoked_at is not None:
        raise KeyRevokedError("This key has been revoked.")
    before, facts = grant_of(locked), _facts(locked)
    for field, value in {"name": name, "expires_at": expires_at}.items():
        if value is not ...:
            setattr(locked, field, value)
    if scopes is not ...:
        locked.scopes = sorted(set(scopes))
    if environments is not ...:
        bound = _bound_environments(locked.workspace, environments)
        locked.is_bound = bound is not None
        locked.environments.set(bound or [])
    after = grant_of(locked)
    if after.beyond(before):
        _refuse_broader(after, limit)
    locked.save(update_fields=["name", "scopes", "is_bound", "expires_at"])
    if changes := difference(facts, _facts(locked)):
        audit.record("key.updated", locked, actor=actor, now=now, changes=changes)
    return locked


@transaction.atomic
def revoke_key(*, key: ApiKey, actor: Actor, now: datetime.datetime) -> None:
    """Revoke a key for good. A second revocation does not move `revoked_at`."""
    if ApiKey.objects.filter(pk=key.pk, revoked_at__isnull=True).update(revoked_at=now):
        audit.record("key.revoked", key, actor=actor, now=now)


def grant_of(key: ApiKey) -> Grant:
    """Return the access of a key."""
    environment_ids = frozenset(key.environments.values_list("pk", flat=True)) if key.is_bound else None
    return Grant(frozenset(key.scopes), environment_ids, key.expires_at)


def _bound_environments(workspace: Workspace, environments: Iterable[Environment] | None) -> list[Environment] | None:
    """Raises InvalidKeyError for an empty list, and for an environment of another workspace."""
    if environments is None:
        return None
    bound = list(environments)
    if not bound:
        raise InvalidKeyError("Name at least one environment, or leave the field out for all.", field="environments")
    if any(environment.workspace_id != workspace.pk for environment in bound):
        raise InvalidKeyError("There is no such environment.", field="environments")
    return bound


def _ids(environments: list[Environment] | None) -> frozenset[Any] | None:
    return None if environments is None else frozenset(environment.pk for environment in environments)


def _refuse_broader(grant: Grant, limit: Grant | None) -> None:
    if limit is not None and (beyond := grant.beyond(limit)):
        raise BroaderKeyError(beyond)


def _facts(key: ApiKey) -> dict[str, Any]:
    """Return what the audit log compares."""
    slugs = sorted(key.environments.values_list("slug", flat=True)) if key.is_bound else None
    return {
        "name": key.name,
        "scopes": key.scopes,
        "environments": slugs,
        "expires_at": key.expires_at and instant_text(key.expires_at),
    }
