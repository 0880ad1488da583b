"""The dashboard of accounts: workspaces, plans, members, API keys, signing secrets and the audit log."""

from accounts.admin.audit import AuditEntryAdmin
from accounts.admin.keys import ApiKeyAdmin
from accounts.admin.members import MembershipAdmin
from accounts.admin.plans import PlanAdmin
from accounts.admin.signing import SigningSecretAdmin
from accounts.admin.workspaces import WorkspaceAdmin

__all__ = ["ApiKeyAdmin", "AuditEntryAdmin", "MembershipAdmin", "PlanAdmin", "SigningSecretAdmin", "WorkspaceAdmin"]
