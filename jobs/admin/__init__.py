"""The dashboard of jobs: their list, their page, their form; and the secrets that they use."""

from jobs.admin.job import JobAdmin
from jobs.admin.retry_policy import RetryPolicyAdmin
from jobs.admin.secrets import SecretAdmin

__all__ = ["JobAdmin", "RetryPolicyAdmin", "SecretAdmin"]
