"""Whether the stored version of a job can be read, for whoever shows it or is asked to run it."""

from jobs.definition.overrides import OVERRIDES
from jobs.definition.reading import problem_of
from jobs.errors import VersionUnreadableError
from jobs.models import Job, JobVersion


def why_unreadable(job: Job, version: JobVersion, environment_id: object = None) -> str | None:
    """Why this release can't read a version in an environment; None: it can. Without one, in any of them."""
    if environment_id is not None:
        return problem_of(version.config, environment_id=str(environment_id), anchor=job.created_at)
    for key in (None, *version.config.get(OVERRIDES, {})):
        if error := problem_of(version.config, environment_id=key, anchor=job.created_at):
            return error
    return None


def refuse_unreadable(job: Job, version: JobVersion, environment_id: object) -> None:
    """Raises VersionUnreadableError for a version that this release can't read in this environment."""
    if error := why_unreadable(job, version, environment_id):
        raise VersionUnreadableError(job.slug, version.number, error)
