"""QuerySets of core's models."""

import datetime
from typing import Any

from django.db import models

_PRUNED_AT_ONCE = 1000


class KeptAnswerQuerySet(models.QuerySet[Any]):
    def prune(self, until: datetime.datetime) -> int:
        """Delete the answers up to and including `until`, in small batches. Returns how many."""
        pruned = 0
        while True:
            old = self.filter(created_at__lte=until).order_by("created_at").values("pk")[:_PRUNED_AT_ONCE]
            deleted, _ = self.filter(pk__in=old).delete()
            pruned += deleted
            if deleted < _PRUNED_AT_ONCE:
                return pruned
