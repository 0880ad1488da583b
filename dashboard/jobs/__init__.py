"""Jobs in the dashboard: list, page, form and versions; retry policies, environments and secrets."""
