"""Which executions and runs are meant, and pages of them read from ranges of indexes."""
