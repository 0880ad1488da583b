"""Use cases of a job's inbound webhook: its URL's token, and rotating it."""

import datetime

from django.db import transaction

from accounts import audit
from accounts.actors import Actor
from accounts.tokens import Purpose, token_of
from core.differences import difference
from core.errors import ConflictError
from jobs.models import Job

DEFAULT_OVERLAP_SECONDS = 24 * 60 * 60
MAX_OVERLAP_SECONDS = 30 * 24 * 60 * 60
_MAX_NUMBER = 2**15 - 1


class WebhookRotationsUsedUpError(ConflictError):
    """A number of two bytes tells a job's tokens apart."""

    code = "rotations_used_up"


def webhook_path(job: Job) -> str:
    """Return the path of the current URL. Raises EncryptionKeyError where no key reads the installation's secret."""
    return f"/hooks/{token_of(Purpose.WEBHOOK, job.pk, job.webhook_number)}"


@transaction.atomic
def rotate_webhook(*, job: Job, overlap_seconds: int, actor: Actor, now: datetime.datetime) -> Job:
    """Give the webhook another URL. The one until now works for `overlap_seconds` more, any older one no longer."""
    job = Job.objects.select_for_update(no_key=True, of=("self",)).get(pk=job.pk)
    if job.webhook_number >= _MAX_NUMBER:
        raise WebhookRotationsUsedUpError("This job's webhook was rotated too often; create another job.")
    job.webhook_number += 1
    job.previous_webhook_until = now + datetime.timedelta(seconds=overlap_seconds) if overlap_seconds else None
    job.save(update_fields=["webhook_number", "previous_webhook_until"])
    changes = difference({}, {"overlap_seconds": overlap_seconds})
    audit.record("job.webhook_rotated", job, actor=actor, now=now, changes=changes)
    return job
