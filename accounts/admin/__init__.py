"""The dashboard of accounts: workspaces, environments, members and API keys."""

from accounts.admin.keys import ApiKeyAdmin
from accounts.admin.workspaces import EnvironmentAdmin, MembershipAdmin, WorkspaceAdmin

__all__ = ["ApiKeyAdmin", "EnvironmentAdmin", "MembershipAdmin", "WorkspaceAdmin"]
