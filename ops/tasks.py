"""Maintenance tasks of the API and the dashboard's login. The dashboard shows their schedule, under periodic tasks."""

from celery import shared_task
from django.utils import timezone

from core.limits.logins import prune_login_tries
from core.models import KEPT_FOR, KeptAnswer


@shared_task(name="chores.prune_doors", ignore_result=True)
def prune_doors() -> None:
    """Delete expired responses to requests with an `Idempotency-Key`, and expired login attempts."""
    now = timezone.now()
    KeptAnswer.objects.prune(now - KEPT_FOR)
    prune_login_tries(now)
