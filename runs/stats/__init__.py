"""How executions ended, how long they took and how late they were, and what fires next."""
