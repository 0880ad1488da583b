"""Whether this release can read a job's stored version."""

from jobs.definition.overrides import OVERRIDES
from jobs.definition.reading import problem_of
from jobs.errors import VersionUnreadableError
from jobs.models import Job, JobVersion


def why_unreadable(job: Job, version: JobVersion, environment_id: object = None) -> str | None:
    """Return why this release can't read a version in an environment, or without one in any; None if it can."""
    if environment_id is not None:
        return problem_of(version.config, environment_id=str(environment_id), anchor=job.created_at)
    for key in (None, *version.config.get(OVERRIDES, {})):
        if error := problem_of(version.config, environment_id=key, anchor=job.created_at):
            return error
    return None


def refuse_unreadable(job: Job, version: JobVersion, environment_id: object) -> None:
    """Raises VersionUnreadableError if this release can't read a version in this environment."""
    if error := why_unreadable(job, version, environment_id):
        raise VersionUnreadableError(job.slug, version.number, error)
