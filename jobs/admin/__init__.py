"""The dashboard of jobs: their list, their page, their form; and the environments and secrets that they use."""

from jobs.admin.environments import EnvironmentAdmin
from jobs.admin.job import JobAdmin
from jobs.admin.retry_policy import RetryPolicyAdmin
from jobs.admin.secrets import SecretAdmin

__all__ = ["EnvironmentAdmin", "JobAdmin", "RetryPolicyAdmin", "SecretAdmin"]
