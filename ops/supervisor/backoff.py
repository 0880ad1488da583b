"""How long to wait before a program that died is started again."""

_FIRST_SECONDS = 0.5
_LONGEST_SECONDS = 30.0
_STEADY_SECONDS = 60.0


class RestartBackoff:
    """Doubles with every death, and starts anew once the program stayed up for a minute."""

    def __init__(self) -> None:
        self._next_seconds = _FIRST_SECONDS

    def after(self, uptime_seconds: float) -> float:
        """Seconds to wait, for a program that died after `uptime_seconds`."""
        if uptime_seconds >= _STEADY_SECONDS:
            self._next_seconds = _FIRST_SECONDS
        delay = self._next_seconds
        self._next_seconds = min(delay * 2, _LONGEST_SECONDS)
        return delay
