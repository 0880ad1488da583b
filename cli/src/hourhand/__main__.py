"""`python -m hourhand`."""

from hourhand.main import hourhand

hourhand(prog_name="hourhand")
