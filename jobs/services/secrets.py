"""Delete secrets. This needs jobs, which know whether a secret is in use."""

import datetime
from typing import Any

from django.db import transaction
from django.db.models import TextField
from django.db.models.functions import Cast

from accounts import audit
from accounts.actors import Actor
from accounts.models import Secret
from core.errors import ConflictError
from jobs.definition.contract import JobDefinition
from jobs.definition.reading import per_environment, runnable_of
from jobs.definition.templates import RequestTemplate
from jobs.definition.webhook import WebhookDefinition
from jobs.definition.workflow.contract import HttpStep, WebhookStep
from jobs.models import Job
from jobs.services.unreadable import why_unreadable

_MAX_NAMED = 10


class SecretInUseError(ConflictError):
    code = "secret_in_use"

    def __init__(self, name: str, slugs: list[str]) -> None:
        more = f" and {len(slugs) - _MAX_NAMED} more" if len(slugs) > _MAX_NAMED else ""
        super().__init__(f"The secret {name} is used by the jobs {', '.join(slugs[:_MAX_NAMED])}{more}.")


def jobs_using(secret: Secret) -> list[str]:
    """Return the sorted slugs of the live jobs whose current version names this secret."""
    jobs = Job.objects.live().filter(workspace_id=secret.workspace_id).select_related("current_version")
    candidates = jobs.annotate(config_text=Cast("current_version__config", TextField())).filter(
        config_text__contains=f"secrets.{secret.name}"
    )
    # A definition that can't be read may use the secret: its text is all there is to go by.
    return sorted(job.slug for job in candidates if secret.name in _secrets_of(job) or _is_unreadable(job))


def _is_unreadable(job: Job) -> bool:
    return job.current_version is not None and why_unreadable(job, job.current_version) is not None


def _secrets_of(job: Job) -> frozenset[str]:
    if job.current_version is None:
        return frozenset()
    names = per_environment(job.current_version.config, _secrets_in, lambda _error: frozenset())
    return frozenset[str]().union(*names.all)


def _secrets_in(config: dict[str, Any]) -> frozenset[str]:
    """Return the secrets that calls send, and those that senders prove themselves with."""
    runnable = runnable_of(config)
    senders = {WebhookDefinition.of(config).secret_name}
    if isinstance(runnable, JobDefinition):
        calls = [runnable]
    else:
        calls = [step.call for step in runnable.all_steps if isinstance(step, HttpStep)]
        senders |= {step.secret_name for step in runnable.all_steps if isinstance(step, WebhookStep)}
    templates = [template for call in calls if (template := RequestTemplate.of(call.request))]
    return frozenset(name for name in senders if name).union(*(template.secrets for template in templates))


@transaction.atomic
def delete_secret(*, secret: Secret, actor: Actor, now: datetime.datetime) -> None:
    """Delete a secret. Raises SecretInUseError if live jobs would be left without a secret of this name."""
    others = Secret.objects.filter(workspace_id=secret.workspace_id, name=secret.name, environment__isnull=True)
    falls_back = secret.environment_id is not None and others.exists()
    if not falls_back and (slugs := jobs_using(secret)):
        raise SecretInUseError(secret.name, slugs)
    audit.record("secret.deleted", secret, actor=actor, now=now)
    secret.delete()
