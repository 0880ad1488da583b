"""The worker process: claims executions, prepares and delivers their requests, and records their results."""
