"""The content of a job's version: request, templates, assertions, overrides, and reading a stored one."""
