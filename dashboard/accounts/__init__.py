"""Accounts in the dashboard: workspaces, plans, members, API keys, signing secrets and the audit log."""
