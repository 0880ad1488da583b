"""Routes of accounts: audit log, keys, members, settings, signing secrets."""
