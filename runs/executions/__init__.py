"""Executions: creating and canceling them, and what people ask for: run now, replay, retry, cancel, bulk, delete."""
