"""`hourhand jobs`. The modules of verbs add them to the group as they are imported."""

from hourhand.commands.jobs import reading, running, writing
from hourhand.commands.jobs.group import jobs

__all__ = ["jobs", "reading", "running", "writing"]
