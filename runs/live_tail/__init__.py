"""Which executions have changed, published through Redis for whoever listens."""
