"""Errors of jobs."""

from core.errors import ConflictError, HourhandError

_MAX_NAMED = 5


class SlugTakenError(ConflictError):
    code = "slug_taken"

    def __init__(self, slug: str) -> None:
        super().__init__(f"Another job has the slug {slug}.", field="slug")


class AmbiguousEnvironmentError(ConflictError):
    code = "environment_ambiguous"

    def __init__(self, slugs: list[str]) -> None:
        where = f"enabled in {', '.join(slugs)}" if slugs else "not enabled in any"
        super().__init__(f"Name an environment: the job is {where}.", field="environment")


class UnknownRetryPolicyError(HourhandError):
    code = "policy_unknown"

    def __init__(self, slug: str) -> None:
        super().__init__(f"There is no retry policy {slug}.", field="retry.policy")


class RetryPolicySlugTakenError(ConflictError):
    code = "slug_taken"

    def __init__(self, slug: str) -> None:
        super().__init__(f"Another retry policy has the slug {slug}.", field="slug")


class RetryPolicyInUseError(ConflictError):
    """`jobs`, a member of the problem, are the sorted slugs of the jobs that use the policy."""

    code = "policy_in_use"

    def __init__(self, slug: str, jobs: list[str]) -> None:
        more = f" and {len(jobs) - _MAX_NAMED} more" if len(jobs) > _MAX_NAMED else ""
        named = f"{', '.join(jobs[:_MAX_NAMED])}{more}"
        super().__init__(f"The retry policy {slug} is used by the jobs {named}.", members={"jobs": jobs})


class VersionUnreadableError(ConflictError):
    """This release can't read the stored version; `error` says which part."""

    code = "version_unreadable"

    def __init__(self, slug: str, number: int, error: str) -> None:
        super().__init__(
            f"This release of Hourhand can't read version {number} of the job {slug}: {error} Save the job again, "
            "or run the release that wrote it."
        )


class NotManagedByError(ConflictError):
    """A job is to be deleted for somebody who does not apply it from a file."""

    code = "not_managed_by"

    def __init__(self, slug: str, managed_by: str) -> None:
        super().__init__(f"The job {slug} is not managed by {managed_by}.", field="managed_by")


class RevisionChangedError(ConflictError):
    """Jobs differ from what the caller knows of them. `jobs`, a member of the problem, are their sorted slugs."""

    code = "revision_changed"

    def __init__(self, jobs: list[str]) -> None:
        more = f" and {len(jobs) - _MAX_NAMED} more" if len(jobs) > _MAX_NAMED else ""
        named = f"{', '.join(jobs[:_MAX_NAMED])}{more}"
        super().__init__(f"Changed meanwhile: {named}. Nothing was saved.", members={"jobs": jobs})


class NoCallToExportError(ConflictError):
    """An Arazzo document needs a workflow with a call."""

    code = "no_call"

    def __init__(self) -> None:
        super().__init__("No workflow has an HTTP step, which an Arazzo document needs: export as json or yaml.")
