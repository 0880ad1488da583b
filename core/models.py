"""Stored answers to requests with an idempotency key, and counts of login attempts."""

import datetime

from django.db import models
from django.utils import timezone

from core.querysets import KeptAnswerQuerySet

#: How long a request with an `Idempotency-Key` gets its first answer again.
KEPT_FOR = datetime.timedelta(hours=24)


class KeptAnswer(models.Model):
    """The first answer to a POST with an `Idempotency-Key`, kept for a day.

    The key is stored as a digest, and the body encrypted with a key derived from it: an answer may show a secret once.
    """

    id = models.BigAutoField(primary_key=True)
    workspace = models.ForeignKey("accounts.Workspace", on_delete=models.CASCADE, related_name="+", db_index=False)
    caller = models.CharField(max_length=64)
    key_digest = models.BinaryField(max_length=32)
    fingerprint = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField()
    content_type = models.CharField(max_length=100)
    location = models.TextField(default="", db_default="", blank=True)
    body = models.BinaryField()
    # Serves the pruning of answers older than a day.
    created_at = models.DateTimeField(default=timezone.now, db_index=True)

    objects = KeptAnswerQuerySet.as_manager()

    class Meta:
        constraints = [
            # Serves "has this caller sent this key before".
            models.UniqueConstraint(fields=["workspace", "caller", "key_digest"], name="kept_answer_unique"),
        ]

    def __str__(self) -> str:
        return f"{self.status} to {self.caller}"


class LoginTries(models.Model):
    """How many login attempts an account, browser or address has made since an instant."""

    subject = models.CharField(max_length=64, primary_key=True)
    count = models.PositiveIntegerField()
    # Serves the pruning of windows that have ended.
    since = models.DateTimeField(db_index=True)

    class Meta:
        verbose_name_plural = "login tries"

    def __str__(self) -> str:
        return f"{self.count} since {self.since}"
