"""What can't be done with jobs, and why."""

from accounts.errors import ConflictError


class SlugTakenError(ConflictError):
    code = "slug_taken"

    def __init__(self, slug: str) -> None:
        super().__init__(f"Another job has the slug {slug}.", field="slug")


class AmbiguousEnvironmentError(ConflictError):
    code = "environment_ambiguous"

    def __init__(self, slugs: list[str]) -> None:
        which = f"enabled in {', '.join(slugs)}" if slugs else "enabled in none"
        super().__init__(f"Name an environment: the job is {which}.", field="environment")
