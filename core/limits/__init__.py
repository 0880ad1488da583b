"""Limits per caller: rates, token buckets in Redis, login attempts, and the client's address."""
