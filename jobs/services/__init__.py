"""What people do with jobs, environments, secrets and retry policies: each verb in one transaction, with its audit."""
