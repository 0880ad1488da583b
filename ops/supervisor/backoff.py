"""The delay before a program that ended is restarted."""

_FIRST_SECONDS = 0.5
_LONGEST_SECONDS = 30.0
_STEADY_SECONDS = 60.0


class RestartBackoff:
    """Doubles with every restart, and resets once the program has run for a minute."""

    def __init__(self) -> None:
        self._next_seconds = _FIRST_SECONDS

    def after(self, uptime_seconds: float) -> float:
        """Seconds to wait before restarting a program that ended after `uptime_seconds`."""
        if uptime_seconds >= _STEADY_SECONDS:
            self._next_seconds = _FIRST_SECONDS
        delay = self._next_seconds
        self._next_seconds = min(delay * 2, _LONGEST_SECONDS)
        return delay
