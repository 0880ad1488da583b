"""What can't be done with jobs, and why."""

from core.errors import ConflictError, HourhandError


class SlugTakenError(ConflictError):
    code = "slug_taken"

    def __init__(self, slug: str) -> None:
        super().__init__(f"Another job has the slug {slug}.", field="slug")


class AmbiguousEnvironmentError(ConflictError):
    code = "environment_ambiguous"

    def __init__(self, slugs: list[str]) -> None:
        which = f"enabled in {', '.join(slugs)}" if slugs else "enabled in none"
        super().__init__(f"Name an environment: the job is {which}.", field="environment")


class UnknownRetryPolicyError(HourhandError):
    code = "policy_unknown"

    def __init__(self, slug: str) -> None:
        super().__init__(f"There is no retry policy {slug}.", field="retry.policy")


class RetryPolicySlugTakenError(ConflictError):
    code = "slug_taken"

    def __init__(self, slug: str) -> None:
        super().__init__(f"Another retry policy has the slug {slug}.", field="slug")


class RetryPolicyInUseError(ConflictError):
    """`jobs` are the slugs of the jobs that use it, in order, told as the problem's member of that name."""

    code = "policy_in_use"

    def __init__(self, slug: str, jobs: list[str]) -> None:
        named = ", ".join(jobs[:_NAMED]) + (f" and {len(jobs) - _NAMED} more" if len(jobs) > _NAMED else "")
        super().__init__(f"The retry policy {slug} is used by the jobs {named}.", members={"jobs": jobs})


_NAMED = 5


class VersionUnreadableError(ConflictError):
    """What was stored can't be acted upon by this release: `error` says which part of it."""

    code = "version_unreadable"

    def __init__(self, slug: str, number: int, error: str) -> None:
        super().__init__(
            f"Version {number} of the job {slug} can't be read by this release of Hourhand: {error} Save the job anew, "
            "or start the release that wrote it."
        )
