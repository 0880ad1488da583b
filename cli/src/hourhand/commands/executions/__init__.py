"""`hourhand executions`. The modules of verbs add them to the group as they are imported."""

from hourhand.commands.executions import acting, reading
from hourhand.commands.executions.group import executions

__all__ = ["acting", "executions", "reading"]
