"""What a version of a job says: its request, templates, assertions, overrides, and how a stored one is read."""
