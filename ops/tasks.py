"""The chores of the house's doors, as Celery tasks; when they run is in the dashboard, under periodic tasks."""

from celery import shared_task
from django.utils import timezone

from core.limits.logins import prune_login_tries
from core.models import KEPT_FOR, KeptAnswer


@shared_task(name="chores.prune_doors", ignore_result=True)
def prune_doors() -> None:
    """Forget answers to requests with an `Idempotency-Key`, and tries to log in, that count no more."""
    now = timezone.now()
    KeptAnswer.objects.prune(now - KEPT_FOR)
    prune_login_tries(now)
