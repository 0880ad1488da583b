"""The slugs of jobs and of retry policies. Pure."""

from core.slugs import SlugRule

#: Paths below /jobs/ need the reserved words for themselves.
JOB_SLUGS = SlugRule("job", reserved=frozenset({"export", "import"}))
RETRY_POLICY_SLUGS = SlugRule("policy")
