"""How much history is kept, and how the rest, purged jobs and wiped workspaces are removed."""
