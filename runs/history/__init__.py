"""Pages of executions and runs by any filter, read from ranges of indexes."""
