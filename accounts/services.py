"""Use cases of accounts."""

import datetime
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import transaction

from accounts.keys import new_key
from accounts.models import ApiKey, Environment, Membership, Role, Scope, Workspace
from accounts.signing import make_signing_secret

FIRST_ENVIRONMENT = "production"


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A key just made: `key` is the only time it is readable."""

    row: ApiKey
    key: str


@transaction.atomic
def create_workspace(*, slug: str, name: str) -> Workspace:
    """Make a workspace with its `production` environment and, where secrets can be kept, its first signing secret."""
    workspace = Workspace.objects.create(slug=slug, name=name)
    Environment.objects.create(workspace=workspace, slug=FIRST_ENVIRONMENT, name="Production")
    if settings.ENCRYPTION_KEYS:
        make_signing_secret(workspace, now=workspace.created_at)
    return workspace


@transaction.atomic
def issue_key(
    *,
    workspace: Workspace,
    name: str,
    scopes: Iterable[str],
    environments: Iterable[Environment] = (),
    expires_at: datetime.datetime | None = None,
    created_by: Any = None,
) -> IssuedKey:
    """Make an API key. Bound to `environments` when any are given, else good for all of the workspace."""
    key, prefix, digest = new_key()
    row = ApiKey.objects.create(
        workspace=workspace,
        name=name,
        prefix=prefix,
        digest=digest,
        scopes=sorted(set(scopes)),
        expires_at=expires_at,
        created_by=created_by,
    )
    row.environments.set(environments)
    return IssuedKey(row, key)


@dataclass(frozen=True, slots=True)
class FirstRun:
    """What the first start made, shown once."""

    workspace: str
    admin_username: str
    admin_password: str
    api_key: str


@transaction.atomic
def set_up_first_run(*, admin_password: str) -> FirstRun | None:
    """Make the first workspace, administrator and API key. None, and nothing made, when a workspace exists already."""
    if Workspace.objects.exists():
        return None
    workspace = create_workspace(slug="default", name="Default")
    administrator = get_user_model().objects.create_superuser("admin", password=admin_password)
    Membership.objects.create(workspace=workspace, user=administrator, role=Role.OWNER)
    issued = issue_key(workspace=workspace, name="First key", scopes=Scope.values, created_by=administrator)
    return FirstRun(workspace.slug, administrator.get_username(), admin_password, issued.key)


def revoke_key(*, key: ApiKey, now: datetime.datetime) -> None:
    """End a key for good. The instant of the first revocation stays."""
    ApiKey.objects.filter(pk=key.pk, revoked_at__isnull=True).update(revoked_at=now)
