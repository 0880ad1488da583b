"""What people ask of executions: run now, replay, retry, cancel, in bulk, and delete."""
