"""Create and rename environments. Deleting depends on their jobs: `jobs.services.environments`."""

import datetime

from django.db import IntegrityError, transaction

from accounts import audit
from accounts.actors import Actor
from accounts.models import Environment, Workspace
from accounts.names import ENVIRONMENT_SLUGS
from core.differences import difference
from core.errors import ConflictError, HourhandError


class InvalidEnvironmentError(HourhandError):
    code = "invalid"


class EnvironmentSlugTakenError(ConflictError):
    code = "slug_taken"

    def __init__(self, slug: str) -> None:
        super().__init__(f"Another environment has the slug {slug}.", field="slug")


@transaction.atomic
def create_environment(
    *, workspace: Workspace, slug: str | None, name: str, actor: Actor, now: datetime.datetime
) -> Environment:
    """Create an environment. Its slug never changes: definitions and versions use it. None makes one from the name.

    Raises InvalidEnvironmentError and EnvironmentSlugTakenError.
    """
    if slug is None:
        slug = ENVIRONMENT_SLUGS.free(name, workspace.environments)
    if not ENVIRONMENT_SLUGS.accepts(slug):
        raise InvalidEnvironmentError(ENVIRONMENT_SLUGS.error, field="slug")
    try:
        with transaction.atomic():
            environment = Environment.objects.create(workspace=workspace, slug=slug, name=name, created_at=now)
    except IntegrityError as error:
        raise EnvironmentSlugTakenError(slug) from error
    changes = difference({}, {"name": name})
    audit.record("environment.created", environment, actor=actor, now=now, changes=changes)
    return environment


@transaction.atomic
def rename_environment(*, environment: Environment, name: str, actor: Actor, now: datetime.datetime) -> Environment:
    """Change an environment's display name."""
    locked = Environment.objects.select_for_update(no_key=True).get(pk=environment.pk)
    changes = difference({"name": locked.name}, {"name": name})
    locked.name = name
    locked.save(update_fields=["name"])
    if changes:
        audit.record("environment.updated", locked, actor=actor, now=now, changes=changes)
    return locked
