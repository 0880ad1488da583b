"""Inbound webhooks: what came, what became of it, and the executions that it triggers."""
