"""Starts programs in order, restarts what dies, stops all in order, leaves nothing. Knows nothing of Hourhand."""
