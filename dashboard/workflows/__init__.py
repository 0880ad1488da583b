"""Workflows in the dashboard: their steps on an execution's page, approvals, and the picture of a job's flow."""
