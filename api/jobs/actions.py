"""What the routes of one job read besides the job object, and how they find the environments meant."""

from typing import Any

from rest_framework.exceptions import ValidationError

from accounts.models import Environment
from api.accounts.access import Access
from core.errors import NotFoundError
from core.validation.fields import Instant, Text
from core.validation.strict import StrictSerializer
from jobs.models import Job, JobEnvironment


class PauseSerializer(StrictSerializer):
    environment = Text(required=False, help_text="Its slug; all of the job's environments when left out.")
    until = Instant(required=False, allow_null=True, default=None, help_text="When to go on; null: until resumed.")
    note = Text(
        default="", allow_blank=True, max_length=500, help_text="Why, for people; shown as `pause_note` meanwhile."
    )

    def validate_until(self, value: Any) -> Any:
        if value is not None and value <= self.context["now"]:
            raise ValidationError("Should be in the future.", code="past")
        return value


class ResumeSerializer(StrictSerializer):
    environment = Text(required=False, help_text="Its slug; all of the job's environments when left out.")


class NothingSerializer(StrictSerializer):
    """An empty body."""


def named_environment(access: Access, slug: str) -> Environment:
    """The environment that a caller names. Raises NotFoundError for one out of its reach."""
    for environment in access.environments():
        if environment.slug == slug:
            return environment
    raise NotFoundError(f"There is no environment {slug}.", field="environment")


def meant_states(job: Job, access: Access, slug: str | None) -> list[JobEnvironment]:
    """The job's states in the environment named, or in all that its caller reaches."""
    states = list(job.job_environments.all())
    if slug is None:
        return states
    environment = named_environment(access, slug)
    found = [state for state in states if state.environment_id == environment.pk]
    if not found:
        raise NotFoundError(f"The job is not in the environment {slug}.", field="environment")
    return found
