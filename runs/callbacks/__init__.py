"""Callbacks: signed calls that report executions after they have ended, with the attempts to make them."""
