"""Row sets of jobs, as verbs and states."""

import uuid
from typing import Any

from django.db import models

from accounts.models import Workspace
from core.slugs import is_uuid


class JobQuerySet(models.QuerySet[Any]):
    def live(self) -> "JobQuerySet":
        """Not deleted."""
        return self.filter(deleted_at__isnull=True)

    def kept(self) -> "JobQuerySet":
        """Those that have a history to be read: live ones, and deleted ones that were not purged."""
        return self.filter(purged_at__isnull=True)

    def purged(self) -> "JobQuerySet":
        """Gone for every reader; their rows are still being removed."""
        return self.filter(purged_at__isnull=False)

    def of(self, workspace: Workspace) -> "JobQuerySet":
        return self.filter(workspace=workspace)

    def named(self, reference: str) -> "JobQuerySet":
        """The job that a path names by its slug or its UUID: what reads as a UUID is never a slug."""
        return self.filter(pk=uuid.UUID(reference)) if is_uuid(reference) else self.filter(slug=reference)


class JobVersionQuerySet(models.QuerySet[Any]):
    def numbered(self) -> "JobVersionQuerySet":
        """Those that a job had, without what was edited for one replay."""
        return self.filter(edited=False)


class JobEnvironmentQuerySet(models.QuerySet[Any]):
    def upcoming(self) -> "JobEnvironmentQuerySet":
        """Enabled and going to fire, the soonest first."""
        return self.filter(enabled=True, next_fire_at__isnull=False).order_by("next_fire_at")
