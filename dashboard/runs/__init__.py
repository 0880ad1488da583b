"""The dashboard of history: executions and runs, read-only, the buttons that make new ones, and bulk operations."""
