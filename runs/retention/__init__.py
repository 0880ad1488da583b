"""Retention: how much history is kept, and the removal of the rest, of purged jobs and of wiped workspaces."""
