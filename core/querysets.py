"""Row sets of what the house remembers at its doors."""

import datetime
from typing import Any

from django.db import models

_PRUNED_AT_ONCE = 1000


class KeptAnswerQuerySet(models.QuerySet[Any]):
    def prune(self, until: datetime.datetime) -> int:
        """Forget the answers from before and at an instant, in small batches. Returns how many there were."""
        pruned = 0
        while True:
            old = self.filter(created_at__lte=until).order_by("created_at").values("pk")[:_PRUNED_AT_ONCE]
            gone, _ = self.filter(pk__in=old).delete()
            pruned += gone
            if gone < _PRUNED_AT_ONCE:
                return pruned
