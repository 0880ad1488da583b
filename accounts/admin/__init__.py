"""The dashboard of accounts: workspaces, environments, members, API keys and signing secrets."""

from accounts.admin.keys import ApiKeyAdmin
from accounts.admin.signing import SigningSecretAdmin
from accounts.admin.workspaces import EnvironmentAdmin, MembershipAdmin, WorkspaceAdmin

__all__ = ["ApiKeyAdmin", "EnvironmentAdmin", "MembershipAdmin", "SigningSecretAdmin", "WorkspaceAdmin"]
