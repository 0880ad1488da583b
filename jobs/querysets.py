"""Query sets of jobs."""

import uuid
from typing import Any

from django.db import models

from accounts.models import Workspace
from core.slugs import is_uuid


class JobQuerySet(models.QuerySet[Any]):
    def live(self) -> "JobQuerySet":
        """Jobs that are not deleted."""
        return self.filter(deleted_at__isnull=True)

    def kept(self) -> "JobQuerySet":
        """Jobs with readable history: live ones, and deleted ones that are not purged."""
        return self.filter(purged_at__isnull=True)

    def purged(self) -> "JobQuerySet":
        """Jobs hidden from every reader, whose rows are being removed."""
        return self.filter(purged_at__isnull=False)

    def of(self, workspace: Workspace) -> "JobQuerySet":
        return self.filter(workspace=workspace)

    def named(self, reference: str) -> "JobQuerySet":
        """The job of a slug or UUID in a path. What reads as a UUID is never a slug."""
        return self.filter(pk=uuid.UUID(reference)) if is_uuid(reference) else self.filter(slug=reference)


class JobVersionQuerySet(models.QuerySet[Any]):
    def numbered(self) -> "JobVersionQuerySet":
        """A job's own versions, without those edited for one replay."""
        return self.filter(edited=False)


class JobEnvironmentQuerySet(models.QuerySet[Any]):
    def upcoming(self) -> "JobEnvironmentQuerySet":
        """Enabled ones with a next firing, the soonest first."""
        return self.filter(enabled=True, next_fire_at__isnull=False).order_by("next_fire_at")
