"""Query sets of accounts, and their guarded updates."""

import datetime
from typing import Any

from django.db import models
from django.db.models import Q

#: `last_used_at` is written at most this often, so that reading the API does not write on every request.
LAST_USED_RESOLUTION = datetime.timedelta(minutes=1)


class WorkspaceQuerySet(models.QuerySet[Any]):
    def of_member(self, user: Any) -> "WorkspaceQuerySet":
        """The workspaces of a member, oldest first."""
        return self.filter(memberships__user=user).order_by("id")


class SecretQuerySet(models.QuerySet[Any]):
    def names_in(self, workspace: Any) -> frozenset[str]:
        """Return the names of a workspace's secrets, in all environments."""
        return frozenset(self.filter(workspace=workspace).values_list("name", flat=True))


class ApiKeyQuerySet(models.QuerySet[Any]):
    def usable(self, now: datetime.datetime) -> "ApiKeyQuerySet":
        """Keys neither revoked nor expired at `now`."""
        return self.filter(Q(expires_at__isnull=True) | Q(expires_at__gt=now), revoked_at__isnull=True)

    def mark_used(self, key_id: Any, now: datetime.datetime) -> None:
        """Set when a key was last used, at most once a minute."""
        stale = Q(last_used_at__isnull=True) | Q(last_used_at__lt=now - LAST_USED_RESOLUTION)
        self.filter(stale, pk=key_id).update(last_used_at=now)


class SigningSecretQuerySet(models.QuerySet[Any]):
    def live(self, now: datetime.datetime) -> "SigningSecretQuerySet":
        """Secrets that sign at `now`."""
        return self.filter(Q(retires_at__isnull=True) | Q(retires_at__gt=now))

    def retire_newest(self, at: datetime.datetime) -> int:
        """Retire the newest secret at `at`. Returns the number of rows: 1 or 0."""
        return self.filter(retires_at__isnull=True).update(retires_at=at)
