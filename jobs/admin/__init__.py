"""The dashboard of jobs: their list, their page, their form."""

from jobs.admin.job import JobAdmin
from jobs.admin.retry_policy import RetryPolicyAdmin

__all__ = ["JobAdmin", "RetryPolicyAdmin"]
