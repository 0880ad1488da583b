"""Use cases of API keys: issued, changed, revoked. Nobody makes a key that reaches further than they do."""

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
    """A key would reach further than whoever makes it."""

    code = "broader_than_caller"
    status = 403

    def __init__(self, beyond: tuple[str, ...]) -> None:
        super().__init__(f"The key would reach further than you do: {'; '.join(beyond)}.")


class InvalidKeyError(HourhandError):
    code = "invalid"


class KeyRevokedError(ConflictError):
    code = "key_revoked"


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A key just made: `key` is the only time it is readable."""

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
    """Make an API key, bound to `environments`, or good for all of the workspace when they are None.

    `limit` is how far its maker reaches; None, for Hourhand itself, sets none. Raises InvalidKeyError and
    BroaderKeyError.
    """
    places = _checked_places(workspace, environments)
    _refuse_broader(Grant(frozenset(scopes), _ids(places), expires_at), limit)
    key, prefix, digest = new_key()
    row = ApiKey.objects.create(
        workspace=workspace,
        name=name,
        prefix=prefix,
        digest=digest,
        scopes=sorted(set(scopes)),
        is_bound=places is not None,
        expires_at=expires_at,
        created_by=actor.user,
    )
    row.environments.set(places or [])
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
    """Change what is given, as `issue_key` takes it; the key goes on under the same secret.

    A key that already reaches further than `limit` may be narrowed, but neither widened nor shifted. Raises
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
        places = _checked_places(locked.workspace, environments)
        locked.is_bound = places is not None
        locked.environments.set(places or [])
    after = grant_of(locked)
    if after.beyond(before):
        _refuse_broader(after, limit)
    locked.save(update_fields=["name", "scopes", "is_bound", "expires_at"])
    if changes := difference(facts, _facts(locked)):
        audit.record("key.updated", locked, actor=actor, now=now, changes=changes)
    return locked


@transaction.atomic
def revoke_key(*, key: ApiKey, actor: Actor, now: datetime.datetime) -> None:
    """End a key for good. The instant of the first revocation stays."""
    if ApiKey.objects.filter(pk=key.pk, revoked_at__isnull=True).update(revoked_at=now):
        audit.record("key.revoked", key, actor=actor, now=now)


def grant_of(key: ApiKey) -> Grant:
    """How far a key reaches."""
    places = frozenset(key.environments.values_list("pk", flat=True)) if key.is_bound else None
    return Grant(frozenset(key.scopes), places, key.expires_at)


def _checked_places(workspace: Workspace, environments: Iterable[Environment] | None) -> list[Environment] | None:
    if environments is None:
        return None
    places = list(environments)
    if not places:
        raise InvalidKeyError("Name at least one environment, or leave them out for all.", field="environments")
    if any(place.workspace_id != workspace.pk for place in places):
        raise InvalidKeyError("There is no such environment.", field="environments")
    return places


def _ids(places: list[Environment] | None) -> frozenset[Any] | None:
    return None if places is None else frozenset(place.pk for place in places)


def _refuse_broader(wanted: Grant, limit: Grant | None) -> None:
    if limit is not None and (beyond := wanted.beyond(limit)):
        raise BroaderKeyError(beyond)


def _facts(key: ApiKey) -> dict[str, Any]:
    """What the audit log compares."""
    places = sorted(key.environments.values_list("slug", flat=True)) if key.is_bound else None
    return {
        "name": key.name,
        "scopes": key.scopes,
        "environments": places,
        "expires_at": key.expires_at and instant_text(key.expires_at),
    }
