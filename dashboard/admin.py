"""Imports every module that registers an admin."""

from dashboard import operators
from dashboard.accounts import audit, keys, members, plans, signing, workspaces
from dashboard.jobs import environments, job, retry_policy, secrets
from dashboard.runs import bulk, execution, run

__all__ = [
    "audit", "bulk", "environments", "execution", "job", "keys", "members", "operators", "plans", "retry_policy", "run",
    "secrets", "signing", "workspaces",
]  # fmt: skip
