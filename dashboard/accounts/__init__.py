"""The dashboard of accounts: workspaces, plans, members, API keys, signing secrets and the audit log."""
