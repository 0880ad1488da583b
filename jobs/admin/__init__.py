"""The dashboard of jobs: their list, their page, their form."""

from jobs.admin.job import JobAdmin

__all__ = ["JobAdmin"]
