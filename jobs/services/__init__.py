"""The verbs of jobs, environments, secrets and retry policies: each in one transaction, with its audit entry."""
